"""`make reset`: forgets what a local stack remembers."""

from shutil import rmtree

from dev.stack.places import alone, from_environment


def main() -> None:
    """Remove the data, unless a stack is using it."""
    places = from_environment()
    with alone(places):
        rmtree(places.data, ignore_errors=True)
    print(f"forgot {places.data}")


if __name__ == "__main__":
    main()

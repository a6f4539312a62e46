"""`make token`: prints a token for the running stack, and nothing else."""

import os

from dev.stack import issuer, places


def main() -> None:
    """Read ACCOUNT, SCOPE and STORE from the environment and print the token."""
    here = places.from_environment()
    stack = places.running_stack(here)
    token = issuer.mint(
        here.key,
        stack["issuer"],
        account_id=os.environ.get("ACCOUNT") or "*",
        scope=os.environ.get("SCOPE") or issuer.ALL_SCOPES,
        store_id=os.environ.get("STORE", ""),
    )
    print(token)


if __name__ == "__main__":
    main()

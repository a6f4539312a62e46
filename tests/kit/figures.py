"""How much a test does, and what it has done: little in `make test`, much in `make prove`."""

from dev.proof.figures import seed, size, tally

__all__ = ["seed", "size", "tally"]

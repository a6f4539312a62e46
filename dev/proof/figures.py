"""How much a proof does, and what it has done: little in `make test`, much in `make prove`."""

import json
import os
from pathlib import Path


def size(*, test: int, prove: int) -> int:
    """`test` in `make test`, `prove` in a part of `make prove`."""
    return prove if os.environ.get("PROVE") else test


def seed() -> int:
    """The seed of this run; a part of `make prove` stores its own."""
    return int(os.environ.get("PROOF_SEED", "20261124"))


def tally(**figures: int) -> None:
    """Tell `make prove` what was done; figures of one name are added up over all tests and processes."""
    if path := os.environ.get("PROOF_FIGURES"):
        with Path(path).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(figures) + "\n")

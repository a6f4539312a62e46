"""How much a proof does (little in `make test`, much in `make prove`), and what it has done."""

import json
import os
from pathlib import Path


def size(*, test: int, prove: int) -> int:
    """`test` in `make test`, `prove` in a part of `make prove`."""
    return prove if os.environ.get("PROVE") else test


def seed() -> int:
    """The seed of this run; each part of `make prove` has its own and stores it."""
    return int(os.environ.get("PROOF_SEED", "20261124"))


def tally(**figures: int) -> None:
    """Tell `make prove` what was done; figures of the same name are summed over all tests and processes."""
    if path := os.environ.get("PROOF_FIGURES"):
        with Path(path).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(figures) + "\n")

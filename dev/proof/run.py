"""`make prove`: the whole proof, in parts. Each uses both cores and ends within 25 minutes.

A part that has passed for this commit is not run again. Its result is kept in `.local/proof/`, with commit and seed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dev.proof import mutants
from dev.stack.places import ROOT

FOLDER = ROOT / ".local" / "proof"
MAX_SECONDS = 25 * 60
PAIRS = "tests/simulation/test_pairs.py"
SCHEDULES = "tests/simulation/test_schedules.py"
ACCOUNTS = "tests/simulation/test_accounts.py"
RESTORES = "tests/simulation/test_restores.py"
SWEEPS = "tests/simulation/test_sweeps.py"
PAIR = "pair: "
"""How the names of figures about a pair of deliveries begin; they make a table of their own."""
FAULTS = ", faults"
"""How the name of the figure that counts a pair's faults ends."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part: what it shows, and the tests that show it at full size, in two processes, or a program that does."""

    name: str
    shows: str
    tests: Sequence[str] = ()
    program: Sequence[str] = ()

    def command(self) -> list[str]:
        """The command line."""
        tests = ("-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", *self.tests)
        return [sys.executable, *(self.program or tests)]


PARTS = (
    Part("pairs", "every pair of work and standing, every single fault at every call", [f"{PAIRS}::test_pairs"]),
    Part(
        "pairs-dollars",
        "the same for work with managed balance, openings, settings",
        [f"{PAIRS}::test_pairs_with_dollars"],
    ),
    Part("pairs-buying", "the same for every pair with buying in it", [f"{PAIRS}::test_pairs_with_buying"]),
    Part("pairs-real", "every call, every fault, on a real engine", ["tests/outages/test_wire_faults.py"]),
    Part(
        "triples",
        "three deliveries that share work, two faults",
        [f"{SCHEDULES}::test_three_deliveries_with_two_faults"],
    ),
    Part("random", "up to five deliveries, up to four faults", [f"{SCHEDULES}::test_random_schedules"]),
    Part("accounts", "two accounts with the same ids, in pairs and in batches", [ACCOUNTS]),
    Part("restores", "a table that is restored in part, at any moment", [RESTORES]),
    Part("sweeps", "the sweep among live traffic and beside itself; pages on their way to the bus", [SWEEPS]),
    Part("engines", "the store in memory is as the engines are", ["tests/engines/test_differential.py"]),
    Part(
        "model",
        "the service is as a small model is, purchases in any order",
        ["tests/model/test_model.py", "tests/model/test_purchase_facts.py"],
    ),
    Part("kills", "kill -9 of workers and of the engine", ["tests/engines/test_kills.py"]),
    *(
        Part(f"mutants-{name}", "one mistake at a time is noticed", program=("-m", "dev.proof.mutants", name))
        for name in mutants.PARTS
    ),
)


@dataclass(frozen=True, slots=True)
class Line:
    """The result of a part."""

    part: str
    commit: str
    seed: int
    passed: bool
    seconds: float
    figures: dict[str, int] = field(default_factory=dict)

    def text(self) -> str:
        """The result as a row of the table."""
        told = {name: count for name, count in self.figures.items() if PAIR not in name}
        figures = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in told.items())
        return f"{self.part:17} {'passed' if self.passed else 'FAILED':7} {self.seconds:7.0f} s  {figures}"


def commit() -> str:
    """The commit under proof; `…-dirty` if the tree has changes."""
    return subprocess.check_output(
        ["git", "describe", "--always", "--dirty", "--exclude=*"], cwd=ROOT, text=True
    ).strip()


def stored(part: str, at: str) -> Line | None:
    """The result of a part, if it has passed for that commit."""
    path = FOLDER / f"{part}.json"
    if not path.exists():
        return None
    line = Line(**json.loads(path.read_text("utf-8")))
    return line if line.commit == at and line.passed else None


def run(part: Part, at: str) -> Line:
    """Run a part and store its result."""
    seed = time.time_ns() % 1_000_000_007
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder, "figures")
        figures.touch()
        environment = {"PROVE": "1", "PROOF_SEED": str(seed), "PROOF_FIGURES": str(figures)}
        began = time.monotonic()
        try:
            status = subprocess.run(
                part.command(), cwd=ROOT, env={**os.environ, **environment}, timeout=MAX_SECONDS, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            print(f"{part.name}: not finished after {MAX_SECONDS} s")
            status = 1
        done: Counter[str] = Counter()
        for text in figures.read_text("utf-8").splitlines():
            done.update(json.loads(text))
    line = Line(part.name, at, seed, status == 0, round(time.monotonic() - began, 1), dict(done))
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{part.name}.json").write_text(json.dumps(asdict(line), indent=1) + "\n", "utf-8")
    return line


def pair_table(lines: Sequence[Line]) -> str:
    """Runs and faults of each pair, as a Markdown table. Each kind is also paired with its own redelivery."""
    figures = [(name, count) for line in lines for name, count in line.figures.items()]
    runs = {name.removeprefix(PAIR): count for name, count in figures if name.startswith(PAIR)}
    pairs = {
        tuple(name.split(" + ")): f"{count:,}/{runs[name + FAULTS]:,}"
        for name, count in runs.items()
        if FAULTS not in name
    }
    met = [*(first for first, _ in pairs), *(second for _, second in pairs if second != "redelivery")]
    kinds = list(dict.fromkeys(met))
    rows = [["", "redelivery", *(f"{number}" for number, _ in enumerate(kinds, start=1))]]
    for number, kind in enumerate(kinds, start=1):
        others = [pairs.get((kind, other)) or pairs.get((other, kind), "") for other in kinds[:number]]
        rows.append([f"{number} {kind}", pairs.get((kind, "redelivery"), ""), *others, *[""] * (len(kinds) - number)])
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    """Run the parts that are named, or all, as far as they have not passed for this commit; then print the results."""
    parser = argparse.ArgumentParser(description="The proof.")
    names = [part.name for part in PARTS]
    # Without any, argparse takes the empty list itself for a choice.
    parser.add_argument("part", nargs="*", choices=[*names, []], metavar="part", help=f"all, or: {', '.join(names)}")
    asked = parser.parse_args().part
    parts = [part for part in PARTS if part.name in asked or not asked]
    at = commit()
    lines = []
    for number, part in enumerate(parts, start=1):
        line = stored(part.name, at)
        if line is None:
            print(f"--- {number}/{len(parts)} {part.name}: {part.shows}", flush=True)
            line = run(part, at)
        lines.append(line)
        print(line.text(), flush=True)
    if any(PAIR in name for line in lines for name in line.figures):
        (FOLDER / "pairs.md").write_text(pair_table(lines) + "\n", "utf-8")
        print(f"the runs of each pair: {FOLDER / 'pairs.md'}")
    print(f"\ncommit {at}\n" + "\n".join(line.text() for line in lines))
    if not all(line.passed for line in lines):
        raise SystemExit(1)


if __name__ == "__main__":
    main()

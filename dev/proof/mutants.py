"""`make mutants`: the product with one small mistake at a time, each of which the tests must notice.

mutmut 3 wants the package at its root, so each part works in a copy under `.local/mutants/`. The results for these
very files are kept there, so a run that was stopped can continue. A mutant that survives is listed by its diff, with
the reason, in `tests/mutants/survivors.json`. A survivor that is not listed fails the run, and so does a listed one
that no longer survives.
"""

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dev.proof.figures import tally
from dev.stack.places import ROOT

FOLDER = ROOT / ".local" / "mutants"
SURVIVORS = ROOT / "tests" / "mutants" / "survivors.json"
CHILDREN = 2
MAX_SECONDS = 24 * 60
LEAST_KILLED = 0.95
UNEXPLAINED = "not yet explained"

PARTS: Mapping[str, Sequence[str]] = {
    "kernel": (
        *("domain/money", "domain/times", "domain/ids", "domain/access", "domain/errors", "domain/forms"),
        *("domain/state", "domain/catalog", "domain/journal", "domain/records", "domain/kinds"),
        *("domain/accounts", "domain/decide"),
    ),
    "work": tuple(f"domain/work/{name}" for name in ("record", "charging", "lifecycle", "calls", "messages")),
    "purchases": (
        *(f"domain/purchases/{name}" for name in ("facts", "first_form", "record", "coupons", "calls", "fulfil")),
        "ledger/commit",
    ),
}
"""The modules that are mutated. On two idle cores a part takes at most half of `MAX_SECONDS`."""

JUDGES = (
    *("tests/unit", "tests/mutants", "tests/outages/test_ledger_faults.py"),
    "tests/simulation/test_pairs.py::test_pairs[0]",
    "tests/simulation/test_pairs.py::test_pairs_with_buying[0]",
    "tests/simulation/test_schedules.py::test_three_deliveries_with_two_faults[0]",
    "tests/simulation/test_schedules.py::test_random_schedules[0]",
)
"""The tests that must notice: those of single modules, of the commit loop under faults, and a share of the scheduler's.
They need no engine and are deterministic."""

NO_JUDGES = ("tests/unit/adapters", "tests/unit/ledger/test_history.py", "tests/unit/ledger/test_lists.py")
"""Except these, which test something else."""

COPIED = (
    *("tests/kit", "tests/unit", "tests/mutants", "tests/outages", "tests/simulation"),
    *("dev", "functions", "events", "template.yaml"),
)

PYPROJECT = """\
[tool.pytest.ini_options]
pythonpath = ["."]
addopts = ["--import-mode=importlib", "--strict-markers"]
filterwarnings = ["error"]
markers = ["slow: takes more than a few seconds"]

[tool.mutmut]
source_paths = ["autocredits"]
only_mutate = {modules}
also_copy = ["conftest.py", "dev", "functions", "events", "template.yaml"]
pytest_add_cli_args_test_selection = {judges}
pytest_add_cli_args = ["-p", "no:cacheprovider", "-p", "no:xdist"]
use_git_change_detection = false
track_dependencies = false
timeout_multiplier = 6.0
timeout_constant = 5.0
"""

CONFTEST = '''\
"""Few examples, always the same and never shrunk: a mutant ends the same way each time, and soon."""

import contextlib

import pytest
from hypothesis import Phase, settings
from mutmut.core import MutmutCallStack

_reset = MutmutCallStack.reset


def _reset_anywhere(token: object) -> None:
    """The scheduler discards crashed handlers in another context than the one they ran in."""
    with contextlib.suppress(ValueError):
        _reset(token)


MutmutCallStack.reset = _reset_anywhere


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        function = getattr(item, "function", None)
        own = getattr(function, "_hypothesis_internal_use_settings", None)
        if own is not None:
            few = min(own.max_examples, 10)
            phases = [Phase.explicit, Phase.generate]
            changed = settings(own, max_examples=few, derandomize=True, database=None, phases=phases)
            function._hypothesis_internal_use_settings = changed
'''


@dataclass(frozen=True, slots=True, order=True)
class Mutant:
    """A mutant, known by what it changes: lines with `-` and `+` in a function."""

    where: str
    diff: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """How the mutants of a part or a module ended, and which survived."""

    ends: Mapping[str, int]
    survivors: Sequence[Mutant]

    def share_killed(self) -> float:
        """The share killed, of those that a test reaches and that did not time out."""
        judged = self.ends.get("killed", 0) + self.ends.get("survived", 0)
        return self.ends.get("killed", 0) / judged if judged else 1.0

    def text(self, name: str) -> str:
        """The result as a row of the table."""
        counts = "".join(f" {self.ends.get(end, 0):8}" for end in ENDS)
        return f"{name:26} {sum(self.ends.values()):6}{counts}  {self.share_killed():7.2%}"


ENDS = ("killed", "survived", "timeout", "no tests", "other")


def copy_product(copy: Path, modules: Sequence[str], *, keep: bool) -> None:
    """Copy the product, unless these very files are there already. `keep` keeps mutmut's results in any case."""
    files = {**dict(wanted_files()), "conftest.py": CONFTEST.encode(), "pyproject.toml": settings_of(modules).encode()}
    digest = hashlib.sha256(repr((sorted(files.items()), sys.version)).encode()).hexdigest()
    stamp = copy / "stamp"
    if stamp.exists() and stamp.read_text("ascii") == digest:
        return
    for path in copy.glob("*"):
        if path.name != "mutants":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        elif not keep:
            shutil.rmtree(path)
    for name, content in files.items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(content)
    if keep:
        try_survivors_again(copy)
    else:
        stamp.write_text(digest, "ascii")


def wanted_files() -> Iterator[tuple[str, bytes]]:
    """The files of the copy: name there and content."""
    layer = ROOT / "layers" / "common"
    for base, name in [(layer, "autocredits"), *((ROOT, name) for name in COPIED)]:
        place = base / name
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and "__pycache__" not in path.parts:
                yield str(path.relative_to(base)), path.read_bytes()


def settings_of(modules: Sequence[str]) -> str:
    """The settings of pytest and mutmut in the copy."""
    judges = [*JUDGES, *(f"--ignore={path}" for path in NO_JUDGES)]
    mutated = [f"autocredits/{module}.py" for module in modules]
    return PYPROJECT.format(modules=json.dumps(mutated), judges=json.dumps(judges))


def try_survivors_again(copy: Path) -> None:
    """Forget the result of every mutant that was not killed, and which tests reach which function."""
    (copy / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)
    for path in (copy / "mutants").rglob("*.meta"):
        meta = json.loads(path.read_text("utf-8"))
        ends = meta["exit_code_by_key"]
        meta["exit_code_by_key"] = {key: code if code == 1 else None for key, code in ends.items()}
        path.write_text(json.dumps(meta), "utf-8")


def run_mutmut(copy: Path) -> bool:
    """Run mutmut and return whether it finished in time. If not, the next run continues."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PROVE", "PROOF_"))}
    command = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", str(CHILDREN)]
    with (copy / "log").open("w", encoding="utf-8") as log:
        mutmut = subprocess.Popen(
            command, cwd=copy, env=inherited, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            ended = mutmut.wait(MAX_SECONDS) == 0
        except subprocess.TimeoutExpired:
            ended = False
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(mutmut.pid, signal.SIGTERM)
    if not ended:
        print(f"mutmut did not finish; run the same command to continue (see {copy / 'log'})")
    return ended


def forget_half_written(copy: Path) -> None:
    """Start afresh if mutmut was stopped while it wrote a file."""
    try:
        for path in [*(copy / "mutants").rglob("*.meta"), *(copy / "mutants").glob("mutmut-stats.json")]:
            json.loads(path.read_text("utf-8"))
    except ValueError:
        shutil.rmtree(copy / "mutants")


def read_results(copy: Path, modules: Sequence[str]) -> dict[str, Result]:
    """How the mutants of each module ended, read by mutmut's own functions in the copy."""
    script = Path(__file__).with_name("mutmut_results.py")
    told = subprocess.run(
        [sys.executable, script, *(f"autocredits/{module}.py" for module in modules)],
        cwd=copy,
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(told.stdout)
    return {
        path: Result(
            Counter(end if end in ENDS else "other" for end in module["ends"]),
            numbered([Mutant(where, tuple(diff)) for where, diff in module["survivors"]]),
        )
        for path, module in found.items()
    }


def numbered(mutants: Sequence[Mutant]) -> list[Mutant]:
    """The mutants with a number where a function changes the same line twice, so that each is unique."""
    return [
        replace(mutant, where=f"{mutant.where} ({before + 1})") if (before := mutants[:place].count(mutant)) else mutant
        for place, mutant in enumerate(mutants)
    ]


def listed() -> dict[Mutant, str]:
    """The listed survivors, each with its reason."""
    rows = json.loads(SURVIVORS.read_text("utf-8")) if SURVIVORS.exists() else []
    return {Mutant(row["where"], tuple(row["diff"])): row["why"] for row in rows}


def store(known: Mapping[Mutant, str]) -> None:
    """Write the list of survivors."""
    rows = [{"where": mutant.where, "diff": mutant.diff, "why": known[mutant]} for mutant in sorted(known)]
    SURVIVORS.parent.mkdir(parents=True, exist_ok=True)
    SURVIVORS.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", "utf-8")


def complaints(modules: Sequence[str], result: Result, known: Mapping[Mutant, str]) -> list[str]:
    """Why a part fails: a survivor without a reason, a listed one that is gone, too few killed, an unknown result."""
    names = {f"autocredits.{module.replace('/', '.')}" for module in modules}
    here = {mutant: why for mutant, why in known.items() if mutant.where.partition(":")[0] in names}
    survivors = set(result.survivors)
    said = [_told("survives and is not listed", mutant) for mutant in sorted(survivors - here.keys())]
    said += [_told("is listed and does not survive", mutant) for mutant in sorted(here.keys() - survivors)]
    said += [_told("is not yet explained", mutant) for mutant in sorted(survivors) if here.get(mutant) == UNEXPLAINED]
    if result.share_killed() < LEAST_KILLED:
        said.append(f"{result.share_killed():.2%} killed, {LEAST_KILLED:.0%} is the least")
    if others := result.ends.get("other", 0):
        said.append(f"{others} mutants have a result that does not count")
    return said


def _told(what: str, mutant: Mutant) -> str:
    return "\n    ".join([f"{what}: {mutant.where}", *mutant.diff])


def run_part(name: str, *, keep: bool, write: bool) -> bool:
    """Run a part and return whether it passes."""
    copy, modules = FOLDER / name, PARTS[name]
    copy.mkdir(parents=True, exist_ok=True)
    forget_half_written(copy)
    copy_product(copy, modules, keep=keep)
    ended = run_mutmut(copy)
    results = read_results(copy, modules)
    ends: Counter[str] = Counter()
    for result in results.values():
        ends.update(result.ends)
    whole = Result(ends, [mutant for result in results.values() for mutant in result.survivors])
    print(f"{name:26} {'all':>6}" + "".join(f" {end:>8}" for end in ENDS))
    print("\n".join(result.text(path) for path, result in [*results.items(), ("together", whole)]))
    if write:
        known = listed()
        elsewhere = {m: why for m, why in known.items() if not _is_of(m, modules)}
        store(elsewhere | {mutant: known.get(mutant, UNEXPLAINED) for mutant in whole.survivors})
    said = complaints(modules, whole, listed())
    print("\n".join(said))
    tally(mutants=sum(ends.values()), **{end.replace(" ", "_"): count for end, count in ends.items()})
    return ended and not said


def _is_of(mutant: Mutant, modules: Sequence[str]) -> bool:
    return mutant.where.partition(":")[0] in {f"autocredits.{module.replace('/', '.')}" for module in modules}


def main() -> None:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(description="Mutation testing.")
    parser.add_argument("part", nargs="*", choices=[*PARTS, []], help="which parts; all if none is named")
    parser.add_argument(
        "--keep", action="store_true", help="trust earlier kills although files changed; for a quick look"
    )
    parser.add_argument("--write", action="store_true", help="rewrite the list of survivors; known reasons stay")
    asked = parser.parse_args()
    parts = [run_part(part, keep=asked.keep, write=asked.write) for part in asked.part or PARTS]
    if not all(parts):
        raise SystemExit(1)


if __name__ == "__main__":
    main()

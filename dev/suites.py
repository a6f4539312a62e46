"""`make test`: runs the suites one after the other and says how long each took."""

import subprocess
import sys
import time
from collections.abc import Sequence

from dev.stack.places import ROOT

SUITES = {
    "unit, functional, template, mutants": (
        *("-n", "2"),
        *("tests/unit", "tests/functional", "tests/template", "tests/mutants"),
    ),
    "simulation, model, engines, outages": (
        *("-n", "2", "--dist", "worksteal"),
        *("tests/simulation", "tests/model", "tests/engines", "tests/outages"),
    ),
    "payments": ("tests/payments",),
    "end to end": ("tests/e2e",),
    "browser": ("--no-fold-skipped", "tests/browser"),
}


def main() -> None:
    """Run every suite, even after a failure, and fail if any did."""
    results = [_run(name, arguments) for name, arguments in SUITES.items()]
    print("\n".join(line for line, _ in results))
    if not all(passed for _, passed in results):
        raise SystemExit(1)


def _run(name: str, arguments: Sequence[str]) -> tuple[str, bool]:
    print(f"--- {name}", flush=True)
    began = time.monotonic()
    passed = subprocess.run([sys.executable, "-m", "pytest", "-q", *arguments], cwd=ROOT, check=False).returncode == 0
    return f"{name}: {'passed' if passed else 'FAILED'} in {time.monotonic() - began:.1f} s", passed


if __name__ == "__main__":
    main()

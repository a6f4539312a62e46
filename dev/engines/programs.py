"""What the engines have in common: how their programs are fetched and ended.

A program is fetched once, at a pinned version, by its registry's ordinary client (npm, Maven, uv or Go). What goes
wrong is an `EngineError`: one line that says what to do.
"""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from filelock import FileLock

from dev.stack.places import ROOT

FETCH_TIMEOUT_S = 600.0
STOP_TIMEOUT_S = 5.0


class EngineError(Exception):
    """An engine could not be fetched or started; the message is one line that says what to do."""


def install_once(target: Path, make: Callable[[Path], None]) -> None:
    """Let `make` fill a folder, and move it to `target` when complete; do nothing if `target` exists.

    Other threads and processes that want the same target wait, so a folder under its final name is always whole.
    """
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(f"{target.name}.lock")):
        if target.exists():
            return
        partial = target.with_name(f"{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)  # left by a fetch that was killed
        partial.mkdir()
        try:
            make(partial)
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def fetch_wheel(cache: Path, package: str, version: str, *, instead: str) -> Path:
    """Unpack a wheel from PyPI, without its dependencies, and return the folder. Without uv, suggest `instead`."""
    target = cache / f"{package}-{version}"

    def make(folder: Path) -> None:
        local = ROOT / ".local" / "uv" / "bin" / "uv"
        uv = str(local) if local.exists() else shutil.which("uv")
        if uv is None:
            raise EngineError(f"{package} is fetched by uv, and there is none: install uv or {instead}")
        command = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--target", str(folder)]
        run_client([*command, "--no-deps", f"{package}=={version}"], folder=folder, log=log_of(target))

    install_once(target, make)
    return target


def run_client(command: Sequence[str], *, folder: Path, log: Path, env: Mapping[str, str] = os.environ) -> None:
    """Run a registry's client in the folder. Its output goes to the log, which is kept only if it fails."""
    tool = Path(command[0]).name
    with log.open("w") as output:
        try:
            subprocess.run(
                command,
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=FETCH_TIMEOUT_S,
                check=True,
            )
        except subprocess.TimeoutExpired:
            raise EngineError(f"{tool} took over {FETCH_TIMEOUT_S:.0f} s: is the network up? See {log}") from None
        except subprocess.CalledProcessError as error:
            why = telling_line(log.read_text(errors="replace"))
            raise EngineError(f"{tool} failed ({error.returncode}): {why}; is the network up? See {log}") from None
    log.unlink()


def log_of(target: Path) -> Path:
    """The log of fetching `target`, beside it."""
    return target.with_name(f"{target.name}.log")


def verify(file: Path, checksum: str) -> None:
    """Raise unless the file has the checksum, written as npm does: algorithm, dash, base64."""
    algorithm, _, expected = checksum.partition("-")
    with file.open("rb") as content:
        actual = base64.b64encode(hashlib.file_digest(content, algorithm).digest()).decode()
    if actual != expected:
        raise EngineError(f"{file.name} should have the checksum {checksum}: find out why it has {algorithm}-{actual}")


def telling_line(output: str) -> str:
    """The line of a failed program's output that most likely says why."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for line in lines:
        if re.search(r"error|exception|fatal", line, re.IGNORECASE):
            return line
    return lines[-1] if lines else "it printed nothing"


def end(process: subprocess.Popen[bytes]) -> None:
    """End the process and wait for it; it may have ended already."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

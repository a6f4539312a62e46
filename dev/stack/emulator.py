"""MiniStack as a child process: AWS on this machine, without Docker."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from typing import IO

import requests

from dev.stack.places import ROOT, Places

START_SECONDS = 30
STOP_SECONDS = 20

Process = subprocess.Popen[bytes]


@contextmanager
def emulator(places: Places, region: str) -> Iterator[Process]:
    """Run the emulator until the block ends; its data is saved when it stops."""
    scratch = places.data / "tmp"
    rmtree(scratch, ignore_errors=True)  # the functions that an earlier run unpacked
    scratch.mkdir(parents=True)
    _move(places)
    with places.log.open("wb") as log:
        process = _start(places, scratch, region, log)
        try:
            _wait_until_ready(process, places)
            yield process
        finally:
            _stop(process)
            rmtree(scratch, ignore_errors=True)


def _move(places: Places) -> None:
    """Let saved data follow the stack to another port: the emulator stores queues by their full URL."""
    memory = places.data / "endpoint_url"
    before = memory.read_text() if memory.exists() else places.endpoint_url
    if before != places.endpoint_url:
        for path in (places.data / "state").glob("*.json"):
            path.write_text(path.read_text().replace(f"{before}/", f"{places.endpoint_url}/"))
    memory.write_text(places.endpoint_url)


def _start(places: Places, scratch: Path, region: str, log: IO[bytes]) -> Process:
    """Start it in a session of its own, so that Ctrl-C reaches only us and we choose when it stops."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "MAKE", "MFLAGS", "PYTHON", "LAMBDA_", "MINISTACK_"))
    }
    environment |= {
        "BIND_HOST": "127.0.0.1",  # it would listen on every interface
        "IOT_MTLS_ENABLED": "0",  # likewise, on another port
        "SFTP_ENABLED": "0",
        "MINISTACK_HOST": "127.0.0.1",  # as it stands in the queues' URLs; `localhost` may mean ::1 first
        "GATEWAY_PORT": str(places.port),
        "PERSIST_STATE": "1",
        "STATE_DIR": str(places.data / "state"),
        "S3_DATA_DIR": str(places.data / "s3"),
        "TMPDIR": str(scratch),
        "MINISTACK_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",  # the emulator and its functions take any credentials
        "PYTHONUNBUFFERED": "1",
        "LOG_LEVEL": "INFO",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "ministack.app"],
        env=environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _wait_until_ready(process: Process, places: Places) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with suppress(requests.RequestException):
            if requests.get(f"{places.endpoint_url}/_ministack/health", timeout=2).ok:
                return
        time.sleep(0.05)
    raise SystemExit(f"error: the emulator did not start; see {places.log}")


def _stop(process: Process) -> None:
    """Ask it to save and stop, then end what is left of its session: the functions' workers."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            print("warning: the emulator did not stop by itself; its newest data may be lost", file=sys.stderr)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

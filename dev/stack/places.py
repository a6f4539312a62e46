"""Where a local stack keeps its files and which ports it takes."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

from filelock import FileLock, Timeout

ROOT = Path(__file__).resolve().parent.parent.parent
TEMPLATE = ROOT / "template.yaml"
DOUBLES = ("stripe", "paypal", "payoneer")
"""The payment providers that a stack can play itself."""


class StackInfo(TypedDict):
    """What a running stack tells its users: the content of `stack.json`."""

    api_url: str
    endpoint_url: str
    region: str
    orders_queue_url: str
    dead_letter_queue_url: str
    table_name: str
    bus_name: str
    issuer: str
    page_url: str
    webhook_secrets: dict[str, str]


@dataclass(frozen=True)
class Places:
    """The files and ports of one stack."""

    home: Path
    port: int

    @property
    def info(self) -> Path:
        """The stack's description; the file exists while the stack serves."""
        return self.home / "stack.json"

    @property
    def data(self) -> Path:
        """All that a stack remembers; `make reset` removes it."""
        return self.home / "data"

    @property
    def lock(self) -> Path:
        """Held while a stack runs."""
        return self.home / "stack.lock"

    @property
    def key(self) -> Path:
        """The private key that signs tokens."""
        return self.data / "issuer.pem"

    @property
    def secrets(self) -> Path:
        """The payment providers' signing secrets."""
        return self.data / "secrets.json"

    @property
    def log(self) -> Path:
        """What the emulator and the functions print."""
        return self.home / "stack.log"

    @property
    def endpoint_url(self) -> str:
        """Where AWS clients connect."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def issuer_port(self) -> int:
        """The token issuer's port, next to the stack's."""
        return self.port + 1

    @property
    def issuer(self) -> str:
        """The token issuer's address, which is also its name."""
        return f"http://127.0.0.1:{self.issuer_port}"

    @property
    def sandbox_port(self) -> int:
        """The port of the sandbox's page, after the issuer's."""
        return self.port + 2

    @property
    def sandbox(self) -> str:
        """The address of the sandbox's page."""
        return f"http://127.0.0.1:{self.sandbox_port}"

    @property
    def page_port(self) -> int:
        """The port of the merchant's page, after the doubles'."""
        return self.sandbox_port + 1 + len(DOUBLES)

    @property
    def page(self) -> str:
        """The address of the merchant's page, without a slash at its end."""
        return f"http://127.0.0.1:{self.page_port}"

    def double_port(self, provider: str) -> int:
        """The port of a payment provider's double, after the sandbox's."""
        return self.sandbox_port + 1 + DOUBLES.index(provider)


def from_environment() -> Places:
    """The places of this shell: `.local` and port 4566, unless STACK_HOME and PORT say otherwise."""
    home = Path(os.environ.get("STACK_HOME") or ROOT / ".local").resolve()
    return Places(home, int(os.environ.get("PORT") or 4566))


def running_stack(places: Places) -> StackInfo:
    """The description of the running stack. Raises SystemExit with one line if none runs."""
    try:
        return cast("StackInfo", json.loads(places.info.read_text()))
    except FileNotFoundError:
        raise SystemExit("error: no stack is running here; start one with `make run`") from None


def write_info(places: Places, info: StackInfo) -> None:
    """Say that the stack serves. The file appears at once, so nobody reads half of it."""
    draft = places.info.with_suffix(".draft")
    draft.write_text(json.dumps(info, indent=2) + "\n")
    draft.rename(places.info)


@contextmanager
def alone(places: Places) -> Iterator[None]:
    """Keep other processes out. The system gives the lock back when this one ends, even when it is killed."""
    places.home.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(places.lock).acquire(timeout=0)
    except Timeout:
        raise SystemExit(f"error: a stack is running in {places.home}; stop it first") from None
    with lock:
        yield

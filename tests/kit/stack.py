"""A running stack as a test sees it: HTTP with tokens, messages in, and what lies in the queues."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pytest
import requests

from dev.stack import deploy, issuer
from dev.stack.issuer import ALL_SCOPES, KEY_ID
from dev.stack.places import ROOT, Places, StackInfo, running_stack, write_info
from dev.stack.sam_local import SamLocal, sam_local
from dev.stack.sandbox import sign

__all__ = [
    "ALL_SCOPES",
    "KEY_ID",
    "PLATFORM",
    "ROOT",
    "STOP_SECONDS",
    "Message",
    "Places",
    "SamLocal",
    "Stack",
    "environment_of",
    "eventually",
    "free_ports",
    "new_places",
    "run_stack",
    "sam_local",
    "sign",
]

T = TypeVar("T")

PLATFORM = "*"
TIMEOUT_SECONDS = 120  # a burst of requests waits for as many new workers
START_SECONDS = 120
STOP_SECONDS = 300  # after a burst it clears away the unpacked code of as many workers


@dataclass(frozen=True)
class Message:
    """A message as it lies in a queue."""

    body: str
    reason: str | None
    receive_count: int


class Stack:
    """One deployed stack and its callers."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.info: StackInfo = running_stack(places)
        self._sqs = self.client("sqs")
        self.token = cache(self._token)

    def client(self, service: str) -> Any:
        """An AWS client for the emulator, which may do everything."""
        return deploy.client(service, self.places)

    def call(
        self,
        method: str,
        path: str,
        *,
        account: str = PLATFORM,
        scope: str = ALL_SCOPES,
        store: str = "",
        key: str | None = None,
        headers: dict[str, str] | None = None,
        **arguments: Any,
    ) -> requests.Response:
        """Call a route (`/v1/…`) as `account`, by default as the platform; `key` is the idempotency key.

        An empty `account` sends a token that names none.
        Further arguments are those of `requests.request`, as `json` or `data`.
        """
        sent = {"Authorization": f"Bearer {self.token(account, scope, store)}", **(headers or {})}
        if key is not None:
            sent["Idempotency-Key"] = key
        return self.call_as_is(method, path, headers=sent, **arguments)

    def call_as_is(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Call a route with no more headers than given: for calls without a token, or with a bad one."""
        return requests.request(method, self.info["api_url"] + path, timeout=TIMEOUT_SECONDS, **arguments)

    def send(self, kind: str, data: dict[str, Any], *, message_id: str | None = None) -> str:
        """Put a CloudEvents message on the orders queue and return its id."""
        message_id = message_id or uuid4().hex
        event = {"specversion": "1.0", "id": message_id, "source": "e2e", "type": kind, "data": data}
        self.send_body(json.dumps(event), group=str(data.get("account_id", "none")))
        return message_id

    def send_body(self, body: str, *, group: str = "none") -> None:
        """Put any text on the orders queue."""
        self._sqs.send_message(QueueUrl=self.info["orders_queue_url"], MessageBody=body, MessageGroupId=group)

    def send_bodies(self, bodies: list[str]) -> None:
        """Put many texts on the orders queue, ten at a time, each in a group of its own."""
        for start in range(0, len(bodies), 10):
            entries = [
                {"Id": str(number), "MessageBody": body, "MessageGroupId": str(start + number)}
                for number, body in enumerate(bodies[start : start + 10])
            ]
            sent = self._sqs.send_message_batch(QueueUrl=self.info["orders_queue_url"], Entries=entries)
            assert len(sent["Successful"]) == len(entries)

    @contextmanager
    def visibility(self, seconds: int) -> Iterator[None]:
        """Have messages that nobody acknowledges come back after so long, and put it back as it was."""
        url, name = self.info["orders_queue_url"], "VisibilityTimeout"
        before = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name]
        self._sqs.set_queue_attributes(QueueUrl=url, Attributes={name: str(seconds)})
        try:
            yield
        finally:
            self._sqs.set_queue_attributes(QueueUrl=url, Attributes={name: before})

    def output(self, name: str) -> str:
        """An output of the deployed template."""
        [described] = self.client("cloudformation").describe_stacks(StackName=deploy.STACK)["Stacks"]
        return {one["OutputKey"]: str(one["OutputValue"]) for one in described["Outputs"]}[name]

    def function(self, resource: str) -> str:
        """The name that a function of the template was deployed under."""
        return str(
            self.client("cloudformation").describe_stack_resource(StackName=deploy.STACK, LogicalResourceId=resource)[
                "StackResourceDetail"
            ]["PhysicalResourceId"]
        )

    def orders(self) -> list[Message]:
        """All messages in the orders queue, also those being worked on or waiting. Looking takes none."""
        return self.messages(self.info["orders_queue_url"])

    def dead_letters(self) -> list[Message]:
        """All dead letters. Looking takes none."""
        return self.messages(self.info["dead_letter_queue_url"])

    def messages(self, queue_url: str) -> list[Message]:
        """All messages in a queue, also those being worked on or waiting. Looking takes none."""
        address = f"{self.info['endpoint_url']}/_ministack/sqs/messages"
        answer = requests.get(address, params={"QueueUrl": queue_url}, timeout=TIMEOUT_SECONDS).json()
        return [
            Message(message["Body"], _attribute(message, "reason"), message["ReceiveCount"])
            for regions in answer["messages"].values()
            for queues in regions.values()
            for messages in queues.values()
            for message in messages
        ]

    def signing_key(self) -> str:
        """The issuer's private key, to make tokens that it would not."""
        return self.places.key.read_text()

    def list_dead_letters(self, home: Path, **environment: str) -> list[str]:
        """The lines that the developer's command prints for this stack, which is described in `home` as well."""
        write_info(Places(home, self.places.port), self.info)
        shell = os.environ | {"STACK_HOME": str(home), "PORT": str(self.places.port)} | environment
        command = [sys.executable, "-m", "dev.stack.dead_letters"]
        ran = subprocess.run(command, cwd=ROOT, env=shell, capture_output=True, text=True, check=False)  # noqa: S603 - our own
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.split("\n")[:-1]

    def _token(self, account: str, scope: str, store: str) -> str:
        return issuer.mint(self.places.key, self.info["issuer"], account_id=account, scope=scope, store_id=store)


def new_places(home: Path, port: int = 0) -> Places:
    """A folder and ports for a stack of a test's own."""
    return Places(home, port or free_ports())


@contextmanager
def run_stack(places: Places, *, by_make: bool = False, **environment: str) -> Iterator[Stack]:
    """A stack in a folder and on ports of its own; `by_make`: started by `make run` and stopped by Ctrl-C."""
    output = places.home / "output.txt"
    command = ["make", "-s", "run"] if by_make else [sys.executable, "-m", "dev.stack.run"]
    with output.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command,
            cwd=ROOT,
            env=environment_of(places) | environment,
            stdout=file,
            stderr=file,
            start_new_session=by_make,  # Ctrl-C reaches the whole process group, and must not reach the test
        )
        try:
            _wait_for(places, process, output)
            yield Stack(places)
        finally:
            if by_make:
                os.killpg(process.pid, signal.SIGINT)
            else:
                process.send_signal(signal.SIGTERM)
            process.wait(STOP_SECONDS)
    assert not by_make or "Traceback" not in output.read_text()


def environment_of(places: Places) -> dict[str, str]:
    """What a developer's shell would hold, for a stack without the demonstration's data."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return inherited | {"STACK_HOME": str(places.home), "PORT": str(places.port), "DEMO": "0"}


def _wait_for(places: Places, process: subprocess.Popen[bytes], output: Path) -> None:
    """Wait for the stack's description, which comes when all of it answers."""
    deadline = time.monotonic() + START_SECONDS
    while not places.info.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            log = places.log.read_text()[-3000:] if places.log.exists() else ""
            pytest.fail(f"the stack did not start:\n{output.read_text()}\n{log}", pytrace=False)
        time.sleep(0.1)


def free_ports() -> int:
    """A free port whose next six are free as well."""
    while True:
        with ExitStack() as probes:
            first = probes.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                for number in range(1, 7):
                    probes.enter_context(socket.socket()).bind(("127.0.0.1", port + number))
            except (OSError, OverflowError):
                continue
            return port


def eventually(look: Callable[[], T | None], *, seconds: float = 30) -> T:
    """What `look` returns, as soon as that is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if seen := look():
            return seen
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s")


def _attribute(message: dict[str, Any], name: str) -> str | None:
    value = message["MessageAttributes"].get(name, {}).get("StringValue")
    return None if value is None else str(value)

"""A running stack as a test sees it: HTTP with tokens, messages in, and what lies in the queues."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import requests

from dev.stack import deploy, issuer
from dev.stack.places import Places, StackInfo

T = TypeVar("T")

PLATFORM = "*"
TIMEOUT_SECONDS = 120  # a burst of requests waits for as many new workers


@dataclass(frozen=True)
class Message:
    """A message as it lies in a queue."""

    body: str
    reason: str | None
    receive_count: int


class Stack:
    """One deployed stack and its callers."""

    def __init__(self, places: Places, info: StackInfo) -> None:
        self.info = info
        self._key: Path = places.key
        self.home = places.home
        self._sqs = deploy.client("sqs", places)
        self.token = cache(self._token)

    def call(
        self,
        method: str,
        path: str,
        *,
        account: str = PLATFORM,
        scope: str = issuer.ALL_SCOPES,
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

    def orders(self) -> list[Message]:
        """All messages in the orders queue, also those being worked on or waiting. Looking takes none."""
        return self._peek(self.info["orders_queue_url"])

    def dead_letters(self) -> list[Message]:
        """All dead letters. Looking takes none."""
        return self._peek(self.info["dead_letter_queue_url"])

    def _peek(self, queue_url: str) -> list[Message]:
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
        return self._key.read_text()

    def _token(self, account: str, scope: str, store: str) -> str:
        return issuer.mint(self._key, self.info["issuer"], account_id=account, scope=scope, store_id=store)


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

"""The service as a test calls it: every route and the queue, by the handlers that the template names, over moto.

moto is no judge of money: it is used from one thread, for handlers and edges alone.
"""

import base64
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any
from uuid import uuid4

import boto3

from autocredits import bootstrap
from autocredits.domain.journal import Page
from tests.kit.story import recorded
from tests.kit.streams import page_record, stream_event
from tests.kit.template import function_of, http_routes, module_of, template

Event = dict[str, Any]
Handler = Callable[[Event, Any], dict[str, Any]]

PLATFORM = "*"


def forget_clients() -> None:
    """Have the functions open what they run on anew, as a new process does."""
    for opened in (
        bootstrap.ledger,
        bootstrap.queue,
        bootstrap.republish_queue,
        bootstrap.bus,
        bootstrap.secrets,
    ):
        opened.cache_clear()


@cache
def route_keys() -> tuple[str, ...]:
    """Every route, those without a parameter in a place before those with one there, as API Gateway prefers them."""
    return tuple(sorted(http_routes(), key=lambda key: key.replace("{", "\uffff")))


@dataclass(frozen=True)
class Context:
    """What Lambda tells a function about its call."""

    remaining_ms: int = 30_000

    def get_remaining_time_in_millis(self) -> int:
        """How long the function may still run."""
        return self.remaining_ms


@dataclass(frozen=True)
class Answer:
    """A handler's answer as a caller sees it."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> Any:
        """The body, which is JSON."""
        return json.loads(self.text)

    @property
    def code(self) -> str | None:
        """The problem's code; None for a success."""
        code: str | None = self.body.get("code")
        return code


@dataclass(frozen=True)
class DeadLetter:
    """A message as it lies in the dead-letter queue."""

    body: str
    reason: str | None


def handler_of(event: Event) -> Handler:
    """The handler of the function that the event is for."""
    module, name = module_of(function_of(template(), event))
    handler: Handler = getattr(import_module(module), name)
    return handler


def http_event(
    method: str,
    path: str,
    *,
    claims: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    body: str | bytes | None = None,
    query: dict[str, str] | None = None,
) -> Event:
    """A request as API Gateway hands it over (payload 2.0). Bytes go in base64; `path` is the decoded one."""
    key, parameters = match_route(method, path)
    event: Event = {
        "version": "2.0",
        "routeKey": key,
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers or {},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "a1b2c3d4e5",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.10",
                "userAgent": "pytest",
            },
            "requestId": uuid4().hex,
            "routeKey": key,
            "stage": "$default",
        },
        "isBase64Encoded": isinstance(body, bytes),
    }
    if claims is not None:
        event["requestContext"]["authorizer"] = {"jwt": {"claims": claims, "scopes": None}}
    if parameters:
        event["pathParameters"] = parameters
    if query:
        event["queryStringParameters"] = query
    if body is not None:
        event["body"] = base64.b64encode(body).decode() if isinstance(body, bytes) else body
    return event


def match_route(method: str, path: str) -> tuple[str, dict[str, str]]:
    """The route that takes a request, and its parameters; `$default` where none does."""
    for key in route_keys():
        known_method, _, known_path = key.partition(" ")
        found = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", known_path), path)
        if found and known_method == method:
            return key, found.groupdict()
    return "$default", {}


@dataclass(frozen=True)
class Queues:
    """The addresses of the queues that the functions use, and of one that hears what is put on the bus."""

    orders: str
    dead_letters: str
    republish: str
    unpublished: str
    heard: str


class Service:
    """All functions on one table, its queues and one bus."""

    def __init__(self, queues: Queues) -> None:
        self.queues = queues
        self.sqs = boto3.client("sqs")

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        account: str | None = PLATFORM,
        store: str | None = None,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        raw: str | bytes | None = None,
        query: dict[str, str] | None = None,
    ) -> Answer:
        """Call a route as `account` (None: a token that names none), perhaps bound to a store.

        `body` is sent as JSON, `raw` as it is; `key` is the idempotency key.
        """
        claims = {"sub": "test", "account_id": account, "store_id": store}
        sent = {"content-type": "application/json", **(headers or {})}
        if key is not None:
            sent["idempotency-key"] = key
        event = http_event(
            method,
            path,
            claims={name: value for name, value in claims.items() if value is not None},
            headers=sent,
            body=json.dumps(body) if body is not None else raw,
            query=query,
        )
        return self.answer(event)

    def answer(self, event: Event) -> Answer:
        """Hand an event to its function."""
        answer = handler_of(event)(event, Context())
        return Answer(answer["statusCode"], answer.get("headers", {}), answer["body"])

    def open(self, account: str = "acme", *, extra: str | None = None) -> None:
        """Open an account with its add-on, its 5.00 free credits, and perhaps more."""
        path = f"/v1/accounts/{account}"
        assert self.call("PUT", path, {"orders_processor": "active"}).status == 201
        if extra is not None:
            adjustment = {"unit": "auto_order", "amount": extra, "reason": "test"}
            assert self.call("POST", f"{path}/adjustments", adjustment, key=f"open-{uuid4().hex}").status == 201

    def balance(self, account: str = "acme", unit: str = "auto_order") -> dict[str, str]:
        """One unit's balance."""
        balances: dict[str, dict[str, str]] = self.call("GET", f"/v1/accounts/{account}/balance").body["balances"]
        return balances[unit]

    def send(self, kind: str, data: dict[str, Any], *, message_id: str | None = None) -> None:
        """Put a message about `acme` on the orders queue."""
        self.send_text(cloud_event(kind, data, message_id=message_id))

    def send_text(self, body: str) -> None:
        """Put any text on the orders queue."""
        self.sqs.send_message(QueueUrl=self.queues.orders, MessageBody=body)

    def deliver(self) -> list[str]:
        """Give the worker what the queue shows, as Lambda does; the bodies of the messages it wants to see again."""
        return self._deliver(self.queues.orders, "OrdersQueue")

    def _deliver(self, url: str, queue: str) -> list[str]:
        received = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"])
        messages = received.get("Messages", [])
        if not messages:
            return []
        event = {"Records": [sqs_record(message, queue) for message in messages]}
        failures = handler_of(event)(event, Context())["batchItemFailures"]
        again = {failure["itemIdentifier"] for failure in failures}
        for message in messages:
            if message["MessageId"] not in again:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [message["Body"] for message in messages if message["MessageId"] in again]

    def process(self, kind: str, data: dict[str, Any], *, message_id: str | None = None) -> list[str]:
        """Send one message and deliver it."""
        self.send(kind, data, message_id=message_id)
        return self.deliver()

    def dead_letters(self) -> list[DeadLetter]:
        """The dead letters that nobody has looked at yet."""
        return self._dead_letters(self.queues.dead_letters)

    def _dead_letters(self, url: str) -> list[DeadLetter]:
        received = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        return [DeadLetter(message["Body"], _reason(message)) for message in received.get("Messages", [])]

    def pages(self, account: str = "acme") -> list[Page]:
        """All pages of an account's journal, oldest first."""
        return list(bootstrap.ledger().store.pages_before(account, 10**9, 1000))[::-1]

    def publish(self, pages: Iterable[Page]) -> None:
        """Show the publisher new pages, as the table's stream does."""
        event = stream_event(pages)
        handler_of(event)(event, Context())

    def audit(self, pages: Iterable[Page], *, changed: str | None = None) -> None:
        """Show the audit pages, as the table's stream does: new ones, or all `changed` so (`MODIFY`, `REMOVE`)."""
        event = {"Records": [page_record(page, changed or "INSERT") for page in pages]}
        import_module("functions.audit.app").handler(event, Context(60_000))

    def republish(self) -> list[str]:
        """Give the republish queue's worker what the queue shows; the bodies of the messages it wants to see again."""
        return self._deliver(self.queues.republish, "RepublishQueue")

    def unpublished(self) -> list[DeadLetter]:
        """The republish queue's dead letters that nobody has looked at yet."""
        return self._dead_letters(self.queues.unpublished)

    def heard(self) -> list[Event]:
        """What was put on the bus since the last call, each as a rule's target gets it."""
        events: list[Event] = []
        while messages := self.sqs.receive_message(QueueUrl=self.queues.heard, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                events.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.queues.heard, ReceiptHandle=message["ReceiptHandle"])
        return events

    def sweep(self) -> dict[str, int]:
        """Run the sweep once; how many items went well, how many did not, and how many were left."""
        event = recorded("sweep")
        return handler_of(event)(event, Context(60_000))


def work(
    order_id: str = "A-1", order_type: str = "auto", tracking: str = "none", *, store_id: str = "shop-1", **more: Any
) -> dict[str, Any]:
    """WORK of an order; `more` are further fields, as `cost`."""
    return {"order_id": order_id, "store_id": store_id, "order_type": order_type, "tracking": tracking, **more}


def sourcing(product_id: str = "P-1", *, store_id: str = "shop-1") -> dict[str, Any]:
    """WORK of a sourcing request."""
    return {"product_id": product_id, "store_id": store_id, "sourcing": True}


def cloud_event(kind: str, data: dict[str, Any], *, message_id: str | None = None, **attributes: Any) -> str:
    """A message about `acme`, unless its data name another account."""
    envelope = {"specversion": "1.0", "id": message_id or uuid4().hex, "source": "test", "type": kind}
    return json.dumps({**envelope, "data": {"account_id": "acme", **data}, **attributes})


def received_record(
    body: str,
    *,
    receives: int = 1,
    first_received_ms: int = 0,
    message_id: str = "m",
    queue: str = "OrdersQueue",
) -> Event:
    """A message as Lambda hands it over, first received at that time, for the n-th time. Its receipt is its id."""
    attributes = {
        "ApproximateReceiveCount": str(receives),
        "ApproximateFirstReceiveTimestamp": str(first_received_ms),
        "SentTimestamp": "0",
        "SenderId": "s",
    }
    message = {
        "MessageId": message_id,
        "ReceiptHandle": message_id,
        "Body": body,
        "Attributes": attributes,
        "MD5OfBody": "",
    }
    return sqs_record(message, queue)


def sqs_record(message: Any, queue: str = "OrdersQueue") -> Event:
    """A message that was received from a queue, by its logical id, as Lambda hands it over."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:autocredits-{queue}-1A2B3C4D5E6F",
        "awsRegion": "us-east-1",
    }


def _reason(message: Any) -> str | None:
    value: str | None = message.get("MessageAttributes", {}).get("reason", {}).get("StringValue")
    return value

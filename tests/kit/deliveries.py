"""What callers, storefronts and providers ask of the service: every kind of change, as an event of its handler.

A request is sent again as its sender would: by HTTP until it is answered, a message until it is acknowledged, a webhook
until it is heard. `number` tells two deliveries of one kind apart: each works on an order of its own.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from functions.account import app as account_app
from functions.consume import app as consume_app
from functions.consume import worker as consume_worker
from functions.purchase import app as purchase_app
from functions.purchase import webhooks
from functions.purchase.checkout import purchase_id_of
from functions.purchase.payments.sandbox import sign

from .handlers import SECRET
from .service import Event, Handler, cloud_event, http_event

BEGIN_MS = 1_795_521_600_000  # 2026-11-24T12:00:00Z
ACCOUNT = "acme"
PLATFORM = {"sub": "test", "account_id": "*"}
PATH = f"/v1/accounts/{ACCOUNT}"
FIRST_RECEIVE = 7
"""How often a message has been received before: what waits in vain becomes a dead letter within the run."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent: for which handler, and its event by the number of the try."""

    door: str
    handler: Handler
    event: Callable[[int], Event]
    key: str | None = None
    message: tuple[str, str] | None = None
    work: tuple[str, str] | None = None
    purchase: str | None = None
    coupon: str | None = None


def http(handler: Handler, method: str, path: str, body: Any = None, *, key: str | None = None, **more: Any) -> Request:
    """A request over HTTP."""
    headers = {"content-type": "application/json", **({"idempotency-key": key} if key else {})}
    event = http_event(method, path, claims=PLATFORM, headers=headers, body=None if body is None else json.dumps(body))

    def of_try(number: int) -> Event:
        context = {**event["requestContext"], "requestId": f"{path}-{key}-{number}"}
        return {**event, "requestContext": context}

    return Request("http", handler, of_try, key=key, **more)


def message(kind: str, number: int, data: Mapping[str, Any], work: tuple[str, str]) -> Request:
    """A message on the queue."""
    name = f"{kind}-{number}"
    body = cloud_event(kind, dict(data), message_id=name)

    def of_try(receives: int) -> Event:
        record = {
            "messageId": name,
            "receiptHandle": name,
            "body": body,
            "attributes": {"ApproximateReceiveCount": f"{FIRST_RECEIVE + receives - 1}"},
            "messageAttributes": {},
            "md5OfBody": "",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:orders",
            "awsRegion": "us-east-1",
        }
        return {"Records": [record]}

    return Request("queue", consume_worker.handler, of_try, message=("test", name), work=work)


def webhook(kind: str, number: int) -> Request:
    """What the sandbox tells of a payment."""
    purchase_id = purchase_id_of(ACCOUNT, f"buy-{number}")
    told = {"id": f"evt-{kind}-{number}", "type": kind, "account_id": ACCOUNT, "purchase_id": purchase_id}
    raw = json.dumps({**told, "payment_id": f"pay-{number}", "amount": "9.90", "currency": "USD"})
    seconds = str(BEGIN_MS // 1000)
    signature = f"t={seconds},v1={sign(SECRET, seconds, raw.encode())}"
    path = "/v1/payments/sandbox/webhook"
    event = http_event("POST", path, headers={"sandbox-signature": signature}, body=raw)
    return Request("webhook", webhooks.handler, lambda _: event, purchase=purchase_id)


def order(number: int, tracking: str = "qtrack") -> dict[str, str]:
    """WORK of an order."""
    return {"order_id": f"o{number}", "store_id": "s1", "order_type": "auto", "tracking": tracking}


def _charge(door: str) -> Callable[[int], Request]:
    def make(number: int) -> Request:
        work = ("order", f"o{number}")
        return http(consume_app.handler, "POST", f"{PATH}/{door}", order(number), key=f"{door}-{number}", work=work)

    return make


def _of_hold(verb: str, body: dict[str, str]) -> Callable[[int], Request]:
    def make(number: int) -> Request:
        path = f"{PATH}/holds/o{number}~1/{verb}"
        return http(consume_app.handler, "POST", path, body, work=("order", f"o{number}"))

    return make


def _of_order(kind: str, **data: str) -> Callable[[int], Request]:
    return lambda number: message(kind, number, {"order_id": f"o{number}", **data}, ("order", f"o{number}"))


def _of_product(kind: str, **data: str) -> Callable[[int], Request]:
    return lambda number: message(kind, number, {"product_id": f"r{number}", **data}, ("product", f"r{number}"))


def _requested(number: int) -> Request:
    return message("auto_order.requested", number, order(number), ("order", f"o{number}"))


def _resend(number: int) -> Request:
    path = f"{PATH}/orders/o{number}/resend"
    return http(consume_app.handler, "POST", path, work=("order", f"o{number}"))


def _adjust(number: int) -> Request:
    body = {"unit": "auto_order", "amount": "-1.50", "reason": "test"}
    return http(account_app.handler, "POST", f"{PATH}/adjustments", body, key=f"adjust-{number}")


def _standing(number: int) -> Request:
    status = {1: "paused", 2: "active"}[number]
    return http(account_app.handler, "PATCH", PATH, {"status": status, "reason": "test"})


def _start(number: int) -> Request:
    key = f"buy-{number}"
    body = {"package": "auto_order-20", "payment_method": "card"}
    purchase = purchase_id_of(ACCOUNT, key)
    return http(purchase_app.handler, "POST", f"{PATH}/purchases", body, key=key, purchase=purchase)


def _make_coupon(number: int) -> Request:
    body = {"code": f"C{number}", "percent_off": "10.00"}
    return http(purchase_app.handler, "POST", "/v1/coupons", body, coupon=f"C{number}")


def _close_coupon(number: int) -> Request:
    return http(purchase_app.handler, "DELETE", f"/v1/coupons/C{number}", coupon=f"C{number}")


def _webhook(kind: str) -> Callable[[int], Request]:
    return lambda number: webhook(kind, number)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of delivery, and the states of the world in which it has something to do."""

    make: Callable[[int], Request]
    bases: Sequence[str]


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "debit": Kind(_charge("debits"), ("new",)),
        "hold": Kind(_charge("holds"), ("new", "failed")),
        "capture": Kind(_of_hold("capture", {}), ("held",)),
        "release": Kind(_of_hold("release", {"reason": "test"}), ("held",)),
        "auto_order.requested": Kind(_requested, ("new", "queued")),
        "auto_order.placed": Kind(_of_order("auto_order.placed", supplier_order_id="x"), ("held",)),
        "auto_order.failed": Kind(_of_order("auto_order.failed", reason="test"), ("held",)),
        "tracking_conversion.requested": Kind(
            _of_order("tracking_conversion.requested", store_id="s1", tracking="bce", tracking_number="t"), ("ordered",)
        ),
        "tracking_conversion.completed": Kind(
            _of_order("tracking_conversion.completed", tracking_number="t"), ("held", "converting")
        ),
        "tracking_conversion.failed": Kind(_of_order("tracking_conversion.failed", reason="test"), ("converting",)),
        "sourcing.requested": Kind(_of_product("sourcing.requested", store_id="s1"), ("new",)),
        "sourcing.accepted": Kind(_of_product("sourcing.accepted"), ("sourcing",)),
        "sourcing.rejected": Kind(_of_product("sourcing.rejected", reason="test"), ("sourcing",)),
        "order": Kind(_charge("orders"), ("new", "failed")),
        "resend": Kind(_resend, ("failed",)),
        "adjustment": Kind(_adjust, ("new",)),
        "standing": Kind(_standing, ("new",)),
        "start": Kind(_start, ("new",)),
        "paid": Kind(_webhook("payment.succeeded"), ("started",)),
        "refunded": Kind(_webhook("payment.refunded"), ("paid",)),
        "disputed": Kind(_webhook("dispute.created"), ("paid",)),
        "coupon made": Kind(_make_coupon, ("new",)),
        "coupon closed": Kind(_close_coupon, ("coupon",)),
    }
)

SHARING_WORK = tuple(name for name, kind in KINDS.items() if kind.make(1).work)

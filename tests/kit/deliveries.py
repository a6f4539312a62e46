"""What callers, storefronts and providers ask of the service: every kind of change, as an event of its handler.

A request is sent again as its sender would: by HTTP until it is answered, a message until it is acknowledged, a webhook
until it is heard. `number` tells two deliveries of one kind apart: each works on an order, or a purchase, of its own.
Order ids, keys and message ids are the same in every account.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from autocredits.domain.times import DAY_MS
from autocredits.ledger.ports import Listed, list_position
from functions.account import app as account_app
from functions.consume import app as consume_app
from functions.consume import worker as consume_worker
from functions.purchase import app as purchase_app
from functions.purchase import poll, webhooks
from functions.purchase.checkout import purchase_id_of
from functions.purchase.payments.sandbox import sign

from .handlers import SECRET
from .service import Event, Handler, cloud_event, http_event

BEGIN_MS = 1_795_521_600_000  # 2026-11-24T12:00:00Z
ACCOUNT, OTHER_ACCOUNT = "acme", "bolt"
PLATFORM = {"sub": "test", "account_id": "*"}


def path_of(account: str) -> str:
    """Where an account's routes begin."""
    return f"/v1/accounts/{account}"


PATH = path_of(ACCOUNT)
PRICE, OTHER = "8.91", "12.00"
"""What the package costs with the coupon, and what a buyer has paid who paid something else."""
COST, LESS, MORE = "23.50", "21.10", "60.00"
"""What an `fba` order costs in US dollars beside its credits, and what its supplier took who took another sum."""
LAST = "LAST"
TRIES_OF_A_DAY, TRIES_OF_A_WEEK = 3, 5
"""How often a message is tried on its first day, and in its first week. Then what waits in vain, and what always fails,
becomes a dead letter, within the run."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent: for which handler, and its event by the number of the try. `asked` is the JSON of its body."""

    door: str
    handler: Handler
    event: Callable[[int], Event]
    key: str | None = None
    message: tuple[str, str] | None = None
    work: tuple[str, str] | None = None
    purchase: str | None = None
    coupon: str | None = None
    news: "News | None" = None
    asked: Any = None


def http(handler: Handler, method: str, path: str, body: Any = None, *, key: str | None = None, **more: Any) -> Request:
    """A request over HTTP."""
    headers = {"content-type": "application/json", **({"idempotency-key": key} if key else {})}
    event = http_event(method, path, claims=PLATFORM, headers=headers, body=None if body is None else json.dumps(body))

    def of_try(number: int) -> Event:
        context = {**event["requestContext"], "requestId": f"{path}-{key}-{number}"}
        return {**event, "requestContext": context}

    return Request("http", handler, of_try, key=key, asked=body, **more)


def message(kind: str, name: str, data: Mapping[str, Any], work: tuple[str, str]) -> Request:
    """A message on the queue. `name` is its id."""
    body = cloud_event(kind, dict(data), message_id=name)

    def of_try(receives: int) -> Event:
        days = 7 if receives > TRIES_OF_A_WEEK else 1 if receives > TRIES_OF_A_DAY else 0
        first_ms = BEGIN_MS - days * DAY_MS
        record = {
            "messageId": name,
            "receiptHandle": name,
            "body": body,
            "attributes": {
                "ApproximateReceiveCount": str(receives),
                "ApproximateFirstReceiveTimestamp": str(first_ms),
            },
            "messageAttributes": {},
            "md5OfBody": "",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:orders",
            "awsRegion": "us-east-1",
        }
        return {"Records": [record]}

    return Request("queue", consume_worker.handler, of_try, message=("test", name), work=work)


@dataclass(frozen=True, slots=True)
class News:
    """What a provider tells of a payment: its own names for it, for what befell it, and an amount."""

    type: str
    amount: str
    payment_id: str
    dispute_id: str | None = None
    refund_id: str | None = None


def pay(purchase_id: str) -> str:
    """The payment of the right amount."""
    return f"pay-{purchase_id}"


def webhook(account: str, number: int, news: News, **changes: str) -> Request:
    """What the sandbox tells of a payment of a number's purchase."""
    purchase = purchase_id(number, account)
    named = {"id": "evt", "account_id": account, "purchase_id": purchase, "currency": "USD"}
    told = {**named, **asdict(news), **changes}
    raw = json.dumps({name: value for name, value in told.items() if value is not None})
    seconds = str(BEGIN_MS // 1000)
    signature = f"t={seconds},v1={sign(SECRET, seconds, raw.encode())}"
    path = "/v1/payments/sandbox/webhook"
    event = http_event("POST", path, headers={"sandbox-signature": signature}, body=raw)
    return Request("webhook", webhooks.handler, lambda _: event, purchase=purchase, news=news)


Maker = Callable[[str, int], Request]
"""Makes the request of an account and a number."""


def order(number: int, tracking: str = "qtrack") -> dict[str, str]:
    """WORK of an order."""
    return {"order_id": f"o{number}", "store_id": "s1", "order_type": "auto", "tracking": tracking}


def fba_order(number: int, tracking: str = "qtrack") -> dict[str, str]:
    """WORK of the same order, if the platform is to fulfil it."""
    return {**order(number, tracking), "order_type": "fba", "cost": COST}


Ordered = Callable[[int], Mapping[str, str]]


def _charge(door: str, wanted: Ordered = order, name: str = "") -> Maker:
    def make(account: str, number: int) -> Request:
        path, key = f"{path_of(account)}/{door}", f"{name or door}-{number}"
        return http(consume_app.handler, "POST", path, wanted(number), key=key, work=("order", f"o{number}"))

    return make


def _of_hold(verb: str, body: dict[str, str]) -> Maker:
    def make(account: str, number: int) -> Request:
        path = f"{path_of(account)}/holds/o{number}~1/{verb}"
        return http(consume_app.handler, "POST", path, body, work=("order", f"o{number}"))

    return make


def _of_order(kind: str, name: str = "", **data: str) -> Maker:
    def make(account: str, number: int) -> Request:
        told = {"account_id": account, "order_id": f"o{number}", **data}
        return message(kind, f"{name or kind}-{number}", told, ("order", f"o{number}"))

    return make


def _of_product(kind: str, **data: str) -> Maker:
    def make(account: str, number: int) -> Request:
        told = {"account_id": account, "product_id": f"r{number}", **data}
        return message(kind, f"{kind}-{number}", told, ("product", f"r{number}"))

    return make


def _requested(wanted: Ordered, name: str) -> Maker:
    def make(account: str, number: int) -> Request:
        told = {"account_id": account, **wanted(number)}
        return message("auto_order.requested", f"{name}-{number}", told, ("order", f"o{number}"))

    return make


def _fba_placed(account: str, number: int) -> Request:
    """The first order cost less than was held, the second more."""
    managed = {1: LESS, 2: MORE}[number]
    return _of_order("auto_order.placed", "fba placed", supplier_order_id="x", managed=managed)(account, number)


def _resend(account: str, number: int) -> Request:
    path = f"{path_of(account)}/orders/o{number}/resend"
    return http(consume_app.handler, "POST", path, work=("order", f"o{number}"))


def _adjust(account: str, number: int) -> Request:
    body = {"unit": "auto_order", "amount": "-1.50", "reason": "test"}
    return http(account_app.handler, "POST", f"{path_of(account)}/adjustments", body, key=f"adjust-{number}")


def _standing(account: str, number: int) -> Request:
    status = {1: "paused", 2: "active"}[number]
    return http(account_app.handler, "PATCH", path_of(account), {"status": status, "reason": "test"})


OPENING: Mapping[str, str] = MappingProxyType({"auto_order": "8.00", "managed": "50.00"})
"""What an account has that moves in from another system."""


def _open(account: str, number: int) -> Request:
    """Opens a new account that may work, or one that moves in and may not yet."""
    bodies: dict[int, Any] = {1: {"orders_processor": "active"}, 2: {"opening": dict(OPENING)}}
    return http(account_app.handler, "PUT", path_of(account), bodies[number])


def _settings(account: str, number: int) -> Request:
    body = {"low_balance": {1: "2.00", 2: "4.50"}[number]}
    return http(account_app.handler, "PUT", f"{path_of(account)}/settings", body)


def code(number: int) -> str:
    """The coupon with which a number's purchase is started: one without a limit, one that is good for one purchase."""
    return f"SALE-{number}"


def make_code(number: int) -> Request:
    """Makes that coupon."""
    body = {"code": code(number), "percent_off": "10.00", **({"max_uses": 1} if number > 1 else {})}
    return http(purchase_app.handler, "POST", "/v1/coupons", body)


def make_last() -> Request:
    """Makes a coupon that is good for one purchase in all, whosever it is."""
    body = {"code": LAST, "percent_off": "10.00", "max_uses": 1}
    return http(purchase_app.handler, "POST", "/v1/coupons", body)


def purchase_id(number: int, account: str = ACCOUNT) -> str:
    """The id of a number's purchase."""
    return purchase_id_of(account, f"buy-{number}")


def buy(key: str, account: str = ACCOUNT, **more: str) -> Request:
    """The start of a purchase."""
    body = {"package": "auto_order-20", "payment_method": "card", **more}
    purchase = purchase_id_of(account, key)
    return http(purchase_app.handler, "POST", f"{path_of(account)}/purchases", body, key=key, purchase=purchase)


def _start(account: str, number: int) -> Request:
    return buy(f"buy-{number}", account, coupon=code(number))


def _last_use(account: str, number: int) -> Request:
    """Whichever purchase comes first, it uses the coupon's last use."""
    return buy(f"last-{number}", account, coupon=LAST)


def _of_purchase(verb: str, **body: str) -> Maker:
    def make(account: str, number: int) -> Request:
        purchase = purchase_id(number, account)
        path = f"{path_of(account)}/purchases/{purchase}/{verb}"
        return http(purchase_app.handler, "POST", path, body or None, purchase=purchase)

    return make


def polled(event: Event, _: Any) -> dict[str, Any]:
    """The schedule's poll of one purchase: 503 if it fails, which has put the purchase back."""
    position = list_position(BEGIN_MS - DAY_MS, event["purchase_id"])
    ledger = poll.ledger()  # type: ignore[attr-defined] # as the function itself asks for it
    went_well = poll.poll(ledger, Listed(position, event["account_id"], event["purchase_id"]))
    return {"statusCode": 200 if went_well else 503, "body": ""}


def _poll(account: str, number: int) -> Request:
    purchase = purchase_id(number, account)
    event = {"account_id": account, "purchase_id": purchase}
    return Request("schedule", polled, lambda _: event, purchase=purchase)


def _make_coupon(_: str, number: int) -> Request:
    body = {"code": f"C{number}", "percent_off": "10.00"}
    return http(purchase_app.handler, "POST", "/v1/coupons", body, coupon=f"C{number}")


def _close_coupon(_: str, number: int) -> Request:
    return http(purchase_app.handler, "DELETE", f"/v1/coupons/C{number}", coupon=f"C{number}")


def _paid(kind: str, amount: str, **more: str) -> Maker:
    """News of the payment of the right amount."""
    return lambda account, number: webhook(
        account, number, News(kind, amount, pay(purchase_id(number, account)), **more)
    )


def _other(kind: str, amount: str) -> Maker:
    """News of the payment of a wrong amount."""
    return lambda account, number: webhook(account, number, News(kind, amount, f"other-{purchase_id(number, account)}"))


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of delivery, and the states of the world in which it has something to do."""

    maker: Maker
    bases: Sequence[str]

    def make(self, number: int, account: str = ACCOUNT) -> Request:
        """The request of a number, in an account."""
        return self.maker(account, number)


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "debit": Kind(_charge("debits"), ("new",)),
        "hold": Kind(_charge("holds"), ("new", "failed")),
        "capture": Kind(_of_hold("capture", {}), ("held",)),
        "release": Kind(_of_hold("release", {"reason": "test"}), ("held",)),
        "auto_order.requested": Kind(_requested(order, "auto_order.requested"), ("new", "queued")),
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
        "open": Kind(_open, ("unopened",)),
        "settings": Kind(_settings, ("new",)),
        "fba debit": Kind(_charge("debits", fba_order, "fba-debit"), ("new", "fba ordered")),
        "fba hold": Kind(_charge("holds", fba_order, "fba-hold"), ("new", "fba failed")),
        "fba requested": Kind(_requested(fba_order, "fba requested"), ("new",)),
        "fba capture": Kind(_of_hold("capture", {}), ("fba held",)),
        "fba capture, less": Kind(_of_hold("capture", {"managed": LESS}), ("fba held",)),
        "fba release": Kind(_of_hold("release", {"reason": "test"}), ("fba held",)),
        "fba placed": Kind(_fba_placed, ("fba held",)),
        "fba failed": Kind(_of_order("auto_order.failed", "fba failed", reason="test"), ("fba held",)),
        "start": Kind(_start, ("new",)),
        "start with the last use": Kind(_last_use, ("new",)),
        "checkout": Kind(_of_purchase("checkout", payment_method="paypal"), ("started",)),
        "cancel": Kind(_of_purchase("cancel"), ("started", "changed")),
        "poll": Kind(_poll, ("started", "changed")),
        "paid": Kind(_paid("payment.succeeded", PRICE), ("started", "changed", "canceled")),
        "paid otherwise": Kind(_other("payment.succeeded", OTHER), ("started",)),
        "declined": Kind(_paid("payment.declined", PRICE), ("started",)),
        "refunded": Kind(_paid("payment.refunded", "4.00"), ("paid",)),
        "refunded whole": Kind(_paid("payment.refunded", PRICE), ("paid", "disputed")),
        "refund failed": Kind(_paid("refund.failed", "3.00", refund_id="r1"), ("paid",)),
        "other refunded": Kind(_other("payment.refunded", "5.00"), ("waiting",)),
        "other disputed": Kind(_other("dispute.lost", "6.00"), ("waiting",)),
        "disputed": Kind(_paid("dispute.created", "5.00", dispute_id="d1"), ("paid",)),
        "dispute won": Kind(_paid("dispute.won", "5.00", dispute_id="d1"), ("disputed",)),
        "dispute lost": Kind(_paid("dispute.lost", "5.00", dispute_id="d1"), ("disputed",)),
        "second dispute lost": Kind(_paid("dispute.lost", "2.00", dispute_id="d2"), ("disputed",)),
        "review: credit": Kind(_of_purchase("review", decision="credit", reason="test"), ("waiting",)),
        "review: refuse": Kind(_of_purchase("review", decision="refuse", reason="test"), ("waiting",)),
        "review: lost": Kind(
            _of_purchase("review", decision="dispute_lost", dispute_id="d1", reason="test"), ("disputed",)
        ),
        "coupon made": Kind(_make_coupon, ("new",)),
        "coupon closed": Kind(_close_coupon, ("coupon",)),
    }
)

SHARING_PURCHASE = tuple(name for name, kind in KINDS.items() if kind.make(1).purchase)
BUYING = tuple(name for name, kind in KINDS.items() if kind.make(1).purchase or kind.make(1).coupon)
FBA = tuple(name for name in KINDS if name.startswith("fba "))
SHARING_WORK = tuple(name for name, kind in KINDS.items() if kind.make(1).work and name not in FBA)

"""The recorded events in the order in which they make one account's story, and what each is answered.

Whoever plays them, moto here or `sam local` in a container, gets the same answers from a table without the account.
"""

import json
import time
from dataclasses import dataclass, field
from typing import Any

from dev.stack.sandbox import sign
from tests.kit.template import ROOT

EVENTS = ROOT / "events"

Event = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One recorded event: its file's name, the status it is answered with, and some fields of the answer by path.

    Of an answer with a status the fields are those of its body. What has none is answered whole.
    """

    name: str
    status: int | None = None
    fields: dict[str, Any] | None = field(default_factory=dict)


ACKNOWLEDGED: dict[str, Any] = {"batchItemFailures": []}
LAST_OF_BATCH = {"batchItemFailures": [{"itemIdentifier": "059f36b4-87a3-44ab-83d2-000024000005"}]}
PURCHASE = "pur_33c3125c986b639c159864b474"


STORY = (
    Step("health_get", 200, {"status": "ok"}),
    Step("default_route", 404, {"code": "not_found"}),
    Step("account_put", 201, {"account_id": "acme", "balances.auto_order.available": "5.00", "version": 1}),
    Step("account_patch", 200, {"orders_processor": "active", "version": 2}),
    Step("settings_put", 200, {"low_balance": "2.00"}),
    Step("settings_get", 200, {"low_balance": "2.00"}),
    Step("adjustments_post", 201, {"kind": "adjusted", "posted": "20.00", "balance.available": "25.00"}),
    Step("rates_get", 200, {"rates.0.credits": "1.00", "sourcing": "1.00"}),
    Step("packages_get", 200, {"currency": "USD", "items.0.package": "auto_order-20"}),
    Step("quotes_post", 200, {"credits": "1.33", "sufficient": True}),
    Step("debits_post", 201, {"credits": "1.33", "balances.auto_order.available": "23.67"}),
    Step("holds_post", 201, {"hold_id": "A-1002~1", "parts": {"order": "1.00", "tracking": "1.50"}}),
    Step("holds_get", 200, {"status": "open", "parts": {"order": "open", "tracking": "open"}}),
    Step("holds_capture_post", 200, {"parts": {"order": "captured", "tracking": "open"}}),
    Step("holds_release_post", 200, {"parts": {"order": "captured", "tracking": "released"}}),
    Step("orders_post", 202, {"order_id": "A-1003", "status": "queued", "attempt": 1}),
    Step("worker_auto_order_requested", None, ACKNOWLEDGED),
    Step("worker_auto_order_placed", None, ACKNOWLEDGED),
    Step("worker_tracking_conversion_completed", None, ACKNOWLEDGED),
    Step("worker_tracking_conversion_requested", None, ACKNOWLEDGED),
    Step("worker_tracking_conversion_failed", None, ACKNOWLEDGED),
    Step("worker_sourcing_requested", None, ACKNOWLEDGED),
    Step("worker_sourcing_accepted", None, ACKNOWLEDGED),
    # The third message has a price in it: a dead letter. The sixth is the result of an order that nobody knows yet.
    Step("worker_batch", None, LAST_OF_BATCH),
    Step("worker_sourcing_rejected", None, ACKNOWLEDGED),
    Step("worker_auto_order_failed", None, ACKNOWLEDGED),
    Step("orders_get", 200, {"status": "shipped", "credits": "2.50", "tracking_number": "QT0000000001"}),
    Step("orders_list_get", 200, {"items.0.order_id": "A-2003", "items.1.order_id": "A-2004", "next_cursor": None}),
    Step("orders_resend_post", 202, {"order_id": "A-2003", "status": "queued", "attempt": 2}),
    Step("orders_resend_failed_post", 202, {"resent": 1, "more": False}),
    Step("sourcing_get", 200, {"status": "accepted", "parts": {"sourcing": "captured"}, "credits": "1.00"}),
    Step("coupons_post", 201, {"code": "SPRING-10", "percent_off": "10.00", "uses": 0}),
    Step("coupons_get", 200, {"code": "SPRING-10", "closed": False}),
    Step("coupons_check_post", 200, {"valid": True, "price": "35.91"}),
    Step("purchases_post", 201, {"purchase_id": PURCHASE, "status": "pending", "price": "35.91"}),
    # Another way to pay, then none at all. The payment comes all the same; it says 39.90, so somebody has to decide.
    Step("purchases_checkout_post", 200, {"status": "pending", "price": "35.91", "payment_method": "paypal"}),
    Step("purchases_cancel_post", 200, {"status": "canceled", "canceled_by": "acme-backend"}),
    Step("payments_webhook_post", 202),
    Step("purchases_review_post", 200, {"status": "credited", "paid": "39.90", "reviewed_by": "platform"}),
    Step("purchases_get", 200, {"purchase_id": PURCHASE, "status": "credited"}),
    Step("purchases_list_get", 200, {"items.0.purchase_id": PURCHASE, "next_cursor": None}),
    Step("coupons_delete", 200, {"uses": 1, "closed": True}),
    Step("purchase_poll", None, {"done": 0, "failed": 0, "left": 0}),
    Step("sweep", None, {"done": 0, "failed": 0, "left": 0}),
    Step("publish_pages", None, None),
    Step("republish_pages", None, ACKNOWLEDGED),
    # Of three pages that the stream shows, one was changed and one removed.
    Step("audit_pages", None, None),
    Step("balance_get", 200, {"balances.auto_order.available": "119.17", "status": "suspended"}),
    Step("entries_get", 200, {"items.0.kind": "purchased", "items.0.purchase_id": PURCHASE}),
    Step("usage_get", 200, {"by": "action", "total": "5.83"}),
    Step("journal_get", 200, {"items.0.version": 2, "items.1.version": 3}),
)


def recorded(name: str) -> Event:
    """The event that was recorded under a name; messages as if they had just been received for the first time."""
    event: Event = json.loads((EVENTS / f"{name}.json").read_text())
    for record in event.get("Records", ()):
        if "attributes" in record:
            record["attributes"]["ApproximateFirstReceiveTimestamp"] = str(time.time_ns() // 1_000_000)
    return event


def signed(event: Event, secret: str) -> Event:
    """The event itself, but for a webhook's signature: that is good for five minutes, so it is made anew."""
    if "sandbox-signature" in event.get("headers", {}):
        now = str(int(time.time()))
        event["headers"]["sandbox-signature"] = f"t={now},v1={sign(secret, now, event['body'].encode())}"
    return event


def check(step: Step, answer: Any) -> None:
    """Fail unless the function's answer is the one that the step expects."""
    if step.status is None:
        assert answer == step.fields, step.name
        return
    assert answer["statusCode"] == step.status, (step.name, answer["body"])
    body = json.loads(answer["body"] or "{}")
    expected = step.fields or {}
    assert {path: pick(body, path) for path in expected} == expected, step.name


def pick(value: Any, path: str) -> Any:
    """The member of a JSON value at a path such as `items.0.kind`."""
    for name in path.split("."):
        value = value[int(name)] if isinstance(value, list) else value[name]
    return value

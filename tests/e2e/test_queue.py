"""The orders queue: outcomes, refusals, results that come early or twice, and messages that nobody can process."""

import json
import random
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.merchant import fresh, opened, work
from tests.kit.stack import Stack, eventually

SENTENCE = "Insufficient Auto-orders credits, please purchase more credits and resend the order."

# What is changed in a good `auto_order.requested`: in the event, in its data, and the reason it is buried with.
POISON: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"type": "auto_order.exploded"}, {}, "invalid_field"),
    ({"type": ["auto_order.requested"]}, {}, "invalid_field"),
    ({"specversion": "0.3"}, {}, "invalid_field"),
    ({"id": ""}, {}, "invalid_field"),
    ({"id": 5}, {}, "invalid_field"),
    ({"source": ""}, {}, "invalid_field"),
    ({"data": []}, {}, "invalid_field"),
    ({}, {"credits": "0.01"}, "unknown_field"),
    ({}, {"order_type": "manual", "tracking": "bce"}, "invalid_field"),
    ({}, {"tracking": "ups"}, "invalid_field"),
    ({}, {"cost": "1.00"}, "invalid_field"),
    ({}, {"attempt": 0}, "invalid_field"),
    ({}, {"attempt": True}, "invalid_field"),
    ({}, {"account_id": "nobody-here"}, "account_not_found"),
    ({}, {"account_id": "a b"}, "invalid_id"),
]


@pytest.mark.parametrize(("event", "data", "reason"), POISON, ids=str)
def test_poison_is_buried_whole(stack: Stack, event: dict[str, Any], data: dict[str, Any], reason: str) -> None:
    """At once, once, with its body unchanged and its reason."""
    good = {"specversion": "1.0", "id": uuid4().hex, "source": "e2e", "type": "auto_order.requested"}
    order = {"account_id": "nobody-here"} | work()
    body = json.dumps(good | {"data": order | data} | event | {"mark": uuid4().hex}, indent=1)
    assert buried(stack, body) == reason


@pytest.mark.parametrize("body", ['"{}"', '["{}"]', '{{"a": NaN, "b": "{}"}}', '{{"a": 1, "a": "{}"}}'])
def test_other_text_is_buried_as_well(stack: Stack, body: str) -> None:
    """What is no JSON object of a message is no message."""
    assert buried(stack, body.format(uuid4().hex)) in {"invalid_json", "invalid_field"}


def test_other_work_under_a_known_order_is_buried(stack: Stack) -> None:
    """Another store or method for the same order changes nothing."""
    merchant = opened(stack)
    order = work(tracking="bce")
    merchant.told("auto_order.requested", **order)
    for change in ({"store_id": "other"}, {"tracking": "qtrack"}):
        merchant.told("auto_order.requested", **order | change)
    eventually(lambda: merchant.dead_letters() == ["order_conflict"] * 2)
    assert merchant.balance() == ("5.00", "1.33", "3.67")


def test_poison_holds_up_nobody(stack: Stack) -> None:
    """What is sent behind it is worked on."""
    merchant = opened(stack)
    order = work()
    for _ in range(5):
        merchant.tell("auto_order.requested", **order, price="0.01")
    merchant.tell("auto_order.requested", **order)
    eventually(lambda: merchant.order(order["order_id"]).get("status") == "processing")
    eventually(lambda: merchant.dead_letters() == ["unknown_field"] * 5)


def test_a_failed_order_gives_all_back(stack: Stack) -> None:
    """The reason is the order's text, and of two contradicting results the first wins."""
    merchant = opened(stack)
    order = work(tracking="qtrack")
    order_id = order["order_id"]
    merchant.told("auto_order.requested", **order)
    merchant.told("auto_order.failed", order_id=order_id, reason="no stock")
    version = merchant.standing()["version"]
    merchant.told("auto_order.placed", order_id=order_id, supplier_order_id="1")
    merchant.told("auto_order.failed", order_id=order_id, reason="still none")
    failed = merchant.order(order_id)
    assert (failed["status"], failed["status_text"]) == ("failed", "no stock")
    assert merchant.balance() == ("5.00", "0.00", "5.00")
    assert merchant.standing()["version"] == version


def test_a_refusal_is_an_outcome(stack: Stack) -> None:
    """Told with the sentence and an entry of 0.00; the same message changes nothing, a new one is a new attempt."""
    merchant = opened(stack)
    merchant.adjust("-4.00")
    order = work(tracking="qtrack")
    order_id = order["order_id"]
    message_id = merchant.told("auto_order.requested", **order)
    failed = merchant.order(order_id)
    assert (failed["status"], failed["status_text"], failed["hold_id"]) == ("failed", SENTENCE, None)
    [entry] = merchant.entries(kind="refused")
    assert (entry["posted"], entry["held"], entry["reason"]) == ("0.00", "0.00", SENTENCE)
    merchant.adjust("9.00")
    merchant.told("auto_order.requested", message_id, **order)
    assert merchant.order(order_id)["status"] == "failed"
    merchant.told("auto_order.requested", **order)
    again = merchant.order(order_id)
    assert (again["status"], again["attempt"]) == ("processing", 2)
    assert merchant.dead_letters() == []


def test_a_result_of_an_earlier_attempt_changes_nothing(stack: Stack) -> None:
    """When it names that attempt; without one the present attempt is meant."""
    merchant = opened(stack)
    order = work()
    order_id = order["order_id"]
    merchant.told("auto_order.requested", **order)
    merchant.told("auto_order.failed", order_id=order_id, reason="no stock")
    merchant.told("auto_order.requested", **order)
    merchant.told("auto_order.failed", order_id=order_id, reason="late", attempt=1)
    assert merchant.order(order_id)["status"] == "processing"
    merchant.told("auto_order.placed", order_id=order_id, supplier_order_id="1")
    assert merchant.order(order_id)["status"] == "ordered"
    assert merchant.balance() == ("4.00", "0.00", "4.00")


def test_duplicates_and_reorderings_end_the_same(stack: Stack) -> None:
    """Three messages of three orders, each three times, shuffled: each order is paid once."""
    merchant = opened(stack, more="10.00")
    orders = [work(tracking="qtrack") for _ in range(3)]
    messages: list[tuple[str, str, dict[str, Any]]] = []
    for order in orders:
        order_id = order["order_id"]
        messages += [
            ("auto_order.requested", uuid4().hex, order),
            ("auto_order.placed", uuid4().hex, {"order_id": order_id, "supplier_order_id": "1"}),
            ("tracking_conversion.completed", uuid4().hex, {"order_id": order_id, "tracking_number": "QT1"}),
        ]
    storm = messages * 3
    random.Random(3).shuffle(storm)
    for kind, message_id, data in storm:
        merchant.tell(kind, message_id, **data)
    merchant.settle()
    assert [merchant.order(order["order_id"])["status"] for order in orders] == ["shipped"] * 3
    assert merchant.balance() == ("7.50", "0.00", "7.50")
    assert len(merchant.entries(kind="captured")) == 6
    assert merchant.dead_letters() == []


def test_a_later_conversion_comes_by_the_queue(stack: Stack) -> None:
    """It holds the difference; a result that names another method waits until that one is asked for."""
    merchant = opened(stack)
    order = work()
    order_id = order["order_id"]
    merchant.debit(order)
    wanted = {"order_id": order_id, "store_id": "shop", "tracking_number": "1Z"}
    merchant.told("tracking_conversion.requested", tracking="qtrack", **wanted)
    assert merchant.balance() == ("4.00", "1.50", "2.50")
    merchant.tell("tracking_conversion.failed", order_id=order_id, reason="no such number", tracking="bce")
    eventually(lambda: any(merchant.receives()))
    merchant.tell("tracking_conversion.failed", order_id=order_id, reason="no such number")
    eventually(lambda: merchant.balance() == ("4.00", "0.00", "4.00"))
    assert len(merchant.receives()) == 1
    merchant.told("tracking_conversion.requested", tracking="bce", **wanted)
    assert [entry["held"] for entry in merchant.entries(kind="released")] == ["-0.33", "-1.50"]
    assert merchant.balance() == ("4.00", "0.00", "4.00")
    merchant.told("tracking_conversion.requested", tracking="bce", **wanted)
    merchant.told("tracking_conversion.completed", order_id=order_id, tracking_number="BCE1")
    assert merchant.order(order_id)["status"] == "shipped"
    assert merchant.balance() == ("3.67", "0.00", "3.67")


def test_a_manual_order_is_opened_by_its_conversion(stack: Stack) -> None:
    """It pays its cell, and is shipped when the number is there."""
    merchant = opened(stack)
    order_id = fresh("order")
    wanted = {"order_id": order_id, "store_id": "shop", "tracking": "qtrack", "tracking_number": "1Z"}
    merchant.told("tracking_conversion.requested", order_type="manual", **wanted)
    assert merchant.order(order_id)["status"] == "ordered"
    assert merchant.balance() == ("5.00", "0.50", "4.50")
    merchant.told("tracking_conversion.completed", order_id=order_id, tracking_number="QT1")
    assert merchant.order(order_id)["status"] == "shipped"
    assert merchant.balance() == ("4.50", "0.00", "4.50")


def test_sourcing_goes_through_the_queue(stack: Stack) -> None:
    """Rejected it is free and may be asked for again, accepted it has cost 1.00 for ever."""
    merchant = opened(stack)
    product = {"product_id": fresh("product"), "store_id": "shop"}
    product_id = product["product_id"]
    merchant.told("sourcing.requested", **product)
    merchant.told("sourcing.rejected", product_id=product_id, reason="not found")
    assert merchant.sourcing(product_id)["status"] == "rejected"
    merchant.told("sourcing.requested", **product)
    merchant.told("sourcing.accepted", product_id=product_id, attempt=1)
    assert merchant.sourcing(product_id)["status"] == "processing"
    merchant.told("sourcing.accepted", product_id=product_id)
    merchant.told("sourcing.requested", **product)
    assert merchant.sourcing(product_id)["status"] == "accepted"
    assert merchant.balance() == ("4.00", "0.00", "4.00")


def test_money_that_is_spent_is_captured(stack: Stack) -> None:
    """A higher `managed` takes that balance below zero: no new work in it, but in credits, and what is open ends."""
    merchant = opened(stack, managed="30.00")
    order = work("fba", "bce")
    order_id = order["order_id"]
    merchant.told("auto_order.requested", **order)
    merchant.told("auto_order.placed", order_id=order_id, supplier_order_id="1", managed="32.00")
    assert merchant.balance("managed") == ("-2.00", "0.00", "-2.00")
    assert merchant.debit(work("fba")).json()["code"] == "balance_frozen"
    assert merchant.debit(work()).status_code == 201
    merchant.told("tracking_conversion.completed", order_id=order_id, tracking_number="BCE1")
    assert merchant.order(order_id)["status"] == "shipped"


def test_a_stopped_account_finishes_what_is_open(stack: Stack) -> None:
    """New work is refused with a sentence, results still count."""
    merchant = opened(stack)
    order, late = work(), work()
    merchant.told("auto_order.requested", **order)
    merchant.stand(status="closed")
    merchant.told("auto_order.requested", **late)
    merchant.told("auto_order.placed", order_id=order["order_id"], supplier_order_id="1")
    assert merchant.order(late["order_id"])["status"] == "failed"
    assert merchant.order(order["order_id"])["status"] == "ordered"
    assert merchant.balance() == ("4.00", "0.00", "4.00")


def buried(stack: Stack, body: str) -> str | None:
    """Send what must become one dead letter with the same body, and give its reason."""
    stack.send_body(body)
    [letter] = eventually(lambda: [letter for letter in stack.dead_letters() if letter.body == body])
    return letter.reason

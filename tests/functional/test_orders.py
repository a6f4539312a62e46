"""Orders and sourcing requests over HTTP: queued, sent again, listed, read."""

import json
from typing import Any

import pytest

from tests.functional.calls import INSUFFICIENT, debit, fund, get, hold, post, told
from tests.functional.conftest import Clock
from tests.kit.service import Service, sourcing, work


def test_an_order_is_recorded_and_sent(acme: Service) -> None:
    """POST /orders answers 202, the order is `queued`, and one message with its attempt lies in the queue."""
    answer = post(acme, "/orders", work("A-1", "fba", "bce", cost="9.99"), "k")
    assert (answer.status, answer.body) == (202, {"order_id": "A-1", "status": "queued", "attempt": 1})
    assert get(acme, "/orders/A-1").body["status"] == "queued"
    (message,) = acme.sqs.receive_message(QueueUrl=acme.queues.orders, MaxNumberOfMessages=10)["Messages"]
    event = json.loads(message["Body"])
    assert event["type"] == "auto_order.requested"
    assert event["data"] == {"account_id": "acme", **work("A-1", "fba", "bce", cost="9.99"), "attempt": 1}


def test_a_queued_order_is_worked_on(acme: Service) -> None:
    """The queue holds its credits; the first key still tells how the order was then, a new one how it is."""
    post(acme, "/orders", work("A-1", "auto", "qtrack"), "k")
    assert acme.deliver() == []
    assert get(acme, "/orders/A-1").body["status"] == "processing"
    assert acme.balance()["held"] == "2.50"
    assert post(acme, "/orders", work("A-1", "auto", "qtrack"), "k").body["status"] == "queued"
    again = post(acme, "/orders", work("A-1", "auto", "qtrack"), "k2")
    assert (again.status, again.body["status"], again.body["attempt"]) == (202, "processing", 1)


def test_the_queue_judges_the_order(acme: Service) -> None:
    """Credits, standing and add-on are no matter of POST /orders: refused, the order has failed with the sentence."""
    fund(acme, "-5.00", "auto_order")
    assert post(acme, "/orders", work("A-1"), "k").status == 202
    acme.deliver()
    order = get(acme, "/orders/A-1").body
    assert (order["status"], order["status_text"]) == ("failed", INSUFFICIENT)
    assert (order["hold_id"], order["parts"], order["credits"]) == (None, {}, "0.00")


def test_a_queued_order_takes_no_debit(acme: Service) -> None:
    """A debit, a hold or other work for an order that is queued is a conflict."""
    post(acme, "/orders", work("A-1"), "k")
    assert told(debit(acme, work("A-1"))) == (409, "order_conflict")
    assert told(hold(acme, work("A-1"))) == (409, "order_conflict")
    assert told(post(acme, "/orders", work("A-1", "auto", "bce"), "k2")) == (409, "order_conflict")
    assert told(post(acme, "/orders", work("A-1", store_id="shop-2"), "k3")) == (409, "order_conflict")


@pytest.mark.parametrize("body", [work("A-1", "manual", "bce"), sourcing()])
def test_only_orders_of_ours_are_queued(acme: Service, body: dict[str, Any]) -> None:
    """Manual orders and sourcing do not go through POST /orders."""
    assert post(acme, "/orders", body, "k").status == 422


def fail(service: Service, *order_ids: str) -> None:
    """Let orders be queued, worked on and fail, one after the other."""
    for order_id in order_ids:
        post(service, "/orders", work(order_id), f"order-{order_id}")
        service.deliver()
        service.process("auto_order.failed", {"order_id": order_id, "reason": "out of stock"})


def test_a_failed_order_is_sent_again(acme: Service) -> None:
    """A resend is a new attempt, which the queue funds."""
    fail(acme, "A-1")
    answer = post(acme, "/orders/A-1/resend")
    assert (answer.status, answer.body) == (202, {"order_id": "A-1", "status": "queued", "attempt": 2})
    acme.deliver()
    assert get(acme, "/orders/A-1").body["hold_id"] == "A-1~2"
    assert told(post(acme, "/orders/A-1/resend")) == (409, "invalid_transition")
    assert told(post(acme, "/orders/A-9/resend")) == (404, "order_not_found")


def test_a_hundredth_attempt_is_refused_before_anything_is_queued(acme: Service) -> None:
    """409 `too_many_attempts`, also after a top-up; resending all passes it by, and by queue it is a dead letter."""
    fund(acme, "-5.00", "auto_order")
    for _ in range(99):
        assert acme.process("auto_order.requested", work("A-1")) == []
    fund(acme, "9.00", "auto_order")
    assert get(acme, "/orders/A-1").body["attempt"] == 99
    for answer in (
        post(acme, "/orders/A-1/resend"),
        post(acme, "/orders", work("A-1"), "k1"),
        debit(acme, work("A-1")),
        hold(acme, work("A-1")),
    ):
        assert told(answer) == (409, "too_many_attempts")
    assert post(acme, "/orders/resend", {"status": "failed"}).body == {"resent": 0, "more": False}
    assert (acme.deliver(), get(acme, "/orders/A-1").body["status"]) == ([], "failed")
    assert acme.process("auto_order.requested", work("A-1")) == []
    assert [letter.reason for letter in acme.dead_letters()] == ["too_many_attempts"]
    assert acme.balance() == {"posted": "9.00", "held": "0.00", "available": "9.00"}


def test_the_same_work_again_is_202_whichever_of_its_methods_it_names(acme: Service) -> None:
    """Its own conversion failed, and another method came instead: neither call nor message charges anybody."""
    post(acme, "/orders", work("A-1", "auto", "qtrack"), "k1")
    acme.deliver()
    acme.process("auto_order.placed", {"order_id": "A-1", "supplier_order_id": "s"})
    acme.process("tracking_conversion.failed", {"order_id": "A-1", "reason": "unknown number"})
    conversion = {"order_id": "A-1", "store_id": "shop-1", "tracking": "bce", "tracking_number": "TBA1"}
    acme.process("tracking_conversion.requested", conversion)
    before = acme.balance()
    again = post(acme, "/orders", work("A-1", "auto", "qtrack"), "k2")
    assert (again.status, again.body) == (202, {"order_id": "A-1", "status": "ordered", "attempt": 1})
    assert acme.process("auto_order.requested", work("A-1", "auto", "qtrack")) == []
    assert (acme.balance(), acme.dead_letters()) == (before, [])


def test_a_new_attempt_shows_nothing_of_the_one_before(acme: Service) -> None:
    """Neither its number nor its supplier's order, in the order or in its entries."""
    acme.process("auto_order.requested", work("A-1", "auto", "bce"))
    acme.process("tracking_conversion.completed", {"order_id": "A-1", "tracking_number": "OLD1"})
    acme.process("auto_order.failed", {"order_id": "A-1", "reason": "out of stock"})
    assert get(acme, "/orders/A-1").body["tracking_number"] == "OLD1"
    post(acme, "/orders/A-1/resend")
    assert "tracking_number" not in get(acme, "/orders/A-1").body
    acme.deliver()
    acme.process("auto_order.placed", {"order_id": "A-1", "supplier_order_id": "NEW-S"})
    body = get(acme, "/orders/A-1").body
    assert (body["status"], body["supplier_order_id"], "tracking_number" in body) == ("ordered", "NEW-S", False)
    entries = get(acme, "/entries", order_id="A-1").body["items"]
    assert {entry.get("tracking_number") for entry in entries if entry["attempt"] == 2} == {None}
    acme.process("tracking_conversion.completed", {"order_id": "A-1", "tracking_number": "NEW1"})
    body = get(acme, "/orders/A-1").body
    assert (body["status"], body["tracking_number"], body["credits"]) == ("shipped", "NEW1", "1.33")


def test_a_failed_order_may_become_other_work(acme: Service) -> None:
    """POST /orders for a failed order is a new attempt; its work may differ, its store may not."""
    fail(acme, "A-1")
    assert told(post(acme, "/orders", work("A-1", store_id="shop-2"), "k2")) == (409, "order_conflict")
    answer = post(acme, "/orders", work("A-1", "auto", "bce"), "k3")
    assert (answer.status, answer.body["attempt"]) == (202, 2)
    acme.deliver()
    assert acme.balance()["held"] == "1.33"


def test_failed_orders_are_sent_again_together(acme: Service, clock: Clock) -> None:
    """Resending all sends those that failed, oldest first, each once."""
    for order_id in ("A-1", "A-2", "A-3"):
        fail(acme, order_id)
        clock.advance(1)
    answer = post(acme, "/orders/resend", {"status": "failed"})
    assert (answer.status, answer.body) == (202, {"resent": 3, "more": False})
    messages = acme.sqs.receive_message(QueueUrl=acme.queues.orders, MaxNumberOfMessages=10)["Messages"]
    assert [json.loads(message["Body"])["data"]["order_id"] for message in messages] == ["A-1", "A-2", "A-3"]
    assert post(acme, "/orders/resend", {"status": "failed"}).body == {"resent": 0, "more": False}


@pytest.mark.slow
@pytest.mark.usefixtures("clock")  # a call stops after some seconds, too
def test_at_most_100_are_sent_again_at_once(acme: Service) -> None:
    """A call resends 100 orders and says that there are more; the next call goes on."""
    fund(acme, "-5.00", "auto_order")
    for number in range(101):
        acme.send("auto_order.requested", work(f"A-{number}"))
    for _ in range(11):
        acme.deliver()
    assert post(acme, "/orders/resend", {"status": "failed"}).body == {"resent": 100, "more": True}
    assert post(acme, "/orders/resend", {"status": "failed"}).body == {"resent": 1, "more": False}


@pytest.mark.parametrize("body", [{}, {"status": "queued"}, {"status": None}])
def test_only_failed_orders_are_sent_again(acme: Service, body: dict[str, Any]) -> None:
    """Resending names the status `failed`, and no other."""
    assert told(post(acme, "/orders/resend", body)) == (422, "invalid_field")


def test_orders_are_listed_newest_first(acme: Service, clock: Clock) -> None:
    """The list has orders alone, newest first, and page after page the same ones."""
    for number in range(5):
        clock.advance(1)
        post(acme, "/orders", work(f"A-{number}"), f"k-{number}")
    hold(acme, sourcing())
    whole = [order["order_id"] for order in get(acme, "/orders").body["items"]]
    assert whole == ["A-4", "A-3", "A-2", "A-1", "A-0"]
    found, cursor = [], ""
    while cursor is not None:
        answer = get(acme, "/orders", limit="2", **({"cursor": cursor} if cursor else {}))
        found += [order["order_id"] for order in answer.body["items"]]
        cursor = answer.body["next_cursor"]
    assert found == whole


def test_orders_are_listed_by_status(acme: Service) -> None:
    """Each of the five statuses lists its own; anything else is refused."""
    fail(acme, "A-1")
    post(acme, "/orders", work("A-2"), "queued")
    hold(acme, work("A-3"), "processing")
    debit(acme, work("A-4"), "ordered")
    hold(acme, work("A-5", "auto", "bce"), "shipped")
    post(acme, "/holds/A-5~1/capture", {})
    statuses = {"failed": "A-1", "queued": "A-2", "processing": "A-3", "ordered": "A-4", "shipped": "A-5"}
    for status, order_id in statuses.items():
        items = get(acme, "/orders", status=status).body["items"]
        assert [(order["order_id"], order["status"]) for order in items] == [(order_id, status)]
    for status in ("", "open", "FAILED", "accepted"):
        assert told(get(acme, "/orders", status=status)) == (422, "invalid_field")


def test_a_cursor_of_orders_is_bound(acme: Service) -> None:
    """A cursor works for its account and status alone, and entries have others."""
    acme.open("umbrella")
    for number in range(2):
        hold(acme, work(f"A-{number}"), f"k-{number}")
    cursor = get(acme, "/orders", limit="1").body["next_cursor"]
    assert get(acme, "/orders", cursor=cursor).status == 200
    assert told(get(acme, "/orders", cursor=cursor, status="failed")) == (400, "invalid_cursor")
    assert told(get(acme, "/entries", cursor=cursor)) == (400, "invalid_cursor")
    elsewhere = acme.call("GET", "/v1/accounts/umbrella/orders", query={"cursor": cursor})
    assert told(elsewhere) == (400, "invalid_cursor")


def test_an_order_tells_how_it_stands(acme: Service, clock: Clock) -> None:
    """An order has its work, status, attempt, hold and parts, and what it has cost so far."""
    clock.advance(1)
    hold(acme, work("A-1", "auto", "qtrack"))
    clock.advance(1)
    post(acme, "/holds/A-1~1/capture", {"parts": ["order"]})
    body = get(acme, "/orders/A-1").body
    updated_at = body.pop("updated_at")
    assert updated_at.endswith("Z")
    assert body == {
        "order_id": "A-1",
        "store_id": "shop-1",
        "order_type": "auto",
        "tracking": "qtrack",
        "status": "ordered",
        "status_text": None,
        "attempt": 1,
        "hold_id": "A-1~1",
        "parts": {"order": "captured", "tracking": "open"},
        "credits": "1.00",
    }


@pytest.mark.parametrize(("path", "code"), [("/orders/A-9", "order"), ("/sourcing/P-9", "product")])
def test_unknown_work_is_not_found(acme: Service, path: str, code: str) -> None:
    """An order or product that was never heard of is 404; an id that is none is 422."""
    assert told(get(acme, path)) == (404, f"{code}_not_found")
    for bad in ("a b", "a" * 65, "a~1"):
        assert told(get(acme, f"/{path.split('/')[1]}/{bad}")) == (422, "invalid_id")


def test_products_and_orders_are_not_mixed_up(acme: Service) -> None:
    """An order is no product of the same id."""
    debit(acme, work("X-1"), "1")
    assert told(get(acme, "/sourcing/X-1")) == (404, "product_not_found")
    assert debit(acme, sourcing("X-1"), "2").status == 201
    assert get(acme, "/orders/X-1").body["order_type"] == "auto"

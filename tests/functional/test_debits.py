"""Debits, and the form of WORK at every door, over HTTP."""

from typing import Any

import pytest

from tests.functional.calls import ACME, INSUFFICIENT, debit, fund, get, hold, post, told
from tests.kit.service import Service, sourcing, work

SPOILT: list[tuple[dict[str, Any], str]] = [
    ({"order_id": "a b"}, "invalid_id"),
    ({"order_id": ""}, "invalid_id"),
    ({"order_id": "a" * 65}, "invalid_id"),
    ({"order_id": "a#b"}, "invalid_id"),
    ({"order_id": "a~b"}, "invalid_id"),
    ({"order_id": "A-1\n"}, "invalid_id"),
    ({"order_id": 1}, "invalid_id"),
    ({"store_id": "ü"}, "invalid_id"),
    ({"store_id": None}, "invalid_id"),
    ({"order_type": "AUTO"}, "invalid_field"),
    ({"order_type": None}, "invalid_field"),
    ({"tracking": "ups"}, "invalid_field"),
    ({"tracking": ["bce"]}, "invalid_field"),
    ({"cost": "1.00"}, "invalid_field"),
    ({"order_type": "fba"}, "invalid_field"),
    ({"order_type": "fba", "cost": None}, "invalid_field"),
    ({"order_type": "fba", "cost": "0.00"}, "invalid_amount"),
    ({"order_type": "fba", "cost": "-1.00"}, "invalid_amount"),
    ({"order_type": "fba", "cost": 23.5}, "invalid_amount"),
    ({"order_type": "fba", "cost": "23.5"}, "invalid_amount"),
    ({"price": "1.00"}, "unknown_field"),
    ({"credits": "1.00"}, "unknown_field"),
]


def test_work_has_a_form(acme: Service) -> None:
    """Every door refuses an order with a bad id, type, method or cost, or with a price in it."""
    for change, code in SPOILT:
        for path in ("/quotes", "/debits", "/holds", "/orders"):
            answer = post(acme, path, {**work("A-1"), **change}, "k")
            assert (change, path, *told(answer)) == (change, path, 422, code)


@pytest.mark.parametrize(
    "body",
    [
        {"product_id": "P-1"},
        {**sourcing(), "sourcing": False},
        {**sourcing(), "sourcing": 1},
        {**sourcing(), "tracking": "none"},
        {**sourcing(), **work()},
        {**sourcing(), "product_id": "a b"},
    ],
)
def test_sourcing_has_a_form(acme: Service, body: dict[str, Any]) -> None:
    """A sourcing request names product and store, says that it is one, and nothing of an order."""
    for path in ("/quotes", "/debits", "/holds"):
        assert post(acme, path, body, "k").status == 422


@pytest.mark.parametrize("missing", ["order_id", "store_id", "order_type", "tracking"])
def test_work_needs_its_fields(acme: Service, missing: str) -> None:
    """An order names itself, its store, its type and its tracking."""
    body = work("A-1")
    del body[missing]
    for path in ("/quotes", "/debits", "/holds", "/orders"):
        assert (path, *told(post(acme, path, body, "k"))) == (path, 422, "invalid_field")


def test_sourcing_is_one_credit(acme: Service) -> None:
    """A sourcing request costs 1.00, once per product."""
    assert post(acme, "/quotes", sourcing()).body["credits"] == "1.00"
    answer = debit(acme, sourcing())
    assert (answer.status, answer.body["credits"]) == (201, "1.00")
    assert told(debit(acme, sourcing(), "again")) == (409, "already_charged")
    assert get(acme, "/sourcing/P-1").body["status"] == "accepted"


@pytest.mark.parametrize("order_id", ["a", "A-Z_a.z:0-9", "x" * 64, "...", "-"])
def test_an_id_may_have_these_characters(acme: Service, order_id: str) -> None:
    """An order of any allowed id is found again under it."""
    assert debit(acme, work(order_id)).status == 201
    assert get(acme, f"/orders/{order_id}").body["order_id"] == order_id


# ---------------------------------------------------------------- charging


def test_a_debit_tells_what_it_did(acme: Service) -> None:
    """A debit answers with its price, its entries and the balances after it; the order is then `ordered`."""
    answer = debit(acme, work("A-1", "auto", "bce"))
    assert set(answer.body) == {"credits", "managed", "rate_card", "entries", "balances"}
    (entry,) = answer.body["entries"]
    assert (entry["posted"], entry["order_id"], entry["key"]) == ("-1.33", "A-1", "debit")
    assert "part" not in entry
    assert answer.body["balances"]["auto_order"] == {"posted": "3.67", "held": "0.00", "available": "3.67"}
    assert get(acme, "/orders/A-1").body["status"] == "ordered"


def test_lacking_credits_are_told_in_words(acme: Service) -> None:
    """402 has the merchants' own sentence, and says how much is lacking and where to buy."""
    fund(acme, "-4.00", "auto_order")
    answer = debit(acme, work("A-1", "auto", "bce"))
    assert told(answer) == (402, "insufficient_credits")
    assert answer.body["detail"] == INSUFFICIENT
    assert {name: answer.body[name] for name in ("required", "available", "shortfall", "unit", "packages_url")} == {
        "required": "1.33",
        "available": "1.00",
        "shortfall": "0.33",
        "unit": "auto_order",
        "packages_url": "/v1/packages",
    }
    assert acme.balance()["available"] == "1.00"


def test_lacking_dollars_are_another_failure(acme: Service) -> None:
    """Lacking managed balance has its own code; credits are checked before it."""
    dear = work("A-1", "fba", "none", cost="50.01")
    answer = debit(acme, dear)
    assert told(answer) == (402, "insufficient_managed_balance")
    assert (answer.body["unit"], answer.body["shortfall"]) == ("managed", "0.01")
    fund(acme, "-5.00", "auto_order")
    assert told(debit(acme, dear)) == (402, "insufficient_credits")


def test_the_same_work_is_charged_once(acme: Service) -> None:
    """The same work under another key is refused and names the entry that charged it."""
    charged = debit(acme, work("A-1"))
    answer = debit(acme, work("A-1"), "other")
    assert told(answer) == (409, "already_charged")
    assert answer.body["entry_id"] == charged.body["entries"][0]["entry_id"]
    assert told(hold(acme, work("A-1"), "third")) == (409, "already_charged")


def test_a_conversion_costs_the_difference(acme: Service) -> None:
    """A tracking that comes later costs its cell less the plain one, once per method."""
    debit(acme, work("A-1", "auto", "none"), "1")
    answer = debit(acme, work("A-1", "auto", "bce"), "2")
    assert (answer.status, answer.body["credits"]) == (201, "0.33")
    assert told(debit(acme, work("A-1", "auto", "bce"), "3")) == (409, "already_charged")
    assert debit(acme, work("A-1", "auto", "qtrack"), "4").body["credits"] == "1.50"


@pytest.mark.parametrize(
    "other",
    [work("A-1", store_id="shop-2"), work("A-1", "manual", "bce"), work("A-1", "fba", "none", cost="1.00")],
)
def test_an_order_is_one_piece_of_work(acme: Service, other: dict[str, Any]) -> None:
    """The same order id for another store or other work is a conflict."""
    debit(acme, work("A-1"))
    assert told(debit(acme, other, "other")) == (409, "order_conflict")
    assert told(hold(acme, other, "other")) == (409, "order_conflict")
    assert told(post(acme, "/orders", other, "other"))[0] == (422 if other["order_type"] == "manual" else 409)


def test_a_frozen_balance_starts_no_work(acme: Service) -> None:
    """While a unit that the work needs is below zero, the work is refused; other work is not."""
    acme.process("auto_order.requested", work("A-1", "fba", "none", cost="10.00"))
    acme.process("auto_order.placed", {"order_id": "A-1", "supplier_order_id": "s", "managed": "60.00"})
    assert acme.balance(unit="managed")["available"] == "-10.00"
    assert told(debit(acme, work("A-2", "fba", "none", cost="1.00"))) == (403, "balance_frozen")
    assert debit(acme, work("A-3")).status == 201


def test_checks_come_in_their_order(acme: Service) -> None:
    """Charged work is told before the standing, the status before the add-on, and both before credits."""
    debit(acme, work("A-1"))
    fund(acme, "-4.00", "auto_order")
    acme.call("PATCH", ACME, {"status": "paused", "orders_processor": "inactive"})
    assert told(debit(acme, work("A-1"), "2")) == (409, "already_charged")
    assert told(debit(acme, work("A-1", store_id="shop-2"), "2")) == (409, "order_conflict")
    assert told(debit(acme, work("A-2"), "2")) == (403, "account_inactive")
    acme.call("PATCH", ACME, {"status": "active"})
    assert told(debit(acme, work("A-2"), "2")) == (403, "orders_processor_inactive")
    acme.call("PATCH", ACME, {"orders_processor": "active"})
    assert told(debit(acme, work("A-2", "manual", "none"), "2")) == (422, "unknown_rate")
    assert told(debit(acme, work("A-2"), "2")) == (402, "insufficient_credits")

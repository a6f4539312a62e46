"""Rates, quotes, debits, holds and orders over HTTP."""

import json
from typing import Any

import pytest

from tests.functional.conftest import Clock
from tests.kit.service import Answer, Service, sourcing, work

ACME = "/v1/accounts/acme"
PRICES = {
    ("auto", "none"): "1.00",
    ("auto", "bce"): "1.33",
    ("auto", "qtrack"): "2.50",
    ("auto", "tracking_generator"): "2.00",
    ("fba", "none"): "1.00",
    ("fba", "bce"): "1.33",
    ("fba", "qtrack"): "2.50",
    ("fba", "tracking_generator"): "2.00",
    ("manual", "bce"): "0.33",
    ("manual", "qtrack"): "0.50",
    ("manual", "tracking_generator"): "1.00",
}
INSUFFICIENT = "Insufficient Auto-orders credits, please purchase more credits and resend the order."


def told(answer: Answer) -> tuple[int, str | None]:
    """A refusal in short: its status and code."""
    return answer.status, answer.code


def post(service: Service, path: str, body: Any = None, key: str | None = None, **more: Any) -> Answer:
    """POST to a route of acme."""
    return service.call("POST", ACME + path, body, key=key, **more)


def debit(service: Service, body: dict[str, Any], key: str = "debit") -> Answer:
    """Charge work at once."""
    return post(service, "/debits", body, key)


def hold(service: Service, body: dict[str, Any], key: str = "hold") -> Answer:
    """Set credits aside for work."""
    return post(service, "/holds", body, key)


def get(service: Service, path: str, **query: str) -> Answer:
    """GET a route of acme."""
    return service.call("GET", ACME + path, query=query)


def fund(service: Service, amount: str, unit: str = "managed") -> None:
    """Add to a unit, or take from it."""
    answer = post(service, "/adjustments", {"unit": unit, "amount": amount, "reason": "test"}, f"{unit}{amount}")
    assert answer.status == 201


@pytest.fixture
def acme(service: Service) -> Service:
    """The service with acme: its 5.00 credits and 50.00 dollars."""
    service.open()
    fund(service, "50.00")
    return service


def priced(order_id: str, pair: tuple[str, str], cost: str = "10.00") -> dict[str, Any]:
    """WORK of a pair, with a cost where one belongs."""
    order_type, tracking = pair
    return work(order_id, order_type, tracking, **({"cost": cost} if order_type == "fba" else {}))


# ---------------------------------------------------------------- prices


def test_the_rate_card_has_every_price(service: Service) -> None:
    """The card in force names eleven pairs and sourcing, with its name and beginning."""
    body = service.call("GET", "/v1/rates").body
    assert {(rate["order_type"], rate["tracking"]): rate["credits"] for rate in body["rates"]} == PRICES
    assert len(body["rates"]) == len(PRICES)
    assert (body["rate_card"], body["sourcing"]) == ("2024-01", "1.00")
    assert body["effective_from"] == "2024-01-01T00:00:00.000Z"


def test_no_card_is_in_force_before_the_first(acme: Service, clock: Clock) -> None:
    """Where no rate card is in force yet, there is no rate."""
    clock.now_ms = 1_000_000_000_000  # 2001
    assert told(acme.call("GET", "/v1/rates")) == (422, "unknown_rate")
    assert told(debit(acme, work("A-1"))) == (422, "unknown_rate")


@pytest.mark.parametrize("pair", PRICES, ids="-".join)
def test_every_pair_is_charged_its_price(acme: Service, pair: tuple[str, str]) -> None:
    """Quote, debit and balance agree on the price of each pair; only `fba` takes dollars."""
    managed = "10.00" if pair[0] == "fba" else "0.00"
    quoted = post(acme, "/quotes", priced("A-1", pair)).body
    assert (quoted["credits"], quoted["managed"], quoted["sufficient"]) == (PRICES[pair], managed, True)
    charged = debit(acme, priced("A-1", pair))
    assert charged.status == 201
    assert (charged.body["credits"], charged.body["managed"]) == (PRICES[pair], managed)
    assert [entry["kind"] for entry in charged.body["entries"]] == ["debited"] * (2 if pair[0] == "fba" else 1)
    left = 500 - int(PRICES[pair].replace(".", ""))
    assert acme.balance()["available"] == f"{left // 100}.{left % 100:02d}"
    assert acme.balance(unit="managed")["available"] == ("40.00" if pair[0] == "fba" else "50.00")


def test_a_manual_order_without_tracking_has_no_rate(acme: Service) -> None:
    """The one pair without a price cannot be charged or held."""
    assert told(debit(acme, work("A-1", "manual", "none"))) == (422, "unknown_rate")
    assert told(hold(acme, work("A-1", "manual", "none"))) == (422, "unknown_rate")


def test_a_quote_tells_what_is_lacking(acme: Service) -> None:
    """A quote is 200 whatever the balances and the standing, and moves nothing."""
    debit(acme, work("A-0", "auto", "qtrack"), "d1")
    acme.call("PATCH", ACME, {"status": "paused", "orders_processor": "inactive"})
    answer = post(acme, "/quotes", work("A-1", "fba", "qtrack", cost="60.00"))
    assert answer.status == 200
    assert answer.body == {
        "credits": "2.50",
        "managed": "60.00",
        "rate_card": "2024-01",
        "sufficient": False,
        "available": {"auto_order": "2.50", "managed": "50.00"},
        "shortfall": {"auto_order": "0.00", "managed": "10.00"},
    }
    assert get(acme, "/balance").body["version"] == 4


def test_a_quote_of_charged_work_is_nothing(acme: Service) -> None:
    """Work that was charged costs 0.00; its conversion costs the difference of the cells."""
    debit(acme, work("A-1", "auto", "none"))
    assert post(acme, "/quotes", work("A-1", "auto", "none")).body["credits"] == "0.00"
    assert post(acme, "/quotes", work("A-1", "auto", "qtrack")).body["credits"] == "1.50"
    assert told(post(acme, "/quotes", work("A-1", "auto", "none", store_id="shop-2"))) == (409, "order_conflict")


# ---------------------------------------------------------------- WORK


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


# ---------------------------------------------------------------- debits


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


# ---------------------------------------------------------------- holds


def test_a_hold_is_split_in_parts(acme: Service, clock: Clock) -> None:
    """A hold sets the parts aside and lasts 14 days unless told otherwise."""
    clock.advance(1)
    answer = hold(acme, work("A-1", "fba", "qtrack", cost="23.50"))
    body = answer.body
    balances = body.pop("balances")
    assert answer.status == 201
    assert body == {
        "hold_id": "A-1~1",
        "status": "open",
        "credits": "2.50",
        "parts": {"order": "1.00", "tracking": "1.50"},
        "managed": "23.50",
        "rate_card": "2024-01",
        "expires_at": get(acme, "/holds/A-1~1").body["expires_at"],
    }
    assert balances["auto_order"] == {"posted": "5.00", "held": "2.50", "available": "2.50"}
    assert balances["managed"] == {"posted": "50.00", "held": "23.50", "available": "26.50"}
    assert get(acme, "/orders/A-1").body["status"] == "processing"


def test_a_hold_lasts_as_long_as_asked(service: Service, clock: Clock) -> None:
    """`expires_in` counts in seconds from the hold's own time."""
    service.open()
    clock.advance(1)
    assert hold(service, work("A-1"), "1").body["expires_at"] == "2026-12-08T12:00:01.000Z"
    assert hold(service, {**work("A-2"), "expires_in": 60}, "2").body["expires_at"] == "2026-11-24T12:01:01.000Z"
    assert hold(service, {**sourcing(), "expires_in": 2_592_000}, "3").status == 201


@pytest.mark.parametrize("expires_in", [59, 2_592_001, 0, -60, "60", 60.0, 60.5, True, None])
def test_a_hold_lasts_a_minute_to_30_days(acme: Service, expires_in: Any) -> None:
    """`expires_in` is a whole number of seconds within its bounds."""
    assert told(hold(acme, {**work("A-1"), "expires_in": expires_in})) == (422, "invalid_field")


def test_a_capture_takes_what_was_held(acme: Service) -> None:
    """A capture takes all open parts by default; again it is the same answer."""
    hold(acme, work("A-1", "fba", "qtrack", cost="23.50"))
    answer = post(acme, "/holds/A-1~1/capture", {})
    assert (answer.status, answer.body["status"]) == (200, "captured")
    assert answer.body["parts"] == {"order": "captured", "tracking": "captured"}
    assert answer.body["balances"]["auto_order"] == {"posted": "2.50", "held": "0.00", "available": "2.50"}
    assert answer.body["balances"]["managed"] == {"posted": "26.50", "held": "0.00", "available": "26.50"}
    assert post(acme, "/holds/A-1~1/capture", {}).text == answer.text
    assert get(acme, "/holds/A-1~1").text == answer.text
    assert get(acme, "/orders/A-1").body["status"] == "shipped"


def test_a_capture_may_cost_less(acme: Service) -> None:
    """A lower `managed` frees the rest, a higher one exceeds the hold, and 0.00 frees all of it."""
    hold(acme, work("A-1", "fba", "none", cost="23.50"))
    path = "/holds/A-1~1/capture"
    assert told(post(acme, path, {"managed": "23.51"})) == (422, "capture_exceeds_hold")
    assert acme.balance(unit="managed")["held"] == "23.50"
    assert post(acme, path, {"managed": "21.10"}).body["managed"] == "21.10"
    assert acme.balance(unit="managed") == {"posted": "28.90", "held": "0.00", "available": "28.90"}


def test_a_release_gives_back(acme: Service) -> None:
    """A release gives the open parts back, again and again the same, and the order has failed with its reason."""
    hold(acme, work("A-1", "auto", "qtrack"))
    answer = post(acme, "/holds/A-1~1/release", {"reason": "out of stock"})
    assert (answer.status, answer.body["status"]) == (200, "released")
    assert acme.balance() == {"posted": "5.00", "held": "0.00", "available": "5.00"}
    assert post(acme, "/holds/A-1~1/release", {"reason": "again"}).text == answer.text
    order = get(acme, "/orders/A-1").body
    assert (order["status"], order["status_text"]) == ("failed", "out of stock")


def test_a_part_ends_once(acme: Service) -> None:
    """A part that ended otherwise cannot be taken or given back; the other one still can."""
    hold(acme, work("A-1", "auto", "qtrack"))
    post(acme, "/holds/A-1~1/capture", {"parts": ["order"]})
    named = {"parts": ["order"], "reason": "test"}
    assert told(post(acme, "/holds/A-1~1/release", named)) == (409, "invalid_transition")
    assert post(acme, "/holds/A-1~1/release", {"reason": "test"}).body["parts"]["tracking"] == "released"
    assert told(post(acme, "/holds/A-1~1/capture", {"parts": ["tracking"]})) == (409, "invalid_transition")
    assert told(post(acme, "/holds/A-1~1/capture", {"parts": ["sourcing"]})) == (409, "invalid_transition")
    assert post(acme, "/holds/A-1~1/capture", {"parts": ["order"]}).status == 200


def test_nothing_open_and_nothing_ended_so(acme: Service) -> None:
    """Without an open part, a capture of a released hold and a release of a captured one are refused."""
    hold(acme, work("A-1"), "1")
    hold(acme, work("A-2"), "2")
    post(acme, "/holds/A-1~1/capture", {})
    post(acme, "/holds/A-2~1/release", {"reason": "test"})
    assert told(post(acme, "/holds/A-1~1/release", {"reason": "test"})) == (409, "invalid_transition")
    assert told(post(acme, "/holds/A-2~1/capture", {})) == (409, "invalid_transition")


@pytest.mark.parametrize(
    ("action", "body", "code"),
    [
        ("capture", {"parts": []}, "invalid_field"),
        ("capture", {"parts": "order"}, "invalid_field"),
        ("capture", {"parts": ["money"]}, "invalid_field"),
        ("capture", {"managed": 1}, "invalid_amount"),
        ("capture", {"managed": "-0.01"}, "invalid_amount"),
        ("capture", {"reason": "test"}, "unknown_field"),
        ("release", {}, "invalid_field"),
        ("release", {"reason": ""}, "invalid_field"),
        ("release", {"reason": "x" * 201}, "invalid_field"),
        ("release", {"reason": "test", "managed": "1.00"}, "unknown_field"),
    ],
)
def test_settling_has_a_form(acme: Service, action: str, body: dict[str, Any], code: str) -> None:
    """Parts are named ones, `managed` is an amount, and a release has a reason."""
    hold(acme, work("A-1"))
    assert told(post(acme, f"/holds/A-1~1/{action}", body)) == (422, code)


def test_a_missing_hold_is_not_found(acme: Service) -> None:
    """An attempt that there was not, an unknown order, one without a hold, and what is no hold id are 404."""
    hold(acme, work("A-1"), "1")
    debit(acme, work("A-2"), "2")
    for hold_id in ("A-1~2", "A-9~1", "A-1", "A-1~0", "A-1~s1", "A-1~01", "A-1~~1", "~1", "A-2~1"):
        read = get(acme, f"/holds/{hold_id}")
        captured = post(acme, f"/holds/{hold_id}/capture", {})
        released = post(acme, f"/holds/{hold_id}/release", {"reason": "test"})
        assert (hold_id, told(read), told(captured), told(released)) == (hold_id, *[(404, "hold_not_found")] * 3)


def test_the_hold_of_an_earlier_attempt_is_over(acme: Service) -> None:
    """After a new attempt the old hold is gone to readers, and can never be settled."""
    hold(acme, work("A-1"), "1")
    post(acme, "/holds/A-1~1/release", {"reason": "test"})
    assert hold(acme, work("A-1"), "2").body["hold_id"] == "A-1~2"
    assert told(get(acme, "/holds/A-1~1")) == (404, "hold_not_found")
    assert told(post(acme, "/holds/A-1~1/capture", {})) == (409, "invalid_transition")
    assert told(post(acme, "/holds/A-1~1/release", {"reason": "test"})) == (409, "invalid_transition")
    assert acme.balance()["held"] == "1.00"


def test_a_sourcing_hold_has_its_own_name(acme: Service) -> None:
    """The hold of a product is named `<product_id>~s<attempt>`; captured, the request is accepted."""
    assert hold(acme, sourcing()).body["hold_id"] == "P-1~s1"
    assert get(acme, "/sourcing/P-1").body["status"] == "processing"
    assert post(acme, "/holds/P-1~s1/capture", {}).body["parts"] == {"sourcing": "captured"}
    assert get(acme, "/sourcing/P-1").body["status"] == "accepted"


# ---------------------------------------------------------------- orders


def test_an_order_is_recorded_and_sent(acme: Service) -> None:
    """POST /orders answers 202, the order is `queued`, and one message with its attempt lies in the queue."""
    answer = post(acme, "/orders", work("A-1", "fba", "bce", cost="9.99"), "k")
    assert (answer.status, answer.body) == (202, {"order_id": "A-1", "status": "queued", "attempt": 1})
    assert get(acme, "/orders/A-1").body["status"] == "queued"
    (message,) = acme.sqs.receive_message(QueueUrl=acme.orders_queue_url, MaxNumberOfMessages=10)["Messages"]
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
    messages = acme.sqs.receive_message(QueueUrl=acme.orders_queue_url, MaxNumberOfMessages=10)["Messages"]
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

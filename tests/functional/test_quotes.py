"""Rates and quotes: what work costs, over HTTP."""

from typing import Any

import pytest

from tests.functional.calls import ACME, debit, get, hold, post, told
from tests.functional.conftest import Clock
from tests.kit.service import Service, work

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


def priced(order_id: str, pair: tuple[str, str], cost: str = "10.00") -> dict[str, Any]:
    """WORK of a pair, with a cost where one belongs."""
    order_type, tracking = pair
    return work(order_id, order_type, tracking, **({"cost": cost} if order_type == "fba" else {}))


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

"""Events as they go on the bus: to the letter of docs/contract.md, section 8."""

import json
from typing import Any

import pytest

from autocredits.domain.work.expiry import ExpireHold
from autocredits.domain.work.lifecycle import HOLD_MS
from autocredits.edge import views
from autocredits.edge.events import bus_events
from autocredits.ledger.ports import BusEvent
from tests.kit.builders import (
    NOW_MS,
    Account,
    conversion,
    debit,
    failed,
    hold,
    idempotency,
    opened,
    order,
    placed,
    requested,
    sourcing,
)
from tests.kit.purchases import Shop

AT = "2025-11-24T16:00:00.000Z"
EXPIRES_AT = "2025-12-08T16:00:00.000Z"


def told(account: Account) -> list[tuple[str, dict[str, Any]]]:
    """Type and detail of what the newest page tells."""
    return [(event.type, json.loads(event.detail)) for event in bus_events(account.page())]


def detail(account: Account, event_type: str) -> dict[str, Any]:
    """The detail of the first event of a type that the newest page tells."""
    return next(found for name, found in told(account) if name == event_type)


def test_a_funded_order_says_all_that_the_engine_needs() -> None:
    """Its first entry, what was asked for, and the hold with its parts."""
    account = opened(500, 2350)
    account.do(requested(order_type="fba", tracking="bce", source="shop"))
    assert detail(account, "auto_order.funded") == {
        "id": "acme/3.0",
        "account_id": "acme",
        "entry_id": "3.0",
        "version": 3,
        "at": AT,
        "kind": "held",
        "unit": "auto_order",
        "posted": "0.00",
        "held": "1.00",
        "balance": {"posted": "5.00", "held": "1.00", "available": "4.00"},
        "actor": account.page().entries[0].actor,
        "order_id": "o1",
        "store_id": "s1",
        "part": "order",
        "action": {"order_type": "fba", "tracking": "bce"},
        "rate_card": "2024-01",
        "hold_id": "o1~1",
        "attempt": 1,
        "cost": "23.50",
        "order_type": "fba",
        "tracking": "bce",
        "credits": "1.33",
        "parts": {"order": "1.00", "tracking": "0.33"},
        "managed": "23.50",
        "expires_at": EXPIRES_AT,
    }
    assert HOLD_MS == 14 * 86_400_000


def test_a_funded_conversion_names_method_and_number() -> None:
    """With the credits of its part alone."""
    account = opened(500)
    for command in (requested(), placed(), conversion(tracking_number="TBA1")):
        account.do(command)
    found = detail(account, "tracking_conversion.funded")
    assert {
        name: found[name] for name in ("order_id", "hold_id", "attempt", "part", "tracking", "tracking_number")
    } == {
        "order_id": "o1",
        "hold_id": "o1~1",
        "attempt": 1,
        "part": "tracking",
        "tracking": "qtrack",
        "tracking_number": "TBA1",
    }
    assert list(found["parts"]) == ["tracking"]
    assert found["credits"] == found["parts"]["tracking"] == found["held"]
    assert (found["managed"], found["order_type"]) == ("0.00", "auto")


def test_funded_sourcing_says_so() -> None:
    """It has a product, neither order type nor tracking, and a hold of its own kind of name."""
    account = opened(500)
    account.do(sourcing())
    found = detail(account, "sourcing.funded")
    assert (found["product_id"], found["sourcing"], found["hold_id"]) == ("p1", True, "p1~s1")
    assert found["parts"] == {"sourcing": "1.00"}
    assert found.keys().isdisjoint({"order_id", "order_type", "tracking", "action"})


@pytest.mark.parametrize(
    ("requests", "event_type", "named"),
    [
        ([requested()], "auto_order.refused", {"hold_id": "o1~1", "attempt": 1, "order_type": "auto"}),
        ([sourcing()], "sourcing.refused", {"hold_id": "p1~s1", "attempt": 1, "sourcing": True}),
        ([requested(), requested()], "auto_order.refused", {"hold_id": "o1~2", "attempt": 2, "order_type": "auto"}),
    ],
)
def test_a_refusal_explains_itself(requests: list[Any], event_type: str, named: dict[str, Any]) -> None:
    """With the merchants' own sentence, and the attempt that it ended."""
    account = opened(0)
    for command in requests:
        account.do(command)
    found = detail(account, event_type)
    assert found["reason"].startswith("Insufficient Auto-orders credits")
    assert (found["posted"], found["held"]) == ("0.00", "0.00")
    assert found.items() >= named.items()
    assert "parts" not in found


def test_a_settled_hold_names_its_attempt() -> None:
    """Released by a result, or expired by the sweep, which says why."""
    account = opened(500)
    account.do(requested())
    account.do(failed())
    account.do(requested())
    account.clock.at_ms += HOLD_MS
    account.do(ExpireHold("order", "o1"))
    found = detail(account, "credits.expired")
    assert (found["hold_id"], found["attempt"], found["held"], found["actor"]) == (
        "o1~2",
        2,
        "-1.00",
        "system:sweep",
    )
    assert found["reason"] == "The hold expired before anybody settled it."


def test_a_debit_names_work_and_key() -> None:
    """And the attempt that it is."""
    account, key = opened(500), idempotency()
    account.do(debit(order(tracking="bce"), key))
    [(event_type, found)] = told(account)
    assert event_type == "credits.debited"
    assert (found["order_id"], found["attempt"], found["key"]) == ("o1", 1, key.key)
    assert (found["order_type"], found["tracking"], found["posted"]) == ("auto", "bce", "-1.33")


def test_a_hold_over_http_has_no_parts_in_its_events() -> None:
    """They are one event for each entry, and nothing that an engine begins by."""
    account = opened(500)
    account.do(hold(order(tracking="bce")))
    assert [(event_type, "parts" in found) for event_type, found in told(account)] == [
        ("credits.held", False),
        ("credits.held", False),
    ]


def test_events_of_one_entry_share_their_id() -> None:
    """`<account_id>/<entry_id>`; the type tells them apart."""
    account = opened(100)
    account.do(requested())
    assert [(event_type, found["id"]) for event_type, found in told(account)] == [
        ("credits.held", "acme/3.0"),
        ("auto_order.funded", "acme/3.0"),
        ("balance.depleted", "acme/3.0"),
    ]


def test_a_crossing_shows_the_balance_after_it() -> None:
    """It is the last entry of the unit, under a name of its own."""
    account = opened(250)
    account.set_standing(low_balance=200)
    account.do(debit(order(tracking="bce")))
    found = told(account)
    assert [event_type for event_type, _ in found] == ["credits.debited", "balance.low"]
    assert found[0][1] == found[1][1]
    assert found[1][1]["balance"]["available"] == "1.17"


def test_a_standing_tells_its_new_values() -> None:
    """Without unit or balance; a threshold is told as an amount, or null."""
    account = opened(500)
    account.set_standing(status="paused")
    assert told(account)[0][1]["status"] == "paused"
    account.set_standing(low_balance=200)
    [(event_type, found)] = told(account)
    assert event_type == "account.standing"
    assert found == {
        "id": "acme/3.0",
        "account_id": "acme",
        "entry_id": "3.0",
        "version": 3,
        "at": AT,
        "kind": "standing",
        "unit": None,
        "posted": None,
        "held": None,
        "balance": None,
        "actor": "platform",
        "low_balance": "2.00",
    }
    account.set_standing(low_balance=None)
    assert told(account)[0][1]["low_balance"] is None


def test_a_purchase_is_told_by_its_id() -> None:
    """Credited or declined; nothing of it is work."""
    shop = Shop()
    shop.start()
    shop.event("declined")
    [(event_type, found)] = told(shop)
    assert (event_type, found["purchase_id"], found["reason"]) == ("purchase.declined", "b1", "because")
    shop.event("paid")
    found = detail(shop, "credits.purchased")
    assert (found["purchase_id"], found["posted"]) == ("b1", "100.00")
    assert found.keys().isdisjoint({"hold_id", "attempt", "order_type", "sourcing"})


def test_an_event_is_the_entry_as_it_is_shown() -> None:
    """Nothing that `GET /entries` shows is left out or told differently."""
    account = opened(500, 2350)
    account.do(requested(order_type="fba", tracking="bce"))
    shown = views.entries_view(account.page())
    for index, (_, found) in enumerate(told(account)[:3]):
        assert found.items() >= shown[index].items()


def test_an_event_has_the_time_of_its_page_and_its_words_as_they_are() -> None:
    """In milliseconds; a detail is JSON whose letters are not escaped, for they count by their bytes."""
    account = opened(500)
    account.do(requested())
    account.clock.at_ms += 1234
    account.do(failed(reason="caf\u00e9 \u4e0d"))
    [event] = bus_events(account.page())
    assert isinstance(event, BusEvent)
    assert (event.type, event.at_ms) == ("credits.released", NOW_MS + 1234)
    assert "caf\u00e9 \u4e0d" in event.detail

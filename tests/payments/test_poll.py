"""The scheduled look at payments that never spoke: it does what the webhook would have done, and stops at nothing."""

from dataclasses import replace

import pytest

from autocredits.domain.purchases.record import POLL_DELAYS_MS, Purchase
from autocredits.ledger.ports import DUE_SHARDS, Listed
from functions.purchase import poll
from tests.kit.memory import ManualClock
from tests.payments.shop import BOUGHT, FREE, PRICE, Shop

MINUTE_MS = 60_000


class Context:
    """Time enough."""

    def get_remaining_time_in_millis(self) -> int:
        """A minute."""
        return MINUTE_MS


@pytest.fixture
def looked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop whose provider is the only one, and whose ledger the look works on."""
    monkeypatch.setattr(poll, "providers", lambda: {"stripe": shop.provider})
    monkeypatch.setattr(poll, "ledger", lambda: shop.ledger)
    return shop


def after(shop: Shop, minutes: int) -> dict[str, int]:
    """What the look does, so many minutes later."""
    clock = shop.ledger.clock
    assert isinstance(clock, ManualClock)
    clock.at_ms += minutes * MINUTE_MS
    return poll.handler({}, Context())


def next_look(purchase: Purchase) -> int | None:
    """Minutes from the purchase's start until the provider is asked next."""
    return None if purchase.poll_at is None else (purchase.poll_at - purchase.created_at) // MINUTE_MS


def test_a_payment_that_never_spoke_is_credited(looked: Shop) -> None:
    """Paid at the provider, its webhook lost: two minutes later it is there, and then nobody asks any more."""
    looked.double.pay(looked.start())
    assert after(looked, 1) == {"looked": 0, "failed": 0}
    assert after(looked, 1) == {"looked": 1, "failed": 0}
    assert (looked.purchase().status, looked.balance().posted) == ("credited", FREE + BOUGHT)
    assert after(looked, 60) == {"looked": 0, "failed": 0}


def test_a_payment_that_is_still_open_is_asked_after_again(looked: Shop) -> None:
    """After 2, 10 and 30 minutes, then every hour; a look that comes late skips the times that have passed."""
    looked.start()
    planned = [next_look(looked.purchase())]
    for minutes in (2, 8, 20, 120):
        after(looked, minutes)
        planned.append(next_look(looked.purchase()))
    assert planned == [2, 10, 30, 60, 180]


def test_a_look_that_fails_is_planned_again_and_holds_up_nobody(looked: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a provider raises for one purchase, the next one is looked after in the same run."""
    looked.double.pay(looked.start("k1"))
    looked.double.pay(looked.start("k2"))
    bad = looked.purchase("k1").purchase_id
    good = type(looked.provider).look

    def broken(_: object, account_id: str, purchase: Purchase) -> object:
        if purchase.purchase_id == bad:
            raise RuntimeError("no such key")
        return good(looked.provider, account_id, purchase)

    monkeypatch.setattr(type(looked.provider), "look", broken)
    assert after(looked, 2) == {"looked": 1, "failed": 1}
    assert (looked.purchase("k2").status, looked.purchase("k1").status) == ("credited", "pending")
    assert next_look(looked.purchase("k1")) == POLL_DELAYS_MS[1] // MINUTE_MS
    monkeypatch.setattr(type(looked.provider), "look", good)
    after(looked, 8)
    assert looked.purchase("k1").status == "credited"


def test_a_start_that_broke_off_expires(looked: Shop) -> None:
    """After half an hour without the provider's answer; the same key then shows it as it is."""
    looked.ledger.execute("acme", looked.command("k1", "acme"))
    after(looked, 29)
    assert looked.purchase().status == "pending"
    after(looked, 1)
    assert looked.purchase().status == "expired"


def test_a_lagging_list_does_no_harm(looked: Shop) -> None:
    """A purchase that was heard of meanwhile is left alone."""
    session = looked.start()
    event = looked.double.pay(session)
    assert looked.hear(event) == 200
    before = looked.purchase()
    assert poll.poll(looked.ledger, Listed("acme", before.purchase_id))
    assert looked.purchase() == before
    assert replace(before, status="pending").next_poll(before.created_at) == before.created_at + POLL_DELAYS_MS[0]
    assert (before.price, DUE_SHARDS) == (PRICE, 8)

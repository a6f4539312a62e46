"""Polling the provider for payments whose webhook never arrived: it ends as the webhook would have, and never stops."""

import json

import pytest

from autocredits.domain.purchases.fulfil import PaymentEvent
from autocredits.domain.purchases.record import DUE_PURCHASES, Purchase
from autocredits.domain.records import NO_ACCOUNT
from autocredits.domain.times import MINUTE_MS
from autocredits.ledger.ports import Listed, UnavailableError
from functions.purchase import poll
from functions.purchase.payments.stripe import DECLINED
from tests.kit.memory import ManualClock
from tests.kit.service import Context
from tests.payments.shop import BOUGHT, FREE, Shop, sign


@pytest.fixture
def polled(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop whose provider is the only one, and whose ledger the schedule works on."""
    monkeypatch.setattr(poll, "providers", lambda: {"stripe": shop.provider})
    monkeypatch.setattr(poll, "ledger", lambda: shop.ledger)
    return shop


def after(shop: Shop, minutes: int, *, remaining_ms: int = 60_000) -> dict[str, int]:
    """What the scheduled function does, so many minutes later."""
    clock = shop.ledger.clock
    assert isinstance(clock, ManualClock)
    clock.at_ms += minutes * MINUTE_MS
    return poll.handler({}, Context(remaining_ms))


def next_poll(purchase: Purchase) -> int | None:
    """Minutes from the purchase's start until the provider is polled next."""
    return None if purchase.poll_at is None else (purchase.poll_at - purchase.created_at) // MINUTE_MS


# What is done, and when.


def test_a_payment_whose_webhook_was_lost_is_credited(polled: Shop) -> None:
    """Two minutes after the start; then nobody asks any more, and a webhook that comes after all changes nothing."""
    event = polled.double.pay(polled.start())
    assert after(polled, 1) == {"polled": 0, "failed": 0}
    assert after(polled, 1) == {"polled": 1, "failed": 0}
    assert (polled.purchase().status, polled.balance().posted) == ("credited", FREE + BOUGHT)
    assert after(polled, 60) == {"polled": 0, "failed": 0}
    assert (polled.deliver(event), polled.balance().posted) == (200, FREE + BOUGHT)


def test_a_payment_that_is_still_open_is_polled_again(polled: Shop) -> None:
    """After 2, 10 and 30 minutes, then every hour; a poll that comes late skips the times that have passed."""
    polled.start()
    planned = [next_poll(polled.purchase())]
    for minutes in (2, 8, 20, 120):
        after(polled, minutes)
        planned.append(next_poll(polled.purchase()))
    assert planned == [2, 10, 30, 60, 180]


def test_a_poll_that_fails_is_planned_again_and_holds_up_nobody(polled: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a provider raises for one purchase, the next one is polled for in the same run."""
    polled.double.pay(polled.start("k1"))
    polled.double.pay(polled.start("k2"))
    bad = polled.purchase("k1").purchase_id
    good = type(polled.provider).poll

    def broken(_: object, account_id: str, purchase: Purchase) -> PaymentEvent | None:
        if purchase.purchase_id == bad:
            raise RuntimeError("no such key")
        return good(polled.provider, account_id, purchase)

    monkeypatch.setattr(type(polled.provider), "poll", broken)
    assert after(polled, 2) == {"polled": 1, "failed": 1}
    assert (polled.purchase("k2").status, polled.purchase("k1").status) == ("credited", "pending")
    assert next_poll(polled.purchase("k1")) == 10
    monkeypatch.setattr(type(polled.provider), "poll", good)
    after(polled, 8)
    assert polled.purchase("k1").status == "credited"


def test_a_start_that_broke_off_expires(polled: Shop) -> None:
    """After half an hour without the provider's answer; the same key then shows it as it is."""
    polled.ledger.execute("acme", polled.command("k1", "acme"))
    after(polled, 29)
    assert polled.purchase().status == "pending"
    after(polled, 1)
    assert polled.purchase().status == "expired"


def test_a_run_that_is_short_of_time_leaves_the_rest(polled: Shop) -> None:
    """With less than 20 seconds left it polls for nobody; the next run does."""
    polled.double.pay(polled.start())
    assert after(polled, 2, remaining_ms=19_999) == {"polled": 0, "failed": 0}
    assert after(polled, 0, remaining_ms=20_000) == {"polled": 1, "failed": 0}


def test_what_is_due_is_due_for_every_account(polled: Shop) -> None:
    """Purchases of all accounts whose time has come, and no others; of each shard those first that are longest due."""
    for number in range(40):
        polled.open(f"account-{number}")
        polled.start(account_id=f"account-{number}")
        polled.ledger.clock.sleep_up_to(1)
    polled.ledger.clock.sleep_up_to(120 - 40 + 30)
    due = list(poll.due_purchases(polled.ledger))
    assert {one.account_id for one in due} == {f"account-{number}" for number in range(31)}
    shares = [polled.ledger.store.list(DUE_PURCHASES, NO_ACCOUNT, limit=50, shard=shard) for shard in range(8)]
    assert [one for share in shares for one in share if one in due] == due


def test_a_lagging_list_does_no_harm(polled: Shop) -> None:
    """A purchase that a webhook has settled meanwhile is left alone."""
    event = polled.double.pay(polled.start())
    (due,) = polled.ledger.store.list(DUE_PURCHASES, NO_ACCOUNT, limit=10)
    assert polled.deliver(event) == 200
    before = polled.purchase()
    polled.ledger.clock.sleep_up_to(120)
    assert poll.poll(polled.ledger, due)
    assert polled.purchase() == before


def test_a_list_that_names_a_stranger_does_no_harm(polled: Shop) -> None:
    """A place without its purchase is passed over."""
    assert poll.poll(polled.ledger, Listed("00000000000001#acme#pur_none", "acme", "pur_none"))


# What Stripe says.


def test_poll_of_an_open_session(shop: Shop) -> None:
    """An open session says nothing."""
    shop.start()
    assert shop.provider.poll("acme", shop.purchase()) is None


def test_poll_of_a_paid_session(shop: Shop) -> None:
    """A paid session says the same as its webhook."""
    paid = shop.double.pay(shop.start())
    raw = json.dumps(paid).encode()
    webhook = shop.provider.read_webhook(raw, {"stripe-signature": sign(raw)})
    assert webhook is not None
    assert shop.provider.poll("acme", shop.purchase()) == webhook.event


def test_poll_of_an_expired_session(shop: Shop) -> None:
    """An expired session says the same as its webhook."""
    shop.double.expire(shop.start())
    event = shop.provider.poll("acme", shop.purchase())
    assert event == PaymentEvent(provider="stripe", type="expired", purchase_id=shop.purchase().purchase_id)


def test_poll_of_money_on_its_way(shop: Shop) -> None:
    """A session that is complete and not paid says nothing while the money is on its way."""
    shop.double.pay(shop.start(), later=True)
    assert shop.provider.poll("acme", shop.purchase()) is None


def test_poll_of_money_that_did_not_come(shop: Shop) -> None:
    """A session that is complete, and whose payment has failed, is declined, with the bank's code."""
    session_id = shop.start()
    shop.double.pay(session_id, later=True)
    shop.double.fail(session_id, "do_not_honor")
    event = shop.provider.poll("acme", shop.purchase())
    assert event is not None
    assert (event.type, event.payment_id, event.reason, event.support_code) == (
        "declined",
        "pi_1",
        DECLINED,
        "do_not_honor",
    )


def test_poll_while_stripe_is_away(shop: Shop) -> None:
    """Where Stripe does not answer, that is told, and nothing is concluded from it."""
    shop.start()
    shop.double.faults.extend(["reset before"] * 2)
    with pytest.raises(UnavailableError):
        shop.provider.poll("acme", shop.purchase())

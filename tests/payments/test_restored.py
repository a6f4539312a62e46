"""What Stripe was paid and a restored table does not know."""

import json
from collections.abc import Callable

import pytest

from autocredits.domain.records import RecordKey
from autocredits.domain.times import DAY_MS, HOUR_MS
from autocredits.ledger.ports import UnavailableError
from dev.doubles.stripe import StripeDouble
from dev.restore import providers
from dev.restore.judge import Finding
from dev.restore.providers import Providers
from dev.restore.walk import Screening
from functions.purchase.checkout import purchase_id_of
from functions.purchase.payments.port import Provider
from functions.purchase.payments.stripe import Stripe
from tests.payments.shop import Shop

KEY: RecordKey = ("purchase", purchase_id_of("acme", "k1"))

Open = Callable[[str], Provider | None]


def ask(shop: Shop, latest_ms: int | None = None, opened: Open | None = None) -> list[Finding]:
    """What is found on a table whose newest page or record is so old."""
    found = Screening(latest_ms=shop.clock.now_ms() if latest_ms is None else latest_ms)
    if shop.store.read("acme", [KEY]) and not shop.purchase().payments:
        found.unpaid.append((shop.purchase().created_at, "acme", KEY))
    asked = Providers(shop.store, opened or {"stripe": shop.provider}.get, shop.clock.now_ms)
    return list(asked.judge(found))


def kinds(findings: list[Finding]) -> list[str]:
    """The kinds of findings."""
    return [finding.what for finding in findings]


def write(shop: Shop, finding: Finding) -> None:
    """Do what a finding says, as the repair does."""
    assert finding.change is not None
    assert finding.change.after is not None
    shop.store.records["acme", KEY] = json.dumps(finding.change.after.to_map())


def test_what_nobody_has_paid_is_no_finding(shop: Shop) -> None:
    """A purchase whose session is open, and one that is credited."""
    shop.start()
    assert ask(shop) == []
    shop.deliver(shop.double.pay(shop.session()))
    assert shop.status() == "credited"
    assert ask(shop) == []


def test_a_purchase_that_was_paid_is_polled_at_once_and_credited(shop: Shop) -> None:
    """Its webhook went to the table that was lost."""
    shop.double.pay(shop.start())
    (finding,) = ask(shop)
    assert finding.what == "purchase.paid"
    write(shop, finding)
    assert kinds(ask(shop)) == ["purchase.due"]
    assert shop.poll_after() == (1, 0)
    assert (shop.status(), ask(shop)) == ("credited", [])


def test_a_purchase_whose_checkout_was_lost_learns_it_again(shop: Shop) -> None:
    """The session began after the moment to which the table was restored."""
    session = shop.start()
    stored = json.loads(shop.store.records["acme", KEY])
    for name in ("reference", "redirect_url"):
        del stored["checkouts"][0][name]
    shop.store.records["acme", KEY] = json.dumps(stored)
    shop.double.pay(session)
    (finding,) = [one for one in ask(shop) if one.what != "purchase.not_asked"]
    assert (finding.what, finding.change is not None) == ("purchase.paid", True)
    write(shop, finding)
    assert shop.session() == session
    assert shop.poll_after() == (1, 0)
    assert (shop.status(), ask(shop)) == ("credited", [])


def test_a_payment_through_an_earlier_checkout_is_told(shop: Shop) -> None:
    """The poll asks for the open one alone, so Stripe has to send that event again."""
    session = shop.start()
    paid = shop.double.pay(session)
    stored = json.loads(shop.store.records["acme", KEY])
    stored["checkouts"].append({**stored["checkouts"][0], "number": 2, "provider": "sandbox", "reference": "ref2"})
    shop.store.records["acme", KEY] = json.dumps(stored)
    told = [one for one in ask(shop) if one.what != "purchase.not_asked"]
    assert [(one.what, one.change) for one in told] == [("purchase.paid", None)]
    assert shop.deliver(paid) == 200
    assert (shop.status(), ask(shop)) == ("credited", [])


def test_a_purchase_of_which_the_table_knows_nothing_is_told(shop: Shop) -> None:
    """With what was paid and by which payment, however many there are."""
    for number in range(3):
        shop.double.pay(shop.start(f"k{number}"))
    for place in [place for place in shop.store.records if place[1][0] == "purchase"]:
        del shop.store.records[place]
    told = ask(shop)
    assert kinds(told) == ["purchase.lost"] * 3
    assert {one.account_id for one in told} == {"acme"}
    assert all("39.90 by pi_" in one.detail and one.change is None for one in told)


def test_all_pages_of_stripes_list_are_read(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that is longer than one page."""
    monkeypatch.setattr(providers, "PER_PAGE", 2)
    for number in range(5):
        shop.double.pay(shop.start(f"k{number}"))
    assert len(list(providers.paid_sessions(shop.provider, 0))) == 5


def test_sessions_from_long_before_the_restored_moment_are_not_listed(shop: Shop) -> None:
    """They are over, and what came of them is in the table."""
    shop.double.pay(shop.start())
    del shop.store.records["acme", KEY]
    assert kinds(ask(shop, shop.clock.now_ms() + HOUR_MS)) == ["purchase.lost"]
    assert ask(shop, shop.clock.now_ms() + HOUR_MS + 1000) == []


def test_purchases_that_can_be_paid_no_more_are_not_asked_after(shop: Shop) -> None:
    """They expire after 30 days."""
    shop.double.pay(shop.start())
    assert ask(shop, shop.clock.now_ms() + 32 * DAY_MS) == []


@pytest.mark.parametrize("failing", ["none", "raises", "no key"])
def test_a_provider_that_cannot_be_asked_is_told(failing: str, shop: Shop, double: StripeDouble) -> None:
    """It is not set up, its secret cannot be read, or there is no key: nothing is concluded from that."""

    def opened(_: str) -> Provider | None:
        if failing == "raises":
            raise UnavailableError("no secret")
        return None if failing == "none" else Stripe(api_key="", signing_secrets=(), api_base=double.serving.base_url)

    shop.double.pay(shop.start())
    told = ask(shop, opened=opened)
    assert set(kinds(told)) == {"purchase.not_asked"}
    assert all(one.change is None for one in told)

"""The records of buying: what a purchase stores, when its provider is polled, and what a refund's share is."""

from dataclasses import replace
from itertools import pairwise

import pytest

from autocredits.domain.decide import Draft
from autocredits.domain.errors import Problem
from autocredits.domain.purchases.record import (
    DUE_PURCHASES,
    POLL_DELAYS_MS,
    PURCHASES,
    Payment,
    Purchase,
    grant,
    put_purchase,
    read_purchase,
)
from autocredits.domain.records import Listing
from tests.kit.builders import ACCOUNT_ID, CATALOG, NOW_MS, page_of, state_of

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

PENDING = Purchase(
    purchase_id="b1",
    package="auto_order-100",
    unit="auto_order",
    credits=10_000,
    price=4000,
    payment_method="card",
    status="pending",
    created_at=NOW_MS,
    updated_at=NOW_MS,
)


def draft(now_ms: int = NOW_MS, *purchases: Purchase) -> Draft:
    """A draft of page 8 of an account with these purchases."""
    records = {purchase.key(): purchase for purchase in purchases}
    return Draft(ACCOUNT_ID, page_of(state_of()), dict(records), CATALOG, now_ms)


# ---------------------------------------------------------------- polling


def test_the_provider_is_polled_less_and_less_often() -> None:
    """After 2, 10 and 30 minutes, then hourly for a day, then daily for 30 days (docs/contract.md, section 9)."""
    hourly = [HOUR * hours for hours in range(1, 25)]
    daily = [DAY * days for days in range(2, 31)]
    assert list(POLL_DELAYS_MS) == [2 * MINUTE, 10 * MINUTE, 30 * MINUTE, *hourly, *daily]


def test_the_next_poll_is_the_first_that_is_still_to_come() -> None:
    """A poll that was missed is not made up for."""
    assert PENDING.next_poll(NOW_MS) == NOW_MS + 2 * MINUTE
    for earlier, later in pairwise(POLL_DELAYS_MS):
        assert PENDING.next_poll(NOW_MS + earlier - 1) == NOW_MS + earlier
        assert PENDING.next_poll(NOW_MS + earlier) == NOW_MS + later


def test_after_thirty_days_the_provider_is_polled_no_more() -> None:
    """The last poll is the thirtieth day's."""
    assert PENDING.next_poll(NOW_MS + 30 * DAY - 1) == NOW_MS + 30 * DAY
    assert PENDING.next_poll(NOW_MS + 30 * DAY) is None


@pytest.mark.parametrize("status", ["credited", "declined", "canceled", "expired", "review"])
def test_a_purchase_whose_outcome_is_known_is_not_polled(status: str) -> None:
    """Only a pending purchase is."""
    assert replace(PENDING, status=status).next_poll(NOW_MS) is None


# ---------------------------------------------------------------- status and shares


@pytest.mark.parametrize(
    ("status", "payable", "credited"),
    [
        ("pending", True, False),
        ("declined", True, False),
        ("canceled", True, False),
        ("expired", True, False),
        ("review", False, False),
        ("credited", False, True),
        ("disputed", False, True),
        ("refunded", False, True),
        ("charged_back", False, True),
    ],
)
def test_a_purchase_may_be_paid_until_it_is_credited_or_reviewed(status: str, payable: bool, credited: bool) -> None:  # noqa: FBT001 - a table's cells
    """Each of the nine statuses says whether a payment is still credited, and whether one was."""
    purchase = replace(PENDING, status=status)
    assert (purchase.may_be_paid(), purchase.was_credited()) == (payable, credited)


def test_what_a_person_has_refused_may_not_be_paid() -> None:
    """A refused review is `canceled`, but not as a buyer cancels."""
    assert not replace(PENDING, status="canceled", refused=True).may_be_paid()


@pytest.mark.parametrize(
    ("price", "cents", "owed"), [(0, 5, 0), (4000, 0, 0), (4000, 4001, 10_000), (3, 1, 3333), (3, 2, 6667)]
)
def test_a_refund_owes_its_share_of_the_grant(price: int, cents: int, owed: int) -> None:
    """The share is rounded half up: all of the grant at most, and nothing of what was free."""
    assert replace(PENDING, price=price).owed_back(cents) == owed


def test_bonus_credits_are_part_of_the_grant() -> None:
    """They are granted with the rest, and so they are owed back with it."""
    purchase = replace(PENDING, bonus_credits=1000)
    assert (purchase.granted(), purchase.owed_back(2000)) == (11_000, 5500)


@pytest.mark.parametrize(
    ("package", "unit", "kind"), [("auto_order-100", "auto_order", "purchased"), (None, "managed", "loaded")]
)
def test_all_that_was_bought_is_granted_in_one_entry(package: str | None, unit: str, kind: str) -> None:
    """A package is `purchased`, a load of managed balance is `loaded`."""
    page = draft()
    purchase = replace(PENDING, package=package, unit=unit, bonus_credits=500, review_reason="why")
    granted = grant(page, purchase, "me", key="k1", reason="seen")
    assert (granted.status, granted.review_reason) == ("credited", None)
    (entry,) = page.entries
    assert (entry.kind, entry.unit, entry.posted, entry.purchase_id) == (kind, unit, 10_500, "b1")
    assert (entry.actor, entry.key, entry.reason) == ("me", "k1", "seen")


# ---------------------------------------------------------------- reading and writing


def test_a_purchase_that_is_not_there_is_not_found() -> None:
    """404 `purchase_not_found`."""
    assert read_purchase(draft(NOW_MS, PENDING), "b1") == PENDING
    with pytest.raises(Problem) as refused:
        read_purchase(draft(), "b1")
    assert (refused.value.code, refused.value.status) == ("purchase_not_found", 404)


def test_a_purchase_is_written_with_its_time_and_its_next_poll() -> None:
    """Each write has a rev of its own and plans the next poll; a page is named only if it holds an entry of it."""
    now_ms = NOW_MS + 3 * MINUTE
    page = draft(now_ms, PENDING)
    written = put_purchase(page, PENDING, moved=False)
    assert written == replace(PENDING, rev=1, updated_at=now_ms, poll_at=NOW_MS + 10 * MINUTE)
    assert page.changed == {("purchase", "b1"): written}
    moved = put_purchase(draft(now_ms, written), replace(written, status="credited"), moved=True)
    assert (moved.rev, moved.versions, moved.poll_at) == (2, (8,), None)


def test_the_newest_page_of_a_purchase() -> None:
    """0 before the first."""
    assert replace(PENDING, versions=(3, 5)).newest_version() == 5
    assert PENDING.newest_version() == 0


def test_the_next_poll_is_stored_under_its_old_name() -> None:
    """`look_at`: a field that was once stored keeps its name for ever, whatever the code calls it."""
    stored = replace(PENDING, poll_at=5).to_map()
    assert stored["look_at"] == 5
    assert "poll_at" not in stored


# ---------------------------------------------------------------- lists


def test_a_purchase_is_listed_by_its_creation() -> None:
    """Each account has its own list, in one shard."""
    assert PENDING.listings() == (Listing(PURCHASES, NOW_MS, "b1"),)
    assert (PURCHASES.index, PURCHASES.shards, PURCHASES.shared) == ("by_creation", 1, False)


def test_a_purchase_that_is_to_be_polled_is_listed_by_when() -> None:
    """The purchases of all accounts share one list, spread over 8 shards."""
    polled = replace(PENDING, poll_at=NOW_MS + 2 * MINUTE)
    assert polled.listings() == (
        Listing(PURCHASES, NOW_MS, "b1"),
        Listing(DUE_PURCHASES, NOW_MS + 2 * MINUTE, "b1"),
    )
    assert (DUE_PURCHASES.index, DUE_PURCHASES.shards, DUE_PURCHASES.shared) == ("by_due", 8, True)


# ---------------------------------------------------------------- payments

PAYMENT = Payment(provider="stripe", payment_id="pay1", account_id=ACCOUNT_ID, purchase_id="b1")


def test_a_payment_is_named_by_its_provider_and_id() -> None:
    """Two providers may use the same id."""
    assert PAYMENT.key() == ("payment", "stripe#pay1")
    assert replace(PAYMENT, provider="paypal").key() != PAYMENT.key()


def test_a_payment_is_written_once_and_stands_in_no_list() -> None:
    """It has no rev, belongs to no page, and is only ever found by itself."""
    assert (PAYMENT.rev, PAYMENT.newest_version(), PAYMENT.listings()) == (None, 0, ())

"""The record of a purchase: its status and what it owes, from its facts; its polls, its lists and its stored form."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from autocredits.domain.decide import Draft
from autocredits.domain.errors import Problem
from autocredits.domain.purchases.facts import Checkout, Decision, Dispute, End, PaymentFacts
from autocredits.domain.purchases.record import (
    DUE_PURCHASES,
    EXPIRES_MS,
    POLL_DELAYS_MS,
    PURCHASES,
    Payment,
    Purchase,
    purchase_from_map,
    read_purchase,
)
from autocredits.domain.records import Listing
from tests.kit.builders import ACCOUNT_ID, CATALOG, NOW_MS, page_of, state_of
from tests.kit.filled import RECORDS

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def opened_checkout(number: int = 1, **values: Any) -> Checkout:
    """A checkout that the provider knows of."""
    plain: dict[str, Any] = {"payment_method": "card", "provider": "stripe", "started_at": NOW_MS, "reference": "ref"}
    return Checkout(**{**plain, "number": number, **values})


PENDING = Purchase(
    purchase_id="b1",
    package="auto_order-100",
    unit="auto_order",
    credits=10_000,
    price=4000,
    payment_method="card",
    checkouts=(opened_checkout(),),
    created_at=NOW_MS,
    updated_at=NOW_MS,
)
FREE = replace(PENDING, price=0, checkouts=(), granted=True)


def paid(amount: int = 4000, **facts: Any) -> Purchase:
    """A purchase whose payment has paid, with these facts of it."""
    return replace(PENDING, payments={"pay1": PaymentFacts(amount=amount, **facts)}, paid_by="pay1", granted=True)


def waiting(amount: int = 4001, **facts: Any) -> Purchase:
    """A purchase whose payment waits for a person, with these facts of it."""
    return replace(PENDING, payments={"pay1": PaymentFacts(amount=amount, waits_for="wrong amount", **facts)})


def disputes(*told: tuple[int, End | None]) -> dict[str, Dispute]:
    """Disputes d1, d2 … with their amounts and ends."""
    return {f"d{number}": Dispute(amount=amount, ended=end) for number, (amount, end) in enumerate(told, 1)}


def decided(purchase: Purchase, what: Any, **values: Any) -> Purchase:
    """The purchase after one more decision."""
    return replace(purchase, decisions=(*purchase.decisions, Decision(what=what, actor="me", **values)))


# ---------------------------------------------------------------- status

SECOND = opened_checkout(2)
OTHER = PaymentFacts(amount=1, waits_for="wrong amount", disputes=disputes((1, None)))

STATUSES: dict[str, tuple[Purchase, str]] = {
    "nothing is known": (PENDING, "pending"),
    "its start is under way": (replace(PENDING, checkouts=(opened_checkout(reference=None),)), "pending"),
    "a decline": (replace(PENDING, declines={"pay1": 1}), "declined"),
    "a decline of an earlier checkout": (
        replace(PENDING, checkouts=(opened_checkout(), SECOND), declines={"pay1": 1}),
        "pending",
    ),
    "a decline of the open checkout": (
        replace(PENDING, checkouts=(opened_checkout(), SECOND), declines={"pay1": 1, "pay2": 2}),
        "declined",
    ),
    "an expiry": (replace(PENDING, expired=True), "expired"),
    "an expiry of the open checkout": (replace(PENDING, checkouts=(opened_checkout(expired=True),)), "expired"),
    "an expiry of an earlier checkout": (
        replace(PENDING, checkouts=(opened_checkout(expired=True), SECOND)),
        "pending",
    ),
    "an expiry after a decline": (replace(PENDING, declines={"pay1": 1}, expired=True), "expired"),
    "a cancellation": (decided(PENDING, "cancel"), "canceled"),
    "a cancellation after an expiry": (decided(replace(PENDING, expired=True), "cancel"), "canceled"),
    "a refused payment": (decided(PENDING, "payment_refused"), "canceled"),
    "a payment of another amount": (waiting(), "review"),
    "a payment of another amount after a cancellation": (decided(waiting(), "cancel"), "review"),
    "a payment of another amount, all but a cent refunded": (waiting(refunds=4000), "review"),
    "a payment of another amount, all refunded": (waiting(refunds=4001), "canceled"),
    "a payment of another amount, its refund failed": (waiting(refunds=4001, failed={"r1": 1}), "review"),
    "a payment of another amount, all lost": (waiting(disputes=disputes((4001, "lost"))), "canceled"),
    "a payment of another amount, refunded and lost": (
        waiting(refunds=2000, disputes=disputes((2001, "lost"))),
        "canceled",
    ),
    "a payment of another amount, disputed": (waiting(disputes=disputes((4001, None))), "review"),
    "a refused review": (decided(waiting(), "refuse"), "canceled"),
    "a refused review without its payment": (decided(PENDING, "refuse"), "canceled"),
    "the right payment": (paid(), "credited"),
    "the right payment after a decline": (replace(paid(), declines={"pay0": 1}), "credited"),
    "the right payment after an expiry": (replace(paid(), expired=True), "credited"),
    "the right payment after a cancellation": (decided(paid(), "cancel"), "credited"),
    "a refund of a part": (paid(refunds=3999), "credited"),
    "a refund of all": (paid(refunds=4000), "refunded"),
    "a refund of all that failed in part": (paid(refunds=4000, failed={"r1": 1}), "credited"),
    "an open dispute": (paid(disputes=disputes((1, None))), "disputed"),
    "an open dispute beside a lost one": (paid(disputes=disputes((1, "lost"), (1, None))), "disputed"),
    "a lost dispute": (paid(disputes=disputes((1, "lost"))), "charged_back"),
    "a lost dispute beside one that was won": (paid(disputes=disputes((4000, "lost"), (1, "won"))), "charged_back"),
    "a lost dispute after a refund of all": (paid(refunds=4000, disputes=disputes((1, "lost"))), "charged_back"),
    "a dispute that was won": (paid(disputes=disputes((4000, "won"))), "credited"),
    "a dispute that a refund prevented": (paid(refunds=4000, disputes=disputes((4000, "won"))), "refunded"),
    "a dispute that was lost by hand": (
        decided(paid(disputes=disputes((1, None))), "dispute_lost", dispute_id="d1"),
        "charged_back",
    ),
    "a dispute that was won by hand": (
        decided(paid(disputes=disputes((1, None))), "dispute_won", dispute_id="d1"),
        "credited",
    ),
    "nothing to pay": (FREE, "credited"),
    "the right payment beside one that waits": (
        replace(paid(), payments={**waiting().payments, "pay2": PaymentFacts(amount=4000)}, paid_by="pay2"),
        "review",
    ),
    "the right payment beside one that was refused": (
        decided(
            replace(paid(), payments={**waiting().payments, "pay2": PaymentFacts(amount=4000)}, paid_by="pay2"),
            "refuse",
        ),
        "credited",
    ),
    "a payment that was credited by hand": (
        decided(replace(waiting(), paid_by="pay1", granted=True), "credit", payment_id="pay1"),
        "credited",
    ),
    "a payment that was credited by hand, and one that waited beside it": (
        decided(
            replace(waiting(), payments={**waiting().payments, "pay2": OTHER}, paid_by="pay1", granted=True),
            "credit",
            payment_id="pay1",
        ),
        "credited",
    ),
}


@pytest.mark.parametrize(("purchase", "status"), STATUSES.values(), ids=STATUSES)
def test_how_a_purchase_stands(purchase: Purchase, status: str) -> None:
    """The first status of the contract that fits its facts."""
    assert purchase.status() == status


@pytest.mark.parametrize(
    ("told", "by_hand", "end"),
    [
        (None, (), None),
        (None, ("dispute_won",), "won"),
        (None, ("dispute_lost",), "lost"),
        (None, ("dispute_won", "dispute_lost"), "lost"),
        (None, ("dispute_lost", "dispute_won"), "lost"),
        ("won", ("dispute_lost",), "won"),
        ("lost", ("dispute_won",), "lost"),
    ],
)
def test_a_providers_end_of_a_dispute_beats_a_hands(
    told: End | None, by_hand: tuple[str, ...], end: End | None
) -> None:
    """Then `lost` beats `won`, in whichever order they were said."""
    purchase = paid(disputes=disputes((1, told)))
    for what in by_hand:
        purchase = decided(purchase, what, dispute_id="d1")
    assert [ended for _, _, ended in purchase.disputes()] == [end]


def test_a_decision_ends_its_own_dispute_alone() -> None:
    """The other one stays open."""
    purchase = decided(paid(disputes=disputes((1, None), (2, None))), "dispute_won", dispute_id="d2")
    assert [(name, end) for name, _, end in purchase.disputes()] == [("d1", None), ("d2", "won")]


def test_only_the_disputes_of_payments_that_count_are_known() -> None:
    """Of all payments before a grant; then of the one that pays, and of those that wait for a person."""
    payments = {"pay2": OTHER, "pay1": PaymentFacts(amount=4001, waits_for="x", disputes={"a": Dispute(amount=7)})}
    purchase = replace(PENDING, payments=payments)
    assert [name for name, _, _ in purchase.disputes()] == ["d1", "a"]
    granted = replace(purchase, paid_by="pay1", granted=True)
    assert [name for name, _, _ in granted.disputes()] == ["d1", "a"]
    assert [name for name, _, _ in decided(granted, "credit").disputes()] == ["a"]
    assert decided(granted, "credit", payment_id="pay1").next_poll(NOW_MS) == NOW_MS + DAY
    assert decided(replace(purchase, paid_by="pay2", granted=True), "refuse").next_poll(NOW_MS) == NOW_MS + DAY


def test_disputes_are_told_in_the_order_of_their_ids() -> None:
    """Whichever was told first."""
    purchase = paid(disputes={"d2": Dispute(amount=2), "d1": Dispute(amount=1)})
    assert [name for name, _, _ in purchase.disputes()] == ["d1", "d2"]


def test_the_newest_decision_of_a_kind_counts() -> None:
    """None where nothing of the kind was decided."""
    purchase = decided(decided(PENDING, "cancel", reason="first"), "refuse", reason="second")
    for kinds, reason in ((("cancel",), "first"), (("cancel", "refuse"), "second")):
        found = purchase.decided(*kinds)
        assert found is not None
        assert found.reason == reason
    assert purchase.decided("credit") is None


def test_the_payment_that_is_shown() -> None:
    """The one that pays, else the first that waits, else the first."""
    first, second = PaymentFacts(amount=1, refunds=1, waits_for="x"), PaymentFacts(amount=2, waits_for="x")
    both = replace(PENDING, payments={"pay2": first, "pay1": second})
    assert PENDING.main_payment() is None
    assert both.main_payment() == ("pay1", second)
    assert replace(both, paid_by="pay2", granted=True).main_payment() == ("pay2", first)
    assert decided(both, "refuse").main_payment() == ("pay2", first)


# ---------------------------------------------------------------- what is owed


@pytest.mark.parametrize(
    ("price", "gone", "owed"), [(4000, 0, 0), (4000, 1000, 2500), (4000, 4001, 10_000), (3, 1, 3333), (3, 2, 6667)]
)
def test_a_refund_owes_its_share_of_the_grant(price: int, gone: int, owed: int) -> None:
    """The share of what was paid is rounded half up: all of the grant at most."""
    assert paid(price, refunds=gone).owed_back() == owed


def test_bonus_credits_are_part_of_the_grant() -> None:
    """They are granted with the rest, and so they are owed back with it."""
    purchase = replace(paid(refunds=2000), bonus_credits=1000)
    assert (purchase.total_credits(), purchase.owed_back()) == (11_000, 5500)


def test_refunded_and_lost_cents_count_against_what_was_paid() -> None:
    """Of 40.01 that were credited by hand, 20.00 refunded and 10.01 lost are three quarters, half up."""
    assert paid(4001, refunds=2000, disputes=disputes((1001, "lost"), (500, "won"))).owed_back() == 7501


@pytest.mark.parametrize(
    "purchase",
    [PENDING, waiting(refunds=4001), decided(waiting(refunds=1), "refuse"), FREE],
    ids=lambda one: one.status(),
)
def test_nothing_is_owed_without_a_grant_that_was_paid(purchase: Purchase) -> None:
    """Neither credits nor what disputes put at stake."""
    told = {name: replace(one, disputes=disputes((4001, None))) for name, one in purchase.payments.items()}
    assert (replace(purchase, payments=told).owed_back(), replace(purchase, payments=told).to_freeze()) == (0, 0)


@pytest.mark.parametrize(
    ("refunds", "told", "frozen"),
    [
        (0, [], 0),
        (0, [(1000, None)], 2500),
        (0, [(1000, None), (500, None)], 3750),
        (0, [(1000, None), (500, "won"), (500, "lost")], 2500),
        (3500, [(1000, None)], 1250),
        (4000, [(1000, None)], 0),
        (0, [(5000, None)], 10_000),
    ],
)
def test_open_disputes_put_their_share_at_stake(refunds: int, told: list[tuple[int, End | None]], frozen: int) -> None:
    """As far as it has not gone back already, and never more than was granted."""
    assert paid(refunds=refunds, disputes=disputes(*told)).to_freeze() == frozen


def test_nothing_is_taken_back_before_it_was_granted() -> None:
    """Also where it is known already which payment pays."""
    purchase = replace(paid(refunds=1000, disputes=disputes((500, None))), granted=False)
    assert (purchase.owed_back(), purchase.to_freeze()) == (0, 0)


def test_a_payment_of_nothing_owes_nothing() -> None:
    """No such payment is ever taken for one; should it stand in a table all the same, it can be read."""
    purchase = paid(0, refunds=1000, disputes=disputes((500, None)))
    assert (purchase.owed_back(), purchase.to_freeze()) == (0, 0)


def test_only_the_payment_that_pays_owes() -> None:
    """What has become of another one does not touch it."""
    other = PaymentFacts(amount=4001, refunds=4001, waits_for="wrong amount", disputes=disputes((1, "lost")))
    purchase = replace(paid(), payments={"pay0": other, **paid().payments})
    assert (purchase.owed_back(), purchase.status()) == (0, "credited")


def test_how_many_facts_a_purchase_has() -> None:
    """Its checkouts, declines and decisions, and those of its payments."""
    assert PENDING.facts() == 1
    purchase = decided(replace(paid(refunds=1), declines={"pay0": 1, "pay2": 1}), "cancel")
    assert purchase.facts() == 1 + 2 + 1 + 2


# ---------------------------------------------------------------- polling


def test_the_provider_is_polled_less_and_less_often() -> None:
    """After 2, 10 and 30 minutes, then hourly for a day, then daily for 30 days (docs/contract.md, section 9)."""
    hourly = [HOUR * hours for hours in range(1, 25)]
    daily = [DAY * days for days in range(2, 31)]
    assert list(POLL_DELAYS_MS) == [2 * MINUTE, 10 * MINUTE, 30 * MINUTE, *hourly, *daily]


@pytest.mark.parametrize("declines", [{}, {"pay1": 1}], ids=["pending", "declined"])
def test_the_next_poll_is_the_first_that_is_still_to_come(declines: dict[str, int]) -> None:
    """A poll that was missed is not made up for; a decline is not the end."""
    purchase = replace(PENDING, declines=declines)
    assert purchase.next_poll(NOW_MS) == NOW_MS + 2 * MINUTE
    for earlier, later in pairwise(POLL_DELAYS_MS):
        assert purchase.next_poll(NOW_MS + earlier - 1) == NOW_MS + earlier
        assert purchase.next_poll(NOW_MS + earlier) == NOW_MS + later


def test_polls_begin_again_with_each_checkout() -> None:
    """But never after the purchase expires, 30 days after its start."""
    later = NOW_MS + 29 * DAY
    purchase = replace(PENDING, checkouts=(opened_checkout(), opened_checkout(2, started_at=later)))
    assert purchase.next_poll(later) == later + 2 * MINUTE
    assert EXPIRES_MS == 30 * DAY
    assert purchase.next_poll(later + 23 * HOUR + 30 * MINUTE) == NOW_MS + EXPIRES_MS


def test_a_clock_that_lags_plans_a_poll_all_the_same() -> None:
    """The process that began the checkout may be behind the one that began the purchase."""
    purchase = replace(PENDING, checkouts=(opened_checkout(started_at=NOW_MS - 1000),))
    assert purchase.next_poll(NOW_MS + EXPIRES_MS - 1000) == NOW_MS + EXPIRES_MS


def test_an_unpaid_purchase_is_polled_until_it_has_expired() -> None:
    """Where the poll that was to expire it has failed, the next one comes in an hour."""
    assert PENDING.next_poll(NOW_MS + EXPIRES_MS - 1) == NOW_MS + EXPIRES_MS
    for late in (0, 1, DAY):
        assert PENDING.next_poll(NOW_MS + EXPIRES_MS + late) == NOW_MS + EXPIRES_MS + late + HOUR


@pytest.mark.parametrize(
    "purchase",
    [paid(), paid(refunds=4000), paid(disputes=disputes((1, "lost"))), waiting(), decided(PENDING, "cancel"),
     replace(PENDING, expired=True), FREE, replace(FREE, granted=False)],
    ids=["credited", "refunded", "charged back", "review", "canceled", "expired", "free", "free, and not granted yet"],
)  # fmt: skip
def test_a_purchase_whose_outcome_is_known_is_not_polled(purchase: Purchase) -> None:
    """Only one that may still be paid is."""
    assert purchase.next_poll(NOW_MS) is None


@pytest.mark.parametrize("purchase", [paid, waiting])
def test_an_open_dispute_is_asked_for_daily(purchase: Any) -> None:
    """For ever, until its end is told or decided by hand; also while the payment waits for a person."""
    disputed = purchase(disputes=disputes((1, "won"), (1, None)))
    for days in (0, 1, 400):
        assert disputed.next_poll(NOW_MS + days * DAY) == NOW_MS + (days + 1) * DAY
    assert decided(disputed, "dispute_won", dispute_id="d2").next_poll(NOW_MS) is None


@pytest.mark.parametrize(("failures", "minutes"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (1000, 60)])
@pytest.mark.parametrize("purchase", [PENDING, paid(disputes=disputes((1, None)))], ids=["pending", "disputed"])
def test_a_poll_that_failed_is_tried_again_soon(purchase: Purchase, failures: int, minutes: int) -> None:
    """In a minute, doubling, at most an hour."""
    assert replace(purchase, poll_failures=failures).next_poll(NOW_MS) == NOW_MS + minutes * MINUTE


# ---------------------------------------------------------------- reading


def draft(*purchases: Purchase) -> Draft:
    """A draft of page 8 of an account with these purchases."""
    records = {purchase.key(): purchase for purchase in purchases}
    return Draft(ACCOUNT_ID, page_of(state_of()), dict(records), CATALOG, NOW_MS)


def test_a_purchase_that_is_not_there_is_not_found() -> None:
    """404 `purchase_not_found`."""
    assert read_purchase(draft(PENDING), "b1") == PENDING
    with pytest.raises(Problem) as refused:
        read_purchase(draft(), "b1")
    assert (refused.value.code, refused.value.status) == ("purchase_not_found", 404)


def test_the_newest_page_of_a_purchase() -> None:
    """0 before the first."""
    assert replace(PENDING, versions=(3, 5)).newest_version() == 5
    assert PENDING.newest_version() == 0


# ---------------------------------------------------------------- stored form


def test_the_next_poll_is_stored_under_its_old_name() -> None:
    """`look_at`: a field that was once stored keeps its name for ever, whatever the code calls it."""
    stored = replace(PENDING, poll_at=5).to_map()
    assert stored["look_at"] == 5
    assert "poll_at" not in stored
    assert purchase_from_map(stored).poll_at == 5


NEWER = {
    "a capture": replace(PENDING, checkouts=(opened_checkout(captures=1),)),
    "a refund by its id": replace(PENDING, payments={"pay1": PaymentFacts(amount=2, refunds_by_id={"re_1": 1})}),
    "something unclear": replace(PENDING, payments={"pay1": PaymentFacts(amount=2, unclear={"what": 0})}),
    "a dispute lost in part": replace(
        PENDING, payments={"pay1": PaymentFacts(amount=2, disputes={"d1": Dispute(amount=2, ended="lost", lost=1)})}
    ),
    "a doubt settled": replace(PENDING, decisions=(Decision(what="keep", actor="platform", doubts=("what",)),)),
}


@pytest.mark.parametrize("purchase", NEWER.values(), ids=NEWER)
def test_a_purchase_is_written_in_the_oldest_form_that_holds_it(purchase: Purchase) -> None:
    """A release that would not heed what is new in it must not write it, and may write every other one."""
    assert PENDING.to_map()["form"] == 2
    assert purchase.to_map()["form"] == Purchase.FORM == 3
    assert replace(purchase_from_map(purchase.to_map()), unknown={}) == purchase


def test_a_map_has_no_order() -> None:
    """Which payment was told first stands beside them."""
    first, second = PaymentFacts(amount=1), PaymentFacts(amount=2)
    stored = replace(PENDING, payments={"pay2": first, "pay1": second}).to_map()
    stored["payments"] = dict(sorted(stored["payments"].items()))
    assert list(purchase_from_map(stored).payments.items()) == [("pay2", first), ("pay1", second)]


FIRST_FORM: dict[str, tuple[Purchase, dict[str, Any]]] = {
    "one that never reached its provider": (
        replace(PENDING, checkouts=(opened_checkout(reference=None, return_url="https://back"),)),
        {"status": "pending", "provider": "stripe", "return_url": "https://back"},
    ),
    "one that can be paid": (
        replace(PENDING, checkouts=(opened_checkout(redirect_url="https://pay"),)),
        {"status": "pending", "checkout": True, "provider_reference": "ref", "redirect_url": "https://pay"},
    ),
    "one that is paid another way": (
        replace(PENDING, checkouts=(opened_checkout(), opened_checkout(2, reference="ref2", provider="paypal"))),
        {"status": "pending", "provider": "paypal", "provider_reference": "ref2"},
    ),
    "one that was declined": (replace(PENDING, declines={"pay1": 1}), {"status": "declined"}),
    "one that waits": (waiting(), {"status": "review", "payment_id": "pay1", "review_reason": "wrong amount"}),
    "one that was refused": (
        decided(waiting(refunds=1), "refuse", reason="why"),
        {"status": "canceled", "refused": True, "review_reason": "why", "payment_id": "pay1", "refunded": 1},
    ),
    "one that was paid": (paid(), {"status": "credited", "payment_id": "pay1"}),
    "one that was refunded in part": (
        replace(paid(refunds=1500, failed={"r1": 500}), clawed_back=2500),
        {"status": "credited", "refunded": 1000, "clawed_back": 2500},
    ),
    "one that is disputed": (
        replace(paid(disputes=disputes((500, "lost"), (1000, None))), clawed_back=1250, frozen=2500),
        {"status": "disputed", "dispute": "open", "dispute_id": "d2", "lost": 500, "clawed_back": 1250, "frozen": 2500},
    ),
    "one that was charged back": (
        paid(disputes=disputes((500, "lost"), (1000, "lost"))),
        {"status": "charged_back", "dispute": "lost", "dispute_id": "d2", "lost": 1500},
    ),
    "one whose dispute was won": (
        paid(disputes=disputes((500, "won"))),
        {"status": "credited", "dispute": "won", "dispute_id": "d1"},
    ),
    "one that was free": (FREE, {"status": "credited"}),
}
DECIDES = {
    *("status", "provider", "checkout", "provider_reference", "redirect_url", "return_url", "payment_id"),
    *("review_reason", "refused", "refunded", "lost", "dispute_id", "dispute", "clawed_back", "frozen"),
}
ALWAYS = {"checkout", "provider", "provider_reference", "payment_id"}


@pytest.mark.parametrize(("purchase", "fields"), FIRST_FORM.values(), ids=FIRST_FORM)
def test_what_the_release_before_decides_by_is_written_on(purchase: Purchase, fields: dict[str, Any]) -> None:
    """It reads these fields instead of the facts, and an absent one as false, zero or unknown."""
    stored = purchase.to_map()
    assert fields.items() <= stored.items()
    assert {"status"} <= DECIDES & stored.keys() <= fields.keys() | ALWAYS
    assert purchase_from_map(json.loads(json.dumps(stored))) == replace(purchase, unknown={"form": 2})


def test_nothing_of_the_first_form_is_believed_once_there_are_facts() -> None:
    """It is what an older release shows, and no more."""
    stored = paid(refunds=4000).to_map()
    wrong = {**stored, "status": "pending", "refunded": 1, "lost": 9, "refused": True, "payment_id": "other"}
    assert purchase_from_map(wrong) == purchase_from_map(stored)


# ---------------------------------------------------------------- lists


def test_a_purchase_is_listed_by_its_creation() -> None:
    """Each account has its own list, in one shard."""
    assert paid().listings() == (Listing(PURCHASES, NOW_MS, "b1"),)
    assert (PURCHASES.index, PURCHASES.shards, PURCHASES.shared) == ("by_creation", 1, False)


def test_a_purchase_that_is_to_be_polled_is_listed_by_when() -> None:
    """The purchases of all accounts share one list, spread over 8 shards."""
    polled = replace(PENDING, poll_at=NOW_MS + 2 * MINUTE)
    assert polled.listings()[1:] == (Listing(DUE_PURCHASES, NOW_MS + 2 * MINUTE, "b1"),)
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
    assert RECORDS["payment"].FORM == 1

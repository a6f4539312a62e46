"""What payments do to a purchase: it is credited once, however it becomes known that it was paid.

Refunds and disputes take back their share, and no more.
"""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocredits.domain.decide import Command, Done, Draft, NotYet
from autocredits.domain.errors import Problem
from autocredits.domain.money import MAX_BALANCE
from autocredits.domain.purchases.calls import PurchaseRequest
from autocredits.domain.purchases.fulfil import PaymentEventType
from autocredits.domain.purchases.record import Payment, Purchase
from autocredits.domain.records import Record, RecordKey
from tests.kit.builders import ACCOUNT_ID, CATALOG, NOW_MS, Account, adjust, idempotency, page_of, state_of
from tests.kit.purchases import FREE, Shop, fulfil

KEY = ("purchase", "b1")


def credited(**values: Any) -> Shop:
    """A shop whose 100 credits were paid for."""
    shop = Shop()
    shop.start(**values)
    assert shop.event("paid", shop.purchase().price) == "credited"
    return shop


# ---------------------------------------------------------------- paid


@pytest.mark.parametrize("package", CATALOG.packages, ids=lambda package: package.name)
def test_every_package_is_credited_in_full(package: Any) -> None:
    """Its credits are there once its price is paid."""
    shop = Shop()
    shop.start(request=PurchaseRequest(package=package.name))
    assert shop.event("paid", package.price) == "credited"
    assert shop.balance() == (FREE + package.credits, 0)


def test_a_load_goes_to_the_managed_balance() -> None:
    """A load of 100.00 costs 100.00 and is there as US dollars."""
    shop = credited(request=PurchaseRequest(amount=10_000))
    assert (shop.balance("managed"), shop.kinds()) == ((10_000, 0), ["loaded"])


def test_a_payment_is_credited_once_however_often_it_is_reported() -> None:
    """A hundred repetitions change nothing."""
    shop = Shop()
    shop.start()
    assert [shop.event("paid") for _ in range(100)] == ["credited"] + ["nothing"] * 99
    assert shop.balance() == (FREE + 10_000, 0)


def test_a_payment_is_credited_whatever_the_standing_is_by_then() -> None:
    """Money that was taken is credited, even to a closed account without the add-on."""
    shop = Shop()
    shop.start()
    shop.set_standing(status="closed", orders_processor="inactive")
    assert shop.event("paid") == "credited"


@pytest.mark.parametrize("before", ["declined", "canceled", "expired"])
def test_a_payment_that_succeeds_after_all_is_credited(before: str) -> None:
    """Declined, canceled and expired are not the end."""
    shop = Shop()
    shop.start()
    assert shop.event(before) == before
    assert shop.event("paid") == "credited"


def test_an_event_for_a_purchase_that_is_not_there_is_refused() -> None:
    """404 `purchase_not_found`, after 404 `account_not_found`."""
    assert Shop().refusal(fulfil("paid")).code == "purchase_not_found"
    assert Account().refusal(fulfil("paid")).code == "account_not_found"


@pytest.mark.parametrize("event_type", ["paid", "declined", "canceled"])
def test_an_event_before_the_checkout_waits(event_type: str) -> None:
    """Until the provider's answer is recorded, the purchase's start is still under way."""
    shop = Shop()
    shop.start(checkout_too=False)
    with pytest.raises(NotYet):
        shop.event(event_type)


def test_a_purchase_that_never_reached_the_checkout_may_expire() -> None:
    """Nobody will ever record the provider's answer."""
    shop = Shop()
    shop.start(checkout_too=False)
    assert shop.event("expired", payment_id=None) == "expired"


# ---------------------------------------------------------------- not paid


def test_a_declined_payment_is_explained_in_the_journal() -> None:
    """An entry of 0.00 tells the merchant why."""
    shop = Shop()
    shop.start()
    shop.event("declined")
    (entry,) = shop.page().entries
    assert (entry.kind, entry.reason, shop.balance()) == ("declined", "because", (FREE, 0))


@pytest.mark.parametrize("event_type", ["canceled", "expired"])
def test_a_payment_that_never_came_enters_nothing(event_type: str) -> None:
    """Only the purchase's status changes."""
    shop = Shop()
    shop.start()
    assert shop.event(event_type, payment_id=None) == event_type
    assert (shop.kinds(), shop.purchase().status) == ([], event_type)


@pytest.mark.parametrize("event_type", ["declined", "canceled", "expired"])
def test_a_failure_reported_after_the_payment_changes_nothing(event_type: str) -> None:
    """It comes late: the purchase is credited."""
    shop = credited()
    assert shop.event(event_type) == "nothing"
    assert shop.purchase().status == "credited"


# ---------------------------------------------------------------- put aside, for a person


@pytest.mark.parametrize(("amount", "currency"), [(3989, "USD"), (3991, "USD"), (3990, "EUR"), (0, "USD")])
def test_a_wrong_payment_waits_for_a_person(amount: int, currency: str) -> None:
    """Nothing is credited for another amount or currency, not even by the right payment afterwards."""
    shop = Shop()
    shop.start()
    assert shop.event("paid", amount, currency=currency) == "put_aside"
    assert shop.event("paid") == "nothing"
    purchase = shop.purchase()
    assert (purchase.status, purchase.review_reason) == ("review", "wrong amount or currency")
    assert shop.balance() == (FREE, 0)


@pytest.mark.parametrize(("room", "status"), [(10_000, "credited"), (9_999, "review")])
def test_a_payment_that_would_pass_the_limit_waits_for_a_person(room: int, status: str) -> None:
    """One hundredth too much is put in review; just as much as there is room for is credited."""
    shop = Shop()
    shop.start()
    shop.do(adjust("auto_order", MAX_BALANCE - FREE - room))
    shop.event("paid")
    assert (shop.purchase().status, shop.purchase().payment_id) == (status, "pay1")


def test_a_payment_belongs_to_the_purchase_it_was_first_seen_with() -> None:
    """With another purchase it is put aside."""
    shop = credited()
    shop.start("b2")
    assert shop.event("paid", purchase_id="b2") == "put_aside"
    assert shop.purchase("b2").status == "pending"


def test_a_purchase_is_not_paid_twice() -> None:
    """A second payment for a credited purchase is put aside."""
    shop = credited()
    assert shop.event("paid", payment_id="pay2") == "put_aside"
    assert shop.balance() == (FREE + 10_000, 0)


def test_the_payment_that_paid_is_the_one_that_can_be_refunded() -> None:
    """An attempt that was declined before has another id, and its events change nothing any more."""
    shop = Shop()
    shop.start()
    shop.event("declined", payment_id="pay1")
    shop.event("paid", payment_id="pay2")
    assert shop.event("paid", payment_id="pay2") == "nothing"
    assert shop.event("declined", payment_id="pay1") == "nothing"
    shop.event("refunded", 3990, payment_id="pay2")
    assert shop.balance() == (FREE, 0)


# ---------------------------------------------------------------- coupons


@pytest.mark.parametrize("event_type", ["declined", "canceled", "expired"])
def test_a_failed_payment_gives_one_use_of_the_coupon_back(event_type: str) -> None:
    """Of two uses one is left; a later success counts it again, once."""
    shop = Shop()
    shop.make_coupon(percent_off=1000)
    shop.start(coupon="C")
    shop.start("b2", coupon="C")
    shop.event(event_type)
    assert (shop.coupon_uses(), shop.purchase().coupon_counted) == ((1, 1), False)
    shop.event("paid", 3591)
    assert (shop.coupon_uses(), shop.purchase().coupon_counted) == ((2, 2), True)
    shop.event("refunded", 1)
    assert shop.coupon_uses() == (2, 2)


def test_bonus_credits_are_granted_and_clawed_back_with_the_rest() -> None:
    """100 credits and 10 more for 39.90: a refund of half takes 55 back."""
    shop = Shop()
    shop.make_coupon(bonus_credits=1000)
    shop.start(coupon="C")
    shop.event("paid")
    assert shop.balance() == (FREE + 11_000, 0)
    shop.event("refunded", 1995)
    assert shop.balance() == (FREE + 5500, 0)


# ---------------------------------------------------------------- refunds and disputes


def test_a_refund_takes_its_share_half_up_on_the_sum() -> None:
    """1333 of 3990 cents are 33.41 of 100 credits; 2666 in all are 66.82; a smaller sum that comes late changes nothing."""
    shop = credited()
    taken = []
    for refunded in (1333, 2666, 1333, 3990):
        shop.event("refunded", refunded)
        taken.append(FREE + 10_000 - shop.balance()[0])
    assert taken == [3341, 6682, 6682, 10_000]
    assert shop.purchase().status == "refunded"


def test_a_refund_may_take_the_balance_below_zero() -> None:
    """What was spent is owed."""
    shop = credited()
    shop.do(adjust("auto_order", -9000))
    shop.event("refunded", 3990)
    assert shop.balance() == (FREE - 9000, 0)


@pytest.mark.parametrize(("end", "posted"), [("dispute_won", FREE + 1000), ("dispute_lost", FREE - 9000)])
def test_a_dispute_freezes_what_is_still_available(end: str, posted: int) -> None:
    """Won, it is free again; lost, it is gone, and what was spent is owed."""
    shop = credited()
    shop.do(adjust("auto_order", -9000))
    shop.event("dispute_created")
    assert shop.balance() == (FREE + 1000, FREE + 1000)
    shop.event(end)
    assert shop.balance() == (posted, 0)


def test_a_lost_dispute_takes_its_share_alone() -> None:
    """10.00 of 39.90 are 25.06 of 100 credits."""
    shop = credited()
    shop.event("dispute_created", 1000)
    assert shop.balance() == (FREE + 10_000, 2506)
    shop.event("dispute_lost", 1000)
    assert shop.balance() == (FREE + 10_000 - 2506, 0)


def test_a_refund_of_a_disputed_payment_is_not_frozen_as_well() -> None:
    """A refund settles an inquiry: what is gone is no longer held, so other credits stay free."""
    shop = credited()
    shop.event("dispute_created")
    shop.event("refunded", 1995)
    assert shop.balance() == (FREE + 5000, 5000)
    shop.event("refunded", 3990)
    assert shop.balance() == (FREE, 0)


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [("dispute_lost", "dispute_won", "charged_back"), ("dispute_won", "dispute_lost", "credited")],
)
def test_of_two_ends_of_a_dispute_the_first_counts(first: str, second: str, status: str) -> None:
    """A contradicting end changes nothing any more."""
    shop = credited()
    shop.event("dispute_created")
    shop.event(first)
    before = shop.balance()
    assert shop.event(second) == "nothing"
    assert (shop.purchase().status, shop.balance()) == (status, before)


EVENTS: list[tuple[PaymentEventType, int]] = [
    ("paid", 3990),
    ("declined", 3990),
    ("refunded", 1000),
    ("refunded", 2000),
]
ENDINGS: list[list[tuple[PaymentEventType, int]]] = [
    [],
    [("dispute_created", 3990), ("dispute_won", 3990)],
    [("dispute_created", 3990), ("dispute_lost", 3990)],
]


@settings(max_examples=300)
@given(st.data(), st.sampled_from(ENDINGS), st.integers(0, 10_000))
def test_no_order_of_events_changes_the_outcome(
    data: st.DataObject, ending: list[tuple[PaymentEventType, int]], spent: int
) -> None:
    """Repeated and in any order: granted once, the refunded share gone, nothing frozen after the dispute has ended."""
    shop = Shop()
    shop.start()
    events = EVENTS + ending
    waiting = list(data.draw(st.permutations(events + data.draw(st.lists(st.sampled_from(events), max_size=6)))))
    spend_after = data.draw(st.integers(0, len(waiting)))
    for _ in range(200):  # an event that comes too early comes again, but not for ever
        if not waiting:
            break
        event_type, amount = waiting.pop(0)
        try:
            shop.event(event_type, amount)
        except NotYet:
            waiting.append((event_type, amount))
        if len(waiting) == spend_after and spent:
            try:
                shop.do(adjust("auto_order", -spent, idempotency("spend")))  # once, whenever it first fits
            except Problem:
                spent = 0
    assert not waiting
    lost = ("dispute_lost", 3990) in ending
    taken = 10_000 if lost else 5013  # 2000 of 3990 cents, half up
    purchase = shop.purchase()
    spent = 0 if "adjusted" not in shop.kinds() else spent
    assert shop.balance() == (FREE + 10_000 - taken - spent, 0)
    assert (purchase.clawed_back, purchase.frozen, purchase.refunded) == (taken, 0, 2000)
    assert shop.kinds().count("purchased") == 1
    assert purchase.status == ("charged_back" if lost else "credited")


# ---------------------------------------------------------------- refunds and disputes, decided on a draft

PAID = Purchase(
    purchase_id="b1",
    package="auto_order-100",
    unit="auto_order",
    credits=9000,
    bonus_credits=1000,
    price=4000,
    payment_method="paypal",
    provider="paypal",
    checkout=True,
    status="credited",
    payment_id="pay1",
    created_at=NOW_MS,
    updated_at=NOW_MS,
    versions=(3,),
    rev=5,
)


def draft_of(purchase: Purchase, records: dict[RecordKey, Record] | None = None, *, available: int = 50_000) -> Draft:
    """The draft of an account that has the purchase, and so much available."""
    known: dict[RecordKey, Record] = {("payment", "paypal#pay1"): payment_of(purchase), KEY: purchase}
    state = state_of(available + purchase.frozen, held=purchase.frozen)
    return Draft(ACCOUNT_ID, page_of(state), {**known, **(records or {})}, CATALOG, NOW_MS)


def payment_of(purchase: Purchase, account_id: str = ACCOUNT_ID) -> Payment:
    """The record of its payment."""
    return Payment(provider="paypal", payment_id="pay1", account_id=account_id, purchase_id=purchase.purchase_id)


def after(purchase: Purchase, command: Command, *, available: int = 50_000) -> tuple[str, dict[str, Any], list[Any]]:
    """What came of the command, which fields of the purchase it changed, and its entries."""
    draft = draft_of(purchase, available=available)
    done = command.decide(draft)
    now = draft.get(KEY, Purchase)
    assert now is not None
    changed = {name: value for name, value in now.to_map().items() if purchase.to_map().get(name) != value}
    changed |= dict.fromkeys(purchase.to_map().keys() - now.to_map().keys())
    for name in ("rev", "versions"):
        changed.pop(name, None)
    for one in draft.entries:
        assert (one.actor, one.reason, one.purchase_id, one.unit) == ("payments:paypal", "because", "b1", "auto_order")
    return done.did, changed, [(one.kind, one.posted, one.held) for one in draft.entries]


DISPUTED = replace(PAID, status="disputed", dispute="open", dispute_id="d1", frozen=10_000)


STORIES: dict[str, tuple[Purchase, Command, int, tuple[str, dict[str, Any], list[Any]]]] = {
    "a refund of a quarter": (
        PAID,
        fulfil("refunded", 1000),
        50_000,
        ("credited", {"refunded": 1000, "clawed_back": 2500}, [("clawed_back", -2500, 0)]),
    ),
    "a refund of all": (
        PAID,
        fulfil("refunded", 4000),
        50_000,
        ("refunded", {"refunded": 4000, "clawed_back": 10_000, "status": "refunded"}, [("clawed_back", -10_000, 0)]),
    ),
    "a refund of more than all": (
        PAID,
        fulfil("refunded", 5000),
        50_000,
        ("refunded", {"refunded": 5000, "clawed_back": 10_000, "status": "refunded"}, [("clawed_back", -10_000, 0)]),
    ),
    "a refund of all but a cent": (
        PAID,
        fulfil("refunded", 3999),
        50_000,
        ("credited", {"refunded": 3999, "clawed_back": 9998}, [("clawed_back", -9998, 0)]),
    ),
    "a second refund": (
        replace(PAID, refunded=1000, clawed_back=2500),
        fulfil("refunded", 2000),
        50_000,
        ("credited", {"refunded": 2000, "clawed_back": 5000}, [("clawed_back", -2500, 0)]),
    ),
    "the same refund": (
        replace(PAID, refunded=1000, clawed_back=2500),
        fulfil("refunded", 1000),
        50_000,
        ("nothing", {}, []),
    ),
    "a smaller refund": (
        replace(PAID, refunded=1000, clawed_back=2500),
        fulfil("refunded", 999),
        50_000,
        ("nothing", {}, []),
    ),
    "a refund of nothing for nothing": (replace(PAID, price=0), fulfil("refunded", 0), 50_000, ("nothing", {}, [])),
    "a refund that owes no more": (
        replace(PAID, refunded=1000, clawed_back=2501),
        fulfil("refunded", 1000 + 0),
        50_000,
        ("nothing", {}, []),
    ),
    "a refund below one hundredth": (
        replace(PAID, credits=1, bonus_credits=0),
        fulfil("refunded", 1999),
        50_000,
        ("credited", {"refunded": 1999}, []),
    ),
    "a refund in review": (
        replace(PAID, status="review"),
        fulfil("refunded", 4000),
        50_000,
        ("refunded", {"refunded": 4000, "status": "refunded"}, []),
    ),
    "a refund of a refused purchase": (
        replace(PAID, status="canceled", refused=True),
        fulfil("refunded", 4000),
        50_000,
        ("canceled", {"refunded": 4000}, []),
    ),
    "a refund while it is disputed": (
        DISPUTED,
        fulfil("refunded", 1000),
        50_000,
        (
            "disputed",
            {"refunded": 1000, "clawed_back": 2500, "frozen": 7500},
            [("released", 0, -2500), ("clawed_back", -2500, 0)],
        ),
    ),
    "a small refund of what is little frozen": (
        replace(DISPUTED, frozen=2000),
        fulfil("refunded", 1000),
        50_000,
        ("disputed", {"refunded": 1000, "clawed_back": 2500}, [("clawed_back", -2500, 0)]),
    ),
    "a dispute": (
        PAID,
        fulfil("dispute_created", 4000, dispute_id="d1"),
        50_000,
        (
            "disputed",
            {"status": "disputed", "dispute": "open", "dispute_id": "d1", "frozen": 10_000},
            [("held", 0, 10_000)],
        ),
    ),
    "a dispute of a part": (
        PAID,
        fulfil("dispute_created", 1000, dispute_id="d1"),
        50_000,
        (
            "disputed",
            {"status": "disputed", "dispute": "open", "dispute_id": "d1", "frozen": 2500},
            [("held", 0, 2500)],
        ),
    ),
    "a dispute when little is left": (
        PAID,
        fulfil("dispute_created", 4000, dispute_id="d1"),
        1,
        ("disputed", {"status": "disputed", "dispute": "open", "dispute_id": "d1", "frozen": 1}, [("held", 0, 1)]),
    ),
    "a dispute when nothing is left": (
        PAID,
        fulfil("dispute_created", 4000, dispute_id="d1"),
        0,
        ("disputed", {"status": "disputed", "dispute": "open", "dispute_id": "d1"}, []),
    ),
    "a dispute below zero": (
        PAID,
        fulfil("dispute_created", 4000, dispute_id="d1"),
        -5,
        ("disputed", {"status": "disputed", "dispute": "open", "dispute_id": "d1"}, []),
    ),
    "a dispute after a refund and a lost one": (
        replace(PAID, refunded=400, lost=800, clawed_back=3000, dispute="lost", dispute_id="d1", status="charged_back"),
        fulfil("dispute_created", 1200, dispute_id="d2"),
        50_000,
        (
            "disputed",
            {"status": "disputed", "dispute": "open", "dispute_id": "d2", "frozen": 3000},
            [("held", 0, 3000)],
        ),
    ),
    "a dispute while one is open": (
        DISPUTED,
        fulfil("dispute_created", 1, dispute_id="d2"),
        50_000,
        ("nothing", {}, []),
    ),
    "a dispute that has been won": (
        replace(PAID, dispute="won", dispute_id="d1"),
        fulfil("dispute_created", 4000, dispute_id="d1"),
        50_000,
        ("nothing", {}, []),
    ),
    "a dispute that has been lost": (
        replace(PAID, dispute="lost", dispute_id="d1", status="charged_back"),
        fulfil("dispute_created", 4000, dispute_id="d1"),
        50_000,
        ("nothing", {}, []),
    ),
    "a dispute in review": (
        replace(PAID, status="review"),
        fulfil("dispute_created", 4000, dispute_id="d1"),
        50_000,
        ("nothing", {}, []),
    ),
    "a dispute that is won": (
        DISPUTED,
        fulfil("dispute_won", dispute_id="d1"),
        50_000,
        ("credited", {"status": "credited", "dispute": "won", "frozen": None}, [("released", 0, -10_000)]),
    ),
    "a dispute that is won under another id": (
        DISPUTED,
        fulfil("dispute_won", dispute_id="d2"),
        50_000,
        (
            "credited",
            {"status": "credited", "dispute": "won", "dispute_id": "d2", "frozen": None},
            [("released", 0, -10_000)],
        ),
    ),
    "a dispute that is won after a refund of all": (
        replace(DISPUTED, refunded=4000, clawed_back=10_000, frozen=0),
        fulfil("dispute_won", dispute_id="d1"),
        50_000,
        ("refunded", {"status": "refunded", "dispute": "won"}, []),
    ),
    "a dispute that is won after a refund of a part": (
        replace(DISPUTED, refunded=3999, clawed_back=9998, frozen=2),
        fulfil("dispute_won", dispute_id="d1"),
        50_000,
        ("credited", {"status": "credited", "dispute": "won", "frozen": None}, [("released", 0, -2)]),
    ),
    "a dispute that is lost": (
        DISPUTED,
        fulfil("dispute_lost", 4000, dispute_id="d1"),
        50_000,
        (
            "charged_back",
            {"status": "charged_back", "dispute": "lost", "lost": 4000, "clawed_back": 10_000, "frozen": None},
            [("released", 0, -10_000), ("clawed_back", -10_000, 0)],
        ),
    ),
    "a second dispute that is lost": (
        replace(DISPUTED, dispute_id="d2", lost=1000, clawed_back=2500, frozen=2500),
        fulfil("dispute_lost", 1000, dispute_id="d3"),
        50_000,
        (
            "charged_back",
            {
                "status": "charged_back",
                "dispute": "lost",
                "dispute_id": "d3",
                "lost": 2000,
                "clawed_back": 5000,
                "frozen": None,
            },
            [("released", 0, -2500), ("clawed_back", -2500, 0)],
        ),
    ),
    "a second end of the same dispute": (
        replace(PAID, dispute="won", dispute_id="d1"),
        fulfil("dispute_lost", 4000, dispute_id="d1"),
        50_000,
        ("nothing", {}, []),
    ),
    "an end in review": (
        replace(PAID, status="review"),
        fulfil("dispute_lost", 4000, dispute_id="d1"),
        50_000,
        ("nothing", {}, []),
    ),
}


@pytest.mark.parametrize(("purchase", "command", "available", "story"), STORIES.values(), ids=STORIES)
def test_what_refunds_and_disputes_do(purchase: Purchase, command: Command, available: int, story: Any) -> None:
    """The outcome, the fields that change and the entries are these and no others."""
    assert after(purchase, command, available=available) == story


@pytest.mark.parametrize("event_type", ["refunded", "dispute_created", "dispute_won", "dispute_lost"])
@pytest.mark.parametrize("status", ["pending", "declined", "canceled", "expired"])
def test_what_is_taken_back_waits_for_the_payment(event_type: str, status: str) -> None:
    """Until the payment is known, the event is sent again."""
    with pytest.raises(NotYet):
        fulfil(event_type).decide(draft_of(replace(PAID, status=status)))


@pytest.mark.parametrize("event_type", ["paid", "refunded", "dispute_created", "dispute_won", "dispute_lost"])
def test_another_payment_of_a_credited_purchase_is_put_aside(event_type: str) -> None:
    """Only the payment that paid can be taken back; a second one is for a person to settle."""
    draft = draft_of(PAID)
    assert fulfil(event_type, payment_id="pay2").decide(draft) == Done(did="put_aside")
    assert draft.changed == {}


@pytest.mark.parametrize("event_type", ["declined", "canceled", "expired"])
def test_another_payment_that_failed_changes_nothing(event_type: str) -> None:
    """The purchase is credited; the other payment is remembered as its own."""
    draft = draft_of(PAID)
    assert fulfil(event_type, payment_id="pay2").decide(draft) == Done(did="nothing")
    assert list(draft.changed) == [("payment", "paypal#pay2")]


def test_a_refund_in_another_currency_is_put_aside() -> None:
    """Shares are of US dollars; a dispute's currency is not looked at yet (docs/contract.md, section 5)."""
    assert fulfil("refunded", 1000, currency="EUR").decide(draft_of(PAID)) == Done(did="put_aside")
    assert fulfil("dispute_created", 1000, currency="EUR").decide(draft_of(PAID)).did == "disputed"


@pytest.mark.parametrize(
    "payment",
    [payment_of(PAID, "other"), replace(payment_of(PAID), purchase_id="b2")],
    ids=["of another account", "of another purchase"],
)
def test_a_payment_that_is_another_purchases_is_put_aside(payment: Payment) -> None:
    """The first purchase that it was seen with keeps it."""
    purchase = replace(PAID, status="pending", payment_id=None)
    draft = draft_of(purchase, {("payment", "paypal#pay1"): payment})
    assert fulfil("paid", 4000).decide(draft) == Done(did="put_aside")
    assert draft.changed == {}


def test_an_event_without_a_payment_id_keeps_the_one_that_is_known() -> None:
    """A refund that names none is one of the payment that paid."""
    assert after(PAID, fulfil("refunded", 1000, payment_id=None))[0] == "credited"


@pytest.mark.parametrize(("amount", "status"), [(4000, "credited"), (3999, "review")])
def test_the_payment_that_came_last_is_the_purchases_own(amount: int, status: str) -> None:
    """After a first payment was declined, what is refunded later is the second."""
    declined = replace(PAID, status="declined", payment_id="pay1")
    draft = draft_of(declined)
    fulfil("paid", amount, payment_id="pay2").decide(draft)
    purchase = draft.get(KEY, Purchase)
    assert purchase is not None
    assert (purchase.status, purchase.payment_id) == (status, "pay2")


def test_a_payment_beyond_the_limit_is_the_purchases_own() -> None:
    """That too replaces one that was declined."""
    draft = draft_of(replace(PAID, status="declined"), available=100_000_000_000)
    fulfil("paid", 4000, payment_id="pay2").decide(draft)
    purchase = draft.get(KEY, Purchase)
    assert purchase is not None
    assert (purchase.status, purchase.payment_id) == ("review", "pay2")

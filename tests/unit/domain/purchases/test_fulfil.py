"""What payment events do to a purchase: they add facts, and whatever the facts owe is entered, once.

However it becomes known that a purchase was paid, it is credited once; refunds and disputes take back their share and
no more.
"""

import json
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from autocredits.domain.decide import Command, Done, Draft, NotYet
from autocredits.domain.errors import Problem
from autocredits.domain.journal import Entered
from autocredits.domain.money import MAX_BALANCE
from autocredits.domain.purchases.calls import PurchaseRequest, SettleAgain
from autocredits.domain.purchases.coupons import Coupon, CouponUse
from autocredits.domain.purchases.facts import MAX_CHECKOUTS, MAX_FACTS, Checkout, Decision, Dispute, PaymentFacts
from autocredits.domain.purchases.fulfil import NOT_LOST, REFUND_FAILED, as_entered, put_purchase, settle
from autocredits.domain.purchases.record import Payment, Purchase
from autocredits.domain.records import Record, RecordKey
from tests.kit.builders import ACCOUNT_ID, CATALOG, NOW_MS, Account, adjust, page_of, state_of
from tests.kit.purchases import CREDITS, FREE, PRICE, Shop, begin, fulfil

KEY = ("purchase", "b1")
MINUTE = 60_000

REFUND = "refunded"
DISPUTE = "dispute_created"
WON = "dispute_won"
LOST = "dispute_lost"
FAILED = "refund_failed"
BEFALLS = [REFUND, FAILED, DISPUTE, WON, LOST]
EVERY = ["paid", "declined", "expired", *BEFALLS]


def pending(**values: Any) -> Shop:
    """A shop whose 100 credits can be paid for."""
    shop = Shop()
    shop.start(**values)
    return shop


def credited(**values: Any) -> Shop:
    """A shop whose 100 credits were paid for."""
    shop = pending(**values)
    assert shop.event("paid", shop.purchase().price) == "credited"
    return shop


def in_review(amount: int = 4000) -> Shop:
    """A shop whose 100 credits were paid for with another amount."""
    shop = pending()
    assert shop.event("paid", amount) == "put_aside"
    return shop


def stands(shop: Shop) -> tuple[str, int, int]:
    """How the purchase stands, and what is posted and held beside the free credits."""
    posted, held = shop.balance()
    return shop.status(), posted - FREE, held


# ---------------------------------------------------------------- paid


@pytest.mark.parametrize("package", CATALOG.packages, ids=lambda package: package.name)
def test_every_package_is_credited_in_full(package: Any) -> None:
    """Its credits are there once its price is paid."""
    shop = pending(request=PurchaseRequest(package=package.name))
    assert shop.event("paid", package.price) == "credited"
    assert shop.balance() == (FREE + package.credits, 0)


def test_a_load_goes_to_the_managed_balance() -> None:
    """A load of 100.00 costs 100.00 and is there as US dollars."""
    shop = credited(request=PurchaseRequest(amount=10_000))
    assert (shop.balance("managed"), shop.kinds()) == ((10_000, 0), ["loaded"])


def test_a_payment_is_credited_once_however_often_it_is_told() -> None:
    """A hundred repetitions change nothing."""
    shop = pending()
    assert [shop.event("paid") for _ in range(100)] == ["credited"] + ["nothing"] * 99
    assert stands(shop) == ("credited", CREDITS, 0)


def test_a_payment_is_credited_whatever_the_standing_is_by_then() -> None:
    """Money that was taken is credited, even to a closed account without the add-on."""
    shop = pending()
    shop.set_standing(status="closed", orders_processor="inactive")
    assert shop.event("paid") == "credited"


@pytest.mark.parametrize("before", ["declined", "expired", "canceled"])
def test_a_payment_that_succeeds_after_all_is_credited(before: str) -> None:
    """Declined, expired and canceled are not the end."""
    shop = pending()
    did = shop.cancel() if before == "canceled" else shop.event(before)
    assert (did, shop.status()) == (before, before)
    assert shop.event("paid") == "credited"
    assert stands(shop) == ("credited", CREDITS, 0)


@pytest.mark.parametrize("number", [1, 2, 3, None])
def test_money_counts_whichever_checkout_it_came_through(number: int | None) -> None:
    """The open one, one that was closed, or none that the provider names."""
    shop = pending()
    shop.pay_otherwise()
    shop.pay_otherwise()
    assert shop.event("paid", checkout=number, provider="stripe") == "credited"


def test_an_event_for_a_purchase_that_is_not_there_is_refused() -> None:
    """404 `purchase_not_found`, after 404 `account_not_found`."""
    assert Shop().refusal(fulfil("paid")).code == "purchase_not_found"
    assert Account().refusal(fulfil("paid")).code == "account_not_found"


# ---------------------------------------------------------------- too early


@pytest.mark.parametrize("event_type", [one for one in EVERY if one != "expired"])
def test_an_event_before_the_checkout_waits(event_type: str) -> None:
    """Until the provider's answer is recorded, the purchase's start is still under way."""
    shop = pending(checkout_too=False)
    with pytest.raises(NotYet):
        shop.event(event_type)


@pytest.mark.parametrize(("number", "waits"), [(None, True), (1, False), (2, True), (7, True)])
def test_an_event_of_an_earlier_checkout_does_not_wait_for_the_next(number: int | None, waits: bool) -> None:  # noqa: FBT001 - a table's cell
    """Only news of the checkout whose start is under way waits, and news that names none we know of."""
    shop = pending()
    shop.do(begin())
    if waits:
        with pytest.raises(NotYet):
            shop.event("paid", checkout=number)
    else:
        assert shop.event("paid", checkout=number) == "credited"
        assert shop.event("declined", payment_id="pay2") == "nothing"


def test_a_purchase_that_never_reached_the_checkout_may_expire() -> None:
    """Nobody will ever record the provider's answer."""
    shop = pending(checkout_too=False)
    assert shop.event("expired", payment_id=None, checkout=1) == "expired"


@pytest.mark.parametrize("event_type", BEFALLS)
@pytest.mark.parametrize("before", ["pending", "declined", "expired", "canceled", "review"])
def test_what_befalls_a_payment_waits_for_the_payment(event_type: str, before: str) -> None:
    """Until the payment is known, the event is sent again."""
    shop = in_review() if before == "review" else pending()
    if before in ("declined", "expired"):
        shop.event(before)
    if before == "canceled":
        shop.cancel()
    assert shop.status() == before
    with pytest.raises(NotYet):
        shop.event(event_type, payment_id="pay2")


# ---------------------------------------------------------------- not paid


def test_a_declined_payment_is_explained_in_the_journal() -> None:
    """An entry of 0.00 tells the merchant why."""
    shop = pending()
    shop.event("declined")
    (entry,) = shop.page().entries
    assert (entry.kind, entry.reason, entry.unit, stands(shop)) == (
        "declined",
        "because",
        "auto_order",
        ("declined", 0, 0),
    )


def test_a_decline_is_told_once() -> None:
    """By the payment's id; another payment that is declined is told as well."""
    shop = pending()
    assert [shop.event("declined") for _ in range(3)] == ["declined", "nothing", "nothing"]
    assert shop.event("declined", payment_id="pay2") == "declined"
    assert shop.event("declined", payment_id=None) == "declined"
    assert shop.event("declined", payment_id=None) == "nothing"
    assert shop.kinds() == ["declined"] * 3
    assert dict(shop.purchase().declines) == {"pay1": 1, "pay2": 1, "checkout 1": 1}


def test_a_decline_counts_only_for_the_open_checkout() -> None:
    """One that is told late of an earlier checkout changes no status."""
    shop = pending()
    assert shop.event("declined") == "declined"
    shop.pay_otherwise()
    assert shop.status() == "pending"
    assert shop.event("declined", payment_id="pay2", checkout=1) == "pending"
    assert shop.event("declined", payment_id="pay3", checkout=2) == "declined"
    shop.pay_otherwise()
    assert shop.event("declined", payment_id="pay4") == "declined"
    assert dict(shop.purchase().declines) == {"pay1": 1, "pay2": 1, "pay3": 2, "pay4": 3}


def test_an_expiry_counts_only_for_the_open_checkout() -> None:
    """A session that was closed for the next one may say so whenever it likes."""
    shop = pending()
    shop.pay_otherwise()
    assert shop.event("expired", payment_id=None, checkout=1) == "pending"
    assert shop.event("expired", payment_id=None, checkout=2) == "expired"
    assert shop.event("expired", payment_id=None, checkout=2) == "nothing"
    assert shop.kinds() == []


def test_an_expiry_that_names_no_checkout_ends_the_purchase() -> None:
    """Nothing is entered."""
    shop = pending()
    assert shop.event("expired", payment_id=None) == "expired"
    assert (shop.kinds(), shop.purchase().expired) == ([], True)


@pytest.mark.parametrize("event_type", ["declined", "expired"])
@pytest.mark.parametrize("payment_id", ["pay1", "pay2", None])
def test_a_failure_told_after_the_payment_changes_nothing(event_type: str, payment_id: str | None) -> None:
    """It comes late: the purchase is credited, and nothing is written."""
    shop = credited()
    before = shop.purchase()
    assert shop.event(event_type, payment_id=payment_id, checkout=1) == "nothing"
    assert (shop.purchase(), shop.kinds()) == (before, ["purchased"])


# ---------------------------------------------------------------- put aside, for a person


@pytest.mark.parametrize("amount", [1, 3989, 3991, 400_000])
def test_a_payment_of_another_amount_waits_for_a_person(amount: int) -> None:
    """Nothing is credited."""
    shop = in_review(amount)
    assert stands(shop) == ("review", 0, 0)
    assert shop.purchase().payments == {"pay1": PaymentFacts(amount=amount, waits_for="wrong amount")}
    assert shop.event("paid", amount) == "nothing"


@pytest.mark.parametrize("event_type", ["paid", *BEFALLS])
@pytest.mark.parametrize("currency", ["EUR", "JPY", "usd"])
@pytest.mark.parametrize("shop", [pending, credited, in_review])
@pytest.mark.parametrize("payment_id", ["pay1", "pay2"])
def test_money_in_another_currency_is_put_aside(event_type: str, currency: str, shop: Any, payment_id: str) -> None:
    """Whatever the news: nothing is written, nothing moves, and nobody sends it again."""
    before: Shop = shop()
    stood = (stands(before), before.purchase(), before.page())
    assert before.event(event_type, 3990, currency=currency, payment_id=payment_id, dispute_id="d1") == "put_aside"
    assert (stands(before), before.purchase(), before.page()) == stood
    assert before.store.read(ACCOUNT_ID, [("payment", "paypal#pay2")]) == {}


def test_a_payment_of_nothing_is_put_aside() -> None:
    """It is no payment, and so is one without an id."""
    shop = pending()
    assert shop.event("paid", 0) == "put_aside"
    assert shop.event("paid", payment_id=None) == "put_aside"
    assert stands(shop) == ("pending", 0, 0)


@pytest.mark.parametrize(("room", "status"), [(10_000, "credited"), (9_999, "review")])
def test_a_payment_that_would_pass_the_limit_waits_for_a_person(room: int, status: str) -> None:
    """One hundredth too much is put in review; just as much as there is room for is credited."""
    shop = pending()
    shop.do(adjust("auto_order", MAX_BALANCE - FREE - room))
    shop.event("paid")
    assert shop.status() == status
    why = "the balance would exceed its limit"
    assert shop.purchase().payments["pay1"].waits_for == (None if status == "credited" else why)


def test_the_right_payment_is_credited_beside_one_that_waits() -> None:
    """The first with the right amount pays; the other still waits for a person, and is settled without it."""
    shop = in_review()
    assert shop.event("paid", payment_id="pay2") == "review"
    assert (stands(shop), shop.purchase().paid_by) == (("review", CREDITS, 0), "pay2")
    assert shop.event("refunded", 4000) == "credited"
    assert stands(shop) == ("credited", CREDITS, 0)


def test_a_payment_belongs_to_the_purchase_it_was_first_seen_with() -> None:
    """Told again with another purchase, it is put aside, whatever is told of it."""
    shop = credited()
    shop.start("b2")
    for event_type in ("paid", "declined", *BEFALLS):
        assert shop.event(event_type, purchase_id="b2") == "put_aside"
    assert shop.status("b2") == "pending"


@pytest.mark.parametrize("owner", [("other", "b1"), (ACCOUNT_ID, "b2")], ids=["another account", "another purchase"])
@pytest.mark.parametrize("event_type", ["paid", "declined", *BEFALLS])
def test_a_payment_of_somebody_else_is_put_aside(event_type: str, owner: tuple[str, str]) -> None:
    """The first purchase that it was seen with keeps it, and nothing is written."""
    payment = Payment(provider="paypal", payment_id="pay1", account_id=owner[0], purchase_id=owner[1])
    draft = draft_of(UNPAID, {payment.key(): payment})
    assert fulfil(event_type, 4000).decide(draft) == Done(did="put_aside", record=UNPAID)
    assert (draft.changed, draft.entries) == ({}, ())


def test_another_provider_may_use_the_same_id() -> None:
    """Payments are named by provider and id."""
    payment = Payment(provider="stripe", payment_id="pay1", account_id="other", purchase_id="b9")
    assert fulfil("paid", 4000).decide(draft_of(UNPAID, {payment.key(): payment})).did == "credited"


@pytest.mark.parametrize("event_type", ["paid", *BEFALLS])
def test_a_second_payment_and_what_befalls_it_never_touches_the_first(event_type: str) -> None:
    """It is put aside: a person has to give the money back."""
    shop = credited()
    before = shop.purchase()
    for amount in (PRICE, 1):
        assert shop.event(event_type, amount, payment_id="pay2", dispute_id="d1") == "put_aside"
    assert (stands(shop), shop.purchase()) == (("credited", CREDITS, 0), before)


def test_the_payment_that_paid_is_the_one_that_can_be_refunded() -> None:
    """An attempt that was declined before has another id, and what is told of it changes nothing any more."""
    shop = pending()
    shop.event("declined", payment_id="pay1")
    shop.event("paid", payment_id="pay2")
    assert shop.event("paid", payment_id="pay2") == "nothing"
    assert shop.event("declined", payment_id="pay1") == "nothing"
    shop.event("refunded", 3990, payment_id="pay2")
    assert stands(shop) == ("refunded", 0, 0)


def test_after_a_refused_review_every_payment_is_put_aside() -> None:
    """What is told of the refused one is still noted, and moves nothing."""
    shop = in_review()
    assert shop.review("refuse") == "canceled"
    for event_type in ("paid", *BEFALLS):
        assert shop.event(event_type, payment_id="pay2") == "put_aside"
    assert [shop.event("paid", 4000), shop.event(REFUND, 4000)] == ["nothing", "canceled"]
    assert (stands(shop), shop.purchase().payments["pay1"].refunds) == (("canceled", 0, 0), 4000)


def test_a_free_purchase_has_no_payment() -> None:
    """Whatever is said of one is put aside, or comes late."""
    shop = Shop()
    shop.make_coupon(percent_off=10_000, max_uses=1)
    assert shop.start(coupon="C").did == "credited"
    before = shop.purchase()
    for event_type in ("paid", *BEFALLS):
        assert shop.event(event_type, 3990) == "put_aside"
    for event_type in ("declined", "expired"):
        assert shop.event(event_type) == "nothing"
    assert (stands(shop), shop.purchase()) == (("credited", CREDITS, 0), before)


# ---------------------------------------------------------------- coupons


def with_coupon(**terms: Any) -> Shop:
    """A shop with two purchases of the coupon `C`; the first costs 35.91."""
    shop = Shop()
    shop.make_coupon(percent_off=1000, **terms)
    shop.start(coupon="C")
    shop.start("b2", coupon="C")
    assert shop.coupon_uses() == (2, 2)
    return shop


LIMITS = pytest.mark.parametrize("limits", [{}, {"max_uses": 2}, {"max_uses_per_account": 2}], ids=str)


@LIMITS
def test_a_decline_keeps_the_coupons_use(limits: dict[str, int]) -> None:
    """The buyer may still pay, or pay another way."""
    shop = with_coupon(**limits)
    shop.event("declined")
    assert (shop.coupon_uses(), shop.purchase().coupon_counted) == ((2, 2), True)
    shop.event("paid", 3591)
    assert (shop.coupon_uses(), shop.purchase().coupon_counted) == ((2, 2), True)


@LIMITS
def test_an_expiry_gives_one_use_of_the_coupon_back(limits: dict[str, int]) -> None:
    """Of two uses one is left; a later payment counts it again, once, and a refund leaves it counted."""
    shop = with_coupon(**limits)
    for _ in range(2):
        shop.event("expired", payment_id=None)
        assert (shop.coupon_uses(), shop.purchase().coupon_counted) == ((1, 1), False)
    for _ in range(2):
        shop.event("paid", 3591)
        assert (shop.coupon_uses(), shop.purchase().coupon_counted) == ((2, 2), True)
    shop.event(REFUND, 3591)
    assert (shop.status(), shop.coupon_uses()) == ("refunded", (2, 2))


@pytest.mark.parametrize("limits", [{"max_uses": 1}, {"max_uses_per_account": 1}], ids=str)
def test_a_payment_that_comes_all_the_same_is_counted_beyond_the_limit(limits: dict[str, int]) -> None:
    """Its use was given back and used by another purchase meanwhile; both were paid, and both are counted."""
    shop = Shop()
    shop.make_coupon(percent_off=1000, **limits)
    shop.start(coupon="C")
    shop.event("expired", payment_id=None)
    shop.start("b2", coupon="C")
    assert shop.event("paid", 3591) == "credited"
    assert shop.coupon_uses() == (2, 2)


def test_a_payment_in_review_that_all_goes_back_gives_the_use_back() -> None:
    """It is `canceled`; if its refund fails, it waits again and is counted again."""
    shop = with_coupon()
    shop.event("paid", 1)
    assert (shop.status(), shop.coupon_uses()) == ("review", (2, 2))
    shop.event(REFUND, 1)
    assert (shop.status(), shop.coupon_uses()) == ("canceled", (1, 1))
    shop.event(FAILED, 1)
    assert (shop.status(), shop.coupon_uses()) == ("review", (2, 2))


def test_bonus_credits_are_granted_and_clawed_back_with_the_rest() -> None:
    """100 credits and 10 more for 39.90: a refund of half takes 55 back."""
    shop = Shop()
    shop.make_coupon(bonus_credits=1000)
    shop.start(coupon="C")
    shop.event("paid")
    assert stands(shop) == ("credited", 11_000, 0)
    shop.event(REFUND, 1995)
    assert stands(shop) == ("credited", 5500, 0)


# ---------------------------------------------------------------- the cases of the issue "Buying, from facts"


def test_a_refund_beyond_the_price_of_a_payment_in_review_takes_nothing() -> None:
    """Price 39.90, paid 50.00, refunded 39.90, then 50.00 in all: nothing was granted, so 5.00 stay."""
    shop = in_review(5000)
    assert shop.event(REFUND, 3990) == "review"
    assert shop.event(REFUND, 5000) == "canceled"
    assert (stands(shop), shop.balance(), shop.kinds()) == (("canceled", 0, 0), (500, 0), [])


def test_a_payment_that_was_half_refunded_in_review_is_half_credited() -> None:
    """Paid 40.00, refunded 20.00, then credited by hand: 50 of 100 credits."""
    shop = in_review(4000)
    shop.event(REFUND, 2000)
    assert shop.review("credit") == "credited"
    assert (stands(shop), shop.kinds()) == (("credited", 5000, 0), ["purchased", "clawed_back"])


def test_a_payment_that_was_lost_in_review_cannot_be_credited() -> None:
    """A dispute was opened and lost whole, then credited by hand: 409 `invalid_transition`."""
    shop = in_review(4000)
    shop.event(DISPUTE, 4000, dispute_id="d1")
    assert shop.event(LOST, 4000, dispute_id="d1") == "canceled"
    with pytest.raises(Problem, match="invalid_transition"):
        shop.review("credit")
    assert stands(shop) == ("canceled", 0, 0)


def test_the_end_of_an_earlier_dispute_told_again_takes_nothing_twice() -> None:
    """d1 lost 10.00, d2 lost 10.00, d1's end told again: 54.87 of 105.00 are left."""
    shop = credited()
    for dispute_id in ("d1", "d2", "d1"):
        shop.event(LOST, 1000, dispute_id=dispute_id)
    assert (shop.balance(), shop.status()) == ((5487, 0), "charged_back")


def test_a_dispute_that_is_won_does_not_hide_one_that_was_lost() -> None:
    """d1 lost in full, d2 opened and won: `charged_back`, and none of its credits left."""
    shop = credited()
    shop.event(LOST, PRICE, dispute_id="d1")
    shop.event(DISPUTE, 1000, dispute_id="d2")
    shop.event(WON, 1000, dispute_id="d2")
    assert stands(shop) == ("charged_back", 0, 0)


def test_a_dispute_in_another_currency_moves_nothing() -> None:
    """15.96 EUR disputed, 39.90 JPY lost: both put aside, and the purchase stays `credited`."""
    shop = credited()
    assert shop.event(DISPUTE, 1596, dispute_id="d1", currency="EUR") == "put_aside"
    assert shop.event(LOST, 3990, dispute_id="d2", currency="JPY") == "put_aside"
    assert (stands(shop), dict(shop.purchase().payments["pay1"].disputes)) == (("credited", CREDITS, 0), {})


def test_a_refund_that_failed_gives_its_credits_back() -> None:
    """39.90 refunded, then `refund.failed` for it: the credits are there again, and the entry says why."""
    shop = credited()
    shop.event(REFUND, 3990)
    assert shop.event(FAILED, 3990, refund_id="re_1") == "credited"
    assert shop.event(FAILED, 3990, refund_id="re_1") == "nothing"
    (entry,) = shop.page().entries
    assert (entry.kind, entry.posted, entry.reason) == ("purchased", CREDITS, REFUND_FAILED)
    assert stands(shop) == ("credited", CREDITS, 0)


def test_a_dispute_whose_end_is_never_told_is_settled_by_hand() -> None:
    """It is asked for daily, and a person's decision gives the frozen credits free or takes them."""
    for decision, after in (("dispute_won", ("credited", CREDITS, 0)), ("dispute_lost", ("charged_back", 0, 0))):
        shop = credited()
        shop.event(DISPUTE, PRICE, dispute_id="d1")
        assert stands(shop) == ("disputed", CREDITS, CREDITS)
        assert shop.purchase().poll_at == shop.clock.at_ms + 24 * 60 * MINUTE
        shop.review(decision)
        assert (stands(shop), shop.purchase().poll_at) == (after, None)


def test_a_dispute_that_a_refund_prevented_is_over() -> None:
    """All was refunded while it was open; then it counts as won: `refunded`."""
    shop = credited()
    shop.event(DISPUTE, PRICE, dispute_id="d1")
    assert shop.event(REFUND, PRICE) == "disputed"
    assert shop.event(WON, PRICE, dispute_id="d1") == "refunded"
    assert stands(shop) == ("refunded", 0, 0)


def test_five_declined_sessions_do_not_make_five_uses_of_one_coupon() -> None:
    """Once per account: a decline gives nothing back, so the second session never starts."""
    shop = Shop()
    shop.make_coupon(percent_off=1000, max_uses_per_account=1)
    shop.start(coupon="C")
    shop.event("declined", payment_id="pay1")
    for purchase_id in ("b2", "b3", "b4", "b5"):
        with pytest.raises(Problem, match="coupon_invalid"):
            shop.start(purchase_id, coupon="C")
    assert shop.event("paid", 3591) == "credited"
    assert shop.coupon_uses() == (1, 1)


def test_a_card_that_was_declined_does_not_end_the_polls() -> None:
    """Another card paid in the same session and its webhook was lost: the scheduled poll still comes, and credits."""
    shop = pending()
    shop.event("declined", payment_id="pay1")
    assert shop.purchase().poll_at == shop.clock.at_ms + 2 * MINUTE
    assert shop.event("paid", payment_id="pay2") == "credited"
    assert stands(shop) == ("credited", CREDITS, 0)


# ---------------------------------------------------------------- refunds and disputes


def test_a_refund_takes_its_share_half_up_on_the_sum() -> None:
    """1333 of 3990 cents are 33.41 of 100 credits; 2666 in all are 66.82; a smaller sum told late changes nothing."""
    shop = credited()
    taken = []
    for refunded in (1333, 2666, 1333, 3990):
        shop.event(REFUND, refunded)
        taken.append(CREDITS - stands(shop)[1])
    assert taken == [3341, 6682, 6682, 10_000]
    assert shop.status() == "refunded"


def test_a_refund_may_take_the_balance_below_zero() -> None:
    """What was spent is owed."""
    shop = credited()
    shop.do(adjust("auto_order", -9000))
    shop.event(REFUND, 3990)
    assert shop.balance() == (FREE - 9000, 0)


@pytest.mark.parametrize(("end", "posted"), [(WON, FREE + 1000), (LOST, FREE - 9000)])
def test_a_dispute_freezes_what_is_still_available(end: str, posted: int) -> None:
    """Won, it is free again; lost, it is gone, and what was spent is owed."""
    shop = credited()
    shop.do(adjust("auto_order", -9000))
    shop.event(DISPUTE)
    assert shop.balance() == (FREE + 1000, FREE + 1000)
    shop.event(end)
    assert shop.balance() == (posted, 0)


def test_what_becomes_available_later_is_frozen_with_the_next_fact() -> None:
    """News that adds no fact moves nothing, however much is available by then."""
    shop = credited()
    shop.do(adjust("auto_order", -10_500))
    shop.event(DISPUTE, PRICE, dispute_id="d1")
    assert stands(shop) == ("disputed", -500, 0)
    shop.do(adjust("auto_order", 4000))
    assert shop.event(DISPUTE, PRICE, dispute_id="d1") == "nothing"
    assert stands(shop) == ("disputed", 3500, 0)
    shop.event(DISPUTE, 1, dispute_id="d2")
    assert stands(shop) == ("disputed", 3500, 4000)


def test_a_lost_dispute_takes_its_share_alone() -> None:
    """10.00 of 39.90 are 25.06 of 100 credits."""
    shop = credited()
    shop.event(DISPUTE, 1000)
    assert stands(shop) == ("disputed", CREDITS, 2506)
    shop.event(LOST, 1000)
    assert stands(shop) == ("charged_back", CREDITS - 2506, 0)


def test_a_refund_of_a_disputed_payment_is_not_frozen_as_well() -> None:
    """A refund settles an inquiry: what is gone is no longer held, so other credits stay free."""
    shop = credited()
    shop.event(DISPUTE)
    shop.event(REFUND, 1995)
    assert stands(shop) == ("disputed", 5000, 5000)
    shop.event(REFUND, 3990)
    assert stands(shop) == ("disputed", 0, 0)


@pytest.mark.parametrize("ends", [(WON, LOST), (LOST, WON)], ids=str)
def test_of_two_ends_of_a_dispute_the_loss_counts(ends: tuple[str, str]) -> None:
    """In whichever order they are told."""
    shop = credited()
    shop.event(DISPUTE)
    for end in (*ends, *ends):
        shop.event(end)
    assert stands(shop) == ("charged_back", 0, 0)


@pytest.mark.parametrize("order", list(permutations([1000, 2000, 1500])), ids=str)
def test_a_disputes_amount_may_be_updated(order: tuple[int, ...]) -> None:
    """The greatest that was told is at stake: 20.00 of 39.90 are 50.13 of 100 credits."""
    shop = credited()
    for amount in order:
        shop.event(DISPUTE, amount, dispute_id="d1")
    assert stands(shop) == ("disputed", CREDITS, 5013)
    shop.event(WON, 1000, dispute_id="d1")
    assert stands(shop) == ("credited", CREDITS, 0)


def test_each_dispute_stands_for_itself() -> None:
    """Two open ones freeze both shares; one that ends gives its own free."""
    shop = credited()
    shop.event(DISPUTE, 1000, dispute_id="d1")
    shop.event(DISPUTE, 2000, dispute_id="d2")
    assert stands(shop) == ("disputed", CREDITS, 7519)
    shop.event(WON, 1000, dispute_id="d1")
    assert stands(shop) == ("disputed", CREDITS, 5013)
    shop.event(LOST, 2000, dispute_id="d2")
    assert stands(shop) == ("charged_back", CREDITS - 5013, 0)


def test_what_names_no_id_of_its_own_is_named_by_its_payment() -> None:
    """A dispute, or a failed refund, of which the provider tells no id."""
    shop = credited()
    shop.event(REFUND, 100)
    shop.event(DISPUTE, 5)
    shop.event(FAILED, 20)
    payment = shop.purchase().payments["pay1"]
    assert (dict(payment.disputes), dict(payment.failed)) == ({"pay1": Dispute(amount=5)}, {"pay1": 20})


def test_a_provider_may_tell_refunds_and_their_failures_together() -> None:
    """A poll brings the sum and the refunds that failed, by their ids; the greatest amount of each counts."""
    shop = credited()
    assert shop.event(REFUND, 3990, failed=(("re_1", 1000), ("re_2", 500))) == "credited"
    assert dict(shop.purchase().payments["pay1"].failed) == {"re_1": 1000, "re_2": 500}
    assert stands(shop) == ("credited", CREDITS - 6241, 0)
    assert shop.event(FAILED, 900, refund_id="re_1") == "nothing"
    assert shop.event(REFUND, 3000, failed=(("re_2", 500),)) == "nothing"


@pytest.mark.parametrize(("room", "given", "owed"), [(10_000, 10_000, 0), (9_999, 9_999, 1), (0, 0, 10_000)])
def test_credits_come_back_as_far_as_the_balance_has_room(room: int, given: int, owed: int) -> None:
    """The rest comes with the next fact that finds room."""
    shop = credited()
    shop.event(REFUND, 3990)
    shop.do(adjust("auto_order", MAX_BALANCE - FREE - room))
    assert shop.event(FAILED, 3990, refund_id="re_1") == "credited"
    assert (shop.balance(), shop.purchase().clawed_back) == ((MAX_BALANCE - room + given, 0), owed)
    shop.do(adjust("auto_order", -50_000))
    shop.event(DISPUTE, 0, dispute_id="d1")
    assert (shop.balance()[0], shop.purchase().clawed_back) == (MAX_BALANCE - room + 10_000 - 50_000, 0)


def test_a_balance_that_is_beyond_its_room_already_is_left_alone() -> None:
    """What comes back is never less than nothing."""
    draft = draft_of(paid(refunds=4000, failed={"r1": 4000}, clawed_back=10_000), available=MAX_BALANCE + 1)
    fulfil(DISPUTE, 0, dispute_id="d1").decide(draft)
    assert draft.entries == ()


def test_a_providers_win_after_a_hands_loss_gives_the_credits_back() -> None:
    """The provider's word beats a person's, and the entry says why."""
    shop = credited()
    shop.event(DISPUTE, PRICE, dispute_id="d1")
    shop.review("dispute_lost")
    assert stands(shop) == ("charged_back", 0, 0)
    assert shop.event(WON, PRICE, dispute_id="d1") == "credited"
    (entry,) = shop.page().entries
    assert (entry.kind, entry.posted, entry.reason) == ("purchased", CREDITS, NOT_LOST)
    assert stands(shop) == ("credited", CREDITS, 0)


def test_a_providers_loss_after_a_hands_win_takes_the_credits() -> None:
    """The provider's word beats a person's."""
    shop = credited()
    shop.event(DISPUTE, PRICE, dispute_id="d1")
    shop.review("dispute_won")
    assert shop.event(LOST, PRICE, dispute_id="d1") == "charged_back"
    assert stands(shop) == ("charged_back", 0, 0)


# ---------------------------------------------------------------- one event, decided on a draft

UNPAID = Purchase(
    purchase_id="b1",
    package="auto_order-100",
    unit="auto_order",
    credits=9000,
    bonus_credits=1000,
    price=4000,
    payment_method="paypal",
    checkouts=(Checkout(number=1, payment_method="paypal", provider="paypal", started_at=NOW_MS, reference="ref"),),
    created_at=NOW_MS,
    updated_at=NOW_MS,
    versions=(3,),
    rev=5,
)


def paid(*, clawed_back: int = 0, frozen: int = 0, waits_for: str | None = None, **facts: Any) -> Purchase:
    """The purchase after its payment of 40.00, with these facts of it, and what was entered for them."""
    payments = {"pay1": PaymentFacts(amount=4000, waits_for=waits_for, **facts)}
    purchase = replace(UNPAID, payments=payments, clawed_back=clawed_back, frozen=frozen)
    return purchase if waits_for else replace(purchase, paid_by="pay1", granted=True)


def draft_of(purchase: Purchase, records: dict[RecordKey, Record] | None = None, *, available: int = 50_000) -> Draft:
    """The draft of an account that has the purchase, and so much available."""
    state = state_of(available + purchase.frozen, held=purchase.frozen)
    return Draft(ACCOUNT_ID, page_of(state), {KEY: purchase, **(records or {})}, CATALOG, NOW_MS)


def after(purchase: Purchase, command: Command, *, available: int = 50_000) -> tuple[str, list[tuple[str, int, int]]]:
    """What came of the command, and its entries, which the purchase remembers."""
    draft = draft_of(purchase, available=available)
    done = command.decide(draft)
    now = draft.get(KEY, Purchase)
    assert now is not None
    assert done == Done(did=done.did, first=0, count=len(draft.entries), record=now)
    for one in draft.entries:
        assert (one.actor, one.purchase_id, one.unit) == ("payments:paypal", "b1", "auto_order")
        assert one.reason == (REFUND_FAILED if one.kind == "purchased" else "because")
    assert now.clawed_back - purchase.clawed_back == -sum(one.posted for one in draft.entries)
    assert now.frozen - purchase.frozen == sum(one.held for one in draft.entries)
    return done.did, [(one.kind, one.posted, one.held) for one in draft.entries]


OPEN = {"d1": Dispute(amount=4000)}
DISPUTED = paid(disputes=OPEN, frozen=10_000)
RELEASED, TAKEN = ("released", 0, -10_000), ("clawed_back", -10_000, 0)

STORIES: dict[str, tuple[Purchase, Command, int, tuple[str, list[tuple[str, int, int]]]]] = {
    "a refund of a quarter": (paid(), fulfil(REFUND, 1000), 50_000, ("credited", [("clawed_back", -2500, 0)])),
    "a refund of all": (paid(), fulfil(REFUND, 4000), 50_000, ("refunded", [TAKEN])),
    "a refund of more than all": (paid(), fulfil(REFUND, 5000), 50_000, ("refunded", [TAKEN])),
    "a refund of all but a cent": (paid(), fulfil(REFUND, 3999), 50_000, ("credited", [("clawed_back", -9998, 0)])),
    "a second refund": (
        paid(refunds=1000, clawed_back=2500),
        fulfil(REFUND, 2000),
        50_000,
        ("credited", [("clawed_back", -2500, 0)]),
    ),
    "the same refund": (paid(refunds=1000, clawed_back=2500), fulfil(REFUND, 1000), 50_000, ("nothing", [])),
    "a smaller refund": (paid(refunds=1000, clawed_back=2500), fulfil(REFUND, 999), 50_000, ("nothing", [])),
    "a refund of nothing": (paid(), fulfil(REFUND, 0), 50_000, ("nothing", [])),
    "a refund below one hundredth": (
        replace(paid(), credits=1, bonus_credits=0),
        fulfil(REFUND, 1999),
        50_000,
        ("credited", []),
    ),
    "a refund of one hundredth": (
        replace(paid(), credits=1, bonus_credits=0),
        fulfil(REFUND, 2000),
        50_000,
        ("credited", [("clawed_back", -1, 0)]),
    ),
    "a refund in review": (paid(waits_for="x"), fulfil(REFUND, 1000), 50_000, ("review", [])),
    "a refund of all in review": (paid(waits_for="x"), fulfil(REFUND, 4000), 50_000, ("canceled", [])),
    "a refund of a refused purchase": (
        replace(paid(waits_for="x"), decisions=(Decision(what="refuse", actor="me"),)),
        fulfil(REFUND, 4000),
        50_000,
        ("canceled", []),
    ),
    "a refund while it is disputed": (
        DISPUTED,
        fulfil(REFUND, 1000),
        50_000,
        ("disputed", [("released", 0, -2500), ("clawed_back", -2500, 0)]),
    ),
    "a small refund of what is little frozen": (
        paid(disputes=OPEN, frozen=2000),
        fulfil(REFUND, 1000),
        0,
        ("disputed", [("clawed_back", -2500, 0)]),
    ),
    "a small refund of what is little frozen, when more is available": (
        paid(disputes=OPEN, frozen=2000),
        fulfil(REFUND, 1000),
        50_000,
        ("disputed", [("clawed_back", -2500, 0), ("held", 0, 5500)]),
    ),
    "a refund that failed": (
        paid(refunds=4000, clawed_back=10_000),
        fulfil(FAILED, 1000, refund_id="r1"),
        50_000,
        ("credited", [("purchased", 2500, 0)]),
    ),
    "a refund that failed and is not told yet": (paid(), fulfil(FAILED, 1000, refund_id="r1"), 50_000, ("credited", [])),
    "a refund that failed while it is disputed": (
        paid(refunds=4000, clawed_back=10_000, disputes=OPEN),
        fulfil(FAILED, 1000, refund_id="r1"),
        -1000,
        ("disputed", [("purchased", 2500, 0), ("held", 0, 1500)]),
    ),
    "a dispute": (paid(), fulfil(DISPUTE, 4000, dispute_id="d1"), 50_000, ("disputed", [("held", 0, 10_000)])),
    "a dispute of a part": (paid(), fulfil(DISPUTE, 1000, dispute_id="d1"), 50_000, ("disputed", [("held", 0, 2500)])),
    "a dispute of one hundredth": (
        replace(paid(), credits=1, bonus_credits=0),
        fulfil(DISPUTE, 2000, dispute_id="d1"),
        50_000,
        ("disputed", [("held", 0, 1)]),
    ),
    "a dispute when little is left": (
        paid(),
        fulfil(DISPUTE, 4000, dispute_id="d1"),
        3,
        ("disputed", [("held", 0, 3)]),
    ),
    "a dispute when nothing is left": (paid(), fulfil(DISPUTE, 4000, dispute_id="d1"), 0, ("disputed", [])),
    "a dispute when less than nothing is left": (paid(), fulfil(DISPUTE, 4000, dispute_id="d1"), -5, ("disputed", [])),
    "a dispute after a refund": (
        paid(refunds=3000, clawed_back=7500),
        fulfil(DISPUTE, 4000, dispute_id="d1"),
        50_000,
        ("disputed", [("held", 0, 2500)]),
    ),
    "a dispute in review": (paid(waits_for="x"), fulfil(DISPUTE, 4000, dispute_id="d1"), 50_000, ("review", [])),
    "the same dispute": (DISPUTED, fulfil(DISPUTE, 4000, dispute_id="d1"), 50_000, ("nothing", [])),
    "a dispute while one is open": (
        paid(disputes={"d1": Dispute(amount=1000)}, frozen=2500),
        fulfil(DISPUTE, 1000, dispute_id="d2"),
        50_000,
        ("disputed", [("held", 0, 2500)]),
    ),
    "a dispute that has been won": (
        paid(disputes={"d1": Dispute(amount=4000, ended="won")}),
        fulfil(DISPUTE, 4000, dispute_id="d1"),
        50_000,
        ("nothing", []),
    ),
    "a dispute that has been lost": (
        paid(disputes={"d1": Dispute(amount=4000, ended="lost")}, clawed_back=10_000),
        fulfil(DISPUTE, 4000, dispute_id="d1"),
        50_000,
        ("nothing", []),
    ),
    "a dispute that is won": (DISPUTED, fulfil(WON, 4000, dispute_id="d1"), 50_000, ("credited", [RELEASED])),
    "a dispute that is won under another id": (DISPUTED, fulfil(WON, 4000, dispute_id="d2"), 50_000, ("disputed", [])),
    "a dispute that is won after a refund of all": (
        paid(refunds=4000, clawed_back=10_000, disputes=OPEN),
        fulfil(WON, 4000, dispute_id="d1"),
        50_000,
        ("refunded", []),
    ),
    "a dispute that is lost": (DISPUTED, fulfil(LOST, 4000, dispute_id="d1"), 50_000, ("charged_back", [RELEASED, TAKEN])),
    "a dispute that is lost for less than was at stake": (
        paid(disputes={"d1": Dispute(amount=1000)}, frozen=2500),
        fulfil(LOST, 900, dispute_id="d1"),
        50_000,
        ("charged_back", [("released", 0, -2500), ("clawed_back", -2500, 0)]),
    ),
    "a dispute that is lost in review": (
        paid(waits_for="x", disputes=OPEN),
        fulfil(LOST, 4000, dispute_id="d1"),
        50_000,
        ("canceled", []),
    ),
    "a second dispute that is lost": (
        paid(
            disputes={"d1": Dispute(amount=1000, ended="lost"), "d2": Dispute(amount=1000)},
            clawed_back=2500,
            frozen=2500,
        ),
        fulfil(LOST, 1000, dispute_id="d3"),
        50_000,
        ("disputed", [("clawed_back", -2500, 0)]),
    ),
    "an end that has been told": (
        paid(disputes={"d1": Dispute(amount=4000, ended="lost")}, clawed_back=10_000),
        fulfil(WON, 4000, dispute_id="d1"),
        50_000,
        ("nothing", []),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("purchase", "command", "available", "story"), STORIES.values(), ids=STORIES)
def test_what_one_event_does(purchase: Purchase, command: Command, available: int, story: Any) -> None:
    """The outcome and the entries are these and no others."""
    assert after(purchase, command, available=available) == story


def test_each_payment_is_written_once() -> None:
    """The record that says to which purchase it belongs comes with its first fact, and never again."""
    draft = draft_of(UNPAID)
    fulfil("declined", 4000).decide(draft)
    payment = Payment(provider="paypal", payment_id="pay1", account_id=ACCOUNT_ID, purchase_id="b1")
    assert draft.changed == {payment.key(): payment, KEY: draft.records[KEY]}
    known = draft_of(UNPAID, {payment.key(): payment})
    fulfil("paid", 4000).decide(known)
    assert list(known.changed) == [KEY]
    without = draft_of(UNPAID)
    fulfil("expired", payment_id=None).decide(without)
    assert list(without.changed) == [KEY]


def test_news_that_adds_no_fact_writes_nothing() -> None:
    """Neither the purchase nor anything beside it."""
    for purchase, command, _, (did, _) in STORIES.values():
        if did == "nothing":
            draft = draft_of(purchase)
            assert command.decide(draft) == Done(did="nothing", record=purchase)
            assert (draft.changed, draft.entries) == ({}, ())


# ---------------------------------------------------------------- bounds


def crowded(facts: int) -> Purchase:
    """The unpaid purchase with so many facts, most of them declines."""
    return replace(UNPAID, declines={f"card{number}": 1 for number in range(facts - 1)})


@pytest.mark.parametrize("event_type", ["declined", "paid"])
def test_the_hundred_and_first_fact_is_put_aside(event_type: str) -> None:
    """Nothing is written and nothing is entered, not even that a payment was declined."""
    nearly = draft_of(crowded(MAX_FACTS - 1))
    assert fulfil(event_type, 4000).decide(nearly).did == {"paid": "credited"}.get(event_type, event_type)
    assert len(nearly.entries) == 1
    full, draft = crowded(MAX_FACTS), draft_of(crowded(MAX_FACTS))
    assert fulfil(event_type, 4000).decide(draft) == Done(did="put_aside", record=full)
    assert (draft.changed, draft.entries) == ({}, ())


@pytest.mark.parametrize("event", [(REFUND, 1), (FAILED, 1), (DISPUTE, 1)], ids=str)
def test_a_payment_with_a_hundred_facts_takes_no_more(event: tuple[str, int]) -> None:
    """A first refund, a failed one and a dispute are facts; more of a fact that is known is none."""
    purchase = replace(paid(), declines=crowded(MAX_FACTS - 1).declines)
    assert purchase.facts() == MAX_FACTS
    draft = draft_of(purchase)
    assert fulfil(event[0], event[1]).decide(draft).did == "put_aside"
    assert (draft.changed, draft.entries) == ({}, ())


def test_more_of_a_known_fact_still_counts() -> None:
    """A dispute that is known may end, a sum of refunds grow, though there are a hundred facts and a decision."""
    purchase = replace(
        paid(refunds=1, disputes={"d1": Dispute(amount=1000), "d2": Dispute(amount=1000)}, frozen=5000),
        declines=crowded(MAX_FACTS - 5).declines,
        decisions=(Decision(what="dispute_won", actor="me", dispute_id="d2"),),
    )
    assert purchase.facts() == MAX_FACTS
    full = replace(purchase, decisions=(*purchase.decisions, Decision(what="cancel", actor="me")))
    for known in (purchase, full):
        assert fulfil(LOST, 1000, dispute_id="d1").decide(draft_of(known)).did == "charged_back"
        assert fulfil(REFUND, 4000).decide(draft_of(known)).did == "disputed"


def test_twenty_checkouts_leave_room_for_facts() -> None:
    """Each is one fact."""
    shop = pending()
    for _ in range(MAX_CHECKOUTS - 1):
        shop.pay_otherwise()
    assert shop.purchase().facts() == MAX_CHECKOUTS
    assert shop.event("paid") == "credited"


# ---------------------------------------------------------------- settling and writing


def test_a_purchase_is_written_with_its_time_and_its_next_poll() -> None:
    """Each write has a rev of its own and plans the next poll; a page is named only if it holds an entry of it."""
    now_ms = NOW_MS + 3 * MINUTE
    draft = Draft(ACCOUNT_ID, page_of(state_of()), {KEY: UNPAID}, CATALOG, now_ms)
    written = put_purchase(draft, UNPAID, moved=False)
    assert written == replace(UNPAID, rev=6, updated_at=now_ms, poll_at=NOW_MS + 10 * MINUTE)
    assert draft.changed == {KEY: written}
    moved = put_purchase(draft_of(written), replace(written, granted=True), moved=True)
    assert (moved.rev, moved.versions, moved.poll_at) == (7, (3, 8), None)


def test_settling_what_is_settled_enters_nothing() -> None:
    """Entries are the difference to what was entered before; the purchase is written all the same."""
    for purchase in (UNPAID, paid(refunds=1000, clawed_back=2500), DISPUTED, paid(waits_for="x", refunds=1)):
        draft = draft_of(purchase)
        settle(draft, purchase, "me", first=0)
        assert (draft.entries, list(draft.changed)) == ((), [KEY])


def test_settling_forgets_polls_that_failed() -> None:
    """News has come: the provider is polled as if none had."""
    draft = draft_of(replace(UNPAID, poll_failures=3))
    assert settle(draft, replace(UNPAID, poll_failures=3), "me", first=0).poll_failures == 0


def test_a_coupon_is_recounted_only_when_that_changes() -> None:
    """A use that was given back is not given back again, and one that counts is not counted again."""
    coupon, used = Coupon(code="C", percent_off=1000), CouponUse(code="C", uses=1, tallied=1)
    for counted, expired, uses in ((True, False, None), (False, True, None), (True, True, 0), (False, False, 2)):
        purchase = replace(UNPAID, coupon="C", coupon_counted=counted, expired=expired)
        draft = draft_of(purchase, {("coupon", "C"): coupon, ("coupon_use", "C"): used})
        after_all = settle(draft, purchase, "me", first=0)
        assert after_all.coupon_counted is not expired
        written = draft.changed.get(("coupon_use", "C"))
        assert (written.uses if isinstance(written, CouponUse) else None) == uses
    plain = draft_of(replace(UNPAID, coupon_counted=True, expired=True))
    settle(plain, replace(UNPAID, coupon_counted=True, expired=True), "me", first=0)
    assert list(plain.changed) == [KEY]


# ---------------------------------------------------------------- what a restore lost


def restored(shop: Shop, lost: int) -> Purchase:
    """Lose the newest pages, and set the purchase back to what the journal has of it."""
    pages = shop.store.pages[shop.account_id]
    for version in sorted(pages)[len(pages) - lost :]:
        del pages[version]
    return set_back(shop)


def set_back(shop: Shop) -> Purchase:
    """Store the purchase as the journal has it."""
    found = [
        Entered(page.version, index, page.at, entry)
        for page in shop.pages()
        for index, entry in enumerate(page.entries)
        if entry.purchase_id == "b1"
    ]
    purchase = as_entered(shop.purchase(), found, shop.clock.now_ms())
    shop.store.records[shop.account_id, KEY] = json.dumps(purchase.to_map())
    return purchase


def settle_again() -> SettleAgain:
    """What the next poll does of an unsettled purchase."""
    return SettleAgain(purchase_id="b1", actor="system:poll")


def unsettled_cases() -> list[tuple[str, list[tuple[str, int]], int]]:
    """What befell a paid purchase, and how many of the newest pages are lost."""
    return [
        ("its grant", [], 1),
        ("a claw-back", [(REFUND, 1000)], 1),
        ("grant and claw-back", [(REFUND, 1000)], 2),
        ("a claw-back that was given back", [(REFUND, 1000), (FAILED, 1000)], 1),
        ("what a dispute froze", [(DISPUTE, PRICE)], 1),
        ("what was frozen, and taken then", [(DISPUTE, PRICE), (LOST, PRICE)], 1),
        ("what was frozen, and released then", [(DISPUTE, PRICE), (WON, PRICE)], 1),
    ]


@pytest.mark.parametrize(("_what", "befell", "lost"), unsettled_cases())
def test_what_was_lost_is_entered_again_once(_what: str, befell: list[tuple[str, int]], lost: int) -> None:
    """The purchase is due at once, its facts enter what is missing, and then it stands as before."""
    shop = credited()
    for event_type, amount in befell:
        shop.event(event_type, amount)
    before = stands(shop)
    purchase = restored(shop, lost)
    assert (purchase.unsettled, purchase.poll_at) == (True, shop.clock.now_ms())
    assert stands(shop) != before
    assert shop.did(settle_again()) == shop.status()
    assert stands(shop) == before
    assert (shop.did(settle_again()), stands(shop)) == ("nothing", before)
    assert not shop.purchase().unsettled
    assert not shop.purchase().owes()


def test_what_the_journal_has_is_left_as_it_is() -> None:
    """A purchase that lost nothing is not written."""
    shop = credited()
    shop.event(REFUND, 1000)
    before = shop.purchase()
    assert set_back(shop) == before


def test_a_purchase_that_is_older_than_its_grant_is_not_granted_again() -> None:
    """It is credited; the payment becomes known when it is told again, and then what befalls it counts."""
    shop = pending()
    older = json.dumps(shop.purchase().to_map())
    shop.event("paid")
    before = stands(shop)
    shop.store.records[shop.account_id, KEY] = older
    assert set_back(shop).unsettled
    assert stands(shop) == before
    assert shop.did(settle_again()) == "credited"
    with pytest.raises(NotYet):
        shop.event(REFUND, PRICE)
    assert shop.event("paid") == "credited"
    assert stands(shop) == before
    assert shop.purchase().paid_by == "pay1"
    assert shop.event("paid", payment_id="pay2") == "put_aside"
    assert shop.event(REFUND, PRICE) == "refunded"
    assert stands(shop) == ("refunded", 0, 0)


def test_a_payment_becomes_known_again_at_the_limit_of_the_balance() -> None:
    """Its credits are in the balance already."""
    shop = pending()
    older = json.dumps(shop.purchase().to_map())
    shop.event("paid")
    shop.do(adjust("auto_order", MAX_BALANCE - shop.balance()[0]))
    shop.store.records[shop.account_id, KEY] = older
    set_back(shop)
    assert shop.event("paid") == "credited"
    assert shop.balance() == (MAX_BALANCE, 0)


def test_only_an_unsettled_purchase_is_settled_again() -> None:
    """News that adds no fact freezes nothing more, although credits are available again."""
    shop = credited()
    shop.do(adjust("auto_order", -5000))
    shop.event(DISPUTE, PRICE)
    shop.do(adjust("auto_order", 5000))
    before = stands(shop)
    assert shop.did(settle_again()) == "nothing"
    assert stands(shop) == before

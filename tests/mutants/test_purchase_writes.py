"""What buying writes, to the last field: the purchase, its payment, its coupon, and the entries."""

from dataclasses import replace
from typing import Any

import pytest

from autocredits.domain.decide import Command, Done
from autocredits.domain.journal import Entry
from autocredits.domain.money import MAX_BALANCE
from autocredits.domain.purchases.calls import PlanPoll, PurchaseRequest, RefusePayment
from autocredits.domain.purchases.coupons import Coupon, CouponUse
from autocredits.domain.purchases.facts import Checkout, Decision, Dispute, PaymentFacts
from autocredits.domain.purchases.record import Payment, Purchase
from tests.kit.builders import ACCOUNT_ID, adjust, beside
from tests.kit.purchases import Shop, begin, cancel, checkout, fulfil, payment_event, review, start, use_of

MINUTE = 60_000
PAYPAL = "payments:paypal"
SECOND_FORM = {"form": 2}
THIRD_FORM = {"form": 3}


def bought(*commands: Command) -> Shop:
    """A shop, at page 1, whose purchase has begun, after these commands."""
    shop = Shop()
    shop.start()
    for command in commands:
        shop.do(command)
    return shop


def entry(kind: str, actor: str, **values: Any) -> Entry:
    """An entry of the purchase."""
    return Entry(kind=kind, actor=actor, **{"unit": "auto_order", "purchase_id": "b1", **values})


def done_beside(shop: Shop, command: Command) -> tuple[tuple[str, int, int], list[Entry]]:
    """What the command did in a page that another one has begun, and its entries; it tells of the purchase it wrote."""
    done, entries = beside(shop, command)
    assert done == Done(did=done.did, first=done.first, count=len(entries), record=done.record)
    assert isinstance(done.record, Purchase)
    assert replace(done.record, unknown=shop.purchase().unknown) == shop.purchase()
    return (done.did, done.first, done.count), entries


def paid(shop: Shop, **facts: Any) -> dict[str, PaymentFacts]:
    """The payment of the purchase, with these facts of it."""
    return {"pay1": PaymentFacts(**{"amount": shop.purchase().price, **facts})}


# ---------------------------------------------------------------- starting


def test_a_purchase_that_starts_to_the_last_field() -> None:
    """Nothing is granted, the key names the page it was decided on, and a poll is planned."""
    shop = Shop()
    shop.clock.at_ms += 5
    at = shop.clock.at_ms
    done = shop.do(start(return_url="https://back")).done
    first = Checkout(number=1, payment_method="paypal", provider="paypal", started_at=at, return_url="https://back")
    purchase = Purchase(
        purchase_id="b1",
        package="auto_order-100",
        unit="auto_order",
        credits=10_000,
        price=3990,
        payment_method="paypal",
        checkouts=(first,),
        created_at=at,
        updated_at=at,
        poll_at=at + 2 * MINUTE,
        rev=1,
    )
    assert done == Done(did="pending", record=purchase)
    assert shop.purchase() == replace(purchase, unknown=SECOND_FORM)
    key = shop.store.read(ACCOUNT_ID, [("key", "key of b1")])["key", "key of b1"]
    assert key.to_map() == {
        "key": "key of b1",
        "fingerprint": "request of key of b1",
        "version": 1,
        "hash": shop.page().hash,
    }


def test_a_load_that_starts_to_the_last_field() -> None:
    """Dollars for dollars, in `managed`, without a package."""
    shop = Shop()
    shop.do(start(request=PurchaseRequest(amount=2500)))
    purchase = shop.purchase()
    assert (purchase.package, purchase.unit, purchase.credits, purchase.price) == (None, "managed", 2500, 2500)
    shop.do(checkout())
    _, entries = done_beside(shop, fulfil("paid", 2500))
    assert entries == [entry("loaded", PAYPAL, unit="managed", posted=2500, reason="because")]


def test_a_free_purchase_to_the_last_field() -> None:
    """It is credited at once, by the caller under the key, without checkout and poll."""
    shop = Shop()
    shop.make_coupon(percent_off=10_000, max_uses=5)
    done, entries = done_beside(shop, start(coupon="C"))
    assert entries == [entry("purchased", "merchant", posted=10_000, key="key of b1")]
    assert done == ("credited", 1, 1)
    at = shop.page().at
    assert shop.purchase() == Purchase(
        purchase_id="b1",
        package="auto_order-100",
        unit="auto_order",
        credits=10_000,
        price=0,
        discount=3990,
        coupon="C",
        coupon_counted=True,
        payment_method="paypal",
        granted=True,
        versions=(2,),
        created_at=at,
        updated_at=at,
        rev=1,
        unknown=SECOND_FORM,
    )


# ---------------------------------------------------------------- checkouts


def test_a_checkout_to_the_last_field() -> None:
    """The provider's reference and address are kept, and the next poll is planned from now."""
    shop = Shop()
    shop.do(start())
    before = shop.purchase()
    shop.clock.at_ms += 3 * MINUTE
    assert done_beside(shop, checkout()) == (("checkout", 0, 0), [])
    assert shop.purchase() == replace(
        before,
        checkouts=(replace(before.checkouts[0], reference="ref1", redirect_url="https://pay"),),
        updated_at=shop.clock.at_ms,
        poll_at=before.created_at + 10 * MINUTE,
        rev=2,
    )
    recorded = shop.purchase()
    assert done_beside(shop, replace(checkout(), reference="other")) == (("nothing", 0, 0), [])
    assert done_beside(shop, checkout(number=2)) == (("nothing", 0, 0), [])
    assert shop.purchase() == recorded


def test_another_checkout_to_the_last_field() -> None:
    """It is open, by another method, and polls begin again; no page is said to have touched the purchase."""
    shop = bought()
    before = shop.purchase()
    shop.clock.at_ms += 3 * MINUTE
    at = shop.clock.at_ms
    command = begin(return_url="https://back", request_id="r1")
    assert done_beside(shop, command) == (("checkout", 0, 0), [])
    second = Checkout(
        number=2,
        payment_method="card",
        provider="stripe",
        started_at=at,
        return_url="https://back",
        request_id="r1",
    )
    assert shop.purchase() == replace(
        before,
        payment_method="card",
        checkouts=(*before.checkouts, second),
        updated_at=at,
        poll_at=at + 2 * MINUTE,
        rev=3,
    )
    begun = shop.purchase()
    assert done_beside(shop, command) == (("checkout", 0, 0), [])
    assert shop.purchase() == begun


def test_a_poll_to_the_last_field() -> None:
    """The next one is planned, and no page is said to have touched the purchase."""
    shop = bought()
    before = shop.purchase()
    shop.clock.at_ms += 2 * MINUTE
    assert done_beside(shop, PlanPoll(purchase_id="b1")) == (("polled", 0, 0), [])
    at = shop.clock.at_ms
    assert shop.purchase() == replace(before, poll_at=before.created_at + 10 * MINUTE, updated_at=at, rev=3)
    assert done_beside(shop, PlanPoll(purchase_id="b1", failed=True)) == (("polled", 0, 0), [])
    assert shop.purchase() == replace(before, poll_at=at + MINUTE, poll_failures=1, updated_at=at, rev=4)


@pytest.mark.parametrize(
    ("command", "decision"),
    [
        (cancel(), Decision(what="cancel", actor="merchant")),
        (RefusePayment(purchase_id="b1", provider="paypal"), Decision(what="payment_refused", actor=PAYPAL)),
    ],
    ids=["by the merchant", "by the provider"],
)
def test_a_cancellation_to_the_last_field(command: Command, decision: Decision) -> None:
    """No entry, no page; who did it is kept, and no poll is planned."""
    shop = bought()
    before = shop.purchase()
    assert done_beside(shop, command) == (("canceled", 1, 0), [])
    assert shop.purchase() == replace(before, decisions=(decision,), poll_at=None, rev=3)
    assert done_beside(shop, cancel()) == (("canceled", 0, 0), [])


# ---------------------------------------------------------------- payments


def test_a_payment_to_the_last_field() -> None:
    """One entry by the provider; the purchase names its payment, and the payment its purchase."""
    shop = bought()
    before = shop.purchase()
    done, entries = done_beside(shop, fulfil("paid"))
    assert entries == [entry("purchased", PAYPAL, posted=10_000, reason="because")]
    assert done == ("credited", 1, 1)
    assert shop.purchase() == replace(
        before,
        payments=paid(shop),
        paid_by="pay1",
        granted=True,
        versions=(2,),
        poll_at=None,
        rev=3,
        updated_at=shop.page().at,
    )
    payment = shop.store.read(ACCOUNT_ID, [("payment", "paypal#pay1")])["payment", "paypal#pay1"]
    assert payment == Payment(provider="paypal", payment_id="pay1", account_id=ACCOUNT_ID, purchase_id="b1")
    assert isinstance(payment, Payment)
    assert (payment.key(), payment.newest_version()) == (("payment", "paypal#pay1"), 0)
    assert done_beside(shop, fulfil("paid")) == (("nothing", 0, 0), [])


def test_a_declined_payment_to_the_last_field() -> None:
    """An entry of 0.00 with the reason; the payment is known from then on, and polls go on."""
    shop = bought()
    before = shop.purchase()
    done, entries = done_beside(shop, fulfil("declined"))
    assert entries == [entry("declined", PAYPAL, reason="because")]
    assert done == ("declined", 1, 1)
    assert shop.purchase() == replace(before, declines={"pay1": 1}, versions=(2,), rev=3)


@pytest.mark.parametrize("number", [None, 1])
def test_an_expiry_to_the_last_field(number: int | None) -> None:
    """No entry, no page; the purchase or its checkout alone."""
    shop = bought()
    before = shop.purchase()
    assert done_beside(shop, fulfil("expired", payment_id=None, checkout=number)) == (("expired", 1, 0), [])
    changes: dict[str, Any] = {"expired": True}
    if number is not None:
        changes = {"checkouts": (replace(before.checkouts[0], expired=True),)}
    assert shop.purchase() == replace(before, **changes, poll_at=None, rev=3)


@pytest.mark.parametrize("amount", [3989, 3991])
def test_a_payment_of_another_amount_to_the_last_field(amount: int) -> None:
    """It waits, with the reason and what was paid."""
    shop = bought()
    before = shop.purchase()
    assert done_beside(shop, fulfil("paid", amount)) == (("put_aside", 1, 0), [])
    payments = paid(shop, amount=amount, waits_for="wrong amount")
    assert shop.purchase() == replace(before, payments=payments, poll_at=None, rev=3)


def test_a_payment_in_another_currency_to_the_last_field() -> None:
    """Nothing of it is written."""
    shop = bought()
    before = shop.purchase()
    assert done_beside(shop, fulfil("paid", currency="EUR")) == (("put_aside", 0, 0), [])
    assert shop.purchase() == before


def test_a_payment_beyond_the_limit_to_the_last_field() -> None:
    """One hundredth too much is put aside; just as much as there is room for is credited."""
    for room, reason in ((10_000, None), (9_999, "the balance would exceed its limit")):
        shop = bought()
        shop.do(adjust("auto_order", MAX_BALANCE - 500 - room))
        shop.do(fulfil("paid"))
        assert shop.purchase().payments == paid(shop, waits_for=reason)


D1, LOST = "d1", ("charged_back", 2506, 0)
BEFALLS: list[tuple[str, dict[str, Any], dict[str, Any], tuple[str, int, int], dict[str, int]]] = [
    ("refunded", {}, {"refunds": 1000}, ("credited", 2506, 0), SECOND_FORM),
    ("refunded", {"refund_id": "re"}, {"refunds_by_id": {"re": 1000}}, ("credited", 2506, 0), THIRD_FORM),
    ("refund_failed", {"refund_id": "re"}, {"failed": {"re": 1000}}, ("credited", 0, 0), SECOND_FORM),
    ("unclear", {"detail": "odd", "explained_by": 9}, {"unclear": {"odd": 9}}, ("review", 0, 0), THIRD_FORM),
    ("dispute_created", {}, {D1: Dispute(amount=1000)}, ("disputed", 0, 2506), SECOND_FORM),
    ("dispute_unclear", {}, {D1: Dispute(amount=1000, unclear=True)}, ("review", 0, 2506), THIRD_FORM),
    ("dispute_won", {}, {D1: Dispute(amount=1000, ended="won")}, ("credited", 0, 0), SECOND_FORM),
    ("dispute_lost", {}, {D1: Dispute(amount=1000, ended="lost")}, LOST, SECOND_FORM),
    (
        "dispute_lost",
        {"amount": 1500, "lost": 1000},
        {D1: Dispute(amount=1500, ended="lost", lost=1000)},
        LOST,
        THIRD_FORM,
    ),
]
"""Of a payment of 3,990 cents: what is told, the facts it adds, what is done, taken back and frozen, and the form."""


@pytest.mark.parametrize(("event", "values", "facts", "outcome", "form"), BEFALLS)
def test_what_befalls_a_payment_to_the_last_field(
    event: str, values: dict[str, Any], facts: dict[str, Any], outcome: tuple[str, int, int], form: dict[str, int]
) -> None:
    """A fact more, and the difference that it makes."""
    shop = bought(fulfil("paid"))
    before = shop.purchase()
    done, made = done_beside(shop, fulfil(event, **{"amount": 1000, "dispute_id": D1, **values}))
    did, clawed_back, frozen = outcome
    taken = [entry("clawed_back", PAYPAL, posted=-clawed_back, reason="because")] if clawed_back else []
    held = [entry("held", PAYPAL, held=frozen, reason="because")] if frozen else []
    assert made == taken + held
    assert done == (did, 1, len(made))
    disputes = {"disputes": facts} if D1 in facts else facts
    assert shop.purchase() == replace(
        before,
        payments=paid(shop, **disputes),
        clawed_back=clawed_back,
        frozen=frozen,
        versions=(2, 3) if made else (2,),
        poll_at=shop.clock.at_ms + 24 * 60 * MINUTE if frozen or did == "review" else None,
        rev=4,
        unknown=form,
    )


def test_an_event_to_the_last_field() -> None:
    """Dollars unless told; nothing else is known by itself."""
    event = payment_event("paid")
    assert (event.currency, event.checkout, event.dispute_id, event.refund_id) == ("USD", None, None, None)
    assert (event.failed, event.support_code) == ((), None)


# ---------------------------------------------------------------- decisions


def test_a_review_that_credits_to_the_last_field() -> None:
    """The entry has the person and the reason, and the payment pays from then on."""
    shop = bought(fulfil("paid", 1))
    before = shop.purchase()
    done, entries = done_beside(shop, review("credit", request_id="r1"))
    assert entries == [entry("purchased", "platform", posted=10_000, reason="seen")]
    assert done == ("credited", 1, 1)
    decision = Decision(what="credit", actor="platform", reason="seen", payment_id="pay1", request_id="r1")
    assert shop.purchase() == replace(before, decisions=(decision,), paid_by="pay1", granted=True, versions=(2,), rev=4)
    assert done_beside(shop, review("credit", request_id="r1")) == (("credited", 0, 0), [])


def test_a_review_that_refuses_to_the_last_field() -> None:
    """No entry; who refused and why is kept."""
    shop = bought(fulfil("paid", 1))
    before = shop.purchase()
    assert done_beside(shop, review("refuse", request_id="r1")) == (("canceled", 1, 0), [])
    decision = Decision(what="refuse", actor="platform", reason="seen", request_id="r1")
    assert shop.purchase() == replace(before, decisions=(decision,), rev=4)


def test_a_dispute_that_is_lost_by_hand_to_the_last_field() -> None:
    """Its entries have the person and the reason; the dispute itself is as the provider told it."""
    shop = bought(fulfil("paid"), fulfil("dispute_created", 1000, dispute_id="d1"))
    before = shop.purchase()
    done, entries = done_beside(shop, review("dispute_lost", request_id="r1"))
    assert entries == [
        entry("released", "platform", held=-2506, reason="seen"),
        entry("clawed_back", "platform", posted=-2506, reason="seen"),
    ]
    assert done == ("charged_back", 1, 2)
    decision = Decision(what="dispute_lost", actor="platform", reason="seen", dispute_id="d1", request_id="r1")
    assert shop.purchase() == replace(
        before, decisions=(decision,), clawed_back=2506, frozen=0, versions=(2, 3, 4), poll_at=None, rev=5
    )


# ---------------------------------------------------------------- coupons


def test_each_use_of_a_coupon_to_the_last_field() -> None:
    """Two purchases are two uses, and two more writes of either record where it is limited."""
    for most in (None, 9):
        shop = Shop()
        made = shop.make_coupon(percent_off=1000, max_uses=most)
        assert made == Coupon(
            code="C", percent_off=1000, max_uses=most, created_by="platform", made_by="its maker", rev=1
        )
        for purchase_id in ("b1", "b2"):
            shop.start(purchase_id, coupon="C")
        assert use_of(shop) == CouponUse(code="C", uses=2, tallied=2 if most else 0, rev=2)
        assert shop.coupon() == (replace(made, uses=2, rev=3) if most else made)
        shop.tally()
        assert use_of(shop) == CouponUse(code="C", uses=2, tallied=2, rev=2 if most else 3)
        assert shop.coupon() == replace(made, uses=2, rev=3 if most else 2)

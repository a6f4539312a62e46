"""What buying writes, to the last field: the purchase, its payment, its coupon, and the entries."""

from dataclasses import replace
from typing import Any

import pytest

from autocredits.domain.decide import Command, Done, Draft
from autocredits.domain.journal import Entry
from autocredits.domain.money import MAX_BALANCE
from autocredits.domain.purchases.calls import PlanPoll, PurchaseRequest, SettleReview
from autocredits.domain.purchases.coupons import Coupon, CouponUse, coupon_keys
from autocredits.domain.purchases.record import Payment, Purchase
from tests.kit.builders import ACCOUNT_ID, CATALOG, NOW_MS, adjust, beside, merchant
from tests.kit.purchases import Shop, checkout, fulfil, start

KEY = ("purchase", "b1")


MINUTE = 60_000
PAYPAL = "payments:paypal"


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


def review(credit: bool, coupon: str | None = None) -> SettleReview:  # noqa: FBT001 - as the decision reads
    """A person's decision."""
    return SettleReview(
        caller=merchant(), purchase_id="b1", request_id="r1", credit=credit, reason="seen", coupon=coupon
    )


def test_a_purchase_that_starts_to_the_last_field() -> None:
    """Nothing is granted, the key names the page it was decided on, and a poll is planned."""
    shop = Shop()
    shop.clock.at_ms += 5
    at = shop.clock.at_ms
    assert shop.do(start(return_url="https://back")).done == Done(did="pending")
    assert shop.purchase() == Purchase(
        purchase_id="b1",
        package="auto_order-100",
        unit="auto_order",
        credits=10_000,
        price=3990,
        payment_method="paypal",
        provider="paypal",
        return_url="https://back",
        status="pending",
        created_at=at,
        updated_at=at,
        poll_at=at + 2 * MINUTE,
        rev=1,
    )
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
    _, entries = beside(shop, fulfil("paid", 2500))
    assert entries == [entry("loaded", PAYPAL, unit="managed", posted=2500)]


def test_a_free_purchase_to_the_last_field() -> None:
    """It is credited at once, by the caller under the key, without provider, poll or checkout."""
    shop = Shop()
    shop.make_coupon(percent_off=10_000)
    done, entries = beside(shop, start(coupon="C"))
    assert entries == [entry("purchased", "merchant", posted=10_000, key="key of b1")]
    assert done == Done(did="credited", first=1, count=1)
    purchase = shop.purchase()
    at = shop.page().at
    assert purchase == Purchase(
        purchase_id="b1",
        package="auto_order-100",
        unit="auto_order",
        credits=10_000,
        price=0,
        discount=3990,
        coupon="C",
        coupon_counted=True,
        payment_method="paypal",
        status="credited",
        versions=(2,),
        created_at=at,
        updated_at=at,
        rev=1,
    )


def test_a_checkout_to_the_last_field() -> None:
    """The provider's reference and address are kept, and the next poll is planned from now."""
    shop = Shop()
    shop.do(start())
    before = shop.purchase()
    shop.clock.at_ms += 3 * MINUTE
    assert beside(shop, checkout()) == (Done(did="checkout"), [])
    assert shop.purchase() == replace(
        before,
        checkout=True,
        provider_reference="ref",
        redirect_url="https://pay",
        updated_at=shop.clock.at_ms,
        poll_at=before.created_at + 10 * MINUTE,
        rev=2,
    )
    again = replace(checkout(), provider_reference="other", redirect_url="https://other")
    assert beside(shop, again) == (Done(did="checkout"), [])
    assert shop.purchase().provider_reference == "ref"


def test_a_poll_to_the_last_field() -> None:
    """The next one is planned, and no page is said to have touched the purchase."""
    shop = bought()
    before = shop.purchase()
    shop.clock.at_ms += 2 * MINUTE
    assert beside(shop, PlanPoll("b1")) == (Done(did="polled"), [])
    at = shop.clock.at_ms
    assert shop.purchase() == replace(before, poll_at=before.created_at + 10 * MINUTE, updated_at=at, rev=3)


def test_a_payment_to_the_last_field() -> None:
    """One entry by the provider; the purchase names its payment, and the payment its purchase."""
    shop = bought()
    before = shop.purchase()
    done, entries = beside(shop, fulfil("paid"))
    assert entries == [entry("purchased", PAYPAL, posted=10_000)]
    assert done == Done(did="credited", first=1, count=1)
    assert shop.purchase() == replace(
        before, status="credited", payment_id="pay1", versions=(2,), poll_at=None, rev=3, updated_at=shop.page().at
    )
    payment = shop.store.read(ACCOUNT_ID, [("payment", "paypal#pay1")])["payment", "paypal#pay1"]
    assert payment == Payment(provider="paypal", payment_id="pay1", account_id=ACCOUNT_ID, purchase_id="b1")
    assert isinstance(payment, Payment)
    assert (payment.key(), payment.newest_version()) == (("payment", "paypal#pay1"), 0)
    assert beside(shop, fulfil("paid")) == (Done(did="nothing"), [])


def test_a_declined_payment_to_the_last_field() -> None:
    """An entry of 0.00 with the reason; the payment is known from then on."""
    shop = bought()
    before = shop.purchase()
    done, entries = beside(shop, fulfil("declined"))
    assert entries == [entry("declined", PAYPAL, reason="because")]
    assert done == Done(did="declined", first=1, count=1)
    assert shop.purchase() == replace(before, status="declined", payment_id="pay1", versions=(2,), poll_at=None, rev=3)


@pytest.mark.parametrize("event_type", ["canceled", "expired"])
def test_a_payment_that_never_came_to_the_last_field(event_type: str) -> None:
    """No entry, no page; the status alone."""
    shop = bought()
    before = shop.purchase()
    assert beside(shop, fulfil(event_type, payment_id=None)) == (Done(did=event_type, first=1), [])
    assert shop.purchase() == replace(before, status=event_type, poll_at=None, rev=3)


@pytest.mark.parametrize(("amount", "currency"), [(3989, "USD"), (3991, "USD"), (3990, "EUR")])
def test_a_wrong_payment_to_the_last_field(amount: int, currency: str) -> None:
    """It is in review, with the reason and its payment."""
    shop = bought()
    before = shop.purchase()
    done, entries = beside(shop, fulfil("paid", amount, currency=currency))
    assert (done, entries) == (Done(did="put_aside", first=1), [])
    assert shop.purchase() == replace(
        before, status="review", review_reason="wrong amount or currency", payment_id="pay1", poll_at=None, rev=3
    )


def test_a_payment_beyond_the_limit_to_the_last_field() -> None:
    """One hundredth too much is put aside; just as much as there is room for is credited."""
    for room, status, reason in ((10_000, "credited", None), (9_999, "review", "the balance would pass its limit")):
        shop = bought()
        shop.do(adjust("auto_order", MAX_BALANCE - 500 - room))
        shop.do(fulfil("paid"))
        purchase = shop.purchase()
        assert (purchase.status, purchase.review_reason, purchase.payment_id) == (status, reason, "pay1")


def test_a_review_that_credits_to_the_last_field() -> None:
    """The entry has the person and the reason; the purchase no longer says why it waited."""
    shop = bought(fulfil("paid", 1))
    before = shop.purchase()
    done, entries = beside(shop, review(credit=True))
    assert entries == [entry("purchased", "merchant", posted=10_000, reason="seen")]
    assert done == Done(did="credited", first=1, count=1)
    assert shop.purchase() == replace(
        before, status="credited", review_reason=None, reviewed_by="r1", versions=(2,), rev=4
    )


def test_a_review_that_refuses_to_the_last_field() -> None:
    """No entry; the reason is kept, and no later payment is credited."""
    shop = bought(fulfil("paid", 1))
    before = shop.purchase()
    assert beside(shop, review(credit=False)) == (Done(did="canceled", first=1), [])
    assert shop.purchase() == replace(
        before, status="canceled", review_reason="seen", refused=True, reviewed_by="r1", rev=4
    )


def test_each_use_of_a_coupon_to_the_last_field() -> None:
    """Two purchases are two uses, and two more writes of either record."""
    shop = Shop()
    made = shop.make_coupon(percent_off=1000)
    assert made == Coupon(code="C", percent_off=1000, made_by="its maker", rev=1)
    for purchase_id in ("b1", "b2"):
        shop.start(purchase_id, coupon="C")
    records = shop.store.read(ACCOUNT_ID, coupon_keys("C"))
    assert records["coupon", "C"] == replace(made, uses=2, rev=3)
    assert records["coupon_use", "C"] == CouponUse(code="C", uses=2, rev=2)


def test_a_load_of_nothing_costs_and_grants_nothing() -> None:
    """Not even a cent; a caller cannot ask for it."""
    draft = Draft(ACCOUNT_ID, Shop().page(), {}, CATALOG, NOW_MS)
    purchase = start(request=PurchaseRequest(amount=0)).priced(draft)
    assert (purchase.price, purchase.credits, purchase.provider) == (0, 0, None)


def test_a_refused_review_leaves_its_coupon_uncounted_before_it_is_stored() -> None:
    """The draft's record says False, where a stored one leaves the field out."""
    shop = Shop()
    shop.make_coupon(percent_off=1000)
    shop.start(coupon="C")
    shop.event("paid", 1)
    records = shop.store.read(ACCOUNT_ID, [KEY, *coupon_keys("C")])
    draft = Draft(ACCOUNT_ID, shop.page(), dict(records), CATALOG, NOW_MS)
    review(credit=False, coupon="C").decide(draft)
    refused = draft.get(KEY, Purchase)
    assert refused is not None
    assert refused.coupon_counted is False

"""What buying writes, to the last field: the purchase, its payment, its coupon, and the entries."""

from dataclasses import replace
from typing import Any

import pytest

from autocredits.domain.decide import Command, Done, Draft, NotYet
from autocredits.domain.errors import Problem
from autocredits.domain.journal import Entry
from autocredits.domain.purchases.calls import PlanPoll, PurchaseRequest, RecordCheckout, SettleReview, StartPurchase
from autocredits.domain.purchases.coupons import Coupon, CouponUse, Terms, counted, coupon_keys, terms_of
from autocredits.domain.purchases.fulfil import Fulfil, PaymentEvent
from autocredits.domain.purchases.record import Payment, Purchase
from autocredits.domain.records import Record, RecordKey
from tests.kit.builders import (
    ACCOUNT_ID,
    CATALOG,
    NOW_MS,
    Account,
    adjust,
    beside,
    idempotency,
    merchant,
    opened,
    page_of,
    state_of,
)

KEY = ("purchase", "b1")
MINUTE = 60_000


def start(key: str = "k1", purchase_id: str = "b1", **values: Any) -> StartPurchase:
    """The start of a purchase of 100 credits for 39.90, by a merchant."""
    plain: dict[str, Any] = {
        "caller": merchant(),
        "idempotency": idempotency(key),
        "purchase_id": purchase_id,
        "order": PurchaseRequest(package="auto_order-100"),
        "payment_method": "paypal",
        "provider": "paypal",
    }
    return StartPurchase(**{**plain, **values})


CHECKOUT = RecordCheckout(purchase_id="b1", provider_reference="ref", redirect_url="https://pay")


def news(what: Any, amount: int = 3990, **values: Any) -> PaymentEvent:
    """What PayPal says of it."""
    plain: dict[str, Any] = {"provider": "paypal", "what": what, "purchase_id": "b1", "payment_id": "pay1"}
    return PaymentEvent(**{**plain, "amount": amount, "reason": "because", **values})


def hear(what: Any, amount: int = 3990, *, coupon: str | None = None, **values: Any) -> Fulfil:
    """The command of that news."""
    return Fulfil(news(what, amount, **values), coupon)


def bought(*commands: Command, coupon: Coupon | None = None) -> Account:
    """An account with 5.00 credits whose purchase has begun, at page 1, and then these commands."""
    account = opened()
    if coupon is not None:
        account.ledger().make_record(("coupon", coupon.code), coupon)
    begun: list[Command] = [start(coupon=coupon.code if coupon else None), CHECKOUT]
    for command in [*begun, *commands]:
        account.do(command)
    return account


def purchase_of(account: Account) -> Purchase:
    """The purchase's record."""
    record = account.store.read(ACCOUNT_ID, [KEY])[KEY]
    assert isinstance(record, Purchase)
    return record


def entry(kind: str, actor: str, **values: Any) -> Entry:
    """An entry of the purchase."""
    return Entry(kind=kind, actor=actor, **{"unit": "auto_order", "purchase_id": "b1", **values})


PAYPAL = "payments:paypal"


def test_a_purchase_that_starts_to_the_last_field() -> None:
    """The price is frozen; nothing is granted, the key remembers the page it was decided on, a look is planned."""
    account = opened()
    account.clock.at_ms += 5
    at = account.clock.at_ms
    assert account.do(start(return_url="https://back")).done == Done(did="pending")
    assert purchase_of(account) == Purchase(
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
    key = account.store.read(ACCOUNT_ID, [("key", "k1")])["key", "k1"]
    assert key.to_map() == {"key": "k1", "fingerprint": "request of k1", "version": 1}


def test_a_load_that_starts_to_the_last_field() -> None:
    """Dollars for dollars, in `managed`, without a package."""
    account = opened()
    account.do(start(request=PurchaseRequest(amount=2500)))
    purchase = purchase_of(account)
    assert (purchase.package, purchase.unit, purchase.credits, purchase.price) == (None, "managed", 2500, 2500)
    account.do(CHECKOUT)
    _, entries = beside(account, hear("paid", 2500))
    assert entries == [entry("loaded", PAYPAL, unit="managed", posted=2500)]


def test_a_free_purchase_to_the_last_field() -> None:
    """It is credited at once, by the caller under the key, without a provider, a look or a checkout."""
    account = opened()
    account.ledger().make_record(("coupon", "C"), Coupon(code="C", percent_off=10_000, rev=1))
    done, entries = beside(account, start(coupon="C"))
    assert entries == [entry("purchased", "merchant", posted=10_000, key="k1")]
    assert done == Done(did="credited", first=1, count=1)
    purchase = purchase_of(account)
    at = account.page().at
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
    """The provider's reference and address are noted once, and the next look is planned from now."""
    account = opened()
    account.do(start())
    before = purchase_of(account)
    account.clock.at_ms += 3 * MINUTE
    assert beside(account, CHECKOUT) == (Done(did="checkout"), [])
    assert purchase_of(account) == replace(
        before,
        checkout=True,
        provider_reference="ref",
        redirect_url="https://pay",
        updated_at=account.clock.at_ms,
        poll_at=before.created_at + 10 * MINUTE,
        rev=2,
    )
    again = replace(CHECKOUT, provider_reference="other", redirect_url="https://other")
    assert beside(account, again) == (Done(did="checkout"), [])
    assert purchase_of(account).provider_reference == "ref"


def test_a_look_to_the_last_field() -> None:
    """The next one is planned, and no page is said to have touched the purchase."""
    account = bought()
    before = purchase_of(account)
    account.clock.at_ms += 2 * MINUTE
    assert beside(account, PlanPoll("b1")) == (Done(did="looked"), [])
    at = account.clock.at_ms
    assert purchase_of(account) == replace(before, poll_at=before.created_at + 10 * MINUTE, updated_at=at, rev=3)


def test_a_payment_to_the_last_field() -> None:
    """One entry of the provider's; the purchase knows its payment, and the payment its purchase."""
    account = bought()
    before = purchase_of(account)
    done, entries = beside(account, hear("paid"))
    assert entries == [entry("purchased", PAYPAL, posted=10_000)]
    assert done == Done(did="credited", first=1, count=1)
    assert purchase_of(account) == replace(
        before, status="credited", payment_id="pay1", versions=(2,), poll_at=None, rev=3, updated_at=account.page().at
    )
    payment = account.store.read(ACCOUNT_ID, [("payment", "paypal#pay1")])["payment", "paypal#pay1"]
    assert payment == Payment(provider="paypal", payment_id="pay1", account_id=ACCOUNT_ID, purchase_id="b1")
    assert isinstance(payment, Payment)
    assert (payment.key(), payment.newest_version()) == (("payment", "paypal#pay1"), 0)
    assert beside(account, hear("paid")) == (Done(did="nothing"), [])


def test_a_declined_payment_to_the_last_field() -> None:
    """An entry of 0.00 with the reason; the payment is known from then on."""
    account = bought()
    before = purchase_of(account)
    done, entries = beside(account, hear("declined"))
    assert entries == [entry("declined", PAYPAL, reason="because")]
    assert done == Done(did="declined", first=1, count=1)
    assert purchase_of(account) == replace(
        before, status="declined", payment_id="pay1", versions=(2,), poll_at=None, rev=3
    )


@pytest.mark.parametrize("what", ["canceled", "expired"])
def test_a_payment_that_never_came_to_the_last_field(what: str) -> None:
    """No entry, no page; the status alone."""
    account = bought()
    before = purchase_of(account)
    assert beside(account, hear(what, payment_id=None)) == (Done(did=what, first=1), [])
    assert purchase_of(account) == replace(before, status=what, poll_at=None, rev=3)


@pytest.mark.parametrize(("amount", "currency"), [(3989, "USD"), (3991, "USD"), (3990, "EUR")])
def test_a_wrong_payment_to_the_last_field(amount: int, currency: str) -> None:
    """It is put aside with the reason, and its payment noted."""
    account = bought()
    before = purchase_of(account)
    done, entries = beside(account, hear("paid", amount, currency=currency))
    assert (done, entries) == (Done(did="put_aside", first=1), [])
    assert purchase_of(account) == replace(
        before, status="review", review_reason="wrong amount or currency", payment_id="pay1", poll_at=None, rev=3
    )


def test_a_payment_beyond_the_limit_to_the_last_field() -> None:
    """One hundredth too much is put aside; just as much as there is room for is credited."""
    for room, status, reason in ((10_000, "credited", None), (9_999, "review", "the balance would pass its limit")):
        account = bought()
        account.do(adjust("auto_order", 100_000_000_000 - 500 - room))
        account.do(hear("paid"))
        purchase = purchase_of(account)
        assert (purchase.status, purchase.review_reason, purchase.payment_id) == (status, reason, "pay1")


def review(credit: bool, coupon: str | None = None) -> SettleReview:  # noqa: FBT001 - as the decision reads
    """A person's decision."""
    return SettleReview(
        caller=merchant(), purchase_id="b1", request_id="r1", credit=credit, reason="seen", coupon=coupon
    )


def test_a_review_that_credits_to_the_last_field() -> None:
    """The entry has the person and the reason; the purchase no longer says why it waited."""
    account = bought(hear("paid", 1))
    before = purchase_of(account)
    done, entries = beside(account, review(credit=True))
    assert entries == [entry("purchased", "merchant", posted=10_000, reason="seen")]
    assert done == Done(did="credited", first=1, count=1)
    assert purchase_of(account) == replace(
        before, status="credited", review_reason=None, reviewed_by="r1", versions=(2,), rev=4
    )


def test_a_review_that_refuses_to_the_last_field() -> None:
    """No entry; the reason is kept, and no later payment is credited."""
    account = bought(hear("paid", 1))
    before = purchase_of(account)
    assert beside(account, review(credit=False)) == (Done(did="canceled", first=1), [])
    assert purchase_of(account) == replace(
        before, status="canceled", review_reason="seen", refused=True, reviewed_by="r1", rev=4
    )


@pytest.mark.parametrize("credit", [True, False])
def test_a_review_knows_its_own_doing(credit: bool) -> None:  # noqa: FBT001 - as the decision reads
    """The same request again has settled it; another request finds nothing in review."""
    account = bought(hear("paid", 1))
    first = account.do(review(credit=credit))
    again = account.do(review(credit=credit))
    assert (again.page, again.done.did) == (first.page, "credited" if credit else "canceled")
    other = replace(review(credit=credit), request_id="r2")
    assert account.refusal(other).code == "invalid_transition"


def test_a_review_beyond_the_limit_is_refused() -> None:
    """Whoever decides learns that there is no room for it."""
    account = bought(hear("paid", 1))
    account.do(adjust("auto_order", 100_000_000_000 - 500 - 9_999))
    assert account.refusal(review(credit=True)).code == "balance_limit"
    account.do(adjust("auto_order", -1))
    assert account.did(review(credit=True)) == "credited"


def uses(account: Account) -> tuple[int, int]:
    """How often the coupon was used, in all and by the account."""
    records = account.store.read(ACCOUNT_ID, coupon_keys("C"))
    coupon, used = records["coupon", "C"], records.get(("coupon_use", "C"), CouponUse(code="C"))
    assert isinstance(coupon, Coupon)
    assert isinstance(used, CouponUse)
    assert used.code == "C"
    return coupon.uses, used.uses


TEN_PERCENT = Coupon(code="C", percent_off=1000, rev=1)


def test_a_refused_review_gives_the_coupon_back_once() -> None:
    """Its use was counted when it started."""
    account = bought(hear("paid", 1, coupon="C"), coupon=TEN_PERCENT)
    assert uses(account) == (1, 1)
    account.do(review(credit=False, coupon="C"))
    assert (uses(account), purchase_of(account).coupon_counted) == ((0, 0), False)


def test_a_credited_review_keeps_the_coupon_counted() -> None:
    """It was used."""
    account = bought(hear("paid", 1, coupon="C"), coupon=TEN_PERCENT)
    account.do(review(credit=True, coupon="C"))
    assert (uses(account), purchase_of(account).coupon_counted) == ((1, 1), True)


def test_a_refused_review_without_a_coupon_counts_none() -> None:
    """There is nothing to give back, even if the purchase says that something was counted."""
    purchase = replace(PAID, status="review", coupon_counted=True)
    draft = draft_of(purchase)
    review(credit=False).decide(draft)
    assert list(draft.changed) == [KEY]


def test_a_coupon_that_was_given_back_is_not_given_back_twice() -> None:
    """A review after a failed payment finds it uncounted."""
    coupon, used = counted(TEN_PERCENT, None, 1)
    purchase = replace(PAID, status="review", coupon="C", coupon_counted=False)
    draft = draft_of(purchase, {("coupon", "C"): coupon, ("coupon_use", "C"): used})
    review(credit=False, coupon="C").decide(draft)
    assert list(draft.changed) == [KEY]


def test_a_coupon_is_counted_for_its_account_too() -> None:
    """The second purchase of an account that may use it once is refused, another account's is not."""
    coupon = replace(TEN_PERCENT, max_uses_per_account=1)
    account = bought(coupon=coupon)
    refused = account.refusal(start("k2", "b2", coupon="C"))
    assert (refused.code, refused.extra) == ("coupon_invalid", {"reason": "used_up_by_account"})
    account.do(hear("declined", coupon="C"))
    assert uses(account) == (0, 0)
    account.do(start("k2", "b2", coupon="C"))
    assert uses(account) == (1, 1)


def test_each_use_of_a_coupon_is_counted() -> None:
    """Two purchases are two uses, in all and by the account, and two more writes of either record."""
    account = bought(start("k2", "b2", coupon="C"), coupon=TEN_PERCENT)
    records = account.store.read(ACCOUNT_ID, coupon_keys("C"))
    assert records["coupon", "C"] == replace(TEN_PERCENT, uses=2, rev=3)
    assert records["coupon_use", "C"] == CouponUse(code="C", uses=2, rev=2)


def test_a_coupon_without_a_benefit_takes_nothing_off() -> None:
    """Not even a cent."""
    assert terms_of(Coupon(code="C"), 990) == Terms(990)


def test_coupons_belong_to_no_page() -> None:
    """No page of an account says what a coupon is."""
    assert (TEN_PERCENT.newest_version(), CouponUse(code="C", uses=3).newest_version()) == (0, 0)


def test_a_coupons_packages_are_stored_as_a_list() -> None:
    """Stores know lists and no tuples."""
    stored = replace(TEN_PERCENT, packages=("p", "q")).to_map()
    assert stored == {"code": "C", "percent_off": 1000, "packages": ["p", "q"], "rev": 1}


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
    """What the command did, which fields of the purchase it changed, and its entries."""
    draft = draft_of(purchase, available=available)
    done = command.decide(draft)
    now = draft.get(KEY, Purchase)
    assert now is not None
    changed = {name: value for name, value in now.to_map().items() if purchase.to_map().get(name) != value}
    changed |= dict.fromkeys(purchase.to_map().keys() - now.to_map().keys())
    for name in ("rev", "versions"):
        changed.pop(name, None)
    for one in draft.entries:
        assert (one.actor, one.reason, one.purchase_id, one.unit) == (PAYPAL, "because", "b1", "auto_order")
    return done.did, changed, [(one.kind, one.posted, one.held) for one in draft.entries]


DISPUTED = replace(PAID, status="disputed", dispute="open", dispute_id="d1", frozen=10_000)

STORIES: dict[str, tuple[Purchase, Command, int, tuple[str, dict[str, Any], list[Any]]]] = {
    "a refund of a quarter": (
        PAID,
        hear("refunded", 1000),
        50_000,
        ("credited", {"refunded": 1000, "clawed_back": 2500}, [("clawed_back", -2500, 0)]),
    ),
    "a refund of all": (
        PAID,
        hear("refunded", 4000),
        50_000,
        ("refunded", {"refunded": 4000, "clawed_back": 10_000, "status": "refunded"}, [("clawed_back", -10_000, 0)]),
    ),
    "a refund of more than all": (
        PAID,
        hear("refunded", 5000),
        50_000,
        ("refunded", {"refunded": 5000, "clawed_back": 10_000, "status": "refunded"}, [("clawed_back", -10_000, 0)]),
    ),
    "a refund of all but a cent": (
        PAID,
        hear("refunded", 3999),
        50_000,
        ("credited", {"refunded": 3999, "clawed_back": 9998}, [("clawed_back", -9998, 0)]),
    ),
    "a second refund": (
        replace(PAID, refunded=1000, clawed_back=2500),
        hear("refunded", 2000),
        50_000,
        ("credited", {"refunded": 2000, "clawed_back": 5000}, [("clawed_back", -2500, 0)]),
    ),
    "the same refund": (
        replace(PAID, refunded=1000, clawed_back=2500),
        hear("refunded", 1000),
        50_000,
        ("nothing", {}, []),
    ),
    "a smaller refund": (
        replace(PAID, refunded=1000, clawed_back=2500),
        hear("refunded", 999),
        50_000,
        ("nothing", {}, []),
    ),
    "a refund of nothing for nothing": (replace(PAID, price=0), hear("refunded", 0), 50_000, ("nothing", {}, [])),
    "a refund that owes no more": (
        replace(PAID, refunded=1000, clawed_back=2501),
        hear("refunded", 1000 + 0),
        50_000,
        ("nothing", {}, []),
    ),
    "a refund below one hundredth": (
        replace(PAID, credits=1, bonus_credits=0),
        hear("refunded", 1999),
        50_000,
        ("credited", {"refunded": 1999}, []),
    ),
    "a refund in review": (
        replace(PAID, status="review"),
        hear("refunded", 4000),
        50_000,
        ("refunded", {"refunded": 4000, "status": "refunded"}, []),
    ),
    "a refund of a refused purchase": (
        replace(PAID, status="canceled", refused=True),
        hear("refunded", 4000),
        50_000,
        ("canceled", {"refunded": 4000}, []),
    ),
    "a refund while it is disputed": (
        DISPUTED,
        hear("refunded", 1000),
        50_000,
        (
            "disputed",
            {"refunded": 1000, "clawed_back": 2500, "frozen": 7500},
            [("released", 0, -2500), ("clawed_back", -2500, 0)],
        ),
    ),
    "a small refund of what is little frozen": (
        replace(DISPUTED, frozen=2000),
        hear("refunded", 1000),
        50_000,
        ("disputed", {"refunded": 1000, "clawed_back": 2500}, [("clawed_back", -2500, 0)]),
    ),
    "a dispute": (
        PAID,
        hear("dispute_created", 4000, dispute_id="d1"),
        50_000,
        (
            "disputed",
            {"status": "disputed", "dispute": "open", "dispute_id": "d1", "frozen": 10_000},
            [("held", 0, 10_000)],
        ),
    ),
    "a dispute of a part": (
        PAID,
        hear("dispute_created", 1000, dispute_id="d1"),
        50_000,
        (
            "disputed",
            {"status": "disputed", "dispute": "open", "dispute_id": "d1", "frozen": 2500},
            [("held", 0, 2500)],
        ),
    ),
    "a dispute when little is left": (
        PAID,
        hear("dispute_created", 4000, dispute_id="d1"),
        1,
        ("disputed", {"status": "disputed", "dispute": "open", "dispute_id": "d1", "frozen": 1}, [("held", 0, 1)]),
    ),
    "a dispute when nothing is left": (
        PAID,
        hear("dispute_created", 4000, dispute_id="d1"),
        0,
        ("disputed", {"status": "disputed", "dispute": "open", "dispute_id": "d1"}, []),
    ),
    "a dispute below zero": (
        PAID,
        hear("dispute_created", 4000, dispute_id="d1"),
        -5,
        ("disputed", {"status": "disputed", "dispute": "open", "dispute_id": "d1"}, []),
    ),
    "a dispute after a refund and a lost one": (
        replace(PAID, refunded=400, lost=800, clawed_back=3000, dispute="lost", dispute_id="d1", status="charged_back"),
        hear("dispute_created", 1200, dispute_id="d2"),
        50_000,
        (
            "disputed",
            {"status": "disputed", "dispute": "open", "dispute_id": "d2", "frozen": 3000},
            [("held", 0, 3000)],
        ),
    ),
    "a dispute while one is open": (DISPUTED, hear("dispute_created", 1, dispute_id="d2"), 50_000, ("nothing", {}, [])),
    "a dispute that has been won": (
        replace(PAID, dispute="won", dispute_id="d1"),
        hear("dispute_created", 4000, dispute_id="d1"),
        50_000,
        ("nothing", {}, []),
    ),
    "a dispute that has been lost": (
        replace(PAID, dispute="lost", dispute_id="d1", status="charged_back"),
        hear("dispute_created", 4000, dispute_id="d1"),
        50_000,
        ("nothing", {}, []),
    ),
    "a dispute in review": (
        replace(PAID, status="review"),
        hear("dispute_created", 4000, dispute_id="d1"),
        50_000,
        ("nothing", {}, []),
    ),
    "a dispute that is won": (
        DISPUTED,
        hear("dispute_won", dispute_id="d1"),
        50_000,
        ("credited", {"status": "credited", "dispute": "won", "frozen": None}, [("released", 0, -10_000)]),
    ),
    "a dispute that is won under another id": (
        DISPUTED,
        hear("dispute_won", dispute_id="d2"),
        50_000,
        (
            "credited",
            {"status": "credited", "dispute": "won", "dispute_id": "d2", "frozen": None},
            [("released", 0, -10_000)],
        ),
    ),
    "a dispute that is won after a refund of all": (
        replace(DISPUTED, refunded=4000, clawed_back=10_000, frozen=0),
        hear("dispute_won", dispute_id="d1"),
        50_000,
        ("refunded", {"status": "refunded", "dispute": "won"}, []),
    ),
    "a dispute that is won after a refund of a part": (
        replace(DISPUTED, refunded=3999, clawed_back=9998, frozen=2),
        hear("dispute_won", dispute_id="d1"),
        50_000,
        ("credited", {"status": "credited", "dispute": "won", "frozen": None}, [("released", 0, -2)]),
    ),
    "a dispute that is lost": (
        DISPUTED,
        hear("dispute_lost", 4000, dispute_id="d1"),
        50_000,
        (
            "charged_back",
            {"status": "charged_back", "dispute": "lost", "lost": 4000, "clawed_back": 10_000, "frozen": None},
            [("released", 0, -10_000), ("clawed_back", -10_000, 0)],
        ),
    ),
    "a second dispute that is lost": (
        replace(DISPUTED, dispute_id="d2", lost=1000, clawed_back=2500, frozen=2500),
        hear("dispute_lost", 1000, dispute_id="d3"),
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
    "an end that has been told": (
        replace(PAID, dispute="won", dispute_id="d1"),
        hear("dispute_lost", 4000, dispute_id="d1"),
        50_000,
        ("nothing", {}, []),
    ),
    "an end in review": (
        replace(PAID, status="review"),
        hear("dispute_lost", 4000, dispute_id="d1"),
        50_000,
        ("nothing", {}, []),
    ),
}


@pytest.mark.parametrize(("purchase", "command", "available", "story"), STORIES.values(), ids=STORIES)
def test_what_refunds_and_disputes_do(purchase: Purchase, command: Command, available: int, story: Any) -> None:
    """What is told, the fields that change, and the entries: these and no others."""
    assert after(purchase, command, available=available) == story


@pytest.mark.parametrize("what", ["refunded", "dispute_created", "dispute_won", "dispute_lost"])
@pytest.mark.parametrize("status", ["pending", "declined", "canceled", "expired"])
def test_what_is_taken_back_waits_for_the_payment(what: str, status: str) -> None:
    """Until the payment is known, it comes again."""
    with pytest.raises(NotYet):
        hear(what).decide(draft_of(replace(PAID, status=status)))


@pytest.mark.parametrize("what", ["paid", "refunded", "dispute_created", "dispute_won", "dispute_lost"])
def test_another_payment_of_a_credited_purchase_is_put_aside(what: str) -> None:
    """Only the payment that paid can be taken back; a second one is a person's matter."""
    draft = draft_of(PAID)
    assert hear(what, payment_id="pay2").decide(draft) == Done(did="put_aside")
    assert draft.changed == {}


@pytest.mark.parametrize("what", ["declined", "canceled", "expired"])
def test_another_payment_that_failed_is_of_no_interest(what: str) -> None:
    """The purchase is credited; the other payment is remembered as its own."""
    draft = draft_of(PAID)
    assert hear(what, payment_id="pay2").decide(draft) == Done(did="nothing")
    assert list(draft.changed) == [("payment", "paypal#pay2")]


def test_a_refund_in_another_currency_is_put_aside() -> None:
    """Shares are reckoned in dollars alone; a dispute's currency does not matter."""
    assert hear("refunded", 1000, currency="EUR").decide(draft_of(PAID)) == Done(did="put_aside")
    assert hear("dispute_created", 1000, currency="EUR").decide(draft_of(PAID)).did == "disputed"


@pytest.mark.parametrize(
    "payment",
    [payment_of(PAID, "other"), replace(payment_of(PAID), purchase_id="b2")],
    ids=["of another account", "of another purchase"],
)
def test_a_payment_that_is_another_purchases_is_put_aside(payment: Payment) -> None:
    """The first purchase that it was seen with keeps it."""
    purchase = replace(PAID, status="pending", payment_id=None)
    draft = draft_of(purchase, {("payment", "paypal#pay1"): payment})
    assert hear("paid", 4000).decide(draft) == Done(did="put_aside")
    assert draft.changed == {}


def test_news_without_a_payment_id_keeps_the_one_that_is_known() -> None:
    """A refund that names none is the purchase's own."""
    assert after(PAID, hear("refunded", 1000, payment_id=None))[0] == "credited"


def test_news_before_the_checkout_comes_again_unless_it_expired() -> None:
    """The start is still under way; a purchase that never came so far may expire."""
    purchase = replace(PAID, status="pending", payment_id=None, checkout=False)
    with pytest.raises(NotYet):
        hear("canceled", payment_id=None).decide(draft_of(purchase))
    assert hear("expired", payment_id=None).decide(draft_of(purchase)).did == "expired"


@pytest.mark.parametrize(
    ("price", "cents", "owed"), [(0, 5, 0), (4000, 0, 0), (4000, 4001, 10_000), (3, 1, 3333), (3, 2, 6667)]
)
def test_what_is_owed_back(price: int, cents: int, owed: int) -> None:
    """The share of the grant, half up; all of it at most, and nothing of what was free."""
    assert replace(PAID, price=price).owed_back(cents) == owed


def test_a_purchase_is_sold_while_the_account_is_paused() -> None:
    """Suspended and closed accounts buy nothing, a paused one may."""
    for status, code in (("paused", None), ("suspended", "account_inactive"), ("closed", "account_inactive")):
        draft = Draft(ACCOUNT_ID, page_of(state_of(status=status)), {}, CATALOG, NOW_MS)
        told = None
        try:
            start().decide(draft)
        except Problem as problem:
            told = problem.code
        assert told == code


def test_a_purchase_knows_the_newest_page_that_touched_it() -> None:
    """0 before the first."""
    assert (PAID.newest_version(), replace(PAID, versions=(3, 5)).newest_version()) == (3, 5)
    assert replace(PAID, versions=()).newest_version() == 0


def test_a_purchases_pages_are_stored_as_a_list() -> None:
    """Stores know lists and no tuples."""
    assert isinstance(PAID.to_map()["versions"], list)


def test_a_load_of_nothing_costs_and_grants_nothing() -> None:
    """Not even a cent."""
    purchase = start(request=PurchaseRequest(amount=0)).priced(draft_of(PAID))
    assert (purchase.price, purchase.credits, purchase.provider) == (0, 0, None)


def test_a_coupon_is_judged_by_the_time_of_the_start() -> None:
    """One that has ended, or has not begun, starts no purchase."""
    cases: list[dict[str, Any]] = [{"ends_at": NOW_MS}, {"starts_at": NOW_MS + 1}]
    for dates in cases:
        draft = draft_of(PAID, {("coupon", "C"): replace(TEN_PERCENT, **dates)})
        with pytest.raises(Problem):
            start(coupon="C").decide(draft)


@pytest.mark.parametrize("what", ["declined", "canceled", "expired"])
def test_a_failed_payment_gives_one_use_back(what: str) -> None:
    """Of two uses one is left; it is counted again when the payment succeeds after all, and only once."""
    account = bought(start("k2", "b2", coupon="C"), coupon=TEN_PERCENT)
    assert uses(account) == (2, 2)
    account.do(hear(what, coupon="C"))
    assert (uses(account), purchase_of(account).coupon_counted) == ((1, 1), False)
    account.do(hear("paid", 3591, coupon="C"))
    assert (uses(account), purchase_of(account).coupon_counted) == ((2, 2), True)
    account.do(hear("refunded", 1, coupon="C"))
    assert uses(account) == (2, 2)


def test_a_refused_review_gives_one_use_back() -> None:
    """Of two uses one is left."""
    account = bought(start("k2", "b2", coupon="C"), hear("paid", 1, coupon="C"), coupon=TEN_PERCENT)
    account.do(review(credit=False, coupon="C"))
    assert uses(account) == (1, 1)


def test_a_refused_review_knows_its_coupon_as_not_counted() -> None:
    """Also before it is stored."""
    coupon, used = counted(TEN_PERCENT, None, 1)
    purchase = replace(PAID, status="review", coupon="C", coupon_counted=True)
    draft = draft_of(purchase, {("coupon", "C"): coupon, ("coupon_use", "C"): used})
    review(credit=False, coupon="C").decide(draft)
    refused = draft.get(KEY, Purchase)
    assert refused is not None
    assert refused.coupon_counted is False


@pytest.mark.parametrize(("amount", "status"), [(4000, "credited"), (3999, "review")])
def test_the_payment_that_came_last_is_the_purchases_own(amount: int, status: str) -> None:
    """A first payment was declined; what is refunded later is the second."""
    declined = replace(PAID, status="declined", payment_id="pay1")
    draft = draft_of(declined)
    hear("paid", amount, payment_id="pay2").decide(draft)
    purchase = draft.get(KEY, Purchase)
    assert purchase is not None
    assert (purchase.status, purchase.payment_id) == (status, "pay2")


def test_a_payment_beyond_the_limit_is_the_purchases_own() -> None:
    """Also after another was declined."""
    draft = draft_of(replace(PAID, status="declined"), available=100_000_000_000)
    hear("paid", 4000, payment_id="pay2").decide(draft)
    purchase = draft.get(KEY, Purchase)
    assert purchase is not None
    assert (purchase.status, purchase.payment_id) == ("review", "pay2")

"""What HTTP and the schedule ask of purchases and coupons."""

from dataclasses import replace
from typing import Any

import pytest

from autocredits.domain.accounts import ChangeStanding
from autocredits.domain.decide import Draft, RecordWrite
from autocredits.domain.errors import Problem
from autocredits.domain.journal import Page
from autocredits.domain.money import MAX_BALANCE
from autocredits.domain.purchases.calls import CloseCoupon, MakeCoupon, PlanPoll, PurchaseRequest, SettleReview
from autocredits.domain.purchases.coupons import Coupon, counted
from autocredits.domain.purchases.record import POLL_DELAYS_MS, Purchase
from autocredits.domain.records import NO_ACCOUNT, KeyRecord, Record, RecordKey
from autocredits.ledger.commit import Accepted
from tests.kit.builders import (
    ACCOUNT_ID,
    CATALOG,
    NOW_MS,
    PLATFORM,
    Account,
    adjust,
    idempotency,
    merchant,
    page_of,
    state_of,
)
from tests.kit.memory import ManualClock, MemoryStore
from tests.kit.purchases import FREE, Shop, checkout, start

MINUTE = 60_000
PURCHASE_KEY = ("purchase", "b1")


# ---------------------------------------------------------------- starting a purchase


def test_a_purchase_starts_with_its_price_frozen() -> None:
    """It is `pending`, and nothing is granted yet."""
    shop = Shop()
    assert shop.start().did == "pending"
    purchase = shop.purchase()
    assert (purchase.package, purchase.unit, purchase.credits, purchase.price) == (
        "auto_order-100",
        "auto_order",
        10_000,
        3990,
    )
    assert (shop.balance(), shop.kinds()) == ((FREE, 0), [])


def test_a_load_costs_what_it_loads() -> None:
    """US dollars for US dollars, in `managed`, without a package."""
    shop = Shop()
    shop.start(request=PurchaseRequest(amount=2500))
    purchase = shop.purchase()
    assert (purchase.package, purchase.unit, purchase.credits, purchase.price) == (None, "managed", 2500, 2500)


def test_the_same_key_is_the_same_purchase() -> None:
    """A replay starts nothing, whatever has become of the purchase since."""
    shop = Shop()
    shop.start()
    shop.event("paid")
    assert shop.start().replayed is not None
    assert shop.balance() == (FREE + 10_000, 0)
    assert shop.refusal(start(idempotency=idempotency("key of b1", "another"))).code == "idempotency_key_reused"


def test_a_purchase_needs_a_token_for_the_whole_account() -> None:
    """403 `store_forbidden` for a token that is bound to a store; 404 `account_not_found` comes first."""
    bound = merchant(store_id="s1")
    assert Shop().refusal(start(caller=bound)).code == "store_forbidden"
    assert Account().refusal(start(caller=bound)).code == "account_not_found"


def test_a_package_that_is_not_on_sale_cannot_be_bought() -> None:
    """422 `unknown_package`."""
    assert Shop().refusal(start(request=PurchaseRequest(package="auto_order-21"))).code == "unknown_package"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"status": "suspended"}, "account_inactive"),
        ({"status": "closed"}, "account_inactive"),
        ({"orders_processor": "inactive"}, "orders_processor_inactive"),
        ({"status": "closed", "orders_processor": "inactive"}, "account_inactive"),
        ({"status": "paused"}, None),
    ],
)
def test_who_may_buy(changes: dict[str, str | int | None], code: str | None) -> None:
    """A suspended or closed account may not, nor one without the add-on; a paused account may."""
    shop = Shop()
    shop.set_standing(**changes)
    if code is None:
        assert shop.start().did == "pending"
        return
    refused = shop.refusal(start())
    assert (refused.code, refused.status) == (code, 403)


def test_an_inactive_account_gets_its_status() -> None:
    """403 `account_inactive` names it."""
    shop = Shop()
    shop.set_standing(status="suspended")
    assert shop.refusal(start()).extra == {"account_status": "suspended"}


def test_a_purchase_that_would_pass_the_limit_cannot_start() -> None:
    """409 `balance_limit`; exactly what there is room for may be bought."""
    shop = Shop()
    shop.do(adjust("auto_order", MAX_BALANCE - FREE - 10_000 + 1))
    assert shop.refusal(start()).code == "balance_limit"
    shop.do(adjust("auto_order", -1))
    assert shop.start().did == "pending"


def test_a_purchase_starts_only_while_the_standing_is_what_was_read() -> None:
    """It enters nothing, so its transaction checks that no page has come since, and is decided again if one has."""
    shop = Shop()
    suspend = ChangeStanding(PLATFORM, {"status": "suspended"})
    overtaken: list[Accepted] = []

    class Overtaken(MemoryStore):
        """Another view of the store; before its first commit the account is suspended."""

        def commit(self, account_id: str, page: Page | None, writes: Any, *, vacant: int | None = None) -> None:
            if not overtaken:
                overtaken.append(shop.do(suspend))
            shop.store.commit(account_id, page, writes, vacant=vacant)

    rival = Overtaken(shop.store.pages, shop.store.records)
    with pytest.raises(Problem, match="account_inactive"):
        shop.ledger(rival).execute(ACCOUNT_ID, start())
    assert not shop.store.read(ACCOUNT_ID, [PURCHASE_KEY, ("key", "key of b1")])


def test_a_key_that_entered_nothing_names_the_page_it_was_decided_on() -> None:
    """Also where other entries are written in the same decision."""
    shop = Shop()
    before = shop.page()
    shop.ledger().execute_all(ACCOUNT_ID, [adjust("finder", 1), start()])
    key = shop.store.read(ACCOUNT_ID, [("key", "key of b1")])["key", "key of b1"]
    assert isinstance(key, KeyRecord)
    assert (key.version, key.hash, key.first, key.count) == (before.version, before.hash, 0, 0)


# ---------------------------------------------------------------- coupons at the start


def test_a_coupon_is_counted_when_the_purchase_starts() -> None:
    """In all and for the account, in the transaction that starts it."""
    shop = Shop()
    shop.make_coupon(percent_off=1000)
    shop.start(coupon="C")
    purchase = shop.purchase()
    assert (purchase.price, purchase.discount, purchase.coupon_counted) == (3591, 399, True)
    assert shop.coupon_uses() == (1, 1)
    shop.start("b2", coupon="C")
    assert shop.coupon_uses() == (2, 2)


@pytest.mark.parametrize(("limit", "reason"), [("max_uses", "used_up"), ("max_uses_per_account", "used_up_by_account")])
def test_a_coupon_that_is_used_up_starts_no_purchase(limit: str, reason: str) -> None:
    """422 `coupon_invalid`, until a use is given back."""
    shop = Shop()
    shop.make_coupon(percent_off=1000, **{limit: 1})
    shop.start(coupon="C")
    refused = shop.refusal(start("b2", coupon="C"))
    assert (refused.code, refused.extra) == ("coupon_invalid", {"reason": reason})
    shop.event("declined")
    shop.start("b2", coupon="C")
    assert shop.coupon_uses() == (1, 1)


@pytest.mark.parametrize("dates", [{"ends_at": NOW_MS}, {"starts_at": NOW_MS + 1}])
def test_a_coupon_is_judged_by_the_time_of_the_start(dates: dict[str, int]) -> None:
    """One that has ended or not begun yet starts no purchase."""
    shop = Shop()
    shop.make_coupon(percent_off=1000, **dates)
    assert shop.refusal(start(coupon="C")).code == "coupon_invalid"


def test_a_load_takes_no_coupon() -> None:
    """A coupon is for packages."""
    shop = Shop()
    shop.make_coupon(percent_off=1000)
    refused = shop.refusal(start(request=PurchaseRequest(amount=2500), coupon="C"))
    assert (refused.code, refused.extra) == ("coupon_invalid", {"reason": "package"})


def test_a_total_of_nothing_is_credited_at_once() -> None:
    """No provider is asked, and the same key again grants no more."""
    shop = Shop()
    shop.make_coupon(percent_off=10_000)
    assert shop.start(coupon="C").did == "credited"
    assert (shop.purchase().provider, shop.balance(), shop.kinds()) == (None, (FREE + 10_000, 0), ["purchased"])
    assert shop.start(coupon="C").replayed is not None
    assert shop.balance() == (FREE + 10_000, 0)


# ---------------------------------------------------------------- checkout and polls


def test_the_checkout_is_recorded_once() -> None:
    """The provider's first answer stays: where the buyer pays, and how the provider calls the purchase."""
    shop = Shop()
    shop.start()
    shop.do(replace(checkout(), provider_reference="other", redirect_url="https://other"))
    purchase = shop.purchase()
    assert (purchase.checkout, purchase.provider_reference, purchase.redirect_url) == (True, "ref", "https://pay")


@pytest.mark.parametrize("command", [checkout(), PlanPoll("b1")])
def test_only_a_purchase_that_has_started_goes_on(command: Any) -> None:
    """404 `purchase_not_found`, after 404 `account_not_found`."""
    assert Shop().refusal(command).code == "purchase_not_found"
    assert Account().refusal(command).code == "account_not_found"


def test_each_poll_plans_the_next() -> None:
    """Polled whenever it is due, a pending purchase is polled at every time of the contract, and then no more."""
    shop = Shop()
    shop.start()
    began, times = shop.purchase().created_at, []
    while (poll_at := shop.purchase().poll_at) is not None:
        times.append(poll_at - began)
        shop.clock.at_ms = poll_at
        assert shop.did(PlanPoll("b1")) == "polled"
    assert tuple(times) == POLL_DELAYS_MS


# ---------------------------------------------------------------- reviews


def review(*, credit: bool, coupon: str | None = None, request_id: str = "r1", **values: Any) -> SettleReview:
    """A person's decision."""
    plain: dict[str, Any] = {"caller": merchant(), "purchase_id": "b1", "reason": "seen"}
    return SettleReview(**{**plain, "request_id": request_id, "credit": credit, "coupon": coupon, **values})


def in_review(**terms: Any) -> Shop:
    """A shop whose purchase was paid with one cent, with a coupon if its terms are given."""
    shop = Shop()
    if terms:
        shop.make_coupon(**terms)
    shop.start(coupon="C" if terms else None)
    assert shop.event("paid", 1) == "put_aside"
    return shop


@pytest.mark.parametrize(("credit", "status", "posted"), [(True, "credited", FREE + 10_000), (False, "canceled", FREE)])
def test_a_review_is_settled_once(credit: bool, status: str, posted: int) -> None:  # noqa: FBT001 - a table's cell
    """A person credits or refuses; then it is in review no more, and another request is 409 `invalid_transition`."""
    shop = in_review()
    assert shop.did(review(credit=credit)) == status
    refused = shop.refusal(review(credit=credit, request_id="r2"))
    assert (refused.code, refused.status) == ("invalid_transition", 409)
    assert shop.balance() == (posted, 0)


@pytest.mark.parametrize("credit", [True, False])
def test_a_review_recognises_its_own_retry(credit: bool) -> None:  # noqa: FBT001 - a table's cell
    """The same request again is answered as before, and grants nothing more."""
    shop = in_review()
    first = shop.do(review(credit=credit))
    again = shop.do(review(credit=credit))
    assert (again.page, again.done.did) == (first.page, "credited" if credit else "canceled")


def test_a_review_that_credits_says_who_and_why() -> None:
    """The entry names the person and the reason, and the purchase no longer says why it waited."""
    shop = in_review()
    assert shop.purchase().review_reason == "wrong amount or currency"
    shop.do(review(credit=True))
    (entry,) = shop.page().entries
    assert (entry.kind, entry.actor, entry.reason) == ("purchased", "merchant", "seen")
    assert shop.purchase().review_reason is None


def test_a_refused_review_stays_refused() -> None:
    """Neither the same payment nor its refund brings it back."""
    shop = in_review()
    shop.do(review(credit=False))
    assert shop.purchase().review_reason == "seen"
    assert shop.event("paid", 1) == "nothing"
    shop.event("refunded", 1)
    assert (shop.purchase().status, shop.balance()) == ("canceled", (FREE, 0))


def test_a_purchase_that_is_not_in_review_cannot_be_settled() -> None:
    """409 `invalid_transition`."""
    shop = Shop()
    shop.start()
    assert shop.refusal(review(credit=True)).code == "invalid_transition"


def test_a_review_needs_a_token_for_the_whole_account() -> None:
    """403 `store_forbidden`, also where there is no such purchase; else that is 404 `purchase_not_found`."""
    assert Shop().refusal(review(credit=True, caller=merchant(store_id="s1"))).code == "store_forbidden"
    assert Shop().refusal(review(credit=True)).code == "purchase_not_found"


def test_a_review_that_would_pass_the_limit_is_refused() -> None:
    """409 `balance_limit`; it can be credited as soon as there is room."""
    shop = in_review()
    shop.do(adjust("auto_order", MAX_BALANCE - FREE - 9_999))
    assert shop.refusal(review(credit=True)).code == "balance_limit"
    shop.do(adjust("auto_order", -1))
    assert shop.did(review(credit=True)) == "credited"


def test_a_refused_review_gives_the_coupon_back_once() -> None:
    """Of two uses one is left."""
    shop = in_review(percent_off=1000)
    shop.start("b2", coupon="C")
    assert shop.coupon_uses() == (2, 2)
    shop.do(review(credit=False, coupon="C"))
    assert (shop.coupon_uses(), shop.purchase().coupon_counted) == ((1, 1), False)
    shop.do(review(credit=False, coupon="C"))
    assert shop.coupon_uses() == (1, 1)


def test_a_credited_review_keeps_the_coupon_counted() -> None:
    """It was used."""
    shop = in_review(percent_off=1000)
    shop.do(review(credit=True, coupon="C"))
    assert (shop.coupon_uses(), shop.purchase().coupon_counted) == ((1, 1), True)


def draft_in_review(coupon: str | None, *, counted_already: bool) -> Draft:
    """A draft with a purchase in review."""
    purchase = Purchase(
        purchase_id="b1",
        package="auto_order-100",
        unit="auto_order",
        credits=10_000,
        price=3591,
        coupon=coupon,
        coupon_counted=counted_already,
        payment_method="card",
        status="review",
        created_at=NOW_MS,
        updated_at=NOW_MS,
        rev=3,
    )
    known, used = counted(Coupon(code="C", percent_off=1000), None, 1)
    records: dict[RecordKey, Record] = {PURCHASE_KEY: purchase, ("coupon", "C"): known, ("coupon_use", "C"): used}
    return Draft(ACCOUNT_ID, page_of(state_of()), records, CATALOG, NOW_MS)


@pytest.mark.parametrize(
    ("coupon", "counted_already"), [("C", False), (None, True)], ids=["a use given back before", "no coupon at all"]
)
def test_a_review_gives_back_only_a_use_that_is_counted(coupon: str | None, counted_already: bool) -> None:  # noqa: FBT001 - a table's cell
    """Otherwise only the purchase is written."""
    draft = draft_in_review(coupon, counted_already=counted_already)
    review(credit=False, coupon=coupon).decide(draft)
    assert list(draft.changed) == [PURCHASE_KEY]


# ---------------------------------------------------------------- making and closing coupons

TEN_PERCENT = Coupon(code="C", percent_off=1000)


def coupons() -> Account:
    """An empty store for coupons, which concern no account."""
    return Account(MemoryStore(), ManualClock(), NO_ACCOUNT)


def test_a_coupon_is_made_as_it_was_asked_for() -> None:
    """The record also says which request made it."""
    shelf = coupons()
    made = shelf.do(MakeCoupon(coupon=TEN_PERCENT, request_id="r1"))
    assert made.head is None
    assert made.record(Coupon) == replace(TEN_PERCENT, made_by="r1", rev=1)
    assert shelf.store.read(NO_ACCOUNT, [("coupon", "C")]) == {("coupon", "C"): made.done.record}


def test_a_coupon_recognises_its_makers_retry() -> None:
    """The same request again gets the coupon as it stands, with its uses, and makes no other."""
    shop = Shop()
    shop.make_coupon(percent_off=1000)
    shop.start(coupon="C")
    again = shop.make_coupon(percent_off=1000)
    assert (again.uses, again.rev) == (1, 2)


def test_somebody_elses_coupon_is_never_replaced() -> None:
    """409 `coupon_exists` for another request, whatever coupon it asks for."""
    shelf = coupons()
    shelf.do(MakeCoupon(coupon=TEN_PERCENT, request_id="r1"))
    for other in (TEN_PERCENT, replace(TEN_PERCENT, percent_off=10_000)):
        refused = shelf.refusal(MakeCoupon(coupon=other, request_id="r2"))
        assert (refused.code, refused.status) == ("coupon_exists", 409)
    assert shelf.store.read(NO_ACCOUNT, [("coupon", "C")])["coupon", "C"].rev == 1


def test_a_coupon_of_an_earlier_release_is_nobodys_own() -> None:
    """It does not say who made it, so every request to make it is another one."""
    shelf = coupons()
    shelf.store.commit(NO_ACCOUNT, None, [RecordWrite(("coupon", "C"), replace(TEN_PERCENT, rev=1), None)])
    assert shelf.refusal(MakeCoupon(coupon=TEN_PERCENT, request_id="r1")).code == "coupon_exists"


def test_a_coupon_names_only_packages_that_are_on_sale() -> None:
    """422 `unknown_package`, and no coupon is made."""
    shelf = coupons()
    coupon = replace(TEN_PERCENT, packages=("auto_order-20", "auto_order-21"))
    assert shelf.refusal(MakeCoupon(coupon=coupon, request_id="r1")).code == "unknown_package"
    assert shelf.store.read(NO_ACCOUNT, [("coupon", "C")]) == {}
    good = replace(coupon, packages=("auto_order-20", "auto_order-100"))
    assert shelf.do(MakeCoupon(coupon=good, request_id="r1")).record(Coupon).packages == good.packages


def test_a_coupon_is_closed_once() -> None:
    """Closed again it stays as it is, and no record is written."""
    shelf = coupons()
    shelf.do(MakeCoupon(coupon=TEN_PERCENT, request_id="r1"))
    closed = shelf.do(CloseCoupon("C"))
    assert (closed.done.did, closed.record(Coupon)) == (
        "closed",
        replace(TEN_PERCENT, closed=True, made_by="r1", rev=2),
    )
    again = shelf.do(CloseCoupon("C"))
    assert (again.done.did, again.record(Coupon)) == ("closed_already", closed.record(Coupon))


def test_a_closed_coupon_starts_no_purchase() -> None:
    """422 `coupon_invalid`; a purchase that was started with it before goes on."""
    shop = Shop()
    shop.make_coupon(percent_off=1000)
    shop.start(coupon="C")
    shop.ledger().execute(NO_ACCOUNT, CloseCoupon("C"))
    refused = shop.refusal(start("b2", coupon="C"))
    assert (refused.code, refused.extra) == ("coupon_invalid", {"reason": "closed"})
    assert shop.event("paid", 3591) == "credited"


def test_a_coupon_that_is_not_there_cannot_be_closed() -> None:
    """404 `coupon_not_found`."""
    assert coupons().refusal(CloseCoupon("C")).code == "coupon_not_found"


def test_a_coupon_cannot_be_used_before_it_is_made() -> None:
    """422 `coupon_invalid`, and no use is counted."""
    shop = Shop()
    refused = shop.refusal(start(coupon="C"))
    assert (refused.code, refused.extra) == ("coupon_invalid", {"reason": "unknown"})
    assert shop.store.read(ACCOUNT_ID, [("coupon_use", "C")]) == {}

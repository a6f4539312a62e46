"""What HTTP and the schedule ask of purchases and coupons."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from autocredits.domain.access import Caller
from autocredits.domain.accounts import ChangeStanding
from autocredits.domain.decide import Draft, RecordWrite
from autocredits.domain.errors import Problem
from autocredits.domain.journal import Page
from autocredits.domain.money import MAX_BALANCE
from autocredits.domain.purchases.calls import (
    CloseCoupon,
    MakeCoupon,
    PlanPoll,
    PurchaseRequest,
    RefusePayment,
    TallyCoupon,
    check_may_change,
)
from autocredits.domain.purchases.coupons import Coupon, CouponUse
from autocredits.domain.purchases.facts import MAX_CHECKOUTS, Checkout, Decision, PaymentFacts
from autocredits.domain.purchases.record import EXPIRES_MS, PAYABLE, POLL_DELAYS_MS, Purchase
from autocredits.domain.records import NO_ACCOUNT, KeyRecord, Record, RecordKey
from autocredits.ledger.commit import Accepted
from autocredits.ledger.ports import ConflictError, UnavailableError
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
from tests.kit.purchases import (
    CARD,
    CREDITS,
    FREE,
    PAYPAL,
    PRICE,
    Shop,
    begin,
    cancel,
    checkout,
    fulfil,
    review,
    start,
    use_of,
)

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
PURCHASE_KEY = ("purchase", "b1")


# ---------------------------------------------------------------- starting a purchase


def test_a_purchase_starts_with_its_price_frozen() -> None:
    """It is `pending`, and nothing is granted yet."""
    shop = Shop()
    assert shop.start().did == "pending"
    purchase = shop.purchase()
    terms = (purchase.package, purchase.unit, purchase.credits, purchase.price)
    assert terms == ("auto_order-100", "auto_order", 10_000, 3990)
    assert (shop.balance(), shop.kinds(), purchase.granted) == ((FREE, 0), [], False)


def test_a_purchase_starts_with_its_first_checkout() -> None:
    """By the method that was asked for; its provider does not know of it yet."""
    shop = Shop()
    shop.start(method=CARD, return_url="https://back", checkout_too=False)
    first = Checkout(
        number=1, payment_method="card", provider="stripe", started_at=shop.clock.at_ms, return_url="https://back"
    )
    assert (shop.purchase().checkouts, shop.purchase().payment_method) == ((first,), "card")


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


@pytest.mark.parametrize(("least", "greatest"), [(3990, 3990), (1, 3989), (3991, 10_000)])
def test_a_price_is_what_the_provider_can_take(least: int, greatest: int) -> None:
    """Else 422 `invalid_amount`, which names both limits."""
    shop, method = Shop(), replace(CARD, least=least, greatest=greatest)
    if least <= PRICE <= greatest:
        assert shop.start(method=method).did == "pending"
        return
    refused = shop.refusal(start(method=method))
    assert (refused.code, refused.status) == ("invalid_amount", 422)
    assert refused.detail == f"card takes payments from {least / 100:.2f} to {greatest / 100:.2f}."


def test_a_load_that_a_card_cannot_take_leaves_nothing() -> None:
    """0.49 by card is 422 `invalid_amount`; 0.50 with the same key is a load of its own, and no replay."""
    shop = Shop()
    small = start(request=PurchaseRequest(amount=49), method=CARD, idempotency=idempotency("k", "a load of 0.49"))
    assert shop.refusal(small).code == "invalid_amount"
    assert shop.store.read(ACCOUNT_ID, [PURCHASE_KEY, ("key", "k")]) == {}
    enough = start(request=PurchaseRequest(amount=50), method=CARD, idempotency=idempotency("k", "a load of 0.50"))
    assert (shop.did(enough), shop.purchase().price) == ("pending", 50)


def test_the_provider_takes_what_is_left_after_the_coupon() -> None:
    """39.90 less 39.50 are below a card's least amount; the refused start counts no use and leaves no key."""
    shop = Shop()
    shop.make_coupon(amount_off=3950, max_uses=1)
    assert shop.refusal(start(method=CARD, coupon="C")).code == "invalid_amount"
    assert shop.coupon_uses() == (0, 0)
    assert shop.store.read(ACCOUNT_ID, [PURCHASE_KEY, ("key", "key of b1"), ("coupon_use", "C")]) == {}
    assert shop.start(method=PAYPAL, coupon="C").did == "pending"


def test_nothing_to_pay_is_no_amount_for_a_provider() -> None:
    """Its least amount does not matter."""
    shop = Shop()
    shop.make_coupon(amount_off=5000)
    assert shop.start(method=CARD, coupon="C").did == "credited"


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


@pytest.mark.parametrize("limits", [{}, {"max_uses": 2}], ids=str)
def test_a_coupon_is_counted_when_the_purchase_starts(limits: dict[str, int]) -> None:
    """For the account at once; in all at once where it is limited, and soon where it is not."""
    shop = Shop()
    shop.make_coupon(percent_off=1000, **limits)
    shop.start(coupon="C")
    purchase = shop.purchase()
    assert (purchase.price, purchase.discount, purchase.coupon_counted) == (3591, 399, True)
    assert (shop.coupon().uses, use_of(shop).uses) == (1 if limits else 0, 1)
    shop.start("b2", coupon="C")
    assert shop.coupon_uses() == (2, 2)


@pytest.mark.parametrize(("limit", "reason"), [("max_uses", "used_up"), ("max_uses_per_account", "used_up_by_account")])
@pytest.mark.parametrize("over", ["expired", "canceled", "payment_refused", "refused"])
def test_a_coupon_that_is_used_up_starts_no_purchase(limit: str, reason: str, over: str) -> None:
    """422 `coupon_invalid`, until a use is given back: by an expiry, a cancellation, a refused payment or review."""
    shop = Shop()
    shop.make_coupon(percent_off=1000, **{limit: 1})
    shop.start(coupon="C")
    for _ in range(2):
        refused = shop.refusal(start("b2", coupon="C"))
        assert (refused.code, refused.extra) == ("coupon_invalid", {"reason": reason})
        shop.event("declined", payment_id="card1")  # gives nothing back
    end_unpaid(shop, over)
    assert shop.coupon_uses() == (0, 0)
    shop.start("b2", coupon="C")
    assert shop.coupon_uses() == (1, 1)


def end_unpaid(shop: Shop, over: str) -> None:
    """Let the purchase end without a grant."""
    if over == "expired":
        shop.event("expired", payment_id=None)
    if over == "canceled":
        shop.cancel()
    if over == "payment_refused":
        shop.do(RefusePayment(purchase_id="b1", coupon="C", provider="paypal"))
    if over == "refused":
        shop.event("paid", 1)
        shop.review("refuse")
    assert shop.status() == ("expired" if over == "expired" else "canceled")


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
    """No provider is asked, there is no checkout, and the same key again grants no more."""
    shop = Shop()
    shop.make_coupon(percent_off=10_000, max_uses=2)
    assert shop.start(coupon="C").did == "credited"
    assert (shop.purchase().checkouts, shop.balance(), shop.kinds()) == ((), (FREE + CREDITS, 0), ["purchased"])
    assert shop.start(coupon="C").replayed is not None
    assert (shop.balance(), shop.coupon_uses()) == ((FREE + CREDITS, 0), (1, 1))


class Kept(MemoryStore):
    """The store as the starts of several accounts share it: who touches an item is noted.

    A second account's touch of an item is a conflict, as it would be in one moment.
    """

    touched: dict[Any, str]

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store.pages, store.records)
        self.touched = {}

    def commit(
        self, account_id: str, page: Page | None, writes: Sequence[RecordWrite], *, vacant: int | None = None
    ) -> None:
        """Note every item that is written, or checked to be absent."""
        number = page.version if page else vacant
        kept = [("page", account_id, str(number))] if number else []
        shared = [
            (*write.key, "") if write.key[0] in ("coupon", "payment") else (*write.key, account_id) for write in writes
        ]
        for item in (*kept, *shared):
            if self.touched.setdefault(item, account_id) != account_id:
                raise ConflictError
        super().commit(account_id, page, writes, vacant=vacant)

    def of(self, account_id: str) -> set[Any]:
        """The items that an account's commits touched."""
        return {item for item, who in self.touched.items() if who == account_id}


def two_shops(**terms: Any) -> tuple[Shop, Shop, Kept]:
    """Two accounts that share a coupon, and the store that notes what their next commits touch."""
    first = Shop()
    second = Shop(first.store, first.clock, "bolt")
    first.make_coupon(**terms)
    return first, second, Kept(first.store)


@pytest.mark.parametrize("limits", [{}, {"max_uses_per_account": 1}], ids=str)
def test_two_accounts_start_with_an_unlimited_coupon_without_touching_the_same_item(limits: dict[str, int]) -> None:
    """Neither writes or checks what the other's start touches, so neither ever waits for it."""
    first, second, kept = two_shops(percent_off=1000, **limits)
    for shop in (first, second):
        accepted = shop.ledger(kept).execute(shop.account_id, start(coupon="C"))
        assert (accepted.done.did, shop.clock.waited_s) == ("pending", 0)
    mine, others = kept.of(first.account_id), kept.of(second.account_id)
    kinds = {"key", "purchase", "coupon_use", "page"}
    assert ({kind for kind, *_ in mine}, {kind for kind, *_ in others}) == (kinds, kinds)
    assert mine.isdisjoint(others)
    for shop in (first, second):
        shop.do(checkout())
        shop.ledger(kept).execute(shop.account_id, fulfil("expired", payment_id=None, coupon="C"))
    assert kept.of(first.account_id).isdisjoint(kept.of(second.account_id))


def test_a_limited_coupon_is_counted_in_the_transaction_that_starts_the_purchase() -> None:
    """Of two accounts that start in one moment only one has the last use."""
    first, second, kept = two_shops(percent_off=1000, max_uses=1)
    first.ledger(kept).execute(first.account_id, start(coupon="C"))
    assert ("coupon", "C", "") in kept.of(first.account_id)
    assert (first.coupon().uses, use_of(first)) == (1, CouponUse(code="C", uses=1, tallied=1, rev=1))
    kept.touched.clear()
    with pytest.raises(Problem, match="coupon_invalid"):
        second.ledger(kept).execute(second.account_id, start(coupon="C"))
    assert second.coupon_uses() == (1, 0)


# ---------------------------------------------------------------- counting a coupon's uses


def test_uses_are_added_once() -> None:
    """The coupon's count lags until it is tallied; tallied again it stays."""
    first, second, _ = two_shops(percent_off=1000)
    for shop, purchase_id in ((first, "b1"), (first, "b2"), (second, "b1")):
        shop.start(purchase_id, coupon="C")
    assert first.coupon().uses == 0
    assert [first.tally(), first.tally(), first.coupon().uses] == ["tallied", "nothing", 2]
    assert [second.tally(), second.tally(), second.coupon().uses] == ["tallied", "nothing", 3]
    assert (use_of(first), use_of(second)) == (
        CouponUse(code="C", uses=2, tallied=2, rev=3),
        CouponUse(code="C", uses=1, tallied=1, rev=2),
    )


def test_uses_that_are_given_back_are_taken_off_once() -> None:
    """Whether they were tallied before or not."""
    for tallied_before in (True, False):
        shop = Shop()
        shop.make_coupon(percent_off=1000)
        shop.start(coupon="C")
        shop.start("b2", coupon="C")
        if tallied_before:
            shop.tally()
        shop.cancel()
        assert [shop.tally(), shop.tally(), shop.coupon().uses] == ["tallied", "nothing", 1]


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_a_tally_that_breaks_off_is_exact(lost: str) -> None:
    """Both records are written together or not at all, so the next tally knows what is counted."""
    shop = Shop()
    shop.make_coupon(percent_off=1000)
    shop.start(coupon="C")
    broken: list[str] = []

    class Breaking(MemoryStore):
        """Another view of the store, whose first commit breaks off."""

        def commit(self, account_id: str, page: Page | None, writes: Any, *, vacant: int | None = None) -> None:
            if broken or lost == "answer":
                shop.store.commit(account_id, page, writes, vacant=vacant)
            if not broken:
                broken.append(lost)
                raise UnavailableError

    view = Breaking(shop.store.pages, shop.store.records)
    shop.ledger(view).execute(ACCOUNT_ID, TallyCoupon(code="C"), reads_page=False)
    assert (shop.coupon().uses, use_of(shop).tallied) == (1, 1)


def test_nothing_is_tallied_where_nothing_was_used() -> None:
    """Neither record is made by it, and a coupon that is not there is none."""
    shop = Shop()
    assert shop.tally() == "nothing"
    shop.make_coupon(percent_off=1000)
    assert shop.tally() == "nothing"
    assert shop.store.read(ACCOUNT_ID, [("coupon_use", "C")]) == {}
    assert shop.coupon().rev == 1


def test_uses_of_an_earlier_release_are_counted_already() -> None:
    """It counted every use in the coupon as well."""
    shop = Shop()
    shop.make_coupon(percent_off=1000)
    coupon = replace(shop.coupon(), uses=5, rev=6)
    used = {"code": "C", "uses": 2, "rev": 2}
    shop.store.commit(NO_ACCOUNT, None, [RecordWrite(("coupon", "C"), coupon, 1)])
    place = (ACCOUNT_ID, ("coupon_use", "C"))
    shop.store.records[place] = json.dumps(used)
    assert shop.coupon_uses() == (5, 2)
    shop.start(coupon="C")
    assert shop.coupon_uses() == (6, 3)


# ---------------------------------------------------------------- the provider's answer


def test_the_checkout_is_recorded_once() -> None:
    """The provider's first answer stays: where the buyer pays, and how the provider calls it."""
    shop = Shop()
    shop.start()
    assert shop.did(replace(checkout(), reference="other", redirect_url="https://other")) == "nothing"
    (first,) = shop.purchase().checkouts
    assert (first.number, first.reference, first.redirect_url) == (1, "ref1", "https://pay")


def test_an_answer_is_recorded_with_its_own_checkout() -> None:
    """Also where it comes after the next one was begun; a checkout that was never begun is none."""
    shop = Shop()
    shop.start(checkout_too=False)
    shop.do(begin())
    assert shop.did(checkout(number=3)) == "nothing"
    assert [shop.did(checkout(number=2)), shop.did(checkout(number=1))] == ["checkout", "checkout"]
    assert [(one.number, one.reference) for one in shop.purchase().checkouts] == [(1, "ref1"), (2, "ref2")]


@pytest.mark.parametrize(
    "command",
    [checkout(), begin(), cancel(), RefusePayment(purchase_id="b1", provider="paypal"), review("credit"), review("dispute_won")],
    ids=lambda command: type(command).__name__,
)  # fmt: skip
def test_only_a_purchase_that_has_started_goes_on(command: Any) -> None:
    """404 `purchase_not_found`, after 404 `account_not_found`."""
    assert Shop().refusal(command).code == "purchase_not_found"
    assert Account().refusal(command).code == "account_not_found"


@pytest.mark.parametrize("command", [begin, cancel])
def test_going_on_needs_a_token_for_the_whole_account(command: Any) -> None:
    """403 `store_forbidden` for a token that is bound to a store, whether there is such a purchase or not."""
    bound = merchant(store_id="s1")
    assert Shop().refusal(command(caller=bound)).code == "store_forbidden"
    shop = Shop()
    shop.start()
    assert shop.refusal(command(caller=bound)).code == "store_forbidden"


# ---------------------------------------------------------------- paying another way


@pytest.mark.parametrize("before", PAYABLE)
def test_a_purchase_is_paid_another_way_at_its_frozen_price(before: str) -> None:
    """The next checkout is open; price, coupon and purchase stay."""
    shop = Shop()
    shop.make_coupon(percent_off=1000, max_uses_per_account=1)
    shop.start(coupon="C")
    if before == "declined":
        shop.event("declined")
    shop.clock.at_ms += 5 * MINUTE
    assert shop.did(begin(return_url="https://back", request_id="r1", coupon="C")) == "checkout"
    purchase = shop.purchase()
    assert (purchase.status(), purchase.price, purchase.payment_method) == ("pending", 3591, "card")
    assert purchase.checkouts[1:] == (
        Checkout(
            number=2,
            payment_method="card",
            provider="stripe",
            started_at=shop.clock.at_ms,
            return_url="https://back",
            request_id="r1",
        ),
    )
    assert purchase.poll_at == shop.clock.at_ms + 2 * MINUTE
    assert (shop.coupon_uses(), shop.kinds().count("declined")) == ((1, 1), int(before == "declined"))


def test_another_checkout_recognises_its_own_retry() -> None:
    """The same request again begins no further one; another request finds it open already."""
    shop = Shop()
    shop.start()
    for _ in range(2):
        assert shop.did(begin(request_id="r1")) == "checkout"
    refused = shop.refusal(begin(request_id="r2"))
    assert (refused.code, refused.detail) == ("invalid_transition", "This purchase is being paid another way already.")
    assert len(shop.purchase().checkouts) == 2


def test_a_checkout_that_was_paid_meanwhile_needs_no_other() -> None:
    """The purchase stays as it is: `credited`."""
    shop = Shop()
    shop.start()
    shop.event("paid")
    before = shop.purchase()
    accepted = shop.do(begin())
    assert (accepted.done.did, accepted.record(Purchase), shop.purchase()) == ("credited", before, before)


@pytest.mark.parametrize("over", ["expired", "canceled", "review", "refunded"])
def test_a_purchase_that_is_over_cannot_be_paid_another_way(over: str) -> None:
    """409 `invalid_transition`: buy again."""
    shop = Shop()
    shop.start()
    if over == "review":
        shop.event("paid", 1)
    elif over == "refunded":
        shop.event("paid")
        shop.event("refunded", PRICE)
    else:
        end_unpaid(shop, over)
    assert shop.status() == over
    refused = shop.refusal(begin())
    assert (refused.code, refused.status) == ("invalid_transition", 409)
    assert refused.detail == "This purchase can no longer be paid another way."


def test_a_free_purchase_cannot_be_paid_another_way() -> None:
    """It has no checkout, and is asked by nobody to pay."""
    free = Purchase(
        purchase_id="b1", unit="auto_order", credits=1, price=0, payment_method="card", created_at=1, updated_at=1
    )
    with pytest.raises(Problem, match="invalid_transition"):
        check_may_change(state_of(), free, CARD)


def test_a_checkout_that_has_expired_since_it_was_closed_may_be_followed() -> None:
    """Closing it is what expired it; its use of the coupon, given back by that, is counted again."""
    shop = Shop()
    shop.make_coupon(percent_off=1000)
    shop.start(coupon="C")
    shop.event("expired", payment_id=None, checkout=1)
    assert (shop.status(), shop.coupon_uses()) == ("expired", (0, 0))
    state = shop.page().state
    with pytest.raises(Problem, match="invalid_transition"):
        check_may_change(state, shop.purchase(), CARD)
    assert check_may_change(state, shop.purchase(), CARD, closed=True).number == 1
    assert shop.did(begin(coupon="C")) == "checkout"
    assert (shop.status(), shop.coupon_uses()) == ("pending", (1, 1))


def test_the_twenty_first_checkout_is_refused() -> None:
    """409 `too_many_attempts`; the open one can still be paid, and canceled."""
    shop = Shop()
    shop.start()
    for _ in range(MAX_CHECKOUTS - 1):
        shop.pay_otherwise()
    refused = shop.refusal(begin(after=MAX_CHECKOUTS))
    assert (refused.code, refused.status) == ("too_many_attempts", 409)
    assert (len(shop.purchase().checkouts), shop.status()) == (MAX_CHECKOUTS, "pending")
    assert shop.event("paid", checkout=MAX_CHECKOUTS) == "credited"


def test_the_twentieth_checkout_goes_on_until_it_is_closed() -> None:
    """Asked for again by its own method it needs no further one; another method, or a closed one, does."""
    shop = Shop()
    shop.start()
    for _ in range(MAX_CHECKOUTS - 1):
        shop.pay_otherwise(method=CARD)
    state, purchase = shop.page().state, shop.purchase()
    assert check_may_change(state, purchase, CARD) == purchase.checkouts[-1]
    for method, closed in ((PAYPAL, False), (CARD, True), (PAYPAL, True)):
        with pytest.raises(Problem, match="too_many_attempts"):
            check_may_change(state, purchase, method, closed=closed)


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"status": "closed"}, "account_inactive"), ({"orders_processor": "inactive"}, "orders_processor_inactive"),
     ({"status": "paused"}, None)],
)  # fmt: skip
def test_standing_and_add_on_count_as_for_a_purchase(changes: dict[str, str | int | None], code: str | None) -> None:
    """Before the purchase's own status."""
    shop = Shop()
    shop.start()
    shop.set_standing(**changes)
    if code is None:
        assert shop.did(begin()) == "checkout"
        return
    assert shop.refusal(begin()).code == code
    shop.cancel()
    assert shop.refusal(begin()).code == code


def test_another_way_takes_the_price_or_is_refused() -> None:
    """422 `invalid_amount`, and the open checkout stays."""
    shop = Shop()
    shop.start()
    assert shop.refusal(begin(method=replace(CARD, least=PRICE + 1))).code == "invalid_amount"
    assert len(shop.purchase().checkouts) == 1


def test_another_checkout_begins_only_while_the_standing_is_what_was_read() -> None:
    """It enters nothing, so its transaction checks that no page has come since."""
    shop = Shop()
    shop.start()
    draft = Draft(ACCOUNT_ID, shop.page(), {PURCHASE_KEY: shop.purchase()}, CATALOG, shop.clock.at_ms)
    begin().decide(draft)
    assert (draft.decisive, draft.entries) == (True, ())


# ---------------------------------------------------------------- a payment that the provider refuses


def test_a_refused_payment_cancels_the_purchase() -> None:
    """Its coupon's use is given back, nothing is entered, and it is told once."""
    shop = Shop()
    shop.make_coupon(percent_off=1000)
    shop.start(coupon="C", checkout_too=False)
    refusal = RefusePayment(purchase_id="b1", coupon="C", provider="paypal")
    assert [shop.did(refusal), shop.did(refusal)] == ["canceled", "nothing"]
    assert shop.purchase().decisions == (Decision(what="payment_refused", actor="payments:paypal"),)
    assert (shop.status(), shop.coupon_uses(), shop.kinds(), shop.purchase().poll_at) == ("canceled", (0, 0), [], None)


def test_a_refusal_after_the_payment_changes_nothing() -> None:
    """The money is there, and the purchase is told as it stands."""
    shop = Shop()
    shop.start()
    shop.event("paid")
    before = shop.purchase()
    accepted = shop.do(RefusePayment(purchase_id="b1", provider="paypal"))
    assert (accepted.done.did, accepted.record(Purchase), shop.purchase()) == ("nothing", before, before)


# ---------------------------------------------------------------- canceling


@pytest.mark.parametrize("before", ["pending", "declined", "expired", "start under way"])
def test_an_unpaid_purchase_is_canceled(before: str) -> None:
    """It says by whom; canceled again it is the same, and nothing is written."""
    shop = Shop()
    shop.start(checkout_too=before != "start under way")
    if before in ("declined", "expired"):
        shop.event(before)
    assert shop.cancel() == "canceled"
    purchase = shop.purchase()
    assert purchase.decisions == (Decision(what="cancel", actor="merchant"),)
    assert (purchase.poll_at, shop.kinds()) == (None, ["declined"] if before == "declined" else [])
    assert (shop.cancel(), shop.purchase()) == ("canceled", purchase)


@pytest.mark.parametrize("event", [("paid", PRICE), ("paid", 1)], ids=["credited", "review"])
def test_a_purchase_that_was_paid_cannot_be_canceled(event: tuple[str, int]) -> None:
    """409 `invalid_transition`, also after a refund."""
    shop = Shop()
    shop.start()
    shop.event(*event)
    refused = shop.refusal(cancel())
    assert (refused.code, refused.detail) == ("invalid_transition", "Only an unpaid purchase can be canceled.")
    if event[1] == PRICE:
        shop.event("refunded", PRICE)
        assert shop.refusal(cancel()).code == "invalid_transition"


def test_an_abandoned_coupon_is_free_again() -> None:
    """Checkout abandoned, bought again: canceled, the coupon can be used once more; or the same purchase goes on."""
    shop = Shop()
    shop.make_coupon(percent_off=1000, max_uses_per_account=1)
    shop.start(coupon="C")
    assert shop.refusal(start("b2", coupon="C")).extra == {"reason": "used_up_by_account"}
    shop.pay_otherwise()
    assert shop.coupon_uses() == (1, 1)
    shop.cancel()
    assert shop.coupon_uses() == (0, 0)
    assert shop.start("b2", coupon="C").did == "pending"


# ---------------------------------------------------------------- polls


def poll(shop: Shop, *, failed: bool = False) -> str:
    """What came of a poll that brought nothing, or failed."""
    return shop.ledger().execute(ACCOUNT_ID, PlanPoll(purchase_id="b1", failed=failed), reads_page=False).done.did


def test_each_poll_plans_the_next() -> None:
    """Polled whenever it is due, an unpaid purchase is polled at every time of the contract, then until it expires."""
    shop = Shop()
    shop.start()
    began, times = shop.purchase().created_at, []
    for _ in POLL_DELAYS_MS:
        poll_at = shop.purchase().poll_at
        assert poll_at is not None
        times.append(poll_at - began)
        shop.clock.at_ms = poll_at
        assert poll(shop) == "polled"
    assert (tuple(times), times[-1]) == (POLL_DELAYS_MS, EXPIRES_MS)
    shop.event("expired", payment_id=None)
    assert shop.purchase().poll_at is None


def test_a_poll_that_failed_is_counted_until_one_goes_well() -> None:
    """It comes back soon, and later each time."""
    shop = Shop()
    shop.start()
    waits = []
    for _ in range(3):
        poll(shop, failed=True)
        waits.append((shop.purchase().poll_at or 0) - shop.clock.at_ms)
    assert (waits, shop.purchase().poll_failures) == ([MINUTE, 2 * MINUTE, 4 * MINUTE], 3)
    poll(shop)
    assert (shop.purchase().poll_failures, shop.purchase().poll_at) == (0, shop.clock.at_ms + 2 * MINUTE)


def test_a_poll_is_planned_without_the_accounts_page() -> None:
    """A page that cannot be read holds up nobody, not even its own account's next poll."""
    shop = Shop()
    shop.start()
    shop.store.pages[ACCOUNT_ID][1] = ("{}", "broken")
    assert poll(shop, failed=True) == "polled"
    with pytest.raises(Problem, match="purchase_not_found"):
        shop.ledger().execute(ACCOUNT_ID, PlanPoll(purchase_id="b2"), reads_page=False)


# ---------------------------------------------------------------- reviews


def in_review(amount: int = 1, **terms: Any) -> Shop:
    """A shop whose purchase was paid with another amount, with a coupon if its terms are given."""
    shop = Shop()
    if terms:
        shop.make_coupon(**terms)
    shop.start(coupon="C" if terms else None)
    assert shop.event("paid", amount) == "put_aside"
    return shop


@pytest.mark.parametrize(
    ("decision", "status", "posted"), [("credit", "credited", FREE + CREDITS), ("refuse", "canceled", FREE)]
)
def test_a_review_is_settled_once(decision: str, status: str, posted: int) -> None:
    """A person credits or refuses; then nothing waits any more, and another request is 409 `invalid_transition`."""
    shop = in_review()
    assert shop.review(decision) == status
    for again in ("credit", "refuse"):
        refused = shop.refusal(review(again))
        assert (refused.code, refused.status) == ("invalid_transition", 409)
        assert refused.detail == "This purchase has no payment to decide on."
    assert (shop.balance(), shop.status()) == ((posted, 0), status)


@pytest.mark.parametrize("decision", ["credit", "refuse"])
def test_a_review_recognises_its_own_retry(decision: str) -> None:
    """The same request again is answered as before, and grants nothing more."""
    shop = in_review()
    first = shop.do(review(decision, request_id="r1"))
    again = shop.do(review(decision, request_id="r1"))
    assert (again.page, again.done.did) == (first.page, "credited" if decision == "credit" else "canceled")


def test_a_review_that_credits_says_who_and_why() -> None:
    """The entry and the decision name the person and the reason."""
    shop = in_review()
    shop.do(review("credit", request_id="r1"))
    (entry,) = shop.page().entries
    assert (entry.kind, entry.actor, entry.reason) == ("purchased", "platform", "seen")
    assert shop.purchase().decisions == (
        Decision(what="credit", actor="platform", reason="seen", payment_id="pay1", request_id="r1"),
    )
    assert shop.purchase().paid_by == "pay1"


@pytest.mark.parametrize(
    ("paid", "refunded", "left"), [(4000, 0, 10_000), (4000, 2000, 5000), (2000, 0, 10_000), (2000, 500, 7500), (2000, 1999, 5)]
)  # fmt: skip
def test_a_review_that_credits_takes_back_the_share_of_what_was_paid(paid: int, refunded: int, left: int) -> None:
    """Of 40.00 or 20.00 for 39.90: what was refunded meanwhile is taken back at once, and the rest as it goes back."""
    shop = in_review(paid)
    shop.event("refunded", refunded)
    shop.review("credit")
    assert shop.balance() == (FREE + left, 0)
    shop.event("refunded", paid)
    assert (shop.balance(), shop.status()) == ((FREE, 0), "refunded")


def test_a_review_that_credits_freezes_what_is_disputed() -> None:
    """A dispute of half of it that was opened meanwhile freezes half of the credits."""
    shop = in_review(4000)
    shop.event("dispute_created", 2000, dispute_id="d1")
    assert shop.review("credit") == "disputed"
    assert shop.balance() == (FREE + CREDITS, CREDITS // 2)


@pytest.mark.parametrize("gone", [[("refunded", 4000)], [("dispute_lost", 4000)], [("refunded", 3000), ("dispute_lost", 1000)]], ids=str)  # fmt: skip
@pytest.mark.parametrize("decision", ["credit", "refuse"])
def test_what_has_all_gone_back_cannot_be_decided_on(gone: list[tuple[str, int]], decision: str) -> None:
    """409 `invalid_transition`: it is `canceled`."""
    shop = in_review(4000)
    for event in gone:
        shop.event(*event)
    assert (shop.status(), shop.refusal(review(decision)).code) == ("canceled", "invalid_transition")


def test_a_refused_review_stays_refused() -> None:
    """Neither the same payment nor its refund, nor another payment brings it back."""
    shop = in_review()
    shop.review("refuse")
    assert shop.event("paid", 1) == "nothing"
    assert shop.event("paid", payment_id="pay2") == "put_aside"
    shop.event("refunded", 1)
    assert (shop.status(), shop.balance()) == ("canceled", (FREE, 0))


def test_of_several_payments_that_wait_the_first_is_credited() -> None:
    """The others are second payments from then on: refunds of them take nothing."""
    shop = in_review(5000)
    shop.event("paid", 3000, payment_id="pay0")
    assert shop.review("credit") == "credited"
    assert shop.purchase().paid_by == "pay1"
    shop.event("refunded", 3000, payment_id="pay0")
    assert (shop.balance(), shop.status()) == ((FREE + CREDITS, 0), "credited")
    shop.event("refunded", 2500)
    assert shop.balance() == (FREE + CREDITS // 2, 0)


def test_one_that_waits_beside_the_payment_that_paid_can_only_be_refused() -> None:
    """A purchase is credited once."""
    shop = in_review()
    shop.event("paid", payment_id="pay2")
    assert shop.refusal(review("credit")).code == "invalid_transition"
    assert shop.review("refuse") == "credited"
    assert shop.balance() == (FREE + CREDITS, 0)


def test_a_purchase_that_is_not_in_review_cannot_be_settled() -> None:
    """409 `invalid_transition`, unpaid or paid."""
    shop = Shop()
    shop.start()
    assert shop.refusal(review("credit")).code == "invalid_transition"
    shop.event("paid")
    for decision in ("credit", "refuse"):
        assert shop.refusal(review(decision)).code == "invalid_transition"


def test_a_review_that_would_pass_the_limit_is_refused() -> None:
    """409 `balance_limit`; it can be credited as soon as there is room."""
    shop = in_review()
    shop.do(adjust("auto_order", MAX_BALANCE - FREE - 9_999))
    assert shop.refusal(review("credit")).code == "balance_limit"
    shop.do(adjust("auto_order", -1))
    assert shop.review("credit") == "credited"


def test_a_refused_review_gives_the_coupon_back_once() -> None:
    """Of two uses one is left."""
    shop = in_review(percent_off=1000)
    shop.start("b2", coupon="C")
    assert shop.coupon_uses() == (2, 2)
    for _ in range(2):
        shop.do(review("refuse", coupon="C", request_id="r1"))
        assert (shop.coupon_uses(), shop.purchase().coupon_counted) == ((1, 1), False)


def test_a_credited_review_keeps_the_coupon_counted() -> None:
    """It was used."""
    shop = in_review(percent_off=1000)
    shop.review("credit")
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
        payments={"pay1": PaymentFacts(amount=1, waits_for="wrong amount")},
        created_at=NOW_MS,
        updated_at=NOW_MS,
        rev=3,
    )
    known, used = Coupon(code="C", percent_off=1000, uses=1), CouponUse(code="C", uses=1, tallied=1)
    records: dict[RecordKey, Record] = {PURCHASE_KEY: purchase, ("coupon", "C"): known, ("coupon_use", "C"): used}
    return Draft(ACCOUNT_ID, page_of(state_of()), records, CATALOG, NOW_MS)


@pytest.mark.parametrize(
    ("coupon", "counted_already"), [("C", False), (None, True)], ids=["a use given back before", "no coupon at all"]
)
def test_a_review_gives_back_only_a_use_that_is_counted(coupon: str | None, counted_already: bool) -> None:  # noqa: FBT001 - a table's cell
    """Otherwise only the purchase is written."""
    draft = draft_in_review(coupon, counted_already=counted_already)
    review("refuse", coupon=coupon).decide(draft)
    assert list(draft.changed) == [PURCHASE_KEY]


# ---------------------------------------------------------------- disputes that are settled by hand


def disputed(*dispute_ids: str) -> Shop:
    """A shop whose purchase was paid, with disputes of 10.00 each."""
    shop = Shop()
    shop.start()
    shop.event("paid")
    for dispute_id in dispute_ids:
        shop.event("dispute_created", 1000, dispute_id=dispute_id)
    return shop


@pytest.mark.parametrize(
    ("decision", "status", "kinds", "left"),
    [("dispute_won", "credited", ["released"], CREDITS), ("dispute_lost", "charged_back", ["released", "clawed_back"], CREDITS - 2506)],
)  # fmt: skip
def test_an_open_dispute_is_ended_by_hand(decision: str, status: str, kinds: list[str], left: int) -> None:
    """Its entries and the decision name the person and the reason; it is ended once."""
    shop = disputed("d1")
    assert shop.review(decision, request_id="r1") == status
    assert [(entry.kind, entry.actor, entry.reason) for entry in shop.page().entries] == [
        (kind, "platform", "seen") for kind in kinds
    ]
    assert shop.balance() == (FREE + left, 0)
    (made,) = shop.purchase().decisions
    assert (made.what, made.dispute_id, made.payment_id, made.request_id) == (decision, "d1", None, "r1")
    assert shop.review(decision, request_id="r1") == status
    refused = shop.refusal(review(decision, dispute_id="d1"))
    assert (refused.code, refused.detail) == ("invalid_transition", "This purchase has no such open dispute.")
    assert shop.refusal(review("dispute_won")).code == "invalid_transition"


def test_of_several_open_disputes_the_one_that_is_meant_is_named() -> None:
    """Else 422 `invalid_field`; once only one is open it need not be named."""
    shop = disputed("d1", "d2", "d3")
    refused = shop.refusal(review("dispute_won"))
    assert (refused.code, refused.status) == ("invalid_field", 422)
    assert shop.refusal(review("dispute_won", dispute_id="d4")).code == "invalid_transition"
    assert shop.review("dispute_lost", dispute_id="d2") == "disputed"
    assert shop.event("dispute_won", 1000, dispute_id="d1") == "disputed"
    assert shop.review("dispute_won") == "charged_back"
    assert shop.balance() == (FREE + CREDITS - 2506, 0)


@pytest.mark.parametrize("end", ["dispute_won", "dispute_lost"])
def test_a_dispute_whose_end_was_told_is_not_settled_by_hand(end: str) -> None:
    """409 `invalid_transition`, also in a purchase that was never disputed."""
    shop = disputed("d1")
    shop.event(end, 1000, dispute_id="d1")
    assert shop.refusal(review("dispute_won", dispute_id="d1")).code == "invalid_transition"
    assert disputed().refusal(review("dispute_won")).code == "invalid_transition"


def test_a_dispute_is_settled_by_hand_in_review_too() -> None:
    """Lost whole, the payment has gone back, and the purchase is `canceled`."""
    shop = in_review(4000)
    shop.event("dispute_created", 4000, dispute_id="d1")
    assert shop.review("dispute_lost") == "canceled"
    assert (shop.balance(), shop.kinds()) == ((FREE, 0), [])


# ---------------------------------------------------------------- making and closing coupons

TEN_PERCENT = Coupon(code="C", percent_off=1000)


def coupons() -> Account:
    """An empty store for coupons, which concern no account."""
    return Account(MemoryStore(), ManualClock(), NO_ACCOUNT)


def test_a_coupon_is_made_as_it_was_asked_for() -> None:
    """The record also says who made it, and by which request."""
    shelf = coupons()
    made = shelf.do(MakeCoupon(caller=PLATFORM, coupon=TEN_PERCENT, request_id="r1"))
    assert made.head is None
    assert made.record(Coupon) == replace(TEN_PERCENT, created_by="platform", made_by="r1", rev=1)
    assert shelf.store.read(NO_ACCOUNT, [("coupon", "C")]) == {("coupon", "C"): made.done.record}


def test_a_coupon_recognises_its_makers_retry() -> None:
    """The same request again gets the coupon as it stands, with its uses, and makes no other."""
    shop = Shop()
    shop.make_coupon(percent_off=1000, max_uses=5)
    shop.start(coupon="C")
    again = shop.make_coupon(percent_off=1000, max_uses=5)
    assert (again.uses, again.rev) == (1, 2)


def test_somebody_elses_coupon_is_never_replaced() -> None:
    """409 `coupon_exists` for another request, whatever coupon it asks for."""
    shelf = coupons()
    shelf.do(MakeCoupon(caller=PLATFORM, coupon=TEN_PERCENT, request_id="r1"))
    for other in (TEN_PERCENT, replace(TEN_PERCENT, percent_off=10_000)):
        refused = shelf.refusal(MakeCoupon(caller=PLATFORM, coupon=other, request_id="r2"))
        assert (refused.code, refused.status) == ("coupon_exists", 409)
    assert shelf.store.read(NO_ACCOUNT, [("coupon", "C")])["coupon", "C"].rev == 1


def test_a_coupon_of_an_earlier_release_is_nobodys_own() -> None:
    """It does not say who made it, so every request to make it is another one."""
    shelf = coupons()
    shelf.store.commit(NO_ACCOUNT, None, [RecordWrite(("coupon", "C"), replace(TEN_PERCENT, rev=1), None)])
    assert shelf.refusal(MakeCoupon(caller=PLATFORM, coupon=TEN_PERCENT, request_id="r1")).code == "coupon_exists"


def test_a_coupon_names_only_packages_that_are_on_sale() -> None:
    """422 `unknown_package`, and no coupon is made."""
    shelf = coupons()
    coupon = replace(TEN_PERCENT, packages=("auto_order-20", "auto_order-21"))
    assert shelf.refusal(MakeCoupon(caller=PLATFORM, coupon=coupon, request_id="r1")).code == "unknown_package"
    assert shelf.store.read(NO_ACCOUNT, [("coupon", "C")]) == {}
    good = replace(coupon, packages=("auto_order-20", "auto_order-100"))
    assert shelf.do(MakeCoupon(caller=PLATFORM, coupon=good, request_id="r1")).record(Coupon).packages == good.packages


def test_a_coupon_is_closed_once() -> None:
    """It says by whom; closed again it stays as it is, and no record is written."""
    shelf = coupons()
    shelf.do(MakeCoupon(caller=PLATFORM, coupon=TEN_PERCENT, request_id="r1"))
    closed = shelf.do(CloseCoupon(caller=Caller("closer", "*"), code="C"))
    assert (closed.done.did, closed.record(Coupon)) == (
        "closed",
        replace(TEN_PERCENT, closed=True, created_by="platform", closed_by="closer", made_by="r1", rev=2),
    )
    again = shelf.do(CloseCoupon(caller=PLATFORM, code="C"))
    assert (again.done.did, again.record(Coupon)) == ("closed_already", closed.record(Coupon))


def test_a_closed_coupon_starts_no_purchase() -> None:
    """422 `coupon_invalid`; a purchase that was started with it before goes on."""
    shop = Shop()
    shop.make_coupon(percent_off=1000)
    shop.start(coupon="C")
    shop.ledger().execute(NO_ACCOUNT, CloseCoupon(caller=PLATFORM, code="C"))
    refused = shop.refusal(start("b2", coupon="C"))
    assert (refused.code, refused.extra) == ("coupon_invalid", {"reason": "closed"})
    assert shop.event("paid", 3591) == "credited"


def test_a_coupon_that_is_not_there_cannot_be_closed() -> None:
    """404 `coupon_not_found`."""
    assert coupons().refusal(CloseCoupon(caller=PLATFORM, code="C")).code == "coupon_not_found"


def test_a_coupon_cannot_be_used_before_it_is_made() -> None:
    """422 `coupon_invalid`, and no use is counted."""
    shop = Shop()
    refused = shop.refusal(start(coupon="C"))
    assert (refused.code, refused.extra) == ("coupon_invalid", {"reason": "unknown"})
    assert shop.store.read(ACCOUNT_ID, [("coupon_use", "C")]) == {}

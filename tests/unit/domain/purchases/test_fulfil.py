"""Buying: credited once, whatever is repeated or out of order; refunds and disputes take back just their share."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocredits.bootstrap import catalog
from autocredits.domain.access import Caller
from autocredits.domain.accounts import Adjust, ChangeStanding, OpenAccount
from autocredits.domain.decide import Command, Done, IdempotencyKey, NotYet
from autocredits.domain.errors import Problem
from autocredits.domain.purchases.calls import PlanPoll, PurchaseRequest, RecordCheckout, SettleReview, StartPurchase
from autocredits.domain.purchases.coupons import Coupon, CouponUse
from autocredits.domain.purchases.fulfil import Fulfil, PaymentEvent, PaymentEventType
from autocredits.domain.purchases.record import POLL_DELAYS_MS, Purchase
from autocredits.domain.state import Balance
from autocredits.ledger.commit import Accepted, Ledger
from tests.kit.memory import ManualClock, MemoryStore

PLATFORM = Caller("platform", "*")
FREE = 500
MINUTE_MS = 60_000


@dataclass
class Shop:
    """An account that buys one thing, and the provider's news of it."""

    ledger: Ledger = field(default_factory=lambda: Ledger(MemoryStore(), ManualClock(), catalog()))
    account_id: str = "acme"

    def __post_init__(self) -> None:
        self.do(OpenAccount(PLATFORM, "active"))

    def do(self, command: Command) -> Done:
        """Let the account do a command."""
        return self.ledger.execute(self.account_id, command).done

    def start(
        self, order: PurchaseRequest | None = None, *, key: str = "k1", coupon: str | None = None, checkout: bool = True
    ) -> Done:
        """Start the purchase `p-<key>`, by default of 100 credits, and tell the provider."""
        done = self.do(
            StartPurchase(
                caller=PLATFORM,
                idempotency=IdempotencyKey(key, f"{key}-{order}-{coupon}"),
                purchase_id=f"p-{key}",
                order=order or PurchaseRequest(package="auto_order-100"),
                payment_method="card",
                provider="sandbox",
                coupon=coupon,
            )
        )
        if checkout and self.purchase(key).status == "pending":
            self.do(RecordCheckout(purchase_id=f"p-{key}", provider_reference="ref", redirect_url="http://pay"))
        return done

    def hear(
        self,
        what: PaymentEventType,
        amount: int = 3990,
        *,
        key: str = "k1",
        currency: str = "USD",
        payment: str = "pay",
    ) -> str:
        """PaymentEventType became of a provider's news."""
        news = PaymentEvent(
            provider="sandbox", what=what, purchase_id=f"p-{key}", payment_id=payment, amount=amount, currency=currency
        )
        return self.do(Fulfil(news, self.purchase(key).coupon)).did

    def purchase(self, key: str = "k1") -> Purchase:
        """The purchase's record."""
        record = self.ledger.store.read(self.account_id, [("purchase", f"p-{key}")])["purchase", f"p-{key}"]
        assert isinstance(record, Purchase)
        return record

    def balance(self, unit: str = "auto_order") -> Balance:
        """PaymentEventType the account has."""
        head = self.ledger.store.head(self.account_id)
        assert head is not None
        return head.state.balance(unit)

    def kinds(self) -> list[str]:
        """The kinds of all entries but those of the opening, oldest first."""
        pages = reversed(self.ledger.store.pages_before(self.account_id, 10**9, 10**6))
        return [entry.kind for page in pages for entry in page.entries][2:]

    def coupon(self, **terms: object) -> None:
        """Make the coupon `C`."""
        self.ledger.make_record(("coupon", "C"), Coupon(code="C", rev=1, **terms))  # type: ignore[arg-type]

    def coupon_uses(self) -> tuple[int, int]:
        """How often the coupon was used, in all and by the account."""
        records = self.ledger.store.read(self.account_id, [("coupon", "C"), ("coupon_use", "C")])
        coupon, used = records["coupon", "C"], records.get(("coupon_use", "C"))
        assert isinstance(coupon, Coupon)
        return coupon.uses, used.uses if isinstance(used, CouponUse) else 0


@pytest.mark.parametrize("package", catalog().packages, ids=lambda package: package.name)
def test_every_package_is_credited_in_full(package: object) -> None:
    """Its credits are there once its price is paid."""
    shop = Shop()
    shop.start(PurchaseRequest(package=package.name))  # type: ignore[attr-defined]
    assert shop.hear("paid", package.price) == "credited"  # type: ignore[attr-defined]
    assert shop.balance() == Balance(FREE + package.credits)  # type: ignore[attr-defined]


def test_a_load_goes_to_the_managed_balance() -> None:
    """A load of 100.00 costs 100.00 and is there as US dollars."""
    shop = Shop()
    shop.start(PurchaseRequest(amount=10_000))
    shop.hear("paid", 10_000)
    assert (shop.balance("managed"), shop.kinds()) == (Balance(10_000), ["loaded"])


def test_a_payment_is_credited_once_however_often_it_is_told() -> None:
    """A hundred repetitions change nothing."""
    shop = Shop()
    shop.start()
    assert [shop.hear("paid") for _ in range(100)] == ["credited"] + ["nothing"] * 99
    assert shop.balance() == Balance(FREE + 10_000)


@pytest.mark.parametrize("before", ["declined", "canceled", "expired"])
def test_a_payment_that_succeeds_after_all_is_credited(before: PaymentEventType) -> None:
    """Declined, canceled and expired are not the end."""
    shop = Shop()
    shop.start()
    assert shop.hear(before) == before
    assert shop.hear("paid") == "credited"


def test_a_declined_payment_is_told_in_the_journal() -> None:
    """An entry of 0.00 explains it."""
    shop = Shop()
    shop.start()
    shop.hear("declined")
    assert (shop.kinds(), shop.balance()) == (["declined"], Balance(FREE))


@pytest.mark.parametrize(("amount", "currency"), [(3989, "USD"), (3991, "USD"), (3990, "EUR"), (0, "USD")])
def test_a_wrong_payment_waits_for_a_person(amount: int, currency: str) -> None:
    """Nothing is credited for another amount or currency, not even by the right one afterwards."""
    shop = Shop()
    shop.start()
    assert shop.hear("paid", amount, currency=currency) == "put_aside"
    assert shop.hear("paid") == "nothing"
    assert (shop.purchase().status, shop.balance()) == ("review", Balance(FREE))


@pytest.mark.parametrize(("credit", "status", "posted"), [(True, "credited", FREE + 10_000), (False, "canceled", FREE)])
def test_a_review_is_settled_once(credit: bool, status: str, posted: int) -> None:  # noqa: FBT001
    """A person credits or refuses; then it is no longer in review."""
    shop = Shop()
    shop.start()
    shop.hear("paid", 1)
    settle = SettleReview(caller=PLATFORM, purchase_id="p-k1", request_id="r1", credit=credit, reason="looked at it")
    assert shop.do(settle).did == status
    with pytest.raises(Problem, match="invalid_transition"):
        shop.do(replace(settle, request_id="r2"))
    assert shop.balance().posted == posted


def test_a_payment_id_belongs_to_the_purchase_it_was_first_seen_with() -> None:
    """Told again with another purchase, it is put aside."""
    shop = Shop()
    shop.start(key="k1")
    shop.start(key="k2")
    shop.hear("paid", key="k1", payment="pay-1")
    assert shop.hear("paid", key="k2", payment="pay-1") == "put_aside"
    assert shop.purchase("k2").status == "pending"


def test_a_purchase_is_not_paid_twice() -> None:
    """A second payment for a credited purchase is put aside."""
    shop = Shop()
    shop.start()
    shop.hear("paid", payment="pay-1")
    assert shop.hear("paid", payment="pay-2") == "put_aside"
    assert shop.balance() == Balance(FREE + 10_000)


def test_news_before_the_start_has_ended_comes_again() -> None:
    """Until the provider's answer is recorded, its webhooks have to wait."""
    shop = Shop()
    shop.start(checkout=False)
    with pytest.raises(NotYet):
        shop.hear("paid")


def test_the_same_key_is_the_same_purchase() -> None:
    """A replay starts nothing, whatever has become of the purchase meanwhile."""
    shop = Shop()
    shop.start()
    shop.hear("paid")
    assert shop.start().replay_version is not None
    assert shop.balance() == Balance(FREE + 10_000)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"status": "suspended"}, "account_inactive"),
        ({"status": "closed"}, "account_inactive"),
        ({"orders_processor": "inactive"}, "orders_processor_inactive"),
        ({"status": "paused"}, None),
    ],
)
def test_who_may_buy(changes: dict[str, str | int | None], code: str | None) -> None:
    """Suspended and closed accounts may not, nor without the add-on; a paused one may."""
    shop = Shop()
    shop.do(ChangeStanding(PLATFORM, changes))
    if code is None:
        assert shop.start().did == "pending"
        return
    with pytest.raises(Problem, match=code):
        shop.start()


def test_a_payment_is_credited_whatever_the_standing_is_by_then() -> None:
    """Money that was taken is credited, even to a closed account."""
    shop = Shop()
    shop.start()
    shop.do(ChangeStanding(PLATFORM, {"status": "closed", "orders_processor": "inactive"}))
    assert shop.hear("paid") == "credited"


def test_a_refund_takes_its_share_half_up_on_the_sum() -> None:
    """1333 of 3990 cents are 33.41 of 100 credits; 2666 in all are 66.82; a smaller sum told late changes nothing."""
    shop = Shop()
    shop.start()
    shop.hear("paid")
    taken = []
    for refunded in (1333, 2666, 1333, 3990):
        shop.hear("refunded", refunded)
        taken.append(FREE + 10_000 - shop.balance().posted)
    assert taken == [3341, 6682, 6682, 10_000]
    assert shop.purchase().status == "refunded"


def test_a_refund_may_take_the_balance_below_zero() -> None:
    """PaymentEventType was spent is owed."""
    shop = Shop()
    shop.start()
    shop.hear("paid")
    spend = Adjust(PLATFORM, IdempotencyKey("spend", "spend"), "auto_order", -9000, "spent")
    shop.do(spend)
    shop.hear("refunded", 3990)
    assert shop.balance() == Balance(FREE - 9000)


def test_a_dispute_freezes_what_is_still_available() -> None:
    """Won, it is free again; lost, it is gone, and what was spent is owed."""
    for end, posted in (("dispute_won", FREE + 1000), ("dispute_lost", FREE - 9000)):
        shop = Shop()
        shop.start()
        shop.hear("paid")
        shop.do(Adjust(PLATFORM, IdempotencyKey("s", "s"), "auto_order", -9000, "spent"))
        shop.hear("dispute_created")
        assert shop.balance() == Balance(FREE + 1000, FREE + 1000)
        shop.hear(end)  # type: ignore[arg-type]
        assert shop.balance() == Balance(posted, 0)


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


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(ENDINGS), st.integers(0, 10_000))
def test_no_order_of_events_changes_the_outcome(
    data: st.DataObject, ending: list[tuple[PaymentEventType, int]], spent: int
) -> None:
    """Repeated and in any order: granted once, the refunded share gone, nothing frozen after the dispute has ended."""
    shop = Shop()
    shop.start()
    events = EVENTS + ending
    waiting = data.draw(st.permutations(events + data.draw(st.lists(st.sampled_from(events), max_size=6))))
    waiting = list(waiting)
    spend_after = data.draw(st.integers(0, len(waiting)))
    for _ in range(200):  # news that comes too early comes again, but not for ever
        if not waiting:
            break
        what, amount = waiting.pop(0)
        try:
            shop.hear(what, amount)
        except NotYet:
            waiting.append((what, amount))
        if len(waiting) == spend_after and spent:
            try:
                shop.do(Adjust(PLATFORM, IdempotencyKey("s", "s"), "auto_order", -spent, "spent"))
            except Problem:
                spent = 0
    assert not waiting
    lost = ("dispute_lost", 3990) in ending
    taken = 10_000 if lost else 5013  # 2000 of 3990 cents, half up
    purchase = shop.purchase()
    spent = 0 if "adjusted" not in shop.kinds() else spent
    assert shop.balance() == Balance(FREE + 10_000 - taken - spent, 0)
    assert (purchase.clawed_back, purchase.frozen, purchase.refunded) == (taken, 0, 2000)
    assert shop.kinds().count("purchased") == 1
    assert purchase.status == ("charged_back" if lost else "credited")


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [("dispute_lost", "dispute_won", "charged_back"), ("dispute_won", "dispute_lost", "credited")],
)
def test_of_two_ends_of_a_dispute_the_first_counts(
    first: PaymentEventType, second: PaymentEventType, status: str
) -> None:
    """A contradicting end changes nothing any more."""
    shop = Shop()
    shop.start()
    shop.hear("paid")
    shop.hear("dispute_created")
    shop.hear(first)
    before = shop.balance()
    assert shop.hear(second) == "nothing"
    assert (shop.purchase().status, shop.balance()) == (status, before)


def test_a_purchase_starts_only_while_the_standing_is_what_was_read() -> None:
    """It moves nothing, so its transaction checks that no page has come meanwhile, and decides again if one has."""
    shop = Shop()
    store = shop.ledger.store
    assert isinstance(store, MemoryStore)
    suspend = ChangeStanding(PLATFORM, {"status": "suspended"})

    class Overtaken(MemoryStore):
        def commit(self, *arguments: Any, **options: Any) -> None:
            if not overtaken:
                overtaken.append(shop.ledger.execute(shop.account_id, suspend))
            store.commit(*arguments, **options)

    overtaken: list[Accepted] = []
    rival = Ledger(Overtaken(store.pages, store.records), ManualClock(), catalog())
    start = StartPurchase(
        caller=PLATFORM,
        idempotency=IdempotencyKey("k1", "k1"),
        purchase_id="p-k1",
        request=PurchaseRequest(package="auto_order-100"),
        payment_method="card",
        provider="sandbox",
    )
    with pytest.raises(Problem, match="account_inactive"):
        rival.execute(shop.account_id, start)
    assert not store.read(shop.account_id, [("purchase", "p-k1"), ("key", "k1")])


def test_the_payment_that_paid_is_the_one_that_can_be_refunded() -> None:
    """A try that was declined before has another id, and its news changes nothing any more."""
    shop = Shop()
    shop.start()
    shop.hear("declined", payment="a")
    shop.hear("paid", payment="b")
    assert [shop.hear("paid", payment="b"), shop.hear("declined", payment="a")] == ["nothing", "nothing"]
    shop.hear("refunded", 3990, payment="b")
    assert shop.balance() == Balance(FREE)


def test_a_refund_of_a_disputed_payment_is_not_frozen_as_well() -> None:
    """Refunding is how an inquiry is settled: what is gone is no longer held, so other credits stay free."""
    shop = Shop()
    shop.start()
    shop.hear("paid")
    shop.hear("dispute_created")
    shop.hear("refunded", 1995)
    assert shop.balance() == Balance(FREE + 5000, 5000)
    shop.hear("refunded", 3990)
    assert shop.balance() == Balance(FREE, 0)


def test_a_lost_dispute_takes_its_share_alone() -> None:
    """10.00 of 39.90 are 25.06 of 100 credits, beside what was refunded before."""
    shop = Shop()
    shop.start()
    shop.hear("paid")
    shop.hear("dispute_created", 1000)
    assert shop.balance() == Balance(FREE + 10_000, 2506)
    shop.hear("dispute_lost", 1000)
    assert shop.balance() == Balance(FREE + 10_000 - 2506)


def test_a_refused_review_stays_refused() -> None:
    """Neither the same payment nor its refund brings it back."""
    shop = Shop()
    shop.start()
    shop.hear("paid", 1)
    shop.do(SettleReview(caller=PLATFORM, purchase_id="p-k1", request_id="r1", credit=False, reason="no"))
    assert shop.hear("paid", 1) == "nothing"
    shop.hear("refunded", 1)
    assert (shop.purchase().status, shop.balance()) == ("canceled", Balance(FREE))


def test_a_coupon_is_counted_when_the_purchase_starts_and_given_back_when_it_fails() -> None:
    """A later success counts it again."""
    shop = Shop()
    shop.coupon(percent_off=1000, max_uses=1)
    shop.start(coupon="C")
    assert (shop.coupon_uses(), shop.purchase().price) == ((1, 1), 3591)
    with pytest.raises(Problem, match="coupon_invalid"):
        shop.start(key="k2", coupon="C")
    shop.hear("expired")
    assert shop.coupon_uses() == (0, 0)
    shop.hear("paid", 3591)
    assert (shop.coupon_uses(), shop.balance()) == ((1, 1), Balance(FREE + 10_000))


def test_a_total_of_nothing_is_credited_at_once() -> None:
    """No provider is asked; a refund of nothing takes nothing back."""
    shop = Shop()
    shop.coupon(percent_off=10_000)
    assert shop.start(coupon="C").did == "credited"
    assert (shop.purchase().provider, shop.balance(), shop.kinds()) == (None, Balance(FREE + 10_000), ["purchased"])
    assert shop.start(coupon="C").replay_version is not None


def test_bonus_credits_are_granted_and_clawed_back_with_the_rest() -> None:
    """100 credits and 10 more for 39.90: half of it refunded takes 55 back."""
    shop = Shop()
    shop.coupon(bonus_credits=1000)
    shop.start(coupon="C")
    shop.hear("paid")
    assert shop.balance() == Balance(FREE + 11_000)
    shop.hear("refunded", 1995)
    assert shop.balance() == Balance(FREE + 5500)


def test_a_purchase_that_would_pass_the_limit_is_refused_or_reviewed() -> None:
    """At the start it is refused; if it comes to it later, the payment waits for a person."""
    shop = Shop()
    shop.start()
    top = 100_000_000_000 - FREE
    shop.do(Adjust(PLATFORM, IdempotencyKey("top", "top"), "auto_order", top, "top"))
    with pytest.raises(Problem, match="balance_limit"):
        shop.start(key="k2")
    assert shop.hear("paid") == "put_aside"


def test_the_provider_is_asked_less_and_less_often() -> None:
    """After 2, 10 and 30 minutes, hourly for a day, daily for 30 days; never once something was heard."""
    shop = Shop()
    shop.start()
    times, clock = [], shop.ledger.clock
    assert isinstance(clock, ManualClock)
    began = shop.purchase().created_at
    while (look_at := shop.purchase().poll_at) is not None:
        times.append(look_at - began)
        clock.at_ms = look_at
        shop.do(PlanPoll("p-k1"))
    assert tuple(times) == POLL_DELAYS_MS
    assert times[:4] == [2 * MINUTE_MS, 10 * MINUTE_MS, 30 * MINUTE_MS, 60 * MINUTE_MS]
    assert replace(shop.purchase(), status="credited").next_poll(began) is None

"""What HTTP and the schedule ask of purchases and coupons: start, checkout, poll, review; make and close a coupon."""

from dataclasses import dataclass, replace
from typing import ClassVar

from autocredits.domain.access import Caller, check_exists, check_manages
from autocredits.domain.decide import Done, Draft, IdempotencyKey
from autocredits.domain.errors import Problem
from autocredits.domain.records import RecordKey
from autocredits.domain.state import check_limit

from .coupons import Coupon, Terms, check_usable, count_coupon, coupon_keys, read_coupon, terms_of
from .record import Purchase, grant, put_purchase, read_purchase


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseRequest:
    """What is to be bought: a package by its name, or a load of `managed` for `amount` US cents."""

    package: str | None = None
    amount: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartPurchase:
    """Records a purchase with its price frozen, and counts its coupon; a total of 0.00 is credited at once."""

    caller: Caller
    idempotency: IdempotencyKey
    purchase_id: str
    request: PurchaseRequest
    payment_method: str
    provider: str
    coupon: str | None = None
    return_url: str | None = None

    def records(self) -> tuple[RecordKey, ...]:
        """The key, the purchase, and the coupon with the account's uses of it."""
        return (("key", self.idempotency.key), ("purchase", self.purchase_id), *coupon_keys(self.coupon))

    @property
    def expects_new(self) -> bool:
        """Everything is new but the coupon, which has to be read."""
        return self.coupon is None

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`, `store_forbidden`, `idempotency_key_reused`, `account_inactive`,
        `orders_processor_inactive`, `unknown_package`, `coupon_invalid`, `balance_limit`.
        """  # noqa: D205 - one list of codes
        check_manages(draft.head, self.caller)
        if replay := draft.replay(self.idempotency):
            return replay
        check_may_buy(draft)
        purchase = self.priced(draft)
        check_limit(draft.state, purchase.unit, purchase.granted())
        first = len(draft.entries)
        if purchase.price == 0:
            purchase = grant(draft, purchase, self.caller.actor, key=self.idempotency.key)
        else:
            draft.decisive = True
        if self.coupon is not None:
            count_coupon(draft, self.coupon, 1)
        put_purchase(draft, purchase, moved=purchase.price == 0)
        draft.remember(self.idempotency, first)
        return Done(did=purchase.status, first=first, count=len(draft.entries) - first)

    def priced(self, draft: Draft) -> Purchase:
        """The purchase as it starts. Raises Problem `unknown_package`, `coupon_invalid`."""
        package = draft.catalog.package(self.request.package) if self.request.package else None
        terms = Terms(package.price if package else self.request.amount or 0)
        if self.coupon is not None:
            coupon, used = read_coupon(draft, self.coupon)
            terms = terms_of(check_usable(coupon, used, self.request.package, draft.now_ms), terms.price)
        return Purchase(
            purchase_id=self.purchase_id,
            package=self.request.package,
            unit=package.unit if package else "managed",
            credits=package.credits if package else self.request.amount or 0,
            bonus_credits=terms.bonus_credits,
            price=terms.price,
            discount=terms.discount,
            coupon=self.coupon,
            coupon_counted=self.coupon is not None,
            payment_method=self.payment_method,
            provider=self.provider if terms.price else None,
            return_url=self.return_url,
            status="pending",
            created_at=draft.at_ms(),
            updated_at=draft.at_ms(),
        )


def check_may_buy(draft: Draft) -> None:
    """Raise Problem `account_inactive` (suspended, closed) or `orders_processor_inactive`: nothing is sold then."""
    if draft.state.status in ("suspended", "closed"):
        raise Problem("account_inactive", account_status=draft.state.status)
    if draft.state.orders_processor != "active":
        raise Problem("orders_processor_inactive")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCheckout:
    """Notes that the provider knows of the purchase, and where the buyer pays."""

    purchase_id: str
    provider_reference: str
    redirect_url: str | None
    expects_new: ClassVar[bool] = False

    def records(self) -> tuple[RecordKey, ...]:
        """The purchase."""
        return (("purchase", self.purchase_id),)

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`, `purchase_not_found`."""
        check_exists(draft.head)
        purchase = read_purchase(draft, self.purchase_id)
        if not purchase.checkout:
            put_purchase(
                draft,
                replace(
                    purchase,
                    checkout=True,
                    provider_reference=self.provider_reference,
                    redirect_url=self.redirect_url,
                ),
                moved=False,
            )
        return Done(did="checkout")


@dataclass(frozen=True, slots=True)
class PlanPoll:
    """Notes that a poll brought nothing, and when the provider is polled next."""

    purchase_id: str
    expects_new: ClassVar[bool] = False

    def records(self) -> tuple[RecordKey, ...]:
        """The purchase."""
        return (("purchase", self.purchase_id),)

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`, `purchase_not_found`."""
        check_exists(draft.head)
        put_purchase(draft, read_purchase(draft, self.purchase_id), moved=False)
        return Done(did="polled")


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleReview:
    """A person's decision on a purchase in review: credit what was bought, or refuse it.

    `request_id` names the request, for its own retries.
    """

    caller: Caller
    purchase_id: str
    request_id: str
    credit: bool
    reason: str
    coupon: str | None = None
    expects_new: ClassVar[bool] = False

    def records(self) -> tuple[RecordKey, ...]:
        """The purchase and its coupon."""
        return (("purchase", self.purchase_id), *coupon_keys(self.coupon))

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`, `store_forbidden`, `purchase_not_found`, `invalid_transition`,
        `balance_limit`.
        """  # noqa: D205 - one list of codes
        check_manages(draft.head, self.caller)
        purchase = read_purchase(draft, self.purchase_id)
        if purchase.reviewed_by == self.request_id:
            return Done(did=purchase.status)
        if purchase.status != "review":
            raise Problem("invalid_transition", "Only a purchase in review can be settled.")
        first, purchase = len(draft.entries), replace(purchase, reviewed_by=self.request_id)
        if self.credit:
            check_limit(draft.state, purchase.unit, purchase.granted())
            purchase = grant(draft, purchase, self.caller.actor, reason=self.reason)
        else:
            purchase = replace(purchase, status="canceled", review_reason=self.reason, refused=True)
            if purchase.coupon is not None and purchase.coupon_counted:
                count_coupon(draft, purchase.coupon, -1)
                purchase = replace(purchase, coupon_counted=False)
        put_purchase(draft, purchase, moved=self.credit)
        return Done(did=purchase.status, first=first, count=len(draft.entries) - first)


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeCoupon:
    """Makes a coupon. `request_id` names the request, for its own retries."""

    coupon: Coupon
    request_id: str
    expects_new: ClassVar[bool] = True

    def records(self) -> tuple[RecordKey, ...]:
        """The coupon."""
        return (("coupon", self.coupon.code),)

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `unknown_package`, `coupon_exists`."""
        for name in self.coupon.packages or ():
            draft.catalog.package(name)
        key = ("coupon", self.coupon.code)
        known = draft.get(key, Coupon)
        if known is not None:
            if known.made_by != self.request_id:
                raise Problem("coupon_exists")
            return Done(did="made", record=known)
        made = replace(self.coupon, made_by=self.request_id, rev=1)
        draft.put(key, made)
        return Done(did="made", record=made)


@dataclass(frozen=True, slots=True)
class CloseCoupon:
    """Closes a coupon: it is good for no further purchase. Again: the same."""

    code: str
    expects_new: ClassVar[bool] = False

    def records(self) -> tuple[RecordKey, ...]:
        """The coupon."""
        return (("coupon", self.code),)

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `coupon_not_found`."""
        key = ("coupon", self.code)
        known = draft.get(key, Coupon)
        if known is None:
            raise Problem("coupon_not_found")
        if known.closed:
            return Done(did="closed_already", record=known)
        closed = replace(known, closed=True, rev=known.rev + 1)
        draft.put(key, closed)
        return Done(did="closed", record=closed)

"""Purchases: a frozen price, one grant however a payment becomes known, and what refunds and disputes take back.

Every way in which a payment speaks (a webhook, a scheduled look, a free total) ends in the same `Fulfil`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from .access import Caller
from .accounts import check_exists, check_limit, check_manages
from .coupons import Coupon, CouponUse, Terms, check_usable, counted, terms_of
from .decide import Done, Draft, IdempotencyKey, NotYet
from .errors import Problem
from .journal import Entry
from .money import MAX_BALANCE
from .payments import Payment, Purchase, payment_key
from .records import RecordKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be bought: a package by its name, or a load of `managed` for `amount` US cents."""

    package: str | None = None
    amount: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartPurchase:
    """Records a purchase with its price frozen, and counts its coupon; a total of 0.00 is credited at once."""

    caller: Caller
    idempotency: IdempotencyKey
    purchase_id: str
    order: Order
    payment_method: str
    provider: str
    coupon: str | None = None
    return_url: str | None = None

    def records(self) -> tuple[RecordKey, ...]:
        """The key, the purchase, and the coupon with the account's uses of it."""
        return (("key", self.idempotency.key), ("purchase", self.purchase_id), *coupon_keys(self.coupon))

    def expects_new(self) -> bool:
        """The coupon has to be read."""
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
        package = draft.catalog.package(self.order.package) if self.order.package else None
        terms = Terms(package.price if package else self.order.amount or 0)
        if self.coupon is not None:
            coupon, used = read_coupon(draft, self.coupon)
            terms = terms_of(check_usable(coupon, used, self.order.package, draft.now_ms), terms.price)
        return Purchase(
            purchase_id=self.purchase_id,
            package=self.order.package,
            unit=package.unit if package else "managed",
            credits=package.credits if package else self.order.amount or 0,
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


def coupon_keys(code: str | None) -> tuple[RecordKey, ...]:
    """The records of a coupon: itself, and how often the account has used it."""
    return () if code is None else (("coupon", code), ("coupon_use", code))


def read_coupon(draft: Draft, code: str) -> tuple[Coupon | None, CouponUse | None]:
    """The coupon and the account's uses of it, as far as there are any."""
    return draft.get(("coupon", code), Coupon), draft.get(("coupon_use", code), CouponUse)


def count_coupon(draft: Draft, code: str, by: int) -> None:
    """Count one use of the coupon more (1) or less (-1)."""
    coupon, used = read_coupon(draft, code)
    if coupon is not None:
        coupon, used = counted(coupon, used, by)
        draft.put(("coupon", code), coupon)
        draft.put(("coupon_use", code), used)


def put_purchase(draft: Draft, purchase: Purchase, *, moved: bool) -> Purchase:
    """Write the purchase; `moved` tells that this draft's page holds entries of it."""
    versions = (*purchase.versions, draft.version()) if moved else purchase.versions
    written = replace(
        purchase,
        rev=purchase.rev + 1,
        versions=versions,
        updated_at=draft.at_ms(),
        look_at=purchase.next_look(draft.now_ms),
    )
    draft.put(written.key(), written)
    return written


def grant(
    draft: Draft, purchase: Purchase, actor: str, *, key: str | None = None, reason: str | None = None
) -> Purchase:
    """Credit all that the purchase pays for, in one entry."""
    draft.add(
        Entry(
            kind="purchased" if purchase.package else "loaded",
            actor=actor,
            unit=purchase.unit,
            posted=purchase.granted(),
            purchase_id=purchase.purchase_id,
            key=key,
            reason=reason,
        )
    )
    return replace(purchase, status="credited", review_reason=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCheckout:
    """Notes that the provider knows of the purchase, and where the buyer pays."""

    purchase_id: str
    provider_reference: str
    redirect_url: str | None

    def records(self) -> tuple[RecordKey, ...]:
        """The purchase."""
        return (("purchase", self.purchase_id),)

    def expects_new(self) -> bool:
        """It was recorded before the provider was asked."""
        return False

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
class PlanLook:
    """Notes that the provider was asked in vain, and when it is asked next."""

    purchase_id: str

    def records(self) -> tuple[RecordKey, ...]:
        """The purchase."""
        return (("purchase", self.purchase_id),)

    def expects_new(self) -> bool:
        """It is there."""
        return False

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`, `purchase_not_found`."""
        check_exists(draft.head)
        put_purchase(draft, read_purchase(draft, self.purchase_id), moved=False)
        return Done(did="looked")


def read_purchase(draft: Draft, purchase_id: str) -> Purchase:
    """The purchase. Raises Problem `purchase_not_found`."""
    purchase = draft.get(("purchase", purchase_id), Purchase)
    if purchase is None:
        raise Problem("purchase_not_found")
    return purchase


What = Literal["paid", "declined", "canceled", "expired", "refunded", "dispute_created", "dispute_won", "dispute_lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentNews:
    """What a provider says of a payment. `amount` is US cents: what was paid, or refunded so far in all.

    `reason` is told to the merchant; `support_code`, why a payment was declined, only to those who support him.
    """

    provider: str
    what: What
    purchase_id: str
    payment_id: str | None = None
    amount: int = 0
    currency: str = "USD"
    reason: str | None = None
    dispute_id: str | None = None
    support_code: str | None = None


@dataclass(frozen=True, slots=True)
class Fulfil:
    """Does what the news says, once, whatever is repeated, late or out of order.

    `coupon` is the purchase's coupon, which has to be known beforehand so that its records can be read.
    """

    news: PaymentNews
    coupon: str | None = None

    def records(self) -> tuple[RecordKey, ...]:
        """The purchase, the payment, and the coupon with the account's uses of it."""
        payment = () if self.news.payment_id is None else (payment_key(self.news.provider, self.news.payment_id),)
        return (("purchase", self.news.purchase_id), *payment, *coupon_keys(self.coupon))

    def expects_new(self) -> bool:
        """All of them matter."""
        return False

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`, `purchase_not_found`, and NotYet for news of a payment not yet known."""
        check_exists(draft.head)
        purchase = read_purchase(draft, self.news.purchase_id)
        if not purchase.checkout and self.news.what != "expired":
            raise NotYet  # its start is still under way
        if not self.belongs(draft, purchase):
            return Done(did="put_aside")
        first = len(draft.entries)
        before = purchase
        purchase = _HANDLERS[self.news.what](draft, purchase, self.news)
        if purchase == before:
            return Done(did="nothing")
        purchase = self.recount(draft, purchase)
        purchase = replace(purchase, payment_id=purchase.payment_id or self.news.payment_id)
        put_purchase(draft, purchase, moved=len(draft.entries) > first)
        did = "put_aside" if purchase.status == "review" else purchase.status
        return Done(did=did, first=first, count=len(draft.entries) - first)

    def belongs(self, draft: Draft, purchase: Purchase) -> bool:
        """Whether the news fits the purchase: its payment was never seen with another one, and its money is dollars.

        Of a purchase that was credited, only the payment that paid for it can be refunded or disputed, and a second
        payment is a person's matter.
        """
        if self.news.what == "refunded" and self.news.currency != "USD":
            return False
        if self.news.payment_id is None:
            return True
        other = purchase.was_credited() and self.news.payment_id != purchase.payment_id
        if other and self.news.what not in ("declined", "canceled", "expired"):
            return False
        key = payment_key(self.news.provider, self.news.payment_id)
        known = draft.get(key, Payment)
        if known is None:
            payment = Payment(
                provider=self.news.provider,
                payment_id=self.news.payment_id,
                account_id=draft.account_id,
                purchase_id=purchase.purchase_id,
            )
            draft.put(key, payment)
            return True
        return (known.account_id, known.purchase_id) == (draft.account_id, purchase.purchase_id)

    def recount(self, draft: Draft, purchase: Purchase) -> Purchase:
        """Give the coupon's use back when the payment has failed, and count it again when it succeeds after all."""
        counts = purchase.status not in ("declined", "canceled", "expired")
        if purchase.coupon is None or counts == purchase.coupon_counted:
            return purchase
        count_coupon(draft, purchase.coupon, 1 if counts else -1)
        return replace(purchase, coupon_counted=counts)


def _explain(draft: Draft, purchase: Purchase, news: PaymentNews, kind: str, *, posted: int = 0, held: int = 0) -> None:
    """Enter what a payment's news does to the purchase's unit."""
    draft.add(
        Entry(
            kind=kind,
            actor=f"payments:{news.provider}",
            unit=purchase.unit,
            posted=posted,
            held=held,
            purchase_id=purchase.purchase_id,
            reason=news.reason,
        )
    )


def _paid(draft: Draft, purchase: Purchase, news: PaymentNews) -> Purchase:
    """Credit the purchase, whatever it was before; or put it in review where the payment is not what was asked."""
    if not purchase.may_be_paid():
        return purchase
    if (news.amount, news.currency) != (purchase.price, "USD"):
        return replace(purchase, status="review", review_reason="wrong amount or currency", payment_id=news.payment_id)
    if draft.state.balance(purchase.unit).posted + purchase.granted() > MAX_BALANCE:
        reason = "the balance would pass its limit"
        return replace(purchase, status="review", review_reason=reason, payment_id=news.payment_id)
    return replace(grant(draft, purchase, f"payments:{news.provider}"), payment_id=news.payment_id)


def _failed(draft: Draft, purchase: Purchase, news: PaymentNews) -> Purchase:
    """Note that nothing will be paid for now; a declined payment is also told to the merchant."""
    if purchase.status != "pending":
        return purchase
    if news.what == "declined":
        _explain(draft, purchase, news, "declined")
    return replace(purchase, status=news.what)


def _refunded(draft: Draft, purchase: Purchase, news: PaymentNews) -> Purchase:
    """Take back the refunded share. A sum that is smaller than one told before comes late and changes nothing."""
    if purchase.may_be_paid():
        raise NotYet
    if news.amount <= purchase.refunded:
        return purchase
    whole = news.amount >= purchase.price and purchase.status in ("credited", "review")
    refunded = replace(purchase, refunded=news.amount, status="refunded" if whole else purchase.status)
    return _claw_back(draft, refunded, news) if purchase.was_credited() else refunded


def _claw_back(draft: Draft, purchase: Purchase, news: PaymentNews) -> Purchase:
    """Take back what is owed for all that was refunded or lost; below zero if it must be.

    What a dispute has frozen of it is no longer frozen, but gone.
    """
    owed = purchase.owed_back(purchase.refunded + purchase.lost)
    if owed <= purchase.clawed_back:
        return purchase
    purchase = _freeze(draft, purchase, news, min(purchase.frozen, purchase.granted() - owed))
    _explain(draft, purchase, news, "clawed_back", posted=purchase.clawed_back - owed)
    return replace(purchase, clawed_back=owed)


def _freeze(draft: Draft, purchase: Purchase, news: PaymentNews, amount: int) -> Purchase:
    """Have just `amount` credits of the purchase frozen."""
    if amount > purchase.frozen:
        _explain(draft, purchase, news, "held", held=amount - purchase.frozen)
    elif amount < purchase.frozen:
        _explain(draft, purchase, news, "released", held=amount - purchase.frozen)
    return replace(purchase, frozen=amount)


def _dispute_created(draft: Draft, purchase: Purchase, news: PaymentNews) -> Purchase:
    """Freeze what is still available of the disputed share. A dispute that has ended already stays ended."""
    if purchase.may_be_paid():
        raise NotYet
    if not purchase.was_credited() or purchase.dispute == "open" or _has_ended(purchase, news):
        return purchase
    at_stake = purchase.owed_back(purchase.refunded + purchase.lost + news.amount) - purchase.clawed_back
    available = draft.state.balance(purchase.unit).available()
    purchase = _freeze(draft, purchase, news, max(0, min(at_stake, available)))
    return replace(purchase, status="disputed", dispute="open", dispute_id=news.dispute_id)


def _has_ended(purchase: Purchase, news: PaymentNews) -> bool:
    return purchase.dispute in ("won", "lost") and purchase.dispute_id == news.dispute_id


def _dispute_ended(draft: Draft, purchase: Purchase, news: PaymentNews) -> Purchase:
    """Give the frozen credits back, and take the disputed share if the dispute was lost."""
    if purchase.may_be_paid():
        raise NotYet
    if not purchase.was_credited() or _has_ended(purchase, news):
        return purchase
    purchase = _freeze(draft, purchase, news, 0)
    if news.what == "dispute_won":
        status = "refunded" if purchase.refunded and purchase.refunded >= purchase.price else "credited"
        return replace(purchase, dispute="won", dispute_id=news.dispute_id, status=status)
    lost = replace(purchase, dispute="lost", dispute_id=news.dispute_id, lost=purchase.lost + news.amount)
    return replace(_claw_back(draft, lost, news), status="charged_back")


_HANDLERS: Mapping[What, Callable[[Draft, Purchase, PaymentNews], Purchase]] = MappingProxyType(
    {
        "paid": _paid,
        "declined": _failed,
        "canceled": _failed,
        "expired": _failed,
        "refunded": _refunded,
        "dispute_created": _dispute_created,
        "dispute_won": _dispute_ended,
        "dispute_lost": _dispute_ended,
    }
)


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

    def records(self) -> tuple[RecordKey, ...]:
        """The purchase and its coupon."""
        return (("purchase", self.purchase_id), *coupon_keys(self.coupon))

    def expects_new(self) -> bool:
        """There is nothing to settle if it is not there."""
        return False

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

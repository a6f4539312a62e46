"""What payments do to a purchase: one grant however they become known, and what refunds and disputes take back.

Every way in which a payment becomes known (a webhook, a scheduled poll) ends in the same `Fulfil`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar, Literal

from autocredits.domain.access import check_exists
from autocredits.domain.decide import Done, Draft, NotYet
from autocredits.domain.journal import Entry
from autocredits.domain.money import MAX_BALANCE
from autocredits.domain.records import RecordKey

from .coupons import count_coupon, coupon_keys
from .record import Payment, Purchase, grant, payment_key, put_purchase, read_purchase

PaymentEventType = Literal[
    "paid", "declined", "canceled", "expired", "refunded", "dispute_created", "dispute_won", "dispute_lost"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentEvent:
    """What a provider says of a payment. `amount` is US cents: what was paid, or refunded so far in all.

    `reason` is told to the merchant; `support_code`, why a payment was declined, only to support staff.
    """

    provider: str
    type: PaymentEventType
    purchase_id: str
    payment_id: str | None = None
    amount: int = 0
    currency: str = "USD"
    reason: str | None = None
    dispute_id: str | None = None
    support_code: str | None = None


@dataclass(frozen=True, slots=True)
class Fulfil:
    """Does what the event says, once, whatever is repeated, late or out of order.

    `coupon` is the purchase's coupon, which has to be known beforehand so that its records can be read.
    """

    event: PaymentEvent
    coupon: str | None = None
    expects_new: ClassVar[bool] = False

    def records(self) -> tuple[RecordKey, ...]:
        """The purchase, the payment, and the coupon with the account's uses of it."""
        payment = () if self.event.payment_id is None else (payment_key(self.event.provider, self.event.payment_id),)
        return (("purchase", self.event.purchase_id), *payment, *coupon_keys(self.coupon))

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`, `purchase_not_found`, and NotYet for an event that comes too early."""
        check_exists(draft.head)
        purchase = read_purchase(draft, self.event.purchase_id)
        if not purchase.checkout and self.event.type != "expired":
            raise NotYet  # its start is still under way
        if not self.belongs(draft, purchase):
            return Done(did="put_aside")
        first = len(draft.entries)
        before = purchase
        purchase = _HANDLERS[self.event.type](draft, purchase, self.event)
        if purchase == before:
            return Done(did="nothing")
        purchase = self.recount(draft, purchase)
        purchase = replace(purchase, payment_id=purchase.payment_id or self.event.payment_id)
        put_purchase(draft, purchase, moved=len(draft.entries) > first)
        did = "put_aside" if purchase.status == "review" else purchase.status
        return Done(did=did, first=first, count=len(draft.entries) - first)

    def belongs(self, draft: Draft, purchase: Purchase) -> bool:
        """Whether the event fits the purchase: its payment was never seen with another one, and its money is dollars.

        Of a purchase that was credited, only the payment that paid for it can be refunded or disputed, and a second
        payment is for a person to settle.
        """
        if self.event.type == "refunded" and self.event.currency != "USD":
            return False
        if self.event.payment_id is None:
            return True
        other = purchase.was_credited() and self.event.payment_id != purchase.payment_id
        if other and self.event.type not in ("declined", "canceled", "expired"):
            return False
        key = payment_key(self.event.provider, self.event.payment_id)
        known = draft.get(key, Payment)
        if known is None:
            payment = Payment(
                provider=self.event.provider,
                payment_id=self.event.payment_id,
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


def _explain(
    draft: Draft, purchase: Purchase, event: PaymentEvent, kind: str, *, posted: int = 0, held: int = 0
) -> None:
    """Enter what a payment event does to the purchase's unit."""
    draft.add(
        Entry(
            kind=kind,
            actor=f"payments:{event.provider}",
            unit=purchase.unit,
            posted=posted,
            held=held,
            purchase_id=purchase.purchase_id,
            reason=event.reason,
        )
    )


def _paid(draft: Draft, purchase: Purchase, event: PaymentEvent) -> Purchase:
    """Credit the purchase, whatever it was before; or put it in review where the payment is not what was asked."""
    if not purchase.may_be_paid():
        return purchase
    if (event.amount, event.currency) != (purchase.price, "USD"):
        return replace(purchase, status="review", review_reason="wrong amount or currency", payment_id=event.payment_id)
    if draft.state.balance(purchase.unit).posted + purchase.granted() > MAX_BALANCE:
        reason = "the balance would pass its limit"
        return replace(purchase, status="review", review_reason=reason, payment_id=event.payment_id)
    return replace(grant(draft, purchase, f"payments:{event.provider}"), payment_id=event.payment_id)


def _failed(draft: Draft, purchase: Purchase, event: PaymentEvent) -> Purchase:
    """Note that nothing will be paid for now; a declined payment is also told to the merchant."""
    if purchase.status != "pending":
        return purchase
    if event.type == "declined":
        _explain(draft, purchase, event, "declined")
    return replace(purchase, status=event.type)


def _refunded(draft: Draft, purchase: Purchase, event: PaymentEvent) -> Purchase:
    """Take back the refunded share. A sum no greater than one told before is late or repeated, and changes nothing."""
    if purchase.may_be_paid():
        raise NotYet
    if event.amount <= purchase.refunded:
        return purchase
    whole = event.amount >= purchase.price and purchase.status in ("credited", "review")
    refunded = replace(purchase, refunded=event.amount, status="refunded" if whole else purchase.status)
    return _claw_back(draft, refunded, event) if purchase.was_credited() else refunded


def _claw_back(draft: Draft, purchase: Purchase, event: PaymentEvent) -> Purchase:
    """Take back what is owed for all that was refunded or lost, even if the balance falls below zero.

    What a dispute has frozen of it is released first.
    """
    owed = purchase.owed_back(purchase.refunded + purchase.lost)
    if owed <= purchase.clawed_back:
        return purchase
    purchase = _freeze(draft, purchase, event, min(purchase.frozen, purchase.granted() - owed))
    _explain(draft, purchase, event, "clawed_back", posted=purchase.clawed_back - owed)
    return replace(purchase, clawed_back=owed)


def _freeze(draft: Draft, purchase: Purchase, event: PaymentEvent, amount: int) -> Purchase:
    """Have just `amount` credits of the purchase frozen."""
    if amount > purchase.frozen:
        _explain(draft, purchase, event, "held", held=amount - purchase.frozen)
    elif amount < purchase.frozen:
        _explain(draft, purchase, event, "released", held=amount - purchase.frozen)
    return replace(purchase, frozen=amount)


def _dispute_created(draft: Draft, purchase: Purchase, event: PaymentEvent) -> Purchase:
    """Freeze what is still available of the disputed share. A dispute that has ended already stays ended."""
    if purchase.may_be_paid():
        raise NotYet
    if not purchase.was_credited() or purchase.dispute == "open" or _has_ended(purchase, event):
        return purchase
    at_stake = purchase.owed_back(purchase.refunded + purchase.lost + event.amount) - purchase.clawed_back
    available = draft.state.balance(purchase.unit).available()
    purchase = _freeze(draft, purchase, event, max(0, min(at_stake, available)))
    return replace(purchase, status="disputed", dispute="open", dispute_id=event.dispute_id)


def _has_ended(purchase: Purchase, event: PaymentEvent) -> bool:
    return purchase.dispute in ("won", "lost") and purchase.dispute_id == event.dispute_id


def _dispute_ended(draft: Draft, purchase: Purchase, event: PaymentEvent) -> Purchase:
    """Give the frozen credits back, and take the disputed share if the dispute was lost."""
    if purchase.may_be_paid():
        raise NotYet
    if not purchase.was_credited() or _has_ended(purchase, event):
        return purchase
    purchase = _freeze(draft, purchase, event, 0)
    if event.type == "dispute_won":
        status = "refunded" if purchase.refunded and purchase.refunded >= purchase.price else "credited"
        return replace(purchase, dispute="won", dispute_id=event.dispute_id, status=status)
    lost = replace(purchase, dispute="lost", dispute_id=event.dispute_id, lost=purchase.lost + event.amount)
    return replace(_claw_back(draft, lost, event), status="charged_back")


_HANDLERS: Mapping[PaymentEventType, Callable[[Draft, Purchase, PaymentEvent], Purchase]] = MappingProxyType(
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

"""What becomes of a purchase: payment events add facts, and whatever the facts owe is entered.

Every way in (a webhook, a poll, a free total, a person's decision) ends in the same `settle`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar, Literal

from autocredits.domain.access import check_exists
from autocredits.domain.decide import Done, Draft, NotYet
from autocredits.domain.journal import Entered, Entry
from autocredits.domain.money import MAX_BALANCE
from autocredits.domain.records import RecordKey

from .coupons import count_coupon, coupon_keys
from .facts import MAX_FACTS, Checkout, Dispute, End, PaymentFacts
from .first_form import UNKNOWN
from .record import Payment, Purchase, payment_key, read_purchase

PaymentEventType = Literal[
    "approved",
    "paid",
    "declined",
    "expired",
    "refunded",
    "refund_failed",
    "unclear",
    "dispute_created",
    "dispute_won",
    "dispute_lost",
    "dispute_unclear",
]
"""`approved`: the buyer has agreed, and the money can be taken; that is nothing yet, and no fact.

`unclear`: something of a payment that is not understood here, so that a person has to look.
"""

UNCLEAR = "the provider's word is not understood"
"""Why a payment waits of which nothing is known but that."""

PAYS_OR_NOT = ("paid", "approved", "declined", "expired")
"""What is told of a checkout; all else befalls a payment."""

GRANTING = ("purchased", "loaded")
"""The kinds of entries that grant what was bought, or give it back after a claw-back."""

REFUND_FAILED = "A refund failed: its credits are given back."
NOT_LOST = "A dispute was not lost after all: its credits are given back."


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentEvent:
    """What a provider says of a payment. `amount` is US cents: paid, refunded, failed, or at stake.

    A refund with `refund_id` is that one; without, it is all that was refunded so far. `checkout` is the number of the
    checkout it came through, `reference` what the provider calls that, `capture` the number up to which its captures
    are known to have taken nothing, `failed` the refunds that failed by their ids, where the provider says so. `lost`
    is how much a dispute took, where that is not all. `detail` is what is unclear, and `explained_by` the sum of
    refunds that would explain it. `reason` is told to the merchant; `support_code`, why a payment was declined, only to
    support staff.
    """

    provider: str
    type: PaymentEventType
    purchase_id: str
    payment_id: str | None = None
    checkout: int | None = None
    reference: str | None = None
    capture: int = 0
    amount: int = 0
    lost: int = 0
    currency: str = "USD"
    detail: str = ""
    explained_by: int = 0
    reason: str | None = None
    dispute_id: str | None = None
    refund_id: str | None = None
    failed: tuple[tuple[str, int], ...] = ()
    support_code: str | None = None


@dataclass(frozen=True, slots=True)
class Fulfil:
    """Adds what the event says to the facts, and settles what they owe.

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
        before = read_purchase(draft, self.event.purchase_id)
        if self.is_anothers(draft, before):
            return Done(did="put_aside", record=before)
        self.check_time(before)
        if not self.fits(before):
            return Done(did="put_aside", record=before)
        after = _FACTS[self.event.type](draft, before, self.event)
        if after == before:
            return Done(did="nothing", record=before)
        if after.facts() > max(MAX_FACTS, before.facts()):
            return Done(did="put_aside", record=before)
        first, actor = len(draft.entries), f"payments:{self.event.provider}"
        self.remember_payment(draft, before)
        if self.event.type == "declined":
            _enter(draft, after, "declined", actor, self.event.reason)
        given_back = NOT_LOST if self.event.type == "dispute_won" else REFUND_FAILED
        after = settle(draft, after, actor, self.event.reason, first=first, given_back=given_back)
        waits = self.event.type in ("paid", "unclear") and self.event.payment_id in after.waiting()
        did = "put_aside" if waits else after.status()
        return Done(did=did, first=first, count=len(draft.entries) - first, record=after)

    def check_time(self, purchase: Purchase) -> None:
        """Raise NotYet while a start is under way, and for what befalls a payment that is not known yet.

        What an earlier checkout brings is never too early, though the answer to its start was lost.
        """
        event, checkout = self.event, purchase.open_checkout()
        started = checkout is not None and (checkout.reference is not None or _is_earlier(event, checkout))
        if event.type != "expired" and not started and not purchase.granted:
            raise NotYet
        befalls = event.type not in (*PAYS_OR_NOT, "unclear") and event.currency == "USD"
        if befalls and event.payment_id not in purchase.payments and _may_be_paid(purchase):
            raise NotYet

    def is_anothers(self, draft: Draft, purchase: Purchase) -> bool:
        """Whether its payment belongs to another purchase: the first that it was seen with."""
        if self.event.payment_id is None:
            return False
        known = draft.get(payment_key(self.event.provider, self.event.payment_id), Payment)
        return known is not None and (known.account_id, known.purchase_id) != (draft.account_id, purchase.purchase_id)

    def fits(self, purchase: Purchase) -> bool:
        """Whether the purchase takes it: its money is dollars, and its payment one of the purchase's or its first."""
        event = self.event
        if event.type in ("approved", "declined", "expired"):
            return True
        if event.currency != "USD" or event.payment_id is None:
            return False
        return event.payment_id in purchase.payments or (_may_be_paid(purchase) and event.amount > 0)

    def remember_payment(self, draft: Draft, purchase: Purchase) -> None:
        """Write to which purchase the payment belongs, the first time it is seen."""
        if self.event.payment_id is None:
            return
        payment = Payment(
            provider=self.event.provider,
            payment_id=self.event.payment_id,
            account_id=draft.account_id,
            purchase_id=purchase.purchase_id,
        )
        if draft.get(payment.key(), Payment) is None:
            draft.put(payment.key(), payment)


def _is_earlier(event: PaymentEvent, checkout: Checkout) -> bool:
    return event.checkout is not None and event.checkout < checkout.number


def _may_be_paid(purchase: Purchase) -> bool:
    """Whether a payment that is not known yet would count: none has paid, and nobody has refused one."""
    return (not purchase.granted or purchase.lacks_payment()) and not purchase.decided("refuse")


def _payment_id(event: PaymentEvent) -> str:
    """Its payment. Where an event needs one, `Fulfil.fits` has seen to it that there is one."""
    return event.payment_id or ""


def _approved(_: Draft, purchase: Purchase, __: PaymentEvent) -> Purchase:
    """No money has moved yet."""
    return purchase


def _paid(draft: Draft, purchase: Purchase, event: PaymentEvent) -> Purchase:
    """A payment. It pays if its amount is right; else a person decides on it.

    One of which only something unclear was known is told for the first time.
    """
    payment_id = _payment_id(event)
    known = purchase.payments.get(payment_id, PaymentFacts(amount=event.amount, waits_for=UNCLEAR))
    if known.waits_for != UNCLEAR or payment_id == purchase.paid_by:
        return purchase
    waits_for = None
    if event.amount != purchase.price:
        waits_for = "wrong amount"
    elif not purchase.granted and draft.state.balance(purchase.unit).posted + purchase.total_credits() > MAX_BALANCE:
        waits_for = "the balance would exceed its limit"
    payment = replace(known, amount=event.amount, waits_for=waits_for)
    pays = waits_for is None and _may_be_paid(purchase)
    paid_by = payment_id if pays else purchase.paid_by
    return replace(purchase, payments={**purchase.payments, payment_id: payment}, paid_by=paid_by)


def _unclear(_: Draft, purchase: Purchase, event: PaymentEvent) -> Purchase:
    """Something that nobody here understands: a person has to look at the payment."""
    payment_id = _payment_id(event)
    payment = purchase.payments.get(payment_id, PaymentFacts(amount=event.amount, waits_for=UNCLEAR))
    explained = max(event.explained_by, payment.unclear.get(event.detail, 0))
    return _with_payment(purchase, event, replace(payment, unclear={**payment.unclear, event.detail: explained}))


def _declined(_: Draft, purchase: Purchase, event: PaymentEvent) -> Purchase:
    """A decline, told to the merchant once. The buyer may still pay another way."""
    checkout = purchase.open_checkout()
    if purchase.granted or checkout is None:
        return purchase
    number = event.checkout or checkout.number
    checkouts = (
        replace(one, declined_captures=max(one.declined_captures, min(event.capture, one.captures)))
        if one.number == number
        else one
        for one in purchase.checkouts
    )
    purchase = replace(purchase, checkouts=tuple(checkouts))
    decline = event.payment_id or (f"checkout {number}" if not event.capture else f"capture {number}.{event.capture}")
    if decline in purchase.declines:
        return purchase
    return replace(purchase, declines={**purchase.declines, decline: number})


def _expired(_: Draft, purchase: Purchase, event: PaymentEvent) -> Purchase:
    """The end of a checkout, or of the whole purchase where the event names none."""
    if purchase.granted:
        return purchase
    if event.checkout is None:
        return replace(purchase, expired=True)
    checkouts = (replace(one, expired=one.expired or one.number == event.checkout) for one in purchase.checkouts)
    return replace(purchase, checkouts=tuple(checkouts))


def _refunded(_: Draft, purchase: Purchase, event: PaymentEvent) -> Purchase:
    """One refund, or the sum of refunds so far. A smaller one than told before is late."""
    payment = purchase.payments[_payment_id(event)]
    if event.refund_id is not None:
        amount = max(event.amount, payment.refunds_by_id.get(event.refund_id, 0))
        named = {**payment.refunds_by_id, event.refund_id: amount}
        return _with_payment(purchase, event, replace(payment, refunds_by_id=named))
    refunds = max(payment.refunds, event.amount)
    return _with_payment(purchase, event, replace(payment, refunds=refunds, failed=_failed(payment, *event.failed)))


def _refund_failed(_: Draft, purchase: Purchase, event: PaymentEvent) -> Purchase:
    """A refund that never reached the buyer."""
    payment = purchase.payments[_payment_id(event)]
    failed = _failed(payment, (event.refund_id or _payment_id(event), event.amount))
    return _with_payment(purchase, event, replace(payment, failed=failed))


def _failed(payment: PaymentFacts, *refunds: tuple[str, int]) -> Mapping[str, int]:
    failed = dict(payment.failed)
    for refund_id, amount in refunds:
        failed[refund_id] = max(amount, failed.get(refund_id, amount))
    return failed


def _disputed(_: Draft, purchase: Purchase, event: PaymentEvent) -> Purchase:
    """A dispute, or its end: they may come in either order.

    An open one whose id the first form did not keep is the one that is told next.
    """
    payment, dispute_id = purchase.payments[_payment_id(event)], event.dispute_id or _payment_id(event)
    disputes = dict(payment.disputes)
    if dispute_id not in disputes and UNKNOWN in disputes and purchase.end_of(UNKNOWN, disputes[UNKNOWN]) is None:
        disputes[dispute_id] = disputes.pop(UNKNOWN)
    known = disputes.get(dispute_id, Dispute(amount=event.amount))
    unclear = event.type == "dispute_unclear"
    disputes[dispute_id] = known.told(event.amount, _ENDS.get(event.type), lost=event.lost, unclear=unclear)
    return _with_payment(purchase, event, replace(payment, disputes=disputes))


_ENDS: Mapping[str, End] = MappingProxyType({"dispute_won": "won", "dispute_lost": "lost"})


def _with_payment(purchase: Purchase, event: PaymentEvent, payment: PaymentFacts) -> Purchase:
    return replace(purchase, payments={**purchase.payments, _payment_id(event): payment})


_FACTS: Mapping[PaymentEventType, Callable[[Draft, Purchase, PaymentEvent], Purchase]] = MappingProxyType(
    {
        "approved": _approved,
        "paid": _paid,
        "declined": _declined,
        "expired": _expired,
        "refunded": _refunded,
        "refund_failed": _refund_failed,
        "unclear": _unclear,
        "dispute_created": _disputed,
        "dispute_won": _disputed,
        "dispute_lost": _disputed,
        "dispute_unclear": _disputed,
    }
)


def settle(
    draft: Draft,
    purchase: Purchase,
    actor: str,
    reason: str | None = None,
    *,
    first: int,
    key: str | None = None,
    given_back: str = REFUND_FAILED,
) -> Purchase:
    """Enter what the facts owe beyond what was entered before, recount the coupon, and write the purchase.

    Credits are frozen as far as they are frozen already or available; a claw-back may take the balance below zero.
    `first` is the index of the purchase's first entry in this draft; `given_back` explains why credits come back.
    """
    if not purchase.granted and (purchase.paid_by is not None or purchase.price == 0):
        _enter(draft, purchase, _grant_kind(purchase), actor, reason, posted=purchase.total_credits(), key=key)
        purchase = replace(purchase, granted=True)
    to_freeze = purchase.to_freeze()
    if to_freeze < purchase.frozen:
        _enter(draft, purchase, "released", actor, reason, held=to_freeze - purchase.frozen)
        purchase = replace(purchase, frozen=to_freeze)
    purchase = _claw_back(draft, purchase, actor, reason, given_back)
    more = min(to_freeze - purchase.frozen, draft.state.balance(purchase.unit).available())
    if more > 0:
        _enter(draft, purchase, "held", actor, reason, held=more)
        purchase = replace(purchase, frozen=purchase.frozen + more)
    purchase = replace(_recounted(draft, purchase), poll_failures=0, unsettled=False)
    return put_purchase(draft, purchase, moved=len(draft.entries) > first)


def _claw_back(draft: Draft, purchase: Purchase, actor: str, reason: str | None, given_back: str) -> Purchase:
    """Take what is owed beyond what was taken, or give back what was taken beyond it, as far as the balance's limit."""
    room = max(0, MAX_BALANCE - draft.state.balance(purchase.unit).posted)
    take = max(purchase.owed_back() - purchase.clawed_back, -room)
    if take > 0:
        _enter(draft, purchase, "clawed_back", actor, reason, posted=-take)
    elif take < 0:
        _enter(draft, purchase, _grant_kind(purchase), actor, given_back, posted=-take)
    return replace(purchase, clawed_back=purchase.clawed_back + take)


def _grant_kind(purchase: Purchase) -> str:
    package, load = GRANTING
    return package if purchase.package else load


def _enter(
    draft: Draft,
    purchase: Purchase,
    kind: str,
    actor: str,
    reason: str | None,
    *,
    posted: int = 0,
    held: int = 0,
    key: str | None = None,
) -> None:
    draft.add(
        Entry(
            kind=kind,
            actor=actor,
            unit=purchase.unit,
            posted=posted,
            held=held,
            purchase_id=purchase.purchase_id,
            reason=reason,
            key=key,
        )
    )


def as_entered(purchase: Purchase, found: Sequence[Entered], now_ms: int) -> Purchase:
    """The purchase with what its entries in the journal come to; its facts stay, and what they owe is due at once.

    `found` are all its entries, in the journal's order. Where that changes nothing, it is the purchase itself.
    """
    entries = [one.entry for one in found]
    granted = any(entry.kind in GRANTING for entry in entries)
    posted, frozen = sum(entry.posted for entry in entries), sum(entry.held for entry in entries)
    clawed_back = (purchase.total_credits() if granted else 0) - posted
    versions = tuple(dict.fromkeys(one.version for one in found))
    after = replace(purchase, granted=granted, clawed_back=clawed_back, frozen=frozen, versions=versions)
    if after == purchase:
        return purchase
    after = replace(after, unsettled=after.owes(), rev=purchase.rev + 1)
    return replace(after, poll_at=after.next_poll(now_ms))


def _recounted(draft: Draft, purchase: Purchase) -> Purchase:
    """Give the coupon's use back once the purchase is over unpaid, and count it again if it is paid after all."""
    counts = purchase.status() not in ("canceled", "expired")
    if purchase.coupon is None or counts == purchase.coupon_counted:
        return purchase
    count_coupon(draft, purchase.coupon, 1 if counts else -1)
    return replace(purchase, coupon_counted=counts)


def put_purchase(draft: Draft, purchase: Purchase, *, moved: bool) -> Purchase:
    """Write the purchase; `moved` tells that this draft's page holds entries of it."""
    versions = (*purchase.versions, draft.version()) if moved else purchase.versions
    written = replace(
        purchase,
        rev=purchase.rev + 1,
        versions=versions,
        updated_at=draft.at_ms(),
        poll_at=purchase.next_poll(draft.now_ms),
    )
    draft.put(written.key(), written)
    return written

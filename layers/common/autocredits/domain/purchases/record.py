"""The record of a purchase. It keeps facts; its status and what it owes are pure functions of them.

The rules stand in docs/contract.md, section 5 ("A purchase keeps facts"), and docs/domain.md, "Decisions where the
model is silent". Beside it stands the record that says to which purchase a provider's payment belongs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from autocredits.domain.decide import Draft
from autocredits.domain.errors import Problem
from autocredits.domain.forms import field_names, from_map, to_map
from autocredits.domain.money import divide_half_up
from autocredits.domain.records import Listing, RecordList
from autocredits.domain.times import DAY_MS, HOUR_MS, MINUTE_MS

from .facts import (
    Checkout,
    Decision,
    Dispute,
    End,
    PaymentFacts,
    checkout_from_map,
    decision_from_map,
    payment_facts_from_map,
)
from .first_form import FIELDS as FIRST_FORM
from .first_form import facts_of

PURCHASES = RecordList("purchases", "by_creation", 1)
"""An account's purchases, by their creation."""

DUE_PURCHASES = RecordList("due", "by_due", 8, shared=True)
"""Purchases of all accounts whose provider is to be polled, by when."""

POLL_DELAYS_MS = (
    *(minutes * MINUTE_MS for minutes in (2, 10, 30)),
    *(hours * HOUR_MS for hours in range(1, 25)),
    *(days * DAY_MS for days in range(2, 31)),
)
"""When the provider is polled after the start of a checkout whose outcome is not known: after 2, 10 and 30 minutes,
hourly for a day, daily for 30 days."""

RETRY_DELAYS_MS = tuple(minutes * MINUTE_MS for minutes in (1, 2, 4, 8, 16, 32, 60))
"""When the provider is polled again after polls that failed one after the other; the last of these from then on."""

PAYABLE = ("pending", "declined")
"""The statuses in which a purchase can be paid, also another way."""

EXPIRES_MS = 30 * DAY_MS
"""How long after its start an unpaid purchase expires."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """A purchase: its frozen terms, its facts, and what was entered for them.

    Terms: `credits` and `bonus_credits` are hundredths of `unit`; `price`, after the coupon, and `discount` US cents;
    `payment_method` is how it is to be paid now.
    Facts: `checkouts` by their numbers from 1; `payments` and `declines` (the checkout's number) by the provider's ids;
    `decisions`; `expired` tells that nobody paid in time. `paid_by` is the payment that pays, for ever.
    Entered: `granted` tells that the credits were granted, `clawed_back` how many went back, `frozen` how many are held
    while disputes are open. `coupon_counted` tells that the coupon's use is counted. `poll_at` is when the provider is
    polled next, `poll_failures` how many polls have failed in a row. `unsettled` tells that what was entered is less
    than the facts say, because a page was lost in a restore; the next poll settles it.
    """

    FORM: ClassVar[int] = 3

    purchase_id: str
    package: str | None = None
    unit: str
    credits: int
    bonus_credits: int = 0
    price: int
    discount: int = 0
    coupon: str | None = None
    coupon_counted: bool = False
    payment_method: str
    checkouts: tuple[Checkout, ...] = ()
    payments: Mapping[str, PaymentFacts] = field(default_factory=dict)
    declines: Mapping[str, int] = field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()
    expired: bool = False
    paid_by: str | None = None
    granted: bool = False
    clawed_back: int = 0
    frozen: int = 0
    poll_at: int | None = None
    poll_failures: int = 0
    unsettled: bool = False
    versions: tuple[int, ...] = ()
    created_at: int
    updated_at: int
    rev: int = 0
    unknown: Mapping[str, Any] = field(default_factory=dict)

    def key(self) -> tuple[str, str]:
        """What names this record within its account."""
        return "purchase", self.purchase_id

    def newest_version(self) -> int:
        """The newest page that touched this record; 0 if none has."""
        return self.versions[-1] if self.versions else 0

    def total_credits(self) -> int:
        """All that the payment pays for, in hundredths of `unit`."""
        return self.credits + self.bonus_credits

    def open_checkout(self) -> Checkout | None:
        """The checkout that the buyer can pay by; None where nothing was to be paid."""
        return self.checkouts[-1] if self.checkouts else None

    def facts(self) -> int:
        """How many facts it keeps."""
        told = len(self.checkouts) + len(self.declines) + len(self.decisions)
        return told + sum(payment.facts() for payment in self.payments.values())

    def decided(self, *what: str) -> Decision | None:
        """The newest decision of these kinds, if there is one."""
        return next((decision for decision in reversed(self.decisions) if decision.what in what), None)

    # ------------------------------------------------------------------ disputes and what went back

    def end_of(self, dispute_id: str, dispute: Dispute) -> End | None:
        """How a dispute ended; None: it is open. The provider's word beats a person's, then `lost` beats `won`."""
        by_hand = {one.what for one in self.decisions if one.dispute_id == dispute_id}
        hand: End | None = "lost" if "dispute_lost" in by_hand else "won" if "dispute_won" in by_hand else None
        return dispute.ended or hand

    def disputes(self) -> Iterator[tuple[str, Dispute, End | None]]:
        """The disputes of the payments that count, with their ends; None: it is open. Each payment's by their ids.

        After a grant another payment counts only while it waits for a person.
        """
        waiting = self.waiting()
        for name, payment in self.payments.items():
            if self.granted and name != self.paid_by and name not in waiting:
                continue
            for dispute_id in sorted(payment.disputes):
                dispute = payment.disputes[dispute_id]
                yield dispute_id, dispute, self.end_of(dispute_id, dispute)

    def gone(self, payment: PaymentFacts, *, with_open: bool = False) -> int:
        """How much of a payment was refunded or lost, in US cents; with what open disputes may yet take."""
        if self._taken_back(payment):
            return payment.amount
        ends = {name: (one, self.end_of(name, one)) for name, one in payment.disputes.items()}
        lost = sum(one.taken() for one, end in ends.values() if end == "lost")
        at_stake = sum(one.amount for one, end in ends.values() if end is None) if with_open else 0
        return min(payment.amount, payment.refunded() + lost + at_stake)

    def _taken_back(self, payment: PaymentFacts) -> bool:
        """Whether a person has taken back the credits that this payment paid for."""
        return payment is self.paying() and self.decided("take_back") is not None

    def waiting(self) -> dict[str, PaymentFacts]:
        """The payments that wait for a person's decision and have not all gone back, in the order they were told.

        One decision settles all of them: whichever was credited, the others are second payments.
        """
        if self.decided("credit", "refuse"):
            return {}
        return {
            name: payment
            for name, payment in self.payments.items()
            if payment.waits_for and name != self.paid_by and self.gone(payment) < payment.amount
        }

    def in_review_for(self) -> str | None:
        """Why a person has to decide; None: nobody has to."""
        waiting = next(iter(self.waiting().values()), None)
        if waiting:
            return waiting.waits_for
        ends = ("a dispute ended in an unknown way",) if self.has_unclear_end() else ()
        return "; ".join((*self.doubts(), *ends)) or None

    def main_payment(self) -> tuple[str, PaymentFacts] | None:
        """The payment that is shown: the one that pays, else the first that waits, else the first; None without any."""
        paying = {name: payment for name, payment in self.payments.items() if name == self.paid_by}
        return next(iter((paying or self.waiting() or self.payments).items()), None)

    def doubts(self) -> tuple[str, ...]:
        """What the provider said of the payment that pays, and a person has to look at."""
        payment = self.paying()
        if payment is None or self._taken_back(payment):
            return ()
        settled = {what for one in self.decisions for what in one.doubts}
        return tuple(what for what in payment.doubts() if what not in settled)

    def has_unclear_end(self) -> bool:
        """Whether a dispute ended in a way that is not known here, and no person has ended it."""
        return any(dispute.unclear and end is None for _, dispute, end in self.disputes())

    # ------------------------------------------------------------------ what is owed

    def paying(self) -> PaymentFacts | None:
        """The payment whose grant was made; None before, and where nothing was to be paid."""
        return self.payments[self.paid_by] if self.granted and self.paid_by is not None else None

    def owed_back(self) -> int:
        """The credits to claw back in all: the grant's share of what has gone, rounded half up."""
        payment = self.paying()
        return self._share(payment, self.gone(payment)) if payment else 0

    def to_freeze(self) -> int:
        """The credits that open disputes put at stake, beyond those owed back already."""
        payment = self.paying()
        return self._share(payment, self.gone(payment, with_open=True)) - self.owed_back() if payment else 0

    def _share(self, payment: PaymentFacts, cents: int) -> int:
        return divide_half_up(self.total_credits() * cents, payment.amount) if payment.amount else 0

    def lacks_payment(self) -> bool:
        """Whether it was granted for a payment that is not known any more, as a restored table may have it."""
        return self.granted and self.paid_by is None and self.price > 0

    def owes(self) -> bool:
        """Whether what was entered is not what the facts say, or the payment that it was granted for is not known."""
        to_grant = not self.granted and (self.paid_by is not None or self.price == 0)
        entered = (self.clawed_back, self.frozen) == (self.owed_back(), self.to_freeze())
        return to_grant or not entered or self.lacks_payment()

    # ------------------------------------------------------------------ status

    def status(self) -> str:
        """How the purchase stands: the first that fits (docs/contract.md, section 5)."""
        if self.in_review_for():
            return "review"
        if self.granted:
            return self._status_of_grant()
        if self.payments or self.decided("cancel", "refuse", "payment_refused"):
            return "canceled"
        checkout = self.open_checkout()
        if self.expired or (checkout and checkout.expired):
            return "expired"
        return "declined" if checkout and checkout.number in self.declines.values() else "pending"

    def _status_of_grant(self) -> str:
        payment = self.paying()
        if payment is None:
            return "credited"
        ends = {self.end_of(name, dispute) for name, dispute in payment.disputes.items()}
        if None in ends:
            return "disputed"
        if "lost" in ends:
            return "charged_back"
        gone = payment.refunded() >= payment.amount or self._taken_back(payment)
        return "refunded" if gone else "credited"

    def capturing(self) -> bool:
        """Whether the money of the open checkout is being taken, or may have been."""
        checkout = self.open_checkout()
        return checkout is not None and checkout.capturing() and self.status() in PAYABLE

    def next_poll(self, now_ms: int) -> int | None:
        """When to poll the provider next, after now: while it may still be paid; daily in dispute and in doubt.

        At once if it is to be settled. After a poll that failed: in a minute, doubling, at most an hour.
        """
        if self.poll_failures:
            return now_ms + RETRY_DELAYS_MS[min(self.poll_failures, len(RETRY_DELAYS_MS)) - 1]
        if self.unsettled:
            return now_ms
        if self.doubts() or any(end is None for _, _, end in self.disputes()):
            return now_ms + DAY_MS
        checkout, expires_at = self.open_checkout(), self.created_at + EXPIRES_MS
        if checkout is None or self.status() not in PAYABLE:
            return None
        if now_ms >= expires_at:
            return now_ms + HOUR_MS  # the poll that was to expire it has failed
        times = (checkout.started_at + after for after in POLL_DELAYS_MS)
        return min(expires_at, next((at for at in times if at > now_ms), expires_at))

    # ------------------------------------------------------------------ lists and stored form

    def listings(self) -> tuple[Listing, ...]:
        """Purchases are listed by their creation, and by when their provider is to be polled."""
        created = Listing(PURCHASES, self.created_at, self.purchase_id)
        if self.poll_at is None:
            return (created,)
        return created, Listing(DUE_PURCHASES, self.poll_at, self.purchase_id)

    def to_map(self) -> dict[str, Any]:
        """The stored form, with the fields that the release before decides by. `poll_at` has kept its old name."""
        stored = to_map(self, _PURCHASE_FIELDS)
        if "poll_at" in stored:
            stored["look_at"] = stored.pop("poll_at")
        for name in ("checkouts", "decisions"):
            if name in stored:
                stored[name] = [fact.to_map() for fact in getattr(self, name)]
        if self.payments:
            stored["payments"] = {name: payment.to_map() for name, payment in self.payments.items()}
            stored["payment_order"] = list(self.payments)  # a map has no order
        return {**stored, **self._first_form(), "form": self._form()}

    def _form(self) -> int:
        """The form that it needs: releases before 0.7 work on with all that has none of their successors' facts."""
        captures = any(checkout.captures for checkout in self.checkouts)
        decisions = any(decision.doubts for decision in self.decisions)
        facts = any(payment.is_new_form() for payment in self.payments.values())
        return self.FORM if captures or decisions or facts else 2

    def _first_form(self) -> dict[str, Any]:
        """What the release before this one reads instead of the facts."""
        checkout = self.open_checkout()
        payment_id, payment = self.main_payment() or (None, None)
        disputes = list(self.disputes())
        refusal, waiting = self.decided("refuse"), next(iter(self.waiting().values()), None)
        fields = {
            "status": self.status(),
            "provider": checkout.provider if checkout else None,
            "checkout": checkout is not None and checkout.reference is not None,
            "provider_reference": checkout.reference if checkout else None,
            "redirect_url": checkout.redirect_url if checkout else None,
            "return_url": checkout.return_url if checkout else None,
            "payment_id": payment_id,
            "review_reason": refusal.reason if refusal else waiting.waits_for if waiting else None,
            "refused": refusal is not None,
            "refunded": payment.refunded() if payment else 0,
            "lost": sum(dispute.taken() for _, dispute, end in disputes if end == "lost"),
            "dispute_id": disputes[-1][0] if disputes else None,
            "dispute": (disputes[-1][2] or "open") if disputes else None,
        }
        return {name: value for name, value in fields.items() if value}


_PURCHASE_FIELDS = field_names(Purchase)


def purchase_from_map(stored: Mapping[str, Any]) -> Purchase:
    """The purchase of a stored form."""
    if stored.get("form", 1) == 1:
        stored = facts_of(stored)
    renamed = {"poll_at" if name == "look_at" else name: value for name, value in stored.items()}
    names = (*_PURCHASE_FIELDS, "payment_order")
    values = from_map(names, {name: value for name, value in renamed.items() if name not in FIRST_FORM})
    payments = values.get("payments", {})
    order = values.pop("payment_order", payments)
    values["checkouts"] = tuple(map(checkout_from_map, values.get("checkouts", ())))
    values["decisions"] = tuple(map(decision_from_map, values.get("decisions", ())))
    values["payments"] = {name: payment_facts_from_map(payments[name]) for name in order}
    return Purchase(**{"price": 0, **values, "versions": tuple(values.get("versions", ()))})


def read_purchase(draft: Draft, purchase_id: str) -> Purchase:
    """The purchase. Raises Problem `purchase_not_found`."""
    purchase = draft.get(("purchase", purchase_id), Purchase)
    if purchase is None:
        raise Problem("purchase_not_found")
    return purchase


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """To which purchase a provider's payment belongs: the first that it was seen with, for ever."""

    provider: str
    payment_id: str
    account_id: str
    purchase_id: str
    unknown: Mapping[str, Any] = field(default_factory=dict)
    FORM: ClassVar[int] = 1
    rev: ClassVar[None] = None

    def key(self) -> tuple[str, str]:
        """What names this record, over all accounts."""
        return payment_key(self.provider, self.payment_id)

    def newest_version(self) -> int:
        """It changes no balance by itself."""
        return 0

    def listings(self) -> tuple[Listing, ...]:
        """Payments are not listed."""
        return ()

    def to_map(self) -> dict[str, Any]:
        """The stored form."""
        return to_map(self, _PAYMENT_FIELDS)


_PAYMENT_FIELDS = field_names(Payment)


def payment_from_map(stored: Mapping[str, Any]) -> Payment:
    """The payment of a stored form."""
    return Payment(**from_map(_PAYMENT_FIELDS, stored))


def payment_key(provider: str, payment_id: str) -> tuple[str, str]:
    """The key of a payment's record."""
    return "payment", f"{provider}#{payment_id}"

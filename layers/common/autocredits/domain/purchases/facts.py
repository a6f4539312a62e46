"""What is known of a purchase: its checkouts, its payments with their refunds and disputes, and people's decisions.

A fact is never taken back. Adding one that is known already, in any order, changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from autocredits.domain.forms import field_names, from_map, to_map

MAX_CHECKOUTS = 20
MAX_FACTS = 100

End = Literal["won", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """One start of the payment at a provider. Of a purchase's checkouts the last is the open one.

    `reference` is the provider's name for it; None until the provider is known to have it. `request_id` is the request
    that began it, by which a retry recognises its own work. `captures` is how often its money was to be taken, noted
    before the provider was asked; `declined_captures` the number of the last one that is known to have taken nothing.
    """

    number: int
    payment_method: str
    provider: str
    started_at: int
    reference: str | None = None
    redirect_url: str | None = None
    return_url: str | None = None
    request_id: str | None = None
    expired: bool = False
    captures: int = 0
    declined_captures: int = 0
    unknown: Mapping[str, Any] = field(default_factory=dict)

    def capturing(self) -> bool:
        """Whether its money is being taken, or may have been."""
        return self.captures > self.declined_captures and not self.expired

    def to_map(self) -> dict[str, Any]:
        """The stored form."""
        return to_map(self, _CHECKOUT_FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A dispute of a payment: US cents at stake, and how the provider says it ended; None: not yet.

    `unclear` tells that it ended in a way that is not known here. `lost` is how much of it was lost, where the provider
    says so; 0: all of it.
    """

    amount: int
    ended: End | None = None
    lost: int = 0
    unclear: bool = False
    unknown: Mapping[str, Any] = field(default_factory=dict)

    def told(self, amount: int, ended: End | None, *, lost: int = 0, unclear: bool = False) -> "Dispute":
        """This dispute after another word of the provider: the greatest amount counts, and `lost` beats `won`."""
        ends = (self.ended, ended)
        end: End | None = "lost" if "lost" in ends else "won" if "won" in ends else None
        return replace(
            self,
            amount=max(self.amount, amount),
            ended=end,
            lost=max(self.lost, lost),
            unclear=self.unclear or unclear,
        )

    def taken(self) -> int:
        """What it took if it was lost, in US cents."""
        return self.lost or self.amount

    def to_map(self) -> dict[str, Any]:
        """The stored form."""
        return to_map(self, _DISPUTE_FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFacts:
    """What is known of one payment, in US cents.

    `refunds` is the greatest sum of refunds that was told, those that failed later included; `refunds_by_id` are those
    that were told one by one; `failed` maps refunds that failed to their amounts. `unclear` maps what was told and is
    not understood to the sum of refunds that would explain it (0: none does). `waits_for` is why a person has to decide
    on it; None: it pays without one.
    """

    amount: int
    refunds: int = 0
    refunds_by_id: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    disputes: Mapping[str, Dispute] = field(default_factory=dict)
    unclear: Mapping[str, int] = field(default_factory=dict)
    waits_for: str | None = None
    unknown: Mapping[str, Any] = field(default_factory=dict)

    def refunded(self) -> int:
        """What refunds really gave back."""
        named = sum(amount for name, amount in self.refunds_by_id.items() if name not in self.failed)
        failed = sum(amount for name, amount in self.failed.items() if name not in self.refunds_by_id)
        return max(0, self.refunds - failed) + named

    def doubts(self) -> tuple[str, ...]:
        """What was told of it and neither is understood nor explained by its refunds."""
        refunded = self.refunded()
        return tuple(sorted(what for what, explained in self.unclear.items() if not 0 < explained <= refunded))

    def facts(self) -> int:
        """How many facts these are."""
        told = len(self.refunds_by_id) + len(self.failed) + len(self.disputes) + len(self.unclear)
        return 1 + (self.refunds > 0) + told

    def is_new_form(self) -> bool:
        """Whether it has facts that releases before 0.7 would not heed."""
        ends = any(dispute.lost or dispute.unclear for dispute in self.disputes.values())
        return bool(self.refunds_by_id or self.unclear or ends)

    def to_map(self) -> dict[str, Any]:
        """The stored form."""
        disputes = {name: dispute.to_map() for name, dispute in self.disputes.items()}
        return {**to_map(self, _PAYMENT_FIELDS), **({"disputes": disputes} if disputes else {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided: a payment in review credited or refused, a dispute ended by hand, the purchase canceled.

    Of a payment that was granted and then came into doubt, the credits are kept (`keep`) or taken back (`take_back`);
    `doubts` are those that this settles. `request_id` names the request, by which a retry of it recognises its own
    work.
    """

    what: Literal["credit", "refuse", "keep", "take_back", "dispute_won", "dispute_lost", "cancel", "payment_refused"]
    actor: str
    doubts: tuple[str, ...] = ()
    reason: str | None = None
    payment_id: str | None = None
    dispute_id: str | None = None
    request_id: str | None = None
    unknown: Mapping[str, Any] = field(default_factory=dict)

    def to_map(self) -> dict[str, Any]:
        """The stored form."""
        return to_map(self, _DECISION_FIELDS)


_CHECKOUT_FIELDS = field_names(Checkout)
_DISPUTE_FIELDS = field_names(Dispute)
_PAYMENT_FIELDS = field_names(PaymentFacts)
_DECISION_FIELDS = field_names(Decision)


def checkout_from_map(stored: Mapping[str, Any]) -> Checkout:
    """The checkout of a stored form."""
    return Checkout(**from_map(_CHECKOUT_FIELDS, stored))


def payment_facts_from_map(stored: Mapping[str, Any]) -> PaymentFacts:
    """The payment of a stored form."""
    values = from_map(_PAYMENT_FIELDS, stored)
    disputes = values.get("disputes", {}).items()
    values["disputes"] = {name: Dispute(**{"amount": 0, **from_map(_DISPUTE_FIELDS, told)}) for name, told in disputes}
    return PaymentFacts(**{"amount": 0, **values})


def decision_from_map(stored: Mapping[str, Any]) -> Decision:
    """The decision of a stored form."""
    values = from_map(_DECISION_FIELDS, stored)
    return Decision(**{**values, "doubts": tuple(values.get("doubts", ()))})

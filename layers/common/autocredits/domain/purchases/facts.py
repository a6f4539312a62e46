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
    that began it, by which a retry recognises its own work.
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
    unknown: Mapping[str, Any] = field(default_factory=dict)

    def to_map(self) -> dict[str, Any]:
        """The stored form."""
        return to_map(self, _CHECKOUT_FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A dispute of a payment: US cents at stake, and how the provider says it ended; None: not yet."""

    amount: int
    ended: End | None = None
    unknown: Mapping[str, Any] = field(default_factory=dict)

    def told(self, amount: int, ended: End | None) -> "Dispute":
        """This dispute after another word of the provider: the greatest amount counts, and `lost` beats `won`."""
        ends = (self.ended, ended)
        end: End | None = "lost" if "lost" in ends else "won" if "won" in ends else None
        return replace(self, amount=max(self.amount, amount), ended=end)

    def to_map(self) -> dict[str, Any]:
        """The stored form."""
        return to_map(self, _DISPUTE_FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFacts:
    """What is known of one payment, in US cents.

    `refunds` is the greatest sum of refunds that was told, those that failed later included; `failed` maps refunds
    that failed to their amounts. `waits_for` is why a person has to decide on it; None: it pays without one.
    """

    amount: int
    refunds: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    disputes: Mapping[str, Dispute] = field(default_factory=dict)
    waits_for: str | None = None
    unknown: Mapping[str, Any] = field(default_factory=dict)

    def refunded(self) -> int:
        """What refunds really gave back."""
        return max(0, self.refunds - sum(self.failed.values()))

    def facts(self) -> int:
        """How many facts these are."""
        return 1 + (self.refunds > 0) + len(self.failed) + len(self.disputes)

    def to_map(self) -> dict[str, Any]:
        """The stored form."""
        disputes = {name: dispute.to_map() for name, dispute in self.disputes.items()}
        return {**to_map(self, _PAYMENT_FIELDS), **({"disputes": disputes} if disputes else {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided: a payment in review credited or refused, a dispute ended by hand, the purchase canceled.

    `request_id` names the request, by which a retry of it recognises its own work.
    """

    what: Literal["credit", "refuse", "dispute_won", "dispute_lost", "cancel", "payment_refused"]
    actor: str
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
    return Decision(**from_map(_DECISION_FIELDS, stored))

"""The records of buying: a purchase, and to which purchase a provider's payment belongs."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from .money import divide_half_up

_MINUTE_MS = 60 * 1000
_HOUR_MS = 60 * _MINUTE_MS
_DAY_MS = 24 * _HOUR_MS

LOOKS_MS = (
    *(minutes * _MINUTE_MS for minutes in (2, 10, 30)),
    *(hours * _HOUR_MS for hours in range(1, 25)),
    *(days * _DAY_MS for days in range(2, 31)),
)
"""When the provider is asked after a purchase that was never heard of: after 2, 10 and 30 minutes, hourly for a day,
daily for 30 days."""

PAYABLE = ("pending", "declined", "canceled", "expired")
"""The statuses in which a payment that succeeds is still credited."""

CREDITED = ("credited", "disputed", "refunded", "charged_back")
"""The statuses of a purchase whose credits were granted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """A purchase. `credits` and `bonus_credits` are hundredths of `unit`, `price` and `refunded` US cents.

    `price` is what is to be paid, after the coupon. `checkout` tells that the provider knows of it, `refused` that a
    person has decided against it, `reviewed_by` which request settled its review, so that the request knows its own
    doing. `refunded` and `lost` are the US cents that refunds and lost disputes took back,
    `clawed_back` the credits that went with them, `frozen` those held while a dispute is open. `dispute` is how the
    latest one stands, so that its end and its beginning may come in either order. `look_at` is when the provider is
    asked next, while nothing was heard of the payment.
    """

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
    provider: str | None = None
    checkout: bool = False
    redirect_url: str | None = None
    provider_reference: str | None = None
    return_url: str | None = None
    status: str
    payment_id: str | None = None
    review_reason: str | None = None
    refused: bool = False
    reviewed_by: str | None = None
    refunded: int = 0
    lost: int = 0
    clawed_back: int = 0
    frozen: int = 0
    dispute: Literal["open", "won", "lost"] | None = None
    dispute_id: str | None = None
    look_at: int | None = None
    versions: tuple[int, ...] = ()
    created_at: int
    updated_at: int
    rev: int = 0

    def key(self) -> tuple[str, str]:
        """What names this record within its account."""
        return "purchase", self.purchase_id

    def newest_version(self) -> int:
        """The newest page that touched this record; 0 if none has."""
        return self.versions[-1] if self.versions else 0

    def next_look(self, now_ms: int) -> int | None:
        """When to ask the provider next, after now; None once something was heard, or after the last time."""
        if self.status != "pending":
            return None
        return next((self.created_at + after for after in LOOKS_MS if self.created_at + after > now_ms), None)

    def granted(self) -> int:
        """All that the payment pays for, in hundredths of `unit`."""
        return self.credits + self.bonus_credits

    def may_be_paid(self) -> bool:
        """Whether a payment that succeeds now is credited."""
        return self.status in PAYABLE and not self.refused

    def was_credited(self) -> bool:
        """Whether its credits were granted, whatever has become of them."""
        return self.status in CREDITED

    def owed_back(self, cents: int) -> int:
        """What `cents` that were taken back in all take of the grant in all: its share, rounded half up."""
        return divide_half_up(self.granted() * min(cents, self.price), self.price) if self.price else 0

    def to_map(self) -> dict[str, Any]:
        """The stored form: what is absent, false or zero is left out."""
        stored = {name: getattr(self, name) for name in _PURCHASE_FIELDS}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in stored.items() if value}


_PURCHASE_FIELDS = tuple(field.name for field in fields(Purchase))


def purchase_from_map(stored: Mapping[str, Any]) -> Purchase:
    """The purchase of a stored form."""
    return Purchase(**{"price": 0, **stored, "versions": tuple(stored.get("versions", ()))})


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """To which purchase a provider's payment belongs: the first that it was seen with, for ever."""

    provider: str
    payment_id: str
    account_id: str
    purchase_id: str

    def key(self) -> tuple[str, str]:
        """What names this record, over all accounts."""
        return payment_key(self.provider, self.payment_id)

    def newest_version(self) -> int:
        """It changes no balance by itself."""
        return 0

    def to_map(self) -> dict[str, Any]:
        """The stored form."""
        return {name: getattr(self, name) for name in ("provider", "payment_id", "account_id", "purchase_id")}


def payment_key(provider: str, payment_id: str) -> tuple[str, str]:
    """The key of a payment's record."""
    return "payment", f"{provider}#{payment_id}"

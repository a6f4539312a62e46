"""The records of buying: a purchase, and to which purchase a provider's payment belongs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from autocredits.domain.decide import Draft
from autocredits.domain.errors import Problem
from autocredits.domain.forms import field_names, from_map, to_map
from autocredits.domain.journal import Entry
from autocredits.domain.money import divide_half_up
from autocredits.domain.records import Listing, RecordList
from autocredits.domain.times import DAY_MS, HOUR_MS, MINUTE_MS

PURCHASES = RecordList("purchases", "by_creation", 1)
"""An account's purchases, by their creation."""

DUE_PURCHASES = RecordList("due", "by_due", 8, shared=True)
"""Purchases of all accounts whose provider is to be polled, by when."""

POLL_DELAYS_MS = (
    *(minutes * MINUTE_MS for minutes in (2, 10, 30)),
    *(hours * HOUR_MS for hours in range(1, 25)),
    *(days * DAY_MS for days in range(2, 31)),
)
"""When the provider is polled after the start of a purchase whose payment is not known: after 2, 10 and 30 minutes,
hourly for a day, daily for 30 days."""

PAYABLE = ("pending", "declined", "canceled", "expired")
"""The statuses in which a payment that succeeds is still credited."""

CREDITED = ("credited", "disputed", "refunded", "charged_back")
"""The statuses of a purchase whose credits were granted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """A purchase. `credits` and `bonus_credits` are hundredths of `unit`, `price` and `refunded` US cents.

    `price` is what is to be paid, after the coupon. `checkout` tells that the provider knows of it, `refused` that a
    person has decided against it, `reviewed_by` which request settled its review, by which a retry of that request
    recognises its own work. `refunded` and `lost` are the US cents that refunds and lost disputes took back,
    `clawed_back` the credits that went with them, `frozen` those held while a dispute is open. `dispute` is how the
    latest one stands, so that its end and its beginning may come in either order. `poll_at` is when the provider is
    polled next, while the payment's outcome is not known.
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
    poll_at: int | None = None
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

    def next_poll(self, now_ms: int) -> int | None:
        """When to poll the provider next, after now; None once the outcome is known, or after the last time."""
        if self.status != "pending":
            return None
        return next((self.created_at + after for after in POLL_DELAYS_MS if self.created_at + after > now_ms), None)

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

    def listings(self) -> tuple[Listing, ...]:
        """Purchases are listed by their creation, and by when their provider is to be polled."""
        created = Listing(PURCHASES, self.created_at, self.purchase_id)
        if self.poll_at is None:
            return (created,)
        return created, Listing(DUE_PURCHASES, self.poll_at, self.purchase_id)

    def to_map(self) -> dict[str, Any]:
        """The stored form. `poll_at` is stored under its old name."""
        stored = to_map(self, _PURCHASE_FIELDS)
        if "poll_at" in stored:
            stored["look_at"] = stored.pop("poll_at")
        return stored


_PURCHASE_FIELDS = field_names(Purchase)


def purchase_from_map(stored: Mapping[str, Any]) -> Purchase:
    """The purchase of a stored form."""
    renamed = {"poll_at" if name == "look_at" else name: value for name, value in stored.items()}
    values = from_map(_PURCHASE_FIELDS, renamed)
    return Purchase(**{"price": 0, **values, "versions": tuple(values.get("versions", ()))})


def read_purchase(draft: Draft, purchase_id: str) -> Purchase:
    """The purchase. Raises Problem `purchase_not_found`."""
    purchase = draft.get(("purchase", purchase_id), Purchase)
    if purchase is None:
        raise Problem("purchase_not_found")
    return purchase


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
class Payment:
    """To which purchase a provider's payment belongs: the first that it was seen with, for ever."""

    provider: str
    payment_id: str
    account_id: str
    purchase_id: str
    unknown: Mapping[str, Any] = field(default_factory=dict)
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

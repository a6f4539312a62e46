"""The records that stand beside the journal: what is written in one transaction with a page, under conditions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from .coupons import Coupon, CouponUse, coupon_from_map
from .payments import Payment, Purchase, purchase_from_map
from .work import Work, work_from_map

RecordKey = tuple[str, str]
"""Kind and id of a record. Payments and coupons stand for themselves, all others belong to an account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """What an idempotency key did: the request it came with, and what answers it. Kept for ever.

    That is `count` entries from `first` on in page `version`; or, for an order that was queued and moved nothing, its
    `status` and `attempt` of that moment.
    """

    key: str
    fingerprint: str
    version: int
    first: int = 0
    count: int = 0
    status: str | None = None
    attempt: int | None = None

    def newest_version(self) -> int:
        """The page that the key's request wrote."""
        return self.version

    def to_map(self) -> dict[str, Any]:
        """The stored form: what is absent or zero is left out."""
        stored = {name: getattr(self, name) for name in _KEY_FIELDS}
        return {name: value for name, value in stored.items() if value}


_KEY_FIELDS = tuple(field.name for field in fields(KeyRecord))

Record = KeyRecord | Work | Purchase | Payment | Coupon | CouponUse
Records = Mapping[RecordKey, Record]

GLOBAL_KINDS = ("payment", "coupon")
"""The kinds of record that belong to no account."""

_FROM_MAP: Mapping[str, Callable[[Mapping[str, Any]], Record]] = MappingProxyType(
    {
        "key": lambda stored: KeyRecord(**stored),
        "order": work_from_map,
        "product": work_from_map,
        "purchase": purchase_from_map,
        "payment": lambda stored: Payment(**stored),
        "coupon": coupon_from_map,
        "coupon_use": lambda stored: CouponUse(**stored),
    }
)


def record_from_map(key: RecordKey, stored: Mapping[str, Any]) -> Record:
    """The record of a stored form, by the kind that its key names."""
    return _FROM_MAP[key[0]](stored)


def rev_of(record: Record | None) -> int | None:
    """How often the record has been written, by which its next write is conditioned; None if it is written but once."""
    return None if record is None or isinstance(record, KeyRecord | Payment) else record.rev

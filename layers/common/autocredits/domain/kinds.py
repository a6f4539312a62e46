"""Every kind of record there is, and how each is read from its stored form."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from .purchases.coupons import coupon_from_map, coupon_use_from_map
from .purchases.record import payment_from_map, purchase_from_map
from .records import Record, RecordKey, key_from_map
from .usage import day_from_map
from .walk import walk_from_map
from .work.record import work_from_map

GLOBAL_KINDS = ("payment", "coupon", "walk")
"""The kinds that belong to no account."""

_FROM_MAP: Mapping[str, Callable[[Mapping[str, Any]], Record]] = MappingProxyType(
    {
        "key": key_from_map,
        "order": work_from_map,
        "product": work_from_map,
        "purchase": purchase_from_map,
        "payment": payment_from_map,
        "coupon": coupon_from_map,
        "coupon_use": coupon_use_from_map,
        "walk": walk_from_map,
    }
)

KINDS = frozenset({*_FROM_MAP, "day"})
"""Every kind of record there is."""


def record_from_map(key: RecordKey, stored: Mapping[str, Any]) -> Record:
    """The record of a stored form, by the kind and id that its key names."""
    kind, record_id = key
    return day_from_map(record_id, stored) if kind == "day" else _FROM_MAP[kind](stored)

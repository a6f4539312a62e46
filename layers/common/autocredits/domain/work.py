"""The work record: one per order or product, whichever door it came through, with its attempt, hold and charges."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

Kind = Literal["order", "product"]

MAX_MESSAGES_SEEN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkRequest:
    """WORK as a caller asks for it (contract, section 5). `cost` is US cents, for `fba` orders alone.

    For a product (sourcing) there is neither order type nor tracking.
    """

    kind: Kind
    work_id: str
    store_id: str
    order_type: str | None = None
    tracking: str | None = None
    cost: int | None = None

    def key(self) -> tuple[str, str]:
        """What names the work's record within its account."""
        return self.kind, self.work_id

    def part_names(self) -> tuple[str, ...]:
        """The parts that this work consists of."""
        if self.kind == "product":
            return ("sourcing",)
        order = () if self.order_type == "manual" else ("order",)
        tracking = () if self.tracking == "none" else ("tracking",)
        return order + tracking


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a hold sets aside for one part of the work, in hundredths, and what became of it.

    `tracking` is the method that was asked for when the part was opened, `entry_id` the entry that opened it.
    """

    status: Literal["open", "captured", "released", "expired"]
    credits: int
    managed: int = 0
    tracking: str | None = None
    rate_card: str
    expires_at: int
    entry_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The record of an order or a sourcing request.

    `parts` is the hold of the present attempt. `charged` maps what was paid for (`order`, `tracking:<method>`,
    `sourcing`) to the entry that charged it; `known_parts` are the parts ever held or charged, in any attempt.
    `seen` are the digests of the messages the work has met, `versions` the pages that touched it.
    `converted` tells that a tracking part was captured, so that the order is shipped once it is placed.
    `status_at` is when it got its status in this attempt. `resent_by` is the request that queued it again, so that
    the request knows its own doing.
    `credits` is what the work has cost so far, in hundredths. `rev` counts the writes of this record.
    """

    kind: Kind
    work_id: str
    store_id: str
    order_type: str | None = None
    tracking: str | None = None
    cost: int | None = None
    status: str
    attempt: int = 1
    parts: Mapping[str, Part] = field(default_factory=dict)
    charged: Mapping[str, str] = field(default_factory=dict)
    known_parts: tuple[str, ...] = ()
    converted: bool = False
    credits: int = 0
    reason: str | None = None
    resent_by: str | None = None
    tracking_number: str | None = None
    supplier_order_id: str | None = None
    seen: tuple[str, ...] = ()
    versions: tuple[int, ...] = ()
    created_at: int
    updated_at: int
    status_at: int
    rev: int = 0

    def key(self) -> tuple[str, str]:
        """What names this record within its account."""
        return self.kind, self.work_id

    def newest_version(self) -> int:
        """The newest page that touched this record; 0 if none has."""
        return self.versions[-1] if self.versions else 0

    def open_parts(self) -> tuple[str, ...]:
        """The parts of the present hold that are still open, in the order they were opened."""
        return tuple(name for name, part in self.parts.items() if part.status == "open")

    def live_entry_id(self, part: str, tracking: str | None) -> str | None:
        """The entry that charged the part (and method), or that holds it open; None where nothing does."""
        charged = self.charged.get(charge_name(part, tracking))
        if charged is not None:
            return charged
        held = self.parts.get(part)
        if held is None or held.status != "open" or (part == "tracking" and held.tracking != tracking):
            return None
        return held.entry_id

    def has_seen(self, message: str) -> bool:
        """Whether the message with this digest has been met before."""
        return message in self.seen

    def meet(self, message: str | None) -> "Work":
        """This record, remembering the message; itself where the work came by HTTP."""
        return self if message is None else replace(self, seen=(*self.seen, message))

    def to_map(self) -> dict[str, Any]:
        """The stored form: what is absent, empty, false or zero is left out."""
        stored = {name: getattr(self, name) for name in _FIELDS}
        stored["parts"] = {name: _part_map(part) for name, part in self.parts.items()}
        stored["part_order"] = list(self.parts)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in stored.items() if value}


_FIELDS = tuple(field.name for field in fields(Work))
_PART_FIELDS = tuple(field.name for field in fields(Part))


def _part_map(part: Part) -> dict[str, Any]:
    stored = {name: getattr(part, name) for name in _PART_FIELDS}
    return {name: value for name, value in stored.items() if value}


def work_from_map(stored: Mapping[str, Any]) -> Work:
    """The work record of a stored form."""
    values = dict(stored)
    parts = values.pop("parts", {})
    order = values.pop("part_order", [])
    values["parts"] = {name: Part(**{"credits": 0, **parts[name]}) for name in order}
    for name in ("known_parts", "seen", "versions"):
        values[name] = tuple(values.get(name, ()))
    return Work(**values)


def charge_name(part: str, tracking: str | None) -> str:
    """How a charge is named in `Work.charged`: a tracking part once per method, the others once."""
    return f"tracking:{tracking}" if part == "tracking" else part


def message_digest(source: str, message_id: str) -> str:
    """What the work remembers of a message (`source` and `id` of its CloudEvent): 128 bits in 32 digits."""
    return hashlib.sha256(f"{len(source)}:{source}{message_id}".encode()).hexdigest()[:32]

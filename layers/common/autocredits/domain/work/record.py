"""The work record: one per order or product, whichever door it came through, with its attempt, hold and charges."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from autocredits.domain.errors import Problem
from autocredits.domain.forms import field_names, from_map, to_map
from autocredits.domain.ids import hold_id
from autocredits.domain.records import Listing, RecordList

Kind = Literal["order", "product"]

FAILED = ("failed", "rejected")
"""The statuses after which a new request is a new attempt."""

MAX_MESSAGES_SEEN = 200

MAX_ATTEMPTS = 99
MAX_CHANGES = 900
"""How many writes a record takes before nothing new is opened for its work. What is open can always end."""

SEND_AGAIN_MS = 120_000
"""How long after it was queued an order counts as forgotten, so that its message is sent again."""

ORDERS = RecordList("orders", "by_creation", 8)
"""An account's orders, by their creation."""

ORDERS_BY_STATUS = {status: RecordList(status, "by_status", 8) for status in ("queued", "failed")}
"""An account's queued and its failed orders, each by the time when they became so."""

DUE_HOLDS = RecordList("due#hold", "by_due", 8, shared=True)
"""All accounts' open holds, by the time when their first part expires."""

DUE_ORDERS = RecordList("due#order", "by_due", 8, shared=True)
"""All accounts' queued orders, by the time when their message is to be sent again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkRequest:
    """WORK as a caller asks for it (docs/contract.md, section 5). `cost` is US cents, for `fba` orders alone.

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
    unknown: Mapping[str, Any] = field(default_factory=dict)

    def to_map(self) -> dict[str, Any]:
        """The stored form."""
        return to_map(self, _PART_FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What happened in one attempt of the work, beside the parts of its hold. Charges are named as by `charge_name`.

    `first_hold` are the charges that the attempt's first hold set aside. `replaced` maps those whose part was opened
    again, for whichever method, to how they had ended first. `completed` are those, charged before, that a result
    completed.
    """

    attempt: int
    first_hold: tuple[str, ...] = ()
    replaced: Mapping[str, str] = field(default_factory=dict)
    completed: tuple[str, ...] = ()
    unknown: Mapping[str, Any] = field(default_factory=dict)

    def to_map(self) -> dict[str, Any]:
        """The stored form."""
        return to_map(self, _PROGRESS_FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The record of an order or a sourcing request.

    `parts` is the hold of the present attempt. `charged` maps what was paid for (`order`, `tracking:<method>`,
    `sourcing`) to the entry that charged it; `known_parts` are the parts ever held or charged, in any attempt.
    `asked` are the tracking methods that it was ever asked for.
    `seen` are the digests of the messages that it remembers, `versions` the pages that touched it.
    `converted` tells that its number was converted in this attempt, so that the order is shipped once it is placed.
    `latest` is the progress of the attempt that it names, which older code may have left behind.
    `status_at` is when it got its status in this attempt. `resent_by` is the request that queued it again, by which
    a retry of that request recognises its own work.
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
    asked: tuple[str, ...] = ()
    converted: bool = False
    latest: Progress | None = None
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
    unknown: Mapping[str, Any] = field(default_factory=dict)
    FORM: ClassVar[int] = 1

    def key(self) -> tuple[str, str]:
        """What names this record within its account."""
        return self.kind, self.work_id

    def newest_version(self) -> int:
        """The newest page that touched this record; 0 if none has."""
        return self.versions[-1] if self.versions else 0

    def open_parts(self) -> tuple[str, ...]:
        """The parts of the present hold that are still open, in the order they were opened."""
        return tuple(name for name, part in self.parts.items() if part.status == "open")

    def overdue_parts(self, now_ms: int) -> tuple[str, ...]:
        """The open parts whose time is over, in the order they were opened."""
        return tuple(name for name in self.open_parts() if self.parts[name].expires_at <= now_ms)

    def progress(self) -> Progress:
        """What happened in the present attempt."""
        if self.latest is None or self.latest.attempt != self.attempt:
            return Progress(attempt=self.attempt)
        return self.latest

    def first_hold(self) -> tuple[str, ...]:
        """The charges of the present attempt's first hold."""
        return self.progress().first_hold or tuple(
            charge_name(name, part.tracking) for name, part in self.parts.items()
        )

    def hold_status(self, charge: str) -> str | None:
        """How what was held for this charge in the present attempt stands; None if nothing was."""
        held = {charge_name(name, part.tracking): part.status for name, part in self.parts.items()}
        return held.get(charge) or self.progress().replaced.get(charge)

    def first_status(self, charge: str) -> str | None:
        """How what was held first for this charge in the present attempt stands, even if it was held again later."""
        return self.progress().replaced.get(charge) or self.hold_status(charge)

    def was_asked_for(self, tracking: str | None) -> bool:
        """Whether the work was ever asked for with this tracking method."""
        held = (part.tracking for part in self.parts.values())
        return tracking in (self.tracking, *self.asked, *held) or charge_name("tracking", tracking) in self.charged

    def check_room(self) -> None:
        """Raise Problem `too_many_attempts` if nothing new can be opened for this work."""
        if self.rev >= MAX_CHANGES or (self.status in FAILED and self.attempt >= MAX_ATTEMPTS):
            raise Problem("too_many_attempts")

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

    def remember(self, message: str) -> "Work":
        """This record, remembering the message with this digest."""
        return replace(self, seen=(*self.seen, message))

    def request(self) -> WorkRequest:
        """The request that this record stands for."""
        return WorkRequest(
            kind=self.kind,
            work_id=self.work_id,
            store_id=self.store_id,
            order_type=self.order_type,
            tracking=self.tracking,
            cost=self.cost,
        )

    def listings(self) -> tuple[Listing, ...]:
        """Orders are listed by their creation, and by status while they are queued or failed.

        Whatever has an open hold, and a queued order, is listed by when somebody has to look at it again.
        """
        places = []
        if self.kind == "order":
            places.append(Listing(ORDERS, self.created_at, self.work_id))
        if self.kind == "order" and (by_status := ORDERS_BY_STATUS.get(self.status)):
            places.append(Listing(by_status, self.status_at, self.work_id))
        if open_parts := self.open_parts():
            due_at = min(self.parts[name].expires_at for name in open_parts)
            places.append(Listing(DUE_HOLDS, due_at, hold_id(self.kind, self.work_id, self.attempt)))
        elif self.status == "queued":
            places.append(Listing(DUE_ORDERS, self.status_at + SEND_AGAIN_MS, self.work_id))
        return tuple(places)

    def to_map(self) -> dict[str, Any]:
        """The stored form. A map has no order, so the order of the parts stands beside them."""
        parts = {name: part.to_map() for name, part in self.parts.items()}
        latest = {"latest": self.latest.to_map()} if self.latest else {}
        return {**to_map(self, _FIELDS), **({"parts": parts, "part_order": list(parts)} if parts else {}), **latest}


_FIELDS = field_names(Work)
_PART_FIELDS = field_names(Part)
_PROGRESS_FIELDS = field_names(Progress)


def work_from_map(stored: Mapping[str, Any]) -> Work:
    """The work record of a stored form."""
    values = from_map((*_FIELDS, "part_order"), stored)
    parts, order = values.pop("parts", {}), values.pop("part_order", ())
    values["parts"] = {name: Part(**{"credits": 0, **from_map(_PART_FIELDS, parts[name])}) for name in order}
    for name in ("known_parts", "asked", "seen", "versions"):
        values[name] = tuple(values.get(name, ()))
    if "latest" in values:
        values["latest"] = _progress_from_map(values["latest"])
    return Work(**values)


def _progress_from_map(stored: Mapping[str, Any]) -> Progress:
    values = from_map(_PROGRESS_FIELDS, stored)
    for name in ("first_hold", "completed"):
        values[name] = tuple(values.get(name, ()))
    return Progress(**values)


def charge_name(part: str, tracking: str | None) -> str:
    """How a charge is named in `Work.charged`: a tracking part once per method, the others once."""
    return f"tracking:{tracking}" if part == "tracking" else part


def message_digest(source: str, message_id: str) -> str:
    """What the work remembers of a message (`source` and `id` of its CloudEvent): 128 bits in 32 digits."""
    return hashlib.sha256(f"{len(source)}:{source}{message_id}".encode()).hexdigest()[:32]

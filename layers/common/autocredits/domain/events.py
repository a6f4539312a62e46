"""What a page tells: the events of each commit, made from its page alone (docs/contract.md, section 8)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from types import MappingProxyType

from .journal import Entry, Page

FUNDED: Mapping[str | None, str] = MappingProxyType(
    {"order": "auto_order.funded", "tracking": "tracking_conversion.funded", "sourcing": "sourcing.funded"}
)
"""What tells that a hold for work may begin, by the part that the hold begins with."""

REFUSED: Mapping[str | None, str] = MappingProxyType(
    {"order": "auto_order.refused", "tracking": "tracking_conversion.refused", "sourcing": "sourcing.refused"}
)


@dataclass(frozen=True, slots=True)
class Hold:
    """What one request set aside: hundredths of credits part by part, and of managed balance."""

    parts: Mapping[str, int]
    managed: int
    expires_at: int

    def credits(self) -> int:
        """The credits of all its parts."""
        return sum(self.parts.values())


@dataclass(frozen=True, slots=True)
class Event:
    """Something to be told, made from the page's entry at `index`. `hold` is there for work that is funded."""

    type: str
    index: int
    hold: Hold | None = field(default=None)


def events_of(page: Page) -> tuple[Event, ...]:
    """All that the page tells, in the sequence of its entries: what was entered, then what is funded and crossed."""
    entered = (Event(_type_of(entry), index) for index, entry in enumerate(page.entries))
    return (*entered, *_funded(page), *_crossings(page))


def _type_of(entry: Entry) -> str:
    if entry.unit is None:
        return f"account.{entry.kind}"
    if entry.kind == "declined":
        return "purchase.declined"
    if entry.kind == "refused":
        return REFUSED[entry.part or ("sourcing" if entry.product_id else "order")]
    return f"credits.{entry.kind}"


def hold_of(entries: tuple[Entry, ...]) -> Hold:
    """What the `held` entries of one request set aside."""
    parts = dict.fromkeys((entry.part for entry in entries if entry.part), 0)
    for entry in entries:
        if entry.unit == "auto_order" and entry.part:
            parts[entry.part] += entry.held
    managed = sum(entry.held for entry in entries if entry.unit == "managed")
    return Hold(parts, managed, entries[0].expires_at or 0)


def _funded(page: Page) -> Iterator[Event]:
    """Holds that came by the queue, each from its first entry. One that came over HTTP has a key."""
    for (_, is_hold), group in groupby(enumerate(page.entries), key=lambda numbered: _request_of(numbered[1])):
        if is_hold:
            indexes, entries = zip(*group, strict=True)
            yield Event(FUNDED[entries[0].part], indexes[0], hold_of(entries))


def _request_of(entry: Entry) -> tuple[object, bool]:
    """What tells the entries of one request from the next one's, and whether that is a hold from the queue."""
    work = (entry.order_id, entry.product_id, entry.attempt, entry.tracking, entry.tracking_number, entry.actor)
    return work, entry.kind == "held" and entry.part in FUNDED and entry.key is None


def _crossings(page: Page) -> Iterator[Event]:
    """Where available credits crossed the threshold or zero, from before the page to after it.

    What comes and goes within a page is no crossing. A changed threshold is none either: it counts for both sides.
    """
    last = max((index for index, entry in enumerate(page.entries) if entry.unit == "auto_order"), default=None)
    if last is None:
        return
    before = page.state_before().balance("auto_order").available()
    after = page.state.balance("auto_order").available()
    threshold = page.state.low_balance
    if threshold is not None and before >= threshold > after:
        yield Event("balance.low", last)
    if before > 0 >= after:
        yield Event("balance.depleted", last)
    was_short = before <= 0 if threshold is None else before < threshold
    is_short = after <= 0 if threshold is None else after < threshold
    if was_short and not is_short:
        yield Event("balance.replenished", last)

"""What routes take in their query: filters, limits and cursors of lists, and times (docs/contract.md, section 5)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from autocredits.domain.errors import Problem
from autocredits.domain.ids import check_caller_id
from autocredits.domain.journal import KINDS
from autocredits.domain.state import UNITS
from autocredits.domain.times import DAY_MS, MINUTE_MS, parse_time
from autocredits.domain.usage import date_of
from autocredits.ledger.history import Filters, Position

from .cursors import binding_of, decode_entry_cursor, decode_list_cursor, decode_version_cursor, parse_limit
from .requests import Call, QueryForm, header

ENTRY_FILTERS = ("unit", "kind", "store_id", "order_id", "from", "to")
USAGE_BY = ("store", "action", "day")
USAGE_DAYS = 30
MAX_USAGE_DAYS = 366
ORDER_STATUSES = ("queued", "processing", "ordered", "shipped", "failed")


@dataclass(frozen=True, slots=True)
class EntriesQuery:
    """Which entries are wanted. `binding` is what cursors of this list are bound to."""

    filters: Filters
    start: Position | None
    limit: int
    binding: str


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Which orders (of one `status`, or None: all) or purchases are wanted; `start` is empty for the beginning."""

    status: str | None
    start: str
    limit: int
    binding: str


@dataclass(frozen=True, slots=True)
class StatementQuery:
    """Which entries are wanted as a statement."""

    filters: Filters


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """The UTC days that are wanted, and by what they are summed up; of one store, or of all (None)."""

    first_ms: int | None
    end_ms: int | None
    by: str
    store_id: str | None

    def days(self, now_ms: int) -> tuple[str, str]:
        """The first day, and the one after the last. Without any they are the last 30, with today.

        Raises Problem `invalid_field` for none, or more than 366.
        """
        end_ms = (now_ms // DAY_MS + 1) * DAY_MS if self.end_ms is None else self.end_ms
        first_ms = end_ms - USAGE_DAYS * DAY_MS if self.first_ms is None else self.first_ms
        if not 0 < end_ms - first_ms <= MAX_USAGE_DAYS * DAY_MS:
            raise Problem("invalid_field", f"from is a day before to, by at most {MAX_USAGE_DAYS} days.")
        return date_of(first_ms), date_of(end_ms)


@dataclass(frozen=True, slots=True)
class JournalQuery:
    """The pages that follow `after` are wanted."""

    after: int
    limit: int
    binding: str


def parse_entries(call: Call) -> EntriesQuery | StatementQuery:
    """Which entries a caller wants, and may see, and whether as a statement.

    Raises Problem `invalid_field`, `invalid_id`, `invalid_limit`, `invalid_cursor`.
    """
    if "text/csv" in (header(call.event, "accept") or "").lower():
        return _parse_statement(call)
    limit = parse_limit(call.query.get("limit"))
    filters = parse_filters(call.query, call.caller.store_id)
    binding = binding_of(call.account_id(), filters)
    return EntriesQuery(filters, decode_entry_cursor(call.query.get("cursor"), binding), limit, binding)


def _parse_statement(call: Call) -> StatementQuery:
    for name in ("limit", "cursor"):
        if name in call.query:
            raise Problem("invalid_field", f"A statement takes no {name}.")
    return StatementQuery(parse_filters(call.query, call.caller.store_id))


def parse_usage(call: Call) -> UsageQuery:
    """Which days' usage a caller wants, and may see. Raises Problem `invalid_field`."""
    by = call.query.get("by", USAGE_BY[0])
    if by not in USAGE_BY:
        raise Problem("invalid_field", f"by must be one of {', '.join(USAGE_BY)}.")
    first_ms, end_ms = (_day(call.query[name]) if name in call.query else None for name in ("from", "to"))
    return UsageQuery(first_ms, end_ms, by, call.caller.store_id)


def _day(text: str) -> int:
    """The start of a UTC day. Raises Problem `invalid_field`."""
    if _DAY.fullmatch(text) is None:
        raise Problem("invalid_field", 'A day is a date in UTC, such as "2026-11-01".')
    return parse_time(f"{text}T00:00:00Z")


def parse_journal(call: Call) -> JournalQuery:
    """Which pages a caller wants. Raises Problem `invalid_field`, `invalid_limit`, `invalid_cursor`."""
    limit, after = parse_limit(call.query.get("limit")), call.query.get("after", "0")
    if _VERSION.fullmatch(after) is None:
        raise Problem("invalid_field", "after is the number of a page, or 0.")
    binding = binding_of(call.account_id(), "journal", after)
    return JournalQuery(decode_version_cursor(call.query.get("cursor"), binding) or int(after), limit, binding)


def parse_filters(query: Mapping[str, str], visible_store_id: str | None) -> Filters:
    """The filters of entries. Raises Problem `invalid_field`, `invalid_id`."""
    for name, known in (("unit", UNITS), ("kind", KINDS)):
        if query.get(name, known[0]) not in known:
            raise Problem("invalid_field", f"{name} must be one of {', '.join(known)}.")
    for name in ("store_id", "order_id"):
        if name in query:
            check_caller_id(query[name], name)
    return Filters(
        unit=query.get("unit"),
        kind=query.get("kind"),
        store_id=query.get("store_id"),
        order_id=query.get("order_id"),
        visible_store_id=visible_store_id,
        from_ms=_range_time(query, "from"),
        to_ms=_range_time(query, "to"),
    )


def parse_orders(call: Call) -> ListQuery:
    """Which orders a caller wants. Raises Problem `invalid_field`, `invalid_limit`, `invalid_cursor`."""
    limit, status = parse_limit(call.query.get("limit")), call.query.get("status")
    if status is not None and status not in ORDER_STATUSES:
        raise Problem("invalid_field", f"status must be one of {', '.join(ORDER_STATUSES)}.")
    binding = binding_of(call.account_id(), status, call.caller.store_id)
    return ListQuery(status, decode_list_cursor(call.query.get("cursor"), binding), limit, binding)


def parse_purchases(call: Call) -> ListQuery:
    """Which purchases a caller wants. Raises Problem `invalid_limit`, `invalid_cursor`."""
    limit, binding = parse_limit(call.query.get("limit")), binding_of(call.account_id(), "purchases")
    return ListQuery(None, decode_list_cursor(call.query.get("cursor"), binding), limit, binding)


def parse_at(call: Call) -> int | None:
    """The time that a balance is asked for, in milliseconds; None: now. Raises Problem `invalid_field`."""
    return parse_time(call.query["at"]) if "at" in call.query else None


def check_at(at_ms: int, now_ms: int) -> None:
    """Raise Problem `invalid_field` for a time that is more than a minute ahead: nobody knows that balance yet."""
    if at_ms > now_ms + MINUTE_MS:
        raise Problem("invalid_field", "at must not lie ahead.")


def _range_time(query: Mapping[str, str], name: str) -> int | None:
    return parse_time(query[name], round_up=True) if name in query else None


_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_VERSION = re.compile(r"0|[1-9][0-9]{0,11}")

AT = QueryForm(("at",), parse_at)
ENTRIES = QueryForm(("limit", "cursor", *ENTRY_FILTERS), parse_entries)
ORDERS = QueryForm(("limit", "cursor", "status"), parse_orders)
PURCHASES = QueryForm(("limit", "cursor"), parse_purchases)
USAGE = QueryForm(("from", "to", "by"), parse_usage)
JOURNAL = QueryForm(("limit", "cursor", "after"), parse_journal)

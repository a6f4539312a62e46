"""What routes take in their query: filters, limits and cursors of lists, and times (docs/contract.md, section 5)."""

from collections.abc import Mapping
from dataclasses import dataclass

from autocredits.domain.errors import Problem
from autocredits.domain.ids import check_caller_id
from autocredits.domain.journal import KINDS
from autocredits.domain.state import UNITS
from autocredits.domain.times import parse_time
from autocredits.ledger.history import Filters, Position

from .cursors import binding_of, decode_entry_cursor, decode_list_cursor, parse_limit
from .requests import Call, QueryForm

ENTRY_FILTERS = ("unit", "kind", "store_id", "order_id", "from", "to")
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


def parse_entries(call: Call) -> EntriesQuery:
    """Which entries a caller wants, and may see.

    Raises Problem `invalid_field`, `invalid_id`, `invalid_limit`, `invalid_cursor`.
    """
    limit = parse_limit(call.query.get("limit"))
    filters = parse_filters(call.query, call.caller.store_id)
    binding = binding_of(call.account_id(), filters)
    return EntriesQuery(filters, decode_entry_cursor(call.query.get("cursor"), binding), limit, binding)


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


def _range_time(query: Mapping[str, str], name: str) -> int | None:
    return parse_time(query[name], round_up=True) if name in query else None


AT = QueryForm(("at",), parse_at)
ENTRIES = QueryForm(("limit", "cursor", *ENTRY_FILTERS), parse_entries)
ORDERS = QueryForm(("limit", "cursor", "status"), parse_orders)
PURCHASES = QueryForm(("limit", "cursor"), parse_purchases)

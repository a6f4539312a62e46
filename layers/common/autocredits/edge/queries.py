"""The filters that lists take in their query (contract, section 5)."""

from collections.abc import Mapping

from autocredits.domain.errors import Problem
from autocredits.domain.ids import check_caller_id
from autocredits.domain.journal import KINDS
from autocredits.domain.state import UNITS
from autocredits.domain.times import parse_time
from autocredits.history import Filters

ENTRY_FILTERS = ("unit", "kind", "store_id", "order_id", "from", "to")


def parse_filters(query: Mapping[str, str], visible_store_id: str | None) -> Filters:
    """Which entries a caller wants, and may see. Raises Problem `invalid_field`, `invalid_id`."""
    for name, known in (("unit", UNITS), ("kind", KINDS)):
        if query.get(name, known[0]) not in known:
            raise Problem("invalid_field", f"{name}: one of {', '.join(known)}.")
    for name in ("store_id", "order_id"):
        if name in query:
            check_caller_id(query[name], name)
    return Filters(
        unit=query.get("unit"),
        kind=query.get("kind"),
        store_id=query.get("store_id"),
        order_id=query.get("order_id"),
        visible_store_id=visible_store_id,
        from_ms=_time(query, "from"),
        to_ms=_time(query, "to"),
    )


ORDER_STATUSES = ("queued", "processing", "ordered", "shipped", "failed")


def parse_order_status(query: Mapping[str, str]) -> str | None:
    """Which orders a caller wants; None: all. Raises Problem `invalid_field`."""
    status = query.get("status")
    if status is not None and status not in ORDER_STATUSES:
        raise Problem("invalid_field", f"status: one of {', '.join(ORDER_STATUSES)}.")
    return status


def _time(query: Mapping[str, str], name: str) -> int | None:
    return parse_time(query[name], round_up=True) if name in query else None

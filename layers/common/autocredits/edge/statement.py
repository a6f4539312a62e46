"""A statement as CSV (RFC 4180; docs/contract.md, section 5). What comes from outside starts no formula in a sheet."""

import csv
import json
from collections.abc import Iterable, Iterator
from itertools import chain

from autocredits.domain.journal import NO_PAGE_HASH, Page
from autocredits.domain.state import UNITS, State
from autocredits.domain.times import format_time
from autocredits.ledger.history import Filters, Line
from autocredits.ledger.statement import Range, too_large

from .views import View, balance_view, entry_view

COLUMNS = (
    *("entry_id", "at", "kind", "unit", "posted", "held", "balance_posted", "balance_held", "balance_available"),
    *("store_id", "order_id", "product_id", "part", "order_type", "tracking", "rate_card", "hold_id", "purchase_id"),
    *("actor", "key", "reason"),
)
AMOUNTS = frozenset({"posted", "held", "balance_posted", "balance_held", "balance_available"})

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the start of a formula."""

MAX_BYTES = 5_000_000
"""How long a statement may be, as the function returns it: in JSON, where a character can take twelve bytes."""


def statement(lines: Iterable[Line], pages: Range, filters: Filters, now_ms: int) -> str:
    """The statement of a range. Raises Problem `range_too_large`.

    Rows of each unit add up, from its `opening` row to its `closing` one; a statement that leaves out entries of a
    unit has neither.
    """
    out = _Csv()
    whole = filters.is_whole()
    wanted = iter(lines)
    first = next(wanted, None)
    if whole:
        begins_ms = first.page.at if first and filters.from_ms is None else min(filters.from_ms or now_ms, now_ms)
        out.add(_edge_rows("opening", pages.opening, filters, begins_ms))
    for line in chain([first] if first else [], wanted):
        out.add([_row(entry_view(line.page, line.index, line.entry, line.balance))])
        if out.size > MAX_BYTES:
            raise too_large(line.page)
    if whole:
        out.add(_edge_rows("closing", pages.closing, filters, min(now_ms, filters.to_ms or now_ms)))
    return "".join(out.rows)


class _Csv:
    """The rows so far, and how long they are in JSON."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.size = 0
        self.writer = csv.writer(self, lineterminator="\r\n")
        self.writer.writerow(COLUMNS)

    def write(self, row: str) -> None:
        """Take a row that the writer made."""
        self.rows.append(row)
        self.size += len(json.dumps(row))

    def add(self, rows: Iterable[View]) -> None:
        for row in rows:
            self.writer.writerow([_cell(name, row.get(name)) for name in COLUMNS])


def _edge_rows(kind: str, page: Page | None, filters: Filters, at_ms: int) -> Iterator[View]:
    """What each unit had at an end of the range. An opening row brings it in, a closing one moves nothing."""
    version, digest, state = (page.version, page.hash, page.state) if page else (0, NO_PAGE_HASH, State())
    for unit in UNITS if filters.unit is None else (filters.unit,):
        balance = balance_view(state.balance(unit))
        moved = balance if kind == "opening" else {"posted": "0.00", "held": "0.00"}
        yield {
            "at": format_time(at_ms),
            "kind": kind,
            "unit": unit,
            "posted": moved["posted"],
            "held": moved["held"],
            **{f"balance_{name}": amount for name, amount in balance.items()},
            "reason": f"version {version}, hash {digest}",
        }


def _row(entry: View) -> View:
    balance = entry["balance"] or {}
    return {
        **entry,
        **entry.get("action", {}),
        **{f"balance_{name}": amount for name, amount in balance.items()},
    }


def _cell(name: str, value: str | None) -> str:
    if value is None:
        return ""
    return f"'{value}" if name not in AMOUNTS and value.startswith(FORMULA) else value

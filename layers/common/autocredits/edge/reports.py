"""What reports show: usage by store, action or day, and the journal's pages (docs/contract.md, section 5). Pure."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence

from autocredits.domain.audit import MAX_AT, Finding, check_stored
from autocredits.domain.journal import canonical_text
from autocredits.domain.money import format_amount
from autocredits.domain.times import format_time
from autocredits.domain.usage import OTHER_STORES, Used
from autocredits.ledger.ports import StoredPage
from autocredits.ledger.usage import Usage

from .views import View, entries_view

RATE_DAYS = 30
"""From how many days, today among them, the days that are left are reckoned."""

MAX_PAGES_BYTES = 5_000_000
"""How long an answer with pages may become, as the function returns it: JSON in JSON. The rest has a cursor."""

Row = tuple[str, str, str, Used]
"""Day, store, action, and what was consumed."""

_LABELS: Mapping[str, Callable[[Row], str]] = {
    "store": lambda row: "other" if row[1] == OTHER_STORES else row[1],
    "action": lambda row: row[2],
    "day": lambda row: row[0],
}


def usage_view(usage: Usage, first: str, end: str, by: str, lately: str) -> View:
    """What was consumed from the day `first` to before `end`. The days left are reckoned from `lately` on."""
    rows = _rows(usage)
    wanted = [row for row in rows if first <= row[0] < end]
    items = _summed(wanted, by)
    if by == "day":
        for item in items:
            item["actions"] = _summed([row for row in wanted if row[0] == item["day"]], "action")
    spent = _total(row for row in rows if row[0] >= lately).credits
    available = max(0, usage.newest.state.balance("auto_order").available())
    return {
        "by": by,
        "items": items,
        "total": format_amount(_total(wanted).credits),
        "days_left": available * RATE_DAYS // spent if spent else None,
    }


def _rows(usage: Usage) -> list[Row]:
    return [(day, store, action, use) for day, uses in usage.by_day.items() for (store, action), use in uses.items()]


def _total(rows: Iterable[Row]) -> Used:
    return sum((row[3] for row in rows), Used())


def _summed(rows: Sequence[Row], by: str) -> list[View]:
    """One item for each store, action or day, in their order."""
    sums: dict[str, Used] = {}
    for row in rows:
        label = _LABELS[by](row)
        sums[label] = sums.get(label, Used()) + row[3]
    return [
        {by: label, "credits": format_amount(use.credits), "count": use.count} for label, use in sorted(sums.items())
    ]


def pages_view(pages: Sequence[StoredPage]) -> list[View]:
    """As many of the pages as one answer holds, at least one if there are any."""
    items: list[View] = []
    size = 0
    for stored in pages:
        item = page_view(stored)
        size += len(json.dumps(json.dumps(item)))
        if items and size > MAX_PAGES_BYTES:
            break
        items.append(item)
    return items


def page_view(stored: StoredPage) -> View:
    """A page with the text under its hash. One that cannot be read is shown as it is stored, without entries."""
    page = check_stored(stored.account_id, stored.version, stored.stored, stored.hash)
    plain = stored.stored
    if isinstance(page, Finding):
        plain = json.loads(json.dumps(plain, default=_as_text))
    at = plain.get("at")
    return {
        "version": stored.version,
        "at": format_time(at) if isinstance(at, int) and 0 <= at <= MAX_AT else None,
        "entries": [] if isinstance(page, Finding) else entries_view(page),
        "state": plain.get("state"),
        "prev": plain.get("prev"),
        "hash": stored.hash,
        "page": canonical_text(stored.account_id, plain),
    }


def _as_text(value: object) -> str:
    """What somebody has put into a page that JSON does not know."""
    return value.hex() if isinstance(value, bytes) else str(value)

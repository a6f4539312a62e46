"""What reports show: usage by store, action or day, and the journal's pages (docs/contract.md, section 5). Pure."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from autocredits.domain.audit import MAX_AT, Finding, check_stored
from autocredits.domain.journal import canonical_text
from autocredits.domain.money import format_amount
from autocredits.domain.times import format_time
from autocredits.domain.usage import OTHER_STORES, Used, Uses
from autocredits.ledger.ports import StoredPage
from autocredits.ledger.usage import Usage

from .views import View, entries_view

RATE_DAYS = 30
"""From how many days, today among them, the days that are left are reckoned."""

MAX_PAGES_BYTES = 5_000_000
"""How long an answer with pages may become, as the function returns it: JSON in JSON. The rest has a cursor."""

_LABELS: Mapping[str, Callable[[str, str, str], str]] = {
    "store": lambda day, store, action: "other" if store == OTHER_STORES else store,  # noqa: ARG005 - one form for all
    "action": lambda day, store, action: action,  # noqa: ARG005
    "day": lambda day, store, action: day,  # noqa: ARG005
}


def usage_view(usage: Usage, first: str, end: str, by: str, lately: str) -> View:
    """What was consumed from the day `first` to before `end`. The days left are reckoned from `lately` on."""
    days = {day: uses for day, uses in usage.by_day.items() if first <= day < end}
    label_of = _LABELS[by]
    items = _summed(by, ((label_of(day, *pair), use) for day, uses in days.items() for pair, use in uses.items()))
    if by == "day":
        for item in items:
            item["actions"] = _summed("action", ((pair[1], use) for pair, use in days[item["day"]].items()))
    spent = _credits(uses for day, uses in usage.by_day.items() if day >= lately)
    available = max(0, usage.newest.state.balance("auto_order").available())
    return {
        "by": by,
        "items": items,
        "total": format_amount(_credits(days.values())),
        "days_left": available * RATE_DAYS // spent if spent else None,
    }


def _summed(by: str, labelled: Iterable[tuple[str, Used]]) -> list[View]:
    """One item for each store, action or day, in their order."""
    spent: Counter[str] = Counter()
    count: Counter[str] = Counter()
    for label, use in labelled:
        spent[label] += use.credits
        count[label] += use.count
    return [{by: label, "credits": format_amount(spent[label]), "count": count[label]} for label in sorted(count)]


def _credits(days: Iterable[Uses]) -> int:
    return sum(use.credits for uses in days for use in uses.values())


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

"""Reading the past of an account: its state at a time, and its entries newest first."""

from collections.abc import Iterator
from dataclasses import dataclass

from autocredits.domain.errors import BrokenInvariantError, Problem, require
from autocredits.domain.journal import MAX_ENTRIES, Entry, Page
from autocredits.domain.state import Balance

from .lists import read_work
from .ports import Clock, Store

PAGES_PER_READ = 100
MAX_PAGES_FILTERED = 1000
MAX_SECONDS_FILTERED = 2.0


@dataclass(frozen=True, slots=True)
class Position:
    """Where a list goes on: the entries of page `version` whose index is below `below`, then older pages."""

    version: int
    below: int = MAX_ENTRIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which entries are wanted; None: any. Times are milliseconds, `from_ms ≤ t < to_ms`.

    `visible_store_id` is the store that the caller is bound to, beside the one that is asked for.
    """

    unit: str | None = None
    kind: str | None = None
    store_id: str | None = None
    order_id: str | None = None
    visible_store_id: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None

    def narrows(self) -> bool:
        """Whether pages may have to be read that hold nothing wanted."""
        narrowing = (self.unit, self.kind, self.store_id, self.order_id, self.visible_store_id)
        return any(value is not None for value in narrowing)

    def is_whole(self) -> bool:
        """Whether every entry of a unit is wanted."""
        return all(one is None for one in (self.kind, self.store_id, self.order_id, self.visible_store_id))

    def match(self, entry: Entry) -> bool:
        """Whether the entry is wanted, its time aside."""
        return (
            self.unit in (None, entry.unit)
            and self.kind in (None, entry.kind)
            and self.store_id in (None, entry.store_id)
            and self.visible_store_id in (None, entry.store_id)
            and self.order_id in (None, entry.order_id)
        )


@dataclass(frozen=True, slots=True)
class Line:
    """An entry in its page, with its unit's balance after it."""

    page: Page
    index: int
    entry: Entry
    balance: Balance | None


def page_at(store: Store, account_id: str, at_ms: int) -> Page | None:
    """The newest page up to and including a time; None before the first. Times never run backwards, so it halves."""
    newest = store.head(account_id)
    if newest is None or newest.at <= at_ms:
        return newest
    found, low, high = None, 1, newest.version - 1
    while low <= high:
        middle = (low + high) // 2
        page = store.page(account_id, middle)
        if page is None:
            raise BrokenInvariantError(f"page {middle} is missing below page {newest.version}")
        if page.at <= at_ms:
            found, low = page, middle + 1
        else:
            high = middle - 1
    return found


def pages_of_order(store: Store, account_id: str, order_id: str, version: int) -> Iterator[Page]:
    """The pages that touched an order, as its record names them, from `version` down.

    Raises BrokenInvariantError where one is missing.
    """
    work = read_work(store, account_id, ("order", order_id))
    for number in reversed(work.versions if work else ()):
        if number <= version:
            page = store.page(account_id, number)
            if page is None:
                raise BrokenInvariantError(f"page {number} is missing")
            yield page


def pages_down(store: Store, account_id: str, version: int, per_read: int) -> Iterator[Page]:
    """The pages from `version` down to 1. Raises BrokenInvariantError at a gap."""
    while version > 0:
        pages = store.pages_before(account_id, version + 1, per_read)
        require(bool(pages), f"page {version} is missing")
        for page in pages:
            require(page.version == version, f"page {version} is missing")
            yield page
            version -= 1


def list_entries(
    store: Store, clock: Clock, account_id: str, filters: Filters, *, start: Position | None, limit: int
) -> tuple[list[Line], Position | None]:
    """At most `limit` wanted entries, newest first, and where to go on; None at the end.

    A list that is narrowed by more than time stops after 1,000 pages or 2 seconds and gives what it has.
    """
    start = _checked(store, account_id, start) if start else _start(store, account_id, filters)
    if start is None:
        return [], None
    lines: list[Line] = []
    deadline_s = clock.monotonic_s() + MAX_SECONDS_FILTERED
    for number, page in enumerate(_pages(store, account_id, filters, start.version, limit)):
        if filters.from_ms is not None and page.at < filters.from_ms:
            return lines, None
        if filters.narrows() and number and (number >= MAX_PAGES_FILTERED or clock.monotonic_s() > deadline_s):
            return lines, Position(page.version)
        below = start.below if page.version == start.version else MAX_ENTRIES
        for line in _lines_down(page, below):
            if filters.match(line.entry):
                if len(lines) == limit:
                    return lines, Position(page.version, line.index + 1)
                lines.append(line)
    return lines, None


def _pages(store: Store, account_id: str, filters: Filters, version: int, limit: int) -> Iterator[Page]:
    """The pages from `version` down that may hold what is wanted."""
    if filters.order_id is not None:
        return pages_of_order(store, account_id, filters.order_id, version)
    return pages_down(store, account_id, version, PAGES_PER_READ if filters.narrows() else min(limit, PAGES_PER_READ))


def _checked(store: Store, account_id: str, start: Position) -> Position:
    """The position itself. Raises Problem `invalid_cursor` for one beyond the newest page."""
    newest = store.head(account_id)
    if newest is None or start.version > newest.version:
        raise Problem("invalid_cursor", "This cursor belongs to another account or other filters.")
    return start


def _start(store: Store, account_id: str, filters: Filters) -> Position | None:
    page = store.head(account_id) if filters.to_ms is None else page_at(store, account_id, filters.to_ms - 1)
    return Position(page.version) if page else None


def _lines_down(page: Page, below: int) -> Iterator[Line]:
    lines = [Line(page, index, entry, balance) for index, (entry, balance) in enumerate(page.balances_after())]
    return reversed(lines[:below])

"""A statement: an account's entries of a range, oldest first, with the balances before and after them."""

from collections.abc import Iterator
from dataclasses import dataclass

from autocredits.domain.errors import Problem, require
from autocredits.domain.journal import Page, page_from_map
from autocredits.domain.times import format_time

from .history import Filters, Line, page_at
from .ports import Store

MAX_ENTRIES_READ = 20_000
PAGES_PER_READ = 1_000


@dataclass(frozen=True, slots=True)
class Range:
    """The pages of a statement: the newest one before it, and the newest one in it or before it."""

    opening: Page | None
    closing: Page | None


def range_of(store: Store, newest: Page, filters: Filters) -> Range:
    """The pages that begin and end the range, by binary search over the page numbers."""
    account_id = newest.account_id
    opening = None if filters.from_ms is None else page_at(store, account_id, filters.from_ms - 1)
    closing = newest if filters.to_ms is None else page_at(store, account_id, filters.to_ms - 1)
    if opening and (closing is None or closing.version < opening.version):
        closing = opening
    return Range(opening, closing)


def lines_of(store: Store, account_id: str, pages: Range, filters: Filters) -> Iterator[Line]:
    """The wanted entries, oldest first.

    Raises Problem `range_too_large` after 20,000 entries, wanted or not.
    """
    count = 0
    for page in _pages_up(store, account_id, pages):
        count += len(page.entries)
        if count > MAX_ENTRIES_READ:
            raise too_large(page)
        for index, (entry, balance) in enumerate(page.balances_after()):
            if filters.match(entry):
                yield Line(page, index, entry, balance)


def too_large(page: Page) -> Problem:
    """The refusal of a range that ends at this page or later: the one before its time fits."""
    split_at = format_time(page.at)
    return Problem("range_too_large", f"Ask for a shorter range, such as up to {split_at}.", split_at=split_at)


def _pages_up(store: Store, account_id: str, pages: Range) -> Iterator[Page]:
    version = pages.opening.version if pages.opening else 0
    last = pages.closing.version if pages.closing else 0
    while version < last:
        batch = store.pages_after(account_id, version, min(PAGES_PER_READ, last - version))
        require(bool(batch), f"page {version + 1} is missing")
        for stored in batch:
            page = page_from_map(account_id, stored.stored, stored.hash)
            version += 1
            require(page.version == version, f"page {version} is missing")
            yield page

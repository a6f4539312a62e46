"""A statement: an account's entries of a range, oldest first, with the balances before and after them."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass

from autocredits.domain.errors import Problem, require
from autocredits.domain.journal import Page, page_from_map
from autocredits.domain.times import format_time

from .history import Filters, Line, page_at
from .ports import Store, StoredPage

MAX_ENTRIES_READ = 20_000
PAGES_PER_READ = 500
READ_AHEAD = 3
"""How many reads are on their way while the pages of one are worked on: few, since a page can have 16 KB."""


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
    for end, batch in _batches(store, account_id, version, last):
        while version < end:
            require(bool(batch), f"page {version + 1} is missing")
            for stored in batch:
                page = page_from_map(account_id, stored.stored, stored.hash)
                version += 1
                require(page.version == version, f"page {version} is missing")
                yield page
            # Long pages make a batch end early.
            batch = store.pages_after(account_id, version, end - version) if version < end else ()  # noqa: PLW2901


def _batches(store: Store, account_id: str, version: int, last: int) -> Iterator[tuple[int, Sequence[StoredPage]]]:
    """What single reads give of the pages after `version`, each with the page that it should reach.

    Numbers have no gaps, so each read's start is known, and the next ones are made while one is worked on.
    """
    reads = [(start, min(start + PAGES_PER_READ, last)) for start in range(version, last, PAGES_PER_READ)]
    if len(reads) == 1:
        yield last, store.pages_after(account_id, version, last - version)
        return
    ahead: deque[tuple[int, Future[Sequence[StoredPage]]]] = deque()
    pool = ThreadPoolExecutor(READ_AHEAD)
    try:
        for start, end in reads:
            task = pool.submit(copy_context().run, store.pages_after, account_id, start, end - start)
            ahead.append((end, task))
            if len(ahead) > READ_AHEAD:
                done, task = ahead.popleft()
                yield done, task.result()
        for done, task in ahead:
            yield done, task.result()
    finally:
        pool.shutdown(cancel_futures=True)

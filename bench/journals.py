"""Long journals for the bench, written straight into the table, page by page in a chain that the domain makes.

Each has its opening, a payment and one early order of the store `shop-rare`, done by the service itself; then debits of
one entry a page, five minutes apart, of the orders of ten stores.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from autocredits.adapters.dynamo import DynamoStore
from autocredits.domain.audit import Reached
from autocredits.domain.errors import require
from autocredits.domain.journal import NO_PAGE_HASH, Entry, Page, next_page
from autocredits.domain.state import Balance, State
from autocredits.domain.times import DAY_MS, HOUR_MS, MINUTE_MS
from autocredits.domain.usage import Day, Used, date_of
from bench.service import Bench, Clock

STEP_MS = 5 * MINUTE_MS
PER_WRITE = 25
"""How many items DynamoDB takes in one BatchWriteItem."""

PAGES_A_DAY = 10_000
DAYS = 365
STORES = 60
ACTIONS = ("auto/none", "auto/bce", "auto/qtrack", "auto/tracking_generator", "manual/bce", "manual/qtrack", "sourcing")
PAGES_SINCE = 1_999
"""How many pages the busy account's audit is behind: as many as are still added on reading."""


def account_of(pages: int) -> str:
    """The account whose journal is so long."""
    return f"pages-{pages}"


def fill(bench: Bench, pages: int) -> None:
    """Make an account whose journal has this number of pages."""
    account_id = account_of(pages)
    bench.clock.at_ms = Clock.START_MS
    bench.call("PUT", account_id, "", {"orders_processor": "active"})
    money = {"unit": "auto_order", "amount": "9000000.00", "reason": "for the bench"}
    bench.call("POST", account_id, "/adjustments", money, key="money")
    bench.call("POST", account_id, "/debits", bench.order("first", "shop-rare"), key="first")
    head = bench.store.head(account_id)
    require(head is not None, "the account was opened")
    write_pages(bench.store, chain(head, pages, STEP_MS))  # type: ignore[arg-type] # just required


def chain(head: Page, last: int, step_ms: int) -> Iterator[Page]:
    """The pages that follow `head`, up to the one with the number `last`."""
    page = head
    while page.version < last:
        number = page.version + 1
        entry = Entry(
            kind="debited",
            actor="engine",
            unit="auto_order",
            posted=-100,
            order_id=f"order-{number}",
            store_id=f"shop-{number % 10}",
            order_type="auto",
            tracking="none",
            rate_card="2024-01",
            attempt=1,
            key=f"key-{number}",
        )
        page = next_page(page.account_id, page, page.at + step_ms, [entry])
        yield page


def write_pages(store: DynamoStore, pages: Iterable[Page]) -> None:
    """Write pages as they are, 25 a call; there are none under their numbers."""
    waiting = iter(pages)
    while some := tuple(islice(waiting, PER_WRITE)):
        left: Any = {
            store.table_name: [
                {"PutRequest": {"Item": store._put_page(page.account_id, page)["Put"]["Item"]}}  # noqa: SLF001
                for page in some
            ]
        }
        while left:
            left = store.client.batch_write_item(RequestItems=left)["UnprocessedItems"]


def fill_busy(store: DynamoStore, account_id: str) -> int:
    """An account with a year of 300,000 pages a month, audited but for its last ones; the time of the newest.

    Of the audited pages only the last one is written, and what the audit made of all of them: nothing else is read.
    """
    state = State(balances={"auto_order": Balance(900_000_000)})
    uses = {(f"shop-{store}", action): Used(13_300, 100) for store in range(STORES) for action in ACTIONS}
    version, at_ms = DAYS * PAGES_A_DAY, Clock.START_MS + DAYS * DAY_MS - HOUR_MS
    before = Page(account_id, version - 1, at_ms, (), state, NO_PAGE_HASH, "a" * 64)
    reached, *since = chain(before, version + PAGES_SINCE, 1_000)
    for day in range(DAYS):
        date = date_of(Clock.START_MS + day * DAY_MS)
        audited = Reached((day + 1) * PAGES_A_DAY, reached.at, reached.hash, reached.state)
        store.write_day(account_id, Day(date=date, reached=audited, uses=uses, rev=1), None)
    write_pages(store, [reached, *since])
    return since[-1].at

"""Reading over HTTP: balances, entries, statements, usage, the journal; the health of the service."""

from autocredits import __version__
from autocredits.bootstrap import ledger
from autocredits.domain.access import check_exists, check_manages
from autocredits.domain.times import DAY_MS
from autocredits.domain.usage import date_of
from autocredits.edge import queries, views
from autocredits.edge.cursors import encode_cursor
from autocredits.edge.http import Answer, Api, Request, answer, text_answer
from autocredits.edge.queries import EntriesQuery, JournalQuery, StatementQuery, UsageQuery
from autocredits.edge.reports import RATE_DAYS, pages_view, usage_view
from autocredits.edge.statement import statement
from autocredits.ledger.history import list_entries, page_at
from autocredits.ledger.statement import lines_of, range_of
from autocredits.ledger.usage import read_usage

app = Api()
handler = app.handle


@app.route("GET /v1/health", scope=None, who="anyone")
def health(_: Request) -> Answer:
    """Whether the service answers; reads no table."""
    return answer(200, {"status": "ok", "version": __version__})


@app.route("GET /v1/accounts/{account_id}/balance", scope="credits:read", who="caller", query=queries.AT)
def balance(request: Request, at_ms: int | None) -> Answer:
    """The account now, or as it was up to and including a time."""
    account_id, store, now_ms = request.account_id, ledger().store, ledger().clock.now_ms()
    if at_ms is not None:
        queries.check_at(at_ms, now_ms)
    newest = check_exists(store.head(account_id))
    if at_ms is None:
        return answer(200, views.account_view(account_id, newest, max(newest.at, now_ms)))
    page = newest if newest.at <= at_ms else page_at(store, account_id, at_ms)
    return answer(200, views.account_view(account_id, page, at_ms))


@app.route("GET /v1/accounts/{account_id}/entries", scope="credits:read", who="caller", query=queries.ENTRIES)
def entries(request: Request, query: EntriesQuery | StatementQuery) -> Answer:
    """The account's entries, newest first, or a statement of them."""
    store, clock = ledger().store, ledger().clock
    newest = check_exists(store.head(request.account_id))
    if isinstance(query, StatementQuery):
        pages = range_of(store, newest, query.filters)
        lines = lines_of(store, request.account_id, pages, query.filters)
        return text_answer(200, "text/csv; charset=utf-8", statement(lines, pages, query.filters, clock.now_ms()))
    found, position = list_entries(
        store, clock, request.account_id, query.filters, start=query.start, limit=query.limit
    )
    items = [views.entry_view(line.page, line.index, line.entry, line.balance) for line in found]
    return answer(200, {"items": items, "next_cursor": encode_cursor(position, query.binding)})


@app.route("GET /v1/accounts/{account_id}/usage", scope="credits:read", who="caller", query=queries.USAGE)
def usage(request: Request, query: UsageQuery) -> Answer:
    """The credits that the account consumed, by store, action or day."""
    store, now_ms = ledger().store, ledger().clock.now_ms()
    first, end = query.days(now_ms)
    newest = check_exists(store.head(request.account_id))
    lately = date_of(now_ms - (RATE_DAYS - 1) * DAY_MS)
    found = read_usage(store, newest, min(first, lately)).of_store(query.store_id)
    return answer(200, usage_view(found, first, end, query.by, lately))


@app.route("GET /v1/accounts/{account_id}/journal", scope="credits:read", who="caller", query=queries.JOURNAL)
def journal(request: Request, query: JournalQuery) -> Answer:
    """The account's pages, oldest first, as they are stored."""
    store = ledger().store
    newest = check_manages(store.head(request.account_id), request.caller)
    items = pages_view(store.pages_after(request.account_id, query.after, query.limit))
    reached = items[-1]["version"] if items else newest.version
    place = f"page.{reached}" if reached < newest.version else None
    return answer(200, {"items": items, "next_cursor": encode_cursor(place, query.binding)})

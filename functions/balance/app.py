"""Balances and entries over HTTP, the health of the service, and whatever has no route."""

from autocredits import __version__
from autocredits.bootstrap import ledger
from autocredits.domain.access import check_exists
from autocredits.edge import queries, views
from autocredits.edge.cursors import encode_cursor
from autocredits.edge.http import Answer, Api, Request, answer
from autocredits.edge.queries import EntriesQuery
from autocredits.ledger.history import list_entries, page_at

app = Api()
handler = app.handle


@app.route("GET /v1/health", scope=None, who="anyone")
def health(_: Request) -> Answer:
    """Whether the service answers; reads no table."""
    return answer(200, {"status": "ok", "version": __version__})


@app.route("GET /v1/accounts/{account_id}/balance", scope="credits:read", who="caller", query=queries.AT)
def balance(request: Request, at_ms: int | None) -> Answer:
    """The account now, or as it was up to and including a time."""
    account_id, store = request.account_id, ledger().store
    newest = check_exists(store.head(account_id))
    if at_ms is None:
        return answer(200, views.account_view(account_id, newest, max(newest.at, ledger().clock.now_ms())))
    page = newest if newest.at <= at_ms else page_at(store, account_id, at_ms)
    return answer(200, views.account_view(account_id, page, at_ms))


@app.route("GET /v1/accounts/{account_id}/entries", scope="credits:read", who="caller", query=queries.ENTRIES)
def entries(request: Request, query: EntriesQuery) -> Answer:
    """The account's entries, newest first."""
    store, clock = ledger().store, ledger().clock
    check_exists(store.head(request.account_id))
    lines, position = list_entries(
        store, clock, request.account_id, query.filters, start=query.start, limit=query.limit
    )
    items = [views.entry_view(line.page, line.index, line.entry, line.balance) for line in lines]
    return answer(200, {"items": items, "next_cursor": encode_cursor(position, query.binding)})

"""Balances and entries over HTTP, the health of the service, and whatever has no route."""

from autocredits import __version__
from autocredits.adapters.production import open_ledger
from autocredits.domain.accounts import check_exists
from autocredits.domain.times import parse_time
from autocredits.edge import http, lists, settings, views
from autocredits.edge.queries import ENTRY_FILTERS, parse_filters
from autocredits.history import list_entries, page_at
from autocredits.ledger import Ledger

app = http.resolver()
handler = http.serve(app)


def ledger() -> Ledger:
    """The ledger of this function."""
    return open_ledger(settings.table_name())


@app.get("/v1/health")
def health() -> http.Answer:
    """Whether the service answers; reads no table."""
    http.read_request(app)
    return http.answer(200, {"status": "ok", "version": __version__})


@app.get("/v1/accounts/<account_id>/balance")
def balance(account_id: str) -> http.Answer:
    """The account now, or as it was up to and including a time."""
    request = http.read_request(app, "at")
    at_ms = parse_time(request.query["at"]) if "at" in request.query else None
    request.admit()
    newest = check_exists(ledger().store.head(account_id))
    if at_ms is None:
        as_of_ms = max(newest.at, ledger().clock.now_ms())
        return http.answer(200, views.account_view(account_id, newest, as_of_ms))
    page = newest if newest.at <= at_ms else page_at(ledger().store, account_id, at_ms)
    return http.answer(200, views.account_view(account_id, page, at_ms))


@app.get("/v1/accounts/<account_id>/entries")
def entries(account_id: str) -> http.Answer:
    """The account's entries, newest first."""
    request = http.read_request(app, "limit", "cursor", *ENTRY_FILTERS)
    limit = lists.parse_limit(request.query.get("limit"))
    filters = parse_filters(request.query, request.caller().store_id)
    binding = lists.binding_of(account_id, filters)
    start = lists.decode_entry_cursor(request.query.get("cursor"), binding)
    request.admit()
    check_exists(ledger().store.head(account_id))
    lines, position = list_entries(ledger().store, ledger().clock, account_id, filters, start=start, limit=limit)
    items = [views.entry_view(line.page, line.index, line.entry, line.balance) for line in lines]
    return http.answer(200, {"items": items, "next_cursor": lists.encode_cursor(position, binding)})

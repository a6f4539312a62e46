"""Consuming credits over HTTP: rates, quotes, debits, holds, and how work stands."""

from collections.abc import Sequence

from autocredits.bootstrap import ledger, queue
from autocredits.domain.access import check_exists, check_visible, check_works_for
from autocredits.domain.errors import Problem
from autocredits.domain.ids import parse_hold_id
from autocredits.domain.work.calls import Debit, Hold, QueueOrder, ResendOrder, SettleHold
from autocredits.domain.work.charging import Cause, quote
from autocredits.domain.work.lifecycle import Settlement
from autocredits.domain.work.record import Work, WorkRequest
from autocredits.edge import queries, views
from autocredits.edge.bodies import CaptureBody, ReleaseBody, ResendBody, parse_hold, parse_queued_order, parse_work
from autocredits.edge.cursors import encode_cursor
from autocredits.edge.http import Answer, Api, Request, answer
from autocredits.edge.queries import ListQuery
from autocredits.ledger import lists
from autocredits.ledger.sending import resend, resend_failed, send_if_queued

app = Api()
handler = app.handle


@app.route("GET /v1/rates", scope="credits:read", who="caller")
def rates(_: Request) -> Answer:
    """The rate card in force."""
    return answer(200, views.rates_view(ledger().catalog.card_at(ledger().clock.now_ms())))


@app.route("POST /v1/accounts/{account_id}/quotes", scope="credits:read", who="caller", body=parse_work)
def quotes(request: Request, wanted: WorkRequest) -> Answer:
    """What a debit of the work would cost now."""
    page = check_exists(ledger().store.head(request.account_id))
    check_works_for(request.caller, wanted.store_id)
    work = lists.read_work(ledger().store, request.account_id, wanted.key())
    card = ledger().catalog.card_at(ledger().clock.now_ms())
    return answer(200, views.quote_view(quote(page.state, card, work, wanted)))


@app.route("POST /v1/accounts/{account_id}/debits", scope="credits:consume", who="caller", body=parse_work, key=True)
def debit(request: Request, work: WorkRequest) -> Answer:
    """Charge the work at once."""
    accepted = ledger().execute(request.account_id, Debit(request.caller, request.key, work))
    return answer(201, views.debit_view(accepted), replayed=accepted.replayed())


@app.route("POST /v1/accounts/{account_id}/holds", scope="credits:consume", who="caller", body=parse_hold, key=True)
def hold(request: Request, wanted: tuple[WorkRequest, int]) -> Answer:
    """Set credits aside for the work."""
    work, lasts_ms = wanted
    accepted = ledger().execute(request.account_id, Hold(request.caller, request.key, work, lasts_ms))
    return answer(201, views.opened_hold_view(accepted), replayed=accepted.replayed())


@app.route("GET /v1/accounts/{account_id}/holds/{hold_id}", scope="credits:read", who="caller")
def read_hold(request: Request) -> Answer:
    """The hold as it stands."""
    kind, work_id, attempt = parse_hold_id(request.parameters["hold_id"])
    page = check_exists(ledger().store.head(request.account_id))
    known = lists.read_work(ledger().store, request.account_id, (kind, work_id))
    work = check_visible(request.caller, known, "hold_not_found")
    if work.attempt != attempt or not work.parts:
        raise Problem("hold_not_found")
    return answer(200, views.hold_view(work, page.state))


@app.route(
    "POST /v1/accounts/{account_id}/holds/{hold_id}/capture", scope="credits:consume", who="caller", body=CaptureBody
)
def capture(request: Request, body: CaptureBody) -> Answer:
    """Take parts of the hold."""
    return _settle(request, Settlement("captured", Cause(actor=request.caller.actor), body.managed), body.parts)


@app.route(
    "POST /v1/accounts/{account_id}/holds/{hold_id}/release", scope="credits:consume", who="caller", body=ReleaseBody
)
def release(request: Request, body: ReleaseBody) -> Answer:
    """Give parts of the hold back."""
    cause = Cause(actor=request.caller.actor, reason=body.reason)
    return _settle(request, Settlement("released", cause), body.parts)


def _settle(request: Request, settlement: Settlement, parts: Sequence[str] | None) -> Answer:
    kind, work_id, attempt = parse_hold_id(request.parameters["hold_id"])
    command = SettleHold(
        caller=request.caller, kind=kind, work_id=work_id, attempt=attempt, settlement=settlement, parts=parts
    )
    accepted = ledger().execute(request.account_id, command)
    return answer(200, views.hold_view(accepted.record(Work), accepted.page.state))


@app.route(
    "POST /v1/accounts/{account_id}/orders", scope="credits:consume", who="caller", body=parse_queued_order, key=True
)
def queue_order(request: Request, work: WorkRequest) -> Answer:
    """Record the order as queued, then put it on the queue."""
    accepted = ledger().execute(request.account_id, QueueOrder(request.caller, request.key, work))
    send_if_queued(queue(), request.account_id, accepted.record(Work))
    return answer(202, views.queued_order_view(work.work_id, accepted), replayed=accepted.replayed())


@app.route("GET /v1/accounts/{account_id}/orders", scope="credits:read", who="caller", query=queries.ORDERS)
def list_orders(request: Request, query: ListQuery) -> Answer:
    """The account's orders, newest first."""
    store, clock = ledger().store, ledger().clock
    check_exists(store.head(request.account_id))
    works, position = lists.list_orders(
        store, clock, request.account_id, request.caller, query.status, start=query.start, limit=query.limit
    )
    items = [views.work_view(work) for work in works]
    return answer(200, {"items": items, "next_cursor": encode_cursor(position, query.binding)})


@app.route("POST /v1/accounts/{account_id}/orders/{order_id}/resend", scope="credits:consume", who="caller")
def resend_order(request: Request) -> Answer:
    """Resend a failed order."""
    command = ResendOrder(request.caller, request.parameters["order_id"], request.request_id)
    return answer(202, views.resent_view(resend(ledger(), queue(), request.account_id, command)))


@app.route("POST /v1/accounts/{account_id}/orders/resend", scope="credits:consume", who="caller", body=ResendBody)
def resend_failed_orders(request: Request, _: ResendBody) -> Answer:
    """Resend failed orders, oldest first."""
    check_exists(ledger().store.head(request.account_id))
    resent, more = resend_failed(ledger(), queue(), request.account_id, request.caller, request.request_id)
    return answer(202, {"resent": resent, "more": more})


@app.route("GET /v1/accounts/{account_id}/orders/{order_id}", scope="credits:read", who="caller")
def read_order(request: Request) -> Answer:
    """How an order stands."""
    return _work(request, "order")


@app.route("GET /v1/accounts/{account_id}/sourcing/{product_id}", scope="credits:read", who="caller")
def read_sourcing(request: Request) -> Answer:
    """How a sourcing request stands."""
    return _work(request, "product")


def _work(request: Request, kind: str) -> Answer:
    store, key = ledger().store, (kind, request.parameters[f"{kind}_id"])
    check_exists(store.head(request.account_id))
    work = check_visible(request.caller, lists.read_work(store, request.account_id, key), f"{kind}_not_found")
    return answer(200, views.work_view(work))

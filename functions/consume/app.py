"""Consuming credits over HTTP: rates, quotes, debits, holds, and how work stands."""

from autocredits import worklist
from autocredits.adapters.production import open_ledger, open_queue
from autocredits.domain.accounts import check_exists
from autocredits.domain.charges import Debit, Hold, check_visible, check_works_for, quote
from autocredits.domain.errors import Problem
from autocredits.domain.ids import check_caller_id, parse_hold_id
from autocredits.domain.queueing import QueueOrder, ResendOrder
from autocredits.domain.settle import CaptureHold, ReleaseHold
from autocredits.edge import http, lists, settings, views
from autocredits.edge.bodies import (
    CaptureBody,
    QueuedOrder,
    ReleaseBody,
    ResendBody,
    parse_body,
    parse_hold,
    parse_work,
)
from autocredits.edge.queries import parse_order_status
from autocredits.edge.sending import Queue, resend, resend_failed, send_if_queued
from autocredits.ledger import Accepted, Ledger, read_work

app = http.resolver()
handler = http.serve(app)


def ledger() -> Ledger:
    """The ledger of this function."""
    return open_ledger(settings.table_name())


def queue() -> Queue:
    """The queue that orders are put on."""
    return open_queue(settings.orders_queue_url(), settings.dead_letter_queue_url())


@app.get("/v1/rates")
def rates() -> http.Answer:
    """The rate card in force."""
    http.read_request(app).admit()
    return http.answer(200, views.rates_view(ledger().catalog.card_at(ledger().clock.now_ms())))


@app.post("/v1/accounts/<account_id>/quotes")
def quotes(account_id: str) -> http.Answer:
    """What a debit of the work would cost now."""
    request = http.read_request(app, takes_body=True)
    wanted = parse_work(request.body)
    caller = request.admit()
    page = check_exists(ledger().store.head(account_id))
    check_works_for(caller, wanted)
    work = read_work(ledger().store, account_id, wanted.key())
    card = ledger().catalog.card_at(ledger().clock.now_ms())
    return http.answer(200, views.quote_view(quote(page.state, card, work, wanted)))


@app.post("/v1/accounts/<account_id>/debits")
def debit(account_id: str) -> http.Answer:
    """Charge the work at once."""
    request = http.read_request(app, takes_body=True)
    key, work = request.key(), parse_work(request.body)
    accepted = ledger().execute(account_id, Debit(request.admit(), key, work))
    return http.answer(201, views.debit_view(accepted), replayed=accepted.replayed())


@app.post("/v1/accounts/<account_id>/holds")
def hold(account_id: str) -> http.Answer:
    """Set credits aside for the work."""
    request = http.read_request(app, takes_body=True)
    key, (work, lasts_ms) = request.key(), parse_hold(request.body)
    accepted = ledger().execute(account_id, Hold(request.admit(), key, work, lasts_ms))
    return http.answer(201, views.opened_hold_view(accepted), replayed=accepted.replayed())


@app.get("/v1/accounts/<account_id>/holds/<hold_id>")
def read_hold(account_id: str, hold_id: str) -> http.Answer:
    """The hold as it stands."""
    request = http.read_request(app)
    kind, work_id, attempt = parse_hold_id(hold_id)
    caller = request.admit()
    page = check_exists(ledger().store.head(account_id))
    work = check_visible(caller, read_work(ledger().store, account_id, (kind, work_id)), "hold_not_found")
    if work.attempt != attempt or not work.parts:
        raise Problem("hold_not_found")
    return http.answer(200, views.hold_view(work, page.state))


def _settled(accepted: Accepted) -> http.Answer:
    if accepted.done.work is None:
        raise Problem("hold_not_found")
    return http.answer(200, views.hold_view(accepted.done.work, accepted.page.state))


@app.post("/v1/accounts/<account_id>/holds/<hold_id>/capture")
def capture(account_id: str, hold_id: str) -> http.Answer:
    """Take parts of the hold."""
    request = http.read_request(app, takes_body=True)
    body = parse_body(CaptureBody, request.body)
    kind, work_id, attempt = parse_hold_id(hold_id)
    command = CaptureHold(
        caller=request.admit(), kind=kind, work_id=work_id, attempt=attempt, parts=body.parts, managed=body.managed
    )
    return _settled(ledger().execute(account_id, command))


@app.post("/v1/accounts/<account_id>/holds/<hold_id>/release")
def release(account_id: str, hold_id: str) -> http.Answer:
    """Give parts of the hold back."""
    request = http.read_request(app, takes_body=True)
    body = parse_body(ReleaseBody, request.body)
    kind, work_id, attempt = parse_hold_id(hold_id)
    command = ReleaseHold(
        caller=request.admit(), kind=kind, work_id=work_id, attempt=attempt, parts=body.parts, reason=body.reason
    )
    return _settled(ledger().execute(account_id, command))


def _work(account_id: str, kind: str, work_id: str) -> http.Answer:
    request = http.read_request(app)
    check_caller_id(work_id, f"{kind}_id")
    caller = request.admit()
    check_exists(ledger().store.head(account_id))
    work = check_visible(caller, read_work(ledger().store, account_id, (kind, work_id)), f"{kind}_not_found")
    return http.answer(200, views.work_view(work))


@app.post("/v1/accounts/<account_id>/orders")
def queue_order(account_id: str) -> http.Answer:
    """Record the order as queued, then put it on the queue."""
    request = http.read_request(app, takes_body=True)
    key, work = request.key(), parse_body(QueuedOrder, request.body).request()
    accepted = ledger().execute(account_id, QueueOrder(request.admit(), key, work))
    send_if_queued(queue(), account_id, accepted.done.work)
    return http.answer(202, views.queued_order_view(work.work_id, accepted), replayed=accepted.replayed())


@app.get("/v1/accounts/<account_id>/orders")
def list_orders(account_id: str) -> http.Answer:
    """The account's orders, newest first."""
    request = http.read_request(app, "limit", "cursor", "status")
    limit, status = lists.parse_limit(request.query.get("limit")), parse_order_status(request.query)
    binding = lists.binding_of(account_id, status, request.caller().store_id)
    start = lists.decode_order_cursor(request.query.get("cursor"), binding)
    caller = request.admit()
    check_exists(ledger().store.head(account_id))
    works, position = worklist.list_orders(ledger().store, account_id, caller, status, start=start, limit=limit)
    items = [views.work_view(work) for work in works]
    return http.answer(200, {"items": items, "next_cursor": lists.encode_cursor(position, binding)})


@app.post("/v1/accounts/<account_id>/orders/<order_id>/resend")
def resend_order(account_id: str, order_id: str) -> http.Answer:
    """Send a failed order again."""
    request = http.read_request(app)
    check_caller_id(order_id, "order_id")
    command = ResendOrder(request.admit(), order_id, request.request_id())
    work = resend(ledger(), queue(), account_id, command)
    return http.answer(202, views.resent_view(work))


@app.post("/v1/accounts/<account_id>/orders/resend")
def resend_failed_orders(account_id: str) -> http.Answer:
    """Send failed orders again, oldest first."""
    request = http.read_request(app, takes_body=True)
    parse_body(ResendBody, request.body)
    caller = request.admit()
    check_exists(ledger().store.head(account_id))
    resent, more = resend_failed(ledger(), queue(), account_id, caller, request.request_id())
    return http.answer(202, {"resent": resent, "more": more})


@app.get("/v1/accounts/<account_id>/orders/<order_id>")
def read_order(account_id: str, order_id: str) -> http.Answer:
    """How an order stands."""
    return _work(account_id, "order", order_id)


@app.get("/v1/accounts/<account_id>/sourcing/<product_id>")
def read_sourcing(account_id: str, product_id: str) -> http.Answer:
    """How a sourcing request stands."""
    return _work(account_id, "product", product_id)

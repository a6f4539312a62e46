"""Consuming credits over HTTP: rates, quotes, debits, holds, and how work stands."""

from autocredits.adapters.production import open_ledger
from autocredits.domain.accounts import check_exists
from autocredits.domain.charges import Debit, Hold, check_visible, check_works_for, quote
from autocredits.domain.errors import Problem
from autocredits.domain.ids import check_caller_id, parse_hold_id
from autocredits.domain.settle import CaptureHold, ReleaseHold
from autocredits.edge import http, settings, views
from autocredits.edge.bodies import CaptureBody, ReleaseBody, parse_body, parse_hold, parse_work
from autocredits.ledger import Accepted, Ledger, read_work

app = http.resolver()
handler = http.serve(app)


def ledger() -> Ledger:
    """The ledger of this function."""
    return open_ledger(settings.table_name())


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


@app.get("/v1/accounts/<account_id>/orders/<order_id>")
def read_order(account_id: str, order_id: str) -> http.Answer:
    """How an order stands."""
    return _work(account_id, "order", order_id)


@app.get("/v1/accounts/<account_id>/sourcing/<product_id>")
def read_sourcing(account_id: str, product_id: str) -> http.Answer:
    """How a sourcing request stands."""
    return _work(account_id, "product", product_id)

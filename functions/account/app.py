"""Accounts over HTTP: opening, standing, adjustments, settings."""

from autocredits.adapters.production import open_ledger
from autocredits.domain.accounts import Adjust, ChangeStanding, OpenAccount, check_manages
from autocredits.edge import http, settings, views
from autocredits.edge.bodies import AdjustmentBody, OpenBody, SettingsBody, StandingBody, parse_body
from autocredits.ledger import Accepted, Ledger

app = http.resolver()
handler = http.serve(app)


def ledger() -> Ledger:
    """The ledger of this function."""
    return open_ledger(settings.table_name())


def _account(status: int, accepted: Accepted) -> http.Answer:
    page = accepted.page
    return http.answer(status, views.account_view(page.account_id, page, page.at))


@app.put("/v1/accounts/<account_id>")
def open_account(account_id: str) -> http.Answer:
    """Open the account with its free credits, once."""
    request = http.read_request(app, takes_body=True)
    body = parse_body(OpenBody, request.body)
    accepted = ledger().execute(account_id, OpenAccount(request.admit(), body.orders_processor))
    return _account(201 if accepted.done.count else 200, accepted)


@app.patch("/v1/accounts/<account_id>")
def change_standing(account_id: str) -> http.Answer:
    """Change status or add-on."""
    request = http.read_request(app, takes_body=True)
    body = parse_body(StandingBody, request.body)
    changes = body.changes()
    return _account(200, ledger().execute(account_id, ChangeStanding(request.admit(), changes, body.reason)))


@app.post("/v1/accounts/<account_id>/adjustments")
def adjust(account_id: str) -> http.Answer:
    """Add to a unit, or take from it."""
    request = http.read_request(app, takes_body=True)
    key = request.key()
    body = parse_body(AdjustmentBody, request.body)
    command = Adjust(request.admit(), key, body.unit, body.amount, body.reason, body.reference)
    accepted = ledger().execute(account_id, command)
    return http.answer(201, views.own_entries_view(accepted)[0], replayed=accepted.replayed())


@app.put("/v1/accounts/<account_id>/settings")
def change_settings(account_id: str) -> http.Answer:
    """Set the threshold below which the merchant is told."""
    request = http.read_request(app, takes_body=True)
    body = parse_body(SettingsBody, request.body)
    command = ChangeStanding(request.admit(), {"low_balance": body.low_balance})
    return http.answer(200, views.settings_view(ledger().execute(account_id, command).page.state))


@app.get("/v1/accounts/<account_id>/settings")
def read_settings(account_id: str) -> http.Answer:
    """The settings as they are."""
    caller = http.read_request(app).admit()
    page = check_manages(ledger().store.head(account_id), caller)
    return http.answer(200, views.settings_view(page.state))

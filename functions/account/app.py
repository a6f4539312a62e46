"""Accounts over HTTP: opening, standing, adjustments, settings."""

from autocredits.bootstrap import ledger
from autocredits.domain.access import check_manages
from autocredits.domain.accounts import Adjust, ChangeStanding, OpenAccount
from autocredits.edge import views
from autocredits.edge.bodies import AdjustmentBody, OpenBody, SettingsBody, StandingBody, parse_standing
from autocredits.edge.http import Answer, Api, Request, answer
from autocredits.ledger.commit import Accepted

app = Api()
handler = app.handle


def _account(status: int, accepted: Accepted) -> Answer:
    page = accepted.page
    return answer(status, views.account_view(page.account_id, page, page.at))


@app.route("PUT /v1/accounts/{account_id}", scope="credits:admin", who="platform", body=OpenBody)
def open_account(request: Request, body: OpenBody) -> Answer:
    """Open the account with its free credits, once."""
    command = OpenAccount(request.caller, body.orders_processor, body.balances())
    accepted = ledger().execute(request.account_id, command)
    return _account(201 if accepted.done.count else 200, accepted)


@app.route("PATCH /v1/accounts/{account_id}", scope="credits:admin", who="platform", body=parse_standing)
def change_standing(request: Request, body: StandingBody) -> Answer:
    """Change status or add-on."""
    command = ChangeStanding(request.caller, body.changes(), body.reason)
    return _account(200, ledger().execute(request.account_id, command))


@app.route(
    "POST /v1/accounts/{account_id}/adjustments", scope="credits:admin", who="platform", body=AdjustmentBody, key=True
)
def adjust(request: Request, body: AdjustmentBody) -> Answer:
    """Add to a unit, or take from it."""
    command = Adjust(request.caller, request.key, body.unit, body.amount, body.reason, body.reference)
    accepted = ledger().execute(request.account_id, command)
    return answer(201, views.own_entries_view(accepted)[0], replayed=accepted.replayed())


@app.route("PUT /v1/accounts/{account_id}/settings", scope="credits:admin", who="caller", body=SettingsBody)
def change_settings(request: Request, body: SettingsBody) -> Answer:
    """Set the threshold below which the merchant is told."""
    command = ChangeStanding(request.caller, {"low_balance": body.low_balance})
    return answer(200, views.settings_view(ledger().execute(request.account_id, command).page.state))


@app.route("GET /v1/accounts/{account_id}/settings", scope="credits:read", who="caller")
def read_settings(request: Request) -> Answer:
    """The settings as they are."""
    page = check_manages(ledger().store.head(request.account_id), request.caller)
    return answer(200, views.settings_view(page.state))

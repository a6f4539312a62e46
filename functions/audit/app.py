"""The table's stream: the pages of every account that it shows are checked and counted."""

from typing import Any

from autocredits.adapters.stream import touched_in
from autocredits.bootstrap import ledger
from autocredits.edge.auditing import audit_alone
from autocredits.ledger.ports import UnavailableError
from autocredits.ledger.time_limit import limit_of


def handler(event: dict[str, Any], context: Any) -> None:
    """Audit each account alone; raises UnavailableError only where the table could not be asked."""
    unavailable: UnavailableError | None = None
    with limit_of(context):
        for account_id, findings in touched_in(event).items():
            try:
                audit_alone(ledger(), account_id, findings)
            except UnavailableError as error:
                unavailable = error
    if unavailable:
        raise unavailable

"""Every minute: what was forgotten is found.

Holds that nobody settled expire, queued orders whose message was lost are sent again, and audits that are behind go on.
A walk over the table finds accounts that no audit has reached.
"""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from autocredits.bootstrap import ledger, queue
from autocredits.domain.errors import BrokenInvariantError
from autocredits.domain.records import RecordList
from autocredits.domain.usage import DUE_AUDITS
from autocredits.domain.work.record import DUE_HOLDS, DUE_ORDERS
from autocredits.edge.auditing import audit_alone, go_on_auditing
from autocredits.edge.telemetry import count, logger
from autocredits.ledger.commit import Ledger
from autocredits.ledger.due import work_through
from autocredits.ledger.ports import Listed, UnavailableError
from autocredits.ledger.sweeping import expire_hold, put_off, send_again
from autocredits.ledger.time_limit import limit_of
from autocredits.ledger.walking import walk_on

RESERVE_S = 20.0
"""What an item that has been begun may need to end: the commit loop, and putting it off."""

STUCK = 5
"""After how many failures in a row somebody has to look at an item."""


def handler(_event: dict[str, Any], context: Any) -> dict[str, int]:
    """Look at all that is due, several at a time, as long as there is time."""
    used = ledger()
    lists: dict[RecordList, Callable[[Listed], bool]] = {
        DUE_HOLDS: partial(_alone, used, DUE_HOLDS, partial(expire_hold, used)),
        DUE_ORDERS: partial(_alone, used, DUE_ORDERS, partial(send_again, used, queue(), DUE_ORDERS)),
        DUE_AUDITS: partial(_alone, used, DUE_AUDITS, partial(go_on_auditing, used)),
    }
    with limit_of(context):
        counts = work_through(used.store, used.clock, lists, RESERVE_S)
        _walk(used)
    logger.info("sweep", extra=counts)
    return counts


def _alone(ledger: Ledger, which: RecordList, look: Callable[[Listed], str], due: Listed) -> bool:
    """Do with one item what its list says, and say whether that went well. If not, it is put off."""
    told = {"list": which.name, "account_id": due.account_id, "item": due.item_id}
    try:
        did = look(due)
    except Exception as error:  # noqa: BLE001 - whatever it is, no other item suffers for it
        if isinstance(error, BrokenInvariantError):
            count("BrokenInvariant")
        count("SweepFailed")
        logger.warning("sweep failed", extra={**told, "error": f"{type(error).__name__}: {error}"})
        _put_off(ledger, which, due)
        return False
    if did != "nothing":
        logger.info("swept", extra={**told, "did": did})
    return True


def _walk(ledger: Ledger) -> None:
    """Go on with the walk. What fails holds up nothing else: it is tried again in the next minute."""
    try:
        walked = walk_on(ledger, partial(_audit, ledger), RESERVE_S)
    except Exception as error:  # noqa: BLE001 - the lists are worked through all the same
        count("SweepFailed")
        logger.warning("walk failed", extra={"error": f"{type(error).__name__}: {error}"})
        return
    if walked.scans:
        logger.info("walked", extra=asdict(walked))


def _audit(ledger: Ledger, account_id: str) -> bool:
    """Audit an account that the walk has come to, and say whether that could be done."""
    try:
        audit_alone(ledger, account_id)
    except UnavailableError as error:
        count("SweepFailed")
        logger.warning("sweep failed", extra={"account_id": account_id, "error": str(error)})
        return False
    return True


def _put_off(ledger: Ledger, which: RecordList, due: Listed) -> None:
    try:
        times = put_off(ledger, which, due)
    except Exception as error:  # noqa: BLE001 - then it is met again in a minute
        logger.warning("not put off", extra={"item": due.item_id, "error": type(error).__name__})
        return
    if times >= STUCK:
        count("SweepStuck")

"""What the sweep does with work that somebody forgot: holds whose time is over, orders whose message was lost."""

from autocredits.domain.ids import parse_hold_id
from autocredits.domain.records import RecordKey, RecordList
from autocredits.domain.times import HOUR_MS, MINUTE_MS
from autocredits.domain.usage import DUE_AUDITS
from autocredits.domain.work.expiry import ExpireHold
from autocredits.domain.work.record import DUE_HOLDS, SEND_AGAIN_MS

from .commit import Ledger
from .lists import read_work
from .ports import Listed, Queue
from .sending import send_if_queued


def record_of(which: RecordList, due: Listed) -> RecordKey:
    """The record that stands in a list of what is due."""
    if which == DUE_AUDITS:
        return ("day", due.item_id)
    if which != DUE_HOLDS:
        return ("order", due.item_id)
    kind, work_id, _ = parse_hold_id(due.item_id)
    return (kind, work_id)


def expire_hold(ledger: Ledger, due: Listed) -> str:
    """Give back what is overdue of a hold; what that did. Raises what the commit loop raises."""
    kind, work_id, _ = parse_hold_id(due.item_id)
    return ledger.execute(due.account_id, ExpireHold(kind, work_id)).done.did


def send_again(ledger: Ledger, queue: Queue, which: RecordList, due: Listed) -> str:
    """Send the message of a queued order again, and look at it later if it still is; what that did.

    One message too many changes nothing, so it is sent first and then put off. Raises UnavailableError.
    """
    work = read_work(ledger.store, due.account_id, ("order", due.item_id))
    if work is None or work.status != "queued":
        return "nothing"  # the list lags
    send_if_queued(queue, due.account_id, work)
    put_off(ledger, which, due, SEND_AGAIN_MS)
    return "sent"


def put_off(ledger: Ledger, which: RecordList, due: Listed, first_ms: int = MINUTE_MS) -> int:
    """Look at an item again after `first_ms`, doubling each time, at most an hour; how often it was put off.

    The record is not changed, so that this works for one that cannot be read, and is forgotten once it changes.
    """

    def until_ms(times: int) -> int:
        return ledger.clock.now_ms() + min(HOUR_MS, first_ms << min(times - 1, 10))

    return ledger.store.put_off(which, due, record_of(which, due), until_ms)

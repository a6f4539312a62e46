"""Putting orders on the queue, after they were recorded as queued."""

import json
from contextvars import Context, copy_context

from autocredits.domain.access import Caller, may_access_store
from autocredits.domain.errors import Problem
from autocredits.domain.work.calls import ResendOrder
from autocredits.domain.work.messages import request_message
from autocredits.domain.work.record import Work

from .commit import Ledger
from .lists import Found, walk_orders
from .ports import Queue
from .time_limit import OutOfTimeError, check_time, time_limit

MAX_RESENT = 100
MAX_SECONDS = 15.0
QUEUE_AND_SEND_S = 8.0
"""What must be left of these seconds to begin with an order. What was begun may take as long as its caller has time."""


def send_if_queued(queue: Queue, account_id: str, work: Work) -> None:
    """Send the message of a queued order. One too many changes nothing, so a repeated request sends it again."""
    if work.status == "queued":
        queue.send(account_id, json.dumps(request_message(account_id, work)))


def resend(ledger: Ledger, queue: Queue, account_id: str, command: ResendOrder) -> Work:
    """Queue a failed order again, and send its message. Raises what the command raises, and UnavailableError."""
    work = ledger.execute(account_id, command).record(Work)
    send_if_queued(queue, account_id, work)
    return work


def resend_failed(ledger: Ledger, queue: Queue, account_id: str, caller: Caller, request_id: str) -> tuple[int, bool]:
    """Resend failed orders that the caller may see, the longest waiting first.

    Gives how many were sent (at most 100, or as many as 15 seconds allow), and whether there are more. Orders that
    cannot be resent, for they have failed too often, are passed by.
    """
    resent, unhurried = 0, copy_context()
    failed = walk_orders(ledger.store, account_id, "failed", start="", newest_first=False, per_read=MAX_RESENT)
    try:
        with time_limit(MAX_SECONDS, ledger.clock.monotonic_s):
            for found in failed:
                if not isinstance(found, Found) or found.work.resent_by == request_id:
                    continue
                if not may_access_store(caller, found.work.store_id):
                    continue
                if resent == MAX_RESENT:
                    return resent, True
                command = ResendOrder(caller, found.work.work_id, request_id)
                resent += _resend_again(unhurried, ledger, queue, account_id, command)
    except OutOfTimeError:
        return resent, True
    return resent, False


def _resend_again(unhurried: Context, ledger: Ledger, queue: Queue, account_id: str, command: ResendOrder) -> int:
    """How many orders this has resent: 1, or 0 for one that somebody else has resent, or that has failed too often.

    Raises OutOfTimeError where there is no time to queue the order and to send its message. Once begun it is done in
    the context `unhurried`: an order that was queued just before time was up would have no message.
    """
    check_time(QUEUE_AND_SEND_S)
    try:
        unhurried.run(resend, ledger, queue, account_id, command)
    except Problem as problem:
        if problem.code == "try_again":
            check_time()
        if problem.code not in ("invalid_transition", "too_many_attempts"):
            raise
        return 0
    return 1

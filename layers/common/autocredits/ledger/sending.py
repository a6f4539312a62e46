"""Putting orders on the queue, after they were recorded as queued."""

import json

from autocredits.domain.access import Caller, may_access_store
from autocredits.domain.errors import Problem
from autocredits.domain.work.calls import ResendOrder
from autocredits.domain.work.messages import request_message
from autocredits.domain.work.record import Work

from .commit import Ledger
from .lists import Found, walk_orders
from .ports import Queue

MAX_RESENT = 100
MAX_SECONDS = 15.0


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

    Gives how many were sent (at most 100, or as many as 15 seconds allow), and whether there are more.
    """
    resent, deadline_s = 0, ledger.clock.monotonic_s() + MAX_SECONDS
    failed = walk_orders(ledger.store, account_id, "failed", start="", newest_first=False, per_read=MAX_RESENT)
    for found in failed:
        if not isinstance(found, Found) or found.work.resent_by == request_id:
            continue
        if not may_access_store(caller, found.work.store_id):
            continue
        if resent == MAX_RESENT or ledger.clock.monotonic_s() > deadline_s:
            return resent, True
        try:
            resend(ledger, queue, account_id, ResendOrder(caller, found.work.work_id, request_id))
        except Problem as problem:
            if problem.code != "invalid_transition":  # somebody else has resent it meanwhile
                raise
        else:
            resent += 1
    return resent, False

"""A batch of messages: what becomes of each, and when it is tried again (docs/contract.md, section 7).

All messages for one account go through the ledger together, into one page where they fit: on a busy account that is
what counts. Each still has an outcome of its own, and a refused one costs its neighbours nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from autocredits.domain.decide import Command, NotYet
from autocredits.domain.errors import Problem
from autocredits.ledger.commit import Accepted, Ledger
from autocredits.ledger.ports import Queue

from .messages import parse_message
from .problems import as_problem
from .telemetry import logger

FIRST_DELAY_S = 5
MAX_DELAY_S = 600
MAX_RECEIVES = 10
RESERVE_MS = 10_000
"""What the ledger may need for one account (8 s and a last try). With less left, the rest of a batch waits."""


class RetryError(Exception):
    """The message stays in the queue and is shown again later."""


@dataclass(slots=True)
class Received:
    """One message on its way: what it asks for, and what became of it."""

    record: SQSRecord
    type: str = ""
    account_id: str = ""
    command: Command | None = None
    outcome: Accepted | Exception | None = None

    def receives(self) -> int:
        """How often it has been received, this time included."""
        return int(self.record.attributes.approximate_receive_count)

    def parse(self) -> None:
        """Understand the message, or note why it can never be processed."""
        try:
            self.type, self.account_id, self.command = parse_message(self.record.body)
        except Problem as problem:
            self.outcome = problem


def delay_s(receives: int) -> int:
    """How long a message waits after it was received for the n-th time: 5 s, doubling, at most 10 minutes."""
    return int(min(MAX_DELAY_S, FIRST_DELAY_S * 2 ** (receives - 1)))


def process(event: dict[str, Any], context: Any, ledger: Ledger, queue: Queue) -> dict[str, Any]:
    """Process a batch of messages, log one line, and name those that are to be tried again."""
    batch = [Received(SQSRecord(record)) for record in event["Records"]]
    for received in batch:
        received.parse()
    for account_id in dict.fromkeys(received.account_id for received in batch if received.command):
        if context.get_remaining_time_in_millis() < RESERVE_MS:
            break
        _execute(ledger, account_id, [received for received in batch if received.account_id == account_id])
    told = {received.record.message_id: received for received in batch}
    lines: list[dict[str, Any]] = []

    def settle(record: SQSRecord) -> None:
        received = told[record.message_id]
        try:
            did, reason = _settle(received, queue)
        except Exception:
            logger.exception("message could not be settled", extra={"message_id": record.message_id})
            raise
        lines.append(
            {
                "message_id": record.message_id,
                "type": received.type,
                "account_id": received.account_id,
                "receives": received.receives(),
                "did": did,
                "reason": reason,
            }
        )
        if did == "retry":
            raise RetryError

    processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    answer = process_partial_response(event, settle, processor, context)
    logger.info("batch", extra={"messages": lines})
    return dict(answer)


def _execute(ledger: Ledger, account_id: str, group: Sequence[Received]) -> None:
    """Let one account's messages through the ledger, and note each one's outcome.

    If the group fails in an unexpected way, its members are tried one by one, so that none suffers for another.
    """
    commands = [received.command for received in group if received.command]
    try:
        outcomes: Sequence[Accepted | Exception] = ledger.execute_all(account_id, commands)
    except Problem as try_again:
        outcomes = [try_again] * len(group)
    except Exception as error:  # noqa: BLE001 - whatever it is, it may be one message's alone
        if len(group) == 1:
            group[0].outcome = error
            return
        for received in group:
            _execute(ledger, account_id, [received])
        return
    for received, outcome in zip(group, outcomes, strict=True):
        received.outcome = outcome


def _settle(received: Received, queue: Queue) -> tuple[str, str | None]:
    """Acknowledge an outcome, defer the message, or make it a dead letter; what was done, and why."""
    outcome = received.outcome
    if isinstance(outcome, Accepted):
        return outcome.done.did, None
    if outcome is None:  # no time was left for it
        return _defer(received, queue, 1, "out_of_time")
    if isinstance(outcome, NotYet):
        if received.receives() < MAX_RECEIVES:
            return _defer(received, queue, delay_s(received.receives()), "result_before_request")
        return _dead_letter(received, queue, "result_before_request")
    problem = as_problem(outcome)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _defer(received, queue, delay_s(received.receives()), problem.code)
    return _dead_letter(received, queue, problem.code)


def _defer(received: Received, queue: Queue, seconds: int, reason: str) -> tuple[str, str]:
    queue.defer(received.record.receipt_handle, seconds)
    return "retry", reason


def _dead_letter(received: Received, queue: Queue, reason: str) -> tuple[str, str]:
    queue.dead_letter(received.record.body, reason)
    return "dead_letter", reason

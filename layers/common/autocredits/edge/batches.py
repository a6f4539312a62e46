"""A batch of messages: what becomes of each, and when it is tried again (docs/contract.md, section 7).

All messages for one account go through the ledger together, into one page where they fit: on a busy account that is
what counts. Each still has an outcome of its own, and a refused one costs its neighbours nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from autocredits.domain.decide import Command, NotYet
from autocredits.domain.errors import Problem
from autocredits.ledger.commit import Accepted, Ledger
from autocredits.ledger.ports import Queue, UnavailableError
from autocredits.ledger.time_limit import has_time, limit_of

from .messages import parse_message
from .problems import as_problem
from .telemetry import logger

FIRST_DELAY_S = 5
OUT_OF_TIME_DELAY_S = 10
MAX_DELAY_S = 600

MAX_WAIT_S = 24 * 3600
"""How long a result waits for its request."""

MAX_FAULT_S = 5 * 24 * 3600
"""How long a message is tried again while something of ours is at fault."""

RESERVE_S = 10
"""What one account's messages may need. With less left, the rest of a batch is given back."""

DEAD_LETTER = "dead_letter"

SETTLING_S = 6
"""What is kept for telling the queue what became of the messages."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a message: acknowledged, tried again in `delay_s` seconds, or a dead letter; and why."""

    did: str
    reason: str | None = None
    delay_s: int | None = None


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

    def age_s(self, now_ms: int) -> int:
        """How long ago it was first received."""
        return max(0, now_ms - int(self.record.attributes.approximate_first_receive_timestamp)) // 1000

    def parse(self) -> None:
        """Understand the message, or note why it can never be processed."""
        try:
            self.type, self.account_id, self.command = parse_message(self.record.body)
        except Problem as problem:
            self.outcome = problem


def delay_s(age_s: int, first_s: int) -> int:
    """How long a message of this age waits until it is tried again: `first_s`, doubling, at most 10 minutes.

    It is told by time, not by receives: a message that came and went untried has lost nothing.
    """
    return min(MAX_DELAY_S, first_s + age_s)


def process(event: dict[str, Any], context: Any, ledger: Ledger, queue: Queue) -> dict[str, Any]:
    """Process a batch of messages, log one line, and name those that are to be tried again."""
    with limit_of(context):
        batch = [Received(SQSRecord(record)) for record in event["Records"]]
        for received in batch:
            received.parse()
        with limit_of(context, SETTLING_S):
            _execute_in_time(ledger, batch)
        return _settle_all(event, context, batch, queue, ledger.clock.now_ms())


def _execute_in_time(ledger: Ledger, batch: Sequence[Received]) -> None:
    """Let the messages through the ledger, account by account, as long as there is time for a whole account."""
    for account_id in dict.fromkeys(received.account_id for received in batch if received.command):
        if not has_time(RESERVE_S):
            return
        _execute(ledger, account_id, [received for received in batch if received.account_id == account_id])


def _settle_all(
    event: dict[str, Any], context: Any, batch: Sequence[Received], queue: Queue, now_ms: int
) -> dict[str, Any]:
    told = {received.record.message_id: received for received in batch}
    lines: list[dict[str, Any]] = []
    delays: dict[str, int] = {}

    def settle(record: SQSRecord) -> None:
        received = told[record.message_id]
        fate = fate_of(received, now_ms)
        lines.append(
            {
                "message_id": record.message_id,
                "type": received.type,
                "account_id": received.account_id,
                "receives": received.receives(),
                "age_s": received.age_s(now_ms),
                "did": fate.did,
                "reason": fate.reason,
            }
        )
        if fate.delay_s is not None:
            delays[record.receipt_handle] = fate.delay_s
            raise RetryError
        if fate.did == DEAD_LETTER:
            _bury(queue, record, fate)

    processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    answer = process_partial_response(event, settle, processor, context)
    if delays:
        _defer(queue, delays)
    logger.info("batch", extra={"messages": lines})
    return dict(answer)


def _bury(queue: Queue, record: SQSRecord, fate: Fate) -> None:
    """Make a dead letter. What raises here is not acknowledged, and comes back."""
    try:
        queue.dead_letter(record.body, fate.reason or "")
    except Exception:
        logger.exception("message could not be made a dead letter", extra={"message_id": record.message_id})
        raise


def _defer(queue: Queue, delays: Mapping[str, int]) -> None:
    """Have messages shown again after their delays. What cannot be told comes back with the queue's own time-out."""
    try:
        queue.defer(delays)
    except UnavailableError as error:
        logger.warning("messages not deferred", extra={"count": len(delays), "error": type(error).__name__})
    except Exception:  # noqa: BLE001 - the outcomes of the others are not lost over it
        logger.exception("messages could not be deferred", extra={"count": len(delays)})


def _execute(ledger: Ledger, account_id: str, group: Sequence[Received]) -> None:
    """Let one account's messages through the ledger, and note each one's outcome.

    If the group fails in an unexpected way, its members are tried one by one, so that none suffers for another.
    """
    commands = [received.command for received in group if received.command]
    try:
        outcomes: Sequence[Accepted | Exception] = ledger.execute_all(account_id, commands)
    except Exception as error:  # noqa: BLE001 - whatever it is, it may be one message's alone
        if len(group) == 1:
            group[0].outcome = error
            return
        for received in group:
            if has_time(RESERVE_S):
                _execute(ledger, account_id, [received])
        return
    for received, outcome in zip(group, outcomes, strict=True):
        received.outcome = outcome


def fate_of(received: Received, now_ms: int) -> Fate:
    """An outcome is acknowledged, what time can mend is tried again for so long, all else is a dead letter."""
    outcome, age_s = received.outcome, received.age_s(now_ms)
    if isinstance(outcome, Accepted):
        return Fate(outcome.done.did)
    if outcome is None:
        return _retry("out_of_time", age_s, OUT_OF_TIME_DELAY_S, MAX_FAULT_S)
    if isinstance(outcome, NotYet):
        return _retry("result_before_request", age_s, FIRST_DELAY_S, MAX_WAIT_S)
    problem = as_problem(outcome)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _retry(problem.code, age_s, FIRST_DELAY_S, MAX_FAULT_S)
    return Fate(DEAD_LETTER, problem.code)


def _retry(reason: str, age_s: int, first_s: int, most_s: int) -> Fate:
    if age_s >= most_s:
        return Fate(DEAD_LETTER, reason)
    return Fate("retry", reason, delay_s(age_s, first_s))

"""A batch of messages: what becomes of each, and when it is tried again (docs/contract.md, section 7).

All messages for one account go through the ledger together, into one page where they fit: on a busy account that is
what counts. Each still has an outcome of its own, and a refused one costs its neighbours nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from autocredits.domain.decide import Command, NotYet
from autocredits.domain.errors import Problem
from autocredits.ledger.commit import Accepted, Ledger
from autocredits.ledger.ports import Queue
from autocredits.ledger.time_limit import has_time, limit_of

from .messages import parse_message
from .problems import as_problem
from .retries import DEAD_LETTER, OUT_OF_TIME_DELAY_S, Fate, age_s, retry, settle
from .telemetry import logger

MAX_WAIT_S = 24 * 3600
"""How long a result waits for its request."""

RESERVE_S = 10
"""What one account's messages may need. With less left, the rest of a batch is given back."""

SETTLING_S = 6
"""What is kept for telling the queue what became of the messages."""


@dataclass(slots=True)
class Received:
    """One message on its way: what it asks for, and what became of it."""

    record: SQSRecord
    type: str = ""
    account_id: str = ""
    command: Command | None = None
    outcome: Accepted | Exception | None = None

    def parse(self) -> None:
        """Understand the message, or note why it can never be processed."""
        try:
            self.type, self.account_id, self.command = parse_message(self.record.body)
        except Problem as problem:
            self.outcome = problem


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
    fates = {received.record.message_id: fate_of(received, now_ms) for received in batch}
    answer = settle(event, context, queue, fates)
    logger.info("batch", extra={"messages": [_line(received, fates, now_ms) for received in batch]})
    return answer


def _line(received: Received, fates: Mapping[str, Fate], now_ms: int) -> dict[str, Any]:
    fate = fates[received.record.message_id]
    return {
        "message_id": received.record.message_id,
        "type": received.type,
        "account_id": received.account_id,
        "receives": int(received.record.attributes.approximate_receive_count),
        "age_s": age_s(received.record, now_ms),
        "did": fate.did,
        "reason": fate.reason,
    }


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
    outcome, aged_s = received.outcome, age_s(received.record, now_ms)
    if isinstance(outcome, Accepted):
        return Fate(outcome.done.did)
    if outcome is None:
        return retry("out_of_time", aged_s, first_s=OUT_OF_TIME_DELAY_S)
    if isinstance(outcome, NotYet):
        return retry("result_before_request", aged_s, most_s=MAX_WAIT_S)
    problem = as_problem(outcome)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return retry(problem.code, aged_s)
    return Fate(DEAD_LETTER, problem.code)

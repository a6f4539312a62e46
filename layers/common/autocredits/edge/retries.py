"""What becomes of a message on a queue: it is acknowledged, tried again with growing delay, or made a dead letter.

All of it is told by the message's age, not by its receives: one that came and went untried has lost nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from autocredits.ledger.ports import Queue, UnavailableError

from .telemetry import logger

FIRST_DELAY_S = 5
OUT_OF_TIME_DELAY_S = 10
MAX_DELAY_S = 600

MAX_FAULT_S = 5 * 24 * 3600
"""How long a message is tried again while something of ours is at fault."""

DEAD_LETTER = "dead_letter"


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a message: acknowledged, tried again in `delay_s` seconds, or a dead letter; and why."""

    did: str
    reason: str | None = None
    delay_s: int | None = None


class RetryError(Exception):
    """The message stays in the queue and is shown again later."""


def age_s(record: SQSRecord, now_ms: int) -> int:
    """How long ago the message was first received."""
    return max(0, now_ms - int(record.attributes.approximate_first_receive_timestamp)) // 1000


def delay_s(aged_s: int, first_s: int) -> int:
    """How long a message of this age waits until it is tried again: `first_s`, doubling, at most 10 minutes."""
    return min(MAX_DELAY_S, first_s + aged_s)


def retry(reason: str, aged_s: int, *, first_s: int = FIRST_DELAY_S, most_s: int = MAX_FAULT_S) -> Fate:
    """Have a message of this age tried again, or made a dead letter once it is older than `most_s`."""
    if aged_s >= most_s:
        return Fate(DEAD_LETTER, reason)
    return Fate("retry", reason, delay_s(aged_s, first_s))


def settle(event: dict[str, Any], context: Any, queue: Queue, fates: Mapping[str, Fate]) -> dict[str, Any]:
    """Do with a batch's messages what their fates say, by their ids; the answer names those to be tried again."""
    delays: dict[str, int] = {}

    def settle_one(record: SQSRecord) -> None:  # Powertools asks for the name `record`
        fate = fates[record.message_id]
        if fate.delay_s is not None:
            delays[record.receipt_handle] = fate.delay_s
            raise RetryError
        if fate.did == DEAD_LETTER:
            _bury(queue, record, fate)

    processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    answer = process_partial_response(event, settle_one, processor, context)
    if delays:
        _defer(queue, delays)
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

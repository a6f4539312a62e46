"""What becomes of a message on a queue, whoever judged it; tests/unit/edge/test_batches.py has the orders' judgement."""

from collections.abc import Mapping
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from autocredits.edge.retries import (
    DEAD_LETTER,
    FIRST_DELAY_S,
    MAX_DELAY_S,
    MAX_FAULT_S,
    OUT_OF_TIME_DELAY_S,
    Fate,
    age_s,
    delay_s,
    retry,
    settle,
)
from autocredits.ledger.ports import UnavailableError
from tests.kit.builders import NOW_MS
from tests.kit.memory import MemoryQueue
from tests.kit.service import Context, received_record

ACKNOWLEDGED: dict[str, Any] = {"batchItemFailures": []}


def settled(queue: MemoryQueue, **fates: Fate) -> list[str]:
    """Settle a batch of messages, each of which has its own name as its body; those to be shown again."""
    event = {"Records": [received_record(name, message_id=name) for name in fates]}
    answer = settle(event, Context(), queue, fates)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_a_message_waits_longer_the_older_it_is() -> None:
    """5 s, doubling, at most 10 minutes: each wait is as long as all before it, and 5 s more."""
    aged_s, waits = 0, []
    for _ in range(10):
        waits.append(delay_s(aged_s, FIRST_DELAY_S))
        aged_s += waits[-1]
    assert waits == [5, 10, 20, 40, 80, 160, 320, 600, 600, 600]
    assert delay_s(0, OUT_OF_TIME_DELAY_S) == 10


def test_a_message_is_as_old_as_its_first_receive() -> None:
    """In whole seconds, and never younger than just received."""
    assert age_s(SQSRecord(received_record("x", first_received_ms=NOW_MS - 61_999)), NOW_MS) == 61
    assert age_s(SQSRecord(received_record("x", first_received_ms=NOW_MS + 30_000)), NOW_MS) == 0


@pytest.mark.parametrize(
    ("aged_s", "fate"),
    [
        (0, Fate("retry", "why", 5)),
        (30, Fate("retry", "why", 35)),
        (MAX_FAULT_S - 1, Fate("retry", "why", MAX_DELAY_S)),
        (MAX_FAULT_S, Fate(DEAD_LETTER, "why")),
    ],
)
def test_a_fault_is_retried_for_five_days(aged_s: int, fate: Fate) -> None:
    """Then the message is a dead letter with the same reason."""
    assert retry("why", aged_s) == fate


def test_what_waits_for_something_else_may_wait_shorter() -> None:
    """First wait and last moment are its own."""
    assert retry("why", 59, first_s=7, most_s=60) == Fate("retry", "why", 66)
    assert retry("why", 60, first_s=7, most_s=60) == Fate(DEAD_LETTER, "why")


def test_each_message_of_a_batch_gets_its_fate() -> None:
    """One is acknowledged, one comes back after its delay, one is a dead letter with its reason and body."""
    queue = MemoryQueue()
    fates = {"done": Fate("held"), "late": Fate("retry", "why", 40), "bad": Fate(DEAD_LETTER, "invalid_json")}
    assert settled(queue, **fates) == ["late"]
    assert (queue.delays, queue.dead) == ({"late": 40}, [{"body": "bad", "reason": "invalid_json"}])


def test_a_batch_in_which_all_is_to_be_retried_raises_nothing() -> None:
    """Each of them is named, so that none waits for the queue's own time-out."""
    queue = MemoryQueue()
    assert settled(queue, a=Fate("retry", "why", 5), b=Fate("retry", "why", 6)) == ["a", "b"]
    assert queue.delays == {"a": 5, "b": 6}


@pytest.mark.parametrize("error", [UnavailableError, PermissionError])
def test_a_dead_letter_that_is_not_taken_stays(error: type[Exception]) -> None:
    """It is shown again; the others are settled all the same."""

    class Full(MemoryQueue):
        def dead_letter(self, body: str, reason: str) -> None:
            raise error(body + reason)

    queue = Full()
    assert settled(queue, bad=Fate(DEAD_LETTER, "why"), late=Fate("retry", "why", 5), done=Fate("held")) == [
        "bad",
        "late",
    ]
    assert queue.delays == {"late": 5}


@pytest.mark.parametrize("error", [UnavailableError, PermissionError])
def test_delays_that_are_not_taken_leave_the_rest_as_it_is(error: type[Exception]) -> None:
    """The message comes back with the queue's own time-out; the dead letter beside it is buried."""

    class Deaf(MemoryQueue):
        def defer(self, delays: Mapping[str, int]) -> None:
            raise error(str(delays))

    queue = Deaf()
    assert settled(queue, bad=Fate(DEAD_LETTER, "why"), late=Fate("retry", "why", 5)) == ["late"]
    assert queue.dead == [{"body": "bad", "reason": "why"}]

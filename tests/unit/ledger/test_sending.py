"""Putting orders on the queue: after they were recorded, and again after they failed."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from autocredits.domain.access import Caller
from autocredits.domain.decide import Command
from autocredits.domain.errors import Problem
from autocredits.domain.work.calls import ResendOrder
from autocredits.domain.work.messages import request_message
from autocredits.domain.work.record import Work
from autocredits.edge.messages import parse_message
from autocredits.ledger.ports import UnavailableError
from autocredits.ledger.sending import MAX_RESENT, resend, resend_failed, send_if_queued
from tests.kit.books import check_books
from tests.kit.builders import (
    ACCOUNT_ID,
    PLATFORM,
    Account,
    adjust,
    idempotency,
    merchant,
    opened,
    order,
    placed,
    queue_order,
    requested,
)
from tests.kit.memory import MemoryQueue


def own_message(work: Work) -> Command:
    """What the service's own message for the order, as it stands, asks for."""
    return parse_message(json.dumps(request_message(ACCOUNT_ID, work)))[2]


def again(order_id: str = "o1", request_id: str = "r1", caller: Caller = PLATFORM) -> ResendOrder:
    """A request to send the order again."""
    return ResendOrder(caller, order_id, request_id)


def standing(account: Account, order_id: str = "o1") -> tuple[str, int]:
    """Status and attempt as the record has them."""
    work = account.work(order_id)
    return work.status, work.attempt


@dataclass(slots=True)
class EventfulQueue(MemoryQueue):
    """A queue on which something happens at every message that is sent; what it does may fail."""

    happens: Callable[[str], object] = field(default=lambda _: None)

    def send(self, account_id: str, body: str) -> None:
        """Let it happen, then keep the message."""
        self.happens(json.loads(body)["data"]["order_id"])
        MemoryQueue.send(self, account_id, body)


def failed_orders(*order_ids: str, store_ids: Sequence[str] = ("s1",)) -> Account:
    """An account without credits whose orders were refused, one a second, in turn of these stores."""
    account = opened(0)
    for number, order_id in enumerate(order_ids):
        account.clock.at_ms += 1000
        account.do(requested(order_id, store_id=store_ids[number % len(store_ids)]))
        assert account.work(order_id).status == "failed"
    return account


def resend_all(
    account: Account, queue: MemoryQueue | None = None, caller: Caller = PLATFORM, request_id: str = "r1"
) -> tuple[int, bool]:
    """A call of `POST /orders/resend`."""
    queue = MemoryQueue() if queue is None else queue
    return resend_failed(account.ledger(), queue, ACCOUNT_ID, caller, request_id)


def sent_orders(queue: MemoryQueue) -> list[tuple[str, int]]:
    """Order and attempt of each message that was sent, in that order."""
    data = [json.loads(body)["data"] for _, body in queue.sent]
    return [(one["order_id"], one["attempt"]) for one in data]


def status_counts(account: Account) -> dict[str, int]:
    """How many orders have each status."""
    statuses = [work.status for work in account.works()]
    return {status: statuses.count(status) for status in set(statuses)}


def test_only_a_queued_order_is_sent() -> None:
    """A repeated request sends it again, which changes nothing; an order in work is sent no more."""
    account, queue = opened(1000), MemoryQueue()
    key = idempotency()
    for _ in range(2):
        send_if_queued(queue, ACCOUNT_ID, account.do(queue_order(order(), key)).record(Work))
    assert queue.sent[0] == queue.sent[1]
    assert queue.sent[0][0] == ACCOUNT_ID
    account.do(own_message(account.work()))
    send_if_queued(queue, ACCOUNT_ID, account.do(queue_order(order(), key)).record(Work))
    assert sent_orders(queue) == [("o1", 1), ("o1", 1)]


def test_an_order_that_is_resent_is_on_the_queue() -> None:
    """Its message names the new attempt; a refused resend sends nothing."""
    account, queue = failed_orders("o1"), MemoryQueue()
    assert resend(account.ledger(), queue, ACCOUNT_ID, again()).status == "queued"
    with pytest.raises(Problem, match="invalid_transition"):
        resend(account.ledger(), queue, ACCOUNT_ID, again(request_id="r2"))
    assert sent_orders(queue) == [("o1", 2)]


def test_a_message_that_cannot_be_sent_leaves_the_order_queued() -> None:
    """The caller is told that the outcome is unknown; the record waits for the sweep."""

    def fail(_: str) -> None:
        raise UnavailableError("no queue")

    account = failed_orders("o1")
    with pytest.raises(UnavailableError):
        resend(account.ledger(), EventfulQueue(happens=fail), ACCOUNT_ID, again())
    assert standing(account) == ("queued", 2)


def test_nothing_to_resend() -> None:
    """No order, or none that failed."""
    assert resend_all(opened(0)) == (0, False)
    account = opened(1000)
    for command in (requested(), placed()):
        account.do(command)
    assert resend_all(account) == (0, False)


def test_those_that_failed_first_are_resent_first() -> None:
    """By when they failed, not by when they were made."""
    account, queue = failed_orders("o1", "o2", "o3"), MemoryQueue()
    account.clock.at_ms += 1000
    account.do(again("o1", "earlier"))
    account.clock.at_ms += 1000
    account.do(own_message(account.work("o1")))
    assert resend_all(account, queue) == (3, False)
    assert sent_orders(queue) == [("o2", 2), ("o3", 2), ("o1", 3)]


@pytest.mark.parametrize(
    ("count", "answers"), [(99, [(99, False)]), (100, [(100, False)]), (101, [(100, True), (1, False)])]
)
def test_at_most_a_hundred_are_resent_a_call(count: int, answers: list[tuple[int, bool]]) -> None:
    """`more` tells whether another call would find one."""
    account, queue = failed_orders(*[f"o{number:03}" for number in range(count)]), MemoryQueue()
    assert MAX_RESENT == 100
    assert [resend_all(account, queue, request_id=f"r{call}") for call in range(len(answers))] == answers
    assert sent_orders(queue) == [(f"o{number:03}", 2) for number in range(count)]
    assert status_counts(account) == {"queued": count}


def test_what_somebody_else_resent_meanwhile_is_skipped() -> None:
    """It is neither counted nor sent twice."""
    account = failed_orders("o1", "o2", "o3")

    def rival(order_id: str) -> None:
        if order_id == "o1":
            account.do(again("o2", "rival"))

    queue = EventfulQueue(happens=rival)
    assert resend_all(account, queue) == (2, False)
    assert sent_orders(queue) == [("o1", 2), ("o3", 2)]
    assert standing(account, "o2") == ("queued", 2)


def test_an_order_that_fails_again_meanwhile_is_not_resent_twice() -> None:
    """Otherwise a call could go on for as long as the account lacks credits."""
    order_ids = [f"o{number:03}" for number in range(120)]
    account = failed_orders(*order_ids)

    def worker(order_id: str) -> None:
        account.clock.at_ms += 1
        account.do(own_message(account.work(order_id)))

    queue = EventfulQueue(happens=worker)
    assert resend_all(account, queue) == (100, True)
    assert sent_orders(queue) == [(order_id, 2) for order_id in order_ids[:100]]
    assert status_counts(account) == {"failed": 120}
    assert resend_all(account, queue, request_id="r2") == (100, True)
    assert sent_orders(queue)[100:120] == [(order_id, 2) for order_id in order_ids[100:]]


def test_an_order_that_fails_again_while_the_list_is_read_on_is_left() -> None:
    """It stands at the list's end then, behind other stores' orders, and would be found a second time."""
    account = failed_orders(*[f"o{number:03}" for number in range(100)], store_ids=("s1", "s2"))

    def worker(order_id: str) -> None:
        account.clock.at_ms += 1
        account.do(own_message(account.work(order_id)))

    queue = EventfulQueue(happens=worker)
    assert resend_all(account, queue, merchant(store_id="s1")) == (50, False)
    assert len(set(sent_orders(queue))) == len(queue.sent) == 50


def test_an_attempt_that_fails_at_once_counts_from_then() -> None:
    """An order that was requested again and refused again waits since its newest refusal."""
    account, queue = failed_orders("o1", "o2"), MemoryQueue()
    account.clock.at_ms += 1000
    account.do(requested("o1"))
    assert resend_all(account, queue) == (2, False)
    assert sent_orders(queue) == [("o2", 2), ("o1", 3)]


def test_a_store_bound_caller_resends_its_own_alone() -> None:
    """Other stores' orders are neither resent nor counted, nor are they `more`."""
    account, queue = failed_orders("o1", "o2", "o3", "o4", "o5", store_ids=("s1", "s2")), MemoryQueue()
    assert resend_all(account, queue, merchant(store_id="s1")) == (3, False)
    assert sent_orders(queue) == [("o1", 2), ("o3", 2), ("o5", 2)]
    assert status_counts(account) == {"queued": 3, "failed": 2}


def test_a_slow_store_is_resent_as_far_as_the_time_allows() -> None:
    """What cannot be queued and sent within 15 seconds is left, and told as more."""
    account = failed_orders("o1", "o2", "o3", "o4")

    def wait(_: str) -> None:
        account.clock.sleep_up_to(4.0)

    assert resend_all(account, EventfulQueue(happens=wait)) == (2, True)


def test_every_order_resent_is_charged_once_after_a_top_up() -> None:
    """The messages, each processed three times, hold one attempt's credits per order."""
    account, queue = failed_orders("o1", "o2", "o3"), MemoryQueue()
    account.do(adjust("auto_order", 1000))
    resend_all(account, queue)
    for _ in range(3):
        for _, body in queue.sent:
            account.do(parse_message(body)[2])
    assert (status_counts(account), account.balance()) == ({"processing": 3}, (1000, 300))
    check_books(account)

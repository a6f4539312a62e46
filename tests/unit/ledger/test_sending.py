"""Putting orders on the queue: after they were recorded, and again after they failed."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest

from autocredits.domain.access import Caller
from autocredits.domain.decide import Command
from autocredits.domain.errors import Problem
from autocredits.domain.work.calls import ResendOrder
from autocredits.domain.work.messages import request_message
from autocredits.domain.work.record import Work
from autocredits.edge.messages import parse_message
from autocredits.ledger.commit import Ledger
from autocredits.ledger.ports import Store, UnavailableError
from autocredits.ledger.sending import MAX_RESENT, MAX_SECONDS, resend, resend_failed, send_if_queued
from autocredits.ledger.time_limit import time_limit
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
from tests.kit.memory import ManualClock, MemoryQueue, MemoryStore
from tests.kit.spied import Slow, Spied


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


@pytest.fixture(scope="module")
def crowded() -> Account:
    """3,000 failed orders of store s2, and then two of store s1."""
    account = opened(0)
    for number in range(3002):
        account.clock.at_ms += 1
        account.do(requested(f"o{number:04}", store_id="s2" if number < 3000 else "s1"))
    return account


def twin(account: Account) -> Account:
    """The account as it is, whatever becomes of it afterwards."""
    pages = {name: dict(stored) for name, stored in account.store.pages.items()}
    return Account(MemoryStore(pages, dict(account.store.records)), ManualClock(account.clock.at_ms))


def slowly(account: Account, call_s: float) -> tuple[Ledger, Slow]:
    """A ledger over the account's store, each of whose calls takes so long."""
    slow = Slow(account.store, clock=account.clock, call_s=call_s)
    return account.ledger(cast("Store", slow)), slow


def test_a_store_finds_its_own_behind_3000_orders_of_others(crowded: Account) -> None:
    """On a table that answers at once, in as many calls as there are hundreds."""
    account, queue = twin(crowded), MemoryQueue()
    ledger, slow = slowly(account, 0.01)
    assert resend_failed(ledger, queue, ACCOUNT_ID, merchant(store_id="s1"), "r1") == (2, False)
    assert sent_orders(queue) == [("o3000", 2), ("o3001", 2)]
    assert slow.names().count("list") == 31


@pytest.mark.parametrize("call_s", [0.5, 1.0, 2.0, 4.0])
def test_a_store_beside_3000_orders_of_others_is_answered_in_time(crowded: Account, call_s: float) -> None:
    """On a slow table: fifteen seconds are looked at on every step, and there is more."""
    account = twin(crowded)
    ledger, _ = slowly(account, call_s)
    assert resend_failed(ledger, MemoryQueue(), ACCOUNT_ID, merchant(store_id="s1"), "r1") == (0, True)
    assert account.clock.waited_s <= MAX_SECONDS == 15.0


@dataclass(slots=True)
class SlowQueue(MemoryQueue):
    """A queue on which a message takes so long to be sent."""

    clock: ManualClock = field(default_factory=ManualClock)
    call_s: float = 0.0

    def send(self, account_id: str, body: str) -> None:
        """Keep the message, and answer late."""
        MemoryQueue.send(self, account_id, body)
        self.clock.sleep_up_to(self.call_s)


@pytest.mark.parametrize(
    ("call_s", "resent"), [(0.1, 4), (1.0, 2), (1.7, 1), (2.0, 1), (2.5, 1), (3.0, 1), (3.5, 1), (4.0, 0)]
)
def test_what_is_queued_is_sent_however_slow_the_table_is(call_s: float, resent: int) -> None:
    """Nothing is begun too late to be ended before the caller has to be answered; the rest is told as more."""
    account = failed_orders("o1", "o2", "o3", "o4")
    ledger, _ = slowly(account, call_s)
    queue = SlowQueue(clock=account.clock, call_s=call_s)
    with time_limit(29.5, account.clock.monotonic_s):
        assert resend_failed(ledger, queue, ACCOUNT_ID, PLATFORM, "r1") == (resent, resent < 4)
    assert account.clock.waited_s <= 29.5
    assert len(queue.sent) == resent
    assert status_counts(account).get("queued", 0) == resent


def test_a_caller_with_less_time_than_that_is_answered_in_its_own() -> None:
    """The shorter of two limits counts."""
    account = failed_orders("o1", "o2")
    ledger, slow = slowly(account, 1.0)
    with time_limit(9.0, account.clock.monotonic_s):
        assert resend_failed(ledger, MemoryQueue(), ACCOUNT_ID, PLATFORM, "r1") == (0, True)
    assert slow.names() == ["list", "read"]


def test_a_table_that_does_not_answer_is_told_while_there_is_time() -> None:
    """503 `try_again`: that it stands still is no reason to say that there is more."""
    account = failed_orders("o1")
    fails: dict[str, list[Exception | None]] = {"commit": [UnavailableError() for _ in range(100)]}
    ledger = account.ledger(cast("Store", Spied(account.store, fails)))
    with pytest.raises(Problem, match="try_again"):
        resend_failed(ledger, MemoryQueue(), ACCOUNT_ID, PLATFORM, "r1")


def test_an_order_that_time_was_up_for_is_told_as_more() -> None:
    """The table does not answer for it until the fifteen seconds are over; those before it were sent."""
    account, queue = failed_orders("o1", "o2"), MemoryQueue()
    ledger, slow = slowly(account, 1.0)
    slow.fails["commit"] = [None, *[UnavailableError() for _ in range(100)]]
    assert resend_failed(ledger, queue, ACCOUNT_ID, PLATFORM, "r1") == (1, True)
    assert (sent_orders(queue), standing(account, "o2")) == ([("o1", 2)], ("failed", 1))


def test_orders_that_failed_too_often_are_passed_by() -> None:
    """They stay `failed`, are neither sent nor counted, and hold up nobody behind them."""
    account, queue = failed_orders("o1", "o2", "o3"), MemoryQueue()
    for order_id in ("o1", "o2"):
        for _ in range(98):
            account.do(requested(order_id))
    account.clock.at_ms += 1000
    account.do(requested("o3"))
    assert [standing(account, order_id) for order_id in ("o1", "o2", "o3")] == [
        ("failed", 99),
        ("failed", 99),
        ("failed", 2),
    ]
    assert resend_all(account, queue) == (1, False)
    assert sent_orders(queue) == [("o3", 3)]
    assert resend_all(account, queue, request_id="r2") == (0, False)
    assert status_counts(account) == {"failed": 2, "queued": 1}


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

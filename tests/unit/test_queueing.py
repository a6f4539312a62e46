"""Orders over HTTP: recorded as queued first, sent after, judged by the queue; and failed ones sent again."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from autocredits.domain.access import Caller
from autocredits.domain.decide import Command, IdempotencyKey, RecordWrite
from autocredits.domain.errors import Problem
from autocredits.domain.journal import Page
from autocredits.domain.work.calls import QueueOrder, ResendOrder
from autocredits.domain.work.messages import request_message
from autocredits.domain.work.record import Work, WorkRequest
from autocredits.edge.messages import parse_message
from autocredits.ledger.commit import Accepted
from autocredits.ledger.ports import UnavailableError
from autocredits.ledger.sending import MAX_RESENT, resend, resend_failed, send_if_queued
from tests.kit.books import check_books
from tests.kit.builders import (
    ACCOUNT_ID,
    PLATFORM,
    Account,
    adjust,
    completed,
    conversion,
    debit,
    failed,
    hold,
    idempotency,
    merchant,
    opened,
    order,
    placed,
    queue_order,
    requested,
)
from tests.kit.memory import MemoryQueue, MemoryStore

ORDER_KEY = ("order", "o1")


@dataclass(slots=True)
class LosesAnswers(MemoryStore):
    """A view of a store that does its first commit and loses the answer."""

    has_lost: bool = False

    def commit(
        self, account_id: str, page: Page | None, writes: Sequence[RecordWrite], *, vacant: int | None = None
    ) -> None:
        """Commit, and do not say so the first time."""
        MemoryStore.commit(self, account_id, page, writes, vacant=vacant)
        if not self.has_lost:
            self.has_lost = True
            raise UnavailableError("the answer got lost")


def own_message(work: Work) -> Command:
    """What the service's own message for the order, as it stands, asks for."""
    return parse_message(json.dumps(request_message(ACCOUNT_ID, work)))[2]


def queued_by(caller: Caller, request: WorkRequest, key: IdempotencyKey | None = None) -> QueueOrder:
    """An order over HTTP by this caller."""
    return QueueOrder(caller, key or idempotency(), request)


def again(order_id: str = "o1", request_id: str = "r1", caller: Caller = PLATFORM) -> ResendOrder:
    """A request to send the order again."""
    return ResendOrder(caller, order_id, request_id)


def answer(accepted: Accepted) -> tuple[str | None, int | None]:
    """Status and attempt that the caller of `POST /orders` is told."""
    record = accepted.done.key_record
    assert record is not None
    return record.status, record.attempt


def standing(account: Account, order_id: str = "o1") -> tuple[str, int]:
    """Status and attempt as the record has them."""
    work = account.work(order_id)
    return work.status, work.attempt


# The messages and calls that bring a new account's order o1 (tracking none, else as the name says) to each status.
TO_STATUS: dict[str, Callable[[], list[Command]]] = {
    "queued": lambda: [queue_order(order())],
    "processing": lambda: [requested()],
    "ordered": lambda: [requested(), placed()],
    "shipped": lambda: [requested(tracking="bce"), placed(), completed()],
    "failed": lambda: [requested(), failed()],
}


def brought_to(status: str, credits_: int = 1000) -> Account:
    """An account whose order o1 has the status."""
    account = opened(credits_)
    for command in TO_STATUS[status]():
        account.do(command)
    assert account.work().status == status
    return account


def test_a_new_order_is_recorded_as_queued_and_moves_nothing() -> None:
    """Its record and its key are written; no page is, and nothing is held."""
    account = opened(1000)
    accepted = account.do(queue_order(order(tracking="bce")))
    assert (accepted.done.did, answer(accepted)) == ("queued", ("queued", 1))
    assert (account.page().version, account.balance()) == (2, (1000, 0))
    assert (account.work().status, account.work().versions, dict(account.work().parts)) == ("queued", (), {})


@pytest.mark.parametrize(
    ("credits_", "add_on"), [(0, "active"), (1000, "inactive")], ids=["without credits", "without the add-on"]
)
def test_standing_and_credits_are_judged_by_the_queue(credits_: int, add_on: str) -> None:
    """Over HTTP the order is accepted; its message is refused, which fails it with the sentence."""
    account = opened(credits_, add_on=add_on)
    assert answer(account.do(queue_order(order()))) == ("queued", 1)
    assert account.did(own_message(account.work())) == "refused"
    assert account.work().status == "failed"
    assert account.work().reason
    check_books(account)


@pytest.mark.parametrize("status", ["paused", "suspended", "closed"])
def test_an_account_that_is_not_active_may_queue_and_its_message_is_refused(status: str) -> None:
    """`POST /orders` checks form, account, store, replay and `order_conflict` only."""
    account = opened(1000)
    account.set_standing(status=status)
    assert answer(account.do(queue_order(order()))) == ("queued", 1)
    assert account.did(own_message(account.work())) == "refused"


@pytest.mark.parametrize("status", ["queued", "processing", "ordered"])
def test_the_same_work_again_is_told_its_present_status(status: str) -> None:
    """Another key changes nothing of the work, and charges nothing."""
    account = brought_to(status)
    before, balance = account.work(), account.balance()
    assert answer(account.do(queue_order(order()))) == (status, 1)
    assert (account.work(), account.balance()) == (before, balance)


def test_a_shipped_order_again_is_told_so() -> None:
    """The same work with its tracking is known as shipped."""
    account = brought_to("shipped")
    assert answer(account.do(queue_order(order(tracking="bce")))) == ("shipped", 1)


def test_work_that_was_converted_later_is_still_the_same_work() -> None:
    """An order of `none` that was converted later is asked for again as it was first."""
    account = brought_to("ordered")
    account.do(conversion(tracking="qtrack"))
    assert answer(account.do(queue_order(order()))) == ("ordered", 1)
    assert answer(account.do(queue_order(order(tracking="qtrack")))) == ("ordered", 1)


OTHER_WORK = [order(order_type="fba"), order(tracking="bce"), order(store_id="s2")]


@pytest.mark.parametrize("status", ["queued", "processing", "ordered", "shipped"])
@pytest.mark.parametrize("other", OTHER_WORK, ids=["order type", "tracking", "store"])
def test_other_work_under_the_same_order_is_a_conflict(status: str, other: WorkRequest) -> None:
    """The same order with another store, order type or tracking is refused, and nothing changes."""
    account = brought_to(status)
    if status == "shipped" and other.tracking == "bce":
        other = order(tracking="qtrack")
    before = account.work()
    assert account.refusal(queue_order(other)).code == "order_conflict"
    assert account.work() == before


def test_another_cost_is_other_work() -> None:
    """An `fba` order is known with its cost."""
    account = opened(1000, 10_000)
    account.do(queue_order(order(order_type="fba", cost=2350)))
    assert account.refusal(queue_order(order(order_type="fba", cost=2351))).code == "order_conflict"


def test_a_failed_order_is_queued_as_a_new_attempt_with_other_work() -> None:
    """Its order type, tracking and cost may differ; the reason of the failure is gone."""
    account = opened(1000, 10_000)
    account.do(requested())
    account.do(failed())
    other = order(order_type="fba", tracking="qtrack", cost=1200)
    assert answer(account.do(queue_order(other))) == ("queued", 2)
    work = account.work()
    assert (work.order_type, work.tracking, work.cost, work.reason) == ("fba", "qtrack", 1200, None)
    assert (work.parts, account.balance()) == ({}, (1000, 0))
    assert account.did(own_message(work)) == "held"
    assert (account.balance(), account.balance("managed")) == ((1000, 250), (10_000, 1200))


def test_a_failed_order_keeps_its_store() -> None:
    """A new attempt for another store is a conflict."""
    account = brought_to("failed")
    assert account.refusal(queue_order(order(store_id="s2"))).code == "order_conflict"
    assert standing(account) == ("failed", 1)


def test_a_replay_is_the_first_answer_again() -> None:
    """Status and attempt are those of that time, whatever has become of the order."""
    account = brought_to("failed")
    key = idempotency()
    first = account.do(queue_order(order(), key))
    assert (answer(first), first.replayed()) == (("queued", 2), False)
    account.do(own_message(account.work()))
    account.do(failed())
    account.do(again())
    assert standing(account) == ("queued", 3)
    replay = account.do(queue_order(order(), key))
    assert (answer(replay), replay.replayed(), standing(account)) == (("queued", 2), True, ("queued", 3))


def test_a_replay_of_known_work_keeps_the_status_it_was_told() -> None:
    """A key that found the order in work says so for ever."""
    account = brought_to("processing")
    key = idempotency()
    account.do(queue_order(order(), key))
    account.do(placed())
    assert answer(account.do(queue_order(order(), key))) == ("processing", 1)


def test_a_replay_goes_before_a_conflict() -> None:
    """The first answer comes again, also once the order is known with other work."""
    account = opened(1000)
    key = idempotency()
    account.do(queue_order(order(), key))
    account.do(own_message(account.work()))
    account.do(failed())
    account.do(queue_order(order(tracking="bce")))
    assert account.do(queue_order(order(), key)).replayed()
    assert account.refusal(queue_order(order())).code == "order_conflict"


@pytest.mark.parametrize("used_by", ["orders", "debits"])
def test_a_key_that_came_with_another_request_is_refused(used_by: str) -> None:
    """Whatever the route was; the order is not recorded."""
    account = opened(1000)
    key = idempotency("k1", "the first request")
    account.do(queue_order(order("o0"), key) if used_by == "orders" else debit(order("o0"), key))
    assert account.refusal(queue_order(order(), idempotency("k1", "another"))).code == "idempotency_key_reused"
    assert not account.store.read(ACCOUNT_ID, [ORDER_KEY])


def test_a_refusal_is_not_remembered() -> None:
    """The key of a refused request is free: with the right store it works."""
    account = brought_to("queued")
    assert account.refusal(queue_order(order(store_id="s2"), idempotency("k1", "wrong"))).code == "order_conflict"
    assert answer(account.do(queue_order(order(), idempotency("k1", "right")))) == ("queued", 1)


def test_an_unknown_account_queues_and_resends_nothing() -> None:
    """Whether it exists is checked first, also before the store."""
    account = Account()
    bound = merchant(store_id="s2")
    assert account.refusal(queue_order(order())).code == "account_not_found"
    assert account.refusal(queued_by(bound, order())).code == "account_not_found"
    assert account.refusal(again()).code == "account_not_found"


def test_a_store_bound_caller_queues_for_its_own_store_alone() -> None:
    """Another store is forbidden, before the replay and the conflict."""
    account = opened(1000)
    key = idempotency()
    assert answer(account.do(queued_by(merchant(store_id="s1"), order(), key))) == ("queued", 1)
    assert account.refusal(queued_by(merchant(store_id="s2"), order(), key)).code == "store_forbidden"
    assert account.refusal(queued_by(merchant(store_id="s2"), order(store_id="s2"))).code == "order_conflict"


def test_a_lost_answer_queues_once() -> None:
    """The loop runs again, and the key tells that it was done."""
    account = opened(1000)
    accepted = account.ledger(LosesAnswers(account.store.pages, account.store.records)).execute(
        ACCOUNT_ID, queue_order(order())
    )
    assert (answer(accepted), standing(account)) == (("queued", 1), ("queued", 1))


@pytest.mark.parametrize("command", [debit, hold])
@pytest.mark.parametrize("tracking", ["none", "bce"])
def test_a_queued_order_is_not_charged_over_http(command: Callable[[WorkRequest], Command], tracking: str) -> None:
    """A debit or hold on it is a conflict, whatever its work."""
    account = brought_to("queued")
    assert account.refusal(command(order(tracking=tracking))).code == "order_conflict"
    assert account.balance() == (1000, 0)


@pytest.mark.parametrize("status", ["queued", "processing", "ordered", "shipped"])
def test_only_a_failed_order_is_sent_again(status: str) -> None:
    """Any other status is `invalid_transition`, and nothing changes."""
    account = brought_to(status)
    before = account.work()
    assert account.refusal(again()).code == "invalid_transition"
    assert account.work() == before


def test_an_order_that_is_not_there_is_not_sent_again() -> None:
    """Nor one of another store than the caller's, which is as if missing."""
    account = brought_to("failed")
    assert account.refusal(again("o2")).code == "order_not_found"
    assert account.refusal(again(caller=merchant(store_id="s2"))).code == "order_not_found"
    assert account.did(again(caller=merchant(store_id="s1"))) == "resent"


@pytest.mark.parametrize("how", ["failed", "refused"])
def test_a_failed_order_is_sent_again_as_a_new_attempt(how: str) -> None:
    """With the same work, nothing held and no reason left; then its message is judged anew."""
    account = opened(1000 if how == "failed" else 0, 10_000)
    account.do(requested(tracking="bce", order_type="fba"))
    if how == "failed":
        account.do(failed())
    account.do(again())
    work = account.work()
    assert (work.status, work.attempt, work.parts, work.reason) == ("queued", 2, {}, None)
    assert (work.order_type, work.tracking, work.cost) == ("fba", "bce", 2350)
    assert account.did(own_message(work)) == ("held" if how == "failed" else "refused")
    check_books(account)


def test_the_same_request_resends_once_and_another_is_refused() -> None:
    """A request knows its own doing, and repeats it neither while the order is queued nor after."""
    account = brought_to("failed")
    account.do(again(request_id="r1"))
    assert account.did(again(request_id="r1")) == "resent"
    assert account.refusal(again(request_id="r2")).code == "invalid_transition"
    assert standing(account) == ("queued", 2)
    account.do(own_message(account.work()))
    assert account.refusal(again(request_id="r1")).code == "invalid_transition"


def test_a_lost_answer_resends_once() -> None:
    """The loop runs again, and the record tells that this very request did it."""
    account = brought_to("failed")
    assert (
        account.ledger(LosesAnswers(account.store.pages, account.store.records)).execute(ACCOUNT_ID, again()).done.did
        == "resent"
    )
    assert standing(account) == ("queued", 2)


def test_the_own_message_says_all_that_the_order_is() -> None:
    """It is a CloudEvent that names the attempt; sent again it is the same message."""
    account = opened(1000)
    account.do(queue_order(order(order_type="fba", tracking="qtrack", cost=905)))
    message = request_message(ACCOUNT_ID, account.work())
    assert message == {
        "specversion": "1.0",
        "id": "acme/o1~1",
        "source": "autocredits",
        "type": "auto_order.requested",
        "data": {
            "account_id": "acme",
            "order_id": "o1",
            "store_id": "s1",
            "order_type": "fba",
            "tracking": "qtrack",
            "cost": "9.05",
            "attempt": 1,
        },
    }
    assert request_message(ACCOUNT_ID, account.work()) == message


def test_each_attempt_has_a_message_of_its_own() -> None:
    """Else the order would remember the first one and take the second for a duplicate."""
    account = opened(0)
    account.do(queue_order(order()))
    first = request_message(ACCOUNT_ID, account.work())
    account.do(own_message(account.work()))
    account.do(again())
    second = request_message(ACCOUNT_ID, account.work())
    assert (first["id"], second["id"], second["data"]["attempt"]) == ("acme/o1~1", "acme/o1~2", 2)
    assert "cost" not in second["data"]


def test_a_message_processed_before_and_after_a_failure_charges_once() -> None:
    """The second time its attempt is no longer queued, whether the order has failed or waits to be sent again."""
    account = opened(1000)
    account.do(queue_order(order()))
    message = own_message(account.work())
    assert [account.did(command) for command in (message, failed(), message)] == ["held", "released", "duplicate"]
    assert (standing(account), account.balance()) == (("failed", 1), (1000, 0))
    account.do(again())
    assert account.did(message) == "duplicate"
    assert (standing(account), account.balance()) == (("queued", 2), (1000, 0))
    account.do(own_message(account.work()))
    assert account.did(message) == "duplicate"
    account.do(placed())
    assert (standing(account), account.balance(), account.work().credits) == (("ordered", 2), (900, 0), 100)
    check_books(account)


def test_a_refused_message_processed_again_after_a_top_up_charges_nothing() -> None:
    """Only a new attempt does."""
    account = opened(0)
    account.do(queue_order(order()))
    message = own_message(account.work())
    account.do(message)
    account.do(adjust("auto_order", 1000))
    assert account.did(message) == "duplicate"
    assert (standing(account), account.balance()) == (("failed", 1), (1000, 0))


@pytest.mark.parametrize("attempt", [1, 3])
def test_a_request_for_another_attempt_never_works(attempt: int) -> None:
    """With `attempt` it works only while exactly that attempt is queued, also under an id never seen before."""
    account = brought_to("failed")
    account.do(again())
    assert account.did(requested(attempt=attempt)) == "duplicate"
    assert (standing(account), account.balance()) == (("queued", 2), (1000, 0))
    assert account.did(requested(attempt=2)) == "held"


@pytest.mark.parametrize("status", ["processing", "ordered", "failed"])
def test_a_request_for_the_present_attempt_works_only_while_it_is_queued(status: str) -> None:
    """It is a duplicate in every other status, also in `failed`, where one without `attempt` would begin anew."""
    account = brought_to(status)
    before = account.balance()
    assert account.did(requested(attempt=1)) == "duplicate"
    assert (standing(account), account.balance()) == ((status, 1), before)


def test_an_own_message_without_its_order_is_a_duplicate() -> None:
    """The order is recorded before it is sent, so there is nothing that it could be for."""
    account = opened(1000)
    assert account.did(requested(attempt=1)) == "duplicate"
    assert not account.store.read(ACCOUNT_ID, [ORDER_KEY])


def test_a_request_of_the_storefront_takes_a_queued_order_up() -> None:
    """Without `attempt` it is as good as the service's own message, which is a duplicate then."""
    account = brought_to("queued")
    own = own_message(account.work())
    assert [account.did(requested()), account.did(own)] == ["held", "duplicate"]
    assert (standing(account), account.balance()) == (("processing", 1), (1000, 100))


# ---------------------------------------------------------------- sending


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
        send_if_queued(queue, ACCOUNT_ID, account.do(queue_order(order(), key)).done.record)
    assert queue.sent[0] == queue.sent[1]
    assert queue.sent[0][0] == ACCOUNT_ID
    account.do(own_message(account.work()))
    send_if_queued(queue, ACCOUNT_ID, account.do(queue_order(order(), key)).done.record)
    send_if_queued(queue, ACCOUNT_ID, None)
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
    assert resend_all(brought_to("ordered")) == (0, False)


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
    """After 15 seconds the call answers what it did, and that there is more."""
    account = failed_orders("o1", "o2", "o3", "o4")

    def wait(_: str) -> None:
        account.clock.sleep_up_to(8.0)

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

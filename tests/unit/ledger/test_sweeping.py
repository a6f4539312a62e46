"""What the sweep does with one item: it expires a hold, sends an order's message again, or puts the item off."""

import json
from typing import cast

import pytest

from autocredits.domain.errors import Problem
from autocredits.domain.records import NO_ACCOUNT, RecordList
from autocredits.domain.times import HOUR_MS, MINUTE_MS
from autocredits.domain.work.lifecycle import HOLD_MS
from autocredits.domain.work.record import DUE_HOLDS, DUE_ORDERS, SEND_AGAIN_MS
from autocredits.edge.messages import parse_message
from autocredits.ledger.ports import Listed, Store, UnavailableError
from autocredits.ledger.sweeping import expire_hold, put_off, record_of, send_again
from tests.kit.books import check_books
from tests.kit.builders import Account, conversion, idempotency, opened, order, placed, queue_order, requested, sourcing
from tests.kit.memory import MemoryQueue
from tests.kit.spied import Spied


def due(account: Account, which: RecordList) -> Listed:
    """The one item of a list, due or not."""
    (found,) = account.store.list(which, NO_ACCOUNT, limit=10)
    return found


def waiting() -> Account:
    """An account whose order was queued, and whose message is due to be sent again."""
    account = opened(500)
    account.do(queue_order(order()))
    account.clock.at_ms += SEND_AGAIN_MS
    return account


def send(account: Account, queue: MemoryQueue, item: Listed | None = None) -> str:
    """Send the order's message again."""
    return send_again(account.ledger(), queue, DUE_ORDERS, item or due(account, DUE_ORDERS))


class DeafQueue(MemoryQueue):
    """A queue that takes no message."""

    def send(self, account_id: str, body: str) -> None:
        """Take none."""
        raise UnavailableError(account_id + body)


# ---------------------------------------------------------------- holds


@pytest.mark.parametrize(
    ("item_id", "key"),
    [("o1~1", ("order", "o1")), ("a:b.c~99", ("order", "a:b.c")), ("p1~s2", ("product", "p1"))],
)
def test_a_hold_is_of_the_work_that_it_names(item_id: str, key: tuple[str, str]) -> None:
    """Order or product, whichever attempt."""
    assert record_of(DUE_HOLDS, Listed("1#x", "acme", item_id)) == key


def test_a_queued_order_is_its_own_record() -> None:
    """Its item is its id."""
    assert record_of(DUE_ORDERS, Listed("1#x", "acme", "o1")) == ("order", "o1")


def test_an_overdue_hold_is_given_back() -> None:
    """Of an order as of a product."""
    for command, kind in ((requested(), "order"), (sourcing(), "product")):
        account = opened(500)
        account.do(command)
        item = due(account, DUE_HOLDS)
        assert expire_hold(account.ledger(), item) == "nothing"
        account.clock.at_ms += HOLD_MS
        assert expire_hold(account.ledger(), item) == "expired"
        assert (account.balance(), [work.status for work in account.works()]) == ((500, 0), ["failed"]), kind
        check_books(account)


def test_a_list_that_lags_does_no_harm() -> None:
    """The hold was captured meanwhile."""
    account = opened(500)
    account.do(requested())
    item = due(account, DUE_HOLDS)
    account.do(placed())
    account.clock.at_ms += HOLD_MS
    assert expire_hold(account.ledger(), item) == "nothing"
    assert account.balance() == (400, 0)


def test_an_account_that_is_not_there_is_told() -> None:
    """Its hold cannot expire."""
    with pytest.raises(Problem, match="account_not_found"):
        expire_hold(Account().ledger(), Listed("1#x", "acme", "o1~1"))


# ---------------------------------------------------------------- queued orders


def test_a_lost_message_is_sent_again() -> None:
    """It is the order's own, of the attempt that is queued, in its account's group."""
    account, queue = waiting(), MemoryQueue()
    assert send(account, queue) == "sent"
    [(account_id, body)] = queue.sent
    told = json.loads(body)
    assert (account_id, told["type"], told["data"]["order_id"], told["data"]["attempt"]) == (
        "acme",
        "auto_order.requested",
        "o1",
        1,
    )
    assert account.did(parse_message(body)[2]) == "held"


def test_a_message_that_was_sent_twice_is_worked_on_once() -> None:
    """The second one changes nothing."""
    account, queue = waiting(), MemoryQueue()
    key = idempotency()
    account.do(queue_order(order("o2"), key))
    item = next(one for one in account.store.list(DUE_ORDERS, NO_ACCOUNT, limit=10) if one.item_id == "o1")
    send(account, queue, item)
    send(account, queue, item)
    first, second = (parse_message(body)[2] for _, body in queue.sent)
    assert (account.did(first), account.did(second)) == ("held", "duplicate")
    assert account.balance() == (500, 100)


def test_an_order_that_was_sent_is_looked_at_later() -> None:
    """2 minutes, doubling, at most an hour, for as long as it is queued; its record is not written."""
    account, queue = waiting(), MemoryQueue()
    work, waits = account.work(), []
    for _ in range(8):
        assert send(account, queue) == "sent"
        waits.append((due(account, DUE_ORDERS).at_ms() - account.clock.now_ms()) // MINUTE_MS)
        account.clock.at_ms = due(account, DUE_ORDERS).at_ms()
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60]
    assert account.work() == work


def test_an_order_that_is_worked_on_is_not_sent() -> None:
    """The list lags."""
    account, queue = waiting(), MemoryQueue()
    item = due(account, DUE_ORDERS)
    send(account, queue, item)
    account.do(parse_message(queue.sent[0][1])[2])
    assert send(account, queue, item) == "nothing"
    assert len(queue.sent) == 1


def test_an_order_that_is_not_there_is_not_sent() -> None:
    """Nor put off."""
    queue = MemoryQueue()
    assert send(opened(), queue, Listed("1#acme#o1", "acme", "o1")) == "nothing"
    assert queue.sent == []


def test_an_order_that_could_not_be_sent_is_not_put_off() -> None:
    """Whoever asked is told, and decides when it is tried again."""
    account = waiting()
    item = due(account, DUE_ORDERS)
    with pytest.raises(UnavailableError):
        send(account, DeafQueue())
    assert due(account, DUE_ORDERS) == item


# ---------------------------------------------------------------- putting off


@pytest.mark.parametrize("which", [DUE_HOLDS, DUE_ORDERS])
def test_an_item_is_put_off_longer_each_time(which: RecordList) -> None:
    """1 minute, doubling, at most an hour, counted from now; it says how often that was."""
    account = waiting()
    if which == DUE_HOLDS:
        account = opened(500)
        account.do(requested())
        account.clock.at_ms += HOLD_MS
    waits = []
    for times in range(1, 40):
        assert put_off(account.ledger(), which, due(account, which)) == times
        waits.append(due(account, which).at_ms() - account.clock.now_ms())
        account.clock.at_ms += waits[-1] + 7
    assert [wait // MINUTE_MS for wait in waits[:8]] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert set(waits[6:]) == {HOUR_MS}


def test_an_item_that_is_written_begins_anew() -> None:
    """It stands where its record says, and was never put off."""
    account = opened(1000)
    account.do(requested())
    for _ in range(5):
        put_off(account.ledger(), DUE_HOLDS, due(account, DUE_HOLDS))
    account.do(conversion())
    assert due(account, DUE_HOLDS).at_ms() == account.work().parts["order"].expires_at
    assert put_off(account.ledger(), DUE_HOLDS, due(account, DUE_HOLDS)) == 1


def test_an_item_can_be_put_off_though_its_account_cannot_be_read() -> None:
    """No page is asked for."""
    account = waiting()
    spied = Spied(account.store)
    assert put_off(account.ledger(cast("Store", spied)), DUE_ORDERS, due(account, DUE_ORDERS)) == 1
    assert spied.names() == ["put_off"]

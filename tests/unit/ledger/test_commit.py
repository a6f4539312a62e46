from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from autocredits.domain.access import Caller
from autocredits.domain.accounts import ChangeStanding, OpenAccount
from autocredits.domain.decide import Command, NotYet
from autocredits.domain.errors import BrokenInvariantError, Problem
from autocredits.domain.records import KeyRecord
from autocredits.ledger.commit import Accepted
from autocredits.ledger.lists import read_work
from autocredits.ledger.ports import ConflictError, Store, list_position
from tests.kit.books import check_books
from tests.kit.builders import (
    ACCOUNT_ID,
    PLATFORM,
    Account,
    adjust,
    capture,
    debit,
    hold,
    idempotency,
    opened,
    order,
    placed,
    queue_order,
    requested,
)
from tests.kit.memory import MemoryStore


@dataclass(slots=True)
class Counted:
    """A store that counts what is asked of it."""

    inner: MemoryStore
    calls: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        """The inner store's method, counted."""
        self.calls.append(name)
        return getattr(self.inner, name)


def calls_of(account: Account, command: Command) -> list[str]:
    """The calls to the store that a command needs."""
    counted = Counted(account.store)
    try:
        account.ledger(cast("Store", counted)).execute(ACCOUNT_ID, command)
    except Problem:
        counted.calls.append("refused")
    return counted.calls


def test_a_debit_that_meets_no_rival_is_one_read_and_one_transaction() -> None:
    """New work reads the newest page and no record: the conditions ask."""
    account = opened(1000)
    assert calls_of(account, debit(order())) == ["head", "commit"]
    assert calls_of(account, hold(order("o2"))) == ["head", "commit"]
    assert calls_of(account, requested("o3")) == ["head", "commit"]


def test_the_page_is_read_before_the_records() -> None:
    """The other way round a charged twin would be told that it lacks credits."""
    account = opened(1000)
    account.do(requested())
    assert calls_of(account, placed()) == ["head", "read", "commit"]


def test_a_refusal_is_confirmed_by_a_snapshot() -> None:
    """One more read, of the next page and all records at one moment, before anybody is told no."""
    account = opened(50)
    assert calls_of(account, debit(order())) == ["head", "snapshot", "refused"]
    assert calls_of(Account(), debit(order())) == ["head", "snapshot", "refused"]
    assert calls_of(account, capture()) == ["head", "read", "snapshot", "refused"]


def test_a_refusal_that_is_recorded_needs_no_snapshot() -> None:
    """It is a page with an entry of 0.00, so its conditions speak."""
    account = opened(50)
    assert calls_of(account, requested()) == ["head", "commit"]
    assert account.work().status == "failed"


def test_a_replay_is_told_from_the_records_that_stood_in_the_way() -> None:
    """A cancelled transaction brings the key: no further read is needed but the newest page's."""
    account = opened(1000)
    key = idempotency()
    account.do(debit(order(), key))
    assert calls_of(account, debit(order(), key)) == ["head", "commit", "head"]
    account.do(debit(order("o2")))
    assert calls_of(account, debit(order(), key)) == ["head", "commit", "head", "page"]


def test_opening_twice_asks_once() -> None:
    """What is open already needs one read."""
    assert calls_of(opened(), OpenAccount(PLATFORM, "active")) == ["head"]


def test_many_commands_are_one_page() -> None:
    """What does not depend on a refusal is one commit, and every command knows its own entries."""
    account = opened(1000)
    counted = Counted(account.store)
    commands: list[Command] = [debit(order("o1")), hold(order("o2")), adjust("finder", 1)]
    answers = account.ledger(cast("Store", counted)).execute_all(ACCOUNT_ID, commands)
    assert counted.calls == ["head", "commit"]
    assert all(isinstance(answer, Accepted) and answer.page == account.page() for answer in answers)
    check_books(account)


def test_a_refused_command_costs_its_neighbours_nothing() -> None:
    """The others are committed; the refused one is decided again on what they left, then confirmed."""
    account = opened(200)
    commands = [debit(order("o1")), debit(order("rich", tracking="qtrack")), placed("unknown"), debit(order("o2"))]
    first, second, third, fourth = account.ledger().execute_all(ACCOUNT_ID, commands)
    assert isinstance(first, Accepted)
    assert isinstance(second, Problem)
    assert (second.code, second.extra["available"]) == ("insufficient_credits", "0.00")
    assert isinstance(third, NotYet)
    assert isinstance(fourth, Accepted)
    assert account.balance() == (0, 0)


def test_a_command_may_succeed_after_its_neighbours() -> None:
    """What was refused on a draft is decided again on what was committed."""
    account = opened(50)
    key = idempotency()
    commands: list[Command] = [debit(order("o1"), key), adjust("auto_order", 100)]
    first, second = account.ledger().execute_all(ACCOUNT_ID, commands)
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert (second.page.version, first.page.version) == (3, 4)
    check_books(account)


def test_no_commands_need_no_store() -> None:
    """An empty list is answered by an empty list."""
    counted = Counted(MemoryStore())
    assert Account().ledger(cast("Store", counted)).execute_all(ACCOUNT_ID, []) == []
    assert counted.calls == []


def test_execute_raises_what_the_command_was_told() -> None:
    """A Problem or NotYet of a single command is raised."""
    account = opened(50)
    with pytest.raises(Problem):
        account.ledger().execute(ACCOUNT_ID, debit(order()))
    with pytest.raises(NotYet):
        account.ledger().execute(ACCOUNT_ID, placed())


def test_accounts_do_not_meet() -> None:
    """The same order and key in two accounts are two."""
    account = opened(200)
    other = opened(300, account=Account(account.store, account.clock, "bolt"))
    key = idempotency()
    assert not account.do(debit(order(), key)).replayed()
    assert not other.do(debit(order(), key)).replayed()
    assert (account.balance(), other.balance()) == ((100, 0), (200, 0))
    for one in (account, other):
        check_books(one)


def test_an_order_that_is_queued_moves_nothing() -> None:
    """Its records are written without a page, and its key gives the first answer again."""
    account = opened(0)
    page = account.page()
    key = idempotency()
    first = account.do(queue_order(order(), key))
    assert account.page() == page
    account.do(requested(attempt=1))
    again = account.do(queue_order(order(), key))
    assert again.replayed()
    assert again.done.key_record == first.done.key_record
    assert first.done.key_record is not None
    assert (first.done.key_record.status, first.done.key_record.attempt) == ("queued", 1)


def test_a_changed_standing_decides_what_comes_next() -> None:
    """Commands see the newest page, not the one that somebody remembers."""
    account = opened(1000)
    account.do(ChangeStanding(Caller("platform", "*"), {"status": "suspended"}))
    assert account.refusal(debit(order())).extra == {"account_status": "suspended"}


def test_a_record_of_a_page_not_yet_seen_is_decided_again() -> None:
    """A record that names a newer page than the newest: the reader is late, and asks again until time is up."""
    account = opened(1000)
    account.do(requested())
    account.store.pages[ACCOUNT_ID].pop(3)
    assert account.refusal(placed()).code == "try_again"
    assert account.work().status == "processing"


def test_work_is_read_by_its_kind() -> None:
    """A record under a work's key that is no work is a defect, told as one."""
    account = opened(1000)
    account.do(requested())
    found = read_work(account.store, ACCOUNT_ID, ("order", "o1"))
    assert found == account.work()
    assert read_work(account.store, ACCOUNT_ID, ("order", "o2")) is None
    account.do(debit(order("o2"), idempotency("k")))
    with pytest.raises(BrokenInvariantError):
        read_work(account.store, ACCOUNT_ID, ("key", "k"))


def test_a_conflict_tells_which_records_stood_in_the_way() -> None:
    """None unless the store names them."""
    record = KeyRecord(key="k", fingerprint="f", version=1)
    assert ConflictError().records == {}
    assert ConflictError({("key", "k"): record}).records == {("key", "k"): record}


def test_positions_sort_as_times_do() -> None:
    """A list's positions are ordered by time, whatever the orders are called."""
    assert list_position(9, "z") < list_position(10, "a") < list_position(1_764_000_000_000, "A")


def test_books_that_are_really_broken_are_told_at_once() -> None:
    """A record that contradicts its page, at one and the same moment, is a defect, and nothing is written."""
    account = opened(1000)
    account.do(hold(order()))
    place = (ACCOUNT_ID, ("order", "o1"))
    account.store.records[place] = account.store.records[place].replace('"credits": 100', '"credits": 101')
    page = account.page()
    with pytest.raises(BrokenInvariantError, match="held of auto_order would be -1"):
        account.do(capture())
    assert account.page() == page
    assert account.clock.waited_s == 0

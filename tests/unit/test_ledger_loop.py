"""The commit loop call by call: what it asks of the store, how long it waits, and when it gives up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from autocredits.domain.decide import Command, Done, Draft, RecordWrite
from autocredits.domain.errors import BrokenInvariantError, Problem
from autocredits.domain.purchases.coupons import Coupon
from autocredits.domain.records import Record, RecordKey
from autocredits.ledger.commit import Accepted, Ledger
from autocredits.ledger.lists import read_work
from autocredits.ledger.ports import Clock, ConflictError, Snapshot, Store, UnavailableError, list_position
from tests.kit.builders import (
    ACCOUNT_ID,
    CATALOG,
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

Call = tuple[Any, ...]


@dataclass(slots=True)
class Spied:
    """A store that writes down what it is asked, and fails as it is told: name of the call → what happens each time."""

    inner: MemoryStore
    fails: dict[str, list[Exception | None]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """The inner store's method, unless it fails this time."""

        def called(*arguments: Any, **named: Any) -> Any:
            self.calls.append((name, *arguments, *named.values()))
            failing = self.fails.get(name)
            failure = failing.pop(0) if failing else None
            if failure is not None:
                raise failure
            return getattr(self.inner, name)(*arguments, **named)

        return called

    def names(self) -> list[str]:
        """The calls without their arguments."""
        return [call[0] for call in self.calls]


@dataclass(slots=True)
class SteppedClock:
    """A clock that goes on by a fixed step whenever somebody waits."""

    step_s: float | None = None
    at_s: float = 1000.0
    waits: list[float] = field(default_factory=list)

    def now_ms(self) -> int:
        """A time."""
        return 1_764_000_000_000

    def monotonic_s(self) -> float:
        """The time."""
        return self.at_s

    def sleep_up_to(self, seconds: float) -> None:
        """Go on by the step, or by all of it."""
        self.waits.append(seconds)
        self.at_s += seconds if self.step_s is None else self.step_s


def loop(
    account: Account, fails: dict[str, list[Exception | None]] | None = None, step_s: float | None = None
) -> tuple[Ledger, Spied, SteppedClock]:
    """A ledger over the account's store, with what watches it."""
    spied, clock = Spied(account.store, fails or {}), SteppedClock(step_s)
    return Ledger(cast("Store", spied), cast("Clock", clock), CATALOG), spied, clock


def gone(times: int) -> list[Exception | None]:
    """So many calls are not answered."""
    return [UnavailableError() for _ in range(times)]


def test_the_waits_double_up_to_a_quarter_of_a_second_for_eight_seconds() -> None:
    """20 ms, 40, 80, 160, then 250 each: the 36th try is the last."""
    ledger, spied, clock = loop(opened(), {"head": gone(100)})
    with pytest.raises(Problem) as refused:
        ledger.execute(ACCOUNT_ID, debit(order()))
    assert refused.value.code == "try_again"
    assert clock.waits == [0.02, 0.04, 0.08, 0.16] + [0.25] * 31
    assert spied.names() == ["head"] * 36


def test_at_eight_seconds_time_is_up() -> None:
    """A try that fails at the eighth second is the last; one that succeeds then is answered."""
    ledger, spied, _ = loop(opened(), {"head": gone(100)}, step_s=4.0)
    with pytest.raises(Problem):
        ledger.execute(ACCOUNT_ID, debit(order()))
    assert spied.names() == ["head"] * 3
    ledger, spied, _ = loop(opened(), {"head": gone(2)}, step_s=4.0)
    assert isinstance(ledger.execute(ACCOUNT_ID, debit(order())), Accepted)


def test_who_is_told_which_records_stood_in_the_way_does_not_wait() -> None:
    """A conflict with records is decided again at once; one without waits."""
    account = opened(1000)
    other = opened(1000)
    other.do(requested())
    stale = ConflictError({("order", "o1"): other.work()})
    account.do(requested())
    ledger, spied, clock = loop(account, {"commit": [ConflictError(), None]})
    ledger.execute(ACCOUNT_ID, placed())
    assert (clock.waits, spied.names()) == ([0.02], ["head", "read", "commit", "head", "read", "commit"])
    account.do(requested("o2"))
    account.do(requested("o3"))
    found = ConflictError({("order", "o2"): account.work("o2")})
    ledger, spied, clock = loop(account, {"commit": [found, None]})
    ledger.execute(ACCOUNT_ID, placed("o2"))
    assert (clock.waits, spied.names()) == ([], ["head", "read", "commit", "head", "commit"])
    assert stale.records == {("order", "o1"): other.work()}


def test_what_a_conflict_brought_is_used_once() -> None:
    """After a lost answer all is read anew."""
    account = opened(1000)
    account.do(requested())
    found = ConflictError({("order", "o1"): account.work()})
    ledger, spied, clock = loop(account, {"commit": [found, UnavailableError(), None]})
    ledger.execute(ACCOUNT_ID, placed())
    assert spied.names() == ["head", "read", "commit", "head", "commit", "head", "read", "commit"]
    assert clock.waits == [0.02]


def test_what_is_settled_goes_on_without_waiting() -> None:
    """A refusal beside an accepted command is decided again at once, and told after a snapshot of it alone."""
    account = opened(150)
    ledger, spied, clock = loop(account)
    one, two = debit(order("o1"), idempotency("k1")), debit(order("o2"), idempotency("k2"))
    first, second = ledger.execute_all(ACCOUNT_ID, [one, two])
    assert isinstance(first, Accepted)
    assert isinstance(second, Problem)
    assert clock.waits == []
    assert spied.names() == ["head", "commit", "head", "snapshot"]
    assert spied.calls[-1] == ("snapshot", ACCOUNT_ID, 4, [("key", "k2"), ("order", "o2")])


def test_records_are_read_sorted_and_once() -> None:
    """Those of commands whose work is usually there; what a conflict brought is not read again."""
    account = opened(1000)
    account.do(requested("b"))
    account.do(requested("a"))
    ledger, spied, _ = loop(account, {"commit": [ConflictError({("order", "a"): account.work("a")}), None]})
    ledger.execute_all(ACCOUNT_ID, [placed("b"), placed("a"), placed("b"), debit(order("new"))])
    reads = [call for call in spied.calls if call[0] == "read"]
    assert reads == [
        ("read", ACCOUNT_ID, [("order", "a"), ("order", "b")]),
        ("read", ACCOUNT_ID, [("order", "b")]),
    ]


def test_a_commit_names_the_page_that_must_be_vacant() -> None:
    """A purchase or a queued order that starts writes records alone; a debit its page."""
    account = opened(1000)
    ledger, spied, _ = loop(account)
    ledger.execute(ACCOUNT_ID, queue_order(order("o2"), idempotency("k1")))
    ledger.execute(ACCOUNT_ID, debit(order(), idempotency("k2")))
    queued, charged = (call for call in spied.calls if call[0] == "commit")
    assert (queued[1], queued[2], queued[4]) == (ACCOUNT_ID, None, None)
    assert [write.key for write in queued[3]] == [("order", "o2"), ("key", "k1")]
    assert charged[2] == account.page()
    assert [(write.key, write.expected_rev) for write in charged[3]] == [(("order", "o1"), None), (("key", "k2"), None)]


@pytest.mark.parametrize("account", [Account, opened], ids=["none", "open"])
def test_a_refusal_is_confirmed_on_the_next_page(account: Callable[[], Account]) -> None:
    """Page 1 where there is no account, else the one after the newest."""
    ledger, spied, _ = loop(account())
    with pytest.raises(Problem):
        ledger.execute(ACCOUNT_ID, capture())
    version = 2 if account is opened else 1
    assert spied.calls[-1] == ("snapshot", ACCOUNT_ID, version, [("order", "o1")])


@dataclass(slots=True)
class Late:
    """A store whose first snapshot shows something else than its reads did."""

    inner: MemoryStore
    shows: Snapshot
    snapshots: int = 0

    def __getattr__(self, name: str) -> Any:
        """The inner store's method."""
        return getattr(self.inner, name)

    def snapshot(self, account_id: str, version: int, keys: Sequence[RecordKey]) -> Snapshot:
        """Something else the first time, the truth from then on."""
        self.snapshots += 1
        return self.shows if self.snapshots == 1 else self.inner.snapshot(account_id, version, keys)


@pytest.mark.parametrize("page_exists", [True, False])
def test_a_refusal_that_is_not_confirmed_is_decided_again(page_exists: bool) -> None:  # noqa: FBT001
    """The next page is there, or a record is there that was not: look again, and only then tell."""
    account = opened(50)
    other = opened(1000)
    other.do(hold(order()))
    shown: dict[RecordKey, Record] = {} if page_exists else {("order", "o1"): other.work()}
    store = Late(account.store, Snapshot(page_exists, shown))
    clock = SteppedClock()
    with pytest.raises(Problem) as refused:
        Ledger(cast("Store", store), cast("Clock", clock), CATALOG).execute(ACCOUNT_ID, debit(order()))
    assert refused.value.code == "insufficient_credits"
    assert (store.snapshots, clock.waits) == (2, [0.02])


@dataclass(frozen=True, slots=True)
class Odd:
    """A command that tells whatever it is given."""

    done: Done

    def records(self) -> tuple[RecordKey, ...]:
        """None."""
        return ()

    def expects_new(self) -> bool:
        """It asks nothing."""
        return True

    def decide(self, draft: Draft) -> Done:
        """Tell it."""
        assert draft.account_id == ACCOUNT_ID
        return self.done


def test_a_command_cannot_be_accepted_without_a_page() -> None:
    """A success that no page tells of is a defect."""
    ledger, _, _ = loop(Account())
    with pytest.raises(BrokenInvariantError) as broken:
        ledger.execute(ACCOUNT_ID, Odd(Done(did="odd")))
    assert str(broken.value) == "a command was accepted for an account without a page"


def test_a_replay_is_told_from_its_own_page() -> None:
    """The newest page if it is that one, else the one that is read; one that cannot be seen yet is waited for."""
    account = opened(1000)
    newest = account.page().version
    ledger, spied, clock = loop(account)
    answer = ledger.execute(ACCOUNT_ID, Odd(Done(did="odd", replay_version=newest)))
    assert (answer.page.version, spied.names()) == (newest, ["head"])
    answer = ledger.execute(ACCOUNT_ID, Odd(Done(did="odd", replay_version=1)))
    assert (answer.page.version, spied.calls[-1]) == (1, ("page", ACCOUNT_ID, 1))
    with pytest.raises(Problem) as refused:
        ledger.execute(ACCOUNT_ID, Odd(Done(did="odd", replay_version=newest + 1)))
    assert (refused.value.code, len(clock.waits)) == ("try_again", 35)


def test_broken_books_are_confirmed_before_they_are_told() -> None:
    """A record older than its page breaks the books too: it is looked at again, and then there is nothing broken."""
    account = opened(1000)
    account.do(requested())
    old = account.work()
    account.do(placed())
    commands: list[Command] = [placed()]
    ledger, spied, _ = loop(account, {"commit": [ConflictError({("order", "o1"): replace(old, rev=9)})]})
    ledger.execute_all(ACCOUNT_ID, [adjust("finder", 1), *commands])
    assert "snapshot" in spied.names()
    assert account.balance() == (900, 0)


# ---------------------------------------------------------------- records of no account

COUPON_KEY = ("coupon", "C")
COUPON = Coupon(code="C", percent_off=1, rev=1)


def closed(record: Record) -> Record:
    """The coupon, closed."""
    assert isinstance(record, Coupon)
    return record if record.closed else replace(record, closed=True, rev=record.rev + 1)


def test_a_record_of_no_account_is_made_once() -> None:
    """It is written on condition that it is new."""
    ledger, spied, _ = loop(Account())
    ledger.make_record(COUPON_KEY, COUPON)
    assert spied.calls == [("commit", "", None, [RecordWrite(COUPON_KEY, COUPON, None)])]
    with pytest.raises(ConflictError):
        ledger.make_record(COUPON_KEY, COUPON)


def test_a_record_that_is_just_being_written_by_others_is_tried_again() -> None:
    """A conflict that brings no record tells nothing of it: only a record that is there stands in the way."""
    ledger, spied, clock = loop(Account(), {"commit": [ConflictError()]})
    ledger.make_record(COUPON_KEY, COUPON)
    assert (spied.names(), clock.waits) == (["commit", "commit"], [0.25])


def test_a_record_whose_answer_was_lost_is_known_as_ones_own() -> None:
    """It was written, nobody heard of it, and the next try finds just this record: that is no conflict."""
    account = Account()
    account.ledger().make_record(COUPON_KEY, COUPON)
    ledger, spied, _ = loop(account, {"commit": [UnavailableError()]})
    ledger.make_record(COUPON_KEY, COUPON)
    assert spied.names() == ["commit", "commit"]


def test_another_record_that_came_while_an_answer_was_lost_stands_in_the_way() -> None:
    """A record under the same key that says something else is somebody else's."""
    account = Account()
    account.ledger().make_record(COUPON_KEY, replace(COUPON, percent_off=2))
    ledger, _, _ = loop(account, {"commit": [UnavailableError()]})
    with pytest.raises(ConflictError):
        ledger.make_record(COUPON_KEY, COUPON)


def test_a_record_is_tried_for_less_than_eight_seconds() -> None:
    """At the eighth second time is up."""
    ledger, spied, _ = loop(Account(), {"commit": gone(100)}, step_s=4.0)
    with pytest.raises(Problem) as refused:
        ledger.make_record(COUPON_KEY, COUPON)
    assert refused.value.code == "try_again"
    assert spied.names() == ["commit", "commit"]


def test_a_record_of_no_account_is_changed_on_its_rev() -> None:
    """Read, changed, written as it was read; the same again is written no more."""
    ledger, spied, clock = loop(Account())
    ledger.make_record(COUPON_KEY, COUPON)
    spied.calls.clear()
    changed = replace(COUPON, closed=True, rev=2)
    assert ledger.change_record(COUPON_KEY, closed) == changed
    assert spied.calls == [
        ("read", "", [COUPON_KEY]),
        ("commit", "", None, [RecordWrite(COUPON_KEY, changed, 1)]),
    ]
    assert ledger.change_record(COUPON_KEY, closed) == changed
    assert spied.names() == ["read", "commit", "read"]
    assert clock.waits == []


def test_a_record_that_is_not_there_is_not_changed() -> None:
    """None tells it."""
    ledger, spied, _ = loop(Account())
    assert ledger.change_record(COUPON_KEY, closed) is None
    assert spied.names() == ["read"]


@pytest.mark.parametrize("failure", [ConflictError(), UnavailableError()])
def test_a_change_that_was_not_written_is_tried_again(failure: Exception) -> None:
    """After a quarter of a second, on what is there by then."""
    ledger, spied, clock = loop(Account(), {"commit": [None, failure, None]})
    ledger.make_record(COUPON_KEY, COUPON)
    assert ledger.change_record(COUPON_KEY, closed) == replace(COUPON, closed=True, rev=2)
    assert spied.names() == ["commit", "read", "commit", "read", "commit"]
    assert clock.waits == [0.25]


def test_a_change_is_tried_for_less_than_eight_seconds() -> None:
    """At the eighth second time is up."""
    ledger, spied, _ = loop(Account(), {"commit": [None, *gone(100)]}, step_s=4.0)
    ledger.make_record(COUPON_KEY, COUPON)
    with pytest.raises(Problem) as refused:
        ledger.change_record(COUPON_KEY, closed)
    assert refused.value.code == "try_again"
    assert spied.names() == ["commit", "read", "commit", "read", "commit"]


def test_a_position_is_the_time_in_fourteen_digits_and_the_id() -> None:
    """So that positions sort as their times do."""
    assert list_position(1_764_000_000_000, "o1") == "01764000000000#o1"


def test_work_is_read_under_its_key() -> None:
    """One read of one record."""
    account = opened(1000)
    account.do(requested())
    spied = Spied(account.store)
    assert read_work(cast("Store", spied), ACCOUNT_ID, ("order", "o1")) == account.work()
    assert spied.calls == [("read", ACCOUNT_ID, [("order", "o1")])]


def test_a_conflict_says_what_it_is() -> None:
    """It brings no records unless it is given some."""
    assert (str(ConflictError()), ConflictError().records) == ("the account or a record has changed", {})

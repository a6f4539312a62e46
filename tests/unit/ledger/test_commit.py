"""The commit loop: what it asks of the store, when it decides again, how long it waits, and what it tells."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import pytest

from autocredits.domain.access import Caller
from autocredits.domain.accounts import ChangeStanding, OpenAccount
from autocredits.domain.decide import Command, Done, Draft, NotYet, RecordWrite
from autocredits.domain.errors import BrokenInvariantError, Problem
from autocredits.domain.purchases.calls import CloseCoupon, MakeCoupon, PlanPoll, TallyCoupon
from autocredits.domain.purchases.coupons import Coupon
from autocredits.domain.purchases.record import Purchase
from autocredits.domain.records import NO_ACCOUNT, KeyRecord, RecordKey
from autocredits.domain.work.record import Work
from autocredits.ledger.commit import NO_PAGE, Accepted, Ledger
from autocredits.ledger.ports import Clock, ConflictError, Store, UnavailableError
from tests.kit.books import check_books
from tests.kit.builders import (
    ACCOUNT_ID,
    CATALOG,
    NOW_MS,
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
from tests.kit.purchases import Shop
from tests.kit.spied import AnswerLostError, Behind, Spied, SteppedClock


def loop(
    account: Account, fails: dict[str, list[Exception | None]] | None = None, step_s: float | None = None
) -> tuple[Ledger, Spied, SteppedClock]:
    """A ledger over the account's store, with what watches it."""
    spied, clock = Spied(account.store, fails or {}), SteppedClock(step_s)
    return Ledger(cast("Store", spied), cast("Clock", clock), CATALOG), spied, clock


def gone(times: int) -> list[Exception | None]:
    """So many calls are not answered."""
    return [UnavailableError() for _ in range(times)]


def calls_of(account: Account, command: Command) -> list[str]:
    """The calls to the store that a command needs."""
    ledger, spied, _ = loop(account)
    try:
        ledger.execute(ACCOUNT_ID, command)
    except Problem:
        return [*spied.names(), "refused"]
    return spied.names()


# ---------------------------------------------------------------- what is asked of the store


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


def test_opening_twice_asks_once() -> None:
    """What is open already needs one read."""
    assert calls_of(opened(), OpenAccount(PLATFORM, "active")) == ["head"]


def test_no_commands_need_no_store() -> None:
    """An empty list is answered by an empty list."""
    ledger, spied, _ = loop(opened())
    assert ledger.execute_all(ACCOUNT_ID, []) == []
    assert spied.calls == []


def test_records_are_read_sorted_and_once() -> None:
    """Only of commands whose work is usually there, until a conflict brings one; what it brought is not read again."""
    account = opened(1000)
    account.do(requested("b"))
    account.do(requested("a"))
    ledger, spied, _ = loop(account, {"commit": [ConflictError({("order", "a"): account.work("a")}), None]})
    new = debit(order("new"), idempotency("k"))
    ledger.execute_all(ACCOUNT_ID, [placed("b"), placed("a"), placed("b"), new])
    reads = [call for call in spied.calls if call[0] == "read"]
    assert reads == [
        ("read", ACCOUNT_ID, [("order", "a"), ("order", "b")]),
        ("read", ACCOUNT_ID, [("key", "k"), ("order", "b"), ("order", "new")]),
    ]


def test_a_commit_is_a_page_with_records_or_records_alone() -> None:
    """An order that is queued writes its records alone; a debit its page as well, each record on its condition."""
    account = opened(1000)
    ledger, spied, _ = loop(account)
    ledger.execute(ACCOUNT_ID, queue_order(order("o2"), idempotency("k1")))
    ledger.execute(ACCOUNT_ID, debit(order(), idempotency("k2")))
    queued, charged = (call for call in spied.calls if call[0] == "commit")
    assert (queued[1], queued[2], queued[4]) == (ACCOUNT_ID, None, None)
    assert [write.key for write in queued[3]] == [("order", "o2"), ("key", "k1")]
    assert charged[2] == account.page()
    assert [(write.key, write.expected_rev) for write in charged[3]] == [(("order", "o1"), None), (("key", "k2"), None)]


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


# ---------------------------------------------------------------- many commands


def test_many_commands_are_one_page() -> None:
    """What does not depend on a refusal is one commit, whose page answers every command."""
    account = opened(1000)
    ledger, spied, _ = loop(account)
    answers = ledger.execute_all(ACCOUNT_ID, [debit(order("o1")), hold(order("o2")), adjust("finder", 1)])
    assert spied.names() == ["head", "commit"]
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
    commands: list[Command] = [debit(order("o1")), adjust("auto_order", 100)]
    first, second = account.ledger().execute_all(ACCOUNT_ID, commands)
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert (second.page.version, first.page.version) == (3, 4)
    check_books(account)


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


def test_a_single_command_raises_its_refusal() -> None:
    """`execute` raises the Problem or NotYet that `execute_all` gives back."""
    account = opened(50)
    with pytest.raises(Problem, match="insufficient_credits"):
        account.ledger().execute(ACCOUNT_ID, debit(order()))
    with pytest.raises(NotYet):
        account.ledger().execute(ACCOUNT_ID, placed())


# ---------------------------------------------------------------- rivals, lost answers and time


def test_the_waits_double_up_to_a_quarter_of_a_second_for_eight_seconds() -> None:
    """20 ms, 40, 80, 160, then 250 each: the 36th try is the last."""
    ledger, spied, clock = loop(opened(), {"head": gone(100)})
    with pytest.raises(Problem, match="try_again"):
        ledger.execute(ACCOUNT_ID, debit(order()))
    assert clock.waits == [0.02, 0.04, 0.08, 0.16] + [0.25] * 31
    assert spied.names() == ["head"] * 36


def test_at_eight_seconds_time_is_up() -> None:
    """A try that fails at the eighth second is the last; one that succeeds then is answered."""
    ledger, spied, _ = loop(opened(), {"head": gone(100)}, step_s=4.0)
    with pytest.raises(Problem, match="try_again"):
        ledger.execute(ACCOUNT_ID, debit(order()))
    assert spied.names() == ["head"] * 3
    ledger, spied, _ = loop(opened(), {"head": gone(2)}, step_s=4.0)
    assert isinstance(ledger.execute(ACCOUNT_ID, debit(order())), Accepted)


def test_who_is_told_which_records_stood_in_the_way_does_not_wait() -> None:
    """A conflict with records is decided again at once; one without waits."""
    account = opened(1000)
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


def test_what_a_conflict_brought_is_used_once() -> None:
    """After a lost answer all is read anew."""
    account = opened(1000)
    account.do(requested())
    found = ConflictError({("order", "o1"): account.work()})
    ledger, spied, clock = loop(account, {"commit": [found, UnavailableError(), None]})
    ledger.execute(ACCOUNT_ID, placed())
    assert spied.names() == ["head", "read", "commit", "head", "commit", "head", "read", "commit"]
    assert clock.waits == [0.02]


def test_a_lost_answer_charges_once() -> None:
    """The loop runs again, and the key that stands in the way tells that it was done."""
    account = opened(1000)
    ledger, spied, _ = loop(account, {"commit": [AnswerLostError()]})
    assert ledger.execute(ACCOUNT_ID, debit(order())).replayed()
    assert spied.names() == ["head", "commit", "head", "commit", "head"]
    assert account.balance() == (900, 0)


def test_commands_see_the_newest_page() -> None:
    """A changed standing decides what comes next."""
    account = opened(1000)
    account.do(ChangeStanding(Caller("platform", "*"), {"status": "suspended"}))
    assert account.refusal(debit(order())).extra == {"account_status": "suspended"}


# ---------------------------------------------------------------- a refusal is confirmed before it is told


def test_a_refusal_is_confirmed_by_a_snapshot() -> None:
    """One more read, of the next page and all records at one moment, before anybody is told no."""
    account = opened(50)
    assert calls_of(account, debit(order())) == ["head", "snapshot", "refused"]
    assert calls_of(Account(), debit(order())) == ["head", "snapshot", "refused"]
    assert calls_of(account, capture()) == ["head", "read", "snapshot", "refused"]


@pytest.mark.parametrize(("account", "version"), [(Account, 1), (opened, 2)], ids=["none", "open"])
def test_a_refusal_is_confirmed_on_the_next_page(account: Callable[[], Account], version: int) -> None:
    """Page 1 where there is no account, else the one after the newest."""
    ledger, spied, _ = loop(account())
    with pytest.raises(Problem):
        ledger.execute(ACCOUNT_ID, capture())
    assert spied.calls[-1] == ("snapshot", ACCOUNT_ID, version, [("order", "o1")])


def test_a_refusal_that_is_recorded_needs_no_snapshot() -> None:
    """It is a page with an entry of 0.00, so its conditions speak."""
    account = opened(50)
    assert calls_of(account, requested()) == ["head", "commit"]
    assert account.work().status == "failed"


def test_a_charged_twin_is_not_told_that_it_lacks_credits() -> None:
    """The page that charged it is seen before its key is: the snapshot shows the key, which is told then."""
    account, key = opened(150), idempotency()
    account.do(debit(order(), key))
    ledger, spied, clock = loop(account)
    assert ledger.execute(ACCOUNT_ID, debit(order(), key)).replayed()
    assert (spied.names(), clock.waits) == (["head", "snapshot", "head"], [])


def test_who_sees_an_old_page_is_not_told_that_credits_lack() -> None:
    """The snapshot shows that there is a newer page: look again, after a wait, for it brings no record."""
    account = opened(50)
    account.do(adjust("auto_order", 100))
    store, clock = Behind(account.store), SteppedClock()
    Ledger(cast("Store", store), cast("Clock", clock), CATALOG).execute(ACCOUNT_ID, debit(order()))
    assert (store.names(), clock.waits) == (["head", "snapshot", "head", "commit"], [0.02])


def test_broken_books_are_confirmed_before_they_are_told() -> None:
    """A record older than its page breaks the books too: it is looked at again, and then there is nothing broken."""
    account = opened(1000)
    account.do(requested())
    old = account.work()
    account.do(placed())
    ledger, spied, _ = loop(account, {"commit": [ConflictError({("order", "o1"): replace(old, rev=9)})]})
    ledger.execute_all(ACCOUNT_ID, [adjust("finder", 1), placed()])
    assert "snapshot" in spied.names()
    assert account.balance() == (900, 0)


def test_books_that_are_really_broken_are_told_at_once() -> None:
    """A record that contradicts its page, at one and the same moment, is a defect, and nothing is written."""
    account = opened(1000)
    account.do(hold(order()))
    place = (ACCOUNT_ID, ("order", "o1"))
    account.store.records[place] = account.store.records[place].replace('"credits": 100', '"credits": 101')
    page = account.page()
    ledger, spied, clock = loop(account)
    with pytest.raises(BrokenInvariantError, match="held of auto_order would be -1"):
        ledger.execute(ACCOUNT_ID, capture())
    assert account.page() == page
    assert (spied.names(), clock.waits) == (["head", "read", "snapshot"], [])
    assert spied.calls[-1] == ("snapshot", ACCOUNT_ID, page.version + 1, [("order", "o1")])


# ---------------------------------------------------------------- a table that lost a part


def torn_at(version: int, account: Account) -> Account:
    """The account after a restore that brought back its records, but not this page."""
    account.store.pages[ACCOUNT_ID].pop(version)
    return account


def test_a_record_of_a_lost_page_is_told_at_once() -> None:
    """It names a page that is not there at one moment: a defect, found by one snapshot, without waiting."""
    account = opened(1000)
    account.do(requested())
    ledger, spied, clock = loop(torn_at(3, account))
    with pytest.raises(BrokenInvariantError, match=r"^a record names a page that is lost$"):
        ledger.execute(ACCOUNT_ID, placed())
    assert (spied.names(), clock.waits) == (["head", "read", "snapshot"], [])
    assert account.work().status == "processing"


def test_a_key_of_a_lost_page_charges_nobody_again() -> None:
    """The debit that it paid for is gone from the books, so neither a replay nor a second debit would be right."""
    account, key = opened(1000), idempotency()
    account.do(debit(order(), key))
    ledger, spied, clock = loop(torn_at(3, account))
    with pytest.raises(BrokenInvariantError, match="a page that is lost"):
        ledger.execute(ACCOUNT_ID, debit(order(), key))
    assert (spied.names(), clock.waits) == (["head", "commit", "head", "snapshot"], [])
    assert account.balance() == (1000, 0)


@pytest.mark.parametrize("versions", [(1,), ()], ids=["names page 1", "names none"])
def test_a_record_of_an_account_without_pages(versions: tuple[int, ...]) -> None:
    """One that names page 1 has lost it; one that names none is of an account that was never opened."""
    account = Account()
    times: dict[str, Any] = {"created_at": NOW_MS, "updated_at": NOW_MS, "status_at": NOW_MS}
    work = Work(kind="order", work_id="o1", store_id="s1", status="processing", versions=versions, rev=1, **times)
    account.store.commit(ACCOUNT_ID, None, [RecordWrite(("order", "o1"), work, None)])
    with pytest.raises(BrokenInvariantError if versions else Problem, match="lost" if versions else "account_not"):
        account.do(placed())


def test_a_page_that_has_appeared_meanwhile_is_decided_on() -> None:
    """The reader was late, and nothing is lost: the snapshot's records go into the next try, which does not wait."""
    account = opened(1000)
    account.do(requested())
    store, clock = Behind(account.store), SteppedClock()
    Ledger(cast("Store", store), cast("Clock", clock), CATALOG).execute(ACCOUNT_ID, placed())
    assert store.names() == ["head", "read", "snapshot", "head", "commit"]
    assert (clock.waits, account.balance()) == ([], (900, 0))


# ---------------------------------------------------------------- replays


def test_a_replay_is_told_from_the_records_that_stood_in_the_way() -> None:
    """A cancelled transaction brings the key: no further read is needed but the newest page's, or that of its own."""
    account, key = opened(1000), idempotency()
    account.do(debit(order(), key))
    assert calls_of(account, debit(order(), key)) == ["head", "commit", "head"]
    account.do(debit(order("o2")))
    assert calls_of(account, debit(order(), key)) == ["head", "commit", "head", "page"]


def test_a_key_that_stands_in_the_way_alone_brings_its_order() -> None:
    """The order may just be locked by the twin, so it is read before the replay tells of it."""
    account, key = opened(1000), idempotency("k")
    account.do(queue_order(order(), key))
    found = ConflictError(account.store.read(ACCOUNT_ID, [("key", "k")]))
    ledger, spied, _ = loop(account, {"commit": [found]})
    accepted = ledger.execute(ACCOUNT_ID, queue_order(order(), key))
    assert (accepted.replayed(), accepted.record(Work)) == (True, account.work())
    assert spied.calls[-1] == ("read", ACCOUNT_ID, [("order", "o1")])


def test_a_replay_is_told_from_its_own_page() -> None:
    """Whatever came after it."""
    account, key = opened(1000), idempotency()
    first = account.do(debit(order(), key))
    account.do(debit(order("o2")))
    again = account.do(debit(order(), key))
    assert (again.page, again.done.first, again.done.count) == (first.page, first.done.first, first.done.count)


def test_a_replay_whose_page_is_lost_is_broken() -> None:
    """Newer pages do not answer for it."""
    account, key = opened(1000), idempotency()
    account.do(debit(order(), key))
    account.do(debit(order("o2")))
    ledger, _, clock = loop(torn_at(3, account))
    with pytest.raises(BrokenInvariantError, match="page 3 is not the one of its key"):
        ledger.execute(ACCOUNT_ID, debit(order(), key))
    assert clock.waits == []


def overwritten() -> tuple[Account, Command]:
    """An account whose page 3 was lost and written anew by somebody else, and the debit that the lost one held."""
    account, key = opened(1000), idempotency("k")
    account.do(debit(order(), key))
    torn_at(3, account).do(adjust("finder", 1))
    return account, debit(order(), key)


def test_a_replay_whose_page_was_written_anew_is_broken() -> None:
    """The key names its page by its hash as well: another page under that number does not answer for it."""
    account, again = overwritten()
    with pytest.raises(BrokenInvariantError, match="page 3 is not the one of its key"):
        account.do(again)


def test_a_key_of_an_earlier_release_is_answered_by_number() -> None:
    """It names no hash, so whatever page has its number answers it."""
    account, again = overwritten()
    key = account.store.read(ACCOUNT_ID, [("key", "k")])["key", "k"]
    assert isinstance(key, KeyRecord)
    stored = {name: value for name, value in key.to_map().items() if name != "hash"}
    account.store.records[ACCOUNT_ID, ("key", "k")] = json.dumps(stored)
    assert account.do(again).page == account.page()


@dataclass(frozen=True, slots=True)
class Nothing:
    """A command that is accepted and does nothing."""

    expects_new: ClassVar[bool] = True

    def records(self) -> tuple[RecordKey, ...]:
        """None."""
        return ()

    def decide(self, draft: Draft) -> Done:
        """Nothing."""
        assert draft.account_id == ACCOUNT_ID
        return Done(did="nothing")


def test_an_account_without_a_page_accepts_nothing() -> None:
    """Who asks for the page of such a success meets a defect."""
    accepted = Account().do(Nothing())
    with pytest.raises(BrokenInvariantError, match="an account without a page"):
        _ = accepted.page


def test_an_answer_names_its_record_by_its_kind() -> None:
    """A record of another kind, or none, is a defect."""
    accepted = opened(1000).do(requested())
    assert accepted.record(Work).work_id == "o1"
    with pytest.raises(BrokenInvariantError, match="held: the record is no Coupon"):
        accepted.record(Coupon)


# ---------------------------------------------------------------- commands of no account

COUPON = Coupon(code="C", percent_off=1)
COUPON_KEY = ("coupon", "C")
MADE = replace(COUPON, created_by="platform", made_by="r1", rev=1)
CLOSED = replace(MADE, closed=True, closed_by="platform", rev=2)


def make(request_id: str = "r1") -> MakeCoupon:
    """A request to make the coupon."""
    return MakeCoupon(caller=PLATFORM, coupon=COUPON, request_id=request_id)


def test_a_coupon_is_made_by_one_write() -> None:
    """No page is read or written: only the coupon, on condition that it is new."""
    ledger, spied, _ = loop(Account())
    accepted = ledger.execute(NO_ACCOUNT, make())
    assert (accepted.record(Coupon), accepted.head) == (MADE, None)
    assert spied.calls == [("commit", "", None, (RecordWrite(COUPON_KEY, MADE, None),), None)]


def test_a_coupon_whose_answer_was_lost_is_known_as_ones_own() -> None:
    """It was written, nobody heard of it, and the next try finds just this coupon."""
    ledger, spied, clock = loop(Account(), {"commit": [AnswerLostError()]})
    assert ledger.execute(NO_ACCOUNT, make()).record(Coupon) == MADE
    assert (spied.names(), clock.waits) == (["commit", "commit"], [0.02])


@pytest.mark.parametrize("failure", [None, UnavailableError()])
def test_the_coupon_of_another_request_stands_in_the_way(failure: Exception | None) -> None:
    """Even the very same coupon: `coupon_exists`, confirmed as every refusal, also after a lost answer."""
    account = Account()
    account.ledger().execute(NO_ACCOUNT, make("r2"))
    ledger, spied, _ = loop(account, {"commit": [failure]})
    with pytest.raises(Problem, match="coupon_exists"):
        ledger.execute(NO_ACCOUNT, make())
    assert spied.calls[-1] == ("snapshot", "", NO_PAGE, [COUPON_KEY])


def test_a_coupon_that_somebody_is_just_writing_is_tried_again() -> None:
    """A conflict that brings no record tells nothing of it."""
    ledger, spied, clock = loop(Account(), {"commit": [ConflictError()]})
    ledger.execute(NO_ACCOUNT, make())
    assert (spied.names(), clock.waits) == (["commit", "commit"], [0.02])


@pytest.mark.parametrize("command", [make(), CloseCoupon(caller=PLATFORM, code="C")])
def test_a_coupon_is_tried_for_eight_seconds(command: Command) -> None:
    """Then the outcome is unknown: `try_again`."""
    account = Account()
    if isinstance(command, CloseCoupon):
        account.ledger().execute(NO_ACCOUNT, make())
    ledger, spied, _ = loop(account, {"commit": gone(100)}, step_s=4.0)
    with pytest.raises(Problem, match="try_again"):
        ledger.execute(NO_ACCOUNT, command)
    assert spied.names().count("commit") == 3


def test_a_coupon_is_closed_on_its_rev() -> None:
    """Read, changed, written as it was read; again, it is written no more."""
    account = Account()
    account.ledger().execute(NO_ACCOUNT, make())
    ledger, spied, _ = loop(account)
    assert ledger.execute(NO_ACCOUNT, CloseCoupon(caller=PLATFORM, code="C")).record(Coupon) == CLOSED
    assert spied.calls == [
        ("read", "", [COUPON_KEY]),
        ("commit", "", None, (RecordWrite(COUPON_KEY, CLOSED, 1),), None),
    ]
    assert ledger.execute(NO_ACCOUNT, CloseCoupon(caller=PLATFORM, code="C")).record(Coupon) == CLOSED
    assert spied.names() == ["read", "commit", "read"]


@pytest.mark.parametrize("failure", [ConflictError(), UnavailableError(), AnswerLostError()])
def test_a_closing_that_may_not_have_been_written_is_tried_again(failure: Exception) -> None:
    """On what is there by then."""
    account = Account()
    account.ledger().execute(NO_ACCOUNT, make())
    ledger, spied, clock = loop(account, {"commit": [failure]})
    assert ledger.execute(NO_ACCOUNT, CloseCoupon(caller=PLATFORM, code="C")).record(Coupon) == CLOSED
    assert spied.names()[:3] == ["read", "commit", "read"]
    assert clock.waits == [0.02]


def test_a_coupon_that_is_not_there_is_not_closed() -> None:
    """`coupon_not_found`, confirmed as every refusal."""
    ledger, spied, _ = loop(Account())
    with pytest.raises(Problem, match="coupon_not_found"):
        ledger.execute(NO_ACCOUNT, CloseCoupon(caller=PLATFORM, code="C"))
    assert spied.names() == ["read", "snapshot"]


# ---------------------------------------------------------------- commands that need no page


PURCHASE_KEY = ("purchase", "b1")


def with_purchase() -> Shop:
    """An account with a purchase that has begun, at page 2."""
    shop = Shop()
    shop.do(adjust("finder", 1))
    shop.start()
    return shop


def without_page(shop: Shop, fails: dict[str, list[Exception | None]] | None = None) -> tuple[Accepted, Spied]:
    """What came of planning a poll without the account's page, and what it asked of the store."""
    ledger, spied, _ = loop(shop, fails)
    return ledger.execute(ACCOUNT_ID, PlanPoll(purchase_id="b1"), reads_page=False), spied


def test_a_command_that_needs_no_page_reads_none() -> None:
    """Its record is read and written, on its rev alone."""
    shop = with_purchase()
    before = shop.purchase()
    accepted, spied = without_page(shop)
    assert spied.calls == [
        ("read", ACCOUNT_ID, [PURCHASE_KEY]),
        ("commit", ACCOUNT_ID, None, (RecordWrite(PURCHASE_KEY, accepted.record(Purchase), before.rev),), None),
    ]
    assert (accepted.head, accepted.record(Purchase).rev) == (None, before.rev + 1)


def test_a_command_that_needs_no_page_works_where_none_can_be_read() -> None:
    """A broken page of the account does not hold it up; a command that reads it is told."""
    shop = with_purchase()
    text, page_hash = shop.store.pages[ACCOUNT_ID][2]
    shop.store.pages[ACCOUNT_ID][2] = (text.replace("finder", "managed"), page_hash)
    accepted, _ = without_page(shop)
    assert accepted.done.did == "polled"
    with pytest.raises(BrokenInvariantError):
        shop.do(PlanPoll(purchase_id="b1"))


def test_a_record_that_names_a_page_is_no_fault_where_no_page_is_read() -> None:
    """Whether the page is there is not asked."""
    shop = with_purchase()
    shop.event("paid")
    del shop.store.pages[ACCOUNT_ID][3]
    accepted, _ = without_page(shop)
    assert accepted.record(Purchase).versions == (3,)


def test_a_refusal_without_a_page_is_confirmed_by_its_records() -> None:
    """No page that follows is looked for: the one that never exists stands for it."""
    shop = with_purchase()
    ledger, spied, _ = loop(shop)
    with pytest.raises(Problem, match="purchase_not_found"):
        ledger.execute(ACCOUNT_ID, PlanPoll(purchase_id="b2"), reads_page=False)
    assert spied.calls[-1] == ("snapshot", ACCOUNT_ID, NO_PAGE, [("purchase", "b2")])
    assert NO_PAGE == 0


def test_a_conflict_without_a_page_is_decided_again() -> None:
    """On what is there by then."""
    shop = with_purchase()
    accepted, spied = without_page(shop, {"commit": [ConflictError()]})
    assert (accepted.done.did, spied.names()) == ("polled", ["read", "commit", "read", "commit"])


def test_many_commands_may_need_no_page() -> None:
    """They are one transaction."""
    shop = with_purchase()
    shop.make_coupon(percent_off=1)
    shop.start("b2", coupon="C")
    ledger, spied, _ = loop(shop)
    commands: list[Command] = [PlanPoll(purchase_id="b1"), TallyCoupon(code="C")]
    answers = ledger.execute_all(ACCOUNT_ID, commands, reads_page=False)
    assert [answer.done.did for answer in answers if isinstance(answer, Accepted)] == ["polled", "tallied"]
    assert spied.names() == ["read", "commit"]

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from greenlet import getcurrent, greenlet
from hypothesis import given, settings
from hypothesis import strategies as st

from autocredits.domain.audit import Finding, check_stored
from autocredits.domain.decide import Command
from autocredits.domain.journal import Entry, Page, hash_of, next_page
from autocredits.domain.records import NO_ACCOUNT
from autocredits.domain.times import DAY_MS
from autocredits.domain.usage import DUE_AUDITS, Day, Used, date_of, uses_of
from autocredits.ledger import auditing
from autocredits.ledger.auditing import MAX_PAGES, PAGES_PER_READ, RESERVE_S, Audited, audit
from autocredits.ledger.ports import UnavailableError
from autocredits.ledger.time_limit import time_limit
from tests.kit.builders import (
    ACCOUNT_ID,
    NOW_MS,
    Account,
    adjust,
    capture,
    debit,
    hold,
    opened,
    order,
    placed,
    requested,
)
from tests.kit.journals import wander
from tests.kit.memory import MemoryStore
from tests.kit.purchases import Shop
from tests.kit.spied import AnswerLostError, Spied
from tests.simulation.world import SimStore

Counted = dict[tuple[str, str, str], tuple[int, int]]
"""Day, store and action: credits, and how many entries."""


def run(account: Account, seen: Sequence[Finding] = (), store: Any = None) -> Audited:
    """Audit the account once."""
    return audit(account.ledger(store), account.account_id, seen)


def days(account: Account) -> list[Day]:
    """All records of the account's days, newest first."""
    return list(account.store.days(account.account_id, "0000"))


def reached(account: Account) -> int:
    """How far the audit has come."""
    newest = account.store.newest_day(account.account_id)
    return newest.reached.version if newest else 0


def counted(account: Account) -> Counted:
    """What the days' records say."""
    return {(day.date, *pair): (use.credits, use.count) for day in days(account) for pair, use in day.uses.items()}


def truth(pages: Iterable[Page]) -> Counted:
    """What the pages themselves say, each entry on the day of its page."""
    sums: Counter[tuple[str, str, str]] = Counter()
    counts: Counter[tuple[str, str, str]] = Counter()
    for page in pages:
        for entry in page.entries:
            if entry.unit == "auto_order" and entry.kind in ("debited", "captured"):
                action = "sourcing" if entry.product_id else f"{entry.order_type}/{entry.tracking}"
                place = (date_of(page.at), entry.store_id or "", action)
                sums[place] -= entry.posted
                counts[place] += 1
    return {place: (sums[place], counts[place]) for place in counts}


def busy(debits: int = 5, *, a_day: int = 2, account: Account | None = None) -> Account:
    """An account whose debits are spread over days, so many a day."""
    account = opened(100_000, account=account)
    for number in range(debits):
        if number and number % a_day == 0:
            account.clock.at_ms += DAY_MS
        account.do(debit(order(f"o{number}", store_id=f"s{number % 3}")))
    return account


def readable(account: Account) -> list[Page]:
    """The pages that can be read, oldest first."""
    stored = account.store.pages_after(account.account_id, 0, 10**9)
    pages = [check_stored(one.account_id, one.version, one.stored, one.hash) for one in stored]
    return [page for page in pages if isinstance(page, Page)]


def standings(account: Account) -> list[Entry]:
    """What changed the account's standing, oldest first."""
    return [entry for page in readable(account) for entry in page.entries if entry.kind == "standing"]


def status(account: Account) -> str:
    """The account's standing."""
    return account.page().state.status


def kinds(audited: Audited) -> list[tuple[int, str]]:
    """What was found for the first time."""
    return [(finding.version, finding.kind) for finding in audited.findings]


# ---------------------------------------------------------------- tampering


def rewrite(account: Account, version: int, /, *, rehash: bool = True, **values: Any) -> None:
    """Write a page over by hand, with a hash that covers it, or with the one that it had."""
    pages = account.store.pages[account.account_id]
    text, digest = pages[version]
    stored = {**json.loads(text), **values}
    pages[version] = (json.dumps(stored), hash_of(account.account_id, stored) if rehash else digest)


def remove(account: Account, *versions: int) -> None:
    """Take pages out of the table."""
    for version in versions:
        del account.store.pages[account.account_id][version]


def entries_of(account: Account, version: int) -> list[dict[str, Any]]:
    """The stored entries of a page."""
    found: list[dict[str, Any]] = json.loads(account.store.pages[account.account_id][version][0])["entries"]
    return found


# ---------------------------------------------------------------- counting


def test_a_first_run_checks_and_counts_all_there_is() -> None:
    """Each day has a record of its own, and the newest says how far the audit has come."""
    account = busy(5, a_day=2)
    assert run(account) == Audited(pages=7, findings=[], behind=False)
    assert counted(account) == truth(account.pages())
    assert [(day.date, day.reached.version, day.rev) for day in days(account)] == [
        (date_of(NOW_MS + 2 * DAY_MS), 7, 1),
        (date_of(NOW_MS + DAY_MS), 6, 1),
        (date_of(NOW_MS), 4, 1),
    ]
    newest = days(account)[0].reached
    page = account.page()
    assert (newest.hash, newest.at_ms, newest.state) == (page.hash, page.at, page.state)


def test_a_run_goes_on_where_the_last_one_ended() -> None:
    """Only the new pages are checked and counted."""
    account = busy(3)
    assert run(account).pages == 5
    account.do(debit(order("late")))
    account.clock.at_ms += DAY_MS
    account.do(debit(order("later")))
    assert run(account).pages == 2
    assert counted(account) == truth(account.pages())


def test_a_run_without_a_new_page_writes_nothing() -> None:
    """However often the stream repeats: a quiet account costs two reads."""
    account = busy(3)
    run(account)
    before = dict(account.store.records)
    spied = Spied(account.store)
    assert run(account, store=spied) == Audited()
    assert spied.names() == ["newest_day", "pages_after"]
    assert account.store.records == before


def test_a_debit_costs_one_write_more() -> None:
    """A page of the same day: one day's record is written, once."""
    account = busy(3)
    run(account)
    account.do(debit(order("late")))
    spied = Spied(account.store)
    run(account, store=spied)
    assert [name for name in spied.names() if "write" in name or name == "commit"] == ["write_day"]


def test_a_hold_counts_on_the_day_it_is_captured() -> None:
    """Not on the day when it was opened."""
    account = opened(1000)
    account.do(hold(order("o1")))
    run(account)
    account.clock.at_ms += 3 * DAY_MS
    account.do(capture("o1"))
    run(account)
    assert counted(account) == {(date_of(NOW_MS + 3 * DAY_MS), "s1", "auto/none"): (100, 1)}


def test_a_day_without_a_use_has_a_record_all_the_same() -> None:
    """It tells how far the audit has come."""
    account = opened(1000)
    run(account)
    assert [(day.date, day.uses, day.reached.version) for day in days(account)] == [(date_of(NOW_MS), {}, 2)]


def test_an_account_that_does_not_exist_has_nothing_to_audit() -> None:
    """No record is made for it."""
    account = Account()
    assert run(account) == Audited()
    assert days(account) == []


def test_every_batch_of_pages_is_read_on() -> None:
    """More pages than one read brings."""
    account = opened(1_000_000)
    append(account, 2 * PAGES_PER_READ + 1)
    assert run(account) == Audited(pages=2 * PAGES_PER_READ + 3)
    assert counted(account) == truth(account.pages())


def append(account: Account, count: int) -> None:
    """Write so many pages with an entry that names no record."""
    head = account.page()
    for _ in range(count):
        entry = Entry(
            kind="debited", actor="a", unit="auto_order", posted=-1, store_id="s", order_type="auto", tracking="none"
        )
        head = next_page(account.account_id, head, account.clock.now_ms(), [entry])
        account.store.commit(account.account_id, head, [])


# ---------------------------------------------------------------- repeats, crashes, races


@dataclass(slots=True)
class Paused:
    """A store before whose every call the caller stands still until it is told to go on."""

    inner: MemoryStore

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            parent = getcurrent().parent
            assert parent is not None
            parent.switch()
            return getattr(self.inner, name)(*arguments, **named)

        return called


def interleave(account: Account, schedule: Sequence[int], auditors: int, *writers: Callable[[], None]) -> None:
    """Let auditors and writers go on in turn, one store call of an auditor at a time, as the schedule says."""

    def auditor() -> None:
        while run(account, store=Paused(account.store)).behind:
            pass

    alive = [greenlet(one) for one in (*[auditor] * auditors, *writers)]
    for choice in itertools.chain(schedule, itertools.repeat(0)):
        alive = [one for one in alive if not one.dead]
        if not alive:
            return
        alive[choice % len(alive)].switch()


def check_counted(account: Account) -> None:
    """After one more run, each entry is counted once, on its day, and nothing was found."""
    run(account)
    assert reached(account) == account.page().version
    assert counted(account) == truth(account.pages())
    assert status(account) == "active"
    assert all(day.findings == () for day in days(account))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of at most 4 pages, read two by two."""
    monkeypatch.setattr(auditing, "PAGES_PER_READ", 2)
    monkeypatch.setattr(auditing, "MAX_PAGES", 4)


@pytest.mark.parametrize("prior", [0, 3])
def test_two_runs_at_once_count_nothing_twice(small: None, prior: int) -> None:  # noqa: ARG001
    """Whatever store call of one the other comes before: every order of their first nine calls."""
    for order_of_two in itertools.product((0, 1), repeat=9):
        account = busy(1, a_day=1)
        if prior:
            run(account)
        for number in range(1, 4):
            account.clock.at_ms += DAY_MS // 2
            account.do(debit(order(f"o{number}")))
        interleave(account, order_of_two, 2)
        check_counted(account)


def test_a_run_that_was_overtaken_counts_nothing() -> None:
    """Wherever it stood while pages were written and another run counted them and went on to the next day."""
    for calls in range(1, 10):
        account = busy(1)
        run(account)
        account.do(debit(order("today")))
        slow = greenlet(lambda account=account: run(account, store=Paused(account.store)))
        for _ in range(calls):
            slow.switch()
        account.do(debit(order("today, later")))
        account.clock.at_ms += DAY_MS
        account.do(debit(order("tomorrow")))
        run(account)
        while not slow.dead:
            slow.switch()
        check_counted(account)
        if calls > 6:
            return


@settings(max_examples=150)
@given(
    st.lists(st.integers(0, 11), max_size=60),
    st.lists(st.tuples(st.sampled_from([0, DAY_MS // 3, DAY_MS]), st.sampled_from(["s1", "s2"])), max_size=6),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_many_runs_at_once_count_nothing_twice(
    schedule: list[int], debits: list[tuple[int, str]], auditors: int, per_read: int
) -> None:
    """Also while pages are being written, whatever goes on first at each call."""
    account = busy(3)

    def write() -> None:
        for number, (later_ms, store_id) in enumerate(debits):
            account.clock.at_ms += later_ms
            account.do(debit(order(f"w{number}", store_id=store_id)))
            parent = getcurrent().parent
            assert parent is not None
            parent.switch()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auditing, "PAGES_PER_READ", per_read)
        patch.setattr(auditing, "MAX_PAGES", 2 * per_read)
        interleave(account, schedule, auditors, write)
        while run(account).behind:
            pass
    check_counted(account)


@pytest.mark.parametrize("failure", [UnavailableError("lost"), AnswerLostError("answer lost")])
def test_a_run_that_is_stopped_anywhere_is_made_good(failure: Exception) -> None:
    """Whether its last call was done or not, the next run counts the rest and nothing twice."""
    for stopped_at in range(1, 20):
        account = busy(5, a_day=2)
        spied = Stopping(account.store, stopped_at, failure)
        try:
            run(account, store=spied)
        except UnavailableError:
            check_counted(account)
        else:
            assert stopped_at > 6
            return
    pytest.fail("every run was stopped")


@dataclass(slots=True)
class Stopping:
    """A store whose n-th call fails, before it is done or after."""

    inner: MemoryStore
    left: int
    failure: Exception

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == 0 and not isinstance(self.failure, AnswerLostError):
                raise self.failure
            answer = getattr(self.inner, name)(*arguments, **named)
            if self.left == 0:
                raise self.failure
            return answer

        return called


def test_a_table_that_cannot_be_asked_is_told() -> None:
    """The stream shows its batch again."""
    account = busy(3)
    for name in ("newest_day", "pages_after", "read", "write_day"):
        with pytest.raises(UnavailableError):
            run(account, store=Spied(account.store, {name: [UnavailableError("throttled")]}))


# ---------------------------------------------------------------- falling behind


def test_a_run_checks_2000_pages_and_is_then_behind() -> None:
    """The sweep finds it, since when it was first behind, until it is so no more."""
    account = opened(1_000_000)
    append(account, 2 * MAX_PAGES + 50)

    def due() -> list[tuple[int, str]]:
        return [(one.at_ms(), one.account_id) for one in account.store.list(DUE_AUDITS, NO_ACCOUNT, limit=9)]

    began_ms = account.clock.at_ms
    assert run(account) == Audited(pages=MAX_PAGES, behind=True)
    assert (reached(account), due()) == (MAX_PAGES, [(began_ms, ACCOUNT_ID)])
    account.clock.at_ms += 60_000
    assert run(account) == Audited(pages=MAX_PAGES, behind=True)
    assert (reached(account), due()) == (2 * MAX_PAGES, [(began_ms, ACCOUNT_ID)])
    assert run(account) == Audited(pages=52, behind=False)
    assert due() == []
    assert counted(account) == truth(account.pages())


def test_a_run_checks_no_more_however_few_pages_a_read_brings() -> None:
    """A table answers with as many as it has room for."""
    account = opened(1_000_000)
    append(account, MAX_PAGES + 50)

    @dataclass(slots=True)
    class Narrow(Spied):
        """A store that has room for thirty."""

        def pages_after(self, account_id: str, version: int, limit: int) -> Any:
            """At most so many."""
            return self.inner.pages_after(account_id, version, min(30, limit))

    assert run(account, store=Narrow(account.store)) == Audited(pages=MAX_PAGES, behind=True)


def test_a_run_without_time_stops_in_time() -> None:
    """It keeps what it needs to end, and says that it is behind."""
    account = opened(1_000_000)
    append(account, 3 * PAGES_PER_READ)
    with time_limit(RESERVE_S - 1, account.clock.monotonic_s):
        assert run(account) == Audited(pages=PAGES_PER_READ, behind=True)
    assert run(account) == Audited(pages=2 * PAGES_PER_READ + 2)


def test_an_audit_that_is_behind_at_the_end_of_a_day_stands_in_the_list_once(small: None) -> None:  # noqa: ARG001
    """By its newest day alone."""
    account = busy(12, a_day=3)
    while run(account).behind:
        [due] = account.store.list(DUE_AUDITS, NO_ACCOUNT, limit=9)
        assert due.item_id == days(account)[0].date
    assert account.store.list(DUE_AUDITS, NO_ACCOUNT, limit=9) == []
    check_counted(account)


# ---------------------------------------------------------------- what it finds


def check_suspended(account: Account, audited: Audited, *found: tuple[int, str]) -> None:
    """Each finding was made once; the account is suspended by one entry that names the first one's page and kind."""
    assert kinds(audited) == list(found)
    assert status(account) == "suspended"
    [entry] = standings(account)
    version, kind = found[0]
    assert (entry.actor, entry.changes) == ("system:audit", {"status": "suspended"})
    assert f"page {version}: {kind}" in (entry.reason or "")
    assert len(entry.reason or "") <= 200


def test_a_page_whose_hash_is_wrong_suspends_the_account() -> None:
    """What it says is not counted."""
    account = busy(5)
    tampered = entries_of(account, 4)
    tampered[0]["posted"] = -1
    rewrite(account, 4, rehash=False, entries=tampered)
    check_suspended(account, run(account), (4, "wrong_hash"))
    run(account)
    assert [page.version for page in readable(account)] == [1, 2, 3, 5, 6, 7, 8]
    assert counted(account) == truth(readable(account))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"prev": "f" * 64}, "broken_link"),
        ({"at": NOW_MS - 1}, "time_backwards"),
        ({"version": 9}, "wrong_version"),
        (
            {"state": {"status": "active", "balances": {"auto_order": {"posted": 999_999_999, "held": 0}}}},
            "wrong_balance",
        ),
        ({"entries": "none"}, "unreadable_page"),
        ({"entries": [{"kind": "granted", "actor": "me", "unit": "auto_order", "posted": -5}]}, "impossible_entry"),
    ],
)
def test_a_forged_page_suspends_the_account(values: dict[str, Any], kind: str) -> None:
    """Its hash is right, and what it says cannot be."""
    account = busy(5, a_day=9)
    rewrite(account, 4, **values)
    audited = run(account)
    assert kinds(audited)[0] == (4, kind)
    assert status(account) == "suspended"
    assert [entry.actor for entry in standings(account)] == ["system:audit"]


def test_a_page_of_a_day_that_has_ended_is_counted_where_it_stands() -> None:
    """A forged time opens no day again, and the audit goes on behind it."""
    account = busy(3, a_day=1)
    rewrite(account, 5, at=NOW_MS, prev=account.page().prev)
    assert kinds(run(account)) == [(5, "time_backwards")]
    assert run(account).findings == []
    assert reached(account) == account.page().version
    assert [(day.date, sum(use.count for use in day.uses.values())) for day in days(account)] == [
        (date_of(NOW_MS + 2 * DAY_MS), 0),
        (date_of(NOW_MS + DAY_MS), 2),
        (date_of(NOW_MS), 1),
    ]


def test_a_reason_has_room_for_what_a_reason_may_have() -> None:
    """However much there is to say of a page."""
    account = busy(5)
    stored = json.loads(account.store.pages[ACCOUNT_ID][4][0])
    del stored["entries"]
    stored |= {f"a field of a long name {number}": 1 for number in range(20)}
    account.store.pages[ACCOUNT_ID][4] = (json.dumps(stored), hash_of(ACCOUNT_ID, stored))
    run(account)
    [entry] = standings(account)
    assert (entry.reason or "").startswith("The audit found page 4: unreadable_page (a page with only the fields")
    assert len(entry.reason or "") == 200


def test_a_missing_page_suspends_the_account() -> None:
    """A gap is found by the page behind it."""
    account = busy(5)
    remove(account, 4)
    check_suspended(account, run(account), (4, "missing_page"))


def test_a_tail_that_was_cut_suspends_the_account() -> None:
    """The page that was audited last is not there any more."""
    account = busy(5)
    run(account)
    remove(account, 6, 7)
    check_suspended(account, run(account), (7, "missing_page"))
    assert run(account) == Audited()
    assert len(standings(account)) == 1


def test_a_tail_that_was_written_anew_suspends_the_account() -> None:
    """Another page stands where the audited one stood; it is not counted as well."""
    account = busy(5)
    run(account)
    before = counted(account)
    remove(account, 7)
    account.store.records.pop((ACCOUNT_ID, ("order", "o4")))
    account.do(debit(order("o4", "auto", "bce")))
    check_suspended(account, run(account), (7, "modified_page"))
    run(account)
    assert counted(account) == before


def test_a_day_that_ended_is_not_opened_again() -> None:
    """Pages that were written after a cut tail are counted where they stand."""
    account = busy(4, a_day=2)
    run(account)
    first = days(account)[-1]
    account.clock.at_ms += DAY_MS
    account.do(debit(order("new")))
    run(account)
    assert days(account)[-1] == first


@pytest.mark.parametrize("kind", ["modified_page", "removed_page"])
def test_what_the_stream_shows_of_old_pages_suspends_the_account(kind: str) -> None:
    """Once, however often it is shown."""
    account = busy(5)
    run(account)
    seen = [Finding(3, kind, "the table's stream shows it")]
    check_suspended(account, run(account, seen), (3, kind))
    for _ in range(3):
        assert kinds(run(account, seen)) == []
    assert len(standings(account)) == 1


def test_what_the_stream_shows_before_the_first_run_is_remembered() -> None:
    """Though there is no day yet that could."""
    account = busy(1)
    seen = [Finding(2, "modified_page", "the table's stream shows it")]
    check_suspended(account, run(account, seen), (2, "modified_page"))
    assert kinds(run(account, seen)) == []


def test_an_account_is_suspended_once_for_many_findings() -> None:
    """Each is told, and only the first one stops it."""
    account = busy(5)
    for version in (3, 5):
        rewrite(account, version, rehash=False, at=1)
    check_suspended(account, run(account), (3, "wrong_hash"), (5, "wrong_hash"))
    assert kinds(run(account)) == []
    assert len(standings(account)) == 1


def test_an_account_that_was_set_free_is_not_suspended_for_what_is_known() -> None:
    """Nor on a later day; a new finding suspends it again."""
    account = busy(5)
    rewrite(account, 4, rehash=False, at=1)
    run(account)
    account.set_standing(status="active")
    for _ in range(3):
        account.clock.at_ms += DAY_MS
        account.do(adjust("finder", 1))
        assert kinds(run(account, [Finding(4, "wrong_hash", "again")])) == []
    assert status(account) == "active"
    assert kinds(run(account, [Finding(5, "removed_page", "")])) == [(5, "removed_page")]
    assert status(account) == "suspended"


@pytest.mark.parametrize("standing", ["suspended", "closed"])
def test_an_account_that_is_stopped_stays_as_it_is(standing: str) -> None:
    """The finding is remembered all the same."""
    account = busy(5)
    account.set_standing(status=standing)
    rewrite(account, 4, rehash=False, at=1)
    assert kinds(run(account)) == [(4, "wrong_hash")]
    assert status(account) == standing
    assert [entry.actor for entry in standings(account)] == ["platform"]
    assert days(account)[0].findings == ((4, "wrong_hash"),)


def test_a_paused_account_is_suspended() -> None:
    """A merchant's pause is no stop: the account could be opened again by what paused it."""
    account = busy(5)
    account.set_standing(status="paused")
    rewrite(account, 4, rehash=False, at=1)
    run(account)
    assert status(account) == "suspended"


def test_a_newest_page_that_cannot_be_read_is_told() -> None:
    """Nobody can write after it, so the account is stopped already, and no other way."""
    account = busy(3)
    run(account)
    account.do(debit(order("late")))
    version = account.page().version
    rewrite(account, version, rehash=False, at=1)
    pages = dict(account.store.pages[ACCOUNT_ID])
    assert kinds(run(account)) == [(version, "wrong_hash")]
    assert account.store.pages[ACCOUNT_ID] == pages
    assert kinds(run(account, [Finding(version, "modified_page", "the table's stream shows it")])) == [
        (version, "modified_page")
    ]


def test_all_pages_of_an_account_being_gone_is_found() -> None:
    """There is none to write after: it is told again and again."""
    account = busy(3)
    run(account)
    account.store.pages.pop(ACCOUNT_ID)
    for _ in range(2):
        assert kinds(run(account)) == [(5, "missing_page")]
    assert ACCOUNT_ID not in account.store.pages


def test_two_runs_at_once_suspend_once(small: None) -> None:  # noqa: ARG001
    """Whatever store call of one the other comes before."""
    for order_of_two in itertools.product((0, 1), repeat=8):
        account = busy(4, a_day=3)
        rewrite(account, 4, rehash=False, at=1)
        interleave(account, order_of_two, 2)
        while run(account).behind:
            pass
        assert [entry.actor for entry in standings(account)] == ["system:audit"]
        assert days(account)[0].findings == ((4, "wrong_hash"),)


# ---------------------------------------------------------------- records


def test_lost_work_is_found() -> None:
    """The page is there, and the order is not."""
    account = busy(3)
    del account.store.records[ACCOUNT_ID, ("order", "o1")]
    check_suspended(account, run(account), (4, "lost_record"))


def test_work_that_was_put_back_is_found() -> None:
    """It knows less than the page that captured its hold, so it could be captured again."""
    account = opened(1000)
    account.do(hold(order("o1")))
    before = account.store.records[ACCOUNT_ID, ("order", "o1")]
    account.do(capture("o1"))
    account.store.records[ACCOUNT_ID, ("order", "o1")] = before
    check_suspended(account, run(account), (4, "wrong_record"))


def test_a_part_that_was_changed_by_hand_is_found() -> None:
    """A captured part that is open again."""
    account = opened(1000)
    account.do(hold(order("o1")))
    account.do(capture("o1"))
    place = (ACCOUNT_ID, ("order", "o1"))
    stored = json.loads(account.store.records[place])
    stored["parts"]["order"]["status"] = "open"
    account.store.records[place] = json.dumps(stored)
    check_suspended(account, run(account), (4, "wrong_record"))


@pytest.mark.parametrize("kind", ["lost_record", "wrong_record"])
def test_a_lost_or_older_purchase_is_found(kind: str) -> None:
    """Its payment would be granted again."""
    shop = Shop()
    shop.start("b1")
    place = (shop.account_id, ("purchase", "b1"))
    before = shop.store.records[place]
    shop.event("paid")
    if kind == "lost_record":
        del shop.store.records[place]
    else:
        shop.store.records[place] = before
    check_suspended(shop, run(shop), (2, kind))


# ---------------------------------------------------------------- no false alarm


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_whatever_the_product_writes_passes(seed: int, steps: int) -> None:
    """Random commands, several in a page, by a clock that also goes backwards."""
    shop = wander(seed, steps)
    assert run(shop) == Audited(pages=shop.page().version)
    assert reached(shop) == shop.page().version


@dataclass(slots=True)
class Torn:
    """A store whose plain reads do not see all of the last commit yet, as DynamoDB's do not."""

    inner: SimStore

    def __getattr__(self, name: str) -> Any:
        at_one_moment = name in ("snapshot", "commit", "write_day", "put_off")
        return getattr(self.inner if at_one_moment else self.inner.seen(), name)


@dataclass(slots=True)
class Witness:
    """A store that remembers which items its last commit changed, each with what was there before."""

    inner: SimStore
    changed: dict[Any, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def commit(self, account_id: str, page: Page | None, writes: Any, **named: Any) -> None:
        """Remember what is there, and write."""
        records = dict(self.inner.records)
        self.inner.commit(account_id, page, writes, **named)
        self.changed = {
            ("record", place[0], *place[1]): (place, records.get(place))
            for place, text in self.inner.records.items()
            if records.get(place) != text
        }
        if page is not None:
            self.changed["page", account_id, f"{page.version}"] = (page.version, None)


def test_a_commit_under_way_is_no_false_alarm() -> None:
    """Whichever of its items plain reads see already, and whichever they do not."""
    store = SimStore()
    account = Shop(store)
    witness = Witness(store)
    account.do(adjust("auto_order", 9_000))
    account.start("b1")
    steps: list[Command] = [
        debit(order("o1")),
        hold(order("o2", "auto", "bce")),
        capture("o2", parts=["order"]),
        capture("o2", parts=["tracking"]),
        requested("o3", "qtrack"),
        placed("o3"),
    ]
    torn = 0
    for step in steps:
        account.ledger(witness).execute(account.account_id, step)
        for count in range(1, len(witness.changed) + 1):
            for hidden in itertools.combinations(witness.changed, count):
                copy = store.copy()
                copy.hidden = {item: witness.changed[item] for item in hidden}
                assert audit(account.ledger(Torn(copy)), account.account_id).findings == []
                assert copy.pages == store.pages
                torn += 1
        run(account)
    assert torn > 20


def test_a_record_that_plain_reads_show_late_is_looked_at_again() -> None:
    """At one moment with its page; only what is wrong then is a finding."""
    account = opened(1000)
    account.do(hold(order("o1")))
    before = dict(account.store.records)
    account.do(capture("o1"))

    @dataclass(slots=True)
    class Late(Spied):
        """A store whose plain reads of records lag."""

        def read(self, account_id: str, keys: Any) -> Any:
            """What was there before."""
            return MemoryStore(records=before).read(account_id, keys)

    late = Late(account.store)
    assert run(account, store=late).findings == []
    assert "snapshot" in late.names()


def test_uses_are_those_of_the_pages() -> None:
    """A random journal, whose days are told apart by the pages' times."""
    for seed in range(10):
        shop = wander(seed, 60)
        run(shop)
        assert counted(shop) == truth(shop.pages())
        whole = uses_of(shop.pages())
        assert sum((use for day in days(shop) for use in day.uses.values()), Used()) == sum(whole.values(), Used())

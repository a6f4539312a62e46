"""The walk of the sweep: every account is met once, whatever fails and whoever walks beside it, at a bounded cost."""

import json
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from autocredits.bootstrap import catalog
from autocredits.domain.decide import RecordWrite
from autocredits.domain.errors import Problem
from autocredits.domain.journal import Entry, Page, next_page
from autocredits.domain.records import NO_ACCOUNT
from autocredits.domain.usage import DUE_AUDITS
from autocredits.domain.walk import AGAIN_MS, TRIES, Walk
from autocredits.edge import auditing
from autocredits.edge.auditing import audit_alone, go_on_auditing
from autocredits.ledger import walking
from autocredits.ledger.commit import Ledger
from autocredits.ledger.ports import UnavailableError
from autocredits.ledger.time_limit import time_limit
from autocredits.ledger.usage import read_usage
from autocredits.ledger.walking import ITEMS_PER_SCAN, SCANS, WALK, Walked, walk_on
from tests.kit.builders import Account, opened
from tests.kit.memory import ManualClock, MemoryStore
from tests.kit.spied import Spied

CLOCK = ManualClock()


class KilledError(BaseException):
    """The function is killed."""


@pytest.fixture(autouse=True)
def two_a_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two accounts at a time."""
    monkeypatch.setattr(walking, "ITEMS_PER_SCAN", 2)


@pytest.fixture
def many() -> MemoryStore:
    """Eleven accounts that no audit has seen."""
    store = MemoryStore()
    for number in range(11):
        opened(1000, account=Account(store, account_id=f"a{number:02}"))
    return store


def ledger_on(store: object) -> Ledger:
    """A ledger at a fixed time."""
    return Ledger(store, CLOCK, catalog())  # type: ignore[arg-type] # or one that is spied on


def stands(store: MemoryStore) -> Walk:
    """The walk's record."""
    found = store.read(NO_ACCOUNT, [WALK])[WALK]
    assert isinstance(found, Walk)
    return found


def names(first: int, last: int) -> list[str]:
    """The accounts from one to another."""
    return [f"a{number:02}" for number in range(first, last + 1)]


def noting(met: list[str], fails: Callable[[str], bool] = lambda _: False) -> Callable[[str], bool]:
    """Looks at an account by noting it."""

    def look(account_id: str) -> bool:
        met.append(account_id)
        return not fails(account_id)

    return look


@pytest.fixture(autouse=True)
def at_first() -> Iterator[None]:
    """The clock as it began."""
    began_ms = CLOCK.at_ms
    yield
    CLOCK.at_ms = began_ms


# ---------------------------------------------------------------- where it goes


def test_each_run_goes_on_where_the_last_one_stopped(many: MemoryStore) -> None:
    """Four reads of two accounts, then the rest; and then it rests."""
    met: list[str] = []
    assert walk_on(ledger_on(many), noting(met), 0) == Walked(scans=4, accounts=8)
    assert met == names(0, 7)
    assert walk_on(ledger_on(many), noting(met), 0) == Walked(scans=2, accounts=3)
    assert met == names(0, 10)
    assert walk_on(ledger_on(many), noting(met), 0) == Walked()


def test_a_month_after_its_end_the_next_walk_begins(many: MemoryStore) -> None:
    """Not a millisecond earlier."""
    met: list[str] = []
    while walk_on(ledger_on(many), noting(met), 0).scans:
        pass
    CLOCK.at_ms += AGAIN_MS - 1
    assert walk_on(ledger_on(many), noting(met), 0) == Walked()
    CLOCK.at_ms += 1
    met.clear()
    while walk_on(ledger_on(many), noting(met), 0).scans:
        pass
    assert met == names(0, 10)


def test_an_empty_table_is_walked_at_once() -> None:
    """One scan finds that there is nothing."""
    store = MemoryStore()
    assert walk_on(ledger_on(store), noting([]), 0) == Walked(scans=1)
    assert stands(store).rests(CLOCK.at_ms)


def test_a_run_costs_a_bounded_number_of_calls(many: MemoryStore) -> None:
    """One read, four scans and four writes; while it rests one read."""
    spied = Spied(many)
    walk_on(ledger_on(spied), noting([]), 0)
    assert Counter(name for name, *_ in spied.calls) == {"read": 1, "find_accounts": SCANS, "commit": SCANS}
    assert (SCANS, ITEMS_PER_SCAN) == (4, 500)
    walk_on(ledger_on(many), noting([]), 0)
    spied.calls.clear()
    walk_on(ledger_on(spied), noting([]), 0)
    assert [name for name, *_ in spied.calls] == ["read"]


def test_a_walk_that_was_killed_goes_on_where_it_stood(many: MemoryStore) -> None:
    """The accounts of one scan are looked at again, and none is left out."""
    met: list[str] = []

    def killed_at_a05(account_id: str) -> bool:
        if account_id == "a05":
            raise KilledError
        return noting(met)(account_id)

    with pytest.raises(KilledError):
        walk_on(ledger_on(many), killed_at_a05, 0)
    assert met == names(0, 4)
    met.clear()
    walk_on(ledger_on(many), noting(met), 0)
    assert met == names(4, 10)


def test_it_does_not_begin_what_may_not_end(many: MemoryStore) -> None:
    """Neither a scan nor a look at an account; what was not looked at is for the next run."""
    met: list[str] = []
    now_s = 0.0

    def slowly(account_id: str) -> bool:
        nonlocal now_s
        now_s += 10
        return noting(met)(account_id)

    with time_limit(36, lambda: now_s):
        assert walk_on(ledger_on(many), slowly, 15) == Walked(scans=2, accounts=3)
        assert walk_on(ledger_on(many), slowly, 15) == Walked()
    met.clear()
    walk_on(ledger_on(many), noting(met), 0)
    assert met == names(2, 9)


# ---------------------------------------------------------------- what stands in its way


def test_of_two_at_once_the_slower_one_ends(many: MemoryStore) -> None:
    """The worst is that accounts are looked at twice."""
    met: list[str] = []
    other = noting(met)

    def meanwhile(account_id: str) -> bool:
        if account_id == "a00":
            walk_on(ledger_on(many), other, 0)
        return other(account_id)

    assert walk_on(ledger_on(many), meanwhile, 0).scans == 1
    assert met == [*names(0, 7), "a00", "a01"]
    assert walk_on(ledger_on(many), other, 0) == Walked(scans=2, accounts=3)
    assert set(met) == set(names(0, 10))


def test_what_fails_is_tried_again_before_the_walk_goes_on(many: MemoryStore) -> None:
    """Five runs in a row; others of its scan are looked at all the same, and the rest of the table after it."""
    met: list[str] = []
    look = noting(met, lambda account_id: account_id == "a02")
    assert walk_on(ledger_on(many), look, 0) == Walked(scans=2, accounts=4, failed=1)
    for _ in range(TRIES - 2):
        assert walk_on(ledger_on(many), look, 0) == Walked(scans=1, accounts=2, failed=1)
    assert walk_on(ledger_on(many), look, 0) == Walked(scans=4, accounts=8, failed=1)
    assert Counter(met) == Counter(names(0, 9)) + Counter({"a02": TRIES - 1, "a03": TRIES - 1})
    assert stands(many).tries == 0


@pytest.mark.parametrize("call", ["read", "find_accounts", "commit"])
def test_a_table_that_cannot_be_asked_is_told(many: MemoryStore, call: str) -> None:
    """The walk is where it was."""
    spied = Spied(many, {call: [UnavailableError("throttled")]})
    with pytest.raises(UnavailableError):
        walk_on(ledger_on(spied), noting([]), 0)
    met: list[str] = []
    walk_on(ledger_on(many), noting(met), 0)
    assert met == names(0, 7)


def test_the_walk_of_a_newer_form_is_left_alone(many: MemoryStore) -> None:
    """A release that does not know how it stands looks at nothing and writes nothing."""
    newer = Walk(rev=1, unknown={"form": Walk.FORM + 1})
    many.commit(NO_ACCOUNT, None, [RecordWrite(WALK, newer, None)])
    assert walk_on(ledger_on(many), noting([]), 0) == Walked()
    assert stands(many) == newer


def test_a_field_of_a_newer_release_is_carried_on(many: MemoryStore) -> None:
    """Through every step."""
    many.commit(NO_ACCOUNT, None, [RecordWrite(WALK, Walk(rev=1, unknown={"lane": "fast"}), None)])
    walk_on(ledger_on(many), noting([]), 0)
    assert stands(many) == Walk(position="a07", rev=5, unknown={"lane": "fast"})


def test_an_older_record_does_no_harm(many: MemoryStore) -> None:
    """As a restore may bring it back: accounts are looked at once more. One that is gone is no place to stumble at."""
    met: list[str] = []
    walk_on(ledger_on(many), noting([]), 0)
    many.records[NO_ACCOUNT, WALK] = json.dumps({"position": "a02-that-was-lost", "rev": 1})
    walk_on(ledger_on(many), noting(met), 0)
    assert met == names(3, 10)


# ---------------------------------------------------------------- what it finds


def append(account: Account, count: int) -> Page:
    """Write so many pages with an entry that names no record; the last one."""
    page = account.page()
    used = Entry(
        kind="debited", actor="a", unit="auto_order", posted=-1, store_id="s", order_type="auto", tracking="bce"
    )
    for _ in range(count):
        page = next_page(account.account_id, page, account.clock.now_ms(), [used])
        account.store.commit(account.account_id, page, [])
    return page


def test_an_account_that_the_audit_never_reached_is_counted_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """One run of the walk begins it; then it stands in the list, and once its end is near its usage is answered."""
    monkeypatch.setattr(auditing, "count", lambda *_: None)
    account = opened(5000)
    head = append(account, 4_500)
    store, ledger = account.store, account.ledger()
    with pytest.raises(Problem, match="try_again"):
        read_usage(store, head, "2000-01-01")
    walk_on(ledger, lambda account_id: audit_alone(ledger, account_id) is not None, 0)
    [due] = store.list(DUE_AUDITS, NO_ACCOUNT, limit=10)
    for _ in range(2):
        assert go_on_auditing(ledger, due).startswith("audited")
    assert store.list(DUE_AUDITS, NO_ACCOUNT, limit=10) == []
    assert read_usage(store, head, "2000-01-01").newest == head

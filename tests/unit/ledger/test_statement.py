import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocredits.domain.errors import BrokenInvariantError, Problem
from autocredits.domain.journal import Entry, Page, next_page
from autocredits.domain.times import parse_time
from autocredits.ledger import statement
from autocredits.ledger.history import Filters, Line
from autocredits.ledger.ports import StoredPage
from autocredits.ledger.statement import MAX_ENTRIES_READ, Range, lines_of, range_of
from autocredits.ledger.time_limit import OutOfTimeError, time_limit
from tests.kit.memory import MemoryStore

ACCOUNT_ID = "acme"


def grant(unit: str = "auto_order", store_id: str = "s1") -> Entry:
    """An entry of 0.01."""
    return Entry(kind="granted", actor="a", unit=unit, posted=1, store_id=store_id)


def journal(pages: list[tuple[int, int]]) -> tuple[MemoryStore, list[Page]]:
    """A store with pages of these times and numbers of entries."""
    store = MemoryStore()
    made: list[Page] = []
    for at_ms, count in pages:
        units = ("auto_order", "managed")
        entries = [grant(units[number % 2], f"s{number % 2}") for number in range(count)]
        made.append(next_page(ACCOUNT_ID, made[-1] if made else None, at_ms, entries))
        store.commit(ACCOUNT_ID, made[-1], [])
    return store, made


def read(store: MemoryStore, newest: Page, filters: Filters) -> list[Line]:
    """All lines of a statement."""
    return list(lines_of(store, ACCOUNT_ID, range_of(store, newest, filters), filters))


PAGES = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 3)), min_size=1, max_size=10)
TIMES = st.none() | st.integers(-1, 14)


@given(PAGES, TIMES, TIMES, st.none() | st.sampled_from(["auto_order", "managed"]), st.none() | st.just("s1"))
def test_a_statement_has_what_was_asked_for_oldest_first(
    pages: list[tuple[int, int]], from_ms: int | None, to_ms: int | None, unit: str | None, store_id: str | None
) -> None:
    """Each entry of the range once, `from ≤ t < to`, between the page before it and the last page in it."""
    store, made = journal(pages)
    filters = Filters(unit=unit, store_id=store_id, from_ms=from_ms, to_ms=to_ms)
    inside = [page for page in made if (from_ms is None or page.at >= from_ms) and (to_ms is None or page.at < to_ms)]
    wanted = [
        (page.version, index)
        for page in inside
        for index, entry in enumerate(page.entries)
        if unit in (None, entry.unit) and store_id in (None, entry.store_id)
    ]
    assert [(line.page.version, line.index) for line in read(store, made[-1], filters)] == wanted
    found = range_of(store, made[-1], filters)
    if inside:
        before = [page for page in made if page.version < inside[0].version]
        assert found == Range(before[-1] if before else None, inside[-1])
    else:
        assert found.opening == found.closing


def test_a_line_has_the_balance_after_it() -> None:
    """Of its own unit."""
    store, made = journal([(1, 3), (2, 2)])
    balances = [line.balance.posted for line in read(store, made[-1], Filters()) if line.balance]
    assert balances == [1, 1, 2, 3, 2]


def test_a_range_ends_with_the_newest_page_that_was_read() -> None:
    """What is written meanwhile belongs to the next statement."""
    store, made = journal([(1, 1), (2, 1)])
    newest = made[-1]
    store.commit(ACCOUNT_ID, next_page(ACCOUNT_ID, newest, 3, [grant()]), [])
    assert [line.page.version for line in read(store, newest, Filters())] == [1, 2]


def test_a_statement_reads_20000_entries() -> None:
    """And not one more, wanted or not: 422 `range_too_large`, with a time that cuts the range."""
    store, made = journal([(number, 40) for number in range(MAX_ENTRIES_READ // 40)])
    newest = made[-1]
    assert len(read(store, newest, Filters())) == MAX_ENTRIES_READ
    last = next_page(ACCOUNT_ID, newest, 10_000, [grant()])
    store.commit(ACCOUNT_ID, last, [])
    for filters in (Filters(), Filters(unit="finder")):
        with pytest.raises(Problem) as refused:
            read(store, last, filters)
        assert refused.value.code == "range_too_large"
        assert parse_time(refused.value.extra["split_at"]) == 10_000
    assert len(read(store, last, Filters(to_ms=10_000))) == MAX_ENTRIES_READ
    assert len(read(store, last, Filters(from_ms=10_000))) == 1


@given(PAGES)
def test_split_at_leads_through_the_whole_range(pages: list[tuple[int, int]]) -> None:
    """Part after part, no entry is missing and none is twice, as long as no single moment holds too many."""
    pages = [(20 * number + at_ms, count) for number, (at_ms, count) in enumerate(pages)]
    store, made = journal(pages)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statement, "MAX_ENTRIES_READ", 4)
        found: list[tuple[int, int]] = []
        from_ms: int | None = None
        for _ in range(len(pages) + 1):
            to_ms: int | None = None
            while True:
                try:
                    lines = read(store, made[-1], Filters(from_ms=from_ms, to_ms=to_ms))
                    break
                except Problem as problem:
                    assert to_ms is None, "a part that was cut is still too large"
                    to_ms = parse_time(problem.extra["split_at"])
            found += [(line.page.version, line.index) for line in lines]
            if to_ms is None:
                break
            from_ms = to_ms
    assert found == [(page.version, index) for page in made for index in range(len(page.entries))]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_statement_hides_no_gap(number: int) -> None:
    """A page that is missing, or that cannot be read, is a defect and no statement."""
    store, made = journal([(1, 1), (2, 1), (3, 1), (4, 1)])
    text, digest = store.pages[ACCOUNT_ID][number]
    store.pages[ACCOUNT_ID][number] = (text, "0" * 64)
    with pytest.raises(BrokenInvariantError):
        read(store, made[-1], Filters())
    del store.pages[ACCOUNT_ID][number]
    with pytest.raises(BrokenInvariantError):
        read(store, made[-1], Filters())
    store.pages[ACCOUNT_ID][number] = (text, digest)
    assert len(read(store, made[-1], Filters())) == 4


@dataclass(slots=True)
class Watched(MemoryStore):
    """A store whose reads end early, after `most` pages; it notes who reads."""

    most: int = 1_000
    readers: list[threading.Thread] = field(default_factory=list, compare=False)

    def pages_after(self, account_id: str, version: int, limit: int) -> Sequence[StoredPage]:
        """Note the thread, and give few."""
        self.readers.append(threading.current_thread())
        return MemoryStore.pages_after(self, account_id, version, min(limit, self.most))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> tuple[MemoryStore, list[Page]]:
    """Eleven pages, of which a statement reads four at a time."""
    monkeypatch.setattr(statement, "PAGES_PER_READ", 4)
    return journal([(number, 2) for number in range(1, 12)])


@pytest.mark.parametrize("most", [1, 3, 1_000])
@pytest.mark.parametrize(("from_ms", "to_ms"), [(None, None), (3, None), (2, 10), (1, 5)])
def test_many_reads_give_every_page_once(
    few: tuple[MemoryStore, list[Page]], most: int, from_ms: int | None, to_ms: int | None
) -> None:
    """In their order, also where long pages make each of them end early."""
    store = Watched(pages=few[0].pages, most=most)
    found = read(store, few[1][-1], Filters(from_ms=from_ms, to_ms=to_ms))
    assert [line.page.version for line in found] == [n for n in range(from_ms or 1, to_ms or 12) for _ in range(2)]


def test_what_one_read_gives_needs_no_thread(few: tuple[MemoryStore, list[Page]]) -> None:
    """It is read by who asks; more is read ahead by others, at most three reads at a time."""
    store = Watched(pages=few[0].pages)
    read(store, few[1][-1], Filters(from_ms=8))
    assert store.readers == [threading.current_thread()]
    store.readers.clear()
    read(store, few[1][-1], Filters())
    assert len(store.readers) == 3
    assert threading.current_thread() not in store.readers
    assert not any(reader.is_alive() for reader in store.readers)


def test_reading_ahead_ends_with_the_statement(
    few: tuple[MemoryStore, list[Page]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who stops early leaves no thread behind, and has read little more than was used."""
    monkeypatch.setattr(statement, "PAGES_PER_READ", 1)
    store = Watched(pages=few[0].pages)
    lines = lines_of(store, ACCOUNT_ID, Range(None, few[1][-1]), Filters())
    next(lines)
    lines.close()  # type: ignore[attr-defined] # a generator
    assert len(store.readers) <= 1 + statement.READ_AHEAD
    assert not any(reader.is_alive() for reader in store.readers)


def test_reading_ahead_keeps_the_time_limit(few: tuple[MemoryStore, list[Page]]) -> None:
    """A read that might end too late is not begun, whoever would make it."""
    store, made = few
    with time_limit(1.0), pytest.raises(OutOfTimeError):
        list(lines_of(store, ACCOUNT_ID, Range(None, made[-1]), Filters()))


@pytest.mark.parametrize("number", [4, 5, 9, 11])
def test_reading_ahead_hides_no_gap(few: tuple[MemoryStore, list[Page]], number: int) -> None:
    """Wherever in a read it is."""
    store, made = few
    del store.pages[ACCOUNT_ID][number]
    with pytest.raises(BrokenInvariantError):
        list(lines_of(store, ACCOUNT_ID, Range(None, made[-1]), Filters()))

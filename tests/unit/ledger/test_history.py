import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocredits.domain.decide import RecordWrite
from autocredits.domain.errors import BrokenInvariantError, Problem
from autocredits.domain.journal import Entry, Page, next_page
from autocredits.domain.work.record import Work
from autocredits.ledger.history import (
    MAX_PAGES_FILTERED,
    MAX_SECONDS_FILTERED,
    PAGES_PER_READ,
    Filters,
    Line,
    Position,
    list_entries,
    page_at,
    pages_down,
)
from tests.kit.memory import ManualClock, MemoryStore

ACCOUNT_ID = "acme"


def journal(pages: list[tuple[int, list[Entry]]]) -> tuple[MemoryStore, list[Page]]:
    """A store with pages of these times and entries."""
    store = MemoryStore()
    made: list[Page] = []
    for at_ms, entries in pages:
        made.append(next_page(ACCOUNT_ID, made[-1] if made else None, at_ms, entries))
        store.commit(ACCOUNT_ID, made[-1], [])
    for order_id in {entry.order_id for page in made for entry in page.entries if entry.order_id}:
        touched = tuple(page.version for page in made if order_id in {entry.order_id for entry in page.entries})
        work = Work(
            kind="order",
            work_id=order_id,
            store_id="s1",
            status="ordered",
            versions=touched,
            created_at=1,
            updated_at=1,
            status_at=1,
            rev=1,
        )
        store.commit(ACCOUNT_ID, None, [RecordWrite(work.key(), work, None)])
    return store, made


def grant(unit: str = "auto_order", **values: str) -> Entry:
    """An entry of 0.01."""
    return Entry(kind="granted", actor="a", unit=unit, posted=1, **values)  # type: ignore[arg-type]


def walk(store: MemoryStore, filters: Filters, limit: int) -> list[Line]:
    """All lines of a list, asked for page by page."""
    lines: list[Line] = []
    start: Position | None = None
    while True:
        found, start = list_entries(store, ManualClock(), ACCOUNT_ID, filters, start=start, limit=limit)
        assert len(found) <= limit
        lines += found
        if start is None:
            return lines


ENTRIES = st.builds(
    grant,
    unit=st.sampled_from(["auto_order", "managed"]),
    store_id=st.sampled_from(["s1", "s2"]),
    order_id=st.sampled_from(["o1", "o2"]),
)
PAGES = st.lists(st.tuples(st.integers(0, 9), st.lists(ENTRIES, min_size=1, max_size=3)), max_size=8)


@given(PAGES, st.integers(-1, 10))
def test_the_past_is_the_newest_page_up_to_a_time(pages: list[tuple[int, list[Entry]]], at_ms: int) -> None:
    """Up to and including; None before the first page. The halving finds what walking finds."""
    store, made = journal(pages)
    up_to = [page for page in made if page.at <= at_ms]
    assert page_at(store, ACCOUNT_ID, at_ms) == (up_to[-1] if up_to else None)


@given(
    PAGES,
    st.builds(
        Filters,
        unit=st.none() | st.sampled_from(["auto_order", "managed"]),
        kind=st.none() | st.sampled_from(["granted", "held"]),
        store_id=st.none() | st.sampled_from(["s1", "s3"]),
        visible_store_id=st.none() | st.just("s1"),
        order_id=st.none() | st.just("o1"),
        from_ms=st.none() | st.integers(0, 10),
        to_ms=st.none() | st.integers(0, 10),
    ),
    st.integers(1, 5),
)
def test_a_list_is_what_was_asked_for(pages: list[tuple[int, list[Entry]]], filters: Filters, limit: int) -> None:
    """Newest first, also inside a page, in portions of `limit`, each wanted entry once, `from ≤ t < to`."""
    store, made = journal(pages)
    wanted = [
        (page.version, index)
        for page in reversed(made)
        for index, entry in reversed(list(enumerate(page.entries)))
        if filters.unit in (None, entry.unit)
        and filters.kind in (None, entry.kind)
        and filters.store_id in (None, entry.store_id)
        and filters.visible_store_id in (None, entry.store_id)
        and filters.order_id in (None, entry.order_id)
        and (filters.from_ms is None or page.at >= filters.from_ms)
        and (filters.to_ms is None or page.at < filters.to_ms)
    ]
    lines = walk(store, filters, limit)
    assert [(line.page.version, line.index) for line in lines] == wanted
    for line in lines:
        so_far = [entry for page in made[: line.page.version - 1] for entry in page.entries]
        so_far += line.page.entries[: line.index + 1]
        assert line.balance is not None
        assert line.balance.posted == sum(entry.posted for entry in so_far if entry.unit == line.entry.unit)


def test_the_entries_of_an_order_are_read_from_its_pages_alone() -> None:
    """Its record names them, however long the journal is."""
    asked: list[int] = []

    class Spied(MemoryStore):
        def page(self, account_id: str, version: int) -> Page | None:
            asked.append(version)
            return MemoryStore.page(self, account_id, version)

        def pages_before(self, account_id: str, version: int, limit: int) -> list[Page]:
            raise AssertionError(f"{limit} pages of {account_id} below {version} are walked")

    others = [grant(order_id=f"x{number}") for number in range(3)]
    store, made = journal(
        [(number, [grant(order_id="o1") if number in (3, 40) else others[0]]) for number in range(90)]
    )
    spied = Spied(store.pages, store.records)
    lines = walk(spied, Filters(order_id="o1"), 10)
    assert [line.page.version for line in lines] == [41, 4]
    assert set(asked) == {len(made), 41, 4}
    assert walk(spied, Filters(order_id="nobody"), 10) == []


def test_a_lost_page_of_an_order_is_a_broken_invariant() -> None:
    """Never a shorter list."""
    store, _ = journal([(number, [grant(order_id="o1")]) for number in range(5)])
    del store.pages[ACCOUNT_ID][3]
    with pytest.raises(BrokenInvariantError, match="page 3 is missing"):
        walk(store, Filters(order_id="o1"), 10)


def test_a_cursor_in_the_midst_of_a_page_goes_on_there() -> None:
    """Entries of one page may stand on two pages of the list."""
    store, _ = journal([(1, [grant(), grant(), grant()])])
    first, position = list_entries(store, ManualClock(), ACCOUNT_ID, Filters(), start=None, limit=2)
    assert [line.index for line in first] == [2, 1]
    assert position == Position(1, 1)
    second, end = list_entries(store, ManualClock(), ACCOUNT_ID, Filters(), start=position, limit=2)
    assert ([line.index for line in second], end) == ([0], None)


def test_a_cursor_is_not_moved_by_new_entries() -> None:
    """What is entered meanwhile is newer and does not show."""
    store, made = journal([(1, [grant()]), (2, [grant()])])
    _, position = list_entries(store, ManualClock(), ACCOUNT_ID, Filters(), start=None, limit=1)
    store.commit(ACCOUNT_ID, next_page(ACCOUNT_ID, made[-1], 3, [grant()]), [])
    lines, _ = list_entries(store, ManualClock(), ACCOUNT_ID, Filters(), start=position, limit=5)
    assert [line.page.version for line in lines] == [1]


def test_an_account_without_pages_has_no_entries() -> None:
    """An empty list, and its end."""
    assert list_entries(MemoryStore(), ManualClock(), ACCOUNT_ID, Filters(), start=None, limit=5) == ([], None)


def test_a_narrowed_list_stops_after_a_thousand_pages() -> None:
    """It answers what it has, perhaps nothing, and goes on from there; nothing is skipped."""
    store, _ = journal([(1, [grant(store_id="s1")]), *[(1, [grant()])] * (MAX_PAGES_FILTERED + 5)])
    filters = Filters(store_id="s1")
    lines, position = list_entries(store, ManualClock(), ACCOUNT_ID, filters, start=None, limit=5)
    assert (lines, position) == ([], Position(6))
    lines, position = list_entries(store, ManualClock(), ACCOUNT_ID, filters, start=position, limit=5)
    assert ([line.page.version for line in lines], position) == ([1], None)


def test_a_narrowed_list_stops_after_two_seconds() -> None:
    """The clock counts too, but every request looks at one page at least."""

    class Slow(ManualClock):
        def monotonic_s(self) -> float:
            self.waited_s += MAX_SECONDS_FILTERED + 0.1
            return self.waited_s

    store, _ = journal([(1, [grant(store_id="s1")]), (1, [grant()]), (1, [grant()])])
    lines, position = list_entries(store, Slow(), ACCOUNT_ID, Filters(store_id="s1"), start=None, limit=5)
    assert (lines, position) == ([], Position(2))
    lines, position = list_entries(store, Slow(), ACCOUNT_ID, Filters(store_id="s1"), start=Position(1), limit=5)
    assert ([line.page.version for line in lines], position) == ([1], None)


def test_a_list_by_time_alone_is_never_cut_short() -> None:
    """Every page that it reads holds something wanted, so it needs no such end."""
    store, _ = journal([(1, [grant()])] * 150)
    lines, position = list_entries(store, ManualClock(), ACCOUNT_ID, Filters(from_ms=0), start=None, limit=100)
    assert (len(lines), position) == (100, Position(50, 1))


@pytest.mark.parametrize("gone", [1, 2, 149, 150, 250])
def test_a_missing_page_is_a_broken_journal(gone: int) -> None:
    """A gap is never skipped in silence."""
    store, _ = journal([(number, [grant()]) for number in range(1, 301)])
    del store.pages[ACCOUNT_ID][gone]
    with pytest.raises(BrokenInvariantError, match=f"page {gone} is missing"):
        list(pages_down(store, ACCOUNT_ID, 300, PAGES_PER_READ))


def test_a_missing_page_breaks_the_search_for_the_past() -> None:
    """The halving tells a gap that it meets."""
    store, _ = journal([(number, [grant()]) for number in range(1, 4)])
    del store.pages[ACCOUNT_ID][1]
    with pytest.raises(BrokenInvariantError, match="page 1 is missing"):
        page_at(store, ACCOUNT_ID, 1)


def test_a_page_that_was_changed_is_not_shown() -> None:
    """A page that does not match its hash stops the list."""
    store, _ = journal([(1, [grant()]), (2, [grant()])])
    text, stored_hash = store.pages[ACCOUNT_ID][1]
    store.pages[ACCOUNT_ID][1] = (text.replace('"posted": 1', '"posted": 2'), stored_hash)
    with pytest.raises(BrokenInvariantError):
        walk(store, Filters(), 10)


def test_a_position_beyond_the_newest_page_was_made_by_nobody() -> None:
    """A forged cursor is refused as such; it is no gap in the journal."""
    store, _ = journal([(1, [Entry(kind="granted", actor="a", unit="auto_order", posted=100)])])
    with pytest.raises(Problem) as refused:
        list_entries(store, ManualClock(), ACCOUNT_ID, Filters(), start=Position(999, 1), limit=5)
    assert refused.value.code == "invalid_cursor"

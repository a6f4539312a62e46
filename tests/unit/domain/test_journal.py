import copy
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocredits.domain.errors import BrokenInvariantError
from autocredits.domain.journal import (
    KINDS,
    MAX_ENTRIES,
    MAX_PAGE_BYTES,
    NO_PAGE_HASH,
    Entry,
    Page,
    apply,
    canonical_text,
    entry_bytes,
    hash_of,
    next_page,
    page_bytes,
    page_from_map,
)
from autocredits.domain.money import MAX_BALANCE
from autocredits.domain.state import UNITS, Balance, State
from tests.kit.builders import ACCOUNT_ID, NOW_MS, capture, hold, opened, order, state_of

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """An entry that any account may take at any time, with any words on it."""
    kind = draw(st.sampled_from(["granted", "purchased", "loaded", "refused", "standing", "clawed_back"]))
    words: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {"actor": TEXTS},
            optional={
                "reason": TEXTS,
                "order_id": TEXTS,
                "store_id": TEXTS,
                "key": TEXTS,
                "attempt": st.integers(1, 99),
                "cost": st.integers(1, 10**6),
                "expires_at": st.integers(1, 10**13),
            },
        )
    )
    if kind == "standing":
        changes: dict[str, Any] = draw(
            st.sampled_from([{"status": "paused"}, {"low_balance": 200}, {"low_balance": None}])
        )
        return Entry(kind=kind, changes=changes, **words)
    amount = draw(st.integers(1, 10**6))
    posted = {"refused": 0, "clawed_back": -amount}.get(kind, amount)
    return Entry(kind=kind, unit=draw(st.sampled_from(UNITS)), posted=posted, **words)


JOURNALS = st.lists(
    st.tuples(st.integers(-(10**6), 10**6), st.lists(entries(), min_size=1, max_size=4)), min_size=1, max_size=6
)


def journal(drawn: list[tuple[int, list[Entry]]]) -> list[Page]:
    """Pages of the drawn entries, by a clock that is off by so many milliseconds each time."""
    pages: list[Page] = []
    for skew_ms, page_entries in drawn:
        pages.append(next_page(ACCOUNT_ID, pages[-1] if pages else None, NOW_MS + skew_ms, page_entries))
    return pages


@given(JOURNALS)
def test_a_balance_is_the_sum_of_its_entries(drawn: list[tuple[int, list[Entry]]]) -> None:
    """After each page, every unit's balance is what all entries so far add up to."""
    so_far: list[Entry] = []
    for page in journal(drawn):
        so_far += page.entries
        for unit in UNITS:
            mine = [entry for entry in so_far if entry.unit == unit]
            assert page.state.balance(unit).posted == sum(entry.posted for entry in mine)
            assert page.state.balance(unit).held == sum(entry.held for entry in mine)


@given(JOURNALS)
def test_pages_are_numbered_without_gaps_and_linked(drawn: list[tuple[int, list[Entry]]]) -> None:
    """Pages count from 1; each names the hash of the page before, the first one 64 zeros."""
    pages = journal(drawn)
    assert [page.version for page in pages] == list(range(1, len(pages) + 1))
    assert [page.prev for page in pages] == ["0" * 64, *(page.hash for page in pages[:-1])]


@given(JOURNALS)
def test_times_never_run_backwards(drawn: list[tuple[int, list[Entry]]]) -> None:
    """A page's time is the clock's, or that of the page before where the clock is behind it."""
    latest = 0
    for page, (skew_ms, _) in zip(journal(drawn), drawn, strict=True):
        latest = max(latest, NOW_MS + skew_ms)
        assert page.at == latest


@given(JOURNALS)
def test_a_page_survives_being_stored(drawn: list[tuple[int, list[Entry]]]) -> None:
    """The page that is read back from JSON is the one that was stored."""
    for page in journal(drawn):
        again = page_from_map(ACCOUNT_ID, json.loads(json.dumps(page.to_map())), page.hash)
        assert again.entries == page.entries
        assert again.to_map() == page.to_map()
        assert (again.version, again.at, again.prev, again.hash) == (page.version, page.at, page.prev, page.hash)


@given(JOURNALS)
def test_each_entry_shows_the_balance_after_it(drawn: list[tuple[int, list[Entry]]]) -> None:
    """Running balances start where the page before ended, and end where this one does."""
    before = State()
    for page in journal(drawn):
        state = before
        assert [page.state_before().balance(unit) for unit in UNITS] == [before.balance(unit) for unit in UNITS]
        for entry, balance in page.balances_after():
            state = apply(state, entry)
            assert balance == (state.balance(entry.unit) if entry.unit else None)
        before = page.state


def test_entries_of_a_unit_to_come_show_their_balance_too() -> None:
    """A newer release may have more units: older code that reads its pages adds them up."""
    page = next_page(ACCOUNT_ID, None, NOW_MS, [Entry(kind="granted", actor="a", unit="finder", posted=5)])
    stored = page.to_map()
    stored["entries"].append({"kind": "granted", "actor": "a", "unit": "points", "posted": 7})
    stored["state"]["balances"]["points"] = {"posted": 7, "held": 0}
    newer = page_from_map(ACCOUNT_ID, stored, hash_of(ACCOUNT_ID, stored))
    assert [balance for _, balance in newer.balances_after()] == [Balance(5), Balance(7)]


def test_the_state_before_a_page_knows_what_was_held() -> None:
    """Before the page of a hold nothing was held; before the page of its capture, what it took."""
    account = opened(1000)
    account.do(hold(order()))
    assert account.page().state_before().balance("auto_order") == Balance(1000, 0)
    account.do(capture())
    assert account.page().state_before().balance("auto_order") == Balance(1000, 100)


FULL_PAGE = next_page(
    ACCOUNT_ID,
    Page(
        ACCOUNT_ID,
        3,
        NOW_MS,
        (),
        State("paused", "active", 200, {"managed": Balance(10_000, 5000)}),
        "0" * 64,
        "b" * 64,
    ),
    NOW_MS + 1,
    [
        Entry(kind="standing", actor="platform", changes={"status": "active", "low_balance": None}, reason="again"),
        Entry(kind="granted", actor="platform", unit="auto_order", posted=500),
        Entry(
            kind="held",
            actor="engine",
            unit="auto_order",
            held=133,
            reason="why",
            reference="ref",
            order_id="o1",
            product_id="p1",
            store_id="s1",
            part="order",
            order_type="fba",
            tracking="bce",
            rate_card="2024-01",
            attempt=2,
            expires_at=NOW_MS + 5,
            purchase_id="buy",
            cost=2350,
            tracking_number="TBA1",
            supplier_order_id="supplier-1",
            key="k1",
        ),
        Entry(kind="captured", actor="engine", unit="managed", posted=-2110, held=-2350),
    ],
)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every innermost value."""
    if isinstance(value, dict | list) and value:
        for name, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(child, (*path, name))
    else:
        yield path


LEAVES = list(leaves(FULL_PAGE.to_map()))


def changed(stored: dict[str, Any], path: tuple[Any, ...], value: object, *, remove: bool = False) -> dict[str, Any]:
    """The stored form with another value in one place, or without that place."""
    copied = copy.deepcopy(stored)
    inner: Any = copied
    for name in path[:-1]:
        inner = inner[name]
    if remove:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return copied


def test_the_full_page_shows_every_field() -> None:
    """The page that is tampered with below has every field that an entry can have."""
    shown = {name for entry in FULL_PAGE.to_map()["entries"] for name in entry}
    assert shown == set(Entry.__slots__) - {"unknown"}
    page_from_map(ACCOUNT_ID, FULL_PAGE.to_map(), FULL_PAGE.hash)


@pytest.mark.parametrize("path", LEAVES, ids=str)
def test_the_hash_covers_every_stored_field(path: tuple[Any, ...]) -> None:
    """Whatever single value is changed or taken away, the page is refused."""
    stored = FULL_PAGE.to_map()
    value: Any = stored
    for name in path:
        value = value[name]
    others = [None, "x", 0, {}, *([value + 1, value - 1, -value, str(value)] if isinstance(value, int) else [])]
    tampered = [changed(stored, path, other) for other in others if other != value]
    tampered.append(changed(stored, path, None, remove=True))
    for form in tampered:
        with pytest.raises(BrokenInvariantError):
            page_from_map(ACCOUNT_ID, form, FULL_PAGE.hash)


@pytest.mark.parametrize(
    "place", [(), ("state",), ("state", "balances"), ("entries", 0), ("entries", 0, "changes")], ids=str
)
def test_the_hash_covers_fields_that_are_added(place: tuple[Any, ...]) -> None:
    """A field more than was stored is found, wherever it stands."""
    with pytest.raises(BrokenInvariantError):
        page_from_map(ACCOUNT_ID, changed(FULL_PAGE.to_map(), (*place, "more"), 1), FULL_PAGE.hash)


def test_the_hash_covers_the_order_and_number_of_entries() -> None:
    """Entries that are swapped, doubled or taken away are found."""
    stored = FULL_PAGE.to_map()
    rows = stored["entries"]
    for other in (rows[::-1], [*rows, rows[0]], rows[1:], []):
        with pytest.raises(BrokenInvariantError):
            page_from_map(ACCOUNT_ID, stored | {"entries": other}, FULL_PAGE.hash)


def test_the_hash_covers_the_account() -> None:
    """A page in another account's journal is found."""
    with pytest.raises(BrokenInvariantError):
        page_from_map("bolt", FULL_PAGE.to_map(), FULL_PAGE.hash)


def test_a_page_without_one_of_its_fields_is_no_page() -> None:
    """Even under a hash of its own, which covers what is left."""
    for name in ("version", "at", "entries", "state", "prev"):
        stored = {key: value for key, value in FULL_PAGE.to_map().items() if key != name}
        with pytest.raises(BrokenInvariantError):
            page_from_map(ACCOUNT_ID, stored, hash_of(ACCOUNT_ID, stored))


def test_a_stored_field_does_not_stand_in_for_the_account() -> None:
    """A page in another account's journal is found even if it says whose it was."""
    moved = FULL_PAGE.to_map() | {"account_id": ACCOUNT_ID}
    with pytest.raises(BrokenInvariantError):
        page_from_map("bolt", moved, FULL_PAGE.hash)


@pytest.mark.parametrize("account_id", [ACCOUNT_ID, "bolt"])
def test_a_stored_account_is_no_field_of_a_page(account_id: str) -> None:
    """The hash already covers the account's id under that name, and could not cover the field as well."""
    stored = FULL_PAGE.to_map() | {"account_id": account_id}
    with pytest.raises(BrokenInvariantError, match=r"^a page with a field that its hash does not cover$"):
        page_from_map(ACCOUNT_ID, stored, FULL_PAGE.hash)


def test_the_hash_is_known() -> None:
    """It is the SHA-256 of canonical JSON, so anybody can compute it, and it never changes."""
    page = next_page(ACCOUNT_ID, None, 1000, [Entry(kind="granted", actor="\u00e4", unit="auto_order", posted=500)])
    text = (
        '{"account_id":"acme","at":1000,"entries":[{"actor":"\u00e4","kind":"granted","posted":500,"unit":"auto_order"}],'
        f'"prev":"{"0" * 64}","state":{{"balances":{{"auto_order":{{"held":0,"posted":500}}}},'
        '"orders_processor":"inactive","status":"active"},"version":1}'
    )
    assert page.hash == hashlib.sha256(text.encode()).hexdigest()
    assert page.prev == NO_PAGE_HASH


def test_the_order_of_fields_does_not_matter_to_the_hash() -> None:
    """Two ways to store the same fields have the same hash."""
    stored = FULL_PAGE.to_map()
    assert hash_of(ACCOUNT_ID, dict(reversed(stored.items()))) == FULL_PAGE.hash


@given(JOURNALS)
def test_how_long_a_page_becomes_is_known_before_it_is_made(drawn: list[tuple[int, list[Entry]]]) -> None:
    """To the byte, from its entries one by one and the state after them."""
    head: Page | None = None
    for page, (skew_ms, page_entries) in zip(journal(drawn), drawn, strict=True):
        so_far = sum(entry_bytes(entry) for entry in page_entries)
        told = page_bytes(ACCOUNT_ID, head, NOW_MS + skew_ms, page.state, so_far)
        assert told == len(canonical_text(ACCOUNT_ID, page.to_map()).encode())
        head = page


def test_a_page_of_more_than_16_kb_is_a_defect() -> None:
    """In UTF-8, to the byte; shorter ones are never cut."""
    assert MAX_PAGE_BYTES == 16 * 1024
    grant = Entry(kind="granted", actor="\u00e4", unit="auto_order", posted=1)
    empty = len(canonical_text(ACCOUNT_ID, next_page(ACCOUNT_ID, None, NOW_MS, [grant]).to_map()).encode())
    room = MAX_PAGE_BYTES - empty - len(',"reason":""')
    full = next_page(ACCOUNT_ID, None, NOW_MS, [replace(grant, reason="x" * room)])
    assert len(canonical_text(ACCOUNT_ID, full.to_map()).encode()) == MAX_PAGE_BYTES
    with pytest.raises(BrokenInvariantError, match="a page of 16385 bytes"):
        next_page(ACCOUNT_ID, None, NOW_MS, [replace(grant, reason="x" * (room + 1))])


@pytest.mark.parametrize("count", [0, MAX_ENTRIES + 1])
def test_a_page_holds_one_to_49_entries(count: int) -> None:
    """A page without entries, or with more than 49, is never made."""
    grant = Entry(kind="granted", actor="platform", unit="finder", posted=1)
    with pytest.raises(BrokenInvariantError):
        next_page(ACCOUNT_ID, None, NOW_MS, [grant] * count)
    assert len(next_page(ACCOUNT_ID, None, NOW_MS, [grant] * MAX_ENTRIES).entries) == 49


# kind → signed changes (posted, held) that the journal may hold, of an account with 5.00 posted and 2.00 held.
MAY = {
    "granted": [(100, 0)],
    "purchased": [(100, 0)],
    "loaded": [(100, 0)],
    "held": [(0, 100), (0, 300)],
    "captured": [(-100, -100), (0, -100), (-300, -100)],
    "released": [(0, -100), (0, -200)],
    "expired": [(0, -100)],
    "debited": [(-100, 0), (-300, 0)],
    "adjusted": [(100, 0), (-300, 0)],
    "clawed_back": [(-100, 0), (-400, 0)],
    "refused": [(0, 0)],
    "declined": [(0, 0)],
}


@pytest.mark.parametrize("kind", MAY)
def test_each_kind_moves_in_its_own_direction(kind: str) -> None:
    """These changes of posted and held are what the kind is for."""
    state = state_of(500, held=200)
    for posted, held in MAY[kind]:
        after = apply(state, Entry(kind=kind, actor="a", unit="auto_order", posted=posted, held=held))
        assert after.balance("auto_order") == Balance(500 + posted, 200 + held)


@pytest.mark.parametrize(
    ("kind", "posted", "held"),
    [
        (kind, posted, held)
        for kind, wrong in {
            "granted": [(0, 0), (-1, 0), (1, 1), (1, -1)],
            "purchased": [(0, 0), (-1, 0), (1, 1)],
            "loaded": [(0, 0), (-1, 0), (1, 1)],
            "held": [(0, 0), (0, -1), (0, 301), (-1, 1), (1, 1)],
            "captured": [(0, 0), (1, -1), (-1, 0), (-1, 1), (0, -201)],
            "released": [(0, 0), (1, -1), (-1, -1), (0, 1), (0, -201)],
            "expired": [(0, 0), (1, -1), (-1, -1), (0, 1), (0, -201)],
            "debited": [(0, 0), (1, 0), (-301, 0), (-1, 1), (-1, -1)],
            "adjusted": [(0, 0), (-301, 0), (1, 1), (-1, -1)],
            "clawed_back": [(0, 0), (1, 0), (-1, -1)],
            "refused": [(1, 0), (-1, 0), (0, 1), (0, -1)],
            "declined": [(1, 0), (0, -1)],
        }.items()
        for posted, held in wrong
    ],
)
def test_no_kind_moves_otherwise(kind: str, posted: int, held: int) -> None:
    """Other signs, spending more than is available and giving back more than is held break the books."""
    with pytest.raises(BrokenInvariantError):
        apply(state_of(500, held=200), Entry(kind=kind, actor="a", unit="auto_order", posted=posted, held=held))


def test_there_are_no_other_kinds() -> None:
    """The kinds are those of the contract (docs/contract.md, section 5)."""
    assert set(KINDS) == {"opened", "standing", *MAY}
    with pytest.raises(BrokenInvariantError):
        apply(state_of(), Entry(kind="gifted", actor="a", unit="auto_order", posted=1))


@pytest.mark.parametrize("entry", [{"unit": None}, {"unit": "points"}])
def test_what_moves_has_a_known_unit(entry: dict[str, Any]) -> None:
    """An entry that moves names one of the four units."""
    with pytest.raises(BrokenInvariantError):
        apply(state_of(), Entry(kind="granted", actor="a", posted=1, **entry))


@pytest.mark.parametrize("kind", ["opened", "standing"])
def test_standing_moves_nothing(kind: str) -> None:
    """`opened` and `standing` have no unit and change standing alone."""
    after = apply(state_of(), Entry(kind=kind, actor="a", changes={"status": "paused"}))
    assert (after.status, after.balances) == ("paused", state_of().balances)
    for wrong in ({"unit": "finder"}, {"posted": 1}, {"held": 1}):
        with pytest.raises(BrokenInvariantError):
            apply(state_of(), Entry(kind=kind, actor="a", **wrong))


def test_a_balance_may_shrink_below_zero_by_a_clawback_or_a_dear_supplier() -> None:
    """Clawed back and captured entries may take more than there is."""
    for entry in (
        Entry(kind="clawed_back", actor="a", unit="auto_order", posted=-501),
        Entry(kind="captured", actor="a", unit="auto_order", posted=-501, held=-200),
    ):
        assert apply(state_of(500, held=200), entry).balance("auto_order").available() < 0


def test_no_entry_lifts_a_balance_over_the_limit() -> None:
    """1,000,000,000.00 is the most."""
    state = state_of(MAX_BALANCE)
    with pytest.raises(BrokenInvariantError):
        apply(state, Entry(kind="purchased", actor="a", unit="auto_order", posted=1))

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocredits.domain.audit import Finding, Reached, fold
from autocredits.domain.ids import is_caller_id
from autocredits.domain.journal import KINDS, Entry, Page, next_page
from autocredits.domain.state import UNITS
from autocredits.domain.usage import (
    DUE_AUDITS,
    MAX_FINDINGS,
    MAX_PAIRS,
    OTHER_STORES,
    Day,
    Used,
    date_of,
    day_before,
    day_from_map,
    uses_of,
)
from tests.kit.builders import NOW_MS, accepted, adjust, capture, debit, hold, opened, order, product, release, sourcing
from tests.kit.filled import UNKNOWN

DAY = Day(
    date="2026-11-24",
    reached=Reached(7, NOW_MS, "a" * 64),
    uses={("s1", "auto/none"): Used(100, 1), ("s1", "sourcing"): Used(300, 3), (OTHER_STORES, "fba/bce"): Used(7, 2)},
    findings=((3, "wrong_hash"), (4, "broken_link")),
    behind_since=NOW_MS,
    rev=5,
    unknown=UNKNOWN,
)


def spent(store_id: str | None = "s1", amount: int = 100, *, tracking: str = "none") -> Entry:
    """A debit of an order."""
    return Entry(
        kind="debited",
        actor="a",
        unit="auto_order",
        posted=-amount,
        order_id="o",
        store_id=store_id,
        order_type="auto",
        tracking=tracking,
    )


def page_of(*entries: Entry, before: Page | None = None) -> Page:
    """A page of these entries, which a grant pays for."""
    rich = Entry(kind="granted", actor="a", unit="auto_order", posted=1_000_000)
    return next_page("acme", before, NOW_MS, [rich, *entries])


def pages_of(entries: Sequence[Entry]) -> list[Page]:
    """Pages of these entries, as many as it takes."""
    pages: list[Page] = []
    for start in range(0, len(entries), 40):
        pages.append(page_of(*entries[start : start + 40], before=pages[-1] if pages else None))
    return pages


# ---------------------------------------------------------------- what counts


def test_what_was_debited_and_captured_counts() -> None:
    """By store and action: the credits, and how many entries took them."""
    account = opened(10_000, 100_000)
    account.do(debit(order("o1", "auto", "bce")))
    account.do(debit(order("o2", "auto", "bce", store_id="s2")))
    account.do(debit(order("o3", "auto", "bce")))
    account.do(hold(order("o4", "fba", "none")))
    account.do(capture("o4"))
    account.do(sourcing("p1"))
    account.do(accepted("p1"))
    assert uses_of(account.pages()) == {
        ("s1", "auto/bce"): Used(266, 2),
        ("s2", "auto/bce"): Used(133, 1),
        ("s1", "fba/none"): Used(100, 1),
        ("s1", "sourcing"): Used(100, 1),
    }


def test_a_hold_counts_when_it_is_captured_part_by_part() -> None:
    """Nothing while it is open; then each part that was taken, and never one that was given back."""
    account = opened(10_000)
    account.do(hold(order("o1", "auto", "bce")))
    assert uses_of(account.pages()) == {}
    account.do(capture("o1", parts=["order"]))
    assert uses_of(account.pages()) == {("s1", "auto/bce"): Used(100, 1)}
    account.do(release("o1"))
    assert uses_of(account.pages()) == {("s1", "auto/bce"): Used(100, 1)}


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"debited", "captured"}))
def test_nothing_else_counts(kind: str) -> None:
    """No other kind of entry, whatever it moves."""
    entry = replace(spent(), kind=kind)
    page = replace(page_of(), entries=(entry,))
    assert uses_of([page]) == {}


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit != "auto_order"])
def test_other_units_do_not_count(unit: str) -> None:
    """Dollars are paid for products, and rewrites are no orders."""
    page = replace(page_of(), entries=(replace(spent(), unit=unit), spent()))
    assert uses_of([page]) == {("s1", "auto/none"): Used(100, 1)}


def test_taking_by_hand_does_not_count() -> None:
    """An adjustment below zero is no use."""
    account = opened(10_000)
    account.do(adjust("auto_order", -500))
    assert uses_of(account.pages()) == {}


def test_a_product_is_sourcing_whatever_it_is_called() -> None:
    """An order and a product of one id are two."""
    account = opened(10_000)
    account.do(debit(order("x")))
    account.do(debit(product("x")))
    assert set(uses_of(account.pages())) == {("s1", "auto/none"), ("s1", "sourcing")}


# ---------------------------------------------------------------- many stores


def test_a_thousand_pairs_are_told_apart() -> None:
    """What further stores consume is summed up by action; a pair that is known goes on being counted."""
    stores = [f"s{number}" for number in range(MAX_PAIRS + 5)]
    uses = uses_of(pages_of([*(spent(store) for store in stores), spent("s0"), spent("s1002", 7, tracking="bce")]))
    assert len(uses) == MAX_PAIRS + 2
    assert uses["s0", "auto/none"] == Used(200, 2)
    assert uses[stores[MAX_PAIRS - 1], "auto/none"] == Used(100, 1)
    assert uses[OTHER_STORES, "auto/none"] == Used(500, 5)
    assert uses[OTHER_STORES, "auto/bce"] == Used(7, 1)
    assert sum(use.count for use in uses.values()) == len(stores) + 2


def test_no_store_is_called_as_the_others_are() -> None:
    """So a token of a store called "other" sees its own alone."""
    assert not is_caller_id(OTHER_STORES)
    assert OTHER_STORES


ENTRIES = st.lists(
    st.builds(
        spent,
        st.sampled_from(["s1", "s2", "s3", None]),
        st.integers(1, 500),
        tracking=st.sampled_from(["none", "bce", "qtrack"]),
    ),
    max_size=30,
)


@given(ENTRIES, st.integers(0, 30))
def test_every_credit_is_counted_once(entries: list[Entry], cut: int) -> None:
    """The sum over all pairs is what was taken, whatever pages the entries stand in."""
    one, two = page_of(*entries[:cut]), page_of(*entries[cut:])
    uses = uses_of([one, two])
    assert sum(use.credits for use in uses.values()) == sum(-entry.posted for entry in entries)
    assert sum(use.count for use in uses.values()) == len(entries)
    assert uses == uses_of([page_of(*entries)])


@given(ENTRIES, ENTRIES)
def test_a_day_counts_page_by_page_as_all_at_once(first: list[Entry], second: list[Entry]) -> None:
    """And remembers the page that it has come to."""
    one = page_of(*first)
    two = page_of(*second, before=one)
    day = Day(date="2025-11-24")
    for page in (one, two):
        reached, finding = fold(day.reached, page)
        assert finding is None
        day = day.with_page(reached, page)
    assert day.uses == uses_of([one, two])
    assert (day.reached.version, day.reached.hash) == (2, two.hash)


def test_a_day_is_not_changed_by_the_next_page() -> None:
    """What was read before is still as it was read."""
    page = page_of(spent())
    day = Day(date="2025-11-24")
    more = day.with_page(day.reached, page).with_page(day.reached, page)
    assert (day.uses, more.uses) == ({}, {("s1", "auto/none"): Used(200, 2)})


# ---------------------------------------------------------------- the stored form


def test_a_day_is_stored_and_read_back() -> None:
    """With fields that only a later release knows."""
    stored = json.loads(json.dumps(DAY.to_map()))
    assert day_from_map("2026-11-24", stored) == DAY
    assert stored.items() >= UNKNOWN.items()


def test_a_days_state_is_stored_with_it() -> None:
    """With its own unknown fields: the next page is compared with it."""
    page = page_of(spent())
    state = replace(page.state, unknown=UNKNOWN)
    day = Day(date="2025-11-24", reached=Reached(1, NOW_MS, page.hash, state), rev=1)
    assert day_from_map("2025-11-24", json.loads(json.dumps(day.to_map()))) == day


def test_the_stored_form_has_plain_names() -> None:
    """They are for ever."""
    assert DAY.to_map() == {
        **UNKNOWN,
        "version": 7,
        "at": NOW_MS,
        "hash": "a" * 64,
        "state": DAY.to_map()["state"],
        "used": '{"s1":{"auto/none":[100,1],"sourcing":[300,3]},"~":{"fba/bce":[7,2]}}',
        "findings": [[3, "wrong_hash"], [4, "broken_link"]],
        "behind_since": NOW_MS,
        "rev": 5,
    }
    plain = Day(date="2026-11-24", reached=Reached(7, NOW_MS, None, None), rev=1)
    assert plain.to_map() == {"version": 7, "at": NOW_MS, "used": "{}", "rev": 1}


PAIRS = st.tuples(st.from_regex(r"[A-Za-z0-9_.:-]{1,8}", fullmatch=True), st.sampled_from(["auto/none", "sourcing"]))


@given(
    st.dictionaries(PAIRS, st.builds(Used, st.integers(0, 10**12), st.integers(1, 10**6)), max_size=8),
    st.lists(st.tuples(st.integers(1, 10**9), st.sampled_from(["wrong_hash", "lost_record"])), max_size=4),
    st.none() | st.integers(0, 10**13),
)
def test_every_day_is_read_as_it_was_stored(
    uses: dict[tuple[str, str], Used], findings: list[tuple[int, str]], behind_since: int | None
) -> None:
    """Whatever was consumed and found."""
    day = Day(date="2026-01-01", uses=uses, findings=tuple(findings), behind_since=behind_since, rev=1)
    assert day_from_map("2026-01-01", json.loads(json.dumps(day.to_map()))) == day


# ---------------------------------------------------------------- findings, lists, dates


def test_a_finding_is_known_by_its_page_and_kind() -> None:
    """What was told of it does not matter."""
    finding = Finding(3, "wrong_hash", "why")
    day = Day(date="2026-01-01").with_finding(finding)
    assert day.knows(Finding(3, "wrong_hash", "otherwise"))
    assert not day.knows(Finding(4, "wrong_hash", "why"))
    assert not day.knows(Finding(3, "broken_link", "why"))


def test_too_many_findings_are_not_told_apart() -> None:
    """So many pages are wrong that whoever set the account free again knows."""
    day = Day(date="2026-01-01")
    for number in range(1, MAX_FINDINGS):
        day = day.with_finding(Finding(number, "wrong_hash", ""))
    assert not day.knows(Finding(99, "wrong_hash", ""))
    assert day.with_finding(Finding(50, "wrong_hash", "")).knows(Finding(99, "wrong_hash", ""))


def test_the_sweep_finds_it_while_the_audit_is_behind() -> None:
    """Since when that is so; else it stands in no list."""
    [listing] = DAY.listings()
    assert (listing.list, listing.at_ms, listing.item_id) == (DUE_AUDITS, NOW_MS, "2026-11-24")
    assert replace(DAY, behind_since=None).listings() == ()


def test_days_are_utc() -> None:
    """A day begins at midnight there, whatever the summer does."""
    midnight = 1_795_478_400_000
    assert (date_of(midnight - 1), date_of(midnight)) == ("2026-11-23", "2026-11-24")
    assert day_before("2026-03-01") == "2026-02-28"
    assert day_before("2026-01-01") == "2025-12-31"

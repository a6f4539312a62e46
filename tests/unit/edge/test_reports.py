import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocredits.domain.journal import NO_PAGE_HASH, Entry, next_page
from autocredits.domain.money import parse_amount
from autocredits.domain.usage import OTHER_STORES, Used
from autocredits.edge.http import answer
from autocredits.edge.reports import page_view, pages_view, usage_view
from autocredits.ledger.ports import StoredPage
from autocredits.ledger.usage import Usage
from tests.kit.builders import NOW_MS, debit, hold, opened, order, page_of, product, state_of

LAMBDA_BYTES = 6 * 1024 * 1024
USES: Mapping[str, Mapping[tuple[str, str], Used]] = {
    "2026-10-01": {("s1", "auto/none"): Used(900, 9)},
    "2026-11-01": {
        ("s1", "auto/none"): Used(100, 1),
        ("s2", "auto/none"): Used(50, 1),
        ("s1", "sourcing"): Used(200, 2),
    },
    "2026-11-02": {("s1", "auto/none"): Used(100, 1), (OTHER_STORES, "fba/bce"): Used(7, 1)},
    "2026-11-03": {("s9", "auto/none"): Used(1, 1)},
}


def view(by: str, first: str = "2026-11-01", end: str = "2026-11-03", *, available: int = 1000, **more: Any) -> Any:
    """The answer, for an account that has so much."""
    lately = more.get("lately", "2026-11-01")
    usage = Usage(
        {day: dict(uses) for day, uses in USES.items()}, page_of(state_of(available, **more.get("state", {})))
    )
    return usage_view(usage, first, end, by, lately)


def test_usage_by_store() -> None:
    """Stores in their order; what many consumed together is called `other`."""
    assert view("store") == {
        "by": "store",
        "items": [
            {"store": "other", "credits": "0.07", "count": 1},
            {"store": "s1", "credits": "4.00", "count": 4},
            {"store": "s2", "credits": "0.50", "count": 1},
        ],
        "total": "4.57",
        "days_left": 65,
    }


def test_usage_by_action() -> None:
    """Whatever the store."""
    assert view("action")["items"] == [
        {"action": "auto/none", "credits": "2.50", "count": 3},
        {"action": "fba/bce", "credits": "0.07", "count": 1},
        {"action": "sourcing", "credits": "2.00", "count": 2},
    ]


def test_usage_by_day_tells_each_days_actions() -> None:
    """Oldest first; `to` is not among them."""
    assert view("day")["items"] == [
        {
            "day": "2026-11-01",
            "credits": "3.50",
            "count": 4,
            "actions": [
                {"action": "auto/none", "credits": "1.50", "count": 2},
                {"action": "sourcing", "credits": "2.00", "count": 2},
            ],
        },
        {
            "day": "2026-11-02",
            "credits": "1.07",
            "count": 2,
            "actions": [
                {"action": "auto/none", "credits": "1.00", "count": 1},
                {"action": "fba/bce", "credits": "0.07", "count": 1},
            ],
        },
    ]


PAIRS = st.tuples(st.sampled_from(["s1", "s2", OTHER_STORES]), st.sampled_from(["auto/none", "sourcing"]))
DAYS = st.dictionaries(
    st.sampled_from(["2026-10-31", "2026-11-01", "2026-11-02", "2026-11-03"]),
    st.dictionaries(PAIRS, st.builds(Used, st.integers(1, 10**6), st.integers(1, 99)), max_size=6),
)


@given(DAYS)
def test_sums_agree_whatever_they_are_by(days: dict[str, dict[tuple[str, str], Used]]) -> None:
    """Credits as counts, and a day's actions as the day."""
    usage = Usage({day: dict(uses) for day, uses in days.items()}, page_of(state_of()))
    views = [usage_view(usage, "2026-11-01", "2026-11-03", by, "2026-10-31") for by in ("store", "action", "day")]
    inside = [use for day, uses in days.items() if "2026-11-01" <= day < "2026-11-03" for use in uses.values()]
    total = sum(use.credits for use in inside)
    for found in views:
        assert parse_amount(found["total"]) == total
        assert sum(parse_amount(item["credits"]) for item in found["items"]) == total
        assert sum(item["count"] for item in found["items"]) == sum(use.count for use in inside)
        assert found["days_left"] == views[0]["days_left"]
    for item in views[2]["items"]:
        assert sum(parse_amount(one["credits"]) for one in item["actions"]) == parse_amount(item["credits"])
        assert sum(one["count"] for one in item["actions"]) == item["count"]


@pytest.mark.parametrize(("available", "left"), [(0, 0), (15, 0), (16, 1), (4579, 299), (4580, 300), (-500, 0)])
def test_days_left_are_whole_days_rounded_down(available: int, left: int) -> None:
    """At the rate of the last 30 days, of which 4.58 were spent: 0.1526… a day."""
    assert view("store", available=available)["days_left"] == left


def test_days_left_are_of_what_is_available() -> None:
    """What is held is spent already."""
    assert view("store", available=1000, state={"held": 542})["days_left"] == 30


def test_without_a_use_nobody_knows_how_many_days_are_left() -> None:
    """None in the last 30 days, whatever there was before, or is shown."""
    assert view("store", lately="2026-11-04")["days_left"] is None
    assert view("store", first="2026-11-04", end="2026-11-05")["days_left"] is not None


# ---------------------------------------------------------------- pages


def stored_pages() -> list[StoredPage]:
    """The pages of a small account, as they are stored."""
    account = opened(1000)
    account.do(debit(order("o1", "auto", "bce")))
    account.do(hold(product("p1")))
    return list(account.store.pages_after("acme", 0, 100))


def test_a_pages_text_hashes_to_its_hash() -> None:
    """SHA-256 of its UTF-8 bytes; each names the hash before it, the first one 64 zeros."""
    views = pages_view(stored_pages())
    assert [hashlib.sha256(one["page"].encode()).hexdigest() for one in views] == [one["hash"] for one in views]
    assert [one["prev"] for one in views] == [NO_PAGE_HASH, *(one["hash"] for one in views[:-1])]
    assert [one["version"] for one in views] == [1, 2, 3, 4]


def test_a_page_is_shown_with_its_entries_and_state() -> None:
    """The entries as everywhere, the state as it is stored."""
    one = page_view(stored_pages()[2])
    assert set(one) == {"version", "at", "entries", "state", "prev", "hash", "page"}
    assert [(entry["entry_id"], entry["kind"], entry["posted"]) for entry in one["entries"]] == [
        ("3.0", "debited", "-1.33")
    ]
    assert one["state"] == json.loads(one["page"])["state"]
    assert one["at"] == "2025-11-24T16:00:00.000Z"


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"version": 1, "at": NOW_MS},
        {"version": 1, "at": "now", "entries": 7, "state": None, "prev": b"\x00" * 32},
        {"version": 1, "at": 10**30, "entries": [{"posted": b"\x01"}], "state": {"x": b"\x02"}, "prev": "p"},
        {"version": 1, "at": -1, "entries": [{"kind": {1, 2}}], "state": [], "prev": "p"},
    ],
)
def test_a_page_that_cannot_be_read_is_shown_as_it_is_stored(stored: dict[str, Any]) -> None:
    """Without entries, whatever lies there: who verifies the journal has to see it."""
    one = page_view(StoredPage("acme", 3, stored, ""))
    assert (one["version"], one["entries"], one["hash"]) == (3, [], "")
    assert json.loads(json.dumps(one)) == one


@pytest.mark.parametrize("letter", ["a", "\u00e4", "\u20ac", "\U0001f600", '"', "\\", "\x01"])
def test_an_answer_with_pages_is_never_longer_than_a_function_may_answer(letter: str) -> None:
    """As the function returns it, whatever its texts are made of; at least one page of any size is shown."""
    pages: list[StoredPage] = []
    head = None
    for _ in range(100):
        count = max(1, 15_000 // (len(json.dumps(letter * 150, ensure_ascii=False).encode()) + 120))
        entries = [
            Entry(kind="granted", actor="a", unit="finder", posted=1, reason=letter * 150)
            for _ in range(min(49, count))
        ]
        head = next_page("acme", head, NOW_MS, entries)
        pages.append(StoredPage("acme", head.version, head.to_map(), head.hash))
    items = pages_view(pages)
    told = answer(200, {"items": items, "next_cursor": "x" * 100})
    assert len(json.dumps({"statusCode": 200, "body": told.body})) < LAMBDA_BYTES - 10_000
    assert [one["version"] for one in items] == list(range(1, len(items) + 1))
    assert len(items) >= 20


def test_one_page_is_always_shown() -> None:
    """Or a list would never go on."""
    huge = StoredPage("acme", 1, {"x": "y" * 5_000_000}, "")
    assert len(pages_view([huge, huge])) == 1
    assert pages_view([]) == []

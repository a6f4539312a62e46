"""Reading an account: its entries in pages, and its balance as it was."""

import re
from typing import Any

import pytest

from tests.e2e.merchant import Merchant, opened, refusal, work
from tests.kit.stack import Stack


@pytest.fixture(scope="module")
def busy(stack: Stack) -> Merchant:
    """An account with entries of several units, kinds and stores, which no test adds to."""
    merchant = opened(stack, more="20.00", managed="30.00")
    merchant.debit(work(store_id="one"))
    merchant.capture(merchant.held(work("fba", "bce", store_id="two")), managed="20.00")
    merchant.release(merchant.held(work(tracking="qtrack", store_id="one")))
    return merchant


def test_entries_come_newest_first_whatever_the_page(busy: Merchant) -> None:
    """One at a time they are the same as all together, and so is the sequence inside a page of the journal."""
    entries = busy.entries()
    ids = [tuple(map(int, entry["entry_id"].split("."))) for entry in entries]
    assert ids == sorted(ids, reverse=True)
    assert busy.entries(limit=1) == entries
    assert [entry["at"] for entry in entries] == sorted((entry["at"] for entry in entries), reverse=True)


@pytest.mark.parametrize(
    "filters",
    [{"unit": "managed"}, {"kind": "held"}, {"store_id": "two"}, {"kind": "captured", "unit": "auto_order"}],
    ids=str,
)
def test_filters_let_through_what_they_name(busy: Merchant, filters: dict[str, str]) -> None:
    """All of it and nothing else, in pages of one as well."""
    wanted = [entry for entry in busy.entries() if filters.items() <= entry.items()]
    assert wanted
    assert busy.entries(**filters) == busy.entries(limit=1, **filters) == wanted


def test_a_range_holds_its_start_and_not_its_end(busy: Merchant) -> None:
    """`from` ≤ t < `to`."""
    entries = busy.entries()
    middle = entries[3]["at"]
    assert busy.entries(**{"from": middle}) == [entry for entry in entries if entry["at"] >= middle]
    assert busy.entries(to=middle) == [entry for entry in entries if entry["at"] < middle]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("limit=0", 422, "invalid_limit"),
        ("limit=101", 422, "invalid_limit"),
        ("limit=1.0", 422, "invalid_limit"),
        ("limit=%D9%A5", 422, "invalid_limit"),
        ("limit=5&limit=5", 422, "invalid_limit"),
        ("unit=gold", 422, "invalid_field"),
        ("unit=auto_order&unit=managed", 422, "invalid_field"),
        ("kind=", 422, "invalid_field"),
        ("from=2026-02-30T00:00:00Z", 422, "invalid_field"),
        ("to=2026-01-01", 422, "invalid_field"),
        ("from=2026-01-01T00:00:00", 422, "invalid_field"),
        ("order_id=a%20b", 422, "invalid_id"),
        ("colour=red", 422, "unknown_field"),
        ("cursor=", 400, "invalid_cursor"),
        ("cursor=abc", 400, "invalid_cursor"),
        ("cursor=a!b", 400, "invalid_cursor"),
    ],
)
def test_query_parameters_are_checked(busy: Merchant, query: str, status: int, code: str) -> None:
    """Unknown, repeated and malformed ones are refused."""
    assert refusal(busy.call("GET", f"/entries?{query}")) == (status, code)


def test_a_cursor_is_bound_to_account_and_filters(stack: Stack, busy: Merchant) -> None:
    """Elsewhere, or with a letter changed, it is 400 `invalid_cursor`."""
    cursor = busy.call("GET", "/entries", params={"limit": "2"}).json()["next_cursor"]
    assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)
    changed = ("A" if cursor[0] != "A" else "B") + cursor[1:]
    tries: list[tuple[Merchant, dict[str, Any]]] = [
        (opened(stack), {"cursor": cursor}),
        (busy, {"cursor": cursor, "unit": "managed"}),
        (busy, {"cursor": changed}),
        (busy, {"cursor": cursor + "A"}),
    ]
    for merchant, query in tries:
        assert refusal(merchant.call("GET", "/entries", params=query)) == (400, "invalid_cursor")


def test_the_balance_at_an_entry_is_the_balance_after_it(busy: Merchant) -> None:
    """`at` means up to and including, for the unit's balance and the version."""
    entries = busy.entries(unit="auto_order")
    for entry in entries:
        last = next(other for other in entries if other["at"] == entry["at"])
        then = busy.standing(at=entry["at"])
        assert (then["balances"]["auto_order"], then["version"]) == (last["balance"], last["version"])
    assert busy.standing(at=busy.entries()[0]["at"])["hash"] == busy.standing()["hash"]


def test_before_the_first_page_there_is_nothing(busy: Merchant) -> None:
    """Zeros of every unit, and version 0."""
    before = busy.standing(at="2020-01-01T00:00:00Z")
    nothing = {"posted": "0.00", "held": "0.00", "available": "0.00"}
    assert before["version"] == 0
    assert before["balances"] == dict.fromkeys(("auto_order", "ai_rewrite", "finder", "managed"), nothing)

from collections.abc import Callable
from typing import Any

import pytest

from autocredits.domain.access import Caller
from autocredits.domain.errors import Problem
from autocredits.domain.times import DAY_MS
from autocredits.edge.cursors import encode_cursor
from autocredits.edge.queries import (
    AT,
    ENTRIES,
    JOURNAL,
    ORDERS,
    PURCHASES,
    USAGE,
    EntriesQuery,
    StatementQuery,
    check_at,
    parse_at,
    parse_entries,
    parse_filters,
    parse_journal,
    parse_orders,
    parse_purchases,
    parse_usage,
)
from autocredits.edge.requests import Call, QueryForm
from autocredits.ledger.history import Filters, Position
from autocredits.ledger.ports import list_position


def test_no_filters_want_everything() -> None:
    """Nothing asked for, nothing narrowed."""
    assert parse_filters({}, None) == Filters()
    assert not parse_filters({}, None).narrows()


def test_filters_are_understood() -> None:
    """Unit, kind, store, order, from and to; a range is `from ≤ t < to` on whole milliseconds."""
    query = {
        "unit": "managed",
        "kind": "captured",
        "store_id": "s1",
        "order_id": "o1",
        "from": "1970-01-01T00:00:01Z",
        "to": "1970-01-01T00:00:02.0005Z",
    }
    filters = parse_filters(query, "s2")
    assert filters == Filters(
        unit="managed", kind="captured", store_id="s1", order_id="o1", visible_store_id="s2", from_ms=1000, to_ms=2001
    )
    assert filters.narrows()


@pytest.mark.parametrize("visible_store_id", ["s1", ""])
def test_a_bound_token_narrows_the_list(visible_store_id: str) -> None:
    """Pages may have to be read that hold nothing of its store, also where no store can have that name."""
    assert parse_filters({}, visible_store_id).narrows()


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("unit", "credits", "invalid_field"),
        ("unit", "", "invalid_field"),
        ("unit", "Managed", "invalid_field"),
        ("kind", "gifted", "invalid_field"),
        ("kind", "", "invalid_field"),
        ("store_id", "", "invalid_id"),
        ("store_id", "a#b", "invalid_id"),
        ("order_id", "a b", "invalid_id"),
        ("order_id", "x" * 65, "invalid_id"),
        ("from", "", "invalid_field"),
        ("from", "yesterday", "invalid_field"),
        ("to", "2026-11-01", "invalid_field"),
    ],
)
def test_a_bad_filter_is_refused(name: str, value: str, code: str) -> None:
    """422 by its own code."""
    with pytest.raises(Problem) as refused:
        parse_filters({name: value}, None)
    assert (refused.value.code, refused.value.status) == (code, 422)


@pytest.mark.parametrize(
    "kind",
    ["opened", "granted", "purchased", "loaded", "held", "captured", "released", "expired", "debited", "refused", "declined", "adjusted", "clawed_back", "standing"],
)  # fmt: skip
def test_every_kind_of_the_contract_may_be_asked_for(kind: str) -> None:
    """Fourteen kinds."""
    assert parse_filters({"kind": kind}, None).kind == kind


# ---------------------------------------------------------------- lists


def call(
    query: dict[str, str],
    *,
    account_id: str = "acme",
    store_id: str | None = None,
    headers: dict[str, str] | None = None,
) -> Call:
    """A call with this query, about an account, perhaps by a token that is bound to a store."""
    return Call({"headers": headers or {}}, Caller("u1", account_id, store_id), {"account_id": account_id}, query)


@pytest.mark.parametrize("status", ["queued", "processing", "ordered", "shipped", "failed"])
def test_orders_are_listed_by_any_of_five_statuses(status: str) -> None:
    """Or by none."""
    assert parse_orders(call({"status": status})).status == status
    assert parse_orders(call({})).status is None


@pytest.mark.parametrize("status", ["", "accepted", "Failed", "failed,queued"])
def test_there_is_no_other_status(status: str) -> None:
    """422 `invalid_field`."""
    with pytest.raises(Problem) as refused:
        parse_orders(call({"status": status}))
    assert refused.value.code == "invalid_field"


PARSERS: dict[str, Callable[[Call], Any]] = {
    "entries": parse_entries,
    "orders": parse_orders,
    "purchases": parse_purchases,
}


@pytest.mark.parametrize("name", PARSERS)
def test_a_list_begins_at_its_beginning_with_50(name: str) -> None:
    """Unless a cursor or a limit says otherwise."""
    query = PARSERS[name](call({}))
    assert (query.start or None, query.limit) == (None, 50)
    assert PARSERS[name](call({"limit": "7"})).limit == 7


@pytest.mark.parametrize("name", PARSERS)
def test_a_limit_is_checked_before_a_cursor(name: str) -> None:
    """422 `invalid_limit`, then 400 `invalid_cursor`."""
    for query, code in (({"limit": "0", "cursor": "x"}, "invalid_limit"), ({"cursor": "x"}, "invalid_cursor")):
        with pytest.raises(Problem) as refused:
            PARSERS[name](call(query))
        assert refused.value.code == code


def position_in(name: str) -> Position | str:
    """A place in a list of the kind."""
    return Position(7, 3) if name == "entries" else list_position(1_764_000_000_000, "o1")


@pytest.mark.parametrize("name", PARSERS)
def test_a_cursor_goes_on_in_the_list_that_it_was_made_for(name: str) -> None:
    """Of this account; another account's is refused."""
    binding = PARSERS[name](call({})).binding
    cursor = encode_cursor(position_in(name), binding)
    assert cursor is not None
    assert PARSERS[name](call({"cursor": cursor})).start == position_in(name)
    with pytest.raises(Problem, match="invalid_cursor"):
        PARSERS[name](call({"cursor": cursor}, account_id="bolt"))


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("entries", call({"unit": "finder"})),
        ("entries", call({"from": "2026-01-01T00:00:00Z"})),
        ("entries", call({}, store_id="s1")),
        ("orders", call({"status": "failed"})),
        ("orders", call({}, store_id="s1")),
    ],
)
def test_a_cursor_is_bound_to_what_is_listed(name: str, other: Call) -> None:
    """Other filters, or a token that sees less, make another list."""
    assert PARSERS[name](other).binding != PARSERS[name](call({})).binding


def test_a_list_of_orders_is_none_of_purchases() -> None:
    """Their cursors look the same, and are bound to one of them."""
    assert parse_orders(call({})).binding != parse_purchases(call({})).binding


def test_entries_are_narrowed_to_the_tokens_store() -> None:
    """Beside the store that is asked for."""
    filters = parse_entries(call({"store_id": "s2"}, store_id="s1")).filters
    assert (filters.store_id, filters.visible_store_id) == ("s2", "s1")


def test_a_balance_is_asked_for_now_or_at_a_time() -> None:
    """In whole milliseconds; what is no time is 422 `invalid_field`."""
    assert parse_at(call({})) is None
    assert parse_at(call({"at": "1970-01-01T00:00:01.0009Z"})) == 1000
    with pytest.raises(Problem, match="invalid_field"):
        parse_at(call({"at": "yesterday"}))


def test_a_balance_may_be_asked_for_a_minute_ahead() -> None:
    """Clocks differ; what lies further ahead is 422 `invalid_field`."""
    check_at(60_000, 0)
    check_at(-1, 0)
    with pytest.raises(Problem, match="invalid_field"):
        check_at(60_001, 0)


# ---------------------------------------------------------------- statements


@pytest.mark.parametrize(
    "accept", ["text/csv", "TEXT/CSV", "text/csv; charset=utf-8", "application/json, text/csv;q=0.9"]
)
def test_a_statement_is_asked_for_by_what_the_caller_accepts(accept: str) -> None:
    """With the same filters as the list, narrowed to the token's store."""
    asked = call({"unit": "managed", "store_id": "s2"}, store_id="s1", headers={"Accept": accept})
    assert parse_entries(asked) == StatementQuery(Filters(unit="managed", store_id="s2", visible_store_id="s1"))


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/*", "text/plain", ""])
def test_anything_else_is_a_list(accept: str) -> None:
    """Nobody gets a statement unasked."""
    assert isinstance(parse_entries(call({}, headers={"accept": accept})), EntriesQuery)


@pytest.mark.parametrize("name", ["limit", "cursor"])
def test_a_statement_takes_neither_limit_nor_cursor(name: str) -> None:
    """It is whole, or refused: 422 `invalid_field`."""
    with pytest.raises(Problem, match="invalid_field"):
        parse_entries(call({name: "10"}, headers={"accept": "text/csv"}))


# ---------------------------------------------------------------- usage

TODAY_MS = 1_795_478_400_000  # 2026-11-24, midnight


def days_of(query: dict[str, str], now_ms: int = TODAY_MS) -> tuple[str, str]:
    """The first day that is meant, and the one after the last."""
    return parse_usage(call(query)).days(now_ms)


@pytest.mark.parametrize("now_ms", [TODAY_MS, TODAY_MS + DAY_MS - 1])
def test_usage_is_of_the_last_30_days_with_today(now_ms: int) -> None:
    """Unless told; by UTC, at whatever hour."""
    assert days_of({}, now_ms) == ("2026-10-26", "2026-11-25")


def test_usage_goes_from_one_day_to_before_another() -> None:
    """With one of them left out, `to` ends with today, `from` is 30 days before `to`."""
    assert days_of({"from": "2026-11-01", "to": "2026-11-02"}) == ("2026-11-01", "2026-11-02")
    assert days_of({"from": "2026-11-20"}) == ("2026-11-20", "2026-11-25")
    assert days_of({"to": "2026-03-01"}) == ("2026-01-30", "2026-03-01")


def test_usage_is_of_366_days_at_most() -> None:
    """A leap year is read at once; more, or none at all, is 422 `invalid_field`."""
    assert days_of({"from": "2024-01-01", "to": "2025-01-01"}) == ("2024-01-01", "2025-01-01")
    for query in (
        {"from": "2024-01-01", "to": "2025-01-02"},
        {"from": "2026-11-24", "to": "2026-11-24"},
        {"from": "2026-11-25", "to": "2026-11-24"},
        {"from": "2026-11-25"},
        {"from": "2020-01-01"},
    ):
        with pytest.raises(Problem, match="invalid_field"):
            days_of(query)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "today",
        "2026-11-1",
        "2026-02-30",
        "2026-13-01",
        "0000-01-01",
        "2026-11-01T00:00:00Z",
        "2026-11-01\n",
        "20261101",
    ],
)
def test_a_day_has_one_form(text: str) -> None:
    """422 `invalid_field`, for either end."""
    for name in ("from", "to"):
        with pytest.raises(Problem, match="invalid_field"):
            parse_usage(call({name: text}))


@pytest.mark.parametrize("by", ["store", "action", "day"])
def test_usage_is_summed_up_as_asked(by: str) -> None:
    """By store unless told; nothing else is known."""
    assert parse_usage(call({"by": by})).by == by
    assert parse_usage(call({})).by == "store"
    for other in ("", "stores", "STORE", "unit"):
        with pytest.raises(Problem, match="invalid_field"):
            parse_usage(call({"by": other}))


def test_usage_is_that_of_the_tokens_store() -> None:
    """A token that is bound to none sees all of it."""
    assert parse_usage(call({}, store_id="s1")).store_id == "s1"
    assert parse_usage(call({})).store_id is None


# ---------------------------------------------------------------- the journal


def test_a_journal_begins_after_a_page() -> None:
    """With the first one unless told."""
    assert (parse_journal(call({})).after, parse_journal(call({})).limit) == (0, 50)
    asked = parse_journal(call({"after": "999999999999", "limit": "7"}))
    assert (asked.after, asked.limit) == (999_999_999_999, 7)


@pytest.mark.parametrize("after", ["", "-1", "01", "1.0", "+1", " 1", "1\n", "x", "\u0661", "1000000000000"])
def test_a_pages_number_has_one_form(after: str) -> None:
    """422 `invalid_field`."""
    with pytest.raises(Problem, match="invalid_field"):
        parse_journal(call({"after": after}))


def test_a_journals_cursor_is_bound_to_where_it_began() -> None:
    """It goes on after its page, and works for no other beginning, list or account."""
    asked = parse_journal(call({"after": "3"}))
    cursor = encode_cursor("page.12", asked.binding)
    assert cursor is not None
    assert parse_journal(call({"after": "3", "cursor": cursor})).after == 12
    for query in ({"cursor": cursor}, {"after": "4", "cursor": cursor}):
        with pytest.raises(Problem, match="invalid_cursor"):
            parse_journal(call(query))
    for parse in (parse_purchases, parse_orders, parse_entries):
        with pytest.raises(Problem, match="invalid_cursor"):
            parse(call({"cursor": cursor}))


@pytest.mark.parametrize("place", ["page.0", "page.01", "page.", "12", "page.1000000000000", "12.3"])
def test_a_journals_cursor_is_not_made_up(place: str) -> None:
    """400 `invalid_cursor`."""
    cursor = encode_cursor(place, parse_journal(call({})).binding)
    assert cursor is not None
    with pytest.raises(Problem, match="invalid_cursor"):
        parse_journal(call({"cursor": cursor}))


@pytest.mark.parametrize(
    ("form", "names"),
    [
        (AT, {"at"}),
        (ENTRIES, {"limit", "cursor", "unit", "kind", "store_id", "order_id", "from", "to"}),
        (ORDERS, {"limit", "cursor", "status"}),
        (PURCHASES, {"limit", "cursor"}),
        (USAGE, {"from", "to", "by"}),
        (JOURNAL, {"limit", "cursor", "after"}),
    ],
)
def test_a_query_has_the_names_of_the_contract(form: QueryForm, names: set[str]) -> None:
    """Any other is refused before this."""
    assert set(form.names) == names

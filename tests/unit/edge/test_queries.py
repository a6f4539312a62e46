from collections.abc import Callable

import pytest

from autocredits.domain.access import Caller
from autocredits.domain.errors import Problem
from autocredits.edge.cursors import encode_cursor
from autocredits.edge.queries import (
    AT,
    ENTRIES,
    ORDERS,
    PURCHASES,
    EntriesQuery,
    ListQuery,
    parse_at,
    parse_entries,
    parse_filters,
    parse_orders,
    parse_purchases,
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


def call(query: dict[str, str], *, account_id: str = "acme", store_id: str | None = None) -> Call:
    """A call with this query, about an account, perhaps by a token that is bound to a store."""
    return Call({}, Caller("u1", account_id, store_id), {"account_id": account_id}, query)


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


PARSERS: dict[str, Callable[[Call], EntriesQuery | ListQuery]] = {
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


@pytest.mark.parametrize(
    ("form", "names"),
    [
        (AT, {"at"}),
        (ENTRIES, {"limit", "cursor", "unit", "kind", "store_id", "order_id", "from", "to"}),
        (ORDERS, {"limit", "cursor", "status"}),
        (PURCHASES, {"limit", "cursor"}),
    ],
)
def test_a_query_has_the_names_of_the_contract(form: QueryForm, names: set[str]) -> None:
    """Any other is refused before this."""
    assert set(form.names) == names

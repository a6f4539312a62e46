import pytest

from autocredits.domain.errors import Problem
from autocredits.edge.queries import parse_filters, parse_order_status
from autocredits.ledger.history import Filters


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


@pytest.mark.parametrize("status", ["queued", "processing", "ordered", "shipped", "failed"])
def test_orders_are_listed_by_any_of_five_statuses(status: str) -> None:
    """Or by none."""
    assert parse_order_status({"status": status}) == status
    assert parse_order_status({}) is None


@pytest.mark.parametrize("status", ["", "accepted", "Failed", "failed,queued"])
def test_there_is_no_other_status(status: str) -> None:
    """422 `invalid_field`."""
    with pytest.raises(Problem) as refused:
        parse_order_status({"status": status})
    assert refused.value.code == "invalid_field"

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocredits.domain.errors import Problem
from autocredits.edge.cursors import binding_of, decode_entry_cursor, decode_list_cursor, encode_cursor, parse_limit
from autocredits.ledger.history import Filters, Position
from autocredits.ledger.ports import list_position

BINDING = binding_of("acme", Filters(unit="finder"))


@pytest.mark.parametrize(("text", "limit"), [(None, 50), ("1", 1), ("50", 50), ("99", 99), ("100", 100)])
def test_a_limit_is_from_1_to_100(text: str | None, limit: int) -> None:
    """50 unless told."""
    assert parse_limit(text) == limit


@pytest.mark.parametrize(
    "text", ["", "0", "101", "1000", "-1", "+1", "01", "1.0", "1e1", " 1", "1\n", "ten", "\u0661", "1_0"]
)
def test_everything_else_is_no_limit(text: str) -> None:
    """422 `invalid_limit`."""
    with pytest.raises(Problem) as refused:
        parse_limit(text)
    assert (refused.value.code, refused.value.status) == ("invalid_limit", 422)


@given(st.integers(1, 10**12 - 1), st.integers(0, 49))
def test_a_cursor_leads_back_to_its_place(version: int, below: int) -> None:
    """What was written is read, out of `[A-Za-z0-9_-]+`."""
    cursor = encode_cursor(Position(version, below), BINDING)
    assert cursor is not None
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
    assert decode_entry_cursor(cursor, BINDING) == Position(version, below)


@given(st.integers(0, 10**14 - 1), st.from_regex(r"[A-Za-z0-9_.:-]{1,64}", fullmatch=True))
def test_a_cursor_of_a_list_leads_back_to_its_place(at_ms: int, order_id: str) -> None:
    """Whatever the order or purchase is called."""
    position = list_position(at_ms, order_id)
    cursor = encode_cursor(position, BINDING)
    assert decode_list_cursor(cursor, BINDING) == position


def test_a_list_without_more_has_no_cursor() -> None:
    """None at the end, and none is needed for the beginning."""
    assert encode_cursor(None, BINDING) is None
    assert decode_entry_cursor(None, BINDING) is None
    assert decode_list_cursor(None, BINDING) == ""


@pytest.mark.parametrize(
    "other",
    [
        binding_of("bolt", Filters(unit="finder")),
        binding_of("acme", Filters()),
        binding_of("acme", Filters(kind="finder")),
        "",
    ],
)
def test_a_cursor_is_bound_to_account_and_filters(other: str) -> None:
    """Elsewhere it is 400 `invalid_cursor`."""
    cursor = encode_cursor(Position(7, 3), BINDING)
    with pytest.raises(Problem) as refused:
        decode_entry_cursor(cursor, other)
    assert (refused.value.code, refused.value.status) == ("invalid_cursor", 400)


def encoded(text: str) -> str:
    """The text as a cursor would carry it."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "", "a", "!", "a b", "abc=", "\u00e4", "x" * 201, "____", encoded("7.3"), encoded(f"7.3{BINDING}"), encoded(f"0.3 {BINDING}"),
        encoded(f"-1.3 {BINDING}"), encoded(f"7.-3 {BINDING}"), encoded(f"7.100 {BINDING}"), encoded(f"7 {BINDING}"),
        encoded(f"7.3\n {BINDING}"), encoded(f"07.3 {BINDING}"), encoded(f"\u0667.3 {BINDING}"), encoded(f"7.3 {BINDING} "),
        encoded(f"00000000000007#o1 {BINDING}"),
    ],
)  # fmt: skip
def test_everything_else_is_no_cursor(cursor: str) -> None:
    """400 `invalid_cursor`, whatever is sent."""
    with pytest.raises(Problem) as refused:
        decode_entry_cursor(cursor, BINDING)
    assert refused.value.code == "invalid_cursor"


@pytest.mark.parametrize("where", ["7.3", "7#o1", "00000000000007#", "00000000000007#a/b", "00000000000007o1"])
def test_a_cursor_of_another_list_leads_nowhere(where: str) -> None:
    """A list of orders or purchases takes no place of another form."""
    with pytest.raises(Problem) as refused:
        decode_list_cursor(encoded(f"{where} {BINDING}"), BINDING)
    assert refused.value.code == "invalid_cursor"

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocredits.domain.errors import Problem
from autocredits.edge.json_body import MAX_DEPTH, canonical_json, parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def clean(value: object) -> bool:
    """Whether no text in it holds what stands for broken UTF-8."""
    return not {"\ufffd", "\ufeff"} & set(json.dumps(value, ensure_ascii=False))


@given(VALUES.filter(clean), st.booleans(), st.integers(0, 2))
def test_json_is_read_and_has_one_spelling(value: Any, ascii_only: bool, indent: int) -> None:  # noqa: FBT001 - drawn
    """However a value is written, it is read as itself, and its canonical text is the same."""
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent or None)
    assert parse_json(text) == value
    assert canonical_json(parse_json(text)) == canonical_json(value)


def test_the_sequence_of_fields_and_escapes_do_not_matter() -> None:
    """Two spellings of one request have one fingerprint."""
    one, other = '{"a": 1, "b": "\\u00e4\\/"}', '{"b":"\u00e4/","a":1}'
    assert canonical_json(parse_json(one)) == canonical_json(parse_json(other))


@pytest.mark.parametrize(
    "pair", [('{"a": 1}', '{"a": "1"}'), ("[1, 2]", "[2, 1]"), ('{"a": null}', "{}"), ("[1]", "[true]")]
)
def test_what_differs_has_another_spelling(pair: tuple[str, str]) -> None:
    """Different values are never taken for one."""
    one, other = pair
    assert canonical_json(parse_json(one)) != canonical_json(parse_json(other))


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "{", "{]", "[1,]", '{"a"}', "{'a': 1}", "nul", "NaN", "Infinity", "-Infinity", "[NaN]", "01", "+1", "1 2",
        '{"a": 1, "a": 1}', '{"a": {"b": 1, "b": 2}}', '[{"a": 1, "\\u0061": 2}]', '"\x01"', "\x00", "9" * 5000,
        "[" * 100_000, '{"a":' * 100_000,
    ],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_what_is_not_json_is_refused(text: str) -> None:
    """400 `invalid_json`: also a name twice, numbers that JSON has not, digits and depth without end."""
    with pytest.raises(Problem) as refused:
        parse_json(text)
    assert (refused.value.code, refused.value.status) == ("invalid_json", 400)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting_ends_at_32(opening: str, closing: str) -> None:
    """32 levels are read, 33 are not."""
    inner = "1" if opening == "[" else '"x"'
    parse_json(opening * MAX_DEPTH + inner + closing * MAX_DEPTH)
    with pytest.raises(Problem, match="deeper"):
        parse_json(opening * (MAX_DEPTH + 1) + inner + closing * (MAX_DEPTH + 1))
    assert MAX_DEPTH == 32


@pytest.mark.parametrize(
    "text", ['{"a": "\ufffd"}', '\ufeff{"a": 1}', '{"a": "\ufeff"}', '{"a": "\\ud800"}', '{"\\udfff": 1}']
)
def test_broken_text_is_refused(text: str) -> None:
    """400 `invalid_encoding`: U+FFFD, a byte order mark, half a surrogate pair."""
    with pytest.raises(Problem) as refused:
        parse_json(text)
    assert (refused.value.code, refused.value.status) == ("invalid_encoding", 400)


def test_numbers_with_a_point_are_never_floats() -> None:
    """No float anywhere."""
    assert parse_json("[1.10, 1e2, 0.1]") == [Decimal("1.10"), Decimal("1e2"), Decimal("0.1")]
    assert all(isinstance(value, Decimal) for value in parse_json("[1.10, 1e2, 0.1]"))

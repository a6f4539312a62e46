from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocredits.domain.errors import Problem
from autocredits.domain.times import format_time, parse_time

YEAR_1970_TO_9999_MS = st.integers(0, 253_402_300_799_999)


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-01T00:00:00Z", 1_793_491_200_000),
        ("2024-02-29T12:00:00.5Z", 1_709_208_000_500),
        ("2024-02-29T12:00:00.500Z", 1_709_208_000_500),
        ("1969-12-31T23:59:59.999Z", -1),
    ],
)
def test_a_time_is_read(text: str, at_ms: int) -> None:
    """RFC 3339 in UTC with `Z`, with or without a fraction, is milliseconds since 1970."""
    assert parse_time(text) == at_ms


@given(YEAR_1970_TO_9999_MS)
def test_every_time_survives_being_written_and_read(at_ms: int) -> None:
    """Formatting a time and parsing the text gives the same millisecond."""
    assert parse_time(format_time(at_ms)) == at_ms


@given(YEAR_1970_TO_9999_MS)
def test_a_time_is_written_as_the_calendar_says(at_ms: int) -> None:
    """What is written is what the standard library reads as that moment."""
    whole, milliseconds = divmod(at_ms, 1000)
    moment = datetime.fromisoformat(format_time(at_ms))
    assert moment == datetime.fromtimestamp(whole, UTC).replace(microsecond=milliseconds * 1000)


def test_a_time_is_a_whole_number() -> None:
    """Milliseconds are integers, whatever the fraction."""
    assert isinstance(parse_time("2026-11-01T00:00:00.123456Z"), int)


def test_a_time_before_the_year_1000_has_four_digits_of_year() -> None:
    """RFC 3339 asks for four digits, and a query may name such a time."""
    assert format_time(parse_time("0001-01-01T00:00:00Z")) == "0001-01-01T00:00:00.000Z"


@given(st.integers(0, 10**12), st.integers(0, 999_999))
def test_a_finer_fraction_is_cut_off_or_rounded_up(at_ms: int, nanos: int) -> None:
    """Anything finer than a millisecond is cut off, or rounded up for the ends of a range."""
    text = f"{format_time(at_ms)[:-1]}{nanos:06d}Z"
    assert parse_time(text) == at_ms
    assert parse_time(text, round_up=True) == at_ms + (nanos > 0)


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2026-11-01", "2026-11-01T00:00:00", "2026-11-01T00:00Z", "2026-11-01 00:00:00Z",
        "2026-11-01T00:00:00+00:00", "2026-11-01T00:00:00z", "2026-11-01T00:00:00.Z", "2026-11-01T00:00:00,5Z",
        "2026-11-01T00:00:00.1234567890Z", "2026-11-01T00:00:00Z\n", " 2026-11-01T00:00:00Z", "2026-11-01T00:00:60Z",
        "2026-11-01T24:00:00Z", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
        "0000-01-01T00:00:00Z", "12026-11-01T00:00:00Z", "\u0662026-11-01T00:00:00Z", "1793491200000",
    ],
)  # fmt: skip
def test_everything_else_is_no_time(text: str) -> None:
    """Other forms, offsets, and days that the calendar does not have are `invalid_field`."""
    with pytest.raises(Problem) as refused:
        parse_time(text)
    assert refused.value.code == "invalid_field"

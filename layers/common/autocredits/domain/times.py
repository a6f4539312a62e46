"""Times: RFC 3339 in UTC outside, milliseconds since 1970 inside (docs/contract.md, section 2)."""

import re
from datetime import UTC, datetime, timedelta

from .errors import Problem

MINUTE_MS = 60 * 1000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?Z",
)


def format_time(at_ms: int) -> str:
    """`at_ms` as RFC 3339 with milliseconds: 0 → "1970-01-01T00:00:00.000Z"."""
    moment = _EPOCH + timedelta(milliseconds=at_ms)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def parse_time(text: str, *, round_up: bool = False) -> int:
    """Milliseconds of an RFC 3339 time in UTC with `Z`; a finer fraction is cut off, or rounded up on demand.

    Entries are stamped in whole milliseconds, so cutting is right for "up to and including" and rounding up for
    the ends of a range `from ≤ t < to`. Raises Problem `invalid_field`.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise Problem("invalid_field", 'A time is RFC 3339 in UTC, such as "2026-11-01T00:00:00Z".')
    *parts, fraction = match.groups()
    try:
        whole = datetime(*map(int, parts), tzinfo=UTC)  # type: ignore[misc, arg-type]
    except ValueError:
        raise Problem("invalid_field", f"{text} is not a time of the calendar.") from None
    nanos = int((fraction or "").ljust(9, "0"))
    at_ms = (whole - _EPOCH) // timedelta(milliseconds=1) + nanos // 1_000_000
    return at_ms + 1 if round_up and nanos % 1_000_000 else at_ms

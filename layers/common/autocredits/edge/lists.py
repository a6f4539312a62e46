"""Lists: how many items, and where to go on. A cursor is bound to the account and the filters it was made for."""

import base64
import binascii
import hashlib
import json
import re

from autocredits.domain.errors import Problem
from autocredits.history import Position

from .json_body import canonical_json

DEFAULT_LIMIT = 50
MAX_LIMIT = 100

_DIGITS = re.compile(r"[1-9][0-9]{0,2}")
_CURSOR = re.compile(r"[A-Za-z0-9_-]{1,200}")


def parse_limit(text: str | None) -> int:
    """How many items are wanted: 1 to 100, 50 unless told. Raises Problem `invalid_limit`."""
    if text is None:
        return DEFAULT_LIMIT
    if _DIGITS.fullmatch(text) is None or int(text) > MAX_LIMIT:
        raise Problem("invalid_limit", f"limit is a whole number from 1 to {MAX_LIMIT}.")
    return int(text)


def binding_of(*parts: object) -> str:
    """What a cursor is bound to, in a few digits."""
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:16]


def encode_cursor(position: Position | None, binding: str) -> str | None:
    """The cursor that leads to `position`; None at the end of the list."""
    if position is None:
        return None
    text = canonical_json([position.version, position.below, binding])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None, binding: str) -> Position | None:
    """Where the list goes on; None for its beginning.

    Raises Problem `invalid_cursor` for a cursor that was made for another account or other filters.
    """
    if cursor is None:
        return None
    invalid = Problem("invalid_cursor", "This cursor was not made for this account and these filters.")
    if _CURSOR.fullmatch(cursor) is None:
        raise invalid
    try:
        version, below, bound_to = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        position = Position(int(version), int(below))
    except (binascii.Error, ValueError, TypeError):
        raise invalid from None
    if bound_to != binding or position.version < 1 or position.below < 0:
        raise invalid
    return position

"""Where a list goes on. A cursor is bound to the account and the filters that it was made for."""

import base64
import hashlib
import re

from autocredits.domain.errors import Problem
from autocredits.ledger.history import Position

from .json_body import canonical_json

DEFAULT_LIMIT = 50
MAX_LIMIT = 100

_DIGITS = re.compile(r"[1-9][0-9]{0,2}")
_ENTRY_PLACE = re.compile(r"([1-9][0-9]{0,11})\.([0-9]{1,2})")
_VERSION_PLACE = re.compile(r"page\.([1-9][0-9]{0,11})")
_LIST_PLACE = re.compile(r"([0-9]{14}#[A-Za-z0-9_.:-]{1,64})")
_CURSOR = re.compile(r"[A-Za-z0-9_-]{1,200}")


def parse_limit(text: str | None) -> int:
    """How many items are wanted: 1 to 100, 50 unless told. Raises Problem `invalid_limit`."""
    if text is None:
        return DEFAULT_LIMIT
    if _DIGITS.fullmatch(text) is None or int(text) > MAX_LIMIT:
        raise Problem("invalid_limit", f"limit must be a whole number from 1 to {MAX_LIMIT}.")
    return int(text)


def binding_of(*parts: object) -> str:
    """What a cursor is bound to, in a few digits."""
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:16]


def encode_cursor(position: Position | str | None, binding: str) -> str | None:
    """The cursor that leads to `position`; None at the end of the list."""
    if position is None:
        return None
    where = position if isinstance(position, str) else f"{position.version}.{position.below}"
    return base64.urlsafe_b64encode(f"{where} {binding}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None, binding: str, form: re.Pattern[str]) -> tuple[str, ...] | None:
    """The groups of `form` in what the cursor says of the place; None for the beginning of the list.

    Raises Problem `invalid_cursor` for a cursor that was made for another account or other filters.
    """
    if cursor is None:
        return None
    invalid = Problem("invalid_cursor", "This cursor belongs to another account or other filters.")
    if _CURSOR.fullmatch(cursor) is None:
        raise invalid
    try:
        where, _, bound_to = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(" ")
    except ValueError:
        raise invalid from None
    place = form.fullmatch(where)
    if bound_to != binding or place is None:
        raise invalid
    return place.groups()


def decode_entry_cursor(cursor: str | None, binding: str) -> Position | None:
    """Where a list of entries goes on. Raises Problem `invalid_cursor`."""
    place = decode_cursor(cursor, binding, _ENTRY_PLACE)
    return None if place is None else Position(int(place[0]), int(place[1]))


def decode_list_cursor(cursor: str | None, binding: str) -> str:
    """Where a list of orders or purchases goes on; empty for its beginning. Raises Problem `invalid_cursor`."""
    place = decode_cursor(cursor, binding, _LIST_PLACE)
    return "" if place is None else place[0]


def decode_version_cursor(cursor: str | None, binding: str) -> int | None:
    """After which page a list of pages goes on; None for its beginning. Raises Problem `invalid_cursor`."""
    place = decode_cursor(cursor, binding, _VERSION_PLACE)
    return None if place is None else int(place[0])

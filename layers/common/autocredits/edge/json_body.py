"""JSON as the contract wants it: UTF-8 as sent, no name twice, at most 32 levels, nothing that is not JSON."""

import json
from decimal import Decimal
from typing import Any

from autocredits.domain.errors import Problem

MAX_DEPTH = 32

_REPLACEMENT = "\ufffd"
_BYTE_ORDER_MARK = "\ufeff"


def parse_json(text: str) -> Any:
    """The value of a JSON text; numbers with a point or exponent are Decimals.

    Raises Problem `invalid_encoding` for a text with U+FFFD (somebody replaced bad UTF-8), a byte order mark, or half
    a surrogate pair; `invalid_json` for the rest that is not well formed.
    """
    if _REPLACEMENT in text or _BYTE_ORDER_MARK in text:
        raise Problem("invalid_encoding", "The body must be UTF-8 without a byte order mark.")
    try:
        value = json.loads(text, object_pairs_hook=_distinct, parse_constant=_refuse, parse_float=_number)
    except (ValueError, RecursionError):
        raise Problem("invalid_json", "The body is not JSON, or names a field twice.") from None
    if _depth(value) > MAX_DEPTH:
        raise Problem("invalid_json", f"The body is nested deeper than {MAX_DEPTH}.")
    try:
        canonical_json(value).encode()
    except UnicodeEncodeError:
        raise Problem("invalid_encoding", "The body holds half a surrogate pair.") from None
    return value


def canonical_json(value: Any) -> str:
    """One spelling for every way to write the same JSON: keys sorted, no spaces, no escapes but the needed ones."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name stands twice")
    return fields


def _number(text: str) -> Decimal:
    """A number with a point or an exponent. One beyond measure counts as infinite: no field takes either."""
    try:
        return Decimal(text)
    except ArithmeticError:
        return Decimal("Infinity")


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _depth(value: Any) -> int:
    """How many objects and lists stand around the innermost value. Without recursion: the text is a stranger's."""
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    return depth

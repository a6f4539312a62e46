"""Hand-made mutants of a table: everything that it would be with one cell changed."""

from collections.abc import Iterator, Mapping
from typing import Any


def changes_of(value: Any) -> Iterator[Any]:
    """The value with one cell changed, missing, or one too many."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (value + 1, value - 1)
    elif isinstance(value, str):
        yield value + "x"
        yield value[1:]
    elif isinstance(value, Mapping):
        yield from changes_of_mapping(value)
    elif isinstance(value, frozenset):
        yield from (value - {cell} for cell in value)
        yield value | {"x"}
    elif isinstance(value, list | tuple):
        kind = type(value)
        for place, cell in enumerate(value):
            yield from (kind([*value[:place], changed, *value[place + 1 :]]) for changed in changes_of(cell))
            yield kind([*value[:place], *value[place + 1 :]])
        yield kind([*value, *(value[:1] or "x")])


def changes_of_mapping(value: Mapping[Any, Any]) -> Iterator[dict[Any, Any]]:
    """The mapping with one value changed, or one key missing."""
    for key, cell in value.items():
        yield from ({**value, key: changed} for changed in changes_of(cell))
        yield {other: value[other] for other in value if other != key}

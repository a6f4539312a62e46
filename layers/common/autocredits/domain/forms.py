"""Stored forms are kept for ever, so they can grow.

A field that this release does not know is carried through and written again; a missing one has its default. So two
releases can work on the same items side by side. A record whose form has changed so much that older code must not
write it says so by a higher `form` (absent: 1).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any, Protocol


class Stored(Protocol):
    """Something with a stored form. `unknown` holds the stored fields that this release does not know."""

    @property
    def unknown(self) -> Mapping[str, Any]:
        """Field names and values, as they were read."""
        ...


def field_names(form: type) -> tuple[str, ...]:
    """The fields of a data class that are stored under their own names."""
    return tuple(field.name for field in fields(form) if field.name != "unknown")


def from_map(names: Collection[str], stored: Mapping[str, Any]) -> dict[str, Any]:
    """The constructor's arguments for a stored form: the known fields, and all others as `unknown`."""
    unknown = {name: value for name, value in stored.items() if name not in names}
    known = {name: value for name, value in stored.items() if name not in unknown} if unknown else stored
    return {**known, "unknown": unknown}


def to_map(record: Stored, names: Sequence[str]) -> dict[str, Any]:
    """The stored form: what is absent, empty, false or zero is left out; tuples are lists; unknown fields stay."""
    values = {name: getattr(record, name) for name in names}
    known = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items() if value}
    return {**record.unknown, **known}


def form_of(record: Stored) -> int:
    """The number of the record's form."""
    form: int = record.unknown.get("form", 1)
    return form

"""The fields that a record stores: each one counts."""

import types
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from autocredits.domain import coupons, journal, payments, records, work
from autocredits.domain.journal import Entry
from tests.unit.tables.filled import FILLED, PART


def read(kind: str) -> Any:
    """The filled record, stored and read again."""
    stored = FILLED[kind].to_map()
    return Entry(**stored) if kind == "entry" else records.record_from_map((kind, "x"), stored)


TABLES: list[tuple[types.ModuleType, str, str]] = [
    (work, "_FIELDS", "order"),
    (work, "_PART_FIELDS", "order"),
    (records, "_KEY_FIELDS", "key"),
    (payments, "_PURCHASE_FIELDS", "purchase"),
    (coupons, "_COUPON_FIELDS", "coupon"),
    (journal, "_ENTRY_FIELDS", "entry"),
]
CELLS = [(module, name, kind, field) for module, name, kind in TABLES for field in vars(module)[name]]


@pytest.mark.parametrize("record", [*FILLED.values(), PART], ids=[*FILLED, "part"])
def test_a_filled_record_leaves_nothing_out(record: Any) -> None:
    """Every field is set, and to something that its default is not."""
    assert all(getattr(record, field.name) not in (field.default, None, 0, ()) for field in fields(record))


@pytest.mark.parametrize("kind", FILLED)
def test_a_filled_record_survives_being_stored(kind: str) -> None:
    """What is read is what was stored, in every field."""
    assert read(kind) == FILLED[kind]


@pytest.mark.parametrize(
    ("module", "name", "kind", "field"), CELLS, ids=[f"{kind}-{name}-{field}" for _, name, kind, field in CELLS]
)
def test_a_field_that_is_not_stored_is_noticed(
    module: types.ModuleType, name: str, kind: str, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any one field the record is not read as what it was."""
    # `parts` is stored beside the table, so that its order is kept.
    left = tuple(other for other in vars(module)[name] if other != field)
    monkeypatch.setattr(module, name, left)
    assert noticed(lambda: read(kind) != FILLED[kind]) != ((name, field) == ("_FIELDS", "parts"))


def noticed(check: Callable[[], bool]) -> bool:
    """Whether the check says so, or the record cannot even be read."""
    try:
        return check()
    except (TypeError, KeyError):
        return True

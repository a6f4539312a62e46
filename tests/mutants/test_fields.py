"""The fields that are stored: each one counts."""

import types
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from autocredits.domain import journal, records, state
from autocredits.domain.forms import from_map
from autocredits.domain.journal import NO_PAGE_HASH, Entry, Page, hash_of, page_from_map
from autocredits.domain.kinds import record_from_map
from autocredits.domain.purchases import coupons, facts
from autocredits.domain.purchases import record as purchase_record
from autocredits.domain.state import Balance, State, state_from_map
from autocredits.domain.work import record as work_record
from tests.kit.filled import CHECKOUT, DECISION, DISPUTE, ENTRY, PART, PAYMENT, RECORDS, UNKNOWN

FILLED: dict[str, Any] = {**RECORDS, "entry": ENTRY}


def read(kind: str) -> Any:
    """The filled record, stored and read again."""
    stored = FILLED[kind].to_map()
    if kind == "entry":
        return Entry(**from_map(vars(journal)["_ENTRY_FIELDS"], stored))
    return record_from_map((kind, "x"), stored)


TABLES: list[tuple[types.ModuleType, str, str]] = [
    (work_record, "_FIELDS", "order"),
    (work_record, "_PART_FIELDS", "order"),
    (records, "_KEY_FIELDS", "key"),
    (purchase_record, "_PURCHASE_FIELDS", "purchase"),
    (purchase_record, "_PAYMENT_FIELDS", "payment"),
    (facts, "_CHECKOUT_FIELDS", "purchase"),
    (facts, "_PAYMENT_FIELDS", "purchase"),
    (facts, "_DISPUTE_FIELDS", "purchase"),
    (facts, "_DECISION_FIELDS", "purchase"),
    (coupons, "_COUPON_FIELDS", "coupon"),
    (coupons, "_USE_FIELDS", "coupon_use"),
    (journal, "_ENTRY_FIELDS", "entry"),
]
CELLS = [(module, name, kind, field) for module, name, kind in TABLES for field in vars(module)[name]]


INNER = {"part": PART, "checkout": CHECKOUT, "facts of a payment": PAYMENT, "dispute": DISPUTE, "decision": DECISION}


@pytest.mark.parametrize("record", [*FILLED.values(), *INNER.values()], ids=[*FILLED, *INNER])
def test_a_filled_record_leaves_nothing_out(record: Any) -> None:
    """Every field is set, and to something that its default is not."""
    assert all(getattr(record, field.name) not in (field.default, None, 0, (), {}) for field in fields(record))


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
    left = tuple(other for other in vars(module)[name] if other != field)
    monkeypatch.setattr(module, name, left)
    assert noticed(lambda: read(kind) != FILLED[kind])


STATE = State(
    status="paused",
    orders_processor="active",
    low_balance=1,
    balances={"finder": Balance(2, 3, UNKNOWN)},
    unknown=UNKNOWN,
)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        *(("_STATE_FIELDS", field) for field in vars(state)["_STATE_FIELDS"]),
        *(("_BALANCE_FIELDS", field) for field in vars(state)["_BALANCE_FIELDS"]),
    ],
)
def test_a_field_of_the_state_that_is_not_read_is_noticed(
    name: str, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state is read as it was stored, and without any one field it is not."""
    assert state_from_map(STATE.to_map()) == STATE
    monkeypatch.setattr(state, name, tuple(other for other in vars(state)[name] if other != field))
    assert noticed(lambda: state_from_map(STATE.to_map()) != STATE)


@pytest.mark.parametrize("field", vars(journal)["_PAGE_FIELDS"])
def test_a_field_of_a_page_that_is_not_read_is_noticed(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is read as it was stored, and without any one field it is not."""
    stored = Page("acme", 1, 2, (ENTRY,), STATE, NO_PAGE_HASH, "", UNKNOWN).to_map()
    stored_hash = hash_of("acme", stored)
    page = Page("acme", 1, 2, (ENTRY,), STATE, NO_PAGE_HASH, stored_hash, UNKNOWN)
    assert page_from_map("acme", stored, stored_hash) == page
    monkeypatch.setattr(
        journal, "_PAGE_FIELDS", tuple(other for other in vars(journal)["_PAGE_FIELDS"] if other != field)
    )
    assert noticed(lambda: page_from_map("acme", stored, stored_hash) != page)


def noticed(check: Callable[[], bool]) -> bool:
    """Whether the check says so, or the record cannot even be read."""
    try:
        return check()
    except (TypeError, KeyError):
        return True

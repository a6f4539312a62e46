import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any

import pytest

from autocredits.domain.decide import Command, Decision, decide
from autocredits.domain.forms import field_names, form_of, from_map, to_map
from autocredits.domain.journal import NO_PAGE_HASH, Entry, Page, hash_of, next_page, page_from_map
from autocredits.domain.kinds import record_from_map
from autocredits.domain.purchases.coupons import CouponUse
from autocredits.domain.records import KeyRecord, Record, RecordKey
from autocredits.domain.state import Balance, State, state_from_map
from autocredits.domain.work.record import Part, Work
from tests.kit.builders import ACCOUNT_ID, CATALOG, NOW_MS, capture, hold, order, page_of, state_of
from tests.kit.filled import ENTRY, PART, RECORDS, UNKNOWN
from tests.kit.purchases import Shop, fulfil, start


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A stored form."""

    name: str
    count: int = 0
    places: tuple[str, ...] = ()
    unknown: Mapping[str, Any] = field(default_factory=dict)


NAMES = field_names(Example)


def test_a_field_is_stored_under_its_own_name() -> None:
    """All fields of a data class are, but for those that it does not know."""
    assert field_names(Example) == ("name", "count", "places")


def test_a_field_at_its_default_is_not_stored() -> None:
    """What is absent, empty, false or zero costs no space."""
    assert to_map(Example(name="x"), NAMES) == {"name": "x"}
    assert to_map(Example(name="x", count=1, places=("a",)), NAMES) == {"name": "x", "count": 1, "places": ["a"]}


def test_tuples_are_stored_as_lists() -> None:
    """Stores know lists and no tuples."""
    assert isinstance(to_map(Example(name="x", places=("a",)), NAMES)["places"], list)


def test_an_unknown_field_is_kept_and_written_again() -> None:
    """A newer release may have added it."""
    stored = {"name": "x", "added": {"later": 1}}
    example = Example(**from_map(NAMES, stored))
    assert example.unknown == {"added": {"later": 1}}
    assert to_map(replace(example, count=2), NAMES) == {**stored, "count": 2}


def test_a_missing_field_has_its_default() -> None:
    """An older release did not write it."""
    assert Example(**from_map(NAMES, {"name": "x"})) == Example(name="x")


def test_a_record_without_a_form_has_the_first_one() -> None:
    """A higher form says that older code must not write the record."""
    assert form_of(Example(name="x")) == 1
    assert form_of(Example(name="x", unknown={"form": 2})) == 2


# ---------------------------------------------------------------- every stored form


@pytest.mark.parametrize("kind", RECORDS)
def test_each_kind_of_record_keeps_unknown_fields(kind: str) -> None:
    """What is read and written again is what was stored, with the fields of a newer release."""
    stored = RECORDS[kind].to_map()
    assert UNKNOWN.items() <= stored.items()
    assert record_from_map((kind, "x"), json.loads(json.dumps(stored))).to_map() == stored


@pytest.mark.parametrize("kind", RECORDS)
def test_each_kind_of_record_has_defaults_for_missing_fields(kind: str) -> None:
    """A record that has only the fields it cannot do without is read as one with all others at their defaults."""
    form = type(RECORDS[kind])
    stored = RECORDS[kind].to_map()
    needed = [one.name for one in fields(form) if one.default is MISSING and one.default_factory is MISSING]  # type: ignore[arg-type]
    least = {name: stored[name] for name in needed} | ({"form": form.FORM} if form.FORM > 1 else {})
    again = record_from_map((kind, "x"), least)
    assert replace(again, unknown={}) == form(**{name: stored[name] for name in needed})  # type: ignore[type-var]


FORMS = {"purchase": 3, "coupon_use": 2}
"""The highest form of these kinds of record that is known here, which the example needs; of others it is the first."""


@pytest.mark.parametrize("kind", RECORDS)
def test_each_kind_of_record_is_written_in_a_form_that_is_known(kind: str) -> None:
    """One with every field set is in the highest one."""
    form = FORMS.get(kind, 1)
    assert (RECORDS[kind].FORM, RECORDS[kind].to_map().get("form", 1)) == (form, form)


def test_a_part_of_a_hold_keeps_unknown_fields() -> None:
    """Parts are stored inside their work, and carry their own."""
    work = RECORDS["order"]
    assert isinstance(work, Work)
    stored = work.to_map()
    assert UNKNOWN.items() <= stored["parts"]["tracking"].items()
    again = record_from_map(("order", "w"), stored)
    assert isinstance(again, Work)
    assert again.parts["tracking"] == PART


def test_a_part_of_a_hold_has_defaults_for_missing_fields() -> None:
    """A part that holds managed balance alone, or nothing any more, does not store its credits."""
    least = {"status": "released", "rate_card": "c", "expires_at": 1, "entry_id": "1.0"}
    stored = {**RECORDS["order"].to_map(), "parts": {"order": least}, "part_order": ["order"]}
    work = record_from_map(("order", "w"), stored)
    assert isinstance(work, Work)
    assert work.parts["order"] == Part(status="released", credits=0, rate_card="c", expires_at=1, entry_id="1.0")


STORED_STATE = {
    "status": "active",
    "orders_processor": "active",
    "balances": {"finder": {"posted": 5, "held": 0, **UNKNOWN}, "managed": {"posted": 0, "held": 0, **UNKNOWN}},
    **UNKNOWN,
}


def test_a_state_and_its_balances_keep_unknown_fields() -> None:
    """Even a balance of nothing is stored if a newer release has added something to it."""
    state = state_from_map(STORED_STATE)
    assert (state.unknown, state.balance("finder").unknown) == (UNKNOWN, UNKNOWN)
    assert state.to_map() == STORED_STATE


def test_a_state_has_defaults_for_missing_fields() -> None:
    """An account of which nothing is stored is active, without the add-on, and owns nothing."""
    assert state_from_map({}) == State()
    assert state_from_map({"balances": {"finder": {}}}).balance("finder") == Balance()


def stored_page() -> tuple[dict[str, Any], str]:
    """A page of a newer release, with a field more in each of its forms, and its hash."""
    stored = {
        "version": 3,
        "at": NOW_MS,
        "entries": [ENTRY.to_map()],
        "state": STORED_STATE,
        "prev": NO_PAGE_HASH,
        **UNKNOWN,
    }
    return stored, hash_of(ACCOUNT_ID, stored)


def test_a_page_of_a_newer_release_is_no_tampering() -> None:
    """Its hash covers what is stored, and page, entries and state give back the fields that are unknown here."""
    stored, stored_hash = stored_page()
    page = page_from_map(ACCOUNT_ID, stored, stored_hash)
    assert (page.unknown, page.entries, page.state.unknown) == (UNKNOWN, (ENTRY,), UNKNOWN)
    assert (page.to_map(), page.hash) == (stored, stored_hash)


def test_an_entry_has_defaults_for_missing_fields() -> None:
    """It needs its kind and its actor, and moves nothing."""
    stored = {"version": 1, "at": 1, "entries": [{"kind": "opened", "actor": "me"}], "state": {}, "prev": NO_PAGE_HASH}
    page = page_from_map(ACCOUNT_ID, stored, hash_of(ACCOUNT_ID, stored))
    assert page.entries == (Entry(kind="opened", actor="me"),)


def test_the_next_page_hands_on_what_a_newer_release_knows_of_the_state() -> None:
    """The fields of the state and of its balances stay; those of the page before were its own."""
    head = page_from_map(ACCOUNT_ID, *stored_page())
    entries = [Entry(kind="granted", actor="me", unit=unit, posted=1) for unit in ("finder", "auto_order")]
    page = next_page(ACCOUNT_ID, head, NOW_MS, entries)
    balances = {**STORED_STATE["balances"], "finder": {"posted": 6, "held": 0, **UNKNOWN}}  # type: ignore[dict-item]
    balances["auto_order"] = {"posted": 1, "held": 0}
    assert page.state.to_map() == {**STORED_STATE, "balances": balances}
    assert page.unknown == {}


# ---------------------------------------------------------------- records that a command writes


def page_with(records: Mapping[RecordKey, Record]) -> Page:
    """A page of an account with plenty of everything, whose work may have been held."""
    held = sum(
        part.credits for record in records.values() if isinstance(record, Work) for part in record.parts.values()
    )
    return page_of(state_of(held=held))


def decided(command: Any, records: Mapping[RecordKey, Record]) -> Decision:
    """What the command comes to."""
    return decide(ACCOUNT_ID, page_with(records), records, [command], catalog=CATALOG, now_ms=NOW_MS)


def held_order(**unknown: Any) -> dict[RecordKey, Record]:
    """An order on hold, whose record and part have a field of a newer release."""
    decision = decided(hold(order()), {})
    (work,) = [write.record for write in decision.writes if isinstance(write.record, Work)]
    part = replace(work.parts["order"], unknown=UNKNOWN)
    return {work.key(): replace(work, parts={"order": part}, unknown={**UNKNOWN, **unknown})}


def started_purchase(**unknown: Any) -> dict[RecordKey, Record]:
    """A purchase with a coupon, whose records all have a field of a newer release."""
    shop = Shop()
    shop.make_coupon(percent_off=1000, max_uses=9)
    shop.start(coupon="C")
    keys = (("purchase", "b1"), ("coupon", "C"), ("coupon_use", "C"))
    records: dict[RecordKey, Any] = dict(shop.store.read(ACCOUNT_ID, keys))
    return {key: replace(record, unknown={**record.unknown, **UNKNOWN, **unknown}) for key, record in records.items()}


def test_work_that_is_written_again_keeps_unknown_fields() -> None:
    """A capture changes the record and its part, and loses nothing that a newer release has stored."""
    (write,) = decided(capture(), held_order()).writes
    assert isinstance(write.record, Work)
    assert write.record.status == "ordered"
    assert (write.record.unknown, write.record.parts["order"].unknown) == (UNKNOWN, UNKNOWN)


def test_a_purchase_and_its_coupon_that_are_written_again_keep_unknown_fields() -> None:
    """So do the records that an expired payment changes."""
    decision = decided(fulfil("expired", coupon="C", payment_id=None), started_purchase())
    written = {write.key: write.record for write in decision.writes}
    assert written.keys() == {("purchase", "b1"), ("coupon", "C"), ("coupon_use", "C")}
    assert all(UNKNOWN.items() <= record.unknown.items() for record in written.values())


@pytest.mark.parametrize(
    ("command", "records"),
    [
        pytest.param(capture(), held_order(form=2), id="order"),
        pytest.param(fulfil("paid", 3591, coupon="C"), started_purchase(form=4), id="purchase"),
        pytest.param(
            start("b2", coupon="C"),
            {key: record for key, record in started_purchase(form=3).items() if key[0] == "coupon"},
            id="coupon",
        ),
        pytest.param(
            start("b2", coupon="C"),
            {
                **{key: record for key, record in started_purchase().items() if key[0] == "coupon"},
                ("coupon_use", "C"): CouponUse(code="C", uses=1, rev=1, unknown={"form": 3}),
            },
            id="coupon_use",
        ),
    ],
)
def test_a_record_of_a_higher_form_is_never_written(command: Any, records: Mapping[RecordKey, Record]) -> None:
    """503 `try_again`: nothing of the command stays, neither entries nor other records."""
    decision = decided(command, records)
    (outcome,) = decision.outcomes
    assert str(outcome).startswith("try_again: ")
    assert (decision.page, decision.vacant, decision.writes) == (None, None, ())


def test_a_record_of_a_higher_form_does_not_hold_up_its_neighbours() -> None:
    """A command before it and one after it are done as if it were not there."""
    records = held_order(form=2)
    commands: list[Command] = [hold(order("o2")), capture("o1"), hold(order("o3"))]
    decision = decide(ACCOUNT_ID, page_with(records), records, commands, catalog=CATALOG, now_ms=NOW_MS)
    assert [getattr(outcome, "did", getattr(outcome, "code", None)) for outcome in decision.outcomes] == [
        "held",
        "try_again",
        "held",
    ]
    assert ("order", "o1") not in {write.key for write in decision.writes}
    assert decision.page is not None
    assert [entry.order_id for entry in decision.page.entries] == ["o2", "o3"]


def test_a_record_of_a_higher_form_can_be_read() -> None:
    """Its known fields count as ever: a settled hold stays settled, and a key stays a replay."""
    records = held_order(form=2)
    work = records["order", "o1"]
    assert isinstance(work, Work)
    captured = replace(work, parts={"order": replace(work.parts["order"], status="captured")})
    (outcome,) = decided(capture(), {work.key(): captured}).outcomes
    assert getattr(outcome, "did", None) == "captured_already"
    known = KeyRecord(key="k", fingerprint="f", version=7, count=1, unknown={"form": 2})
    assert record_from_map(("key", "k"), known.to_map()) == known

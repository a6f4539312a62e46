"""The schemas in `docs/events/`: one for each type of event, as strict as they say, and true of what is told."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from autocredits.adapters.dynamo import page_of, place_of
from autocredits.domain.events import FUNDED, REFUSED
from autocredits.domain.journal import KINDS
from autocredits.edge.events import bus_events
from tests.kit.event_schemas import DETAIL_TYPES, SHARED, check_event, read, schema
from tests.kit.forms import RELEASES, kept
from tests.kit.told_story import Told, told_story

STORY = told_story()

MOVES = set(KINDS) - {"opened", "standing", "refused", "declined"}

ALL_TYPES = {
    "account.opened",
    "account.standing",
    *(f"credits.{kind}" for kind in MOVES),
    *FUNDED.values(),
    *REFUSED.values(),
    "purchase.declined",
    "balance.low",
    "balance.depleted",
    "balance.replenished",
}


def test_every_type_of_event_has_a_schema() -> None:
    """One for each detail-type of docs/contract.md, section 8, and no other."""
    assert set(DETAIL_TYPES) == ALL_TYPES


def test_the_story_tells_every_type() -> None:
    """So that what follows is tried on all of them."""
    assert {detail_type for detail_type, _ in STORY} == ALL_TYPES


@pytest.mark.parametrize("detail_type", DETAIL_TYPES)
def test_a_schema_is_one(detail_type: str) -> None:
    """It is valid itself, is named as its file, and says what it is about."""
    found = schema(detail_type)
    Draft202012Validator.check_schema(found)
    assert found["title"] == detail_type
    assert found["description"]


def test_the_shared_definitions_are_all_used() -> None:
    """None is left over."""
    Draft202012Validator.check_schema(read(SHARED))
    texts = [json.dumps(read(SHARED)), *(json.dumps(schema(detail_type)) for detail_type in DETAIL_TYPES)]
    unused = {name for name in read(SHARED)["$defs"] if not any(f'#/$defs/{name}"' in text for text in texts)}
    assert unused == set()


@pytest.mark.parametrize("detail_type", DETAIL_TYPES)
def test_an_example_is_real(detail_type: str) -> None:
    """It is, to the letter, the first event of its type that the service makes in the story."""
    [example] = schema(detail_type)["examples"]
    assert example == next(detail for told, detail in STORY if told == detail_type)
    check_event(detail_type, example)


def test_what_the_story_tells_is_valid() -> None:
    """Every event of it."""
    for detail_type, detail in STORY:
        check_event(detail_type, detail)


@pytest.mark.parametrize("release", RELEASES)
def test_pages_of_earlier_releases_are_told_in_the_same_form(release: str) -> None:
    """Events that are made again out of an old journal look like new ones."""
    told = list(told_by_release(release))
    assert len(told) > 40
    for detail_type, detail in told:
        check_event(detail_type, detail)


def told_by_release(release: str) -> Iterator[Told]:
    """What the pages tell that a release wrote."""
    for item in kept(release):
        place = place_of({name: item[name] for name in ("pk", "sk")})
        if place is not None and place.version is not None:
            for event in bus_events(page_of(place.account_id, item)):
                yield event.type, json.loads(event.detail)


def test_an_unknown_field_is_refused() -> None:
    """In the detail of any event."""
    for detail_type, detail in STORY:
        assert is_refused(detail_type, {**detail, "more": "than is said"})


REQUIRED = ("id", "account_id", "entry_id", "version", "at", "kind", "unit", "posted", "held", "balance", "actor")
OF_WORK = ("store_id", "attempt", "hold_id")
OF_FUNDED = ("parts", "credits", "managed", "expires_at", "rate_card", "part", *OF_WORK)


def test_what_every_event_has_is_required() -> None:
    """The entry's own fields, those of work for work, and those of its hold for what is funded."""
    for detail_type, detail in STORY:
        of_work = OF_WORK if "store_id" in detail else ()
        of_funded = OF_FUNDED if detail_type in FUNDED.values() else ()
        for name in (*REQUIRED, *of_work, *of_funded):
            assert is_refused(detail_type, {key: value for key, value in detail.items() if key != name}), name


@pytest.mark.parametrize("amount", ["1", "1.3", "1.333", "+1.00", "01.00", "-0.00", "1e3", "", 1.33, 1])
def test_an_amount_has_two_decimals(amount: Any) -> None:
    """Anything else is no amount."""
    for detail_type, detail in STORY:
        if detail["balance"] is not None:
            assert is_refused(detail_type, {**detail, "balance": {**detail["balance"], "available": amount}})


@pytest.mark.parametrize(
    ("detail_type", "wrong"),
    [
        ("credits.granted", {"posted": "-5.00"}),
        ("credits.debited", {"posted": "1.00"}),
        ("credits.held", {"held": "-1.00"}),
        ("credits.captured", {"held": "1.00"}),
        ("credits.clawed_back", {"posted": "0.00"}),
        ("auto_order.refused", {"posted": "-1.00"}),
        ("auto_order.funded", {"part": "tracking"}),
        ("auto_order.funded", {"parts": {"tracking": "0.33"}}),
        ("auto_order.funded", {"cost": "23.50"}),
        ("auto_order.funded", {"order_type": "manual"}),
        ("auto_order.funded", {"key": "over-http"}),
        ("tracking_conversion.funded", {"tracking": "none"}),
        ("sourcing.funded", {"sourcing": False}),
        ("account.standing", {"status": "active"}),
        ("account.opened", {"unit": "auto_order"}),
        ("balance.low", {"unit": "managed"}),
        ("balance.low", {"kind": "standing"}),
    ],
)
def test_a_wrong_value_is_refused(detail_type: str, wrong: dict[str, Any]) -> None:
    """Signs, kinds and parts are those of the event's type."""
    detail = next(detail for told, detail in STORY if told == detail_type)
    assert is_refused(detail_type, {**detail, **wrong})


def test_a_type_without_a_schema_is_refused() -> None:
    """Nobody can check it."""
    assert is_refused("credits.vanished", STORY[0][1])


def is_refused(detail_type: str, detail: Mapping[str, Any]) -> bool:
    """Whether the check fails."""
    try:
        check_event(detail_type, detail)
    except AssertionError:
        return True
    return False

import json
from typing import Any

import pytest

from autocredits.domain.errors import Problem
from autocredits.domain.work.charging import Cause
from autocredits.domain.work.lifecycle import Settlement
from autocredits.domain.work.messages import ConversionRequested, Result, WorkRequested
from autocredits.domain.work.record import WorkRequest
from autocredits.edge.messages import DATA_BY_TYPE, parse_message
from tests.kit.builders import envelope

ORDER = {"account_id": "acme", "order_id": "o1", "store_id": "s1"}
RESULT = {"account_id": "acme", "order_id": "o1"}
SOURCING = {"account_id": "acme", "product_id": "p1"}
CONVERSION = ORDER | {"tracking": "bce", "tracking_number": "TBA1"}

# Contract, section 7: every message with all that it may say.
MESSAGES: dict[str, dict[str, Any]] = {
    "auto_order.requested": ORDER | {"order_type": "fba", "tracking": "bce", "cost": "23.50", "attempt": 2},
    "auto_order.placed": RESULT | {"supplier_order_id": "supplier-1", "attempt": 2, "managed": "21.10"},
    "auto_order.failed": RESULT | {"reason": "out of stock", "attempt": 2},
    "tracking_conversion.requested": CONVERSION | {"order_type": "manual"},
    "tracking_conversion.completed": RESULT | {"tracking_number": "BCE1", "attempt": 2, "tracking": "bce"},
    "tracking_conversion.failed": RESULT | {"reason": "no number", "attempt": 2, "tracking": "bce"},
    "sourcing.requested": SOURCING | {"store_id": "s1"},
    "sourcing.accepted": SOURCING | {"reason": "found", "attempt": 2},
    "sourcing.rejected": SOURCING | {"reason": "not sold", "attempt": 2},
}
OPTIONAL = {"attempt", "managed", "order_type", "tracking", "reason"}


def parsed(event_type: str, data: dict[str, Any], **envelope_changes: Any) -> Any:
    """What the message asks for."""
    event = envelope(event_type, data, message_id="m1", source="engine") | envelope_changes
    return parse_message(json.dumps(event))[2]


def refusal(body: str) -> str:
    """Why the message can never be processed."""
    with pytest.raises(Problem) as refused:
        parse_message(body)
    return refused.value.code


def captured(managed: int | None = None, **told: str) -> Settlement:
    """A part that is captured, and what is told of it."""
    return Settlement("captured", Cause(actor="engine", **told), managed)


def released(**told: str) -> Settlement:
    """A part that is released, and why."""
    return Settlement("released", Cause(actor="engine", **told))


def test_there_are_nine_messages() -> None:
    """Those of the contract, and no others."""
    assert set(DATA_BY_TYPE) == set(MESSAGES)


@pytest.mark.parametrize("event_type", MESSAGES)
def test_a_message_tells_type_and_account(event_type: str) -> None:
    """And is known by source and id."""
    event = envelope(event_type, MESSAGES[event_type], message_id="m1", source="engine")
    parsed_type, account_id, command = parse_message(json.dumps(event))
    assert (parsed_type, account_id) == (event_type, "acme")
    assert (command.source, command.message_id) == ("engine", "m1")  # type: ignore[attr-defined]


def test_a_request_is_understood() -> None:
    """WORK and, perhaps, the attempt."""
    command = parsed("auto_order.requested", MESSAGES["auto_order.requested"])
    assert isinstance(command, WorkRequested)
    assert (command.kind, command.work_id, command.attempt) == ("order", "o1", 2)
    assert command.request == WorkRequest(
        kind="order", work_id="o1", store_id="s1", order_type="fba", tracking="bce", cost=2350
    )
    sourced = parsed("sourcing.requested", MESSAGES["sourcing.requested"])
    assert sourced.request == WorkRequest(kind="product", work_id="p1", store_id="s1")


def test_a_conversion_is_understood() -> None:
    """Store, method, number, and, perhaps, the order's type."""
    command = parsed("tracking_conversion.requested", CONVERSION)
    assert isinstance(command, ConversionRequested)
    assert (command.store_id, command.tracking, command.tracking_number) == ("s1", "bce", "TBA1")
    assert command.order_type is None


RESULTS = [
    ("auto_order.placed", "order", captured(2110, supplier_order_id="supplier-1"), None),
    ("auto_order.failed", "order", released(reason="out of stock"), None),
    ("tracking_conversion.completed", "tracking", captured(tracking_number="BCE1"), "bce"),
    ("tracking_conversion.failed", "tracking", released(reason="no number"), "bce"),
    ("sourcing.accepted", "sourcing", captured(reason="found"), None),
    ("sourcing.rejected", "sourcing", released(reason="not sold"), None),
]


@pytest.mark.parametrize(("event_type", "part", "settlement", "tracking"), RESULTS)
def test_a_result_settles_its_part(event_type: str, part: str, settlement: Settlement, tracking: str | None) -> None:
    """Captured or released, for the attempt and method that it names."""
    command = parsed(event_type, MESSAGES[event_type])
    assert isinstance(command, Result)
    assert (command.part, command.settlement, command.tracking) == (part, settlement, tracking)
    assert command.attempt == 2


def optional(event_type: str, field: str) -> bool:
    """Whether the field may be left out of the message."""
    needed = {
        "auto_order.requested": {"order_type", "tracking"},
        "auto_order.failed": {"reason"},
        "tracking_conversion.requested": {"tracking"},
        "tracking_conversion.failed": {"reason"},
    }
    return field in OPTIONAL and field not in needed.get(event_type, set())


FIELDS = [(event_type, field) for event_type, data in MESSAGES.items() for field in data]


@pytest.mark.parametrize(("event_type", "field"), FIELDS)
def test_what_a_message_must_say(event_type: str, field: str) -> None:
    """Each field is needed, or may be left out, as the contract says."""
    data = {name: value for name, value in MESSAGES[event_type].items() if name != field}
    if optional(event_type, field):
        parsed(event_type, data)
    else:
        assert refusal(json.dumps(envelope(event_type, data))) == "invalid_field"


BAD_VALUES: dict[str, list[tuple[Any, str]]] = {
    "account_id": [("a.b", "invalid_id"), ("*", "invalid_id"), ("", "invalid_id"), (7, "invalid_id")],
    "order_id": [("a b", "invalid_id"), (7, "invalid_id"), (None, "invalid_id")],
    "product_id": [("a#b", "invalid_id")],
    "store_id": [("a~b", "invalid_id")],
    "order_type": [("dropship", "invalid_field"), (7, "invalid_field")],
    "tracking": [("dhl", "invalid_field"), (7, "invalid_field")],
    "cost": [("23.5", "invalid_amount"), (23.5, "invalid_amount"), ("0.00", "invalid_amount")],
    "managed": [("-0.01", "invalid_amount"), (21, "invalid_amount")],
    "attempt": [(0, "invalid_field"), ("2", "invalid_field"), (True, "invalid_field"), (1.0, "invalid_field")],
    "reason": [("", "invalid_field"), (7, "invalid_field")],
    "tracking_number": [("", "invalid_field"), (None, "invalid_field")],
    "supplier_order_id": [("", "invalid_field"), (None, "invalid_field")],
}


@pytest.mark.parametrize(
    ("event_type", "field", "value", "code"),
    [(*place, *bad) for place in FIELDS for bad in BAD_VALUES[place[1]]],
)
def test_a_bad_value_can_never_be_processed(event_type: str, field: str, value: object, code: str) -> None:
    """By its own code, which is the reason of the dead letter."""
    assert refusal(json.dumps(envelope(event_type, MESSAGES[event_type] | {field: value}))) == code


REASONED = [event_type for event_type, field in FIELDS if field == "reason"]


@pytest.mark.parametrize("length", [499, 500, 501, 100_000])
@pytest.mark.parametrize("event_type", REASONED)
def test_a_long_reason_is_cut(event_type: str, length: int) -> None:
    """At 500 characters, whatever they are: a result is never lost for its length."""
    for letter in ("x", "\u00e4", "\U0001f4a9"):
        command = parsed(event_type, MESSAGES[event_type] | {"reason": letter * length})
        assert isinstance(command, Result)
        assert command.settlement.cause.reason == letter * min(length, 500)


def test_every_result_that_gives_something_back_has_a_reason() -> None:
    """And an acceptance may have one."""
    assert REASONED == ["auto_order.failed", "tracking_conversion.failed", "sourcing.accepted", "sourcing.rejected"]


def test_a_cost_has_its_place() -> None:
    """Only an order that the platform fulfils has one."""
    auto = MESSAGES["auto_order.requested"] | {"order_type": "auto"}
    assert refusal(json.dumps(envelope("auto_order.requested", auto))) == "invalid_field"
    del auto["cost"]
    assert parsed("auto_order.requested", auto).request.cost is None


@pytest.mark.parametrize("field", ["price", "credits", "rate_card", "note"])
@pytest.mark.parametrize("event_type", MESSAGES)
def test_a_message_says_nothing_else(event_type: str, field: str) -> None:
    """No price is ever believed; unknown fields of `data` are refused."""
    assert refusal(json.dumps(envelope(event_type, MESSAGES[event_type] | {field: "1.00"}))) == "unknown_field"


def test_no_conversion_is_asked_for_without_a_method() -> None:
    """`none` is no method of a conversion, and a manual order is not placed by the engine."""
    for event_type in ("tracking_conversion.requested", "tracking_conversion.completed"):
        assert refusal(json.dumps(envelope(event_type, MESSAGES[event_type] | {"tracking": "none"}))) == "invalid_field"
    manual = ORDER | {"order_type": "manual", "tracking": "bce"}
    assert refusal(json.dumps(envelope("auto_order.requested", manual))) == "invalid_field"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"specversion": "0.3"}, "invalid_field"),
        ({"specversion": None}, "invalid_field"),
        ({"id": ""}, "invalid_field"),
        ({"id": 7}, "invalid_field"),
        ({"id": "x" * 257}, "invalid_field"),
        ({"source": ""}, "invalid_field"),
        ({"source": None}, "invalid_field"),
        ({"type": "auto_order.cancelled"}, "invalid_field"),
        ({"type": None}, "invalid_field"),
        ({"data": None}, "invalid_field"),
        ({"data": []}, "invalid_field"),
        ({"data": "{}"}, "invalid_field"),
        ({"data": {}}, "invalid_field"),
    ],
)
def test_a_bad_envelope_can_never_be_processed(change: dict[str, Any], code: str) -> None:
    """Specversion, id, source, type and data are what CloudEvents says."""
    event = envelope("auto_order.placed", MESSAGES["auto_order.placed"]) | change
    assert refusal(json.dumps(event)) == code


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type", "data"])
def test_a_missing_attribute_can_never_be_processed(name: str) -> None:
    """Each of the five is needed."""
    event = envelope("auto_order.placed", MESSAGES["auto_order.placed"])
    del event[name]
    assert refusal(json.dumps(event)) == "invalid_field"


def test_other_attributes_are_ignored() -> None:
    """`time`, `subject`, `datacontenttype` and extensions do not matter."""
    more = {"time": "2026-11-01T00:00:00Z", "subject": "x", "datacontenttype": "application/json", "traceparent": "00"}
    assert parsed("auto_order.placed", MESSAGES["auto_order.placed"], **more).work_id == "o1"


@pytest.mark.parametrize("body", ["", "hello", "[]", "7", '"x"', "null", '{"id": 1, "id": 2}', "{"])
def test_what_is_no_object_can_never_be_processed(body: str) -> None:
    """Not JSON, or not an object."""
    assert refusal(body) in ("invalid_json", "invalid_field")

from decimal import Decimal
from typing import Any

import pytest

from autocredits.domain.errors import Problem
from autocredits.domain.work.record import WorkRequest
from autocredits.edge.bodies import (
    AdjustmentBody,
    CaptureBody,
    NoBody,
    OpenBody,
    ReleaseBody,
    ResendBody,
    SettingsBody,
    parse_body,
    parse_hold,
    parse_queued_order,
    parse_standing,
    parse_work,
)

AUTO: dict[str, Any] = {"order_id": "o1", "store_id": "s1", "order_type": "auto", "tracking": "none"}
FBA = AUTO | {"order_type": "fba", "cost": "23.50"}
SOURCING: dict[str, Any] = {"product_id": "p1", "store_id": "s1", "sourcing": True}
MISSING = object()


def without(body: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """The body with the change; MISSING takes a field away."""
    return {name: value for name, value in (body | change).items() if value is not MISSING}


def code_of(form: Any, value: Any) -> str:
    """How the body is refused."""
    with pytest.raises(Problem) as refused:
        parse_body(form, value) if isinstance(form, type) else form(value)
    assert refused.value.status == 422
    return refused.value.code


def test_work_of_an_order() -> None:
    """Order, store, type, tracking; cost exactly when it is fulfilled by the platform."""
    assert parse_work(AUTO) == WorkRequest(
        kind="order", work_id="o1", store_id="s1", order_type="auto", tracking="none"
    )
    assert parse_work(FBA).cost == 2350


def test_work_of_a_sourcing_request() -> None:
    """Product and store."""
    assert parse_work(SOURCING) == WorkRequest(kind="product", work_id="p1", store_id="s1")


BAD_WORK = [
    (AUTO, {"order_id": MISSING}, "invalid_field"),
    (AUTO, {"store_id": MISSING}, "invalid_field"),
    (AUTO, {"order_type": MISSING}, "invalid_field"),
    (AUTO, {"tracking": MISSING}, "invalid_field"),
    (AUTO, {"order_id": ""}, "invalid_id"),
    (AUTO, {"order_id": 7}, "invalid_id"),
    (AUTO, {"order_id": "a\n"}, "invalid_id"),
    (AUTO, {"order_id": "a~1"}, "invalid_id"),
    (AUTO, {"store_id": "a#b"}, "invalid_id"),
    (AUTO, {"store_id": None}, "invalid_id"),
    (AUTO, {"order_type": "dropship"}, "invalid_field"),
    (AUTO, {"order_type": None}, "invalid_field"),
    (AUTO, {"tracking": "dhl"}, "invalid_field"),
    (AUTO, {"tracking": None}, "invalid_field"),
    (AUTO, {"cost": "23.50"}, "invalid_field"),
    (AUTO, {"order_type": "manual", "tracking": "bce", "cost": "1.00"}, "invalid_field"),
    (AUTO, {"price": "1.00"}, "unknown_field"),
    (AUTO, {"credits": "1.00"}, "unknown_field"),
    (AUTO, {"sourcing": True}, "invalid_field"),
    (FBA, {"cost": MISSING}, "invalid_field"),
    (FBA, {"cost": None}, "invalid_field"),
    (FBA, {"cost": "0.00"}, "invalid_amount"),
    (FBA, {"cost": "-1.00"}, "invalid_amount"),
    (FBA, {"cost": "23.5"}, "invalid_amount"),
    (FBA, {"cost": 23.5}, "invalid_amount"),
    (FBA, {"cost": Decimal("23.50")}, "invalid_amount"),
    (FBA, {"cost": 2350}, "invalid_amount"),
    (SOURCING, {"sourcing": False}, "invalid_field"),
    (SOURCING, {"sourcing": "true"}, "invalid_field"),
    (SOURCING, {"sourcing": 1}, "invalid_field"),
    (SOURCING, {"sourcing": MISSING}, "invalid_field"),
    (SOURCING, {"product_id": "a b"}, "invalid_id"),
    (SOURCING, {"tracking": "bce"}, "unknown_field"),
]


@pytest.mark.parametrize(("body", "change", "code"), BAD_WORK)
@pytest.mark.parametrize("parse", [parse_work, parse_hold])
def test_work_of_another_form_is_refused(
    parse: object, body: dict[str, Any], change: dict[str, Any], code: str
) -> None:
    """By the code of what is wrong with it, for debits, quotes and holds alike."""
    assert code_of(parse, without(body, change)) == code


@pytest.mark.parametrize("value", [None, [], "x", 1, True, [AUTO]])
@pytest.mark.parametrize(
    "parse", [parse_work, parse_hold, parse_queued_order, parse_standing, OpenBody, AdjustmentBody, CaptureBody, NoBody]
)
def test_a_body_is_an_object(parse: object, value: object) -> None:
    """Anything else is `invalid_field`."""
    assert code_of(parse, value) == "invalid_field"


@pytest.mark.parametrize(("seconds", "lasts_ms"), [(MISSING, 1_209_600_000), (60, 60_000), (2_592_000, 2_592_000_000)])
@pytest.mark.parametrize("body", [AUTO, SOURCING])
def test_a_hold_lasts_from_a_minute_to_30_days(body: dict[str, Any], seconds: object, lasts_ms: int) -> None:
    """14 days unless told."""
    assert parse_hold(without(body, {"expires_in": seconds}))[1] == lasts_ms


@pytest.mark.parametrize("seconds", [59, 0, -60, 2_592_001, "60", 60.0, Decimal("60.0"), True, None])
@pytest.mark.parametrize("body", [AUTO, SOURCING])
def test_a_hold_lasts_no_other_time(body: dict[str, Any], seconds: object) -> None:
    """422 `invalid_field`."""
    assert code_of(parse_hold, body | {"expires_in": seconds}) == "invalid_field"


def test_a_debit_has_no_time() -> None:
    """`expires_in` is for holds alone."""
    assert code_of(parse_work, AUTO | {"expires_in": 60}) == "unknown_field"


def test_opening() -> None:
    """The add-on is inactive unless told."""
    assert parse_body(OpenBody, {}).orders_processor == "inactive"
    assert parse_body(OpenBody, {"orders_processor": "active"}).orders_processor == "active"
    for bad, code in (({"orders_processor": "on"}, "invalid_field"), ({"status": "active"}, "unknown_field")):
        assert code_of(OpenBody, bad) == code


def test_an_account_that_moves_in_brings_balances() -> None:
    """From 0.00 in any unit; none at all is not the same as not moving in."""
    assert parse_body(OpenBody, {}).balances() is None
    assert parse_body(OpenBody, {"opening": {}}).balances() == {}
    brought = {"auto_order": "120.00", "ai_rewrite": "0.01", "finder": "0.00", "managed": "9999999999.99"}
    expected = {"auto_order": 12_000, "ai_rewrite": 1, "finder": 0, "managed": 999_999_999_999}
    assert parse_body(OpenBody, {"orders_processor": "active", "opening": brought}).balances() == expected


@pytest.mark.parametrize(
    ("opening", "code"),
    [
        ({"auto_order": "-0.01"}, "invalid_amount"),
        ({"auto_order": 1}, "invalid_amount"),
        ({"auto_order": "1"}, "invalid_amount"),
        ({"auto_order": None}, "invalid_amount"),
        ({"points": "1.00"}, "invalid_field"),
        ({"AUTO_ORDER": "1.00"}, "invalid_field"),
        ([], "invalid_field"),
        ("120.00", "invalid_field"),
    ],
)
def test_no_account_moves_in_with_anything_else(opening: object, code: str) -> None:
    """Units and amounts are those of the contract."""
    assert code_of(OpenBody, {"opening": opening}) == code


@pytest.mark.parametrize(
    ("body", "changes"),
    [
        ({"status": "paused"}, {"status": "paused"}),
        ({"orders_processor": "inactive", "reason": "why"}, {"orders_processor": "inactive"}),
        ({"status": "active", "orders_processor": "active"}, {"status": "active", "orders_processor": "active"}),
    ],
)
def test_standing_changes_what_was_sent(body: dict[str, Any], changes: dict[str, str]) -> None:
    """And nothing by default."""
    assert parse_standing(body).changes() == changes


@pytest.mark.parametrize("body", [{}, {"reason": "why"}])
def test_an_empty_patch_is_refused(body: dict[str, Any]) -> None:
    """At least one of status and add-on, else 422 `invalid_field`."""
    assert code_of(parse_standing, body) == "invalid_field"


@pytest.mark.parametrize(
    "body",
    [{"status": "open"}, {"status": None}, {"status": "paused", "reason": ""}, {"status": "paused", "reason": "x" * 201}, {"orders_processor": 1}],
)  # fmt: skip
def test_a_bad_standing_is_refused(body: dict[str, Any]) -> None:
    """422 `invalid_field`."""
    assert code_of(parse_standing, body) == "invalid_field"


def test_the_threshold_is_an_amount_or_none() -> None:
    """From 0.00; null takes it away; it must be sent."""
    assert parse_body(SettingsBody, {"low_balance": "2.00"}).low_balance == 200
    assert parse_body(SettingsBody, {"low_balance": "0.00"}).low_balance == 0
    assert parse_body(SettingsBody, {"low_balance": None}).low_balance is None
    assert code_of(SettingsBody, {"low_balance": "-0.01"}) == "invalid_amount"
    assert code_of(SettingsBody, {"low_balance": 2}) == "invalid_amount"
    assert code_of(SettingsBody, {}) == "invalid_field"


ADJUSTMENT = {"unit": "finder", "amount": "-1.00", "reason": "why"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": "0.00"}, "invalid_amount"),
        ({"amount": "1"}, "invalid_amount"),
        ({"amount": 1}, "invalid_amount"),
        ({"amount": MISSING}, "invalid_field"),
        ({"unit": "points"}, "invalid_field"),
        ({"unit": MISSING}, "invalid_field"),
        ({"reason": ""}, "invalid_field"),
        ({"reason": "x" * 201}, "invalid_field"),
        ({"reason": MISSING}, "invalid_field"),
        ({"reason": None}, "invalid_field"),
        ({"reference": ""}, "invalid_field"),
        ({"note": "x"}, "unknown_field"),
    ],
)
def test_a_bad_adjustment_is_refused(change: dict[str, Any], code: str) -> None:
    """Unit, an amount other than zero, and a reason of 1 to 200 characters."""
    assert parse_body(AdjustmentBody, ADJUSTMENT).amount == -100
    assert parse_body(AdjustmentBody, ADJUSTMENT | {"reason": "x" * 200}).reason == "x" * 200
    assert code_of(AdjustmentBody, without(ADJUSTMENT, change)) == code


def test_parts_of_a_settlement() -> None:
    """All open parts unless named; `managed` from 0.00; a release says why."""
    assert parse_body(CaptureBody, {}) == CaptureBody(parts=None, managed=None)
    body = parse_body(CaptureBody, {"parts": ["order", "tracking"], "managed": "0.00"})
    assert (body.parts, body.managed) == (["order", "tracking"], 0)
    assert parse_body(ReleaseBody, {"reason": "why"}).parts is None
    wrong: list[dict[str, Any]] = [{"parts": []}, {"parts": ["credits"]}, {"parts": "order"}, {"parts": ["order"] * 4}]
    for bad in wrong:
        assert code_of(CaptureBody, bad) == "invalid_field"
        assert code_of(ReleaseBody, bad | {"reason": "why"}) == "invalid_field"
    assert code_of(CaptureBody, {"managed": "-0.01"}) == "invalid_amount"
    assert code_of(CaptureBody, {"managed": 1}) == "invalid_amount"
    assert code_of(CaptureBody, {"reason": "why"}) == "unknown_field"
    assert code_of(ReleaseBody, {}) == "invalid_field"
    assert code_of(ReleaseBody, {"reason": ""}) == "invalid_field"
    assert code_of(ReleaseBody, {"reason": "why", "managed": "1.00"}) == "unknown_field"


def test_what_may_be_queued() -> None:
    """`auto` and `fba` orders; failed ones are resent."""
    assert parse_queued_order(FBA) == parse_work(FBA)
    assert code_of(parse_queued_order, AUTO | {"order_type": "manual", "tracking": "bce"}) == "invalid_field"
    assert code_of(parse_queued_order, AUTO | {"cost": "1.00"}) == "invalid_field"
    assert parse_body(ResendBody, {"status": "failed"}).status == "failed"
    assert code_of(ResendBody, {"status": "queued"}) == "invalid_field"


def test_no_body_is_an_empty_object() -> None:
    """A route without a body takes nothing more."""
    parse_body(NoBody, {})
    assert code_of(NoBody, {"a": 1}) == "unknown_field"


@pytest.mark.parametrize("value", [[], "text", 5, None, True])
def test_what_is_no_object_is_refused_without_naming_our_classes(value: object) -> None:
    """Nothing internal is in an answer."""
    with pytest.raises(Problem) as refused:
        parse_body(OpenBody, value)
    assert (refused.value.code, refused.value.detail) == ("invalid_field", "body: Input should be an object.")

"""The form of a call, whatever its route."""

import base64
import hashlib
from typing import Any

import pytest

from autocredits.domain.errors import Problem
from autocredits.edge.requests import (
    MAX_BODY_BYTES,
    PARAMETERS,
    read_json,
    read_key,
    read_nothing,
    read_parameters,
    read_query,
)

JSON = {"content-type": "application/json"}


def sent(body: str | bytes | None = None, headers: dict[str, str] | None = None, **event: Any) -> dict[str, Any]:
    """A call with this body and, unless told otherwise, JSON's content type. Bytes go in base64."""
    text = base64.b64encode(body).decode() if isinstance(body, bytes) else body
    return {"headers": JSON | (headers or {}), "body": text, "isBase64Encoded": isinstance(body, bytes), **event}


def code_of(read: Any, *arguments: Any) -> str:
    """How the call is refused."""
    with pytest.raises(Problem) as refused:
        read(*arguments)
    return refused.value.code


# ---------------------------------------------------------------- parameters and query

GOOD = {
    "account_id": "acme",
    "order_id": "A-1",
    "product_id": "P.1:x_y",
    "hold_id": "A-1~1",
    "purchase_id": "pur_1",
    "code": "SPRING-10",
}
CODES = {
    "account_id": "invalid_id",
    "order_id": "invalid_id",
    "product_id": "invalid_id",
    "hold_id": "hold_not_found",
    "purchase_id": "purchase_not_found",
    "code": "coupon_not_found",
}
HOSTILE = ["", " ", "a b", "a#b", "a/b", "a~b~c", "a~", "~1", "\u00e4", "a\n", "%2e%2e", "*", "x" * 65, "x" * 2100]


def test_every_parameter_has_a_form() -> None:
    """Those of the contract, and no others."""
    assert set(PARAMETERS) == set(GOOD)


@pytest.mark.parametrize("name", GOOD)
def test_a_parameter_of_its_form_is_let_through(name: str) -> None:
    """As it is."""
    assert read_parameters({"pathParameters": {name: GOOD[name]}}) == {name: GOOD[name]}


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:10])
@pytest.mark.parametrize("name", GOOD)
def test_a_parameter_of_another_form_is_refused(name: str, text: str) -> None:
    """An id that the caller made is 422; of what the service named there is none of that name, so it is 404."""
    assert code_of(read_parameters, {"pathParameters": {name: text}}) == CODES[name]


@pytest.mark.parametrize("event", [{}, {"pathParameters": None}])
def test_a_path_without_parameters_has_none(event: dict[str, Any]) -> None:
    """The gateway sends null, or nothing."""
    assert read_parameters(event) == {}


def test_a_query_has_the_names_of_its_route() -> None:
    """Any other is `unknown_field`, and is named."""
    event = {"queryStringParameters": {"limit": "1", "offset": "2"}}
    assert read_query(event, ("limit", "offset")) == {"limit": "1", "offset": "2"}
    assert code_of(read_query, event, ("limit",)) == "unknown_field"
    for nothing in ({}, {"queryStringParameters": None}):
        assert read_query(nothing, ()) == {}


# ---------------------------------------------------------------- bodies


@pytest.mark.parametrize(
    ("event", "body"),
    [
        (sent('{"a": 1}'), {"a": 1}),
        (sent('{"a": "\u00e4"}'.encode()), {"a": "\u00e4"}),
        (sent("[]"), []),
        (sent(None), {}),
        (sent("", {"content-type": "text/plain"}), {}),
        (sent("{}", {"content-type": "Application/JSON; charset=utf-8"}), {}),
        ({"headers": {"CONTENT-TYPE": "application/json"}, "body": "{}"}, {}),
    ],
)
def test_json_is_read_as_sent(event: dict[str, Any], body: Any) -> None:
    """Plain or in base64; an absent body is an empty object, whatever its type."""
    assert read_json(event) == body


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (sent("{}", {"content-type": "text/plain"}), "unsupported_media_type"),
        (sent("{}", {"content-type": ""}), "unsupported_media_type"),
        ({"headers": None, "body": "{}"}, "unsupported_media_type"),
        (sent("{"), "invalid_json"),
        (sent(b'{"a": "\xff"}'), "invalid_encoding"),
        (sent('{"a": "\ufffd"}'), "invalid_encoding"),
        (sent("x" * 65_537, {"content-type": "text/plain"}), "body_too_large"),
    ],
)
def test_a_body_of_another_form_is_refused(event: dict[str, Any], code: str) -> None:
    """Size, type, encoding and JSON, in this order, each by its own code."""
    assert code_of(read_json, event) == code


def test_64_kib_are_allowed() -> None:
    """One byte more is not; bytes count, not characters."""
    room = MAX_BODY_BYTES - len('{"a": ""}')
    assert MAX_BODY_BYTES == 65_536
    read_json(sent('{"a": "' + "x" * room + '"}'))
    for body in ('{"a": "' + "x" * (room - 1) + '\u00e4"}', ('{"a": "' + "x" * (room + 1) + '"}').encode()):
        assert code_of(read_json, sent(body)) == "body_too_large"


def test_a_route_without_a_body_takes_an_empty_object() -> None:
    """Whatever its type; anything else is refused by its own code."""
    for event in (sent(None), sent(""), sent("{}"), sent("{}", {"content-type": "text/plain"}), {}):
        read_nothing(event)
    for body, code in (('{"a": 1}', "unknown_field"), ("[]", "invalid_field"), ("{", "invalid_json")):
        assert code_of(read_nothing, sent(body)) == code
    assert code_of(read_nothing, sent("x" * 65_537)) == "body_too_large"


# ---------------------------------------------------------------- the idempotency key


def keyed(headers: dict[str, str], method: str = "POST", path: str = "/v1/accounts/acme/debits") -> dict[str, Any]:
    """A call with these headers."""
    return {"headers": headers, "requestContext": {"http": {"method": method, "path": path}}}


@pytest.mark.parametrize("key", ["k", "K.1:a-b_c", "x" * 64])
@pytest.mark.parametrize("name", ["idempotency-key", "Idempotency-Key"])
def test_a_key_is_an_id(name: str, key: str) -> None:
    """The case of the header does not matter."""
    assert read_key(keyed({name: key}), {}).key == key


@pytest.mark.parametrize("key", ["", " ", "a b", "k1,k2", "a#b", "a~b", "\u00e4", "x" * 65])
def test_a_key_of_another_form_is_refused(key: str) -> None:
    """400 `idempotency_key_invalid`."""
    assert code_of(read_key, keyed({"idempotency-key": key}), {}) == "idempotency_key_invalid"


@pytest.mark.parametrize("headers", [{}, None, {"key": "k1"}])
def test_a_missing_key_is_asked_for(headers: Any) -> None:
    """400 `idempotency_key_required`."""
    assert code_of(read_key, keyed(headers), {}) == "idempotency_key_required"


def fingerprint(body: str, **call: str) -> str:
    """The fingerprint of a call with this body."""
    return read_key(keyed({"idempotency-key": "k1"}, **call), read_json(sent(body))).fingerprint


def test_a_fingerprint_is_of_what_was_sent() -> None:
    """The spelling of the JSON does not count; path, method and every value do."""
    one = fingerprint('{"a": "1.00", "b": {"c": 1}}')
    assert one == fingerprint(' {"b":{"c":1},"a":"\\u0031.00"} ')
    others = [
        fingerprint('{"a": "1.00", "b": {"c": 2}}'),
        fingerprint('{"a": "1.00", "b": {"c": "1"}}'),
        fingerprint('{"a": "1.00", "b": {"c": 1.0}}'),
        fingerprint('{"a": "1.00"}'),
        fingerprint('{"a": "1.00", "b": {"c": 1}, "d": null}'),
        fingerprint('{"a": "1.00", "b": {"c": 1}}', path="/v1/accounts/bolt/debits"),
        fingerprint('{"a": "1.00", "b": {"c": 1}}', method="PUT"),
    ]
    assert len({one, *others}) == 8


def test_a_fingerprint_is_stored_and_stays_as_it_is() -> None:
    """A key of an earlier release must still know its request."""
    text = b'["POST","/v1/accounts/acme/debits",{"order_id":"A-1"}]'
    assert fingerprint('{"order_id": "A-1"}') == hashlib.sha256(text).hexdigest()

"""What all routes share, on a resolver of its own; the service's routes are tested in tests/functional."""

import base64
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from autocredits.domain.errors import BrokenInvariantError, Problem
from autocredits.edge import http
from autocredits.ledger.ports import UnavailableError


@dataclass
class Context:
    """What Lambda hands over beside the event."""

    function_name: str = "test"
    memory_limit_in_mb: int = 128
    invoked_function_arn: str = "arn"
    aws_request_id: str = "request"


def event(
    route: str = "POST /v1/accounts/{account_id}/things",
    body: str | None = "{}",
    *,
    account_id: str = "acme",
    claims: dict[str, Any] | None = None,
    query: dict[str, str] | None = None,
    encoded: bool = False,
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    """A call as API Gateway hands it over."""
    method, _, path = route.partition(" ")
    path = path.replace("{account_id}", account_id)
    claims = {"sub": "u1", "account_id": "acme"} if claims is None else claims
    sent = {"content-type": "application/json"} | (headers or {})
    return {
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": "",
        "headers": sent,
        "queryStringParameters": query,
        "pathParameters": {"account_id": account_id} if "{account_id}" in route else None,
        "requestContext": {
            "http": {"method": method, "path": path},
            "requestId": "r-1",
            "stage": "$default",
            "authorizer": {"jwt": {"claims": claims}},
        },
        "body": body,
        "isBase64Encoded": encoded,
    }


def called(sent: dict[str, Any], route: Callable[[http.Request], dict[str, Any]]) -> dict[str, Any]:
    """What a function with this one route answers."""
    app = http.resolver()

    @app.post("/v1/accounts/<account_id>/things")
    def things(account_id: str) -> http.Answer:
        request = http.read_request(app, "limit", takes_body=True)
        assert request.account_id == account_id
        return http.answer(200, route(request))

    return http.serve(app)(sent, Context())


def code_of(sent: dict[str, Any], route: Callable[[http.Request], dict[str, Any]] = lambda _: {}) -> str:
    """The code of its problem, or `ok`."""
    answer = called(sent, route)
    return str(json.loads(answer["body"]).get("code", "ok"))


def test_the_body_is_read_as_sent() -> None:
    """Plain or in base64; an absent one is an empty object."""
    for sent, body in (
        (event(body='{"a": 1}'), {"a": 1}),
        (event(body=base64.b64encode('{"a": "\u00e4"}'.encode()).decode(), encoded=True), {"a": "\u00e4"}),
        (event(body=None), {}),
        (event(body="", headers={"content-type": "text/plain"}), {}),
        (event(body="{}", headers={"content-type": "Application/JSON; charset=utf-8"}), {}),
    ):
        assert json.loads(called(sent, lambda request: {"read": request.body})["body"]) == {"read": body}


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (event(body="{}", headers={"content-type": "text/plain"}), "unsupported_media_type"),
        (event(body="{}", headers={"content-type": ""}), "unsupported_media_type"),
        (event(body="{"), "invalid_json"),
        (event(body='{"a": "' + "x" * 65_536 + '"}'), "body_too_large"),
        (event(body=base64.b64encode(b'{"a": "\xff"}').decode(), encoded=True), "invalid_encoding"),
        (event(body='{"a": "\ufffd"}'), "invalid_encoding"),
        (event(query={"limit": "1", "offset": "2"}), "unknown_field"),
        (event(account_id="a.b"), "invalid_id"),
        (event(query={"limit": "1"}), "ok"),
    ],
)
def test_the_form_is_checked(sent: dict[str, Any], code: str) -> None:
    """Size, type, encoding, JSON, query and account id, each by its own code."""
    assert code_of(sent) == code


def test_64_kib_are_allowed() -> None:
    """One byte more is not; bytes count, not characters."""
    room = http.MAX_BODY_BYTES - len('{"a": ""}')
    assert http.MAX_BODY_BYTES == 65_536
    assert code_of(event(body='{"a": "' + "x" * room + '"}')) == "ok"
    assert code_of(event(body='{"a": "' + "x" * (room - 1) + '\u00e4"}')) == "body_too_large"


def key_of(sent: dict[str, Any]) -> tuple[str, str]:
    """The key and fingerprint that a call comes with."""
    answer = json.loads(called(sent, lambda request: asdict(request.key()))["body"])
    return answer.get("key", answer.get("code")), answer.get("fingerprint", "")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "idempotency_key_required"),
        ({"idempotency-key": ""}, "idempotency_key_invalid"),
        ({"idempotency-key": "a b"}, "idempotency_key_invalid"),
        ({"idempotency-key": "k1,k2"}, "idempotency_key_invalid"),
        ({"idempotency-key": "x" * 65}, "idempotency_key_invalid"),
        ({"idempotency-key": "k1"}, "k1"),
        ({"Idempotency-Key": "K.1:a-b_c"}, "K.1:a-b_c"),
    ],
)
def test_a_key_is_an_id(headers: dict[str, str], code: str) -> None:
    """Missing or malformed it has a code of its own; the header's case does not matter."""
    assert key_of(event(headers=headers))[0] == code


def test_a_fingerprint_is_of_what_was_sent() -> None:
    """The spelling of the JSON does not count; path, method and every value do."""
    sent = event(body='{"a": "1.00", "b": {"c": 1}}', headers={"idempotency-key": "k1"})
    same = event(body=' {"b":{"c":1},"a":"\\u0031.00"} ', headers={"idempotency-key": "k2", "x-trace": "y"})
    assert key_of(sent)[1] == key_of(same)[1]
    others = [
        event(body='{"a": "1.00", "b": {"c": 2}}', headers={"idempotency-key": "k1"}),
        event(body='{"a": "1.00", "b": {"c": "1"}}', headers={"idempotency-key": "k1"}),
        event(body='{"a": "1.00"}', headers={"idempotency-key": "k1"}),
        event(body='{"a": "1.00", "b": {"c": 1}, "d": null}', headers={"idempotency-key": "k1"}),
        event(body='{"a": "1.00", "b": {"c": 1}}', account_id="bolt", headers={"idempotency-key": "k1"}),
    ]
    assert len({key_of(other)[1] for other in [sent, *others]}) == 6


@pytest.mark.parametrize(
    ("claims", "code"),
    [({"account_id": "acme"}, "ok"), ({"account_id": "*"}, "ok"), ({"account_id": "bolt"}, "account_not_found"), ({}, "account_not_found")],
)  # fmt: skip
def test_only_the_account_of_the_token_is_admitted(claims: dict[str, str], code: str) -> None:
    """Any other is as if missing."""
    assert code_of(event(claims={"sub": "u1", **claims}), lambda request: {"actor": request.admit().actor}) == code


def test_a_foreign_account_answers_as_a_missing_one() -> None:
    """The same status, body and headers."""

    def missing(_: http.Request) -> dict[str, Any]:
        raise Problem("account_not_found")

    foreign = called(event(claims={"account_id": "bolt"}), lambda request: {"actor": request.admit().actor})
    assert foreign == called(event(), missing)


@pytest.mark.parametrize("route", ["$default", "GET /v1/accounts/{account_id}/things", "POST /v1/unknown"])
def test_what_has_no_route_is_not_found(route: str) -> None:
    """404 `not_found`, also for a method that the path does not know, whatever the raw path says."""
    sent = event(route) | {"rawPath": "/v1/accounts/acme/things"}
    answer = called(sent, lambda _: {})
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Problem("order_conflict", "why"), 409, "order_conflict"),
        (UnavailableError("table"), 503, "try_again"),
        (BrokenInvariantError("held would be -1"), 500, "internal_error"),
        (KeyError("secret"), 500, "internal_error"),
    ],
)
def test_every_exception_is_answered_as_a_problem(
    monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    """RFC 9457, and nothing internal in it."""
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "test")

    def broken(_: http.Request) -> dict[str, Any]:
        raise error

    answer = called(event(), broken)
    body = json.loads(answer["body"])
    assert (answer["statusCode"], body["status"], body["code"]) == (status, status, code)
    assert {"type", "title", "status", "detail", "code", "request_id"} <= set(body)
    assert body["request_id"] == "r-1"
    headers = json.dumps(answer.get("headers", {})) + json.dumps(answer.get("multiValueHeaders", {}))
    assert "application/problem+json" in headers
    assert ("Retry-After" in headers) == (code == "try_again")
    assert "secret" not in answer["body"]
    assert "held would be" not in answer["body"]


def test_a_problem_tells_its_further_members() -> None:
    """Beside the standard ones."""

    def broke(_: http.Request) -> dict[str, Any]:
        raise Problem("insufficient_credits", "more", required="1.00", shortfall="0.50")

    body = json.loads(called(event(), broke)["body"])
    assert (body["required"], body["shortfall"], body["status"]) == ("1.00", "0.50", 402)

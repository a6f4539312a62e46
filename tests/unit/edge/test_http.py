"""What all routes share, on an API of its own; the service's own routes are tested in tests/template/test_routes.py."""

import json
import logging
from collections.abc import Callable
from typing import Any, Literal

import pytest

from autocredits.domain.access import Caller
from autocredits.domain.errors import BrokenInvariantError, Problem
from autocredits.edge.bodies import OpenBody
from autocredits.edge.http import Answer, Api, Request, answer
from autocredits.edge.requests import Call, QueryForm
from autocredits.edge.telemetry import logger
from autocredits.ledger.ports import UnavailableError
from autocredits.ledger.time_limit import check_time, has_time
from tests.kit.service import Context

THINGS = "POST /v1/accounts/{account_id}/things"
ACME: dict[str, Any] = {"sub": "u1", "account_id": "acme"}
PLATFORM: dict[str, Any] = {"sub": "p1", "account_id": "*"}


def event(
    route: str = THINGS,
    body: str | None = None,
    *,
    parameters: dict[str, str] | None = None,
    claims: dict[str, Any] | None = None,
    query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    """A call as API Gateway hands it over, by the account `acme` and about it unless told otherwise."""
    method, _, path = route.partition(" ")
    parameters = {"account_id": "acme"} | (parameters or {})
    named = {name: value for name, value in parameters.items() if f"{{{name}}}" in route}
    for name, value in named.items():
        path = path.replace(f"{{{name}}}", value)
    return {
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json"} | (headers or {}),
        "queryStringParameters": query,
        "pathParameters": named or None,
        "requestContext": {
            "http": {"method": method, "path": path},
            "requestId": "r-1",
            "stage": "$default",
            "authorizer": {"jwt": {"claims": ACME if claims is None else claims}},
        },
        "body": body,
        "isBase64Encoded": False,
    }


def api(handler: Callable[..., Answer], route: str = THINGS, **declared: Any) -> Api:
    """An API with this one route, for callers unless told otherwise."""
    app = Api()
    app.route(route, **({"scope": "credits:read", "who": "caller"} | declared))(handler)
    return app


def told(app: Api, sent: dict[str, Any]) -> tuple[int, Any]:
    """What the API answers: status, and the problem's code or the body."""
    answered = app.handle(sent, Context())
    body = json.loads(answered["body"])
    return answered["statusCode"], body.get("code", body)


def fine(*_: object) -> Answer:
    """A handler that is content."""
    return answer(200, {})


def failing(error: Exception) -> Callable[..., Answer]:
    """A handler that ends so."""

    def handler(*_: object) -> Answer:
        raise error

    return handler


# ---------------------------------------------------------------- declaring


@pytest.mark.parametrize("left_out", ["scope", "who"])
def test_a_route_says_its_scope_and_who_is_admitted(left_out: str) -> None:
    """There is no default that somebody could forget to change."""
    declared: dict[str, Any] = {"scope": "credits:read", "who": "caller"}
    del declared[left_out]
    with pytest.raises(TypeError, match=left_out):
        Api().route(THINGS, **declared)


@pytest.mark.parametrize(
    ("route", "declared", "why"),
    [
        (THINGS, {"scope": None, "who": "caller"}, "a scope needs a token"),
        (THINGS, {"scope": None, "who": "platform"}, "a scope needs a token"),
        (THINGS, {"scope": "credits:read", "who": "anyone"}, "a scope needs a token"),
        ("GET /v1/{thing_id}", {"scope": "credits:read", "who": "caller"}, "a parameter without a form"),
        ("GET /v1/accounts/{account_id}/{x}", {"scope": None, "who": "anyone"}, "a parameter without a form"),
        (THINGS, {"scope": "credits:read", "who": "caller", "key": True}, "a key without a body"),
    ],
)
def test_a_route_that_would_be_open_or_unchecked_cannot_be_declared(
    route: str, declared: dict[str, Any], why: str
) -> None:
    """It is refused where it stands, at import, and is not there."""
    app = Api()
    with pytest.raises(BrokenInvariantError, match=why):
        app.route(route, **declared)
    assert app.routes == []


def test_a_route_is_known_as_it_was_declared() -> None:
    """Method, path, scope and who is admitted, for whoever compares them with the template."""
    (route,) = api(fine, who="platform", scope="credits:admin").routes
    assert (route.method, route.path, route.scope, route.who) == (
        "POST",
        "/v1/accounts/{account_id}/things",
        "credits:admin",
        "platform",
    )


# ---------------------------------------------------------------- how long a call may take


@pytest.mark.parametrize(("remaining_ms", "begun"), [(30_000, True), (4_600, True), (4_400, False), (300, False)])
def test_a_call_begins_nothing_that_would_outlast_its_function(remaining_ms: int, begun: bool) -> None:  # noqa: FBT001 - a case
    """Half a second is kept for the answer, which is 503 `try_again` with `Retry-After` then."""

    def handler(*_: object) -> Answer:
        check_time()
        return answer(200, {})

    answered = api(handler).handle(event(), Context(remaining_ms))
    assert (answered["statusCode"], "Retry-After" in answered["headers"]) == ((200, False) if begun else (503, True))
    assert has_time(10**9)


# ---------------------------------------------------------------- what a handler gets


def test_a_handler_gets_the_request_its_query_and_its_body() -> None:
    """In this order, each parsed as it was declared."""
    got: list[Any] = []

    def handler(request: Request, query: str, body: OpenBody) -> Answer:
        got.extend((request, query, body))
        return answer(201, {})

    query = QueryForm(("limit",), lambda call: call.query["limit"])
    app = api(handler, query=query, body=OpenBody, key=True)
    sent = event(body='{"orders_processor": "active"}', query={"limit": "7"}, headers={"idempotency-key": "k1"})
    assert told(app, sent) == (201, {})
    request, limit, body = got
    assert (request.caller, request.account_id, request.request_id) == (Caller("u1", "acme"), "acme", "r-1")
    assert (request.key.key, limit, body) == ("k1", "7", OpenBody(orders_processor="active"))


def test_a_body_may_be_parsed_by_a_function() -> None:
    """It gets the JSON as sent."""
    app = api(lambda _, body: answer(200, {"got": body}), body=lambda sent: [sent])
    assert told(app, event(body='{"a": 1}')) == (200, {"got": [{"a": 1}]})


def test_a_handler_without_forms_gets_the_request_alone() -> None:
    """And such a route takes no body."""
    app = api(lambda request: answer(200, {"actor": request.caller.actor}))
    assert told(app, event()) == (200, {"actor": "u1"})
    assert told(app, event(body='{"a": 1}')) == (422, "unknown_field")


def test_a_key_that_was_not_declared_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who uses it all the same meets a defect, not an unkeyed change."""
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "test")
    app = api(lambda request: answer(200, {"key": request.key.key}))
    assert told(app, event(headers={"idempotency-key": "k1"}))[0] == 500


# ---------------------------------------------------------------- who is admitted

Who = Literal["anyone", "caller", "platform"]


@pytest.mark.parametrize(
    ("who", "claims", "result"),
    [
        ("caller", ACME, 200),
        ("caller", PLATFORM, 200),
        ("caller", {"account_id": "bolt"}, (404, "account_not_found")),
        ("caller", {}, (404, "account_not_found")),
        ("platform", PLATFORM, 200),
        ("platform", ACME, (404, "not_found")),
        ("platform", {**PLATFORM, "store_id": "s1"}, (404, "not_found")),
        ("platform", {}, (404, "not_found")),
        ("anyone", {}, 200),
    ],
)
def test_a_route_admits_whom_it_was_declared_for(who: Who, claims: dict[str, Any], result: Any) -> None:
    """A caller of the account in the path, the platform alone, or anyone."""
    app = api(fine, who=who, scope=None if who == "anyone" else "credits:read")
    assert told(app, event(claims=claims)) == ((200, {}) if result == 200 else result)


def test_a_route_without_an_account_admits_every_token_that_names_one() -> None:
    """The platform's too; one that names none is refused."""
    app = api(fine, "GET /v1/rates")
    for claims in (ACME, PLATFORM):
        assert told(app, event("GET /v1/rates", claims=claims)) == (200, {})
    assert told(app, event("GET /v1/rates", claims={"sub": "u1"})) == (404, "account_not_found")


def test_a_foreign_account_answers_as_a_missing_one() -> None:
    """The same status, body and headers."""
    foreign = api(fine).handle(event(claims={"account_id": "bolt"}), Context())
    missing = api(failing(Problem("account_not_found"))).handle(event(), Context())
    assert foreign == missing


def test_the_contracts_order_of_checks() -> None:
    """The ids of the path, the query's names, its values, the body, the key, its form, and then the account."""
    query = QueryForm(("limit",), failing_query)
    app = api(fine, query=query, body=OpenBody, key=True)
    wrong = event(
        body='{"colour": 1}', parameters={"account_id": "a.b"}, query={"limit": "0", "colour": "red"}, claims={}
    )
    mended: list[tuple[str, dict[str, Any]]] = [
        ("invalid_id", {"pathParameters": {"account_id": "acme"}}),
        ("unknown_field", {"queryStringParameters": {"limit": "0"}}),
        ("invalid_limit", {"queryStringParameters": {"limit": "1"}}),
        ("idempotency_key_required", {"headers": {**wrong["headers"], "idempotency-key": "k1"}}),
        ("unknown_field", {"body": "{}"}),
        ("account_not_found", {}),
    ]
    for code, mend in mended:
        assert told(app, wrong)[1] == code
        wrong |= mend


def failing_query(call: Call) -> str:
    """The limit. Raises Problem `invalid_limit` for 0."""
    if call.query.get("limit") == "0":
        raise Problem("invalid_limit", "why")
    return call.query["limit"]


def test_the_platforms_routes_say_nothing_of_form_to_others() -> None:
    """Who is not the platform is told 404 `not_found` before anything is read."""
    app = api(fine, who="platform", body=OpenBody)
    assert told(app, event(body="{", parameters={"account_id": "a.b"}, query={"x": "y"})) == (404, "not_found")


# ---------------------------------------------------------------- routing


@pytest.mark.parametrize("route", ["$default", "GET /v1/accounts/{account_id}/things", "POST /v1/unknown"])
def test_what_has_no_route_is_not_found(route: str) -> None:
    """404 `not_found`, also for a method that the path does not know, whatever the raw path says."""
    sent = event(route) | {"rawPath": "/v1/accounts/acme/things"}
    assert told(api(fine), sent) == (404, "not_found")


@pytest.mark.parametrize("hold_id", ["A-1~1", "a:b.c_d~12"])
def test_a_parameter_is_one_segment_as_it_is(hold_id: str) -> None:
    """The characters that ids have come through."""
    route = "GET /v1/accounts/{account_id}/holds/{hold_id}"
    app = api(lambda request: answer(200, dict(request.parameters)), route)
    assert told(app, event(route, parameters={"hold_id": hold_id})) == (200, {"account_id": "acme", "hold_id": hold_id})


ORDER = "GET /v1/accounts/{account_id}/orders/{order_id}"


@pytest.mark.parametrize(
    ("order_id", "reached"), [("resend", [ORDER]), ("1/resend", []), ("../orders", []), ("a%2Fb", []), ("a#b", [])]
)
def test_a_parameter_never_leads_to_another_route(order_id: str, reached: list[str]) -> None:
    """The gateway chose the route, and checked the scope for it; a decoded slash changes nothing of that."""
    app = Api()
    called: list[str] = []

    def noting(route: str) -> Callable[[Request], Answer]:
        def handler(_: Request) -> Answer:
            called.append(route)
            return answer(200, {})

        return handler

    for route in (ORDER, f"{ORDER}/resend", "GET /v1/accounts/{account_id}/orders"):
        app.route(route, scope="credits:read", who="caller")(noting(route))
    assert told(app, event(ORDER, parameters={"order_id": order_id})) == ((200, {}) if reached else (422, "invalid_id"))
    assert called == reached


# ---------------------------------------------------------------- answers


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
    """RFC 9457, and nothing internal in it; only `try_again` says when."""
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "test")
    answered = api(failing(error)).handle(event(), Context())
    body = json.loads(answered["body"])
    assert (answered["statusCode"], body["status"], body["code"], body["request_id"]) == (status, status, code, "r-1")
    assert set(body) == {"type", "title", "status", "detail", "code", "request_id"}
    assert answered["headers"]["Content-Type"] == "application/problem+json"
    assert answered["headers"].get("Retry-After") == ("1" if code == "try_again" else None)
    assert "secret" not in answered["body"]
    assert "held would be" not in answered["body"]


def test_a_problem_tells_its_further_members() -> None:
    """Beside the standard ones."""
    problem = Problem("insufficient_credits", "more", required="1.00", shortfall="0.50")
    body = json.loads(api(failing(problem)).handle(event(), Context())["body"])
    assert (body["required"], body["shortfall"], body["status"]) == ("1.00", "0.50", 402)


@pytest.mark.parametrize("replayed", [True, False])
def test_a_first_answer_that_is_given_again_says_so(replayed: bool) -> None:  # noqa: FBT001 - a case
    """By a header, so that its body is the first one."""
    answered = api(lambda _: answer(201, {"a": 1}, replayed=replayed)).handle(event(), Context())
    assert answered["headers"].get("Idempotent-Replayed") == ("true" if replayed else None)
    assert (answered["statusCode"], answered["headers"]["Content-Type"]) == (201, "application/json")
    assert json.loads(answered["body"]) == {"a": 1}


@pytest.mark.parametrize(
    ("handler", "status", "code"),
    [(fine, 200, None), (failing(Problem("order_conflict", "why")), 409, "order_conflict")],
)
def test_a_call_logs_one_line(
    caplog: pytest.LogCaptureFixture, handler: Callable[..., Answer], status: int, code: str | None
) -> None:
    """What was called, how it was answered, for whom and how long it took."""
    with caplog.at_level(logging.INFO, logger=logger.name):
        api(handler).handle(event(), Context())
    (line,) = (record for record in caplog.records if record.name == logger.name)
    told_ = {name: line.__dict__[name] for name in ("route", "status", "code", "account_id", "request_id")}
    assert told_ == {"route": THINGS, "status": status, "code": code, "account_id": "acme", "request_id": "r-1"}
    assert line.__dict__["duration_ms"] >= 0

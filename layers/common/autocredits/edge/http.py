"""What the HTTP functions share: routing by the gateway's route key, the form of a request, problems, one log line.

The gateway has checked the token and its scope for the route that it matched. Its `routeKey` alone says which one
that was: the path arrives percent-decoded, so an encoded slash could otherwise lead to a route that nobody checked.
"""

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import ServiceError

from autocredits.domain.access import Caller, may_reach
from autocredits.domain.decide import IdempotencyKey
from autocredits.domain.errors import Problem
from autocredits.domain.ids import check_account_id, is_caller_id

from .access import caller_of
from .bodies import NoBody, parse_body
from .json_body import canonical_json, parse_json
from .problems import as_problem
from .telemetry import logger

MAX_BODY_BYTES = 64 * 1024

Event = dict[str, Any]
Handler = Callable[[Event, Any], dict[str, Any]]
Answer = Response[str]


def resolver() -> APIGatewayHttpResolver:
    """A resolver whose routes answer every exception as a problem."""
    app = APIGatewayHttpResolver()

    @app.exception_handler(Exception)  # type: ignore[untyped-decorator]
    def _problem(error: Exception) -> Answer:
        return problem_response(app.current_event.raw_event, as_problem(error))

    @app.exception_handler(ServiceError)  # type: ignore[untyped-decorator]
    def _no_route(_: ServiceError) -> Answer:
        return problem_response(app.current_event.raw_event, Problem("not_found"))

    return app


def serve(app: APIGatewayHttpResolver) -> Handler:
    """The Lambda handler of a resolver: answers `$default` itself, logs one line per call."""

    def handler(event: Event, context: Any) -> dict[str, Any]:
        started_s = time.monotonic()
        answer = app.resolve(_routed(event), context)
        logger.info(
            "call",
            extra={
                "route": event["routeKey"],
                "status": answer["statusCode"],
                "code": json.loads(answer["body"])["code"] if answer["statusCode"] >= HTTPStatus.BAD_REQUEST else None,
                "account_id": (event.get("pathParameters") or {}).get("account_id"),
                "request_id": request_id(event),
                "duration_ms": round((time.monotonic() - started_s) * 1000),
            },
        )
        return answer

    return handler


def _routed(event: Event) -> Event:
    """The event with the path that its route key and parameters make, each parameter one segment."""
    # `$default` becomes a path that no resolver knows.
    method, _, template = event["routeKey"].partition(" ")
    parameters = event.get("pathParameters") or {}
    path = re.sub(r"\{(\w+)\+?\}", lambda name: quote(parameters[name[1]], safe=":~"), template)
    http = {**event["requestContext"]["http"], "method": method, "path": path}
    return {**event, "rawPath": path, "requestContext": {**event["requestContext"], "stage": "$default", "http": http}}


def request_id(event: Event) -> str:
    """The gateway's id of the request, by which logs can be found."""
    return str(event["requestContext"]["requestId"])


def problem_response(event: Event, problem: Problem) -> Answer:
    """The problem as `application/problem+json` (RFC 9457)."""
    body = {
        "type": f"urn:autocredits:problem:{problem.code}",
        "title": problem.code.replace("_", " ").capitalize(),
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "request_id": request_id(event),
        **problem.extra,
    }
    headers = {"Retry-After": "1"} if problem.code == "try_again" else {}
    return Response(problem.status, "application/problem+json", json.dumps(body), headers)


def answer(status: int, body: Mapping[str, Any], *, replayed: bool = False) -> Answer:
    """A JSON answer; `replayed` marks the first answer to a key, given again."""
    headers = {"Idempotent-Replayed": "true"} if replayed else {}
    return Response(status, "application/json", json.dumps(body), headers)


def _header(event: Event, name: str) -> str | None:
    headers = event.get("headers") or {}
    return next((value for header, value in headers.items() if header.lower() == name), None)


def _read_json(event: Event) -> Any:
    """The body as sent; an absent one counts as an empty object.

    Raises Problem `body_too_large`, `unsupported_media_type`, `invalid_encoding`, `invalid_json`.
    """
    raw = _raw_body(event)
    if not raw:
        return {}
    media_type = (_header(event, "content-type") or "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem("unsupported_media_type", "Send the body as Content-Type: application/json.")
    return _parse(raw)


def _raw_body(event: Event) -> bytes:
    body = event.get("body") or ""
    raw = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode("utf-8", "surrogatepass")
    if len(raw) > MAX_BODY_BYTES:
        raise Problem("body_too_large", f"A body has at most {MAX_BODY_BYTES} bytes.")
    return raw


def _parse(raw: bytes) -> Any:
    try:
        return parse_json(raw.decode())
    except UnicodeDecodeError:
        raise Problem("invalid_encoding", "The body must be UTF-8.") from None


def _read_nothing(event: Event) -> None:
    """Make sure of a route without a body that none, or an empty object, was sent. Raises Problem."""
    if raw := _raw_body(event):
        parse_body(NoBody, _parse(raw))


@dataclass(frozen=True, slots=True)
class Request:
    """One call, its form checked as far as all routes share it.

    `account_id` is the one that the path names; None for a route that names none. `body` is the JSON as sent.
    """

    event: Event
    account_id: str | None
    query: Mapping[str, str]
    body: Any

    def key(self) -> IdempotencyKey:
        """The idempotency key, with the fingerprint of what came with it: method, path and JSON as sent.

        Raises Problem `idempotency_key_required`, `idempotency_key_invalid`.
        """
        key = _header(self.event, "idempotency-key")
        if key is None:
            raise Problem("idempotency_key_required", "Send an Idempotency-Key: an id that you keep for every retry.")
        if not is_caller_id(key):
            raise Problem("idempotency_key_invalid", "A key has 1 to 64 characters out of A-Z a-z 0-9 _ . : -.")
        http = self.event["requestContext"]["http"]
        request = canonical_json([http["method"], http["path"], self.body])
        return IdempotencyKey(key, hashlib.sha256(request.encode()).hexdigest())

    def request_id(self) -> str:
        """The gateway's id of the request."""
        return request_id(self.event)

    def caller(self) -> Caller:
        """Who asks, whatever the account."""
        return caller_of(self.event)

    def admit(self) -> Caller:
        """Who asks. Called once the form has been checked; then comes whether the account exists for the caller.

        Raises Problem `account_not_found` for another merchant's account, and for a token that names none.
        """
        caller = self.caller()
        if may_reach(caller, self.account_id) != "yes":
            raise Problem("account_not_found")
        return caller


def read_request(app: APIGatewayHttpResolver, *query_names: str, takes_body: bool = False) -> Request:
    """The call that `app` is answering.

    Raises Problem for an account id, a query parameter or a body that the route cannot take.
    """
    event = app.current_event.raw_event
    parameters = event.get("pathParameters") or {}
    account_id = check_account_id(parameters["account_id"]) if "account_id" in parameters else None
    query = event.get("queryStringParameters") or {}
    unknown = sorted(query.keys() - set(query_names))
    if unknown:
        raise Problem("unknown_field", f"{unknown[0]}: this route takes no such query parameter.")
    if takes_body:
        return Request(event, account_id, query, _read_json(event))
    _read_nothing(event)
    return Request(event, account_id, query, {})

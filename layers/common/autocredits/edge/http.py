"""The routes of a function, each declared once: its form, its key, who is admitted, and its handler.

The gateway has checked the token and its scope for the route that it matched. Its `routeKey` alone says which one
that was: the path arrives percent-decoded, so an encoded slash could otherwise lead to a route that nobody checked.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import quote

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import ServiceError
from pydantic import BaseModel

from autocredits.domain.access import Caller, check_platform, check_reaches
from autocredits.domain.decide import IdempotencyKey
from autocredits.domain.errors import Problem, require
from autocredits.ledger.time_limit import limit_of

from .bodies import parse_body
from .callers import caller_of
from .problems import as_problem
from .requests import PARAMETERS, Call, Event, QueryForm, read_json, read_key, read_nothing, read_parameters, read_query
from .telemetry import logger

ANSWERING_S = 0.5
"""What is kept for the answer itself."""

Answer = Response[str]
BodyForm = type[BaseModel] | Callable[[Any], Any]

Who = Literal["anyone", "caller", "platform"]
"""Who is admitted: anyone, even without a token; a caller whose token names the path's account (or, where the path
names none, any account); the platform alone."""


@dataclass(frozen=True, slots=True)
class Request:
    """A call that was admitted. `domain` is the host that it came to."""

    caller: Caller
    parameters: Mapping[str, str]
    request_id: str
    domain: str
    idempotency: IdempotencyKey | None = None

    @property
    def account_id(self) -> str:
        """The account that the path names."""
        return self.parameters["account_id"]

    @property
    def key(self) -> IdempotencyKey:
        """The idempotency key, on a route that was declared to take one."""
        require(self.idempotency is not None, "this route takes no key")
        return self.idempotency  # type: ignore[return-value] # just required


@dataclass(frozen=True, slots=True)
class Route:
    """A route as it was declared. The scope is checked by the gateway; None: no token is needed."""

    method: str
    path: str
    scope: str | None
    who: Who
    body: BodyForm | None
    query: QueryForm | None
    key: bool
    handler: Callable[..., Answer]

    def answer(self, event: Event) -> Answer:
        """Check form and admission, in the contract's order (docs/contract.md, section 4), and hand the call over.

        The handler gets the request, then what its query and its body were parsed to, as far as it declared them.
        """
        caller = caller_of(event)
        if self.who == "platform":
            check_platform(caller)
        call = Call(event, caller, read_parameters(event), read_query(event, self.query.names if self.query else ()))
        forms = [self.query.parse(call)] if self.query else []
        key = None
        if self.body is None:
            read_nothing(event)
        else:
            sent = read_json(event)
            key = read_key(event, sent) if self.key else None
            forms.append(_parsed(self.body, sent))
        if self.who == "caller":
            check_reaches(caller, call.account_id())
        domain = event["requestContext"].get("domainName", "")
        return self.handler(Request(caller, call.parameters, _request_id(event), domain, key), *forms)


def _parsed(form: BodyForm, sent: Any) -> Any:
    return parse_body(form, sent) if isinstance(form, type) else form(sent)


class Api:
    """The routes of one function. There is no other way to add one than to declare it."""

    def __init__(self) -> None:
        self.routes: list[Route] = []
        self.resolver = APIGatewayHttpResolver()
        self.resolver.exception_handler(Exception)(self._problem)
        self.resolver.exception_handler(ServiceError)(lambda _: self._problem(Problem("not_found")))

    def route(
        self,
        declared: str,
        *,
        scope: str | None,
        who: Who,
        body: BodyForm | None = None,
        query: QueryForm | None = None,
        key: bool = False,
    ) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
        """Declare a route, such as `GET /v1/accounts/{account_id}/balance`; each parameter's form is known by its name.

        `body` is a model, or a function that parses the JSON as sent. Only a route with a body takes a `key`.
        """
        method, _, path = declared.partition(" ")
        require(set(re.findall(r"\{(\w+)\}", path)) <= PARAMETERS.keys(), f"{declared}: a parameter without a form")
        require(body is not None or not key, f"{declared}: a key without a body")
        require((scope is None) == (who == "anyone"), f"{declared}: a scope needs a token, a token a scope")

        def declare(handler: Callable[..., Answer]) -> Callable[..., Answer]:
            route = Route(method, path, scope, who, body, query, key, handler)
            self.routes.append(route)
            rule = path.replace("{", "<").replace("}", ">")
            self.resolver.route(rule, method)(lambda **_: route.answer(self.resolver.current_event.raw_event))
            return handler

        return declare

    def handle(self, event: Event, context: Any) -> dict[str, Any]:
        """The Lambda handler: answers every call and every exception in time, and logs one line."""
        started_s = time.monotonic()
        with limit_of(context, ANSWERING_S):
            answer: dict[str, Any] = self.resolver.resolve(_routed(event), context)
        logger.info(
            "call",
            extra={
                "route": event["routeKey"],
                "status": answer["statusCode"],
                "code": json.loads(answer["body"])["code"] if answer["statusCode"] >= HTTPStatus.BAD_REQUEST else None,
                "account_id": (event.get("pathParameters") or {}).get("account_id"),
                "request_id": _request_id(event),
                "duration_ms": round((time.monotonic() - started_s) * 1000),
            },
        )
        return answer

    def _problem(self, error: Exception) -> Answer:
        return _problem_response(self.resolver.current_event.raw_event, as_problem(error))


def _routed(event: Event) -> Event:
    """The event with the path that its route key and parameters make, each parameter one segment."""
    # `$default` becomes a path that no resolver knows.
    method, _, template = event["routeKey"].partition(" ")
    parameters = event.get("pathParameters") or {}
    path = re.sub(r"\{(\w+)\+?\}", lambda name: quote(parameters[name[1]], safe=":~"), template)
    http = {**event["requestContext"]["http"], "method": method, "path": path}
    return {**event, "rawPath": path, "requestContext": {**event["requestContext"], "stage": "$default", "http": http}}


def _request_id(event: Event) -> str:
    """The gateway's id of the request, by which it is found in the logs."""
    return str(event["requestContext"]["requestId"])


def _problem_response(event: Event, problem: Problem) -> Answer:
    """The problem as `application/problem+json` (RFC 9457)."""
    body = {
        "type": f"urn:autocredits:problem:{problem.code}",
        "title": problem.code.replace("_", " ").capitalize(),
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "request_id": _request_id(event),
        **problem.extra,
    }
    headers = {"Retry-After": "1"} if problem.code == "try_again" else {}
    return Response(problem.status, "application/problem+json", json.dumps(body), headers)


def answer(status: int, body: Mapping[str, Any], *, replayed: bool = False) -> Answer:
    """A JSON answer; `replayed` marks the first answer to a key, given again."""
    headers = {"Idempotent-Replayed": "true"} if replayed else {}
    return Response(status, "application/json", json.dumps(body), headers)


def text_answer(status: int, media_type: str, text: str) -> Answer:
    """An answer that is not JSON."""
    return Response(status, media_type, text)

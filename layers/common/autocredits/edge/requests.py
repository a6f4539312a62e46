"""A call as the gateway hands it over, and its form: ids, query, key, body (docs/contract.md, section 2)."""

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from autocredits.domain.access import Caller
from autocredits.domain.decide import IdempotencyKey
from autocredits.domain.errors import Problem
from autocredits.domain.ids import check_account_id, check_caller_id, is_caller_id, is_coupon_code, parse_hold_id

from .bodies import NoBody, parse_body
from .json_body import canonical_json, parse_json

MAX_BODY_BYTES = 64 * 1024

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A call whose ids and query names fit its route. `parameters` are those of the path."""

    event: Event
    caller: Caller
    parameters: Mapping[str, str]
    query: Mapping[str, str]

    def account_id(self) -> str | None:
        """The account that the path names, if it names one."""
        return self.parameters.get("account_id")


@dataclass(frozen=True, slots=True)
class QueryForm:
    """What a route takes in its query: the names, and what is made of them."""

    names: tuple[str, ...]
    parse: Callable[[Call], Any]


def _check_code(code: str) -> None:
    if not is_coupon_code(code):
        raise Problem("coupon_not_found")


def _check_purchase_id(purchase_id: str) -> None:
    if not is_caller_id(purchase_id):
        raise Problem("purchase_not_found")


PARAMETERS: Mapping[str, Callable[[str], object]] = MappingProxyType(
    {
        "account_id": check_account_id,
        "order_id": lambda text: check_caller_id(text, "order_id"),
        "product_id": lambda text: check_caller_id(text, "product_id"),
        "hold_id": parse_hold_id,
        "purchase_id": _check_purchase_id,
        "code": _check_code,
    }
)
"""The form of each parameter that a path can have."""


def read_parameters(event: Event) -> Mapping[str, str]:
    """The path's parameters. Raises Problem for one that is malformed."""
    parameters: Mapping[str, str] = event.get("pathParameters") or {}
    for name, value in parameters.items():
        PARAMETERS[name](value)
    return parameters


def read_query(event: Event, names: tuple[str, ...]) -> Mapping[str, str]:
    """The query. Raises Problem `unknown_field` for a name that the route does not take."""
    query: Mapping[str, str] = event.get("queryStringParameters") or {}
    unknown = sorted(query.keys() - set(names))
    if unknown:
        raise Problem("unknown_field", f"{unknown[0]}: this route does not take this query parameter.")
    return query


def read_key(event: Event, body: Any) -> IdempotencyKey:
    """The idempotency key, with the fingerprint of what came with it: method, path and JSON as sent.

    Raises Problem `idempotency_key_required`, `idempotency_key_invalid`.
    """
    key = header(event, "idempotency-key")
    if key is None:
        raise Problem("idempotency_key_required", "Send an Idempotency-Key, and the same one with every retry.")
    if not is_caller_id(key):
        raise Problem("idempotency_key_invalid", "A key is 1 to 64 characters long: A-Z a-z 0-9 _ . : -")
    http = event["requestContext"]["http"]
    return IdempotencyKey(key, fingerprint(http["method"], http["path"], body))


def fingerprint(method: str, path: str, body: Any) -> str:
    """What tells a request from any other, whatever the spelling of its JSON."""
    return hashlib.sha256(canonical_json([method, path, body]).encode()).hexdigest()


def read_json(event: Event) -> Any:
    """The body as sent; an absent one counts as an empty object.

    Raises Problem `body_too_large`, `unsupported_media_type`, `invalid_encoding`, `invalid_json`.
    """
    raw = _raw_body(event)
    if not raw:
        return {}
    media_type = (header(event, "content-type") or "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem("unsupported_media_type", "Send the body as Content-Type: application/json.")
    return _parse(raw)


def read_nothing(event: Event) -> None:
    """Make sure that a route without a body got none, or an empty object, whatever its type. Raises Problem."""
    if raw := _raw_body(event):
        parse_body(NoBody, _parse(raw))


def header(event: Event, name: str) -> str | None:
    """A header of the call, by its name in lower case."""
    headers = event.get("headers") or {}
    return next((value for sent, value in headers.items() if sent.lower() == name), None)


def _raw_body(event: Event) -> bytes:
    body = event.get("body") or ""
    raw = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode("utf-8", "surrogatepass")
    if len(raw) > MAX_BODY_BYTES:
        raise Problem("body_too_large", f"A body may have at most {MAX_BODY_BYTES} bytes.")
    return raw


def _parse(raw: bytes) -> Any:
    try:
        return parse_json(raw.decode())
    except UnicodeDecodeError:
        raise Problem("invalid_encoding", "The body must be UTF-8.") from None

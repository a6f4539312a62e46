"""What can go wrong with a call. A refusal is named by its code: `insufficient_credits` is InsufficientCredits.

A code that is not known here is a plain Problem, so a newer service breaks nobody.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any


class CreditsError(Exception):
    """A call that did not do what it should. With its `key`, if it has one, the same call is safe to make again."""

    def __init__(self, told: str, key: str | None = None) -> None:
        super().__init__(told)
        self.key = key


class Unreachable(CreditsError):
    """No answer came, however often the call was tried; what it asked for may have been done."""


class UnexpectedAnswer(CreditsError):
    """Something answered that does not speak as the service does."""


class Problem(CreditsError):
    """A refusal. `code` is stable, `detail` is for people, `members` are the problem's further members."""

    def __init__(self, status: int, code: str, detail: str, members: Mapping[str, Any], key: str | None) -> None:
        super().__init__(f"{detail} ({status} {code})", key)
        self.status = status
        self.code = code
        self.detail = detail
        self.members = members

    @property
    def request_id(self) -> str | None:
        """Quote it when you report the problem."""
        return self.members.get("request_id")


class GatewayFault(Problem):
    """The gateway could not reach the service, whatever it said; a retry is safe."""


class TooManyRequests(Problem):
    """The gateway throttles."""


class Unauthorized(Problem):
    """The token is missing, wrong or too old."""


class Forbidden(Problem):
    """The token lacks the scope."""


class InvalidJson(Problem):
    """The body is no JSON that the service takes."""


class InvalidEncoding(Problem):
    """The body is no clean UTF-8."""


class IdempotencyKeyRequired(Problem):
    """The call needs a key."""


class IdempotencyKeyInvalid(Problem):
    """The key is malformed."""


class InvalidCursor(Problem):
    """The cursor is not of this list."""


class BadSignature(Problem):
    """A webhook's signature does not fit."""


class InsufficientCredits(Problem):
    """Credits are lacking: `members` has `unit`, `required`, `available` and `shortfall`."""


class InsufficientManagedBalance(Problem):
    """Managed balance is lacking."""


class StoreForbidden(Problem):
    """The token is bound to one store."""


class OrdersProcessorInactive(Problem):
    """The add-on must be active."""


class AccountInactive(Problem):
    """The account takes no new work."""


class BalanceFrozen(Problem):
    """The balance is below zero."""


class AccountNotFound(Problem):
    """There is no such account, or it is not the token's."""


class OrderNotFound(Problem):
    """There is no such order."""


class ProductNotFound(Problem):
    """There is no such sourcing request."""


class HoldNotFound(Problem):
    """There is no such hold."""


class PurchaseNotFound(Problem):
    """There is no such purchase."""


class CouponNotFound(Problem):
    """There is no such coupon."""


class NotFound(Problem):
    """There is no such route for this token."""


class AlreadyCharged(Problem):
    """The work was charged before, under another key: `members` has the `entry_id`."""


class OrderConflict(Problem):
    """The order is known with another store or other work."""


class TooManyAttempts(Problem):
    """Nothing new can be started for this work."""


class InvalidTransition(Problem):
    """It has ended otherwise, or is not far enough."""


class CouponExists(Problem):
    """There is such a coupon already."""


class BalanceLimit(Problem):
    """The balance would pass its limit."""


class BodyTooLarge(Problem):
    """The body is too long."""


class UnsupportedMediaType(Problem):
    """The body is not called JSON."""


class InvalidField(Problem):
    """A field or query value is not what it must be."""


class UnknownField(Problem):
    """There is no such field."""


class InvalidAmount(Problem):
    """An amount is no string with two decimals, or out of its range."""


class InvalidId(Problem):
    """An id is malformed."""


class InvalidLimit(Problem):
    """The limit is not from 1 to 100."""


class UnknownRate(Problem):
    """No rate card prices this work."""


class UnknownPackage(Problem):
    """There is no such package."""


class CouponInvalid(Problem):
    """The coupon cannot be used: `members` has the `reason`."""


class PaymentRefused(Problem):
    """The provider refused; start again with a new key."""


class CaptureExceedsHold(Problem):
    """More is to be taken than was held."""


class RangeTooLarge(Problem):
    """The statement would be too long: `members` has `split_at`, a time to ask up to."""


class IdempotencyKeyReused(Problem):
    """The key was used for another request."""


class InternalError(Problem):
    """A defect of the service."""


class TryAgain(Problem):
    """The outcome may be unknown; the same call is safe to make again."""


def _code_of(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


BY_CODE: Mapping[str, type[Problem]] = {_code_of(kind.__name__): kind for kind in Problem.__subclasses__()}
"""The exception of each code."""

_OF_GATEWAY = {
    HTTPStatus.UNAUTHORIZED: "unauthorized",
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body_too_large",
    HTTPStatus.TOO_MANY_REQUESTS: "too_many_requests",
}


def problem_of(status: int, body: object, key: str | None = None) -> Problem:
    """The refusal of an answer: the service's own, or the gateway's, which only has a `message`."""
    told = body if isinstance(body, dict) else {}
    code = told.get("code")
    if isinstance(code, str):
        detail = str(told.get("detail", code))
        members = {name: value for name, value in told.items() if name not in ("status", "code", "detail")}
        return BY_CODE.get(code, Problem)(status, code, detail, members, key)
    code = _OF_GATEWAY.get(HTTPStatus(status)) if status in set(HTTPStatus) else None
    if code is None:
        code = "gateway_fault" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "unknown"
    detail = str(told.get("message") or f"The answer is {status}.")
    return BY_CODE.get(code, Problem)(status, code, detail, {}, key)

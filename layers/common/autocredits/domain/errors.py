"""The refusals of the service: one stable code each (docs/contract.md, section 6)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

STATUS_BY_CODE: Mapping[str, int] = MappingProxyType(
    {
        "invalid_json": 400,
        "invalid_encoding": 400,
        "idempotency_key_required": 400,
        "idempotency_key_invalid": 400,
        "invalid_cursor": 400,
        "bad_signature": 401,
        "insufficient_credits": 402,
        "insufficient_managed_balance": 402,
        "store_forbidden": 403,
        "orders_processor_inactive": 403,
        "account_inactive": 403,
        "balance_frozen": 403,
        "account_not_found": 404,
        "order_not_found": 404,
        "product_not_found": 404,
        "hold_not_found": 404,
        "purchase_not_found": 404,
        "coupon_not_found": 404,
        "not_found": 404,
        "already_charged": 409,
        "order_conflict": 409,
        "too_many_attempts": 409,
        "invalid_transition": 409,
        "coupon_exists": 409,
        "balance_limit": 409,
        "body_too_large": 413,
        "unsupported_media_type": 415,
        "invalid_field": 422,
        "unknown_field": 422,
        "invalid_amount": 422,
        "invalid_id": 422,
        "invalid_limit": 422,
        "unknown_rate": 422,
        "unknown_package": 422,
        "coupon_invalid": 422,
        "payment_refused": 422,
        "capture_exceeds_hold": 422,
        "range_too_large": 422,
        "idempotency_key_reused": 422,
        "internal_error": 500,
        "try_again": 503,
        "too_many_messages": 409,  # only ever the reason of a dead letter
    }
)

DETAIL_BY_CODE: Mapping[str, str] = MappingProxyType(
    {
        "account_not_found": "No such account.",
        "order_not_found": "No such order.",
        "product_not_found": "No such product.",
        "hold_not_found": "No such hold.",
        "purchase_not_found": "No such purchase.",
        "coupon_not_found": "No such coupon.",
        "coupon_exists": "A coupon with this code already exists.",
        "bad_signature": "The signature does not match the body, or is too old.",
        "not_found": "No such resource.",
        "store_forbidden": "This token is bound to one store and may not do this.",
        "account_inactive": "This account is not active and takes no new work.",
        "orders_processor_inactive": "The Orders Processor add-on must be active to buy or use credits.",
        "invalid_transition": "This hold is already settled.",
        "payment_refused": "The payment provider refused this payment. Start again with a new key.",
        "too_many_attempts": "Nothing new can be started for this work: it has been changed too often.",
        "too_many_messages": "This work has received as many messages as it can remember.",
        "internal_error": "Something went wrong on our side. Please quote the request_id when you report it.",
        "try_again": "The outcome may be unknown. Send the same request again, with the same key if it has one.",
    }
)


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """A refusal with a stable code, told to the caller as an RFC 9457 problem.

    `detail` is for people; `extra` holds the further members of the problem, already in their outside form.
    """

    def __init__(self, code: str, detail: str | None = None, **extra: Any) -> None:
        self.code = code
        self.status = STATUS_BY_CODE[code]
        self.detail = detail if detail is not None else DETAIL_BY_CODE[code]
        self.extra = extra
        super().__init__(f"{code}: {self.detail}")


class BrokenInvariantError(Exception):
    """The books would not add up. Nothing was written: this is a defect or a damaged table, never a caller's fault."""


def require(condition: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence at the call
    """Raise BrokenInvariantError naming `what` unless `condition` holds. Never stripped, unlike `assert`."""
    if not condition:
        raise BrokenInvariantError(what)

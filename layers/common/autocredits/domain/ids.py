"""Names that callers choose, and the ids of holds and entries made from them (docs/contract.md, sections 1 and 2)."""

import re
from typing import Literal

from .errors import Problem

_ACCOUNT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CALLER_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_COUPON_CODE = re.compile(r"[A-Z0-9_-]{1,32}")
_HOLD_ID = re.compile(r"([A-Za-z0-9_.:-]{1,64})~(s?)([1-9][0-9]{0,8})")


def is_account_id(text: object) -> bool:
    """Whether `text` can name an account: `[A-Za-z0-9_-]{1,64}`."""
    return isinstance(text, str) and _ACCOUNT_ID.fullmatch(text) is not None


def is_caller_id(text: object) -> bool:
    """Whether `text` can be an order, store or product id or a key: `[A-Za-z0-9_.:-]{1,64}`."""
    return isinstance(text, str) and _CALLER_ID.fullmatch(text) is not None


def is_coupon_code(text: object) -> bool:
    """Whether `text` can be a coupon's code: `[A-Z0-9_-]{1,32}`."""
    return isinstance(text, str) and _COUPON_CODE.fullmatch(text) is not None


def check_account_id(text: object) -> str:
    """`text` itself. Raises Problem `invalid_id` when it cannot name an account."""
    if not isinstance(text, str) or not is_account_id(text):
        raise Problem("invalid_id", "An account id is 1 to 64 characters long: A-Z a-z 0-9 _ -")
    return text


def check_caller_id(text: object, field: str) -> str:
    """`text` itself. Raises Problem `invalid_id` naming `field` when it is no id."""
    if not isinstance(text, str) or not is_caller_id(text):
        raise Problem("invalid_id", f"{field} is 1 to 64 characters long: A-Z a-z 0-9 _ . : -")
    return text


def hold_id(kind: str, work_id: str, attempt: int) -> str:
    """The id of an attempt's hold: `<order_id>~<attempt>` or `<product_id>~s<attempt>`."""
    return f"{work_id}~{'s' if kind == 'product' else ''}{attempt}"


def parse_hold_id(text: str) -> tuple[Literal["order", "product"], str, int]:
    """Kind of work (`order` or `product`), its id, and the attempt. Raises Problem `hold_not_found`."""
    match = _HOLD_ID.fullmatch(text)
    if match is None:
        raise Problem("hold_not_found")
    work_id, sourcing, attempt = match.groups()
    return ("product" if sourcing else "order"), work_id, int(attempt)


def entry_id(version: int, index: int) -> str:
    """The id of an entry: `<version of its page>.<index in the page, from 0>`."""
    return f"{version}.{index}"

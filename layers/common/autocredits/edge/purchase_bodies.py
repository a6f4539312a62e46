"""The form of what buyers and the platform send about purchases and coupons (docs/contract.md, section 5)."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field

from autocredits.domain.errors import Problem
from autocredits.domain.purchases.calls import PurchaseRequest
from autocredits.domain.purchases.coupons import HUNDRED_PERCENT, Coupon
from autocredits.domain.times import parse_time

from .bodies import AmountAboveZero, Body, Reason, parse_body


def _time(value: object) -> int:
    if not isinstance(value, str):
        raise Problem("invalid_field", "A time must be an RFC 3339 string.")
    return parse_time(value)


Time = Annotated[int, BeforeValidator(_time)]
PaymentMethod = Literal["card", "paypal", "payoneer"]
Code = Annotated[str, Field(pattern=r"^[A-Z0-9_-]{1,32}$")]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]

MAX_RETURN_URL = 500
LOOPBACK = ("127.0.0.1", "localhost")

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}")


class Payer(Body):
    """Who pays, for the provider alone: neither kept nor logged."""

    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    email: Annotated[str, Field(min_length=3, max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")]


class CheckoutBody(Body):
    """POST …/purchases/{purchase_id}/checkout."""

    payment_method: PaymentMethod
    return_url: Annotated[str, Field(max_length=MAX_RETURN_URL)] | None = None
    payer: Payer | None = None


def parse_checkout(value: Any) -> CheckoutBody:
    """How a purchase is to be paid instead. Raises Problem 422."""
    return parse_body(CheckoutBody, value)


class _PurchaseTerms(CheckoutBody):
    coupon: Code | None = None


class PackagePurchase(_PurchaseTerms):
    """POST /accounts/{account_id}/purchases for a package."""

    package: Annotated[str, Field(min_length=1, max_length=64)]

    def request(self) -> PurchaseRequest:
        """What is to be bought."""
        return PurchaseRequest(package=self.package)


class Load(_PurchaseTerms):
    """POST /accounts/{account_id}/purchases for a load of the managed balance."""

    unit: Literal["managed"]
    amount: AmountAboveZero

    def request(self) -> PurchaseRequest:
        """What is to be loaded."""
        return PurchaseRequest(amount=self.amount)


def parse_purchase(value: Any) -> PackagePurchase | Load:
    """What is to be bought, and how it is paid. Raises Problem 422."""
    if isinstance(value, dict) and ("unit" in value or "amount" in value):
        return parse_body(Load, value)
    return parse_body(PackagePurchase, value)


def check_return_url(url: str | None, origins: Sequence[str], *, local: bool) -> None:
    """Whether a buyer may be sent back there: https, of an allowed origin, without userinfo or a fragment.

    On a local stack http on 127.0.0.1 or localhost is allowed too. Raises Problem `invalid_field`.
    """
    if url is None:
        return
    refused = Problem("invalid_field", "return_url must be https, and of an allowed origin.")
    if any(ord(char) <= ord(" ") or char in "\\\x7f" or ord(char) > ord("~") for char in url):
        raise refused
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise refused from None
    host = parts.hostname or ""
    if parts.username is not None or parts.fragment or _HOST.fullmatch(host) is None:
        raise refused
    if local and parts.scheme == "http" and host in LOOPBACK:
        return
    origin = f"{parts.scheme}://{host}" + ("" if port in (None, 443) else f":{port}")
    if parts.scheme != "https" or origin not in origins:
        raise refused


class CouponBody(Body):
    """POST /coupons."""

    code: Code
    percent_off: AmountAboveZero | None = None
    amount_off: AmountAboveZero | None = None
    bonus_credits: AmountAboveZero | None = None
    packages: Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(min_length=1)] | None = None
    starts_at: Time | None = None
    ends_at: Time | None = None
    max_uses: Count | None = None
    max_uses_per_account: Count | None = None

    def coupon(self) -> Coupon:
        """The coupon. Raises Problem `invalid_field` unless it has exactly one benefit and dates that can hold."""
        benefits = [self.percent_off, self.amount_off, self.bonus_credits]
        if sum(benefit is not None for benefit in benefits) != 1:
            raise Problem("invalid_field", "Send exactly one of percent_off, amount_off and bonus_credits.")
        if (self.percent_off or 0) > HUNDRED_PERCENT:
            raise Problem("invalid_amount", 'percent_off must be from "0.01" to "100.00".')
        if self.percent_off == HUNDRED_PERCENT and self.max_uses is None:
            raise Problem("invalid_field", "max_uses is required for 100.00 percent off.")
        if self.starts_at is not None and self.ends_at is not None and self.starts_at >= self.ends_at:
            raise Problem("invalid_field", "ends_at must be later than starts_at.")
        values = self.model_dump(exclude={"packages"})
        return Coupon(**values, packages=None if self.packages is None else tuple(self.packages))


def parse_coupon(value: Any) -> Coupon:
    """The coupon that is to be made. Raises Problem 422."""
    return parse_body(CouponBody, value).coupon()


class CouponCheck(Body):
    """POST /accounts/{account_id}/coupons/check."""

    code: Code
    package: Annotated[str, Field(min_length=1, max_length=64)]


class ReviewBody(Body):
    """POST …/purchases/{purchase_id}/review."""

    decision: Literal["credit", "refuse", "dispute_won", "dispute_lost"]
    dispute_id: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    reason: Reason


def parse_review(value: Any) -> ReviewBody:
    """A person's decision. Raises Problem 422, also for a `dispute_id` where none is decided on."""
    body = parse_body(ReviewBody, value)
    if body.dispute_id is not None and not body.decision.startswith("dispute_"):
        raise Problem("invalid_field", "dispute_id is only allowed with dispute_won and dispute_lost.")
    return body

"""Coupons: percent off, amount off or bonus credits, with limits, dates and packages (domain.md, "Decisions").

A coupon and its counter are one record; how often an account used it is another, in the account.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from .errors import Problem
from .money import divide_half_up

HUNDRED_PERCENT = 10_000
"""Percentages are counted in hundredths, like amounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coupon:
    """A coupon. Exactly one of the three benefits is set, in hundredths (of a percent, a dollar, a credit).

    `packages` are the names that it is good for; None: every package. Times are milliseconds, `starts_at ≤ t <
    ends_at`. `uses` counts the purchases that were started with it and have not failed.
    """

    code: str
    percent_off: int | None = None
    amount_off: int | None = None
    bonus_credits: int | None = None
    packages: tuple[str, ...] | None = None
    starts_at: int | None = None
    ends_at: int | None = None
    max_uses: int | None = None
    max_uses_per_account: int | None = None
    closed: bool = False
    uses: int = 0
    rev: int = 0

    def newest_version(self) -> int:
        """No page of an account touches a coupon."""
        return 0

    def to_map(self) -> dict[str, Any]:
        """The stored form: what is absent, false or zero is left out."""
        stored = {name: getattr(self, name) for name in _COUPON_FIELDS}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in stored.items() if value}


_COUPON_FIELDS = tuple(field.name for field in fields(Coupon))


def coupon_from_map(stored: Mapping[str, Any]) -> Coupon:
    """The coupon of a stored form."""
    packages = stored.get("packages")
    return Coupon(**{**stored, "packages": None if packages is None else tuple(packages)})


@dataclass(frozen=True, slots=True, kw_only=True)
class CouponUse:
    """How often one account has used a coupon."""

    code: str
    uses: int = 0
    rev: int = 0

    def newest_version(self) -> int:
        """No page touches it."""
        return 0

    def to_map(self) -> dict[str, Any]:
        """The stored form."""
        return {"code": self.code, "uses": self.uses, "rev": self.rev}


@dataclass(frozen=True, slots=True)
class Terms:
    """What a package costs with a coupon: US cents, and hundredths of bonus credits."""

    price: int
    discount: int = 0
    bonus_credits: int = 0


def terms_of(coupon: Coupon, list_price: int) -> Terms:
    """The terms of a price with the coupon. The price is rounded half up, the discount is what is left."""
    if coupon.bonus_credits is not None:
        return Terms(list_price, bonus_credits=coupon.bonus_credits)
    if coupon.percent_off is not None:
        price = divide_half_up(list_price * (HUNDRED_PERCENT - coupon.percent_off), HUNDRED_PERCENT)
    else:
        price = max(0, list_price - (coupon.amount_off or 0))
    return Terms(price, discount=list_price - price)


def check_usable(coupon: Coupon | None, used: CouponUse | None, package: str | None, now_ms: int) -> Coupon:
    """The coupon itself, if it can be used for the package now; `package` None is a load, good for no coupon.

    Raises Problem `coupon_invalid` with its `reason`.
    """
    if coupon is None:
        raise _invalid("unknown", "There is no such coupon.")
    if coupon.closed:
        raise _invalid("closed", "This coupon is closed.")
    if coupon.starts_at is not None and now_ms < coupon.starts_at:
        raise _invalid("not_started", "This coupon is not good yet.")
    if coupon.ends_at is not None and now_ms >= coupon.ends_at:
        raise _invalid("ended", "This coupon is not good any more.")
    if package is None or (coupon.packages is not None and package not in coupon.packages):
        raise _invalid("package", "This coupon is not good for this.")
    if coupon.max_uses is not None and coupon.uses >= coupon.max_uses:
        raise _invalid("used_up", "This coupon has been used as often as it may be.")
    if coupon.max_uses_per_account is not None and (used.uses if used else 0) >= coupon.max_uses_per_account:
        raise _invalid("used_up_by_account", "This account has used this coupon as often as it may.")
    return coupon


def _invalid(reason: str, detail: str) -> Problem:
    return Problem("coupon_invalid", detail, reason=reason)


def counted(coupon: Coupon, used: CouponUse | None, by: int) -> tuple[Coupon, CouponUse]:
    """Both counters, moved by one use more (1) or less (-1); never below zero."""
    used = used or CouponUse(code=coupon.code)
    return (
        replace(coupon, uses=max(0, coupon.uses + by), rev=coupon.rev + 1),
        replace(used, uses=max(0, used.uses + by), rev=used.rev + 1),
    )

"""Coupons: percent off, amount off or bonus credits, with limits, dates and packages.

A coupon and its counter are one record; how often an account used it is another, in the account. The rules stand in
docs/domain.md, "Decisions where the model is silent".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from autocredits.domain.decide import Draft
from autocredits.domain.errors import Problem
from autocredits.domain.forms import field_names, from_map, to_map
from autocredits.domain.money import divide_half_up
from autocredits.domain.records import Listing, RecordKey

HUNDRED_PERCENT = 10_000
"""Percentages are counted in hundredths, like amounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coupon:
    """A coupon. Exactly one of the three benefits is set, in hundredths (of a percent, a dollar, a credit).

    `packages` are the names of the packages it is good for; None: all. Times are milliseconds, `starts_at ≤ t <
    ends_at`. `uses` counts the purchases that were started with it and are not over unpaid. `created_by` and
    `closed_by` are who did so; `made_by` is the request that made it, by which its retry recognises its own work.
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
    created_by: str | None = None
    closed_by: str | None = None
    made_by: str | None = None
    rev: int = 0
    unknown: Mapping[str, Any] = field(default_factory=dict)
    FORM: ClassVar[int] = 1

    def newest_version(self) -> int:
        """No page of an account touches a coupon."""
        return 0

    def listings(self) -> tuple[Listing, ...]:
        """Coupons are not listed."""
        return ()

    def to_map(self) -> dict[str, Any]:
        """The stored form."""
        return to_map(self, _COUPON_FIELDS)


_COUPON_FIELDS = field_names(Coupon)


def coupon_from_map(stored: Mapping[str, Any]) -> Coupon:
    """The coupon of a stored form."""
    values = from_map(_COUPON_FIELDS, stored)
    packages = values.get("packages")
    return Coupon(**{**values, "packages": None if packages is None else tuple(packages)})


@dataclass(frozen=True, slots=True, kw_only=True)
class CouponUse:
    """How often one account has used a coupon, and how many of these uses the coupon's own count holds already.

    A release before the second form counts a use in both records without saying that it did, so it must not write it.
    """

    code: str
    uses: int = 0
    tallied: int = 0
    rev: int = 0
    unknown: Mapping[str, Any] = field(default_factory=dict)
    FORM: ClassVar[int] = 2

    def newest_version(self) -> int:
        """No page touches it."""
        return 0

    def listings(self) -> tuple[Listing, ...]:
        """Uses are not listed."""
        return ()

    def to_map(self) -> dict[str, Any]:
        """The stored form; a count of zero is stored as well."""
        return {**self.unknown, **{name: getattr(self, name) for name in _USE_FIELDS}, "form": self.FORM}


_USE_FIELDS = field_names(CouponUse)


def coupon_use_from_map(stored: Mapping[str, Any]) -> CouponUse:
    """The account's uses of a stored form."""
    # The first form was counted in the coupon as well.
    return CouponUse(**{"tallied": stored.get("uses", 0), **from_map(_USE_FIELDS, stored)})


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
    """The coupon itself, if it can be used for the package now; `package` None is a load, which takes no coupon.

    Raises Problem `coupon_invalid` with its `reason`.
    """
    if coupon is None:
        raise _invalid("unknown", "No such coupon.")
    if coupon.closed:
        raise _invalid("closed", "This coupon is closed.")
    if coupon.starts_at is not None and now_ms < coupon.starts_at:
        raise _invalid("not_started", "This coupon is not valid yet.")
    if coupon.ends_at is not None and now_ms >= coupon.ends_at:
        raise _invalid("ended", "This coupon has expired.")
    if package is None or (coupon.packages is not None and package not in coupon.packages):
        raise _invalid("package", "This coupon is not valid for this purchase.")
    if coupon.max_uses is not None and coupon.uses >= coupon.max_uses:
        raise _invalid("used_up", "This coupon has been used up.")
    if coupon.max_uses_per_account is not None and (used.uses if used else 0) >= coupon.max_uses_per_account:
        raise _invalid("used_up_by_account", "This account has used up this coupon.")
    return coupon


def _invalid(reason: str, detail: str) -> Problem:
    return Problem("coupon_invalid", detail, reason=reason)


def tallied(coupon: Coupon, used: CouponUse) -> tuple[Coupon, CouponUse]:
    """Both records, once the coupon's count holds all uses of the account; never below zero."""
    uses = max(0, coupon.uses + used.uses - used.tallied)
    return replace(coupon, uses=uses, rev=coupon.rev + 1), replace(used, tallied=used.uses, rev=used.rev + 1)


def coupon_keys(code: str | None) -> tuple[RecordKey, ...]:
    """The records of a coupon: itself, and how often the account has used it."""
    return () if code is None else (("coupon", code), ("coupon_use", code))


def read_coupon(draft: Draft, code: str) -> tuple[Coupon | None, CouponUse | None]:
    """The coupon and the account's uses of it, as far as there are any."""
    return draft.get(("coupon", code), Coupon), draft.get(("coupon_use", code), CouponUse)


def count_coupon(draft: Draft, code: str, by: int) -> None:
    """Count one use of the coupon more (1) or less (-1).

    Where `max_uses` is set, the coupon's own count moves in the same transaction. Where it is not, only the account's
    record is written, so that one account's purchases never wait for another's; the coupon's count follows later.
    """
    coupon, used = read_coupon(draft, code)
    if coupon is None:
        return
    used = used or CouponUse(code=code)
    used = replace(used, uses=max(0, used.uses + by))
    if coupon.max_uses is None:
        draft.put(("coupon_use", code), replace(used, rev=used.rev + 1))
        return
    coupon, used = tallied(coupon, used)
    draft.put(("coupon", code), coupon)
    draft.put(("coupon_use", code), used)

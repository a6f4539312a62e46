"""Coupons: what they take off, and when they are good."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocredits.domain.errors import Problem
from autocredits.domain.purchases.coupons import (
    Coupon,
    CouponUse,
    Terms,
    check_usable,
    counted,
    coupon_from_map,
    terms_of,
)

BASE = Coupon(code="C", percent_off=1000)


@pytest.mark.parametrize(
    ("coupon", "terms"),
    [
        (Coupon(code="C", percent_off=1000), Terms(891, 99)),
        (Coupon(code="C", percent_off=5050), Terms(490, 500)),
        (Coupon(code="C", percent_off=1), Terms(990, 0)),
        (Coupon(code="C", percent_off=10_000), Terms(0, 990)),
        (Coupon(code="C", amount_off=100), Terms(890, 100)),
        (Coupon(code="C", amount_off=991), Terms(0, 990)),
        (Coupon(code="C", bonus_credits=500), Terms(990, 0, 500)),
    ],
)
def test_terms_of_a_price(coupon: Coupon, terms: Terms) -> None:
    """9.90 with a coupon: the price is rounded half up, the discount is what is left, and never more than the price."""
    assert terms_of(coupon, 990) == terms


@given(st.integers(1, 10_000), st.integers(1, 10**9))
def test_price_and_discount_are_the_list_price(percent_off: int, list_price: int) -> None:
    """Whatever the percentage, nothing is lost, and the price is off by half a cent at most."""
    terms = terms_of(replace(BASE, percent_off=percent_off), list_price)
    assert terms.price + terms.discount == list_price
    assert abs(terms.price * 10_000 - list_price * (10_000 - percent_off)) <= 5000


@pytest.mark.parametrize(
    ("coupon", "used", "package", "reason"),
    [
        (None, None, "p", "unknown"),
        (replace(BASE, closed=True), None, "p", "closed"),
        (replace(BASE, starts_at=101), None, "p", "not_started"),
        (replace(BASE, ends_at=100), None, "p", "ended"),
        (replace(BASE, packages=("q",)), None, "p", "package"),
        (BASE, None, None, "package"),
        (replace(BASE, max_uses=2, uses=2), None, "p", "used_up"),
        (replace(BASE, max_uses_per_account=1), CouponUse(code="C", uses=1), "p", "used_up_by_account"),
    ],
)
def test_why_a_coupon_is_not_good(
    coupon: Coupon | None, used: CouponUse | None, package: str | None, reason: str
) -> None:
    """Each refusal names its reason."""
    with pytest.raises(Problem) as refused:
        check_usable(coupon, used, package, 100)
    assert (refused.value.code, refused.value.extra) == ("coupon_invalid", {"reason": reason})


@pytest.mark.parametrize(
    "coupon",
    [
        replace(BASE, starts_at=100, ends_at=101),
        replace(BASE, packages=("p", "q")),
        replace(BASE, max_uses=2, uses=1),
        replace(BASE, max_uses_per_account=1),
    ],
)
def test_a_coupon_is_good_up_to_its_limits(coupon: Coupon) -> None:
    """From its beginning, before its end, for its packages, below its counts."""
    assert check_usable(coupon, None, "p", 100) is coupon


def test_uses_are_counted_up_and_down_and_never_below_zero() -> None:
    """Both counters move together, each write with its own rev."""
    coupon, used = counted(BASE, None, 1)
    assert (coupon.uses, coupon.rev, used.uses, used.rev) == (1, 1, 1, 1)
    coupon, used = counted(*counted(coupon, used, -1), -1)
    assert (coupon.uses, used.uses, coupon.rev) == (0, 0, 3)


def test_a_coupon_comes_back_as_it_was_stored() -> None:
    """Stored form and coupon are each other's image."""
    coupon = replace(BASE, packages=("p",), max_uses=3, ends_at=5, uses=2, rev=4)
    assert coupon_from_map(coupon.to_map()) == coupon

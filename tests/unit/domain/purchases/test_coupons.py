"""Coupons: what they take off, when they can be used, and how their uses are counted."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocredits.domain.decide import Draft
from autocredits.domain.errors import Problem
from autocredits.domain.purchases.coupons import (
    Coupon,
    CouponUse,
    Terms,
    check_usable,
    count_coupon,
    counted,
    coupon_from_map,
    coupon_keys,
    coupon_use_from_map,
    read_coupon,
    terms_of,
)
from tests.kit.builders import ACCOUNT_ID, CATALOG, NOW_MS, page_of, state_of

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
        (Coupon(code="C"), Terms(990)),
    ],
)
def test_terms_of_a_price(coupon: Coupon, terms: Terms) -> None:
    """The price, 9.90 before, is rounded half up; the discount is the rest, and never more than the price."""
    assert terms_of(coupon, 990) == terms


@given(st.integers(1, 10_000), st.integers(1, 10**9))
def test_price_and_discount_are_the_list_price(percent_off: int, list_price: int) -> None:
    """Whatever the percentage, no cent is lost, and the price is off by half a cent at most."""
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
        (replace(BASE, packages=("q",)), None, None, "package"),
        (replace(BASE, max_uses=2, uses=2), None, "p", "used_up"),
        (replace(BASE, max_uses_per_account=1), CouponUse(code="C", uses=1), "p", "used_up_by_account"),
    ],
)
def test_a_coupon_that_cannot_be_used_says_why(
    coupon: Coupon | None, used: CouponUse | None, package: str | None, reason: str
) -> None:
    """422 `coupon_invalid` with one of seven reasons (docs/contract.md, section 5)."""
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
def test_a_coupon_can_be_used_up_to_its_limits(coupon: Coupon) -> None:
    """From its start, before its end, for its packages, and below its counts."""
    assert check_usable(coupon, None, "p", 100) is coupon


def test_uses_are_counted_up_and_down_and_never_below_zero() -> None:
    """Both counters move together, and each write has a rev of its own."""
    coupon, used = counted(BASE, None, 1)
    assert (coupon.uses, coupon.rev, used.uses, used.rev) == (1, 1, 1, 1)
    coupon, used = counted(*counted(coupon, used, -1), -1)
    assert (coupon.uses, used.uses, coupon.rev) == (0, 0, 3)


def test_a_coupon_is_counted_in_all_and_for_the_account() -> None:
    """The coupon and the account's uses of it are two records, written together."""
    draft = Draft(ACCOUNT_ID, page_of(state_of()), {("coupon", "C"): BASE}, CATALOG, NOW_MS)
    count_coupon(draft, "C", 1)
    assert read_coupon(draft, "C") == (replace(BASE, uses=1, rev=1), CouponUse(code="C", uses=1, rev=1))
    assert tuple(draft.changed) == coupon_keys("C") == (("coupon", "C"), ("coupon_use", "C"))


def test_a_coupon_that_is_not_there_is_not_counted() -> None:
    """Nothing is written."""
    draft = Draft(ACCOUNT_ID, page_of(state_of()), {}, CATALOG, NOW_MS)
    count_coupon(draft, "C", 1)
    assert draft.changed == {}
    assert coupon_keys(None) == ()


def test_a_coupon_survives_being_stored() -> None:
    """It is read back as it was; packages are stored as a list, as stores know no tuples."""
    coupon = replace(BASE, packages=("p",), max_uses=3, ends_at=5, uses=2, made_by="r1", rev=4)
    assert coupon.to_map()["packages"] == ["p"]
    assert coupon_from_map(coupon.to_map()) == coupon


def test_a_count_of_zero_is_stored() -> None:
    """The next write is on condition of the record that is there."""
    used = CouponUse(code="C", uses=0, rev=2)
    assert used.to_map() == {"code": "C", "uses": 0, "rev": 2}
    assert coupon_use_from_map(used.to_map()) == used


def test_a_coupon_belongs_to_no_page_and_no_list() -> None:
    """It is only ever found by its code, and so are its uses."""
    for record in (BASE, CouponUse(code="C", uses=3)):
        assert (record.newest_version(), record.listings()) == (0, ())

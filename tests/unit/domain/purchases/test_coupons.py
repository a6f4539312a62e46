"""Coupons: what they take off, when they can be used, and how their uses are counted."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocredits.domain.decide import Draft
from autocredits.domain.errors import Problem
from autocredits.domain.forms import form_of
from autocredits.domain.purchases.calls import TallyCoupon
from autocredits.domain.purchases.coupons import (
    Coupon,
    CouponUse,
    Terms,
    check_usable,
    count_coupon,
    coupon_from_map,
    coupon_keys,
    coupon_use_from_map,
    read_coupon,
    tallied,
    terms_of,
)
from autocredits.domain.records import Record, RecordKey
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


@pytest.mark.parametrize(
    ("uses", "used", "tallied_before", "after"),
    [(0, 1, 0, 1), (5, 3, 1, 7), (5, 1, 3, 3), (5, 2, 2, 5), (0, 0, 0, 0), (1, 0, 3, 0)],
)
def test_a_tally_adds_what_is_not_counted_yet(uses: int, used: int, tallied_before: int, after: int) -> None:
    """Or takes off what was given back, never below zero; each write has a rev of its own."""
    coupon, use = tallied(
        replace(BASE, uses=uses, rev=4), CouponUse(code="C", uses=used, tallied=tallied_before, rev=7)
    )
    assert coupon == replace(BASE, uses=after, rev=5)
    assert use == CouponUse(code="C", uses=used, tallied=used, rev=8)


def counting(coupon: Coupon, used: CouponUse | None = None) -> Draft:
    """A draft that knows the coupon, and the account's uses of it."""
    records: dict[RecordKey, Record] = {("coupon", "C"): coupon}
    if used is not None:
        records["coupon_use", "C"] = used
    return Draft(ACCOUNT_ID, page_of(state_of()), records, CATALOG, NOW_MS)


def test_a_limited_coupon_is_counted_in_all_and_for_the_account() -> None:
    """Both records are written together."""
    limited = replace(BASE, max_uses=3)
    draft = counting(limited)
    count_coupon(draft, "C", 1)
    both = (replace(limited, uses=1, rev=1), CouponUse(code="C", uses=1, tallied=1, rev=1))
    assert read_coupon(draft, "C") == both
    assert tuple(draft.changed) == coupon_keys("C") == (("coupon", "C"), ("coupon_use", "C"))
    count_coupon(draft, "C", -1)
    assert read_coupon(draft, "C") == (replace(limited, rev=2), CouponUse(code="C", rev=2))


def test_an_unlimited_coupon_is_counted_for_the_account_alone() -> None:
    """The coupon itself is not written: its count follows later."""
    draft = counting(BASE)
    for by, uses in ((1, 1), (1, 2), (-1, 1)):
        count_coupon(draft, "C", by)
        _, used = read_coupon(draft, "C")
        assert used is not None
        assert (used.uses, used.tallied) == (uses, 0)
    assert list(draft.changed) == [("coupon_use", "C")]


@pytest.mark.parametrize("limits", [{}, {"max_uses": 3}], ids=str)
def test_uses_are_never_counted_below_zero(limits: dict[str, int]) -> None:
    """Neither in all nor for the account."""
    draft = counting(replace(BASE, max_uses=limits.get("max_uses")), CouponUse(code="C"))
    count_coupon(draft, "C", -1)
    coupon, used = read_coupon(draft, "C")
    assert coupon is not None
    assert used is not None
    assert (coupon.uses, used.uses) == (0, 0)


def test_a_limited_coupon_counts_what_an_earlier_start_has_not() -> None:
    """An account's use that was not tallied yet comes with its next one."""
    draft = counting(replace(BASE, max_uses=9, uses=4), CouponUse(code="C", uses=2, tallied=1))
    count_coupon(draft, "C", 1)
    assert read_coupon(draft, "C") == (
        replace(BASE, max_uses=9, uses=6, rev=1),
        CouponUse(code="C", uses=3, tallied=3, rev=1),
    )


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["use", "give back", "tally"])), max_size=40))
def test_tallies_converge(steps: list[tuple[int, str]]) -> None:
    """Whenever three accounts tally: once all have, the coupon's count is the sum of their uses."""
    coupon, uses = BASE, [CouponUse(code="C") for _ in range(3)]
    for account, what in [*steps, (0, "tally"), (1, "tally"), (2, "tally")]:
        draft = counting(coupon, uses[account])
        if what == "tally":
            TallyCoupon(code="C").decide(draft)
        else:
            count_coupon(draft, "C", 1 if what == "use" else -1)
        now, used = read_coupon(draft, "C")
        assert now is not None
        assert used is not None
        coupon, uses[account] = now, used
    assert coupon.uses == sum(used.uses for used in uses)
    assert all(used.uses == used.tallied for used in uses)


def test_a_coupon_that_is_not_there_is_not_counted() -> None:
    """Nothing is written."""
    draft = Draft(ACCOUNT_ID, page_of(state_of()), {}, CATALOG, NOW_MS)
    count_coupon(draft, "C", 1)
    assert draft.changed == {}
    assert coupon_keys(None) == ()


def test_a_coupon_survives_being_stored() -> None:
    """It is read back as it was; packages are stored as a list, as stores know no tuples."""
    coupon = replace(BASE, packages=("p",), max_uses=3, ends_at=5, uses=2, created_by="me", closed_by="you", rev=4)
    assert coupon.to_map()["packages"] == ["p"]
    assert coupon_from_map(coupon.to_map()) == coupon


def test_a_count_of_zero_is_stored() -> None:
    """The next write is on condition of the record that is there; what is tallied is zero, and not unknown."""
    used = CouponUse(code="C", uses=0, tallied=0, rev=2)
    assert used.to_map() == {"code": "C", "uses": 0, "tallied": 0, "rev": 2, "form": 2}
    for one in (used, replace(used, uses=1)):
        assert replace(coupon_use_from_map(one.to_map()), unknown={}) == one


def test_an_earlier_release_must_not_count_uses_that_are_tallied() -> None:
    """It would count each one in the coupon as well, and the next tally once more: the form is one of its own."""
    read = coupon_use_from_map(CouponUse(code="C", uses=1).to_map())
    assert (read.FORM, form_of(read)) == (2, 2)


def test_uses_of_an_earlier_release_are_all_tallied() -> None:
    """It counted each one in the coupon as well."""
    assert coupon_use_from_map({"code": "C", "uses": 3, "rev": 4}) == CouponUse(code="C", uses=3, tallied=3, rev=4)
    assert coupon_use_from_map({"code": "C"}) == CouponUse(code="C")


def test_a_coupon_belongs_to_no_page_and_no_list() -> None:
    """It is only ever found by its code, and so are its uses."""
    for record in (BASE, CouponUse(code="C", uses=3)):
        assert (record.newest_version(), record.listings()) == (0, ())

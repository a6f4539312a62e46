"""Counters of coupons, by the purchases that they count."""

from autocredits.domain.purchases.coupons import Coupon, CouponUse
from dev.restore.coupons import Counts
from dev.restore.judge import Finding


def counts(coupon: Coupon | None, *uses: CouponUse, purchases: tuple[int, ...] = ()) -> Counts:
    """The counters of a table with one coupon, `C`, and accounts a, b, …, each with so many purchases that count."""
    told = Counts()
    if coupon:
        told.coupons["C"] = coupon
    for account_id, use in zip("abc", uses, strict=False):
        told.uses[account_id, "C"] = use
    for account_id, number in zip("abc", purchases, strict=False):
        told.purchases[account_id, "C"] = number
    return told


def afters(findings: list[Finding]) -> list[object]:
    """What the findings write."""
    return [finding.change.after for finding in findings if finding.change]


def use(uses: int, tallied: int, rev: int = 1) -> CouponUse:
    """An account's uses."""
    return CouponUse(code="C", uses=uses, tallied=tallied, rev=rev)


def test_counters_that_agree_are_no_finding() -> None:
    """With a limit and without; what an account has not told yet is no difference."""
    limited = Coupon(code="C", max_uses=9, uses=3, rev=4)
    assert list(counts(limited, use(1, 1), use(2, 2), purchases=(1, 2)).judge()) == []
    free = Coupon(code="C", uses=1, rev=4)
    assert list(counts(free, use(1, 1), use(2, 0), purchases=(1, 2)).judge()) == []


def test_a_limited_coupon_counts_every_purchase() -> None:
    """Its account's counter first, then its own."""
    limited = Coupon(code="C", max_uses=9, uses=5, rev=4)
    findings = list(counts(limited, use(3, 3), purchases=(1, 2)).judge())
    assert [finding.what for finding in findings] == ["coupon.uses", "coupon.uses", "coupon.count"]
    assert afters(findings) == [use(1, 1, 2), use(2, 2, 1), Coupon(code="C", max_uses=9, uses=3, rev=5)]


def test_an_unlimited_coupon_counts_what_it_was_told() -> None:
    """The rest is told by the next purchase of the account."""
    findings = list(counts(Coupon(code="C", uses=2, rev=4), purchases=(2,)).judge())
    assert afters(findings) == [use(2, 0, 1), Coupon(code="C", uses=0, rev=5)]


def test_a_coupon_that_is_not_there_is_told() -> None:
    """Somebody has to make it again."""
    (finding,) = counts(None, use(1, 1), purchases=(1,)).judge()
    assert (finding.what, finding.change) == ("coupon.missing", None)


def test_counters_that_a_newer_release_wrote_are_told_and_left() -> None:
    """Their form is higher than the one that is known here."""
    newer = CouponUse(code="C", uses=2, tallied=2, rev=1, unknown={"form": 3})
    (finding, _) = counts(Coupon(code="C", max_uses=9, uses=2), newer, purchases=(1,)).judge()
    assert (finding.what, finding.change) == ("coupon.uses", None)
    assert "a newer release wrote it" in finding.detail

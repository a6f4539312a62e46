"""Counters of coupons that a restore has torn, and what they should be, by the purchases that they count. Pure.

An account's uses are its purchases that count one. A coupon's own count is the sum of what the accounts have told it;
where it limits uses, that is all of them.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from autocredits.domain.purchases.coupons import Coupon, CouponUse
from autocredits.domain.records import NO_ACCOUNT
from dev.restore.judge import Change, Finding, finding

Whose = tuple[str, str]
"""Account and code."""


@dataclass(slots=True)
class Counts:
    """The counters of a table, and how many purchases really count a use."""

    coupons: dict[str, Coupon] = field(default_factory=dict)
    uses: dict[Whose, CouponUse] = field(default_factory=dict)
    purchases: defaultdict[Whose, int] = field(default_factory=lambda: defaultdict(int))

    def judge(self) -> Iterator[Finding]:
        """Every counter that is wrong: first the accounts' own, then the coupons' by them."""
        told: defaultdict[str, int] = defaultdict(int)
        for whose in sorted(self.uses.keys() | self.purchases.keys()):
            account_id, code = whose
            before = self.uses.get(whose)
            after = self._right(whose, before)
            told[code] += after.tallied
            key = ("coupon_use", code)
            if after != (before or CouponUse(code=code)):
                known = f"{before.uses} uses, {before.tallied} of them told" if before else "not there"
                detail = f"{known}; its purchases are {after.uses}, {after.tallied} of them to be told"
                change = Change(key, before, replace(after, rev=after.rev + 1))
                yield finding(account_id, key, "coupon.uses", detail, change)
            if code not in self.coupons and after.uses:
                yield finding(account_id, key, "coupon.missing", "the coupon itself is not there; make it again")
        for code, coupon in sorted(self.coupons.items()):
            if coupon.uses != told[code]:
                key = ("coupon", code)
                change = Change(key, coupon, replace(coupon, uses=told[code], rev=coupon.rev + 1))
                detail = f"it counts {coupon.uses} uses, the accounts have told it {told[code]}"
                yield finding(NO_ACCOUNT, key, "coupon.count", detail, change)

    def _right(self, whose: Whose, before: CouponUse | None) -> CouponUse:
        known, uses = before or CouponUse(code=whose[1]), self.purchases[whose]
        coupon = self.coupons.get(whose[1])
        limited = coupon is not None and coupon.max_uses is not None
        return replace(known, uses=uses, tallied=uses if limited else known.tallied)

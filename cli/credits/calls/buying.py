"""Buying credits: packages, coupons, purchases. Making and closing coupons and reviews are for the platform alone."""

from collections.abc import Iterator
from typing import cast

from credits.answers import Coupon, CouponCheck, CouponTerms, Decision, Packages, Payer, PaymentMethod, Purchase
from credits.problems import CouponExists, InvalidTransition, Problem

from .base import Calls, path, present


class Buying(Calls):
    """The calls of docs/contract.md, section 5, "Purchase", without the providers' webhooks."""

    def packages(self) -> Packages:
        """What can be bought."""
        return cast("Packages", self._get("/packages"))

    def make_coupon(self, code: str, terms: CouponTerms) -> Coupon:
        """Make a coupon. Where an earlier try of this call did so, that one."""

        def recover(problem: Problem) -> Coupon | None:
            if not isinstance(problem, CouponExists):
                return None
            known = self.coupon(code)
            return known if _has_terms(known, terms) else None

        return cast("Coupon", self._send("POST", path("coupons"), {"code": code, **terms}, recover=recover))

    def coupon(self, code: str) -> Coupon:
        """A coupon with its uses."""
        return cast("Coupon", self._get(path("coupons", code)))

    def close_coupon(self, code: str) -> Coupon:
        """Close a coupon: it is good for no further purchase."""
        return cast("Coupon", self._send("DELETE", path("coupons", code)))

    def check_coupon(self, account_id: str, code: str, package: str) -> CouponCheck:
        """What a package would cost with a coupon; nothing is reserved."""
        body = {"code": code, "package": package}
        return cast("CouponCheck", self._send("POST", path("accounts", account_id, "coupons", "check"), body))

    def buy(
        self,
        account_id: str,
        package: str,
        payment_method: PaymentMethod,
        *,
        coupon: str | None = None,
        return_url: str | None = None,
        payer: Payer | None = None,
        key: str | None = None,
    ) -> Purchase:
        """Start the payment of a package."""
        body = {"package": package, "payment_method": payment_method}
        more = present({"coupon": coupon, "return_url": return_url, "payer": payer})
        return cast("Purchase", self._keyed(path("accounts", account_id, "purchases"), {**body, **more}, key))

    def load(
        self,
        account_id: str,
        amount: str,
        payment_method: PaymentMethod,
        *,
        coupon: str | None = None,
        return_url: str | None = None,
        payer: Payer | None = None,
        key: str | None = None,
    ) -> Purchase:
        """Start the payment of managed balance, in US dollars."""
        body = {"unit": "managed", "amount": amount, "payment_method": payment_method}
        more = present({"coupon": coupon, "return_url": return_url, "payer": payer})
        return cast("Purchase", self._keyed(path("accounts", account_id, "purchases"), {**body, **more}, key))

    def purchases(self, account_id: str) -> Iterator[Purchase]:
        """The account's purchases, newest first."""
        return cast("Iterator[Purchase]", self._items(path("accounts", account_id, "purchases")))

    def purchase(self, account_id: str, purchase_id: str) -> Purchase:
        """A purchase as it stands."""
        return cast("Purchase", self._get(path("accounts", account_id, "purchases", purchase_id)))

    def checkout(
        self,
        account_id: str,
        purchase_id: str,
        payment_method: PaymentMethod,
        *,
        return_url: str | None = None,
        payer: Payer | None = None,
    ) -> Purchase:
        """Pay the same purchase another way, at its price."""
        more = present({"return_url": return_url, "payer": payer})
        where = path("accounts", account_id, "purchases", purchase_id, "checkout")
        return cast("Purchase", self._send("POST", where, {"payment_method": payment_method, **more}))

    def cancel(self, account_id: str, purchase_id: str) -> Purchase:
        """Cancel an unpaid purchase; again it is the same."""
        return cast("Purchase", self._send("POST", path("accounts", account_id, "purchases", purchase_id, "cancel")))

    def review(
        self, account_id: str, purchase_id: str, decision: Decision, reason: str, *, dispute_id: str | None = None
    ) -> Purchase:
        """Settle a purchase in review, or an open dispute. Where an earlier try did so, the purchase as it stands."""

        def recover(problem: Problem) -> Purchase | None:
            if not isinstance(problem, InvalidTransition):
                return None
            now = self.purchase(account_id, purchase_id)
            return now if _is_decided(now, decision, reason, dispute_id) else None

        body = {"decision": decision, "reason": reason, **present({"dispute_id": dispute_id})}
        where = path("accounts", account_id, "purchases", purchase_id, "review")
        return cast("Purchase", self._send("POST", where, body, recover=recover))


def _has_terms(known: Coupon, terms: CouponTerms) -> bool:
    """Whether a coupon gives just these terms; the service may spell a time with its milliseconds."""
    asked = {name: known.get(name) for name in CouponTerms.__annotations__}
    return {name: _plain(value) for name, value in present(asked).items()} == {
        name: _plain(value) for name, value in terms.items()
    }


def _plain(value: object) -> object:
    return value.replace(".000Z", "Z") if isinstance(value, str) else value


def _is_decided(purchase: Purchase, decision: Decision, reason: str, dispute_id: str | None) -> bool:
    """Whether a purchase stands as the decision leaves it."""
    if decision in ("credit", "refuse"):
        return "reviewed_by" in purchase and purchase.get("review_reason") == reason
    ends = {dispute["dispute_id"]: dispute["status"] for dispute in purchase["disputes"]}
    wanted = decision.removeprefix("dispute_")
    return ends.get(dispute_id) == wanted if dispute_id else list(ends.values()) == [wanted]

"""Buying as tests see it: its commands with plain defaults, and a shop that buys and hears of payments.

By default 100 credits are bought for 39.90, by a merchant through PayPal. Amounts are US cents.
"""

from dataclasses import dataclass
from typing import Any

from autocredits.domain.accounts import OpenAccount
from autocredits.domain.decide import Done
from autocredits.domain.purchases.calls import MakeCoupon, PurchaseRequest, RecordCheckout, StartPurchase
from autocredits.domain.purchases.coupons import Coupon, CouponUse, coupon_keys
from autocredits.domain.purchases.fulfil import Fulfil, PaymentEvent
from autocredits.domain.purchases.record import Purchase
from autocredits.domain.records import NO_ACCOUNT
from tests.kit.builders import PLATFORM, Account, idempotency, merchant

FREE = 500
"""The hundredths of `auto_order` that a new account has."""


def start(purchase_id: str = "b1", **values: Any) -> StartPurchase:
    """The start of a purchase, under a key of its own; started again it is a replay."""
    plain: dict[str, Any] = {
        "caller": merchant(),
        "idempotency": idempotency(f"key of {purchase_id}"),
        "purchase_id": purchase_id,
        "request": PurchaseRequest(package="auto_order-100"),
        "payment_method": "paypal",
        "provider": "paypal",
    }
    return StartPurchase(**{**plain, **values})


def checkout(purchase_id: str = "b1") -> RecordCheckout:
    """The provider's answer to the start of a purchase."""
    return RecordCheckout(purchase_id=purchase_id, provider_reference="ref", redirect_url="https://pay")


def payment_event(event_type: Any, amount: int = 3990, **values: Any) -> PaymentEvent:
    """What PayPal says of the purchase."""
    plain: dict[str, Any] = {"provider": "paypal", "purchase_id": "b1", "payment_id": "pay1", "reason": "because"}
    return PaymentEvent(**{**plain, "type": event_type, "amount": amount, **values})


def fulfil(event_type: Any, amount: int = 3990, *, coupon: str | None = None, **values: Any) -> Fulfil:
    """The command of such an event."""
    return Fulfil(payment_event(event_type, amount, **values), coupon)


@dataclass(slots=True)
class Shop(Account):
    """A new account, with the add-on, that buys."""

    def __post_init__(self) -> None:
        self.do(OpenAccount(PLATFORM, "active"))

    def start(self, purchase_id: str = "b1", *, checkout_too: bool = True, **values: Any) -> Done:
        """Start a purchase and, unless it is credited at once, record the provider's answer."""
        done = self.do(start(purchase_id, **values)).done
        if checkout_too and self.purchase(purchase_id).status == "pending":
            self.do(checkout(purchase_id))
        return done

    def event(self, event_type: Any, amount: int = 3990, **values: Any) -> str:
        """What came of a payment event."""
        event = payment_event(event_type, amount, **values)
        return self.did(Fulfil(event, self.purchase(event.purchase_id).coupon))

    def purchase(self, purchase_id: str = "b1") -> Purchase:
        """The purchase's record."""
        record = self.store.read(self.account_id, [("purchase", purchase_id)])["purchase", purchase_id]
        assert isinstance(record, Purchase)
        return record

    def kinds(self) -> list[str]:
        """The kinds of all entries but those of the opening, oldest first."""
        return [entry.kind for page in self.pages()[1:] for entry in page.entries]

    def make_coupon(self, **terms: Any) -> Coupon:
        """Make the coupon `C`, by default of ten percent off."""
        coupon = Coupon(code="C", **(terms or {"percent_off": 1000}))
        return self.ledger().execute(NO_ACCOUNT, MakeCoupon(coupon=coupon, request_id="its maker")).record(Coupon)

    def coupon_uses(self) -> tuple[int, int]:
        """How often the coupon `C` was used, in all and by the account."""
        records = self.store.read(self.account_id, coupon_keys("C"))
        coupon, used = records["coupon", "C"], records.get(("coupon_use", "C"), CouponUse(code="C"))
        assert isinstance(coupon, Coupon)
        assert isinstance(used, CouponUse)
        return coupon.uses, used.uses

"""Buying as tests see it: its commands with plain defaults, and a shop that buys and hears of payments.

By default 100 credits are bought for 39.90, by a merchant through PayPal. Amounts are US cents.
"""

from dataclasses import dataclass, replace
from typing import Any

from autocredits.domain.accounts import OpenAccount
from autocredits.domain.decide import Done
from autocredits.domain.purchases.calls import (
    BeginCheckout,
    CancelPurchase,
    MakeCoupon,
    Method,
    PurchaseRequest,
    RecordCheckout,
    SettleReview,
    StartPurchase,
    TallyCoupon,
)
from autocredits.domain.purchases.coupons import Coupon, CouponUse, coupon_keys
from autocredits.domain.purchases.fulfil import Fulfil, PaymentEvent
from autocredits.domain.purchases.record import Purchase
from autocredits.domain.records import NO_ACCOUNT
from tests.kit.builders import PLATFORM, Account, fresh, idempotency, merchant

FREE = 500
"""The hundredths of `auto_order` that a new account has."""

PRICE = 3990
CREDITS = 10_000

PAYPAL = Method(name="paypal", provider="paypal", least=1, greatest=100_000_000)
CARD = Method(name="card", provider="stripe", least=50, greatest=99_999_999)


def start(purchase_id: str = "b1", **values: Any) -> StartPurchase:
    """The start of a purchase, under a key of its own; started again it is a replay."""
    plain: dict[str, Any] = {
        "caller": merchant(),
        "idempotency": idempotency(f"key of {purchase_id}"),
        "purchase_id": purchase_id,
        "request": PurchaseRequest(package="auto_order-100"),
        "method": PAYPAL,
    }
    return StartPurchase(**{**plain, **values})


def checkout(purchase_id: str = "b1", number: int = 1) -> RecordCheckout:
    """The provider's answer to the start of a checkout."""
    return RecordCheckout(purchase_id=purchase_id, number=number, reference=f"ref{number}", redirect_url="https://pay")


def begin(purchase_id: str = "b1", after: int = 1, method: Method = CARD, **values: Any) -> BeginCheckout:
    """Another checkout of a purchase, by a request of its own."""
    plain: dict[str, Any] = {"caller": merchant(), "return_url": None, "request_id": fresh("request")}
    return BeginCheckout(**{**plain, "purchase_id": purchase_id, "after": after, "method": method, **values})


def cancel(purchase_id: str = "b1", **values: Any) -> CancelPurchase:
    """The merchant's cancellation of a purchase."""
    return CancelPurchase(**{"purchase_id": purchase_id, "caller": merchant(), **values})


def review(decision: Any, purchase_id: str = "b1", **values: Any) -> SettleReview:
    """The platform's decision, by a request of its own."""
    plain: dict[str, Any] = {"caller": PLATFORM, "request_id": fresh("request"), "reason": "seen"}
    return SettleReview(**{**plain, "purchase_id": purchase_id, "decision": decision, **values})


def payment_event(event_type: Any, amount: int = PRICE, **values: Any) -> PaymentEvent:
    """What PayPal says of the purchase."""
    plain: dict[str, Any] = {"provider": "paypal", "purchase_id": "b1", "payment_id": "pay1", "reason": "because"}
    return PaymentEvent(**{**plain, "type": event_type, "amount": amount, **values})


def fulfil(event_type: Any, amount: int = PRICE, *, coupon: str | None = None, **values: Any) -> Fulfil:
    """The command of such an event."""
    return Fulfil(payment_event(event_type, amount, **values), coupon)


def use_of(account: Account) -> CouponUse:
    """How often the account has used the coupon `C`."""
    key = ("coupon_use", "C")
    used = account.store.read(account.account_id, [key]).get(key, CouponUse(code="C"))
    assert isinstance(used, CouponUse)
    return replace(used, unknown={})


@dataclass(slots=True)
class Shop(Account):
    """A new account, with the add-on, that buys."""

    def __post_init__(self) -> None:
        self.do(OpenAccount(PLATFORM, "active"))

    def start(self, purchase_id: str = "b1", *, checkout_too: bool = True, **values: Any) -> Done:
        """Start a purchase and, unless it is credited at once, record the provider's answer."""
        done = self.do(start(purchase_id, **values)).done
        if checkout_too and self.status(purchase_id) == "pending":
            self.do(checkout(purchase_id))
        return done

    def pay_otherwise(self, purchase_id: str = "b1", method: Method = CARD) -> int:
        """Go on with the next checkout, which the provider knows of; its number."""
        purchase = self.purchase(purchase_id)
        after = len(purchase.checkouts)
        self.do(begin(purchase_id, after, method, coupon=purchase.coupon))
        self.do(checkout(purchase_id, after + 1))
        return after + 1

    def event(self, event_type: Any, amount: int = PRICE, **values: Any) -> str:
        """What came of a payment event."""
        event = payment_event(event_type, amount, **values)
        return self.did(Fulfil(event, self.purchase(event.purchase_id).coupon))

    def review(self, decision: Any, purchase_id: str = "b1", **values: Any) -> str:
        """What came of the platform's decision."""
        return self.did(review(decision, purchase_id, coupon=self.purchase(purchase_id).coupon, **values))

    def cancel(self, purchase_id: str = "b1") -> str:
        """What came of a cancellation."""
        return self.did(cancel(purchase_id, coupon=self.purchase(purchase_id).coupon))

    def purchase(self, purchase_id: str = "b1") -> Purchase:
        """The purchase's record."""
        record = self.store.read(self.account_id, [("purchase", purchase_id)])["purchase", purchase_id]
        assert isinstance(record, Purchase)
        return record

    def status(self, purchase_id: str = "b1") -> str:
        """How the purchase stands."""
        return self.purchase(purchase_id).status()

    def kinds(self) -> list[str]:
        """The kinds of all entries but those of the opening, oldest first."""
        return [entry.kind for page in self.pages()[1:] for entry in page.entries]

    def make_coupon(self, **terms: Any) -> Coupon:
        """Make the coupon `C`, by default of ten percent off."""
        coupon = Coupon(code="C", **(terms or {"percent_off": 1000}))
        made = MakeCoupon(caller=PLATFORM, coupon=coupon, request_id="its maker")
        return self.ledger().execute(NO_ACCOUNT, made).record(Coupon)

    def tally(self) -> str:
        """What came of bringing the count of the coupon `C` up to date."""
        return self.ledger().execute(self.account_id, TallyCoupon(code="C"), reads_page=False).done.did

    def coupon(self) -> Coupon:
        """The coupon `C`."""
        coupon = self.store.read(NO_ACCOUNT, [("coupon", "C")])["coupon", "C"]
        assert isinstance(coupon, Coupon)
        return coupon

    def coupon_uses(self) -> tuple[int, int]:
        """How often the coupon `C` was used, in all (once it is counted) and by the account."""
        self.tally()
        return self.coupon().uses, use_of(self).uses

    def coupon_records(self) -> dict[Any, Any]:
        """The coupon `C` and the account's uses of it."""
        return dict(self.store.read(self.account_id, coupon_keys("C")))

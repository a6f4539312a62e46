"""An account that buys at Stripe, and the webhooks that Stripe sends of it."""

import base64
import json
import time
from dataclasses import dataclass, field
from typing import Any

import stripe

from autocredits.domain.accounts import ChangeStanding, OpenAccount
from autocredits.domain.purchases.calls import MakeCoupon
from autocredits.domain.purchases.coupons import Coupon, CouponUse, coupon_keys
from autocredits.domain.purchases.record import Purchase
from autocredits.domain.records import NO_ACCOUNT
from autocredits.domain.state import Balance
from autocredits.domain.times import MINUTE_MS
from autocredits.ledger.commit import Ledger
from autocredits.ledger.lists import read_purchase
from dev.doubles.serving import Object
from dev.doubles.stripe import StripeDouble
from functions.purchase import poll
from functions.purchase.checkout import purchase_id_of
from functions.purchase.payments.sandbox import Sandbox
from functions.purchase.payments.sandbox import sign as sign_by_hand
from functions.purchase.payments.stripe import Stripe
from tests.kit.builders import CATALOG, PLATFORM
from tests.kit.memory import ManualClock, MemoryStore
from tests.kit.purchases import FREE
from tests.kit.service import Answer, Context, handler_of, http_event

NEW_SECRET = "whsec_new_new_new"
OLD_SECRET = "whsec_old_old_old"
__all__ = ["BOUGHT", "FREE", "NEW_SECRET", "OLD_SECRET", "PRICE", "Shop", "sign"]
BOUGHT = 10_000  # hundredths: 100 credits
PRICE = 3990  # cents
RETURN_URL = "https://shop.example/done"


def sign(raw: bytes, *, secret: str = NEW_SECRET, at_s: float | None = None) -> str:
    """The header of a webhook, made by Stripe's own library."""
    at = int(time.time() if at_s is None else at_s)
    header: str = stripe.WebhookSignature.generate_signature_header(raw.decode(), secret, timestamp=at)
    return header


@dataclass
class Shop:
    """The accounts on a ledger in memory, and what they do over HTTP. Cards are paid at Stripe, all else elsewhere."""

    double: StripeDouble
    provider: Stripe
    elsewhere: Sandbox = field(default_factory=lambda: Sandbox("http://127.0.0.1:1", (NEW_SECRET,)))
    clock: ManualClock = field(default_factory=ManualClock)
    store: MemoryStore = field(default_factory=MemoryStore)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.store, self.clock, CATALOG)
        self.double.serving.now_s = lambda: self.clock.now_ms() / 1000
        self.open("acme")

    # ------------------------------------------------------------------ what accounts and the platform ask for

    def open(self, account_id: str) -> None:
        """Open an account."""
        self.ledger.execute(account_id, OpenAccount(PLATFORM, "active"))

    def set_standing(self, **changes: Any) -> None:
        """Change the standing of acme."""
        self.ledger.execute("acme", ChangeStanding(PLATFORM, changes))

    def make_coupon(self, **terms: Any) -> None:
        """Make the coupon C, by default of ten percent off."""
        coupon = Coupon(**{"code": "C", **(terms or {"percent_off": 1000})})
        self.ledger.execute(NO_ACCOUNT, MakeCoupon(caller=PLATFORM, coupon=coupon, request_id="its maker"))

    def call(
        self,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        method: str = "POST",
        account_id: str = "acme",
        account: str = "*",
        store: str | None = None,
    ) -> Answer:
        """Call a route of an account, with a token of `account`, perhaps bound to a store."""
        claims = {"sub": account, "account_id": account, **({"store_id": store} if store else {})}
        headers = {"content-type": "application/json", **({"idempotency-key": key} if key else {})}
        path = f"/v1/accounts/{account_id}{path}"
        text = None if body is None else json.dumps(body)
        event = http_event(method, path, claims=claims, headers=headers, body=text)
        answer = handler_of(event)(event, Context())
        return Answer(answer["statusCode"], answer.get("headers", {}), answer["body"])

    def buy(self, key: str = "k1", method: str = "card", *, account_id: str = "acme", **fields: Any) -> Answer:
        """Ask to buy 100 credits for $39.90, unless `fields` say otherwise."""
        body = {"package": "auto_order-100", "payment_method": method, "return_url": RETURN_URL, **fields}
        wanted = {name: value for name, value in body.items() if value is not None}
        return self.call("/purchases", wanted, key=key, account_id=account_id)

    def start(self, key: str = "k1", *, account_id: str = "acme", **fields: Any) -> str:
        """Start to buy; the id of the session where it is paid."""
        assert self.buy(key, account_id=account_id, **fields).status == 201
        return self.session(key, account_id=account_id)

    def checkout(self, method: str, key: str = "k1", *, payer: Any = None, **more: Any) -> Answer:
        """Ask to pay a purchase by this method."""
        body = {"payment_method": method, "return_url": RETURN_URL, **({"payer": payer} if payer else {})}
        return self.call(f"/purchases/{purchase_id_of('acme', key)}/checkout", body, **more)

    def cancel(self, key: str = "k1", **more: Any) -> Answer:
        """Ask to cancel a purchase."""
        return self.call(f"/purchases/{purchase_id_of('acme', key)}/cancel", **more)

    def review(self, decision: str, key: str = "k1", *, account: str = "*", **fields: Any) -> Answer:
        """Settle a purchase by hand."""
        body = {"decision": decision, "reason": "looked at", **fields}
        return self.call(f"/purchases/{purchase_id_of('acme', key)}/review", body, account=account)

    # ------------------------------------------------------------------ what providers and the schedule do

    def deliver(self, event: Object, signature: str | None = None) -> int:
        """Send a webhook; the status it gets."""
        raw = json.dumps(event).encode()
        return self.deliver_raw(raw, sign(raw) if signature is None else signature)

    def deliver_raw(self, raw: bytes, signature: str | None, *, name: str = "stripe") -> int:
        """Send a webhook as it is, encoded as API Gateway does; the status it gets."""
        headers = {} if signature is None else {"Stripe-Signature": signature}
        return self.receive(raw, headers, name=name)

    def receive(self, raw: bytes, headers: dict[str, str], *, name: str, query: dict[str, str] | None = None) -> int:
        """The status that a webhook gets."""
        event = http_event("POST", f"/v1/payments/{name}/webhook", headers=headers, query=query)
        event |= {"body": base64.b64encode(raw).decode(), "isBase64Encoded": True}
        status: int = handler_of(event)(event, Context())["statusCode"]
        return status

    def tell_sandbox(self, kind: str, amount: str, *, key: str = "k1", **fields: str) -> int:
        """The sandbox tells of a purchase of acme; the status it gets."""
        purchase_id = purchase_id_of("acme", key)
        told = {"id": "evt_1", "type": kind, "account_id": "acme", "purchase_id": purchase_id, "amount": amount}
        raw = json.dumps({**told, "payment_id": f"pay of {key}", "currency": "USD", **fields}).encode()
        now = str(int(time.time()))
        signature = f"t={now},v1={sign_by_hand(self.elsewhere.secrets[0], now, raw)}"
        return self.receive(raw, {"Sandbox-Signature": signature}, name="sandbox")

    def poll_after(self, minutes: int = 0, *, remaining_ms: int = 60_000) -> tuple[int, int]:
        """Run the schedule so many minutes later; how many polls went well, and how many failed."""
        self.clock.at_ms += minutes * MINUTE_MS
        counts = poll.handler({}, Context(remaining_ms))
        return counts["done"], counts["failed"]

    # ------------------------------------------------------------------ what has come of it

    def purchase(self, key: str = "k1", *, account_id: str = "acme") -> Purchase:
        """The purchase as it stands."""
        purchase = read_purchase(self.store, account_id, purchase_id_of(account_id, key))
        assert purchase is not None
        return purchase

    def status(self, key: str = "k1") -> str:
        """The purchase's status."""
        return self.purchase(key).status()

    def session(self, key: str = "k1", *, account_id: str = "acme") -> str:
        """The id of the session that is open for the purchase."""
        checkout = self.purchase(key, account_id=account_id).open_checkout()
        assert checkout is not None
        return checkout.reference or ""

    def coupon_uses(self) -> tuple[int, int]:
        """How often the coupon C was used, in all and by acme."""
        records = self.store.read("acme", coupon_keys("C"))
        coupon, used = records["coupon", "C"], records.get(("coupon_use", "C"), CouponUse(code="C"))
        assert isinstance(coupon, Coupon)
        assert isinstance(used, CouponUse)
        return coupon.uses, used.uses

    def balance(self, account_id: str = "acme", unit: str = "auto_order") -> Balance:
        """What the account has."""
        head = self.store.head(account_id)
        assert head is not None
        return head.state.balance(unit)

    def kinds(self, account_id: str = "acme") -> list[str]:
        """The kinds of all entries, oldest first."""
        pages = self.store.pages_before(account_id, 1_000_000, 1000)
        return [entry.kind for page in reversed(pages) for entry in page.entries]

    def last_reason(self) -> str | None:
        """Why the newest entry of acme was made."""
        head = self.store.head("acme")
        assert head is not None
        return head.entries[-1].reason

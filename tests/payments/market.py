"""An account that may pay at every provider, and what buyers, banks and the providers do: one table for all stories."""

import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from autocredits.domain.money import format_amount
from dev.doubles import payoneer, paypal, stripe
from dev.doubles.serving import Sent, Serving
from functions.purchase.payments.payoneer import Payoneer
from functions.purchase.payments.paypal import PayPal
from functions.purchase.payments.port import Provider
from functions.purchase.payments.sandbox import Sandbox, sign
from functions.purchase.payments.stripe import Stripe
from tests.payments.shop import PRICE, RETURN_URL, Shop

SANDBOX_SECRET = "canary-sandbox-secret"
READ_S = 0.5


class Acts(Protocol):
    """What can be done at a provider's double, to the payment that it calls `reference`."""

    serving: Serving

    def pay(self, reference: str) -> object:
        """The buyer pays, or agrees to."""

    def decline(self, reference: str) -> object:
        """The buyer's money is declined."""

    def expire(self, reference: str) -> object:
        """Nobody pays in time."""

    def revive(self, reference: str) -> object:
        """The money comes after all."""

    def refund(self, reference: str, cents: int) -> object:
        """So much more goes back."""

    def dispute(self, reference: str) -> object:
        """The buyer opens a dispute of all of it."""

    def win(self, reference: str) -> object:
        """It ends for us."""

    def lose(self, reference: str) -> object:
        """It ends for the buyer."""

    def taken(self, reference: str) -> int:
        """The cents that were taken."""


@dataclass
class SandboxDouble:
    """What a person or a test does at the sandbox, which keeps nothing itself."""

    serving: Serving = field(default_factory=Serving)
    paid: dict[str, int] = field(default_factory=dict)
    refunded: dict[str, int] = field(default_factory=dict)

    def pay(self, reference: str) -> None:
        """The buyer pays."""
        self.paid[reference] = PRICE
        self._send("payment.succeeded", reference)

    revive = pay

    def decline(self, reference: str) -> None:
        """The buyer's money is declined."""
        self._send("payment.declined", reference, payment_id=f"declined {reference}")

    def expire(self, reference: str) -> None:
        """The sandbox keeps no time."""

    def refund(self, reference: str, cents: int) -> None:
        """The sum of refunds is told."""
        self.refunded[reference] = self.refunded.get(reference, 0) + cents
        self._send("payment.refunded", reference, amount=format_amount(self.refunded[reference]))

    def dispute(self, reference: str) -> None:
        """A dispute is opened."""
        self._send("dispute.created", reference)

    def win(self, reference: str) -> None:
        """It ends for us."""
        self._send("dispute.won", reference)

    def lose(self, reference: str) -> None:
        """It ends for the buyer."""
        self._send("dispute.lost", reference)

    def taken(self, reference: str) -> int:
        """What was paid."""
        return self.paid.get(reference, 0)

    def _send(self, kind: str, reference: str, **fields: str) -> None:
        about = {"purchase_id": reference.rpartition("-")[0], "payment_id": f"pay {reference}"}
        plain = {"id": "evt_1", "type": kind, "account_id": "acme", "amount": format_amount(PRICE), "currency": "USD"}
        raw, now = json.dumps({**plain, **about, **fields}).encode(), str(int(time.time()))
        self.serving.outbox.append(Sent(raw, {"Sandbox-Signature": f"t={now},v1={sign(SANDBOX_SECRET, now, raw)}"}))


@dataclass
class Stall:
    """A provider: its double, how it is opened, the method that leads to it, and the call that closes a checkout."""

    method: str
    acts: Any
    open: Callable[[], Provider]
    closing: str | None


def stalls() -> dict[str, Stall]:
    """All providers, with doubles that are still to be served."""
    card, pay, payo, sandbox = stripe.StripeDouble(), paypal.PayPalDouble(), payoneer.PayoneerDouble(), SandboxDouble()
    return {
        "stripe": Stall(
            "card",
            card,
            lambda: Stripe(api_key=stripe.KEY, signing_secrets=(stripe.SIGNING,), read_s=READ_S, **card.settings()),
            "POST /expire",
        ),
        "paypal": Stall(
            "paypal",
            pay,
            lambda: PayPal(
                client_id=paypal.CLIENT_ID,
                client_secrets=(paypal.CLIENT_SECRET,),
                webhook_ids=(paypal.WEBHOOK_ID,),
                environment="sandbox",
                read_s=READ_S,
                **pay.settings(),
            ),
            "GET ",
        ),
        "payoneer": Stall(
            "payoneer",
            payo,
            lambda: Payoneer(
                merchant_code=payoneer.MERCHANT,
                tokens=(payoneer.TOKEN,),
                notification_secrets=(payoneer.NOTIFICATIONS,),
                environment="sandbox",
                division="",
                country="US",
                home_url="https://shop.example",
                read_s=READ_S,
                **payo.settings(),
            ),
            "DELETE ",
        ),
        "sandbox": Stall("card", sandbox, lambda: Sandbox("http://127.0.0.1:1", (SANDBOX_SECRET,)), None),
    }


CANARIES = (*stripe.CANARIES, *paypal.CANARIES, *payoneer.CANARIES, SANDBOX_SECRET)


@dataclass
class Market:
    """The account, which calls the functions as they are deployed, and the provider that a story is about."""

    shop: Shop
    stalls: dict[str, Stall]
    name: str

    def stall(self) -> Stall:
        """The provider that the story is about."""
        return self.stalls[self.name]

    def acts(self) -> Acts:
        """What can be done there."""
        acts: Acts = self.stall().acts
        return acts

    def start(self, key: str = "k1", **fields: Any) -> str:
        """Start to buy 100 credits for $39.90; what the provider calls the payment."""
        assert self.shop.buy(key, self.stall().method, **fields).status == 201
        return self.reference(key)

    def reference(self, key: str = "k1") -> str:
        """What the provider calls the payment of the open checkout."""
        checkout = self.shop.purchase(key).open_checkout()
        assert checkout is not None
        assert checkout.provider == self.name
        return checkout.reference or ""

    def go_to(self, name: str, key: str = "k1") -> str:
        """Pay the same purchase at another provider; what that one calls it."""
        self.name = name
        answer = self.shop.checkout(self.stall().method, key)
        assert answer.status == 200, answer.body
        return self.reference(key)

    def come_back(self, key: str = "k1") -> Any:
        """The buyer comes back from the provider's page, and the shop asks how the payment stands."""
        return self.shop.checkout(self.stall().method, key).body["status"]

    def outbox(self) -> deque[tuple[str, Sent]]:
        """All that the providers have sent since the last call, in its order at each."""
        sent: deque[tuple[str, Sent]] = deque()
        for name, stall in self.stalls.items():
            while stall.acts.serving.outbox:
                sent.append((name, stall.acts.serving.outbox.popleft()))
        return sent

    def receive(self, name: str, sent: Sent) -> int:
        """The status that a webhook gets."""
        return self.shop.receive(sent.raw, dict(sent.headers), name=name, query=dict(sent.query))

    def deliver(self) -> list[int]:
        """Deliver webhooks as long as there are any, those that are refused for now once more at the end."""
        statuses: list[int] = []
        waiting = self.outbox()
        for _ in range(1000):
            if not waiting:
                return statuses
            name, sent = waiting.popleft()
            statuses.append(self.receive(name, sent))
            if statuses[-1] == 503:
                waiting.append((name, sent))
            waiting += self.outbox()
        raise AssertionError(f"webhooks never come to an end: {statuses[-20:]}")

    def lose_webhooks(self) -> None:
        """No webhook that was sent so far ever comes."""
        self.outbox()


__all__ = ["CANARIES", "PRICE", "RETURN_URL", "Acts", "Market", "Stall", "stalls"]

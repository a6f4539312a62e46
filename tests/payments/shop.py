"""An account that buys at Stripe, and the webhooks that Stripe sends of it."""

import base64
import json
import time
from dataclasses import dataclass, field

import stripe

from autocredits.domain.accounts import OpenAccount
from autocredits.domain.decide import IdempotencyKey
from autocredits.domain.purchases.calls import PurchaseRequest, StartPurchase
from autocredits.domain.purchases.record import Purchase
from autocredits.domain.state import Balance
from autocredits.edge.problems import as_problem
from autocredits.ledger.commit import Ledger
from autocredits.ledger.lists import read_purchase
from functions.purchase import checkout, webhooks
from functions.purchase.payments.stripe import Stripe
from tests.kit.builders import CATALOG, PLATFORM
from tests.kit.memory import ManualClock, MemoryStore
from tests.kit.purchases import FREE
from tests.payments.stripe_double import Object, StripeDouble

NEW_SECRET = "whsec_new"
OLD_SECRET = "whsec_old"
__all__ = ["BOUGHT", "FREE", "NEW_SECRET", "OLD_SECRET", "PRICE", "Shop", "sign"]
BOUGHT = 10_000  # hundredths: 100 credits
PRICE = 3990  # cents


def sign(raw: bytes, *, secret: str = NEW_SECRET, at_s: float | None = None) -> str:
    """The header of a webhook, made by Stripe's own library."""
    at = int(time.time() if at_s is None else at_s)
    header: str = stripe.WebhookSignature.generate_signature_header(raw.decode(), secret, timestamp=at)
    return header


@dataclass
class Shop:
    """The accounts' ledger, and what they do."""

    double: StripeDouble
    provider: Stripe
    ledger: Ledger = field(default_factory=lambda: Ledger(MemoryStore(), ManualClock(), CATALOG))

    def __post_init__(self) -> None:
        self.open("acme")

    def open(self, account_id: str) -> None:
        """Open an account."""
        self.ledger.execute(account_id, OpenAccount(PLATFORM, "active"))

    def command(self, key: str, account_id: str) -> StartPurchase:
        """The command to buy 100 credits for $39.90."""
        return StartPurchase(
            caller=PLATFORM,
            idempotency=IdempotencyKey(key, "body"),
            purchase_id=checkout.purchase_id_of(account_id, key),
            request=PurchaseRequest(package="auto_order-100"),
            payment_method="card",
            provider=self.provider.name,
            return_url="https://shop.example/done",
        )

    def start(self, key: str = "k1", *, account_id: str = "acme") -> str:
        """Start to buy; the id of the session where it is paid."""
        checkout.start(self.ledger, self.provider, account_id, self.command(key, account_id), None)
        return self.purchase(key, account_id=account_id).provider_reference or ""

    def purchase(self, key: str = "k1", *, account_id: str = "acme") -> Purchase:
        """The purchase as it stands."""
        purchase = read_purchase(self.ledger.store, account_id, checkout.purchase_id_of(account_id, key))
        assert purchase is not None
        return purchase

    def deliver(self, event: Object, signature: str | None = None) -> int:
        """Send a webhook; the status it gets."""
        raw = json.dumps(event).encode()
        return self.deliver_raw(raw, sign(raw) if signature is None else signature)

    def deliver_raw(self, raw: bytes, signature: str | None) -> int:
        """Send a webhook as it is, encoded as API Gateway does; the status it gets."""
        request = {
            "body": base64.b64encode(raw).decode(),
            "isBase64Encoded": True,
            "headers": {} if signature is None else {"Stripe-Signature": signature},
        }
        try:
            return webhooks.answer(self.provider, request)
        except Exception as error:  # noqa: BLE001 - as the handler answers it
            return as_problem(error).status

    def balance(self, account_id: str = "acme") -> Balance:
        """What the account has of automated orders."""
        head = self.ledger.store.head(account_id)
        assert head is not None
        return head.state.balance("auto_order")

    def kinds(self, account_id: str = "acme") -> list[str]:
        """The kinds of all entries, oldest first."""
        pages = self.ledger.store.pages_before(account_id, 1_000_000, 1000)
        return [entry.kind for page in reversed(pages) for entry in page.entries]

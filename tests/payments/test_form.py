"""What is sent has Stripe's form, as Stripe's own description has it (stripe-mock, which keeps no state)."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from autocredits.domain.purchases.facts import Checkout, Dispute, PaymentFacts
from autocredits.domain.purchases.record import Purchase
from dev.doubles.stripe import event
from functions.purchase.payments.port import Notice, Payer, PaymentRefusedError, StartRequest
from functions.purchase.payments.stripe import Stripe
from tests.kit.engines import start_stripe_mock
from tests.payments.shop import NEW_SECRET, sign

START = StartRequest(
    account_id="acme",
    purchase_id="pur_1",
    number=2,
    started_at=1_800_000_000_000,
    price=3990,
    description="auto_order-100",
    return_url="https://shop.example/done",
    webhook_url="https://api.example/v1/payments/stripe/webhook",
    payer=Payer("DE", "buyer@example.com"),
)
CHECKOUT = Checkout(number=2, payment_method="card", provider="stripe", started_at=0, reference="cs_test_1")


@pytest.fixture(scope="module")
def api_base() -> Iterator[str]:
    """Where stripe-mock answers; it is built first, which takes half a minute once."""
    with start_stripe_mock() as api_base:
        yield api_base


@pytest.fixture
def provider(api_base: str) -> Stripe:
    """The provider as it is deployed, but for the address."""
    return Stripe(api_key="sk_test_123", signing_secrets=(NEW_SECRET,), api_base=api_base)


def test_form_of_a_session(provider: Stripe) -> None:
    """A session that carries all that there can be has the form."""
    assert provider.start(START).reference.startswith("cs_test_")


def test_form_of_the_least_session(provider: Stripe) -> None:
    """So has one without a return_url and an address."""
    assert provider.start(replace(START, return_url=None, payer=None)).reference.startswith("cs_test_")


@pytest.mark.parametrize("changes", [{"price": -1.5}, {"price": "much"}])
def test_form_is_checked(provider: Stripe, changes: dict[str, Any]) -> None:
    """What has another form is refused: the other tests would see it."""
    with pytest.raises(PaymentRefusedError) as caught:
        provider.start(replace(START, **changes))
    assert "Request validation error" in str(caught.value.__cause__)


def test_form_of_closing(provider: Stripe) -> None:
    """A session can be expired. The one that comes back is always open, which no real one is then."""
    assert provider.close(CHECKOUT) == "on_its_way"


def test_form_of_a_poll(provider: Stripe) -> None:
    """Session and disputes can be polled, and what comes back is understood."""
    disputes = {"dp_1": Dispute(amount=3990)}
    purchase = Purchase(
        purchase_id="pur_1",
        unit="auto_order",
        credits=10_000,
        price=3990,
        payment_method="card",
        checkouts=(CHECKOUT,),
        payments={"pi_1": PaymentFacts(amount=3990, disputes=disputes)},
        created_at=0,
        updated_at=0,
    )
    assert provider.poll("acme", purchase) == []


def test_form_of_refunds(provider: Stripe) -> None:
    """The refunds of a payment can be asked for."""
    charge = {
        "id": "ch_1",
        "object": "charge",
        "amount_refunded": 100_000_000,
        "currency": "usd",
        "payment_intent": "pi_1",
        "metadata": {"account_id": "acme", "purchase_id": "pur_1"},
    }
    raw = json.dumps(event("charge.refunded", charge)).encode()
    webhook = provider.read_webhook(Notice(raw, {"stripe-signature": sign(raw)}))
    assert webhook is not None
    assert (webhook.events[0].amount, webhook.events[0].failed) == (100_000_000, ())


def test_form_of_a_search(provider: Stripe) -> None:
    """Asking whose a payment is; the one that comes back carries nothing of ours."""
    assert provider.find_purchase("pi_1") is None

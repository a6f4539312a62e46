"""What is sent has Stripe's form, as Stripe's own description has it (stripe-mock, which keeps no state)."""

from collections.abc import Iterator

import pytest

from autocredits.domain.purchases.record import Purchase
from functions.purchase.payments.port import Checkout
from functions.purchase.payments.stripe import Stripe
from tests.kit.engines import start_stripe_mock

CHECKOUT = Checkout(
    account_id="acme",
    purchase_id="pur_1",
    price=3990,
    description="auto_order-100",
    return_url="https://shop.example/done",
    payer_email="buyer@example.com",
)


@pytest.fixture(scope="module")
def api_base() -> Iterator[str]:
    """Where stripe-mock answers; it is built first, which takes half a minute once."""
    with start_stripe_mock() as api_base:
        yield api_base


@pytest.fixture
def provider(api_base: str) -> Stripe:
    """The provider as it is deployed, but for the address."""
    return Stripe(api_key="sk_test_123", signing_secrets=(), api_base=api_base)


def test_form_of_a_session(provider: Stripe) -> None:
    """A session that carries all that there can be has the form."""
    assert provider.start(CHECKOUT).reference.startswith("cs_test_")


def test_form_of_the_least_session(provider: Stripe) -> None:
    """So has one without a return_url and an address."""
    checkout = Checkout("acme", "pur_1", 3990, "auto_order-100", return_url=None, payer_email=None)
    assert provider.start(checkout).reference.startswith("cs_test_")


def test_form_is_checked(provider: Stripe) -> None:
    """What has another form is refused: the other tests would see it."""
    checkout = Checkout("acme", "pur_1", -1.5, "auto_order-100", None, None)  # type: ignore[arg-type] # on purpose
    with pytest.raises(Exception, match="Request validation error"):
        provider.start(checkout)


def test_form_of_a_poll(provider: Stripe) -> None:
    """A session can be polled, and what comes back is understood."""
    purchase = Purchase(
        purchase_id="pur_1",
        unit="auto_order",
        credits=10_000,
        price=3990,
        payment_method="card",
        provider="stripe",
        checkout=True,
        provider_reference="cs_test_1",
        status="pending",
        created_at=0,
        updated_at=0,
    )
    assert provider.poll("acme", purchase) is None


def test_form_of_a_search(provider: Stripe) -> None:
    """Asking whose a payment is; the one that comes back carries nothing of ours."""
    assert provider.find_purchase("pi_1") is None

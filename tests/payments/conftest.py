"""What the payment tests share: a double of Stripe, the provider that talks to it, and an account that buys there."""

from collections.abc import Iterator

import pytest

from functions.purchase import webhooks
from functions.purchase.payments.stripe import Stripe
from tests.payments.shop import NEW_SECRET, OLD_SECRET, Shop
from tests.payments.stripe_double import KEY, StripeDouble, running


@pytest.fixture
def double() -> Iterator[StripeDouble]:
    """A Stripe that knows nothing yet."""
    with running() as double:
        yield double


@pytest.fixture
def provider(double: StripeDouble) -> Stripe:
    """The provider as it is deployed, but for the address and less patience."""
    return Stripe(api_key=KEY, signing_secrets=(NEW_SECRET, OLD_SECRET), api_base=double.api_base, read_s=0.3)


@pytest.fixture
def shop(double: StripeDouble, provider: Stripe, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The account `acme`, whose webhooks come in by the door that is deployed, to a ledger in memory."""
    shop = Shop(double, provider)
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "autocredits")
    monkeypatch.setattr(webhooks, "ledger", lambda: shop.ledger)
    return shop

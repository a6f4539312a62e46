"""What the payment tests share: a double of Stripe, the provider that talks to it, and an account that buys there."""

import json
from collections.abc import Callable, Iterator

import pytest

from functions.purchase import app, poll, webhooks
from functions.purchase.payments import registry
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
    """The account `acme`, which calls the functions as they are deployed, over a ledger in memory."""
    shop = Shop(double, provider)
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "autocredits")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "autocredits")
    monkeypatch.setenv("RETURN_ORIGINS", "https://shop.example")
    for function in (app, poll, webhooks):
        monkeypatch.setattr(function, "ledger", lambda: shop.ledger)
    opened = {"stripe": lambda: shop.provider, "sandbox": lambda: shop.elsewhere}
    monkeypatch.setattr(registry, "_PROVIDERS", opened)
    return shop


Counted = Callable[[], list[str]]


@pytest.fixture
def counted(capsys: pytest.CaptureFixture[str]) -> Counted:
    """The names of the metrics that were counted since the last call."""

    def read() -> list[str]:
        lines = [line for line in capsys.readouterr().out.splitlines() if "CloudWatchMetrics" in line]
        told = [json.loads(line)["_aws"]["CloudWatchMetrics"][0]["Metrics"] for line in lines]
        return [metric["Name"] for metrics in told for metric in metrics]

    return read

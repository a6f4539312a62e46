"""What the payment tests share: a double of Stripe, the provider that talks to it, and an account that buys there."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from dev.doubles.serving import running
from dev.doubles.stripe import KEY, StripeDouble
from functions.purchase import app, poll, webhooks
from functions.purchase.payments import registry
from functions.purchase.payments.port import Provider
from functions.purchase.payments.stripe import Stripe
from tests.payments.market import Market, SandboxDouble, stalls
from tests.payments.shop import NEW_SECRET, OLD_SECRET, Shop


@pytest.fixture
def double() -> Iterator[StripeDouble]:
    """A Stripe that knows nothing yet."""
    with running(StripeDouble()) as double:
        yield double


@pytest.fixture
def provider(double: StripeDouble) -> Stripe:
    """The provider as it is deployed, but for the address and less patience."""
    return Stripe(api_key=KEY, signing_secrets=(NEW_SECRET, OLD_SECRET), api_base=double.serving.base_url, read_s=0.3)


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


@pytest.fixture
def market(request: pytest.FixtureRequest, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Market]:
    """The account `acme`, which may pay at every provider. The story is about the one that the test is given."""
    found = stalls()
    name = getattr(request, "param", "stripe")
    with ExitStack() as running_doubles:
        for stall in found.values():
            if not isinstance(stall.acts, SandboxDouble):
                running_doubles.enter_context(running(stall.acts))
            stall.acts.serving.now_s = lambda: shop.clock.now_ms() / 1000
        opened: dict[str, Callable[[], Provider | None]] = {one: stall.open for one, stall in found.items()}
        if name == "sandbox":  # it stands in for the others
            opened |= dict.fromkeys(("stripe", "paypal", "payoneer"), lambda: None)
        monkeypatch.setattr(registry, "_PROVIDERS", opened)
        monkeypatch.setenv("WEBHOOKS_URL", "https://api.example")
        yield Market(shop, found, name)


Counted = Callable[[], list[str]]


@pytest.fixture
def counted(capsys: pytest.CaptureFixture[str]) -> Counted:
    """The names of the metrics that were counted since the last call."""

    def read() -> list[str]:
        lines = [line for line in capsys.readouterr().out.splitlines() if "CloudWatchMetrics" in line]
        told = [json.loads(line)["_aws"]["CloudWatchMetrics"][0]["Metrics"] for line in lines]
        return [metric["Name"] for metrics in told for metric in metrics]

    return read

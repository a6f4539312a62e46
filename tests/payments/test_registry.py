"""Which providers there are: by what the environment names, and only with secrets that may be used."""

from collections.abc import Mapping
from typing import Any

import pytest

from autocredits import bootstrap
from autocredits.ledger.ports import UnavailableError
from functions.purchase.payments import registry
from functions.purchase.payments.payoneer import Payoneer
from functions.purchase.payments.paypal import PayPal
from functions.purchase.payments.port import Provider
from functions.purchase.payments.sandbox import Sandbox
from functions.purchase.payments.stripe import Stripe
from tests.kit.service import Context, handler_of, http_event
from tests.payments.conftest import Counted
from tests.payments.shop import sign

LONG = "whsec_0123456789"


class Secrets:
    """Secrets as they would lie in Secrets Manager, all with these `ones` where they have several."""

    def __init__(self, ones: Any, **more: Any) -> None:
        self.kept: Mapping[str, dict[str, Any]] = {
            "stripe-live": {"api_key": "sk_test_1", "signing": ones, **more},
            "stripe-local": {"signing": ones, **more},
            "paypal": {"client_id": "me", "client_secrets": ones, "webhook_ids": [LONG], **more},
            "payoneer": {"merchant_code": "me", "tokens": ones, "notifications": [LONG], **more},
            "sandbox": {"signing": ones},
        }

    def read(self, name: str) -> dict[str, Any]:
        """A secret's object."""
        return self.kept[name]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A local stack with a sandbox and without Stripe's keys."""
    settings = {
        "SANDBOX_SECRET_NAME": "sandbox",
        "SANDBOX_PAGE_URL": "http://127.0.0.1:1",
        "STRIPE_SECRET_NAME": "stripe-local",
        "PAYPAL_ENVIRONMENT": "sandbox",
        "PAYONEER_ENVIRONMENT": "sandbox",
        "PAYONEER_COUNTRY": "US",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "POWERTOOLS_METRICS_NAMESPACE": "autocredits",
        "POWERTOOLS_SERVICE_NAME": "autocredits",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    keep(monkeypatch, [LONG])
    return monkeypatch


def keep(monkeypatch: pytest.MonkeyPatch, ones: Any, **more: Any) -> None:
    """Let every secret have these, and perhaps `more`."""
    monkeypatch.setattr(bootstrap, "secrets", lambda: Secrets(ones, **more))


def names() -> set[str]:
    """The providers that there are here."""
    return {name for name in registry.NAMES if registry.provider(name) is not None}


def provider_of(name: str) -> Provider | None:
    """The provider of a payment method."""
    method = registry.method(name)
    return registry.provider(method.provider) if method else None


@pytest.mark.parametrize("method", ["card", "paypal", "payoneer"])
def test_on_a_local_stack_every_method_goes_to_the_sandbox(environment: pytest.MonkeyPatch, method: str) -> None:
    """Unless Stripe's own key is set. Its webhook works there in either case."""
    assert isinstance(provider_of(method), Sandbox)
    assert names() == {"stripe", "sandbox"}
    environment.setenv("STRIPE_SECRET_NAME", "stripe-live")
    assert isinstance(provider_of(method), Stripe if method == "card" else Sandbox)


@pytest.mark.parametrize(("method", "provider"), [("paypal", PayPal), ("payoneer", Payoneer)])
def test_a_method_goes_to_its_provider_where_that_is_set_up(
    environment: pytest.MonkeyPatch, method: str, provider: type
) -> None:
    """Then the sandbox stands in for the others alone."""
    environment.setenv(f"{method.upper()}_SECRET_NAME", method)
    assert names() == {"stripe", "sandbox", method}
    assert isinstance(provider_of(method), provider)
    assert isinstance(provider_of("card"), Sandbox)


@pytest.mark.parametrize("name", ["stripe", "paypal", "payoneer"])
def test_a_double_is_heeded_on_a_local_stack_alone(environment: pytest.MonkeyPatch, name: str) -> None:
    """Elsewhere a secret cannot turn us to another host."""
    environment.setenv(f"{name.upper()}_SECRET_NAME", "stripe-live" if name == "stripe" else name)
    keep(environment, [LONG], double={"api_base": "http://127.0.0.1:9"})
    assert registry.provider(name).api_base == "http://127.0.0.1:9"  # type: ignore[union-attr] # each has one
    environment.setenv("AWS_ENDPOINT_URL", "")
    assert registry.provider(name).api_base != "http://127.0.0.1:9"  # type: ignore[union-attr]


@pytest.mark.parametrize(("name", "missing"), [("paypal", "client_id"), ("payoneer", "merchant_code")])
@pytest.mark.parametrize("value", ["", None, 7])
def test_a_secret_that_lacks_something(
    environment: pytest.MonkeyPatch, counted: Counted, name: str, missing: str, value: object
) -> None:
    """The provider cannot be used, and an alarm rings."""
    environment.setenv(f"{name.upper()}_SECRET_NAME", name)
    keep(environment, [LONG], **{missing: value})
    with pytest.raises(UnavailableError):
        registry.provider(name)
    assert counted() == ["UnusableSecret"]


@pytest.mark.parametrize(
    "endpoint", ["", "https://dynamodb.eu-central-1.amazonaws.com", "http://127.0.0.1.evil.example"]
)
def test_elsewhere_there_is_no_sandbox(environment: pytest.MonkeyPatch, endpoint: str) -> None:
    """Not even if somebody names its secret: without an emulator on this machine it does not exist."""
    environment.setenv("AWS_ENDPOINT_URL", endpoint)
    assert names() == {"stripe"}
    assert provider_of("paypal") is None


@pytest.mark.parametrize(("method", "least"), [("card", 50), ("paypal", 1), ("payoneer", 1)])
@pytest.mark.parametrize("secret", ["stripe-local", "stripe-live"])
def test_limits_are_the_method_s(environment: pytest.MonkeyPatch, method: str, least: int, secret: str) -> None:
    """What a method takes does not change where the sandbox stands in for its provider."""
    environment.setenv("STRIPE_SECRET_NAME", secret)
    found = registry.method(method)
    assert found is not None
    assert (found.least, found.greatest) == (least, 99_999_999)


@pytest.mark.parametrize("signing", [[LONG], [LONG, "whsec_9876543210"]])
def test_one_or_two_long_secrets_are_used(environment: pytest.MonkeyPatch, signing: list[str]) -> None:
    """One secret, or two while they are rotated."""
    keep(environment, signing)
    stripe = registry.provider("stripe")
    assert isinstance(stripe, Stripe)
    assert stripe.signing_secrets == tuple(signing)


UNUSABLE = {
    "a string": LONG * 2,
    "a short one": ["whsec_012345678"],
    "one of two short": [LONG, "x"],
    "none": [],
    "three": [LONG] * 3,
    "nothing": None,
    "an empty one": [""],
    "a number": [10**20],
    "an object": {LONG: LONG},
    "a list of lists": [[LONG]],
}


@pytest.mark.parametrize("signing", UNUSABLE.values(), ids=UNUSABLE.keys())
@pytest.mark.parametrize("name", ["stripe", "paypal", "payoneer", "sandbox"])
def test_no_other_form_is_a_secret(environment: pytest.MonkeyPatch, counted: Counted, name: str, signing: Any) -> None:
    """A webhook is told to come again and an alarm rings; no signature is checked, and no payment is started."""
    for provider in ("paypal", "payoneer"):
        environment.setenv(f"{provider.upper()}_SECRET_NAME", provider)
    keep(environment, signing)
    body = '{"type": "charge.refunded"}'
    for secret in ("w", LONG, LONG * 2):
        headers = {"Stripe-Signature": sign(body.encode(), secret=secret), "Sandbox-Signature": "t=1,v1=00"}
        event = http_event("POST", f"/v1/payments/{name}/webhook", headers=headers, body=body)
        assert handler_of(event)(event, Context())["statusCode"] == 503
    assert counted() == ["UnusableSecret"] * 3
    environment.setenv("STRIPE_SECRET_NAME", "stripe-live")
    with pytest.raises(UnavailableError):
        registry.method("card")

"""The sandbox: signed like a provider's webhooks, and only where the service talks to an emulator on this machine."""

import json
from typing import Any

import pytest

from autocredits import bootstrap
from autocredits.domain.errors import Problem
from functions.purchase.payments import registry
from functions.purchase.payments.port import Checkout
from functions.purchase.payments.sandbox import Sandbox
from functions.purchase.payments.stripe import Stripe
from tests.kit.stack import sign

NOW_S = 1_800_000_000
EVENT = {
    "id": "evt_1",
    "type": "payment.succeeded",
    "account_id": "acme",
    "purchase_id": "pur_1",
    "payment_id": "pay_1",
    "amount": "39.90",
    "currency": "USD",
}
SANDBOX = Sandbox(page_url="http://127.0.0.1:1", secrets=("new", "old"), now_s=lambda: NOW_S)


def headers(raw: bytes, *, secret: str = "new", at_s: int = NOW_S) -> dict[str, str]:
    """The signature of a body."""
    return {"sandbox-signature": f"t={at_s},v1={sign(secret, str(at_s), raw)}"}


@pytest.mark.parametrize("secret", ["new", "old"])
@pytest.mark.parametrize("at_s", [NOW_S - 300, NOW_S, NOW_S + 300])
def test_what_either_secret_signed_lately_is_believed(secret: str, at_s: int) -> None:
    """Two secrets can be in use at a time, and clocks may differ by 300 seconds."""
    raw = json.dumps(EVENT).encode()
    webhook = SANDBOX.read_webhook(raw, headers(raw, secret=secret, at_s=at_s))
    assert webhook is not None
    assert (webhook.account_id, webhook.event.type, webhook.event.amount) == ("acme", "paid", 3990)


@pytest.mark.parametrize(
    "signature",
    [
        headers(b"{}", secret="wrong"),
        headers(b"{}", at_s=NOW_S - 301),
        headers(b"{}", at_s=NOW_S + 301),
        headers(b"{} "),
        {"sandbox-signature": ""},
        {"sandbox-signature": "t=1"},
        {"sandbox-signature": f"t={NOW_S},v1=é"},
        {},
    ],
)
def test_what_is_not_signed_is_not_even_parsed(signature: dict[str, str]) -> None:
    """Forged, stale, from the future, of another body, malformed or missing: all the same answer."""
    with pytest.raises(Problem) as refused:
        SANDBOX.read_webhook(b"{}", signature)
    assert refused.value.code == "bad_signature"


@pytest.mark.parametrize("change", [{"amount": 39.9}, {"amount": None}, {"currency": ""}, {"purchase_id": 1}])
def test_a_signed_event_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    """It is put aside rather than guessed at."""
    raw = json.dumps(EVENT | change).encode()
    with pytest.raises(Problem):
        SANDBOX.read_webhook(raw, headers(raw))


def test_an_event_of_another_type_is_of_no_interest() -> None:
    """Providers have more to say than we need."""
    raw = json.dumps(EVENT | {"type": "payment.viewed"}).encode()
    assert SANDBOX.read_webhook(raw, headers(raw)) is None


def test_the_page_knows_where_to_go_back_to() -> None:
    """Its address names account and purchase, and carries the shop's own, encoded."""
    started = SANDBOX.start(Checkout("acme", "pur_1", 3990, "auto_order-100", "https://shop.example/?a=1&b=2", None))
    assert started.redirect_url == (
        "http://127.0.0.1:1/pay/acme/pur_1?return_url=https%3A%2F%2Fshop.example%2F%3Fa%3D1%26b%3D2"
    )


class Secrets:
    """Secrets as they would lie in Secrets Manager."""

    def read(self, name: str) -> dict[str, Any]:
        """Each provider's."""
        keys = {"stripe-live": {"api_key": "sk_test_1"}, "stripe-local": {}, "sandbox": {}}
        return {"signing": ["whsec_1"], **keys[name]}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A local stack with a sandbox and without Stripe's keys."""
    monkeypatch.setattr(bootstrap, "secrets", Secrets)
    monkeypatch.setenv("SANDBOX_SECRET_NAME", "sandbox")
    monkeypatch.setenv("SANDBOX_PAGE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("STRIPE_SECRET_NAME", "stripe-local")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    return monkeypatch


@pytest.mark.parametrize("method", ["card", "paypal", "payoneer"])
def test_on_a_local_stack_every_method_goes_to_the_sandbox(environment: pytest.MonkeyPatch, method: str) -> None:
    """Stripe's webhook works there as well."""
    assert isinstance(registry.provider_for(method), Sandbox)
    assert set(registry.providers()) == {"stripe", "sandbox"}
    environment.setenv("STRIPE_SECRET_NAME", "stripe-live")
    assert isinstance(registry.provider_for(method), Stripe if method == "card" else Sandbox)


@pytest.mark.parametrize(
    "endpoint", ["", "https://dynamodb.eu-central-1.amazonaws.com", "http://127.0.0.1.evil.example"]
)
def test_elsewhere_there_is_no_sandbox(environment: pytest.MonkeyPatch, endpoint: str) -> None:
    """Not even if somebody names its secret: without an emulator on this machine it does not exist."""
    environment.setenv("AWS_ENDPOINT_URL", endpoint)
    assert set(registry.providers()) == {"stripe"}
    assert registry.provider_for("paypal") is None

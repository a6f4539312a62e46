"""Which providers there are, by what the environment names. Secrets are read by name, never from it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from autocredits import bootstrap
from autocredits.domain.purchases.calls import Method
from autocredits.edge.purchase_bodies import LOOPBACK
from autocredits.edge.telemetry import count
from autocredits.ledger.ports import UnavailableError
from functions.purchase.payments.payoneer import Payoneer
from functions.purchase.payments.paypal import PayPal
from functions.purchase.payments.port import Provider
from functions.purchase.payments.sandbox import Sandbox
from functions.purchase.payments.stripe import HOME_URL, Stripe

MAX_SECRETS = 2
LEAST_SECRET_LENGTH = 16


def on_local_stack() -> bool:
    """Whether this talks to an emulator on this machine: only there the sandbox works."""
    return urlsplit(bootstrap.aws_endpoint_url()).hostname in LOOPBACK


def _open_stripe() -> Provider | None:
    secret = _secret("stripe")
    if secret is None:
        return None
    return Stripe(
        api_key=secret.get("api_key") or "",
        signing_secrets=_one_or_two(secret, "signing"),
        home_url=(*bootstrap.return_origins(), HOME_URL)[0],
        **_double(secret),
    )


def _open_paypal() -> Provider | None:
    secret = _secret("paypal")
    if secret is None:
        return None
    return PayPal(
        client_id=_text(secret, "client_id"),
        client_secrets=_one_or_two(secret, "client_secrets"),
        webhook_ids=_one_or_two(secret, "webhook_ids"),
        environment=bootstrap.paypal_environment(),
        **_double(secret),
    )


def _open_payoneer() -> Provider | None:
    secret = _secret("payoneer")
    if secret is None:
        return None
    return Payoneer(
        merchant_code=_text(secret, "merchant_code"),
        tokens=_one_or_two(secret, "tokens"),
        notification_secrets=_one_or_two(secret, "notifications"),
        environment=bootstrap.payoneer_environment(),
        division=bootstrap.payoneer_division(),
        country=bootstrap.payoneer_country(),
        home_url=(*bootstrap.return_origins(), HOME_URL)[0],
        **_double(secret),
    )


def _open_sandbox() -> Provider | None:
    if not on_local_stack():
        return None
    secret = _secret("sandbox")
    if secret is None:
        return None
    return Sandbox(page_url=bootstrap.sandbox_page_url(), secrets=_one_or_two(secret, "signing"))


def _secret(provider: str) -> dict[str, Any] | None:
    """What a provider's secret holds; None where it is not used."""
    name = bootstrap.payment_secret_name(provider)
    return bootstrap.secrets().read(name) if name else None


def _one_or_two(secret: dict[str, Any], name: str) -> tuple[str, ...]:
    """The secrets of a kind that are in use. Raises UnavailableError unless they are one or two long strings in a list.

    A single string would be taken for a list of letters, each of which would sign.
    """
    found: Any = secret.get(name)
    usable = isinstance(found, list) and 1 <= len(found) <= MAX_SECRETS
    if not usable or not all(isinstance(one, str) and len(one) >= LEAST_SECRET_LENGTH for one in found):
        raise _unusable(name)
    return tuple(found)


def _text(secret: dict[str, Any], name: str) -> str:
    """Something in a secret that is no secret itself. Raises UnavailableError where it is missing."""
    found = secret.get(name)
    if not isinstance(found, str) or not found:
        raise _unusable(name)
    return found


def _unusable(name: str) -> UnavailableError:
    count("UnusableSecret")
    return UnavailableError(f"{name} in a payment provider's secret is not usable")


def _double(secret: dict[str, Any]) -> dict[str, Any]:
    """Where a double of the provider is: a secret on a local stack may name one, and nowhere else is that heeded."""
    found: Any = secret.get("double")
    return found if isinstance(found, dict) and on_local_stack() else {}


_PROVIDERS: Mapping[str, Callable[[], Provider | None]] = MappingProxyType(
    {"stripe": _open_stripe, "paypal": _open_paypal, "payoneer": _open_payoneer, "sandbox": _open_sandbox}
)
"""Every provider, and how it is opened; None: it is not set up."""

_METHODS: Mapping[str, tuple[str, int, int]] = MappingProxyType(
    {
        "card": ("stripe", 50, 99_999_999),
        "paypal": ("paypal", 1, 99_999_999),
        "payoneer": ("payoneer", 1, 99_999_999),
    }
)
"""Every payment method: its provider, and the least and the greatest amount that it takes, in US cents.

Stripe's are those of its documentation for US dollars ("Minimum and maximum charge amounts").
"""

NAMES = frozenset(_PROVIDERS)
"""The names that a webhook's path may have."""


def provider(name: str) -> Provider | None:
    """The provider of a name; None if there is none. Raises UnavailableError if its secret is not usable."""
    opened = _PROVIDERS.get(name)
    return opened() if opened else None


def method(name: str) -> Method | None:
    """A payment method with its provider: on a local stack the sandbox, unless the provider's keys are set.

    None if it cannot be used here. Raises UnavailableError if a secret is not usable.
    """
    own, least, greatest = _METHODS[name]
    found = provider(own)
    if isinstance(found, Stripe) and not found.api_key:
        found = None  # it only listens
    found = found or provider("sandbox")
    return Method(name=name, provider=found.name, least=least, greatest=greatest) if found else None

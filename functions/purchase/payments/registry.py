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
from functions.purchase.payments.port import Provider
from functions.purchase.payments.sandbox import Sandbox
from functions.purchase.payments.stripe import HOME_URL, Stripe

MAX_SIGNING_SECRETS = 2
LEAST_SECRET_LENGTH = 16


def on_local_stack() -> bool:
    """Whether this talks to an emulator on this machine: only there the sandbox works."""
    return urlsplit(bootstrap.aws_endpoint_url()).hostname in LOOPBACK


def _open_stripe() -> Provider | None:
    if not bootstrap.stripe_secret_name():
        return None
    secret = bootstrap.secrets().read(bootstrap.stripe_secret_name())
    return Stripe(
        api_key=secret.get("api_key") or "",
        signing_secrets=_signing(secret),
        home_url=(*bootstrap.return_origins(), HOME_URL)[0],
    )


def _open_sandbox() -> Provider | None:
    if not bootstrap.sandbox_secret_name() or not on_local_stack():
        return None
    secret = bootstrap.secrets().read(bootstrap.sandbox_secret_name())
    return Sandbox(page_url=bootstrap.sandbox_page_url(), secrets=_signing(secret))


def _signing(secret: dict[str, Any]) -> tuple[str, ...]:
    """The signing secrets in use. Raises UnavailableError unless they are one or two long strings in a list.

    A single string would be taken for a list of letters, each of which would sign.
    """
    signing: Any = secret.get("signing")
    usable = isinstance(signing, list) and 1 <= len(signing) <= MAX_SIGNING_SECRETS
    if not usable or not all(isinstance(one, str) and len(one) >= LEAST_SECRET_LENGTH for one in signing):
        count("UnusableSecret")
        raise UnavailableError("a signing secret is not usable")
    return tuple(signing)


_PROVIDERS: Mapping[str, Callable[[], Provider | None]] = MappingProxyType(
    {"stripe": _open_stripe, "sandbox": _open_sandbox}
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

NAMES = frozenset({*_PROVIDERS, *(provider for provider, _, _ in _METHODS.values())})
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

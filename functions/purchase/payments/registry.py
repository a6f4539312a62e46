"""Which providers there are, by what the environment names. Secrets are read by name, never from it."""

from urllib.parse import urlsplit

from autocredits import bootstrap
from autocredits.edge.purchase_bodies import LOOPBACK
from functions.purchase.payments.port import Provider
from functions.purchase.payments.sandbox import Sandbox
from functions.purchase.payments.stripe import HOME_URL, Stripe


def on_local_stack() -> bool:
    """Whether this talks to an emulator on this machine: only there the sandbox works."""
    return urlsplit(bootstrap.aws_endpoint_url()).hostname in LOOPBACK


def providers() -> dict[str, Provider]:
    """The providers whose webhooks are understood, by name."""
    found: dict[str, Provider] = {}
    if bootstrap.stripe_secret_name():
        secret = bootstrap.secrets().read(bootstrap.stripe_secret_name())
        found["stripe"] = Stripe(
            api_key=secret.get("api_key") or "",
            signing_secrets=tuple(secret["signing"]),
            home_url=(*bootstrap.return_origins(), HOME_URL)[0],
        )
    if bootstrap.sandbox_secret_name() and on_local_stack():
        secret = bootstrap.secrets().read(bootstrap.sandbox_secret_name())
        found["sandbox"] = Sandbox(page_url=bootstrap.sandbox_page_url(), secrets=tuple(secret["signing"]))
    return found


def provider_for(payment_method: str) -> Provider | None:
    """The provider by which a purchase is paid; on a local stack the sandbox, unless the provider's keys are set."""
    known = providers()
    stripe = known.get("stripe")
    if payment_method == "card" and isinstance(stripe, Stripe) and stripe.api_key:
        return stripe
    return known.get("sandbox")

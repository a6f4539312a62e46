"""The payment providers' signing secrets: made once, kept with the stack's data, put where the functions read them."""

import json
import secrets
from typing import Any

from dev.stack.places import Places

SIGNED = ("sandbox", "stripe")
"""Those that a stack makes signing secrets for. Stripe's alone, without a key, lets its webhook work."""


def make(places: Places) -> dict[str, str]:
    """The signing secret of each provider, made at the first start and the same ever after."""
    if not places.secrets.exists():
        made = {provider: f"whsec_{secrets.token_urlsafe(32)}" for provider in SIGNED}
        places.secrets.touch(mode=0o600)
        places.secrets.write_text(json.dumps(made))
    kept: dict[str, str] = json.loads(places.secrets.read_text())
    return kept


def name_of(provider: str) -> str:
    """The name of a provider's secret."""
    return f"autocredits/{provider}"


def known(manager: Any) -> set[str]:
    """The names of the secrets that there are."""
    return {secret["Name"] for secret in manager.list_secrets()["SecretList"]}


def put(manager: Any, by_provider: dict[str, dict[str, Any]]) -> None:
    """Put the providers' secrets into Secrets Manager."""
    there = known(manager)
    for provider, secret in by_provider.items():
        name, value = name_of(provider), json.dumps(secret)
        if name in there:
            manager.put_secret_value(SecretId=name, SecretString=value)
        else:
            manager.create_secret(Name=name, SecretString=value)

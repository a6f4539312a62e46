"""The payment secrets of a local stack: made once, kept with its data, and put where the functions read them."""

import json
import secrets
from typing import Any

from dev.places import Places

NAMES = {"sandbox": "autocredits/sandbox", "stripe": "autocredits/stripe"}
"""Providers and their secrets. Without an `api_key` Stripe's webhook works, and cards go to the sandbox."""


def make(places: Places) -> dict[str, str]:
    """The signing secret of each provider, the same at every start."""
    if not places.secrets.exists():
        made = {provider: f"whsec_{secrets.token_urlsafe(32)}" for provider in NAMES}
        places.secrets.touch(mode=0o600)
        places.secrets.write_text(json.dumps(made))
    kept: dict[str, str] = json.loads(places.secrets.read_text())
    return kept


def put(manager: Any, signing: dict[str, str]) -> None:
    """Put them into Secrets Manager. Two can be in use at a time, so that they can be rotated; here it is one."""
    known = {secret["Name"] for secret in manager.list_secrets()["SecretList"]}
    for provider, name in NAMES.items():
        value = json.dumps({"signing": [signing[provider]]})
        if name in known:
            manager.put_secret_value(SecretId=name, SecretString=value)
        else:
            manager.create_secret(Name=name, SecretString=value)

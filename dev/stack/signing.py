"""The payment providers' signing secrets: made once, kept with the stack's data, put where the functions read them."""

import json
import secrets
from typing import Any

from dev.stack.places import Places

NAMES = {"sandbox": "autocredits/sandbox", "stripe": "autocredits/stripe"}
"""The name of each provider's secret. Stripe's has no `api_key`: its webhook works, and the sandbox takes cards."""


def make(places: Places) -> dict[str, str]:
    """The signing secret of each provider, made at the first start and the same ever after."""
    if not places.secrets.exists():
        made = {provider: f"whsec_{secrets.token_urlsafe(32)}" for provider in NAMES}
        places.secrets.touch(mode=0o600)
        places.secrets.write_text(json.dumps(made))
    kept: dict[str, str] = json.loads(places.secrets.read_text())
    return kept


def put(manager: Any, by_provider: dict[str, str]) -> None:
    """Put the secrets into Secrets Manager. `signing` is a list, because two are valid during a rotation."""
    known = {secret["Name"] for secret in manager.list_secrets()["SecretList"]}
    for provider, name in NAMES.items():
        value = json.dumps({"signing": [by_provider[provider]]})
        if name in known:
            manager.put_secret_value(SecretId=name, SecretString=value)
        else:
            manager.create_secret(Name=name, SecretString=value)

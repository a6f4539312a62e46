"""The caller of a request, from the claims that the gateway has checked."""

import base64
import json
import os
from typing import Any

from autocredits.domain.access import Caller
from autocredits.domain.ids import is_caller_id

MAX_ACTOR = 200
NO_STORE = ""
"""A store that cannot exist."""


def caller_of(event: dict[str, Any]) -> Caller:
    """Who asks. A claim that is missing or unusable names no account, or a store that cannot exist."""
    claims = _claims(event)
    account_id, subject = claims.get("account_id"), claims.get("sub") or claims.get("client_id")
    store_id = claims.get("store_id")
    return Caller(
        actor=subject[:MAX_ACTOR] if isinstance(subject, str) else "unknown",
        account_id=account_id if isinstance(account_id, str) and account_id else None,
        store_id=(store_id if is_caller_id(store_id) else NO_STORE) if "store_id" in claims else None,
    )


def _claims(event: dict[str, Any]) -> dict[str, Any]:
    authorizer = event.get("requestContext", {}).get("authorizer") or {}
    claims = (authorizer.get("jwt") or {}).get("claims")
    if isinstance(claims, dict):
        return claims
    # Only `sam local` sets this variable, in its containers, and it applies no authorizer.
    return _unchecked_claims(event) if os.environ.get("AWS_SAM_LOCAL") == "true" else {}


def _unchecked_claims(event: dict[str, Any]) -> dict[str, Any]:
    """The claims of a bearer token that nobody has checked."""
    headers = {name.lower(): value for name, value in event.get("headers", {}).items()}
    try:
        payload = headers["authorization"].removeprefix("Bearer ").split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (KeyError, IndexError, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}

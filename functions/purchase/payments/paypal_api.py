"""PayPal's REST API: a token that is kept until it ends, and requests that are each sent once."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autocredits.edge.telemetry import logger
from autocredits.ledger.ports import UnavailableError

from .asking import Host, Reply

OK, UNAUTHORIZED, NOT_FOUND = 200, 401, 404
EARLY_S = 60
"""How long before its end a token is given up."""

_tokens: dict[tuple[str, str, str], tuple[str, float]] = {}
"""Tokens with their ends (monotonic seconds), by host, client and secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """A client of PayPal's. `client_secrets` are those in use, the newest first."""

    host: Host
    client_id: str
    client_secrets: Sequence[str] = field(repr=False)

    def get(self, path: str) -> Mapping[str, Any] | None:
        """What is at a path; None where nothing is. Raises UnavailableError."""
        reply = self.send("GET", path)
        if reply.status == NOT_FOUND:
            return None
        if reply.status != OK:
            raise self.unavailable(reply)
        return reply.body

    def send(self, method: str, path: str, body: object = None, *, request_id: str | None = None) -> Reply:
        """The answer to a request. With its `request_id` again, PayPal answers as before and does nothing.

        A token that is not taken any more is fetched anew: nothing was done then. Raises UnavailableError.
        """
        headers = {"Prefer": "return=representation", **({"PayPal-Request-Id": request_id} if request_id else {})}
        for forget in (False, True):
            token = self._token(forget=forget)
            reply = self.host.ask(method, path, headers={**headers, "Authorization": f"Bearer {token}"}, body=body)
            if reply.status != UNAUTHORIZED:
                return reply
        raise self.unavailable(reply)

    def _token(self, *, forget: bool) -> str:
        for secret in self.client_secrets:
            name = (self.host.base_url, self.client_id, secret)
            token, ends_s = _tokens.get(name, ("", 0.0))
            if token and time.monotonic() < ends_s and not forget:
                return token
        for secret in self.client_secrets:
            reply = self.host.ask(
                "POST",
                "/v1/oauth2/token",
                headers={},
                form={"grant_type": "client_credentials"},
                auth=(self.client_id, secret),
            )
            fresh, lasts_s = reply.body.get("access_token"), reply.body.get("expires_in")
            if reply.status == OK and isinstance(fresh, str) and isinstance(lasts_s, int):
                _tokens[self.host.base_url, self.client_id, secret] = (fresh, time.monotonic() + lasts_s - EARLY_S)
                return fresh
        raise self.unavailable(reply)

    @staticmethod
    def unavailable(reply: Reply) -> UnavailableError:
        """What an answer amounts to that tells nothing; PayPal's names for it are logged."""
        about = {"status": reply.status, "issues": issues_of(reply), "debug_id": str(reply.body.get("debug_id"))}
        logger.warning("PayPal refuses to answer", extra=about)
        return UnavailableError("PayPal refuses to answer")


def issues_of(reply: Reply) -> tuple[str, ...]:
    """PayPal's names for what is wrong with a request, such as INSTRUMENT_DECLINED."""
    details = reply.body.get("details")
    found = [one.get("issue") for one in details if isinstance(one, dict)] if isinstance(details, list) else []
    names = [*found, reply.body.get("name")]
    return tuple(name for name in names if isinstance(name, str))

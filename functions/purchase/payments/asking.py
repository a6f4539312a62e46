"""One HTTP request to a provider's host. It is tried once: only the caller knows what a second one would do."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import requests

from autocredits.edge.telemetry import logger
from autocredits.ledger.ports import UnavailableError
from autocredits.ledger.time_limit import check_time

CONNECT_S = 2.0
READ_S = 8.0
OK, TOO_MANY, SERVER_ERROR = 200, 429, 500


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer below 500. `body` is its JSON object, empty if it has none; numbers with a point are texts in it."""

    status: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A provider's host: no other one is ever asked, whatever its answers name. `read_s`: how long it may take."""

    provider: str
    base_url: str
    read_s: float = READ_S

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: object = None,
        form: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        media_type: str = "application/json",
    ) -> Reply:
        """Its answer to one request, with a JSON `body` (bytes: as they are) or a `form`.

        Raises UnavailableError where it has none to give now (no answer, 429, 5xx, or no JSON), and OutOfTimeError
        where its answer may come too late.
        """
        sent = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        typed = {} if sent is None else {"Content-Type": media_type}
        answer = self._send(
            method,
            path,
            headers={"Accept": media_type, **typed, **headers},
            data=sent if form is None else dict(form),
            auth=auth,
        )
        try:
            found = json.loads(answer.content, parse_float=str) if answer.content else {}
        except (ValueError, RecursionError):
            raise self._unavailable(f"{answer.status_code}, no JSON") from None
        return Reply(answer.status_code, found if isinstance(found, dict) else {"items": found})

    def fetch(self, path: str) -> bytes | None:
        """The bytes at a path; None where there are none. Raises UnavailableError."""
        answer = self._send("GET", path)
        return answer.content if answer.status_code == OK else None

    def _send(self, method: str, path: str, **sent: Any) -> requests.Response:
        check_time(CONNECT_S + self.read_s)
        try:
            answer = _session().request(
                method,
                self.base_url + path,
                timeout=(CONNECT_S, self.read_s),
                allow_redirects=False,
                **sent,
            )
        except requests.RequestException as error:
            raise self._unavailable(type(error).__name__) from None  # its text may quote what was sent
        if answer.status_code == TOO_MANY or answer.status_code >= SERVER_ERROR:
            raise self._unavailable(str(answer.status_code))
        return answer

    def _unavailable(self, why: str) -> UnavailableError:
        logger.warning("provider cannot be asked", extra={"provider": self.provider, "error": why})
        return UnavailableError(f"{self.provider} cannot be asked")


@cache
def _session() -> requests.Session:
    """Connections that are kept for the next call. What the environment says of proxies and passwords is not read."""
    session = requests.Session()
    session.trust_env = False
    return session

"""One call over HTTP and its retries: the same bytes with the same key, until there is an answer or no more patience.

A fault of the way is tried again: 429, 503, what the gateway says when a function is down (500, 502, 504 without a
problem of ours), a time-out, a broken connection. A refusal of the service itself is never tried again.
"""

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import requests
from requests.adapters import BaseAdapter
from requests.auth import AuthBase

from .problems import GatewayFault, Problem, TooManyRequests, TryAgain, UnexpectedAnswer, Unreachable, problem_of

LOOPBACK = ("127.0.0.1", "localhost", "::1")

CONNECT_S = 5.0
ANSWER_S = 35.0
"""API Gateway gives up after 30 s."""

RETRIED = (TryAgain, TooManyRequests, GatewayFault)


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a call is tried, and for how long in all. Waits are drawn at random up to a bound that doubles."""

    attempts: int = 8
    within_s: float = 90.0
    base_s: float = 0.2
    most_s: float = 8.0

    def wait_s(self, tried: int, drawn: float, retry_after_s: float = 0.0) -> float:
        """How long to wait after so many tries; `drawn` is from 0 to 1. Never less than the service asks for."""
        return retry_after_s + drawn * min(self.most_s, self.base_s * (1 << tried - 1))


@dataclass(frozen=True, slots=True)
class Call:
    """A call. `path` begins after `/v1`; with a `key` it can be made again for ever and is done once."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None
    accept: str = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no refusal. `is_retried`: an earlier try of the call may have reached the service."""

    status: int
    text: str
    is_retried: bool

    def json(self) -> Any:
        """The body, which is JSON. Raises UnexpectedAnswer."""
        try:
            return json.loads(self.text)
        except ValueError:
            raise UnexpectedAnswer(f"the answer is no JSON: {self.text[:80]!r}") from None


class Bearer(AuthBase):
    """The token as a header. As `auth` it also keeps `requests` from putting a password of `.netrc` in its place."""

    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header."""
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


class RetriedProblem(Exception):  # noqa: N818 - it carries a problem
    """A refusal that came after a fault, so that it may be the echo of an earlier try which was done."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class Transport:
    """The way to one stack. `adapter`, `clock`, `sleep` and `draw` are for tests."""

    def __init__(
        self,
        api_url: str,
        token: str,
        retries: Retries | None = None,
        *,
        adapter: BaseAdapter | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.api_url = checked_url(api_url)
        self.retries = retries or Retries()
        self._clock, self._sleep, self._draw = clock, sleep, draw
        self._session = requests.Session()
        self._session.auth = Bearer(checked_token(token))
        if adapter is not None:
            self._session.mount(self.api_url, adapter)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def call(self, call: Call) -> Answer:
        """Make the call, again and again if need be.

        Raises the Problem that it was refused with, RetriedProblem where that came after a fault, Unreachable.
        """
        end_s = self._clock() + self.retries.within_s
        is_retried = False
        for tried in range(1, self.retries.attempts + 1):
            fault, wait_s = self._try(call, is_retried=is_retried)
            if isinstance(fault, Answer):
                return fault
            if isinstance(fault, Problem) and not isinstance(fault, RETRIED):
                raise RetriedProblem(fault) if is_retried else fault
            wait_s = self.retries.wait_s(tried, self._draw(), wait_s)
            if tried == self.retries.attempts or self._clock() + wait_s > end_s:
                raise fault
            is_retried = True
            self._sleep(wait_s)
        raise AssertionError("a call is tried at least once")

    def _try(self, call: Call, *, is_retried: bool) -> tuple[Answer | Problem | Unreachable, float]:
        """One try: its answer, or what went wrong and for how long the service wants to be left alone."""
        headers = {"Accept": call.accept}
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        if call.key is not None:
            headers["Idempotency-Key"] = call.key
        try:
            answer = self._session.request(
                call.method,
                f"{self.api_url}/v1{call.path}",
                data=None if call.body is None else json.dumps(call.body).encode(),
                params=dict(call.query),
                headers=headers,
                timeout=(CONNECT_S, ANSWER_S),
                allow_redirects=False,
            )
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            return Unreachable(f"no answer from {self.api_url}: {_told(error)}", call.key), 0.0
        except requests.RequestException as error:
            raise UnexpectedAnswer(f"{self.api_url}: {_told(error)}", call.key) from error
        return self._read(call, answer, is_retried=is_retried)

    def _read(
        self, call: Call, answer: requests.Response, *, is_retried: bool
    ) -> tuple[Answer | Problem | Unreachable, float]:
        answer.encoding = "utf-8"
        status = answer.status_code
        if status < HTTPStatus.MULTIPLE_CHOICES:
            return Answer(status, answer.text, is_retried), 0.0
        if status < HTTPStatus.BAD_REQUEST:
            raise UnexpectedAnswer(f"{self.api_url} answers {status} and points elsewhere", call.key)
        try:
            told = answer.json()
        except ValueError:
            told = None
        return problem_of(status, told, call.key), retry_after_s(answer.headers.get("Retry-After"))


def retry_after_s(header: str | None) -> float:
    """For how many seconds the service wants to be left alone: a number of them, or a date."""
    if header is None:
        return 0.0
    if header.strip().isascii() and header.strip().isdigit():
        return float(header)
    try:
        until = parsedate_to_datetime(header).timestamp()
    except (ValueError, TypeError):
        return 0.0
    return max(0.0, until - time.time())


def checked_url(api_url: str) -> str:
    """The API's address without `/v1`. Raises ValueError for one that would show the token to others."""
    parts = urlsplit(api_url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise ValueError(f"{api_url!r} is not https (http is for this machine alone)")
    if not parts.hostname or parts.username is not None or parts.query or parts.fragment:
        raise ValueError(f"{api_url!r} is no address of an API")
    return api_url.rstrip("/").removesuffix("/v1")


def checked_token(token: str) -> str:
    """The token without space around it. Raises ValueError for what cannot be one, without repeating it."""
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("the token is empty, or more than one word")
    return token


def new_key() -> str:
    """A key that nobody else has."""
    return uuid4().hex


def _told(error: Exception) -> str:
    """What happened, without the address of an object in memory."""
    reason = error.args[0] if error.args else error
    return str(getattr(reason, "reason", reason)).split("object at ")[-1].partition(": ")[2] or type(error).__name__

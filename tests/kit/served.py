"""The service's own handlers, on a store in memory, behind HTTP: what a client is tested against.

`Wire` is a way to it that loses and delays what it is told to; `serving` a port for programs of their own.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

import requests
from requests.adapters import BaseAdapter

from autocredits.ledger.commit import Ledger
from credits import Client, Retries
from credits.transport import Transport
from tests.kit.builders import CATALOG
from tests.kit.handlers import SECRET, handlers_on
from tests.kit.memory import ManualClock, MemoryQueue, MemoryStore
from tests.kit.service import Context, handler_of, http_event

API = "https://credits.test"

Fault = Literal[
    "lost request", "lost answer", "throttled", "try again", "gateway before", "gateway after", "cut answer"
]
"""What happens to a call. Of `lost answer`, `gateway after` and `cut answer` the caller learns nothing, and it is done."""

DONE: frozenset[Fault] = frozenset({"lost answer", "gateway after", "cut answer"})


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it goes over the wire."""

    status: int
    headers: Mapping[str, str]
    text: str


class _Secrets:
    def read(self, _: str) -> dict[str, Any]:
        return {"signing": [SECRET]}


@dataclass
class Served:
    """A stack in memory. Tokens are `platform`, `<account>` or `<account>/<store>`; `calls` are the routes called."""

    store: MemoryStore = field(default_factory=MemoryStore)
    queue: MemoryQueue = field(default_factory=MemoryQueue)
    clock: ManualClock = field(default_factory=ManualClock)
    calls: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ledger(self) -> Ledger:
        """The ledger over its store."""
        return Ledger(self.store, self.clock, CATALOG)

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes | str | None) -> Reply:
        """The answer to a request, as the gateway and the functions give it; one at a time."""
        sent = {name.lower(): value for name, value in headers.items()}
        parts = urlsplit(target)
        claims = _claims(sent.pop("authorization", ""))
        if claims is None and parts.path != "/v1/health" and not parts.path.endswith("/webhook"):
            return Reply(401, {"Content-Type": "application/json"}, '{"message":"Unauthorized"}')
        text = body.decode() if isinstance(body, bytes) else body
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        event = http_event(method, unquote(parts.path), claims=claims, headers=sent, body=text, query=query)
        with self.lock, handlers_on(self.ledger, lambda: self.queue, _Secrets):
            self.calls.append(event["routeKey"])
            answer = handler_of(event)(event, Context())
        return Reply(answer["statusCode"], _headers(answer), answer["body"])


def _claims(header: str) -> dict[str, str] | None:
    token = header.removeprefix("Bearer ")
    if not header.startswith("Bearer ") or token == "expired":
        return None
    account, _, store = token.partition("/")
    claims = {"sub": token, "account_id": "*" if account == "platform" else account}
    return {**claims, "store_id": store} if store else claims


def _headers(answer: Mapping[str, Any]) -> dict[str, str]:
    many = {name: values[0] for name, values in answer.get("multiValueHeaders", {}).items()}
    return {**many, **answer.get("headers", {})}


class Wire(BaseAdapter):
    """The way of a `requests` session to a stack in memory, with a fault for each call as long as there are any."""

    def __init__(self, served: Served, faults: Iterator[Fault | None] | None = None) -> None:
        super().__init__()
        self.served, self.faults = served, faults or iter(())
        self.keys: list[str | None] = []

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """The answer, or what becomes of it."""
        self.keys.append(request.headers.get("Idempotency-Key"))
        fault = next(self.faults, None)
        if fault == "lost request":
            raise requests.ConnectTimeout("no way")
        reply = self._reply(request) if fault is None or fault in DONE else None
        if fault == "lost answer":
            raise requests.ReadTimeout("too late")
        if fault == "cut answer":
            raise requests.exceptions.ChunkedEncodingError("cut")
        return _response(request, reply if reply and fault is None else _fault_reply(fault))

    def close(self) -> None:
        """Nothing is open."""

    def _reply(self, request: requests.PreparedRequest) -> Reply:
        target = (request.url or "").removeprefix(API)
        return self.served.answer(request.method or "", target, request.headers, request.body)


def _fault_reply(fault: Fault | None) -> Reply:
    """What the gateway says of a fault; `try again` is the service's own word."""
    if fault == "throttled":
        return Reply(429, {"Content-Type": "application/json"}, '{"message":"Too Many Requests"}')
    if fault == "try again":
        told = {"status": 503, "code": "try_again", "title": "Try again", "detail": "Again.", "request_id": "r"}
        return Reply(503, {"Content-Type": "application/problem+json", "Retry-After": "1"}, json.dumps(told))
    return Reply(502, {"Content-Type": "application/json"}, '{"message":"Internal server error"}')


def client_of(
    served: Served,
    token: str = "platform",
    faults: Iterator[Fault | None] | None = None,
    retries: Retries | None = None,
) -> Client:
    """A client over a wire with these faults. It never really waits: the stack's clock moves on instead."""
    return Client.over(
        Transport(
            API,
            token,
            retries,
            adapter=Wire(served, faults),
            clock=served.clock.monotonic_s,
            sleep=served.clock.sleep_up_to,
            draw=lambda: 0.5,
        )
    )


def _response(request: requests.PreparedRequest, reply: Reply) -> requests.Response:
    response = requests.Response()
    response.status_code, response.request, response.url = reply.status, request, request.url or ""
    response.headers.update(reply.headers)
    response._content = reply.text.encode()  # noqa: SLF001 - there is no other way to make one
    return response


@contextmanager
def serving(served: Served, watch: Callable[[str], None] = lambda _: None) -> Iterator[str]:
    """A port of this machine where the stack answers, and its address. `watch` is told each route before it is called."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """Hand a request over."""
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else None
            if body is not None and len(body) < length:
                return  # the client was killed in the middle of its request, which no gateway hands over
            watch(f"{self.command} {self.path}")
            reply = served.answer(self.command, self.path, dict(self.headers), body)
            content = reply.text.encode()
            self.send_response(reply.status)
            for name, value in {**reply.headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_PUT = do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - http.server asks for these names

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the interface's name
            """Keep it."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A client that was killed is no news."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""What every double of a payment provider has in common: it answers over HTTP on 127.0.0.1, with faults.

A double is told what is asked (`Asked`) and says what to answer (`Told`); what the provider would send by itself
(`Sent`) waits in `outbox` until somebody delivers it, or does not.
"""

import json
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, ClassVar, Literal, Protocol, TypeVar
from urllib.parse import parse_qsl, urlsplit

Object = dict[str, Any]
Fault = Literal[
    "reset before",
    "reset after",
    "silent after",
    "500 before",
    "500 after",
    "429",
    "409",
    "not JSON",
    "slow",
    "nothing",
]
SLOW_S = 0.2
GIVE_UP_S = 10


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. Header names are lower case; `body` is text, `json()` and `form()` what it holds.

    `fails`: it will be answered with 500, though the work is done.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: str
    fails: bool = False

    def json(self) -> Object:
        """The body's JSON object; empty without a body."""
        found: Object = json.loads(self.body) if self.body else {}
        return found

    def form(self) -> dict[str, str]:
        """The fields of a form."""
        return dict(parse_qsl(self.body, keep_blank_values=True))

    def is_call(self, name: str) -> bool:
        """Whether it is "METHOD path"; the end of a path will do."""
        method, _, end = name.partition(" ")
        return self.method == method and self.path.endswith(end)

    def parts(self) -> list[str]:
        """The method, and the path's parts."""
        return [self.method, *self.path.strip("/").split("/")]


@dataclass(frozen=True, slots=True)
class Told:
    """An answer. `body` is sent as JSON, a text as HTML; None: no body."""

    status: int
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sent:
    """A webhook as the provider sends it, to the query of its address if that has one."""

    raw: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """A request that the provider answers with an error."""

    def __init__(self, status: int, body: object = None) -> None:
        self.told = Told(status, body)
        super().__init__(status, body)


@dataclass(slots=True)
class Serving:
    """A running double's side of the network.

    `faults` are what happens to the next requests, one each. `asked` are the requests and `statuses` what they got, or
    would have got. `meanwhile` maps "POST /path" (the end of a path will do) to what is done once just before that;
    `instead` maps such a call to what it is answered once, and nothing is done. `error_bodies` are the bodies of faults
    by their statuses, `headers` what every answer has. While it is `muted`, the outbox is not delivered.
    """

    base_url: str = ""
    now_s: Callable[[], float] = time.time
    faults: deque[Fault] = field(default_factory=deque)
    meanwhile: dict[str, Callable[[], object]] = field(default_factory=dict)
    instead: dict[str, Told] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    error_bodies: dict[int, object] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    muted: bool = False
    outbox: deque[Sent] = field(default_factory=deque)
    lock: threading.RLock = field(default_factory=threading.RLock)
    closing: threading.Event = field(default_factory=threading.Event)

    def calls(self) -> list[str]:
        """What was asked: "POST /path" each."""
        return [f"{asked.method} {asked.path}" for asked in self.asked]

    def next_fault(self) -> Fault:
        """What happens to this request."""
        with self.lock:
            return self.faults.popleft() if self.faults else "nothing"

    def error(self, status: int) -> Told:
        """The answer of a fault."""
        return Told(status, self.error_bodies.get(status, {}))

    def do_meanwhile(self, asked: Asked) -> None:
        """Do what was to be done just before this request."""
        for name in list(self.meanwhile):
            if asked.is_call(name):
                self.meanwhile.pop(name)()

    def answer_instead(self, asked: Asked) -> Told | None:
        """What this request is answered instead of the double's own answer."""
        return next((self.instead.pop(name) for name in list(self.instead) if asked.is_call(name)), None)


class Double(Protocol):
    """A provider's double."""

    serving: Serving

    def answer(self, asked: Asked) -> Told:
        """Answer one request. Raises RefusedError."""
        ...

    def page(self, asked: Asked) -> Told | None:
        """Answer a browser: the buyer's page and what is done on it; None for what is no page."""
        ...


AnyDouble = TypeVar("AnyDouble", bound=Double)


def _answer(double: Double, asked: Asked) -> Told:
    serving = double.serving
    serving.do_meanwhile(asked)
    with serving.lock:
        try:
            told = serving.answer_instead(asked) or double.answer(asked)
        except RefusedError as refused:
            told = refused.told
        serving.asked.append(asked)
        serving.statuses.append(500 if asked.fails else told.status)
    return told


def _control(double: Double, asked: Asked) -> Told | None:
    """Do what a test asks for that runs in another process: `POST /double/<act>` with its arguments as a list.

    Beside the double's own acts: `mute` keeps webhooks back; `forget` throws those away that were, and `send` sends
    them; `waiting` are the bodies of webhooks that were not taken yet; `meanwhile` does an act just before a call.
    """
    if not asked.path.startswith("/double/"):
        return None
    act, serving = asked.path.removeprefix("/double/"), double.serving
    arguments = json.loads(asked.body or "[]")
    did: object = None
    with serving.lock:
        if act in ("mute", "send"):
            serving.muted = act == "mute"
        elif act == "forget":
            serving.outbox.clear()
            serving.muted = False
        elif act == "waiting":
            did = [[sent.raw.decode(), dict(sent.headers), dict(sent.query)] for sent in serving.outbox]
        elif act == "meanwhile":
            call, then, *rest = arguments
            serving.meanwhile[call] = lambda: getattr(double, then)(*rest)
        else:
            did = getattr(double, act)(*arguments)
    return Told(200, {"did": did})


class _Handler(BaseHTTPRequestHandler):
    double: ClassVar[Double]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer on a kept connection takes 40 ms

    def do_GET(self) -> None:
        """Answer."""
        self._serve()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the server looks for these names

    def _serve(self) -> None:
        asked, serving = self._read(), self.double.serving
        page = self.double.page(asked) or _control(self.double, asked)
        if page is not None:
            self._send(page)
            return
        match fault := serving.next_fault():
            case "reset before":
                self._reset()
            case "500 before":
                self._send(serving.error(500))
            case "429" | "409":
                self._send(serving.error(int(fault)))
            case "not JSON":
                self._send(Told(502, "<html>Bad gateway</html>"))
            case _:
                told = _answer(self.double, replace(asked, fails=fault == "500 after"))
                if fault == "reset after":
                    self._reset()
                elif fault == "silent after":
                    serving.closing.wait(GIVE_UP_S)  # the other side has to give up
                    self.close_connection = True
                elif fault == "500 after":
                    self._send(told if told.status >= 500 else serving.error(500))  # noqa: PLR2004
                else:
                    serving.closing.wait(SLOW_S if fault == "slow" else 0)
                    self._send(told)

    def _read(self) -> Asked:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        target = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Asked(self.command, target.path, dict(parse_qsl(target.query)), headers, body)

    def _reset(self) -> None:
        """End the connection with RST, as a balancer that dies does."""
        self.connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()
        self.close_connection = True

    def _send(self, told: Told) -> None:
        html = isinstance(told.body, str)
        raw = b"" if told.body is None else told.body.encode() if isinstance(told.body, str) else _json(told.body)
        typed = {"Content-Type": "text/html; charset=utf-8" if html else "application/json"} if raw else {}
        self.send_response(told.status)
        headers = {**typed, **self.double.serving.headers, **told.headers, "Content-Length": str(len(raw))}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_args: object) -> None:
        """Print nothing."""


def _json(body: object) -> bytes:
    return json.dumps(body).encode()


@contextmanager
def running(double: AnyDouble, port: int = 0) -> Iterator[AnyDouble]:
    """Serve a double, until the block is left."""
    handler = type("Handler", (_Handler,), {"double": double})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    double.serving.base_url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield double
    finally:
        double.serving.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()

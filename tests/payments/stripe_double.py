"""A small double of Stripe on 127.0.0.1, which keeps state: sessions, payments, idempotency keys, and what buyers do.

It speaks the documented protocol as far as this service uses it:

- https://docs.stripe.com/api/checkout/sessions/create: parameters, and the ones that a hosted page needs
- https://docs.stripe.com/api/idempotent_requests: the first answer to a key is kept and given again, a 500 too, once
  the work has begun; other parameters are an error; what fails validation is not kept
- https://docs.stripe.com/api/errors: the error object, 401, 404, 409, 429, 500

A buyer acts through `pay`, `fail`, `expire`, `refund`, `dispute`; each returns the events that Stripe would send.
`faults` are what happens to the next requests, one each.
"""

import json
import struct
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, ClassVar, Literal
from urllib.parse import parse_qsl, urlsplit

KEY = "sk_test_double"
LEAST_CENTS = 50

Fault = Literal[
    "reset before", "reset after", "silent after", "500 before", "500 after", "429", "409", "not JSON", "nothing"
]
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it goes out."""

    status: int
    body: Object
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """A request that Stripe answers with an error."""

    def __init__(self, status: int, **error: str) -> None:
        self.answer = Answer(status, {"error": {"type": "invalid_request_error", **error}})
        super().__init__(error)


@dataclass(slots=True)
class StripeDouble:
    """The double's state. `answered` are the statuses of its answers, those that nobody got among them."""

    sessions: dict[str, Object] = field(default_factory=dict)
    intents: dict[str, Object] = field(default_factory=dict)
    charges: dict[str, Object] = field(default_factory=dict)
    kept: dict[str, tuple[str, Answer]] = field(default_factory=dict)
    faults: deque[Fault] = field(default_factory=deque)
    forms: list[dict[str, str]] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    closing: threading.Event = field(default_factory=threading.Event)
    api_base: str = ""

    # What the service asks.

    def next_fault(self) -> Fault:
        """What happens to this request."""
        with self.lock:
            return self.faults.popleft() if self.faults else "nothing"

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: str, *, fails: bool = False) -> Answer:
        """Answer one request; `fails`: with 500, though the work is done."""
        form = dict(parse_qsl(body, keep_blank_values=True))
        with self.lock:
            try:
                _check_key(headers.get("Authorization"))
                answer = self._answer_once(method, target, headers.get("Idempotency-Key"), form, fails=fails)
            except RefusedError as refused:
                answer = refused.answer
            self.answered.append(answer.status)
        return answer

    def _answer_once(self, method: str, target: str, key: str | None, form: dict[str, str], *, fails: bool) -> Answer:
        if method != "POST" or key is None:
            return self._route(method, target, form)
        request = json.dumps([method, target, form], sort_keys=True)
        if key in self.kept:
            first, answer = self.kept[key]
            if first != request:
                raise RefusedError(400, type="idempotency_error", message="Keys can only be used with the same request")
            return Answer(answer.status, answer.body, {**answer.headers, "Idempotent-Replayed": "true"})
        answer = self._route(method, target, form)
        if fails:
            answer = Answer(500, {"error": {"type": "api_error"}}, {"Stripe-Should-Retry": "false"})
        self.kept[key] = (request, answer)
        return answer

    def _route(self, method: str, target: str, form: dict[str, str]) -> Answer:
        path, query = urlsplit(target).path, dict(parse_qsl(urlsplit(target).query))
        match [method, *path.strip("/").split("/")]:
            case ["POST", "v1", "checkout", "sessions"]:
                return Answer(200, self._create_session(form))
            case ["GET", "v1", "checkout", "sessions", session_id]:
                session = dict(_find(self.sessions, session_id))
                if "payment_intent" in query.values() and session["payment_intent"] is not None:
                    session["payment_intent"] = self.intents[session["payment_intent"]]
                return Answer(200, session)
            case ["GET", "v1", "payment_intents", intent_id]:
                return Answer(200, _find(self.intents, intent_id))
        raise RefusedError(404, message=f"Unrecognized request URL ({method}: {path})")

    def _create_session(self, form: dict[str, str]) -> Object:
        self.forms.append(form)
        if not form.get("success_url"):
            raise RefusedError(
                400, code="parameter_missing", param="success_url", message="Missing required param: success_url."
            )
        if form.get("customer_email") == "no@address":
            raise RefusedError(400, code="email_invalid", param="customer_email", message="Invalid email address")
        line = {name.removeprefix("line_items[0]"): value for name, value in form.items()}
        amount = int(line["[price_data][unit_amount]"]) * int(line["[quantity]"])
        if amount < LEAST_CENTS:
            raise RefusedError(400, code="amount_too_small", message="The total must add up to at least $0.50")
        number = len(self.sessions) + 1
        session: Object = {
            "id": f"cs_test_{number}",
            "object": "checkout.session",
            "url": f"https://checkout.stripe.com/c/pay/cs_test_{number}",
            "mode": form["mode"],
            "status": "open",
            "payment_status": "unpaid",
            "payment_intent": None,
            "amount_total": amount,
            "currency": line["[price_data][currency]"],
            "client_reference_id": form.get("client_reference_id"),
            "metadata": _metadata(form, "metadata"),
        }
        self.sessions[session["id"]] = session | {"_intent": _metadata(form, "payment_intent_data[metadata]")}
        return session

    # What buyers, banks and the platform do.

    def pay(self, session_id: str, *, later: bool = False) -> Object:
        """The buyer pays; `later`: by a method that takes days. The event that the session is complete."""
        session = self.sessions[session_id]
        number = len(self.intents) + 1
        intent = {
            "id": f"pi_{number}",
            "object": "payment_intent",
            "amount": session["amount_total"],
            "currency": session["currency"],
            "metadata": session["_intent"],
            "status": "processing" if later else "succeeded",
            "last_payment_error": None,
        }
        self.intents[intent["id"]] = intent
        session |= {"status": "complete", "payment_intent": intent["id"]}
        if not later:
            self._charge(session)
        return event("checkout.session.completed", session)

    def _charge(self, session: Object) -> None:
        intent = self.intents[session["payment_intent"]]
        intent["status"] = "succeeded"
        session["payment_status"] = "paid"
        self.charges[intent["id"]] = {
            "id": f"ch_{intent['id']}",
            "object": "charge",
            "amount": intent["amount"],
            "amount_refunded": 0,
            "currency": intent["currency"],
            "payment_intent": intent["id"],
            "metadata": dict(intent["metadata"]),
        }

    def settle(self, session_id: str) -> Object:
        """The money of a payment that took days has come."""
        session = self.sessions[session_id]
        self._charge(session)
        return event("checkout.session.async_payment_succeeded", session)

    def fail(self, session_id: str, decline_code: str) -> Object:
        """The money of a payment that took days does not come."""
        session = self.sessions[session_id]
        error = {"type": "card_error", "code": "payment_intent_payment_attempt_failed", "decline_code": decline_code}
        self.intents[session["payment_intent"]] |= {"status": "requires_payment_method", "last_payment_error": error}
        return event("checkout.session.async_payment_failed", session)

    def expire(self, session_id: str) -> Object:
        """Nobody paid within a day."""
        session = self.sessions[session_id]
        session["status"] = "expired"
        return event("checkout.session.expired", session)

    def refund(self, session_id: str, amount: int) -> Object:
        """So much more goes back to the buyer."""
        charge = self.charges[self.sessions[session_id]["payment_intent"]]
        charge["amount_refunded"] += amount
        return event("charge.refunded", charge)

    def dispute(self, session_id: str, status: str = "needs_response") -> Object:
        """The buyer's bank opens a dispute, or closes it where `status` tells its end."""
        charge = self.charges[self.sessions[session_id]["payment_intent"]]
        dispute = {
            "id": f"du_{charge['id']}",
            "object": "dispute",
            "amount": charge["amount"],
            "currency": charge["currency"],
            "charge": charge["id"],
            "payment_intent": charge["payment_intent"],
            "metadata": {},
            "status": status,
        }
        opened = status.endswith("needs_response")
        return event("charge.dispute.created" if opened else "charge.dispute.closed", dispute)


def event(kind: str, about: Object) -> Object:
    """An event as Stripe sends it, about an object as it is now."""
    shown = {name: value for name, value in about.items() if not name.startswith("_")}
    return {
        "id": "evt_1",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "livemode": False,
        "type": kind,
        "data": {"object": json.loads(json.dumps(shown))},
    }


def _check_key(authorization: str | None) -> None:
    if authorization != f"Bearer {KEY}":
        raise RefusedError(401, message="Invalid API Key provided")


def _find(objects: dict[str, Object], name: str) -> Object:
    if name not in objects:
        raise RefusedError(404, code="resource_missing", param="id", message=f"No such object: '{name}'")
    return {field: value for field, value in objects[name].items() if not field.startswith("_")}


def _metadata(form: dict[str, str], prefix: str) -> dict[str, str]:
    return {name[len(prefix) + 1 : -1]: value for name, value in form.items() if name.startswith(f"{prefix}[")}


class _Handler(BaseHTTPRequestHandler):
    double: ClassVar[StripeDouble]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        self._serve()

    def do_POST(self) -> None:
        """Answer."""
        self._serve()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        fault = self.double.next_fault()
        match fault:
            case "reset before":
                self._reset()
            case "500 before":
                self._send(Answer(500, {"error": {"type": "api_error"}}))
            case "429":
                self._send(Answer(429, {"error": {"type": "invalid_request_error", "code": "rate_limit"}}))
            case "409":
                self._send(Answer(409, {"error": {"type": "idempotency_error", "code": "idempotency_key_in_use"}}))
            case "not JSON":
                self._write(502, b"<html>Bad gateway</html>", {})
            case _:
                answer = self.double.answer(
                    self.command, self.path, dict(self.headers), body, fails=fault == "500 after"
                )
                if fault == "reset after":
                    self._reset()
                elif fault == "silent after":
                    self.double.closing.wait(10)  # the other side has to give up
                    self.close_connection = True
                else:
                    self._send(answer)

    def _reset(self) -> None:
        """End the connection with RST, as a balancer that dies does."""
        self.connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()
        self.close_connection = True

    def _send(self, answer: Answer) -> None:
        self._write(answer.status, json.dumps(answer.body).encode(), answer.headers)

    def _write(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Request-Id": "req_1", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Print nothing."""


@contextmanager
def running() -> Iterator[StripeDouble]:
    """A new double, until the block is left."""
    double = StripeDouble()
    handler = type("Handler", (_Handler,), {"double": double})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    double.api_base = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield double
    finally:
        double.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()

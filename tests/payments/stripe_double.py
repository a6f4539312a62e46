"""A small double of Stripe on 127.0.0.1, which keeps state: sessions, payments, idempotency keys, and what buyers do.

It speaks the documented protocol as far as this service uses it:

- https://docs.stripe.com/api/checkout/sessions/create: parameters, and the ones that a hosted page needs; a session
  lasts from half an hour to a day
- https://docs.stripe.com/api/checkout/sessions/expire: only an open session can be expired
- https://docs.stripe.com/api/idempotent_requests: the first answer to a key is kept for a day and given again, a 500
  too, once the work has begun; other parameters are an error; what fails validation is not kept
- https://docs.stripe.com/refunds: a charge's `amount_refunded` goes down again when a refund fails
- https://docs.stripe.com/api/disputes/object: the statuses
- https://docs.stripe.com/api/errors: the error object, 401, 404, 409, 429, 500

A buyer acts through `pay`, `decline`, `fail`, a bank and the platform through `expire`, `refund`, `dispute` and so on;
each returns the event that Stripe would send. `faults` are what happens to the next requests, one each, and `meanwhile`
is done once just before the next session is expired.
"""

import json
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, ClassVar, Literal
from urllib.parse import parse_qsl, urlsplit

KEY = "sk_test_double"
NO_EMAIL = "no@address"
LEAST_CENTS = 50
LEAST_S, MOST_S = 30 * 60, 24 * 60 * 60
DISPUTE_ENDS = ("won", "lost", "warning_closed", "prevented")

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
    """The double's state. `asked` and `answered` are the requests and the statuses that they got, or would have got."""

    sessions: dict[str, Object] = field(default_factory=dict)
    intents: dict[str, Object] = field(default_factory=dict)
    charges: dict[str, Object] = field(default_factory=dict)
    refunds: dict[str, Object] = field(default_factory=dict)
    disputes: dict[str, Object] = field(default_factory=dict)
    kept: dict[str, tuple[float, str, Answer]] = field(default_factory=dict)
    now_s: Callable[[], float] = time.time
    meanwhile: Callable[[], object] | None = None
    faults: deque[Fault] = field(default_factory=deque)
    forms: list[dict[str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
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
            self.asked.append(f"{method} {urlsplit(target).path.removeprefix('/v1/')}")
            self.answered.append(answer.status)
        return answer

    def _answer_once(self, method: str, target: str, key: str | None, form: dict[str, str], *, fails: bool) -> Answer:
        if method != "POST" or key is None:
            return self._route(method, target, form)
        request = json.dumps([method, target, form], sort_keys=True)
        at_s, first, answer = self.kept.get(key, (0.0, "", Answer(0, {})))
        if at_s and self.now_s() < at_s + MOST_S:
            if first != request:
                raise RefusedError(400, type="idempotency_error", message="Keys can only be used with the same request")
            return Answer(answer.status, answer.body, {**answer.headers, "Idempotent-Replayed": "true"})
        answer = self._route(method, target, form)
        if fails:
            answer = Answer(500, {"error": {"type": "api_error"}}, {"Stripe-Should-Retry": "false"})
        self.kept[key] = (self.now_s(), request, answer)
        return answer

    def _route(self, method: str, target: str, form: dict[str, str]) -> Answer:
        path, query = urlsplit(target).path, dict(parse_qsl(urlsplit(target).query))
        match [method, *path.strip("/").split("/")]:
            case ["POST", "v1", "checkout", "sessions"]:
                return Answer(200, self._create_session(form))
            case ["GET", "v1", "checkout", "sessions"]:
                return Answer(200, self._list_sessions(query))
            case ["POST", "v1", "checkout", "sessions", session_id, "expire"]:
                return Answer(200, self._expire_session(session_id))
            case ["GET", "v1", "checkout", "sessions", session_id]:
                self._let_expire()
                session = _find(self.sessions, session_id)
                if "payment_intent" in query.values():
                    session["payment_intent"] = self.intents.get(session["payment_intent"] or "")
                return Answer(200, session)
            case ["GET", "v1", "payment_intents", intent_id]:
                return Answer(200, _find(self.intents, intent_id))
            case ["GET", "v1", "refunds"]:
                found = [one for one in self.refunds.values() if one["payment_intent"] == query["payment_intent"]]
                return Answer(200, {"object": "list", "url": "/v1/refunds", "has_more": False, "data": found[::-1]})
            case ["GET", "v1", "disputes", dispute_id]:
                return Answer(200, _find(self.disputes, dispute_id))
        raise RefusedError(404, message=f"Unrecognized request URL ({method}: {path})")

    def _create_session(self, form: dict[str, str]) -> Object:
        self.forms.append(form)
        if not form.get("success_url"):
            raise RefusedError(
                400, code="parameter_missing", param="success_url", message="Missing required param: success_url."
            )
        if not LEAST_S <= int(form["expires_at"]) - self.now_s() <= MOST_S:
            raise RefusedError(400, param="expires_at", message="The `expires_at` timestamp must be 30 minutes ahead")
        if form.get("customer_email") == NO_EMAIL:
            raise RefusedError(
                400, code="email_invalid", param="customer_email", message=f"Invalid email address: {NO_EMAIL}"
            )
        line = {name.removeprefix("line_items[0]"): value for name, value in form.items()}
        amount = int(line["[price_data][unit_amount]"]) * int(line["[quantity]"])
        if amount < LEAST_CENTS:
            raise RefusedError(400, code="amount_too_small", message="The total must add up to at least $0.50")
        number = len(self.sessions) + 1
        session: Object = {
            "id": f"cs_test_{number}",
            "object": "checkout.session",
            "url": f"https://checkout.stripe.com/c/pay/cs_test_{number}",
            "created": int(self.now_s()),
            "mode": form["mode"],
            "status": "open",
            "payment_status": "unpaid",
            "expires_at": int(form["expires_at"]),
            "payment_intent": None,
            "amount_total": amount,
            "currency": line["[price_data][currency]"],
            "client_reference_id": form.get("client_reference_id"),
            "metadata": _metadata(form, "metadata"),
        }
        self.sessions[session["id"]] = session | {"_intent": _metadata(form, "payment_intent_data[metadata]")}
        return session

    def _list_sessions(self, query: dict[str, str]) -> Object:
        """A page of those with a status that began since, the newest first."""
        self._let_expire()
        since, status = int(query["created[gte]"]), query["status"]
        wanted = [one for one in self.sessions.values() if one["created"] >= since and one["status"] == status][::-1]
        names = [one["id"] for one in wanted]
        rest = wanted[names.index(query["starting_after"]) + 1 :] if "starting_after" in query else wanted
        page = rest[: int(query["limit"])]
        return {"object": "list", "url": "/v1/checkout/sessions", "has_more": len(rest) > len(page), "data": page}

    def _expire_session(self, session_id: str) -> Object:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile:
            meanwhile()
        self._let_expire()
        status = _find(self.sessions, session_id)["status"]
        if status != "open":
            only = f'Only Checkout Sessions with a status in ["open"] can be expired, not `{status}`.'
            raise RefusedError(400, message=only)
        self.expire(session_id)
        return _find(self.sessions, session_id)

    def _let_expire(self) -> None:
        for session in self.sessions.values():
            if session["status"] == "open" and self.now_s() >= session["expires_at"]:
                session["status"] = "expired"

    # What buyers, banks and the platform do.

    def pay(self, session_id: str, *, later: bool = False) -> Object:
        """The buyer pays; `later`: by a method that takes days. The event that the session is complete."""
        session, intent = self.sessions[session_id], self._try(session_id)
        intent |= {"status": "processing" if later else "succeeded", "last_payment_error": None}
        session["status"] = "complete"
        if not later:
            self._charge(session)
        return event("checkout.session.completed", session)

    def decline(self, session_id: str, decline_code: str = "insufficient_funds") -> Object:
        """The buyer's card is declined; the session stays open for another one."""
        intent, error = self._try(session_id), {"code": "card_declined", "decline_code": decline_code}
        intent |= {"status": "requires_payment_method", "last_payment_error": error}
        return event("payment_intent.payment_failed", intent)

    def _try(self, session_id: str) -> Object:
        """The session's payment, which there is from the first time that somebody tries to pay."""
        session = self.sessions[session_id]
        if session["payment_intent"] is None:
            intent_id = session["payment_intent"] = f"pi_{len(self.intents) + 1}"
            self.intents[intent_id] = {
                "id": intent_id,
                "object": "payment_intent",
                "amount": session["amount_total"],
                "currency": session["currency"],
                "metadata": dict(session["_intent"]),
            }
        return self.intents[session["payment_intent"]]

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
        """Nobody paid in time."""
        session = self.sessions[session_id]
        session["status"] = "expired"
        return event("checkout.session.expired", session)

    def refund(self, session_id: str, amount: int) -> Object:
        """So much more goes back to the buyer."""
        charge = self.charges[self.sessions[session_id]["payment_intent"]]
        charge["amount_refunded"] += amount
        refund_id = f"re_{len(self.refunds) + 1}"
        self.refunds[refund_id] = {
            "id": refund_id,
            "object": "refund",
            "amount": amount,
            "currency": charge["currency"],
            "charge": charge["id"],
            "payment_intent": charge["payment_intent"],
            "metadata": {},
            "status": "succeeded",
        }
        return event("charge.refunded", charge)

    def fail_refund(self, refund_id: str) -> Object:
        """The buyer's bank sends a refund back, so that less is refunded than before."""
        refund = self.refunds[refund_id]
        refund["status"] = "failed"
        self.charges[refund["payment_intent"]]["amount_refunded"] -= refund["amount"]
        return event("refund.failed", refund)

    def dispute(self, session_id: str, status: str = "needs_response", **fields: object) -> Object:
        """The buyer's bank opens a dispute, changes it, or closes it where `status` tells its end."""
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
            **fields,
        }
        self.disputes[str(dispute["id"])] = dispute
        if status in DISPUTE_ENDS:
            return event("charge.dispute.closed", dispute)
        return event("charge.dispute." + ("created" if status.endswith("needs_response") else "updated"), dispute)


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
        raise RefusedError(401, message=f"Invalid API Key provided: {'*' * 12}")


def _find(objects: dict[str, Object], name: str) -> Object:
    if name not in objects:
        raise RefusedError(404, code="resource_missing", param="id", message=f"No such object: '{name}'")
    return {field: value for field, value in objects[name].items() if not field.startswith("_")}


def _metadata(form: dict[str, str], prefix: str) -> dict[str, str]:
    return {name[len(prefix) + 1 : -1]: value for name, value in form.items() if name.startswith(f"{prefix}[")}


class _Handler(BaseHTTPRequestHandler):
    double: ClassVar[StripeDouble]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer on a kept connection takes 40 ms

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

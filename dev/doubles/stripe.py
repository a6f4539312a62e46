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
each returns the event that Stripe would send, and puts it into the outbox, signed.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from .serving import Asked, Object, RefusedError, Sent, Serving, Told

KEY = "sk_test_canary_stripe_key"
SIGNING = "whsec_canary_stripe_signing"
PAYER_NAME = "Canary Cardowner"
PAYER_EMAIL = "canary.card@stripe.example"
LAST_FOUR = "canary-4242"
CANARIES = (KEY, SIGNING, PAYER_NAME, PAYER_EMAIL, LAST_FOUR)
NO_EMAIL = "no@address"
LEAST_CENTS = 50
LEAST_S, MOST_S = 30 * 60, 24 * 60 * 60
DISPUTE_ENDS = ("won", "lost", "warning_closed", "prevented")

ERRORS = {
    500: {"error": {"type": "api_error"}},
    429: {"error": {"type": "invalid_request_error", "code": "rate_limit"}},
    409: {"error": {"type": "idempotency_error", "code": "idempotency_key_in_use"}},
}
BILLING = {"name": PAYER_NAME, "email": PAYER_EMAIL, "address": {"country": "DE"}}
CARD = {"billing_details": BILLING, "payment_method_details": {"card": {"last4": LAST_FOUR}}}


def _serving() -> Serving:
    return Serving(error_bodies=dict(ERRORS), headers={"Request-Id": "req_1"})


@dataclass(slots=True)
class StripeDouble:
    """The double's state. Fields that begin with `_` are never shown."""

    serving: Serving = field(default_factory=_serving)
    sessions: dict[str, Object] = field(default_factory=dict)
    intents: dict[str, Object] = field(default_factory=dict)
    charges: dict[str, Object] = field(default_factory=dict)
    refunds: dict[str, Object] = field(default_factory=dict)
    disputes: dict[str, Object] = field(default_factory=dict)
    kept: dict[str, tuple[float, str, Told]] = field(default_factory=dict)
    forms: list[dict[str, str]] = field(default_factory=list)

    def settings(self) -> Object:
        """What a provider's secret on a local stack says of this double."""
        return {"api_base": self.serving.base_url}

    def calls(self) -> list[str]:
        """What was asked: "POST checkout/sessions" each."""
        return [call.replace("/v1/", "", 1) for call in self.serving.calls()]

    # ------------------------------------------------------------------ what the service asks

    def answer(self, asked: Asked) -> Told:
        """Answer one request. Raises RefusedError."""
        _check_key(asked.headers.get("authorization"))
        key = asked.headers.get("idempotency-key")
        if asked.method != "POST" or key is None:
            return self._route(asked)
        request = json.dumps([asked.method, asked.path, asked.form()], sort_keys=True)
        at_s, first, told = self.kept.get(key, (0.0, "", Told(0)))
        if at_s and self._now_s() < at_s + MOST_S:
            if first != request:
                raise _refused(400, type="idempotency_error", message="Keys can only be used with the same request")
            return Told(told.status, told.body, {"Idempotent-Replayed": "true", **told.headers})
        told = self._route(asked)
        if asked.fails:
            told = Told(500, ERRORS[500], {"Stripe-Should-Retry": "false"})
        self.kept[key] = (self._now_s(), request, told)
        return told

    def _now_s(self) -> float:
        return self.serving.now_s()

    def _route(self, asked: Asked) -> Told:
        match asked.parts():
            case ["POST", "v1", "checkout", "sessions"]:
                return Told(200, self._create_session(asked.form()))
            case ["GET", "v1", "checkout", "sessions"]:
                return Told(200, self._list_sessions(asked.query))
            case ["POST", "v1", "checkout", "sessions", session_id, "expire"]:
                return Told(200, self._expire_session(session_id))
            case ["GET", "v1", "checkout", "sessions", session_id]:
                self._let_expire()
                session = _find(self.sessions, session_id)
                if "payment_intent" in asked.query.values():
                    session["payment_intent"] = self.intents.get(session["payment_intent"] or "")
                return Told(200, session)
            case ["GET", "v1", "payment_intents", intent_id]:
                return Told(200, _find(self.intents, intent_id))
            case ["GET", "v1", "refunds"]:
                found = [one for one in self.refunds.values() if one["payment_intent"] == asked.query["payment_intent"]]
                return Told(200, {"object": "list", "url": "/v1/refunds", "has_more": False, "data": found[::-1]})
            case ["GET", "v1", "disputes", dispute_id]:
                return Told(200, _find(self.disputes, dispute_id))
        raise _refused(404, message=f"Unrecognized request URL ({asked.method}: {asked.path})")

    def _create_session(self, form: dict[str, str]) -> Object:
        self.forms.append(form)
        if not form.get("success_url"):
            raise _refused(
                400, code="parameter_missing", param="success_url", message="Missing required param: success_url."
            )
        if not LEAST_S <= int(form["expires_at"]) - self._now_s() <= MOST_S:
            raise _refused(400, param="expires_at", message="The `expires_at` timestamp must be 30 minutes ahead")
        if form.get("customer_email") == NO_EMAIL:
            raise _refused(
                400, code="email_invalid", param="customer_email", message=f"Invalid email address: {NO_EMAIL}"
            )
        line = {name.removeprefix("line_items[0]"): value for name, value in form.items()}
        amount = int(line["[price_data][unit_amount]"]) * int(line["[quantity]"])
        if amount < LEAST_CENTS:
            raise _refused(400, code="amount_too_small", message="The total must add up to at least $0.50")
        number = len(self.sessions) + 1
        session: Object = {
            "id": f"cs_test_{number}",
            "object": "checkout.session",
            "url": f"{self.serving.base_url}/c/pay/cs_test_{number}",
            "created": int(self._now_s()),
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
        self.sessions[session["id"]] = session | {
            "_intent": _metadata(form, "payment_intent_data[metadata]"),
            "_return": form["success_url"],
            "_for": line["[price_data][product_data][name]"],
        }
        return session

    def _list_sessions(self, query: Mapping[str, str]) -> Object:
        """A page of those with a status that began since, the newest first."""
        self._let_expire()
        since, status = int(query["created[gte]"]), query["status"]
        wanted = [one for one in self.sessions.values() if one["created"] >= since and one["status"] == status][::-1]
        names = [one["id"] for one in wanted]
        rest = wanted[names.index(query["starting_after"]) + 1 :] if "starting_after" in query else wanted
        page = rest[: int(query["limit"])]
        return {"object": "list", "url": "/v1/checkout/sessions", "has_more": len(rest) > len(page), "data": page}

    def _expire_session(self, session_id: str) -> Object:
        self._let_expire()
        status = _find(self.sessions, session_id)["status"]
        if status != "open":
            only = f'Only Checkout Sessions with a status in ["open"] can be expired, not `{status}`.'
            raise _refused(400, message=only)
        self.expire(session_id)
        return _find(self.sessions, session_id)

    def _let_expire(self) -> None:
        for session in self.sessions.values():
            if session["status"] == "open" and self._now_s() >= session["expires_at"]:
                session["status"] = "expired"

    # What buyers, banks and the platform do.

    def pay(self, session_id: str, *, later: bool = False) -> Object:
        """The buyer pays; `later`: by a method that takes days. The event that the session is complete."""
        session, intent = self.sessions[session_id], self._try(session_id)
        intent |= {"status": "processing" if later else "succeeded", "last_payment_error": None}
        session["status"] = "complete"
        if not later:
            self._charge(session)
        return self._told("checkout.session.completed", session)

    def decline(self, session_id: str, decline_code: str = "insufficient_funds") -> Object:
        """The buyer's card is declined; the session stays open for another one."""
        intent, error = self._try(session_id), {"code": "card_declined", "decline_code": decline_code}
        intent |= {"status": "requires_payment_method", "last_payment_error": error}
        return self._told("payment_intent.payment_failed", intent)

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
            **CARD,
        }

    def settle(self, session_id: str) -> Object:
        """The money of a payment that took days has come."""
        session = self.sessions[session_id]
        self._charge(session)
        return self._told("checkout.session.async_payment_succeeded", session)

    def fail(self, session_id: str, decline_code: str) -> Object:
        """The money of a payment that took days does not come."""
        session = self.sessions[session_id]
        error = {"type": "card_error", "code": "payment_intent_payment_attempt_failed", "decline_code": decline_code}
        self.intents[session["payment_intent"]] |= {"status": "requires_payment_method", "last_payment_error": error}
        return self._told("checkout.session.async_payment_failed", session)

    def expire(self, session_id: str) -> Object:
        """Nobody paid in time."""
        session = self.sessions[session_id]
        session["status"] = "expired"
        return self._told("checkout.session.expired", session)

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
        return self._told("charge.refunded", charge)

    def fail_refund(self, refund_id: str) -> Object:
        """The buyer's bank sends a refund back, so that less is refunded than before."""
        refund = self.refunds[refund_id]
        refund["status"] = "failed"
        self.charges[refund["payment_intent"]]["amount_refunded"] -= refund["amount"]
        return self._told("refund.failed", refund)

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
            return self._told("charge.dispute.closed", dispute)
        return self._told("charge.dispute." + ("created" if status.endswith("needs_response") else "updated"), dispute)

    def hold(self, session_id: str) -> Object:
        """The buyer pays by a method that takes days."""
        return self.pay(session_id, later=True)

    def revive(self, session_id: str) -> Object:
        """The money comes after all, though the session was over."""
        return self.pay(session_id)

    def taken(self, session_id: str) -> int:
        """The cents that were taken from the buyer through a session, whatever went back."""
        charge = self.charges.get(self.sessions[session_id]["payment_intent"] or "")
        return int(charge["amount"]) if charge else 0

    def win(self, session_id: str) -> Object:
        """The dispute ends for the seller."""
        return self.dispute(session_id, "won")

    def lose(self, session_id: str) -> Object:
        """The dispute ends for the buyer."""
        return self.dispute(session_id, "lost")

    def _told(self, kind: str, about: Object) -> Object:
        """An event of an object, which goes into the outbox as well."""
        told = event(kind, about)
        raw, now = json.dumps(told).encode(), str(int(time.time()))
        digest = hmac.new(SIGNING.encode(), f"{now}.".encode() + raw, hashlib.sha256).hexdigest()
        self.serving.outbox.append(Sent(raw, {"stripe-signature": f"t={now},v1={digest}"}))
        return told

    # ------------------------------------------------------------------ the buyer's page

    def page(self, asked: Asked) -> Told | None:
        """The page where a person pays, and what its buttons do."""
        match asked.parts():
            case ["GET", "c", "pay", session_id]:
                return Told(200, _page(self.sessions.get(session_id)))
            case ["POST", "c", "pay", session_id, what] if session_id in self.sessions:
                with self.serving.lock:
                    if what in ("pay", "decline") and self.sessions[session_id]["status"] == "open":
                        getattr(self, what)(session_id)
                return Told(303, headers={"Location": self.sessions[session_id]["_return"]})
        return None


def _page(session: Mapping[str, Any] | None) -> str:
    if session is None:
        return "<!doctype html><title>Stripe (double)</title><p>There is no such payment."
    buttons = "".join(
        f'<form method="post" action="/c/pay/{session["id"]}/{what}"><button>{label}</button></form>'
        for what, label in (("pay", "Pay"), ("decline", "Decline"), ("back", "Go back"))
    )
    told = escape(f"{session['_for']}: {session['amount_total'] / 100:.2f} USD")
    return f'<!doctype html><html lang="en"><title>Stripe (double)</title><h1>Stripe</h1><p>{told}{buttons}'


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


def _refused(status: int, **error: str) -> RefusedError:
    return RefusedError(status, {"error": {"type": "invalid_request_error", **error}})


def _check_key(authorization: str | None) -> None:
    if authorization != f"Bearer {KEY}":
        raise _refused(401, message=f"Invalid API Key provided: {'*' * 12}")


def _find(objects: dict[str, Object], name: str) -> Object:
    if name not in objects:
        raise _refused(404, code="resource_missing", param="id", message=f"No such object: '{name}'")
    return {field: value for field, value in objects[name].items() if not field.startswith("_")}


def _metadata(form: dict[str, str], prefix: str) -> dict[str, str]:
    return {name[len(prefix) + 1 : -1]: value for name, value in form.items() if name.startswith(f"{prefix}[")}

"""A double of PayPal on 127.0.0.1, which keeps state: orders, captures, refunds, disputes, and what buyers do.

It speaks the documented protocol as far as this service uses it (PayPal's developer pages of the same names):

- "Orders v2": create, show and capture; a request id is answered as before; an approval lapses after 3 hours
- "Payments v2": show a captured payment; refunds name their capture by the link `up`
- "Disputes v1": show a dispute, its stages and outcomes
- "Webhooks": event types, and signatures over the CRC-32 of the body, by a certificate of a root of the double's own
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from typing import Any

from .paypal_certificates import Signer, common_authority, common_signer
from .serving import Asked, Object, RefusedError, Sent, Serving, Told

CLIENT_ID = "client-of-the-double"
CLIENT_SECRET = "canary-paypal-secret"  # noqa: S105 - of the double
TOKEN = "canary-paypal-token"  # noqa: S105 - of the double
WEBHOOK_ID = "canary-paypal-webhook-id"
PAYER_NAME = "Canary Payerfamily"
PAYER_EMAIL = "canary.payer@paypal.example"
PAYER_STREET = "1 Canary Street"
CANARIES = (CLIENT_SECRET, TOKEN, WEBHOOK_ID, PAYER_NAME, PAYER_EMAIL, PAYER_STREET)

APPROVAL_S = 3 * 60 * 60
CERTIFICATE = "/v1/notifications/certs/CERT-360caa42-fca2a594"
PAYER = {
    "name": {"given_name": PAYER_NAME.split(maxsplit=1)[0], "surname": PAYER_NAME.split()[1], "full_name": PAYER_NAME},
    "email_address": PAYER_EMAIL,
    "address": {"address_line_1": PAYER_STREET, "country_code": "DE"},
}


@dataclass(slots=True)
class PayPalDouble:
    """The double's state. An order's fields that begin with `_` are never shown."""

    serving: Serving = field(default_factory=Serving)
    signer: Signer = field(default_factory=common_signer)
    token: str = TOKEN
    secrets: tuple[str, ...] = (CLIENT_SECRET,)
    orders: dict[str, Object] = field(default_factory=dict)
    captures: dict[str, Object] = field(default_factory=dict)
    refunds: dict[str, Object] = field(default_factory=dict)
    disputes: dict[str, Object] = field(default_factory=dict)
    kept: dict[str, tuple[str, Told]] = field(default_factory=dict)

    def settings(self) -> Object:
        """What a provider's secret on a local stack says of this double."""
        base = self.serving.base_url
        return {"api_base": base, "certificates_base": base, "root": common_authority().pem()}

    # ------------------------------------------------------------------ what the service asks

    def answer(self, asked: Asked) -> Told:
        """Answer one request. Raises RefusedError."""
        if asked.path == CERTIFICATE:
            return Told(200, self.signer.pem())
        if asked.path == "/v1/oauth2/token":
            return self._give_token(asked)
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            raise RefusedError(401, {"error": "invalid_token"})
        request_id = asked.headers.get("paypal-request-id")
        if asked.method != "POST" or request_id is None:
            return self._route(asked)
        first, told = self.kept.get(request_id, ("", Told(0)))
        if first and first != asked.path + asked.body:
            raise _refused(422, "PAYPAL_REQUEST_ID_PREVIOUSLY_USED")
        if not first:
            told = self._route_once(asked)
            self.kept[request_id] = (asked.path + asked.body, told)
        return told

    def _route_once(self, asked: Asked) -> Told:
        """The answer that a request id is kept with: a capture that was declined is declined again."""
        try:
            return self._route(asked)
        except RefusedError as refused:
            if not asked.path.endswith("/capture"):
                raise
            return refused.told

    def _give_token(self, asked: Asked) -> Told:
        if asked.form().get("grant_type") != "client_credentials" or not _is_client(asked, self.secrets):
            raise RefusedError(401, {"error": "invalid_client"})
        return Told(200, {"access_token": self.token, "token_type": "Bearer", "expires_in": 32400})

    def _route(self, asked: Asked) -> Told:
        match asked.parts():
            case ["POST", "v2", "checkout", "orders"]:
                return Told(201, self._create(asked.json()))
            case ["GET", "v2", "checkout", "orders", order_id]:
                return Told(200, _shown(self._find_order(order_id)))
            case ["POST", "v2", "checkout", "orders", order_id, "capture"]:
                return Told(201, self._capture(order_id))
            case ["GET", "v2", "payments", "captures", capture_id]:
                return Told(200, _find(self.captures, capture_id))
            case ["GET", "v1", "customer", "disputes", dispute_id]:
                return Told(200, _find(self.disputes, dispute_id))
        raise _refused(404, "RESOURCE_NOT_FOUND")

    def _create(self, wanted: Object) -> Object:
        [unit] = wanted["purchase_units"]
        context = wanted["payment_source"]["paypal"]["experience_context"]
        if wanted["intent"] != "CAPTURE" or unit["amount"]["currency_code"] != "USD":
            raise _refused(422, "CURRENCY_NOT_SUPPORTED")
        if wanted["payment_source"]["paypal"].get("email_address") == "no@address":
            raise _refused(422, "INVALID_EMAIL_ADDRESS")
        order_id = f"5O{len(self.orders) + 1:015d}"
        order: Object = {
            "id": order_id,
            "intent": "CAPTURE",
            "status": "PAYER_ACTION_REQUIRED",
            "purchase_units": [{**unit, "payments": {}}],
            "payment_source": {"paypal": {}},
            "links": [
                {"rel": "self", "href": f"{self.serving.base_url}/v2/checkout/orders/{order_id}"},
                {"rel": "payer-action", "href": f"{self.serving.base_url}/checkoutnow?token={order_id}"},
            ],
            "_return": context.get("return_url"),
            "_begun_s": self.serving.now_s(),
            "_next": "COMPLETED",
        }
        self.orders[order_id] = order
        return _shown(order)

    def _capture(self, order_id: str) -> Object:
        order = self._find_order(order_id)
        if order["status"] == "COMPLETED":
            raise _refused(422, "ORDER_ALREADY_CAPTURED")
        if order["status"] != "APPROVED":
            raise _refused(422, "ORDER_NOT_APPROVED")
        if order["_next"] == "refused":
            order["_next"] = "COMPLETED"
            raise _refused(422, "INSTRUMENT_DECLINED")
        order["status"] = "COMPLETED"
        self._take(order, str(order["_next"]))
        return _shown(order)

    def _take(self, order: Object, status: str) -> None:
        """A capture of the order, and the webhook of it."""
        [unit] = order["purchase_units"]
        capture_id = f"3C{len(self.captures) + 1:015d}"
        capture: Object = {
            "id": capture_id,
            "status": status,
            "amount": dict(unit["amount"]),
            "custom_id": unit["custom_id"],
            "final_capture": True,
            "supplementary_data": {"related_ids": {"order_id": order["id"]}},
            "links": [{"rel": "up", "href": f"{self.serving.base_url}/v2/checkout/orders/{order['id']}"}],
        }
        self.captures[capture_id] = capture
        unit["payments"].setdefault("captures", []).append(capture)
        self._send(f"PAYMENT.CAPTURE.{status}", capture)

    def _find_order(self, order_id: str) -> Object:
        order = self.orders.get(order_id)
        if order is None or (order["status"] != "COMPLETED" and self.serving.now_s() >= order["_begun_s"] + APPROVAL_S):
            raise _refused(404, "RESOURCE_NOT_FOUND")
        return order

    # ------------------------------------------------------------------ what buyers, banks and the platform do

    def pay(self, reference: str) -> None:
        """The buyer approves; the money moves when the order is captured."""
        order = self.orders[reference]
        order |= {"status": "APPROVED", "payer": PAYER, "payment_source": {"paypal": PAYER}}
        order["_begun_s"] = self.serving.now_s()
        self._send("CHECKOUT.ORDER.APPROVED", _shown(order))

    def decline(self, reference: str) -> None:
        """The buyer approves with something that the next capture finds to be without money."""
        self.orders[reference]["_next"] = "refused"
        self.pay(reference)

    def hold(self, reference: str) -> None:
        """The buyer approves, and the money will take days."""
        self.orders[reference]["_next"] = "PENDING"
        self.pay(reference)

    def settle(self, reference: str, status: str = "COMPLETED") -> None:
        """The money that took days has come, or (DECLINED) has not."""
        capture = self._capture_of(reference)
        capture["status"] = status
        self._send(f"PAYMENT.CAPTURE.{status}", capture)

    def expire(self, reference: str) -> None:
        """Nobody approved the order in time, or nobody captured it."""
        self.orders[reference]["_begun_s"] = self.serving.now_s() - APPROVAL_S

    def revive(self, reference: str) -> None:
        """The order is there after all, and its money was taken."""
        order = self.orders[reference]
        order["status"] = "COMPLETED"
        self._take(order, "COMPLETED")

    def refund(self, reference: str, cents: int, status: str = "COMPLETED") -> str:
        """So many cents go back to the buyer; the refund's id."""
        capture, order = self._capture_of(reference), self.orders[reference]
        refund_id = f"1R{len(self.refunds) + 1:015d}"
        refund = {
            "id": refund_id,
            "status": status,
            "amount": {"currency_code": capture["amount"]["currency_code"], "value": _value(cents)},
            "custom_id": capture["custom_id"],
            "links": [{"rel": "up", "href": f"{self.serving.base_url}/v2/payments/captures/{capture['id']}"}],
        }
        self.refunds[refund_id] = refund
        order["purchase_units"][0]["payments"].setdefault("refunds", []).append(refund)
        if status == "COMPLETED":
            self.mark_refunded(reference)
        self._send("PAYMENT.CAPTURE.REFUNDED", refund)
        return refund_id

    def mark_refunded(self, reference: str, status: str | None = None) -> None:
        """The capture's status tells how much of it went back, or is said to have gone."""
        capture, payments = self._capture_of(reference), self.orders[reference]["purchase_units"][0]["payments"]
        back = sum(_cents(one["amount"]) for one in payments.get("refunds", ()) if one["status"] == "COMPLETED")
        whole = back >= _cents(capture["amount"])
        capture["status"] = status or ("REFUNDED" if whole else "PARTIALLY_REFUNDED")

    def reverse(self, reference: str) -> None:
        """PayPal takes the money back, and no refund tells of it."""
        capture = self._capture_of(reference)
        capture["status"] = "REFUNDED"
        self._send("PAYMENT.CAPTURE.REVERSED", capture)

    def dispute(self, reference: str) -> str:
        """The buyer opens a dispute of all that was paid; its id."""
        capture = self._capture_of(reference)
        dispute_id = f"PP-D-{len(self.disputes) + 1}"
        self.disputes[dispute_id] = {
            "dispute_id": dispute_id,
            "disputed_transactions": [
                {"seller_transaction_id": capture["id"], "buyer": {"name": PAYER_NAME, "email": PAYER_EMAIL}}
            ],
            "status": "OPEN",
            "dispute_amount": dict(capture["amount"]),
            "dispute_life_cycle_stage": "INQUIRY",
        }
        self._send("CUSTOMER.DISPUTE.CREATED", self.disputes[dispute_id])
        return dispute_id

    def win(self, reference: str) -> None:
        """The dispute of an order ends for the seller."""
        self.end_dispute(reference, "RESOLVED_SELLER_FAVOUR")

    def lose(self, reference: str, cents: int | None = None) -> None:
        """The dispute of an order ends for the buyer, who gets so much back, or all of it."""
        refunded = {} if cents is None else {"amount_refunded": {"currency_code": "USD", "value": _value(cents)}}
        self.end_dispute(reference, "RESOLVED_BUYER_FAVOUR", **refunded)

    def end_dispute(self, reference: str, outcome: str, **more: object) -> None:
        """The dispute of an order ends."""
        capture_id = self._capture_of(reference)["id"]
        dispute = next(
            one
            for one in self.disputes.values()
            if one["disputed_transactions"][0]["seller_transaction_id"] == capture_id
        )
        dispute |= {"status": "RESOLVED", "dispute_outcome": {"outcome_code": outcome, **more}}
        self._send("CUSTOMER.DISPUTE.RESOLVED", dispute)

    def lie(self, reference: str, **unit: object) -> None:
        """The order turns out to be made for something else: another `amount`, another `custom_id`."""
        self.orders[reference]["purchase_units"][0] |= unit

    def taken(self, reference: str) -> int:
        """The cents that were taken from the buyer through an order, whatever went back."""
        captures = self.orders[reference]["purchase_units"][0]["payments"].get("captures", ())
        paid = ("COMPLETED", "REFUNDED", "PARTIALLY_REFUNDED")
        return sum(_cents(capture["amount"]) for capture in captures if capture["status"] in paid)

    def _capture_of(self, reference: str) -> Object:
        captures: list[Object] = self.orders[reference]["purchase_units"][0]["payments"]["captures"]
        return captures[-1]

    # ------------------------------------------------------------------ webhooks

    def _send(self, kind: str, resource: Object) -> None:
        self.serving.outbox.append(self.sent({"id": "WH-1", "event_type": kind, "resource": resource}))

    def sent(self, event: Object) -> Sent:
        """A webhook, signed as it is now."""
        return self.signed(json.dumps(event).encode())

    def signed(self, raw: bytes, webhook_id: str = WEBHOOK_ID, **headers: str) -> Sent:
        """A body with PayPal's headers, as far as `headers` do not say otherwise."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        plain = {
            "paypal-transmission-id": "69cd13f0-d67a-11e5-baa3-778b53f4ae55",
            "paypal-transmission-time": now,
            "paypal-cert-url": self.serving.base_url + CERTIFICATE,
            "paypal-auth-algo": "SHA256withRSA",
        }
        signature = self.signer.sign(raw, plain["paypal-transmission-id"], now, webhook_id)
        return Sent(raw, {**plain, "paypal-transmission-sig": signature, **headers})

    # ------------------------------------------------------------------ the buyer's page

    def page(self, asked: Asked) -> Told | None:
        """The page where a person approves, and what its buttons do."""
        match asked.parts():
            case ["GET", "checkoutnow"]:
                return Told(200, _page(self.orders.get(asked.query.get("token", ""))))
            case ["POST", "checkoutnow", order_id, what] if order_id in self.orders:
                with self.serving.lock:
                    if what in ("pay", "decline") and self.orders[order_id]["status"] != "COMPLETED":
                        getattr(self, what)(order_id)
                address = self.orders[order_id]["_return"] or f"/checkoutnow?token={order_id}"
                return Told(303, headers={"Location": address})
        return None


def _page(order: Mapping[str, Any] | None) -> str:
    if order is None:
        return "<!doctype html><title>PayPal (double)</title><p>There is no such order."
    [unit] = order["purchase_units"]
    buttons = "".join(
        f'<form method="post" action="/checkoutnow/{order["id"]}/{what}"><button>{label}</button></form>'
        for what, label in (("pay", "Pay"), ("decline", "Decline"), ("back", "Go back"))
    )
    told = escape(f"{unit['description']}: {unit['amount']['value']} USD")
    return f'<!doctype html><html lang="en"><title>PayPal (double)</title><h1>PayPal (double)</h1><p>{told}{buttons}'


def _is_client(asked: Asked, secrets: tuple[str, ...]) -> bool:
    allowed = {base64.b64encode(f"{CLIENT_ID}:{secret}".encode()).decode() for secret in secrets}
    return asked.headers.get("authorization", "").removeprefix("Basic ") in allowed


def _refused(status: int, issue: str) -> RefusedError:
    return RefusedError(status, {"name": "UNPROCESSABLE_ENTITY", "details": [{"issue": issue}], "debug_id": "d1"})


def _find(objects: Mapping[str, Object], name: str) -> Object:
    if name not in objects:
        raise _refused(404, "RESOURCE_NOT_FOUND")
    return objects[name]


def _shown(order: Mapping[str, Any]) -> Object:
    shown: Object = json.loads(json.dumps({name: value for name, value in order.items() if not name.startswith("_")}))
    return shown


def _value(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def _cents(amount: Mapping[str, str]) -> int:
    whole, _, cents = amount["value"].partition(".")
    return int(whole) * 100 + int(cents)

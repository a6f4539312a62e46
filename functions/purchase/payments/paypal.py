"""PayPal: the buyer approves an order on PayPal's page, and we capture it.

What PayPal promises and this leans on: an order that is created or captured twice under one `PayPal-Request-Id` is so
once; money moves by a capture alone, and of an order once; every order brings back the `custom_id` that it was made
with. A webhook only makes us fetch our own order or dispute: its signature covers no more than a CRC-32 of the body.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from autocredits.domain.errors import Problem
from autocredits.domain.money import format_amount
from autocredits.domain.purchases.facts import Checkout
from autocredits.domain.purchases.fulfil import PaymentEvent
from autocredits.domain.purchases.record import Purchase

from . import paypal_orders as orders
from .asking import READ_S, Host
from .paypal_api import Api, issues_of
from .paypal_signature import Signatures
from .port import DECLINED, Closed, Notice, PaymentRefusedError, RepeatedStartError, Started, StartRequest, Webhook
from .returning import back
from .stripe_events import parse_event

HOSTS = {"sandbox": "https://api-m.sandbox.paypal.com", "live": "https://api-m.paypal.com"}
CERTIFICATE_HOSTS = {"sandbox": "https://api.sandbox.paypal.com", "live": "https://api.paypal.com"}
SIGNERS = {
    "sandbox": "messageverificationcerts.sandbox.paypal.com",
    "live": "messageverificationcerts.paypal.com",
}

DONE = (200, 201)
REFUSED = (400, 422)
DECLINED_BY_PAYPAL = 422
CAPTURED = "ORDER_ALREADY_CAPTURED"
ANOTHER_BODY = "PAYPAL_REQUEST_ID_PREVIOUSLY_USED"
NO_OUTCOME = (ANOTHER_BODY, "PREVIOUS_REQUEST_IN_PROGRESS", "DUPLICATE_REQUEST_ID")
"""What PayPal answers where another request, under the same id, decides."""

GONE = ("ORDER_NOT_APPROVED", "ORDER_EXPIRED", "ORDER_VOIDED", "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID")
"""What PayPal answers where an approval has lapsed (after 3 hours) or the order is no more."""

ORDER_WEBHOOKS = ("CHECKOUT.ORDER.APPROVED",)
CAPTURE_WEBHOOKS = tuple(
    f"PAYMENT.CAPTURE.{word}" for word in ("COMPLETED", "PENDING", "DECLINED", "DENIED", "REFUNDED", "REVERSED")
)
DISPUTE_WEBHOOKS = tuple(f"CUSTOMER.DISPUTE.{word}" for word in ("CREATED", "UPDATED", "RESOLVED"))


FOREIGN = Webhook(None, (PaymentEvent(provider="paypal", type="paid", purchase_id=""),))
"""What an order says that is not ours: that there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayPal:
    """The provider, at PayPal's `environment`, sandbox or live. Secrets and webhook ids are one or two, newest first.

    `api_base`, `certificates_base` and `root` name a double of PayPal and whom it is signed by.
    """

    client_id: str
    client_secrets: Sequence[str] = field(repr=False)
    webhook_ids: Sequence[str]
    environment: str
    api_base: str = ""
    certificates_base: str = ""
    root: str = field(default="", repr=False)
    read_s: float = READ_S
    name: str = "paypal"

    def start(self, request: StartRequest) -> Started:
        """Create the order of this checkout, or get the one that was created before.

        Raises UnavailableError, RepeatedStartError, and PaymentRefusedError for what PayPal takes from nobody.
        """
        request_id = f"{request.purchase_id}.create.{request.number}"
        api = self._api()
        reply = api.send("POST", "/v2/checkout/orders", _order_of(request), request_id=request_id)
        if reply.status not in DONE:
            issues = issues_of(reply)
            if ANOTHER_BODY in issues:
                raise RepeatedStartError
            if reply.status not in REFUSED or _no_outcome(issues):
                raise api.unavailable(reply)
            raise PaymentRefusedError(" ".join(issues))
        links = {link.get("rel"): link.get("href") for link in reply.body.get("links") or ()}
        return Started(orders.text(reply.body, "id"), links.get("payer-action") or links.get("approve"))

    def capture(self, account_id: str, purchase: Purchase) -> Sequence[PaymentEvent]:
        """Capture the approved order. A definite refusal is a decline; what was captured before is fetched.

        Whatever else PayPal answers tells nothing of the outcome: that raises UnavailableError.
        """
        checkout = purchase.open_checkout()
        if checkout is None or checkout.reference is None:
            return ()
        request_id = f"{purchase.purchase_id}.{checkout.number}.capture.{checkout.captures}"
        path = f"/v2/checkout/orders/{checkout.reference}"
        api = self._api()
        reply = api.send("POST", f"{path}/capture", {}, request_id=request_id)
        issues = issues_of(reply)
        if reply.status in DONE or CAPTURED in issues:
            events = self._events(account_id, purchase.purchase_id, checkout)
            return [replace(event, capture=checkout.captures) for event in events if event.type != "approved"]
        if any(issue in GONE for issue in issues) and api.get(path) is None:
            return (_expired(purchase.purchase_id, checkout),)
        if reply.status != DECLINED_BY_PAYPAL or _no_outcome(issues):
            raise api.unavailable(reply)
        declined = PaymentEvent(
            provider=self.name,
            type="declined",
            purchase_id=purchase.purchase_id,
            checkout=checkout.number,
            capture=checkout.captures,
            reason=DECLINED,
            support_code=issues[0] if issues else None,
        )
        return (declined,)

    def close(self, checkout: Checkout) -> Closed:
        """An order that is not open here is never captured, so there is nothing to close: only to look."""
        order = self._order(checkout.reference or "")
        return "closed" if order is None else order.closed()

    def poll(self, account_id: str, purchase: Purchase) -> Sequence[PaymentEvent]:
        """What has become of the open order while it may be paid, of orders in doubt, and of open disputes."""
        checkout = purchase.open_checkout()
        found = [
            self._dispute(dispute_id)
            for payment in purchase.payments.values()
            for dispute_id, dispute in payment.disputes.items()
            if purchase.end_of(dispute_id, dispute) is None
        ]
        events = [replace(event, purchase_id=purchase.purchase_id) for event in found if event is not None]
        if checkout is not None and checkout.reference is not None and purchase.paying() is None:
            events += self._events(account_id, purchase.purchase_id, checkout)
        if purchase.doubts() and purchase.paid_by is not None:
            found_order = self._find_order_of(purchase.paid_by)
            order = orders.read_order(found_order) if found_order else None
            events += order.events() if order else []
        return events

    def read_webhook(self, notice: Notice) -> Webhook | None:
        """What the order or the dispute says that a signed webhook names. Nothing else in it is believed.

        Raises Problem `bad_signature`, `invalid_json`, `invalid_field`, and UnavailableError.
        """
        self._signatures().check(notice.raw, notice.headers)
        event = parse_event(notice.raw)
        kind, resource = str(event.get("event_type")), orders.maybe_map(event, "resource")
        if kind in DISPUTE_WEBHOOKS:
            dispute = self._dispute(orders.text(resource, "dispute_id"))
            return Webhook(None, (dispute,)) if dispute else None
        if kind in ORDER_WEBHOOKS:
            found = self._find_order(orders.text(resource, "id"))
        elif kind in CAPTURE_WEBHOOKS:
            found = self._find_order_of(orders.capture_of(resource) or orders.text(resource, "id"))
        else:
            return None
        order = orders.read_order(found) if found else None
        if order is None:
            return FOREIGN if found else None
        events = order.events()
        return Webhook(order.account_id, events) if events else None

    def find_purchase(self, payment_id: str) -> tuple[str, str] | None:
        """Whose payment it is, as PayPal has it. Raises UnavailableError."""
        capture = self._api().get(f"/v2/payments/captures/{payment_id}")
        return orders.owner_of(capture.get("custom_id")) if capture else None

    def _events(self, account_id: str, purchase_id: str, checkout: Checkout) -> list[PaymentEvent]:
        """What the order of a checkout says. One that PayPal has no more was not paid: its approval lapsed."""
        order = self._order(checkout.reference or "")
        if order is None:
            return [_expired(purchase_id, checkout)]
        if (order.account_id, order.purchase_id) != (account_id, purchase_id):
            raise Problem("invalid_field", "The order was made for another purchase.")
        return order.events()

    def _find_order_of(self, payment_id: str) -> Mapping[str, Any] | None:
        """The order that a capture belongs to, as PayPal has it."""
        capture = self._api().get(f"/v2/payments/captures/{payment_id}")
        if capture is None:
            return None
        related = orders.maybe_map(orders.maybe_map(capture, "supplementary_data"), "related_ids")
        order_id = orders.maybe_id(related, "order_id")
        return self._find_order(order_id) if order_id else None

    def _find_order(self, reference: str) -> Mapping[str, Any] | None:
        return self._api().get(f"/v2/checkout/orders/{reference}")

    def _order(self, reference: str) -> orders.Order | None:
        order = self._find_order(reference)
        return orders.read_order(order) if order else None

    def _dispute(self, dispute_id: str) -> PaymentEvent | None:
        dispute = self._api().get(f"/v1/customer/disputes/{dispute_id}")
        return orders.read_dispute(dispute) if dispute else None

    def _api(self) -> Api:
        host = Host(provider=self.name, base_url=self.api_base or HOSTS[self.environment], read_s=self.read_s)
        return Api(host=host, client_id=self.client_id, client_secrets=self.client_secrets)

    def _signatures(self) -> Signatures:
        base = self.certificates_base or CERTIFICATE_HOSTS[self.environment]
        host = Host(provider=self.name, base_url=base, read_s=self.read_s)
        signer = SIGNERS[self.environment]
        return Signatures(webhook_ids=self.webhook_ids, host=host, signer=signer, root=self.root)


def _order_of(request: StartRequest) -> Mapping[str, Any]:
    """The order as PayPal wants it."""
    context: dict[str, Any] = {"shipping_preference": "NO_SHIPPING", "user_action": "PAY_NOW"}
    if request.return_url:
        address = back(request.return_url, request.purchase_id)
        context |= {"return_url": address, "cancel_url": address}
    payer = {"email_address": request.payer.email} if request.payer else {}
    unit = {
        "reference_id": str(request.number),
        "custom_id": f"{request.account_id}.{request.purchase_id}",
        "description": request.description,
        "amount": {"currency_code": "USD", "value": format_amount(request.price)},
    }
    return {
        "intent": "CAPTURE",
        "purchase_units": [unit],
        "payment_source": {"paypal": {**payer, "experience_context": context}},
    }


def _no_outcome(issues: Sequence[str]) -> bool:
    return any(issue in NO_OUTCOME for issue in issues)


def _expired(purchase_id: str, checkout: Checkout) -> PaymentEvent:
    return PaymentEvent(provider="paypal", type="expired", purchase_id=purchase_id, checkout=checkout.number)

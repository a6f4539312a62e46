"""Stripe: the buyer pays on Stripe's own page, by a Checkout Session that carries our account and purchase.

What Stripe promises and this leans on: a session that is created twice with one idempotency key is one session, and
every session, payment and charge brings back the metadata that it was created with.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlsplit

import stripe
from stripe.params.checkout import SessionCreateParams

from autocredits.domain.errors import Problem
from autocredits.domain.purchases.fulfil import PaymentEvent, PaymentEventType
from autocredits.domain.purchases.record import Purchase
from autocredits.edge.telemetry import logger
from autocredits.ledger.ports import UnavailableError

from .port import Checkout, Started, Webhook

HOME_URL = "https://stripe.com"
API_BASE = "https://api.stripe.com"
TOLERANCE_S = 300
CONNECT_S = 2.0
READ_S = 4.0
RETRIES = 1

DECLINED = "Payment declined: please try another payment method."

_DISPUTE_ENDS: Mapping[str, PaymentEventType] = MappingProxyType(
    {
        "won": "dispute_won",
        "warning_closed": "dispute_won",  # an inquiry that never became a chargeback: no money went back
        "lost": "dispute_lost",
    }
)


logging.getLogger("stripe").setLevel(logging.WARNING)  # below that it quotes what was sent, the buyer's address too


@dataclass(frozen=True, slots=True, kw_only=True)
class Stripe:
    """The provider. `signing_secrets` are those in use, two while they are rotated; without `api_key` it only listens.

    `home_url` is where a buyer goes who was given no `return_url`: Stripe demands one.
    """

    api_key: str = field(repr=False)
    signing_secrets: Sequence[str] = field(repr=False)
    home_url: str = HOME_URL
    api_base: str = API_BASE
    read_s: float = READ_S
    name: str = "stripe"

    def start(self, checkout: Checkout) -> Started:
        """Create the session of this purchase, or get the one that was created before.

        Raises UnavailableError, and Problem `invalid_amount`, `invalid_field` for what Stripe takes from nobody.
        """
        with _asking(), _refusing():
            session = self._client().v1.checkout.sessions.create(
                params=self._session_of(checkout), options={"idempotency_key": checkout.purchase_id}
            )
        return Started(session.id, session.url)

    def _session_of(self, checkout: Checkout) -> SessionCreateParams:
        ours = {"account_id": checkout.account_id, "purchase_id": checkout.purchase_id}
        params: SessionCreateParams = {
            "mode": "payment",
            "client_reference_id": checkout.purchase_id,
            "metadata": ours,
            "payment_intent_data": {"metadata": ours},
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": "usd",
                        "unit_amount": checkout.price,
                        "product_data": {"name": checkout.description},
                    },
                }
            ],
            "adaptive_pricing": {"enabled": False},  # else a buyer abroad might pay in another currency
            "success_url": _back(checkout.return_url or self.home_url, checkout.purchase_id),
        }
        if checkout.return_url:
            params["cancel_url"] = _back(checkout.return_url, checkout.purchase_id)
        if checkout.payer_email:
            params["customer_email"] = checkout.payer_email
        return params

    def read_webhook(self, raw: bytes, headers: Mapping[str, str]) -> Webhook | None:
        """What the signed event says. Raises Problem `bad_signature`, `invalid_json`, `invalid_field`.

        A declined payment is asked after for the reason; that raises UnavailableError.
        """
        self.check_signature(raw, headers.get("stripe-signature", ""))
        event = _parse(raw)
        read = _READERS.get(str(event.get("type")))
        webhook = read(_map(_map(event, "data"), "object")) if read else None
        if webhook is None or webhook.event.type != "declined" or webhook.event.support_code is not None:
            return webhook
        if not self.api_key or webhook.event.payment_id is None:
            return webhook
        intent = self._intent(webhook.event.payment_id)
        return Webhook(webhook.account_id, _declined(webhook.event.purchase_id, webhook.event.payment_id, intent))

    def check_signature(self, raw: bytes, signature: str) -> None:
        """Raise Problem `bad_signature` unless one of the secrets signed this body within the last 300 seconds."""
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise Problem("bad_signature") from None
        if not signature.isascii():  # the library would compare it, and that raises TypeError
            raise Problem("bad_signature")
        for secret in self.signing_secrets:
            try:
                stripe.WebhookSignature.verify_header(text, signature, secret, TOLERANCE_S)
            except stripe.SignatureVerificationError:
                continue
            return
        raise Problem("bad_signature")

    def find_purchase(self, payment_id: str) -> tuple[str, str] | None:
        """Whose payment it is, as Stripe has it. Raises UnavailableError, without an `api_key` always."""
        intent = self._intent(payment_id)
        return _owner(_maybe_map(intent, "metadata")) if intent else None

    def poll(self, account_id: str, purchase: Purchase) -> PaymentEvent | None:  # noqa: ARG002 - the port's form
        """What has become of the purchase's session; None while it is open or the money on its way."""
        if purchase.provider_reference is None:
            return None
        with _asking():
            session = (
                self._client()
                .v1.checkout.sessions.retrieve(purchase.provider_reference, params={"expand": ["payment_intent"]})
                .to_dict()
            )
        if session.get("status") == "expired":
            return PaymentEvent(provider=self.name, type="expired", purchase_id=purchase.purchase_id)
        if session.get("status") != "complete":
            return None
        if session.get("payment_status") == "paid":
            return _paid(session, purchase.purchase_id)
        intent = _maybe_map(session, "payment_intent")
        if intent.get("status") in ("requires_payment_method", "canceled"):  # an asynchronous payment that failed
            return _declined(purchase.purchase_id, _id(intent), intent)
        return None

    def _intent(self, payment_id: str) -> dict[str, Any] | None:
        """The payment; None if Stripe has none by this id. Raises UnavailableError."""
        try:
            with _asking():
                return self._client().v1.payment_intents.retrieve(payment_id).to_dict()
        except stripe.InvalidRequestError as error:
            if error.code == "resource_missing":
                return None
            raise

    def _client(self) -> stripe.StripeClient:
        if not self.api_key:
            raise UnavailableError("there is no key to ask Stripe with")
        return _open_client(self.api_key, self.api_base, self.read_s)


@lru_cache(maxsize=4)
def _open_client(api_key: str, api_base: str, read_s: float) -> stripe.StripeClient:
    """A client that keeps its connection for the next call, and gives up soon: a caller is waiting."""
    return stripe.StripeClient(
        api_key,
        base_addresses={"api": api_base},
        http_client=stripe.RequestsClient(timeout=(CONNECT_S, read_s)),
        max_network_retries=RETRIES,
    )


@contextmanager
def _asking() -> Iterator[None]:
    """Turn whatever may pass by itself (no answer, 409, 429, 5xx) into UnavailableError; raise the rest as it is."""
    try:
        yield
    except (stripe.APIConnectionError, stripe.RateLimitError, stripe.APIError) as error:
        about = {"error": type(error).__name__, "status": error.http_status, "stripe_request_id": error.request_id}
        logger.warning("Stripe cannot be asked", extra=about)
        raise UnavailableError("Stripe cannot be asked") from error


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn Stripe's refusal of what the buyer sent into a Problem."""
    try:
        yield
    except stripe.InvalidRequestError as error:
        if error.code in ("amount_too_small", "amount_too_large"):
            raise Problem("invalid_amount", "The total is less or more than can be paid by card.") from error
        if error.param == "customer_email":
            raise Problem("invalid_field", "payer.email: no address that the provider takes.") from error
        raise


def _back(url: str, purchase_id: str) -> str:
    """The address with `purchase_id` in its query. Braces are escaped: Stripe fills in what stands between them."""
    parts = urlsplit(url.replace("{", "%7B").replace("}", "%7D"))
    query = f"{parts.query}&" if parts.query else ""
    return parts._replace(query=f"{query}purchase_id={quote(purchase_id, safe='')}").geturl()


def _parse(raw: bytes) -> dict[str, Any]:
    """The object in a signed body, taken as it is: a buyer's name may hold what our own bodies may not."""
    try:
        event = json.loads(raw)
    except (ValueError, RecursionError):
        raise Problem("invalid_json", "The body is not JSON.") from None
    if not isinstance(event, dict):
        raise Problem("invalid_field", "An event is an object.")
    return event


def _read_completed(session: dict[str, Any]) -> Webhook | None:
    """Paid, unless the money is still on its way: then an `async_payment_…` event follows."""
    return _read_paid(session) if session.get("payment_status") == "paid" else None


def _read_paid(session: dict[str, Any]) -> Webhook:
    account_id, purchase_id = _session_owner(session)
    return Webhook(account_id, _paid(session, purchase_id))


def _read_declined(session: dict[str, Any]) -> Webhook:
    account_id, purchase_id = _session_owner(session)
    return Webhook(account_id, _declined(purchase_id, _id(session.get("payment_intent"))))


def _read_failed_card(intent: dict[str, Any]) -> Webhook | None:
    """A card that was declined: the session stays open, so that the buyer can try another payment method."""
    owner = _owner(_maybe_map(intent, "metadata"))
    if owner is None:
        return None
    return Webhook(owner[0], _declined(owner[1], _id(intent), intent))


def _read_expired(session: dict[str, Any]) -> Webhook:
    account_id, purchase_id = _session_owner(session)
    payment_id = _id(session.get("payment_intent"))
    event = PaymentEvent(provider="stripe", type="expired", purchase_id=purchase_id, payment_id=payment_id)
    return Webhook(account_id, event)


def _read_refund(charge: dict[str, Any]) -> Webhook:
    """A charge tells how much of it went back so far, in all."""
    owner = _owner(_maybe_map(charge, "metadata"))
    account_id, purchase_id = owner or (None, "")
    event = PaymentEvent(
        provider="stripe",
        type="refunded",
        purchase_id=purchase_id,
        payment_id=_id(charge.get("payment_intent")),
        amount=_cents(charge, "amount_refunded"),
        currency=_currency(charge),
    )
    return Webhook(account_id, event)


def _read_dispute(dispute: dict[str, Any]) -> Webhook:
    return _dispute(dispute, "dispute_created")


def _read_dispute_end(dispute: dict[str, Any]) -> Webhook:
    """How it ended. An end that is not known here is for a person: the credits stay frozen."""
    type_ = _DISPUTE_ENDS.get(str(dispute.get("status")))
    if type_ is None:
        raise Problem("invalid_field", "A dispute has ended in an unknown way.")
    return _dispute(dispute, type_)


def _dispute(dispute: dict[str, Any], type_: PaymentEventType) -> Webhook:
    """A dispute has no metadata of ours: the payment's record tells whose it is."""
    event = PaymentEvent(
        provider="stripe",
        type=type_,
        purchase_id="",
        payment_id=_id(dispute.get("payment_intent")),
        amount=_cents(dispute, "amount"),
        currency=_currency(dispute),
        dispute_id=_id(dispute),
    )
    return Webhook(None, event)


_READERS: Mapping[str, Callable[[dict[str, Any]], Webhook | None]] = MappingProxyType(
    {
        "checkout.session.completed": _read_completed,
        "checkout.session.async_payment_succeeded": _read_paid,
        "checkout.session.async_payment_failed": _read_declined,
        "checkout.session.expired": _read_expired,
        "payment_intent.payment_failed": _read_failed_card,
        "charge.refunded": _read_refund,
        "charge.dispute.created": _read_dispute,
        "charge.dispute.closed": _read_dispute_end,
    }
)


def _paid(session: dict[str, Any], purchase_id: str) -> PaymentEvent:
    return PaymentEvent(
        provider="stripe",
        type="paid",
        purchase_id=purchase_id,
        payment_id=_id(session.get("payment_intent")),
        amount=_cents(session, "amount_total"),
        currency=_currency(session),
    )


def _declined(purchase_id: str, payment_id: str | None, intent: Mapping[str, Any] | None = None) -> PaymentEvent:
    """A payment that failed, with the bank's code where it gave one, else Stripe's."""
    error = _maybe_map(intent or {}, "last_payment_error")
    return PaymentEvent(
        provider="stripe",
        type="declined",
        purchase_id=purchase_id,
        payment_id=payment_id,
        reason=DECLINED,
        support_code=error.get("decline_code") or error.get("code"),
    )


def _session_owner(session: dict[str, Any]) -> tuple[str | None, str]:
    """The account and the purchase that a session names; nobody's unless it names both."""
    metadata = _maybe_map(session, "metadata")
    owner = _owner({**metadata, "purchase_id": session.get("client_reference_id") or metadata.get("purchase_id")})
    return owner or (None, "")


def _owner(metadata: Mapping[str, Any]) -> tuple[str, str] | None:
    account_id, purchase_id = metadata.get("account_id"), metadata.get("purchase_id")
    if not isinstance(account_id, str) or not isinstance(purchase_id, str) or not account_id or not purchase_id:
        return None
    return account_id, purchase_id


def _id(value: Any) -> str | None:
    """The id of what Stripe names by its id, or gives whole."""
    found = value.get("id") if isinstance(value, dict) else value
    return found if isinstance(found, str) and found else None


def _map(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    if not isinstance(found, dict):
        raise Problem("invalid_field", f"{name}: not an object.")
    return found


def _maybe_map(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _cents(value: Mapping[str, Any], name: str) -> int:
    found = value.get(name)
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise Problem("invalid_field", f"{name}: not a whole number of cents.")
    return found


def _currency(value: Mapping[str, Any]) -> str:
    found = value.get("currency")
    if not isinstance(found, str):
        raise Problem("invalid_field", "currency: missing.")
    return found.upper()

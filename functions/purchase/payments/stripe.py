"""Stripe: the buyer pays on Stripe's own page, by a Checkout Session that carries our account and purchase.

What Stripe promises and this leans on: a session that is created twice with one idempotency key is one session; only
an open session can be expired, and an expired one can never be paid; and every session, payment and charge brings back
the metadata that it was created with.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import stripe
from stripe.params.checkout import SessionCreateParams

from autocredits.domain.errors import Problem
from autocredits.domain.purchases.facts import Checkout
from autocredits.domain.purchases.fulfil import PaymentEvent
from autocredits.domain.purchases.record import Purchase
from autocredits.edge.telemetry import logger
from autocredits.ledger.ports import UnavailableError
from autocredits.ledger.time_limit import check_time

from . import stripe_events as events
from .port import Closed, Notice, PaymentRefusedError, RepeatedStartError, Started, StartRequest, Webhook
from .returning import back

HOME_URL = "https://stripe.com"
API_BASE = "https://api.stripe.com"
TOLERANCE_S = 300
CONNECT_S = 2.0
READ_S = 4.0
RETRIES = 1
WORST_CALL_S = (CONNECT_S + READ_S) * (1 + RETRIES) + 1
"""The longest that one call takes, with the pause between its tries."""

SESSION_S = 3600
"""How long a session can be paid. Stripe takes half an hour at least."""

LIVE_KEYS = ("sk_live_", "rk_live_")

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

    def start(self, request: StartRequest) -> Started:
        """Create the session of this checkout, or get the one that was created before.

        Raises UnavailableError, RepeatedStartError, and PaymentRefusedError for what Stripe takes from nobody.
        """
        with _asking(), _refusing():
            session = self._client().v1.checkout.sessions.create(
                params=self._session_of(request),
                options={"idempotency_key": f"{request.purchase_id}-{request.number}"},
            )
        return Started(session.id, session.url)

    def _session_of(self, request: StartRequest) -> SessionCreateParams:
        ours = {
            "account_id": request.account_id,
            "purchase_id": request.purchase_id,
            "checkout": str(request.number),
        }
        params: SessionCreateParams = {
            "mode": "payment",
            "client_reference_id": request.purchase_id,
            "metadata": ours,
            "payment_intent_data": {"metadata": ours},
            "expires_at": request.started_at // 1000 + SESSION_S,
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": "usd",
                        "unit_amount": request.price,
                        "product_data": {"name": request.description},
                    },
                }
            ],
            "adaptive_pricing": {"enabled": False},  # else a buyer abroad might pay in another currency
            "success_url": back(request.return_url or self.home_url, request.purchase_id),
        }
        if request.return_url:
            params["cancel_url"] = back(request.return_url, request.purchase_id)
        if request.payer:
            params["customer_email"] = request.payer.email
        return params

    def capture(self, account_id: str, purchase: Purchase) -> Sequence[PaymentEvent]:  # noqa: ARG002 - the port's form
        """Stripe takes the money as soon as the buyer has agreed."""
        return ()

    def close(self, checkout: Checkout) -> Closed:
        """Expire the session. One that is not open any more is paid, expired, or complete with its money on its way."""
        reference = checkout.reference or ""
        with _asking():
            try:
                session = self._client().v1.checkout.sessions.expire(reference)
            except stripe.InvalidRequestError:
                session = self._client().v1.checkout.sessions.retrieve(reference)
        if session.status == "expired":
            return "closed"
        return "paid" if session.payment_status == "paid" else "on_its_way"

    def read_webhook(self, notice: Notice) -> Webhook | None:
        """What the signed event says. Raises Problem `bad_signature`, `invalid_json`, `invalid_field`.

        A declined payment is asked after for the reason, a refunded one for its refunds: a charge tells only the net
        sum of those that did not fail. That raises UnavailableError.
        """
        self.check_signature(notice.raw, notice.headers.get("stripe-signature", ""))
        event = events.parse_event(notice.raw)
        self.check_form(event)
        webhook = events.read_event(event)
        if webhook is None or not self.api_key:
            return webhook
        return Webhook(webhook.account_id, tuple(self._asked_after(said) for said in webhook.events))

    def _asked_after(self, event: PaymentEvent) -> PaymentEvent:
        """The event with what only Stripe's own objects tell."""
        if event.type == "refunded":
            return self._with_refunds(event)
        if event.type != "declined" or event.support_code is not None or event.payment_id is None:
            return event
        return events.declined(event.purchase_id, event.payment_id, event.checkout, self._intent(event.payment_id))

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

    def check_form(self, event: Mapping[str, Any]) -> None:
        """Raise Problem `invalid_field` for an event of another form than ours, or of the other mode than the key's.

        Test events can be made by anybody with access to the dashboard; a live key must not believe them.
        """
        if str(event.get("type")).startswith(("v1.", "v2.")):
            raise Problem("invalid_field", "An event in a form that is not known here.")
        if bool(event.get("livemode")) != self.api_key.startswith(LIVE_KEYS):
            raise Problem("invalid_field", "An event of the other mode, live or test, than the API key.")

    def _with_refunds(self, event: PaymentEvent) -> PaymentEvent:
        """The event with all that was ever refunded of the payment, and with what failed of it."""
        if event.payment_id is None:
            return event
        with _asking():
            refunds = self._client().v1.refunds.list(params={"payment_intent": event.payment_id, "limit": 100}).data
        failed = tuple((one.id, one.amount) for one in refunds if one.status in ("failed", "canceled"))
        return replace(event, amount=max(event.amount, sum(one.amount for one in refunds)), failed=failed)

    def find_purchase(self, payment_id: str) -> tuple[str, str] | None:
        """Whose payment it is, as Stripe has it. Raises UnavailableError, without an `api_key` always."""
        intent = self._intent(payment_id)
        return events.owner_of(events.maybe_map(intent, "metadata")) if intent else None

    def poll(self, account_id: str, purchase: Purchase) -> Sequence[PaymentEvent]:  # noqa: ARG002 - the port's form
        """What has become of the open session, while it may be paid, and of open disputes."""
        checkout = purchase.open_checkout()
        found = [
            self._poll_dispute(purchase, payment_id, dispute_id)
            for payment_id, payment in purchase.payments.items()
            for dispute_id, dispute in payment.disputes.items()
            if purchase.end_of(dispute_id, dispute) is None
        ]
        if checkout is not None and checkout.reference is not None and purchase.paying() is None:
            found.append(self._poll_session(purchase, checkout.number, checkout.reference))
        return [event for event in found if event is not None]

    def _poll_session(self, purchase: Purchase, number: int, reference: str) -> PaymentEvent | None:
        """Paid, expired or declined; None while the session is open or its money on its way."""
        with _asking():
            found = self._client().v1.checkout.sessions.retrieve(reference, params={"expand": ["payment_intent"]})
        session = found.to_dict()
        if session.get("status") == "expired":
            return events.expired(purchase.purchase_id, number)
        if session.get("status") != "complete":
            return None
        if session.get("payment_status") == "paid":
            return replace(events.paid(session, purchase.purchase_id), checkout=number)
        intent = events.maybe_map(session, "payment_intent")
        if intent.get("status") in ("requires_payment_method", "canceled"):  # an asynchronous payment that failed
            return events.declined(purchase.purchase_id, intent.get("id"), number, intent)
        return None

    def _poll_dispute(self, purchase: Purchase, payment_id: str, dispute_id: str) -> PaymentEvent | None:
        """How a dispute ended; None while it is open, and for one that Stripe does not know."""
        with _asking():
            try:
                dispute = self._client().v1.disputes.retrieve(dispute_id).to_dict()
            except stripe.InvalidRequestError:
                return None
        type_ = events.DISPUTE_ENDS.get(str(dispute.get("status")))
        if type_ is None:
            return None
        return replace(events.disputed(dispute, type_, purchase.purchase_id), payment_id=payment_id)

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
    """Turn whatever may pass by itself (no answer, 409, 429, 5xx) into UnavailableError; raise the rest as it is.

    Raises OutOfTimeError where Stripe's answer may come too late.
    """
    check_time(WORST_CALL_S)
    try:
        yield
    except (stripe.APIConnectionError, stripe.RateLimitError, stripe.APIError) as error:
        about = {"error": type(error).__name__, "status": error.http_status, "stripe_request_id": error.request_id}
        logger.warning("Stripe cannot be asked", extra=about)
        raise UnavailableError("Stripe cannot be asked") from error


@contextmanager
def _refusing() -> Iterator[None]:
    """Tell apart a start that cannot be repeated as it was, and terms that Stripe takes from nobody."""
    try:
        yield
    except stripe.IdempotencyError as error:
        raise RepeatedStartError from error
    except stripe.InvalidRequestError as error:
        if error.param == "expires_at":  # a start repeated so late that its session would be too short
            raise RepeatedStartError from error
        raise PaymentRefusedError(f"{error.code} {error.param}") from error
    except stripe.CardError as error:
        raise PaymentRefusedError(str(error.code)) from error

"""Payoneer Checkout: the buyer pays on Payoneer's page, by a list that carries our purchase.

Written from Payoneer's public documents and plugins, and never tried against Payoneer. What it leans on: a list that
was deleted can never be paid; the page charges at once (NON_DEFERRED); every charge and payout has its own long id and
brings back the `transactionId` that its list was made with. A notification only makes us ask.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from autocredits.domain.errors import Problem
from autocredits.domain.money import format_amount
from autocredits.domain.purchases.facts import Checkout
from autocredits.domain.purchases.fulfil import PaymentEvent
from autocredits.domain.purchases.record import Purchase
from autocredits.edge.telemetry import logger
from autocredits.ledger.ports import UnavailableError

from . import payoneer_charges as charges
from .asking import READ_S, Host, Reply
from .port import Closed, Notice, PaymentRefusedError, Started, StartRequest, Webhook
from .returning import back

HOME_URL = "https://www.payoneer.com"
HOSTS = {"sandbox": "https://api.sandbox.oscato.com", "live": "https://api.live.oscato.com"}
MEDIA_TYPE = "application/vnd.optile.payment.enterprise-v1-extensible+json"
OK, UNAUTHORIZED, NOT_FOUND = 200, 401, 404
DONE = range(200, 300)
REFUSED = (400, 422)

_NUMBER = re.compile(r"[1-9][0-9]?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Payoneer:
    """The provider, at Payoneer's `environment`, sandbox or live. Tokens and secrets are one or two, newest first.

    `division` is what payments are booked under, empty for the merchant's own. `country` is told for a buyer who named
    none, and `home_url` is where one goes who was given no `return_url`. `api_base` names a double of Payoneer.
    """

    merchant_code: str
    tokens: Sequence[str] = field(repr=False)
    notification_secrets: Sequence[str] = field(repr=False)
    environment: str
    division: str
    country: str
    home_url: str
    api_base: str = ""
    read_s: float = READ_S
    name: str = "payoneer"

    def start(self, request: StartRequest) -> Started:
        """Make a list. Repeated, it makes another one: nobody has the address of the first.

        Raises UnavailableError, and PaymentRefusedError for what Payoneer takes from nobody.
        """
        reply = self._send("POST", "/api/lists", self._list_of(request))
        if reply.status in REFUSED:
            raise PaymentRefusedError(str(reply.body.get("resultCode")))
        if reply.status not in DONE:
            raise self._unavailable(reply)
        identification, redirect = _map(reply.body, "identification"), _map(reply.body, "redirect")
        parameters = [(one["name"], one["value"]) for one in redirect.get("parameters") or ()]
        address = redirect.get("url")
        if address and parameters:
            address += ("&" if "?" in address else "?") + urlencode(parameters)
        return Started(charges.long_id(identification.get("longId")), address)

    def _list_of(self, request: StartRequest) -> bytes:
        """The list as Payoneer wants it. The amount is a number, and written without ever being a float."""
        address = back(request.return_url or self.home_url, request.purchase_id)
        query = {
            "purchase_id": request.purchase_id,
            "checkout": str(request.number),
            "token": self._token(self.notification_secrets[0], request.account_id, request.purchase_id, request.number),
        }
        wanted: dict[str, Any] = {
            "transactionId": request.purchase_id,
            "integration": "HOSTED",
            "country": request.payer.country if request.payer else self.country,
            "customer": {"number": request.account_id, **({"email": request.payer.email} if request.payer else {})},
            "preselection": {"deferral": "NON_DEFERRED"},
            "callback": {
                "returnUrl": address,
                "summaryUrl": address,
                "cancelUrl": address,
                "notificationUrl": f"{request.webhook_url}?{urlencode(query)}",
            },
            "style": {"hostedVersion": "v4"},
            **({"division": self.division} if self.division else {}),
        }
        amount, reference = format_amount(request.price), json.dumps(request.description)
        payment = f'{{"amount": {amount}, "currency": "USD", "reference": {reference}}}'
        return f'{{"payment": {payment}, {json.dumps(wanted)[1:]}'.encode()

    def capture(self, account_id: str, purchase: Purchase) -> Sequence[PaymentEvent]:  # noqa: ARG002 - the port's form
        """Payoneer takes the money as soon as the buyer has agreed."""
        return ()

    def close(self, checkout: Checkout) -> Closed:
        """Delete the list. One that cannot be deleted is paid, over, or its money is on its way."""
        path = f"/api/lists/{checkout.reference}"
        if self._send("DELETE", path).status in DONE:
            return "closed"
        found = self._get(path)
        meaning = charges.meaning_of(found) if found else "expired"
        if meaning in ("expired", "given_up", "declined"):
            return "closed"
        return "paid" if found and self._is_paid(found) else "on_its_way"

    def _is_paid(self, found: Mapping[str, Any]) -> bool:
        """Whether money has come through a list, whatever became of it."""
        settled = ("paid", "refunded", "disputed", "lost", "won")
        made = (self._get(f"/api/charges/{long_id}") for kind, long_id in charges.links(found) if kind == "charges")
        return any(charges.meaning_of(charge) in settled for charge in made if charge)

    def poll(self, account_id: str, purchase: Purchase) -> Sequence[PaymentEvent]:  # noqa: ARG002 - the port's form
        """What has become of the open list while it may be paid, and of charges in dispute or in doubt."""
        checkout = purchase.open_checkout()
        events: list[PaymentEvent] = []
        if checkout is not None and checkout.reference is not None and purchase.paying() is None:
            events += self._poll_list(purchase.purchase_id, checkout.number, checkout.reference)
        disputed = {
            payment_id
            for payment_id, payment in purchase.payments.items()
            for dispute_id, dispute in payment.disputes.items()
            if purchase.end_of(dispute_id, dispute) is None
        }
        doubted = {purchase.paid_by} if purchase.doubts() and purchase.paid_by else set()
        for payment_id in sorted(disputed | doubted):
            events += self._events("charges", payment_id, purchase.purchase_id, None) or ()
        return events

    def _poll_list(self, purchase_id: str, number: int, reference: str) -> Iterator[PaymentEvent]:
        found = self._get(f"/api/lists/{reference}")
        made = [long_id for kind, long_id in charges.links(found or {}) if kind == "charges"]
        for long_id in made:
            yield from self._events("charges", long_id, purchase_id, number) or ()
        meaning = charges.meaning_of(found) if found else "expired"
        if meaning in ("expired", "given_up"):
            yield PaymentEvent(provider=self.name, type="expired", purchase_id=purchase_id, checkout=number)
        elif meaning == "paid" and not made:
            raise Problem("invalid_field", "A list that was paid names no charge.")

    def read_webhook(self, notice: Notice) -> Webhook | None:
        """What the charge or payout says that a notification names. Nothing else in it is believed.

        Raises Problem `bad_signature`, `invalid_json`, `invalid_field`, and UnavailableError.
        """
        account_id, purchase_id, number = self._check_token(notice.query)
        said = {**notice.query, **_body_of(notice)}
        if said.get("entity") != "payment":
            return None
        long_id = charges.long_id(said.get("longId"))
        events = self._events("charges", long_id, purchase_id, number)
        if events is None:
            events = self._events("payouts", long_id, purchase_id, number)
        return Webhook(account_id, events) if events else None

    def _events(self, kind: str, long_id: str, purchase_id: str, number: int | None) -> list[PaymentEvent] | None:
        """What a charge or a payout says, with the payouts that a charge names; None where Payoneer has none."""
        found = self._get(f"/api/{kind}/{long_id}")
        if found is None:
            return None
        if kind == "payouts":
            return list(charges.payout_events(found, purchase_id))
        named = [self._get(f"/api/payouts/{long_id}") for kind, long_id in charges.links(found) if kind == "payouts"]
        payouts = [payout for payout in named if payout is not None]
        return list(charges.charge_events(found, payouts, purchase_id, number))

    def _check_token(self, query: Mapping[str, str]) -> tuple[str, str, int]:
        """Whose notification it is, by the token in its address. Raises Problem `bad_signature`."""
        account_id, _, _ = query.get("token", "").rpartition(".")
        purchase_id, number = query.get("purchase_id", ""), query.get("checkout", "")
        if not _NUMBER.fullmatch(number) or not account_id or not purchase_id:
            raise Problem("bad_signature")
        rights = (self._token(secret, account_id, purchase_id, int(number)) for secret in self.notification_secrets)
        if not any(hmac.compare_digest(right.encode(), query["token"].encode()) for right in rights):
            raise Problem("bad_signature")
        return account_id, purchase_id, int(number)

    @staticmethod
    def _token(secret: str, account_id: str, purchase_id: str, number: int) -> str:
        """What guards the address of a checkout's notifications: nobody guesses it, and nothing is stored for it."""
        told = f"{account_id}/{purchase_id}/{number}".encode()
        return f"{account_id}.{hmac.new(secret.encode(), told, hashlib.sha256).hexdigest()}"

    def find_purchase(self, payment_id: str) -> tuple[str, str] | None:
        """Whose payment it is, as Payoneer has it. Raises UnavailableError."""
        charge = self._get(f"/api/charges/{charges.long_id(payment_id)}")
        if charge is None:
            return None
        purchase_id = _map(charge, "identification").get("transactionId")
        account_id = _map(charge, "customer").get("number")
        if not isinstance(purchase_id, str) or not isinstance(account_id, str):
            return None
        return account_id, purchase_id

    def _get(self, path: str) -> Mapping[str, Any] | None:
        """What is at a path; None where nothing is. Raises UnavailableError."""
        reply = self._send("GET", path)
        if reply.status == NOT_FOUND:
            return None
        if reply.status != OK:
            raise self._unavailable(reply)
        return reply.body

    @staticmethod
    def _unavailable(reply: Reply) -> UnavailableError:
        about = {"status": reply.status, "result": str(reply.body.get("resultCode"))}
        logger.warning("Payoneer refuses to answer", extra=about)
        return UnavailableError("Payoneer refuses to answer")

    def _send(self, method: str, path: str, body: bytes | None = None) -> Reply:
        """The answer to a request. With a token that is not taken any more nothing was done, and the other is tried."""
        host = Host(provider=self.name, base_url=self.api_base or HOSTS[self.environment], read_s=self.read_s)
        for token in self.tokens:
            reply = host.ask(
                method, path, headers={}, body=body, auth=(self.merchant_code, token), media_type=MEDIA_TYPE
            )
            if reply.status != UNAUTHORIZED:
                return reply
        logger.warning("Payoneer takes none of our tokens")
        raise UnavailableError("Payoneer takes none of our tokens")


def _body_of(notice: Notice) -> Mapping[str, Any]:
    """What a notification tells in its body, as JSON or as a form. Raises Problem `invalid_json`."""
    if not notice.raw:
        return {}
    if "json" not in notice.headers.get("content-type", ""):
        return dict(parse_qsl(notice.raw.decode(errors="replace")))
    try:
        found = json.loads(notice.raw)
    except (ValueError, RecursionError):
        raise Problem("invalid_json", "The body is not JSON.") from None
    return found if isinstance(found, dict) else {}


def _map(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}

"""The sandbox: a provider for local stacks and tests, where a person (or a test) decides what a payment does.

Its page belongs to the local stack. It refuses to work where the service does not talk to an emulator on this machine.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from autocredits.domain.errors import Problem
from autocredits.domain.money import parse_amount
from autocredits.domain.purchases.facts import Checkout
from autocredits.domain.purchases.fulfil import PaymentEvent, PaymentEventType
from autocredits.domain.purchases.record import Purchase
from autocredits.edge.json_body import parse_json
from autocredits.ledger.ports import UnavailableError

from .port import DECLINED, Closed, Notice, Started, StartRequest, Webhook

TOLERANCE_S = 300

EVENT_TYPES: Mapping[str, PaymentEventType] = {
    "payment.succeeded": "paid",
    "payment.declined": "declined",
    "payment.refunded": "refunded",
    "refund.failed": "refund_failed",
    "dispute.created": "dispute_created",
    "dispute.won": "dispute_won",
    "dispute.lost": "dispute_lost",
}

_SIGNATURE = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The provider. `secrets` are the signing secrets in use, the newest first; `now_s` tells the time."""

    page_url: str
    secrets: Sequence[str]
    now_s: Callable[[], float] = time.time
    name: str = "sandbox"

    def start(self, request: StartRequest) -> Started:
        """The sandbox keeps nothing: its page is told all it needs in its address."""
        query = f"?{urlencode({'return_url': request.return_url})}" if request.return_url else ""
        address = f"{self.page_url}/pay/{request.account_id}/{request.purchase_id}{query}"
        return Started(f"{request.purchase_id}-{request.number}", address)

    def capture(self, account_id: str, purchase: Purchase) -> Sequence[PaymentEvent]:  # noqa: ARG002 - the port's form
        """The sandbox approves nothing without taking the money."""
        return ()

    def close(self, checkout: Checkout) -> Closed:  # noqa: ARG002 - the port's form
        """The sandbox keeps nothing, so there is nothing to close; a late payment is credited all the same."""
        return "closed"

    def read_webhook(self, notice: Notice) -> Webhook | None:
        """What the signed body says. Raises Problem `bad_signature`, `invalid_json`, `invalid_field`."""
        self.check_signature(notice.raw, notice.headers.get("sandbox-signature", ""))
        event = parse_event(notice.raw)
        type_ = EVENT_TYPES.get(str(event.get("type")))
        if type_ is None:
            return None
        said = PaymentEvent(
            provider=self.name,
            type=type_,
            purchase_id=_text(event, "purchase_id"),
            payment_id=_text(event, "payment_id"),
            amount=parse_amount(event.get("amount")),
            currency=_text(event, "currency"),
            dispute_id=_optional_text(event, "dispute_id"),
            refund_id=_optional_text(event, "refund_id") if type_ == "refund_failed" else None,
            reason=DECLINED if type_ == "declined" else None,
        )
        return Webhook(_text(event, "account_id"), (said,))

    def check_signature(self, raw: bytes, signature: str) -> None:
        """Raise Problem `bad_signature` unless one of the secrets signed this body within the last 300 seconds."""
        match = _SIGNATURE.fullmatch(signature)
        if match is None or abs(self.now_s() - int(match[1])) > TOLERANCE_S:
            raise Problem("bad_signature")
        if not any(hmac.compare_digest(sign(secret, match[1], raw), match[2]) for secret in self.secrets):
            raise Problem("bad_signature")

    def find_purchase(self, payment_id: str) -> tuple[str, str] | None:
        """Every event of the sandbox names its purchase, so this is never asked."""
        raise UnavailableError(f"the sandbox keeps no payment {payment_id}")

    def poll(self, account_id: str, purchase: Purchase) -> Sequence[PaymentEvent]:  # noqa: ARG002 - the port's form
        """The sandbox keeps nothing, so it has nothing to tell."""
        return ()


def sign(secret: str, time_s: str, raw: bytes) -> str:
    """The HMAC-SHA256 of "t.body" in hexadecimal digits."""
    return hmac.new(secret.encode(), time_s.encode() + b"." + raw, hashlib.sha256).hexdigest()


def parse_event(raw: bytes) -> dict[str, Any]:
    """The object in a webhook's body. Raises Problem `invalid_encoding`, `invalid_json`, `invalid_field`."""
    try:
        event = parse_json(raw.decode())
    except UnicodeDecodeError:
        raise Problem("invalid_encoding", "The body is not UTF-8.") from None
    if not isinstance(event, dict):
        raise Problem("invalid_field", "An event must be an object.")
    return event


def _text(event: Mapping[str, Any], name: str) -> str:
    value = event.get(name)
    if not isinstance(value, str) or not value:
        raise Problem("invalid_field", f"{name}: missing.")
    return value


def _optional_text(event: Mapping[str, Any], name: str) -> str | None:
    return _text(event, name) if name in event else None

"""Stripe's objects read as payment events: what its webhooks and polls say."""

import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from autocredits.domain.errors import Problem
from autocredits.domain.purchases.fulfil import PaymentEvent, PaymentEventType

from .port import DECLINED, Webhook

_NUMBER = re.compile(r"[1-9][0-9]?")

DISPUTE_ENDS: Mapping[str, PaymentEventType] = MappingProxyType(
    {
        "won": "dispute_won",
        "warning_closed": "dispute_won",  # an inquiry that never became a chargeback: no money went back
        "prevented": "dispute_won",  # a refund came before it
        "lost": "dispute_lost",
    }
)
"""How disputes end."""


def parse_event(raw: bytes) -> dict[str, Any]:
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
    return Webhook(account_id, (paid(session, purchase_id),))


def _read_declined(session: dict[str, Any]) -> Webhook:
    account_id, purchase_id = _session_owner(session)
    return Webhook(account_id, (declined(purchase_id, _id(session.get("payment_intent")), _checkout(session)),))


def _read_failed_card(intent: dict[str, Any]) -> Webhook | None:
    """A card that was declined: the session stays open, so that the buyer can try another payment method."""
    owner = owner_of(maybe_map(intent, "metadata"))
    if owner is None:
        return None
    return Webhook(owner[0], (declined(owner[1], _id(intent), _checkout(intent), intent),))


def _read_expired(session: dict[str, Any]) -> Webhook:
    account_id, purchase_id = _session_owner(session)
    return Webhook(account_id, (expired(purchase_id, _checkout(session)),))


def _read_refund(charge: dict[str, Any]) -> Webhook:
    """A charge tells how much of it went back so far, in all."""
    owner = owner_of(maybe_map(charge, "metadata"))
    account_id, purchase_id = owner or (None, "")
    event = PaymentEvent(
        provider="stripe",
        type="refunded",
        purchase_id=purchase_id,
        payment_id=_id(charge.get("payment_intent")),
        amount=_cents(charge, "amount_refunded"),
        currency=_currency(charge),
    )
    return Webhook(account_id, (event,))


def _read_failed_refund(refund: dict[str, Any]) -> Webhook:
    """A refund has no metadata of ours: the payment's record tells whose it is."""
    event = PaymentEvent(
        provider="stripe",
        type="refund_failed",
        purchase_id="",
        payment_id=_id(refund.get("payment_intent")),
        amount=_cents(refund, "amount"),
        currency=_currency(refund),
        refund_id=_id(refund),
    )
    return Webhook(None, (event,))


def _read_dispute(dispute: dict[str, Any]) -> Webhook:
    """A dispute that was opened or has changed; it may have ended by that."""
    return Webhook(None, (disputed(dispute, DISPUTE_ENDS.get(str(dispute.get("status")), "dispute_created")),))


def _read_dispute_end(dispute: dict[str, Any]) -> Webhook:
    """How it ended. An end that is not known here is for a person: the credits stay frozen."""
    type_ = DISPUTE_ENDS.get(str(dispute.get("status")))
    if type_ is None:
        raise Problem("invalid_field", "A dispute has ended in an unknown way.")
    return Webhook(None, (disputed(dispute, type_),))


READERS: Mapping[str, Callable[[dict[str, Any]], Webhook | None]] = MappingProxyType(
    {
        "checkout.session.completed": _read_completed,
        "checkout.session.async_payment_succeeded": _read_paid,
        "checkout.session.async_payment_failed": _read_declined,
        "checkout.session.expired": _read_expired,
        "payment_intent.payment_failed": _read_failed_card,
        "charge.refunded": _read_refund,
        "refund.failed": _read_failed_refund,
        "charge.dispute.created": _read_dispute,
        "charge.dispute.updated": _read_dispute,
        "charge.dispute.closed": _read_dispute_end,
    }
)
"""The types of event that matter, and how each one's object is read."""


def read_event(event: Mapping[str, Any]) -> Webhook | None:
    """What an event says; None if it is of no interest. Raises Problem `invalid_field`."""
    read = READERS.get(str(event.get("type")))
    return read(_map(_map(event, "data"), "object")) if read else None


def paid(session: Mapping[str, Any], purchase_id: str) -> PaymentEvent:
    """A session that was paid."""
    return PaymentEvent(
        provider="stripe",
        type="paid",
        purchase_id=purchase_id,
        payment_id=_id(session.get("payment_intent")),
        checkout=_checkout(session),
        amount=_cents(session, "amount_total"),
        currency=_currency(session),
    )


def declined(
    purchase_id: str, payment_id: str | None, checkout: int | None, intent: Mapping[str, Any] | None = None
) -> PaymentEvent:
    """A payment that failed, with the bank's code where it gave one, else Stripe's."""
    error = maybe_map(intent or {}, "last_payment_error")
    return PaymentEvent(
        provider="stripe",
        type="declined",
        purchase_id=purchase_id,
        payment_id=payment_id,
        checkout=checkout,
        reason=DECLINED,
        support_code=error.get("decline_code") or error.get("code"),
    )


def expired(purchase_id: str, checkout: int | None) -> PaymentEvent:
    """A session that nobody can pay any more. Earlier releases did not number it: it was the first."""
    return PaymentEvent(provider="stripe", type="expired", purchase_id=purchase_id, checkout=checkout or 1)


def disputed(dispute: Mapping[str, Any], type_: PaymentEventType, purchase_id: str = "") -> PaymentEvent:
    """A dispute. It has no metadata of ours: the payment's record tells whose it is."""
    return PaymentEvent(
        provider="stripe",
        type=type_,
        purchase_id=purchase_id,
        payment_id=_id(dispute.get("payment_intent")),
        amount=_cents(dispute, "amount"),
        currency=_currency(dispute),
        dispute_id=_id(dispute),
    )


def _session_owner(session: Mapping[str, Any]) -> tuple[str | None, str]:
    """The account and the purchase that a session names; nobody's unless it names both."""
    metadata = maybe_map(session, "metadata")
    owner = owner_of({**metadata, "purchase_id": session.get("client_reference_id") or metadata.get("purchase_id")})
    return owner or (None, "")


def owner_of(metadata: Mapping[str, Any]) -> tuple[str, str] | None:
    """The account and the purchase that metadata names; None unless it names both."""
    account_id, purchase_id = metadata.get("account_id"), metadata.get("purchase_id")
    if not isinstance(account_id, str) or not isinstance(purchase_id, str) or not account_id or not purchase_id:
        return None
    return account_id, purchase_id


def _checkout(value: Mapping[str, Any]) -> int | None:
    """The number of the checkout that a session or payment was made for, if it carries one."""
    number = str(maybe_map(value, "metadata").get("checkout"))
    return int(number) if _NUMBER.fullmatch(number) else None


def _id(value: Any) -> str | None:
    """The id of what Stripe names by its id, or gives whole."""
    found = value.get("id") if isinstance(value, dict) else value
    return found if isinstance(found, str) and found else None


def _map(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    if not isinstance(found, dict):
        raise Problem("invalid_field", f"{name}: not an object.")
    return found


def maybe_map(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object under a name; empty if there is none."""
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

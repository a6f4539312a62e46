"""PayPal's orders and disputes read as payment events (PayPal, "Orders v2" and "Disputes v1")."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from autocredits.domain.errors import Problem
from autocredits.domain.money import parse_amount
from autocredits.domain.purchases.fulfil import PaymentEvent, PaymentEventType

from .port import DECLINED, Closed

PAID = ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED")
FAILED = ("DECLINED", "FAILED")
PENDING = "PENDING"
"""The statuses of a capture: its money came, it did not, or it is on its way."""

ALL = 99
"""The number of the last capture that an order can have."""

DISPUTE_ENDS: Mapping[str, PaymentEventType] = MappingProxyType(
    {
        "RESOLVED_BUYER_FAVOUR": "dispute_lost",
        "ACCEPTED": "dispute_lost",
        "RESOLVED_SELLER_FAVOUR": "dispute_won",
        "RESOLVED_WITH_PAYOUT": "dispute_won",  # PayPal paid the buyer itself
        "CANCELED_BY_BUYER": "dispute_won",
    }
)
"""How disputes end. Any other end is for a person."""

_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_NUMBER = re.compile(r"[1-9][0-9]?")
_CAPTURE_LINK = re.compile(r".*/v2/payments/captures/([A-Za-z0-9-]{1,64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order of ours. `captures` and `refunds` are PayPal's own objects, of its only purchase unit."""

    reference: str
    status: str
    account_id: str
    purchase_id: str
    checkout: int | None
    captures: Sequence[Mapping[str, Any]]
    refunds: Sequence[Mapping[str, Any]]

    def closed(self) -> Closed:
        """How it stands once it is captured no more."""
        statuses = {capture.get("status") for capture in self.captures}
        if statuses & {*PAID}:
            return "paid"
        return "closed" if statuses <= {*FAILED} else "on_its_way"

    def events(self) -> list[PaymentEvent]:
        """All that it says, in the order in which it happened."""
        found = [event for capture in self.captures for event in self._events_of(capture)]
        if self.status == "APPROVED" and self.closed() == "closed":
            found.append(self._event("approved", reference=self.reference))
        return found

    def _events_of(self, capture: Mapping[str, Any]) -> Iterator[PaymentEvent]:
        payment_id, status = text(capture, "id"), capture.get("status")
        if status == PENDING:
            return
        if status in FAILED:
            over = ALL if self.closed() == "closed" and self.status != "APPROVED" else 0
            told = {"capture": over, "reason": DECLINED, "support_code": _reason(capture)}
            yield self._event("declined", payment_id=payment_id, **told)
            return
        amount, currency = money(capture, "amount")
        paid = {"payment_id": payment_id, "amount": amount, "currency": currency}
        if status not in PAID:
            yield self._event("unclear", **paid, detail=f"capture {status}")
            return
        yield self._event("paid", **paid)
        refunded = 0
        for refund in self._refunds_of(payment_id):
            cents, its_currency = money(refund, "amount")
            told = {
                "payment_id": payment_id,
                "amount": cents,
                "currency": its_currency,
                "refund_id": text(refund, "id"),
            }
            if refund.get("status") == "COMPLETED":
                refunded += cents
                yield self._event("refunded", **told)
            elif refund.get("status") in ("FAILED", "CANCELLED"):
                yield self._event("refund_failed", **told)
        claimed = amount if status == "REFUNDED" else 1 if status == "PARTIALLY_REFUNDED" else 0
        if refunded < claimed:
            yield self._event("unclear", **paid, detail=f"capture {status}", explained_by=claimed)

    def _refunds_of(self, payment_id: str) -> Iterator[Mapping[str, Any]]:
        """A refund may name its capture by a link alone; where there is one capture only, it needs none."""
        for refund in self.refunds:
            named = capture_of(refund)
            if named == payment_id or (named is None and len(self.captures) == 1):
                yield refund

    def _event(self, type_: PaymentEventType, **said: Any) -> PaymentEvent:
        return PaymentEvent(provider="paypal", type=type_, purchase_id=self.purchase_id, checkout=self.checkout, **said)


def read_order(order: Mapping[str, Any]) -> Order | None:
    """An order as PayPal has it; None if it is not ours. Raises Problem `invalid_field`."""
    units = _maps(order, "purchase_units")
    owner = owner_of(units[0].get("custom_id")) if len(units) == 1 else None
    if owner is None:
        return None
    payments = maybe_map(units[0], "payments")
    number = str(units[0].get("reference_id"))
    return Order(
        reference=text(order, "id"),
        status=str(order.get("status")),
        account_id=owner[0],
        purchase_id=owner[1],
        checkout=int(number) if _NUMBER.fullmatch(number) else None,
        captures=_maps(payments, "captures"),
        refunds=_maps(payments, "refunds"),
    )


def read_dispute(dispute: Mapping[str, Any]) -> PaymentEvent | None:
    """A dispute as PayPal has it; None if it names no payment. The payment's record tells whose it is.

    Raises Problem `invalid_field`.
    """
    transactions = _maps(dispute, "disputed_transactions")
    payment_id = maybe_id(transactions[0], "seller_transaction_id") if transactions else None
    if payment_id is None:
        return None
    amount, currency = money(dispute, "dispute_amount")
    outcome = maybe_map(dispute, "dispute_outcome")
    type_: PaymentEventType = "dispute_created"
    if dispute.get("status") == "RESOLVED":
        type_ = DISPUTE_ENDS.get(str(outcome.get("outcome_code")), "dispute_unclear")
    gone = money(outcome, "amount_refunded") if type_ == "dispute_lost" and outcome.get("amount_refunded") else None
    return PaymentEvent(
        provider="paypal",
        type=type_,
        purchase_id="",
        payment_id=payment_id,
        amount=amount,
        currency=currency,
        dispute_id=text(dispute, "dispute_id"),
        lost=gone[0] if gone and gone[1] == currency else 0,
    )


def owner_of(custom_id: object) -> tuple[str, str] | None:
    """The account and the purchase of a `custom_id`; None unless it names both."""
    account_id, _, purchase_id = custom_id.rpartition(".") if isinstance(custom_id, str) else ("", "", "")
    return (account_id, purchase_id) if account_id and purchase_id else None


def capture_of(refund: Mapping[str, Any]) -> str | None:
    """The capture that a refund names by its link `up`; None if it names none."""
    for link in _maps(refund, "links"):
        found = _CAPTURE_LINK.fullmatch(str(link.get("href")))
        if link.get("rel") == "up" and found:
            return found[1]
    return None


def money(value: Mapping[str, Any], name: str) -> tuple[int, str]:
    """The cents and the currency of an amount. Raises Problem `invalid_field`."""
    found = maybe_map(value, name)
    amount = found.get("value")
    if not isinstance(found.get("currency_code"), str) or not isinstance(amount, str):
        raise Problem("invalid_field", f"{name}: no amount.")
    try:
        cents = parse_amount(amount if "." in amount else f"{amount}.00")
    except Problem:
        raise Problem("invalid_field", f"{name}: not an amount in cents.") from None
    if cents < 0:
        raise Problem("invalid_field", f"{name}: less than nothing.")
    return cents, found["currency_code"]


def text(value: Mapping[str, Any], name: str) -> str:
    """The id under a name. Raises Problem `invalid_field`."""
    found = maybe_id(value, name)
    if found is None:
        raise Problem("invalid_field", f"{name}: missing.")
    return found


def maybe_id(value: Mapping[str, Any], name: str) -> str | None:
    """The id under a name, which can be put into a path; None if there is none."""
    found = value.get(name)
    return found if isinstance(found, str) and _ID.fullmatch(found) else None


def maybe_map(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object under a name; empty if there is none."""
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _maps(value: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The objects in the list under a name; empty if there is none. Raises Problem `invalid_field`."""
    found = value.get(name) or []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise Problem("invalid_field", f"{name}: not a list of objects.")
    return found


def _reason(capture: Mapping[str, Any]) -> str:
    """Why a capture failed, in PayPal's words."""
    processor = maybe_map(capture, "processor_response").get("response_code")
    return str(processor or maybe_map(capture, "status_details").get("reason") or capture.get("status"))

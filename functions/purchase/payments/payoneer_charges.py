"""Payoneer's lists, charges and payouts read as payment events, by their pairs of status and reason.

The pairs are those of Payoneer Checkout's public documents and of its plugins for shops. One that is not among them is
for a person.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from autocredits.domain.errors import Problem
from autocredits.domain.purchases.fulfil import PaymentEvent, PaymentEventType

from .port import DECLINED

Meaning = Literal[
    "paid", "pending", "declined", "given_up", "expired", "refunded", "refund_failed", "disputed", "lost", "won"
]

_REASONS: Mapping[Meaning, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "paid": {"charged": ("charged", "debited")},
        "pending": {
            "listed": ("listed",),
            "pending": (
                *("charge_requested", "debit_requested", "confirmation_requested", "preauthorization_requested"),
                *("capture_requested", "cancelation_requested", "refund_requested"),
            ),
            "preauthorized": ("preauthorized",),
        },
        "declined": {
            "declined": ("charge_declined", "debit_declined", "preauthorization_declined", "declined"),
            "rejected": ("rejected", "debit_rejected"),
            "failed": ("charge_failed", "debit_failed", "failed"),
            "aborted": ("aborted", "debit_aborted"),
        },
        "given_up": {"canceled": ("canceled", "charge_canceled", "debit_canceled", "preauthorization_canceled")},
        "expired": {"expired": ("expired", "list_expired", "charge_expired", "preauthorization_expired")},
        "refunded": {
            "paid_out": ("paid_out", "refund_credited"),
            "paid_out_partial": ("paid_out_partial", "refund_credited"),
        },
        "refund_failed": {
            "declined": ("refund_declined",),
            "rejected": ("refund_rejected",),
            "failed": ("refund_failed",),
        },
        "disputed": {"charged_back": ("chargeback_received",)},
        "lost": {"charged_back": ("charged_back", "chargeback")},
        "won": {"charged": ("chargeback_reversed",)},
    }
)

PAIRS: Mapping[tuple[str, str], Meaning] = MappingProxyType(
    {
        (status, reason): meaning
        for meaning, statuses in _REASONS.items()
        for status, reasons in statuses.items()
        for reason in reasons
    }
)
"""What each pair of status and reason means."""

_DISPUTES: Mapping[Meaning, PaymentEventType] = MappingProxyType(
    {"disputed": "dispute_created", "lost": "dispute_lost", "won": "dispute_won"}
)

_ID = re.compile(r"[A-Za-z0-9]{8,64}")
_LINK = re.compile(r"https?://[^/]+/api/(charges|payouts)/([A-Za-z0-9]{8,64})")
_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,9})\.([0-9]{1,2})")


def pair_of(answer: Mapping[str, Any]) -> tuple[str, str]:
    """The pair of status and reason of a list, a charge or a payout."""
    status = _map(answer, "status")
    return str(status.get("code")), str(status.get("reason"))


def meaning_of(answer: Mapping[str, Any]) -> Meaning | None:
    """What its pair means; None for a pair that is not known here."""
    return PAIRS.get(pair_of(answer))


def charge_events(
    charge: Mapping[str, Any], payouts: Sequence[Mapping[str, Any]], purchase_id: str, checkout: int | None
) -> Iterator[PaymentEvent]:
    """What a charge says, with its payouts. It was paid before anything went back of it.

    Raises Problem `invalid_field`, also where it was made for another purchase.
    """
    meaning, (status, reason) = meaning_of(charge), pair_of(charge)
    payment_id = check_purchase(charge, purchase_id)
    about = _About(purchase_id=purchase_id, payment_id=payment_id, checkout=checkout)
    if meaning in ("pending", "given_up", "expired"):
        return
    if meaning == "declined":
        yield about.event("declined", reason=DECLINED, support_code=reason)
        return
    amount, currency = money(charge)
    about = replace(about, amount=amount, currency=currency)
    if meaning in (None, "refund_failed"):
        yield about.event("unclear", detail=f"charge {status}/{reason}")
        return
    yield about.event("paid")
    told = [event for payout in payouts for event in payout_events(payout, purchase_id, payment_id)]
    yield from told
    claimed = 0 if meaning != "refunded" else amount if status == "paid_out" else 1
    if sum(event.amount for event in told if event.type == "refunded") < claimed:
        yield about.event("unclear", detail=f"charge {status}", explained_by=claimed)
    if meaning in _DISPUTES:
        yield about.event(_DISPUTES[meaning], dispute_id=payment_id)


def payout_events(payout: Mapping[str, Any], purchase_id: str, charge_id: str | None = None) -> Iterator[PaymentEvent]:
    """What a payout says, which gives money of a charge back: of the one that it names, or of `charge_id`.

    Raises Problem `invalid_field`.
    """
    meaning, (status, reason) = meaning_of(payout), pair_of(payout)
    refund_id = check_purchase(payout, purchase_id)
    if meaning == "pending":
        return
    charge_id = next((long_id for kind, long_id in links(payout) if kind == "charges"), charge_id)
    if charge_id is None:
        raise Problem("invalid_field", "A payout names no charge.")
    amount, currency = money(payout)
    about = _About(purchase_id=purchase_id, payment_id=charge_id, amount=amount, currency=currency)
    if meaning == "refunded":
        yield about.event("refunded", refund_id=refund_id)
    elif meaning in ("refund_failed", "declined", "given_up"):
        yield about.event("refund_failed", refund_id=refund_id)
    else:
        yield about.event("unclear", detail=f"payout {refund_id} {status}/{reason}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _About:
    """What the events of one payment have in common."""

    purchase_id: str
    payment_id: str
    checkout: int | None = None
    amount: int = 0
    currency: str = "USD"

    def event(self, type_: PaymentEventType, **said: Any) -> PaymentEvent:
        return PaymentEvent(
            provider="payoneer",
            type=type_,
            purchase_id=self.purchase_id,
            payment_id=self.payment_id,
            checkout=self.checkout,
            amount=self.amount,
            currency=self.currency,
            **said,
        )


def links(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The charges and payouts that an answer names by links: their kinds and long ids, each once, in order."""
    found = (_LINK.fullmatch(link) for link in _map(answer, "links").values() if isinstance(link, str))
    yield from dict.fromkeys((link[1], link[2]) for link in found if link)


def check_purchase(answer: Mapping[str, Any], purchase_id: str) -> str:
    """The long id of something that was made for this purchase. Raises Problem `invalid_field` for anything else."""
    identification = _map(answer, "identification")
    if identification.get("transactionId") != purchase_id:
        raise Problem("invalid_field", "The payment was made for another purchase.")
    return long_id(identification.get("longId"))


def long_id(value: object) -> str:
    """A long id, which can be put into a path. Raises Problem `invalid_field`."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise Problem("invalid_field", "longId: missing.")
    return value


def money(answer: Mapping[str, Any]) -> tuple[int, str]:
    """The cents and the currency of a payment: 39.9 is 39.90. Raises Problem `invalid_field`.

    A number with a point comes as the text that it was written as; one without is an int.
    """
    payment = _map(answer, "payment")
    amount, currency = payment.get("amount"), payment.get("currency")
    if isinstance(amount, int) and not isinstance(amount, bool) and amount >= 0:
        amount = f"{amount}.0"
    match = _AMOUNT.fullmatch(amount) if isinstance(amount, str) else None
    if match is None or not isinstance(currency, str):
        raise Problem("invalid_field", "payment: not an amount in cents.")
    return int(match[1]) * 100 + int(match[2].ljust(2, "0")), currency


def _map(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}

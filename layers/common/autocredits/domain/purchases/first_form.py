"""The first form of a purchase, which kept what was heard last instead of facts.

It is read as facts. Its fields are written on as long as releases may run that know no other form.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from autocredits.domain.money import divide_half_up

FIELDS = frozenset(
    {
        *("provider", "checkout", "redirect_url", "provider_reference", "return_url", "status"),
        *("payment_id", "review_reason", "refused", "reviewed_by", "refunded", "lost", "dispute", "dispute_id"),
    }
)
"""The fields that are not in the second form."""

GRANTED = ("credited", "disputed", "refunded", "charged_back")
UNKNOWN = "earlier"
"""The id of a fact that the first form did not name."""

Stored = dict[str, Any]


def facts_of(stored: Mapping[str, Any]) -> Stored:
    """The second form of a purchase in the first one."""
    facts: Stored = {name: value for name, value in stored.items() if name not in FIELDS}
    # What waited for a person became `refunded` without a grant once all of its price had gone back.
    granted = stored["status"] in GRANTED and not stored.get("review_reason")
    waited = not granted and bool(stored.get("review_reason") or stored["status"] == "review" or stored.get("refused"))
    if stored.get("provider"):
        facts["checkouts"] = [_checkout(stored)]
    if granted:
        facts["granted"] = True
    payment_id = stored.get("payment_id") or UNKNOWN
    if stored.get("price") and (granted or waited):
        facts["payments"] = {payment_id: _payment(stored, waited=waited)}
        if granted:
            facts["paid_by"] = payment_id
    if stored["status"] == "declined":
        facts["declines"] = {payment_id: 1}
    if stored["status"] == "expired":
        facts["expired"] = True
    if stored.get("refused"):
        refusal = {"what": "refuse", "actor": UNKNOWN, "reason": stored.get("review_reason")}
        facts["decisions"] = [refusal | {"request_id": stored.get("reviewed_by")}]
    elif stored["status"] == "canceled":
        facts["decisions"] = [{"what": "cancel", "actor": UNKNOWN}]
    elif stored.get("reviewed_by"):
        facts["decisions"] = [{"what": "credit", "actor": UNKNOWN, "request_id": stored["reviewed_by"]}]
    return facts


def _checkout(stored: Mapping[str, Any]) -> Stored:
    """Its only checkout. One that the provider does not know of has no reference."""
    kept = {
        "number": 1,
        "payment_method": stored["payment_method"],
        "provider": stored["provider"],
        "started_at": stored["created_at"],
        "reference": stored.get("provider_reference"),
        "redirect_url": stored.get("redirect_url"),
        "return_url": stored.get("return_url"),
    }
    return {name: value for name, value in kept.items() if value is not None}


def _payment(stored: Mapping[str, Any], *, waited: bool) -> Stored:
    """Its payment. The first form kept no amount; what was granted was paid in full."""
    kept = {
        "amount": stored["price"],
        "refunds": stored.get("refunded"),
        "waits_for": stored.get("review_reason") or ("wrong amount" if waited else None),
        "disputes": dict(_disputes(stored)),
    }
    return {name: value for name, value in kept.items() if value}


def _disputes(stored: Mapping[str, Any]) -> Iterator[tuple[str, Stored]]:
    """Its disputes: the latest by its id, and in one what earlier ones lost. At stake is what was frozen."""
    latest, end, lost = stored.get("dispute_id") or UNKNOWN, stored.get("dispute"), stored.get("lost")
    if end == "open":
        granted = stored["credits"] + stored.get("bonus_credits", 0)
        yield latest, {"amount": divide_half_up(stored.get("frozen", 0) * stored["price"], granted)}
    if end == "won":
        yield latest, {"amount": 0, "ended": "won"}
    if lost:
        yield latest if end == "lost" else f"{UNKNOWN} lost", {"amount": lost, "ended": "lost"}

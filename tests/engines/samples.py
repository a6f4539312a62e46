"""Pages and records to store: with every kind of field, and the writes that store them."""

from dataclasses import replace
from typing import Any

from autocredits.domain.decide import RecordWrite
from autocredits.domain.journal import Entry, Page, next_page
from autocredits.domain.purchases.facts import Checkout, Decision, Dispute, PaymentFacts
from autocredits.domain.purchases.record import Purchase
from autocredits.domain.records import KeyRecord
from autocredits.domain.work.record import Part, Work
from tests.kit.builders import NOW_MS


def pages_of(account_id: str, count: int) -> list[Page]:
    """So many pages with every kind of field, one after the other."""
    pages: list[Page] = []
    for number in range(count):
        entries = [
            Entry(kind="granted", actor="\u00e4 \u20ac \U0001f600", unit="auto_order", posted=number + 1, reason=""),
            Entry(kind="standing", actor="a", changes={"low_balance": None, "status": "active"}),
            Entry(
                kind="held", actor="a", unit="auto_order", held=1, order_id="o1", attempt=1, expires_at=NOW_MS, cost=7
            ),
        ]
        pages.append(next_page(account_id, pages[-1] if pages else None, NOW_MS + number, entries))
    return pages


def key_record(key: str = "k1", version: int = 1) -> RecordWrite:
    """A new key."""
    return RecordWrite(("key", key), KeyRecord(key=key, fingerprint="f", version=version, count=1), None)


def work(order_id: str = "o1", *, rev: int = 1, status: str = "processing", **values: Any) -> Work:
    """An order's record."""
    part = Part(status="open", credits=100, tracking="bce", rate_card="2024-01", expires_at=NOW_MS, entry_id="1.0")
    plain: dict[str, Any] = {
        "kind": "order",
        "work_id": order_id,
        "store_id": "s1",
        "order_type": "auto",
        "tracking": "bce",
        "status": status,
        "parts": {"order": part, "tracking": replace(part, credits=33)},
        "charged": {"tracking:qtrack": "1.0"},
        "known_parts": ("order", "tracking"),
        "seen": ("a" * 32,),
        "versions": (1,),
        "created_at": NOW_MS,
        "updated_at": NOW_MS,
        "status_at": NOW_MS,
        "rev": rev,
    }
    return Work(**(plain | values))


def purchase(purchase_id: str = "p1", *, rev: int = 1, **values: Any) -> Purchase:
    """A purchase with every kind of fact, whose provider is not to be polled, unless `values` say so."""
    disputes = {"d1": Dispute(amount=100), "d2": Dispute(amount=200, ended="lost")}
    plain: dict[str, Any] = {
        "unit": "auto_order",
        "credits": 2000,
        "price": 990,
        "payment_method": "card",
        "checkouts": tuple(
            Checkout(
                number=number, payment_method="card", provider="sandbox", started_at=NOW_MS, reference=f"r{number}"
            )
            for number in (1, 2)
        ),
        "payments": {
            "pay2": PaymentFacts(amount=990, refunds=330, failed={"f2": 30, "f1": 40}, disputes=disputes),
            "pay1": PaymentFacts(amount=50, waits_for="wrong amount"),
        },
        "declines": {"\u00e4 \u20ac": 1},
        "decisions": (Decision(what="dispute_won", actor="a", reason="\u20ac", dispute_id="d1", request_id="r"),),
        "paid_by": "pay2",
        "granted": True,
        "created_at": NOW_MS,
        "updated_at": NOW_MS,
    }
    return Purchase(purchase_id=purchase_id, rev=rev, **(plain | values))


def put(record: Work | Purchase, expected_rev: int | None = None) -> RecordWrite:
    """A write of a record: of a new one, or of one with this rev."""
    return RecordWrite(record.key(), record, expected_rev)

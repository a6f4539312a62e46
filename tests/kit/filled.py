"""One of each stored form with every field set, and no two fields alike."""

from collections.abc import Mapping
from typing import Any

from autocredits.domain.journal import Entry
from autocredits.domain.purchases.coupons import Coupon, CouponUse
from autocredits.domain.purchases.record import Payment, Purchase
from autocredits.domain.records import KeyRecord, Record
from autocredits.domain.work.record import Part, Work

UNKNOWN = {"invented_later": ["by", {"a": "newer release"}]}
"""A stored field that this release does not know."""

PART = Part(
    status="open",
    credits=11,
    managed=12,
    tracking="bce",
    rate_card="card",
    expires_at=13,
    entry_id="1.1",
    unknown=UNKNOWN,
)


def _work(kind: Any) -> Work:
    return Work(
        kind=kind,
        work_id="w",
        store_id="s",
        order_type="fba",
        tracking="bce",
        cost=1,
        status="processing",
        attempt=2,
        parts={
            "tracking": PART,
            "order": Part(status="captured", credits=0, rate_card="c", expires_at=3, entry_id="2"),
        },
        charged={"order": "1.0"},
        known_parts=("order", "tracking"),
        converted=True,
        credits=4,
        reason="reason",
        resent_by="request",
        tracking_number="TBA",
        supplier_order_id="supplier",
        seen=("a", "b"),
        versions=(5, 6),
        created_at=7,
        updated_at=8,
        status_at=9,
        rev=10,
        unknown=UNKNOWN,
    )


RECORDS: Mapping[str, Record] = {
    "key": KeyRecord(
        key="k",
        fingerprint="f",
        version=1,
        hash="page",
        first=2,
        count=3,
        status="queued",
        attempt=4,
        unknown=UNKNOWN,
    ),
    "order": _work("order"),
    "product": _work("product"),
    "purchase": Purchase(
        purchase_id="b",
        package="p",
        unit="auto_order",
        credits=1,
        bonus_credits=2,
        price=3,
        discount=4,
        coupon="c",
        coupon_counted=True,
        payment_method="card",
        provider="stripe",
        checkout=True,
        redirect_url="https://pay",
        provider_reference="ref",
        return_url="https://back",
        status="disputed",
        payment_id="pay",
        review_reason="why",
        refused=True,
        reviewed_by="request",
        refunded=5,
        lost=6,
        clawed_back=7,
        frozen=8,
        dispute="open",
        dispute_id="d",
        poll_at=9,
        versions=(10, 11),
        created_at=12,
        updated_at=13,
        rev=14,
        unknown=UNKNOWN,
    ),
    "payment": Payment(provider="stripe", payment_id="pay", account_id="a", purchase_id="b", unknown=UNKNOWN),
    "coupon": Coupon(
        code="C",
        percent_off=1,
        amount_off=2,
        bonus_credits=3,
        packages=("p", "q"),
        starts_at=4,
        ends_at=5,
        max_uses=6,
        max_uses_per_account=7,
        closed=True,
        uses=8,
        made_by="request",
        rev=9,
        unknown=UNKNOWN,
    ),
    "coupon_use": CouponUse(code="C", uses=1, rev=2, unknown=UNKNOWN),
}
"""By the kind that the record's key names."""

ENTRY = Entry(
    kind="held",
    actor="me",
    unit="auto_order",
    posted=1,
    held=2,
    reason="r",
    reference="ref",
    order_id="o",
    product_id="p",
    store_id="s",
    part="order",
    order_type="auto",
    tracking="bce",
    rate_card="card",
    attempt=3,
    expires_at=4,
    purchase_id="b",
    cost=5,
    tracking_number="TBA",
    supplier_order_id="supplier",
    key="k",
    changes={"status": "paused"},
    unknown=UNKNOWN,
)

"""One of each stored form with every field set, and no two fields alike."""

from collections.abc import Mapping
from typing import Any

from autocredits.domain.journal import Entry
from autocredits.domain.purchases.coupons import Coupon, CouponUse
from autocredits.domain.purchases.facts import Checkout, Decision, Dispute, PaymentFacts
from autocredits.domain.purchases.record import Payment, Purchase
from autocredits.domain.records import KeyRecord, Record
from autocredits.domain.walk import Walk
from autocredits.domain.work.record import Part, Progress, Work

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

CHECKOUT = Checkout(
    number=1,
    payment_method="card",
    provider="stripe",
    started_at=2,
    reference="ref",
    redirect_url="https://pay",
    return_url="https://back",
    request_id="request",
    expired=True,
    captures=22,
    declined_captures=21,
    unknown=UNKNOWN,
)

DISPUTE = Dispute(amount=15, ended="lost", lost=14, unclear=True, unknown=UNKNOWN)

PAYMENT = PaymentFacts(
    amount=16,
    refunds=17,
    refunds_by_id={"named": 19},
    failed={"refund": 18},
    disputes={"d": DISPUTE},
    unclear={"capture odd": 23},
    waits_for="wrong amount",
    unknown=UNKNOWN,
)

DECISION = Decision(
    what="dispute_lost",
    actor="me",
    doubts=("capture odd",),
    reason="why",
    payment_id="pay2",
    dispute_id="d",
    request_id="request",
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
        asked=("none", "bce"),
        converted=True,
        latest=Progress(
            attempt=2,
            first_hold=("order",),
            replaced={"tracking:qtrack": "released"},
            completed=("tracking:tracking_generator",),
            unknown=UNKNOWN,
        ),
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
        checkouts=(CHECKOUT,),
        payments={"pay2": PAYMENT, "pay1": PaymentFacts(amount=20, waits_for="wrong amount")},
        declines={"pay": 1},
        decisions=(DECISION,),
        expired=True,
        paid_by="pay2",
        granted=True,
        clawed_back=5,
        frozen=6,
        poll_at=7,
        poll_failures=8,
        unsettled=True,
        versions=(10, 11),
        created_at=12,
        updated_at=13,
        rev=14,
        unknown={**UNKNOWN, "form": 3},
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
        created_by="maker",
        closed_by="closer",
        made_by="request",
        rev=9,
        unknown=UNKNOWN,
    ),
    "coupon_use": CouponUse(code="C", uses=1, tallied=3, rev=2, unknown={**UNKNOWN, "form": 2}),
    "walk": Walk(position="here", tries=1, ended_at=2, rev=3, unknown=UNKNOWN),
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

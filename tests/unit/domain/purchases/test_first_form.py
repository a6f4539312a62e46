"""The first form of a purchase, as releases before facts wrote it: what it is read as, and what comes of it now."""

from dataclasses import replace
from typing import Any

import pytest

from autocredits.domain.decide import Draft
from autocredits.domain.purchases.calls import PlanPoll
from autocredits.domain.purchases.facts import Checkout, Decision, Dispute, PaymentFacts
from autocredits.domain.purchases.first_form import FIELDS
from autocredits.domain.purchases.record import Purchase, purchase_from_map
from tests.kit.builders import ACCOUNT_ID, CATALOG, NOW_MS, page_of, state_of
from tests.kit.purchases import fulfil, review

TERMS: dict[str, Any] = {
    "purchase_id": "b1",
    "package": "auto_order-100",
    "unit": "auto_order",
    "credits": 10_000,
    "price": 3990,
    "payment_method": "card",
    "created_at": NOW_MS,
    "updated_at": NOW_MS,
    "rev": 2,
}
STARTED = {
    **TERMS,
    "provider": "stripe",
    "checkout": True,
    "provider_reference": "cs_1",
    "redirect_url": "https://pay",
    "return_url": "https://back",
}
PAID = {**STARTED, "payment_id": "pay1", "versions": [2]}

CHECKOUT = Checkout(
    number=1,
    payment_method="card",
    provider="stripe",
    started_at=NOW_MS,
    reference="cs_1",
    redirect_url="https://pay",
    return_url="https://back",
)
READ = Purchase(
    purchase_id="b1",
    package="auto_order-100",
    unit="auto_order",
    credits=10_000,
    price=3990,
    payment_method="card",
    checkouts=(CHECKOUT,),
    created_at=NOW_MS,
    updated_at=NOW_MS,
    rev=2,
)


def paid(**facts: Any) -> Purchase:
    """What a purchase is read as whose payment has paid, with these facts of it."""
    payments = {"pay1": PaymentFacts(amount=3990, **facts)}
    return replace(READ, payments=payments, paid_by="pay1", granted=True, versions=(2,))


def waited(why: str = "wrong amount or currency", **facts: Any) -> Purchase:
    """What a purchase is read as whose payment waits for a person, or did."""
    return replace(READ, payments={"pay1": PaymentFacts(amount=3990, waits_for=why, **facts)}, versions=(2,))


def refusal(reason: str, request_id: str) -> tuple[Decision, ...]:
    """A refusal by a person whom the first form did not name."""
    return (Decision(what="refuse", actor="earlier", reason=reason, request_id=request_id),)


FORMS: dict[str, tuple[dict[str, Any], str, Purchase]] = {
    "pending": ({**STARTED, "status": "pending", "look_at": 5}, "pending", replace(READ, poll_at=5)),
    "pending, its start under way": (
        {**TERMS, "provider": "stripe", "status": "pending"},
        "pending",
        replace(READ, checkouts=(replace(CHECKOUT, reference=None, redirect_url=None, return_url=None),)),
    ),
    "declined": (
        {**PAID, "status": "declined", "coupon": "C"},
        "declined",
        replace(READ, declines={"pay1": 1}, coupon="C", versions=(2,)),
    ),
    "expired": ({**STARTED, "status": "expired"}, "expired", replace(READ, expired=True)),
    "canceled": (
        {**STARTED, "status": "canceled"},
        "canceled",
        replace(READ, decisions=(Decision(what="cancel", actor="earlier"),)),
    ),
    "review": ({**PAID, "status": "review", "review_reason": "wrong amount or currency"}, "review", waited()),
    "review, for a reason that was not kept": (
        {**PAID, "status": "review"}, "review", waited("wrong amount")
    ),
    "review, refunded in part": (
        {**PAID, "status": "review", "review_reason": "wrong amount or currency", "refunded": 1000},
        "review",
        waited(refunds=1000),
    ),
    "canceled, refused in review": (
        {**PAID, "status": "canceled", "refused": True, "review_reason": "not ours", "reviewed_by": "r1"},
        "canceled",
        replace(waited("not ours"), decisions=refusal("not ours", "r1")),
    ),
    "canceled, refused for a reason that was not kept": (
        {**PAID, "status": "canceled", "refused": True},
        "canceled",
        replace(waited("wrong amount"), decisions=(Decision(what="refuse", actor="earlier"),)),
    ),
    "credited": ({**PAID, "status": "credited"}, "credited", paid()),
    "credited by hand": (
        {**PAID, "status": "credited", "reviewed_by": "r1"},
        "credited",
        replace(paid(), decisions=(Decision(what="credit", actor="earlier", request_id="r1"),)),
    ),
    "credited, refunded in part": (
        {**PAID, "status": "credited", "refunded": 1000, "clawed_back": 2506},
        "credited",
        replace(paid(refunds=1000), clawed_back=2506),
    ),
    "credited, a dispute won": (
        {**PAID, "status": "credited", "dispute": "won", "dispute_id": "d1"},
        "credited",
        paid(disputes={"d1": Dispute(amount=0, ended="won")}),
    ),
    "credited for nothing": (
        {**TERMS, "price": 0, "discount": 3990, "coupon": "C", "coupon_counted": True, "status": "credited"},
        "credited",
        replace(READ, checkouts=(), price=0, discount=3990, coupon="C", coupon_counted=True, granted=True),
    ),
    "disputed": (
        {**PAID, "status": "disputed", "dispute": "open", "dispute_id": "d1", "frozen": 2506},
        "disputed",
        replace(paid(disputes={"d1": Dispute(amount=1000)}), frozen=2506),
    ),
    "disputed, without an id": (
        {**PAID, "status": "disputed", "dispute": "open", "frozen": 10_000},
        "disputed",
        replace(paid(disputes={"earlier": Dispute(amount=3990)}), frozen=10_000),
    ),
    "disputed, one lost before": (
        {**PAID, "status": "disputed", "dispute": "open", "dispute_id": "d2", "frozen": 2506, "lost": 500, "clawed_back": 1253},
        "disputed",
        replace(
            paid(disputes={"d2": Dispute(amount=1000), "earlier lost": Dispute(amount=500, ended="lost")}),
            frozen=2506,
            clawed_back=1253,
        ),
    ),
    "disputed, with bonus credits": (
        {**PAID, "status": "disputed", "dispute": "open", "dispute_id": "d1", "bonus_credits": 2000, "frozen": 3000},
        "disputed",
        replace(paid(disputes={"d1": Dispute(amount=998)}), bonus_credits=2000, frozen=3000),
    ),
    "disputed, two hundredths": (
        {**PAID, "status": "disputed", "dispute": "open", "dispute_id": "d1", "credits": 2, "frozen": 2},
        "disputed",
        replace(paid(disputes={"d1": Dispute(amount=3990)}), credits=2, frozen=2),
    ),
    "disputed, two hundredths, all spent": (
        {**PAID, "status": "disputed", "dispute": "open", "dispute_id": "d1", "credits": 2},
        "disputed",
        replace(paid(disputes={"d1": Dispute(amount=0)}), credits=2),
    ),
    "refunded": (
        {**PAID, "status": "refunded", "refunded": 3990, "clawed_back": 10_000},
        "refunded",
        replace(paid(refunds=3990), clawed_back=10_000),
    ),
    "refunded from review": (
        {**PAID, "status": "refunded", "review_reason": "wrong amount or currency", "refunded": 3990},
        "canceled",
        waited(refunds=3990),
    ),
    "charged back": (
        {**PAID, "status": "charged_back", "dispute": "lost", "dispute_id": "d1", "lost": 3990, "clawed_back": 10_000},
        "charged_back",
        replace(paid(disputes={"d1": Dispute(amount=3990, ended="lost")}), clawed_back=10_000),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("stored", "status", "read"), FORMS.values(), ids=FORMS)
def test_each_status_of_the_first_form_is_read_as_facts(stored: dict[str, Any], status: str, read: Purchase) -> None:
    """The facts show the same status as before, unless that was wrong."""
    found = purchase_from_map(stored)
    assert found == read
    assert (found.status(), found.to_map()["form"]) == (status, 2)


def draft_of(stored: dict[str, Any], *, posted: int = 20_000) -> Draft:
    """The draft of an account that has the stored purchase."""
    records = {("purchase", "b1"): purchase_from_map(stored)}
    return Draft(ACCOUNT_ID, page_of(state_of(posted, held=stored.get("frozen", 0))), dict(records), CATALOG, NOW_MS)


@pytest.mark.parametrize("stored", [stored for stored, _, _ in FORMS.values()], ids=FORMS)
def test_a_purchase_of_the_first_form_is_written_in_the_second(stored: dict[str, Any]) -> None:
    """What older code decides by is written on as it was, and reading it again gives the same facts."""
    draft = draft_of(stored)
    PlanPoll(purchase_id="b1").decide(draft)
    written = draft.changed["purchase", "b1"].to_map()
    assert written["form"] == 2
    again = purchase_from_map(written)
    assert replace(again, unknown={}) == draft.changed["purchase", "b1"]
    same = FIELDS - {"reviewed_by", "status", "review_reason", "dispute", "dispute_id"}
    if not again.payments:
        same -= {"payment_id"}  # of a decline, which never paid
    assert {name: written.get(name) for name in same} == {name: stored.get(name) for name in same}
    for name in ("clawed_back", "frozen", "coupon_counted", "versions"):
        assert written.get(name) == stored.get(name)
    assert written["status"] == again.status()


@pytest.mark.parametrize(
    ("form", "news", "entries"),
    [
        ("refunded from review", fulfil("refunded", 5000), []),
        ("refunded from review", fulfil("dispute_lost", 3990, dispute_id="d1"), []),
        ("review, refunded in part", fulfil("refunded", 3990), []),
        ("review, refunded in part", review("credit"), [("purchased", 10_000, 0), ("clawed_back", -2506, 0)]),
        ("credited, refunded in part", fulfil("refunded", 1000), []),
        ("credited, refunded in part", fulfil("refunded", 2000), [("clawed_back", -2507, 0)]),
        ("credited, refunded in part", fulfil("refund_failed", 1000), [("purchased", 2506, 0)]),
        ("disputed", fulfil("dispute_created", 1000, dispute_id="d1"), []),
        ("disputed", fulfil("dispute_won", 1000, dispute_id="d1"), [("released", 0, -2506)]),
        (
            "disputed",
            fulfil("dispute_lost", 1000, dispute_id="d1"),
            [("released", 0, -2506), ("clawed_back", -2506, 0)],
        ),
        ("disputed", review("dispute_won"), [("released", 0, -2506)]),
        ("disputed, without an id", review("dispute_won"), [("released", 0, -10_000)]),
        ("disputed, without an id", fulfil("dispute_created", 3990, dispute_id="d1"), []),
        ("disputed, without an id", fulfil("dispute_won", 3990, dispute_id="d1"), [("released", 0, -10_000)]),
        (
            "disputed, without an id",
            fulfil("dispute_lost", 1000, dispute_id="d1"),
            [("released", 0, -10_000), ("clawed_back", -10_000, 0)],
        ),
        ("credited, a dispute won", fulfil("dispute_won", 3990, dispute_id="d1"), []),
        ("charged back", fulfil("dispute_lost", 3990, dispute_id="d1"), []),
        ("declined", fulfil("paid"), [("purchased", 10_000, 0)]),
        ("expired", fulfil("paid"), [("purchased", 10_000, 0)]),
        ("canceled", fulfil("paid"), [("purchased", 10_000, 0)]),
        ("canceled, refused in review", fulfil("paid", payment_id="pay2"), []),
    ],
)
def test_news_of_a_purchase_of_the_first_form(form: str, news: Any, entries: list[Any]) -> None:
    """Only the difference to what an earlier release entered is entered."""
    draft = draft_of(FORMS[form][0])
    news.decide(draft)
    assert [(one.kind, one.posted, one.held) for one in draft.entries] == entries


def test_a_dispute_without_an_id_has_that_of_the_one_that_is_told_next() -> None:
    """Once it has ended, by hand too, the next one is another."""
    for by_hand, ids in ((False, ["d1"]), (True, ["d1", "earlier"])):
        draft = draft_of(FORMS["disputed, without an id"][0])
        if by_hand:
            review("dispute_won").decide(draft)
        fulfil("dispute_created", 500, dispute_id="d1").decide(draft)
        purchase = draft.records["purchase", "b1"]
        assert isinstance(purchase, Purchase)
        amounts = {name: dispute.amount for name, dispute, _ in purchase.disputes()}
        assert amounts["d1"] == (500 if by_hand else 3990)
        assert list(amounts) == ids


def test_credits_that_an_earlier_release_took_wrongly_come_back() -> None:
    """A refund of more than the price took 100 credits of a purchase in review, which had never granted any."""
    stored = FORMS["refunded from review"][0] | {"refunded": 5000, "clawed_back": 10_000}
    draft = draft_of(stored, posted=-9500)
    fulfil("refunded", 5001).decide(draft)
    assert [(one.kind, one.posted, one.held) for one in draft.entries] == [("purchased", 10_000, 0)]
    assert draft.state.balance("auto_order").posted == 500

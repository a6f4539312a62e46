"""Buying over HTTP, where the sandbox stands in for every provider."""

import json
import os
from typing import Any

import boto3
import pytest

from functions.purchase.checkout import purchase_id_of
from tests.functional.calls import ACME, get, post, told
from tests.functional.conftest import SIGNING_SECRET
from tests.kit.service import Answer, Service, http_event
from tests.kit.story import signed

WEBHOOK = "/v1/payments/sandbox/webhook"
PACKAGE = {"package": "auto_order-100", "payment_method": "card"}
ID = purchase_id_of("acme", "k1")


@pytest.fixture
def acme(service: Service) -> Service:
    """The service with acme and its 5.00 credits."""
    service.open()
    return service


def buy(service: Service, key: str = "k1", **fields: Any) -> Answer:
    """Buy 100 credits for 39.90, unless `fields` say otherwise."""
    return post(service, "/purchases", {**PACKAGE, **fields}, key, account="acme")


def load(service: Service, amount: str, method: str = "card", key: str = "k1") -> Answer:
    """Load the managed balance."""
    return post(service, "/purchases", {"unit": "managed", "amount": amount, "payment_method": method}, key)


def hear(service: Service, kind: str, amount: str, **fields: str) -> int:
    """Let the sandbox say something of the purchase; the status of the answer."""
    event = {"id": "evt", "type": kind, "account_id": "acme", "purchase_id": ID, "payment_id": "pay", **fields}
    body = json.dumps({"currency": "USD", **event, "amount": amount})
    return service.answer(
        signed(http_event("POST", WEBHOOK, headers={"sandbox-signature": ""}, body=body), SIGNING_SECRET)
    ).status


def review(service: Service, decision: str, **fields: Any) -> Answer:
    """Settle the purchase by hand."""
    return post(service, f"/purchases/{ID}/review", {"decision": decision, "reason": "looked at", **fields})


def shown(service: Service, *names: str) -> list[Any]:
    """Some fields of the purchase as it stands."""
    body = get(service, f"/purchases/{ID}").body
    return [body.get(name) for name in names]


def items() -> list[Any]:
    """All items of the table."""
    found: list[Any] = boto3.client("dynamodb").scan(TableName=os.environ["TABLE_NAME"])["Items"]
    return sorted(found, key=lambda item: (item["pk"]["S"], item["sk"]["S"]))


# ---------------------------------------------------------------- start


@pytest.mark.usefixtures("clock")
def test_a_purchase_starts_pending(service: Service) -> None:
    """Its price is frozen, and the buyer is told where to pay; the same key shows it as it stands."""
    service.open()
    answer = buy(service)
    assert answer.status == 201
    assert answer.body == {
        "purchase_id": ID,
        "status": "pending",
        "package": "auto_order-100",
        "unit": "auto_order",
        "credits": "100.00",
        "price": "39.90",
        "discount": "0.00",
        "bonus_credits": "0.00",
        "refunded": "0.00",
        "disputes": [],
        "payment_method": "card",
        "payment": {"provider": "sandbox", "redirect_url": f"http://127.0.0.1:4568/pay/acme/{ID}"},
        "created_at": "2026-11-24T12:00:00.000Z",
        "updated_at": "2026-11-24T12:00:00.000Z",
    }
    assert hear(service, "payment.succeeded", "39.90") == 200
    again = buy(service)
    assert (again.status, again.headers["Idempotent-Replayed"], again.body["status"]) == (201, "true", "credited")
    assert (again.body["paid"], service.balance()["posted"]) == ("39.90", "105.00")


@pytest.mark.parametrize(
    ("method", "wrong", "right"),
    [
        ("card", "0.49", "0.50"),
        ("card", "1000000.00", "999999.99"),
        ("paypal", "1000000.00", "0.01"),
        ("payoneer", "1000000.00", "0.01"),
    ],
)
def test_what_a_method_cannot_take_leaves_nothing(acme: Service, method: str, wrong: str, right: str) -> None:
    """Too little or too much is refused before anything is written, so that the key works with what can be taken."""
    before = items()
    assert told(load(acme, wrong, method)) == (422, "invalid_amount")
    assert items() == before
    answer = load(acme, right, method)
    assert (answer.status, answer.body["price"]) == (201, right)


@pytest.mark.parametrize(
    "fields",
    [
        {"package": "auto_order-7"},
        {"coupon": "NONE"},
        {"payment_method": "cash"},
        {"return_url": "https://evil.example"},
        {"payer": {"country": "US", "email": "nobody"}},
        {"surprise": 1},
    ],
)
def test_a_refused_start_leaves_nothing(acme: Service, fields: dict[str, Any]) -> None:
    """Whatever is wrong with a start, no purchase, key or coupon's use is left behind."""
    before = items()
    assert buy(acme, **fields).status == 422
    assert items() == before
    assert buy(acme).status == 201


def test_nothing_to_pay_is_credited_at_once(acme: Service) -> None:
    """A total of 0.00 needs no payment, whatever the least amount, and cannot be paid another way or canceled."""
    assert acme.call("POST", "/v1/coupons", {"code": "ALL", "percent_off": "100.00", "max_uses": 1}).status == 201
    answer = buy(acme, coupon="ALL")
    assert (answer.status, answer.body["status"], answer.body["payment"]) == (201, "credited", None)
    assert acme.balance()["posted"] == "105.00"
    assert post(acme, f"/purchases/{ID}/checkout", {"payment_method": "paypal"}).body["status"] == "credited"
    assert told(post(acme, f"/purchases/{ID}/cancel")) == (409, "invalid_transition")


# ---------------------------------------------------------------- another way, and never


def test_the_same_purchase_is_paid_another_way(acme: Service) -> None:
    """After a decline it goes on under its id and price; the money counts, and whoever canceled it is not named."""
    buy(acme)
    assert hear(acme, "payment.declined", "39.90") == 200
    body = {"payment_method": "paypal", "return_url": "http://127.0.0.1:9/done"}
    answer = post(acme, f"/purchases/{ID}/checkout", body, account="acme")
    assert (answer.status, answer.body["status"], answer.body["payment_method"]) == (200, "pending", "paypal")
    assert answer.body["payment"]["redirect_url"].endswith("?return_url=http%3A%2F%2F127.0.0.1%3A9%2Fdone")
    assert hear(acme, "payment.succeeded", "39.90", payment_id="other") == 200
    assert shown(acme, "status", "paid", "canceled_by") == ["credited", "39.90", None]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_field"),
        ({"payment_method": "cash"}, "invalid_field"),
        ({"payment_method": "card", "coupon": "C"}, "unknown_field"),
        ({"payment_method": "card", "return_url": "http://shop.example"}, "invalid_field"),
        ({"payment_method": "card", "payer": {"country": "US"}}, "invalid_field"),
    ],
)
def test_a_checkout_has_a_form(acme: Service, body: dict[str, Any], code: str) -> None:
    """What is no way to pay is refused, and the purchase stays as it is."""
    buy(acme)
    before = items()
    assert told(post(acme, f"/purchases/{ID}/checkout", body)) == (422, code)
    assert items() == before


def test_a_purchase_is_canceled(acme: Service) -> None:
    """It shows who did it; what is paid all the same is credited, and then it cannot be canceled any more."""
    buy(acme)
    for _ in range(2):
        answer = post(acme, f"/purchases/{ID}/cancel", account="acme")
        assert (answer.status, answer.body["status"], answer.body["canceled_by"]) == (200, "canceled", "test")
    assert told(post(acme, f"/purchases/{ID}/checkout", PACKAGE | {"package": None})) == (422, "unknown_field")
    assert told(post(acme, f"/purchases/{ID}/checkout", {"payment_method": "card"})) == (409, "invalid_transition")
    assert hear(acme, "payment.succeeded", "39.90") == 200
    assert shown(acme, "status") == ["credited"]
    assert told(post(acme, f"/purchases/{ID}/cancel")) == (409, "invalid_transition")


@pytest.mark.parametrize("path", ["checkout", "cancel", "review"])
def test_an_unknown_purchase(acme: Service, path: str) -> None:
    """What there is not cannot be changed."""
    body: dict[str, Any] = {"checkout": {"payment_method": "card"}, "review": {"decision": "refuse", "reason": "x"}}
    assert told(post(acme, f"/purchases/pur_none/{path}", body.get(path))) == (404, "purchase_not_found")


# ---------------------------------------------------------------- reviews


@pytest.fixture
def in_review(acme: Service) -> Service:
    """Of 39.90, 40.00 were paid."""
    buy(acme)
    assert hear(acme, "payment.succeeded", "40.00") == 202
    assert shown(acme, "status", "paid", "review_reason", "reviewed_by") == ["review", "40.00", "wrong amount", None]
    return acme


def test_a_review_credits(in_review: Service) -> None:
    """The platform credits what was paid; who did and why is shown, and the entry names its maker."""
    answer = review(in_review, "credit")
    told_ = {name: answer.body[name] for name in ("status", "paid", "review_reason", "reviewed_by")}
    assert (answer.status, told_) == (
        200,
        {"status": "credited", "paid": "40.00", "review_reason": "looked at", "reviewed_by": "test"},
    )
    entry = get(in_review, "/entries").body["items"][0]
    assert (entry["kind"], entry["posted"], entry["actor"]) == ("purchased", "100.00", "test")
    for decision in ("credit", "refuse", "dispute_won", "dispute_lost"):
        assert told(review(in_review, decision)) == (409, "invalid_transition")


def test_a_review_credits_what_has_not_gone_back(in_review: Service) -> None:
    """What was refunded and lost meanwhile is taken at once, by its share of what was paid."""
    assert hear(in_review, "payment.refunded", "10.00") == 200
    assert hear(in_review, "dispute.lost", "10.00") == 200
    assert review(in_review, "credit").body["status"] == "charged_back"
    assert in_review.balance() == {"posted": "55.00", "held": "0.00", "available": "55.00"}


def test_a_review_refuses(in_review: Service) -> None:
    """A refused payment is over for good: another one for it is put aside."""
    assert review(in_review, "refuse").body["status"] == "canceled"
    assert shown(in_review, "reviewed_by", "review_reason", "canceled_by") == ["test", "looked at", None]
    assert hear(in_review, "payment.succeeded", "39.90", payment_id="other") == 202
    assert told(review(in_review, "credit")) == (409, "invalid_transition")
    assert in_review.balance()["posted"] == "5.00"


def test_a_right_payment_needs_no_review(in_review: Service) -> None:
    """Beside a payment that waits, one with the right amount is credited; the other stays for a person."""
    assert hear(in_review, "payment.succeeded", "39.90", payment_id="right") == 200
    assert (shown(in_review, "status"), in_review.balance()["posted"]) == (["review"], "105.00")
    assert told(review(in_review, "credit")) == (409, "invalid_transition")
    assert review(in_review, "refuse").body["status"] == "credited"
    assert in_review.balance()["posted"] == "105.00"


@pytest.fixture
def disputed(acme: Service) -> Service:
    """A purchase with two open disputes of 10.00."""
    buy(acme)
    assert hear(acme, "payment.succeeded", "39.90") == 200
    for dispute_id in ("d1", "d2"):
        assert hear(acme, "dispute.created", "10.00", dispute_id=dispute_id) == 200
    assert acme.balance() == {"posted": "105.00", "held": "50.13", "available": "54.87"}
    return acme


def test_disputes_are_ended_by_hand(disputed: Service) -> None:
    """Each by its id while several are open; the last one needs none."""
    assert told(review(disputed, "dispute_lost")) == (422, "invalid_field")
    assert told(review(disputed, "dispute_lost", dispute_id="d3")) == (409, "invalid_transition")
    assert review(disputed, "dispute_lost", dispute_id="d2").body["status"] == "disputed"
    assert told(review(disputed, "dispute_won", dispute_id="d2")) == (409, "invalid_transition")
    assert shown(disputed, "disputes") == [
        [
            {"dispute_id": "d1", "amount": "10.00", "status": "open"},
            {"dispute_id": "d2", "amount": "10.00", "status": "lost"},
        ]
    ]
    assert review(disputed, "dispute_won").body["status"] == "charged_back"
    assert disputed.balance() == {"posted": "79.94", "held": "0.00", "available": "79.94"}


@pytest.mark.parametrize(
    ("by_hand", "by_provider", "posted"),
    [("dispute_lost", "dispute.won", "105.00"), ("dispute_won", "dispute.lost", "79.94")],
)
def test_the_provider_knows_better(disputed: Service, by_hand: str, by_provider: str, posted: str) -> None:
    """How a provider says that a dispute has ended beats what a person said before."""
    assert review(disputed, by_hand, dispute_id="d1").status == 200
    assert hear(disputed, by_provider, "10.00", dispute_id="d1") == 200
    assert review(disputed, "dispute_won", dispute_id="d2").status == 200
    assert disputed.balance() == {"posted": posted, "held": "0.00", "available": posted}


@pytest.mark.parametrize("decision", ["credit", "refuse"])
def test_only_disputes_have_an_id(disputed: Service, decision: str) -> None:
    """A decision on a payment takes no dispute, and a dispute is nothing to credit or refuse."""
    assert told(review(disputed, decision, dispute_id="d1")) == (422, "invalid_field")
    assert told(review(disputed, decision)) == (409, "invalid_transition")


def test_a_review_is_the_platform_s(in_review: Service) -> None:
    """The merchant cannot credit itself: for its token the route is not there."""
    for account, store in (("acme", None), ("acme", "shop-1"), ("*", "shop-1")):
        body = {"decision": "credit", "reason": "mine"}
        answer = post(in_review, f"/purchases/{ID}/review", body, account=account, store=store)
        assert told(answer) == (404, "not_found")
    assert shown(in_review, "status") == ["review"]


def test_a_failed_refund_gives_back(acme: Service) -> None:
    """What a refund took comes back when it has failed, once, and the entry says why."""
    buy(acme)
    hear(acme, "payment.succeeded", "39.90")
    assert hear(acme, "payment.refunded", "39.90") == 200
    assert (shown(acme, "status", "refunded"), acme.balance()["posted"]) == (["refunded", "39.90"], "5.00")
    for _ in range(2):
        assert hear(acme, "refund.failed", "39.90", refund_id="re_1") == 200
    assert (shown(acme, "status", "refunded"), acme.balance()["posted"]) == (["credited", "0.00"], "105.00")
    assert get(acme, "/entries").body["items"][0]["reason"] == "A refund failed: its credits are given back."
    assert acme.call("GET", f"{ACME}/purchases").body["items"][0]["status"] == "credited"

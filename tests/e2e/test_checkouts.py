"""The story of a purchase on the deployed stack: paid another way, cancelled, refunded, disputed, settled by hand."""

import json
import time
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.buyer import Buyer, fresh_code
from tests.e2e.merchant import fresh, refusal
from tests.kit.stack import PLATFORM, Stack, sign


def shown(buyer: Buyer, purchase: dict[str, Any]) -> tuple[str, str]:
    """The purchase's status, and what its account owns."""
    return buyer.purchase(purchase["purchase_id"])["status"], buyer.posted()


def act(buyer: Buyer, purchase: dict[str, Any], what: str, **body: str) -> Any:
    """Call `checkout` or `cancel` of a purchase as the merchant, or `review` as the platform."""
    caller = PLATFORM if what == "review" else buyer.account_id
    return buyer.call("POST", f"/purchases/{purchase['purchase_id']}/{what}", json=body, account=caller)


def paid(buyer: Buyer, **body: str) -> dict[str, Any]:
    """A purchase of 100 credits that was paid."""
    purchase = buyer.start(**body)
    assert buyer.deliver(buyer.event(purchase)) == 200
    return purchase


def told(buyer: Buyer, purchase: dict[str, Any], *news: tuple[str, dict[str, str]]) -> list[int]:
    """The answers to some news of a purchase, in this order."""
    return [buyer.deliver(buyer.event(purchase, kind, **changes)) for kind, changes in news]


def told_by_stripe(buyer: Buyer, kind: str, about: dict[str, Any], *, livemode: bool = False) -> int:
    """The answer to an event of Stripe about one of its objects, signed with the stack's secret."""
    event = {"id": f"evt_{uuid4().hex}", "object": "event", "type": kind, "livemode": livemode}
    raw, now = json.dumps(event | {"data": {"object": about}}).encode(), str(int(time.time()))
    signature = sign(buyer.stack.info["webhook_secrets"]["stripe"], now, raw)
    headers = {"Stripe-Signature": f"t={now},v1={signature}"}
    return buyer.stack.call_as_is("POST", "/v1/payments/stripe/webhook", data=raw, headers=headers).status_code


def paid_session(buyer: Buyer, purchase: dict[str, Any], checkout: int = 1) -> dict[str, Any]:
    """A session of Stripe's that was paid for a checkout of the purchase."""
    owner = {"account_id": buyer.account_id, "purchase_id": purchase["purchase_id"]}
    return {
        "id": f"cs_test_{uuid4().hex}",
        "object": "checkout.session",
        "client_reference_id": purchase["purchase_id"],
        "metadata": owner | {"checkout": str(checkout)},
        "payment_intent": f"pi_{uuid4().hex}",
        "payment_status": "paid",
        "amount_total": 3990,
        "currency": "usd",
    }


# ---------------------------------------------------------------- another way to pay, or none


def test_a_declined_purchase_is_paid_another_way(buyer: Buyer, stack: Stack) -> None:
    """It is the same purchase, at its frozen price and with its coupon; asked for again, it is the same payment."""
    code = fresh_code()
    stack.call("POST", "/v1/coupons", json={"code": code, "amount_off": "5.00", "max_uses_per_account": 1})
    purchase = buyer.start(coupon=code)
    assert told(buyer, purchase, ("payment.declined", {})) == [200]
    assert shown(buyer, purchase) == ("declined", "5.00")
    changed = act(buyer, purchase, "checkout", payment_method="paypal")
    assert changed.status_code == 200, changed.text
    assert (changed.json()["status"], changed.json()["price"]) == ("pending", "34.90")
    assert changed.json()["payment_method"] == "paypal"
    again = act(buyer, purchase, "checkout", payment_method="paypal").json()
    assert again["payment"] == changed.json()["payment"]
    assert told(buyer, purchase, ("payment.succeeded", {})) == [200]
    assert shown(buyer, purchase) == ("credited", "105.00")
    assert stack.call("GET", f"/v1/coupons/{code}").json()["uses"] == 1


@pytest.mark.parametrize("first", ["the older checkout", "the newer checkout"])
def test_the_checkout_that_is_paid_first_pays(buyer: Buyer, first: str) -> None:
    """What is then paid through the other one is put aside."""
    purchase = buyer.start()
    assert act(buyer, purchase, "checkout", payment_method="paypal").status_code == 200
    session = paid_session(buyer, purchase)

    def older() -> int:
        return told_by_stripe(buyer, "checkout.session.completed", session)

    def newer() -> int:
        return buyer.deliver(buyer.event(purchase))

    payments = (older, newer) if first == "the older checkout" else (newer, older)
    assert [pay() for pay in payments] == [200, 202]
    assert shown(buyer, purchase) == ("credited", "105.00")


def test_what_befalls_a_second_payment_is_put_aside(buyer: Buyer) -> None:
    """Its refund and its dispute never touch the first."""
    purchase = paid(buyer)
    second = {"payment_id": f"pay_{uuid4().hex}"}
    kinds = ("payment.succeeded", "payment.refunded", "dispute.created", "dispute.lost")
    assert told(buyer, purchase, *((kind, second) for kind in kinds)) == [202] * 4
    assert shown(buyer, purchase) == ("credited", "105.00")


def test_a_purchase_has_twenty_checkouts(buyer: Buyer) -> None:
    """Asking again for the method that is open begins none."""
    purchase = buyer.start()
    for number in range(2, 21):
        method = ("card", "paypal")[number % 2 == 0]
        for _ in range(2 if number == 20 else 1):
            assert act(buyer, purchase, "checkout", payment_method=method).status_code == 200
    answer = act(buyer, purchase, "checkout", payment_method="card")
    assert refusal(answer) == (409, "too_many_attempts")


def test_a_canceled_purchase_gives_its_coupon_back(buyer: Buyer, stack: Stack) -> None:
    """A payment that comes all the same is credited, and its use counted beyond the limit."""
    code = fresh_code()
    stack.call("POST", "/v1/coupons", json={"code": code, "percent_off": "10.00", "max_uses": 1})
    purchase = buyer.start(coupon=code)
    assert act(buyer, purchase, "cancel").status_code == 200
    assert stack.call("GET", f"/v1/coupons/{code}").json()["uses"] == 0
    other = buyer.start(coupon=code)
    assert told(buyer, purchase, ("payment.succeeded", {})) == [200]
    assert shown(buyer, purchase) == ("credited", "105.00")
    assert (stack.call("GET", f"/v1/coupons/{code}").json()["uses"], other["price"]) == (2, "35.91")


def test_what_is_paid_cannot_be_canceled_nor_paid_again(buyer: Buyer) -> None:
    """Asked to pay another way, it shows that it is credited."""
    purchase = paid(buyer)
    assert refusal(act(buyer, purchase, "cancel")) == (409, "invalid_transition")
    answer = act(buyer, purchase, "checkout", payment_method="paypal")
    assert (answer.status_code, answer.json()["status"]) == (200, "credited")


def test_a_canceled_purchase_stays_so(buyer: Buyer) -> None:
    """Cancelled again it is the same, by the one who did it first; it cannot be paid another way."""
    purchase = buyer.start()
    answers = [act(buyer, purchase, "cancel") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    first, again = (answer.json() for answer in answers)
    assert first == again
    assert (first["status"], first["canceled_by"]) == ("canceled", buyer.account_id)
    answer = act(buyer, purchase, "checkout", payment_method="paypal")
    assert refusal(answer) == (409, "invalid_transition")


def test_a_coupon_once_per_account_is_used_once(buyer: Buyer, stack: Stack) -> None:
    """A declined purchase keeps its use, for it may still be paid: no other is started with the coupon."""
    code = fresh_code()
    stack.call("POST", "/v1/coupons", json={"code": code, "percent_off": "10.00", "max_uses_per_account": 1})
    purchase = buyer.start(coupon=code)
    body = {"package": "auto_order-100", "payment_method": "card", "coupon": code}
    for _ in range(5):
        assert told(buyer, purchase, ("payment.declined", {"payment_id": fresh("pay")})) == [200]
        answer = buyer.call("POST", "/purchases", key=fresh("key"), json=body)
        assert (refusal(answer), answer.json()["reason"]) == ((422, "coupon_invalid"), "used_up_by_account")
    assert told(buyer, purchase, ("payment.succeeded", {})) == [200]
    assert shown(buyer, purchase) == ("credited", "105.00")
    assert stack.call("GET", f"/v1/coupons/{code}").json()["uses"] == 1


def test_an_amount_that_no_card_takes_leaves_nothing(buyer: Buyer) -> None:
    """Refused before anything is recorded, so that its key is free for a better one."""
    load = {"unit": "managed", "payment_method": "card"}
    answer = buyer.call("POST", "/purchases", key="load", json=load | {"amount": "0.49"})
    assert refusal(answer) == (422, "invalid_amount")
    assert buyer.call("GET", "/purchases").json()["items"] == []
    assert buyer.call("POST", "/purchases", key="load", json=load | {"amount": "0.50"}).status_code == 201


# ---------------------------------------------------------------- refunds and disputes


def test_a_refund_that_failed_gives_its_credits_back(buyer: Buyer) -> None:
    """Once, however often it is told."""
    purchase = paid(buyer)
    assert told(buyer, purchase, ("payment.refunded", {})) == [200]
    assert shown(buyer, purchase) == ("refunded", "5.00")
    failed = ("refund.failed", {"refund_id": "re_1"})
    assert told(buyer, purchase, failed, failed) == [200, 200]
    assert shown(buyer, purchase) == ("credited", "105.00")


def test_two_disputes_take_their_shares_once(buyer: Buyer) -> None:
    """10.00 each of 39.90; the first one's end told again takes nothing."""
    purchase = paid(buyer)
    lost = [("dispute.lost", {"dispute_id": one, "amount": "10.00"}) for one in ("d1", "d2", "d1")]
    opened = [("dispute.created", changes) for _, changes in lost[:2]]
    assert told(buyer, purchase, *opened, *lost) == [200] * 5
    assert shown(buyer, purchase) == ("charged_back", "54.87")


def test_a_won_dispute_gives_nothing_back_of_a_lost_one(buyer: Buyer) -> None:
    """Lost in full, then another opened and won: it stays charged back."""
    purchase = paid(buyer)
    news = [("dispute.created", "d1"), ("dispute.lost", "d1"), ("dispute.created", "d2"), ("dispute.won", "d2")]
    assert told(buyer, purchase, *((kind, {"dispute_id": one}) for kind, one in news)) == [200] * 4
    assert shown(buyer, purchase) == ("charged_back", "5.00")


def test_a_dispute_in_another_currency_moves_nothing(buyer: Buyer) -> None:
    """Put aside, opened or lost."""
    purchase = paid(buyer)
    news = [("dispute.created", {"amount": "15.96", "currency": "EUR"}), ("dispute.lost", {"currency": "JPY"})]
    assert told(buyer, purchase, *news) == [202, 202]
    assert shown(buyer, purchase) == ("credited", "105.00")
    assert buyer.call("GET", "/balance").json()["balances"]["auto_order"]["held"] == "0.00"


@pytest.mark.parametrize(
    ("decision", "ended"), [("dispute_won", ("credited", "105.00")), ("dispute_lost", ("charged_back", "65.00"))]
)
def test_a_dispute_is_settled_by_hand(buyer: Buyer, decision: str, ended: tuple[str, str]) -> None:
    """It has to be named only while several are open."""
    purchase = paid(buyer)
    told(buyer, purchase, *(("dispute.created", {"dispute_id": one, "amount": "15.96"}) for one in ("d1", "d2")))
    unnamed = act(buyer, purchase, "review", decision=decision, reason="the bank's letter")
    assert refusal(unnamed) == (422, "invalid_field")
    assert told(buyer, purchase, ("dispute.won", {"dispute_id": "d2", "amount": "15.96"})) == [200]
    answer = act(buyer, purchase, "review", decision=decision, reason="the bank's letter")
    assert answer.status_code == 200, answer.text
    assert shown(buyer, purchase) == ended
    again = act(buyer, purchase, "review", decision=decision, reason="the bank's letter")
    assert refusal(again) == (409, "invalid_transition")


# ---------------------------------------------------------------- review


def test_a_review_credits_what_was_not_refunded(buyer: Buyer) -> None:
    """Half of a wrong amount was refunded meanwhile: half of the credits are left."""
    purchase = buyer.start()
    assert told(buyer, purchase, ("payment.succeeded", {"amount": "40.00"})) == [202]
    assert told(buyer, purchase, ("payment.refunded", {"amount": "20.00"})) == [200]
    assert shown(buyer, purchase) == ("review", "5.00")
    answer = act(buyer, purchase, "review", decision="credit", reason="ten cents too much")
    assert answer.status_code == 200, answer.text
    assert answer.json()["reviewed_by"] == "platform"
    assert shown(buyer, purchase) == ("credited", "55.00")


def test_what_was_never_granted_is_not_taken_back(buyer: Buyer) -> None:
    """A wrong amount that went back in two steps moves nothing, and leaves nothing to review."""
    purchase = buyer.start()
    assert told(buyer, purchase, ("payment.succeeded", {"amount": "50.00"})) == [202]
    steps = [("payment.refunded", {"amount": amount}) for amount in ("39.90", "50.00")]
    assert told(buyer, purchase, *steps) == [200, 200]
    assert shown(buyer, purchase) == ("canceled", "5.00")
    answer = act(buyer, purchase, "review", decision="credit", reason="too late")
    assert refusal(answer) == (409, "invalid_transition")


def test_a_review_of_what_was_lost_whole_is_refused(buyer: Buyer) -> None:
    """There is nothing left to credit."""
    purchase = buyer.start()
    assert told(buyer, purchase, ("payment.succeeded", {"amount": "50.00"})) == [202]
    dispute = {"dispute_id": "d1", "amount": "50.00"}
    assert told(buyer, purchase, ("dispute.created", dispute), ("dispute.lost", dispute)) == [200, 200]
    answer = act(buyer, purchase, "review", decision="credit", reason="too late")
    assert (refusal(answer), buyer.posted()) == ((409, "invalid_transition"), "5.00")


# ---------------------------------------------------------------- moving in, and who did it


def test_an_account_moves_in_with_its_balances(stack: Stack) -> None:
    """Just those, each explained; opened again, nothing changes."""
    buyer = Buyer(stack, fresh("moved"))
    body = {"orders_processor": "active", "opening": {"auto_order": "120.00", "managed": "7.50"}}
    assert [buyer.call("PUT", "", json=body).status_code for _ in range(2)] == [201, 200]
    assert (buyer.posted(), buyer.posted("managed")) == ("120.00", "7.50")
    entries = buyer.call("GET", "/entries?kind=granted").json()["items"]
    assert {(entry["unit"], entry["posted"], entry["reason"]) for entry in entries} == {
        ("auto_order", "120.00", "opening balance"),
        ("managed", "7.50", "opening balance"),
    }


def test_an_account_may_move_in_with_nothing(stack: Stack) -> None:
    """An empty opening has no free credits either."""
    buyer = Buyer(stack, fresh("moved"))
    assert buyer.call("PUT", "", json={"opening": {}}).status_code == 201
    assert buyer.posted() == "0.00"


def test_a_coupon_says_who_made_and_who_closed_it(stack: Stack) -> None:
    """They are the subjects of the tokens."""
    code = fresh_code()
    made = stack.call("POST", "/v1/coupons", json={"code": code, "percent_off": "10.00"}).json()
    closed = stack.call("DELETE", f"/v1/coupons/{code}").json()
    assert (made["created_by"], closed["created_by"], closed["closed_by"]) == ("platform", "platform", "platform")
    assert "closed_by" not in made


# ---------------------------------------------------------------- Stripe


def test_stripes_webhook_settles_a_purchase_that_the_sandbox_started(buyer: Buyer) -> None:
    """An event of the live mode is put aside, for the stack has no live key."""
    purchase = buyer.start()
    session = paid_session(buyer, purchase)
    assert told_by_stripe(buyer, "checkout.session.completed", session, livemode=True) == 202
    assert shown(buyer, purchase) == ("pending", "5.00")
    assert [told_by_stripe(buyer, "checkout.session.completed", session) for _ in range(2)] == [200, 200]
    assert shown(buyer, purchase) == ("credited", "105.00")


def test_stripes_dispute_that_a_refund_prevented_ends_refunded(buyer: Buyer) -> None:
    """Refunds and disputes name no purchase: the payment tells whose they are."""
    purchase = buyer.start()
    session = paid_session(buyer, purchase)
    payment = {"payment_intent": session["payment_intent"], "currency": "usd"}
    dispute = payment | {"id": f"dp_{uuid4().hex}", "object": "dispute", "amount": 3990, "status": "needs_response"}
    refunded = payment | {"id": "ch_1", "object": "charge", "amount_refunded": 3990, "metadata": {}}
    assert told_by_stripe(buyer, "checkout.session.completed", session) == 200
    assert told_by_stripe(buyer, "charge.dispute.created", dispute) == 200
    assert shown(buyer, purchase) == ("disputed", "105.00")
    assert told_by_stripe(buyer, "charge.refunded", refunded) == 200
    assert told_by_stripe(buyer, "charge.dispute.closed", dispute | {"status": "prevented"}) == 200
    assert shown(buyer, purchase) == ("refunded", "5.00")

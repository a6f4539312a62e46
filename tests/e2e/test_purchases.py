"""Buying credits on the deployed local stack: every package, method and coupon, and webhooks in every bad shape."""

import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from uuid import uuid4

import pytest
import requests

from tests.e2e.buyer import Buyer, fresh_code, opened_buyer
from tests.e2e.merchant import refusal
from tests.kit.stack import Stack

PACKAGES = {"20": "9.90", "100": "39.90", "250": "79.00", "500": "129.00", "1000": "219.00", "2500": "499.00"}


@pytest.mark.parametrize(("credits_", "price"), PACKAGES.items())
def test_every_package_is_credited_for_its_price(buyer: Buyer, credits_: str, price: str) -> None:
    """Started, paid, and there."""
    purchase = buyer.start(package=f"auto_order-{credits_}")
    assert (purchase["status"], purchase["price"]) == ("pending", price)
    assert buyer.deliver(buyer.event(purchase)) == 200
    assert buyer.purchase(purchase["purchase_id"])["status"] == "credited"
    assert buyer.posted() == f"{int(credits_) + 5}.00"


@pytest.mark.parametrize("method", ["card", "paypal", "payoneer"])
def test_every_method_can_be_paid_on_the_sandbox_page(buyer: Buyer, method: str) -> None:
    """A buyer who is declined succeeds with the next try, and is sent back with the purchase's id and nothing else."""
    back = "http://localhost:9/done?shop=1"
    purchase = buyer.start(payment_method=method, return_url=back)
    page = purchase["payment"]["redirect_url"]
    assert "39.90" in requests.get(page, timeout=30).text
    requests.post(page, data={"do": "declined"}, timeout=30, allow_redirects=False)
    assert buyer.purchase(purchase["purchase_id"])["status"] == "declined"
    sent = requests.post(page, data={"do": "succeeded"}, timeout=30, allow_redirects=False)
    assert sent.headers["Location"] == f"{back}&purchase_id={purchase['purchase_id']}"
    assert buyer.purchase(purchase["purchase_id"])["status"] == "credited"
    assert buyer.posted() == "105.00"


def test_a_load_is_there_as_managed_balance(buyer: Buyer) -> None:
    """100.00 for 100.00."""
    purchase = buyer.start(unit="managed", amount="100.00")
    assert buyer.deliver(buyer.event(purchase)) == 200
    assert buyer.posted("managed") == "100.00"


def test_a_webhook_sent_a_hundred_times_credits_once(buyer: Buyer) -> None:
    """Twenty at once, mixed with its neighbours in any order."""
    purchase = buyer.start()
    events = [buyer.event(purchase)] * 100 + [buyer.event(purchase, "payment.declined")] * 5
    random.Random(4).shuffle(events)
    with ThreadPoolExecutor(20) as pool:
        statuses = set(pool.map(buyer.deliver, events))
    assert statuses <= {200, 503}
    assert buyer.deliver(buyer.event(purchase)) == 200
    assert buyer.posted() == "105.00"


def test_forged_stale_and_unsigned_webhooks_move_nothing(buyer: Buyer) -> None:
    """Each is 401, and the purchase stays as it was."""
    purchase = buyer.start()
    event = buyer.event(purchase)
    now = time.time()
    assert buyer.deliver(event, secret="whsec_wrong") == 401
    assert [buyer.deliver(event, at=now + offset) for offset in (-400, 400)] == [401, 401]
    assert buyer.send(json.dumps(event).encode(), {}) == 401
    assert buyer.send(b"\xff\x00", {"Sandbox-Signature": "t=1,v1=00"}) == 401
    assert buyer.purchase(purchase["purchase_id"])["status"] == "pending"
    assert buyer.stack.call_as_is("POST", "/v1/payments/nobody/webhook", data=b"{}").status_code == 404


def test_another_accounts_or_an_unknown_purchase_is_put_aside(buyer: Buyer, stack: Stack) -> None:
    """An event that names another account never changes the purchase."""
    purchase = buyer.start()
    other = opened_buyer(stack).account_id
    assert buyer.deliver(buyer.event(purchase, account_id=other)) == 202
    assert buyer.deliver(buyer.event(purchase, account_id="nobody-there")) == 202
    assert buyer.deliver(buyer.event(purchase, purchase_id="pur_unknown")) == 202
    assert (buyer.purchase(purchase["purchase_id"])["status"], buyer.posted()) == ("pending", "5.00")


def test_another_currency_is_put_aside(buyer: Buyer) -> None:
    """202, and the purchase stays as it was."""
    purchase = buyer.start()
    assert buyer.deliver(buyer.event(purchase, currency="EUR")) == 202
    assert (buyer.purchase(purchase["purchase_id"])["status"], buyer.posted()) == ("pending", "5.00")


def test_a_wrong_amount_waits_for_a_person(buyer: Buyer) -> None:
    """202 and in review; a person settles it, once."""
    purchase = buyer.start()
    assert buyer.deliver(buyer.event(purchase, amount="39.89")) == 202
    assert (buyer.purchase(purchase["purchase_id"])["status"], buyer.posted()) == ("review", "5.00")
    review = {"decision": "credit", "reason": "the bank explained it"}
    path = f"/purchases/{purchase['purchase_id']}/review"
    assert buyer.call("POST", path, json=review).json()["status"] == "credited"
    assert refusal(buyer.call("POST", path, json=review)) == (409, "invalid_transition")
    assert buyer.posted() == "105.00"


def test_a_refund_in_two_steps_and_a_late_smaller_sum(buyer: Buyer) -> None:
    """13.33 and 26.66 of 39.90 take 33.41 and 66.82 credits; 13.33 told again takes nothing."""
    purchase = buyer.start()
    buyer.deliver(buyer.event(purchase))
    posted = []
    for amount in ("13.33", "26.66", "13.33", "39.90"):
        assert buyer.deliver(buyer.event(purchase, "payment.refunded", amount=amount)) == 200
        posted.append(buyer.posted())
    assert posted == ["71.59", "38.18", "38.18", "5.00"]
    assert buyer.purchase(purchase["purchase_id"])["status"] == "refunded"


def test_spending_below_a_clawback_is_frozen_until_it_is_paid_off(buyer: Buyer) -> None:
    """With the balance below zero there is no new work; a top-up ends that."""
    purchase = buyer.start()
    buyer.deliver(buyer.event(purchase))
    spend = {"unit": "auto_order", "amount": "-104.00", "reason": "spent"}
    assert buyer.call("POST", "/adjustments", key="spend", json=spend).status_code == 201
    assert buyer.deliver(buyer.event(purchase, "payment.refunded")) == 200
    work = {"order_id": "o1", "store_id": "s1", "order_type": "auto", "tracking": "none"}
    frozen = buyer.call("POST", "/debits", key="d1", json=work)
    assert (refusal(frozen), buyer.posted()) == ((403, "balance_frozen"), "-99.00")
    again = buyer.start()
    assert buyer.deliver(buyer.event(again)) == 200
    assert buyer.call("POST", "/debits", key="d1", json=work).status_code == 201
    assert buyer.posted() == "0.00"


@pytest.mark.parametrize(("end", "posted", "status"), [("won", "105.00", "credited"), ("lost", "5.00", "charged_back")])
def test_a_dispute_freezes_and_ends(buyer: Buyer, end: str, posted: str, status: str) -> None:
    """What is available of the purchase is held while it is open."""
    purchase = buyer.start()
    buyer.deliver(buyer.event(purchase))
    assert buyer.deliver(buyer.event(purchase, "dispute.created")) == 200
    assert buyer.call("GET", "/balance").json()["balances"]["auto_order"]["available"] == "5.00"
    assert buyer.deliver(buyer.event(purchase, f"dispute.{end}")) == 200
    assert (buyer.posted(), buyer.purchase(purchase["purchase_id"])["status"]) == (posted, status)


def test_the_same_key_starts_one_purchase(buyer: Buyer) -> None:
    """Ten at once: one purchase, nine replays; afterwards the replay shows the purchase as it stands."""
    body = {"package": "auto_order-20", "payment_method": "card"}
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: buyer.patiently("POST", "/purchases", key="k", json=body), range(10)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["purchase_id"] for answer in answers}) == 1
    assert len(buyer.call("GET", "/purchases").json()["items"]) == 1
    buyer.deliver(buyer.event(answers[0].json()))
    assert buyer.call("POST", "/purchases", key="k", json=body).json()["status"] == "credited"


@pytest.mark.parametrize(
    ("benefit", "price", "posted"),
    [
        ({"percent_off": "33.33"}, "26.60", "105.00"),
        ({"amount_off": "5.00"}, "34.90", "105.00"),
        ({"bonus_credits": "10.00"}, "39.90", "115.00"),
    ],
)
def test_every_kind_of_coupon(buyer: Buyer, stack: Stack, benefit: dict[str, str], price: str, posted: str) -> None:
    """Checked first, counted when the purchase starts, good for as often as it says."""
    code = fresh_code()
    made = stack.call("POST", "/v1/coupons", json={"code": code, "max_uses": 1} | benefit)
    assert made.status_code == 201, made.text
    assert refusal(stack.call("POST", "/v1/coupons", json={"code": code} | benefit)) == (409, "coupon_exists")
    check = {"code": code, "package": "auto_order-100"}
    assert buyer.call("POST", "/coupons/check", json=check).json()["price"] == price
    purchase = buyer.start(coupon=code)
    assert purchase["price"] == price
    assert buyer.call("POST", "/coupons/check", json=check).json()["reason"] == "used_up"
    buyer.deliver(buyer.event(purchase))
    assert (buyer.posted(), stack.call("GET", f"/v1/coupons/{code}").json()["uses"]) == (posted, 1)


def test_a_free_total_skips_the_provider(buyer: Buyer, stack: Stack) -> None:
    """100% off is credited at once, and has no payment."""
    code = fresh_code()
    stack.call("POST", "/v1/coupons", json={"code": code, "percent_off": "100.00", "max_uses": 1})
    purchase = buyer.start(coupon=code)
    assert (purchase["status"], purchase["payment"], buyer.posted()) == ("credited", None, "105.00")


def test_a_coupon_is_closed(buyer: Buyer, stack: Stack) -> None:
    """Closed, it stays so however often that is asked, and is good for no further purchase."""
    code = fresh_code()
    stack.call("POST", "/v1/coupons", json={"code": code, "percent_off": "10.00"})
    for _ in range(2):
        answer = stack.call("DELETE", f"/v1/coupons/{code}")
        assert (answer.status_code, answer.json()["closed"]) == (200, True)
    assert stack.call("GET", f"/v1/coupons/{code}").json()["closed"] is True
    body = {"package": "auto_order-100", "payment_method": "card", "coupon": code}
    answer = buyer.call("POST", "/purchases", key=uuid4().hex, json=body)
    assert (refusal(answer), answer.json()["reason"]) == ((422, "coupon_invalid"), "closed")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("code", ["UNKNOWN", "X" * 2_100])
def test_a_coupon_that_was_never_made_is_not_found(stack: Stack, method: str, code: str) -> None:
    """Also one whose code is longer than any that can be made, or than a key of the table."""
    assert refusal(stack.call(method, f"/v1/coupons/{code}")) == (404, "coupon_not_found")


def test_purchases_are_listed_newest_first(buyer: Buyer) -> None:
    """With a cursor that neither skips nor repeats."""
    started = [buyer.start()["purchase_id"] for _ in range(3)]
    first = buyer.call("GET", "/purchases?limit=2").json()
    second = buyer.call("GET", f"/purchases?limit=2&cursor={first['next_cursor']}").json()
    found = first["items"] + second["items"]
    assert sorted(item["purchase_id"] for item in found) == sorted(started)
    assert all(newer["created_at"] >= older["created_at"] for newer, older in pairwise(found))
    assert second["next_cursor"] is None

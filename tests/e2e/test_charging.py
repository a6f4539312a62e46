"""Charging work: prices, keys, the order of checks, holds part by part, later conversions."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from tests.e2e.merchant import fresh, opened, refusal, work
from tests.kit.stack import Stack

PRICES = {
    ("auto", "none"): "1.00",
    ("auto", "bce"): "1.33",
    ("auto", "qtrack"): "2.50",
    ("auto", "tracking_generator"): "2.00",
    ("fba", "none"): "1.00",
    ("fba", "bce"): "1.33",
    ("fba", "qtrack"): "2.50",
    ("fba", "tracking_generator"): "2.00",
    ("manual", "bce"): "0.33",
    ("manual", "qtrack"): "0.50",
    ("manual", "tracking_generator"): "1.00",
}
PACKAGES = [
    ("20.00", "9.90", "0.50"),
    ("100.00", "39.90", "0.40"),
    ("250.00", "79.00", "0.32"),
    ("500.00", "129.00", "0.26"),
    ("1000.00", "219.00", "0.22"),
    ("2500.00", "499.00", "0.20"),
]


def test_the_entries_add_up_to_the_balance(stack: Stack) -> None:
    """Of every unit, whatever was done over HTTP and by the queue, and each entry says the balance after it."""
    merchant = opened(stack, more="20.00", managed="50.00")
    merchant.debit(work(tracking="bce"))
    merchant.capture(merchant.held(work("fba", "qtrack")), parts=["order"], managed="21.10")
    merchant.release(merchant.held(work(tracking="qtrack")))
    order = work("fba", "bce", cost="3.30")
    merchant.told("auto_order.requested", **order)
    merchant.told("auto_order.placed", order_id=order["order_id"], supplier_order_id="1")
    sums = {unit: [Decimal(0), Decimal(0)] for unit in merchant.standing()["balances"]}
    for entry in reversed([entry for entry in merchant.entries() if entry["unit"]]):
        posted, held = sums[entry["unit"]]
        posted, held = sums[entry["unit"]] = [posted + Decimal(entry["posted"]), held + Decimal(entry["held"])]
        after = {"posted": f"{posted:.2f}", "held": f"{held:.2f}", "available": f"{posted - held:.2f}"}
        assert entry["balance"] == after
    for unit, amounts in sums.items():
        assert merchant.balance(unit)[:2] == tuple(f"{amount:.2f}" for amount in amounts)
    assert merchant.balance() == ("21.67", "1.83", "19.84")
    assert merchant.balance("managed") == ("25.60", "0.00", "25.60")


def test_the_rate_card_is_the_published_table(stack: Stack) -> None:
    """Eleven priced pairs, and sourcing."""
    card = stack.call("GET", "/v1/rates").json()
    assert {(rate["order_type"], rate["tracking"]): rate["credits"] for rate in card["rates"]} == PRICES
    assert len(card["rates"]) == len(PRICES)
    assert card["sourcing"] == "1.00"


def test_the_packages_are_the_published_ones(stack: Stack) -> None:
    """Totals are charged, prices per credit are for display and rounded half up."""
    answer = stack.call("GET", "/v1/packages").json()
    assert answer["currency"] == "USD"
    assert [(item["credits"], item["price"], item["price_per_credit"]) for item in answer["items"]] == PACKAGES


@pytest.mark.parametrize(("order_type", "tracking"), PRICES)
def test_every_pair_costs_what_the_table_says(stack: Stack, order_type: str, tracking: str) -> None:
    """Quoted, debited, or held and captured."""
    price = PRICES[order_type, tracking]
    merchant = opened(stack, managed="100.00")
    debited, held = work(order_type, tracking), work(order_type, tracking)
    assert merchant.quote(debited).json()["credits"] == price
    assert merchant.debit(debited).json()["credits"] == price
    assert merchant.quote(debited).json()["credits"] == "0.00"
    answer = merchant.hold(held)
    assert answer.json()["credits"] == price
    assert sum(map(Decimal, answer.json()["parts"].values())) == Decimal(price)
    assert merchant.balance()[1] == price
    assert merchant.capture(answer.json()["hold_id"]).json()["status"] == "captured"
    left = f"{Decimal(5) - 2 * Decimal(price):.2f}"
    assert merchant.balance() == (left, "0.00", left)
    spent = "53.00" if order_type == "fba" else "100.00"
    assert merchant.balance("managed") == (spent, "0.00", spent)
    assert merchant.order(held["order_id"])["credits"] == price


def test_manual_work_without_a_conversion_has_no_price(stack: Stack) -> None:
    """It is quoted as 0.00 and cannot be charged."""
    merchant = opened(stack)
    assert merchant.quote(work("manual")).json()["credits"] == "0.00"
    assert refusal(merchant.debit(work("manual"))) == (422, "unknown_rate")
    assert refusal(merchant.hold(work("manual"))) == (422, "unknown_rate")


def test_the_same_work_at_once_charges_once(stack: Stack) -> None:
    """20 times the same work under keys of their own: one is charged, the others name the entry that did it."""
    merchant = opened(stack)
    order = work()
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: merchant.debit(order), range(20)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 19}
    charged = next(answer.json()["entries"][0]["entry_id"] for answer in answers if answer.status_code == 201)
    refused = [answer for answer in answers if answer.status_code == 409]
    assert {(refusal(answer)[1], answer.json()["entry_id"]) for answer in refused} == {("already_charged", charged)}
    assert merchant.balance() == ("4.00", "0.00", "4.00")


def test_a_hold_ends_one_way(stack: Stack) -> None:
    """Captures racing with releases: one side wins, the other is told so, and nothing stays held."""
    merchant = opened(stack)
    hold_id = merchant.held(work(tracking="qtrack"))
    with ThreadPoolExecutor(20) as threads:
        ends = [merchant.capture, merchant.release] * 10
        answers = list(threads.map(lambda end: end(hold_id), ends))
    assert Counter(answer.status_code for answer in answers) == {200: 10, 409: 10}
    left = "2.50" if answers[0].status_code == 200 else "5.00"
    assert merchant.balance() == (left, "0.00", left)


@pytest.mark.parametrize(
    "amount",
    [
        "12345678901.00",
        1,
        1.5,
        "1",
        "1.0",
        "1.000",
        "+1.00",
        " 1.00",
        "1_0.00",
        "01.00",
        "1e2",
        "\u0661.\u0660\u0660",
        "",
        ".50",
        "0.00",
        "-0.00",
        "1.00\n",
    ],
)
def test_an_amount_has_one_spelling(stack: Stack, amount: Any) -> None:
    """Every other one is 422 `invalid_amount`, and nothing moves."""
    merchant = opened(stack)
    assert refusal(merchant.adjust(amount)) == (422, "invalid_amount")
    assert merchant.balance() == ("5.00", "0.00", "5.00")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"order_type": "gift"}, "invalid_field"),
        ({"tracking": "ups"}, "invalid_field"),
        ({"order_type": ["auto"]}, "invalid_field"),
        ({"order_id": "a/b"}, "invalid_id"),
        ({"order_id": "a\n"}, "invalid_id"),
        ({"order_id": "a~1"}, "invalid_id"),
        ({"order_id": "x" * 65}, "invalid_id"),
        ({"store_id": "é"}, "invalid_id"),
        ({"store_id": ""}, "invalid_id"),
        ({"credits": "0.01"}, "unknown_field"),
        ({"attempt": 1}, "unknown_field"),
        ({"cost": "1.00"}, "invalid_field"),
        ({"order_type": "fba"}, "invalid_field"),
        ({"order_type": "fba", "cost": "0.00"}, "invalid_amount"),
        ({"order_type": "fba", "cost": 1}, "invalid_amount"),
    ],
    ids=str,
)
def test_the_form_of_work_is_checked(stack: Stack, changes: dict[str, Any], code: str) -> None:
    """By quotes, debits and holds alike, before anything else."""
    merchant = opened(stack)
    for send in (merchant.quote, merchant.debit, merchant.hold):
        assert refusal(send(work() | changes)) == (422, code)
    assert merchant.standing()["version"] == 1


def test_a_key_may_be_spelled_with_another_json(stack: Stack) -> None:
    """Spaces, escapes and the sequence of fields do not make it another request; a value or a route does."""
    merchant = opened(stack)
    key, headers = fresh("key"), {"Content-Type": "application/json"}
    first = merchant.call(
        "POST",
        "/adjustments",
        key=key,
        headers=headers,
        data='{"unit": "auto_order", "amount": "1.00", "reason": "a/x"}',
    )
    again = merchant.call(
        "POST",
        "/adjustments",
        key=key,
        headers=headers,
        data=' {"reason":"a\\/\\u0078",\n"amount":"1.00","unit":"auto_order"}',
    )
    assert "Idempotent-Replayed" not in first.headers
    assert (again.status_code, again.text, again.headers["Idempotent-Replayed"]) == (201, first.text, "true")
    assert refusal(merchant.adjust("1.00", key=key)) == (422, "idempotency_key_reused")
    assert refusal(merchant.debit(work(), key)) == (422, "idempotency_key_reused")
    assert merchant.balance()[0] == "6.00"


def test_keys_have_a_form(stack: Stack) -> None:
    """Missing and malformed ones are told apart; those of other accounts are other keys."""
    merchant, other = opened(stack), opened(stack)
    assert refusal(merchant.call("POST", "/debits", json=work())) == (400, "idempotency_key_required")
    for key in ("a b", "a/b", "x" * 65, "~"):
        assert refusal(merchant.debit(work(), key)) == (400, "idempotency_key_invalid")
    key = fresh("key")
    assert [account.debit(work(), key).status_code for account in (merchant, other)] == [201, 201]


def test_a_refusal_is_not_remembered(stack: Stack) -> None:
    """402 names what lacks; after a top-up the same key works, and then stays done."""
    merchant = opened(stack)
    merchant.adjust("-4.00")
    key, order = fresh("key"), work(tracking="qtrack")
    answer = merchant.debit(order, key)
    assert refusal(answer) == (402, "insufficient_credits")
    sentence = "Insufficient Auto-orders credits, please purchase more credits and resend the order."
    assert answer.json()["detail"] == sentence
    assert [answer.json()[name] for name in ("unit", "required", "available", "shortfall")] == [
        "auto_order",
        "2.50",
        "1.00",
        "1.50",
    ]
    merchant.adjust("1.50")
    assert merchant.debit(order, key).status_code == 201
    assert merchant.debit(order, key).headers["Idempotent-Replayed"] == "true"
    assert merchant.balance() == ("0.00", "0.00", "0.00")


def test_checks_come_in_their_order(stack: Stack) -> None:
    """Replay, then what is charged, then standing, then the add-on; credits before managed balance."""
    merchant = opened(stack)
    key, done, waiting = fresh("key"), work(), work(tracking="qtrack")
    merchant.debit(done, key)
    hold_id = merchant.held(waiting)
    assert refusal(merchant.debit(work("fba", "qtrack"))) == (402, "insufficient_credits")
    assert refusal(merchant.debit(work("fba"))) == (402, "insufficient_managed_balance")
    merchant.stand(status="suspended", orders_processor="inactive")
    assert merchant.debit(done, key).headers["Idempotent-Replayed"] == "true"
    assert refusal(merchant.debit(work(), key)) == (422, "idempotency_key_reused")
    assert refusal(merchant.debit(done)) == (409, "already_charged")
    assert refusal(merchant.debit(waiting)) == (409, "already_charged")
    assert refusal(merchant.debit(done | {"store_id": "other"})) == (409, "order_conflict")
    answer = merchant.debit(work())
    assert (refusal(answer), answer.json()["account_status"]) == ((403, "account_inactive"), "suspended")
    assert merchant.quote(work()).status_code == 200
    merchant.stand(status="active")
    assert refusal(merchant.debit(work("manual"))) == (403, "orders_processor_inactive")
    assert merchant.capture(hold_id).status_code == 200


def test_no_balance_passes_its_limit(stack: Stack) -> None:
    """1,000,000,000.00 may be owned, a hundredth more may not."""
    merchant = opened(stack)
    assert merchant.adjust("999999995.00").status_code == 201
    assert refusal(merchant.adjust("0.01")) == (409, "balance_limit")
    assert merchant.balance()[0] == "1000000000.00"


def test_managed_balance_is_captured_as_it_was_spent(stack: Stack) -> None:
    """A lower sum frees the rest, a higher one is refused, and the tracking part has none."""
    merchant = opened(stack, managed="30.00")
    hold_id = merchant.held(work("fba", "bce"))
    assert merchant.balance("managed") == ("30.00", "23.50", "6.50")
    assert refusal(merchant.capture(hold_id, managed="23.51")) == (422, "capture_exceeds_hold")
    assert merchant.capture(hold_id, parts=["order"], managed="21.10").json()["status"] == "open"
    assert merchant.balance("managed") == ("8.90", "0.00", "8.90")
    assert merchant.balance() == ("4.00", "0.33", "3.67")


def test_a_hold_ends_part_by_part(stack: Stack) -> None:
    """The same end again is the same answer, the other end is a conflict."""
    merchant = opened(stack)
    order = work(tracking="qtrack")
    hold_id = merchant.held(order)
    captured = merchant.capture(hold_id, parts=["order"])
    assert captured.json()["parts"] == {"order": "captured", "tracking": "open"}
    version = merchant.standing()["version"]
    assert merchant.capture(hold_id, parts=["order"]).json()["parts"] == captured.json()["parts"]
    assert refusal(merchant.release(hold_id, parts=["order"])) == (409, "invalid_transition")
    assert merchant.standing()["version"] == version
    assert merchant.release(hold_id).json()["parts"] == {"order": "captured", "tracking": "released"}
    assert refusal(merchant.capture(hold_id, parts=["tracking"])) == (409, "invalid_transition")
    assert refusal(merchant.capture("nobody~1")) == (404, "hold_not_found")


def test_the_hold_of_an_earlier_attempt_is_over(stack: Stack) -> None:
    """Releasing the order part fails the order; charging it again is a new attempt, and the old hold is gone."""
    merchant = opened(stack)
    order = work(tracking="qtrack")
    hold_id = merchant.held(order)
    merchant.release(hold_id, parts=["order"], reason="no stock")
    failed = merchant.order(order["order_id"])
    assert (failed["status"], failed["status_text"]) == ("failed", "no stock")
    assert merchant.held(order) == f"{order['order_id']}~2"
    assert refusal(merchant.call("GET", f"/holds/{hold_id}")) == (404, "hold_not_found")
    assert refusal(merchant.capture(hold_id)) == (409, "invalid_transition")
    assert refusal(merchant.release(hold_id)) == (409, "invalid_transition")
    assert merchant.balance() == ("5.00", "2.50", "2.50")


def test_a_later_conversion_costs_the_difference(stack: Stack) -> None:
    """Each method once, and one at a time while a tracking part is open."""
    merchant = opened(stack, more="10.00")
    order = work()
    assert merchant.debit(order).json()["credits"] == "1.00"
    assert merchant.debit(order | {"tracking": "qtrack"}).json()["credits"] == "1.50"
    for tracking in ("none", "qtrack"):
        assert refusal(merchant.debit(order | {"tracking": tracking})) == (409, "already_charged")
    later = merchant.hold(order | {"tracking": "bce"})
    assert (later.json()["credits"], later.json()["parts"]) == ("0.33", {"tracking": "0.33"})
    other = order | {"tracking": "tracking_generator"}
    assert refusal(merchant.hold(other)) == (409, "order_conflict")
    assert merchant.capture(later.json()["hold_id"]).status_code == 200
    assert merchant.debit(other).json()["credits"] == "1.00"
    assert merchant.order(order["order_id"])["attempt"] == 1
    assert merchant.balance() == ("11.17", "0.00", "11.17")


def test_the_cost_of_an_order_is_charged_once(stack: Stack) -> None:
    """A later conversion sends it as before and pays for the tracking alone."""
    merchant = opened(stack, managed="30.00")
    order = work("fba")
    merchant.debit(order)
    later = merchant.debit(order | {"tracking": "bce"})
    assert (later.json()["credits"], later.json()["managed"]) == ("0.33", "0.00")
    assert refusal(merchant.debit(order | {"tracking": "qtrack", "cost": "1.00"})) == (409, "order_conflict")
    assert merchant.balance("managed")[0] == "6.50"


def test_sourcing_is_paid_once_a_product(stack: Stack) -> None:
    """Captured when accepted; a rejected one may be asked for again as a new attempt."""
    merchant = opened(stack)
    product: dict[str, Any] = {"product_id": fresh("product"), "store_id": "shop", "sourcing": True}
    merchant.release(merchant.held(product))
    assert merchant.sourcing(product["product_id"])["status"] == "rejected"
    hold_id = merchant.held(product)
    assert hold_id == f"{product['product_id']}~s2"
    merchant.capture(hold_id)
    assert merchant.sourcing(product["product_id"])["status"] == "accepted"
    assert refusal(merchant.debit(product)) == (409, "already_charged")
    assert merchant.balance() == ("4.00", "0.00", "4.00")

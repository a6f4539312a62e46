"""Orders over HTTP on the deployed stack: queued, judged by the queue, listed, sent again; and dead letters."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests

from tests.kit.polling import paused
from tests.kit.stack import PLATFORM, Stack, eventually

LACKING = "Insufficient Auto-orders credits, please purchase more credits and resend the order."


@dataclass(frozen=True)
class Shop:
    """An account and its callers."""

    stack: Stack
    account_id: str

    def call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Call a route of the account, as the merchant unless told otherwise."""
        arguments = {"account": self.account_id, **arguments}
        return self.stack.call(method, f"/v1/accounts/{self.account_id}{path}", **arguments)

    def queue(self, order_id: str, *, key: str | None = None, store: str = "", **work: Any) -> requests.Response:
        """`POST /orders`: an automated order of store s1 without conversion, unless `work` says otherwise."""
        body = {"order_id": order_id, "store_id": "s1", "order_type": "auto", "tracking": "none", **work}
        return self.call("POST", "/orders", json=body, key=key or uuid4().hex, store=store)

    def order(self, order_id: str) -> dict[str, Any]:
        """The order as it stands."""
        answer = self.call("GET", f"/orders/{order_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def wait(self, order_id: str, status: str, attempt: int = 1) -> dict[str, Any]:
        """The order, once it has the status in the attempt."""

        def look() -> dict[str, Any] | None:
            order = dict(self.call("GET", f"/orders/{order_id}").json())  # not there yet: a problem without attempt
            return order if (order["status"], order.get("attempt")) == (status, attempt) else None

        return eventually(look)

    def tell(self, kind: str, **data: Any) -> None:
        """Send a message about the account."""
        self.stack.send(kind, {"account_id": self.account_id, **data})

    def add(self, amount: str, unit: str = "auto_order") -> None:
        """Adjust the balance, as the platform."""
        body = {"unit": unit, "amount": amount, "reason": "test"}
        answer = self.call("POST", "/adjustments", json=body, key=uuid4().hex, account=PLATFORM)
        assert answer.status_code == 201, answer.text

    def balance(self, unit: str = "auto_order") -> tuple[str, str]:
        """Posted and held."""
        balance = self.call("GET", "/balance").json()["balances"][unit]
        return balance["posted"], balance["held"]

    def listed(self, query: str = "", **arguments: Any) -> list[str]:
        """The ids of a list, page by page, until it ends."""
        ids: list[str] = []
        cursor = ""
        while True:
            page = self.call("GET", f"/orders?{query}{cursor}", **arguments).json()
            ids += [order["order_id"] for order in page["items"]]
            if page["next_cursor"] is None:
                return ids
            cursor = f"&cursor={page['next_cursor']}"


def code_of(answer: requests.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


@pytest.fixture
def shop(stack: Stack) -> Shop:
    """A fresh account with the add-on and its 5.00 free credits."""
    return opened(stack)


def opened(stack: Stack) -> Shop:
    """Open a fresh account with the add-on."""
    shop = Shop(stack, f"shop-{uuid4().hex[:12]}")
    assert shop.call("PUT", "", json={"orders_processor": "active"}, account=PLATFORM).status_code == 201
    return shop


@pytest.fixture
def stopped(stack: Stack) -> Iterator[None]:
    """While the worker takes nothing from the queue, so that what is queued stays so."""
    with paused(stack, stack.info["orders_queue_url"]):
        yield


def test_an_order_goes_through_the_queue(shop: Shop) -> None:
    """Queued over HTTP, funded by its message, placed and converted by the engine's."""
    answer = shop.queue("o1", tracking="bce")
    assert (answer.status_code, answer.json()) == (202, {"order_id": "o1", "status": "queued", "attempt": 1})
    order = shop.wait("o1", "processing")
    assert (order["parts"], order["hold_id"]) == ({"order": "open", "tracking": "open"}, "o1~1")
    assert (order["credits"], order["status_text"], shop.balance()) == ("0.00", None, ("5.00", "1.33"))
    shop.tell("auto_order.placed", order_id="o1", supplier_order_id="114-1")
    assert shop.wait("o1", "ordered")["supplier_order_id"] == "114-1"
    shop.tell("tracking_conversion.completed", order_id="o1", tracking_number="BCE1")
    order = shop.wait("o1", "shipped")
    assert (order["credits"], order["tracking_number"], shop.balance()) == ("1.33", "BCE1", ("3.67", "0.00"))


def test_an_order_fulfilled_by_the_platform_holds_managed_balance(shop: Shop) -> None:
    """Its cost is held with its credits, and captured as it was in the end."""
    shop.add("50.00", "managed")
    assert shop.queue("o1", order_type="fba", cost="23.50").status_code == 202
    shop.wait("o1", "processing")
    assert (shop.balance(), shop.balance("managed")) == (("5.00", "1.00"), ("50.00", "23.50"))
    shop.tell("auto_order.placed", order_id="o1", supplier_order_id="114-1", managed="21.10")
    shop.wait("o1", "ordered")
    assert (shop.balance(), shop.balance("managed")) == (("4.00", "0.00"), ("28.90", "0.00"))


def test_the_same_key_is_answered_as_the_first_time(shop: Shop) -> None:
    """Also once the order has gone on; with another request the key is refused."""
    shop.queue("o1", key="k1")
    shop.wait("o1", "processing")
    answer = shop.queue("o1", key="k1")
    assert (answer.status_code, answer.json()) == (202, {"order_id": "o1", "status": "queued", "attempt": 1})
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert code_of(shop.queue("o2", key="k1")) == (422, "idempotency_key_reused")
    assert shop.listed() == ["o1"]


def test_the_same_work_again_is_told_its_present_status(shop: Shop) -> None:
    """Under another key; it is charged no second time."""
    shop.queue("o1")
    shop.wait("o1", "processing")
    answer = shop.queue("o1")
    assert (answer.status_code, answer.json()) == (202, {"order_id": "o1", "status": "processing", "attempt": 1})
    assert "Idempotent-Replayed" not in answer.headers
    assert shop.balance() == ("5.00", "1.00")


def test_other_work_under_the_same_order_is_a_conflict(shop: Shop) -> None:
    """Another store, order type or method, whether the order is queued or in work."""
    shop.queue("o1")
    for other in ({"store_id": "s2"}, {"tracking": "bce"}, {"order_type": "fba", "cost": "1.00"}):
        assert code_of(shop.queue("o1", **other)) == (409, "order_conflict")
    shop.wait("o1", "processing")
    assert code_of(shop.queue("o1", store_id="s2")) == (409, "order_conflict")


def test_a_refused_order_fails_with_the_sentence_and_is_resent_after_a_top_up(shop: Shop) -> None:
    """As a new attempt, which the queue funds; the refusal is an entry of 0.00."""
    shop.add("-4.50")
    shop.queue("o1")
    order = shop.wait("o1", "failed")
    assert (order["status_text"], order["parts"], order["hold_id"]) == (LACKING, {}, None)
    assert shop.balance() == ("0.50", "0.00")
    [refused] = shop.call("GET", "/entries?order_id=o1").json()["items"]
    assert (refused["kind"], refused["reason"], refused["posted"]) == ("refused", LACKING, "0.00")

    shop.add("1.00")
    answer = shop.call("POST", "/orders/o1/resend")
    assert (answer.status_code, answer.json()) == (202, {"order_id": "o1", "status": "queued", "attempt": 2})
    order = shop.wait("o1", "processing", attempt=2)
    assert (order["hold_id"], order["status_text"], shop.balance()) == ("o1~2", None, ("1.50", "1.00"))
    assert code_of(shop.call("POST", "/orders/o1/resend")) == (409, "invalid_transition")


def test_a_failed_order_may_be_queued_with_other_work(shop: Shop) -> None:
    """As a new attempt; its store stays."""
    shop.queue("o1")
    shop.wait("o1", "processing")
    shop.tell("auto_order.failed", order_id="o1", reason="out of stock")
    assert shop.wait("o1", "failed")["status_text"] == "out of stock"
    assert code_of(shop.queue("o1", store_id="s2")) == (409, "order_conflict")
    assert shop.queue("o1", tracking="qtrack").json() == {"order_id": "o1", "status": "queued", "attempt": 2}
    shop.wait("o1", "processing", attempt=2)
    assert shop.balance() == ("5.00", "2.50")


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"status": "paused"}, "account_inactive"), ({"orders_processor": "inactive"}, "orders_processor_inactive")],
    ids=["paused", "without the add-on"],
)
def test_standing_is_judged_by_the_queue(shop: Shop, changes: dict[str, str], code: str) -> None:
    """The order is accepted, and fails with the sentence that a debit is refused with."""
    shop.call("PATCH", "", json=changes, account=PLATFORM)
    assert shop.queue("o1").status_code == 202
    order = {"order_id": "o2", "store_id": "s1", "order_type": "auto", "tracking": "none"}
    refused = shop.call("POST", "/debits", json=order, key=uuid4().hex)
    assert code_of(refused) == (403, code)
    assert shop.wait("o1", "failed")["status_text"] == refused.json()["detail"]


def test_all_failed_orders_are_resent(shop: Shop) -> None:
    """Those of the account, and no others."""
    shop.add("-5.00")
    order_ids = ["o1", "o2", "o3"]
    for order_id in order_ids:
        shop.queue(order_id)
        shop.wait(order_id, "failed")
    shop.add("2.00")
    answer = shop.call("POST", "/orders/resend", json={"status": "failed"})
    assert (answer.status_code, answer.json()) == (202, {"resent": 3, "more": False})

    def settled() -> bool:
        orders = [shop.order(order_id) for order_id in order_ids]
        return {order["attempt"] for order in orders} == {2} and "queued" not in [order["status"] for order in orders]

    eventually(settled)
    assert len(shop.listed("status=processing")) == 2
    assert len(shop.listed("status=failed")) == 1
    assert shop.balance() == ("2.00", "2.00")
    assert shop.call("POST", "/orders/resend", json={"status": "failed"}).json() == {"resent": 1, "more": False}


@pytest.mark.parametrize(
    ("work", "code"),
    [
        ({"order_type": "manual", "tracking": "bce"}, "invalid_field"),
        ({"sourcing": True}, "unknown_field"),
        ({"product_id": "p1"}, "unknown_field"),
        ({"attempt": 2}, "unknown_field"),
        ({"credits": "1.00"}, "unknown_field"),
        ({"tracking": "ups"}, "invalid_field"),
        ({"order_type": "fba"}, "invalid_field"),
        ({"cost": "1.00"}, "invalid_field"),
        ({"order_type": "fba", "cost": "0.00"}, "invalid_amount"),
        ({"order_type": "fba", "cost": 1}, "invalid_amount"),
        ({"store_id": "a b"}, "invalid_id"),
        ({"order_id": "o~1"}, "invalid_id"),
        ({"order_id": "x" * 65}, "invalid_id"),
    ],
)
def test_a_wrong_form_is_refused(shop: Shop, work: dict[str, Any], code: str) -> None:
    """Manual orders and sourcing do not go this way; nothing is recorded."""
    body = {"order_id": "o1", "store_id": "s1", "order_type": "auto", "tracking": "none", **work}
    assert code_of(shop.call("POST", "/orders", json=body, key="k1")) == (422, code)
    assert shop.listed() == []


def test_a_sourcing_request_is_no_order(shop: Shop) -> None:
    """WORK of a product is refused by the form."""
    body = {"product_id": "p1", "store_id": "s1", "sourcing": True}
    assert shop.call("POST", "/orders", json=body, key="k1").status_code == 422
    assert code_of(shop.call("GET", "/sourcing/p1")) == (404, "product_not_found")


def test_the_form_of_resending_is_checked(shop: Shop) -> None:
    """Only failed orders are resent together, and the body says so; one order takes none."""
    assert code_of(shop.call("POST", "/orders/resend", json={"status": "queued"})) == (422, "invalid_field")
    assert code_of(shop.call("POST", "/orders/resend", json={})) == (422, "invalid_field")
    body = {"status": "failed", "limit": 1}
    assert code_of(shop.call("POST", "/orders/resend", json=body)) == (422, "unknown_field")
    assert code_of(shop.call("POST", "/orders/o1/resend", json={"status": "failed"})) == (422, "unknown_field")
    assert code_of(shop.call("POST", "/orders/a%20b/resend")) == (422, "invalid_id")
    answer = shop.call("POST", "/orders", json={"order_id": "o1"})
    assert code_of(answer) == (400, "idempotency_key_required")


def test_what_is_not_there(shop: Shop) -> None:
    """Orders, products and accounts that nobody knows."""
    assert code_of(shop.call("GET", "/orders/none")) == (404, "order_not_found")
    assert code_of(shop.call("POST", "/orders/none/resend")) == (404, "order_not_found")
    assert code_of(shop.call("GET", "/sourcing/none")) == (404, "product_not_found")
    nobody = Shop(shop.stack, f"nobody-{uuid4().hex[:8]}")
    assert code_of(nobody.queue("o1")) == (404, "account_not_found")
    assert code_of(nobody.call("GET", "/orders")) == (404, "account_not_found")
    assert code_of(nobody.call("GET", "/orders/o1")) == (404, "account_not_found")
    assert code_of(nobody.call("POST", "/orders/o1/resend")) == (404, "account_not_found")
    assert code_of(nobody.call("POST", "/orders/resend", json={"status": "failed"})) == (404, "account_not_found")


def test_another_merchants_account_is_as_if_missing(shop: Shop) -> None:
    """On every route of orders, whether the order is there or not."""
    shop.queue("o1")
    body = {"order_id": "o2", "store_id": "s1", "order_type": "auto", "tracking": "none"}
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/orders", {"json": body, "key": "k1"}),
        ("GET", "/orders", {}),
        ("GET", "/orders/o1", {}),
        ("POST", "/orders/o1/resend", {}),
        ("POST", "/orders/resend", {"json": {"status": "failed"}}),
    ]
    for method, path, arguments in calls:
        for account in ("somebody", ""):
            answer = shop.call(method, path, account=account, **arguments)
            assert code_of(answer) == (404, "account_not_found")
    assert shop.listed() == ["o1"]


def test_a_store_bound_token_queues_sees_and_resends_its_own(shop: Shop) -> None:
    """Another store's order is as if missing; queueing for another store is forbidden."""
    shop.add("-5.00")
    shop.queue("o1")
    shop.queue("o2", store_id="s2")
    shop.wait("o1", "failed")
    shop.wait("o2", "failed")
    assert code_of(shop.queue("o3", store_id="s1", store="s2")) == (403, "store_forbidden")
    assert shop.listed(store="s2") == ["o2"]
    assert shop.listed("status=failed&limit=1", store="s2") == ["o2"]
    assert code_of(shop.call("GET", "/orders/o1", store="s2")) == (404, "order_not_found")
    assert code_of(shop.call("POST", "/orders/o1/resend", store="s2")) == (404, "order_not_found")
    answer = shop.call("POST", "/orders/resend", json={"status": "failed"}, store="s2")
    assert answer.json() == {"resent": 1, "more": False}
    shop.wait("o2", "failed", attempt=2)
    assert shop.order("o1")["attempt"] == 1


def test_orders_are_listed_by_status_and_by_pages(shop: Shop) -> None:
    """Newest first, whatever the page's size; a cursor is bound to its account and filters."""
    shop.add("-2.00")
    order_ids = [f"o{number}" for number in range(1, 8)]
    for order_id in order_ids:
        shop.queue(order_id)
        eventually(lambda order_id=order_id: shop.order(order_id)["status"] != "queued")  # type: ignore[misc]
    shop.tell("auto_order.placed", order_id="o2", supplier_order_id="114-2")
    shop.wait("o2", "ordered")
    newest_first = order_ids[::-1]
    for limit in (1, 2, 3, 7, 100):
        assert shop.listed(f"limit={limit}") == newest_first
        assert shop.listed(f"limit={limit}&status=failed") == ["o7", "o6", "o5", "o4"]
        assert shop.listed(f"limit={limit}&status=processing") == ["o3", "o1"]
        assert shop.listed(f"limit={limit}&status=ordered") == ["o2"]
        assert shop.listed(f"limit={limit}&status=shipped") == []
        assert shop.listed(f"limit={limit}&status=queued") == []

    cursor = shop.call("GET", "/orders?limit=2&status=failed").json()["next_cursor"]
    for query in ("", "&status=queued", "&status=processing"):
        assert code_of(shop.call("GET", f"/orders?cursor={cursor}{query}")) == (400, "invalid_cursor")
    assert shop.listed(f"status=failed&cursor={cursor}") == ["o5", "o4"]
    other = opened(shop.stack)
    assert code_of(other.call("GET", f"/orders?status=failed&cursor={cursor}")) == (400, "invalid_cursor")
    answer = shop.call("GET", f"/orders?status=failed&cursor={cursor}", store="s1")
    assert code_of(answer) == (400, "invalid_cursor")
    assert code_of(shop.call("GET", "/orders?status=accepted")) == (422, "invalid_field")
    assert code_of(shop.call("GET", "/orders?limit=0")) == (422, "invalid_limit")


@pytest.mark.usefixtures("stopped")
def test_a_queued_order_is_not_charged_over_http(shop: Shop) -> None:
    """A debit or hold is a conflict; it stays queued, is listed so, and cannot be resent."""
    assert shop.queue("o1").json()["status"] == "queued"
    body = {"order_id": "o1", "store_id": "s1", "order_type": "auto", "tracking": "none"}
    assert code_of(shop.call("POST", "/debits", json=body, key="d1")) == (409, "order_conflict")
    assert code_of(shop.call("POST", "/holds", json=body, key="h1")) == (409, "order_conflict")
    assert code_of(shop.call("POST", "/orders/o1/resend")) == (409, "invalid_transition")
    assert shop.queue("o1").json() == {"order_id": "o1", "status": "queued", "attempt": 1}
    assert (shop.listed("status=queued"), shop.balance()) == (["o1"], ("5.00", "0.00"))
    assert (shop.order("o1")["hold_id"], shop.order("o1")["parts"]) == (None, {})


def test_an_order_that_was_sent_several_times_is_charged_once(shop: Shop) -> None:
    """Every repetition of a request for a queued order sends its message again, and all of them are the same."""
    for _ in range(5):
        shop.queue("o1", key="k1")
        shop.queue("o1")
    shop.wait("o1", "processing")
    eventually(lambda: not [message for message in shop.stack.orders() if shop.account_id in message.body])
    assert shop.balance() == ("5.00", "1.00")
    held = shop.call("GET", "/entries?order_id=o1").json()["items"]
    assert [entry["kind"] for entry in held] == ["held"]


# ---------------------------------------------------------------- dead letters


@dataclass(frozen=True)
class DeadLetters:
    """`python -m dev.stack.dead_letters` for the stack."""

    stack: Stack
    home: Path

    def run(self, **environment: str) -> list[tuple[str, str]]:
        """Reason and body of each letter that it lists; it counts them all in its last line."""
        *lines, last = self.stack.list_dead_letters(self.home, **environment)
        assert last.startswith(f"{len(lines)} dead letters")
        return [(reason, body) for reason, _, body in (line.split("\t", 2) for line in lines)]

    def of(self, shop: Shop) -> list[tuple[str, str]]:
        """Reason and body of the dead letters about an account."""
        return sorted(
            (letter.reason or "", letter.body) for letter in self.stack.dead_letters() if shop.account_id in letter.body
        )


@pytest.fixture
def dead_letters(stack: Stack, tmp_path: Path) -> DeadLetters:
    """The command, for this stack."""
    return DeadLetters(stack, tmp_path)


def event(shop: Shop, kind: str, **data: Any) -> str:
    """The body of a message about the account."""
    attributes = {"specversion": "1.0", "id": uuid4().hex, "source": "e2e", "type": kind}
    return json.dumps({**attributes, "data": {"account_id": shop.account_id, **data}})


def test_dead_letters_are_listed_with_their_reasons_and_stay(shop: Shop, dead_letters: DeadLetters) -> None:
    """Each body whole, beside why it was buried; looking at them takes none away."""
    work = {"order_id": "o1", "store_id": "s1", "order_type": "auto", "tracking": "none"}
    poison = [
        ("invalid_json", f"not JSON about {shop.account_id}"),
        ("invalid_field", event(shop, "auto_order.eaten", order_id="o1")),
        ("unknown_field", event(shop, "auto_order.requested", **work, credits="0.01")),
    ]
    for _, body in poison:
        shop.stack.send_body(body)
    eventually(lambda: len(dead_letters.of(shop)) == len(poison))
    for _ in range(2):
        listed = [letter for letter in dead_letters.run() if shop.account_id in letter[1]]
        assert sorted(listed) == sorted(poison) == dead_letters.of(shop)
    assert shop.listed() == []


def test_the_dead_letters_of_a_stack_are_found_by_its_name(shop: Shop, dead_letters: DeadLetters) -> None:
    """As on AWS, by the environment's credentials; a reason picks some."""
    body = f"not JSON about {shop.account_id}"
    shop.stack.send_body(body)
    eventually(lambda: dead_letters.of(shop))
    aws = {
        "AWS_ENDPOINT_URL": shop.stack.info["endpoint_url"],
        "AWS_DEFAULT_REGION": shop.stack.info["region"],
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    assert ("invalid_json", body) in dead_letters.run(STACK="autocredits", REASON="invalid_json", **aws)
    assert dead_letters.run(STACK="autocredits", REASON="nobody_knows", **aws) == []
    remove(shop.stack, body)


def test_redriving_is_safe(shop: Shop, dead_letters: DeadLetters) -> None:
    """What was mended is done, what was done already changes nothing, and what cannot be done comes back."""
    late = Shop(shop.stack, f"late-{uuid4().hex[:12]}")
    work = {"order_id": "o1", "store_id": "s1", "order_type": "auto", "tracking": "none"}
    mended = event(late, "auto_order.requested", **work)
    hopeless = event(shop, "auto_order.requested", **work, price="1.00")
    done = event(shop, "auto_order.requested", **work)
    for body in (mended, hopeless, done):
        shop.stack.send_body(body)
    shop.wait("o1", "processing")
    eventually(lambda: dead_letters.of(late) and dead_letters.of(shop))
    assert dead_letters.of(late) == [("account_not_found", mended)]
    letters = shop.stack.info["dead_letter_queue_url"]
    shop.stack.client("sqs").send_message(QueueUrl=letters, MessageBody=done)

    assert late.call("PUT", "", json={"orders_processor": "active"}, account=PLATFORM).status_code == 201
    redriven = dead_letters.run(REDRIVE="1")
    assert {("account_not_found", mended), ("unknown_field", hopeless)} <= set(redriven)
    assert ("received too often", done) in redriven

    late.wait("o1", "processing")
    eventually(lambda: dead_letters.of(shop) == [("unknown_field", hopeless)])
    eventually(lambda: not [message for message in shop.stack.orders() if shop.account_id in message.body])
    assert dead_letters.of(late) == []
    for one in (shop, late):
        assert one.balance() == ("5.00", "1.00")
        kinds = [entry["kind"] for entry in one.call("GET", "/entries?order_id=o1").json()["items"]]
        assert kinds == ["held"]


def test_any_body_can_be_put_back(shop: Shop, dead_letters: DeadLetters) -> None:
    """Also one that is nested beyond measure."""
    body = "[" * 100_000 + shop.account_id
    shop.stack.send_body(body)
    eventually(lambda: len(dead_letters.of(shop)) == 1)
    try:
        dead_letters.run(REDRIVE="1")
        eventually(lambda: dead_letters.of(shop) == [("invalid_json", body)])
    finally:
        remove(shop.stack, body)


def remove(stack: Stack, body: str) -> None:
    """Take one dead letter away for good, so that it is in nobody's way."""
    url = stack.info["dead_letter_queue_url"]
    sqs = stack.client("sqs")

    def look() -> bool:
        for letter in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=1).get(
            "Messages", []
        ):
            if letter["Body"] == body:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=letter["ReceiptHandle"])
        return body not in [letter.body for letter in stack.dead_letters()]

    eventually(look, seconds=90)

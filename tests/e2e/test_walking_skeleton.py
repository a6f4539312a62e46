"""The main job on the deployed local stack: over HTTP and through the queue, exactly once, and the balance says so."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import requests

from tests.kit.stack import Stack, eventually

PRICES = {
    ("fba", "none"): "1.00",
    ("fba", "bce"): "1.33",
    ("fba", "qtrack"): "2.50",
    ("fba", "tracking_generator"): "2.00",
    ("auto", "none"): "1.00",
    ("auto", "bce"): "1.33",
    ("auto", "qtrack"): "2.50",
    ("auto", "tracking_generator"): "2.00",
    ("manual", "bce"): "0.33",
    ("manual", "qtrack"): "0.50",
    ("manual", "tracking_generator"): "1.00",
}


@dataclass(frozen=True)
class Account:
    """A fresh account and what it does."""

    stack: Stack
    account_id: str

    def call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Call a route of the account; 503 says that the same request is safe to send again."""
        url = f"/v1/accounts/{self.account_id}{path}"
        answers = (self.stack.call(method, url, **arguments) for _ in range(30))
        return next(answer for answer in answers if answer.status_code != 503)

    def adjust(self, amount: str, unit: str = "auto_order") -> None:
        """Add to a unit."""
        body = {"unit": unit, "amount": amount, "reason": "test"}
        assert self.call("POST", "/adjustments", key=uuid4().hex, json=body).status_code == 201

    def debit(self, order_id: str, key: str, order_type: str = "auto", tracking: str = "bce") -> requests.Response:
        """Charge an order."""
        return self.call("POST", "/debits", key=key, json=work(order_id, order_type, tracking))

    def balance(self, unit: str = "auto_order") -> tuple[str, str]:
        """Posted and held."""
        found = self.call("GET", "/balance").json()["balances"][unit]
        return found["posted"], found["held"]

    def order(self, order_id: str) -> dict[str, Any]:
        """How an order stands; empty if it is not known."""
        answer = self.call("GET", f"/orders/{order_id}")
        found: dict[str, Any] = answer.json() if answer.ok else {}
        return found

    def entries(self) -> list[dict[str, Any]]:
        """All entries, oldest first."""
        items: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            page = self.call("GET", "/entries?limit=100" + (f"&cursor={cursor}" if cursor else "")).json()
            items += page["items"]
            cursor = page["next_cursor"]
        return items[::-1]

    def check_books(self) -> None:
        """The entries add up to the balance, step by step, and no page is missing."""
        entries = self.entries()
        sums: Counter[tuple[str, str]] = Counter()
        for entry in (entry for entry in entries if entry["unit"]):
            for side in ("posted", "held"):
                sums[entry["unit"], side] += cents(entry[side])
                assert cents(entry["balance"][side]) == sums[entry["unit"], side]
        for unit, balance in self.call("GET", "/balance").json()["balances"].items():
            assert [cents(balance[side]) for side in ("posted", "held")] == [sums[unit, "posted"], sums[unit, "held"]]
        versions = sorted({entry["version"] for entry in entries})
        assert versions == list(range(1, len(versions) + 1))


def cents(amount: str) -> int:
    """Hundredths of an amount."""
    return int(amount.replace(".", ""))


def work(order_id: str, order_type: str = "auto", tracking: str = "bce") -> dict[str, str]:
    """WORK of an order."""
    cost = {"cost": "23.50"} if order_type == "fba" else {}
    return {"order_id": order_id, "store_id": "s1", "order_type": order_type, "tracking": tracking, **cost}


@pytest.fixture
def account(stack: Stack) -> Account:
    """A fresh account with the add-on and its 5.00."""
    account_id = f"acc-{uuid4().hex[:12]}"
    opened = stack.call("PUT", f"/v1/accounts/{account_id}", json={"orders_processor": "active"})
    assert opened.status_code == 201
    return Account(stack, account_id)


def test_an_account_opened_twice_has_its_free_credits_once(account: Account) -> None:
    """The second time it is 200 and nothing changes, not even the add-on."""
    again = account.call("PUT", "", json={"orders_processor": "inactive"})
    assert (again.status_code, again.json()["orders_processor"]) == (200, "active")
    assert account.balance() == ("5.00", "0.00")


def test_a_debit_and_an_order_through_the_queue_spend_credits_of_one_account(account: Account, stack: Stack) -> None:
    """1.33 over HTTP leaves 3.67; qtrack by the queue holds 2.50, of which placing captures 1.00; it all adds up."""
    assert account.debit("web-1", "k1").status_code == 201
    assert account.balance() == ("3.67", "0.00")
    stack.send("auto_order.requested", {"account_id": account.account_id, **work("q-1", "auto", "qtrack")})
    eventually(lambda: account.balance() == ("3.67", "2.50"))
    placed = {"account_id": account.account_id, "order_id": "q-1", "supplier_order_id": "114-1"}
    stack.send("auto_order.placed", placed)
    eventually(lambda: account.balance() == ("2.67", "1.50"))
    assert account.order("q-1")["status"] == "ordered"
    done = {"account_id": account.account_id, "order_id": "q-1", "tracking_number": "QT1"}
    stack.send("tracking_conversion.completed", done)
    eventually(lambda: account.balance() == ("1.17", "0.00"))
    assert account.order("q-1")["status"] == "shipped"
    account.check_books()


@pytest.mark.parametrize(("order_type", "tracking"), PRICES)
def test_every_priced_pair_costs_its_cell(account: Account, order_type: str, tracking: str) -> None:
    """As the rate card says, debited at once; orders fulfilled by the platform take their cost from managed balance."""
    account.adjust("100.00", "managed")
    answer = account.debit("o1", "k1", order_type, tracking)
    price = PRICES[order_type, tracking]
    assert (answer.status_code, answer.json()["credits"]) == (201, price)
    assert cents(account.balance()[0]) == 500 - cents(price)
    assert account.balance("managed")[0] == ("76.50" if order_type == "fba" else "100.00")


def test_the_same_key_forty_times_at_once_charges_once(account: Account) -> None:
    """One first answer, and 39 times the same again."""
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda _: account.debit("o1", "k1"), range(40)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert account.balance() == ("3.67", "0.00")
    assert [entry["kind"] for entry in account.entries()] == ["opened", "granted", "debited"]


def test_sixty_racing_debits_on_forty_five_credits(account: Account) -> None:
    """45 are charged, 15 are told that credits lack, and exactly 0.00 is left."""
    account.adjust("40.00")
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda n: account.debit(f"o{n}", f"k{n}", tracking="none"), range(60)))
    assert Counter(answer.status_code for answer in answers) == {201: 45, 402: 15}
    assert account.balance() == ("0.00", "0.00")
    account.check_books()


def test_the_past_is_as_it_was(account: Account) -> None:
    """The balance at the time of any entry is the balance after it."""
    for number in range(3):
        account.debit(f"o{number}", f"k{number}", tracking="none")
    for entry in account.entries()[1:]:
        past = account.call("GET", f"/balance?at={entry['at']}").json()
        assert past["balances"]["auto_order"]["posted"] == entry["balance"]["posted"]
    before = account.call("GET", "/balance?at=2020-01-01T00:00:00Z").json()
    assert (before["version"], before["balances"]["auto_order"]["posted"]) == (0, "0.00")


def test_a_hold_is_captured_and_released_part_by_part(account: Account) -> None:
    """Placed is taken, the conversion that failed is given back."""
    opened = account.call("POST", "/holds", key="h1", json=work("o1", "auto", "qtrack"))
    assert (opened.status_code, opened.json()["parts"]) == (201, {"order": "1.00", "tracking": "1.50"})
    hold = f"/holds/{opened.json()['hold_id']}"
    assert account.call("POST", f"{hold}/capture", json={"parts": ["order"]}).status_code == 200
    released = account.call("POST", f"{hold}/release", json={"reason": "no such number"})
    assert released.json()["parts"] == {"order": "captured", "tracking": "released"}
    assert account.balance() == ("4.00", "0.00")
    assert account.call("POST", f"{hold}/capture").json() == account.call("GET", hold).json()


def test_a_poison_message_is_a_dead_letter_with_its_reason(account: Account, stack: Stack) -> None:
    """Its body is unchanged, and the messages beside it are not held up."""
    poison = f"not JSON {uuid4().hex}"
    stack.send_body(poison)
    stack.send("auto_order.requested", {"account_id": account.account_id, **work("q-1")})
    eventually(lambda: account.order("q-1").get("status") == "processing")
    eventually(lambda: any(letter.body == poison for letter in stack.dead_letters()))
    [letter] = [letter for letter in stack.dead_letters() if letter.body == poison]
    assert letter.reason == "invalid_json"


def test_a_result_before_its_request_waits(account: Account, stack: Stack) -> None:
    """It comes again after 5 seconds, and then finds what it is about."""
    placed = {"account_id": account.account_id, "order_id": "q-1", "supplier_order_id": "114-1"}
    stack.send("auto_order.placed", placed)
    eventually(lambda: any(account.account_id in letter.body for letter in stack.orders()))
    stack.send("auto_order.requested", {"account_id": account.account_id, **work("q-1", "auto", "none")})
    eventually(lambda: account.order("q-1").get("status") == "ordered")
    assert account.balance() == ("4.00", "0.00")

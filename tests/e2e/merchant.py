"""A merchant's account on a running stack, opened by the test that uses it."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import requests

from tests.kit.stack import Stack, eventually

PATIENCE = 40  # calls; under a burst on a small machine some answer 503 `try_again`
UNKNOWN_OUTCOME = 503
SETTLED_SECONDS = 60


@dataclass(frozen=True)
class Merchant:
    """A fresh account, and what can be done with it over HTTP and by the queue."""

    stack: Stack
    account_id: str

    def call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Call a route of the account as a client does: 503 says that the same request is safe to send again."""
        path = f"/v1/accounts/{self.account_id}{path}"
        for _ in range(PATIENCE):
            answer = self.stack.call(method, path, **arguments)
            if answer.status_code != UNKNOWN_OUTCOME:
                break
        return answer

    def adjust(self, amount: str, unit: str = "auto_order", key: str | None = None) -> requests.Response:
        """Add credits, or take them."""
        body = {"unit": unit, "amount": amount, "reason": "test"}
        return self.call("POST", "/adjustments", json=body, key=key or fresh("key"))

    def stand(self, **changes: str) -> None:
        """Change the account's standing."""
        assert self.call("PATCH", "", json=changes).status_code == 200

    def debit(self, body: dict[str, Any], key: str | None = None, **arguments: Any) -> requests.Response:
        """Charge work at once."""
        return self.call("POST", "/debits", json=body, key=key or fresh("key"), **arguments)

    def hold(self, body: dict[str, Any], key: str | None = None, **arguments: Any) -> requests.Response:
        """Set credits aside for work."""
        return self.call("POST", "/holds", json=body, key=key or fresh("key"), **arguments)

    def held(self, body: dict[str, Any]) -> str:
        """The id of a new hold for work."""
        answer = self.hold(body)
        assert answer.status_code == 201, answer.text
        hold_id: str = answer.json()["hold_id"]
        return hold_id

    def quote(self, body: dict[str, Any]) -> requests.Response:
        """Price work."""
        return self.call("POST", "/quotes", json=body)

    def capture(self, hold_id: str, **body: Any) -> requests.Response:
        """Take what is held, or the parts named."""
        return self.call("POST", f"/holds/{hold_id}/capture", json=body)

    def release(self, hold_id: str, **body: Any) -> requests.Response:
        """Give back what is held, or the parts named."""
        return self.call("POST", f"/holds/{hold_id}/release", json={"reason": "test"} | body)

    def standing(self, **query: str) -> dict[str, Any]:
        """The account as it stands, or stood."""
        found: dict[str, Any] = self.call("GET", "/balance", params=query).json()
        return found

    def balance(self, unit: str = "auto_order") -> tuple[str, str, str]:
        """What is posted, held and available of a unit."""
        amounts = self.standing()["balances"][unit]
        return amounts["posted"], amounts["held"], amounts["available"]

    def entries(self, **query: Any) -> list[dict[str, Any]]:
        """All entries that a filter lets through, newest first, page by page."""
        found: list[dict[str, Any]] = []
        page = self.call("GET", "/entries", params=query).json()
        found += page["items"]
        while page["next_cursor"]:
            page = self.call("GET", "/entries", params=query | {"cursor": page["next_cursor"]}).json()
            found += page["items"]
        return found

    def order(self, order_id: str) -> dict[str, Any]:
        """An order as it stands; of one that is unknown, the problem."""
        found: dict[str, Any] = self.call("GET", f"/orders/{order_id}").json()
        return found

    def sourcing(self, product_id: str) -> dict[str, Any]:
        """A sourcing request as it stands; of one that is unknown, the problem."""
        found: dict[str, Any] = self.call("GET", f"/sourcing/{product_id}").json()
        return found

    def tell(self, kind: str, message_id: str | None = None, **data: Any) -> str:
        """Put a message of the account on the queue and return its id."""
        return self.stack.send(kind, {"account_id": self.account_id} | data, message_id=message_id)

    def told(self, kind: str, message_id: str | None = None, **data: Any) -> str:
        """Put a message of the account on the queue and wait until it was worked on."""
        message_id = self.tell(kind, message_id, **data)
        self.settle()
        return message_id

    def settle(self) -> None:
        """Wait until no message of the account is under way or waiting."""
        eventually(
            lambda: not any(self.account_id in seen.body for seen in self.stack.orders()), seconds=SETTLED_SECONDS
        )

    def receives(self) -> list[int]:
        """How often each message of the account has been received that is under way or waiting."""
        return [seen.receive_count for seen in self.stack.orders() if self.account_id in seen.body]

    def dead_letters(self) -> list[str | None]:
        """The reasons of the account's dead letters."""
        return [seen.reason for seen in self.stack.dead_letters() if self.account_id in seen.body]


def fresh(name: str) -> str:
    """An id that no other test has."""
    return f"{name}-{uuid4().hex[:12]}"


def opened(stack: Stack, more: str = "", managed: str = "", *, active: bool = True) -> Merchant:
    """A new account with its 5.00 free credits, more of them if wanted, and managed balance."""
    merchant = Merchant(stack, fresh("merchant"))
    body = {"orders_processor": "active"} if active else {}
    assert merchant.call("PUT", "", json=body).status_code in {200, 201}  # 200 after a 503 that had opened it
    for unit, amount in (("auto_order", more), ("managed", managed)):
        if amount:
            assert merchant.adjust(amount, unit).status_code == 201
    return merchant


def work(order_type: str = "auto", tracking: str = "none", **changes: Any) -> dict[str, Any]:
    """An order to pay for; `fba` costs 23.50 as well."""
    cost = {"cost": "23.50"} if order_type == "fba" else {}
    order = {"order_id": fresh("order"), "store_id": "shop", "order_type": order_type, "tracking": tracking}
    return order | cost | changes


def refusal(answer: requests.Response) -> tuple[int, str]:
    """The status and code of an answer that must be a problem with all its members."""
    problem = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    assert {"type", "title", "status", "detail", "code", "request_id"} <= problem.keys()
    assert problem["status"] == answer.status_code
    return answer.status_code, problem["code"]

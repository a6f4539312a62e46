"""An account that buys on a running stack, and what its payment provider says of it."""

import json
import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import requests

from tests.e2e.merchant import fresh
from tests.kit.stack import Stack, sign


@dataclass(frozen=True)
class Buyer:
    """A fresh account that buys."""

    stack: Stack
    account_id: str

    def call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Call a route of the account, as the platform unless told otherwise."""
        return self.stack.call(method, f"/v1/accounts/{self.account_id}{path}", **arguments)

    def patiently(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Call a route as a client does: 503 says that the same request is safe to send again."""
        answers = (self.call(method, path, **arguments) for _ in range(20))
        return next(answer for answer in answers if answer.status_code != 503)

    def start(self, **body: Any) -> dict[str, Any]:
        """Start a purchase, by default of 100 credits by card."""
        wanted = body if "unit" in body else {"package": "auto_order-100"} | body
        answer = self.call("POST", "/purchases", key=uuid4().hex, json={"payment_method": "card"} | wanted)
        assert answer.status_code == 201, answer.text
        started: dict[str, Any] = answer.json()
        return started

    def purchase(self, purchase_id: str) -> dict[str, Any]:
        """The purchase as it stands."""
        found: dict[str, Any] = self.call("GET", f"/purchases/{purchase_id}").json()
        return found

    def posted(self, unit: str = "auto_order") -> str:
        """What the account owns."""
        posted: str = self.call("GET", "/balance").json()["balances"][unit]["posted"]
        return posted

    def event(self, purchase: dict[str, Any], kind: str = "payment.succeeded", **changes: str) -> dict[str, str]:
        """What the sandbox would say of the purchase."""
        return {
            "id": f"evt_{uuid4().hex}",
            "type": kind,
            "account_id": self.account_id,
            "purchase_id": purchase["purchase_id"],
            "payment_id": f"pay_{purchase['purchase_id']}",
            "amount": purchase["price"],
            "currency": "USD",
        } | changes

    def deliver(self, event: dict[str, str], *, secret: str | None = None, at: float | None = None) -> int:
        """Send a webhook, and give the status that it is answered with."""
        raw = json.dumps(event).encode()
        now = str(int(time.time() if at is None else at))
        signature = sign(secret or self.stack.info["webhook_secrets"]["sandbox"], now, raw)
        return self.send(raw, {"Sandbox-Signature": f"t={now},v1={signature}"})

    def send(self, raw: bytes, headers: dict[str, str]) -> int:
        """Send any bytes to the sandbox's webhook; an answer has no body."""
        answer = self.stack.call_as_is("POST", "/v1/payments/sandbox/webhook", data=raw, headers=headers)
        assert answer.content == b""
        return answer.status_code


def opened_buyer(stack: Stack) -> Buyer:
    """A fresh account with the add-on."""
    buyer = Buyer(stack, fresh("buyer"))
    assert buyer.call("PUT", "", json={"orders_processor": "active"}).status_code == 201
    return buyer


def fresh_code() -> str:
    """A coupon's code that no other test has."""
    return f"C-{uuid4().hex[:8].upper()}"

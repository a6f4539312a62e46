"""The demo account of a local stack: its first order, and a shop and an automation engine that keep `make run` alive.

The first order shows that the stack works. Its steps can be repeated: a second start finds the account and the order
as they are. After that the shop sends an order every few seconds, and the engine works on those that are paid for:
most are placed and their tracking numbers converted, some fail and are sent again. Both stop after `MAX_ORDERS` orders
and only ever look at the demo account.
"""

import json
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import requests

from dev.stack import deploy, issuer
from dev.stack.places import Places, StackInfo

ACCOUNT = "demo"
FIRST_ORDER = "demo-1"
WAIT_SECONDS = 30
MAX_ORDERS = 300
PAUSE_SECONDS = 3.0
TRACKINGS = ("none", "bce", "qtrack", "tracking_generator")
TOP_UP = "20.00"


def run_first_order(places: Places, stack: StackInfo) -> dict[str, Any]:
    """Open the account, take one order through the queue, and return the balance."""
    account = f"{stack['api_url']}/v1/accounts/{ACCOUNT}"
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {issuer.mint(places.key, stack['issuer'])}"
        _checked(session.put(account, json={"orders_processor": "active"}, timeout=30))
        work = {"order_id": FIRST_ORDER, "store_id": "demo-store", "order_type": "auto", "tracking": "bce"}
        _send(places, stack, "auto_order.requested", work, message_id=f"{FIRST_ORDER}-requested")
        _wait_for_order(session, f"{account}/orders/{FIRST_ORDER}", "processing")
        placed = {"order_id": FIRST_ORDER, "supplier_order_id": "114-0000001"}
        _send(places, stack, "auto_order.placed", placed, message_id=f"{FIRST_ORDER}-placed")
        _wait_for_order(session, f"{account}/orders/{FIRST_ORDER}", "ordered")
        return _checked(session.get(f"{account}/balance", timeout=30))


@contextmanager
def playing(places: Places, info: StackInfo) -> Iterator[None]:
    """Play the shop and the engine in the background until the block ends."""
    stop = threading.Event()
    with requests.Session() as session, requests.Session() as platform:
        session.headers["Authorization"] = f"Bearer {issuer.mint(places.key, info['issuer'], account_id=ACCOUNT)}"
        platform.headers["Authorization"] = f"Bearer {issuer.mint(places.key, info['issuer'])}"
        thread = threading.Thread(target=_play, args=(Demo(places, info, session, platform), stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _play(demo: "Demo", stop: threading.Event) -> None:
    try:
        for number in range(MAX_ORDERS):
            demo.order(number)
            if stop.wait(PAUSE_SECONDS):
                return
            demo.work()
        print(f"demo: stopped after {MAX_ORDERS} orders; start the stack again for more", flush=True)
    except (requests.RequestException, SystemExit) as error:
        print(f"demo: stopped ({error}); the stack itself keeps running", flush=True)


@dataclass(frozen=True)
class Demo:
    """A shop that sends orders, and the engine that works on them. Only the `platform` may adjust balances."""

    places: Places
    info: StackInfo
    session: requests.Session
    platform: requests.Session

    def call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        key: str = "",
        *,
        by: requests.Session | None = None,
    ) -> dict[str, Any]:
        """Call a route of the demo account; a refusal ends the demo with one line."""
        url = f"{self.info['api_url']}/v1/accounts/{ACCOUNT}{path}"
        headers = {"Idempotency-Key": key} if key else {}
        return _checked((by or self.session).request(method, url, json=body, headers=headers, timeout=30))

    def order(self, number: int) -> None:
        """Send an order, and top up first when the account runs low."""
        order_id = f"demo-{uuid4().hex[:12]}"
        tracking = TRACKINGS[number % len(TRACKINGS)]
        work = {"order_id": order_id, "store_id": "demo-store", "order_type": "auto", "tracking": tracking}
        available = self.call("GET", "/balance")["balances"]["auto_order"]["available"]
        if len(available) < len(TOP_UP):  # below 10.00
            body = {"unit": "auto_order", "amount": TOP_UP, "reason": "demo top-up"}
            self.call("POST", "/adjustments", body, key=f"top-up-{order_id}", by=self.platform)
        self.call("POST", "/orders", work, key=order_id)

    def work(self) -> None:
        """Work on every order that is paid for, and send the failed ones again."""
        for order in self.call("GET", "/orders?status=processing&limit=100")["items"]:
            self.place(order)
        if self.call("GET", "/orders?status=failed&limit=1")["items"]:
            self.call("POST", "/orders/resend", {"status": "failed"})

    def place(self, order: dict[str, Any]) -> None:
        """Place an order and convert its tracking number. About one in eight fails, chosen by its hold's id."""
        chance = zlib.crc32(order["hold_id"].encode())
        result = {"order_id": order["order_id"], "attempt": order["attempt"]}
        if chance % 8 == 0:
            self.tell("auto_order.failed", order, {**result, "reason": "the supplier is out of stock"})
            return
        self.tell("auto_order.placed", order, {**result, "supplier_order_id": f"114-{chance:010d}"})
        if "tracking" in order["parts"]:
            self.tell("tracking_conversion.completed", order, {**result, "tracking_number": f"QT{chance:010d}"})

    def tell(self, kind: str, order: dict[str, Any], data: dict[str, Any]) -> None:
        """Report on the queue. Repeated in the next round, it is the same message."""
        _send(self.places, self.info, kind, data, message_id=f"{order['hold_id']}-{kind}")


def _send(places: Places, stack: StackInfo, kind: str, data: dict[str, Any], *, message_id: str) -> None:
    """Put a message about the demo account on the orders queue."""
    message = {
        "specversion": "1.0",
        "id": message_id,
        "source": "autocredits-demo",
        "type": kind,
        "data": {"account_id": ACCOUNT, **data},
    }
    deploy.client("sqs", places).send_message(
        QueueUrl=stack["orders_queue_url"], MessageBody=json.dumps(message), MessageGroupId=ACCOUNT
    )


def _wait_for_order(session: requests.Session, url: str, status: str) -> None:
    """Wait until the order has the status, or is past it since an earlier run."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        answer = session.get(url, timeout=30)
        if answer.status_code != requests.codes.not_found and _checked(answer)["status"] in (status, "ordered"):
            return
        time.sleep(0.1)
    raise SystemExit(f"error: the demo order did not become {status} within {WAIT_SECONDS} s")


def _checked(answer: requests.Response) -> dict[str, Any]:
    """The answer's body. Raises SystemExit with one line if it is a refusal."""
    if not answer.ok:
        raise SystemExit(f"error: {answer.request.method} {answer.url} answered {answer.status_code}: {answer.text}")
    body: dict[str, Any] = answer.json()
    return body

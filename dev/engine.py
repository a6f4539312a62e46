"""The automation engine's part on a local stack, so that `make run` is alive.

Every few seconds a shop of the demo account sends an order, and the engine works on what the account has paid for:
most orders are placed and their numbers converted, some fail and are sent again. It stops by itself after some
hundred orders. It looks at the demo account's orders only, so it is in nobody's way.
"""

import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import requests

from dev import issuer
from dev.demo import ACCOUNT, checked, send
from dev.places import Places, StackInfo

MAX_ORDERS = 300
PAUSE_SECONDS = 3.0
TRACKINGS = ("none", "bce", "qtrack", "tracking_generator")
TOP_UP = "20.00"


@contextmanager
def playing(places: Places, info: StackInfo) -> Iterator[None]:
    """Play both parts in the background, and stop when left."""
    stop = threading.Event()
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {issuer.mint(places.key, info['issuer'], account_id=ACCOUNT)}"
        thread = threading.Thread(target=_play, args=(Demo(places, info, session), stop), daemon=True)
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
        print(f"demo: {MAX_ORDERS} orders are enough; start again for more", flush=True)
    except (requests.RequestException, SystemExit) as error:
        print(f"demo: stopped ({error}); the stack itself goes on", flush=True)


@dataclass(frozen=True)
class Demo:
    """A shop that sends orders, and the engine that works on them."""

    places: Places
    info: StackInfo
    session: requests.Session

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, key: str = "") -> dict[str, Any]:
        """Call a route of the demo account; a refusal ends the demo with one line."""
        url = f"{self.info['api_url']}/v1/accounts/{ACCOUNT}{path}"
        headers = {"Idempotency-Key": key} if key else {}
        return checked(self.session.request(method, url, json=body, headers=headers, timeout=30))

    def order(self, number: int) -> None:
        """Send an order, and top up when the account runs low."""
        order_id = f"demo-{uuid4().hex[:12]}"
        tracking = TRACKINGS[number % len(TRACKINGS)]
        work = {"order_id": order_id, "store_id": "demo-store", "order_type": "auto", "tracking": tracking}
        available = self.call("GET", "/balance")["balances"]["auto_order"]["available"]
        if len(available) < len(TOP_UP):  # below 10.00
            body = {"unit": "auto_order", "amount": TOP_UP, "reason": "demo top-up"}
            self.call("POST", "/adjustments", body, key=f"top-up-{order_id}")
        self.call("POST", "/orders", work, key=order_id)

    def work(self) -> None:
        """Work on every order that is paid for, and send those that failed again."""
        for order in self.call("GET", "/orders?status=processing&limit=100")["items"]:
            self.place(order)
        if self.call("GET", "/orders?status=failed&limit=1")["items"]:
            self.call("POST", "/orders/resend", {"status": "failed"})

    def place(self, order: dict[str, Any]) -> None:
        """Place one order and convert its number, or fail: about one in eight does, by its name and attempt."""
        chance = zlib.crc32(order["hold_id"].encode())
        result = {"order_id": order["order_id"], "attempt": order["attempt"]}
        if chance % 8 == 0:
            self.tell("auto_order.failed", order, {**result, "reason": "the supplier is out of stock"})
            return
        self.tell("auto_order.placed", order, {**result, "supplier_order_id": f"114-{chance:010d}"})
        if "tracking" in order["parts"]:
            self.tell("tracking_conversion.completed", order, {**result, "tracking_number": f"QT{chance:010d}"})

    def tell(self, kind: str, order: dict[str, Any], data: dict[str, Any]) -> None:
        """Answer on the queue; told again in the next round, it is the same message."""
        send(self.places, self.info, kind, data, message_id=f"{order['hold_id']}-{kind}")
        print(f"demo: {kind} {order['order_id']} (attempt {order['attempt']})", flush=True)

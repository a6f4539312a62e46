"""The demo account of a local stack: its first order, and a shop and an automation engine that keep `make run` alive.

The first order shows that the stack works: it is requested by the queue, told by an event once it is paid for, and
answered by the engine. Its steps can be repeated: a second start finds the account and the order as they are. After
that the shop sends an order every few seconds, and the engine works on those that are funded: most are placed and
their tracking numbers converted, some fail and are sent again. Both stop after `MAX_ORDERS` orders and only ever look
at the demo account.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import requests
from botocore.exceptions import BotoCoreError, ClientError

from dev.stack import demo_engine, deploy, issuer
from dev.stack.demo_engine import ACCOUNT, Engine
from dev.stack.places import Places, StackInfo

FIRST_ORDER = "demo-1"
WAIT_SECONDS = 30
MAX_ORDERS = 300
PAUSE_SECONDS = 3.0
TRACKINGS = ("none", "bce", "qtrack", "tracking_generator")
TOP_UP = "20.00"


def engine_of(places: Places, stack: StackInfo) -> Engine:
    """The demo's engine, with the events of the demo account on their way to it."""
    sqs = deploy.client("sqs", places)
    events_url = demo_engine.subscribe(deploy.client("events", places), sqs, stack["bus_name"])
    return Engine(sqs, events_url, stack["orders_queue_url"])


def run_first_order(places: Places, stack: StackInfo, engine: Engine) -> dict[str, Any]:
    """Open the account, see one order through from the queue to the supplier, and return the balance."""
    account = f"{stack['api_url']}/v1/accounts/{ACCOUNT}"
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {issuer.mint(places.key, stack['issuer'])}"
        _checked(session.put(account, json={"orders_processor": "active"}, timeout=30))
        work = {"order_id": FIRST_ORDER, "store_id": "demo-store", "order_type": "auto", "tracking": "bce"}
        engine.send(demo_engine.message(f"{FIRST_ORDER}-requested", "auto_order.requested", work))
        _see_through(session, f"{account}/orders/{FIRST_ORDER}", engine)
        return _checked(session.get(f"{account}/balance", timeout=30))


@contextmanager
def playing(places: Places, info: StackInfo, engine: Engine) -> Iterator[None]:
    """Play the shop and the engine in the background until the block ends."""
    stop = threading.Event()
    with requests.Session() as session, requests.Session() as platform:
        session.headers["Authorization"] = f"Bearer {issuer.mint(places.key, info['issuer'], account_id=ACCOUNT)}"
        platform.headers["Authorization"] = f"Bearer {issuer.mint(places.key, info['issuer'])}"
        thread = threading.Thread(target=_play, args=(Demo(info, engine, session, platform), stop), daemon=True)
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
    except (requests.RequestException, BotoCoreError, ClientError, SystemExit) as error:
        print(f"demo: stopped ({error}); the stack itself keeps running", flush=True)


@dataclass(frozen=True)
class Demo:
    """A shop that sends orders, and the engine that works on them. Only the `platform` may adjust balances."""

    info: StackInfo
    engine: Engine
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
        """Work on all that is funded, and send the orders that failed again."""
        self.engine.work()
        if self.call("GET", "/orders?status=failed&limit=1")["items"]:
            self.call("POST", "/orders/resend", {"status": "failed"})


def _see_through(session: requests.Session, url: str, engine: Engine) -> None:
    """Work until the order is shipped; since an earlier run it may be already."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        answer = session.get(url, timeout=30)
        if answer.status_code != requests.codes.not_found and _checked(answer)["status"] in ("ordered", "shipped"):
            return
        engine.work()
        time.sleep(0.1)
    raise SystemExit(f"error: the demo order was not placed within {WAIT_SECONDS} s")


def _checked(answer: requests.Response) -> dict[str, Any]:
    """The answer's body. Raises SystemExit with one line if it is a refusal."""
    if not answer.ok:
        raise SystemExit(f"error: {answer.request.method} {answer.url} answered {answer.status_code}: {answer.text}")
    body: dict[str, Any] = answer.json()
    return body

"""The demo account and its first order, so that a new stack has something to show.

Every step is one that a repetition does not change: a second start finds the account and the order as they are.
"""

import json
import time
from typing import Any

import requests

from dev import deploy, issuer
from dev.places import Places, StackInfo

ACCOUNT = "demo"
ORDER = "demo-1"
WAIT_SECONDS = 30


def run_first_order(places: Places, stack: StackInfo) -> dict[str, Any]:
    """Open the account, let one order pass the queue, and return the balance."""
    token = issuer.mint(places.key, stack["issuer"])
    account = f"{stack['api_url']}/v1/accounts/{ACCOUNT}"
    headers = {"Authorization": f"Bearer {token}"}
    with requests.Session() as session:
        session.headers.update(headers)
        checked(session.put(account, json={"orders_processor": "active"}, timeout=30))
        work = {"order_id": ORDER, "store_id": "demo-store", "order_type": "auto", "tracking": "bce"}
        send(places, stack, "auto_order.requested", work, message_id=f"{ORDER}-requested")
        _wait_for_order(session, f"{account}/orders/{ORDER}", "processing")
        placed = {"order_id": ORDER, "supplier_order_id": "114-0000001"}
        send(places, stack, "auto_order.placed", placed, message_id=f"{ORDER}-placed")
        _wait_for_order(session, f"{account}/orders/{ORDER}", "ordered")
        return checked(session.get(f"{account}/balance", timeout=30))


def send(places: Places, stack: StackInfo, kind: str, data: dict[str, Any], *, message_id: str) -> None:
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
    """Wait until the order has reached a status, or gone beyond it in an earlier run."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        answer = session.get(url, timeout=30)
        if answer.status_code != requests.codes.not_found and checked(answer)["status"] in (status, "ordered"):
            return
        time.sleep(0.1)
    raise SystemExit(f"error: the demo order did not become {status} within {WAIT_SECONDS} s")


def checked(answer: requests.Response) -> dict[str, Any]:
    """The answer's body; one clear line if it is a refusal."""
    if not answer.ok:
        raise SystemExit(f"error: {answer.request.method} {answer.url} answered {answer.status_code}: {answer.text}")
    body: dict[str, Any] = answer.json()
    return body

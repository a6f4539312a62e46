"""The sandbox's payment page: a person pays or declines, and a signed webhook tells the service."""

import hashlib
import hmac
import html
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import requests

from dev.stack import issuer, web
from dev.stack.places import Places, StackInfo

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Sandbox payment</title>
<link rel="icon" href="data:,"><style>body{{font:16px system-ui;max-width:32rem;margin:4rem auto;padding:0 1rem}}
button{{font:inherit;padding:.6rem 1.2rem}}</style>
<h1>Sandbox payment</h1><p>{what}</p><p>No money moves here: this page belongs to a local stack.</p>{actions}"""
ACTIONS = """<form method="post"><button name="do" value="succeeded">Pay {price}</button>
<button name="do" value="declined">Decline</button></form>"""


@contextmanager
def serving(places: Places, info: StackInfo) -> Iterator[None]:
    """Serve the page on 127.0.0.1."""

    class Handler(web.Quiet):
        def do_GET(self) -> None:
            self.reply(200, "text/html; charset=utf-8", page(places, info, self.path))

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())
            place = pay(places, info, self.path, form.get("do", ["declined"])[0])
            self.send_response(303)
            self.send_header("Location", place)
            self.end_headers()

    with web.serving(Handler, places.sandbox_port):
        yield


def page(places: Places, info: StackInfo, address: str) -> str:
    """What the buyer sees: the purchase and its status, with buttons while it can be paid."""
    purchase = read_purchase(places, info, address)
    if purchase is None:
        return PAGE.format(what="There is no such purchase.", actions="")
    what = f"{purchase.get('package') or purchase['unit']}: {purchase['credits']} for ${purchase['price']}"
    what += f" — {purchase['status']}"
    payable = purchase["status"] in ("pending", "declined")
    actions = ACTIONS.format(price=f"${purchase['price']}") if payable else ""
    return PAGE.format(what=html.escape(what), actions=actions)


def read_purchase(places: Places, info: StackInfo, address: str) -> dict[str, Any] | None:
    """The purchase that the page's address names, if there is one."""
    account_id, purchase_id = named(address)
    url = f"{info['api_url']}/v1/accounts/{quote(account_id, safe='')}/purchases/{quote(purchase_id, safe='')}"
    token = issuer.mint(places.key, info["issuer"])
    answer = requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=30)
    found: dict[str, Any] = answer.json()
    return found if answer.ok else None


def named(address: str) -> tuple[str, str]:
    """Account and purchase of `/pay/<account>/<purchase>`; empty strings for any other address."""
    parts = urlsplit(address).path.split("/")
    return (parts[2], parts[3]) if len(parts) == 4 and parts[1] == "pay" else ("", "")  # noqa: PLR2004


def pay(places: Places, info: StackInfo, address: str, decision: str) -> str:
    """Tell the service what the buyer decided, and return where to go: back to the shop once paid, if it named one."""
    account_id, purchase_id = named(address)
    purchase = read_purchase(places, info, address)
    if purchase is not None:
        send(
            info,
            {
                "id": f"evt_{time.time_ns()}",
                "type": "payment.succeeded" if decision == "succeeded" else "payment.declined",
                "account_id": account_id,
                "purchase_id": purchase_id,
                "payment_id": f"pay_{purchase_id}_{time.time_ns()}",
                "amount": purchase["price"],
                "currency": "USD",
            },
        )
    back = parse_qs(urlsplit(address).query).get("return_url", [""])[0]
    if not back or decision != "succeeded":
        return address
    return f"{back}{'&' if urlsplit(back).query else '?'}purchase_id={quote(purchase_id)}"


def sign(secret: str, time_s: str, raw: bytes) -> str:
    """The signature of a body as the contract defines it: HMAC-SHA256 of "t.body" in hexadecimal."""
    return hmac.new(secret.encode(), time_s.encode() + b"." + raw, hashlib.sha256).hexdigest()


def send(info: StackInfo, event: dict[str, str]) -> int:
    """Send a webhook with the sandbox's signature, and return the status of the answer."""
    raw = json.dumps(event).encode()
    now = str(int(time.time()))
    headers = {"Sandbox-Signature": f"t={now},v1={sign(info['webhook_secrets']['sandbox'], now, raw)}"}
    url = f"{info['api_url']}/v1/payments/sandbox/webhook"
    return requests.post(url, data=raw, headers=headers, timeout=30).status_code

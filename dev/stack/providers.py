"""The payment providers of a local stack: doubles of all three, real test environments, or the sandbox alone.

`make run PROVIDERS=doubles` plays Stripe, PayPal and Payoneer on this machine. Without that, a provider whose test keys
lie in `.local/providers/<name>.json` is the real one (docs/payments.md), and the sandbox takes what is left.
"""

import json
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import requests

from dev.doubles import payoneer, paypal, stripe
from dev.doubles.serving import Double, Sent, running
from dev.stack.places import DOUBLES, Places, StackInfo

Secret = dict[str, Any]
Doubles = dict[str, Any]

LOOK_S = 0.05
AGAIN_S = 1.0
"""How long after a webhook was refused it is sent again."""


@contextmanager
def doubles(places: Places) -> Iterator[Doubles]:
    """A double of each provider, if PROVIDERS asks for them, on the ports after the sandbox's."""
    wanted = os.environ.get("PROVIDERS", "")
    if wanted not in ("", "doubles"):
        raise SystemExit("error: PROVIDERS can be `doubles`, or left out")
    made: Doubles = {}
    if wanted:
        made = {
            "stripe": stripe.StripeDouble(),
            "paypal": paypal.PayPalDouble(),
            "payoneer": payoneer.PayoneerDouble(),
        }
    with ExitStack() as stack:
        for name, double in made.items():
            port = places.double_port(name)
            try:
                stack.enter_context(running(double, port))
            except OSError:
                raise SystemExit(f"error: port {port} is in use; choose another with `make run PORT=…`") from None
        yield made


def secrets_of(places: Places, made: Doubles, signing: dict[str, str]) -> dict[str, Secret]:
    """Each provider's secret. `signing` are the stack's own signing secrets, which work beside all others."""
    secrets: dict[str, Secret] = {name: {"signing": [secret]} for name, secret in signing.items()}
    if made:
        own = [stripe.SIGNING, signing["stripe"]]
        secrets["stripe"] = {"api_key": stripe.KEY, "signing": own, "double": made["stripe"].settings()}
        secrets["paypal"] = {
            "client_id": paypal.CLIENT_ID,
            "client_secrets": [paypal.CLIENT_SECRET],
            "webhook_ids": [paypal.WEBHOOK_ID],
            "double": made["paypal"].settings(),
        }
        secrets["payoneer"] = {
            "merchant_code": payoneer.MERCHANT,
            "tokens": [payoneer.TOKEN],
            "notifications": [payoneer.NOTIFICATIONS],
            "double": made["payoneer"].settings(),
        }
        return secrets
    for name in DOUBLES:
        keys = places.home / "providers" / f"{name}.json"
        if keys.exists():
            secrets[name] = _read(keys.read_text(), str(keys))
    return secrets


def _read(text: str, path: str) -> Secret:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or "double" in found:
        raise SystemExit(f"error: {path} must hold the provider's keys as an object; see docs/payments.md")
    return found


@contextmanager
def sending(made: Doubles, info: StackInfo) -> Iterator[None]:
    """Send the doubles' webhooks, and those that were refused again a while later."""
    stopping = threading.Event()
    threads = [
        threading.Thread(target=_send_all, args=(name, double, info, stopping), daemon=True)
        for name, double in made.items()
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def _send_all(name: str, double: Double, info: StackInfo, stopping: threading.Event) -> None:
    """Send what waits, until it is taken: what was refused is sent again together with what has come since."""
    address, outbox = f"{info['api_url']}/v1/payments/{name}/webhook", double.serving.outbox
    pause_s = LOOK_S
    while not stopping.wait(pause_s):
        taken = [_take(address, sent, outbox) for sent in ([] if double.serving.muted else list(outbox))]
        pause_s = LOOK_S if all(taken) else AGAIN_S


def _take(address: str, sent: Sent, outbox: deque[Sent]) -> bool:
    """Send a webhook, and say whether it was taken."""
    taken = _send(address, sent)
    if taken:
        outbox.remove(sent)
    return taken


def _send(address: str, sent: Sent) -> bool:
    """Whether a webhook was taken."""
    try:
        return requests.post(address, data=sent.raw, headers=sent.headers, params=sent.query, timeout=30).ok
    except requests.RequestException:
        return False

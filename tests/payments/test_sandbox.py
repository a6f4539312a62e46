"""The sandbox: signed like a provider's webhooks, and only where the service talks to an emulator on this machine."""

import json
from typing import Any

import pytest

from autocredits.domain.errors import Problem
from autocredits.domain.purchases.facts import Checkout
from functions.purchase.payments.port import Notice, StartRequest
from functions.purchase.payments.sandbox import Sandbox
from tests.kit.stack import sign

NOW_S = 1_800_000_000
EVENT = {
    "id": "evt_1",
    "type": "payment.succeeded",
    "account_id": "acme",
    "purchase_id": "pur_1",
    "payment_id": "pay_1",
    "amount": "39.90",
    "currency": "USD",
}
SANDBOX = Sandbox(page_url="http://127.0.0.1:1", secrets=("new", "old"), now_s=lambda: NOW_S)


def headers(raw: bytes, *, secret: str = "new", at_s: int = NOW_S) -> dict[str, str]:
    """The signature of a body."""
    return {"sandbox-signature": f"t={at_s},v1={sign(secret, str(at_s), raw)}"}


@pytest.mark.parametrize("secret", ["new", "old"])
@pytest.mark.parametrize("at_s", [NOW_S - 300, NOW_S, NOW_S + 300])
def test_what_either_secret_signed_lately_is_believed(secret: str, at_s: int) -> None:
    """Two secrets can be in use at a time, and clocks may differ by 300 seconds."""
    raw = json.dumps(EVENT).encode()
    webhook = SANDBOX.read_webhook(Notice(raw, headers(raw, secret=secret, at_s=at_s)))
    assert webhook is not None
    assert (webhook.account_id, webhook.events[0].type, webhook.events[0].amount) == ("acme", "paid", 3990)


@pytest.mark.parametrize(
    "signature",
    [
        headers(b"{}", secret="wrong"),
        headers(b"{}", at_s=NOW_S - 301),
        headers(b"{}", at_s=NOW_S + 301),
        headers(b"{} "),
        {"sandbox-signature": ""},
        {"sandbox-signature": "t=1"},
        {"sandbox-signature": f"t={NOW_S},v1=é"},
        {},
    ],
)
def test_what_is_not_signed_is_not_even_parsed(signature: dict[str, str]) -> None:
    """Forged, stale, from the future, of another body, malformed or missing: all the same answer."""
    with pytest.raises(Problem) as refused:
        SANDBOX.read_webhook(Notice(b"{}", signature))
    assert refused.value.code == "bad_signature"


@pytest.mark.parametrize("change", [{"amount": 39.9}, {"amount": None}, {"currency": ""}, {"purchase_id": 1}])
def test_a_signed_event_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    """It is put aside rather than guessed at."""
    raw = json.dumps(EVENT | change).encode()
    with pytest.raises(Problem):
        SANDBOX.read_webhook(Notice(raw, headers(raw)))


def test_an_event_of_another_type_is_of_no_interest() -> None:
    """Providers have more to say than we need."""
    raw = json.dumps(EVENT | {"type": "payment.viewed"}).encode()
    assert SANDBOX.read_webhook(Notice(raw, headers(raw))) is None


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("payment.declined", {}, ("declined", None, None)),
        ("payment.refunded", {}, ("refunded", None, None)),
        ("refund.failed", {"refund_id": "re_1"}, ("refund_failed", None, "re_1")),
        ("refund.failed", {}, ("refund_failed", None, None)),
        ("dispute.created", {"dispute_id": "d_1"}, ("dispute_created", "d_1", None)),
        ("dispute.won", {"dispute_id": "d_1"}, ("dispute_won", "d_1", None)),
        ("dispute.lost", {}, ("dispute_lost", None, None)),
    ],
)
def test_what_befalls_a_payment(kind: str, fields: dict[str, str], expected: tuple[str | None, ...]) -> None:
    """Each type of event has its own, and disputes and failed refunds may have ids."""
    raw = json.dumps(EVENT | {"type": kind} | fields).encode()
    webhook = SANDBOX.read_webhook(Notice(raw, headers(raw)))
    assert webhook is not None
    assert (webhook.events[0].type, webhook.events[0].dispute_id, webhook.events[0].refund_id) == expected


def test_the_page_knows_where_to_go_back_to() -> None:
    """Its address names account and purchase, and carries the shop's own, encoded; each checkout has a name."""
    request = StartRequest(
        account_id="acme",
        purchase_id="pur_1",
        number=3,
        started_at=0,
        price=3990,
        description="auto_order-100",
        return_url="https://shop.example/?a=1&b=2",
        webhook_url="",
        payer=None,
    )
    started = SANDBOX.start(request)
    assert (started.reference, started.redirect_url) == (
        "pur_1-3",
        "http://127.0.0.1:1/pay/acme/pur_1?return_url=https%3A%2F%2Fshop.example%2F%3Fa%3D1%26b%3D2",
    )


def test_the_sandbox_keeps_nothing() -> None:
    """So there is nothing to close and nothing to tell when it is polled."""
    checkout = Checkout(number=1, payment_method="card", provider="sandbox", started_at=0, reference="pur_1-1")
    assert SANDBOX.close(checkout) == "closed"

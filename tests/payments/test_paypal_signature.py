"""PayPal's signature of a webhook: everything that is wrong with it, and how little it proves."""

import base64
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from autocredits.domain.errors import Problem
from autocredits.ledger.ports import UnavailableError
from dev.doubles import paypal_certificates as certificates
from dev.doubles.paypal import CERTIFICATE, WEBHOOK_ID, PayPalDouble
from dev.doubles.serving import Sent, running
from functions.purchase.payments import paypal_signature
from functions.purchase.payments.asking import Host
from functions.purchase.payments.paypal_signature import MAX_KEPT, Signatures
from tests.payments.conftest import Counted
from tests.payments.market import Market
from tests.payments.shop import BOUGHT, FREE

BODY = b'{"id": "WH-1", "event_type": "anything"}'

at_paypal = pytest.mark.parametrize("market", ["paypal"], indirect=True)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[PayPalDouble]:
    """A PayPal whose certificate nobody knows yet."""
    monkeypatch.setattr(paypal_signature, "_kept", {})
    with running(PayPalDouble()) as served:
        yield served


def signatures(served: PayPalDouble, **changes: Any) -> Signatures:
    """How its signatures are checked."""
    host = Host(provider="paypal", base_url=served.serving.base_url, read_s=0.3)
    plain: dict[str, Any] = {"webhook_ids": (WEBHOOK_ID,), "host": host, "signer": certificates.SIGNER}
    return Signatures(**{**plain, "root": certificates.common_authority().pem(), **changes})


def is_bad(found: Signatures, sent: Sent) -> bool:
    """Whether the signature is refused."""
    try:
        found.check(sent.raw, sent.headers)
    except Problem as problem:
        return problem.code == "bad_signature"
    return False


def test_a_signature_is_good(served: PayPalDouble) -> None:
    """Its certificate is fetched once."""
    for _ in range(3):
        assert not is_bad(signatures(served), served.signed(BODY))
    assert served.serving.calls() == [f"GET {CERTIFICATE}"]


def test_either_of_two_webhooks(served: PayPalDouble) -> None:
    """While it is registered anew."""
    both = signatures(served, webhook_ids=("the new one", WEBHOOK_ID))
    assert not is_bad(both, served.signed(BODY))
    assert not is_bad(both, served.signed(BODY, "the new one"))
    assert is_bad(both, served.signed(BODY, "somebody else's"))


def test_a_time_is_not_judged(served: PayPalDouble) -> None:
    """PayPal sends again for three days; the time is signed."""
    time = "2020-01-01T00:00:00Z"
    sent = served.signed(BODY)
    signature = served.signer.sign(BODY, sent.headers["paypal-transmission-id"], time, WEBHOOK_ID)
    headers = {**sent.headers, "paypal-transmission-time": time}
    assert is_bad(signatures(served), Sent(BODY, headers))
    assert not is_bad(signatures(served), Sent(BODY, {**headers, "paypal-transmission-sig": signature}))


WRONG: dict[str, Callable[[dict[str, str]], dict[str, str]]] = {
    "another algorithm": lambda headers: {**headers, "paypal-auth-algo": "SHA1withRSA"},
    "another id": lambda headers: {**headers, "paypal-transmission-id": "1"},
    "no base 64": lambda headers: {**headers, "paypal-transmission-sig": "%%%"},
    "not ASCII": lambda headers: {**headers, "paypal-transmission-sig": "ä"},
    "another signature": lambda headers: {**headers, "paypal-transmission-sig": base64.b64encode(b"x" * 256).decode()},
    "a short signature": lambda headers: {**headers, "paypal-transmission-sig": base64.b64encode(b"x").decode()},
}  # fmt: skip


@pytest.mark.parametrize("name", ["transmission-id", "transmission-time", "transmission-sig", "cert-url", "auth-algo"])
def test_a_header_is_missing(served: PayPalDouble, name: str) -> None:
    """Each of them is needed."""
    sent = served.signed(BODY)
    left = {header: value for header, value in sent.headers.items() if header != f"paypal-{name}"}
    assert is_bad(signatures(served), Sent(BODY, left))


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_header(served: PayPalDouble, wrong: str) -> None:
    """Each of them counts."""
    sent = served.signed(BODY)
    assert is_bad(signatures(served), replace(sent, headers=WRONG[wrong](dict(sent.headers))))


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/v1/notifications/certs/CERT-1",
        "https://api.sandbox.paypal.com.evil.example/v1/notifications/certs/CERT-1",
        "https://api.sandbox.paypal.com@evil.example/v1/notifications/certs/CERT-1",
        "http://api.sandbox.paypal.com/v1/notifications/certs/CERT-1",
        "{base}/v1/other/CERT-1",
        "{base}/v1/notifications/certs/../../../checkoutnow",
        "{base}/v1/notifications/certs/CERT-1?x=1",
        "{base}/v1/notifications/certs/",
        "{base}/v1/notifications/certs/" + "C" * 129,
        "",
    ],
)
def test_an_address_that_is_not_paypal_s(served: PayPalDouble, address: str) -> None:
    """Nothing is fetched from it."""
    address = address.format(base=served.serving.base_url)
    assert is_bad(signatures(served), served.signed(BODY, **{"paypal-cert-url": address}))
    assert served.serving.asked == []


def test_a_certificate_that_there_is_not(served: PayPalDouble) -> None:
    """An address that anybody may think of is no fault of PayPal's."""
    address = f"{served.serving.base_url}/v1/notifications/certs/CERT-0"
    assert is_bad(signatures(served), served.signed(BODY, **{"paypal-cert-url": address}))


def test_a_certificate_that_cannot_be_had_now(served: PayPalDouble) -> None:
    """The webhook is to come again."""
    served.serving.faults.append("500 before")
    with pytest.raises(UnavailableError):
        is_bad(signatures(served), served.signed(BODY))
    assert not is_bad(signatures(served), served.signed(BODY))


SIGNERS: dict[str, Callable[[], certificates.Signer]] = {
    "another root": lambda: certificates.make_authority().issue(),
    "another name": lambda: certificates.common_authority().issue("www.paypal.com.evil.example"),
    "ended": lambda: certificates.common_authority().issue(begins_in=-9, ends_in=-1),
    "not begun": lambda: certificates.common_authority().issue(begins_in=1),
    "its own root": lambda: certificates.Signer(
        certificates.common_authority().key, certificates.common_authority().certificate
    ),
}


@pytest.mark.parametrize("signer", SIGNERS)
def test_a_certificate_that_is_not_to_be_trusted(served: PayPalDouble, signer: str) -> None:
    """By its root, its name, or today."""
    served.signer = SIGNERS[signer]()
    assert is_bad(signatures(served), served.signed(BODY))


def test_the_roots_that_everybody_trusts(served: PayPalDouble) -> None:
    """Without another root, a certificate of the double's is worth nothing."""
    assert is_bad(signatures(served, root=""), served.signed(BODY))


def test_a_kept_certificate_ends(served: PayPalDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is fetched anew."""
    found = signatures(served)
    assert not is_bad(found, served.signed(BODY))
    [(name, key)] = paypal_signature._kept.items()  # noqa: SLF001 - its end is days away
    monkeypatch.setitem(paypal_signature._kept, name, replace(key, ends_at=served.signer.certificate.not_valid_before_utc))  # noqa: SLF001 # fmt: skip
    assert not is_bad(found, served.signed(BODY))
    assert len(served.serving.asked) == 2


def test_not_all_certificates_are_kept(served: PayPalDouble) -> None:
    """A few: nobody can fill the memory."""
    for number in range(MAX_KEPT + 3):
        assert not is_bad(signatures(served, root=certificates.common_authority().pem() + "\n" * number), served.signed(BODY))  # fmt: skip
    assert len(paypal_signature._kept) == MAX_KEPT  # noqa: SLF001 - nothing else shows it


# ---------------------------------------------------------------- what a good signature proves


@at_paypal
def test_a_forged_body_moves_nothing(market: Market) -> None:
    """The signature covers a CRC-32, which anybody can collide: only what PayPal answers itself is believed."""
    reference = market.start()
    market.acts().pay(reference)
    market.lose_webhooks()
    innocent = market.stall().acts.signed(BODY)
    claims = {
        "event_type": "PAYMENT.CAPTURE.COMPLETED",
        "resource": {
            "id": "3C000000000000009",
            "status": "COMPLETED",
            "amount": {"currency_code": "USD", "value": "39.90"},
            "custom_id": f"acme.{market.shop.purchase().purchase_id}",
            "supplementary_data": {"related_ids": {"order_id": reference}},
        },
    }
    forged = certificates.forge(claims, innocent.raw)
    assert zlib.crc32(forged) == zlib.crc32(innocent.raw)
    assert json.loads(forged)["resource"] == claims["resource"]
    assert market.receive("paypal", Sent(forged, innocent.headers)) == 200
    assert (market.shop.status(), market.shop.balance().posted) == ("pending", FREE)


@at_paypal
def test_a_forged_body_that_names_an_order_only_makes_us_look(market: Market) -> None:
    """What it finds there is true, whoever made us look."""
    reference = market.start()
    market.acts().pay(reference)
    market.lose_webhooks()
    innocent = market.stall().acts.signed(BODY)
    forged = certificates.forge({"event_type": "CHECKOUT.ORDER.APPROVED", "resource": {"id": reference}}, innocent.raw)
    assert market.receive("paypal", Sent(forged, innocent.headers)) == 200
    assert (market.shop.balance().posted, market.acts().taken(reference)) == (FREE + BOUGHT, 3990)


@at_paypal
def test_a_bad_signature_is_refused(market: Market) -> None:
    """Before anything is parsed or asked for."""
    sent = market.stall().acts.signed(b"{", WEBHOOK_ID + "x")
    assert market.receive("paypal", sent) == 401
    assert all(call.startswith("GET /v1/notifications") for call in market.acts().serving.calls())


@at_paypal
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 202),
        (b"[]", 202),
        (b'{"event_type": "CHECKOUT.ORDER.APPROVED"}', 202),
        (b'{"event_type": "CHECKOUT.ORDER.APPROVED", "resource": {"id": "../x"}}', 202),
        (b'{"event_type": "CUSTOMER.DISPUTE.CREATED", "resource": {"dispute_id": 7}}', 202),
        (b'{"event_type": "CHECKOUT.ORDER.APPROVED", "resource": {"id": "NOBODYS"}}', 200),
        (b'{"event_type": "PAYMENT.CAPTURE.COMPLETED", "resource": {"id": "NOBODYS"}}', 200),
        (b'{"event_type": "CUSTOMER.DISPUTE.CREATED", "resource": {"dispute_id": "PP-D-9"}}', 200),
        (b'{"event_type": "BILLING.PLAN.CREATED", "resource": {}}', 200),
        (b"{}", 200),
    ],
)
def test_a_signed_body_in_an_unknown_form(market: Market, counted: Counted, body: bytes, status: int) -> None:
    """It is put aside and told; what is of no interest, or no more, is done."""
    assert market.receive("paypal", market.stall().acts.signed(body)) == status
    assert counted() == (["PaymentPutAside"] if status == 202 else [])

"""Webhooks of Stripe: which are believed, and what each comes to."""

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from autocredits.domain.errors import Problem
from autocredits.domain.purchases.fulfil import PaymentEvent
from autocredits.ledger.ports import UnavailableError
from dev.doubles.stripe import StripeDouble, event
from functions.purchase.payments.port import DECLINED, Notice, Webhook
from functions.purchase.payments.stripe import Stripe
from tests.payments.conftest import Counted
from tests.payments.shop import FREE, NEW_SECRET, OLD_SECRET, PRICE, Shop, sign

SESSION: dict[str, Any] = {
    "id": "cs_1",
    "object": "checkout.session",
    "mode": "payment",
    "status": "complete",
    "payment_status": "paid",
    "payment_intent": "pi_1",
    "amount_total": PRICE,
    "currency": "usd",
    "client_reference_id": "pur_1",
    "metadata": {"account_id": "acme", "purchase_id": "pur_1", "checkout": "2"},
}
CHARGE: dict[str, Any] = {
    "id": "ch_1",
    "object": "charge",
    "amount": PRICE,
    "amount_refunded": 1000,
    "currency": "usd",
    "payment_intent": "pi_1",
    "metadata": {"account_id": "acme", "purchase_id": "pur_1"},
}
DISPUTE: dict[str, Any] = {
    "id": "du_1",
    "object": "dispute",
    "amount": PRICE,
    "currency": "usd",
    "charge": "ch_1",
    "payment_intent": "pi_1",
    "status": "needs_response",
}
REFUND: dict[str, Any] = {
    "id": "re_1",
    "object": "refund",
    "amount": 1000,
    "currency": "usd",
    "charge": "ch_1",
    "payment_intent": "pi_1",
    "metadata": {},
    "status": "failed",
}
PAID = PaymentEvent(
    provider="stripe", type="paid", purchase_id="pur_1", payment_id="pi_1", checkout=2, amount=PRICE, currency="USD"
)

LISTENER = Stripe(api_key="", signing_secrets=(NEW_SECRET, OLD_SECRET))


def read(kind: str, about: dict[str, Any]) -> Webhook | None:
    """What a listener without a key makes of a signed event."""
    return read_raw(json.dumps(event(kind, about)).encode())


def read_raw(raw: bytes) -> Webhook | None:
    """What it makes of a signed body."""
    return LISTENER.read_webhook(Notice(raw, {"stripe-signature": sign(raw)}))


# Which are believed.


@pytest.mark.parametrize("secret", [NEW_SECRET, OLD_SECRET])
@pytest.mark.parametrize("age_s", [0, 290])
def test_good_signatures(shop: Shop, secret: str, age_s: int) -> None:
    """A webhook is believed by either of two secrets, for five minutes."""
    raw = json.dumps(shop.double.pay(shop.start())).encode()
    assert shop.deliver_raw(raw, sign(raw, secret=secret, at_s=time.time() - age_s)) == 200
    assert shop.balance().posted == FREE + 10_000


def test_several_signatures(shop: Shop) -> None:
    """One good signature among several is enough: Stripe sends two while a secret is rotated."""
    raw = json.dumps(shop.double.pay(shop.start())).encode()
    signed = sign(raw, secret=OLD_SECRET)
    assert shop.deliver_raw(raw, f"{signed},v1={'0' * 64},v0={'1' * 64}") == 200
    assert shop.balance().posted == FREE + 10_000


@pytest.mark.parametrize(
    "forge",
    [
        lambda raw: sign(raw, secret="whsec_a_stranger"),
        lambda raw: sign(raw, at_s=time.time() - 302),
        lambda raw: sign(raw + b" "),
        lambda raw: sign(raw).replace("v1=", "v0="),
        lambda raw: sign(raw).replace("t=", "t=1"),
        lambda raw: sign(raw).split(",")[1],
        lambda raw: sign(raw).split(",")[0],
        lambda raw: sign(raw)[:-1],
        lambda _raw: "",
        lambda _raw: "t=,v1=",
        lambda _raw: f"t={'9' * 5000},v1=00",
        lambda _raw: "t=1,v1=é",
        lambda raw: sign(raw, secret=""),
        lambda _raw: None,
    ],
    ids=[
        "another secret",
        "stale",
        "another body",
        "another scheme",
        "another time",
        "no time",
        "no signature",
        "cut",
        "empty",
        "empty parts",
        "a long time",
        "not ASCII",
        "no secret",
        "no header",
    ],
)
def test_forged_signatures(shop: Shop, forge: Any) -> None:
    """A webhook that is not signed by one of the secrets, just now, over just this body, moves nothing."""
    raw = json.dumps(shop.double.pay(shop.start())).encode()
    assert shop.deliver_raw(raw, forge(raw)) == 401
    assert (shop.status(), shop.balance().posted) == ("pending", FREE)


@pytest.mark.parametrize("secrets", [(), ("",), (" ",)])
def test_no_secret(secrets: tuple[str, ...]) -> None:
    """A secret that is empty signs nothing."""
    raw = b"{}"
    with pytest.raises(Problem) as caught:
        Stripe(api_key="", signing_secrets=secrets).read_webhook(
            Notice(raw, {"stripe-signature": sign(raw, secret="")})
        )
    assert caught.value.code == "bad_signature"


@pytest.mark.parametrize("raw", [b"\xff{}", b"{", b"", b"[" * 100_000])
def test_signature_comes_first(raw: bytes) -> None:
    """What is not signed is not parsed: it is refused for its signature, whatever it holds."""
    with pytest.raises(Problem) as caught:
        LISTENER.read_webhook(Notice(raw, {"stripe-signature": "t=1,v1=00"}))
    assert caught.value.code == "bad_signature"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"{", "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        (b"[]", "invalid_field"),
        (b'{"type": "charge.refunded"}', "invalid_field"),
        (b'{"type": "charge.refunded", "data": {"object": []}}', "invalid_field"),
    ],
)
def test_signed_nonsense(raw: bytes, code: str) -> None:
    """What is signed and yet no event is told as that."""
    with pytest.raises(Problem) as caught:
        read_raw(raw)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("kind", "about"),
    [
        ("checkout.session.completed", SESSION | {"amount_total": "3990"}),
        ("checkout.session.completed", SESSION | {"amount_total": True}),
        ("checkout.session.completed", SESSION | {"amount_total": 39.9}),
        ("checkout.session.completed", SESSION | {"amount_total": None}),
        ("checkout.session.completed", SESSION | {"currency": None}),
        ("charge.refunded", CHARGE | {"amount_refunded": -1}),
    ],
)
def test_amounts_that_are_none(kind: str, about: dict[str, Any]) -> None:
    """An amount that is no whole number of cents, or of no currency, is not guessed."""
    with pytest.raises(Problem) as caught:
        read(kind, about)
    assert caught.value.code == "invalid_field"


def test_names_of_buyers() -> None:
    """A buyer's name may hold what our own bodies may not: U+FFFD, and whatever else UTF-8 can."""
    about = SESSION | {"customer_details": {"name": "J\ufffdrg 🛒"}}
    raw = json.dumps(event("checkout.session.completed", about), ensure_ascii=False).encode()
    assert read_raw(raw) == Webhook("acme", (PAID,))


# What each comes to.


@pytest.mark.parametrize("kind", ["checkout.session.completed", "checkout.session.async_payment_succeeded"])
def test_paid(kind: str) -> None:
    """A session that is paid tells account, purchase, payment, and what was paid."""
    assert read(kind, SESSION) == Webhook("acme", (PAID,))


@pytest.mark.parametrize("status", ["unpaid", "no_payment_required", None])
def test_complete_but_not_paid(status: str | None) -> None:
    """A session that is complete while the money is on its way says nothing yet."""
    assert read("checkout.session.completed", SESSION | {"payment_status": status}) is None


def test_expanded_payment() -> None:
    """A payment that is given whole is named by its id."""
    assert read("checkout.session.completed", SESSION | {"payment_intent": {"id": "pi_1"}}) == Webhook("acme", (PAID,))


@pytest.mark.parametrize(
    "changes",
    [
        {"client_reference_id": None, "metadata": {"account_id": "acme", "purchase_id": "pur_1"}},
        {"metadata": {"account_id": "acme"}},
    ],
)
def test_named_in_either_place(changes: dict[str, Any]) -> None:
    """The purchase may be named by the reference or by the metadata; sessions of earlier releases have no number."""
    assert read("checkout.session.completed", SESSION | changes) == Webhook("acme", (replace(PAID, checkout=None),))


@pytest.mark.parametrize("number", ["0", "-1", "02", "100", "1.0", "x", "", None, 7.5, [1]])
def test_numbers_that_are_none(number: Any) -> None:
    """A number that we never gave is none."""
    about = SESSION | {"metadata": SESSION["metadata"] | {"checkout": number}}
    assert read("checkout.session.completed", about) == Webhook("acme", (replace(PAID, checkout=None),))


@pytest.mark.parametrize(
    "changes",
    [
        {"client_reference_id": None, "metadata": {}},
        {"client_reference_id": "order-7", "metadata": {}},
        {"client_reference_id": None, "metadata": None},
        {"client_reference_id": None, "metadata": {"account_id": "acme"}},
        {"metadata": {"purchase_id": "pur_1"}},
        {"metadata": {"account_id": ""}},
        {"metadata": {"account_id": 7}},
    ],
)
def test_nobodys_session(changes: dict[str, Any]) -> None:
    """A session that does not name both account and purchase names nobody: the payment has to tell."""
    webhook = read("checkout.session.completed", SESSION | changes)
    assert webhook is not None
    assert (webhook.account_id, webhook.events[0].purchase_id, webhook.events[0].payment_id) == (None, "", "pi_1")


def test_currency() -> None:
    """Currencies are told in capitals."""
    webhook = read("checkout.session.completed", SESSION | {"currency": "eur"})
    assert webhook is not None
    assert webhook.events[0].currency == "EUR"


def test_expired() -> None:
    """A session that expired tells that nobody will pay it; one of an earlier release was the first."""
    about = SESSION | {"status": "expired", "payment_status": "unpaid", "payment_intent": None}
    expected = PaymentEvent(provider="stripe", type="expired", purchase_id="pur_1", checkout=2)
    assert read("checkout.session.expired", about) == Webhook("acme", (expected,))
    about["metadata"] = {"account_id": "acme", "purchase_id": "pur_1"}
    assert read("checkout.session.expired", about) == Webhook("acme", (replace(expected, checkout=1),))


def test_declined_without_a_key() -> None:
    """A payment that failed is told to the merchant in our words; without a key there is no code to tell."""
    expected = PaymentEvent(
        provider="stripe", type="declined", purchase_id="pur_1", payment_id="pi_1", checkout=2, reason=DECLINED
    )
    about = SESSION | {"payment_status": "unpaid"}
    assert read("checkout.session.async_payment_failed", about) == Webhook("acme", (expected,))


def test_declined_with_a_key(shop: Shop) -> None:
    """With a key the bank's code is fetched for those who support the merchant."""
    session_id = shop.start()
    shop.double.pay(session_id, later=True)
    raw = json.dumps(shop.double.fail(session_id, "insufficient_funds")).encode()
    webhook = shop.provider.read_webhook(Notice(raw, {"stripe-signature": sign(raw)}))
    assert webhook is not None
    assert (webhook.account_id, webhook.events[0].purchase_id) == ("acme", shop.purchase().purchase_id)
    assert (webhook.events[0].type, webhook.events[0].reason, webhook.events[0].support_code) == (
        "declined",
        DECLINED,
        "insufficient_funds",
    )


def test_a_declined_card() -> None:
    """A card is declined while the session stays open; the bank's code comes along, so nobody has to be asked."""
    about = {
        "id": "pi_1",
        "metadata": {"account_id": "acme", "purchase_id": "pur_1", "checkout": "3"},
        "last_payment_error": {"code": "card_declined", "decline_code": "insufficient_funds"},
    }
    webhook = read("payment_intent.payment_failed", about)
    assert webhook is not None
    assert (webhook.account_id, webhook.events[0].type, webhook.events[0].purchase_id) == ("acme", "declined", "pur_1")
    assert (webhook.events[0].payment_id, webhook.events[0].checkout) == ("pi_1", 3)
    assert webhook.events[0].support_code == "insufficient_funds"
    assert read("payment_intent.payment_failed", about | {"metadata": {}}) is None


def test_declined_while_stripe_is_away(shop: Shop) -> None:
    """Where the code cannot be fetched now, the webhook is to come again; then it is told whole."""
    session_id = shop.start()
    shop.double.pay(session_id, later=True)
    failed = shop.double.fail(session_id, "insufficient_funds")
    shop.double.serving.faults.extend(["500 before"] * 2)
    assert (shop.deliver(failed), shop.status()) == (503, "pending")
    assert (shop.deliver(failed), shop.status()) == (200, "declined")


def test_refunded() -> None:
    """A refund tells how much went back so far, in all."""
    expected = PaymentEvent(
        provider="stripe", type="refunded", purchase_id="pur_1", payment_id="pi_1", amount=1000, currency="USD"
    )
    assert read("charge.refunded", CHARGE) == Webhook("acme", (expected,))


def test_refunded_with_a_key(shop: Shop) -> None:
    """With a key all refunds are asked for: what was ever refunded in all, and what of it failed."""
    session_id = shop.start()
    shop.double.pay(session_id)
    shop.double.refund(session_id, 2000)
    shop.double.fail_refund("re_1")
    shop.double.refund(session_id, 300)
    raw = json.dumps(shop.double.refund(session_id, 700)).encode()
    webhook = shop.provider.read_webhook(Notice(raw, {"stripe-signature": sign(raw)}))
    assert webhook is not None
    assert (webhook.events[0].amount, webhook.events[0].failed) == (3000, (("re_1", 2000),))


def test_a_failed_refund() -> None:
    """A refund that failed is known by its payment, and has an id and an amount of its own."""
    expected = PaymentEvent(
        provider="stripe",
        type="refund_failed",
        purchase_id="",
        payment_id="pi_1",
        amount=1000,
        currency="USD",
        refund_id="re_1",
    )
    assert read("refund.failed", REFUND) == Webhook(None, (expected,))


def test_refund_of_a_nameless_charge() -> None:
    """A charge without our metadata is known by its payment alone."""
    webhook = read("charge.refunded", CHARGE | {"metadata": {}})
    assert webhook is not None
    assert (webhook.account_id, webhook.events[0].purchase_id, webhook.events[0].payment_id) == (None, "", "pi_1")


@pytest.mark.parametrize(
    ("kind", "status", "event_type"),
    [
        ("charge.dispute.created", "needs_response", "dispute_created"),
        ("charge.dispute.created", "warning_needs_response", "dispute_created"),
        ("charge.dispute.updated", "under_review", "dispute_created"),
        ("charge.dispute.updated", "warning_under_review", "dispute_created"),
        ("charge.dispute.updated", "lost", "dispute_lost"),
        ("charge.dispute.updated", "prevented", "dispute_won"),
        ("charge.dispute.created", "prevented", "dispute_won"),
        ("charge.dispute.closed", "won", "dispute_won"),
        ("charge.dispute.closed", "prevented", "dispute_won"),
        ("charge.dispute.closed", "warning_closed", "dispute_won"),
        ("charge.dispute.closed", "lost", "dispute_lost"),
    ],
)
def test_disputes(kind: str, status: str, event_type: str) -> None:
    """A dispute is known by its payment; an inquiry that is closed, or one that was prevented, is won."""
    webhook = read(kind, DISPUTE | {"status": status})
    assert webhook is not None
    assert (webhook.account_id, webhook.events[0].purchase_id, webhook.events[0].payment_id) == (None, "", "pi_1")
    assert (webhook.events[0].type, webhook.events[0].amount, webhook.events[0].currency) == (event_type, PRICE, "USD")
    assert webhook.events[0].dispute_id == "du_1"


def test_unknown_end_of_a_dispute() -> None:
    """An end of a dispute that is not known is nobody's win: it is put aside."""
    with pytest.raises(Problem) as caught:
        read("charge.dispute.closed", DISPUTE | {"status": "vanished"})
    assert caught.value.code == "invalid_field"


@pytest.mark.parametrize(
    "kind",
    ["charge.succeeded", "charge.refund.updated", "payment_intent.succeeded", "invoice.paid", "v1", "v3.x", ""],
)
def test_of_no_interest(kind: str) -> None:
    """All other events are of no interest, whatever they are about."""
    assert read(kind, SESSION) is None


# Of which mode and form they are.


@pytest.mark.parametrize(
    ("api_key", "livemode", "expected"),
    [
        ("sk_live_1", True, True),
        ("rk_live_1", True, True),
        ("sk_live_1", False, False),
        ("rk_live_1", None, False),
        ("sk_test_1", False, True),
        ("sk_test_1", True, False),
        ("", False, True),
        ("", True, False),
    ],
)
def test_mode(api_key: str, livemode: bool | None, expected: bool) -> None:  # noqa: FBT001 - a table
    """A live key believes live events alone, a test key or none test events alone."""
    raw = json.dumps(event("checkout.session.completed", SESSION) | {"livemode": livemode}).encode()
    provider = Stripe(api_key=api_key, signing_secrets=(NEW_SECRET,))
    if expected:
        assert provider.read_webhook(Notice(raw, {"stripe-signature": sign(raw)})) == Webhook("acme", (PAID,))
        return
    with pytest.raises(Problem) as caught:
        provider.read_webhook(Notice(raw, {"stripe-signature": sign(raw)}))
    assert caught.value.code == "invalid_field"


def test_an_event_of_the_other_mode(shop: Shop, counted: Counted) -> None:
    """A signed event of the other mode is put aside and counted, and moves nothing."""
    told = shop.double.pay(shop.start()) | {"livemode": True}
    assert (shop.deliver(told), counted()) == (202, ["PaymentPutAside"])
    assert (shop.status(), shop.balance().posted) == ("pending", FREE)


@pytest.mark.parametrize("kind", ["v1.billing.meter.no_meter_found", "v2.core.event_destination.ping"])
def test_an_event_of_another_form(shop: Shop, counted: Counted, kind: str) -> None:
    """An event of a form that we do not read is put aside and counted, so that somebody mends the endpoint."""
    told = {"id": "evt_1", "object": "v2.core.event", "type": kind, "livemode": False, "related_object": None}
    assert (shop.deliver(told), counted()) == (202, ["PaymentPutAside"])


# Whose a payment is.


def test_find_purchase(shop: Shop) -> None:
    """A payment tells whose it is."""
    shop.double.pay(shop.start())
    assert shop.provider.find_purchase("pi_1") == ("acme", shop.purchase().purchase_id)


@pytest.mark.parametrize("metadata", [{}, {"account_id": "acme"}, {"order": "7"}])
def test_find_foreign_payment(shop: Shop, metadata: dict[str, str]) -> None:
    """A payment without our metadata is not ours."""
    shop.double.pay(shop.start())
    shop.double.intents["pi_1"]["metadata"] = metadata
    assert shop.provider.find_purchase("pi_1") is None


def test_find_unknown_payment(provider: Stripe) -> None:
    """A payment that Stripe does not have is not ours."""
    assert provider.find_purchase("pi_unknown") is None


def test_find_without_a_key() -> None:
    """Without a key nobody can be asked whose a payment is."""
    with pytest.raises(UnavailableError):
        LISTENER.find_purchase("pi_1")


@pytest.mark.parametrize("fault", ["500 before", "reset before", "silent after"])
def test_find_while_stripe_is_away(double: StripeDouble, provider: Stripe, fault: Any) -> None:
    """Where Stripe does not answer, that is told."""
    double.serving.faults.extend([fault] * 2)
    with pytest.raises(UnavailableError):
        provider.find_purchase("pi_1")

"""Starting a payment at Stripe: one session for one purchase, whatever the network does."""

import pytest

from autocredits.domain.errors import Problem
from autocredits.ledger.ports import UnavailableError
from functions.purchase.payments.port import Checkout
from functions.purchase.payments.stripe import Stripe
from tests.payments.shop import FREE, PRICE, Shop
from tests.payments.stripe_double import Fault, StripeDouble

CHECKOUT = Checkout(
    account_id="acme",
    purchase_id="pur_1",
    price=PRICE,
    description="auto_order-100",
    return_url="https://shop.example/done?tab=credits",
    payer_email="buyer@example.com",
)


def other(**changes: str | int | None) -> Checkout:
    """The checkout with some of it changed."""
    fields = {name: getattr(CHECKOUT, name) for name in Checkout.__dataclass_fields__}
    return Checkout(**{**fields, **changes})


def test_what_is_sent(double: StripeDouble, provider: Stripe) -> None:
    """A session carries price, account and purchase, and brings the buyer back with the purchase's id alone."""
    provider.start(CHECKOUT)
    assert double.forms == [
        {
            "mode": "payment",
            "client_reference_id": "pur_1",
            "metadata[account_id]": "acme",
            "metadata[purchase_id]": "pur_1",
            "payment_intent_data[metadata][account_id]": "acme",
            "payment_intent_data[metadata][purchase_id]": "pur_1",
            "line_items[0][quantity]": "1",
            "line_items[0][price_data][currency]": "usd",
            "line_items[0][price_data][unit_amount]": "3990",
            "line_items[0][price_data][product_data][name]": "auto_order-100",
            "adaptive_pricing[enabled]": "false",
            "success_url": "https://shop.example/done?tab=credits&purchase_id=pur_1",
            "cancel_url": "https://shop.example/done?tab=credits&purchase_id=pur_1",
            "customer_email": "buyer@example.com",
        }
    ]


def test_what_is_returned(provider: Stripe) -> None:
    """The session's id is the reference, and its page is where the buyer goes."""
    started = provider.start(CHECKOUT)
    assert (started.reference, started.redirect_url) == ("cs_test_1", "https://checkout.stripe.com/c/pay/cs_test_1")


@pytest.mark.parametrize(
    ("return_url", "expected"),
    [
        ("https://shop.example", "https://shop.example?purchase_id=pur_1"),
        ("https://shop.example/a?", "https://shop.example/a?purchase_id=pur_1"),
        ("https://shop.example/a?b=1&c", "https://shop.example/a?b=1&c&purchase_id=pur_1"),
        ("https://shop.example/a?b=%26#top", "https://shop.example/a?b=%26&purchase_id=pur_1#top"),
        (
            "https://shop.example/?s={CHECKOUT_SESSION_ID}",
            "https://shop.example/?s=%7BCHECKOUT_SESSION_ID%7D&purchase_id=pur_1",
        ),
    ],
)
def test_return_url(double: StripeDouble, provider: Stripe, return_url: str, expected: str) -> None:
    """The purchase's id joins whatever query there is, and Stripe fills nothing in."""
    provider.start(other(return_url=return_url))
    assert (double.forms[0]["success_url"], double.forms[0]["cancel_url"]) == (expected, expected)


def test_no_return_url(double: StripeDouble, provider: Stripe) -> None:
    """Without a return_url the buyer is sent home after paying, since Stripe demands an address, and no way back."""
    provider.start(other(return_url=None, payer_email=None))
    assert double.forms[0]["success_url"] == "https://stripe.com?purchase_id=pur_1"
    assert not {"cancel_url", "customer_email"} & double.forms[0].keys()


def test_same_purchase_twice(double: StripeDouble, provider: Stripe) -> None:
    """The same purchase again is the same session."""
    assert provider.start(CHECKOUT) == provider.start(CHECKOUT)
    assert len(double.sessions) == 1


def test_other_purchase(double: StripeDouble, provider: Stripe) -> None:
    """Another purchase is another session, even if all else is equal."""
    assert provider.start(CHECKOUT) != provider.start(other(purchase_id="pur_2"))
    assert len(double.sessions) == 2


@pytest.mark.parametrize("fault", ["reset before", "reset after", "silent after", "500 before", "409", "not JSON"])
def test_one_fault(double: StripeDouble, provider: Stripe, fault: Fault) -> None:
    """A single fault is retried with the same key, and ends in one session."""
    double.faults.append(fault)
    assert provider.start(CHECKOUT).reference == "cs_test_1"
    assert len(double.sessions) == 1


@pytest.mark.parametrize(
    "fault", ["reset before", "reset after", "silent after", "500 before", "429", "409", "not JSON"]
)
def test_two_faults(double: StripeDouble, provider: Stripe, fault: Fault) -> None:
    """Where the retry fails too, Stripe is unavailable; the same purchase later gives the one session."""
    double.faults.extend([fault] * (1 if fault == "429" else 2))
    with pytest.raises(UnavailableError):
        provider.start(CHECKOUT)
    assert provider.start(CHECKOUT).reference == "cs_test_1"
    assert len(double.sessions) == 1


def test_failed_for_good(double: StripeDouble, provider: Stripe) -> None:
    """A 500 after the work has begun is kept by Stripe: the same purchase gets it again, and never a second session."""
    double.faults.append("500 after")
    for _ in range(3):
        with pytest.raises(UnavailableError):
            provider.start(CHECKOUT)
    assert (len(double.sessions), double.answered) == (1, [500, 500, 500])


def test_nobody_listens(double: StripeDouble) -> None:
    """Where nobody listens, Stripe is unavailable."""
    deaf = Stripe(api_key="sk_test_1", signing_secrets=(), api_base="http://127.0.0.1:9")
    with pytest.raises(UnavailableError):
        deaf.start(CHECKOUT)
    assert not double.answered


def test_changed_purchase(double: StripeDouble, provider: Stripe) -> None:
    """Stripe refuses another price for the same purchase, and that is no matter of waiting."""
    provider.start(CHECKOUT)
    with pytest.raises(Exception, match="Keys can only be used") as caught:
        provider.start(other(price=1))
    assert not isinstance(caught.value, UnavailableError)
    assert len(double.sessions) == 1


def test_wrong_key(double: StripeDouble) -> None:
    """A key that Stripe does not know is our own fault, and no matter of waiting."""
    stranger = Stripe(api_key="sk_test_wrong", signing_secrets=(), api_base=double.api_base)
    with pytest.raises(Exception, match="Invalid API Key") as caught:
        stranger.start(CHECKOUT)
    assert not isinstance(caught.value, UnavailableError)


def test_no_key(double: StripeDouble) -> None:
    """Without a key nothing is asked."""
    listener = Stripe(api_key="", signing_secrets=("whsec_1",), api_base=double.api_base)
    with pytest.raises(UnavailableError):
        listener.start(CHECKOUT)
    assert not double.answered


@pytest.mark.parametrize(
    ("checkout", "code"),
    [(other(price=49), "invalid_amount"), (other(payer_email="no@address"), "invalid_field")],
)
def test_what_stripe_takes_from_nobody(provider: Stripe, checkout: Checkout, code: str) -> None:
    """Too small a total and an address that is none are the caller's to mend."""
    with pytest.raises(Problem) as caught:
        provider.start(checkout)
    assert caught.value.code == code


def test_secrets_are_not_shown(provider: Stripe) -> None:
    """Neither key nor secrets are in what a log would print of the provider."""
    assert not any(secret in repr(provider) for secret in (provider.api_key, *provider.signing_secrets))


def test_email_is_not_logged(provider: Stripe, caplog: pytest.LogCaptureFixture) -> None:
    """The library logs nothing of what it sends, not even where everything else is logged."""
    with caplog.at_level("DEBUG"):
        provider.start(CHECKOUT)
        with pytest.raises(Problem):
            provider.start(other(purchase_id="pur_2", payer_email="no@address"))
    assert "address" not in caplog.text
    assert "example.com" not in caplog.text


@pytest.mark.parametrize("fault", ["silent after", "reset after"])
def test_broken_start_goes_on(double: StripeDouble, shop: Shop, fault: Fault) -> None:
    """A start that broke off after Stripe had the session goes on with it, and the payment is credited."""
    double.faults.extend([fault] * 2)
    with pytest.raises(UnavailableError):
        shop.start()
    session_id = shop.start()
    assert (session_id, list(double.sessions)) == ("cs_test_1", ["cs_test_1"])
    assert shop.deliver(double.pay(session_id)) == 200
    assert shop.balance().posted == FREE + 10_000

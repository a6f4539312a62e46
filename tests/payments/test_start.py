"""Starting a payment at Stripe: one session for one purchase, whatever the network does."""

from dataclasses import replace
from typing import Any

import pytest

from autocredits.domain.times import DAY_MS, MINUTE_MS
from autocredits.ledger.ports import UnavailableError
from dev.doubles.serving import Fault
from dev.doubles.stripe import StripeDouble
from functions.purchase.payments.port import Payer, PaymentRefusedError, RepeatedStartError, StartRequest
from functions.purchase.payments.stripe import Stripe
from tests.payments.shop import FREE, PRICE, Shop

NOW_S = 1_800_000_000
START = StartRequest(
    account_id="acme",
    purchase_id="pur_1",
    number=2,
    started_at=NOW_S * 1000 + 999,
    price=PRICE,
    description="auto_order-100",
    return_url="https://shop.example/done?tab=credits",
    webhook_url="https://api.example/v1/payments/stripe/webhook",
    payer=Payer("DE", "buyer@example.com"),
)


@pytest.fixture(autouse=True)
def _now(double: StripeDouble) -> None:
    double.serving.now_s = lambda: NOW_S


def other(**changes: Any) -> StartRequest:
    """The start with some of it changed."""
    return replace(START, **changes)


def test_what_is_sent(double: StripeDouble, provider: Stripe) -> None:
    """A session carries price, account, purchase and number, ends in an hour, and brings the buyer back."""
    provider.start(START)
    assert double.forms == [
        {
            "mode": "payment",
            "client_reference_id": "pur_1",
            "metadata[account_id]": "acme",
            "metadata[purchase_id]": "pur_1",
            "metadata[checkout]": "2",
            "payment_intent_data[metadata][account_id]": "acme",
            "payment_intent_data[metadata][purchase_id]": "pur_1",
            "payment_intent_data[metadata][checkout]": "2",
            "expires_at": str(NOW_S + 3600),
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


def test_what_is_returned(double: StripeDouble, provider: Stripe) -> None:
    """The session's id is the reference, and its page is where the buyer goes."""
    started = provider.start(START)
    assert (started.reference, started.redirect_url) == ("cs_test_1", f"{double.serving.base_url}/c/pay/cs_test_1")


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
    provider.start(other(return_url=None, payer=None))
    assert double.forms[0]["success_url"] == "https://stripe.com?purchase_id=pur_1"
    assert not {"cancel_url", "customer_email"} & double.forms[0].keys()


def test_same_checkout_twice(double: StripeDouble, provider: Stripe) -> None:
    """The same number of a purchase again is the same session, up to a day later."""
    first = provider.start(START)
    double.serving.now_s = lambda: NOW_S + 24 * 3600 - 1
    assert provider.start(START) == first
    assert len(double.sessions) == 1


@pytest.mark.parametrize("changes", [{"purchase_id": "pur_2"}, {"number": 3}])
def test_other_checkout(double: StripeDouble, provider: Stripe, changes: dict[str, Any]) -> None:
    """Another purchase or number is another session, even if all else is equal."""
    assert provider.start(START) != provider.start(other(**changes))
    assert len(double.sessions) == 2


@pytest.mark.parametrize("fault", ["reset before", "reset after", "silent after", "500 before", "409", "not JSON"])
def test_one_fault(double: StripeDouble, provider: Stripe, fault: Fault) -> None:
    """A single fault is retried with the same key, and ends in one session."""
    double.serving.faults.append(fault)
    assert provider.start(START).reference == "cs_test_1"
    assert len(double.sessions) == 1


@pytest.mark.parametrize(
    "fault", ["reset before", "reset after", "silent after", "500 before", "429", "409", "not JSON"]
)
def test_two_faults(double: StripeDouble, provider: Stripe, fault: Fault) -> None:
    """Where the retry fails too, Stripe is unavailable; the same purchase later gives the one session."""
    double.serving.faults.extend([fault] * (1 if fault == "429" else 2))
    with pytest.raises(UnavailableError):
        provider.start(START)
    assert provider.start(START).reference == "cs_test_1"
    assert len(double.sessions) == 1


def test_failed_for_good(double: StripeDouble, provider: Stripe) -> None:
    """A 500 after the work has begun is kept by Stripe: the same purchase gets it again, and never a second session."""
    double.serving.faults.append("500 after")
    for _ in range(3):
        with pytest.raises(UnavailableError):
            provider.start(START)
    assert (len(double.sessions), double.serving.statuses) == (1, [500, 500, 500])


def test_nobody_listens(double: StripeDouble) -> None:
    """Where nobody listens, Stripe is unavailable."""
    deaf = Stripe(api_key="sk_test_1", signing_secrets=(), api_base="http://127.0.0.1:9")
    with pytest.raises(UnavailableError):
        deaf.start(START)
    assert not double.serving.statuses


@pytest.mark.parametrize("changes", [{"payer": None}, {"payer": Payer("DE", "other@example.com")}, {"price": 1}])
def test_changed_start(double: StripeDouble, provider: Stripe, changes: dict[str, Any]) -> None:
    """A start with other parameters than at first is no refusal of the payment: it needs another number."""
    provider.start(START)
    with pytest.raises(RepeatedStartError):
        provider.start(other(**changes))
    assert len(double.sessions) == 1


def test_late_start(double: StripeDouble, provider: Stripe) -> None:
    """Nor is a start that is repeated after Stripe has forgotten it: its session would have ended long ago."""
    provider.start(START)
    double.serving.now_s = lambda: NOW_S + 24 * 3600
    with pytest.raises(RepeatedStartError):
        provider.start(START)


def test_wrong_key(double: StripeDouble) -> None:
    """A key that Stripe does not know is our own fault, and no matter of waiting."""
    stranger = Stripe(api_key="sk_test_wrong", signing_secrets=(), api_base=double.serving.base_url)
    with pytest.raises(Exception, match="Invalid API Key") as caught:
        stranger.start(START)
    assert not isinstance(caught.value, UnavailableError)


def test_no_key(double: StripeDouble) -> None:
    """Without a key nothing is asked."""
    listener = Stripe(api_key="", signing_secrets=("whsec_1",), api_base=double.serving.base_url)
    with pytest.raises(UnavailableError):
        listener.start(START)
    assert not double.serving.statuses


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"price": 49}, "amount_too_small"), ({"payer": Payer("DE", "no@address")}, "email_invalid customer_email")],
)
def test_what_stripe_takes_from_nobody(provider: Stripe, changes: dict[str, Any], why: str) -> None:
    """Too small a total and an address that is none are refused payments; the reason names no buyer."""
    with pytest.raises(PaymentRefusedError, match=why):
        provider.start(other(**changes))


def test_secrets_are_not_shown(provider: Stripe) -> None:
    """Neither key nor secrets are in what a log would print of the provider."""
    assert not any(secret in repr(provider) for secret in (provider.api_key, *provider.signing_secrets))


def test_email_is_not_logged(provider: Stripe, caplog: pytest.LogCaptureFixture) -> None:
    """The library logs nothing of what it sends, not even where everything else is logged."""
    with caplog.at_level("DEBUG"):
        provider.start(START)
        with pytest.raises(PaymentRefusedError):
            provider.start(other(purchase_id="pur_2", payer=Payer("DE", "no@address")))
    assert "address" not in caplog.text
    assert "example.com" not in caplog.text


# A start that broke off, over HTTP.


PAYER = {"country": "US", "email": "buyer@example.com"}
OTHER_PAYER = {"country": "US", "email": "other@example.com"}


@pytest.mark.parametrize("fault", ["silent after", "reset after"])
def test_broken_start_goes_on(double: StripeDouble, shop: Shop, fault: Fault) -> None:
    """A start that broke off after Stripe had the session goes on with it, and the payment is credited."""
    double.serving.faults.extend([fault] * 2)
    assert shop.buy().code == "try_again"
    session_id = shop.start()
    assert (session_id, list(double.sessions)) == ("cs_test_1", ["cs_test_1"])
    assert shop.deliver(double.pay(session_id)) == 200
    assert shop.balance().posted == FREE + 10_000


def test_broken_start_that_cannot_be_repeated(double: StripeDouble, shop: Shop) -> None:
    """The payer is not kept. Where it is another one now, the start goes on with the next number, and is no refusal."""
    double.serving.faults.extend(["reset after"] * 2)
    assert shop.buy(payer=PAYER).code == "try_again"
    answer = shop.checkout("card")
    assert (answer.status, answer.body["status"]) == (200, "pending")
    assert answer.body["payment"]["redirect_url"].endswith("cs_test_2")
    assert [one.reference for one in shop.purchase().checkouts] == [None, "cs_test_2"]
    assert shop.deliver(double.pay("cs_test_2")) == 200
    assert (shop.status(), shop.balance().posted) == ("credited", FREE + 10_000)


def test_an_orphan_that_is_paid_is_credited(double: StripeDouble, shop: Shop) -> None:
    """The session whose answer was lost can be paid like any other, and is credited, once."""
    double.serving.faults.extend(["reset after"] * 2)
    shop.buy(payer=PAYER)
    assert shop.checkout("card").status == 200
    assert shop.deliver(double.pay("cs_test_1")) == 200
    assert (shop.status(), shop.balance().posted) == ("credited", FREE + 10_000)
    assert shop.deliver(double.pay("cs_test_2")) == 202
    assert shop.balance().posted == FREE + 10_000


def test_broken_start_a_day_later(double: StripeDouble, shop: Shop) -> None:
    """The same request long after its answer was lost goes on with the next number."""
    double.serving.faults.extend(["reset after"] * 2)
    shop.buy()
    shop.clock.at_ms += DAY_MS + 1000
    answer = shop.buy()
    assert (answer.status, answer.body["payment"]["redirect_url"][-9:]) == (201, "cs_test_2")


def test_a_start_that_breaks_off_twice_goes_on(double: StripeDouble, shop: Shop) -> None:
    """The same key goes on, also where an earlier repetition broke off on the next number."""
    double.serving.faults.extend(["reset after"] * 2)
    shop.buy()
    shop.clock.at_ms += DAY_MS + 1000
    double.serving.faults.extend(["nothing", "reset before", "reset before"])
    assert shop.buy().code == "try_again"
    answer = shop.buy()
    assert (answer.status, answer.body["payment"].get("redirect_url", "")[-9:]) == (201, "cs_test_2")


def test_refused_by_the_provider(double: StripeDouble, shop: Shop) -> None:
    """What Stripe refuses is 422, again for the same key, the purchase is canceled, and its coupon can be used again."""
    shop.make_coupon(percent_off=1000, max_uses=1)
    refused = {"country": "US", "email": "no@address"}
    for _ in range(2):
        answer = shop.buy(coupon="C", payer=refused)
        assert (answer.status, answer.code) == (422, "payment_refused")
    assert (shop.status(), shop.coupon_uses(), len(double.calls())) == ("canceled", (0, 0), 1)
    assert shop.buy("k2", coupon="C", payer=PAYER).status == 201


def test_refused_under_another_method(shop: Shop) -> None:
    """A purchase that Stripe refuses only by `/checkout` is canceled as well, and its key says so."""
    assert shop.buy(method="paypal").status == 201
    answer = shop.checkout("card", payer={"country": "US", "email": "no@address"})
    assert (answer.code, shop.status()) == ("payment_refused", "canceled")
    assert shop.buy(method="paypal").code == "payment_refused"


@pytest.mark.parametrize("method", ["card", "paypal"])
def test_what_a_method_cannot_take_leaves_nothing(shop: Shop, method: str) -> None:
    """Less than the provider takes is 422 before anything is written: the same key then works with another amount."""
    least, less = ("0.50", "0.49") if method == "card" else ("0.01", "100000000.00")
    before = (dict(shop.store.records), shop.kinds())
    load: dict[str, Any] = {"package": None, "unit": "managed"}
    answer = shop.buy(method=method, **load, amount=less)
    assert (answer.status, answer.code) == (422, "invalid_amount")
    assert (dict(shop.store.records), shop.kinds()) == before
    answer = shop.buy(method=method, **load, amount=least)
    assert (answer.status, answer.body["price"]) == (201, least)


def test_a_coupon_may_make_it_too_little(shop: Shop) -> None:
    """The price after the coupon counts, and the coupon's use is not counted; nothing to pay is no payment at all."""
    shop.make_coupon(amount_off=3950, max_uses=1)
    answer = shop.buy(coupon="C")
    assert (answer.status, answer.code, shop.coupon_uses()) == (422, "invalid_amount", (0, 0))


def test_other_broken_starts_expire(double: StripeDouble, shop: Shop) -> None:
    """A start that nobody goes on with expires half an hour later."""
    double.serving.faults.extend(["reset before"] * 2)
    shop.buy()
    shop.clock.at_ms += 29 * MINUTE_MS
    shop.poll_after()
    assert shop.status() == "pending"
    shop.poll_after(1)
    assert shop.status() == "expired"

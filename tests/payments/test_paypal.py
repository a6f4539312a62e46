"""PayPal's own: what is asked and how often, tokens, captures that break off, and what an order may say."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests

from autocredits.domain.errors import Problem
from autocredits.domain.purchases.fulfil import PaymentEvent
from autocredits.ledger.ports import UnavailableError
from dev.doubles import paypal as double
from dev.doubles.paypal import PayPalDouble
from dev.doubles.serving import Fault, Told, running
from functions.purchase.payments import paypal_api
from functions.purchase.payments.paypal import PayPal
from functions.purchase.payments.paypal_orders import read_order
from functions.purchase.payments.port import (
    DECLINED,
    Notice,
    Payer,
    PaymentRefusedError,
    RepeatedStartError,
    Started,
    StartRequest,
)
from tests.payments.conftest import Counted
from tests.payments.market import Market
from tests.payments.shop import BOUGHT, FREE, PRICE

START = StartRequest(
    account_id="acme.shop",
    purchase_id="pur_1",
    number=2,
    started_at=0,
    price=3990,
    description="auto_order-100",
    return_url="https://shop.example/done?tab=credits",
    webhook_url="https://api.example/v1/payments/paypal/webhook",
    payer=Payer("DE", "buyer@example.com"),
)
BACK = "https://shop.example/done?tab=credits&purchase_id=pur_1"

at_paypal = pytest.mark.parametrize("market", ["paypal"], indirect=True)


@pytest.fixture
def served() -> Iterator[PayPalDouble]:
    """A PayPal that knows nothing yet."""
    with running(PayPalDouble()) as served:
        yield served


def opened(served: PayPalDouble, **changes: Any) -> PayPal:
    """The provider as it is deployed, but for the addresses and less patience."""
    plain: dict[str, Any] = {
        "client_id": double.CLIENT_ID,
        "client_secrets": (double.CLIENT_SECRET,),
        "webhook_ids": (double.WEBHOOK_ID,),
        "environment": "sandbox",
        "read_s": 0.3,
        **served.settings(),
    }
    return PayPal(**{**plain, **changes})


@pytest.fixture
def provider(served: PayPalDouble) -> PayPal:
    """The provider, with one secret."""
    return opened(served)


# ---------------------------------------------------------------- starting


def test_what_paypal_is_told(served: PayPalDouble, provider: PayPal) -> None:
    """The purchase and its account, the price in dollars, where the buyer goes, and a request id of the checkout."""
    started = provider.start(START)
    [asked] = [one for one in served.serving.asked if one.path == "/v2/checkout/orders"]
    assert asked.headers["paypal-request-id"] == "pur_1.create.2"
    assert asked.json() == {
        "intent": "CAPTURE",
        "purchase_units": [
            {
                "reference_id": "2",
                "custom_id": "acme.shop.pur_1",
                "description": "auto_order-100",
                "amount": {"currency_code": "USD", "value": "39.90"},
            }
        ],
        "payment_source": {
            "paypal": {
                "email_address": "buyer@example.com",
                "experience_context": {
                    "shipping_preference": "NO_SHIPPING",
                    "user_action": "PAY_NOW",
                    "return_url": BACK,
                    "cancel_url": BACK,
                },
            }
        },
    }
    address = f"{served.serving.base_url}/checkoutnow?token={started.reference}"
    assert started.redirect_url == address


def test_what_is_not_known_is_not_told(served: PayPalDouble, provider: PayPal) -> None:
    """Neither a payer nor an address to come back to."""
    provider.start(replace(START, payer=None, return_url=None))
    source = served.serving.asked[-1].json()["payment_source"]["paypal"]
    assert source == {"experience_context": {"shipping_preference": "NO_SHIPPING", "user_action": "PAY_NOW"}}


@pytest.mark.parametrize("fault", ["reset before", "reset after", "silent after", "500 before", "500 after", "429"])
def test_a_start_that_broke_off_is_repeated(
    served: PayPalDouble, provider: PayPal, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """Under the same request id there is one order, whatever became of the first answer."""
    served.serving.faults += ["nothing", fault]
    monkeypatch.setattr(paypal_api, "_tokens", {})
    with pytest.raises(UnavailableError):
        provider.start(START)
    assert provider.start(START) == provider.start(START)
    assert len(served.orders) == 1


def test_another_checkout_is_another_order(provider: PayPal) -> None:
    """Its request id is its own: PayPal keeps them for hours."""
    assert provider.start(START).reference != provider.start(replace(START, number=3)).reference


def test_a_start_that_cannot_be_repeated(provider: PayPal) -> None:
    """PayPal does not take other words under the same request id."""
    provider.start(START)
    with pytest.raises(RepeatedStartError):
        provider.start(replace(START, payer=None))


@pytest.mark.parametrize("status", [403, 404, 409])
def test_a_start_that_tells_nothing(served: PayPalDouble, provider: PayPal, status: int) -> None:
    """It is no refusal of the payment: the purchase stays as it is."""
    served.serving.instead["POST /orders"] = Told(status, {"name": "SOMETHING"})
    with pytest.raises(UnavailableError):
        provider.start(START)
    assert provider.start(START).reference in served.orders


def test_what_paypal_refuses(provider: PayPal) -> None:
    """Its names for what is wrong are for the log; the payer's address is not in them."""
    with pytest.raises(PaymentRefusedError, match=r"^INVALID_EMAIL_ADDRESS UNPROCESSABLE_ENTITY$"):
        provider.start(replace(START, payer=Payer("DE", "no@address")))


@pytest.mark.parametrize(
    ("environment", "host", "certificates"),
    [
        ("sandbox", "https://api-m.sandbox.paypal.com", "https://api.sandbox.paypal.com"),
        ("live", "https://api-m.paypal.com", "https://api.paypal.com"),
    ],
)
def test_no_other_host_is_asked(
    monkeypatch: pytest.MonkeyPatch, environment: str, host: str, certificates: str
) -> None:
    """Than PayPal's own of that environment."""
    asked: list[str] = []

    def refuse(_: requests.Session, __: str, url: str, **___: Any) -> None:
        asked.append(url)
        raise requests.ConnectionError

    monkeypatch.setattr(requests.Session, "request", refuse)
    found = opened(PayPalDouble(), environment=environment, api_base="", certificates_base="")
    with pytest.raises(UnavailableError):
        found.start(START)
    signed = {"paypal-auth-algo": "SHA256withRSA", "paypal-cert-url": f"{certificates}/v1/notifications/certs/CERT-1"}
    with pytest.raises(UnavailableError):
        found.read_webhook(Notice(b"{}", signed))
    assert asked == [f"{host}/v1/oauth2/token", f"{certificates}/v1/notifications/certs/CERT-1"]


# ---------------------------------------------------------------- tokens


def test_a_token_is_asked_for_once(served: PayPalDouble, provider: PayPal) -> None:
    """It is kept until it ends."""
    for number in range(1, 4):
        provider.start(replace(START, number=number))
    assert served.serving.calls().count("POST /v1/oauth2/token") == 1


def test_a_token_that_ended_early_is_fetched_anew(served: PayPalDouble, provider: PayPal) -> None:
    """Nothing was done with the old one."""
    provider.start(START)
    served.token = "another"
    provider.start(replace(START, number=3))
    assert len(served.orders) == 2


def test_a_token_near_its_end_is_not_used(
    served: PayPalDouble, provider: PayPal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may end on its way."""
    provider.start(START)
    now_s = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now_s + 32400 - paypal_api.EARLY_S + 1)
    provider.start(replace(START, number=3))
    assert served.serving.calls().count("POST /v1/oauth2/token") == 2


def test_the_other_secret_is_tried(served: PayPalDouble) -> None:
    """While they are rotated, either may be the right one."""
    found = opened(served, client_secrets=("not yet known to it", double.CLIENT_SECRET))
    assert found.start(START).reference in served.orders


def test_no_secret_is_right(served: PayPalDouble) -> None:
    """Then PayPal cannot be asked; nobody is told that a payment was refused."""
    with pytest.raises(UnavailableError):
        opened(served, client_secrets=("wrong", "wrong as well")).start(START)


# ---------------------------------------------------------------- captures


@at_paypal
@pytest.mark.parametrize("fault", ["reset before", "reset after", "silent after", "500 before", "500 after", "429"])
def test_a_capture_that_broke_off_goes_on(market: Market, fault: Fault) -> None:
    """Under the same number: a time-out after the money moved takes it no second time."""
    reference = market.start()
    market.acts().pay(reference)
    [(name, sent)] = market.outbox()
    market.acts().serving.faults += ["nothing", "nothing", fault]  # its certificate, the order, the capture
    assert market.receive(name, sent) == 503
    assert market.shop.purchase().capturing()
    assert market.receive(name, sent) == 200
    checkout = market.shop.purchase().open_checkout()
    assert (market.acts().taken(reference), checkout and checkout.captures) == (PRICE, 1)
    assert market.shop.balance().posted == FREE + BOUGHT


@at_paypal
@pytest.mark.parametrize(
    ("status", "issue"),
    [(409, "PREVIOUS_REQUEST_IN_PROGRESS"), (422, "PREVIOUS_REQUEST_IN_PROGRESS"), (403, "NOT_AUTHORIZED"), (404, "X")],
)
def test_what_is_no_outcome_of_a_capture(market: Market, status: int, issue: str) -> None:
    """Only a definite refusal is a decline: another request may just be taking the money."""
    reference = market.start()
    market.acts().pay(reference)
    market.acts().serving.instead["POST /capture"] = Told(status, {"details": [{"issue": issue}]})
    [(name, sent)] = market.outbox()
    assert (market.receive(name, sent), market.shop.status()) == (503, "pending")
    assert market.receive(name, sent) == 200
    checkout = market.shop.purchase().open_checkout()
    assert checkout is not None
    assert (market.shop.status(), checkout.captures) == ("credited", 1)


STRANGE = Told(200, {"id": 7, "purchase_units": [{"custom_id": "acme.pur_1", "payments": {"captures": "all"}}]})


@at_paypal
def test_an_answer_that_cannot_be_understood_is_none(market: Market) -> None:
    """Nobody is told that the request was wrong, and nothing is lost: the same request goes on later."""
    instead = market.acts().serving.instead
    instead["POST /orders"] = STRANGE
    assert market.shop.buy(method="paypal").status == 503
    reference = market.start()
    instead[f"GET /{reference}"] = STRANGE
    assert market.come_back() == "pending"
    instead[f"GET /{reference}"] = STRANGE
    assert market.shop.cancel().status == 503
    market.acts().pay(reference)
    instead["POST /capture"] = STRANGE
    market.deliver()
    assert market.come_back() == "credited"


@at_paypal
def test_an_order_that_is_not_ours_is_counted(market: Market, counted: Counted) -> None:
    """Other shops may use the same PayPal account."""
    reference = market.start()
    market.stall().acts.lie(reference, custom_id="their order 7")
    market.acts().pay(reference)
    assert market.deliver() == [200]
    assert counted() == ["ForeignPayment"]


@at_paypal
def test_the_schedule_goes_on_with_a_capture(market: Market) -> None:
    """Also after a decline, where it would not begin one."""
    reference = market.start()
    market.acts().decline(reference)
    market.deliver()
    assert market.shop.poll_after(minutes=2) == (1, 0)
    assert (market.shop.status(), market.acts().taken(reference)) == ("declined", 0)
    market.acts().pay(reference)
    [(name, sent)] = market.outbox()
    market.acts().serving.faults += ["nothing", "500 before"]  # the order, the capture
    assert (market.receive(name, sent), market.shop.status()) == (503, "declined")
    assert market.shop.purchase().capturing()
    assert market.shop.poll_after(minutes=10) == (1, 0)
    assert (market.shop.status(), market.acts().taken(reference)) == ("credited", PRICE)


@at_paypal
def test_each_capture_after_a_decline_has_its_own_number(market: Market) -> None:
    """PayPal answers a number that it knows as before, so the next one would be declined for ever."""
    reference = market.start()
    market.acts().decline(reference)
    market.deliver()
    market.acts().pay(reference)
    market.deliver()
    purchase_id = market.shop.purchase().purchase_id
    asked = [one.headers["paypal-request-id"] for one in market.acts().serving.asked if one.path.endswith("/capture")]
    assert asked == [f"{purchase_id}.1.capture.1", f"{purchase_id}.1.capture.2"]
    assert market.shop.status() == "credited"


@at_paypal
def test_a_buyer_is_told_of_a_decline(market: Market) -> None:
    """In the contract's words; the issue is for support staff alone."""
    market.acts().decline(market.start())
    market.deliver()
    assert (market.shop.status(), market.shop.last_reason()) == ("declined", DECLINED)


@at_paypal
def test_an_approval_before_our_own_note_comes_again(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused for now, and never put aside."""
    statuses: list[int] = []
    start = PayPal.start

    def start_slowly(self: PayPal, request: StartRequest) -> Started:
        started = start(self, request)
        market.acts().pay(started.reference)
        statuses.extend(market.receive(*one) for one in market.outbox())
        return started

    monkeypatch.setattr(PayPal, "start", start_slowly)
    market.start()
    assert (statuses, market.come_back()) == ([503], "credited")


@at_paypal
def test_an_order_that_is_not_open_is_never_captured(market: Market) -> None:
    """That is how a checkout is closed here."""
    reference = market.start()
    market.go_to("stripe")
    paypal = market.stalls["paypal"].acts
    paypal.pay(reference)
    assert market.deliver() == [200]
    assert paypal.taken(reference) == 0
    assert not [call for call in paypal.serving.calls() if call.endswith("/capture")]


@at_paypal
def test_nothing_is_changed_while_money_may_be_taken(market: Market) -> None:
    """Else the buyer might pay twice."""
    reference = market.start()
    market.acts().pay(reference)
    [(name, sent)] = market.outbox()
    market.acts().serving.faults += ["nothing", "nothing", "silent after"]
    assert market.receive(name, sent) == 503
    assert market.shop.checkout("card").code == "invalid_transition"
    assert market.shop.cancel().code == "invalid_transition"
    market.deliver()
    assert (market.shop.status(), market.acts().taken(reference)) == ("credited", PRICE)


@at_paypal
def test_a_capture_that_nobody_here_knows_of(market: Market) -> None:
    """A restored table may have forgotten it: the order is looked at before its checkout counts as closed."""
    reference = market.start()
    market.acts().revive(reference)
    market.lose_webhooks()
    assert market.shop.cancel().code == "invalid_transition"
    assert (market.shop.status(), market.shop.balance().posted) == ("credited", FREE + BOUGHT)


@at_paypal
def test_money_that_takes_days(market: Market) -> None:
    """The purchase waits, and can be neither changed nor canceled."""
    reference = market.start()
    market.stall().acts.hold(reference)
    market.deliver()
    assert market.shop.status() == "pending"
    assert market.shop.cancel().code == "invalid_transition"
    market.stall().acts.settle(reference)
    market.deliver()
    assert market.shop.status() == "credited"


@at_paypal
def test_money_that_does_not_come(market: Market) -> None:
    """The buyer may pay another way."""
    reference = market.start()
    market.stall().acts.hold(reference)
    market.deliver()
    market.stall().acts.settle(reference, "DECLINED")
    market.deliver()
    assert market.shop.status() == "declined"
    second = market.go_to("stripe")
    market.acts().pay(second)
    market.deliver()
    assert market.shop.balance().posted == FREE + BOUGHT


@at_paypal
def test_an_approval_that_lapsed(market: Market) -> None:
    """After three hours PayPal knows nothing of it: nothing was taken, and nothing will be."""
    reference = market.start()
    market.acts().pay(reference)
    market.lose_webhooks()
    assert market.shop.poll_after(minutes=181) == (1, 0)
    assert (market.shop.status(), market.acts().taken(reference)) == ("expired", 0)


# ---------------------------------------------------------------- what an order may say


LIES: dict[str, dict[str, Any]] = {
    "another amount": {"amount": {"currency_code": "USD", "value": "3.99"}},
    "another currency": {"amount": {"currency_code": "EUR", "value": "39.90"}},
    "another account": {"custom_id": "umbrella.pur_1"},
    "nobody": {"custom_id": "hello"},
}


@at_paypal
@pytest.mark.parametrize("lie", LIES)
def test_what_does_not_fit_credits_nothing(market: Market, lie: str) -> None:
    """Another amount or currency, or the purchase of somebody else."""
    market.shop.open("umbrella")
    reference = market.start()
    market.stall().acts.lie(reference, **LIES[lie])
    market.acts().pay(reference)
    market.deliver()
    assert (market.shop.balance().posted, market.shop.balance("umbrella").posted) == (FREE, FREE)


@at_paypal
def test_a_capture_that_was_reversed_without_a_refund(market: Market) -> None:
    """Nothing explains it, so a person looks; a refund that comes later explains it."""
    reference = market.start()
    market.acts().pay(reference)
    market.deliver()
    market.stall().acts.reverse(reference)
    market.deliver()
    assert (market.shop.status(), market.shop.balance().posted) == ("review", FREE + BOUGHT)
    market.acts().refund(reference, PRICE)
    market.lose_webhooks()
    assert market.shop.poll_after(minutes=24 * 60) == (1, 0)
    assert (market.shop.status(), market.shop.balance().posted) == ("refunded", FREE)


@at_paypal
@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ("RESOLVED_BUYER_FAVOUR", "charged_back"),
        ("ACCEPTED", "charged_back"),
        ("RESOLVED_SELLER_FAVOUR", "credited"),
        ("RESOLVED_WITH_PAYOUT", "credited"),
        ("CANCELED_BY_BUYER", "credited"),
        ("DENIED", "review"),
        ("NONE", "review"),
    ],
)
def test_how_a_dispute_ends(market: Market, outcome: str, status: str) -> None:
    """An end that is not known here is for a person; until then the credits stay frozen."""
    reference = market.start()
    market.acts().pay(reference)
    market.deliver()
    market.acts().dispute(reference)
    market.stall().acts.end_dispute(reference, outcome)
    market.deliver()
    assert market.shop.status() == status
    assert (market.shop.balance().held > 0) == (status == "review")


@at_paypal
def test_a_dispute_that_was_lost_in_part(market: Market) -> None:
    """What went back is what PayPal says."""
    reference = market.start()
    market.acts().pay(reference)
    market.deliver()
    market.acts().dispute(reference)
    market.stall().acts.lose(reference, PRICE // 2)
    market.deliver()
    assert (market.shop.status(), market.shop.balance().posted) == ("charged_back", FREE + BOUGHT // 2)


CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "no id": lambda order: order.pop("id"),
    "a capture without an id": lambda order: _capture(order).pop("id"),
    "a capture without an amount": lambda order: _capture(order).pop("amount"),
    "an amount that is none": lambda order: _capture(order).update(amount={"currency_code": "USD", "value": "1e3"}),
    "an amount below nothing": lambda order: _capture(order).update(amount={"currency_code": "USD", "value": "-1.00"}),
    "an amount as a number": lambda order: _capture(order).update(amount={"currency_code": "USD", "value": 39.9}),
    "captures that are no list": lambda order: order["purchase_units"][0]["payments"].update(captures="all"),
}


def _capture(order: dict[str, Any]) -> dict[str, Any]:
    capture: dict[str, Any] = order["purchase_units"][0]["payments"]["captures"][0]
    return capture


def _events(order: dict[str, Any]) -> list[PaymentEvent]:
    found = read_order(order)
    return found.events() if found else []


@pytest.mark.parametrize("change", CHANGES)
def test_an_order_in_an_unknown_form(change: str) -> None:
    """It is told, and nothing is guessed."""
    capture = {"id": "C1", "status": "COMPLETED", "amount": {"currency_code": "USD", "value": "39.90"}}
    unit = {"reference_id": "1", "custom_id": "acme.pur_1", "payments": {"captures": [capture]}}
    order = {"id": "O1", "status": "COMPLETED", "purchase_units": [unit]}
    paid = PaymentEvent(
        provider="paypal", type="paid", purchase_id="pur_1", payment_id="C1", checkout=1, amount=3990, currency="USD"
    )
    assert _events(order) == [paid]
    CHANGES[change](order)
    with pytest.raises(Problem) as raised:
        _events(order)
    assert raised.value.code == "invalid_field"


@pytest.mark.parametrize("links", [[{"rel": "up", "href": "https://api-m.paypal.com/v2/payments/captures/C2"}], []])
def test_a_refund_names_its_capture_by_a_link(links: list[dict[str, str]]) -> None:
    """Where there are several captures, one that names none belongs to nobody, and what it should explain is unclear."""
    amount = {"currency_code": "USD", "value": "39.90"}
    captures = [{"id": name, "status": status, "amount": amount} for name, status in (("C1", "COMPLETED"), ("C2", "REFUNDED"))]  # fmt: skip
    refund = {"id": "R1", "status": "COMPLETED", "amount": amount, "links": links}
    unit = {"reference_id": "1", "custom_id": "acme.pur_1", "payments": {"captures": captures, "refunds": [refund]}}
    told = [
        (event.type, event.payment_id)
        for event in _events({"id": "O1", "status": "COMPLETED", "purchase_units": [unit]})
    ]
    explains = "refunded" if links else "unclear"
    assert told == [("paid", "C1"), ("paid", "C2"), (explains, "C2")]

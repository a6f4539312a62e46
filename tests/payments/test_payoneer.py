"""Payoneer's own: what is asked, whom its notifications are from, pairs of status and reason, and lists that are closed."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

from autocredits.domain.errors import Problem
from autocredits.ledger.ports import UnavailableError
from dev.doubles import payoneer as double
from dev.doubles.payoneer import PayoneerDouble
from dev.doubles.serving import Fault, Sent, Told, running
from functions.purchase.payments.payoneer import MEDIA_TYPE, Payoneer
from functions.purchase.payments.payoneer_charges import PAIRS, charge_events, money
from functions.purchase.payments.port import DECLINED, Payer, PaymentRefusedError, StartRequest
from tests.payments.conftest import Counted
from tests.payments.market import Market
from tests.payments.shop import BOUGHT, FREE, PRICE

START = StartRequest(
    account_id="acme.shop",
    purchase_id="pur_1",
    number=2,
    started_at=0,
    price=3990,
    description='auto_order-100 "now"',
    return_url="https://shop.example/done?tab=credits",
    webhook_url="https://api.example/v1/payments/payoneer/webhook",
    payer=Payer("DE", "buyer@example.com"),
)
BACK = "https://shop.example/done?tab=credits&purchase_id=pur_1"
CHARGE = "c4a700000000000000000001"

at_payoneer = pytest.mark.parametrize("market", ["payoneer"], indirect=True)


@pytest.fixture
def served() -> Iterator[PayoneerDouble]:
    """A Payoneer that knows nothing yet."""
    with running(PayoneerDouble()) as served:
        yield served


def opened(served: PayoneerDouble, **changes: Any) -> Payoneer:
    """The provider as it is deployed, but for the address and less patience."""
    plain: dict[str, Any] = {
        "merchant_code": double.MERCHANT,
        "tokens": (double.TOKEN,),
        "notification_secrets": (double.NOTIFICATIONS,),
        "environment": "sandbox",
        "division": "",
        "country": "US",
        "home_url": "https://home.example",
        "read_s": 0.3,
        **served.settings(),
    }
    return Payoneer(**{**plain, **changes})


@pytest.fixture
def provider(served: PayoneerDouble) -> Payoneer:
    """The provider, with one token."""
    return opened(served)


# ---------------------------------------------------------------- starting


def test_what_payoneer_is_told(served: PayoneerDouble, provider: Payoneer) -> None:
    """The purchase, the price as a number, who pays, and where the buyer and the notifications go."""
    started = provider.start(START)
    [asked] = served.serving.asked
    wanted = asked.json()
    notified = urlsplit(wanted["callback"].pop("notificationUrl"))
    assert wanted == {
        "transactionId": "pur_1",
        "integration": "HOSTED",
        "country": "DE",
        "customer": {"number": "acme.shop", "email": "buyer@example.com"},
        "payment": {"amount": 39.9, "currency": "USD", "reference": 'auto_order-100 "now"'},
        "preselection": {"deferral": "NON_DEFERRED"},
        "callback": {"returnUrl": BACK, "summaryUrl": BACK, "cancelUrl": BACK},
        "style": {"hostedVersion": "v4"},
    }
    assert '"amount": 39.90,' in asked.body
    assert (asked.headers["content-type"], asked.headers["accept"]) == (MEDIA_TYPE, MEDIA_TYPE)
    assert notified._replace(query="").geturl() == START.webhook_url
    query = dict(parse_qsl(notified.query))
    assert (query["purchase_id"], query["checkout"], query["token"][:10]) == ("pur_1", "2", "acme.shop.")
    address = f"{served.serving.base_url}/paymentpage?longId={started.reference}"
    assert started.redirect_url == address


def test_what_is_not_known(served: PayoneerDouble) -> None:
    """The country comes from the template, the buyer goes home, and a division is named where there is one."""
    opened(served, division="shops").start(replace(START, payer=None, return_url=None))
    wanted = served.serving.asked[-1].json()
    assert (wanted["country"], wanted["customer"], wanted["division"]) == ("US", {"number": "acme.shop"}, "shops")
    assert wanted["callback"]["returnUrl"] == "https://home.example?purchase_id=pur_1"


@pytest.mark.parametrize("price", [1, 10, 110, 3990, 99_999_999])
def test_a_price_is_written_to_the_cent(served: PayoneerDouble, provider: Payoneer, price: int) -> None:
    """It is never a float on its way."""
    provider.start(replace(START, price=price))
    assert f'"amount": {price // 100}.{price % 100:02d},' in served.serving.asked[-1].body


@pytest.mark.parametrize("fault", ["reset before", "reset after", "silent after", "500 before", "500 after", "429"])
def test_a_start_that_broke_off_makes_another_list(served: PayoneerDouble, provider: Payoneer, fault: Fault) -> None:
    """Of the first nobody has the address, so nobody pays it."""
    served.serving.faults.append(fault)
    with pytest.raises(UnavailableError):
        provider.start(START)
    assert provider.start(START).reference in served.lists


@pytest.mark.parametrize("status", [403, 404, 409])
def test_a_start_that_tells_nothing(served: PayoneerDouble, provider: Payoneer, status: int) -> None:
    """It is no refusal of the payment: the purchase stays as it is."""
    served.serving.instead["POST /lists"] = Told(status, {})
    with pytest.raises(UnavailableError):
        provider.start(START)
    assert provider.start(START).reference in served.lists


def test_what_payoneer_refuses(provider: Payoneer) -> None:
    """Its code is for the log; the payer's address is not in it."""
    with pytest.raises(PaymentRefusedError, match=r"^00000\.INVALID_REQUEST$"):
        provider.start(replace(START, payer=Payer("DE", "no@address")))


@pytest.mark.parametrize(
    ("environment", "host"), [("sandbox", "https://api.sandbox.oscato.com"), ("live", "https://api.live.oscato.com")]
)
def test_no_other_host_is_asked(monkeypatch: pytest.MonkeyPatch, environment: str, host: str) -> None:
    """Than Payoneer's own of that environment."""
    asked: list[str] = []

    def refuse(_: requests.Session, __: str, url: str, **___: Any) -> None:
        asked.append(url)
        raise requests.ConnectionError

    monkeypatch.setattr(requests.Session, "request", refuse)
    with pytest.raises(UnavailableError):
        opened(PayoneerDouble(), environment=environment, api_base="").start(START)
    assert asked == [f"{host}/api/lists"]


def test_the_other_token_is_tried(served: PayoneerDouble) -> None:
    """While they are rotated, either may be the right one."""
    assert opened(served, tokens=("not yet known to it", double.TOKEN)).start(START).reference in served.lists
    with pytest.raises(UnavailableError):
        opened(served, tokens=("wrong", "wrong as well")).start(START)


# ---------------------------------------------------------------- notifications


def paid(market: Market, key: str = "k1") -> tuple[str, Sent]:
    """A purchase that was paid, and the notification of it, which has not come yet."""
    reference = market.start(key)
    market.acts().pay(reference)
    [(_, sent)] = market.outbox()
    return reference, sent


@at_payoneer
@pytest.mark.parametrize(
    "change",
    [
        {"token": ""},
        {"token": "acme.0"},
        {"token": "acme.ä"},
        {"purchase_id": ""},
        {"purchase_id": "pur_other"},
        {"checkout": "2"},
        {"checkout": "x"},
        {"checkout": ""},
    ],
)
def test_an_address_that_is_not_ours(market: Market, change: dict[str, str]) -> None:
    """It is refused before anything is parsed or asked for."""
    _, sent = paid(market)
    asked = len(market.acts().serving.asked)
    assert market.receive("payoneer", Sent(b"{", sent.headers, {**sent.query, **change})) == 401
    assert len(market.acts().serving.asked) == asked


@at_payoneer
def test_an_address_without_anything(market: Market) -> None:
    """Whoever finds the route gets no further."""
    _, sent = paid(market)
    assert market.receive("payoneer", Sent(sent.raw, sent.headers)) == 401


@at_payoneer
def test_a_token_is_of_one_account(market: Market) -> None:
    """The account that it names is signed with it."""
    market.shop.open("umbrella")
    _, sent = paid(market)
    token = sent.query["token"].replace("acme.", "umbrella.")
    assert market.receive("payoneer", replace(sent, query={**sent.query, "token": token})) == 401


@at_payoneer
def test_another_purchase_s_charge(market: Market, counted: Counted) -> None:
    """A good address with somebody else's long id: put aside, and nothing is credited."""
    _, first = paid(market)
    _, second = paid(market, "k2")
    assert market.receive("payoneer", replace(first, query=second.query)) == 202
    assert market.shop.balance().posted == FREE
    assert "PaymentPutAside" in counted()


@at_payoneer
def test_a_notification_is_never_believed(market: Market) -> None:
    """It only makes us ask."""
    market.acts().decline(market.start())
    [(_, sent)] = market.outbox()
    lie = replace(sent, raw=sent.raw.replace(b'"declined"', b'"charged"').replace(b'"debit_declined"', b'"debited"'))
    assert lie.raw != sent.raw
    assert market.receive("payoneer", lie) == 200
    assert (market.shop.status(), market.shop.balance().posted) == ("declined", FREE)


@at_payoneer
@pytest.mark.parametrize("form", ["json", "form", "query"])
def test_where_a_notification_tells(market: Market, form: str) -> None:
    """In JSON, in a form, or in its address."""
    reference, sent = paid(market)
    assert market.acts().taken(reference) == PRICE
    told = {"entity": "payment", "longId": CHARGE}
    if form == "form":
        sent = replace(sent, raw=b"entity=payment&longId=" + CHARGE.encode(), headers={})
    elif form == "query":
        sent = Sent(b"", {}, {**sent.query, **told})
    assert market.receive("payoneer", sent) == 200
    assert market.shop.balance().posted == FREE + BOUGHT


@at_payoneer
@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b'{"entity": "session", "longId": "c4a700000000000000000001"}', 200),
        (b"{}", 200),
        (b"[]", 200),
        (b"", 200),
        (b"{", 202),
        (b'{"entity": "payment"}', 202),
        (b'{"entity": "payment", "longId": "../lists"}', 202),
        (b'{"entity": "payment", "longId": "0123456789"}', 200),
    ],
)
def test_a_notification_in_an_unknown_form(market: Market, counted: Counted, raw: bytes, status: int) -> None:
    """What is of no interest is done; what cannot be understood is told."""
    _, sent = paid(market)
    assert market.receive("payoneer", replace(sent, raw=raw)) == status
    assert counted() == (["PaymentPutAside"] if status == 202 else [])
    assert market.shop.balance().posted == FREE


@at_payoneer
@pytest.mark.parametrize("fault", ["reset before", "silent after", "500 before", "429", "not JSON"])
def test_a_notification_comes_again(market: Market, fault: Fault) -> None:
    """Where Payoneer cannot be asked."""
    _, sent = paid(market)
    market.acts().serving.faults.append(fault)
    assert market.receive("payoneer", sent) == 503
    assert market.receive("payoneer", sent) == 200
    assert market.shop.balance().posted == FREE + BOUGHT


# ---------------------------------------------------------------- charges


@at_payoneer
def test_declined_then_paid_on_the_same_page(market: Market) -> None:
    """One list sees several charges, each with its own long id."""
    reference = market.start()
    market.acts().decline(reference)
    market.deliver()
    assert (market.shop.status(), market.shop.last_reason()) == ("declined", DECLINED)
    market.acts().pay(reference)
    market.deliver()
    assert (market.shop.status(), market.shop.balance().posted) == ("credited", FREE + BOUGHT)


@at_payoneer
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


@at_payoneer
def test_an_authorization_is_no_payment(market: Market) -> None:
    """Preauthorized money may never come."""
    market.stall().acts.charge(market.start(), "preauthorized", "preauthorized")
    market.deliver()
    assert (market.shop.status(), market.shop.balance().posted) == ("pending", FREE)


@at_payoneer
@pytest.mark.parametrize(("code", "reason"), [("charged", "something_new"), ("odd", "odd"), ("charged", "None")])
def test_an_unknown_pair_is_for_a_person(market: Market, code: str, reason: str) -> None:
    """Nothing is credited before somebody has looked."""
    market.stall().acts.charge(market.start(), code, reason)
    market.deliver()
    assert (market.shop.status(), market.shop.balance().posted) == ("review", FREE)
    assert market.shop.review("credit").status == 200
    assert market.shop.balance().posted == FREE + BOUGHT


LIES: dict[str, dict[str, Any]] = {
    "another amount": {"payment": {"amount": 3.99, "currency": "USD"}},
    "another currency": {"payment": {"amount": 39.9, "currency": "EUR"}},
    "another purchase": {"identification": {"longId": "5f1e00000000000000000001", "transactionId": "pur_other"}},
}


@at_payoneer
@pytest.mark.parametrize("lie", LIES)
def test_what_does_not_fit_credits_nothing(market: Market, lie: str) -> None:
    """Another amount or currency, or another purchase."""
    reference = market.start()
    market.stall().acts.lie(reference, **LIES[lie])
    market.acts().pay(reference)
    market.deliver()
    assert market.shop.balance().posted == FREE


@at_payoneer
def test_a_refund_that_is_told_by_the_charge_alone(market: Market) -> None:
    """Its payouts explain it; without them a person looks."""
    reference = market.start()
    market.acts().pay(reference)
    market.deliver()
    market.stall().acts.change(reference, "paid_out", "refund_credited")
    market.deliver()
    assert (market.shop.status(), market.shop.balance().posted) == ("review", FREE + BOUGHT)
    market.acts().refund(reference, PRICE)
    market.lose_webhooks()
    assert market.shop.poll_after(minutes=24 * 60) == (1, 0)
    assert (market.shop.status(), market.shop.balance().posted) == ("refunded", FREE)


@at_payoneer
def test_a_refund_that_fails(market: Market) -> None:
    """Nothing went back, and nothing is taken back."""
    reference = market.start()
    market.acts().pay(reference)
    market.deliver()
    market.stall().acts.refund(reference, 1000, "failed", "refund_failed")
    market.deliver()
    assert (market.shop.status(), market.shop.balance().posted) == ("credited", FREE + BOUGHT)


def charge(code: str, reason: str, **changes: Any) -> dict[str, Any]:
    """A charge of a purchase, as Payoneer answers."""
    plain = {
        "identification": {"longId": CHARGE, "transactionId": "pur_1"},
        "status": {"code": code, "reason": reason},
        "payment": {"amount": "39.90", "currency": "USD"},
        "links": {},
    }
    return {**plain, **changes}


TOLD = {
    "paid": ["paid"],
    "pending": [],
    "declined": ["declined"],
    "given_up": [],
    "expired": [],
    "refunded": ["paid", "unclear"],
    "refund_failed": ["unclear"],
    "disputed": ["paid", "dispute_created"],
    "lost": ["paid", "dispute_lost"],
    "won": ["paid", "dispute_won"],
}


@pytest.mark.parametrize("pair", PAIRS, ids="/".join)
def test_what_each_pair_means(pair: tuple[str, str]) -> None:
    """A charge was paid before anything went back of it."""
    events = list(charge_events(charge(*pair), (), "pur_1", 1))
    assert [event.type for event in events] == TOLD[PAIRS[pair]]
    assert {event.payment_id for event in events} <= {CHARGE}


@pytest.mark.parametrize(
    ("amount", "cents"), [("39.90", 3990), ("39.9", 3990), (39, 3900), (0, 0), ("0.01", 1), ("999999.99", 99_999_999)]
)
def test_an_amount_is_read_to_the_cent(amount: object, cents: int) -> None:
    """As it was written: no float is made of it."""
    assert money({"payment": {"amount": amount, "currency": "USD"}}) == (cents, "USD")


@pytest.mark.parametrize("amount", ["39.999", "-1.00", "1e2", "NaN", "", None, True, -1, 39.9, "039.90", "1.", ".5"])
def test_what_is_no_amount(amount: object) -> None:
    """It is told, and nothing is guessed."""
    with pytest.raises(Problem, match="not an amount in cents"):
        money({"payment": {"amount": amount, "currency": "USD"}})


# ---------------------------------------------------------------- closing and looking


@at_payoneer
def test_a_list_is_closed_by_deleting_it(market: Market) -> None:
    """Then nobody can pay it."""
    reference = market.start()
    assert market.shop.cancel().status == 200
    assert reference not in market.stall().acts.lists


@at_payoneer
@pytest.mark.parametrize("fault", ["reset after", "silent after", "500 after"])
def test_a_deletion_whose_answer_was_lost(market: Market, fault: Fault) -> None:
    """Asked again, it is closed."""
    market.start()
    market.acts().serving.faults.append(fault)
    assert market.shop.cancel().status == 503
    assert market.shop.cancel().status == 200


@at_payoneer
def test_a_list_that_is_no_more(market: Market) -> None:
    """It expires at the next look, however it went."""
    reference = market.start()
    del market.stall().acts.lists[reference]
    assert market.shop.poll_after(minutes=2) == (1, 0)
    assert market.shop.status() == "expired"


@at_payoneer
def test_a_paid_list_without_a_charge(market: Market, counted: Counted) -> None:
    """Without its long id nothing can be credited: the look fails, and is told."""
    reference = market.start()
    market.stall().acts.lists[reference]["status"] = {"code": "charged", "reason": "debited"}
    assert market.shop.poll_after(minutes=2) == (0, 1)
    assert "PollFailed" in counted()


@at_payoneer
def test_whose_payment_it_is(market: Market) -> None:
    """By the charge's own transaction and customer."""
    paid(market)
    found = market.stall().open().find_purchase(CHARGE)
    assert found == ("acme", market.shop.purchase().purchase_id)
    assert market.stall().open().find_purchase("c4a700000000000000000009") is None

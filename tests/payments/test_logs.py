"""What the log says of buying: nothing of a secret, of who pays, or of a coupon's code, whatever happens."""

import json
import logging
from dataclasses import replace

import pytest

from autocredits.edge.telemetry import logger
from dev.doubles.stripe import KEY, NO_EMAIL, event
from tests.kit.service import Context, handler_of, http_event
from tests.payments.shop import NEW_SECRET, OLD_SECRET, Shop, sign

CODE = "SUMMER-OF-26"
EMAIL = "jane.roe@buyers.example"
PAYER = {"country": "CH", "email": EMAIL}
WRONG_KEY = "sk_test_wrong_0123456789"
UNSPEAKABLE = (
    NEW_SECRET,
    OLD_SECRET,
    KEY,
    WRONG_KEY,
    "whsec_",
    "sk_test",
    "sk_live",
    CODE,
    EMAIL,
    NO_EMAIL,
    "Jane Roe",
)


def test_a_buying_story_says_nothing_of_them(
    shop: Shop, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all that is logged while purchases go well and badly, by us or by a library, no line holds one of them."""
    monkeypatch.setattr(logger, "level", logging.DEBUG)
    with caplog.at_level(logging.INFO):
        use_coupons(shop)
        buy_and_pay(shop)
        buy_badly(shop)
        forge(shop)
    lines = [str(record.__dict__) + str(record.exc_text) for record in caplog.records]
    lines += capsys.readouterr().out.splitlines()
    assert len(lines) > 40
    assert [(word, line) for word in UNSPEAKABLE for line in lines if word in line] == []


def platform(method: str, path: str, body: object = None) -> int:
    """Call a route that names no account as the platform; its status."""
    headers = {"content-type": "application/json"}
    text = None if body is None else json.dumps(body)
    request = http_event(method, path, claims={"sub": "me", "account_id": "*"}, headers=headers, body=text)
    status: int = handler_of(request)(request, Context())["statusCode"]
    return status


def use_coupons(shop: Shop) -> None:
    """A coupon is made twice, shown, checked, used up and closed."""
    coupon = {"code": CODE, "percent_off": "10.00", "max_uses": 3}
    assert [platform("POST", "/v1/coupons", coupon) for _ in range(2)] == [201, 409]
    assert platform("GET", f"/v1/coupons/{CODE}") == 200
    assert platform("GET", f"/v1/coupons/{CODE}-2") == 404
    for code, status in ((CODE, 200), (f"{CODE}-2", 422)):
        check = {"code": code, "package": "auto_order-100"}
        assert shop.call("/coupons/check", check).status == status
    assert shop.buy("none", coupon=f"{CODE}-2").status == 422


def buy_and_pay(shop: Shop) -> None:
    """A purchase is declined, paid another way, refunded, disputed and polled for."""
    session_id = shop.start(coupon=CODE, payer=PAYER)
    assert shop.deliver(shop.double.decline(session_id)) == 200
    assert shop.checkout("paypal", payer=PAYER).status == 200
    assert shop.checkout("card", payer=PAYER).status == 200
    shop.double.sessions[shop.session()]["customer_details"] = {"email": EMAIL, "name": "Jane Roe"}
    session_id = shop.session()
    assert shop.deliver(shop.double.pay(session_id)) == 200
    assert shop.deliver(shop.double.refund(session_id, 100)) == 200
    assert shop.deliver(shop.double.dispute(session_id)) == 200
    assert shop.poll_after(24 * 60) == (1, 0)
    assert shop.cancel().status == 409


def buy_badly(shop: Shop) -> None:
    """Stripe refuses a payer, is away, repeats no start, and does not know our key."""
    assert shop.buy("k2", coupon=CODE, payer={**PAYER, "email": NO_EMAIL}).code == "payment_refused"
    shop.double.serving.faults.extend(["reset after"] * 2)
    assert shop.buy("k3", coupon=CODE, payer=PAYER).status == 503
    assert shop.buy("k3", coupon=CODE, payer=PAYER).status == 201
    assert shop.cancel("k3").status == 200
    good, shop.provider = shop.provider, replace(shop.provider, api_key=WRONG_KEY)
    assert shop.buy("k4", coupon=CODE, payer=PAYER).status == 500
    assert shop.poll_after(30) == (1, 0)  # the start that broke off
    shop.provider = good
    assert shop.buy("k5", coupon=CODE, payer={**PAYER, "email": "nobody"}).status == 422
    assert platform("DELETE", f"/v1/coupons/{CODE}") == 200


def forge(shop: Shop) -> None:
    """Webhooks with bad signatures, of strange forms, and for providers that there are not."""
    session = {"customer_details": {"email": EMAIL, "name": "Jane Roe"}}
    told = event("checkout.session.completed", session)
    assert shop.deliver(told, sign(json.dumps(told).encode(), secret="whsec_of_a_stranger")) == 401
    assert shop.deliver(told, f"t=1,v1={NEW_SECRET}") == 401
    assert shop.deliver(event("charge.dispute.closed", session)) == 202
    assert shop.deliver_raw(b"{", sign(b"{")) == 202
    for name in (NEW_SECRET, EMAIL, CODE):
        assert shop.deliver_raw(b"{}", None, name=name) == 404


@pytest.mark.parametrize(
    ("name", "logged"),
    [
        ("stripe", "stripe"),
        ("sandbox", "sandbox"),
        ("paypal", "paypal"),
        ("payoneer", "payoneer"),
        ("Stripe", "unknown"),
        ("whatever\nlevel: ERROR", "unknown"),
        ("constructor", "unknown"),
    ],
)
def test_a_provider_is_named_only_if_it_is_ours(
    shop: Shop, caplog: pytest.LogCaptureFixture, name: str, logged: str
) -> None:
    """What somebody writes in the path is not logged."""
    caplog.clear()
    shop.deliver_raw(b"{}", None, name=name)
    (line,) = (record for record in caplog.records if record.message == "webhook")
    assert line.__dict__["provider"] == logged
    assert name == logged or name not in str(line.__dict__)

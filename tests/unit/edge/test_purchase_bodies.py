"""Where a buyer may be sent back to, and what a purchase and a coupon look like."""

from typing import Any

import pytest

from autocredits.domain.errors import Problem
from autocredits.domain.purchases.calls import PurchaseRequest
from autocredits.domain.purchases.coupons import Coupon
from autocredits.edge.purchase_bodies import (
    CouponCheck,
    Load,
    PackagePurchase,
    check_return_url,
    parse_checkout,
    parse_coupon,
    parse_purchase,
    parse_review,
)

ORIGINS = ("https://shop.example", "https://other.example:8443")


@pytest.mark.parametrize(
    "url", [None, "https://shop.example", "https://shop.example:443/a?b=c", "https://other.example:8443/done"]
)
def test_a_buyer_goes_back_to_a_known_origin(url: str | None) -> None:
    """Any path and query of an origin that the service was given."""
    check_return_url(url, ORIGINS, local=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/",
        "https://shop.example.evil.example/",
        "https://evil.example/https://shop.example",
        "https://shop.example@evil.example/",
        "https://user:pw@shop.example/",
        "https://shop.example\\@evil.example/",
        "https://shop.example/#fragment",
        "https://shop.example:8443/",
        "https://shop.example:99999/",
        "https://shop.example/a b",
        "https://shop.example/\n",
        "https://shöp.example/",
        "//shop.example/",
        "shop.example",
        "javascript:alert(1)",
        "",
        "https://[::1",
    ],
)
def test_a_buyer_goes_nowhere_else(url: str) -> None:
    """Neither to another origin nor to what only looks like a known one."""
    with pytest.raises(Problem, match="invalid_field"):
        check_return_url(url, ORIGINS, local=False)


@pytest.mark.parametrize("url", ["http://127.0.0.1:3000/x", "http://localhost/x"])
def test_a_developers_own_machine_is_good_on_a_local_stack_alone(url: str) -> None:
    """There, and only there, http will do."""
    check_return_url(url, (), local=True)
    with pytest.raises(Problem):
        check_return_url(url, (), local=False)


PACKAGE = {"package": "auto_order-20", "payment_method": "card"}


def test_a_package_or_a_load() -> None:
    """What is bought decides the form."""
    package, load = (
        parse_purchase(PACKAGE),
        parse_purchase({"unit": "managed", "amount": "1.00", "payment_method": "card"}),
    )
    assert isinstance(package, PackagePurchase)
    assert package.request() == PurchaseRequest(package="auto_order-20")
    assert isinstance(load, Load)
    assert load.request() == PurchaseRequest(amount=100)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"payment_method": "cash"}, "invalid_field"),
        ({"price": "1.00"}, "unknown_field"),
        ({"coupon": "lower"}, "invalid_field"),
        ({"coupon": "A" * 33}, "invalid_field"),
        ({"coupon": "A\n"}, "invalid_field"),
        ({"return_url": "https://shop.example/" + "a" * 480}, "invalid_field"),
        ({"payer": {"country": "de", "email": "a@b"}}, "invalid_field"),
        ({"payer": {"country": "DE", "email": "nobody"}}, "invalid_field"),
        ({"unit": "managed"}, "unknown_field"),
        ({"package": 20}, "invalid_field"),
    ],
)
def test_a_purchase_of_another_form_is_refused(change: dict[str, Any], code: str) -> None:
    """By the code of what is wrong with it; a missing amount of a load is a field that is missing."""
    with pytest.raises(Problem) as refused:
        parse_purchase(PACKAGE | change)
    assert refused.value.code in (code, "invalid_field" if "unit" in change else code)


def test_another_way_to_pay_is_understood() -> None:
    """The method, and perhaps where the buyer goes and who pays."""
    plain = parse_checkout({"payment_method": "paypal"})
    assert (plain.payment_method, plain.return_url, plain.payer) == ("paypal", None, None)
    full = parse_checkout(
        {
            "payment_method": "card",
            "return_url": "https://shop.example/",
            "payer": {"country": "DE", "email": "a@b"},
        }
    )
    assert full.payer is not None
    assert (full.return_url, full.payer.email, full.payer.country) == ("https://shop.example/", "a@b", "DE")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_field"),
        ({"payment_method": "cash"}, "invalid_field"),
        ({"payment_method": "card", "coupon": "C"}, "unknown_field"),
        ({"payment_method": "card", "package": "auto_order-20"}, "unknown_field"),
        ({"payment_method": "card", "amount": "1.00"}, "unknown_field"),
        ({"payment_method": "card", "return_url": "https://shop.example/" + "a" * 480}, "invalid_field"),
        ({"payment_method": "card", "payer": {"country": "DE"}}, "invalid_field"),
    ],
)
def test_another_way_to_pay_changes_no_terms(body: dict[str, Any], code: str) -> None:
    """Neither what is bought nor its price or coupon."""
    with pytest.raises(Problem) as refused:
        parse_checkout(body)
    assert refused.value.code == code


@pytest.mark.parametrize("decision", ["credit", "refuse", "dispute_won", "dispute_lost"])
def test_a_review_is_understood(decision: str) -> None:
    """A decision and a reason."""
    body = parse_review({"decision": decision, "reason": "seen"})
    assert (body.decision, body.reason, body.dispute_id) == (decision, "seen", None)


@pytest.mark.parametrize("decision", ["dispute_won", "dispute_lost"])
@pytest.mark.parametrize("dispute_id", ["d", "d" * 256])
def test_a_dispute_may_be_named(decision: str, dispute_id: str) -> None:
    """By the provider's id."""
    body = parse_review({"decision": decision, "reason": "seen", "dispute_id": dispute_id})
    assert body.dispute_id == dispute_id


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"decision": "won"}, "invalid_field"),
        ({"decision": None}, "invalid_field"),
        ({"reason": ""}, "invalid_field"),
        ({"reason": "x" * 201}, "invalid_field"),
        ({"reason": None}, "invalid_field"),
        ({"dispute_id": "d1"}, "invalid_field"),
        ({"decision": "refuse", "dispute_id": "d1"}, "invalid_field"),
        ({"decision": "dispute_won", "dispute_id": ""}, "invalid_field"),
        ({"decision": "dispute_won", "dispute_id": "d" * 257}, "invalid_field"),
        ({"decision": "dispute_won", "dispute_id": 1}, "invalid_field"),
        ({"credit": True}, "unknown_field"),
    ],
)
def test_a_review_of_another_form_is_refused(change: dict[str, Any], code: str) -> None:
    """A dispute is named only where one is decided on."""
    with pytest.raises(Problem) as refused:
        parse_review({"decision": "credit", "reason": "seen"} | change)
    assert refused.value.code == code


def test_a_coupon_check_names_a_package() -> None:
    """And a code of the form that coupons have."""
    assert CouponCheck(code="A_1-Z", package="auto_order-20").package == "auto_order-20"
    for bad in ({"code": "a"}, {"code": ""}, {"package": ""}):
        with pytest.raises(ValueError, match="String"):
            CouponCheck(**({"code": "C", "package": "p"} | bad))


def test_a_coupon_that_takes_all_off_is_limited() -> None:
    """100.00 percent off needs `max_uses`; 99.99 does not."""
    assert parse_coupon({"code": "C", "percent_off": "100.00", "max_uses": 1}).max_uses == 1
    assert parse_coupon({"code": "C", "percent_off": "99.99"}).max_uses is None
    for unlimited in ({}, {"max_uses_per_account": 1}):
        with pytest.raises(Problem, match="max_uses is required for 100") as refused:
            parse_coupon({"code": "C", "percent_off": "100.00", **unlimited})
        assert refused.value.code == "invalid_field"


def test_a_coupon_is_understood() -> None:
    """Its benefit in hundredths, its times in milliseconds; it is not written yet."""
    sent = {"code": "C", "percent_off": "10.00", "packages": ["auto_order-20"], "ends_at": "1970-01-01T00:00:01Z"}
    assert parse_coupon(sent) == Coupon(code="C", percent_off=1000, packages=("auto_order-20",), ends_at=1000)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, "invalid_field"),
        ({"percent_off": "10.00", "amount_off": "1.00"}, "invalid_field"),
        ({"percent_off": "100.01"}, "invalid_amount"),
        ({"percent_off": "0.00"}, "invalid_amount"),
        ({"percent_off": 10}, "invalid_amount"),
        ({"bonus_credits": "-1.00"}, "invalid_amount"),
        ({"amount_off": "1.00", "max_uses": 0}, "invalid_field"),
        ({"amount_off": "1.00", "max_uses": True}, "invalid_field"),
        ({"amount_off": "1.00", "packages": []}, "invalid_field"),
        ({"amount_off": "1.00", "starts_at": 5}, "invalid_field"),
        (
            {"amount_off": "1.00", "starts_at": "2026-01-02T00:00:00Z", "ends_at": "2026-01-02T00:00:00Z"},
            "invalid_field",
        ),
    ],
)
def test_a_coupon_of_another_form_is_refused(change: dict[str, Any], code: str) -> None:
    """Exactly one benefit, limits that can be met, dates that can hold."""
    with pytest.raises(Problem) as refused:
        parse_coupon({"code": "C"} | change)
    assert refused.value.code == code

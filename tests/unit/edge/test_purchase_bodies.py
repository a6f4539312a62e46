"""Where a buyer may be sent back to, and what a purchase and a coupon look like."""

from typing import Any

import pytest

from autocredits.domain.errors import Problem
from autocredits.domain.purchases.calls import PurchaseRequest
from autocredits.domain.purchases.coupons import Coupon
from autocredits.edge.purchase_bodies import Load, PackagePurchase, check_return_url, parse_coupon, parse_purchase

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

"""Coupons over HTTP: made, shown, checked and closed by the platform, used by merchants."""

from typing import Any

import pytest

from functions.purchase.checkout import purchase_id_of
from tests.functional.calls import post, told
from tests.kit.service import Answer, Service

COUPONS = "/v1/coupons"


@pytest.fixture
def acme(service: Service) -> Service:
    """The service with acme."""
    service.open()
    return service


def make(service: Service, code: str = "C", **terms: Any) -> Answer:
    """Make a coupon, by default of ten percent off."""
    return service.call("POST", COUPONS, {"code": code, **(terms or {"percent_off": "10.00"})})


def buy(service: Service, key: str = "k1", coupon: str = "C") -> Answer:
    """Buy 100 credits with a coupon."""
    return post(service, "/purchases", {"package": "auto_order-100", "payment_method": "paypal", "coupon": coupon}, key)


def uses(service: Service, code: str = "C") -> int:
    """How often a coupon is said to have been used."""
    found: int = service.call("GET", f"{COUPONS}/{code}").body["uses"]
    return found


def test_a_coupon_names_who_made_and_closed_it(service: Service) -> None:
    """It is shown from the start on; closing it again is the same."""
    made = make(service, percent_off="10.00", max_uses=3)
    assert (made.status, made.body) == (
        201,
        {"code": "C", "percent_off": "10.00", "max_uses": 3, "uses": 0, "closed": False, "created_by": "test"},
    )
    assert service.call("GET", f"{COUPONS}/C").body == made.body
    for _ in range(2):
        closed = service.call("DELETE", f"{COUPONS}/C")
        assert (closed.status, closed.body) == (200, made.body | {"closed": True, "closed_by": "test"})
    assert told(make(service)) == (409, "coupon_exists")


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"percent_off": "100.00"}, (422, "invalid_field")),
        ({"percent_off": "100.00", "max_uses_per_account": 1}, (422, "invalid_field")),
        ({"percent_off": "100.00", "max_uses": 1}, (201, None)),
        ({"percent_off": "99.99"}, (201, None)),
        ({"percent_off": "100.01", "max_uses": 1}, (422, "invalid_amount")),
        ({"percent_off": "0.00"}, (422, "invalid_amount")),
    ],
)
def test_what_is_free_is_limited(service: Service, terms: dict[str, Any], expected: tuple[int, str | None]) -> None:
    """A coupon that leaves nothing to pay says how often it can be used."""
    answer = make(service, **terms)
    assert (answer.status, answer.code if answer.status != 201 else None) == expected


@pytest.mark.parametrize("limits", [{}, {"max_uses": 5}, {"max_uses_per_account": 5}])
def test_uses_are_counted_and_given_back(acme: Service, limits: dict[str, Any]) -> None:
    """A start counts, a cancellation gives back, once each, whether the coupon is limited or not."""
    make(acme, percent_off="10.00", **limits)
    for key in ("k1", "k2", "k2"):
        assert buy(acme, key).status == 201
    assert uses(acme) == 2
    for _ in range(2):
        assert post(acme, f"/purchases/{purchase_id_of('acme', 'k1')}/cancel").status == 200
    assert uses(acme) == 1


def test_a_limit_is_for_all_accounts(acme: Service) -> None:
    """With `max_uses` the last use is one account's; given back, it is another's."""
    make(acme, percent_off="10.00", max_uses=1)
    acme.open("umbrella")
    assert buy(acme).status == 201
    body = {"package": "auto_order-100", "payment_method": "card", "coupon": "C"}
    refused = acme.call("POST", "/v1/accounts/umbrella/purchases", body, key="k1")
    assert (refused.code, refused.body["reason"]) == ("coupon_invalid", "used_up")
    assert post(acme, f"/purchases/{purchase_id_of('acme', 'k1')}/cancel").status == 200
    assert acme.call("POST", "/v1/accounts/umbrella/purchases", body, key="k1").status == 201


def test_a_limit_for_an_account_is_its_own(acme: Service) -> None:
    """With `max_uses_per_account` each account has its own uses."""
    make(acme, percent_off="10.00", max_uses_per_account=1)
    acme.open("umbrella")
    assert buy(acme).status == 201
    assert buy(acme, "k2").body["reason"] == "used_up_by_account"
    check = post(acme, "/coupons/check", {"code": "C", "package": "auto_order-100"})
    assert check.body["reason"] == "used_up_by_account"
    body = {"package": "auto_order-100", "payment_method": "card", "coupon": "C"}
    assert acme.call("POST", "/v1/accounts/umbrella/purchases", body, key="k1").status == 201
    assert uses(acme) == 2


def test_a_closed_coupon_can_be_no_longer_used(acme: Service) -> None:
    """What was started with it before keeps its price, whichever way it is paid."""
    make(acme)
    buy(acme)
    acme.call("DELETE", f"{COUPONS}/C")
    assert buy(acme, "k2").body["reason"] == "closed"
    answer = post(acme, f"/purchases/{purchase_id_of('acme', 'k1')}/checkout", {"payment_method": "card"})
    assert (answer.status, answer.body["price"], answer.body["coupon"]) == (200, "35.91", "C")

"""What can be bought, over HTTP."""

from tests.kit.service import Service


def test_packages_have_prices(service: Service) -> None:
    """Every package has its unit, credits and price, and the price of one credit, rounded half up."""
    answer = service.call("GET", "/v1/packages")
    assert answer.status == 200
    assert answer.body["currency"] == "USD"
    assert answer.body["items"][0] == {
        "package": "auto_order-20",
        "unit": "auto_order",
        "credits": "20.00",
        "price": "9.90",
        "price_per_credit": "0.50",
    }
    names = [item["package"] for item in answer.body["items"]]
    assert len(set(names)) == len(names)


def test_packages_are_for_every_account(service: Service) -> None:
    """Any token that names an account sees the packages, whether the account is open or not."""
    for account, store in (("*", None), ("acme", None), ("acme", "shop-1")):
        assert service.call("GET", "/v1/packages", account=account, store=store).status == 200

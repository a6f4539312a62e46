"""Takes the pictures in docs/page: each screen, light and dark, small and wide. Run by `make screenshots` alone."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ViewportSize, expect

from tests.browser.conftest import visiting
from tests.browser.visitor import Visitor
from tests.e2e.merchant import Merchant, fresh, work
from tests.kit.stack import ROOT, Stack

FOLDER = ROOT / "docs" / "page"
SIZES: dict[str, ViewportSize] = {"small": {"width": 360, "height": 740}, "wide": {"width": 1280, "height": 800}}


@pytest.fixture(scope="module")
def shown(stack: Stack) -> Merchant:
    """An account with something on every screen."""
    merchant = Merchant(stack, fresh("shop"))
    assert merchant.call("PUT", "", json={"orders_processor": "active"}).status_code == 201
    assert merchant.adjust("40.00").status_code == 201
    for number in range(8):
        body = work(
            tracking=("none", "bce", "qtrack", "tracking_generator")[number % 4],
            store_id=("north", "south")[number % 2],
        )
        assert merchant.debit({**body, "order_id": f"order-{1001 + number}"}).status_code == 201
    for order_id, reason in (("order-1009", "the supplier is out of stock"), ("order-1010", "")):
        body = work(tracking="bce", store_id="north", order_id=order_id)
        assert merchant.call("POST", "/orders", json=body, key=order_id).status_code == 202
        merchant.settle()
        if reason:
            merchant.told("auto_order.failed", order_id=order_id, reason=reason)
    for method in ("card", "paypal"):
        bought = {"package": "auto_order-100", "payment_method": method}
        assert merchant.call("POST", "/purchases", json=bought, key=method).status_code == 201
    return merchant


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_take_pictures(browser: Browser, stack: Stack, shown: Merchant, scheme: str, size: str) -> None:
    """One of each screen."""
    FOLDER.mkdir(exist_ok=True)
    with visiting(browser, stack, shown, viewport=SIZES[size], color_scheme=scheme) as visitor:
        take(visitor, lambda name: FOLDER / f"{name}-{scheme}-{size}.png")


def take(visitor: Visitor, file_of: Callable[[str], Path]) -> None:
    """Go through the screens."""
    page = visitor.page

    def picture(name: str) -> None:
        page.screenshot(path=file_of(name), animations="disabled")

    page.goto(visitor.home)
    expect(visitor.button("Sign in")).to_be_visible()
    picture("sign-in")
    visitor.sign_in()
    expect(visitor.rows("orders")).to_have_count(10)
    picture("orders")
    visitor.go_to("Purchases")
    expect(visitor.rows("purchases")).to_have_count(2)
    picture("purchases")
    visitor.go_to("History")
    expect(page.locator("#usage-chart .chart")).to_be_visible()
    expect(visitor.rows("entries").first).to_be_visible()
    picture("history")
    visitor.button("Check this statement").click()
    expect(page.locator("#statement-text .good")).to_be_visible()
    page.locator("#statement-text").scroll_into_view_if_needed()
    picture("statement")
    visitor.go_to("Orders")
    visitor.open_shop("100")
    picture("buy")
    visitor.button("Close").click()
    page.goto(f"{visitor.home}?purchase_id={visitor.purchases()[0]['purchase_id']}")
    expect(visitor.outcome()).to_contain_text("Waiting for the provider")
    picture("outcome")

"""Buying credits on the page: with coupons, declined and paid otherwise, in two windows, and what a return shows."""

from typing import Any
from uuid import uuid4

from playwright.sync_api import Browser, expect

from tests.browser.conftest import visiting
from tests.browser.visitor import Visitor
from tests.e2e.buyer import Buyer, fresh_code
from tests.e2e.merchant import Merchant
from tests.kit.stack import PLATFORM, Stack


def make_coupon(stack: Stack, **terms: Any) -> str:
    """A new coupon's code."""
    code = fresh_code()
    answer = stack.call("POST", "/v1/coupons", account=PLATFORM, json={"code": code, **terms})
    assert answer.status_code == 201, answer.text
    return code


def buyer_of(visitor: Visitor) -> Buyer:
    """The same account, and its payment provider."""
    return Buyer(visitor.stack, visitor.merchant.account_id)


def test_a_package_is_bought_with_a_coupon(visitor: Visitor) -> None:
    """Its code is typed in any case; its effect is shown before, and counted; the credits are there after."""
    code = make_coupon(visitor.stack, percent_off="50.00")
    visitor.sign_in()
    visitor.open_shop("100")
    visitor.page.get_by_label("I have a coupon").fill(code.lower())
    visitor.button("Check").click()
    expect(visitor.page.locator("#coupon-text")).to_have_text("The coupon is good: $19.95 off. You pay $19.95.")
    visitor.pay("$19.95")
    visitor.pay_at_provider()
    expect(visitor.outcome()).to_have_text("Paid, credits added: 100.00 Auto-Order Credits.")
    expect(visitor.available()).to_have_text("105.00")


def test_a_coupon_that_is_none_says_why(visitor: Visitor) -> None:
    """The price stays, and what was typed as well."""
    visitor.sign_in()
    visitor.open_shop()
    coupon = visitor.page.get_by_label("I have a coupon")
    for code in ("NONE-SUCH", "no coupon!"):
        coupon.fill(code)
        visitor.button("Check").click()
        expect(coupon).to_have_attribute("aria-invalid", "true")
        expect(visitor.page.locator("#coupon-text")).not_to_be_empty()
        expect(coupon).to_have_value(code)
    expect(visitor.button("Pay $9.90")).to_be_visible()


def test_a_coupon_that_pays_all_needs_no_provider(visitor: Visitor) -> None:
    """The credits are added at once."""
    code = make_coupon(visitor.stack, percent_off="100.00", max_uses=5)
    visitor.sign_in()
    visitor.open_shop()
    visitor.page.get_by_label("I have a coupon").fill(code)
    visitor.page.get_by_label("I have a coupon").press("Enter")
    visitor.button("Get it for free").click()
    expect(visitor.outcome()).to_have_text("Paid, credits added: 20.00 Auto-Order Credits.")
    expect(visitor.available()).to_have_text("25.00")


def test_a_declined_payment_is_paid_another_way(visitor: Visitor) -> None:
    """It says so, and the same purchase is paid by another method, at its price with its coupon."""
    code = make_coupon(visitor.stack, amount_off="1.00")
    visitor.sign_in()
    visitor.open_shop()
    visitor.page.get_by_label("I have a coupon").fill(code)
    visitor.button("Check").click()
    visitor.pay("$8.90")
    visitor.decline_at_provider()
    expect(visitor.outcome()).to_contain_text("was declined")
    visitor.button("Pay another way").click()
    expect(visitor.page.locator("#shop-notices")).to_contain_text("The payment was declined")
    visitor.page.get_by_label("PayPal").check()
    visitor.pay("$8.90")
    visitor.pay_at_provider()
    expect(visitor.outcome()).to_contain_text("Paid, credits added")
    (purchase,) = visitor.purchases()
    assert (purchase["payment_method"], purchase["coupon"], purchase["price"]) == ("paypal", code, "8.90")


def test_a_declined_payment_is_canceled(visitor: Visitor) -> None:
    """From the dialog that offers another method."""
    visitor.sign_in()
    visitor.open_shop()
    visitor.pay()
    visitor.decline_at_provider()
    visitor.button("Pay another way").click()
    visitor.button("Cancel this purchase").click()
    expect(visitor.outcome()).to_contain_text("is cancelled")
    assert [one["status"] for one in visitor.purchases()] == ["canceled"]


def test_the_address_is_never_believed(visitor: Visitor) -> None:
    """A return shows what the API tells: not paid yet, until the provider says so. It is asked once, at once."""
    buyer = buyer_of(visitor)
    purchase = buyer.start(package="auto_order-20")
    visitor.sign_in()
    hints: list[str] = []
    visitor.page.on("request", lambda request: hints.append(request.url) if request.method == "POST" else None)
    visitor.page.goto(f"{visitor.home}?purchase_id={purchase['purchase_id']}&status=credited")
    expect(visitor.outcome()).to_contain_text("Waiting for the provider")
    expect(visitor.page).to_have_url(visitor.home)
    assert buyer.purchase(purchase["purchase_id"])["payment"] == purchase["payment"]
    assert buyer.deliver(buyer.event(purchase)) == 200
    expect(visitor.outcome()).to_have_text("Paid, credits added: 20.00 Auto-Order Credits.")
    assert [url.rsplit("/", 1)[1] for url in hints if "/v1/" in url] == ["checkout"]


def test_a_purchase_of_somebody_else_is_not_shown(visitor: Visitor) -> None:
    """Nor one that does not exist."""
    visitor.sign_in()
    visitor.page.goto(f"{visitor.home}?purchase_id=pur_{uuid4().hex}")
    expect(visitor.page.locator("#outcome").get_by_role("alert")).to_be_visible()


def test_a_double_click_buys_once(visitor: Visitor) -> None:
    """One purchase is begun."""
    visitor.sign_in()
    visitor.open_shop()
    visitor.button("Pay $9.90").dblclick()
    visitor.page.wait_for_url("**/pay/**")
    assert len(visitor.purchases()) == 1


def test_two_windows_buy_once(visitor: Visitor) -> None:
    """The same choice in both comes to the same purchase; once it is paid, the other window asks before it buys again."""
    visitor.sign_in()
    other = Visitor(visitor.page.context.new_page(), visitor.stack, visitor.merchant, visitor.complaints)
    third = Visitor(visitor.page.context.new_page(), visitor.stack, visitor.merchant, visitor.complaints)
    for window in (other, third):
        window.page.goto(window.home)
    for window in (visitor, other, third):
        window.open_shop()
    visitor.button("Pay $9.90").click(no_wait_after=True)
    other.button("Pay $9.90").click(no_wait_after=True)
    for window in (visitor, other):
        window.page.wait_for_url("**/pay/**")
    assert visitor.page.url == other.page.url
    visitor.pay_at_provider()
    expect(visitor.outcome()).to_contain_text("Paid, credits added")
    third.button("Pay $9.90").click()
    expect(third.page.locator("#shop-notices")).to_contain_text("You bought just this")
    assert len(visitor.purchases()) == 1
    third.button("Buy it once more").click()
    third.page.wait_for_url("**/pay/**")
    assert len(visitor.purchases()) == 2


def test_an_unpaid_purchase_is_continued_or_canceled(visitor: Visitor) -> None:
    """It is listed until it is over; a paid one has the provider's reference."""
    visitor.sign_in()
    visitor.open_shop()
    visitor.pay()
    visitor.page.goto(f"{visitor.home}#purchases")
    row = visitor.rows("purchases").first
    expect(row).to_contain_text("not paid yet")
    row.get_by_role("button", name="Pay now").click()
    visitor.page.wait_for_url("**/pay/**")
    visitor.pay_at_provider()
    visitor.button("Close").click()
    visitor.go_to("Purchases")
    expect(row).to_contain_text(f"Payment {visitor.purchases()[0]['payment_id']}")
    visitor.open_shop("100")
    visitor.pay("$39.90")
    visitor.page.goto(f"{visitor.home}#purchases")
    row.get_by_role("button", name="Cancel").click()
    expect(visitor.outcome()).to_contain_text("is cancelled")
    expect(row).to_contain_text("cancelled")


def test_an_account_without_the_add_on_is_told(browser: Browser, stack: Stack, merchant: Merchant) -> None:
    """Before it tries, and when it tries."""
    merchant.stand(orders_processor="inactive")
    with visiting(browser, stack, merchant) as visitor:
        visitor.sign_in()
        expect(visitor.page.locator("#standing")).to_contain_text("Orders Processor add-on is not active")
        visitor.open_shop()
        visitor.button("Pay $9.90").click()
        expect(visitor.page.locator("#shop-notices").get_by_role("alert")).to_be_visible()
        assert visitor.purchases() == []

"""The orders on the page: on their way, failed and sent again; what a user of one store sees; and hostile texts."""

import csv
import io
from decimal import Decimal
from pathlib import Path

from playwright.sync_api import Browser, Route, expect

from tests.browser.conftest import visiting
from tests.browser.visitor import Visitor
from tests.e2e.merchant import Merchant, fresh, opened, work
from tests.kit.stack import Stack

NO_CREDITS = "Insufficient Auto-orders credits, please purchase more credits and resend the order."
HOSTILE = "<script>document.title='owned'</script> \u202eesrever\u202c " + "x" * 150


def order(merchant: Merchant, tracking: str = "none", store_id: str = "shop") -> str:
    """The id of an order that was put on the queue."""
    body = work(tracking=tracking, store_id=store_id)
    answer = merchant.call("POST", "/orders", json=body, key=fresh("key"))
    assert answer.status_code == 202, answer.text
    return str(body["order_id"])


def failed_order(merchant: Merchant, reason: str, store_id: str = "shop") -> str:
    """The id of an order that its supplier refused."""
    order_id = order(merchant, store_id=store_id)
    merchant.settle()
    merchant.told("auto_order.failed", order_id=order_id, reason=reason)
    return order_id


def test_an_order_is_watched_until_it_is_done(visitor: Visitor) -> None:
    """The list and the balance keep themselves up to date while something is on its way."""
    merchant = visitor.merchant
    visitor.sign_in()
    expect(visitor.page.locator("#orders-list")).to_contain_text("No orders yet.")
    order_id = order(merchant, "qtrack")
    visitor.page.get_by_label("Show").select_option("")
    visitor.page.reload()
    row = visitor.rows("orders").first
    expect(row).to_contain_text("processing")
    expect(visitor.page.locator("#held-text")).to_contain_text("2.50 more are set aside")
    merchant.told("auto_order.placed", order_id=order_id, supplier_order_id="s1")
    expect(row).to_contain_text("ordered")
    expect(visitor.available()).to_have_text("2.50")
    expect(visitor.page.locator("#held-text")).to_contain_text("1.50 more are set aside")


def test_an_order_that_lacked_credits_is_paid_for_sent_again_and_explained(visitor: Visitor, tmp_path: Path) -> None:
    """It fails with just that sentence; after a purchase it is resent, found in the history, and its statement adds up."""
    merchant = visitor.merchant
    assert merchant.adjust("-4.50").status_code == 201
    order_id = order(merchant)
    merchant.settle()
    visitor.sign_in()
    row = visitor.rows("orders").first
    expect(row).to_contain_text(NO_CREDITS)
    visitor.open_shop()
    visitor.pay()
    visitor.pay_at_provider()
    expect(visitor.outcome()).to_contain_text("Paid, credits added")
    visitor.button("Close").click()
    visitor.button(f"Resend order {order_id}").click()
    expect(row).to_contain_text("processing")
    expect(row).not_to_contain_text(NO_CREDITS)
    merchant.told("auto_order.placed", order_id=order_id, supplier_order_id="s1")
    visitor.go_to("History")
    visitor.page.locator("#entries-order").fill(order_id)
    visitor.button("Show").click()
    expect(visitor.rows("entries")).to_have_count(3)
    kinds = visitor.rows("entries").locator(".what").all_inner_texts()
    assert kinds == ["Used for the order", "Set aside for the order", "Not done"]
    with visitor.page.expect_download() as download:
        visitor.button("Download statement (CSV)").click()
    download.value.save_as(tmp_path / "statement.csv")
    rows = [row for row in csv.DictReader(io.StringIO((tmp_path / "statement.csv").read_text("utf-8"))) if row["unit"]]
    credits_ = [row for row in rows if row["unit"] == "auto_order"]
    assert (
        sum(Decimal(row["posted"]) for row in credits_) == Decimal(credits_[-1]["balance_posted"]) == Decimal("19.50")
    )


def test_all_failed_orders_are_sent_again_together(visitor: Visitor) -> None:
    """By one button, which is there while there are any, and credits to pay for them."""
    for _ in range(3):
        failed_order(visitor.merchant, "out of stock")
    assert visitor.merchant.adjust("-5.00").status_code == 201
    visitor.sign_in()
    expect(visitor.rows("orders")).to_have_count(3)
    expect(visitor.available()).to_have_text("0.00")
    expect(visitor.button("Resend all failed")).to_be_hidden()
    assert visitor.merchant.adjust("5.00").status_code == 201
    visitor.page.reload()
    visitor.page.get_by_label("Show").select_option("failed")
    visitor.button("Resend all failed").click()
    expect(visitor.page.locator("#resend-text")).to_have_text("3 orders are on the way again.")
    expect(visitor.page.locator("#orders-list")).to_contain_text("No order is failed.")
    expect(visitor.button("Resend all failed")).to_be_hidden()


def test_the_balances_are_told_apart_by_name(browser: Browser, stack: Stack) -> None:
    """Auto-order credits are never mixed up with the others, nor dollars with credits."""
    merchant = opened(stack, managed="1234.50")
    assert merchant.adjust("7.00", "finder").status_code == 201
    with visiting(browser, stack, merchant) as visitor:
        visitor.sign_in()
        expect(visitor.available()).to_have_text("5.00")
        shown = visitor.page.locator("#others > div")
        expect(shown).to_have_text(
            ["AI Rewrite Credits0.00 available", "Finder Credits7.00 available", "Managed Balance$1,234.50 available"]
        )


def test_the_threshold_is_set_and_taken_away(visitor: Visitor) -> None:
    """What is no amount is told and changes nothing."""
    visitor.sign_in()
    field, text = visitor.page.get_by_label("Tell me when fewer are left than"), visitor.page.locator("#threshold-text")
    field.fill("2,5")
    visitor.button("Save").click()
    expect(text).to_have_text("Saved: you are told below 2.50 credits.")
    assert visitor.merchant.call("GET", "/settings").json() == {"low_balance": "2.50"}
    field.fill("lots")
    visitor.button("Save").click()
    expect(text).to_contain_text("Write an amount")
    assert visitor.merchant.call("GET", "/settings").json() == {"low_balance": "2.50"}
    field.fill("")
    visitor.button("Save").click()
    expect(text).to_have_text("Saved: no notice.")
    assert visitor.merchant.call("GET", "/settings").json() == {"low_balance": None}


def test_what_is_typed_is_not_replaced_by_a_late_answer(visitor: Visitor) -> None:
    """The threshold as it is comes when another one is typed already: that one stays, and is saved."""
    waiting: list[Route] = []
    visitor.page.route("**/settings", lambda route: waiting.append(route) if not waiting else route.continue_())
    visitor.sign_in()
    field = visitor.page.get_by_label("Tell me when fewer are left than")
    field.fill("3")
    visitor.page.locator("#orders-title").click()
    with visitor.page.expect_response("**/settings"):
        waiting[0].continue_()
    expect(visitor.available()).to_have_text("5.00")
    expect(field).to_have_value("3")
    visitor.button("Save").click()
    expect(visitor.page.locator("#threshold-text")).to_have_text("Saved: you are told below 3.00 credits.")


def test_a_user_of_one_store_sees_only_that(visitor: Visitor) -> None:
    """Its orders and the shared balance; neither purchases nor history, nor another store's orders."""
    mine, other = (failed_order(visitor.merchant, "out of stock", store) for store in ("mine", "other"))
    visitor.sign_in(store="mine")
    expect(visitor.rows("orders")).to_have_count(1)
    expect(visitor.rows("orders")).to_contain_text(mine)
    expect(visitor.available()).to_have_text("5.00")
    for hidden in ("Buy Credits", "Purchases", "History", other, "Tell me when"):
        expect(visitor.page.locator("body")).not_to_contain_text(hidden, use_inner_text=True)
    visitor.button(f"Resend order {mine}").click()
    expect(visitor.rows("orders").first).not_to_contain_text("out of stock")
    visitor.page.goto(f"{visitor.home}#history")
    expect(visitor.page.get_by_role("heading", name="Orders", level=1)).to_be_visible()


def test_hostile_texts_are_shown_as_text(visitor: Visitor) -> None:
    """Markup, marks that turn the reading direction, and 200 characters: in a reason, and as an order's id."""
    failed_order(visitor.merchant, HOSTILE)

    def change(route: Route) -> None:
        answer = route.fetch()
        listed = answer.json()
        for one in listed["items"]:
            one["order_id"] = HOSTILE
        route.fulfill(response=answer, json=listed)

    visitor.page.route("**/orders", change)
    visitor.page.set_viewport_size({"width": 360, "height": 800})
    visitor.sign_in()
    row = visitor.rows("orders").first
    expect(row.locator("bdi.outside").first).to_have_text(HOSTILE)
    expect(row.locator(".reason")).to_have_text(HOSTILE)
    expect(row.locator("script")).to_have_count(0)
    expect(visitor.page).to_have_title("Orders · Auto-Order Credits")
    assert visitor.page.evaluate("document.documentElement.scrollWidth") == 360

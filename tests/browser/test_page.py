"""The page as a whole: its policy, its size, its screens for everybody, and by keyboard alone."""

import gzip
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import visiting
from tests.browser.visitor import Visitor
from tests.e2e.merchant import Merchant, opened, work
from tests.kit.page import WEB, fetch_axe, page_headers
from tests.kit.stack import Stack

MOST_BYTES = 100_000
SCREENS = [
    pytest.param({"viewport": {"width": width, "height": 800}, "color_scheme": scheme}, id=f"{width}-{scheme}")
    for width in (360, 1920)
    for scheme in ("light", "dark")
]


@pytest.fixture(scope="module")
def busy(stack: Stack) -> Merchant:
    """An account that has something to show everywhere."""
    merchant = opened(stack, "20.00")
    merchant.debit(work(tracking="bce"))
    merchant.debit(work(tracking="qtrack", store_id="second"))
    body = work()
    merchant.call("POST", "/orders", json=body, key=body["order_id"])
    merchant.settle()
    merchant.told("auto_order.failed", order_id=body["order_id"], reason="out of stock")
    bought = {"package": "auto_order-20", "payment_method": "card"}
    assert merchant.call("POST", "/purchases", json=bought, key="bought").status_code == 201
    return merchant


def violations(page: Page) -> list[str]:
    """What axe finds on the page as it stands. It is evaluated by the browser's debugger: the policy stays as it is."""
    session = page.context.new_cdp_session(page)
    session.send("Runtime.evaluate", {"expression": fetch_axe().read_text("utf-8")})
    asked = {"expression": "axe.run().then((found) => JSON.parse(JSON.stringify(found.violations)))"}
    told: dict[str, Any] = session.send("Runtime.evaluate", {**asked, "awaitPromise": True, "returnByValue": True})
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in told["result"]["value"]]


@pytest.mark.parametrize("options", SCREENS)
def test_every_screen_is_for_everybody(browser: Browser, stack: Stack, busy: Merchant, options: dict[str, Any]) -> None:
    """Axe finds nothing, and nothing is wider than the screen: narrow and wide, light and dark."""
    with visiting(browser, stack, busy, **options) as visitor:
        page = visitor.page
        page.goto(visitor.home)
        expect(visitor.button("Sign in")).to_be_visible()
        assert violations(page) == []
        visitor.sign_in()
        for view, row in (("Orders", "out of stock"), ("Purchases", "not paid yet"), ("History", "Account opened")):
            visitor.go_to(view)
            expect(page.locator(f"#{view.lower()}-list, #entries-list").filter(visible=True)).to_contain_text(row)
            assert (view, violations(page)) == (view, [])
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.get_by_text("The same as a table").click()
        assert violations(page) == []
        visitor.go_to("Orders")
        visitor.open_shop()
        assert violations(page) == []
        visitor.button("Close").click()
        page.goto(f"{visitor.home}?purchase_id={visitor.purchases()[0]['purchase_id']}")
        expect(visitor.outcome()).to_contain_text("Waiting for the provider")
        assert violations(page) == []


def test_axe_finds_what_is_not_for_everybody(visitor: Visitor) -> None:
    """A button without a name does not get through."""
    visitor.page.goto(visitor.home)
    expect(visitor.button("Sign in")).to_be_visible()
    visitor.page.evaluate("document.querySelector('main').append(document.createElement('button'))")
    assert violations(visitor.page) == ["button-name: <button></button>"]


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until the element has the focus."""
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("(wanted) => document.activeElement.matches(wanted)", selector):
            return
    raise AssertionError(f"Tab does not lead to {selector}")


def test_credits_are_bought_by_keyboard_alone(visitor: Visitor) -> None:
    """From the address to the provider's page, without a mouse."""
    page = visitor.page
    visitor.sign_in()
    expect(visitor.available()).to_have_text("5.00")
    tab_to(page, "#buy")
    page.keyboard.press("Enter")
    expect(page.locator("#package-auto_order-20")).to_be_checked()
    tab_to(page, "[name=package]")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#package-auto_order-100")).to_be_checked()
    tab_to(page, "#pay")
    page.keyboard.press("Enter")
    page.wait_for_url("**/pay/**")
    assert visitor.purchases()[0]["package"] == "auto_order-100"


def test_escape_closes_the_dialog_and_gives_the_focus_back(visitor: Visitor) -> None:
    """To the button that opened it."""
    visitor.sign_in()
    visitor.open_shop()
    visitor.page.keyboard.press("Escape")
    expect(visitor.page.locator("#shop")).to_be_hidden()
    expect(visitor.page.locator("#buy")).to_be_focused()


def test_an_inline_script_is_blocked(browser: Browser, stack: Stack) -> None:
    """The policy that is deployed holds here: an element with a script in it never runs."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{stack.info['page_url']}/")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    blocked = """() => new Promise((resolve) => {
      document.addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
      const script = document.createElement("script");
      script.append("window.ran = true");
      document.body.append(script);
    })"""
    assert page.evaluate(blocked) in ("script-src-elem", "require-trusted-types-for")
    assert page.evaluate("window.ran") is None
    context.close()


def test_the_deployed_headers_are_sent(stack: Stack) -> None:
    """With every file and every answer of the API: those of the template's policy, filled in for this stack."""
    expected = page_headers(stack.info["issuer"])
    assert "script-src 'self';" in expected["Content-Security-Policy"]
    assert f"connect-src 'self' {stack.info['issuer']};" in expected["Content-Security-Policy"]
    for path in ("/", "/main.js", "/vendor/oauth4webapi.js", "/config.json", "/v1/health", "/none"):
        answer = requests.get(f"{stack.info['page_url']}{path}", timeout=60)
        assert expected.items() <= dict(answer.headers).items()


def test_the_page_is_small(visitor: Visitor) -> None:
    """Under 100 KB on the wire, compressed, with all that its first screen asks for."""
    sizes: dict[str, int] = {}
    visitor.page.on(
        "response",
        lambda response: (
            sizes.update({response.url: int(response.headers.get("content-length", 0))})
            if response.url.startswith(visitor.home)
            else None
        ),
    )
    visitor.sign_in()
    expect(visitor.available()).to_have_text("5.00")
    assert f"{visitor.home}vendor/oauth4webapi.js" in sizes
    assert 0 < sum(sizes.values()) < MOST_BYTES


def test_all_files_together_are_small() -> None:
    """Also those that no first screen asks for."""
    files = [file for file in WEB.rglob("*") if file.suffix in (".js", ".css", ".html", ".svg")]
    assert sum(len(gzip.compress(file.read_bytes())) for file in files) < MOST_BYTES


def test_balance_and_orders_are_asked_for_side_by_side(visitor: Visitor) -> None:
    """Neither waits for the other: both are asked for before either is answered."""
    order: list[str] = []
    visitor.page.on("request", lambda request: order.append(f"asked {request.url.rsplit('/', 1)[1]}"))
    visitor.page.on("response", lambda response: order.append(f"told {response.url.rsplit('/', 1)[1]}"))
    visitor.sign_in()
    expect(visitor.available()).to_have_text("5.00")
    expect(visitor.page.locator("#orders-list")).to_contain_text("No orders yet.")
    told = min(order.index("told balance"), order.index("told orders"))
    assert {"asked balance", "asked orders"} <= set(order[:told])

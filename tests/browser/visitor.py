"""A merchant at the page: what a person does with it."""

from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.e2e.merchant import Merchant
from tests.kit.stack import Stack

PATIENCE_MS = 30_000
"""How long something may take that the stack has to do first; a small machine is slow."""

expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Visitor:
    """A person in a browser, in one window; `complaints` are what the page has complained of."""

    page: Page
    stack: Stack
    merchant: Merchant
    complaints: list[str]

    @property
    def home(self) -> str:
        """The page's address."""
        return f"{self.stack.info['page_url']}/"

    def sign_in(self, view: str = "", *, store: str = "") -> None:
        """Open the page and sign in on the issuer's screen."""
        self.page.goto(f"{self.home}{view and f'#{view}'}")
        self.button("Sign in").click()
        self.page.get_by_label("Account").fill(self.merchant.account_id)
        if store:
            self.page.get_by_label("Store").fill(store)
        self.button("Sign in").click()
        expect(self.page.locator("#who-name")).to_contain_text(self.merchant.account_id)

    def button(self, name: str) -> Locator:
        """The button of just this name."""
        return self.page.get_by_role("button", name=name, exact=True)

    def go_to(self, view: str) -> None:
        """Choose a view."""
        self.page.get_by_role("link", name=view).click()
        expect(self.page.get_by_role("heading", name=view, level=1)).to_be_visible()

    def rows(self, view: str) -> Locator:
        """The rows of a view's list."""
        return self.page.locator(f"#{view}-list tbody tr")

    def available(self) -> Locator:
        """The figure of available auto-order credits."""
        return self.page.locator("#available")

    def open_shop(self, credits_: str = "20") -> None:
        """Open the dialog and choose a package."""
        self.page.get_by_role("button", name="Buy Credits").first.click()
        self.page.locator(f"#package-auto_order-{credits_}").check()

    def pay(self, price: str = "$9.90") -> None:
        """Press the button, and arrive at the sandbox's page."""
        self.button(f"Pay {price}").click()
        self.page.wait_for_url("**/pay/**")

    def pay_at_provider(self) -> None:
        """Pay on the sandbox's page, and come back."""
        self.page.get_by_role("button", name="Pay").click()
        self.page.wait_for_url(f"{self.home}**")

    def decline_at_provider(self) -> None:
        """Have the payment declined on the sandbox's page, and come back as a provider sends one back."""
        purchase_id = self.page.url.split("?")[0].rsplit("/", 1)[1]
        self.page.get_by_role("button", name="Decline").click()
        expect(self.page.locator("p").first).to_contain_text("declined")
        self.page.goto(f"{self.home}?purchase_id={purchase_id}")

    def outcome(self) -> Locator:
        """What the page says of a purchase."""
        return self.page.locator("#outcome-text")

    def purchases(self) -> list[dict[str, Any]]:
        """The purchases as the API tells."""
        found: list[dict[str, Any]] = self.merchant.call("GET", "/purchases").json()["items"]
        return found

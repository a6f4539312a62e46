"""Signing in and staying signed in: what a redirect keeps, what an end of the session says, and what is never stored."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Route, expect

from tests.browser.visitor import Visitor


def test_a_reload_signs_in_again_by_itself(visitor: Visitor) -> None:
    """While the issuer's session lasts; nothing of it stays in the address."""
    visitor.sign_in("purchases")
    expect(visitor.page).to_have_url(f"{visitor.home}#purchases")
    visitor.page.reload()
    expect(visitor.page.get_by_role("heading", name="Purchases", level=1)).to_be_visible()
    expect(visitor.page).to_have_url(f"{visitor.home}#purchases")


def test_signing_out_ends_the_session(visitor: Visitor) -> None:
    """Here and at the issuer: the next visit has to sign in."""
    visitor.sign_in()
    visitor.button("Sign out").click()
    expect(visitor.button("Sign in")).to_be_visible()
    expect(visitor.page.locator("#gate-text")).to_have_text("Sign in to see your credits.")
    visitor.page.reload()
    expect(visitor.button("Sign in")).to_be_visible()


@pytest.mark.parametrize(
    "query",
    ["error=access_denied&state=unknown", "error=login_required", "code=stolen&state=unknown", "state=", "code=x"],
)
def test_a_return_that_was_not_asked_for_goes_nowhere(visitor: Visitor, query: str) -> None:
    """It says so and waits: no redirect by itself, no call for a token, and nothing left in the address."""
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    visitor.page.goto(f"{visitor.home}?{query}")
    expect(visitor.page.locator("#gate-text")).to_contain_text("was not begun here")
    expect(visitor.button("Sign in")).to_be_focused()
    expect(visitor.page).to_have_url(visitor.home)
    assert not {"/authorize", "/token"} & set(asked)


def test_a_refused_sign_in_goes_nowhere(visitor: Visitor) -> None:
    """An error that comes back for a sign-in of ours is told, and not tried again by itself."""

    def refuse(route: Route) -> None:
        asked = parse_qs(urlsplit(route.request.url).query)
        if "prompt" in asked:
            route.continue_()
            return
        back = f"{visitor.home}?error=access_denied&state={asked['state'][0]}&iss={visitor.stack.info['issuer']}"
        route.fulfill(status=302, headers={"Location": back})

    visitor.page.route("**/authorize?*", refuse)
    visitor.page.goto(visitor.home)
    visitor.button("Sign in").click()
    expect(visitor.page.locator("#gate-text")).to_contain_text("refused or called off")
    expect(visitor.page).to_have_url(visitor.home)


def test_the_token_is_kept_nowhere(visitor: Visitor) -> None:
    """Neither in a storage nor in a cookie nor in the address: it lives in memory alone."""
    tokens: list[str] = []
    visitor.page.on("request", lambda request: tokens.append(request.headers.get("authorization", "")))
    visitor.sign_in()
    expect(visitor.available()).to_have_text("5.00")
    (token,) = {token.removeprefix("Bearer ") for token in tokens if token}
    kept = visitor.page.evaluate(
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])"
    )
    assert token not in kept
    assert "verifier" not in kept


def test_an_expired_session_is_noticed_before_the_call_and_loses_nothing(visitor: Visitor) -> None:
    """No request is sent with an old token; after signing in again the dialog is open, with all that was typed."""
    visitor.page.clock.install()
    visitor.sign_in()
    visitor.open_shop("250")
    visitor.page.get_by_label("I have a coupon").fill("summer")
    visitor.page.get_by_label("Payoneer").check()
    sent: list[str] = []
    visitor.page.on("request", lambda request: sent.append(request.url))
    visitor.page.clock.set_system_time(datetime.now(UTC) + timedelta(hours=1))
    visitor.button("Pay $79.00").click()
    expect(visitor.page.locator("#shop-notices")).to_contain_text("Your session has ended. Sign in again to go on")
    assert not [url for url in sent if "/v1/" in url]
    visitor.page.clock.set_system_time(datetime.now(UTC))
    visitor.button("Sign in again").click()
    expect(visitor.page.locator("#package-auto_order-250")).to_be_checked()
    expect(visitor.page.get_by_label("I have a coupon")).to_have_value("summer")
    expect(visitor.page.get_by_label("Payoneer")).to_be_checked()
    assert visitor.purchases() == []


def test_a_busy_service_says_what_to_do_and_loses_nothing(visitor: Visitor) -> None:
    """After a few tries it stops trying; what was typed is still there, and the next try goes through."""
    visitor.sign_in()
    visitor.open_shop("100")
    visitor.page.get_by_label("PayPal").check()
    problem = {"code": "try_again", "detail": "Try again."}
    tries: list[str] = []

    def refuse(route: Route) -> None:
        if route.request.method != "POST":
            route.continue_()
            return
        tries.append(route.request.headers["idempotency-key"])
        route.fulfill(status=503, json=problem, headers={"Retry-After": "1"}, content_type="application/problem+json")

    visitor.page.route("**/purchases", refuse)
    visitor.button("Pay $39.90").click()
    notice = visitor.page.locator("#shop-notices")
    expect(notice).to_contain_text("The service is busy or cannot be reached. Nothing is lost")
    assert (len(tries), len(set(tries))) == (3, 1)
    expect(visitor.page.get_by_label("PayPal")).to_be_checked()
    visitor.page.unroute("**/purchases", refuse)
    visitor.button("Try again").click()
    visitor.page.wait_for_url("**/pay/**")
    assert [one["payment_method"] for one in visitor.purchases()] == ["paypal"]


def test_an_answer_that_was_lost_is_asked_for_again(visitor: Visitor) -> None:
    """The purchase was begun, its answer never came: the same key brings the same purchase."""
    visitor.sign_in()
    visitor.open_shop()
    lost: list[int] = []

    def lose(route: Route) -> None:
        if route.request.method == "POST" and not lost:
            lost.append(route.fetch().status)
            route.abort()
        else:
            route.continue_()

    visitor.page.route("**/purchases", lose)
    visitor.pay()
    assert lost == [201]
    assert len(visitor.purchases()) == 1

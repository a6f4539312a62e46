"""The history on the page: every entry with its filters, the chart, and a statement that is checked in the browser."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.browser.conftest import visiting
from tests.browser.visitor import Visitor
from tests.e2e.merchant import Merchant, opened, work
from tests.kit.stack import Stack


@pytest.fixture(scope="module")
def worked(stack: Stack) -> Merchant:
    """An account with work of two stores."""
    merchant = opened(stack, "50.00")
    for number in range(6):
        store = ("north", "south")[number % 2]
        assert merchant.debit(work(tracking=("none", "bce")[number % 2], store_id=store)).status_code == 201
    hold_id = merchant.held(work(store_id="south"))
    assert merchant.release(hold_id, reason="=HYPERLINK(1)").status_code == 200
    return merchant


def test_entries_are_filtered(browser: Browser, stack: Stack, worked: Merchant) -> None:
    """By kind, store, order and day; without any it is all of them, newest first, each with the balance after it."""
    with visiting(browser, stack, worked) as visitor:
        visitor.sign_in("history")
        rows, page = visitor.rows("entries"), visitor.page
        expect(rows).to_have_count(11)
        expect(rows.first).to_contain_text("Given back for the order")
        expect(rows.first).to_contain_text("48.01")
        expect(rows.last).to_contain_text("Account opened")
        page.locator("#entries-kind").select_option("debited")
        page.locator("#entries-store").fill("north")
        visitor.button("Show").click()
        expect(rows).to_have_count(3)
        expect(rows.first).to_contain_text("Store north")
        page.locator("#entries-to").fill((datetime.now(UTC) - timedelta(days=2)).strftime("%Y-%m-%d"))
        visitor.button("Show").click()
        expect(page.locator("#entries-list")).to_have_text("No entry is like that.")
        visitor.button("Clear").click()
        expect(rows).to_have_count(11)


def test_more_entries_than_fit_are_asked_for(browser: Browser, stack: Stack, worked: Merchant) -> None:
    """Page by page, by a button."""

    def shorten(route: Route) -> None:
        route.continue_(url=f"{route.request.url}{'&' if '?' in route.request.url else '?'}limit=4")

    with visiting(browser, stack, worked) as visitor:
        visitor.page.route("**/entries*", shorten)
        visitor.sign_in("history")
        expect(visitor.rows("entries")).to_have_count(4)
        for count in (8, 11):
            visitor.button("Show more").click()
            expect(visitor.rows("entries")).to_have_count(count)
        expect(visitor.button("Show more")).to_have_count(0)


def test_usage_is_drawn_and_listed(browser: Browser, stack: Stack, worked: Merchant) -> None:
    """By day and action, and by store; and how long the credits last at this rate."""
    with visiting(browser, stack, worked) as visitor:
        visitor.sign_in("history")
        text = visitor.page.locator("#usage-text")
        expect(text).to_contain_text("6.99 credits used in the last 30 days")
        expect(text).to_contain_text("lasts about 206 days")
        expect(visitor.page.locator("#usage-chart .chart rect")).to_have_count(2)
        expect(visitor.page.locator("#usage-stores tbody tr")).to_have_text(["south33.99", "north33.00"])
        visitor.page.get_by_text("The same as a table").click()
        expect(visitor.page.locator("#usage-chart tbody tr")).to_contain_text("3.993.006.99")


def test_a_true_statement_is_found_right(browser: Browser, stack: Stack, worked: Merchant) -> None:
    """Also one that begins in the middle of the journal; the hash of its last page is the balance's."""
    with visiting(browser, stack, worked) as visitor:
        visitor.sign_in("history")
        visitor.button("Check this statement").click()
        told = visitor.page.locator("#statement-text")
        expect(told).to_contain_text("Right: 11 entries in 10 pages, from the first page to page 10.")
        expect(told.locator("pre")).to_have_text(worked.standing()["hash"])
        visitor.page.locator("#entries-from").fill((datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%d"))
        visitor.button("Check this statement").click()
        expect(told).to_contain_text("Right: 0 entries in 0 pages, after page 10 to page 10.")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("51.67,0.00,51.67", "52.67,0.00,52.67"), (",-1.00,", ",-2.00,"), ("north", "south"), ("'=HYPER", "=HYPER")],
    ids=["balance", "amount", "store", "reason"],
)
def test_a_changed_statement_is_found_wrong(
    browser: Browser, stack: Stack, worked: Merchant, right: str, wrong: str
) -> None:
    """Each figure and each name of it is compared with the journal."""

    def change(route: Route) -> None:
        if route.request.headers["accept"] != "text/csv":
            route.continue_()
            return
        answer = route.fetch()
        assert right in answer.text()
        route.fulfill(response=answer, body=answer.text().replace(right, wrong, 1))

    with visiting(browser, stack, worked) as visitor:
        visitor.page.route("**/entries*", change)
        visitor.sign_in("history")
        visitor.button("Check this statement").click()
        expect(visitor.page.locator("#statement-text .bad")).to_contain_text("NOT what the journal says")


def test_a_changed_journal_is_found_wrong(browser: Browser, stack: Stack, worked: Merchant) -> None:
    """Its hashes are computed again in the browser."""

    def change(route: Route) -> None:
        answer = route.fetch()
        items: dict[str, Any] = answer.json()
        items["items"][2]["page"] = items["items"][2]["page"].replace("north", "south")
        route.fulfill(response=answer, json=items)

    with visiting(browser, stack, worked) as visitor:
        visitor.page.route("**/journal*", change)
        visitor.sign_in("history")
        visitor.button("Check this statement").click()
        expect(visitor.page.locator("#statement-text")).to_contain_text("page 3: wrong hash")


def test_a_statement_of_too_many_pages_names_the_program(browser: Browser, stack: Stack, worked: Merchant) -> None:
    """With the hash that it has to end in."""

    def grow(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace("version 10,", "version 5010,"))

    with visiting(browser, stack, worked) as visitor:
        visitor.sign_in("history")
        expect(visitor.rows("entries")).to_have_count(11)
        visitor.page.route("**/entries*", grow)
        visitor.button("Check this statement").click()
        command = f"credits verify journal.jsonl --anchor 5010:{worked.standing()['hash']}"
        expect(visitor.page.locator("#statement-text pre")).to_contain_text(command)


def test_a_statement_that_is_too_large_says_which_day_to_choose(visitor: Visitor) -> None:
    """Instead of nothing."""
    problem = {"code": "range_too_large", "detail": "too large", "split_at": "2026-11-20T10:00:00.000Z"}

    def refuse(route: Route) -> None:
        if route.request.headers["accept"] == "text/csv":
            route.fulfill(status=422, json=problem, content_type="application/problem+json")
        else:
            route.continue_()

    visitor.page.route("**/entries*", refuse)
    visitor.sign_in("history")
    visitor.button("Download statement (CSV)").click()
    expect(visitor.page.locator("#statement-text")).to_contain_text("choose an earlier last day (before 20 Nov 2026")

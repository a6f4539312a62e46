"""A real Chromium, and one stack for all tests of the page."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.browser.visitor import Visitor
from tests.e2e.merchant import Merchant, opened
from tests.kit.stack import Stack, new_places, run_stack

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
INSTALL = "there is no Chromium: `apt-get install chromium` brings one"


def find_chromium() -> str | None:
    """The browser of this machine; None if it has none."""
    return next((found for program in PROGRAMS if (found := shutil.which(program))), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser that the tests share. Without one they are skipped, and fail in CI."""
    program = find_chromium()
    if program is None:
        if os.environ.get("CI"):
            pytest.fail(INSTALL, pytrace=False)
        pytest.skip(INSTALL)
    with sync_playwright() as playwright:
        sandbox = [] if os.geteuid() else ["--no-sandbox"]  # Chromium refuses to have one for root
        browser = playwright.chromium.launch(executable_path=program, args=sandbox)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def stack(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack in a folder and on ports of its own, with every role enforced. It starts if there is a browser to use it."""
    assert browser.is_connected()
    with run_stack(new_places(tmp_path_factory.mktemp("stack")), AUTH="true") as stack:
        yield stack


@pytest.fixture
def merchant(stack: Stack) -> Merchant:
    """A new account with the add-on and its 5.00 free credits."""
    return opened(stack)


@pytest.fixture
def visitor(browser: Browser, stack: Stack, merchant: Merchant) -> Iterator[Visitor]:
    """The merchant in a browser of its own, not signed in yet. Whatever the page complains of fails the test."""
    with visiting(browser, stack, merchant) as visitor:
        yield visitor


@contextmanager
def visiting(browser: Browser, stack: Stack, merchant: Merchant, **options: Any) -> Iterator[Visitor]:
    """A merchant in a browser of its own; `options` are those of the browser's context."""
    complaints: list[str] = []
    context = browser.new_context(**options)
    context.on("page", lambda page: watch(page, complaints))
    try:
        yield Visitor(context.new_page(), stack, merchant, complaints)
    finally:
        close(context)
    assert complaints == []


def watch(page: Page, complaints: list[str]) -> None:
    """Note what the page complains of: errors, violations of its policy, and addresses of strangers."""
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if is_complaint(message) else None)
    page.on("request", lambda request: complaints.append(request.url) if is_strange(request.url) else None)


def is_complaint(message: ConsoleMessage) -> bool:
    """Whether it is an error; that the API has answered with a problem is none."""
    refused = message.text.startswith("Failed to load resource") and "/v1/" in message.location["url"]
    return message.type in ("error", "assert") and not refused


def is_strange(url: str) -> bool:
    """Whether an address is of another machine."""
    return not url.startswith(("http://127.0.0.1:", "blob:http://127.0.0.1:", "data:"))


def close(context: BrowserContext) -> None:
    """Close the browser's windows."""
    context.unroute_all(behavior="ignoreErrors")
    context.close()

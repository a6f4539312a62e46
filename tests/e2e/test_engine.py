"""The engine in docs/automation-engine.md, started as the page says, on the deployed local stack."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.merchant import opened, work
from tests.kit import engine_page
from tests.kit.stack import Stack, eventually

STARTS_WITHIN_S = 30


@pytest.fixture(scope="module")
def _engine(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The program as a process of its own, which has its queue and its rule."""
    folder = tmp_path_factory.mktemp("engine")
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    command = [sys.executable, str(engine_page.written(folder)), str(stack.places.info)]
    output = folder / "output.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(command, env=os.environ | credentials, stdout=file, stderr=file)  # noqa: S603 - our own
        try:
            eventually(lambda: has_started(process, output), seconds=STARTS_WITHIN_S)
            yield
        finally:
            process.terminate()
            process.wait()
    assert output.read_text() == "working; Ctrl-C stops it\n"


def has_started(process: "subprocess.Popen[bytes]", output: Path) -> bool:
    """Whether it works. Fails with what it printed if it has ended."""
    assert process.poll() is None, output.read_text()
    return "working" in output.read_text()


@pytest.mark.usefixtures("_engine")
def test_an_order_is_placed_and_converted(stack: Stack) -> None:
    """From the request over HTTP to `shipped`, by events and messages alone; its credits are taken."""
    merchant, order = opened(stack), work(tracking="bce")
    assert merchant.call("POST", "/orders", json=order, key=order["order_id"]).status_code == 202
    eventually(lambda: merchant.order(order["order_id"])["status"] == "shipped")
    assert merchant.balance() == ("3.67", "0.00", "3.67")


@pytest.mark.usefixtures("_engine")
def test_an_fba_order_takes_what_it_cost(stack: Stack) -> None:
    """Of managed balance."""
    merchant, order = opened(stack, managed="50.00"), work("fba")
    merchant.told("auto_order.requested", **order)
    eventually(lambda: merchant.order(order["order_id"])["status"] == "ordered")
    assert merchant.balance("managed") == ("26.50", "0.00", "26.50")


@pytest.mark.usefixtures("_engine")
def test_what_the_supplier_refuses_fails(stack: Stack) -> None:
    """With the reason that the engine gave, and its credits come back."""
    merchant, order = opened(stack), work(order_id="sold-out-1", tracking="bce")
    merchant.told("auto_order.requested", **order)
    eventually(lambda: merchant.order("sold-out-1")["status"] == "failed")
    assert merchant.order("sold-out-1")["status_text"] == "The supplier is out of stock."
    assert merchant.balance() == ("5.00", "0.00", "5.00")


@pytest.mark.usefixtures("_engine")
def test_a_conversion_and_a_sourcing_request_are_done(stack: Stack) -> None:
    """Each is answered, and paid."""
    merchant = opened(stack)
    conversion = {"order_id": "manual-1", "store_id": "shop", "tracking": "bce", "tracking_number": "TBA1"}
    merchant.told("tracking_conversion.requested", **conversion, order_type="manual")
    merchant.told("sourcing.requested", product_id="product-1", store_id="shop")
    eventually(lambda: merchant.order("manual-1")["status"] == "shipped")
    eventually(lambda: merchant.sourcing("product-1")["status"] == "accepted")
    assert merchant.balance() == ("3.67", "0.00", "3.67")

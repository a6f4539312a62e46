"""Nothing of a secret or of who pays is told: the doubles hand out canaries, and nowhere is one of them found."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from autocredits.edge.telemetry import logger
from tests.payments.market import CANARIES, Market
from tests.payments.shop import PRICE

PAYER = {"country": "CH", "email": "canary.of.the.shop@buyers.example"}
COUPON = "CANARY-COUPON-26"
UNSPEAKABLE = (*CANARIES, PAYER["email"])
"""What is neither logged nor kept."""

UNTOLD = (*UNSPEAKABLE, COUPON)
"""What is not logged. A coupon's code is kept with its purchase."""

everywhere = pytest.mark.parametrize("market", ["stripe", "paypal", "payoneer", "sandbox"], indirect=True)


@pytest.fixture
def said(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """All that was logged, by us and by libraries, and every metric."""
    monkeypatch.setattr(logger, "level", logging.DEBUG)

    def read() -> list[str]:
        logged = [str(record.__dict__) + str(record.exc_text) for record in caplog.records]
        return logged + capsys.readouterr().out.splitlines()

    with caplog.at_level(logging.DEBUG):
        yield read


def kept(market: Market) -> list[str]:
    """All that was written: pages and records."""
    store = market.shop.store
    pages = [text for account in store.pages.values() for text, _ in account.values()]
    return pages + [str(record) for record in store.records.items()]


def found(words: tuple[str, ...], lines: list[str]) -> list[tuple[str, str]]:
    """Which of these words stand in which lines."""
    return [(word, line) for word in words for line in lines if word in line or json.dumps(word)[1:-1] in line]


def a_whole_story(market: Market) -> None:
    """Bought with a coupon, declined, paid, refunded, disputed, refused; and asked for when it cannot be."""
    market.shop.make_coupon(code=COUPON, percent_off=1, max_uses=9)
    reference = market.start(payer=PAYER, coupon=COUPON)
    market.acts().decline(reference)
    market.deliver()
    market.acts().pay(reference)
    told = list(market.outbox())
    for name, sent in told:
        market.acts().serving.faults.append("500 before")
        market.receive(name, sent)
        market.receive(name, replace(sent, headers={}, query={}))
        market.receive(name, replace(sent, raw=sent.raw[:-1]))
        market.receive(name, sent)
    market.deliver()
    market.acts().refund(reference, 1000)
    market.deliver()
    market.acts().dispute(reference)
    market.acts().lose(reference)
    market.deliver()
    market.shop.buy("k2", market.stall().method, payer={**PAYER, "email": "no@address"})
    market.acts().serving.faults.append("not JSON")
    market.shop.buy("k3", market.stall().method, payer=PAYER)
    market.shop.buy("k3", market.stall().method, payer=PAYER)
    market.shop.poll_after(minutes=60 * 24 * 30)


@everywhere
def test_a_whole_story_says_nothing_of_them(market: Market, said: Any) -> None:
    """Neither a line of a log, nor a metric, nor anything that is kept."""
    a_whole_story(market)
    lines = said()
    assert len(lines) > 20
    assert found(UNTOLD, lines) == []
    assert found(UNSPEAKABLE, kept(market)) == []


@pytest.mark.parametrize("market", ["stripe", "paypal", "payoneer"], indirect=True)
def test_the_canaries_were_there_to_be_found(market: Market) -> None:
    """Each provider is told the payer's address, and each tells us who pays: a search that finds nothing has looked."""
    a_whole_story(market)
    serving = market.acts().serving
    sent = [asked.body for asked in serving.asked]
    assert found((PAYER["email"],), [line.replace("%40", "@") for line in sent])
    own = {"stripe": "stripe.example", "paypal": "paypal.example", "payoneer": "payoneer.example"}[market.name]
    told = [str(value) for value in vars_of(market.acts()).values()]
    assert found(tuple(word for word in CANARIES if own in word), told)


def vars_of(double: object) -> dict[str, Any]:
    """A double's whole state."""
    return {name: getattr(double, name) for name in getattr(type(double), "__slots__", ())}


@pytest.mark.parametrize("word", UNTOLD)
def test_the_search_finds_what_is_logged(market: Market, said: Any, word: str) -> None:
    """A canary that is logged on purpose is found, in every form that a line may have."""
    logger.info("on purpose", extra={"detail": {"inside": word}})
    assert {canary for canary, _ in found(UNTOLD, said())} >= {word}
    assert market.shop.balance().posted < PRICE

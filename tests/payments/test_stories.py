"""Every story of a payment, in one process; and what only can be shown there."""

import random
from typing import Any

import pytest

from autocredits.domain.state import Balance
from tests.payments.market import Market
from tests.payments.shop import FREE
from tests.payments.stories import ALONE, ASKABLE, ASKED, BOUGHT, NAMES, PAIRS, PRICE

everywhere = pytest.mark.parametrize("market", NAMES, indirect=True)
where_it_can_be_asked = pytest.mark.parametrize("market", ASKABLE, indirect=True)


class InOneProcess:
    """The till of a market: webhooks come when they are asked for, and the clock stands still."""

    def __init__(self, market: Market) -> None:
        self.market = market

    @property
    def name(self) -> str:
        """The provider where it is to be paid now."""
        return self.market.name

    def start(self) -> str:
        """Start the purchase."""
        return self.market.start()

    def act(self, what: str, reference: str, *more: object) -> Any:
        """Do something at the provider."""
        return getattr(self.market.acts(), what)(reference, *more)

    def silently(self, what: str, reference: str, *more: object) -> None:
        """Do it, and lose its webhooks."""
        self.act(what, reference, *more)
        self.market.lose_webhooks()

    def meanwhile(self, call: str, what: str, reference: str) -> None:
        """Do it just before the next such call."""
        self.market.acts().serving.meanwhile[call] = lambda: self.act(what, reference)

    def go_to(self, name: str) -> str:
        """Pay at another provider."""
        return self.market.go_to(name)

    def change_to(self, name: str) -> str | None:
        """Pay there, if that is still possible."""
        answer = self.market.shop.checkout(self.market.stalls[name].method)
        if answer.status != 200 or answer.body["status"] == "credited":
            return None
        self.market.name = name
        return self.market.reference()

    def come_back(self) -> str:
        """Come back from the provider's page."""
        return str(self.market.come_back())

    def cancel(self) -> None:
        """Ask to cancel it."""
        self.market.shop.cancel()

    def settled(self) -> str:
        """Deliver all webhooks."""
        self.market.deliver()
        return self.market.shop.status()

    def look(self) -> None:
        """Let the schedule look two minutes later."""
        assert self.market.shop.poll_after(minutes=2) == (1, 0)

    def balance(self) -> tuple[int, int]:
        """What is left of what was bought, and what is held."""
        balance = self.market.shop.balance()
        return balance.posted - FREE, balance.held

    def taken(self, name: str, reference: str) -> int:
        """What a provider took."""
        took: int = self.market.stalls[name].acts.taken(reference)
        return took


@everywhere
@pytest.mark.parametrize("story", ALONE)
def test_a_story(market: Market, story: str) -> None:
    """It ends as it should, at each provider and at the sandbox."""
    ALONE[story](InOneProcess(market))


@where_it_can_be_asked
@pytest.mark.parametrize("story", ASKED)
def test_a_story_with_one_that_can_be_asked(market: Market, story: str) -> None:
    """It ends as it should at each."""
    ASKED[story](InOneProcess(market))


@where_it_can_be_asked
@pytest.mark.parametrize("other", ASKABLE)
@pytest.mark.parametrize("story", PAIRS)
def test_a_story_of_two(market: Market, other: str, story: str) -> None:
    """From each provider to each other one."""
    if other != market.name:
        PAIRS[story](InOneProcess(market), other)


@pytest.mark.parametrize("market", ["sandbox"], indirect=True)
def test_declined_then_paid_at_the_sandbox(market: Market) -> None:
    """Where it stands in for all methods."""
    market.acts().decline(market.start())
    market.deliver()
    assert market.shop.checkout("paypal").status == 200
    market.acts().pay(market.reference())
    market.deliver()
    assert (market.shop.status(), market.shop.balance().posted) == ("credited", FREE + BOUGHT)


@pytest.mark.parametrize("market", ["sandbox"], indirect=True)
def test_expired_then_paid_at_the_sandbox(market: Market) -> None:
    """Nobody paid for 30 days; then somebody does."""
    reference = market.start()
    market.shop.poll_after(30 * 24 * 60)
    assert market.shop.status() == "expired"
    market.acts().revive(reference)
    market.deliver()
    assert market.shop.status() == "credited"


@where_it_can_be_asked
def test_the_end_of_a_dispute_without_webhooks_is_found(market: Market) -> None:
    """The schedule asks once a day."""
    reference = market.start()
    market.acts().pay(reference)
    market.deliver()
    market.acts().dispute(reference)
    market.deliver()
    market.acts().lose(reference)
    market.lose_webhooks()
    assert market.shop.poll_after(minutes=24 * 60) == (1, 0)
    assert (market.shop.status(), market.shop.balance()) == ("charged_back", Balance(FREE))


@everywhere
@pytest.mark.parametrize("luck", range(4))
def test_webhooks_in_any_order(market: Market, luck: int) -> None:
    """A hundred of them, most of them repeated: credited once, refunded and disputed as if they had come in order."""
    reference = market.start()
    market.acts().pay(reference)
    market.deliver()
    market.acts().refund(reference, 1000)
    market.acts().dispute(reference)
    told = list(market.outbox())
    other = market.start("k2")
    market.acts().decline(other)
    told += market.outbox()
    market.acts().pay(other)
    market.acts().lose(reference)
    told += market.outbox()
    chance = random.Random(luck)
    many = told + chance.choices(told, k=100 - len(told))
    chance.shuffle(many)
    for name, sent in many:
        market.acts().serving.outbox.append(sent)
        assert name == market.name
    market.deliver()
    assert [market.shop.status(key) for key in ("k1", "k2")] == ["charged_back", "credited"]
    assert (market.shop.balance(), market.acts().taken(other)) == (Balance(FREE + BOUGHT), PRICE)
    assert market.shop.kinds().count("purchased") == 2


@everywhere
def test_nobody_else_gets_the_credits(market: Market) -> None:
    """Another account that is there has none of them."""
    market.shop.open("umbrella")
    market.acts().pay(market.start())
    market.deliver()
    assert market.shop.balance("umbrella") == Balance(FREE)

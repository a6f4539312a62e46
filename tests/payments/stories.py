"""The stories of a payment, told once and played at every provider: in one process, and on a deployed stack.

Whatever is told how often: what was paid is credited once, and what was not paid is not credited.
"""

from collections.abc import Callable
from typing import Any, Protocol

BOUGHT = 10_000
PRICE = 3990
CALLS = {"stripe": "POST /expire", "paypal": "GET ", "payoneer": "DELETE "}
"""The call by which a checkout is closed at its provider."""


class Till(Protocol):
    """An account with a purchase of 100 credits for $39.90, and the provider where it is to be paid now."""

    @property
    def name(self) -> str:
        """The provider's name."""

    def start(self) -> str:
        """Start the purchase; what the provider calls the payment."""

    def act(self, what: str, reference: str, *more: object) -> Any:
        """Do something at the provider: `pay`, `decline`, `expire`, `revive`, `refund`, `dispute`, `win`, `lose`."""

    def silently(self, what: str, reference: str, *more: object) -> None:
        """The same, and no webhook of it ever comes."""

    def meanwhile(self, call: str, what: str, reference: str) -> None:
        """The same, just before the next such call of ours to the provider."""

    def go_to(self, name: str) -> str:
        """Pay at another provider; what that one calls the payment."""

    def change_to(self, name: str) -> str | None:
        """The same, if that is still possible."""

    def come_back(self) -> str:
        """The buyer comes back from the provider's page; the purchase's status."""

    def cancel(self) -> None:
        """Ask to cancel the purchase, whatever comes of it."""

    def settled(self) -> str:
        """The purchase's status, once all webhooks were delivered."""

    def look(self) -> None:
        """Let the schedule look, when it next does."""

    def balance(self) -> tuple[int, int]:
        """The credits that were bought and are left, and how many of all are held."""

    def taken(self, name: str, reference: str) -> int:
        """The cents that a provider took."""


def _pay(till: Till) -> str:
    reference = till.start()
    till.act("pay", reference)
    assert till.settled() == "credited"
    return reference


def paid(till: Till) -> None:
    """The credits are there once, and the money was taken once."""
    reference = _pay(till)
    assert (till.balance(), till.taken(till.name, reference)) == ((BOUGHT, 0), PRICE)


def declined_then_paid_elsewhere(till: Till, other: str) -> None:
    """The same purchase goes on at another provider, and the first one takes nothing any more."""
    name, first = till.name, till.start()
    till.act("decline", first)
    assert till.settled() == "declined"
    second = till.go_to(other)
    till.act("pay", second)
    assert till.settled() == "credited"
    assert (till.balance(), till.taken(name, first)) == ((BOUGHT, 0), 0)


def canceled(till: Till) -> None:
    """Nobody can pay it any more."""
    till.start()
    till.cancel()
    assert (till.settled(), till.balance()) == ("canceled", (0, 0))


def canceled_while_the_buyer_pays(till: Till) -> None:
    """Either the buyer was quicker and has the credits, or no money was taken."""
    reference = till.start()
    till.meanwhile(CALLS[till.name], "pay", reference)
    till.cancel()
    status, took = till.settled(), till.taken(till.name, reference)
    assert (status, took, till.balance()[0]) in (("canceled", 0, 0), ("credited", PRICE, BOUGHT))


def changed_while_the_buyer_pays(till: Till, other: str) -> None:
    """Either the buyer was quicker and nothing else is started, or the first provider takes nothing."""
    name, first = till.name, till.start()
    till.meanwhile(CALLS[name], "pay", first)
    second = till.change_to(other)
    took = 0
    if second is not None and till.settled() != "credited":
        till.act("pay", second)
        assert till.settled() == "credited"
        took = till.taken(other, second)
    assert till.settled() == "credited"
    assert (till.balance()[0], till.taken(name, first) + took) == (BOUGHT, PRICE)


def expired_then_paid_after_all(till: Till) -> None:
    """The purchase is over; money that comes all the same is credited."""
    reference = till.start()
    till.silently("expire", reference)
    assert till.come_back() == "expired"
    till.act("revive", reference)
    assert (till.settled(), till.balance()) == ("credited", (BOUGHT, 0))


def refunded_in_two_steps(till: Till) -> None:
    """Each time its share of the credits is taken back, to the last hundredth."""
    reference = _pay(till)
    till.act("refund", reference, 1000)
    assert (till.settled(), till.balance()) == ("credited", (BOUGHT - 2506, 0))
    till.act("refund", reference, PRICE - 1000)
    assert (till.settled(), till.balance()) == ("refunded", (0, 0))


def disputed_and_won(till: Till) -> None:
    """The credits are frozen until it ends, then free."""
    reference = _pay(till)
    till.act("dispute", reference)
    assert (till.settled(), till.balance()) == ("disputed", (BOUGHT, BOUGHT))
    till.act("win", reference)
    assert (till.settled(), till.balance()) == ("credited", (BOUGHT, 0))


def disputed_and_lost(till: Till) -> None:
    """The credits are frozen until it ends, then gone."""
    reference = _pay(till)
    till.act("dispute", reference)
    assert (till.settled(), till.balance()) == ("disputed", (BOUGHT, BOUGHT))
    till.act("lose", reference)
    assert (till.settled(), till.balance()) == ("charged_back", (0, 0))


def paid_without_webhooks(till: Till) -> None:
    """The schedule asks."""
    till.silently("pay", till.start())
    till.look()
    assert (till.settled(), till.balance()) == ("credited", (BOUGHT, 0))


def back_without_webhooks(till: Till) -> None:
    """A buyer who comes back has the credits at once."""
    till.silently("pay", till.start())
    assert (till.come_back(), till.balance()) == ("credited", (BOUGHT, 0))


ALONE: dict[str, Callable[[Till], None]] = {
    story.__name__: story for story in (paid, refunded_in_two_steps, disputed_and_won, disputed_and_lost, canceled)
}
"""The stories of one provider, whichever it is."""

ASKED: dict[str, Callable[[Till], None]] = {
    story.__name__: story
    for story in (
        canceled_while_the_buyer_pays,
        expired_then_paid_after_all,
        paid_without_webhooks,
        back_without_webhooks,
    )
}
"""Those of one that can be asked: the sandbox keeps nothing."""

PAIRS: dict[str, Callable[[Till, str], None]] = {
    story.__name__: story for story in (declined_then_paid_elsewhere, changed_while_the_buyer_pays)
}
"""Those of two providers."""

ASKABLE = ("stripe", "paypal", "payoneer")
NAMES = (*ASKABLE, "sandbox")

"""Money that is taken after the buyer has approved it: noted before it is asked for, and once at a time."""

import pytest

from autocredits.domain.decide import NotYet
from autocredits.domain.errors import Problem
from autocredits.domain.purchases.calls import BeginCapture
from tests.kit.purchases import Shop, begin


@pytest.fixture
def shop() -> Shop:
    """An account whose purchase `b1` is open at PayPal."""
    shop = Shop()
    shop.start()
    return shop


def capture(shop: Shop, number: int | None = 1, reference: str | None = "ref1") -> tuple[str, int]:
    """What came of asking to take the money of a checkout, and how often that of the first one was to be taken."""
    did = shop.did(BeginCapture(purchase_id="b1", number=number, reference=reference))
    return did, shop.purchase().checkouts[0].captures


def refused(shop: Shop, command: object) -> str:
    """The code of the problem that a command meets."""
    with pytest.raises(Problem) as raised:
        shop.do(command)  # type: ignore[arg-type] # each of these is a command
    return raised.value.code


def test_a_capture_is_noted_once(shop: Shop) -> None:
    """What is under way goes on under its number: the provider takes nothing twice under the same one."""
    assert [capture(shop) for _ in range(3)] == [("capturing", 1)] * 3
    assert shop.purchase().capturing()


@pytest.mark.parametrize(("number", "reference"), [(1, "another"), (2, "ref1"), (None, "ref1"), (1, None)])
def test_a_checkout_that_is_not_open_is_never_captured(shop: Shop, number: int | None, reference: str | None) -> None:
    """Neither another number nor another order of the provider's."""
    assert capture(shop, number, reference) == ("not_open", 0)


def test_a_closed_checkout_is_never_captured(shop: Shop) -> None:
    """The next one is open."""
    shop.pay_otherwise()
    assert capture(shop) == ("not_open", 0)


@pytest.mark.parametrize("end", ["paid", "expired", "cancel"])
def test_what_is_over_is_never_captured(shop: Shop, end: str) -> None:
    """Nor what was paid already."""
    _ = shop.cancel() if end == "cancel" else shop.event(end)
    assert capture(shop) == ("not_open", 0)


def test_a_start_under_way_is_waited_for() -> None:
    """The buyer may be quicker than our own note that the provider has begun."""
    shop = Shop()
    shop.start(checkout_too=False)
    with pytest.raises(NotYet):
        capture(shop)


def test_a_decline_of_a_capture_ends_it(shop: Shop) -> None:
    """Then the next one has the next number; the merchant is told of each."""
    capture(shop)
    assert shop.event("declined", payment_id=None, checkout=1, capture=1) == "declined"
    assert not shop.purchase().capturing()
    assert shop.event("declined", payment_id=None, checkout=1, capture=1) == "nothing"
    assert capture(shop) == ("capturing", 2)
    assert shop.event("declined", payment_id=None, checkout=1, capture=2) == "declined"
    assert shop.kinds() == ["declined", "declined"]


def test_a_late_decline_ends_no_later_capture(shop: Shop) -> None:
    """Only the one that it names, and those before it."""
    capture(shop)
    shop.event("declined", payment_id=None, checkout=1, capture=1)
    capture(shop)
    shop.event("declined", payment_id=None, checkout=1, capture=1)
    assert shop.purchase().capturing()


def test_nothing_else_is_begun_while_money_is_taken(shop: Shop) -> None:
    """Neither another checkout nor a cancellation: the buyer would pay twice, or for nothing."""
    capture(shop)
    assert refused(shop, begin()) == "invalid_transition"
    with pytest.raises(Problem, match="on its way"):
        shop.cancel()
    shop.event("declined", payment_id=None, checkout=1, capture=1)
    assert shop.pay_otherwise() == 2
    assert shop.cancel() == "canceled"


def test_an_approval_that_lapsed_ends_the_capture(shop: Shop) -> None:
    """What the provider has forgotten takes nothing."""
    capture(shop)
    assert shop.event("expired", payment_id=None, checkout=1) == "expired"
    assert not shop.purchase().capturing()


def test_money_that_was_taken_is_credited_all_the_same(shop: Shop) -> None:
    """Whatever was thought to have become of its checkout."""
    capture(shop)
    shop.event("expired", payment_id=None, checkout=1)
    assert shop.event("paid", checkout=1) == "credited"

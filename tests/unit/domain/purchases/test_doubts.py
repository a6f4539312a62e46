"""What a provider says and nobody here understands: a person looks at it, and nothing moves before."""

import pytest

from autocredits.domain.errors import Problem
from tests.kit.purchases import CREDITS, FREE, PRICE, Shop


@pytest.fixture
def shop() -> Shop:
    """An account that has paid for its purchase."""
    shop = Shop()
    shop.start()
    shop.event("paid")
    return shop


def doubt(shop: Shop, explained_by: int = 0, detail: str = "capture REFUNDED") -> str:
    """What came of something unclear."""
    return shop.event("unclear", detail=detail, explained_by=explained_by)


def test_what_is_unclear_is_for_a_person(shop: Shop) -> None:
    """The credits stay, and the reason is shown."""
    assert doubt(shop) == "review"
    assert (shop.balance()[0], shop.purchase().in_review_for()) == (FREE + CREDITS, "capture REFUNDED")
    assert doubt(shop) == "nothing"


def test_refunds_may_explain_it(shop: Shop) -> None:
    """Before or after: as soon as as much has gone back as the provider meant."""
    doubt(shop, PRICE)
    assert shop.event("refunded", 1990, refund_id="re_1") == "review"
    assert shop.event("refunded", 2000, refund_id="re_2") == "refunded"
    assert doubt(shop, PRICE) == "nothing"
    assert shop.balance()[0] == FREE


def test_a_person_keeps_the_credits(shop: Shop) -> None:
    """Then the same word is no doubt any more; another one is."""
    doubt(shop)
    assert shop.review("credit") == "credited"
    assert doubt(shop) == "nothing"
    assert doubt(shop, detail="something else") == "review"
    assert shop.balance()[0] == FREE + CREDITS


def test_a_person_takes_the_credits_back(shop: Shop) -> None:
    """All of them, and no further doubt of it matters."""
    doubt(shop)
    assert shop.review("refuse") == "refunded"
    assert (shop.balance()[0], shop.kinds()) == (FREE, ["purchased", "clawed_back"])
    assert doubt(shop, detail="something else") == "refunded"
    assert shop.event("refunded", PRICE, refund_id="re_1") == "refunded"
    assert shop.balance()[0] == FREE


def test_without_a_doubt_there_is_nothing_to_decide(shop: Shop) -> None:
    """A payment that nobody doubts is left alone."""
    with pytest.raises(Problem, match="no payment to decide on"):
        shop.review("refuse")


def test_a_dispute_that_ended_in_an_unknown_way_stays_frozen(shop: Shop) -> None:
    """A person says how it ended, and the provider may still."""
    assert shop.event("dispute_unclear", dispute_id="d1") == "review"
    assert shop.balance() == (FREE + CREDITS, CREDITS)
    assert shop.review("dispute_won") == "credited"
    assert shop.balance() == (FREE + CREDITS, 0)
    assert shop.event("dispute_lost", dispute_id="d1") == "charged_back"


def test_a_dispute_may_be_lost_in_part(shop: Shop) -> None:
    """Then only that part is taken back; the rest is free again."""
    shop.event("dispute_created", dispute_id="d1")
    assert shop.event("dispute_lost", dispute_id="d1", lost=PRICE // 2) == "charged_back"
    assert shop.balance() == (FREE + CREDITS // 2, 0)


@pytest.mark.parametrize("decided_by", ["a person", "the provider"])
def test_a_payment_of_which_only_something_unclear_is_known_waits(decided_by: str) -> None:
    """A person may credit it; the provider's word that it was paid does so by itself."""
    shop = Shop()
    shop.start()
    assert (doubt(shop), shop.status()) == ("put_aside", "review")
    _ = shop.review("credit") if decided_by == "a person" else shop.event("paid")
    assert shop.balance()[0] == FREE + CREDITS


def test_a_doubt_is_asked_after_daily(shop: Shop) -> None:
    """Its explanation may come late."""
    doubt(shop)
    day = 24 * 60 * 60 * 1000
    assert shop.purchase().next_poll(shop.clock.now_ms()) == shop.clock.now_ms() + day

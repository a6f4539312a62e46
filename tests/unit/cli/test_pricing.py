"""What past work would have cost by another card: each part that was charged, looked up and never added."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from autocredits.domain.catalog import RateCard, load_rate_card
from credits import Client, order, product
from credits.answers import Entry
from credits.pricing import Compared, charges_of, compare
from credits.work import Work


def card_in_force(acme: Client) -> RateCard:
    """The card by which work is priced."""
    return load_rate_card(acme.rates())


def compared(acme: Client, card: RateCard, in_force: RateCard | None = None) -> dict[str, tuple[int, int, int]]:
    """By action: how many entries, what they took, and what they take by the card."""
    asked: list[str] = []

    def entries_of(order_id: str) -> Iterator[Entry]:
        asked.append(order_id)
        return acme.entries("acme", order_id=order_id)

    in_force = in_force or card_in_force(acme)
    rows = compare(charges_of(acme.entries("acme"), in_force, entries_of), card)
    return {row.action: (row.count, row.credits, row.by_card) for row in rows}


WORK: dict[str, list[Work]] = {
    "a whole order": [order("o1", "s1", "auto", "qtrack")],
    "an order, and a conversion later": [order("o1", "s1"), order("o1", "s1", "auto", "qtrack")],
    "an order, and two conversions": [
        *(order("o1", "s1", "fba", tracking, cost="2.00") for tracking in ("none", "bce", "qtrack")),
    ],
    "a conversion of a manual order": [order("o1", "s1", "manual", "bce")],
    "a product": [product("p1", "s1")],
}


@pytest.mark.parametrize("name", WORK)
@pytest.mark.parametrize("how", ["debit", "hold and capture"])
@pytest.mark.parametrize("is_of_the_past", [False, True], ids=["by the card in force", "by a card of the past"])
def test_by_its_own_card_work_costs_what_it_cost(acme: Client, name: str, how: str, *, is_of_the_past: bool) -> None:
    """Whichever way it was charged, and whether or not its card is still in force."""
    for work in WORK[name]:
        if how == "debit":
            acme.debit("acme", work)
        else:
            held = acme.hold("acme", work)
            acme.capture("acme", held["hold_id"], parts=list(held["parts"]))
    card = card_in_force(acme)
    in_force = replace(card, name="a later one") if is_of_the_past else card
    found = compared(acme, card, in_force)
    assert found
    assert all(taken == by_card > 0 for _, taken, by_card in found.values()), found


def test_a_conversion_costs_the_difference_of_the_new_cells(acme: Client) -> None:
    """Not the whole cell: 2.00 more than the order, where 1.50 was paid."""
    acme.debit("acme", order("o1", "s1"))
    acme.debit("acme", order("o1", "s1", "auto", "qtrack"))
    card = card_in_force(acme)
    dearer = replace(card, cells={**card.cells, ("auto", "qtrack"): 300})
    assert compared(acme, dearer) == {"auto/none": (1, 100, 100), "auto/qtrack": (1, 150, 200)}


def test_what_was_given_back_costs_nothing(acme: Client) -> None:
    """Only what was captured or debited counts."""
    acme.release("acme", acme.hold("acme", order("o1", "s1"))["hold_id"], "out of stock")
    assert compared(acme, card_in_force(acme)) == {}


def test_stores_and_actions_are_told_apart(acme: Client) -> None:
    """In their order."""
    for number, store in enumerate(("s2", "s1", "s2")):
        acme.debit("acme", order(f"o{number}", store))
    rows = compare(charges_of(acme.entries("acme"), card_in_force(acme), lambda _: ()), card_in_force(acme))
    assert rows == [Compared("s1", "auto/none", 1, 100, 100), Compared("s2", "auto/none", 2, 200, 200)]

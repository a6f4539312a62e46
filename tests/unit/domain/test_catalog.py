import copy
from collections.abc import Callable
from typing import Any

import pytest

from autocredits.domain.catalog import (
    PRICED,
    BadCatalogError,
    Catalog,
    Package,
    load_catalog,
    load_packages,
    load_rate_card,
)
from autocredits.domain.errors import Problem
from autocredits.domain.money import format_amount
from autocredits.domain.times import parse_time
from tests.kit.builders import CATALOG
from tests.kit.prices import CELLS

# docs/domain.md, "Packages": credits, total, shown per credit.
PACKAGES = [
    ("auto_order-20", "20.00", "9.90", "0.50"),
    ("auto_order-100", "100.00", "39.90", "0.40"),
    ("auto_order-250", "250.00", "79.00", "0.32"),
    ("auto_order-500", "500.00", "129.00", "0.26"),
    ("auto_order-1000", "1000.00", "219.00", "0.22"),
    ("auto_order-2500", "2500.00", "499.00", "0.20"),
]

CARD = {
    "rate_card": "2030-01",
    "effective_from": "2030-01-01T00:00:00Z",
    "sourcing": "1.00",
    "rates": [{"order_type": kind, "tracking": method, "credits": cell} for kind, method, cell, _ in CELLS],
}
SHELF = {"packages": [{"package": "auto_order-20", "unit": "auto_order", "credits": "20.00", "price": "9.90"}]}


@pytest.mark.parametrize(("order_type", "tracking", "cell", "parts"), CELLS)
def test_each_cell_of_the_rate_card(order_type: str, tracking: str, cell: str, parts: dict[str, int]) -> None:
    """An action costs what the table says; part `order` is the `none` cell and `tracking` the rest."""
    card = CATALOG.card_at(parse_time("2026-11-01T00:00:00Z"))
    assert format_amount(card.cells[order_type, tracking]) == cell
    assert card.parts(order_type, tracking) == parts
    assert format_amount(sum(parts.values())) == cell


def test_the_card_has_just_the_eleven_priced_pairs() -> None:
    """Eleven pairs have a price, manual without a conversion has none."""
    (card,) = CATALOG.rate_cards
    assert set(card.cells) == {(kind, method) for kind, method, _, _ in CELLS} == set(PRICED)
    assert len(CELLS) == 11


def test_the_table_is_not_additive() -> None:
    """1 + 0.5 is not 2.5: a manual order's conversion has another price than an automated one's."""
    cells = CATALOG.rate_cards[0].cells
    assert cells["auto", "none"] + cells["manual", "qtrack"] != cells["auto", "qtrack"]


def test_a_sourcing_request_costs_one_credit() -> None:
    """Sourcing costs 1.00."""
    assert CATALOG.rate_cards[0].sourcing == 100


@pytest.mark.parametrize(
    ("order_type", "tracking"), [("manual", "none"), ("dropship", "none"), ("auto", "dhl"), ("", "")]
)
def test_a_pair_without_a_price_is_never_free(order_type: str, tracking: str) -> None:
    """422 `unknown_rate`, never a price of 0."""
    with pytest.raises(Problem) as refused:
        CATALOG.rate_cards[0].parts(order_type, tracking)
    assert (refused.value.code, refused.value.status) == ("unknown_rate", 422)


@pytest.mark.parametrize(("name", "credits_", "price", "shown"), PACKAGES)
def test_each_package(name: str, credits_: str, price: str, shown: str) -> None:
    """A package sells its credits for its total, and shows the price per credit, rounded half up."""
    package = next(package for package in CATALOG.packages if package.name == name)
    assert package.unit == "auto_order"
    assert (format_amount(package.credits), format_amount(package.price)) == (credits_, price)
    assert format_amount(package.price_per_credit()) == shown


def test_there_are_just_these_packages() -> None:
    """Six packages are on sale, smallest first."""
    assert [package.name for package in CATALOG.packages] == [name for name, *_ in PACKAGES]


def test_the_card_in_force_is_the_newest_that_has_begun() -> None:
    """A card is in force from its beginning until the next one's."""
    later = copy.deepcopy(CARD) | {"rate_card": "2031-01", "effective_from": "2031-01-01T00:00:00Z"}
    catalog = load_catalog([later, CARD], SHELF)
    begins = parse_time("2031-01-01T00:00:00Z")
    assert catalog.card_at(begins - 1).name == "2030-01"
    assert catalog.card_at(begins).name == "2031-01"
    assert catalog.card_at(begins + 10**12).name == "2031-01"


@pytest.mark.parametrize("catalog", [Catalog((), ()), load_catalog([CARD], SHELF)])
def test_without_a_card_in_force_nothing_has_a_price(catalog: Catalog) -> None:
    """`unknown_rate` where no card is in force yet, or none at all."""
    with pytest.raises(Problem) as refused:
        catalog.card_at(parse_time("2029-12-31T23:59:59.999Z"))
    assert refused.value.code == "unknown_rate"


def _rates(change: Callable[[list[dict[str, Any]]], object]) -> dict[str, Any]:
    card = copy.deepcopy(CARD)
    change(card["rates"])  # type: ignore[arg-type]
    return card


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(_rates(lambda rates: rates.pop()), id="a pair is missing"),
        pytest.param(_rates(lambda rates: rates.append(rates[0])), id="a pair stands there twice"),
        pytest.param(_rates(lambda rates: rates[0].update(order_type="manual")), id="manual without conversion"),
        pytest.param(_rates(lambda rates: rates[0].update(tracking="dhl")), id="an unknown method"),
        pytest.param(_rates(lambda rates: rates[0].update(credits=1)), id="a number for a price"),
        pytest.param(_rates(lambda rates: rates[0].update(credits="1")), id="no two decimals"),
        pytest.param(_rates(lambda rates: rates[8].update(credits="0.00")), id="for free"),
        pytest.param(_rates(lambda rates: rates[8].update(credits="-0.33")), id="below zero"),
        pytest.param(_rates(lambda rates: rates[1].update(credits="1.00")), id="a conversion for free"),
        pytest.param(_rates(lambda rates: rates[0].pop("credits")), id="a price is missing"),
        pytest.param(CARD | {"sourcing": "0.00"}, id="sourcing for free"),
        pytest.param(CARD | {"effective_from": "2030-01-01"}, id="no beginning"),
        pytest.param({}, id="nothing"),
        pytest.param({"rates": None}, id="no rates"),
    ],
)
def test_a_rate_card_with_a_gap_is_not_loaded(data: dict[str, Any]) -> None:
    """Each priced pair must stand there once, above 0, and a conversion must cost something."""
    with pytest.raises(BadCatalogError):
        load_rate_card(data)


@pytest.mark.parametrize(
    "change",
    [
        {"package": "auto_order-21"},
        {"package": "finder-20"},
        {"unit": "finder"},
        {"unit": "points", "package": "points-20"},
        {"credits": "0.00", "package": "auto_order-0"},
        {"credits": 20},
        {"price": "0.00"},
        {"price": "-9.90"},
        {"price": "9.9"},
    ],
)
def test_a_package_that_contradicts_itself_is_not_loaded(change: dict[str, Any]) -> None:
    """Name, unit, credits and price must fit each other and be above 0."""
    with pytest.raises(BadCatalogError):
        load_packages({"packages": [SHELF["packages"][0] | change]})


@pytest.mark.parametrize(
    ("place", "credits_"), [(8, "0.01"), (1, "1.01")], ids=["a conversion", "the difference of two cells"]
)
def test_one_hundredth_is_a_price(place: int, credits_: str) -> None:
    """No price, and no difference between a conversion and none, need be more than 0.01."""
    assert load_rate_card(_rates(lambda rates: rates[place].update(credits=credits_))).name == "2030-01"
    assert load_rate_card(CARD | {"sourcing": "0.01"}).sourcing == 1


def test_one_hundredth_can_be_sold_for_a_cent() -> None:
    """The smallest package there can be."""
    row = {"package": "auto_order-0.01", "unit": "auto_order", "credits": "0.01", "price": "0.01"}
    assert load_packages({"packages": [row]}) == (Package("auto_order-0.01", "auto_order", 1, 1),)


@pytest.mark.parametrize(
    ("credits_", "price", "shown"), [(100, 1000, 1000), (10_000, 100, 1), (2000, 990, 50), (200, 1, 1)]
)
def test_the_price_per_credit_is_in_cents(credits_: int, price: int, shown: int) -> None:
    """It is rounded half up to a whole cent."""
    assert Package("p", "auto_order", credits_, price).price_per_credit() == shown


def test_a_package_that_is_not_on_sale_is_unknown() -> None:
    """422 `unknown_package`."""
    assert CATALOG.package("auto_order-20").price == 990
    with pytest.raises(Problem) as refused:
        CATALOG.package("auto_order-21")
    assert (refused.value.code, refused.value.status) == ("unknown_package", 422)


def test_a_package_stands_on_the_shelf_once() -> None:
    """Two packages of one name are refused, and so is a shelf that is missing."""
    with pytest.raises(BadCatalogError):
        load_packages({"packages": SHELF["packages"] * 2})
    with pytest.raises(BadCatalogError):
        load_packages({})


@pytest.mark.parametrize("change", [{"rate_card": "2031-01"}, {"effective_from": "2031-01-01T00:00:00Z"}])
def test_two_cards_share_neither_name_nor_beginning(change: dict[str, str]) -> None:
    """At any time it is clear which card is in force."""
    with pytest.raises(BadCatalogError):
        load_catalog([CARD, CARD | change], SHELF)

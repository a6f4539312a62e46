"""The rate cards and packages, against the tables of docs/domain.md: no cell can change unnoticed."""

import copy
import json
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

import pytest

from autocredits.domain.catalog import BadCatalogError, load_catalog
from autocredits.domain.money import format_amount
from autocredits.domain.times import format_time

# docs/domain.md, "What an action costs".
COSTS = """
              none  bce   qtrack tracking_generator
fba           1.00  1.33  2.50   2.00
auto          1.00  1.33  2.50   2.00
manual        -     0.33  0.50   1.00
"""

# docs/domain.md, "Packages": credits, total, shown per credit.
PACKAGES = """
20    9.90    0.50
100   39.90   0.40
250   79.00   0.32
500   129.00  0.26
1000  219.00  0.22
2500  499.00  0.20
"""


def expected() -> dict[Any, Any]:
    """What the tables above say."""
    (methods, *rows) = (line.split() for line in COSTS.strip().splitlines())
    cells = {(row[0], method): cell for row in rows for method, cell in zip(methods, row[1:], strict=True)}
    packages = [
        (f"auto_order-{credits_}", "auto_order", f"{credits_}.00", total, shown)
        for credits_, total, shown in (line.split() for line in PACKAGES.strip().splitlines())
    ]
    cells = {pair: cell for pair, cell in cells.items() if cell != "-"}
    return {"cards": [("2024-01", "2024-01-01T00:00:00.000Z", "1.00", cells)], "packages": packages}


def understood(cards: list[Any], packages: Any) -> dict[Any, Any]:
    """What the product understands of these files, in the form of the tables."""
    catalog = load_catalog(cards, packages)
    return {
        "cards": [
            (
                card.name,
                format_time(card.effective_from),
                format_amount(card.sourcing),
                {pair: format_amount(cell) for pair, cell in card.cells.items()},
            )
            for card in catalog.rate_cards
        ],
        "packages": [
            (
                package.name,
                package.unit,
                *map(format_amount, (package.credits, package.price, package.price_per_credit())),
            )
            for package in catalog.packages
        ],
    }


def files() -> tuple[list[Any], Any]:
    """The product's own files."""
    folder = resources.files("autocredits.catalog")
    cards = [json.loads(card.read_text("utf-8")) for card in folder.joinpath("rate_cards").iterdir()]
    return cards, json.loads(folder.joinpath("packages.json").read_text("utf-8"))


Place = tuple[str | int, ...]


def cells_in(data: Any, place: Place = ()) -> Iterator[Place]:
    """The place of each cell of a file, and of each row."""
    if isinstance(data, str):
        yield place
    else:
        pairs = data.items() if isinstance(data, dict) else enumerate(data)
        for name, inner in pairs:
            yield from cells_in(inner, (*place, name))
        if isinstance(data, dict) and place[:-1]:
            yield place


def changed(cell: Any) -> list[Any]:
    """What a cell may wrongly be; a row is gone (None)."""
    if isinstance(cell, dict):
        return [None]
    if not cell.replace(".", "").isdigit():
        others = ("auto", "fba", "manual", "none", "bce", "qtrack", "tracking_generator", "managed", "auto_order-21")
        return [other for other in (*others, "2024-02", "2024-01-01T00:00:00.001Z") if other != cell]
    hundredths = round(float(cell) * 100)
    return [format_amount(other) for other in (hundredths + 1, hundredths - 1, hundredths * 10, 0)]


def mutants() -> Iterator[Any]:
    """Each file with one cell changed, or one row gone."""
    for place in cells_in(list(files())):
        *way, last = place
        for wrong in changed(at(list(files()), place)):
            data: Any = copy.deepcopy(list(files()))
            if wrong is None:
                del at(data, tuple(way))[last]
            else:
                at(data, tuple(way))[last] = wrong
            yield pytest.param(data, id=f"{'/'.join(map(str, place[1:]))}={wrong}")


def at(data: Any, place: Place) -> Any:
    """What stands at a place."""
    for name in place:
        data = data[name]
    return data


def noticed(check: Callable[[], bool]) -> bool:
    """Whether the check fails, or the product refuses to load."""
    try:
        return not check()
    except BadCatalogError:
        return True


def test_the_catalog_is_what_domain_md_says() -> None:
    """Eleven cells, sourcing, six packages, and nothing else."""
    assert understood(*files()) == expected()
    assert len(expected()["cards"][0][3]) == 11


@pytest.mark.parametrize("data", list(mutants()))
def test_a_changed_cell_of_the_catalog_is_noticed(data: Any) -> None:
    """No cell can change, and no row can go, without a difference from docs/domain.md."""
    assert noticed(lambda: understood(*data) == expected())

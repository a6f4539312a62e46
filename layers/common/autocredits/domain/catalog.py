"""What actions cost and what packages there are, checked cell by cell when loaded (docs/domain.md, "Facts").

The data lie in `autocredits/catalog`; this module only understands them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

from .errors import Problem
from .money import divide_half_up, format_amount, parse_amount
from .state import UNITS
from .times import parse_time

OrderType = Literal["auto", "fba", "manual"]
Tracking = Literal["none", "bce", "qtrack", "tracking_generator"]

ORDER_TYPES: tuple[OrderType, ...] = ("fba", "auto", "manual")
TRACKINGS: tuple[Tracking, ...] = ("none", "bce", "qtrack", "tracking_generator")
PRICED = tuple(pair for pair in product(ORDER_TYPES, TRACKINGS) if pair != ("manual", "none"))


class BadCatalogError(ValueError):
    """The catalog's data are incomplete or contradict themselves; nothing can be sold or priced by them."""


@dataclass(frozen=True, slots=True)
class RateCard:
    """What each action costs, in hundredths of a credit. Cells are looked up, never added up."""

    name: str
    effective_from: int
    cells: Mapping[tuple[str, str], int]
    sourcing: int

    def parts(self, order_type: str, tracking: str) -> dict[str, int]:
        """The cell split in parts: `order` is the `none` cell, `tracking` the rest; of a manual order the whole cell.

        Raises Problem `unknown_rate` for manual without a conversion: there is nothing to charge.
        """
        if (order_type, tracking) not in self.cells:
            raise Problem("unknown_rate", f"There is nothing to charge for {order_type} with tracking {tracking}.")
        cell = self.cells[order_type, tracking]
        if order_type == "manual":
            return {"tracking": cell}
        order = self.cells[order_type, "none"]
        return {"order": order} if tracking == "none" else {"order": order, "tracking": cell - order}


@dataclass(frozen=True, slots=True)
class Package:
    """What can be bought: `credits` (hundredths) of `unit` for `price` (US cents)."""

    name: str
    unit: str
    credits: int
    price: int

    def price_per_credit(self) -> int:
        """US cents per credit, rounded half up, for display."""
        return divide_half_up(self.price * 100, self.credits)


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every rate card there ever was, oldest first, and the packages on sale."""

    rate_cards: tuple[RateCard, ...]
    packages: tuple[Package, ...]

    def card_at(self, at_ms: int) -> RateCard:
        """The rate card in force at a time. Raises Problem `unknown_rate` when there is none."""
        for card in reversed(self.rate_cards):
            if card.effective_from <= at_ms:
                return card
        raise Problem("unknown_rate", "No rate card is in force.")

    def package(self, name: str) -> Package:
        """The package with this name. Raises Problem `unknown_package`."""
        for package in self.packages:
            if package.name == name:
                return package
        raise Problem("unknown_package", "There is no such package.")


def load_rate_card(data: Mapping[str, Any]) -> RateCard:
    """A rate card of its file. Raises BadCatalogError unless each priced pair stands there exactly once."""
    try:
        rows = [((row["order_type"], row["tracking"]), parse_amount(row["credits"])) for row in data["rates"]]
        card = RateCard(
            name=data["rate_card"],
            effective_from=parse_time(data["effective_from"]),
            cells=dict(rows),
            sourcing=parse_amount(data["sourcing"]),
        )
    except (KeyError, TypeError, Problem) as error:
        raise BadCatalogError(f"rate card: {error}") from error
    if sorted(pair for pair, _ in rows) != sorted(PRICED):
        raise BadCatalogError(f"{card.name}: each of the {len(PRICED)} priced pairs must stand there once")
    if card.sourcing <= 0 or any(cell <= 0 for cell in card.cells.values()):
        raise BadCatalogError(f"{card.name}: every price must be above 0")
    for order_type, tracking in PRICED:
        if min(card.parts(order_type, tracking).values()) <= 0:
            raise BadCatalogError(f"{card.name}: {order_type} with {tracking} must cost more than without")
    return card


def load_packages(data: Mapping[str, Any]) -> tuple[Package, ...]:
    """The packages of their file. Raises BadCatalogError for a name that does not fit, stands twice, or is free."""
    try:
        packages = tuple(
            Package(row["package"], row["unit"], parse_amount(row["credits"]), parse_amount(row["price"]))
            for row in data["packages"]
        )
    except (KeyError, TypeError, Problem) as error:
        raise BadCatalogError(f"packages: {error}") from error
    if len({package.name for package in packages}) != len(packages):
        raise BadCatalogError("packages: a name stands there twice")
    for package in packages:
        if package.unit not in UNITS or package.credits <= 0 or package.price <= 0:
            raise BadCatalogError(f"{package.name}: credits and price must be above 0, the unit a known one")
        if package.name != f"{package.unit}-{format_amount(package.credits).removesuffix('.00')}":
            raise BadCatalogError(f"{package.name}: the name must be <unit>-<credits>")
    return packages


def load_catalog(rate_cards: Sequence[Mapping[str, Any]], packages: Mapping[str, Any]) -> Catalog:
    """The catalog of all its files. Raises BadCatalogError also when two cards share a name or a beginning."""
    cards = sorted(map(load_rate_card, rate_cards), key=lambda card: card.effective_from)
    for distinct in ({card.name for card in cards}, {card.effective_from for card in cards}):
        if len(distinct) != len(cards):
            raise BadCatalogError("rate cards: two share a name or a beginning")
    return Catalog(tuple(cards), load_packages(packages))

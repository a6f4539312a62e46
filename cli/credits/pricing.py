"""What past work would have cost by another rate card, by store and action.

Each part that was charged is looked up in the new card: cells are never added (docs/domain.md, "Decisions where the
model is silent"). A debit names no part, so its amount by the card that it was priced with tells whether it paid for a
whole order or for a later conversion alone; where that card is no longer in force, the order's own entries tell.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from autocredits.domain.catalog import RateCard
from autocredits.domain.money import parse_amount
from autocredits.domain.usage import CONSUMING

from .answers import Entry

AUTOMATED = ("auto", "fba")


@dataclass(frozen=True, slots=True)
class Charge:
    """Hundredths of credits that an entry took for work, and what they were for."""

    store_id: str
    action: str
    credits: int
    order_type: str = ""
    tracking: str = ""
    part: str = "sourcing"

    def by(self, card: RateCard) -> int:
        """What it costs by another card."""
        if self.part == "sourcing":
            return card.sourcing
        parts = card.parts(self.order_type, self.tracking)
        return sum(parts.values()) if self.part == "all" else parts[self.part]


@dataclass(frozen=True, slots=True)
class Compared:
    """What a store's work of one action did cost and would have cost, in hundredths."""

    store_id: str
    action: str
    count: int
    credits: int
    by_card: int


def compare(charges: Iterable[Charge], card: RateCard) -> list[Compared]:
    """The charges by store and action, in their order."""
    sums: dict[tuple[str, str], tuple[int, int, int]] = {}
    for charge in charges:
        pair = charge.store_id, charge.action
        count, credits_, by_card = sums.get(pair, (0, 0, 0))
        sums[pair] = count + 1, credits_ + charge.credits, by_card + charge.by(card)
    return [Compared(*pair, *amounts) for pair, amounts in sorted(sums.items())]


def charges_of(
    entries: Iterable[Entry], in_force: RateCard, entries_of: Callable[[str], Iterable[Entry]]
) -> Iterator[Charge]:
    """The charges among the entries. `entries_of` gives all entries of an order, for debits by a card of the past."""
    for entry in entries:
        if entry["unit"] != "auto_order" or entry["kind"] not in CONSUMING:
            continue
        yield _charge(entry, in_force, entries_of)


def _charge(entry: Entry, in_force: RateCard, entries_of: Callable[[str], Iterable[Entry]]) -> Charge:
    store_id, taken = entry.get("store_id", ""), -parse_amount(entry["posted"])
    action = entry.get("action")
    if action is None:
        return Charge(store_id, "sourcing", taken)
    order_type, tracking = action["order_type"], action["tracking"]
    part = entry.get("part") or _part_of(entry, order_type, tracking, in_force, entries_of)
    return Charge(store_id, f"{order_type}/{tracking}", taken, order_type, tracking, part)


def _part_of(
    debit: Entry,
    order_type: str,
    tracking: str,
    in_force: RateCard,
    entries_of: Callable[[str], Iterable[Entry]],
) -> str:
    """What a debit paid for: part `order` or `tracking`, or `all` of an order."""
    if order_type not in AUTOMATED:
        return "tracking"
    if tracking == "none":
        return "order"
    if debit.get("rate_card") == in_force.name:
        is_whole = -parse_amount(debit["posted"]) == in_force.cells[order_type, tracking]
    else:
        is_whole = not any(_pays_before(entry, debit) for entry in entries_of(debit["order_id"]))
    return "all" if is_whole else "tracking"


def _pays_before(entry: Entry, debit: Entry) -> bool:
    """Whether an entry had paid for the order before this debit of it."""
    is_charge = entry["unit"] == "auto_order" and entry["kind"] in CONSUMING
    return is_charge and entry.get("part") != "tracking" and _place(entry) < _place(debit)


def _place(entry: Mapping[str, object] | Entry) -> tuple[int, int]:
    version, index = str(entry["entry_id"]).split(".")
    return int(version), int(index)

"""A restore that brings back a part of the table: the rest of what was there a moment ago is lost.

A restored table is another table, so what was on its way to the old one never arrives: its environment is cut off, and
its sender sends it again.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from autocredits.domain.records import RecordKey
from tests.simulation.deliveries import Delivery
from tests.simulation.scheduler import ALL, Call, Worker
from tests.simulation.world import NEVER, Lost, World, place_of


@dataclass(frozen=True, slots=True)
class Restore:
    """A restore at some moment of a run. `loses` says which part of it does not come back."""

    world: World
    loses: str
    deliveries: Sequence[Delivery]

    def behave(self, _: Worker) -> None:
        """What its worker does."""
        self.world.call(Call("restore", self.perform, items=ALL, writes=True, idle=True))

    def perform(self) -> None:
        """Cut off whoever is on the way, and lose the part."""
        if self.world.scheduler:
            self.world.scheduler.cut_off()
        self.world.show_all()
        LOSSES[self.loses](self.world, self.deliveries)


def _pages(count: int) -> Callable[[World, Sequence[Delivery]], None]:
    """The newest pages of the account of the first delivery; the records that name them stay."""

    def lose(world: World, deliveries: Sequence[Delivery]) -> None:
        account_id = deliveries[0].account_id
        lying = sorted((one.version, one) for one in world.lain.get(account_id, []) if one.until == NEVER)
        for version, one in lying[-count:]:
            one.page, one.until = world.store.page(account_id, version), world.step()
            del world.store.pages[account_id][version]

    return lose


def _records(named: Callable[[Delivery], RecordKey | None]) -> Callable[[World, Sequence[Delivery]], None]:
    """The records that deliveries name; the pages that they name stay."""

    def lose(world: World, deliveries: Sequence[Delivery]) -> None:
        for one in deliveries:
            place = place_of(one.account_id, named(one) or ("", ""))
            if text := world.store.records.pop(place, None):
                world.lost[place] = Lost(world.step(), json.loads(text))

    return lose


LOSSES: Mapping[str, Callable[[World, Sequence[Delivery]], None]] = MappingProxyType(
    {
        "the newest page": _pages(1),
        "the two newest pages": _pages(2),
        "keys": _records(lambda one: ("key", one.request.key) if one.request.key else None),
        "work records": _records(lambda one: one.request.work),
    }
)
"""What may not come back."""

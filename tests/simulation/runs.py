"""Runs of the scheduler: which deliveries meet in which state of the world, and what one run comes to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from random import Random

from tests.kit.deliveries import BUYING, KINDS
from tests.simulation.deliveries import RICH, TIGHT, Delivery, base_store
from tests.simulation.scheduler import Chooser, Randomly, Replay, Scheduler, Systematic, Worker
from tests.simulation.truth import Aftermath, check_replays
from tests.simulation.world import World, within

NAMES = "abcdefgh"


@dataclass(frozen=True, slots=True)
class Scenario:
    """Deliveries, each a kind and the number of the work that it is about, that meet in a state of the world."""

    deliveries: tuple[tuple[str, int], ...]
    base: str
    level: str

    def pair(self) -> str:
        """The kinds that meet; a redelivery is a kind that meets itself."""
        (first, one), (second, other) = self.deliveries[:2]
        return f"{first} + {'redelivery' if (first, one) == (second, other) else second}"

    def buys(self) -> bool:
        """Whether one of the kinds has to do with buying."""
        return any(kind in BUYING for kind, _ in self.deliveries)


ALONGSIDE = ("debit", "auto_order.requested", "adjustment", "standing", "paid", "disputed", "refunded")
"""The kinds that meet those of the other trade: between work and purchases there is nothing but the account's pages."""

BEFORE_CREDITS = ("new", "started", "changed", "canceled", "waiting", "coupon")
"""The states of a purchase in which it does not matter to another event of it how many credits are available."""


def pairs() -> list[Scenario]:
    """Each unordered pair of kinds, and each kind with its own redelivery, in all states where one has work to do.

    Two of one kind work on two orders; two kinds meet at the same one.
    """
    found = []
    for first, second in combinations_with_replacement(KINDS, 2):
        buying = [name in BUYING for name in (first, second)]
        if any(buying) and not all(buying) and not {first, second} & set(ALONGSIDE):
            continue
        bases = dict.fromkeys((*KINDS[first].bases, *KINDS[second].bases))
        numbers = [(1, 1)] if first != second else [(1, 1), (1, 2)]
        for one, other in numbers:
            meeting = ((first, one), (second, other))
            found += [Scenario(meeting, base, level) for base in bases for level in _levels(base, all(buying))]
    return found


def _levels(base: str, buying: bool) -> Sequence[str]:  # noqa: FBT001 - private
    """Enough credits for all, and enough for one, if that may make a difference."""
    return (RICH,) if buying and base in BEFORE_CREDITS else (RICH, TIGHT)


@dataclass(frozen=True, slots=True)
class Run:
    """What a run was: its moves, and how many of them were faults. `seen` tells that one like it was run before."""

    trace: tuple[str, ...]
    faults: int
    seen: bool = False


def play(scenario: Scenario, chooser: Chooser, *, faults: int, swapping: bool = True) -> Run:
    """One run, and all checks after it. Raises Violation, with the trace by which it can be played again."""
    scheduler = Scheduler(chooser, faults=faults, swapping=swapping)
    one = World(scheduler, base_store(scenario.base, scenario.level).copy())
    deliveries = [
        Delivery(kind, KINDS[kind].make(number), one, name)
        for name, (kind, number) in zip(NAMES, scenario.deliveries, strict=False)
    ]
    with within(one):
        for delivery in deliveries:
            scheduler.add(Worker(delivery.name, delivery.behave))
        try:
            finished = scheduler.run()
            if finished:
                Aftermath(one, deliveries).check()
                check_replays(deliveries)
        except Exception as error:
            error.add_note(f"replay({scenario}, {scheduler.trace})")
            raise
    return Run(tuple(scheduler.trace), faults - scheduler.faults_left, seen=not finished)


def replay(scenario: Scenario, trace: Sequence[str]) -> Run:
    """The run of a trace again."""
    return play(scenario, Replay(iter(trace)), faults=len(trace))


def exhaust(scenario: Scenario, *, faults: int, limit: int | None = None) -> Iterator[Run]:
    """Every run with at most so many faults, but those that come to the same as another."""
    chooser = Systematic()
    count = 0
    while limit is None or count < limit:
        chooser.begin()
        run = play(scenario, chooser, faults=faults)
        if not run.seen:
            count += 1
            yield run
        if not chooser.next():
            return


def sample(scenario: Scenario, random: Random, count: int, *, faults: int) -> Iterator[Run]:
    """Runs by chance."""
    for _ in range(count):
        yield play(scenario, Randomly(random), faults=faults)

"""Runs of the scheduler: which deliveries meet in which state of the world, and what one run comes to."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from random import Random

from tests.kit.deliveries import ACCOUNT, BUYING, FBA, KINDS
from tests.simulation.afterwards import Afterwards
from tests.simulation.deliveries import EARLIER_MS, RICH, SHORT, TIGHT, Delivery, base_store, deliver, deliver_in_turn
from tests.simulation.restores import Restore
from tests.simulation.scheduler import Chooser, Randomly, Replay, Scheduler, Systematic, Worker
from tests.simulation.sweeps import LAST, LONG_AGO_MS, MEETING, MORE_KINDS, OF_NEW_WORK, Passing
from tests.simulation.truth import Aftermath, check_replays
from tests.simulation.world import World, within

NAMES = "abcdefghi"


@dataclass(frozen=True, slots=True)
class Scenario:
    """Deliveries, each a kind and the number of the work that it is about, that meet in a state of the world.

    `accounts` are theirs, one by one, if it is not the same for all. In a `batch` all messages come to one worker at
    once. If the run `loses` something, that is left out by a restore at some moment of it. The state was made
    `earlier_ms` before, with so many `works`; at some moment `passes_ms` more go by. A stream that is looked at still
    shows the two pages of the state that have most to tell.
    """

    deliveries: tuple[tuple[str, int], ...]
    base: str
    level: str
    accounts: tuple[str, ...] = ()
    batch: bool = False
    loses: str | None = None
    earlier_ms: int = EARLIER_MS
    works: int = 2
    passes_ms: int = 0

    def pair(self) -> str:
        """The kinds that meet; a redelivery is a kind that meets itself."""
        (first, one), (second, other) = self.deliveries[:2]
        return f"{first} + {'redelivery' if (first, one) == (second, other) else second}"

    def has(self, kinds: Collection[str]) -> bool:
        """Whether one of its kinds is one of these."""
        return any(kind in kinds for kind, _ in self.deliveries)

    def made_in(self, one: World) -> list[Delivery]:
        """Its deliveries, in a world."""
        accounts = self.accounts or (ACCOUNT,) * len(self.deliveries)
        return [
            Delivery(kind, MORE_KINDS[kind].make(number, account), one, name, account)
            for name, account, (kind, number) in zip(NAMES, accounts, self.deliveries, strict=False)
        ]

    def world(self, scheduler: Scheduler) -> World:
        """A world of its own."""
        accounts = tuple(dict.fromkeys(self.accounts)) or (ACCOUNT,)
        store = base_store(self.base, self.level, accounts, self.earlier_ms, self.works)
        one = World(scheduler, store.copy())
        if self.has(LAST):
            pages = [
                page for page in (store.page(accounts[0], version) for version in store.pages[accounts[0]]) if page
            ]
            one.stream += sorted(pages, key=lambda page: len(page.entries))[-2:]
        return one

    def workers(self, deliveries: Sequence[Delivery]) -> list[Worker]:
        """Who delivers them: one for each, one for all messages of a batch, and the restore."""
        messages = [one for one in deliveries if self.batch and one.request.door == "queue"]
        told = [one for one in deliveries if one.kind in LAST]
        workers = [Worker(one.name, one.behave) for one in deliveries if one not in (*messages, *told)]
        if messages:
            workers.append(Worker(messages[0].name, lambda _: deliver(messages)))
        if told:
            workers.append(Worker(told[0].name, lambda _: deliver_in_turn(told)))
        if self.passes_ms:
            workers.append(Worker("time", Passing(deliveries[0].world, self.passes_ms).behave))
        if self.loses:
            workers.append(Worker("restore", Restore(deliveries[0].world, self.loses, deliveries).behave))
        return workers


ALONGSIDE = ("debit", "auto_order.requested", "adjustment", "standing", "paid", "disputed", "refunded")
"""The kinds that meet those of another trade: between work and purchases there is nothing but the account's pages."""

OF_ACCOUNT = ("open", "settings")

BEFORE_CREDITS = ("new", "started", "changed", "canceled", "waiting", "coupon")
"""The states of a purchase in which it does not matter to another event of it how many credits are available."""


def pairs() -> list[Scenario]:
    """Each unordered pair of kinds, and each kind with its own redelivery, in all states where one has work to do.

    Two of one kind work on two orders; two kinds meet at the same one.
    """
    found = []
    for first, second in combinations_with_replacement(KINDS, 2):
        trades = {_trade(first), _trade(second)}
        if len(trades) > 1 and not {first, second} & set(ALONGSIDE):
            continue
        bases = dict.fromkeys((*KINDS[first].bases, *KINDS[second].bases))
        numbers = [(1, 1)] if first != second else [(1, 1), (1, 2)]
        for one, other in numbers:
            meeting = ((first, one), (second, other))
            found += [Scenario(meeting, base, level) for base in bases for level in levels(base, trades)]
    return found


def sweep_pairs() -> list[Scenario]:
    """A sweep and each kind that may meet it at work that is due, and new work that what expires may pay for."""
    found = []
    for base, kinds in MEETING.items():
        found += [Scenario((("sweep", 1), (kind, 1)), base, RICH, earlier_ms=LONG_AGO_MS, works=1) for kind in kinds]
    found += [
        Scenario((("sweep", 1), (kind, 2)), "held", TIGHT, earlier_ms=LONG_AGO_MS, works=1) for kind in OF_NEW_WORK
    ]
    return found


def _trade(kind: str) -> str:
    """What a kind has to do with: it shares records with those of its own trade alone."""
    trades = {"buying": BUYING, "fba": FBA, "account": OF_ACCOUNT}
    return next((trade for trade, kinds in trades.items() if kind in kinds), "work")


def levels(base: str, trades: Collection[str]) -> Sequence[str]:
    """Enough for all, and credits or dollars for one, if that may make a difference."""
    if base == "unopened" or (trades == {"buying"} and base in BEFORE_CREDITS):
        return (RICH,)
    return (RICH, SHORT) if "fba" in trades else (RICH, TIGHT)


@dataclass(frozen=True, slots=True)
class Run:
    """What a run was: its moves, and how many of them were faults. `seen` tells that one like it was run before."""

    trace: tuple[str, ...]
    faults: int
    seen: bool = False


def play(scenario: Scenario, chooser: Chooser, *, faults: int, swapping: bool = True) -> Run:
    """One run, and all checks after it. Raises Violation, with the trace by which it can be played again."""
    scheduler = Scheduler(chooser, faults=faults, swapping=swapping)
    one = scenario.world(scheduler)
    deliveries = scenario.made_in(one)
    with within(one):
        for worker in scenario.workers(deliveries):
            scheduler.add(worker)
        try:
            finished = scheduler.run()
            if finished:
                Aftermath(one, deliveries).check()
                check_replays(deliveries)
                if scenario.has(["sweep"]) and not scenario.loses:
                    Afterwards(one).check()
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

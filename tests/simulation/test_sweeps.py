"""The sweep among live traffic and beside itself, lost messages, time that passes, and pages on their way to the bus."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest

from autocredits.domain.decide import RecordWrite
from autocredits.domain.journal import Entry, Page
from tests.kit.deliveries import ACCOUNT, BUYING, KINDS, OTHER_ACCOUNT
from tests.kit.figures import seed, size, tally
from tests.simulation.deliveries import EARLIER_MS, LEVELS, RICH
from tests.simulation.restores import LOSSES
from tests.simulation.runs import Scenario, exhaust, sample, sweep_pairs
from tests.simulation.sweeps import LONG_AGO_MS, MEETING, TIMES
from tests.simulation.world import World, simulated

CHUNKS = 8
RESTORED = 0.1
"""How many runs by chance have a restore in part."""

KINDS_OF_WORK = tuple(name for name in KINDS if name not in BUYING)
BASES = ("new", "failed", *MEETING)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_sweep_meets_one_delivery(chunk: int) -> None:
    """No order of a sweep and whatever meets it, and no fault at any of their calls, breaks a promise.

    Exhaustive in `make prove`.
    """
    runs, faults = Counter[str](), Counter[str]()
    random = Random(seed() + 4000 + chunk)
    some = size(test=15, prove=0)
    with simulated():
        for scenario in sweep_pairs()[chunk::CHUNKS]:
            found = sample(scenario, random, some, faults=1) if some else exhaust(scenario, faults=1)
            for run in found:
                runs[scenario.pair()] += 1
                faults[scenario.pair()] += run.faults
    tally(runs=runs.total(), faults=faults.total())
    tally(**{f"pair: {pair}": count for pair, count in runs.items()})
    tally(**{f"pair: {pair}, faults": count for pair, count in faults.items()})
    assert runs


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_two_sweeps_meet_one_delivery(chunk: int) -> None:
    """Nor do two sweeps at once and whatever meets them, with two faults."""
    random = Random(seed() + 6000 + chunk)
    runs = faults = 0
    with simulated():
        for pair in sweep_pairs()[chunk::CHUNKS]:
            scenario = replace(pair, deliveries=(*pair.deliveries, ("sweep", 1)))
            for run in sample(scenario, random, size(test=5, prove=400), faults=2):
                runs += 1
                faults += run.faults
    tally(runs=runs, faults=faults)
    assert runs


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_sweeps_by_chance(chunk: int) -> None:
    """One or two sweeps, the queue's worker and the stream among up to four deliveries keep every promise.

    Time passes meanwhile, up to four faults happen, and in some runs a part of the table is lost.
    """
    random = Random(seed() + 5000 + chunk)
    runs = faults = 0
    with simulated():
        for _ in range(size(test=150, prove=5_000)):
            (run,) = sample(_by_chance(random), random, 1, faults=random.randint(0, 4))
            runs += 1
            faults += run.faults
    tally(runs=runs, faults=faults)
    assert runs


def _by_chance(random: Random) -> Scenario:
    kinds = random.choices((*KINDS_OF_WORK, "own message"), k=random.randint(1, 4))
    meeting = [(kind, random.choice((1, 1, 2))) for kind in kinds]
    meeting += [("sweep", 1)] * random.randint(1, 2)
    meeting += [("queue", 1)] * random.randint(0, 1) + [("publish", 1), ("republish", 1)] * random.randint(0, 1)
    return Scenario(
        tuple(meeting),
        random.choice(BASES),
        random.choice([*LEVELS]),
        tuple(random.choice((ACCOUNT, ACCOUNT, OTHER_ACCOUNT)) for _ in meeting),
        batch=random.random() < 0.3,
        loses=random.choice([*LOSSES]) if random.random() < RESTORED else None,
        earlier_ms=random.choice((EARLIER_MS, LONG_AGO_MS)),
        passes_ms=random.choice((0, *TIMES)),
    )


@pytest.mark.slow
@pytest.mark.parametrize("base", ["held", "fba held"])
def test_pages_reach_the_bus(base: str) -> None:
    """Whatever befalls the bus, the queue and the publisher, each page's events come there or are still to be told.

    Three faults, so that all tries of a page fail; in `make prove` one more, for whoever tries it then.
    """
    scenario = Scenario((("publish", 1), ("republish", 1)), base, RICH)
    with simulated():
        runs = [*exhaust(scenario, faults=size(test=3, prove=4))]
    tally(runs=len(runs), faults=sum(run.faults for run in runs))
    assert any(run.faults == 3 for run in runs)


@pytest.mark.parametrize(
    ("kind", "base", "ends"),
    [
        ("capture", "held", {"captured", "expired"}),
        ("release", "held", {"released", "expired"}),
        ("auto_order.placed", "held", {"captured", "expired"}),
        ("fba failed", "fba held", {"released", "expired"}),
        ("tracking_conversion.completed", "placed", {"captured", "expired"}),
        ("sourcing.accepted", "sourcing", {"captured", "expired"}),
    ],
)
def test_whoever_is_first_wins(kind: str, base: str, ends: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A hold that is over and is being settled ends one way in some orders of events, and the other way in others."""
    scenario = Scenario((("sweep", 1), (kind, 1)), base, RICH, earlier_ms=LONG_AGO_MS, works=1)
    found = _entered(monkeypatch, scenario)
    assert {entry.kind for entry in found} == ends
    assert {entry.actor for entry in found if entry.kind == "expired"} == {"system:sweep"}


def _entered(monkeypatch: pytest.MonkeyPatch, scenario: Scenario) -> list[Entry]:
    """All that is entered in the runs of a scenario, without faults."""
    found: list[Entry] = []
    real = World.noted

    def noted(self: World, account_id: str, page: Page | None, writes: Sequence[RecordWrite]) -> None:
        found.extend(page.entries if page and self.scheduler else ())
        real(self, account_id, page, writes)

    monkeypatch.setattr(World, "noted", noted)
    with simulated():
        assert [*exhaust(scenario, faults=0)]
    return found


def test_a_lost_message_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody else does, the sweep sends the lost message of a queued order, which is then paid for once."""
    scenario = Scenario((("sweep", 1), ("queue", 1)), "queued", RICH, works=1)
    found = _entered(monkeypatch, scenario)
    assert {(entry.actor, entry.kind, entry.attempt) for entry in found} == {("autocredits", "held", 1)}


def test_one_message_too_many_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a message that was only late, and the one that the sweep sent in its place, either pays for the order."""
    scenario = Scenario((("sweep", 1), ("own message", 1), ("queue", 1)), "queued", RICH, works=1)
    found = _entered(monkeypatch, scenario)
    assert {(entry.actor, entry.kind) for entry in found} == {("autocredits", "held"), ("test", "held")}

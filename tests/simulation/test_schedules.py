"""More deliveries and more faults than can be tried exhaustively: schedules by a seed."""

from itertools import combinations_with_replacement
from random import Random

import pytest

from tests.kit.deliveries import FBA, KINDS, SHARING_PURCHASE, SHARING_WORK
from tests.kit.figures import seed, size, tally
from tests.simulation.deliveries import LEVELS, RICH, SHORT, TIGHT
from tests.simulation.runs import Scenario, sample
from tests.simulation.world import simulated

CHUNKS = 16
SHARING = ((SHARING_WORK, (RICH, TIGHT)), (FBA, (RICH, SHORT)), (SHARING_PURCHASE, (RICH, TIGHT)))
"""Kinds that share a record, and what may be available when they meet."""


def triples() -> list[Scenario]:
    """Two kinds that share a record, and a redelivery of the first, in all states where one has work to do."""
    found = []
    for sharing, levels in SHARING:
        for first, second in combinations_with_replacement(sharing, 2):
            bases = dict.fromkeys((*KINDS[first].bases, *KINDS[second].bases))
            meeting = ((first, 1), (second, 1), (first, 1))
            found += [Scenario(meeting, base, level) for base in bases for level in levels]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_three_deliveries_with_two_faults(chunk: int) -> None:
    """A pair that shares a record keeps every promise when one of them is delivered again, with two faults."""
    runs = faults = 0
    random = Random(seed() + chunk)
    with simulated():
        for scenario in triples()[chunk::CHUNKS]:
            for run in sample(scenario, random, size(test=5, prove=200), faults=2):
                runs += 1
                faults += run.faults
    tally(runs=runs, faults=faults)
    assert runs


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_schedules(chunk: int) -> None:
    """Two to five deliveries of any kind, in any state, with up to four faults, keep every promise."""
    runs = faults = 0
    random = Random(seed() + 1000 + chunk)
    kinds, bases = tuple(KINDS), tuple(dict.fromkeys(base for kind in KINDS.values() for base in kind.bases))
    with simulated():
        for _ in range(size(test=300, prove=22_000)):
            meeting = tuple((random.choice(kinds), random.choice((1, 1, 2))) for _ in range(random.randint(2, 5)))
            scenario = Scenario(meeting, random.choice(bases), random.choice([*LEVELS]))
            (run,) = sample(scenario, random, 1, faults=4)
            runs += 1
            faults += run.faults
    tally(runs=runs, faults=faults)
    assert runs

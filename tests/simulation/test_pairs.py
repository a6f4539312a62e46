"""Two deliveries, in every order, with every single fault at every call (exhaustive in `make prove`)."""

from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest

from tests.kit.deliveries import BUYING, FBA
from tests.kit.figures import seed, size, tally
from tests.simulation.runs import OF_ACCOUNT, Scenario, exhaust, pairs, sample
from tests.simulation.world import simulated

CHUNKS = 24


def meet(scenarios: Sequence[Scenario], random: Random) -> None:
    """Every run of the scenarios, or some of them by chance."""
    runs, faults = Counter[str](), Counter[str]()
    with simulated():
        for scenario in scenarios:
            some = size(test=10, prove=0)
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
def test_pairs(chunk: int) -> None:
    """No order of two deliveries, and no fault at any of their calls, breaks the books or makes an answer untrue."""
    others = (*BUYING, *FBA, *OF_ACCOUNT)
    meet([one for one in pairs() if not one.has(others)][chunk::CHUNKS], Random(seed() + chunk))


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_pairs_with_dollars(chunk: int) -> None:
    """Nor where work is paid for in dollars too, or an account is opened, or its settings change."""
    found = [one for one in pairs() if one.has((*FBA, *OF_ACCOUNT)) and not one.has(BUYING)]
    meet(found[chunk::CHUNKS], Random(seed() + 2 * CHUNKS + chunk))


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_pairs_with_buying(chunk: int) -> None:
    """Nor where a purchase, its news or a coupon is one of the two."""
    meet([one for one in pairs() if one.has(BUYING)][chunk::CHUNKS], Random(seed() + CHUNKS + chunk))

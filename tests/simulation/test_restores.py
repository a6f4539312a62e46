"""A table that is restored in part, at any moment of a run (docs/contract.md, section 4).

Purchases are left out: their grants follow from facts that no page has.
"""

from random import Random

import pytest

from tests.kit.deliveries import ACCOUNT, BUYING, KINDS, OTHER_ACCOUNT
from tests.kit.figures import seed, size, tally
from tests.simulation.deliveries import LEVELS, RICH
from tests.simulation.restores import LOSSES
from tests.simulation.runs import Scenario, sample
from tests.simulation.world import simulated

CHUNKS = 8
BATCHES = 0.3
"""How many runs have their messages in one batch."""

KINDS_OF_WORK = tuple(name for name in KINDS if name not in BUYING)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_restore_in_part(chunk: int) -> None:
    """After pages or records were lost nobody is told of another's charge, the journal links, and nothing is negative.

    One of the deliveries comes again, so that it meets what is left of itself.
    """
    runs = faults = 0
    random = Random(seed() + 3000 + chunk)
    with simulated():
        for _ in range(size(test=150, prove=8_000)):
            kinds = random.choices(KINDS_OF_WORK, k=random.randint(1, 4))
            meeting = [(kind, random.choice((1, 1, 2))) for kind in kinds]
            accounts = [random.choice((ACCOUNT, ACCOUNT, OTHER_ACCOUNT)) for _ in kinds]
            base = random.choice([base for kind in kinds for base in KINDS[kind].bases])
            scenario = Scenario(
                (*meeting, meeting[0]),
                base,
                random.choice([*LEVELS]),
                (*accounts, accounts[0]),
                batch=random.random() < BATCHES,
                loses=random.choice([*LOSSES]),
            )
            (run,) = sample(scenario, random, 1, faults=random.randint(0, 2))
            runs += 1
            faults += run.faults
    tally(runs=runs, faults=faults)
    assert runs


@pytest.mark.parametrize("loses", LOSSES)
@pytest.mark.parametrize("kind", ["debit", "adjustment", "fba hold", "auto_order.requested"])
def test_what_was_done_meets_what_is_left_of_it(kind: str, loses: str) -> None:
    """What is sent again after the loss, once another has taken its page's number, does nothing that is another's."""
    scenario = Scenario(((kind, 1), (kind, 2), (kind, 1)), "new", RICH, loses=loses)
    random = Random(f"{seed()} {kind} {loses}")
    with simulated():
        runs = [*sample(scenario, random, size(test=60, prove=5_000), faults=1)]
    tally(runs=len(runs), faults=sum(run.faults for run in runs))
    assert any("restore:done" in run.trace[:-10] for run in runs)

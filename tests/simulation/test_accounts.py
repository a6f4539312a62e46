"""Two accounts in a run, with the same order ids, keys and message ids: neither touches the other."""

from itertools import combinations_with_replacement
from random import Random

import pytest

from tests.kit.deliveries import ACCOUNT, BUYING, KINDS, OTHER_ACCOUNT
from tests.kit.figures import seed, size, tally
from tests.simulation.deliveries import LEVELS, RICH, SHORT, TIGHT
from tests.simulation.runs import Scenario, exhaust, sample
from tests.simulation.world import simulated

CHUNKS = 8
KINDS_OF_WORK = tuple(name for name in KINDS if name not in BUYING)
MESSAGES = tuple(name for name in KINDS_OF_WORK if KINDS[name].make(1).message)


def neighbours() -> list[Scenario]:
    """Each unordered pair of kinds, one in each account, with enough for one in each, in all states with work to do."""
    found = []
    for first, second in combinations_with_replacement(KINDS_OF_WORK, 2):
        meeting, accounts = ((first, 1), (second, 1)), (ACCOUNT, OTHER_ACCOUNT)
        level = SHORT if "fba" in first + second else TIGHT
        bases = dict.fromkeys((*KINDS[first].bases, *KINDS[second].bases))
        found += [Scenario(meeting, base, level, accounts) for base in bases]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_delivery_of_one_account_never_touches_another(chunk: int) -> None:
    """Of two deliveries in two accounts each does its own, whatever befalls the other (exhaustive in `make prove`)."""
    runs = faults = 0
    random = Random(seed() + chunk)
    some = size(test=2, prove=0)
    with simulated():
        for scenario in neighbours()[chunk::CHUNKS]:
            for run in sample(scenario, random, some, faults=1) if some else exhaust(scenario, faults=1):
                runs += 1
                faults += run.faults
    tally(runs=runs, faults=faults)
    assert runs


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_messages_of_both_accounts_in_one_batch(chunk: int) -> None:
    """Of a batch of messages for both accounts each has its own outcome, with requests beside it and three faults."""
    runs = faults = 0
    random = Random(seed() + 2000 + chunk)
    with simulated():
        for _ in range(size(test=60, prove=4_000)):
            kinds = [*random.choices(MESSAGES, k=random.randint(2, 5)), *random.choices(KINDS_OF_WORK, k=2)]
            meeting = tuple((kind, random.choice((1, 2))) for kind in kinds)
            accounts = tuple(random.choice((ACCOUNT, OTHER_ACCOUNT)) for _ in kinds)
            base = random.choice([base for kind in kinds for base in KINDS[kind].bases])
            scenario = Scenario(meeting, base, random.choice([*LEVELS]), accounts, batch=True)
            (run,) = sample(scenario, random, 1, faults=3)
            runs += 1
            faults += run.faults
    tally(runs=runs, faults=faults)
    assert runs


def test_a_refusal_is_by_the_own_balance_alone() -> None:
    """Where each account has credits for one order, both orders are paid for, in whichever order and batch they come."""
    for batch in (False, True):
        scenario = Scenario(
            (("auto_order.requested", 1), ("auto_order.requested", 1)), "new", TIGHT, (ACCOUNT, OTHER_ACCOUNT), batch
        )
        with simulated():
            assert [run for run in exhaust(scenario, faults=1) if run.faults]


def test_a_key_is_its_accounts_own() -> None:
    """The same key with the same request is another charge in another account, and never a replay."""
    scenario = Scenario((("debit", 1), ("debit", 1)), "new", RICH, (ACCOUNT, OTHER_ACCOUNT))
    with simulated():
        assert [run for run in exhaust(scenario, faults=1) if run.faults]

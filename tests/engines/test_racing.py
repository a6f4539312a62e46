"""Real threads on a real engine: whatever they race for, it happens once, and nothing is spent that is not there."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from autocredits.adapters.clock import SystemClock
from autocredits.adapters.dynamo import DynamoStore
from autocredits.domain.accounts import OpenAccount
from autocredits.domain.decide import Command
from autocredits.domain.errors import Problem
from autocredits.domain.state import Balance
from autocredits.edge import views
from autocredits.ledger.commit import Accepted, Ledger
from dev.engines import dynamodb as engines
from tests.engines.conftest import connect, make_table
from tests.kit.books import check_page
from tests.kit.builders import CATALOG, PLATFORM, adjust, capture, debit, fresh, hold, idempotency, order, release

PATIENCE = 30


@dataclass(frozen=True)
class Account:
    """An account on an engine."""

    ledger: Ledger
    account_id: str

    def do(self, command: Command) -> Accepted:
        """Do a command without rivals."""
        return self.ledger.execute(self.account_id, command)

    def balance(self) -> Balance:
        """What it has of automated orders."""
        head = self.ledger.store.head(self.account_id)
        assert head is not None
        return head.state.balance("auto_order")

    def check_books(self) -> None:
        """Assert that pages follow each other and add up to the balance."""
        pages = self.ledger.store.pages_before(self.account_id, 10**9, 1000)[::-1]
        before = None
        for page in pages:
            check_page(page, before)
            before = page
        entries = [entry for page in pages for entry in page.entries if entry.unit == "auto_order"]
        sums = Balance(sum(entry.posted for entry in entries), sum(entry.held for entry in entries))
        assert self.balance() == sums


@pytest.fixture(params=["dynoxide", "ministack"])
def account(request: pytest.FixtureRequest, endpoints: Callable[[engines.Name], str]) -> Account:
    """A fresh account on an engine that really has rivals."""
    client = connect(endpoints(request.param))
    store = DynamoStore(client, make_table(client))
    account = Account(Ledger(store, SystemClock(), CATALOG), fresh("acc"))
    account.do(OpenAccount(PLATFORM, "active"))
    return account


def race(account: Account, commands: list[Command]) -> list[Accepted | Problem]:
    """All at once, each as patient as a client is: 503 says that the same is safe to send again."""

    def patiently(command: Command) -> Accepted | Problem:
        for _ in range(PATIENCE):
            try:
                return account.ledger.execute(account.account_id, command)
            except Problem as problem:
                if problem.code != "try_again":
                    return problem
        raise AssertionError("never let through")

    with ThreadPoolExecutor(len(commands)) as pool:
        return list(pool.map(patiently, commands))


def codes(answers: list[Accepted | Problem]) -> Counter[str]:
    """What became of each."""
    return Counter(answer.code if isinstance(answer, Problem) else answer.done.did for answer in answers)


def test_the_same_key_forty_times_at_once_charges_once(account: Account) -> None:
    """One first answer and 39 replays of it."""
    key = idempotency()
    answers = race(account, [debit(order("o1", tracking="bce"), key) for _ in range(40)])
    assert codes(answers) == {"debited": 1, "replayed": 39}
    told: list[Any] = [views.debit_view(answer) for answer in answers if isinstance(answer, Accepted)]
    assert told == [told[0]] * 40
    assert account.balance().posted == 500 - 133
    account.check_books()


def test_the_same_order_under_forty_keys_is_charged_once(account: Account) -> None:
    """The others are told which entry has charged it."""
    answers = race(account, [debit(order("o1")) for _ in range(40)])
    assert codes(answers) == {"debited": 1, "already_charged": 39}
    assert {answer.extra["entry_id"] for answer in answers if isinstance(answer, Problem)} == {"2.0"}
    account.check_books()


def test_sixty_racing_debits_on_forty_five_credits(account: Account) -> None:
    """45 are charged, 15 are refused, and exactly 0.00 is left."""
    account.do(adjust("auto_order", 4000))
    answers = race(account, [debit(order(f"o{number}")) for number in range(60)])
    assert codes(answers) == {"debited": 45, "insufficient_credits": 15}
    assert account.balance().posted == 0
    account.check_books()


def test_a_hold_ends_in_one_way(account: Account) -> None:
    """Captured and released by ten callers each at once: all of one side succeed, all of the other are refused."""
    account.do(hold(order("o1", tracking="qtrack")))
    answers = race(account, [capture("o1") for _ in range(10)] + [release("o1") for _ in range(10)])
    did = codes(answers)
    assert did["captured"] + did["released"] == 1
    assert did["invalid_transition"] == 10
    assert account.balance().held == 0
    assert account.balance().posted == (250 if did["captured"] else 500)
    account.check_books()


def test_adjustments_are_never_lost(account: Account) -> None:
    """Thirty additions at once are thirty pages."""
    answers = race(account, [adjust("auto_order", 7) for _ in range(30)])
    assert codes(answers) == {"adjusted": 30}
    assert account.balance().posted == 500 + 30 * 7
    account.check_books()

"""What the stack tells: every commit has its events and no event is without its commit, whatever the bus does."""

import json
import random
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from typing import Any

import pytest

from tests.e2e.merchant import Merchant, opened, work
from tests.kit.listening import Listener, Told, listening
from tests.kit.polling import function_environment, paused
from tests.kit.stack import Stack, eventually

Key = tuple[str, str]

MERCHANTS = 8
COMMITS = 1_000
CALLERS = 8
RACING = 50
CROSSED = frozenset({"balance.low", "balance.depleted", "balance.replenished"})


@pytest.fixture(scope="module")
def listener(stack: Stack) -> Iterator[Listener]:
    """All that the stack tells while these tests run."""
    with listening(stack) as listener:
        yield listener


def cents(amount: str) -> int:
    """Hundredths of an amount."""
    return int(amount.replace(".", ""))


def owed(entries: Sequence[dict[str, Any]], account_id: str, threshold: int | None) -> set[Key]:
    """The events that entries (oldest first) must give, by the contract's section 8; one threshold for all of them."""
    keys: set[Key] = set()
    available = 0
    for _, page in groupby(entries, key=lambda entry: entry["version"]):
        before, last = available, None
        for entry in page:
            told_by = f"{account_id}/{entry['entry_id']}"
            keys.add((type_of(entry), told_by))
            if entry["kind"] == "held" and "key" not in entry and entry["part"] == "order":
                keys.add(("auto_order.funded", told_by))
            if entry["unit"] == "auto_order":
                available, last = cents(entry["balance"]["available"]), told_by
        if last:
            keys |= {(crossed, last) for crossed in crossings(before, available, threshold)}
    return keys


def type_of(entry: dict[str, Any]) -> str:
    """The detail-type of an entry's own event."""
    if entry["unit"] is None:
        return f"account.{entry['kind']}"
    return "auto_order.refused" if entry["kind"] == "refused" else f"credits.{entry['kind']}"


def crossings(before: int, after: int, threshold: int | None) -> Iterator[str]:
    """What a page that took available credits from `before` to `after` crossed."""
    if threshold is not None and after < threshold <= before:
        yield "balance.low"
    if after <= 0 < before:
        yield "balance.depleted"
    enough = 1 if threshold is None else threshold
    if before < enough <= after:
        yield "balance.replenished"


def keys_of(events: Iterable[Told]) -> set[Key]:
    """Their detail-types and ids, without doubles."""
    return {event.key() for event in events}


def commits(merchant: Merchant) -> list[Callable[[], object]]:
    """What one merchant does in the storm: well over its share of the commits, by HTTP and by the queue."""

    def hold_and(end: str) -> None:
        answer = merchant.hold(work(tracking="bce"))
        if answer.status_code == 201:  # else there were not enough credits
            getattr(merchant, end)(answer.json()["hold_id"])

    return [
        *[partial(merchant.debit, work()) for _ in range(76)],
        *[partial(hold_and, "capture") for _ in range(15)],
        *[partial(hold_and, "release") for _ in range(10)],
        *[partial(merchant.tell, "auto_order.requested", **work(tracking="qtrack")) for _ in range(10)],
    ]


def test_a_storm_is_told_commit_by_commit(stack: Stack, listener: Listener) -> None:
    """Of 1,000 commits each one's events come, and no others; by version they leave no page out; each is its entry."""
    merchants = [opened(stack, more="150.00") for _ in range(MERCHANTS - 1)] + [opened(stack, more="50.00")]
    deeds = [deed for merchant in merchants for deed in commits(merchant)]
    random.Random(14).shuffle(deeds)
    with ThreadPoolExecutor(CALLERS) as pool:
        for done in [pool.submit(deed) for deed in deeds]:
            done.result()
    for merchant in merchants:
        merchant.settle()
    pages = 0
    for merchant in merchants:
        entries = merchant.entries(limit=100)[::-1]
        version = entries[-1]["version"]
        pages += version
        listener.wait_for(merchant.account_id, version)
        expected = owed(entries, merchant.account_id, threshold=None)
        events = eventually(partial(all_told, listener, merchant.account_id, expected), seconds=60)
        assert keys_of(events) == expected
        assert {event.detail["version"] for event in events} == set(range(1, version + 1))
        by_id = {f"{merchant.account_id}/{entry['entry_id']}": entry for entry in entries}
        for event in events:
            entry = by_id[event.detail["id"]]
            assert {name: event.detail[name] for name in entry} == entry
    assert pages >= COMMITS


def all_told(listener: Listener, account_id: str, expected: set[Key]) -> list[Told] | None:
    """The account's events, once all of these are there."""
    events = listener.of(account_id)
    return events if expected <= keys_of(events) else None


def test_a_low_balance_is_told_once_a_crossing(stack: Stack, listener: Listener) -> None:
    """Under 50 racing debits; a top-up is told as well, and then the next crossing."""
    merchant = opened(stack, more="45.00")
    assert merchant.call("PUT", "/settings", json={"low_balance": "10.00"}).status_code == 200

    def crossed(version: int) -> list[str]:
        listener.wait_for(merchant.account_id, version)
        named = listener.named(merchant.account_id, *CROSSED)
        return [event.type for event in sorted(named, key=lambda event: event.detail["version"])]

    assert crossed(merchant.standing()["version"]) == ["balance.replenished"]  # the account was opened
    with ThreadPoolExecutor(RACING) as pool:
        debits = [pool.submit(merchant.debit, work()) for _ in range(RACING)]
        assert {debit.result().status_code for debit in debits} == {201}
    assert crossed(merchant.standing()["version"]) == ["balance.replenished", "balance.low", "balance.depleted"]
    assert merchant.adjust("10.00").status_code == 201
    assert merchant.debit(work()).status_code == 201
    assert crossed(merchant.standing()["version"])[3:] == ["balance.replenished", "balance.low"]


@pytest.fixture
def closed_port() -> Iterator[str]:
    """An address where nobody answers."""
    with socket.socket() as taken:  # bound and not listening: refused, and no other program gets it
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_what_the_bus_does_not_take_is_told_later(stack: Stack, listener: Listener, closed_port: str) -> None:
    """Pages whose events fail wait in the republish queue, hold up no page behind them, and are told from there."""
    queue_url, publisher = stack.output("RepublishQueueUrl"), stack.function("PublishFunction")
    merchant, other = opened(stack, more="20.00"), opened(stack)
    listener.wait_for(merchant.account_id, 2)
    listener.wait_for(other.account_id, 1)

    def waiting() -> set[tuple[int, str]]:
        bodies = [json.loads(message.body) for message in stack.messages(queue_url)]
        return {(one["version"], one["reason"]) for one in bodies if one["account_id"] == merchant.account_id}

    lost = {(version, "bus_unavailable") for version in range(3, 15)}
    with paused(stack, queue_url):
        with function_environment(stack, publisher, AWS_ENDPOINT_URL_EVENTBRIDGE=closed_port):
            for _ in lost:
                assert merchant.debit(work()).status_code == 201
            eventually(lambda: waiting() == lost, seconds=60)
        assert other.debit(work()).status_code == 201
        listener.wait_for(other.account_id, 2)
        assert {event.detail["version"] for event in listener.of(merchant.account_id)} == {1, 2}
        assert waiting() == lost
    listener.wait_for(merchant.account_id, 14)
    expected = owed(merchant.entries()[::-1], merchant.account_id, threshold=None)
    events = eventually(partial(all_told, listener, merchant.account_id, expected))
    assert keys_of(events) == expected
    eventually(lambda: not waiting())

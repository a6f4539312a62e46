"""The lists of orders on an honest engine are those of the store in memory."""

import random
from collections.abc import Iterator, Sequence

import boto3
import pytest

from autocredits.adapters.dynamo import DynamoStore
from autocredits.domain.accounts import OpenAccount
from autocredits.domain.decide import Command
from autocredits.ledger.commit import Ledger
from autocredits.ledger.lists import list_orders
from autocredits.ledger.ports import Listed, Store
from dev.engines import dynamodb as engines
from dev.stack.transform import read_template
from tests.kit.builders import (
    CATALOG,
    PLATFORM,
    adjust,
    completed,
    conversion,
    failed,
    merchant,
    order,
    placed,
    queue_order,
    requested,
    sourcing,
)
from tests.kit.memory import ManualClock, MemoryStore

ORDERS = 120
SEED = 4
STATUSES = (None, "queued", "processing", "ordered", "shipped", "failed")

pytestmark = pytest.mark.slow


def ends_of(order_id: str, store_id: str) -> list[list[Command]]:
    """What may happen to an order, with every status and way to it."""
    queue = queue_order(order(order_id, tracking="bce", store_id=store_id))
    request = requested(order_id, "bce", store_id=store_id)
    return [
        [queue],
        [queue, request],
        [request, placed(order_id)],
        [request, placed(order_id), completed(order_id)],
        [request, failed(order_id)],
        [request, failed(order_id), queue],
        [request, failed(order_id), queue, requested(order_id, "bce", store_id=store_id, attempt=2)],
        [request, failed(order_id), queue, requested(order_id, "bce", store_id=store_id, attempt=2), failed(order_id)],
        [conversion(order_id, store_id=store_id, order_type="manual")],
    ]


def write_history(stores: Sequence[Store]) -> None:
    """The same orders of the same times into each store, some of one millisecond, and some of another account."""
    chance = random.Random(SEED)
    clock = ManualClock()
    ledgers = [Ledger(store, clock, CATALOG) for store in stores]

    def do(command: Command, account_id: str = "acme") -> None:
        clock.at_ms += chance.choice((0, 0, 1, 999))
        for ledger in ledgers:
            ledger.execute(account_id, command)

    do(OpenAccount(PLATFORM, "active"))
    do(adjust("auto_order", 1_000_000))
    do(sourcing("p1"))
    do(OpenAccount(PLATFORM, "active"), "acme2")
    do(queue_order(order("o999")), "acme2")
    histories = []
    for number in range(ORDERS):
        choices = ends_of(f"o{number:03}", chance.choice(("s1", "s2")))
        histories.append(choices[number] if number < len(choices) else chance.choice(choices))
    while histories:
        history = chance.choice(histories)
        do(history.pop(0))
        histories = [left for left in histories if left]


@pytest.fixture(scope="module")
def stores() -> Iterator[tuple[MemoryStore, DynamoStore]]:
    """The store in memory and one on dynoxide, with a table as in the template, holding the same orders."""
    with engines.start("dynoxide") as engine:
        client = boto3.client(
            "dynamodb",
            endpoint_url=engine.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        table = read_template()["Resources"]["CreditsTable"]["Properties"]
        wanted = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
        client.create_table(TableName="credits", **{name: table[name] for name in wanted})
        both = MemoryStore(), DynamoStore(client, "credits")
        write_history(both)
        yield both


def read_on(store: Store, status: str | None, limit: int, *, newest_first: bool) -> list[list[Listed]]:
    """All pages of an index, each read beyond the last position of the one before."""
    pages: list[list[Listed]] = []
    while not pages or len(pages[-1]) == limit:
        start = pages[-1][-1].position if pages else ""
        pages.append(store.list_orders("acme", status, start=start, newest_first=newest_first, limit=limit))
    return pages


@pytest.mark.parametrize("newest_first", [True, False], ids=["newest first", "oldest first"])
@pytest.mark.parametrize("status", [None, "queued", "failed"])
@pytest.mark.parametrize("limit", [1, 7, 100])
def test_the_indexes_are_as_in_memory(
    stores: tuple[MemoryStore, DynamoStore], status: str | None, limit: int, *, newest_first: bool
) -> None:
    """Page by page, in both directions, merged from all shards."""
    memory, dynamo = stores
    pages = read_on(memory, status, limit, newest_first=newest_first)
    assert read_on(dynamo, status, limit, newest_first=newest_first) == pages
    assert sum(map(len, pages)) > 20 if status else sum(map(len, pages)) == ORDERS


@pytest.mark.parametrize("status", STATUSES)
def test_the_lists_are_as_in_memory(stores: tuple[MemoryStore, DynamoStore], status: str | None) -> None:
    """For the platform and for a store, with the records and the places to go on."""
    for caller in (PLATFORM, merchant("acme", "s1")):
        position: str | None = ""
        while position is not None:
            memory, dynamo = (list_orders(store, "acme", caller, status, start=position, limit=9) for store in stores)
            assert dynamo == memory
            position = memory[1]


def test_a_list_of_nothing(stores: tuple[MemoryStore, DynamoStore]) -> None:
    """An account without orders, and a place at the very end."""
    for store in stores:
        assert store.list_orders("nobody", None, start="", newest_first=True, limit=10) == []
        assert store.list_orders("acme", None, start="00000000000000#o", newest_first=True, limit=10) == []
        assert store.list_orders("acme", "failed", start="99999999999999#o", newest_first=False, limit=10) == []

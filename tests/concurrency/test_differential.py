"""The store in memory, on which most is proved, does what real engines do: the same histories on both, call by call."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from random import Random
from time import monotonic
from typing import Any, get_args

import pytest

from autocredits.adapters.dynamo import DynamoStore
from autocredits.adapters.memory import MemoryStore
from autocredits.domain.decide import RecordWrite
from autocredits.domain.errors import BrokenInvariantError
from autocredits.domain.journal import Entry, Page, next_page
from autocredits.domain.payments import Purchase
from autocredits.domain.records import RecordKey, rev_of
from autocredits.domain.work import Work
from autocredits.ledger import DUE_SHARDS, ConflictError, Store, UnavailableError
from dev import engines
from tests.concurrency.conftest import connect, make_table
from tests.concurrency.test_store_contract import NOW_MS, key_record, put, work
from tests.proof import seed, size, tally

CHUNKS = 5
OPERATIONS = 200
SETTLED_S = 5.0
STATUSES = ("queued", "processing", "ordered", "shipped", "failed")

Call = Callable[[Store], Any]
_numbers = count()


@pytest.fixture
def real(request: pytest.FixtureRequest, endpoints: Callable[[engines.Name], str]) -> DynamoStore:
    """The store on an engine; its table is kept for all histories of this process."""
    return _store(endpoints(request.param))


@cache
def _store(endpoint_url: str) -> DynamoStore:
    client = connect(endpoint_url)
    return DynamoStore(client, make_table(client))


on_every_engine = pytest.mark.parametrize("real", get_args(engines.Name), indirect=True)


def outcome(store: Store, call: Call) -> Any:
    """What a call comes to: its value, or the port's name for its error and what that brings."""
    try:
        return call(store)
    except ConflictError as conflict:
        return "conflict", dict(conflict.records)
    except UnavailableError:
        return "unavailable"
    except BrokenInvariantError:
        return "broken"
    except Exception:  # noqa: BLE001 - a defect, whatever each store calls it
        return "defect"


@dataclass
class History:
    """Random operations on an account of its own, played on two stores."""

    random: Random
    memory: MemoryStore
    real: Store
    account_id: str

    def play(self) -> None:
        """All operations; each comes to the same on both stores."""
        for number in range(OPERATIONS):
            call = self.random.choice((self.commit, self.commit, self.commit, self.read_page, self.read, self.listing))
            name, made, settles = call()
            mine = outcome(self.memory, made)
            until = monotonic() + (SETTLED_S if settles else 0)
            while (theirs := outcome(self.real, made)) != mine and monotonic() < until:
                pass
            assert theirs == mine, (number, name)

    def commit(self) -> tuple[str, Call, bool]:
        """A page or none, a page's absence or none, and records whose conditions hold or fail, alone and together."""
        page = self.page() if self.random.random() < 0.6 else None
        head = self.head()
        vacant = self.random.choice((None, head + 1, head + 1, head)) if page is None else None
        known = {key: self.write(key) for key in self.keys(self.random.randint(0 if page else 1, 4))}
        writes = list(known.values())
        return "commit", lambda store: store.commit(self.account_id, page, writes, vacant=vacant or None), False

    def page(self) -> Page:
        """Mostly the next page; else one whose number is taken."""
        head = self.memory.head(self.account_id)
        if head is not None and self.random.random() < 0.2:
            head = self.memory.page(self.account_id, self.random.randint(1, head.version) - 1)
        at, posted = NOW_MS + self.random.randint(0, 9), self.random.randint(1, 500)
        entries = [Entry(kind="granted", actor="a", unit="auto_order", posted=posted)] * self.random.randint(1, 5)
        return next_page(self.account_id, head, at, entries)

    def head(self) -> int:
        """The newest page's number."""
        page = self.memory.head(self.account_id)
        return page.version if page else 0

    def keys(self, some: int) -> list[RecordKey]:
        """Records of every kind, some of which are there."""
        kinds = ("key", "order", "order", "product", "purchase")
        return [(self.random.choice(kinds), f"{self.random.randint(1, 5)}") for _ in range(some)]

    def write(self, key: RecordKey) -> RecordWrite:
        """A record, on the condition that holds or on one that fails."""
        kind, name = key
        if kind == "key":
            return key_record(name, self.random.randint(1, 9))
        stored = rev_of(self.memory.read(self.account_id, [key]).get(key))
        wrong = self.random.choice((None, 1, 7, (stored or 0) + 1))
        expected = wrong if self.random.random() < 0.25 else stored
        made = self.work(name)
        record = (
            self.purchase(name) if kind == "purchase" else made if kind == "order" else replace(made, kind="product")
        )
        return RecordWrite(key, replace(record, rev=(expected or 0) + 1), expected)

    def work(self, name: str) -> Work:
        """An order or a product."""
        at = NOW_MS + self.random.randint(0, 99)
        return work(name, status=self.random.choice(STATUSES), created_at=at, status_at=at + 1)

    def purchase(self, name: str) -> Purchase:
        """A purchase that is to be looked after, or not."""
        return Purchase(
            purchase_id=name,
            unit="auto_order",
            credits=2000,
            price=990,
            payment_method="card",
            provider="sandbox",
            status="pending",
            created_at=NOW_MS + self.random.randint(0, 99),
            updated_at=NOW_MS,
            look_at=self.random.choice((None, NOW_MS + self.random.randint(0, 99))),
        )

    def read_page(self) -> tuple[str, Call, bool]:
        """The newest page, one page, or some before it."""
        version, limit = self.random.randint(1, self.head() + 2), self.random.randint(1, 10)
        calls: dict[str, Call] = {
            "head": lambda store: store.head(self.account_id),
            "page": lambda store: store.page(self.account_id, version),
            "pages_before": lambda store: store.pages_before(self.account_id, version, limit),
        }
        name = self.random.choice(tuple(calls))
        return name, calls[name], False

    def read(self) -> tuple[str, Call, bool]:
        """Records, by themselves or with a page at one moment."""
        keys = list(dict.fromkeys(self.keys(self.random.randint(1, 6))))
        version = self.head() + self.random.randint(0, 1) or 1
        if self.random.random() < 0.5:
            return "read", lambda store: store.read(self.account_id, keys), False
        return "snapshot", lambda store: store.snapshot(self.account_id, version, keys), False

    def listing(self) -> tuple[str, Call, bool]:
        """A list, from its end or from a place in it; it may lag."""
        status, newest = self.random.choice((None, "queued", "failed")), self.random.random() < 0.5
        start = self.random.choice(("", f"{NOW_MS + self.random.randint(0, 99):014d}#2"))
        limit = self.random.randint(1, 6)
        calls: dict[str, Call] = {
            "list_orders": lambda store: store.list_orders(
                self.account_id, status, start=start, newest_first=newest, limit=limit
            ),
            "list_purchases": lambda store: store.list_purchases(self.account_id, start=start, limit=limit),
            "list_due": self.due,
        }
        name = self.random.choice(tuple(calls))
        return name, calls[name], True

    def due(self, store: Store) -> Any:
        """What is due of this account, whatever the shard."""
        found = [due for shard in range(DUE_SHARDS) for due in store.list_due(shard, NOW_MS + 50, 1_000_000)]
        return sorted(due.purchase_id for due in found if due.account_id == self.account_id)


def fresh() -> str:
    """An account that no other history uses."""
    return f"differential-{next(_numbers)}"


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
@on_every_engine
def test_histories_come_to_the_same(real: DynamoStore, chunk: int) -> None:
    """Every call of a random history gives the same value or the same error in memory and on the engine."""
    histories = size(test=5, prove=50)
    for number in range(histories):
        history = History(Random(seed() + 1_000 * chunk + number), MemoryStore(), real, fresh())
        history.play()
    tally(histories=histories, operations=histories * OPERATIONS)


class _Careless(MemoryStore):
    """Does not look at a record's rev."""

    def commit(self, account_id: str, page: Page | None, writes: Any, *, vacant: int | None = None) -> None:
        stored = self.read(account_id, [write.key for write in writes])
        kept = [replace(write, expected_rev=rev_of(stored.get(write.key))) for write in writes]
        super().commit(account_id, page, kept, vacant=vacant)


@pytest.mark.parametrize("real", ["dynoxide"], indirect=True)
def test_a_careless_store_is_found_out(real: DynamoStore) -> None:
    """A store in memory that ignores the rev it is given does not pass for an engine."""
    with pytest.raises(AssertionError, match="commit"):
        History(Random(1), _Careless(), real, fresh()).play()


def _large(size_bytes: int) -> list[RecordWrite]:
    return [put(work("large", tracking_number="x" * size_bytes), None)]


SHAPES: dict[str, tuple[Callable[[], list[RecordWrite]], bool]] = {
    "100 actions": (lambda: [put(work(f"o{number}"), None) for number in range(100)], False),
    "99 actions and a page": (lambda: [put(work(f"o{number}"), None) for number in range(99)], True),
    "101 actions": (lambda: [put(work(f"o{number}"), None) for number in range(101)], False),
    "100 actions and a page": (lambda: [put(work(f"o{number}"), None) for number in range(100)], True),
    "an item twice": (lambda: [key_record("k1"), put(work("o1"), None), key_record("k1")], False),
    "an item below 400 KB": (lambda: _large(395 * 1024), False),
    "an item above 400 KB": (lambda: _large(401 * 1024), False),
}


@pytest.mark.parametrize("shape", SHAPES)
@on_every_engine
def test_transactions_have_the_same_limits(real: DynamoStore, shape: str) -> None:
    """What is too large for an engine is too large in memory, and nothing of it is written."""
    make, with_page = SHAPES[shape]
    writes, account_id, memory = make(), fresh(), MemoryStore()
    page = next_page(account_id, None, NOW_MS, [Entry(kind="opened", actor="a")]) if with_page else None
    keys = list(dict.fromkeys(write.key for write in writes))
    theirs, mine = (outcome(store, lambda one: one.commit(account_id, page, writes)) for store in (real, memory))
    # DynamoDB Local finds its own first write in the second one's way where DynamoDB refuses the request.
    assert theirs == mine or (shape == "an item twice" and theirs[0] == "conflict")
    for call in (lambda store: store.read(account_id, keys[:100]), lambda store: store.head(account_id)):
        assert outcome(real, call) == outcome(memory, call)


def test_an_engine_out_of_reach_is_unavailable() -> None:
    """Every call of the port says so, and none anything else."""
    store = DynamoStore(connect("http://127.0.0.1:1", connect_timeout=1), "nowhere")
    calls: list[Call] = [
        lambda store: store.head("a"),
        lambda store: store.page("a", 1),
        lambda store: store.pages_before("a", 9, 1),
        lambda store: store.read("a", [("key", "k")]),
        lambda store: store.snapshot("a", 1, [("key", "k")]),
        lambda store: store.list_orders("a", None, start="", newest_first=True, limit=1),
        lambda store: store.list_purchases("a", start="", limit=1),
        lambda store: store.list_due(0, NOW_MS, 1),
        lambda store: store.commit("a", None, [key_record()]),
    ]
    assert {outcome(store, call) for call in calls} == {"unavailable"}

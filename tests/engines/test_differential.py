"""The store in memory, on which most is proved, does what real engines do: the same histories on both, call by call."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from time import monotonic
from typing import Any, ClassVar

import pytest

from autocredits.adapters.dynamo import DynamoStore
from autocredits.domain.decide import RecordWrite
from autocredits.domain.errors import BrokenInvariantError
from autocredits.domain.journal import Entry, Page, next_page
from autocredits.domain.kinds import GLOBAL_KINDS
from autocredits.domain.purchases.coupons import Coupon, CouponUse
from autocredits.domain.purchases.record import DUE_PURCHASES, PURCHASES, Payment, Purchase
from autocredits.domain.records import NO_ACCOUNT, Record, RecordKey, RecordList, rev_of
from autocredits.domain.work.record import ORDERS, ORDERS_BY_STATUS, Work
from autocredits.ledger.lists import list_orders, list_purchases
from autocredits.ledger.ports import ConflictError, Store, UnavailableError
from tests.engines.samples import key_record, pages_of, purchase, put, work
from tests.kit.builders import NOW_MS, PLATFORM, fresh, merchant
from tests.kit.engines import NAMES, Endpoint, client_of, make_store
from tests.kit.figures import seed, size, tally
from tests.kit.memory import MemoryStore

CHUNKS = 5
OPERATIONS = 200
SETTLED_S = 5.0
STATUSES = ("queued", "processing", "ordered", "shipped", "failed")

Call = Callable[[Store], Any]


@pytest.fixture
def real(request: pytest.FixtureRequest, endpoint: Endpoint) -> DynamoStore:
    """The store on an engine; its table is kept for all histories of this process."""
    return _store(endpoint(request.param))


@cache
def _store(endpoint_url: str) -> DynamoStore:
    return make_store(endpoint_url)


on_every_engine = pytest.mark.parametrize("real", NAMES, indirect=True)


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
        """Records of every kind, some of which are there. The table is shared: a name for all accounts is its own."""
        kinds = ("key", "order", "order", "product", "purchase", "payment", "coupon", "coupon_use")
        keys = [(self.random.choice(kinds), f"{self.random.randint(1, 8)}") for _ in range(some)]
        return [(kind, f"{self.account_id}#{name}" if kind in GLOBAL_KINDS else name) for kind, name in keys]

    def write(self, key: RecordKey) -> RecordWrite:
        """A record, on the condition that holds or on one that fails. A rev of 0 is one that no condition finds."""
        kind, name = key
        stored = rev_of(self.memory.read(self.account_id, [key]).get(key))
        wrong = self.random.choice((None, 0, 1, 7, (stored or 0) + 1))
        expected = wrong if self.random.random() < 0.25 else stored
        rev = 0 if self.random.random() < 0.05 else (expected or 0) + 1
        makers: dict[str, Callable[[], Record]] = {
            "key": lambda: key_record(name, self.random.randint(1, 9)).record,
            "order": lambda: replace(self.work(name), rev=rev),
            "product": lambda: replace(self.work(name), kind="product", rev=rev),
            "purchase": lambda: replace(self.purchase(name), rev=rev),
            "payment": lambda: Payment(
                provider=self.account_id, payment_id=name, account_id=self.account_id, purchase_id="1"
            ),
            "coupon": lambda: Coupon(code=name, percent_off=1000, uses=self.random.randint(0, 3), rev=rev),
            "coupon_use": lambda: CouponUse(
                code=name, uses=self.random.randint(0, 3), tallied=self.random.randint(0, 3), rev=rev
            ),
        }
        return RecordWrite(key, makers[kind](), expected)

    def work(self, name: str) -> Work:
        """An order or a product."""
        at, store_id = NOW_MS + self.random.randint(0, 99), self.random.choice(("s1", "s2"))
        return work(name, status=self.random.choice(STATUSES), store_id=store_id, created_at=at, status_at=at + 1)

    def purchase(self, name: str) -> Purchase:
        """A purchase whose provider is to be polled, or not."""
        at, poll_at = NOW_MS + self.random.randint(0, 99), NOW_MS + self.random.randint(0, 99)
        payments = purchase().payments if self.random.random() < 0.5 else {}
        return purchase(name, created_at=at, poll_at=self.random.choice((None, poll_at)), payments=payments)

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
        """A list, from its end or from a place in it, of one shard or of all, or as callers see it; it may lag."""
        which, newest = self.random.choice((ORDERS, PURCHASES, *ORDERS_BY_STATUS.values())), self.random.random() < 0.5
        start = self.random.choice(("", f"{NOW_MS + self.random.randint(0, 99):014d}#2"))
        limit, shard = self.random.randint(1, 6), self.random.choice((None, None, *range(which.shards)))
        status, caller = self.random.choice((None, *STATUSES)), self.random.choice((PLATFORM, merchant(store_id="s1")))
        calls: dict[str, Call] = {
            "list": lambda store: store.list(
                which, self.account_id, start=start, newest_first=newest, limit=limit, shard=shard
            ),
            "list_due": lambda store: self.due(store, DUE_PURCHASES, newest_first=newest),
            "list_orders": lambda store: list_orders(store, self.account_id, caller, status, start=start, limit=limit),
            "list_purchases": lambda store: list_purchases(store, self.account_id, start=start, limit=limit),
        }
        name = self.random.choice(tuple(calls))
        return name, calls[name], True

    def due(self, store: Store, which: RecordList, *, newest_first: bool) -> Any:
        """What a list that all accounts share shows of this account, shard by shard."""
        shards = [
            store.list(which, NO_ACCOUNT, newest_first=newest_first, limit=1_000_000, shard=shard)
            for shard in range(which.shards)
        ]
        return [[one for one in shard if one.account_id == self.account_id] for shard in shards]


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
@on_every_engine
def test_histories_come_to_the_same(real: DynamoStore, chunk: int) -> None:
    """Every call of a random history gives the same value or the same error in memory and on the engine."""
    histories = size(test=5, prove=50)
    for number in range(histories):
        history = History(Random(seed() + 1_000 * chunk + number), MemoryStore(), real, fresh("differential"))
        history.play()
    tally(histories=histories, operations=histories * OPERATIONS)


class _Careless(MemoryStore):
    """Does not look at a record's rev."""

    def commit(self, account_id: str, page: Page | None, writes: Any, *, vacant: int | None = None) -> None:
        stored = self.read(account_id, [write.key for write in writes])
        kept = [replace(write, expected_rev=rev_of(stored.get(write.key))) for write in writes]
        super().commit(account_id, page, kept, vacant=vacant)


class _Blind(MemoryStore):
    """Does not look whether the page that must be absent is."""

    def commit(self, account_id: str, page: Page | None, writes: Any, *, vacant: int | None = None) -> None:
        super().commit(account_id, page, writes, vacant=vacant and 10**6)


class _Silent(MemoryStore):
    """Does not tell what was in the way."""

    def commit(self, account_id: str, page: Page | None, writes: Any, *, vacant: int | None = None) -> None:
        try:
            super().commit(account_id, page, writes, vacant=vacant)
        except ConflictError:
            raise ConflictError from None


class _Hasty(MemoryStore):
    """Writes the records although the page's number is taken."""

    def commit(self, account_id: str, page: Page | None, writes: Any, *, vacant: int | None = None) -> None:
        try:
            super().commit(account_id, page, writes, vacant=vacant)
        except ConflictError:
            with suppress(ConflictError, ValueError):
                super().commit(account_id, None, writes)
            raise


@pytest.mark.parametrize("broken", [_Careless, _Blind, _Silent, _Hasty])
@pytest.mark.parametrize("real", ["dynoxide"], indirect=True)
def test_a_broken_store_is_found_out(real: DynamoStore, broken: type[MemoryStore]) -> None:
    """A store in memory that ignores a condition, or forgets what was in the way, does not pass for an engine."""
    with pytest.raises(AssertionError, match=r"commit|read|snapshot|list"):
        History(Random(1), broken(), real, fresh("differential")).play()


class _Watched(MemoryStore):
    """Notes which conditions of each commit fail."""

    met: ClassVar[set[frozenset[str]]] = set()

    def commit(self, account_id: str, page: Page | None, writes: Any, *, vacant: int | None = None) -> None:
        taken = self.pages.get(account_id, {})
        failed = {"page taken"} if page and page.version in taken else set()
        failed |= {"vacant taken"} if not page and vacant in taken else set()
        stored = self.read(account_id, [write.key for write in writes])
        for write in writes:
            there = stored.get(write.key)
            if there is None and write.expected_rev is not None:
                failed.add("absent")
            elif there is not None and write.expected_rev is None:
                failed.add("present")
            elif there is not None and there.to_map().get("rev") != write.expected_rev:
                failed.add("stale")
        self.met.add(frozenset(failed))
        super().commit(account_id, page, writes, vacant=vacant)


def test_histories_meet_every_condition() -> None:
    """Each condition of a commit fails alone, all of them fail together, with a page and with a vacant one, or none."""
    for number in range(40):
        History(Random(number), _Watched(), _Watched(), fresh("differential")).play()
    alone = {frozenset({name}) for name in ("page taken", "vacant taken", "absent", "present", "stale")}
    together = {frozenset({name, "absent", "present", "stale"}) for name in ("page taken", "vacant taken")}
    assert {frozenset[str](), *alone, *together} <= _Watched.met


def _large(letters: int, letter: str = "x") -> list[RecordWrite]:
    return [put(work("large", tracking_number=letter * letters))]


def _orders(some: int) -> list[RecordWrite]:
    return [put(work(f"o{number}")) for number in range(some)]


def _heavy(some: int) -> list[RecordWrite]:
    return [put(work(f"o{number}", tracking_number="x" * 380_000)) for number in range(some)]


SHAPES: dict[str, tuple[Callable[[], list[RecordWrite]], str | None]] = {
    "nothing at all": (list, None),
    "100 actions": (lambda: _orders(100), None),
    "99 actions and a page": (lambda: _orders(99), "opened"),
    "101 actions": (lambda: _orders(101), None),
    "100 actions and a page": (lambda: _orders(100), "opened"),
    "an item twice": (lambda: [key_record("k1"), put(work("o1")), key_record("k1")], None),
    "an item twice, on two conditions": (lambda: [put(work("o1", rev=2), 1), put(work("o1"))], None),
    "an item below 400 KB": (lambda: _large(395 * 1024), None),
    "an item above 400 KB": (lambda: _large(401 * 1024), None),
    "an item below 400 KB, in other letters": (lambda: _large(195 * 1024, "\u00e4"), None),
    "an item above 400 KB, in other letters": (lambda: _large(201 * 1024, "\u00e4"), None),
    "a page below 400 KB": (list, "x" * 395 * 1024),
    "a page above 400 KB": (list, "x" * 401 * 1024),
    "a commit below 4 MB": (lambda: _heavy(10), None),
    "a commit above 4 MB": (lambda: _heavy(12), None),
}


@pytest.mark.parametrize("shape", SHAPES)
@on_every_engine
def test_transactions_have_the_same_limits(real: DynamoStore, request: pytest.FixtureRequest, shape: str) -> None:
    """What is too large for an engine is too large in memory, and nothing of it is written."""
    make, actor = SHAPES[shape]
    writes, account_id, memory = make(), fresh("differential"), MemoryStore()
    page = next_page(account_id, None, NOW_MS, [Entry(kind="opened", actor=actor)]) if actor else None
    keys = list(dict.fromkeys(write.key for write in writes))
    theirs, mine = (outcome(store, lambda one: one.commit(account_id, page, writes)) for store in (real, memory))
    # DynamoDB Local finds its own first write in the second one's way where DynamoDB refuses the request.
    local = request.node.callspec.params["real"] == "dynamodb-local"
    assert theirs == mine or (local and "twice" in shape and theirs[0] == "conflict")
    for call in (lambda store: store.read(account_id, keys[:100]), lambda store: store.head(account_id)):
        assert outcome(real, call) == outcome(memory, call)


@pytest.mark.parametrize("some", [1, 99, 100, 130])
@pytest.mark.parametrize("twice", [False, True])
@on_every_engine
def test_reads_have_the_same_limits(real: DynamoStore, some: int, twice: bool) -> None:  # noqa: FBT001
    """As many keys as a transaction takes, or more; and one of them twice."""
    account_id, memory = fresh("differential"), MemoryStore()
    keys: list[RecordKey] = [("order", f"o{number}") for number in range(some)]
    keys = [keys[0], *keys] if twice else keys
    for store in (real, memory):
        store.commit(account_id, None, _orders(60))
    for call in (lambda store: store.read(account_id, keys), lambda store: store.snapshot(account_id, 1, keys)):
        assert outcome(real, call) == outcome(memory, call)


@on_every_engine
def test_a_page_with_a_wrong_hash_is_broken_in_both(real: DynamoStore) -> None:
    """Whichever call reads it; the page before it is shown all the same."""
    account_id, memory = fresh("differential"), MemoryStore()
    first, second = pages_of(account_id, 2)
    wrong = replace(second, hash=first.hash)
    for store in (real, memory):
        store.commit(account_id, first, [])
        store.commit(account_id, wrong, [])
    calls: dict[str, Call] = {
        "head": lambda store: store.head(account_id),
        "page": lambda store: store.page(account_id, 2),
        "pages": lambda store: store.pages_before(account_id, 3, 2),
        "older": lambda store: store.pages_before(account_id, 2, 2),
        "snapshot": lambda store: store.snapshot(account_id, 2, []),
    }
    theirs = {name: outcome(real, call) for name, call in calls.items()}
    assert theirs == {name: outcome(memory, call) for name, call in calls.items()}
    assert [name for name, came_to in theirs.items() if came_to == "broken"] == ["head", "page", "pages"]


def test_an_engine_out_of_reach_is_unavailable() -> None:
    """Every call of the port says so, and none anything else."""
    store = DynamoStore(client_of("http://127.0.0.1:1", retries={"total_max_attempts": 1}), "nowhere")
    calls: list[Call] = [
        lambda store: store.head("a"),
        lambda store: store.page("a", 1),
        lambda store: store.pages_before("a", 9, 1),
        lambda store: store.read("a", [("key", "k")]),
        lambda store: store.snapshot("a", 1, [("key", "k")]),
        lambda store: store.list(ORDERS, "a", limit=1),
        lambda store: store.commit("a", None, [key_record()]),
    ]
    assert {outcome(store, call) for call in calls} == {"unavailable"}

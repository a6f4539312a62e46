"""What is due: several lists, worked through so that nothing that is due stands before anything else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Barrier, Lock
from typing import Any, cast

import pytest

from autocredits.domain.decide import RecordWrite
from autocredits.domain.records import RecordList
from autocredits.domain.work.record import DUE_HOLDS, DUE_ORDERS, SEND_AGAIN_MS, Part, Work
from autocredits.ledger import due as due_module
from autocredits.ledger.due import AT_ONCE, MAX_PER_RUN, PER_READ, work_through
from autocredits.ledger.ports import Listed, Store, UnavailableError, shard_of
from autocredits.ledger.time_limit import has_time, time_limit
from tests.kit.builders import NOW_MS
from tests.kit.memory import ManualClock, MemoryStore
from tests.kit.spied import Spied

RESERVE_S = 20.0


def work(order_id: str, **values: Any) -> Work:
    """An order's record."""
    plain: dict[str, Any] = {"created_at": NOW_MS, "updated_at": NOW_MS, "status_at": NOW_MS, "rev": 1}
    return Work(kind="order", work_id=order_id, store_id="s1", **(plain | values))


def queued(order_id: str, due_at: int) -> Work:
    """An order whose message is to be sent again at that time."""
    return work(order_id, status="queued", status_at=due_at - SEND_AGAIN_MS)


def held(order_id: str, due_at: int) -> Work:
    """An order whose hold expires at that time."""
    part = Part(status="open", credits=100, rate_card="r", expires_at=due_at, entry_id="1.0")
    return work(order_id, status="processing", parts={"order": part})


def store_of(*works: Work, account_id: str = "acme", store: MemoryStore | None = None) -> MemoryStore:
    """A store with these records, or one more account's in a store."""
    store = store or MemoryStore()
    for one in works:
        store.commit(account_id, None, [RecordWrite(one.key(), one, None)])
    return store


@dataclass
class Looking:
    """What looks at items, and notes which it was shown; it does well unless told otherwise."""

    does: Callable[[Listed], bool] = field(default=lambda _: True)
    seen: list[Listed] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def __call__(self, item: Listed) -> bool:
        """Look at one."""
        with self.lock:
            self.seen.append(item)
        return self.does(item)

    def ids(self) -> list[str]:
        """The items' ids."""
        return [item.item_id for item in self.seen]


def run(store: Store, clock: ManualClock | None = None, **looking: Looking) -> dict[str, int]:
    """Work through these lists, `orders` and `holds`."""
    lists: dict[RecordList, Callable[[Listed], bool]] = {
        {"orders": DUE_ORDERS, "holds": DUE_HOLDS}[name]: look for name, look in looking.items()
    }
    return work_through(store, clock or ManualClock(), lists, RESERVE_S)


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """One item at a time, in the sequence in which they were found."""
    monkeypatch.setattr(due_module, "AT_ONCE", 1)


def test_what_is_due_by_now_is_looked_at() -> None:
    """To the millisecond; what is due later waits."""
    store = store_of(queued("before", NOW_MS - 1), queued("now", NOW_MS), queued("later", NOW_MS + 1))
    orders = Looking()
    assert run(store, orders=orders) == {"done": 2, "failed": 0, "left": 0}
    assert sorted(orders.ids()) == ["before", "now"]


def test_nothing_due_is_nothing_done() -> None:
    """Of an empty table."""
    assert run(MemoryStore(), orders=Looking(), holds=Looking()) == {"done": 0, "failed": 0, "left": 0}


def test_each_list_is_looked_at_in_its_own_way() -> None:
    """Orders by one, holds by the other; only those that are asked for."""
    store = store_of(queued("o1", NOW_MS), held("o2", NOW_MS))
    orders, holds = Looking(), Looking()
    assert run(store, orders=orders, holds=holds)["done"] == 2
    assert (orders.ids(), holds.ids()) == (["o1"], ["o2~1"])
    assert run(store, holds=holds)["done"] == 1


def test_all_accounts_share_what_is_due() -> None:
    """Each item says whose it is, also where two have the same id."""
    store = store_of(queued("same", NOW_MS))
    store_of(queued("same", NOW_MS), account_id="umbrella", store=store)
    orders = Looking()
    assert run(store, orders=orders)["done"] == 2
    assert {item.account_id for item in orders.seen} == {"acme", "umbrella"}


def test_what_did_not_go_well_is_counted() -> None:
    """Apart from what did; it holds up nobody."""
    store = store_of(*(queued(f"o{number}", NOW_MS) for number in range(20)))
    orders = Looking(does=lambda item: int(item.item_id[1:]) >= 5)
    assert run(store, orders=orders) == {"done": 15, "failed": 5, "left": 0}


def shards_of(which: RecordList, ids: Sequence[str]) -> list[int]:
    """The shard of each item."""
    return [shard_of(which, item_id) for item_id in ids]


@pytest.mark.usefixtures("one_by_one")
def test_shards_take_turns_and_the_longest_overdue_comes_first() -> None:
    """The first of every shard, then the second of every shard, and so on; a full one stands before no other."""
    names = [f"o{number}" for number in range(200)]
    store = store_of(*(queued(name, NOW_MS - 1000 + number) for number, name in enumerate(names)))
    orders = Looking()
    run(store, orders=orders)
    found = orders.ids()
    assert sorted(found) == sorted(names)
    by_shard = {number: [name for name in names if shard_of(DUE_ORDERS, name) == number] for number in range(8)}
    rounds = [
        [by_shard[shard][turn] for shard in range(8) if turn < len(by_shard[shard])]
        for turn in range(max(map(len, by_shard.values())))
    ]
    assert found == [name for one in rounds for name in one]


@pytest.mark.usefixtures("one_by_one")
def test_lists_take_turns() -> None:
    """A hundred poisonous items at the head of one list stand before none of the other."""
    store = store_of(*(held(f"h{number}", NOW_MS - 10_000) for number in range(100)), queued("o1", NOW_MS))
    tried: list[str] = []

    def note(item: Listed) -> bool:
        tried.append(item.item_id)
        return not item.item_id.startswith("h")

    counts = run(store, holds=Looking(does=note), orders=Looking(does=note))
    assert counts == {"done": 1, "failed": 100, "left": 0}
    assert tried.index("o1") < 16


def test_a_shard_is_read_on_as_long_as_items_are_due() -> None:
    """Fifty a call; the first that is not due yet ends it."""
    same = [name for name in (f"o{number}" for number in range(2000)) if shard_of(DUE_ORDERS, name) == 3][:120]
    store = store_of(*(queued(name, NOW_MS - 1000 + number) for number, name in enumerate(same[:110])))
    store_of(*(queued(name, NOW_MS + 1 + number) for number, name in enumerate(same[110:])), store=store)
    spied = Spied(store)
    orders = Looking()
    assert run(cast("Store", spied), orders=orders)["done"] == 110
    assert sorted(orders.ids()) == sorted(same[:110])
    assert PER_READ == 50
    assert len([call for call in spied.calls if call[-1] == 3]) == 3
    assert len(spied.calls) == 3 + 7


def test_a_run_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks at so many items; the rest is for the next run."""
    assert MAX_PER_RUN == 2_000
    monkeypatch.setattr(due_module, "MAX_PER_RUN", 30)
    store = store_of(*(queued(f"o{number}", NOW_MS) for number in range(50)))
    orders = Looking()
    assert run(store, orders=orders) == {"done": 30, "failed": 0, "left": 0}
    assert len(set(orders.ids())) == 30


def test_several_items_are_looked_at_at_once() -> None:
    """Eight: the first is not done before the eighth has begun."""
    barrier = Barrier(AT_ONCE, timeout=10)
    store = store_of(*(queued(f"o{number}", NOW_MS) for number in range(2 * AT_ONCE)))
    assert run(store, orders=Looking(does=lambda _: barrier.wait() >= 0))["done"] == 2 * AT_ONCE == 16


@pytest.mark.usefixtures("one_by_one")
def test_without_enough_time_the_rest_is_left() -> None:
    """An item is begun only while what it may need is left; what was found and not begun is counted."""
    clock = ManualClock()
    store = store_of(*(queued(f"o{number}", NOW_MS) for number in range(10)))

    def slowly(_: Listed) -> bool:
        clock.sleep_up_to(4.0)
        return True

    orders = Looking(does=slowly)
    with time_limit(RESERVE_S + 10, clock.monotonic_s):
        counts = run(store, clock, orders=orders)
    assert (counts["done"], counts["failed"]) == (3, 0)
    assert len(orders.seen) == 3
    assert clock.waited_s <= 30


def test_without_any_time_nothing_is_read() -> None:
    """Nor looked at."""
    clock, spied = ManualClock(), Spied(store_of(queued("o1", NOW_MS)))
    with time_limit(RESERVE_S - 1, clock.monotonic_s):
        assert run(cast("Store", spied), clock, orders=Looking()) == {"done": 0, "failed": 0, "left": 0}
    assert spied.calls == []


def test_whoever_looks_knows_the_deadline() -> None:
    """Though it works in a thread of its own."""
    clock, left = ManualClock(), []
    store = store_of(queued("o1", NOW_MS))

    def look(_: Listed) -> bool:
        left.append((has_time(30), has_time(31)))
        return True

    with time_limit(30, clock.monotonic_s):
        run(store, clock, orders=Looking(does=look))
    assert left == [(True, False)]


def test_a_shard_that_cannot_be_read_is_told() -> None:
    """Once what the other shards have shown is done: a table that is throttled in one place stands still in no other."""
    names = [next(name for name in map("o{}".format, range(1000)) if shard_of(DUE_ORDERS, name) == n) for n in range(8)]
    fails: dict[str, list[Exception | None]] = {"list": [None, None, UnavailableError("ThrottlingException")]}
    spied = Spied(store_of(*(queued(name, NOW_MS) for name in names)), fails)
    orders = Looking()
    with pytest.raises(UnavailableError, match="ThrottlingException"):
        run(cast("Store", spied), orders=orders)
    assert sorted(orders.ids()) == sorted(names[:2] + names[3:])

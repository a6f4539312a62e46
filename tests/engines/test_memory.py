"""What the ports in memory add to their contract; the contract itself is tested in test_store_contract.py."""

from autocredits.domain.work.record import ORDERS
from autocredits.ledger.ports import BusEvent
from tests.kit.builders import ACCOUNT_ID, opened, requested
from tests.kit.memory import ManualClock, MemoryBus, MemoryQueue, MemoryStore


def test_the_store_keeps_stored_forms() -> None:
    """What is read is made from text, so nobody's object can change what is stored."""
    account = opened(1000)
    account.do(requested())
    first, second = account.work(), account.work()
    assert first == second
    assert first is not second
    assert account.page() is not account.page()


def test_two_stores_share_nothing() -> None:
    """Each store begins empty."""
    opened()
    assert MemoryStore().head(ACCOUNT_ID) is None


def test_what_is_listed_is_what_is_stored() -> None:
    """Every listed order has its record."""
    account = opened(1000)
    account.do(requested("o1"))
    account.do(requested("o2"))
    listed = account.store.list(ORDERS, ACCOUNT_ID, limit=10)
    assert {one.item_id for one in listed} == {work.work_id for work in account.works()}


def test_the_clock_stands_until_somebody_waits() -> None:
    """Waiting moves both its hands by the whole of it."""
    clock = ManualClock(at_ms=1000)
    assert (clock.now_ms(), clock.monotonic_s()) == (1000, 0.0)
    clock.sleep_up_to(0.25)
    assert (clock.now_ms(), clock.monotonic_s()) == (1250, 0.25)


def test_the_queue_keeps_what_it_was_given() -> None:
    """Sent, dead and deferred, each in its place."""
    queue = MemoryQueue()
    queue.send("acme", "body")
    queue.send_all([("acme", "second"), ("umbrella", "third")])
    queue.dead_letter("bad", "invalid_json")
    queue.defer({"receipt": 5})
    assert (queue.sent, queue.dead, queue.delays) == (
        [("acme", "body"), ("acme", "second"), ("umbrella", "third")],
        [{"body": "bad", "reason": "invalid_json"}],
        {"receipt": 5},
    )


def test_the_bus_takes_everything() -> None:
    """And keeps it in its sequence."""
    bus, events = MemoryBus(), [BusEvent("a", 1, "{}"), BusEvent("b", 2, "{}")]
    assert bus.put(events[:1]) == bus.put(events[1:]) == []
    assert bus.events == events

"""Pages on their way to the bus, and to the republish queue where that fails (docs/contract.md, section 8)."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from autocredits.domain.errors import BrokenInvariantError
from autocredits.domain.journal import Page
from autocredits.edge import publishing
from autocredits.edge.events import bus_events
from autocredits.edge.publishing import RESERVE_S, TRIES, publish, republish
from autocredits.edge.retries import FIRST_DELAY_S, MAX_FAULT_S, OUT_OF_TIME_DELAY_S
from autocredits.ledger.ports import BusEvent, Store, UnavailableError, WrittenPage
from autocredits.ledger.time_limit import WORST_CALL_S
from tests.kit.builders import NOW_MS, Account, debit, opened, order, requested
from tests.kit.memory import ManualClock, MemoryBus, MemoryQueue
from tests.kit.service import Context, received_record
from tests.kit.spied import Spied

NO_TIME_MS = int((RESERVE_S + WORST_CALL_S) * 1000) - 1
Counted = dict[str, float]


@dataclass
class Written:
    """A page as the stream shows it, or one that cannot be read."""

    page: Page
    error: Exception | None = None

    @property
    def account_id(self) -> str:
        """Whose it is."""
        return self.page.account_id

    @property
    def version(self) -> int:
        """Its number."""
        return self.page.version

    def read(self) -> Page:
        """The page, unless it cannot be read."""
        if self.error:
            raise self.error
        return self.page


@dataclass
class FaultyBus(MemoryBus):
    """A bus that does at each call what it is told, and then takes everything: raise, or refuse events by their place."""

    does: list[Exception | tuple[int, ...]] = field(default_factory=list)
    calls: list[Sequence[BusEvent]] = field(default_factory=list)

    def put(self, events: Sequence[BusEvent]) -> Sequence[BusEvent]:
        """Raise, or take those that are not refused."""
        self.calls.append(list(events))
        does = self.does.pop(0) if self.does else ()
        if isinstance(does, Exception):
            raise does
        MemoryBus.put(self, [event for place, event in enumerate(events) if place not in does])
        return [event for place, event in enumerate(events) if place in does]


class FullQueue(MemoryQueue):
    """A queue that takes no message."""

    def send_all(self, messages: Sequence[tuple[str, str]]) -> None:
        """Take none."""
        raise UnavailableError(f"{len(messages)} messages were not sent")


DOWN = UnavailableError("ServiceUnavailable")


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """The metrics that were counted, with their sums."""
    sums: Counted = {}

    def count(name: str, number: int = 1) -> None:
        sums[name] = sums.get(name, 0) + number

    monkeypatch.setattr(publishing, "count", count)
    return sums


def account_with_pages() -> Account:
    """An account with three pages: opened (3 events), topped up (1), and an order with its conversion held (3)."""
    account = opened(1000)
    account.do(requested(tracking="bce"))
    assert [len(bus_events(page)) for page in account.pages()] == [3, 1, 3]
    return account


def publish_all(
    pages: Iterable[Page | Written], bus: MemoryBus, queue: MemoryQueue | None = None, remaining_ms: int = 60_000
) -> list[dict[str, Any]]:
    """Publish pages; what was sent to the republish queue."""
    queue = queue or MemoryQueue()
    written = [cast("WrittenPage", page if isinstance(page, Written) else Written(page)) for page in pages]
    publish(written, Context(remaining_ms), bus, queue)
    assert all(account_id == json.loads(body)["account_id"] for account_id, body in queue.sent)
    return [json.loads(body) for _, body in queue.sent]


def events_of(*pages: Page) -> list[BusEvent]:
    """All that the pages tell."""
    return [event for page in pages for event in bus_events(page)]


# ---------------------------------------------------------------- from the stream


def test_all_that_new_pages_tell_is_put_on_the_bus() -> None:
    """In the sequence of pages and entries, and nothing is sent to the republish queue."""
    pages, bus = account_with_pages().pages(), MemoryBus()
    assert publish_all(pages, bus) == []
    assert bus.events == events_of(*pages)


def test_every_new_page_is_counted(counted: Counted) -> None:
    """The audit must have checked as many."""
    publish_all(account_with_pages().pages(), MemoryBus())
    assert counted == {"PagesWritten": 3}


def test_only_what_did_not_get_there_is_tried_again() -> None:
    """At once, and as often as three times in all."""
    page = account_with_pages().page()
    first, second, third = bus_events(page)
    bus = FaultyBus(does=[(0, 2), (1,)])
    assert publish_all([page], bus) == []
    assert bus.calls == [[first, second, third], [first, third], [third]]
    assert bus.events == [second, first, third]


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ([(0,), (0,), (0,)], "events_refused"),
        ([DOWN, DOWN, DOWN], "bus_unavailable"),
        ([RuntimeError("a defect")] * 3, "bus_error"),
        ([DOWN, (0,), RuntimeError("a defect")], "bus_error"),
    ],
)
def test_a_page_that_fails_three_times_goes_to_the_republish_queue(
    does: list[Any], reason: str, counted: Counted
) -> None:
    """With its account, number and the last reason; the next pages are published."""
    first, second, third = account_with_pages().pages()
    bus = FaultyBus(does=list(does))
    assert publish_all([first, second, third], bus) == [{"account_id": "acme", "version": 1, "reason": reason}]
    assert len(bus.calls) == TRIES + 2 == 5
    assert bus.events[-4:] == events_of(second, third)
    assert counted == {"PagesWritten": 3, "PageNotPublished": 1}


@pytest.mark.parametrize("failures", [1, 2])
def test_a_bus_that_answers_in_time_is_enough(failures: int) -> None:
    """After one or two failures; all events are put again, for nobody knows which got there."""
    page, bus = account_with_pages().page(), FaultyBus(does=[DOWN] * failures)
    assert publish_all([page], bus) == []
    assert bus.events == bus_events(page)


def test_a_bus_that_is_down_leaves_every_page_to_the_republish_queue(counted: Counted) -> None:
    """In one go, each in its account's group."""
    pages = account_with_pages().pages()
    queue = MemoryQueue()
    sent = publish_all(pages, FaultyBus(does=[DOWN] * 9), queue)
    assert [(one["version"], one["reason"]) for one in sent] == [
        (1, "bus_unavailable"),
        (2, "bus_unavailable"),
        (3, "bus_unavailable"),
    ]
    assert counted == {"PagesWritten": 3, "PageNotPublished": 3}


def test_a_handler_raises_only_if_the_republish_queue_fails_as_well() -> None:
    """Then the stream shows the pages again; a queue that nobody needs may fail."""
    pages = account_with_pages().pages()
    with pytest.raises(UnavailableError, match="1 messages"):
        publish_all(pages, FaultyBus(does=[DOWN] * 3), FullQueue())
    assert publish_all(pages, MemoryBus(), FullQueue()) == []


@pytest.mark.parametrize(
    ("error", "reason", "metrics"),
    [
        (
            BrokenInvariantError("page 1 does not match its hash"),
            "unreadable_page",
            {"BrokenInvariant": 1, "PagesWritten": 2, "PageNotPublished": 1},
        ),
        (KeyError("entries"), "KeyError", {"PagesWritten": 2, "PageNotPublished": 1}),
    ],
)
def test_a_page_that_cannot_be_read_stops_none(
    error: Exception, reason: str, metrics: Counted, counted: Counted
) -> None:
    """It goes to the republish queue, which has what the stream has not: dead letters."""
    first, second, _ = account_with_pages().pages()
    bus = MemoryBus()
    sent = publish_all([Written(first, error), second], bus)
    assert sent == [{"account_id": "acme", "version": 1, "reason": reason}]
    assert bus.events == bus_events(second)
    assert counted == metrics


@pytest.fixture
def not_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of page 1 no events can be made: it is of a later release, say."""

    def make(page: Page) -> list[BusEvent]:
        if page.version == 1:
            raise KeyError("a part that nobody knows")
        return bus_events(page)

    monkeypatch.setattr(publishing, "bus_events", make)


@pytest.mark.usefixtures("not_understood")
def test_a_page_that_is_not_understood_stops_none() -> None:
    """It is sent to the republish queue as well."""
    first, second, _ = account_with_pages().pages()
    bus = MemoryBus()
    assert publish_all([first, second], bus) == [{"account_id": "acme", "version": 1, "reason": "events_not_made"}]
    assert bus.events == bus_events(second)


def test_without_time_pages_are_sent_on_unread_by_the_bus() -> None:
    """What the republish queue needs is kept; with a moment more a page is published."""
    pages, bus = account_with_pages().pages(), FaultyBus()
    sent = publish_all(pages, bus, remaining_ms=NO_TIME_MS)
    assert [(one["version"], one["reason"]) for one in sent] == [(n, "out_of_time") for n in (1, 2, 3)]
    assert bus.calls == []
    assert publish_all(pages, bus, remaining_ms=NO_TIME_MS + 1) == []


@dataclass
class Ticking:
    """The context of a function that may run for 60 seconds by this clock."""

    clock: ManualClock

    def get_remaining_time_in_millis(self) -> int:
        """What is left of them."""
        return 60_000 - round(self.clock.monotonic_s() * 1000)


def test_a_slow_bus_leaves_time_for_the_republish_queue() -> None:
    """Ten pages, each call as slow as can be and in vain: all are told in time."""
    account, clock = opened(10_000), ManualClock()
    for number in range(9):
        account.do(debit(order(f"o{number}")))

    @dataclass
    class SlowBus(MemoryBus):
        def put(self, events: Sequence[BusEvent]) -> Sequence[BusEvent]:
            clock.sleep_up_to(WORST_CALL_S)
            raise UnavailableError(f"{len(events)} events")

    queue = MemoryQueue()
    publish([cast("WrittenPage", Written(page)) for page in account.pages()], Ticking(clock), SlowBus(), queue)
    assert [json.loads(body)["version"] for _, body in queue.sent] == list(range(1, len(account.pages()) + 1))
    assert clock.monotonic_s() <= 60 - WORST_CALL_S


# ---------------------------------------------------------------- from the republish queue


@dataclass
class Worker:
    """The republish queue's worker on an account, a bus and a queue in memory."""

    account: Account = field(default_factory=account_with_pages)
    bus: MemoryBus = field(default_factory=MemoryBus)
    queue: MemoryQueue = field(default_factory=MemoryQueue)
    store: Any = None

    def __call__(self, *bodies: str, age_s: int = 0, remaining_ms: int = 60_000) -> list[str]:
        """Process messages, which are as old as that; those to be shown again, by their places."""
        records = [
            received_record(
                body, first_received_ms=NOW_MS - age_s * 1000, message_id=str(number), queue="RepublishQueue"
            )
            for number, body in enumerate(bodies)
        ]
        ledger = self.account.ledger(cast("Store", self.store or self.account.store))
        answer = republish({"Records": records}, Context(remaining_ms), ledger, self.bus, self.queue)
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def reasons(self) -> Iterator[str]:
        """Why messages were buried."""
        return (letter["reason"] for letter in self.queue.dead)


def named(version: Any = 3, account_id: Any = "acme", **more: Any) -> str:
    """A message of the republish queue."""
    return json.dumps({"account_id": account_id, "version": version, "reason": "bus_unavailable", **more})


def test_a_page_is_published_out_of_the_journal() -> None:
    """The very events that the stream would have given, and the message is acknowledged."""
    worker = Worker()
    assert worker(named(3), named(1)) == []
    first, _, third = worker.account.pages()
    assert worker.bus.events == events_of(third, first)
    assert (worker.queue.dead, worker.queue.delays) == ([], {})


def test_what_the_publisher_sends_is_what_the_worker_reads() -> None:
    """Message by message, as it is."""
    worker, queue = Worker(), MemoryQueue()
    publish_all(worker.account.pages(), FaultyBus(does=[DOWN] * 9), queue)
    assert worker(*(body for _, body in queue.sent)) == []
    assert worker.bus.events == events_of(*worker.account.pages())


@pytest.mark.parametrize(("age_s", "delay_s"), [(0, FIRST_DELAY_S), (5, 10), (35, 40), (3600, 600)])
def test_a_page_that_fails_again_waits_longer_each_time(age_s: int, delay_s: int) -> None:
    """By its age, after three more tries; its neighbour is published."""
    worker = Worker(bus=FaultyBus(does=[DOWN] * 3))
    assert worker(named(1), named(2), age_s=age_s) == ["0"]
    assert worker.queue.delays == {"0": delay_s}
    assert worker.bus.events == bus_events(worker.account.pages()[1])


@pytest.mark.parametrize(
    ("does", "reason"),
    [([DOWN] * 3, "bus_unavailable"), ([(0,)] * 3, "events_refused"), ([KeyError()] * 3, "bus_error")],
)
def test_after_five_days_a_page_is_a_dead_letter(does: list[Any], reason: str) -> None:
    """Unchanged, with the reason of its last failure."""
    worker = Worker(bus=FaultyBus(does=list(does)))
    assert worker(named(1), age_s=MAX_FAULT_S) == []
    assert worker.queue.dead == [{"body": named(1), "reason": reason}]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("acme 3", "invalid_json"),
        ('{"account_id": "acme", "version": 3', "invalid_json"),
        ("[]", "invalid_field"),
        ("null", "invalid_field"),
        ('{"version": 3}', "invalid_field"),
        ('{"account_id": "acme"}', "invalid_field"),
        (named("3"), "invalid_field"),
        (named(0), "invalid_field"),
        (named(-1), "invalid_field"),
        (named(True), "invalid_field"),  # noqa: FBT003 - a JSON value
        (named(None), "invalid_field"),
        (named(3, "ac#me"), "invalid_field"),
        (named(3, ""), "invalid_field"),
        (named(3, 7), "invalid_field"),
    ],
)
def test_a_message_that_names_no_page_is_a_dead_letter_at_once(body: str, reason: str) -> None:
    """Unchanged; the page beside it is published."""
    worker = Worker()
    assert worker(body, named(2)) == []
    assert worker.queue.dead == [{"body": body, "reason": reason}]
    assert worker.bus.events == bus_events(worker.account.pages()[1])


@pytest.mark.parametrize("body", [named(4), named(1, "nobody")])
def test_a_page_that_is_not_there_is_a_dead_letter_that_rings(body: str, counted: Counted) -> None:
    """A page is never removed, so somebody has to look."""
    worker = Worker()
    assert worker(body) == []
    assert worker.queue.dead == [{"body": body, "reason": "page_missing"}]
    assert counted == {"BrokenInvariant": 1}


def test_a_page_that_was_changed_is_a_dead_letter_that_rings(counted: Counted) -> None:
    """No event is made of it."""
    worker = Worker()
    second = worker.account.pages()[1]
    text, _ = worker.account.store.pages["acme"][1]
    worker.account.store.pages["acme"][1] = (text, "0" * 64)
    assert worker(named(1), named(2)) == []
    assert list(worker.reasons()) == ["unreadable_page"]
    assert counted == {"BrokenInvariant": 1}
    assert worker.bus.events == bus_events(second)


@pytest.mark.parametrize(
    ("error", "reason"), [(DOWN, "try_again"), (PermissionError("AccessDenied"), "internal_error")]
)
def test_a_journal_that_cannot_be_read_is_waited_for(error: Exception, reason: str) -> None:
    """Message by message, whatever is wrong; after five days it is a dead letter that says so."""
    worker = Worker()
    worker.store = Spied(worker.account.store, {"page": [error]})
    assert worker(named(1), named(2)) == ["0"]
    assert worker.queue.delays == {"0": FIRST_DELAY_S}
    worker.store = Spied(worker.account.store, {"page": [error]})
    assert worker(named(1), age_s=MAX_FAULT_S) == []
    assert list(worker.reasons()) == [reason]


@pytest.mark.usefixtures("not_understood")
def test_a_page_that_is_not_understood_waits_for_a_release_that_does() -> None:
    """Its neighbour is published."""
    worker = Worker()
    assert worker(named(1), named(2)) == ["0"]
    assert worker.bus.events == bus_events(worker.account.pages()[1])


def test_without_time_messages_come_back_untried() -> None:
    """After ten seconds; what names no page is buried all the same."""
    worker = Worker(bus=FaultyBus())
    assert worker(named(1), "x", named(2), remaining_ms=NO_TIME_MS) == ["0", "2"]
    assert worker.queue.delays == {"0": OUT_OF_TIME_DELAY_S, "2": OUT_OF_TIME_DELAY_S}
    assert list(worker.reasons()) == ["invalid_json"]
    assert worker(named(1), remaining_ms=NO_TIME_MS + 1) == []

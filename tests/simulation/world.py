"""The world around the handlers in a scheduler's run: a store that shows commits item by item, queues, a bus, time.

Each port's call stops at the scheduler, and each environment has ports of its own, as an environment has its clients.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, combinations
from pathlib import Path
from typing import Any, Self

from autocredits.bootstrap import catalog
from autocredits.domain.decide import RecordWrite
from autocredits.domain.journal import Page
from autocredits.domain.kinds import GLOBAL_KINDS
from autocredits.domain.purchases.facts import Checkout
from autocredits.domain.purchases.fulfil import PaymentEvent
from autocredits.domain.purchases.record import Purchase
from autocredits.domain.records import NO_ACCOUNT, RecordKey, RecordList, Records
from autocredits.domain.usage import Day
from autocredits.domain.work.record import DUE_HOLDS, DUE_ORDERS, Work
from autocredits.edge import problems, publishing
from autocredits.ledger import due
from autocredits.ledger.commit import Ledger
from autocredits.ledger.ports import (
    AccountsFound,
    BusEvent,
    ConflictError,
    Listed,
    Snapshot,
    StoredPage,
    UnavailableError,
)
from autocredits.ledger.sweeping import record_of
from autocredits.ledger.walking import Walked
from functions.purchase.payments import registry
from functions.purchase.payments.port import (
    Closed,
    PaymentRefusedError,
    RepeatedStartError,
    Started,
    StartRequest,
)
from functions.purchase.payments.sandbox import Sandbox
from functions.sweep import app as sweep_app
from tests.kit.deliveries import BEGIN_MS, pay
from tests.kit.handlers import SECRET, handlers_on
from tests.kit.memory import MemoryStore
from tests.simulation.environments import Environment
from tests.simulation.scheduler import (
    ALL,
    ANSWER_LOST,
    CONFLICT,
    CRASH_AFTER,
    CRASH_BEFORE,
    DONE,
    LOST,
    Call,
    Item,
    Scheduler,
)

CALL_MS = 5
NEVER = 10**9

ASKS = (DONE, LOST, CRASH_BEFORE)
CHANGES = (DONE, LOST, ANSWER_LOST, CRASH_BEFORE, CRASH_AFTER)


@dataclass
class SimStore(MemoryStore):
    """A store in memory that can show a committed transaction to plain reads item by item, as DynamoDB does.

    `hidden` are the items of such a transaction that do not show yet, each with what is seen in its place. Whatever
    touches one of them in a transaction of its own is cancelled meanwhile.
    """

    hidden: dict[Item, Any] = field(default_factory=dict)

    def seen(self) -> MemoryStore:
        """What plain reads see."""
        if not self.hidden:
            return self
        pages = {account: dict(numbers) for account, numbers in self.pages.items()}
        records = dict(self.records)
        for item, (where, before) in self.hidden.items():
            holder: dict[Any, Any] = pages[item[1]] if item[0] == "page" else records
            del holder[where]
            if before is not None:
                holder[where] = before
        left = {account: numbers for account, numbers in pages.items() if numbers}
        return MemoryStore(left, records, dict(self.put_off_to))

    def snapshot(self, account_id: str, version: int, keys: Sequence[RecordKey]) -> Snapshot:
        """One moment; cancelled while one of the items is being written."""
        self._check_free({("page", account_id, f"{version}"), *(item_of(account_id, key) for key in keys)})
        return super().snapshot(account_id, version, keys)

    def commit(
        self, account_id: str, page: Page | None, writes: Sequence[RecordWrite], *, vacant: int | None = None
    ) -> None:
        """All or nothing; cancelled while one of the items is being written."""
        self._check_free(set(items_of(account_id, page.version if page else vacant, writes)))
        super().commit(account_id, page, writes, vacant=vacant)

    def put_off(self, which: RecordList, listed: Listed, key: RecordKey, until_ms: Callable[[int], int]) -> int:
        """Not while the record is being written."""
        if item_of(listed.account_id, key) in self.hidden:
            return 0
        return super().put_off(which, listed, key, until_ms)

    def _check_free(self, items: set[Item]) -> None:
        if not self.hidden.keys().isdisjoint(items):
            raise ConflictError

    def copy(self) -> "SimStore":
        """Another store with the same in it."""
        pages = {account: dict(numbers) for account, numbers in self.pages.items()}
        return type(self)(pages, dict(self.records), dict(self.put_off_to))


def item_of(account_id: str, key: RecordKey) -> Item:
    """The item that a record lies in."""
    return ("record", place_of(account_id, key)[0], *key)


def items_of(account_id: str, version: int | None, writes: Sequence[RecordWrite]) -> list[Item]:
    """The items of a commit."""
    page = [("page", account_id, f"{version}")] if version is not None else []
    return [*page, *(item_of(account_id, write.key) for write in writes)]


REMEMBERED = ("purchase", "coupon", "coupon_use")


@dataclass(slots=True)
class Stood:
    """A stored form, since which step it was so, and since which step all reads show it."""

    stored: Mapping[str, Any]
    since: int = 0
    shown: int = 0


Place = tuple[str, RecordKey]
"""Where a record lies: its account, none for what belongs to no account, and its key."""


@dataclass(slots=True)
class Lain:
    """A page: since which step it lies in the table, since which all reads show it, until which; as what it was lost."""

    version: int
    since: int = 0
    shown: int = 0
    until: int = NEVER
    page: Page | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """A record that was lost: at which step, and its stored form."""

    step: int
    stored: Mapping[str, Any]


class World:
    """What all environments of a run share: the store, the queues, the bus, the time, and the scheduler.

    `born` tells at which step each record appeared, `lain` when each of an account's pages lay in the table, `lost`
    which records a restore left out, `history` how purchases and coupons stood one after the other. `begun_with` are
    the records that were there before. `paid` are the purchases that the provider has said are paid, `on_its_way` those
    whose money it has said is on its way, and at which step. `sent` are the messages that lie in the orders queue, `told` all that were sent: at which step, and the body.
    `queued` are the attempts that were ever queued: account, order, attempt, and since which step. `dead` are the dead
    letters: step, body, reason. `alarms` counts how often books that do not add up rang.
    `stream` is what the table's stream shows, of which the first `streamed` pages need not be shown again; `bus` is
    what came there, `unpublished` the messages in the republish queue, `given_up` its dead letters.
    """

    def __init__(self, scheduler: Scheduler | None, store: SimStore) -> None:
        self.scheduler = scheduler
        self.store = store
        self.at_ms = BEGIN_MS
        self.sent: list[str] = []
        self.told: list[tuple[int, str]] = []
        self.queued: dict[tuple[str, str, int], int] = {}
        self.dead: list[tuple[int, str, str]] = []
        self.begun_with = dict(store.records)
        self.born: dict[Place, int] = dict.fromkeys(store.records, 0)
        self.lain: dict[str, list[Lain]] = {name: [Lain(one) for one in sorted(n)] for name, n in store.pages.items()}
        self.lost: dict[Place, Lost] = {}
        self.history: dict[Place, list[Stood]] = {
            place: [Stood(json.loads(text))] for place, text in store.records.items() if place[1][0] in REMEMBERED
        }
        self.alarms = 0
        self.paid: set[str] = set()
        self.on_its_way: list[tuple[str, int]] = []
        self.stream: list[Page] = []
        self.streamed = 0
        self.bus: list[BusEvent] = []
        self.unpublished: list[str] = []
        self.given_up: list[str] = []
        self.ports: dict[Environment | None, Ports] = {}
        for (account_id, (_, name)), text in store.records.items():
            if '"status": "queued"' in text:
                self.queued[account_id, name, json.loads(text).get("attempt", 1)] = 0

    def call(self, call: Call) -> Any:
        """Stop at the scheduler, if there is one; time goes on."""
        self.at_ms += CALL_MS
        return self.scheduler.call(call) if self.scheduler else call.perform()

    def mine(self) -> "Ports":
        """The ports of the environment that is running."""
        worker = self.scheduler.current if self.scheduler else None
        environment = worker.environment if worker else None
        if environment not in self.ports:
            self.ports[environment] = Ports(self)
        return self.ports[environment]

    def step(self) -> int:
        """The number of the run's last move."""
        return self.scheduler.step if self.scheduler else 0

    def noted(self, account_id: str, page: Page | None, writes: Sequence[RecordWrite]) -> None:
        """Note the step at which a page and records appeared."""
        step = self.step()
        if page is not None:
            self.lain.setdefault(account_id, []).append(Lain(page.version, step, step))
            self.stream.append(page)
        for write in writes:
            place = place_of(account_id, write.key)
            self.born.setdefault(place, step)
            if write.key[0] in REMEMBERED:
                self.history.setdefault(place, []).append(Stood(write.record.to_map(), step, step))
            if isinstance(write.record, Work) and write.record.status == "queued":
                self.queued.setdefault((account_id, write.record.work_id, write.record.attempt), step)

    def stood(self, place: Place, begun: int, ended: int) -> list[Mapping[str, Any]]:
        """How a record stood at some moment between two steps. What a later commit hides stands until that shows."""
        states = self.history.get(place, [])
        until = [*(state.shown for state in states[1:]), ended + 1]
        return [
            state.stored for state, over in zip(states, until, strict=False) if state.since <= ended and over > begun
        ]

    def show_all(self) -> None:
        """Let all reads see every commit whole."""
        self.store.hidden.clear()
        for state in chain[Stood | Lain](*self.history.values(), *self.lain.values()):
            if state.shown == NEVER:
                state.shown = self.step()

    def noted_alarm(self, name: str) -> None:
        """Hear the alarm of books that do not add up."""
        self.alarms += name == "BrokenInvariant"


def place_of(account_id: str, key: RecordKey) -> Place:
    """Where a record lies."""
    return (NO_ACCOUNT if key[0] in GLOBAL_KINDS else account_id), key


class Ports:
    """The clients of one environment."""

    def __init__(self, world: World) -> None:
        self.ledger = Ledger(SimStorePort(world), SimClock(world), catalog())
        self.queue = SimQueue(world)
        self.bus = SimBus(world)
        self.republish_queue = SimRepublishQueue(world)
        self.secrets = SimSecrets(world)


@dataclass(frozen=True, slots=True)
class SimClock:
    """A Clock by the run's time. A pause lets others go first."""

    world: World

    def now_ms(self) -> int:
        """The time of the run."""
        return self.world.at_ms

    def monotonic_s(self) -> float:
        """Likewise."""
        return self.world.at_ms / 1000

    def sleep_up_to(self, seconds: float) -> None:
        """Wait as long as can be."""
        self.world.at_ms += round(seconds * 1000)
        self.world.call(Call("pause", lambda: None, patient=True))


@dataclass(frozen=True, slots=True)
class SimStorePort:
    """A Store whose every call stops at the scheduler."""

    world: World

    def _ask(self, name: str, items: frozenset[Item], read: Callable[[], Any]) -> Any:
        return self.world.call(Call(name, read, ASKS, items))

    def head(self, account_id: str) -> Page | None:
        """The newest page that shows."""
        store = self.world.store
        page: Page | None = self._ask("head", _journal(account_id), lambda: store.seen().head(account_id))
        return page

    def page(self, account_id: str, version: int) -> Page | None:
        """A page, if it shows."""
        store = self.world.store
        page: Page | None = self._ask("page", _journal(account_id), lambda: store.seen().page(account_id, version))
        return page

    def pages_before(self, account_id: str, version: int, limit: int) -> Sequence[Page]:
        """Older pages that show."""
        read = partial(MemoryStore.pages_before, account_id=account_id, version=version, limit=limit)
        pages: Sequence[Page] = self._ask("pages", _journal(account_id), lambda: read(self.world.store.seen()))
        return pages

    def pages_after(self, account_id: str, version: int, limit: int) -> Sequence[StoredPage]:
        """Newer pages that show."""
        read = partial(MemoryStore.pages_after, account_id=account_id, version=version, limit=limit)
        pages: Sequence[StoredPage] = self._ask("pages", _journal(account_id), lambda: read(self.world.store.seen()))
        return pages

    def newest_day(self, account_id: str) -> Day | None:
        """The newest day's record; nothing hides one."""
        day: Day | None = self._ask("day", frozenset(), lambda: self.world.store.newest_day(account_id))
        return day

    def find_accounts(self, position: str, limit: int) -> AccountsFound:
        """Some of the accounts."""
        found: AccountsFound = self._ask(
            "accounts", frozenset(), lambda: self.world.store.find_accounts(position, limit)
        )
        return found

    def days(self, account_id: str, first: str) -> Sequence[Day]:
        """The days' records; nothing hides one."""
        days: Sequence[Day] = self._ask("days", frozenset(), lambda: self.world.store.days(account_id, first))
        return days

    def write_day(self, account_id: str, day: Day, expected_rev: int | None) -> None:
        """Under its condition."""
        write = partial(self.world.store.write_day, account_id, day, expected_rev)
        self.world.call(Call("write_day", write, CHANGES, frozenset({item_of(account_id, ("day", day.date))})))

    def read(self, account_id: str, keys: Sequence[RecordKey]) -> Records:
        """The records as they show."""
        items = frozenset(item_of(account_id, key) for key in keys)
        records: Records = self._ask("read", items, lambda: self.world.store.seen().read(account_id, keys))
        return records

    def snapshot(self, account_id: str, version: int, keys: Sequence[RecordKey]) -> Snapshot:
        """One moment."""
        items = _journal(account_id) | {item_of(account_id, key) for key in keys}
        call = Call(
            "snapshot",
            lambda: self.world.store.snapshot(account_id, version, keys),
            (*ASKS, CONFLICT),
            frozenset(items),
        )
        snapshot: Snapshot = self.world.call(call)
        return snapshot

    def list(
        self,
        which: RecordList,
        account_id: str,
        *,
        start: str = "",
        newest_first: bool = False,
        limit: int,
        shard: int | None = None,
    ) -> Sequence[Listed]:
        """A list as the records show. A shared one that is empty is no call: what appears there now may lag behind."""
        read = partial(MemoryStore.list, start=start, newest_first=newest_first, limit=limit, shard=shard)
        items = ALL
        if which in (DUE_HOLDS, DUE_ORDERS):
            now = read(self.world.store.seen(), which, account_id)
            items = frozenset(item_of(one.account_id, record_of(which, one)) for one in now)
        if not items:
            return ()
        listed: Sequence[Listed] = self._ask("list", items, lambda: read(self.world.store.seen(), which, account_id))
        return listed

    def put_off(self, which: RecordList, listed: Listed, key: RecordKey, until_ms: Callable[[int], int]) -> int:
        """Read how often it was put off, and update its place where it stands as listed."""
        items = frozenset({item_of(listed.account_id, key)})
        self._ask("place", items, lambda: None)
        call = Call(
            "put off", lambda: self.world.store.put_off(which, listed, key, until_ms), CHANGES, items, writes=True
        )
        times: int = self.world.call(call)
        return times

    def commit(
        self, account_id: str, page: Page | None, writes: Sequence[RecordWrite], *, vacant: int | None = None
    ) -> None:
        """All or nothing, and shown at once or item by item."""
        world, version = self.world, page.version if page else vacant
        written = items_of(account_id, page.version if page else None, writes)

        def perform() -> None:
            world.store.commit(account_id, page, writes, vacant=vacant)
            world.noted(account_id, page, writes)

        def tear(outcome: str) -> Callable[[], None]:
            before = world.store.copy()
            perform()
            shown = set(outcome.removeprefix("shows ").split("+"))
            for index, item in enumerate(written):
                if f"{index}" not in shown:
                    world.store.hidden[item] = _before(before, item, account_id)
            places = [place_of(account_id, write.key) for write in writes if write.key[0] in REMEMBERED]
            changed: list[Stood | Lain] = [world.history[place][-1] for place in places]
            changed += [world.lain[account_id][-1]] if page else []
            for state in changed:
                state.shown = NEVER

            def show() -> None:
                for item in written:
                    world.store.hidden.pop(item, None)
                for state in changed:
                    state.shown = world.step()

            return show

        items = frozenset(items_of(account_id, None, writes)) | (_journal(account_id) if version else frozenset())
        world.call(Call("commit", perform, (*CHANGES, CONFLICT, *_torn(len(written))), items, writes=True, tear=tear))


def _journal(account_id: str) -> frozenset[Item]:
    return frozenset({("journal", account_id)})


def _before(store: SimStore, item: Item, account_id: str) -> tuple[Any, Any]:
    """Where an item lies, and what lay there."""
    if item[0] == "page":
        return int(item[2]), store.pages.get(account_id, {}).get(int(item[2]))
    place = (item[1], (item[2], item[3]))
    return place, store.records.get(place)


def _torn(count: int) -> list[str]:
    """The ways in which a commit of so many items shows in part: one of them alone, or all but one."""
    sizes = sorted({1, count - 1} - {0}) if count > 1 else []
    return [f"shows {'+'.join(map(str, shown))}" for size in sizes for shown in combinations(range(count), size)]


@dataclass(frozen=True, slots=True)
class SimQueue:
    """A Queue whose every call stops at the scheduler."""

    world: World

    def send(self, account_id: str, body: str) -> None:  # noqa: ARG002 - the port's form
        """Put a message on the queue."""

        def perform() -> None:
            self.world.sent.append(body)
            self.world.told.append((self.world.step(), body))

        self.world.call(Call("send", perform, CHANGES))

    def send_all(self, messages: Sequence[tuple[str, str]]) -> None:
        """Put messages on the queue."""
        for account_id, body in messages:
            self.send(account_id, body)

    def dead_letter(self, body: str, reason: str) -> None:
        """Put a message to the dead letters."""
        world = self.world
        world.call(Call("dead letter", lambda: world.dead.append((world.step(), body, reason)), CHANGES))

    def defer(self, delays: Mapping[str, int]) -> None:  # noqa: ARG002 - the port's form
        """The messages are shown again later, as every message that is not acknowledged."""
        self.world.call(Call("defer", lambda: None, CHANGES))


@dataclass(frozen=True, slots=True)
class SimRepublishQueue:
    """The republish queue, whose every call stops at the scheduler."""

    world: World

    def send(self, account_id: str, body: str) -> None:
        """Put a message on the queue."""
        self.send_all([(account_id, body)])

    def send_all(self, messages: Sequence[tuple[str, str]]) -> None:
        """Put messages on the queue, ten in a call: the port says no more than that all are there, or maybe not all."""
        bodies = [body for _, body in messages]
        self.world.call(Call("send pages", lambda: self.world.unpublished.extend(bodies), CHANGES))

    def dead_letter(self, body: str, reason: str) -> None:  # noqa: ARG002 - the port's form
        """Put a message to the dead letters."""
        self.world.call(Call("dead page", lambda: self.world.given_up.append(body), CHANGES))

    def defer(self, delays: Mapping[str, int]) -> None:  # noqa: ARG002 - the port's form
        """The messages are shown again later."""
        self.world.call(Call("defer pages", lambda: None, CHANGES))


@dataclass(frozen=True, slots=True)
class SimBus:
    """A Bus whose every call stops at the scheduler, and that may take some of the events and refuse others."""

    world: World

    def put(self, events: Sequence[BusEvent]) -> Sequence[BusEvent]:
        """Put events on the bus; those that it refused."""

        def some(taken: Sequence[BusEvent], left: Sequence[BusEvent]) -> tuple[Any, None]:
            self.world.bus.extend(taken)
            return left, None

        def cut() -> tuple[None, Exception]:
            self.world.bus.extend(events[: len(events) // 2])
            return None, UnavailableError("cut")

        def perform() -> Sequence[BusEvent]:
            self.world.bus.extend(events)
            return ()

        answers: Answers = {
            "all refused": lambda: some((), events),
            "first refused": lambda: some(events[1:], events[:1]),
            "last refused": lambda: some(events[:-1], events[-1:]),
            "cut": cut,
        }
        names = [*answers] if len(events) > 1 else ["all refused"]
        told = {name: answers[name] for name in names}
        left: Sequence[BusEvent] = self.world.call(Call("put events", perform, CHANGES, answers=told))
        return left


@dataclass(slots=True)
class SimSecrets:
    """Secrets, each read once by an environment."""

    world: World
    known: dict[str, Any] = field(default_factory=dict)

    def read(self, name: str) -> dict[str, Any]:
        """The secret of the sandbox."""
        if name not in self.known:
            self.known[name] = self.world.call(Call("secret", lambda: {"signing": [SECRET]}, ASKS))
        secret: dict[str, Any] = self.known[name]
        return secret


class SimSandbox(Sandbox):
    """The sandbox as a provider that must be asked, and whose answers are as the scheduler likes.

    Once it has said that a purchase is paid, it says so whenever it is asked.
    """

    __slots__ = ()

    def start(self, request: StartRequest) -> Started:
        """Start the payment, if the call comes through, is not refused, and is no repetition in other words."""
        answers: Answers = {
            "refused": lambda: (None, PaymentRefusedError()),
            "repeated": lambda: (None, RepeatedStartError()),
        }
        started: Started = _ask("start", request.purchase_id, lambda: Sandbox.start(self, request), answers)
        return started

    def close(self, checkout: Checkout) -> Closed:
        """Nobody can pay it any more; or it was paid, or its money is on its way."""
        purchase_id = (checkout.reference or "").rpartition("-")[0]

        def on_its_way() -> tuple[Closed, None]:
            world().on_its_way.append((purchase_id, world().step()))
            return "on_its_way", None

        def paid() -> tuple[Closed, None]:
            world().paid.add(purchase_id)
            return "paid", None

        def perform() -> Closed:
            return "paid" if purchase_id in world().paid else "closed"

        closed: Closed = _ask("close", purchase_id, perform, {"paid": paid, "on its way": on_its_way})
        return closed

    def poll(self, account_id: str, purchase: Purchase) -> Sequence[PaymentEvent]:  # noqa: ARG002 - the port's form
        """Nothing, as long as it is not paid; or the open checkout was paid, declined, or has expired."""
        purchase_id, checkout = purchase.purchase_id, purchase.open_checkout()

        def tell(event_type: Any) -> Sequence[PaymentEvent]:
            event = PaymentEvent(
                provider=self.name,
                type=event_type,
                purchase_id=purchase_id,
                payment_id=pay(purchase_id) if event_type == "paid" else None,
                checkout=checkout.number if checkout else None,
                amount=purchase.price,
                reason=event_type,
            )
            return [event]

        def paid() -> tuple[Sequence[PaymentEvent], None]:
            world().paid.add(purchase_id)
            return tell("paid"), None

        events: Sequence[PaymentEvent] = _ask(
            "poll",
            purchase_id,
            lambda: tell("paid") if purchase_id in world().paid else (),
            {"paid": paid, "declined": lambda: (tell("declined"), None), "expired": lambda: (tell("expired"), None)},
        )
        return events


Answers = Mapping[str, Callable[[], tuple[Any, Exception | None]]]


def _ask(name: str, purchase_id: str, perform: Callable[[], Any], answers: Answers) -> Any:
    """Ask the provider of a purchase."""
    items = frozenset({("provider", purchase_id)})
    return world().call(Call(name, perform, CHANGES, items, writes=True, answers=answers))


_worlds: list[World] = []


def world() -> World:
    """The world of the run."""
    return _worlds[-1]


@contextmanager
def within(one: World) -> Iterator[World]:
    """Let the handlers live in a world."""
    _worlds.append(one)
    try:
        yield one
    finally:
        _worlds.pop()


class OneByOne:
    """A pool that does each task where it is handed in.

    What may happen to two that are done at once happens to two sweeps as well.
    """

    def __init__(self, _at_once: int) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, task: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Do it."""
        future: Future[Any] = Future()
        future.set_result(task(*arguments))
        return future


@contextmanager
def simulated() -> Iterator[None]:
    """Give the handlers the ports of the present world, and keep what they print to themselves."""
    ports = (
        lambda: world().mine().ledger,
        lambda: world().mine().queue,
        lambda: world().mine().secrets,
        lambda: world().mine().bus,
        lambda: world().mine().republish_queue,
    )
    with (
        handlers_on(*ports) as patch,
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        redirect_stdout(nowhere),
    ):
        patch.setattr(
            registry,
            "Sandbox",
            lambda page_url, secrets: SimSandbox(page_url, secrets, now_s=lambda: world().at_ms / 1000),
        )
        for module in (problems, publishing, sweep_app):
            patch.setattr(module, "count", lambda name, *_: world().noted_alarm(name))
        patch.setattr(due, "ThreadPoolExecutor", OneByOne)
        # It changes no account whose books are right, and would multiply the orders of every sweep.
        patch.setattr(sweep_app, "walk_on", lambda *_: Walked())
        yield

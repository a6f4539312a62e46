"""The world around the handlers in a scheduler's run: a store that shows commits item by item, a queue, secrets, time.

Each port's call stops at the scheduler, and each environment has ports of its own, as an environment has its clients.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

from autocredits.bootstrap import catalog
from autocredits.domain.decide import RecordWrite
from autocredits.domain.journal import Page
from autocredits.domain.kinds import GLOBAL_KINDS
from autocredits.domain.records import RecordKey, RecordList, Records
from autocredits.ledger.commit import Ledger
from autocredits.ledger.ports import ConflictError, Listed, Snapshot
from functions.purchase.payments import registry
from functions.purchase.payments.port import Checkout, Started
from functions.purchase.payments.sandbox import Sandbox
from tests.kit.deliveries import BEGIN_MS
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
        return MemoryStore({account: numbers for account, numbers in pages.items() if numbers}, records)

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

    def _check_free(self, items: set[Item]) -> None:
        if not self.hidden.keys().isdisjoint(items):
            raise ConflictError

    def copy(self) -> "SimStore":
        """Another store with the same in it."""
        return type(self)({account: dict(numbers) for account, numbers in self.pages.items()}, dict(self.records))


def item_of(account_id: str, key: RecordKey) -> Item:
    """The item that a record lies in."""
    return ("record", "" if key[0] in GLOBAL_KINDS else account_id, *key)


def items_of(account_id: str, version: int | None, writes: Sequence[RecordWrite]) -> list[Item]:
    """The items of a commit."""
    page = [("page", account_id, f"{version}")] if version is not None else []
    return [*page, *(item_of(account_id, write.key) for write in writes)]


class World:
    """What all environments of a run share: the store, the queue, the time, and the scheduler.

    `born` tells at which step each record appeared, `versions` at which step each page did.
    """

    def __init__(self, scheduler: Scheduler | None, store: SimStore) -> None:
        self.scheduler = scheduler
        self.store = store
        self.at_ms = BEGIN_MS
        self.sent: list[str] = []
        self.dead: list[tuple[str, str]] = []
        self.born: dict[Any, int] = dict.fromkeys(store.records, 0)
        self.versions: list[int] = [0] * sum(map(len, store.pages.values()))
        self.ports: dict[Environment | None, Ports] = {}

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

    def noted(self) -> None:
        """Note the step at which pages and records appeared."""
        step = self.scheduler.step if self.scheduler else 0
        for place in self.store.records:
            self.born.setdefault(place, step)
        pages = sum(map(len, self.store.pages.values()))
        self.versions.extend([step] * (pages - len(self.versions)))

    def version(self) -> int:
        """The number of the newest page, whether it shows or not. There is one account."""
        return len(self.versions)


class Ports:
    """The clients of one environment."""

    def __init__(self, world: World) -> None:
        self.ledger = Ledger(SimStorePort(world), SimClock(world), catalog())
        self.queue = SimQueue(world)
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
        """A list as the records show."""
        read = partial(MemoryStore.list, start=start, newest_first=newest_first, limit=limit, shard=shard)
        listed: Sequence[Listed] = self._ask("list", ALL, lambda: read(self.world.store.seen(), which, account_id))
        return listed

    def commit(
        self, account_id: str, page: Page | None, writes: Sequence[RecordWrite], *, vacant: int | None = None
    ) -> None:
        """All or nothing, and shown at once or item by item."""
        world, version = self.world, page.version if page else vacant
        written = items_of(account_id, page.version if page else None, writes)

        def perform() -> None:
            world.store.commit(account_id, page, writes, vacant=vacant)
            world.noted()

        def tear(outcome: str) -> Callable[[], None]:
            before = world.store.copy()
            perform()
            shown = set(outcome.removeprefix("shows ").split("+"))
            for index, item in enumerate(written):
                if f"{index}" not in shown:
                    world.store.hidden[item] = _before(before, item, account_id)
            return world.store.hidden.clear

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
        self.world.call(Call("send", lambda: self.world.sent.append(body), CHANGES))

    def dead_letter(self, body: str, reason: str) -> None:
        """Put a message to the dead letters."""
        self.world.call(Call("dead letter", lambda: self.world.dead.append((body, reason)), CHANGES))

    def defer(self, receipt: str, seconds: int) -> None:  # noqa: ARG002 - the port's form
        """The message is shown again later, as every message that is not acknowledged."""
        self.world.call(Call("defer", lambda: None, CHANGES))


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
    """The sandbox as a provider that must be asked."""

    __slots__ = ()

    def start(self, checkout: Checkout) -> Started:
        """Start the payment, if the call comes through."""
        started: Started = world().call(Call("provider", lambda: Sandbox.start(self, checkout), CHANGES))
        return started


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


@contextmanager
def simulated() -> Iterator[None]:
    """Give the handlers the ports of the present world, and keep what they print to themselves."""
    ports = (lambda: world().mine().ledger, lambda: world().mine().queue, lambda: world().mine().secrets)
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
        yield

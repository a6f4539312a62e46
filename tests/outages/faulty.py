"""Stores in memory that misbehave as DynamoDB and the network do."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from autocredits.domain.decide import RecordWrite
from autocredits.domain.journal import Page
from autocredits.domain.records import RecordKey, RecordList, Records
from autocredits.domain.usage import Day
from autocredits.ledger.ports import AccountsFound, ConflictError, Listed, Snapshot, StoredPage, UnavailableError
from tests.kit.memory import MemoryStore

OK, REQUEST_LOST, ANSWER_LOST, THROTTLED, CONFLICT = "ok", "request lost", "answer lost", "throttled", "conflict"
FAULTS = (REQUEST_LOST, ANSWER_LOST, THROTTLED, CONFLICT)


@dataclass(slots=True)
class StoreView:
    """A store in memory, seen through something. Each view overrides what it distorts."""

    inner: MemoryStore

    def head(self, account_id: str) -> Page | None:
        """The newest page."""
        return self.inner.head(account_id)

    def page(self, account_id: str, version: int) -> Page | None:
        """The page with this number."""
        return self.inner.page(account_id, version)

    def pages_before(self, account_id: str, version: int, limit: int) -> Sequence[Page]:
        """Older pages."""
        return self.inner.pages_before(account_id, version, limit)

    def read(self, account_id: str, keys: Sequence[RecordKey]) -> Records:
        """Records."""
        return self.inner.read(account_id, keys)

    def snapshot(self, account_id: str, version: int, keys: Sequence[RecordKey]) -> Snapshot:
        """Page and records at one moment."""
        return self.inner.snapshot(account_id, version, keys)

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
        """A list."""
        return self.inner.list(which, account_id, start=start, newest_first=newest_first, limit=limit, shard=shard)

    def pages_after(self, account_id: str, version: int, limit: int) -> Sequence[StoredPage]:
        """Newer pages, as they are stored."""
        return self.inner.pages_after(account_id, version, limit)

    def newest_day(self, account_id: str) -> Day | None:
        """The newest audited day."""
        return self.inner.newest_day(account_id)

    def find_accounts(self, position: str, limit: int) -> AccountsFound:
        """Some of the accounts."""
        return self.inner.find_accounts(position, limit)

    def days(self, account_id: str, first: str) -> Sequence[Day]:
        """Audited days."""
        return self.inner.days(account_id, first)

    def write_day(self, account_id: str, day: Day, expected_rev: int | None) -> None:
        """Write an audited day."""
        self.inner.write_day(account_id, day, expected_rev)

    def put_off(self, which: RecordList, listed: Listed, key: RecordKey, until_ms: Callable[[int], int]) -> int:
        """Show it later."""
        return self.inner.put_off(which, listed, key, until_ms)

    def commit(
        self, account_id: str, page: Page | None, writes: Sequence[RecordWrite], *, vacant: int | None = None
    ) -> None:
        """Everything or nothing."""
        self.inner.commit(account_id, page, writes, vacant=vacant)


@dataclass(slots=True)
class FaultyStore(StoreView):
    """One fault per call, in their sequence; when they are used up, all goes well.

    A lost request did nothing, a lost answer did everything; both look the same. A plain read knows no conflict.
    """

    faults: Iterable[str] = ()
    _left: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self._left = iter(self.faults)

    def _fault(self, *, transactional: bool = False) -> str:
        """The fault of this call, raised if the request never arrived."""
        fault = next(self._left, OK)
        if fault in (REQUEST_LOST, THROTTLED):
            raise UnavailableError(fault)
        if fault == CONFLICT and transactional:
            raise ConflictError
        return fault

    def _answered(self, fault: str) -> None:
        if fault == ANSWER_LOST:
            raise UnavailableError(fault)

    def head(self, account_id: str) -> Page | None:
        """The newest page, or nothing."""
        self._answered(self._fault())
        return self.inner.head(account_id)

    def page(self, account_id: str, version: int) -> Page | None:
        """A page, or nothing."""
        self._answered(self._fault())
        return self.inner.page(account_id, version)

    def read(self, account_id: str, keys: Sequence[RecordKey]) -> Records:
        """Records, or nothing."""
        self._answered(self._fault())
        return self.inner.read(account_id, keys)

    def snapshot(self, account_id: str, version: int, keys: Sequence[RecordKey]) -> Snapshot:
        """One moment, or nothing, or a write under way."""
        self._answered(self._fault(transactional=True))
        return self.inner.snapshot(account_id, version, keys)

    def commit(
        self, account_id: str, page: Page | None, writes: Sequence[RecordWrite], *, vacant: int | None = None
    ) -> None:
        """Done or not, told or not."""
        fault = self._fault(transactional=True)
        self.inner.commit(account_id, page, writes, vacant=vacant)
        self._answered(fault)


@dataclass(slots=True)
class RivalStore(StoreView):
    """Somebody else does something just before a call: each rival in turn, before the next call of his kind."""

    rivals: list[tuple[str, Callable[[], object]]] = field(default_factory=list)

    def _meet(self, call: str) -> None:
        if self.rivals and self.rivals[0][0] == call:
            self.rivals.pop(0)[1]()

    def head(self, account_id: str) -> Page | None:
        """The newest page, after the rival."""
        self._meet("head")
        return self.inner.head(account_id)

    def read(self, account_id: str, keys: Sequence[RecordKey]) -> Records:
        """Records, after the rival."""
        self._meet("read")
        return self.inner.read(account_id, keys)

    def snapshot(self, account_id: str, version: int, keys: Sequence[RecordKey]) -> Snapshot:
        """One moment, after the rival."""
        self._meet("snapshot")
        return self.inner.snapshot(account_id, version, keys)

    def commit(
        self, account_id: str, page: Page | None, writes: Sequence[RecordWrite], *, vacant: int | None = None
    ) -> None:
        """A commit, after the rival."""
        self._meet("commit")
        self.inner.commit(account_id, page, writes, vacant=vacant)


@dataclass(slots=True)
class HalfShownStore(StoreView):
    """Somebody's transaction is committed, but plain reads do not show all of it until `reads_left` are done.

    `before` is the store as it was before that transaction; `shown` are those of its items that show at once: the
    account's new page (`page`) and records by their key. Meanwhile a transaction that touches one of its items is
    cancelled by the write under way, as DynamoDB does; conditions speak the truth all the same if `strict` is off.
    """

    before: MemoryStore = field(default_factory=MemoryStore)
    items: frozenset[object] = frozenset()
    shown: frozenset[object] = frozenset()
    reads_left: int = 0
    strict: bool = True

    def _hidden(self) -> frozenset[object]:
        return self.items - self.shown if self.reads_left > 0 else frozenset()

    def _side(self, item: object) -> MemoryStore:
        side = self.before if item in self._hidden() else self.inner
        self.reads_left -= 1
        return side

    def head(self, account_id: str) -> Page | None:
        """The newest page that shows."""
        return self._side("page").head(account_id)

    def page(self, account_id: str, version: int) -> Page | None:
        """The page, if it shows."""
        return self._side("page").page(account_id, version)

    def read(self, account_id: str, keys: Sequence[RecordKey]) -> Records:
        """The records as they show, each by itself."""
        found: dict[RecordKey, object] = {}
        hidden = self._hidden()
        self.reads_left -= 1
        for key in keys:
            found.update((self.before if key in hidden else self.inner).read(account_id, [key]))
        return found  # type: ignore[return-value]

    def snapshot(self, account_id: str, version: int, keys: Sequence[RecordKey]) -> Snapshot:
        """One moment; cancelled while the write is under way."""
        under_way = bool(self._hidden())
        self.reads_left -= 1
        if under_way:
            raise ConflictError
        return self.inner.snapshot(account_id, version, keys)

    def commit(
        self, account_id: str, page: Page | None, writes: Sequence[RecordWrite], *, vacant: int | None = None
    ) -> None:
        """Under the true conditions; cancelled while a write of the same items is under way."""
        touched = {write.key for write in writes} | ({"page"} if page or vacant else set())
        under_way = self.strict and bool(self._hidden()) and bool(touched & self.items)
        self.reads_left -= 1
        if under_way:
            raise ConflictError
        self.inner.commit(account_id, page, writes, vacant=vacant)


def copy_of(store: MemoryStore) -> MemoryStore:
    """The store as it is now."""
    return MemoryStore(copy.deepcopy(store.pages), dict(store.records))

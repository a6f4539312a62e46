"""What the ledger and the edge ask of the outside: a store, a queue, a bus, a clock. `adapters` has the real ones."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from autocredits.domain.decide import RecordWrite
from autocredits.domain.journal import Page
from autocredits.domain.records import RecordKey, RecordList, Records
from autocredits.domain.usage import Day


class ConflictError(Exception):
    """Somebody else was faster, or is writing right now; nothing was written. `records` are those in the way."""

    def __init__(self, records: Records | None = None) -> None:
        self.records: Records = records or {}
        super().__init__("the account or a record has changed")


class UnavailableError(Exception):
    """A service did not answer, or throttles: what was asked may or may not have happened."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a transactional read saw: whether the page exists, and the records that do."""

    page_exists: bool
    records: Records


@dataclass(frozen=True, slots=True)
class StoredPage:
    """A page as it lies in the table, whether or not it can be read. `hash` is empty where there is none."""

    account_id: str
    version: int
    stored: Mapping[str, Any]
    hash: str


@dataclass(frozen=True, slots=True)
class AccountsFound:
    """Accounts of a part of the store, and the position at which to look for more; empty at the end."""

    account_ids: Sequence[str]
    position: str


@dataclass(frozen=True, slots=True, order=True)
class Listed:
    """An item of a list; positions sort as their times do."""

    position: str
    account_id: str
    item_id: str

    def at_ms(self) -> int:
        """The time that it is sorted by."""
        return int(self.position.partition("#")[0])


def list_position(at_ms: int, name: str) -> str:
    """Where a list shows an item of a time."""
    return f"{at_ms:014d}#{name}"


def shard_of(which: RecordList, item_id: str) -> int:
    """The shard of a list that an item stands in: a hash, so that all get the same load."""
    return hashlib.sha256(item_id.encode()).digest()[0] % which.shards


class Store(Protocol):
    """Where journals and records are kept. Every read is strongly consistent, but for lists.

    Any call may raise UnavailableError; a stored page that does not match its hash raises BrokenInvariantError.
    """

    def head(self, account_id: str) -> Page | None:
        """The newest page; None if the account does not exist."""
        ...

    def page(self, account_id: str, version: int) -> Page | None:
        """The page with this number, if it exists."""
        ...

    def pages_before(self, account_id: str, version: int, limit: int) -> Sequence[Page]:
        """At most `limit` pages with numbers below `version`, newest first."""
        ...

    def pages_after(self, account_id: str, version: int, limit: int) -> Sequence[StoredPage]:
        """At most `limit` pages with numbers above `version`, oldest first, as they are stored."""
        ...

    def newest_day(self, account_id: str) -> Day | None:
        """The newest record of what was consumed in a day; None if there is none."""
        ...

    def days(self, account_id: str, first: str) -> Sequence[Day]:
        """The newest of those records, and all others from the day `first` on, newest first.

        Read in this order, since only the newest one can still grow.
        """
        ...

    def write_day(self, account_id: str, day: Day, expected_rev: int | None) -> None:
        """Write a day's record alone, on condition that it still has `expected_rev` (None: that there is none).

        Raises ConflictError.
        """
        ...

    def find_accounts(self, position: str, limit: int) -> AccountsFound:
        """The accounts among the next `limit` items of the store, from a position that an answer named, or the first.

        In no order. One that is opened meanwhile may be missing.
        """
        ...

    def read(self, account_id: str, keys: Sequence[RecordKey]) -> Records:
        """Those of the records that exist."""
        ...

    def snapshot(self, account_id: str, version: int, keys: Sequence[RecordKey]) -> Snapshot:
        """Page `version` and the records at one moment. Raises ConflictError while one of them is being written."""
        ...

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
        """At most `limit` items beyond `start` (a `Listed.position`; empty: from the end), of one shard or of all.

        A list may lag by a second: only the record tells. A shared list takes NO_ACCOUNT.
        """
        ...

    def put_off(self, which: RecordList, listed: Listed, key: RecordKey, until_ms: Callable[[int], int]) -> int:
        """Show a listed record later, without a change of the record; how often since it was last written.

        `until_ms` gives the time, from that number. 0 where the list does not show the record there any more.
        """
        ...

    def commit(
        self, account_id: str, page: Page | None, writes: Sequence[RecordWrite], *, vacant: int | None = None
    ) -> None:
        """Write the page, if there is one and its number is free, and all records under their conditions, or nothing.

        `vacant` is the number of a page that must be absent though none is written. Raises ConflictError with the
        records that were in the way.
        """
        ...


class Queue(Protocol):
    """A queue and its dead letters. Each call may raise UnavailableError."""

    def send(self, account_id: str, body: str) -> None:
        """Send a message about the account."""
        ...

    def send_all(self, messages: Sequence[tuple[str, str]]) -> None:
        """Send messages, each an account and a body. Raises UnavailableError unless all of them were sent."""
        ...

    def dead_letter(self, body: str, reason: str) -> None:
        """Send the body, unchanged, to the dead letters, with the reason."""
        ...

    def defer(self, delays: Mapping[str, int]) -> None:
        """Show received messages again after so many seconds each, by their receipts."""
        ...


class WrittenPage(Protocol):
    """A page that was just written, as the table's stream tells."""

    @property
    def account_id(self) -> str:
        """Whose it is."""
        ...

    @property
    def version(self) -> int:
        """Its number."""
        ...

    def read(self) -> Page:
        """The page itself. Raises BrokenInvariantError if it does not match its hash."""
        ...


@dataclass(frozen=True, slots=True)
class BusEvent:
    """An event as it goes on the bus. `detail` is JSON."""

    type: str
    at_ms: int
    detail: str


class Bus(Protocol):
    """Where events go."""

    def put(self, events: Sequence[BusEvent]) -> Sequence[BusEvent]:
        """Put the events on the bus; those that did not get there. Raises UnavailableError if it cannot be asked."""
        ...


class Clock(Protocol):
    """Time, and the waiting between two tries."""

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        ...

    def monotonic_s(self) -> float:
        """Seconds of a clock that never goes back."""
        ...

    def sleep_up_to(self, seconds: float) -> None:
        """Wait for a random time of at most `seconds` (full jitter)."""
        ...

"""The ports in memory. They keep what the real adapters keep: stored forms, not objects, and a call's deadline."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autocredits.domain.decide import RecordWrite
from autocredits.domain.journal import Page, page_from_map
from autocredits.domain.kinds import GLOBAL_KINDS, record_from_map
from autocredits.domain.records import NO_ACCOUNT, Listing, Record, RecordKey, RecordList, Records
from autocredits.domain.usage import Day, day_from_map
from autocredits.ledger.ports import (
    AccountsFound,
    BusEvent,
    ConflictError,
    Listed,
    Snapshot,
    StoredPage,
    list_position,
    shard_of,
)
from autocredits.ledger.time_limit import check_time

MAX_ACTIONS = 100
MAX_ITEM_BYTES = 400 * 1024
MAX_COMMIT_BYTES = 4 * 1024 * 1024


@dataclass(slots=True)
class MemoryStore:
    """A Store in memory; every call is atomic, and none is begun that might end too late."""

    pages: dict[str, dict[int, tuple[str, str]]] = field(default_factory=dict)
    records: dict[tuple[str, RecordKey], str] = field(default_factory=dict)
    put_off_to: dict[tuple[str, RecordKey], tuple[int, int]] = field(default_factory=dict)
    listings: dict[tuple[RecordKey, str], tuple[Listing, ...]] = field(default_factory=dict, compare=False, repr=False)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def head(self, account_id: str) -> Page | None:
        """The newest page."""
        check_time()
        with self.lock:
            versions = self.pages.get(account_id)
            return self.page(account_id, max(versions)) if versions else None

    def page(self, account_id: str, version: int) -> Page | None:
        """The page with this number."""
        check_time()
        with self.lock:
            stored = self.pages.get(account_id, {}).get(version)
        return page_from_map(account_id, json.loads(stored[0]), stored[1]) if stored else None

    def pages_before(self, account_id: str, version: int, limit: int) -> Sequence[Page]:
        """At most `limit` pages below `version`, newest first."""
        check_time()
        with self.lock:
            versions = sorted((number for number in self.pages.get(account_id, {}) if number < version), reverse=True)
            pages = [self.page(account_id, number) for number in versions[:limit]]
        return [page for page in pages if page is not None]

    def pages_after(self, account_id: str, version: int, limit: int) -> Sequence[StoredPage]:
        """At most `limit` pages above `version`, oldest first, as they are stored."""
        check_time()
        with self.lock:
            stored = sorted(
                (number, *page) for number, page in self.pages.get(account_id, {}).items() if number > version
            )
        return [StoredPage(account_id, number, json.loads(text), digest) for number, text, digest in stored[:limit]]

    def newest_day(self, account_id: str) -> Day | None:
        """The newest day that has a record."""
        days = self.days(account_id, "9999")
        return days[0] if days else None

    def days(self, account_id: str, first: str) -> Sequence[Day]:
        """The newest day that has a record, and all others from `first` on, newest first."""
        check_time()
        with self.lock:
            stored = dict(self.records)
        days = sorted(
            (key[1], text) for (owner, key), text in stored.items() if owner == account_id and key[0] == "day"
        )[::-1]
        return [day_from_map(date, json.loads(text)) for date, text in days if (date, text) == days[0] or date >= first]

    def write_day(self, account_id: str, day: Day, expected_rev: int | None) -> None:
        """Under its condition."""
        self.commit(account_id, None, [RecordWrite(("day", day.date), day, expected_rev)])

    def find_accounts(self, position: str, limit: int) -> AccountsFound:
        """By their names. Nothing else counts as an item."""
        check_time()
        with self.lock:
            beyond = sorted(account_id for account_id in self.pages if account_id > position)
        found = [account_id for account_id in beyond[:limit] if 1 in self.pages[account_id]]
        return AccountsFound(found, beyond[limit - 1] if len(beyond) > limit else "")

    def read(self, account_id: str, keys: Sequence[RecordKey]) -> Records:
        """Those of the records that exist. Raises ValueError for one that is asked for twice."""
        check_time()
        _check_keys(keys)
        with self.lock:
            found = {key: self.records.get(_place(account_id, key)) for key in keys}
        return {key: record_from_map(key, json.loads(text)) for key, text in found.items() if text is not None}

    def snapshot(self, account_id: str, version: int, keys: Sequence[RecordKey]) -> Snapshot:
        """Page and records at one moment. Raises ValueError for more than one transaction reads."""
        check_time()
        _check_keys(keys, MAX_ACTIONS - 1)
        with self.lock:
            return Snapshot(version in self.pages.get(account_id, {}), self.read(account_id, keys))

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
        """Items beyond `start`, as their records say."""
        check_time()
        with self.lock:
            stored = list(self.records.items())
            put_off = dict(self.put_off_to)
        listed = sorted(
            {item for place, text in stored for item in self._listed(which, place, text, shard, put_off.get(place))}
        )
        beyond = [
            item
            for item in (reversed(listed) if newest_first else listed)
            if item.account_id == account_id or which.shared
            if not start or (item.position < start if newest_first else item.position > start)
        ]
        return beyond[:limit]

    def _listed(
        self,
        which: RecordList,
        place: tuple[str, RecordKey],
        text: str,
        shard: int | None,
        put_off: tuple[int, int] | None,
    ) -> Iterator[Listed]:
        """Where a record stands in a list, or in one shard of it. Each stored form is read once."""
        account_id, key = place
        if (key, text) not in self.listings:
            self.listings[key, text] = tuple(record_from_map(key, json.loads(text)).listings())
        for listing in self.listings[key, text]:
            if listing.list == which and shard in (None, shard_of(which, listing.item_id)):
                name = f"{account_id}#{listing.item_id}" if which.shared else listing.item_id
                at_ms = put_off[0] if put_off and which.shared else listing.at_ms
                yield Listed(list_position(at_ms, name), account_id, listing.item_id)

    def put_off(self, which: RecordList, listed: Listed, key: RecordKey, until_ms: Callable[[int], int]) -> int:
        """Show it later, until it is written again."""
        check_time()
        with self.lock:
            place = _place(listed.account_id, key)
            shown = self._listed(which, place, self.records.get(place, "{}"), None, self.put_off_to.get(place))
            if place not in self.records or listed not in set(shown):
                return 0
            times = self.put_off_to.get(place, (0, 0))[1] + 1
            self.put_off_to[place] = (until_ms(times), times)
            return times

    def commit(
        self, account_id: str, page: Page | None, writes: Sequence[RecordWrite], *, vacant: int | None = None
    ) -> None:
        """All or nothing, under every condition. Raises ValueError for what DynamoDB would not take at all."""
        check_time()
        _check_size(page, vacant, writes)
        with self.lock:
            stored = self.read(account_id, [write.key for write in writes])
            failed = [write.key for write in writes if not _holds(write, stored.get(write.key))]
            number = page.version if page else vacant
            taken = number in self.pages.get(account_id, {})
            if failed or taken:
                raise ConflictError({key: stored[key] for key in failed if key in stored})
            if page is not None:
                text = json.dumps(page.to_map())
                self.pages.setdefault(account_id, {})[page.version] = (text, page.hash)
            for write in writes:
                self.records[_place(account_id, write.key)] = json.dumps(write.record.to_map())
                self.put_off_to.pop(_place(account_id, write.key), None)


def _place(account_id: str, key: RecordKey) -> tuple[str, RecordKey]:
    """Where a record lies: payments and coupons belong to no account."""
    return (NO_ACCOUNT if key[0] in GLOBAL_KINDS else account_id), key


def _check_keys(keys: Sequence[RecordKey], most: int | None = None) -> None:
    """DynamoDB reads no item twice in one call."""
    if len(set(keys)) < len(keys) or (most is not None and len(keys) > most):
        raise ValueError("too many keys, or one twice")


def _check_size(page: Page | None, vacant: int | None, writes: Sequence[RecordWrite]) -> None:
    """DynamoDB takes 1 to 100 actions and 4 MB a transaction, no item twice, and about 400 KB an item."""
    actions = len(writes) + (page is not None or vacant is not None)
    if not 0 < actions <= MAX_ACTIONS or len({write.key for write in writes}) < len(writes):
        raise ValueError("a transaction of no actions or too many, or with an item twice")
    items = [write.record.to_map() for write in writes] + ([page.to_map()] if page else [])
    sizes = [len(json.dumps(item, ensure_ascii=False).encode("utf-8", "surrogatepass")) for item in items]
    if max(sizes, default=0) > MAX_ITEM_BYTES or sum(sizes) > MAX_COMMIT_BYTES:
        raise ValueError("an item or a transaction that is too large")


def _holds(write: RecordWrite, stored: Record | None) -> bool:
    """Whether the write's condition holds: the record is absent, or has the expected rev."""
    if write.expected_rev is None:
        return stored is None
    # A rev of 0 is not stored, as DynamoDB's condition sees.
    return stored is not None and stored.to_map().get("rev") == write.expected_rev


@dataclass(slots=True)
class MemoryQueue:
    """A Queue in memory: what was sent to it, and how long each message was deferred."""

    sent: list[tuple[str, str]] = field(default_factory=list)
    dead: list[dict[str, Any]] = field(default_factory=list)
    delays: dict[str, int] = field(default_factory=dict)

    def send(self, account_id: str, body: str) -> None:
        """Keep a message."""
        check_time()
        self.sent.append((account_id, body))

    def send_all(self, messages: Sequence[tuple[str, str]]) -> None:
        """Keep messages."""
        check_time()
        self.sent += messages

    def dead_letter(self, body: str, reason: str) -> None:
        """Keep a dead letter."""
        check_time()
        self.dead.append({"body": body, "reason": reason})

    def defer(self, delays: Mapping[str, int]) -> None:
        """Keep how long each message was deferred: ten in a call."""
        for start in range(0, len(delays), 10):
            check_time()
            self.delays.update(list(delays.items())[start : start + 10])


@dataclass(slots=True)
class MemoryBus:
    """A Bus in memory: what was put on it."""

    events: list[BusEvent] = field(default_factory=list)

    def put(self, events: Sequence[BusEvent]) -> Sequence[BusEvent]:
        """Keep them all."""
        check_time()
        self.events += events
        return []


@dataclass(slots=True)
class ManualClock:
    """A Clock that stands still until it is told to go on; waiting moves it."""

    at_ms: int = 1_764_000_000_000
    waited_s: float = 0.0

    def now_ms(self) -> int:
        """The time it stands at."""
        return self.at_ms

    def monotonic_s(self) -> float:
        """Seconds since it was made."""
        return self.waited_s

    def sleep_up_to(self, seconds: float) -> None:
        """Go on by the whole of it."""
        self.waited_s += seconds
        self.at_ms += int(seconds * 1000)

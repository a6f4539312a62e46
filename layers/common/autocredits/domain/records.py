"""The records beside the journal. Each is written in one transaction with a page, under a condition of its own.

The kernel knows the idempotency key's record alone; the others belong to the trades, and `kinds.py` lists them all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from .forms import Stored, field_names, from_map, to_map

RecordKey = tuple[str, str]
"""Kind and id of a record."""

NO_ACCOUNT = ""
"""Stands for the account where records belong to none."""


@dataclass(frozen=True, slots=True)
class RecordList:
    """A list of records, sorted by time. A record stands in at most one list of each `index`.

    It is spread over `shards`, so that no index partition takes all the writes. Each account has its own, unless it is
    `shared` by all.
    """

    name: str
    index: str
    shards: int
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """A record's place in a list."""

    list: RecordList
    at_ms: int
    item_id: str


class Record(Stored, Protocol):
    """What can be written beside a page. `FORM` is the highest form that this release can write."""

    FORM: ClassVar[int]

    @property
    def rev(self) -> int | None:
        """How often it has been written, which the next write requires unchanged; None if it is written only once."""
        ...

    def newest_version(self) -> int:
        """The newest page that touched it; 0 if none has."""
        ...

    def listings(self) -> tuple[Listing, ...]:
        """Its places in lists."""
        ...

    def to_map(self) -> dict[str, Any]:
        """The stored form."""
        ...


Records = Mapping[RecordKey, Record]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """What an idempotency key did: the request it came with, and what answers it. Kept for ever.

    The answer is `count` entries from `first` on in page `version`, whose hash is `hash` (None in keys of earlier
    releases). For an order that was queued and moved nothing, it is the `status` and `attempt` of that moment.
    """

    key: str
    fingerprint: str
    version: int
    hash: str | None = None
    first: int = 0
    count: int = 0
    status: str | None = None
    attempt: int | None = None
    unknown: Mapping[str, Any] = field(default_factory=dict)
    FORM: ClassVar[int] = 1
    rev: ClassVar[None] = None

    def newest_version(self) -> int:
        """The page that answers the key."""
        return self.version

    def listings(self) -> tuple[Listing, ...]:
        """Keys are not listed."""
        return ()

    def to_map(self) -> dict[str, Any]:
        """The stored form."""
        return to_map(self, _KEY_FIELDS)


_KEY_FIELDS = field_names(KeyRecord)


def key_from_map(stored: Mapping[str, Any]) -> KeyRecord:
    """The key's record of a stored form."""
    return KeyRecord(**from_map(_KEY_FIELDS, stored))


def rev_of(record: Record | None) -> int | None:
    """What the next write of the record is conditioned on; None: that there is no such record yet."""
    return None if record is None else record.rev

"""Decisions without I/O: what commands do to an account, given its newest page and the records they concern.

`decide` runs a list of commands over one draft. Each one either adds entries and changes records, or refuses and
leaves no trace; the draft then becomes one page and one transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from .catalog import Catalog
from .errors import BrokenInvariantError, Problem, require
from .forms import form_of
from .ids import entry_id
from .journal import Entry, Page, apply, next_page
from .records import KeyRecord, Record, RecordKey, Records, rev_of
from .state import State

AnyRecord = TypeVar("AnyRecord", bound=Record)


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A caller's key and the fingerprint of the request that came with it."""

    key: str
    fingerprint: str


class NotYet(Exception):  # noqa: N818 - it is no error: the message waits
    """A result came before its request: the message is to be tried again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A command that was accepted, or has nothing to do.

    `did` says in one word what happened (for logs). Its entries are `count` from `first` on, in the page that its
    draft becomes, or in the page that `replayed` names if an earlier request with the same key wrote them. `record`
    is the record that the command concerns, as it leaves it; `key_record` what the key remembers, where the answer is
    made from that.
    """

    did: str
    first: int = 0
    count: int = 0
    replayed: KeyRecord | None = None
    record: Record | None = None
    key_record: KeyRecord | None = None


Outcome = Done | Problem | NotYet


@dataclass(frozen=True, slots=True)
class RecordWrite:
    """A record to be written on condition that it still has `expected_rev`; None: that it does not exist."""

    key: RecordKey
    record: Record
    expected_rev: int | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What a list of commands comes to: at most one page, the records that change, one outcome per command.

    `vacant` is the number of the next page, which must still be free; it is set where the state was decisive but no
    page is written.
    """

    page: Page | None
    vacant: int | None
    writes: tuple[RecordWrite, ...]
    outcomes: tuple[Outcome, ...]


class Command(Protocol):
    """Something to be done to one account."""

    def records(self) -> tuple[RecordKey, ...]:
        """The records that it concerns."""
        ...

    @property
    def expects_new(self) -> bool:
        """Whether those records usually do not exist yet: then the first try relies on conditions and reads none."""
        ...

    def decide(self, draft: "Draft") -> Done:
        """Change the draft. Raises Problem or NotYet, and then the draft is put back as it was."""
        ...


@dataclass(slots=True)
class Draft:
    """An account's next page while commands are writing it.

    `decisive` tells that a command relied on the account's state. If no page is written, the commit then checks that
    `head` is still the newest one.
    """

    account_id: str
    head: Page | None
    records: dict[RecordKey, Record]
    catalog: Catalog
    now_ms: int
    state: State = field(init=False)
    entries: tuple[Entry, ...] = ()
    changed: dict[RecordKey, Record] = field(default_factory=dict)
    decisive: bool = False

    def __post_init__(self) -> None:
        self.state = self.head.state if self.head else State()

    def version(self) -> int:
        """The version that the draft's page will have."""
        return self.head.version + 1 if self.head else 1

    def at_ms(self) -> int:
        """The time that the draft's page will have."""
        return max(self.now_ms, self.head.at) if self.head else self.now_ms

    def add(self, entry: Entry) -> str:
        """Enter `entry` and give its id. Raises BrokenInvariantError where it would break the books."""
        self.state = apply(self.state, entry)
        self.entries = (*self.entries, entry)
        return entry_id(self.version(), len(self.entries) - 1)

    def get(self, key: RecordKey, kind: type[AnyRecord]) -> AnyRecord | None:
        """The record under `key`, None if there is none."""
        record = self.records.get(key)
        require(record is None or isinstance(record, kind), f"the record {key} is no {kind.__name__}")
        return record if isinstance(record, kind) else None

    def put(self, key: RecordKey, record: Record) -> None:
        """Write the record. Raises Problem `try_again` where a newer release has written it in a form of its own."""
        before = self.records.get(key)
        if before is not None and form_of(before) > before.FORM:
            raise Problem("try_again")
        self.records[key] = self.changed[key] = record

    def replay(self, idempotency: IdempotencyKey) -> Done | None:
        """What the key did before; None for a new key. Raises Problem `idempotency_key_reused`."""
        record = self.records.get(("key", idempotency.key))
        if not isinstance(record, KeyRecord):
            return None
        if record.fingerprint != idempotency.fingerprint:
            raise Problem("idempotency_key_reused", "This key was used for a different request.")
        return Done(did="replayed", first=record.first, count=record.count, replayed=record, key_record=record)

    def remember(self, idempotency: IdempotencyKey, first: int) -> None:
        """Record that the key's request wrote all entries of the draft from `first` on, if there are any."""
        if count := len(self.entries) - first:
            self._put_key(idempotency, version=self.version(), first=first, count=count)
        else:
            self._put_key(idempotency, **self._head_named())

    def remember_status(self, idempotency: IdempotencyKey, status: str, attempt: int) -> KeyRecord:
        """Record that the key's request moved nothing, and how it left the work."""
        return self._put_key(idempotency, **self._head_named(), status=status, attempt=attempt)

    def _head_named(self) -> dict[str, Any]:
        if self.head is None:
            raise BrokenInvariantError("a key was kept for an account without a page")
        return {"version": self.head.version, "hash": self.head.hash}

    def _put_key(self, idempotency: IdempotencyKey, **values: Any) -> KeyRecord:
        record = KeyRecord(key=idempotency.key, fingerprint=idempotency.fingerprint, **values)
        self.put(("key", record.key), record)
        return record


def decide(
    account_id: str,
    head: Page | None,
    records: Records,
    commands: Sequence[Command],
    *,
    catalog: Catalog,
    now_ms: int,
) -> Decision:
    """Run the commands over one draft. Raises BrokenInvariantError where the books would not add up."""
    draft = Draft(account_id, head, dict(records), catalog, now_ms)
    outcomes: list[Outcome] = []
    for command in commands:
        saved = (draft.state, draft.entries, dict(draft.records), dict(draft.changed), draft.decisive)
        try:
            outcomes.append(command.decide(draft))
        except (Problem, NotYet) as refusal:
            draft.state, draft.entries, draft.records, draft.changed, draft.decisive = saved
            outcomes.append(refusal)
    page = next_page(account_id, head, now_ms, draft.entries) if draft.entries else None
    require(page is None or page.state == draft.state, "the page's state is not the draft's")
    writes = tuple(
        RecordWrite(key, _sealed(record, page), rev_of(records.get(key))) for key, record in draft.changed.items()
    )
    vacant = draft.version() if draft.decisive and page is None else None
    return Decision(page, vacant, writes, tuple(outcomes))


def _sealed(record: Record, page: Page | None) -> Record:
    """The record as it is written: a key names its page by its hash too, which is known only once the page is whole."""
    if page is not None and isinstance(record, KeyRecord) and record.version == page.version:
        return replace(record, hash=page.hash)
    return record

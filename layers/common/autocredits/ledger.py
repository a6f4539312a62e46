"""The commit loop: read, decide, write on condition, and decide again when somebody was faster.

An unknown outcome needs no care of its own: the loop runs again and the records tell. A refusal is confirmed before
it is told, because a committed transaction shows itself to plain reads item by item.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from .domain.catalog import Catalog
from .domain.decide import Command, Done, NotYet, Outcome, RecordWrite, decide
from .domain.errors import BrokenInvariantError, Problem, require
from .domain.journal import Page
from .domain.records import Record, RecordKey, Records, rev_of
from .domain.work import Work

BUDGET_S = 8.0
BACKOFF_BASE_S = 0.02
BACKOFF_CAP_S = 0.25


class ConflictError(Exception):
    """Somebody else was faster, or is just writing; nothing was written. `records` are those that stood in the way."""

    def __init__(self, records: Records | None = None) -> None:
        self.records: Records = records or {}
        super().__init__("the account or a record has changed")


class UnavailableError(Exception):
    """The store did not answer, or was throttled: what was asked may or may not have happened."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a transactional read saw: whether the page exists, and the records that do."""

    page_exists: bool
    records: Records


@dataclass(frozen=True, slots=True, order=True)
class Listed:
    """An order or a purchase in a list; positions sort as their times do."""

    position: str
    work_id: str


@dataclass(frozen=True, slots=True)
class Due:
    """A purchase whose provider is to be asked."""

    account_id: str
    purchase_id: str


DUE_SHARDS = 8

LISTED_STATUSES = ("queued", "failed")
"""The statuses that have a list of their own."""


def list_position(at_ms: int, order_id: str) -> str:
    """Where a list shows an order of a time."""
    return f"{at_ms:014d}#{order_id}"


class Store(Protocol):
    """Where journals and records lie. Every read is strongly consistent.

    Any call may raise UnavailableError; a stored page that does not match its hash raises BrokenInvariantError.
    """

    def head(self, account_id: str) -> Page | None:
        """The newest page; None if the account does not exist."""
        ...

    def page(self, account_id: str, version: int) -> Page | None:
        """The page with this number, if it is there."""
        ...

    def pages_before(self, account_id: str, version: int, limit: int) -> list[Page]:
        """At most `limit` pages with numbers below `version`, newest first."""
        ...

    def read(self, account_id: str, keys: Sequence[RecordKey]) -> Records:
        """Those of the records that exist."""
        ...

    def snapshot(self, account_id: str, version: int, keys: Sequence[RecordKey]) -> Snapshot:
        """Page `version` and the records at one moment. Raises ConflictError while one of them is being written."""
        ...

    def list_orders(
        self, account_id: str, status: str | None, *, start: str, newest_first: bool, limit: int
    ) -> list[Listed]:
        """At most `limit` orders beyond `start` (a `Listed.position`; empty: from the end), by time of creation.

        With status `queued` or `failed`: just those, by the time they got it. This is a hint: it may lag a second
        behind, and only the record tells.
        """
        ...

    def list_purchases(self, account_id: str, *, start: str, limit: int) -> list[Listed]:
        """At most `limit` purchases beyond `start`, newest first. A hint, as all lists are."""
        ...

    def list_due(self, shard: int, now_ms: int, limit: int) -> list[Due]:
        """At most `limit` purchases of a shard whose provider is to be asked by now, the longest overdue first."""
        ...

    def commit(
        self, account_id: str, page: Page | None, writes: Sequence[RecordWrite], *, vacant: int | None = None
    ) -> None:
        """Write the page, if there is one and its number is free, and all records under their conditions, or nothing.

        `vacant` is the number of a page that must be absent though none is written. Raises ConflictError with the
        records that were in the way.
        """
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


@dataclass(frozen=True, slots=True)
class Accepted:
    """A command's success: what it did, and the page that holds its entries or that it was decided on."""

    done: Done
    page: Page

    def replayed(self) -> bool:
        """Whether this is the first answer to the key again."""
        return self.done.replay_version is not None


Answer = Accepted | Problem | NotYet


@dataclass(frozen=True, slots=True)
class Ledger:
    """The commit loop over a store, by a clock and a catalog."""

    store: Store
    clock: Clock
    catalog: Catalog

    def execute(self, account_id: str, command: Command) -> Accepted:
        """Do one command. Raises its Problem or NotYet, or Problem `try_again` when its outcome is unknown."""
        (answer,) = self.execute_all(account_id, [command])
        if isinstance(answer, Accepted):
            return answer
        raise answer

    def execute_all(self, account_id: str, commands: Sequence[Command]) -> list[Answer]:
        """Do the commands in as few pages as they need, and answer each.

        Raises Problem `try_again` when the store does not let them through within 8 seconds.
        """
        deadline_s = self.clock.monotonic_s() + BUDGET_S
        answers: dict[int, Answer] = {}
        found: Records = {}
        pause_s = BACKOFF_BASE_S
        while pending := [index for index in range(len(commands)) if index not in answers]:
            try:
                settled = self._attempt(account_id, [commands[index] for index in pending], found)
            except ConflictError as conflict:
                found, settled = conflict.records, {}
            except UnavailableError:
                found, settled = {}, {}
            else:
                found = {}
                answers.update({pending[position]: answer for position, answer in settled.items()})
            if len(answers) < len(commands) and self.clock.monotonic_s() >= deadline_s:
                raise Problem("try_again")
            if not found and not settled:
                self.clock.sleep_up_to(pause_s)
                pause_s = min(BACKOFF_CAP_S, pause_s * 2)
        return [answers[index] for index in range(len(commands))]

    def make_record(self, key: RecordKey, record: Record) -> None:
        """Write a record that belongs to no account.

        Raises ConflictError if there is one already that is not just the one whose answer was lost, and Problem
        `try_again`.
        """
        deadline_s, unsure = self.clock.monotonic_s() + BUDGET_S, False
        while self.clock.monotonic_s() < deadline_s:
            try:
                self.store.commit("", None, [RecordWrite(key, record, None)])
            except ConflictError as conflict:
                known = conflict.records.get(key)
                if known is not None and not (unsure and known == record):
                    raise
                if known is not None:
                    return
            except UnavailableError:
                unsure = True
            else:
                return
            self.clock.sleep_up_to(BACKOFF_CAP_S)
        raise Problem("try_again")

    def change_record(self, key: RecordKey, change: Callable[[Record], Record]) -> Record | None:
        """Change a record that belongs to no account, None if there is none. Raises Problem `try_again`.

        `change` gives the record as it is to be, with its next rev; the same record again is written no more.
        """
        deadline_s = self.clock.monotonic_s() + BUDGET_S
        while self.clock.monotonic_s() < deadline_s:
            record = self.store.read("", [key]).get(key)
            if record is None:
                return None
            changed = change(record)
            if changed == record:
                return record
            try:
                self.store.commit("", None, [RecordWrite(key, changed, rev_of(record))])
            except (ConflictError, UnavailableError):
                self.clock.sleep_up_to(BACKOFF_CAP_S)
            else:
                return changed
        raise Problem("try_again")

    def _attempt(self, account_id: str, commands: Sequence[Command], found: Records) -> dict[int, Answer]:
        """Read, decide and write once; the answers, by position, of the commands that this settles.

        `found` are records that a cancelled write has just brought. Raises ConflictError, UnavailableError.
        """
        head = self.store.head(account_id)
        records = self._read(account_id, commands, found)
        if any(record.newest_version() > (head.version if head else 0) for record in records.values()):
            raise ConflictError  # a record already shows a commit whose page the read before did not show yet
        try:
            decision = decide(account_id, head, records, commands, catalog=self.catalog, now_ms=self.clock.now_ms())
        except BrokenInvariantError:
            # A record that is older than the page breaks the books just as a defect does: only one of them stays.
            self._confirm(account_id, head, records, commands)
            raise
        refused = any(isinstance(outcome, Problem) for outcome in decision.outcomes)
        if decision.writes or decision.page:
            self.store.commit(account_id, decision.page, decision.writes, vacant=decision.vacant)
        elif refused:
            self._confirm(account_id, head, records, commands)
            refused = False
        answers = enumerate(self._answer(account_id, decision.page or head, outcome) for outcome in decision.outcomes)
        # A refusal beside accepted commands was decided on a draft that is history now: it is decided again.
        return {index: answer for index, answer in answers if not (refused and isinstance(answer, Problem))}

    def _read(self, account_id: str, commands: Sequence[Command], found: Records) -> Records:
        """The records that the commands concern; those of work that is usually new are left to the conditions."""
        keys = {key for command in commands if not command.expects_new() for key in command.records()}
        missing = sorted(keys - found.keys())
        return {**found, **(self.store.read(account_id, missing) if missing else {})}

    def _confirm(self, account_id: str, head: Page | None, records: Records, commands: Sequence[Command]) -> None:
        """Make sure that what a refusal was decided on is still so. Raises ConflictError with what is there instead."""
        keys = sorted({key for command in commands for key in command.records()})
        seen = self.store.snapshot(account_id, head.version + 1 if head else 1, keys)
        if seen.page_exists or dict(seen.records) != {key: records[key] for key in keys if key in records}:
            raise ConflictError(seen.records)

    def _answer(self, account_id: str, page: Page | None, outcome: Outcome) -> Answer:
        """The outcome with the page that tells it. Raises ConflictError while that page cannot be seen yet."""
        if not isinstance(outcome, Done):
            return outcome
        if outcome.replay_version is not None and (page is None or page.version != outcome.replay_version):
            page = self.store.page(account_id, outcome.replay_version)
            if page is None:
                raise ConflictError
        if page is None:
            raise BrokenInvariantError("a command was accepted for an account without a page")
        return Accepted(outcome, page)


def read_work(store: Store, account_id: str, key: RecordKey) -> Work | None:
    """The work record under `key`, if there is one."""
    record = store.read(account_id, [key]).get(key)
    require(record is None or isinstance(record, Work), f"the record {key} is no work")
    return record if isinstance(record, Work) else None

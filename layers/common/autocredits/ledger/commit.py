"""The commit loop: read, decide, write on condition, and decide again when somebody was faster.

An unknown outcome needs no care of its own: the loop runs again and the records tell. A refusal is confirmed before
it is told, because plain reads see a committed transaction item by item.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from autocredits.domain.catalog import Catalog
from autocredits.domain.decide import Command, Done, NotYet, Outcome, decide
from autocredits.domain.errors import BrokenInvariantError, Problem, require
from autocredits.domain.journal import Page
from autocredits.domain.records import NO_ACCOUNT, Record, RecordKey, Records

from .ports import Clock, ConflictError, Store, UnavailableError

BUDGET_S = 8.0
BACKOFF_BASE_S = 0.02
BACKOFF_CAP_S = 0.25

NO_PAGE = 0
"""The number of a page that never exists."""

AnyRecord = TypeVar("AnyRecord", bound=Record)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A command's success: what it did, and `head`, the page that holds its entries or that it was decided on.

    Only a command that concerns no account has no page.
    """

    done: Done
    head: Page | None

    @property
    def page(self) -> Page:
        """The account's page. Raises BrokenInvariantError for a command that concerns no account."""
        if self.head is None:
            raise BrokenInvariantError("a command was accepted for an account without a page")
        return self.head

    def replayed(self) -> bool:
        """Whether this is the first answer to the key again."""
        return self.done.replayed is not None

    def record(self, kind: type[AnyRecord]) -> AnyRecord:
        """The record that the command concerns, as it left it. Raises BrokenInvariantError if it is another kind."""
        if not isinstance(self.done.record, kind):
            raise BrokenInvariantError(f"{self.done.did}: the record is no {kind.__name__}")
        return self.done.record


Answer = Accepted | Problem | NotYet


@dataclass(frozen=True, slots=True)
class Ledger:
    """The commit loop over a store, by a clock and a catalog."""

    store: Store
    clock: Clock
    catalog: Catalog

    def execute(self, account_id: str, command: Command, *, reads_page: bool = True) -> Accepted:
        """Do one command; NO_ACCOUNT for one that concerns no account, such as making a coupon.

        A command to which the account's state does not matter needs no page, and works even if none can be read.
        Raises its Problem or NotYet, or Problem `try_again` when its outcome is unknown.
        """
        (answer,) = self.execute_all(account_id, [command], reads_page=reads_page and account_id != NO_ACCOUNT)
        if isinstance(answer, Accepted):
            return answer
        raise answer

    def execute_all(self, account_id: str, commands: Sequence[Command], *, reads_page: bool = True) -> list[Answer]:
        """Do the commands in as few pages as they need, and answer each.

        Raises Problem `try_again` when the store does not let them through within 8 seconds, BrokenInvariantError for
        books that do not add up.
        """
        deadline_s = self.clock.monotonic_s() + BUDGET_S
        answers: dict[int, Answer] = {}
        found: Records = {}
        pause_s = BACKOFF_BASE_S
        while pending := [index for index in range(len(commands)) if index not in answers]:
            try:
                settled = self._attempt(account_id, [commands[index] for index in pending], found, reads_page)
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

    def _attempt(
        self,
        account_id: str,
        commands: Sequence[Command],
        found: Records,
        reads_page: bool,  # noqa: FBT001 - private, and named where it is decided
    ) -> dict[int, Answer]:
        """Read, decide and write once; the answers, by position, of the commands that this settles.

        `found` are records that a cancelled write has just brought. Raises ConflictError, UnavailableError.
        """
        head = self.store.head(account_id) if reads_page else None
        following = (head.version if head else 0) + 1 if reads_page else NO_PAGE
        records = self._read(account_id, commands, found)
        if reads_page and _newest_version(records) >= following:
            self._raise_stale_or_lost(account_id, following, commands)
        try:
            decision = decide(account_id, head, records, commands, catalog=self.catalog, now_ms=self.clock.now_ms())
        except BrokenInvariantError:
            # A stale record looks like broken books too. That is a conflict, and tried again; a defect is raised.
            self._confirm(account_id, following, records, commands)
            raise
        refused = any(isinstance(outcome, Problem) for outcome in decision.outcomes)
        if decision.writes or decision.page:
            self.store.commit(account_id, decision.page, decision.writes, vacant=decision.vacant)
        elif refused:
            self._confirm(account_id, following, records, commands)
            refused = False
        answers = enumerate(self._answer(account_id, decision.page or head, outcome) for outcome in decision.outcomes)
        # Something was just committed, so a refusal of the same run is out of date: it is decided again.
        return {index: answer for index, answer in answers if not (refused and isinstance(answer, Problem))}

    def _read(self, account_id: str, commands: Sequence[Command], found: Records) -> Records:
        """The records that the commands concern.

        Those that usually do not exist yet are not read at first: the conditions of the write check them. After a
        conflict that finds one of them, all are read.
        """
        keys = {key for command in commands if found or not command.expects_new for key in command.records()}
        missing = sorted(keys - found.keys())
        return {**found, **(self.store.read(account_id, missing) if missing else {})}

    def _raise_stale_or_lost(self, account_id: str, following: int, commands: Sequence[Command]) -> None:
        """Say why a record names a page that follows the newest one read. Always raises.

        Raises ConflictError if that page has appeared since, and BrokenInvariantError if one moment shows the record
        without it: a part of the table was lost.
        """
        seen = self.store.snapshot(account_id, following, _keys_of(commands))
        lost = not seen.page_exists and _newest_version(seen.records) >= following
        require(not lost, "a record names a page that is lost")
        raise ConflictError(seen.records)

    def _confirm(self, account_id: str, following: int, records: Records, commands: Sequence[Command]) -> None:
        """Make sure that what a refusal was decided on is still so: no page follows, and the records are as read.

        Raises ConflictError with what is there instead.
        """
        keys = _keys_of(commands)
        seen = self.store.snapshot(account_id, following, keys)
        if seen.page_exists or dict(seen.records) != {key: records[key] for key in keys if key in records}:
            raise ConflictError(seen.records)

    def _answer(self, account_id: str, page: Page | None, outcome: Outcome) -> Answer:
        """The outcome, with the page that its answer is made from.

        Raises BrokenInvariantError if the page that a key was committed with is lost, or another one stands there.
        """
        if not isinstance(outcome, Done):
            return outcome
        if key := outcome.replayed:
            if page is None or page.version != key.version:
                page = self.store.page(account_id, key.version)
            require(page is not None and key.hash in (None, page.hash), f"page {key.version} is not the one of its key")
        return Accepted(outcome, page)


def _keys_of(commands: Sequence[Command]) -> list[RecordKey]:
    return sorted({key for command in commands for key in command.records()})


def _newest_version(records: Records) -> int:
    return max((record.newest_version() for record in records.values()), default=0)

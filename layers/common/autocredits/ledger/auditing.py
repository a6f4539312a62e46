"""The audit of an account: its new pages are read from the journal, checked and counted, day by day.

Each step ends in one conditional write of a day's record, which tells how far the audit has come: so a page is never
counted twice, however often and in whatever order the stream shows it, and what the stream lost is made up.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from autocredits.domain.access import Caller
from autocredits.domain.accounts import ChangeStanding
from autocredits.domain.audit import Finding, check_stored, fold, skip
from autocredits.domain.books import check_record, records_named
from autocredits.domain.errors import BrokenInvariantError
from autocredits.domain.journal import Page
from autocredits.domain.records import RecordKey
from autocredits.domain.usage import Day, date_of

from .commit import Ledger
from .ports import ConflictError, Store, StoredPage
from .time_limit import has_time

ACTOR = Caller("system:audit", "*")
STOPPED = ("suspended", "closed")

MAX_PAGES = 2_000
"""How many pages one run checks; the sweep goes on with the rest."""

PAGES_PER_READ = 100

RESERVE_S = 15.0
"""What is kept for ending a run: reading records, suspending, writing the day."""


@dataclass(slots=True)
class Audited:
    """What a run did: how many pages it checked, what it found for the first time, whether there is more to do."""

    pages: int = 0
    findings: list[Finding] = field(default_factory=list)
    behind: bool = False


def audit(ledger: Ledger, account_id: str, seen: Sequence[Finding] = ()) -> Audited:
    """Check and count what an account's journal has beyond what is audited.

    `seen` is what the stream itself showed: pages that were changed or removed. A finding that is not known yet
    suspends the account. Raises UnavailableError, and Problem `try_again` where it cannot be suspended now.
    """
    run = _Run(ledger, account_id, ledger.store.newest_day(account_id))
    try:
        for finding in seen:
            run.found(finding)
        for batch in run.batches():
            run.check(batch)
        run.write()
    except ConflictError:
        pass  # somebody else audits this account, and goes on from where it came to
    return run.audited


class _Run:
    """One run over an account's new pages. `day` is the record as it is to be, `before` as it was read or written."""

    def __init__(self, ledger: Ledger, account_id: str, newest: Day | None) -> None:
        self.ledger, self.store, self.account_id = ledger, ledger.store, account_id
        self.before = newest
        self.day = newest or Day(date="")
        self.audited = Audited()

    def batches(self) -> Iterator[Sequence[StoredPage]]:
        """The pages that follow, as many as one run checks."""
        batch = self._first_batch()
        while batch:
            yield batch
            if self.audited.pages >= MAX_PAGES or not has_time(RESERVE_S):
                self.audited.behind = True
                self.day = replace(self.day, behind_since=self.day.behind_since or self.ledger.clock.now_ms())
                return
            limit = min(PAGES_PER_READ, MAX_PAGES - self.audited.pages)
            batch = self.store.pages_after(self.account_id, self.day.reached.version, limit)
        self.day = replace(self.day, behind_since=None)

    def _first_batch(self) -> Sequence[StoredPage]:
        """What follows the page that was reached, which must be there as it was."""
        reached = self.day.reached
        if not reached.version:
            return self.store.pages_after(self.account_id, 0, PAGES_PER_READ)
        batch = self.store.pages_after(self.account_id, reached.version - 1, PAGES_PER_READ + 1)
        if not batch or batch[0].version != reached.version:
            self.found(Finding(reached.version, "missing_page", "it was there when it was audited"))
            return batch
        if reached.hash is not None and batch[0].hash != reached.hash:
            self.found(Finding(reached.version, "modified_page", "its hash was another one when it was audited"))
        return batch[1:]

    def check(self, batch: Sequence[StoredPage]) -> None:
        """Fold these pages into the day, or into the days that begin with them, and look at the records they name."""
        readable: list[Page] = []
        for stored in batch:
            page = check_stored(self.account_id, stored.version, stored.stored, stored.hash)
            if isinstance(page, Finding):
                self.found(page)
                self.day = replace(self.day, reached=skip(self.day.reached, stored.version))
                continue
            self._begin(date_of(page.at))
            reached, finding = fold(self.day.reached, page)
            if finding:
                self.found(finding)
            self.day = self.day.with_page(reached, page)
            readable.append(page)
        for finding in wrong_records(self.store, self.account_id, readable):
            self.found(finding)
        self.audited.pages += len(batch)

    def _begin(self, date: str) -> None:
        """A page of a later day ends the day before it."""
        if date <= self.day.date:  # a time that runs backwards is counted where the journal stands
            return
        if self.day.date:
            self.write(ended=True)
        self.before, self.day = None, Day(date=date, reached=self.day.reached, findings=self.day.findings)

    def found(self, finding: Finding) -> None:
        """Suspend the account for a finding that is not known yet, and remember it."""
        if self.day.knows(finding):
            return
        self.audited.findings.append(finding)
        if _suspend(self.ledger, self.account_id, finding):
            self.day = self.day.with_finding(finding)

    def write(self, *, ended: bool = False) -> None:
        """Write the day, if it has changed. Raises ConflictError if somebody else has."""
        if ended:
            self.day = replace(self.day, behind_since=None)
        if self.day == self.before or not self.day.date:
            return
        expected = self.before.rev if self.before else None
        self.day = replace(self.day, rev=(expected or 0) + 1)
        self.store.write_day(self.account_id, self.day, expected)
        self.before = self.day


def _suspend(ledger: Ledger, account_id: str, finding: Finding) -> bool:
    """Stop an account's new work, and whether it is stopped. It cannot be where its newest page cannot be read."""
    try:
        head = ledger.store.head(account_id)
        if head is None:
            return False
        if head.state.status not in STOPPED:
            reason = f"The audit found page {finding.version}: {finding.kind} ({finding.detail})."
            ledger.execute(account_id, ChangeStanding(ACTOR, {"status": "suspended"}, reason[:200]))
    except BrokenInvariantError:
        return False
    return True


def wrong_records(store: Store, account_id: str, pages: Sequence[Page]) -> Iterator[Finding]:
    """What is wrong with the records that these pages name, each looked at by the last of them that names it.

    Plain reads show a transaction item by item, so whatever looks wrong is read again at one moment.
    """
    last: dict[RecordKey, Page] = {key: page for page in pages for key in records_named(page)}
    records = store.read(account_id, list(last)) if last else {}
    for key, page in last.items():
        if check_record(page, key, records.get(key)) is None:
            continue
        try:
            seen = store.snapshot(account_id, page.version, [key])
        except ConflictError:
            continue  # it is being written right now
        if finding := check_record(page, key, seen.records.get(key)):
            yield finding

"""What the sweep does to work whose hold nobody settled (docs/contract.md, section 7, "An order's life")."""

from dataclasses import dataclass
from typing import ClassVar

from autocredits.domain.access import check_exists
from autocredits.domain.decide import Done, Draft
from autocredits.domain.records import RecordKey

from .charging import Cause
from .lifecycle import Settlement, put_work, settle_part
from .record import Kind, Work

ACTOR = "system:sweep"
REASON = "The hold expired before anybody settled it."


@dataclass(frozen=True, slots=True)
class ExpireHold:
    """Gives back what is overdue of a piece of work's hold, whichever attempt it belongs to."""

    kind: Kind
    work_id: str
    expects_new: ClassVar[bool] = False

    def records(self) -> tuple[RecordKey, ...]:
        """The work alone: its record tells what has ended."""
        return ((self.kind, self.work_id),)

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`."""
        check_exists(draft.head)
        work = draft.get((self.kind, self.work_id), Work)
        if work is None:
            return Done(did="nothing")
        first, settlement = len(draft.entries), Settlement("expired", Cause(actor=ACTOR, reason=REASON))
        while overdue := work.overdue_parts(draft.at_ms()):
            work = settle_part(draft, work, overdue[0], settlement)
        count = len(draft.entries) - first
        if not count:
            return Done(did="nothing", record=work)
        return Done(did="expired", first=first, count=count, record=put_work(draft, work, moved=True))

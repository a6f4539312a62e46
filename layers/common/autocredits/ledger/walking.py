"""The walk over all accounts, a few at a time, so that one that no list and no stream shows is found as well."""

from collections.abc import Callable
from dataclasses import dataclass

from autocredits.domain.decide import RecordWrite
from autocredits.domain.forms import form_of
from autocredits.domain.records import NO_ACCOUNT
from autocredits.domain.walk import Walk

from .commit import Ledger
from .ports import ConflictError
from .time_limit import has_time

WALK = ("walk", "audit")

SCANS = 4
ITEMS_PER_SCAN = 500
"""With these, a run costs a table of large pages about 500 read units, and a month passes 86 million items."""


@dataclass(slots=True)
class Walked:
    """What a run did: how often it scanned, how many accounts it looked at, and how many of them failed."""

    scans: int = 0
    accounts: int = 0
    failed: int = 0


def walk_on(ledger: Ledger, look: Callable[[str], bool], reserve_s: float) -> Walked:
    """Go on with the walk: `look` at further accounts and note it, as long as `reserve_s` are left.

    `look` says whether that went well; if not, the same accounts are looked at again in the next run. Of two runs at
    once, the slower one ends. Raises UnavailableError.
    """
    walked, store = Walked(), ledger.store
    found = store.read(NO_ACCOUNT, [WALK]).get(WALK)
    walk, expected_rev = (found, found.rev) if isinstance(found, Walk) else (Walk(), None)
    if form_of(walk) > Walk.FORM:
        return walked
    while walked.scans < SCANS and has_time(reserve_s) and not walk.rests(ledger.clock.now_ms()):
        part = store.find_accounts(walk.position, ITEMS_PER_SCAN)
        walked.scans += 1
        failed = 0
        for account_id in part.account_ids:
            if not has_time(reserve_s):
                return walked
            failed += not look(account_id)
            walked.accounts += 1
        walked.failed += failed
        walk = walk.after(part.position, ledger.clock.now_ms(), failed=failed > 0)
        try:
            store.commit(NO_ACCOUNT, None, [RecordWrite(WALK, walk, expected_rev)])
        except ConflictError:
            return walked
        expected_rev = walk.rev
        if walk.tries:
            return walked
    return walked

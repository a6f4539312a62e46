"""What an account consumed, day by day and store by store, and how far its journal has been audited.

One record an account and UTC day. The newest one tells which page the audit has reached.
"""

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from .audit import Finding, Reached
from .forms import from_map
from .journal import Entry, Page
from .records import Listing, RecordList
from .state import state_from_map
from .times import format_time

MAX_PAIRS = 1_000
"""How many pairs of store and action a day tells apart. What further stores consume counts for OTHER_STORES."""

OTHER_STORES = "~"
"""No store can be called so, and DynamoDB takes it for a name, which it does not take an empty text for."""

MAX_FINDINGS = 50
"""How many findings a record remembers. One that it remembers suspends nobody a second time."""

CONSUMING = frozenset({"debited", "captured"})
"""The kinds of entry by which credits are consumed. A hold counts on the day it is captured."""

DUE_AUDITS = RecordList("due#audit", "by_due", shards=8, shared=True)
"""The accounts whose audit is behind."""


@dataclass(frozen=True, slots=True)
class Used:
    """Hundredths of `auto_order` credits consumed, and by how many entries."""

    credits: int = 0
    count: int = 0

    def __add__(self, other: "Used") -> "Used":
        return Used(self.credits + other.credits, self.count + other.count)


Uses = Mapping[tuple[str, str], Used]
"""What was consumed, by store and action (`<order_type>/<tracking>` or `sourcing`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What a UTC day's pages consumed, as far as `reached`. `findings` are those that are known: version and kind.

    `behind_since` is set while there is more to be audited than one run could do.
    """

    date: str
    reached: Reached = field(default_factory=Reached)
    uses: Uses = field(default_factory=dict)
    findings: tuple[tuple[int, str], ...] = ()
    behind_since: int | None = None
    rev: int | None = None
    unknown: Mapping[str, Any] = field(default_factory=dict)
    FORM: ClassVar[int] = 1

    def newest_version(self) -> int:
        """None of its own: it follows the pages, and no page was committed with it."""
        return 0

    def listings(self) -> tuple[Listing, ...]:
        """Where the sweep finds it while the audit is behind."""
        return () if self.behind_since is None else (Listing(DUE_AUDITS, self.behind_since, self.date),)

    def with_page(self, reached: Reached, page: Page) -> "Day":
        """The day with one more page."""
        uses = dict(self.uses)
        _count(uses, page)
        return replace(self, reached=reached, uses=uses)

    def with_finding(self, finding: Finding) -> "Day":
        """The day that knows of this finding."""
        return replace(self, findings=(*self.findings, (finding.version, finding.kind)))

    def knows(self, finding: Finding) -> bool:
        """Whether this finding was told before, or there have been too many to tell them apart."""
        return (finding.version, finding.kind) in self.findings or len(self.findings) >= MAX_FINDINGS

    def to_map(self) -> dict[str, Any]:
        """The stored form."""
        reached = self.reached
        used: dict[str, dict[str, list[int]]] = {}
        for (store_id, action), use in self.uses.items():
            used.setdefault(store_id, {})[action] = [use.credits, use.count]
        return {
            **self.unknown,
            "version": reached.version,
            "at": reached.at_ms,
            **({} if reached.hash is None else {"hash": reached.hash}),
            **({} if reached.state is None else {"state": reached.state.to_map()}),
            # As text: a year of a busy account is a million small values, which DynamoDB's form makes slow to read.
            "used": json.dumps(used, sort_keys=True, separators=(",", ":"), ensure_ascii=False),
            **({"findings": [list(finding) for finding in self.findings]} if self.findings else {}),
            **({} if self.behind_since is None else {"behind_since": self.behind_since}),
            "rev": self.rev,
        }


_DAY_FIELDS = ("version", "at", "hash", "state", "used", "findings", "behind_since", "rev")


def day_from_map(date: str, stored: Mapping[str, Any]) -> Day:
    """The record of a stored form."""
    state = stored.get("state")
    return Day(
        date=date,
        reached=Reached(
            stored["version"], stored["at"], stored.get("hash"), None if state is None else state_from_map(state)
        ),
        uses={
            (store_id, action): Used(*amounts)
            for store_id, actions in json.loads(stored.get("used", "{}")).items()
            for action, amounts in actions.items()
        },
        findings=tuple((version, kind) for version, kind in stored.get("findings", ())),
        behind_since=stored.get("behind_since"),
        rev=stored["rev"],
        unknown=from_map(_DAY_FIELDS, stored)["unknown"],
    )


def date_of(at_ms: int) -> str:
    """The UTC day of a time, such as `2026-11-01`."""
    return format_time(at_ms)[:10]


def day_before(date: str) -> str:
    """The day before a UTC day."""
    return (dt.date.fromisoformat(date) - dt.timedelta(days=1)).isoformat()


def is_use(entry: Entry) -> bool:
    """Whether credits were consumed by an entry."""
    return entry.unit == "auto_order" and entry.kind in CONSUMING


def action_of(entry: Entry) -> str:
    """What credits were consumed for."""
    return "sourcing" if entry.product_id else f"{entry.order_type}/{entry.tracking}"


def uses_of(pages: Iterable[Page]) -> Uses:
    """What pages consumed."""
    uses: dict[tuple[str, str], Used] = {}
    for page in pages:
        _count(uses, page)
    return uses


def _count(uses: dict[tuple[str, str], Used], page: Page) -> None:
    for entry in page.entries:
        if not is_use(entry):
            continue
        pair = (entry.store_id or OTHER_STORES, action_of(entry))
        if pair not in uses and len(uses) >= MAX_PAIRS:
            pair = (OTHER_STORES, pair[1])
        uses[pair] = uses.get(pair, Used()) + Used(-entry.posted, 1)

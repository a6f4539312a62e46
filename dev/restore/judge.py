"""What is wrong with a record of a restored table, and what it should be, by what its account's journal says. Pure.

A restore can tear transactions: of a page and its records, some may be older or newer than others. The journal is
what counts, as long as it is whole. A record that is newer tells of a page that is lost; one that is older, or
missing, would let a request be charged twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from autocredits.domain.errors import BrokenInvariantError
from autocredits.domain.forms import form_of
from autocredits.domain.journal import Entered, Entry
from autocredits.domain.money import format_amount
from autocredits.domain.purchases.fulfil import as_entered
from autocredits.domain.purchases.record import Purchase
from autocredits.domain.records import KeyRecord, Record, RecordKey
from autocredits.domain.usage import Day
from autocredits.domain.work.lifecycle import HOLD_MS
from autocredits.domain.work.rebuild import disagreements, rebuilt, work_of_entries
from autocredits.domain.work.record import Work
from autocredits.edge.requests import fingerprint

UNKNOWN_FINGERPRINT = "unknown"
"""Of a key whose request is not known any more: no request has this fingerprint, so each is refused."""

SHOWN = 10
"""How many pages a finding names."""


@dataclass(frozen=True, slots=True)
class Change:
    """Writes `after` in the place of `before`. None: there was no such record, or there should be none."""

    key: RecordKey
    before: Record | None
    after: Record | None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong. `what` is its kind, one of a fixed list; `change` mends it, where anything may."""

    account_id: str
    about: str
    what: str
    detail: str
    change: Change | None = None


def finding(account_id: str, key: RecordKey, what: str, detail: str, change: Change | None = None) -> Finding:
    """A finding on a record. One in a form that is not known here is told, and never written."""
    if change is not None and change.before is not None and form_of(change.before) > change.before.FORM:
        change, detail = None, f"{detail}; a newer release wrote it"
    return Finding(account_id, f"{key[0]} {key[1]}", what, detail, change)


@dataclass(slots=True)
class Journal:
    """What is to be known of an account's journal. With `faults` it proves nothing, and nothing is mended by it.

    `entries` are those of the records that are judged, oldest first; `hashes` the hashes of the pages that these
    entries or the judged keys name, as far as the pages are there.
    """

    account_id: str
    newest: int = 0
    faults: list[Finding] = field(default_factory=list)
    entries: dict[RecordKey, list[Entered]] = field(default_factory=dict)
    hashes: dict[int, str] = field(default_factory=dict)

    def fault(self, version: int, what: str, detail: str) -> None:
        """Note that the journal is broken at a page."""
        self.faults.append(Finding(self.account_id, f"page {version}", what, detail))

    def judge(self, key: RecordKey, record: Record | None, now_ms: int) -> Finding | None:
        """What is wrong with a record, if anything is."""
        found = self.entries.get(key, [])
        match key[0]:
            case "key":
                told = judge_key(self, key, record if isinstance(record, KeyRecord) else None, found)
            case "day":
                told = judge_day(self, key, record if isinstance(record, Day) else None)
            case "purchase":
                told = judge_purchase(self, key, record if isinstance(record, Purchase) else None, found, now_ms)
            case _:
                told = judge_work(self, key, record if isinstance(record, Work) else None, found)
        if told is not None and told.change is not None and self.faults:
            return replace(told, detail=f"{told.detail}; the journal itself is broken", change=None)
        return told

    def finding(self, key: RecordKey, what: str, detail: str, change: Change | None = None) -> Finding:
        """A finding on one of the account's records."""
        return finding(self.account_id, key, what, detail, change)


def judge_day(journal: Journal, key: RecordKey, record: Day | None) -> Finding | None:
    """What is wrong with an audited day: it has come further than the journal. Without it the audit does it again."""
    if record is None:
        return None
    reached = record.reached
    there = journal.hashes.get(reached.version)
    if there is not None and reached.hash in (None, there):
        return None
    lost = f"page {reached.version}, which it has come to, is {'not there' if there is None else 'another one'}"
    return journal.finding(key, "day.ahead", lost, Change(key, record, None))


def judge_key(journal: Journal, key: RecordKey, record: KeyRecord | None, found: Sequence[Entered]) -> Finding | None:
    """What is wrong with an idempotency key; `found` are the entries that it brought.

    Where its page is lost, what it did is lost: without the key its request is like new.
    """
    if record is None:
        return _missing_key(journal, key, found) if found else None
    there = journal.hashes.get(record.version)
    if there is None or record.hash not in (None, there) or (record.count and not found):
        lost = f"page {record.version}, which answers it, is {'not there' if there is None else 'another one'}"
        if found:
            return journal.finding(key, "key.differs", f"{lost}; its entries are in page {found[0].version}")
        return journal.finding(key, "key.page_lost", lost, Change(key, record, None))
    named = [(record.version, record.first + number) for number in range(record.count)]
    if found and named != [(one.version, one.index) for one in found]:
        return journal.finding(key, "key.differs", f"its entries begin at {found[0].version}.{found[0].index}")
    return None


def _missing_key(journal: Journal, key: RecordKey, found: Sequence[Entered]) -> Finding:
    """A key that has entries and no record: its request would be done again. It is put back, as it was if possible."""
    first = found[0]
    made_of = fingerprint_of(journal.account_id, first)
    record = KeyRecord(
        key=key[1],
        fingerprint=made_of or UNKNOWN_FINGERPRINT,
        version=first.version,
        hash=journal.hashes[first.version],
        first=first.index,
        count=len(found),
    )
    detail = f"entry {first.version}.{first.index} has this key, and the key is not there"
    if made_of is None:
        detail = f"{detail}; its request is not known any more, so a retry of it will be refused"
    return journal.finding(key, "key.missing", detail, Change(key, None, record))


def fingerprint_of(account_id: str, entered: Entered) -> str | None:
    """The fingerprint of the request that an entry tells of, in the fewest fields; None if it does not tell all."""
    entry = entered.entry
    path = f"/v1/accounts/{account_id}"
    if entry.kind == "adjusted":
        body = {"unit": entry.unit, "amount": format_amount(entry.posted), "reason": entry.reason}
        reference = {} if entry.reference is None else {"reference": entry.reference}
        return fingerprint("POST", f"{path}/adjustments", {**body, **reference})
    if entry.kind == "debited":
        return fingerprint("POST", f"{path}/debits", _work_body(entry))
    if entry.kind == "held" and entry.expires_at is not None:
        lasts_ms = entry.expires_at - entered.at_ms
        lasts = {} if lasts_ms == HOLD_MS else {"expires_in": lasts_ms // 1000}
        return fingerprint("POST", f"{path}/holds", {**_work_body(entry), **lasts})
    return None


def _work_body(entry: Entry) -> Mapping[str, Any]:
    if entry.product_id is not None:
        return {"product_id": entry.product_id, "store_id": entry.store_id, "sourcing": True}
    cost = {} if entry.cost is None else {"cost": format_amount(entry.cost)}
    told = {"order_id": entry.order_id, "store_id": entry.store_id, "order_type": entry.order_type}
    return {**told, "tracking": entry.tracking, **cost}


def judge_work(journal: Journal, key: RecordKey, record: Work | None, found: Sequence[Entered]) -> Finding | None:
    """What is wrong with a work record; `found` are all entries of its order or product."""
    try:
        folded = work_of_entries(found)
    except BrokenInvariantError as error:
        return journal.finding(key, "work.entries", str(error))
    if record is None:
        if folded is None:
            return None
        return journal.finding(key, "work.missing", _pages("not there, of", folded.versions), Change(key, None, folded))
    there = folded.versions if folded else ()
    if what := _apart("work", record.versions, there):
        return journal.finding(key, *what, Change(key, record, rebuilt(record, folded)))
    if wrong := disagreements(record, folded):
        return journal.finding(key, "work.differs", f"not what its entries give: {', '.join(wrong)}")
    return None


def judge_purchase(
    journal: Journal, key: RecordKey, record: Purchase | None, found: Sequence[Entered], now_ms: int
) -> Finding | None:
    """What is wrong with a purchase; `found` are all its entries."""
    if record is None:
        if not found:
            return None
        lost = _pages("its terms are lost; entries in", [one.version for one in found])
        return journal.finding(key, "purchase.missing", lost)
    after = as_entered(record, found, now_ms)
    if after == record:
        return None
    versions = tuple(dict.fromkeys(one.version for one in found))
    what = _apart("purchase", record.versions, versions) or ("purchase.differs", "not what its entries sum to")
    before = f"granted {record.granted}, clawed back {record.clawed_back}, frozen {record.frozen}"
    sums = f"{before}; the journal has {after.granted}, {after.clawed_back}, {after.frozen}"
    # A free purchase is started and granted in one page. If that is lost, so is its key, and it can be started again.
    started = after if record.price or after.granted else None
    return journal.finding(key, what[0], f"{what[1]}; {sums}", Change(key, record, started))


def _apart(kind: str, known: Sequence[int], there: Sequence[int]) -> tuple[str, str] | None:
    """Whether a record knows pages that are not there, or not all that are: kind of finding, and detail."""
    lost = [version for version in known if version not in there]
    if lost:
        return f"{kind}.newer", _pages("it names", lost, "not there")
    missed = [version for version in there if version not in known]
    if missed:
        return f"{kind}.older", _pages("it does not know", missed)
    return None


def _pages(before: str, versions: Sequence[int], after: str = "") -> str:
    shown = ", ".join(str(version) for version in versions[:SHOWN])
    return f"{before} page {shown}{' …' if len(versions) > SHOWN else ''} {after}".strip()

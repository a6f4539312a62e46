"""What is wrong with a record of a restored table, and what it should be, by what its account's journal says. Pure.

A restore can tear transactions: of a page and its records, some may be older or newer than others. The journal is
what counts, as long as it is whole. A record that is newer tells of a page that is lost; one that is older, or
missing, would let a request be charged twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from autocredits.domain.errors import BrokenInvariantError
from autocredits.domain.forms import form_of
from autocredits.domain.journal import Entered
from autocredits.domain.purchases.fulfil import as_entered
from autocredits.domain.purchases.record import Purchase
from autocredits.domain.records import KeyRecord, Record, RecordKey
from autocredits.domain.work.rebuild import disagreements, rebuilt, work_of_entries
from autocredits.domain.work.record import Work

UNKNOWN_FINGERPRINT = "unknown"
"""Of a key whose request is not known any more: no request has this fingerprint, so none is taken for it."""


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


@dataclass(slots=True)
class Journal:
    """What is to be known of an account's journal. With `faults` it proves nothing, and nothing is mended by it."""

    account_id: str
    newest: int = 0
    faults: list[Finding] = field(default_factory=list)

    def finding(self, key: RecordKey, what: str, detail: str, change: Change | None = None) -> Finding:
        """A finding on one of the account's records."""
        about = f"{key[0]} {key[1]}"
        if change is not None and self.faults:
            return Finding(self.account_id, about, what, f"{detail}; the journal itself is broken")
        if change is not None and change.before is not None and form_of(change.before) > change.before.FORM:
            return Finding(self.account_id, about, what, f"{detail}; a newer release wrote it")
        return Finding(self.account_id, about, what, detail, change)


def judge_key(
    journal: Journal,
    name: str,
    record: KeyRecord | None,
    found: Sequence[Entered],
    page_hash: str | None,
    *,
    purchase_lost: bool,
) -> Finding | None:
    """What is wrong with an idempotency key.

    `found` are the journal's entries with this key, `page_hash` is that of the page that the record names, None if it
    is not there. `purchase_lost` tells that the key would have started a purchase that is not there.
    """
    key = ("key", name)
    if record is None:
        return _missing_key(journal, key, found) if found else None
    if page_hash is None or record.hash not in (None, page_hash):
        lost = f"page {record.version}, which answers it, is {'not there' if page_hash is None else 'another one'}"
        if found:
            return journal.finding(key, "key.differs", f"{lost}; its entries are in page {found[0].version}")
        return journal.finding(key, "key.page_lost", lost, Change(key, record, None))
    if purchase_lost and not found:
        lost = "the purchase that it started is not there"
        return journal.finding(key, "key.purchase_lost", lost, Change(key, record, None))
    named = [(record.version, record.first + number) for number in range(record.count)]
    if found and named != [(one.version, one.index) for one in found]:
        return journal.finding(key, "key.differs", f"its entries begin at {found[0].version}.{found[0].index}")
    return None


def _missing_key(journal: Journal, key: RecordKey, found: Sequence[Entered]) -> Finding:
    """A key that has entries and no record. Work protects itself; anything else would be done again."""
    first = found[0]
    where = f"entry {first.version}.{first.index} has this key, and the key is not there"
    if all(one.entry.order_id or one.entry.product_id for one in found):
        return journal.finding(key, "key.forgotten", f"{where}; the record of its work protects it")
    record = KeyRecord(
        key=key[1], fingerprint=UNKNOWN_FINGERPRINT, version=first.version, first=first.index, count=len(found)
    )
    return journal.finding(key, "key.missing", f"{where}; again it would be done twice", Change(key, None, record))


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


def due_at_once(journal: Journal, purchase: Purchase, now_ms: int, detail: str) -> Finding:
    """A purchase that its provider knows as paid: it is to be polled at once, which credits it."""
    if purchase.poll_at is not None and purchase.poll_at <= now_ms:
        return journal.finding(purchase.key(), "purchase.due", f"{detail}; the next poll credits it")
    due = replace(purchase, poll_at=now_ms, rev=purchase.rev + 1)
    return journal.finding(purchase.key(), "purchase.paid", detail, Change(purchase.key(), purchase, due))


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
    shown = ", ".join(str(version) for version in versions[:10])
    return f"{before} page {shown}{' …' if len(versions) > 10 else ''} {after}".strip()  # noqa: PLR2004 - as shown

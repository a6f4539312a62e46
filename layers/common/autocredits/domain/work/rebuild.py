"""A work record made out of the entries of its order or product, as a restored table may need it.

The journal does not hold all of a record: that an order was queued, the messages it has seen, and a conversion that
was completed after it had been charged leave no entry. These are kept from the record that is there.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from autocredits.domain.errors import require
from autocredits.domain.ids import entry_id
from autocredits.domain.journal import Entered, Entry

from .lifecycle import ask_for, held_status
from .record import FAILED, Part, Work, WorkRequest, charge_name

OPENING = ("held", "debited", "refused")
"""The kinds of entries that can begin work, or a new attempt of it."""


@dataclass(frozen=True, slots=True)
class _Step:
    """What one command entered for one part: an entry, and a second one where managed balance moved as well."""

    first: Entered
    second: Entry | None = None

    @property
    def entry(self) -> Entry:
        """The first entry, which names the step."""
        return self.first.entry

    @property
    def entry_id(self) -> str:
        """The id of the first entry."""
        return entry_id(self.first.version, self.first.index)

    def posted(self, unit: str) -> int:
        """The signed change of `posted`."""
        return sum(one.posted for one in (self.entry, self.second) if one and one.unit == unit)

    def held(self, unit: str) -> int:
        """The signed change of `held`."""
        return sum(one.held for one in (self.entry, self.second) if one and one.unit == unit)

    def takes(self, after: Entered) -> bool:
        """Whether the entry after it is its second one."""
        one, other = self.entry, after.entry
        return (
            self.second is None
            and (self.first.version, self.first.index + 1) == (after.version, after.index)
            and (one.unit, other.unit) == ("auto_order", "managed")
            and (one.kind, one.part, one.attempt, one.tracking)
            == (other.kind, other.part, other.attempt, other.tracking)
        )

    def continues(self, before: "_Step") -> bool:
        """Whether one command held both, as parts of one hold."""
        one, other = before.entry, self.entry
        width = 1 if before.second is None else 2
        return (
            (before.first.version, before.first.index + width) == (self.first.version, self.first.index)
            and one.kind == other.kind == "held"
            and one.part != other.part
            and (one.attempt, one.tracking, one.expires_at) == (other.attempt, other.tracking, other.expires_at)
        )


def work_of_entries(found: Iterable[Entered]) -> Work | None:
    """The record of one order or product, by all its entries in the journal's order; None without any.

    Its `rev` counts the pages alone. Raises BrokenInvariantError for entries that no record can have led to.
    """
    work: Work | None = None
    before: _Step | None = None
    for step in _steps(found):
        work = _after(work, step, before)
        before = step
    return work


def _steps(found: Iterable[Entered]) -> Iterable[_Step]:
    step: _Step | None = None
    for entered in found:
        if step is not None and step.takes(entered):
            step = replace(step, second=entered.entry)
            continue
        if step is not None:
            yield step
        step = _Step(entered)
    if step is not None:
        yield step


def _after(work: Work | None, step: _Step, before: _Step | None) -> Work:
    """The record after one more step. `before` is the step before, which may be of the same hold."""
    entry, at_ms = step.entry, step.first.at_ms
    opens = work is None or (entry.attempt or 1) > work.attempt
    begun = _begun(work, step) if opens or work is None else work
    require((entry.attempt or 1) == begun.attempt, f"entry {step.entry_id} belongs to an earlier attempt")
    same_hold = before is not None and step.continues(before)
    require(entry.kind in _CHANGES, f"entry {step.entry_id} is of a kind that is not known here: {entry.kind}")
    after = _CHANGES[entry.kind](begun, step, opens, same_hold)
    known, version = begun.versions, step.first.version
    versions = known if known[-1:] == (version,) else (*known, version)
    moved = work is None or (work.status, work.attempt) != (after.status, after.attempt)
    return replace(
        after,
        versions=versions,
        rev=len(versions),
        updated_at=at_ms,
        status_at=at_ms if moved else after.status_at,
    )


def _begun(work: Work | None, step: _Step) -> Work:
    """New work, or its next attempt, as the step's entry tells of it."""
    entry, at_ms = step.entry, step.first.at_ms
    require(entry.kind in OPENING, f"entry {step.entry_id} ends work that never began")
    request = _request_of(entry)
    if work is None:
        return Work(
            kind=request.kind,
            work_id=request.work_id,
            store_id=request.store_id,
            order_type=request.order_type,
            tracking=request.tracking,
            cost=request.cost,
            asked=() if request.tracking is None else (request.tracking,),
            status=held_status(request),
            attempt=entry.attempt or 1,
            created_at=at_ms,
            updated_at=at_ms,
            status_at=at_ms,
        )
    return replace(
        ask_for(work, request.tracking),
        order_type=request.order_type,
        cost=request.cost,
        status=held_status(request),
        attempt=entry.attempt or 1,
        parts={},
        converted=False,
        reason=None,
        tracking_number=None,
        supplier_order_id=None,
    )


def _request_of(entry: Entry) -> WorkRequest:
    """What was asked for, as an entry that began it says."""
    return WorkRequest(
        kind="order" if entry.order_id else "product",
        work_id=entry.order_id or entry.product_id or "",
        store_id=entry.store_id or "",
        order_type=entry.order_type,
        tracking=entry.tracking,
        cost=entry.cost,
    )


def _held(work: Work, step: _Step, _opens: bool, same_hold: bool) -> Work:  # noqa: FBT001 - private, a table's form
    entry = step.entry
    work = replace(ask_for(work, entry.tracking), tracking_number=entry.tracking_number or work.tracking_number)
    name, progress = entry.part or "", work.progress()
    parts, replaced = dict(work.parts), dict(progress.replaced)
    if before := parts.pop(name, None):
        replaced.setdefault(charge_name(name, before.tracking), before.status)
    first_hold, charge = work.first_hold(), charge_name(name, entry.tracking)
    if not first_hold or (same_hold and progress.first_hold == tuple(charge_name(*one) for one in _tracked(parts))):
        first_hold = (*first_hold, charge)
    parts[name] = Part(
        status="open",
        credits=step.held("auto_order"),
        managed=step.held("managed"),
        tracking=entry.tracking,
        rate_card=entry.rate_card or "",
        expires_at=entry.expires_at or 0,
        entry_id=step.entry_id,
    )
    latest = replace(progress, first_hold=first_hold, replaced=replaced)
    return replace(work, parts=parts, known_parts=_with(work.known_parts, (name,)), latest=latest)


def _with(known: tuple[str, ...], more: Iterable[str]) -> tuple[str, ...]:
    return known + tuple(name for name in more if name not in known)


def _tracked(parts: Mapping[str, Part]) -> Iterable[tuple[str, str | None]]:
    return ((name, part.tracking) for name, part in parts.items())


def _debited(work: Work, step: _Step, opens: bool, _same_hold: bool) -> Work:  # noqa: FBT001 - as above
    """A debit covers all that no live charge covers yet, as its price did."""
    request = replace(_request_of(step.entry), order_type=work.order_type, cost=work.cost)
    work = ask_for(work, request.tracking)
    parts = tuple(part for part in request.part_names() if work.live_entry_id(part, request.tracking) is None)
    status = ("accepted" if work.kind == "product" else "ordered") if opens else work.status
    return replace(
        work,
        status=status,
        charged={**work.charged, **{charge_name(part, request.tracking): step.entry_id for part in parts}},
        known_parts=_with(work.known_parts, parts),
        credits=work.credits - step.posted("auto_order"),
    )


def _captured(work: Work, step: _Step, _opens: bool, _same_hold: bool) -> Work:  # noqa: FBT001 - as above
    name, part = _open_part(work, step)
    spent = -step.posted("managed") if part.managed else 0
    work = replace(
        work,
        parts={**work.parts, name: replace(part, status="captured", managed=spent)},
        charged={**work.charged, charge_name(name, part.tracking): step.entry_id},
        credits=work.credits + part.credits,
    )
    if name == "sourcing":
        return replace(work, status="accepted")
    if name == "tracking":
        return _converted(work, step.entry.tracking_number)
    supplier_order_id = step.entry.supplier_order_id or work.supplier_order_id
    return replace(work, status="shipped" if work.converted else "ordered", supplier_order_id=supplier_order_id)


def _converted(work: Work, tracking_number: str | None) -> Work:
    status = "shipped" if work.status == "ordered" else work.status
    return replace(work, status=status, converted=True, tracking_number=tracking_number or work.tracking_number)


def _given_back(work: Work, step: _Step, _opens: bool, _same_hold: bool) -> Work:  # noqa: FBT001 - as above
    """Released or expired. Without its part `order` an order has failed; what else went back has its own entries."""
    name, part = _open_part(work, step)
    expired = step.entry.kind == "expired"
    work = replace(work, parts={**work.parts, name: replace(part, status="expired" if expired else "released")})
    if name == "tracking":
        return work
    status = "rejected" if name == "sourcing" and not expired else "failed"
    return replace(work, status=status, reason=step.entry.reason)


def _refused(work: Work, step: _Step, opens: bool, _same_hold: bool) -> Work:  # noqa: FBT001 - as above
    """Work that was to begin with the part has failed; one whose later conversion was refused stays as it was."""
    if step.entry.part == "tracking":
        number = step.entry.tracking_number if opens else work.tracking_number
        return replace(work, asked=ask_for(work, step.entry.tracking).asked, tracking_number=number)
    return replace(work, status="failed", reason=step.entry.reason)


def _open_part(work: Work, step: _Step) -> tuple[str, Part]:
    name = step.entry.part or ""
    require(name in work.open_parts(), f"entry {step.entry_id} ends a part that is not open")
    return name, work.parts[name]


_CHANGES: Mapping[str, Callable[[Work, _Step, bool, bool], Work]] = MappingProxyType(
    {
        "held": _held,
        "debited": _debited,
        "captured": _captured,
        "released": _given_back,
        "expired": _given_back,
        "refused": _refused,
    }
)


def rebuilt(record: Work | None, folded: Work | None) -> Work | None:
    """The record as it should be, by what is there and what the journal's entries give; None: there should be none.

    An order that is there without any entry, and was certainly queued, is queued again.
    """
    if record is None or folded is None:
        return folded if record is None else _queued_again(record)
    completed = _completed(record, folded)
    work = replace(
        _with_unknown(record, folded),
        asked=_with(record.asked, folded.asked),
        resent_by=record.resent_by,
        seen=_seen_before(record, folded),
        created_at=min(record.created_at, folded.created_at),
        rev=record.rev + 1,
    )
    if not completed:
        return work
    converted = _converted(work, record.tracking_number)
    return replace(converted, latest=replace(converted.progress(), completed=completed))


def _with_unknown(record: Work, folded: Work) -> Work:
    """The folded record with what a newer release has noted in the parts and the progress that are still the same."""
    known = {part.entry_id: part.unknown for part in record.parts.values()}
    parts = {name: replace(part, unknown=known.get(part.entry_id, {})) for name, part in folded.parts.items()}
    latest = folded.latest
    if latest and record.latest and latest.attempt == record.latest.attempt:
        latest = replace(latest, unknown=record.latest.unknown)
    return replace(folded, parts=parts, latest=latest, unknown=record.unknown)


def _completed(record: Work, folded: Work) -> tuple[str, ...]:
    """The conversions that a result completed after they had been charged, as far as that still holds."""
    if record.attempt != folded.attempt or folded.status in FAILED:
        return ()
    return tuple(charge for charge in record.progress().completed if charge in folded.charged)


def _seen_before(record: Work, folded: Work) -> tuple[str, ...]:
    """The messages it has seen, less one for each page that is lost, so that they can be sent again.

    They are the last ones, unless the record had met a message that changed nothing since.
    """
    lost = len(set(record.versions) - set(folded.versions))
    return record.seen[: max(0, len(record.seen) - lost)]


def _queued_again(record: Work) -> Work | None:
    """The order as it was when it was queued, if it was: it was written more often than pages and messages explain."""
    if record.kind != "order" or record.rev <= len(record.versions) + len(record.seen):
        return None
    return replace(
        record,
        status="queued",
        parts={},
        charged={},
        known_parts=(),
        converted=False,
        latest=None,
        credits=0,
        reason=None,
        tracking_number=None,
        supplier_order_id=None,
        seen=record.seen[: max(0, len(record.seen) - len(record.versions))],
        versions=(),
        status_at=record.created_at if record.attempt == 1 else record.status_at,
        rev=record.rev + 1,
    )


def disagreements(record: Work, folded: Work | None) -> Sequence[str]:
    """The fields in which the record is not what its entries give, beside what it may know without an entry.

    It may be queued again, and an order may have been shipped by a conversion that was charged before.
    """
    if folded is None:
        return [name for name in ("parts", "charged", "credits") if getattr(record, name)]
    wrong = [name for name in ("charged", "credits", "store_id") if getattr(record, name) != getattr(folded, name)]
    if record.attempt > folded.attempt:
        fits = record.status == "queued" and record.attempt == folded.attempt + 1 and folded.status in FAILED
        return wrong + ([] if fits and not record.parts else ["attempt"])
    shipped = record.converted and (record.status, folded.status) == ("shipped", "ordered")
    if record.attempt < folded.attempt or not (record.status == folded.status or shipped):
        wrong.append("attempt" if record.attempt != folded.attempt else "status")
    if {name: _plain(part) for name, part in record.parts.items()} != dict(folded.parts):
        wrong.append("parts")
    return wrong


def _plain(part: Part) -> Part:
    return replace(part, unknown={})

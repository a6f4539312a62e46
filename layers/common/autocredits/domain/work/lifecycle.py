"""How work goes from attempt to attempt and from status to status (docs/contract.md, section 7, "An order's life").

This is the one place where a work record changes; the entries come from `charging`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from autocredits.domain.decide import Draft
from autocredits.domain.errors import Problem, require
from autocredits.domain.times import DAY_MS

from .charging import (
    Cause,
    Price,
    enter_capture,
    enter_debit,
    enter_hold,
    enter_refusal,
    enter_release,
    managed_of,
)
from .record import FAILED, Part, Work, WorkRequest, charge_name

HOLD_MS = 14 * DAY_MS
"""How long a hold lasts unless its caller says otherwise (docs/contract.md, section 5)."""


def begin(draft: Draft, work: Work | None, request: WorkRequest, status: str) -> Work:
    """The record after this request: a new one or a new attempt in `status`, or the same one with another tracking.

    A queued order keeps its attempt and gets `status`.
    """
    if work is None:
        return Work(
            kind=request.kind,
            work_id=request.work_id,
            store_id=request.store_id,
            order_type=request.order_type,
            tracking=request.tracking,
            cost=request.cost,
            asked=_asked((), request.tracking),
            status=status,
            created_at=draft.at_ms(),
            updated_at=draft.at_ms(),
            status_at=draft.at_ms(),
        )
    if work.status in FAILED:
        return next_attempt(work, request, status)
    if work.status == "queued":
        return replace(work, status=status)
    return ask_for(work, request.tracking)


def ask_for(work: Work, tracking: str | None) -> Work:
    """The same work, asked for with this tracking method."""
    return replace(work, tracking=tracking, asked=_asked(_asked(work.asked, work.tracking), tracking))


def _asked(asked: tuple[str, ...], tracking: str | None) -> tuple[str, ...]:
    return asked if tracking is None or tracking in asked else (*asked, tracking)


def next_attempt(work: Work, request: WorkRequest, status: str) -> Work:
    """A new attempt of failed work. What it was charged stays charged; all else that an attempt is told begins anew.

    Raises Problem `too_many_attempts`.
    """
    work.check_room()
    return replace(
        ask_for(work, request.tracking),
        order_type=request.order_type,
        cost=request.cost,
        status=status,
        attempt=work.attempt + 1,
        parts={},
        converted=False,
        reason=None,
        tracking_number=None,
        supplier_order_id=None,
    )


def held_status(request: WorkRequest) -> str:
    """The status of new work once its parts are held: a manual order is ordered already."""
    return "ordered" if request.order_type == "manual" else "processing"


def is_same_work(work: Work, request: WorkRequest) -> bool:
    """Whether the request asks for what the record already stands for.

    That is any method that it was ever asked for, and parts that it has charged or holds.
    """
    if (work.order_type, work.cost) != (request.order_type, request.cost):
        return False
    live = (work.live_entry_id(part, request.tracking) for part in request.part_names())
    return work.was_asked_for(request.tracking) or all(entry_id is not None for entry_id in live)


def debit(draft: Draft, work: Work, price: Price, cause: Cause) -> Work:
    """Pay all that `price` says at once."""
    entry_id = enter_debit(draft, work, price, cause)
    charges = {charge_name(part, work.tracking): entry_id for part in price.parts}
    return replace(
        work,
        charged={**work.charged, **charges},
        known_parts=_with(work.known_parts, price.parts),
        credits=work.credits + price.credits(),
    )


def hold(draft: Draft, work: Work, price: Price, cause: Cause, expires_at: int) -> Work:
    """Set aside what `price` says, part by part."""
    parts, replaced = dict(work.parts), dict(work.progress().replaced)
    for name, amount in price.parts.items():
        entry_id = enter_hold(draft, work, price, name, cause, expires_at=expires_at)
        if before := parts.pop(name, None):
            replaced.setdefault(charge_name(name, before.tracking), before.status)
        parts[name] = Part(
            status="open",
            credits=amount,
            managed=managed_of(price, name),
            tracking=work.tracking,
            rate_card=price.rate_card,
            expires_at=expires_at,
            entry_id=entry_id,
        )
    held = tuple(charge_name(name, work.tracking) for name in price.parts)
    latest = replace(work.progress(), first_hold=work.first_hold() or held, replaced=replaced)
    return replace(work, parts=parts, known_parts=_with(work.known_parts, price.parts), latest=latest)


def _with(known: tuple[str, ...], parts: Mapping[str, int]) -> tuple[str, ...]:
    return known + tuple(name for name in parts if name not in known)


@dataclass(frozen=True, slots=True)
class Settlement:
    """How open parts end, and why.

    `managed` (US cents) is what the supplier really cost; None: as held. A capture frees what is left of the hold,
    and spends more than was held if it must.
    """

    ended: Literal["captured", "released", "expired"]
    cause: Cause
    managed: int | None = None


def settle_part(draft: Draft, work: Work, name: str, settlement: Settlement) -> Work:
    """End an open part, and let the work's status follow."""
    if settlement.ended == "captured":
        return _capture(draft, work, name, settlement.cause, settlement.managed if name == "order" else None)
    return _give_back(draft, work, name, settlement.ended, settlement.cause)


def _capture(draft: Draft, work: Work, name: str, cause: Cause, managed: int | None) -> Work:
    """Take an open part. An order is `shipped` once it is both placed and converted, in either order."""
    part = work.parts[name]
    spent = part.managed if managed is None else managed
    entry_id = enter_capture(draft, work, name, cause, spent)
    work = replace(
        work,
        parts={**work.parts, name: replace(part, status="captured", managed=spent if part.managed else 0)},
        charged={**work.charged, charge_name(name, part.tracking): entry_id},
        credits=work.credits + part.credits,
    )
    if name == "sourcing":
        return replace(work, status="accepted")
    if name == "tracking":
        return _converted(work, cause.tracking_number)
    status = "shipped" if work.converted else "ordered"
    return replace(work, status=status, supplier_order_id=cause.supplier_order_id or work.supplier_order_id)


def _converted(work: Work, tracking_number: str | None) -> Work:
    status = "shipped" if work.status == "ordered" else work.status
    return replace(work, status=status, converted=True, tracking_number=tracking_number or work.tracking_number)


def complete_charged(work: Work, charge: str, cause: Cause) -> Work | None:
    """An order whose conversion was charged before, once that is completed: the first number counts, nothing moves.

    None where there is nothing to complete: it is not charged, was held in this attempt, or has been completed.
    """
    progress = work.progress()
    if work.status in FAILED or charge not in work.charged or work.hold_status(charge) or charge in progress.completed:
        return None
    latest = replace(progress, completed=(*progress.completed, charge))
    return replace(_converted(work, cause.tracking_number), latest=latest)


def _give_back(draft: Draft, work: Work, name: str, ended: Literal["released", "expired"], cause: Cause) -> Work:
    """Give an open part back. Without its part `order` an order has failed, and all else that is open goes back."""
    names = work.open_parts() if name == "order" else (name,)
    for each in names:
        enter_release(draft, work, each, ended, cause)
    given_back = {each: replace(work.parts[each], status=ended) for each in names}
    work = replace(work, parts={**work.parts, **given_back})
    if name == "tracking":
        return work
    rejected = name == "sourcing" and ended == "released"
    return replace(work, status="rejected" if rejected else "failed", reason=cause.reason)


def refuse(draft: Draft, work: Work, part: str, refusal: Problem, cause: Cause) -> Work:
    """Enter why queued work was refused. Work that was to begin with `part` has failed then.

    An order whose later conversion is refused stays as it was, but that it was asked for.
    """
    enter_refusal(draft, work, part, refusal, cause)
    if part != "tracking":
        return replace(work, status="failed", reason=refusal.detail)
    before = draft.get(work.key(), Work) or work
    return replace(before, asked=work.asked)


def put_work(draft: Draft, work: Work, *, moved: bool) -> Work:
    """Write the work record; `moved` tells that this draft's page holds entries of it."""
    before = draft.get(work.key(), Work)
    rev = work.rev if work.key() in draft.changed else work.rev + 1
    require(before is not None or rev == 1, f"a new work record with rev {rev}")
    versions = work.versions
    if moved and work.newest_version() != draft.version():
        versions = (*versions, draft.version())
    status_at = work.status_at
    if before is None or (before.status, before.attempt) != (work.status, work.attempt):
        status_at = draft.at_ms()
    written = replace(work, rev=rev, versions=versions, updated_at=draft.at_ms(), status_at=status_at)
    draft.put(work.key(), written)
    return written

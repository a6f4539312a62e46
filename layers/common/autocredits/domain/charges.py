"""Charging work: what is still to be paid for it, whether the account may, and the entries of a debit or a hold.

Both doors use it: HTTP debits and holds, and requests from the queue. The checks come in the contract's order
(section 4): already charged, conflict, standing, add-on, frozen, rate, credits, managed balance.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .access import Caller, may_see_work_of, may_work_for
from .accounts import check_exists, check_sufficient
from .catalog import RateCard
from .decide import Done, Draft, IdempotencyKey
from .errors import Problem
from .journal import Entry
from .records import RecordKey
from .state import State
from .times import DAY_MS
from .work import Part, Work, WorkRequest, charge_name

HOLD_MS = 14 * DAY_MS
"""How long a hold lasts unless its caller says otherwise (contract, section 5)."""

FAILED = ("failed", "rejected")
"""The statuses after which a new request is a new attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Who or what makes an entry, and what it says of the work."""

    actor: str
    key: str | None = None
    reason: str | None = None
    tracking_number: str | None = None
    supplier_order_id: str | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """What a request still costs: hundredths of `auto_order` per part, and of `managed` (US cents)."""

    parts: Mapping[str, int]
    managed: int
    rate_card: str

    def credits(self) -> int:
        """Hundredths of `auto_order` over all parts."""
        return sum(self.parts.values())


def parts_to_charge(work: Work | None, request: WorkRequest) -> tuple[str, ...]:
    """The parts of the request that no live charge covers yet.

    Raises Problem `already_charged` if there are none (an open hold counts), `order_conflict` for another store or
    other work under the same id, for a queued order, and while another tracking method is open.
    """
    wanted = request.part_names()
    if work is None:
        return wanted
    if work.store_id != request.store_id:
        raise Problem("order_conflict", f"This {work.kind} belongs to another store of the account.")
    if work.status == "queued":
        raise Problem("order_conflict", "This order is queued and will be charged from there.")
    if work.status not in FAILED and (work.order_type, work.cost) != (request.order_type, request.cost):
        raise Problem("order_conflict", f"This {work.kind} is known with other work.")
    live = {part: work.live_entry_id(part, request.tracking) for part in wanted}
    missing = tuple(part for part in wanted if live[part] is None)
    if wanted and not missing:
        raise Problem("already_charged", "This work has been charged already.", entry_id=live[wanted[-1]])
    if "tracking" in missing and "tracking" in work.open_parts():
        raise Problem("order_conflict", "Another tracking method of this order is still open.")
    return missing


def check_standing(state: State, request: WorkRequest, parts: tuple[str, ...]) -> None:
    """Whether the account may start this work.

    Raises Problem `account_inactive`, `orders_processor_inactive`, `balance_frozen`.
    """
    if state.status != "active":
        raise Problem("account_inactive", account_status=state.status)
    if state.orders_processor != "active":
        raise Problem("orders_processor_inactive")
    units = ("auto_order", "managed") if needs_managed(request, parts) else ("auto_order",)
    for unit in units:
        if parts and state.balance(unit).available() < 0:
            raise Problem("balance_frozen", f"The {unit} balance is below zero: no new work until it is paid off.")


def needs_managed(request: WorkRequest, parts: tuple[str, ...]) -> bool:
    """Whether managed balance pays for a part of this: product and shipping of an `fba` order belong to `order`."""
    return request.cost is not None and "order" in parts


def price_of(card: RateCard, request: WorkRequest, parts: tuple[str, ...]) -> Price:
    """What `parts` of the request cost. Raises Problem `unknown_rate`."""
    if request.kind == "product":
        cells = {"sourcing": card.sourcing}
    else:
        cells = card.parts(request.order_type or "", request.tracking or "")
    managed = request.cost if needs_managed(request, parts) and request.cost is not None else 0
    return Price({part: cells[part] for part in parts}, managed, card.name)


def _entry(work: Work, cause: Cause, kind: str, unit: str, *, posted: int = 0, held: int = 0) -> Entry:
    """An entry of the work with what every one of its kind says."""
    order_id, product_id = (work.work_id, None) if work.kind == "order" else (None, work.work_id)
    return Entry(
        kind=kind,
        actor=cause.actor,
        unit=unit,
        posted=posted,
        held=held,
        reason=cause.reason,
        order_id=order_id,
        product_id=product_id,
        store_id=work.store_id,
        order_type=work.order_type,
        tracking=work.tracking,
        attempt=work.attempt,
        cost=work.cost,
        tracking_number=cause.tracking_number,
        supplier_order_id=cause.supplier_order_id,
        key=cause.key,
    )


def present_work(draft: Draft, work: Work | None, request: WorkRequest, status: str) -> Work:
    """The record as this request leaves it: new, a new attempt in `status`, or as it was with another tracking.

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
            status=status,
            created_at=draft.at_ms(),
            updated_at=draft.at_ms(),
            status_at=draft.at_ms(),
        )
    if work.status in FAILED:
        return replace(
            work,
            order_type=request.order_type,
            tracking=request.tracking,
            cost=request.cost,
            status=status,
            attempt=work.attempt + 1,
            parts={},
            converted=is_converted(work, request.tracking),
            reason=None,
        )
    if work.status == "queued":
        return replace(work, status=status)
    return replace(work, tracking=request.tracking)


def is_converted(work: Work, tracking: str | None) -> bool:
    """Whether a new attempt by this method has been converted already, and so is shipped once it is placed."""
    return work.converted and charge_name("tracking", tracking) in work.charged


def open_parts(draft: Draft, work: Work, price: Price, cause: Cause, expires_at: int) -> Work:
    """Set aside what `price` says, part by part: one `held` entry per part and unit."""
    parts = dict(work.parts)
    for name, amount in price.parts.items():
        managed = price.managed if name == "order" else 0
        entry_ids = [
            draft.add(
                replace(
                    _entry(work, cause, "held", unit, held=hundredths),
                    part=name,
                    rate_card=price.rate_card,
                    expires_at=expires_at,
                )
            )
            for unit, hundredths in (("auto_order", amount), ("managed", managed))
            if hundredths
        ]
        parts.pop(name, None)
        parts[name] = Part(
            status="open",
            credits=amount,
            managed=managed,
            tracking=work.tracking,
            rate_card=price.rate_card,
            expires_at=expires_at,
            entry_id=entry_ids[0],
        )
    return replace(work, parts=parts, known_parts=_with(work.known_parts, price.parts))


def _with(known: tuple[str, ...], parts: Mapping[str, int]) -> tuple[str, ...]:
    return known + tuple(name for name in parts if name not in known)


def capture_part(draft: Draft, work: Work, name: str, cause: Cause, managed: int | None = None) -> Work:
    """Take an open part: one `captured` entry per unit. Credits are taken as held.

    `managed` (US cents) is what the supplier really cost; None: as held. Less frees the rest, more is spent too.
    """
    part = work.parts[name]
    spent = part.managed if managed is None else managed
    entry_ids = [
        draft.add(_settled(_entry(work, cause, "captured", unit, posted=-taken, held=-held), name, part))
        for unit, taken, held in (("auto_order", part.credits, part.credits), ("managed", spent, part.managed))
        if held
    ]
    return replace(
        work,
        parts={**work.parts, name: replace(part, status="captured", managed=spent if part.managed else 0)},
        charged={**work.charged, charge_name(name, part.tracking): entry_ids[0]},
        credits=work.credits + part.credits,
    )


def release_part(draft: Draft, work: Work, name: str, cause: Cause) -> Work:
    """Give an open part back: one `released` entry per unit."""
    part = work.parts[name]
    for unit, held in (("auto_order", part.credits), ("managed", part.managed)):
        if held:
            draft.add(_settled(_entry(work, cause, "released", unit, held=-held), name, part))
    return replace(work, parts={**work.parts, name: replace(part, status="released")})


def enter_refusal(draft: Draft, work: Work, part: str, refusal: Problem, cause: Cause) -> Work:
    """Enter why queued work was refused: 0.00, with the sentence that explains it.

    Work that was to begin with `part` has failed; a later conversion leaves the order as it was.
    """
    entry = _entry(work, replace(cause, reason=refusal.detail), "refused", refusal.extra.get("unit", "auto_order"))
    draft.add(replace(entry, part=part))
    return work if part == "tracking" else replace(work, status="failed", reason=refusal.detail)


def _settled(entry: Entry, name: str, part: Part) -> Entry:
    """An entry that ends a part: it names the part, and the method and rate card by which it was opened."""
    return replace(entry, part=name, tracking=part.tracking, rate_card=part.rate_card)


def price_work(draft: Draft, request: WorkRequest) -> tuple[Work | None, Price]:
    """The record as it is and what the request still costs, all checks of new work passed.

    Raises Problem in the contract's order, `already_charged` first.
    """
    work = draft.work(request.key())
    parts = parts_to_charge(work, request)
    return work, price_parts(draft, request, parts)


def price_parts(draft: Draft, request: WorkRequest, parts: tuple[str, ...]) -> Price:
    """What `parts` cost, if the account may start them now and can pay. Raises Problem 403, `unknown_rate`, 402."""
    check_standing(draft.state, request, parts)
    price = price_of(draft.catalog.card_at(draft.now_ms), request, parts)
    check_sufficient(draft.state, "auto_order", price.credits())
    if price.managed:
        check_sufficient(draft.state, "managed", price.managed)
    return price


@dataclass(frozen=True, slots=True)
class Charge:
    """What debits and holds over HTTP have in common: a caller, a key, and the work."""

    caller: Caller
    idempotency: IdempotencyKey
    request: WorkRequest

    def records(self) -> tuple[RecordKey, ...]:
        """The idempotency key and the work."""
        return ("key", self.idempotency.key), self.request.key()

    def expects_new(self) -> bool:
        """Most keys and most work are new."""
        return True

    def replay(self, draft: Draft) -> Done | None:
        """The first answer to this key, if there was one.

        Raises Problem `account_not_found`, `store_forbidden`, `idempotency_key_reused`.
        """
        check_exists(draft.head)
        check_works_for(self.caller, self.request)
        return draft.replay(self.idempotency)

    def finish(self, draft: Draft, work: Work, first: int, did: str) -> Done:
        """Write the work and the key's record."""
        work = draft.put_work(work, moved=True)
        draft.remember(self.idempotency, first)
        return Done(did=did, first=first, count=len(draft.entries) - first, work=work)


@dataclass(frozen=True, slots=True)
class Debit(Charge):
    """Charges the work at once: one `debited` entry per unit."""

    def decide(self, draft: Draft) -> Done:
        """Raises every Problem of new work (contract, section 4), in its order."""
        if replay := self.replay(draft):
            return replay
        before, price = price_work(draft, self.request)
        status = "accepted" if self.request.kind == "product" else "ordered"
        work = present_work(draft, before, self.request, status)
        cause = Cause(actor=self.caller.actor, key=self.idempotency.key)
        first = len(draft.entries)
        entry_ids = [
            draft.add(replace(_entry(work, cause, "debited", unit, posted=-amount), rate_card=price.rate_card))
            for unit, amount in (("auto_order", price.credits()), ("managed", price.managed))
            if amount
        ]
        charges = {charge_name(part, self.request.tracking): entry_ids[0] for part in price.parts}
        work = replace(
            work,
            charged={**work.charged, **charges},
            known_parts=_with(work.known_parts, price.parts),
            credits=work.credits + price.credits(),
        )
        return self.finish(draft, work, first, "debited")


@dataclass(frozen=True, slots=True)
class Hold(Charge):
    """Sets credits aside for the work, split in parts, for `lasts_ms` milliseconds."""

    lasts_ms: int = HOLD_MS

    def decide(self, draft: Draft) -> Done:
        """Raises every Problem of new work (contract, section 4), in its order."""
        if replay := self.replay(draft):
            return replay
        before, price = price_work(draft, self.request)
        work = present_work(draft, before, self.request, held_status(self.request))
        cause = Cause(actor=self.caller.actor, key=self.idempotency.key)
        first = len(draft.entries)
        work = open_parts(draft, work, price, cause, draft.at_ms() + self.lasts_ms)
        return self.finish(draft, work, first, "held")


def held_status(request: WorkRequest) -> str:
    """The status that new work has once its parts are held: a manual order is ordered already."""
    return "ordered" if request.order_type == "manual" else "processing"


@dataclass(frozen=True, slots=True)
class Quote:
    """What a debit of the work would cost now, whatever the standing. Moves nothing."""

    price: Price
    available: Mapping[str, int]

    def shortfall(self, unit: str) -> int:
        """Hundredths of `unit` that are lacking; 0 if none."""
        needed = self.price.credits() if unit == "auto_order" else self.price.managed
        return max(0, needed - self.available[unit]) if needed else 0


def quote(state: State, card: RateCard, work: Work | None, request: WorkRequest) -> Quote:
    """Price the request as a debit would: the difference for a later conversion, nothing if it is charged already.

    Raises Problem `order_conflict`. Work without a rate (manual, no conversion) costs nothing.
    """
    try:
        parts = parts_to_charge(work, request)
    except Problem as problem:
        if problem.code != "already_charged":
            raise
        parts = ()
    price = price_of(card, request, parts) if parts else Price({}, 0, card.name)
    return Quote(price, {unit: state.balance(unit).available() for unit in ("auto_order", "managed")})


def check_works_for(caller: Caller, request: WorkRequest) -> None:
    """Raise Problem `store_forbidden` when the caller is bound to another store than the work is for."""
    if may_work_for(caller, request.store_id) != "yes":
        raise Problem("store_forbidden", "This token may do work for its own store alone.")


def check_visible(caller: Caller, work: Work | None, code: str) -> Work:
    """The work itself. Raises Problem `code` if there is none, or it is another store's than the token's."""
    if work is None or may_see_work_of(caller, work.store_id) != "yes":
        raise Problem(code)
    return work

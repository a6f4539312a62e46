"""What work costs: the parts still to be paid for, whether the account may and can pay, and the entries of it.

HTTP and the queue both use it. The checks come in the contract's order (docs/contract.md, section 4): already charged,
conflict, standing, add-on, frozen balance, too many attempts, rate, credits, managed balance.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from autocredits.domain.catalog import RateCard
from autocredits.domain.decide import Draft
from autocredits.domain.errors import Problem
from autocredits.domain.journal import Entry
from autocredits.domain.state import State, check_sufficient

from .record import FAILED, Part, Work, WorkRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Who or what caused an entry, and what the entry records of it."""

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


@dataclass(frozen=True, slots=True)
class Quote:
    """What a debit of the work would cost now, whatever the account's standing."""

    price: Price
    available: Mapping[str, int]

    def shortfall(self, unit: str) -> int:
        """Hundredths of `unit` that are lacking; 0 if none."""
        needed = self.price.credits() if unit == "auto_order" else self.price.managed
        return max(0, needed - self.available[unit]) if needed else 0


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
        raise Problem("order_conflict", "This order is queued and will be charged from the queue.")
    if work.status not in FAILED and (work.order_type, work.cost) != (request.order_type, request.cost):
        raise Problem("order_conflict", f"This {work.kind} was requested with different details.")
    live = {part: work.live_entry_id(part, request.tracking) for part in wanted}
    missing = tuple(part for part in wanted if live[part] is None)
    if wanted and not missing:
        raise Problem("already_charged", "This work is already charged.", entry_id=live[wanted[-1]])
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
            detail = f"The {unit} balance is below zero. Top it up before starting new work."
            raise Problem("balance_frozen", detail, unit=unit)


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


def price_parts(draft: Draft, request: WorkRequest, parts: tuple[str, ...]) -> Price:
    """What `parts` cost, if the account can pay for them. Raises Problem `unknown_rate`, 402."""
    price = price_of(draft.catalog.card_at(draft.now_ms), request, parts)
    check_sufficient(draft.state, "auto_order", price.credits())
    if price.managed:
        check_sufficient(draft.state, "managed", price.managed)
    return price


def price_work(draft: Draft, request: WorkRequest) -> tuple[Work | None, Price]:
    """The record as it is and what the request still costs, once all checks of new work have passed.

    Raises Problem in the contract's order, `already_charged` first.
    """
    work = draft.get(request.key(), Work)
    parts = parts_to_charge(work, request)
    check_standing(draft.state, request, parts)
    if work is not None:
        work.check_room()
    return work, price_parts(draft, request, parts)


def quote(state: State, card: RateCard, work: Work | None, request: WorkRequest) -> Quote:
    """Price the request as a debit would: the difference for a later conversion, nothing if it is already charged.

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


def enter_debit(draft: Draft, work: Work, price: Price, cause: Cause) -> str:
    """Enter the whole price as debited, one entry per unit; the first one's id."""
    entry_ids = [
        draft.add(replace(_entry(work, cause, "debited", unit, posted=-amount), rate_card=price.rate_card))
        for unit, amount in (("auto_order", price.credits()), ("managed", price.managed))
        if amount
    ]
    return entry_ids[0]


def enter_hold(draft: Draft, work: Work, price: Price, name: str, cause: Cause, *, expires_at: int) -> str:
    """Enter one part of the price as held, one entry per unit; the first one's id."""
    entry_ids = [
        draft.add(
            replace(
                _entry(work, cause, "held", unit, held=amount),
                part=name,
                rate_card=price.rate_card,
                expires_at=expires_at,
            )
        )
        for unit, amount in (("auto_order", price.parts[name]), ("managed", managed_of(price, name)))
        if amount
    ]
    return entry_ids[0]


def managed_of(price: Price, name: str) -> int:
    """What a part costs in `managed` (US cents): all of it belongs to part `order`."""
    return price.managed if name == "order" else 0


def enter_capture(draft: Draft, work: Work, name: str, cause: Cause, spent: int) -> str:
    """Enter an open part as captured, one entry per unit; the first one's id. Credits are taken as held.

    `spent` is what is taken of `managed` (US cents). Less than was held frees the rest; more is taken too.
    """
    part = work.parts[name]
    entry_ids = [
        draft.add(_settled(_entry(work, cause, "captured", unit, posted=-taken, held=-held), name, part))
        for unit, taken, held in (("auto_order", part.credits, part.credits), ("managed", spent, part.managed))
        if held
    ]
    return entry_ids[0]


def enter_release(draft: Draft, work: Work, name: str, kind: str, cause: Cause) -> None:
    """Enter an open part as given back, `released` or `expired`, one entry per unit."""
    part = work.parts[name]
    for unit, held in (("auto_order", part.credits), ("managed", part.managed)):
        if held:
            draft.add(_settled(_entry(work, cause, kind, unit, held=-held), name, part))


def enter_refusal(draft: Draft, work: Work, part: str, refusal: Problem, cause: Cause) -> None:
    """Enter why queued work was refused: 0.00, with the sentence that explains it."""
    entry = _entry(work, replace(cause, reason=refusal.detail), "refused", refusal.extra.get("unit", "auto_order"))
    draft.add(replace(entry, part=part))


def _entry(work: Work, cause: Cause, kind: str, unit: str, *, posted: int = 0, held: int = 0) -> Entry:
    """An entry of the work, with what every entry of work says."""
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


def _settled(entry: Entry, name: str, part: Part) -> Entry:
    """An entry that ends a part: it names the part, and the method and rate card it was opened with."""
    return replace(entry, part=name, tracking=part.tracking, rate_card=part.rate_card)

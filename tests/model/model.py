"""What the contract says of each operation, as a small model that shares nothing with the product.

Amounts are hundredths. A message that is acknowledged has status 0, one that waits the code `wait`, and a dead letter
the code of its reason.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

# domain.md once more: what a cell costs, by type and method.
AUTOMATED = {"none": 100, "bce": 133, "qtrack": 250, "tracking_generator": 200}
TABLE = {"auto": AUTOMATED, "fba": AUTOMATED, "manual": {"bce": 33, "qtrack": 50, "tracking_generator": 100}}
SOURCING = 100
FREE = 500
PACKAGES = {"auto_order-20": (2000, 990), "auto_order-100": (10_000, 3990)}
UNITS = ("auto_order", "ai_rewrite", "finder", "managed")
MAX_BALANCE = 100_000_000_000

STATUS = {
    "insufficient_credits": 402,
    "insufficient_managed_balance": 402,
    "store_forbidden": 403,
    "orders_processor_inactive": 403,
    "account_inactive": 403,
    "balance_frozen": 403,
    "account_not_found": 404,
    "order_not_found": 404,
    "hold_not_found": 404,
    "already_charged": 409,
    "order_conflict": 409,
    "invalid_transition": 409,
    "balance_limit": 409,
    "too_many_attempts": 409,
    "unknown_rate": 422,
    "capture_exceeds_hold": 422,
    "idempotency_key_reused": 422,
}

Parts = dict[str, tuple[int, int]]
Line = tuple[str, str | None, int, int]


@dataclass(frozen=True)
class Op:
    """One operation: a request with its key and the store of its token, or a message with its id."""

    do: str
    told: Mapping[str, Any]
    key: str | None = None
    message_id: str | None = None
    store: str | None = None

    def is_message(self) -> bool:
        """Whether it comes by the queue."""
        return "." in self.do

    def request(self) -> tuple[str, str]:
        """What makes two requests the same."""
        return self.do, str(sorted(self.told.items()))


@dataclass(frozen=True)
class Told:
    """What the caller is told; `shown` is compared as far as the model speaks of it."""

    status: int
    code: str | None = None
    replayed: bool = False
    shown: Mapping[str, Any] = field(default_factory=dict)


class RefusedError(Exception):
    """A refusal by its code, and the unit that an entry of it names."""

    def __init__(self, code: str, unit: str = "auto_order") -> None:
        super().__init__(code)
        self.code = code
        self.unit = unit


class WaitError(Exception):
    """The message is a result before its request."""


@dataclass
class Part:
    """One part of a hold."""

    credits: int
    managed: int
    method: str | None
    status: str = "open"


@dataclass(frozen=True)
class Bounds:
    """How many attempts a piece of work has, and how many changes of its record, before nothing new is opened."""

    attempts: int = 99
    changes: int = 900


@dataclass
class Work:
    """One order, or one sourcing request."""

    kind: str
    store: str
    order_type: str | None
    tracking: str | None
    cost: int | None
    status: str = "new"
    attempt: int = 0
    parts: dict[str, Part] = field(default_factory=dict)
    paid: set[str] = field(default_factory=set)
    ever: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    asked: set[str | None] = field(default_factory=set)
    converted: bool = False
    credits: int = 0
    failed_at: int = 0
    changes: int = 0
    # Of the present attempt alone:
    number: str | None = None
    supplier: str | None = None
    first: dict[str, Part] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    back: set[str] = field(default_factory=set)
    noted: set[str] = field(default_factory=set)

    def begin_attempt(self) -> None:
        """Another attempt, of which nothing has been told."""
        self.attempt, self.parts, self.converted = self.attempt + 1, {}, False
        self.number = self.supplier = None
        self.first, self.held, self.back, self.noted = {}, set(), set(), set()

    def open_parts(self) -> list[str]:
        """The parts that are still open."""
        return [name for name, part in self.parts.items() if part.status == "open"]

    def has(self, name: str, method: str | None) -> bool:
        """Whether this part by this method is paid for or held."""
        part = self.parts.get(name)
        held = part is not None and part.status == "open" and (name != "tracking" or part.method == method)
        return charge(name, method) in self.paid or held

    def has_ended(self) -> bool:
        """Whether only a new attempt goes on with it."""
        return self.status in {"failed", "rejected"}

    def check_room(self, bounds: "Bounds") -> None:
        """Whether something new may be opened for it."""
        if self.changes >= bounds.changes or (self.has_ended() and self.attempt >= bounds.attempts):
            raise RefusedError("too_many_attempts")


def charge(name: str, method: str | None) -> str:
    """What is paid for once."""
    return f"{name} {method}" if name == "tracking" else name


@dataclass(frozen=True)
class Ask:
    """WORK, as it is asked for."""

    kind: str
    work_id: str
    store: str
    order_type: str | None = None
    tracking: str | None = None
    cost: int | None = None

    def parts(self) -> Parts:
        """What each part of it costs: credits and managed balance."""
        if self.kind == "product":
            return {"sourcing": (SOURCING, 0)}
        cells = TABLE[self.order_type or ""]
        parts: Parts = {} if self.order_type == "manual" else {"order": (cells["none"], self.cost or 0)}
        if self.tracking != "none":
            parts["tracking"] = (cells[self.tracking or ""] - cells.get("none", 0), 0)
        return parts


def ask_of(told: Mapping[str, Any]) -> Ask:
    """WORK of a body."""
    if "product_id" in told:
        return Ask("product", told["product_id"], told["store_id"])
    cost = int(told["cost"].replace(".", "")) if "cost" in told else None
    return Ask("order", told["order_id"], told["store_id"], told["order_type"], told["tracking"], cost)


def due(work: Work | None, ask: Ask) -> Parts:
    """The parts to be charged now. Raises what section 4 says of work that is charged or another."""
    parts = ask.parts()
    if work is None:
        return parts
    if work.store != ask.store or work.status == "queued":
        raise RefusedError("order_conflict")
    if not work.has_ended() and (work.order_type, work.cost) != (ask.order_type, ask.cost):
        raise RefusedError("order_conflict")
    left = {name: price for name, price in parts.items() if not work.has(name, ask.tracking)}
    if parts and not left:
        raise RefusedError("already_charged")
    if "tracking" in left and "tracking" in work.open_parts():
        raise RefusedError("order_conflict")
    return left


@dataclass
class Purchase:
    """One purchase by a provider."""

    unit: str
    credits: int
    price: int
    status: str = "pending"
    payment: str | None = None
    declines: set[str] = field(default_factory=set)
    refused: bool = False
    refunded: int = 0
    lost: int = 0
    clawed: int = 0
    frozen: int = 0
    dispute: str | None = None

    def owed(self, cents: int) -> int:
        """The share of the grant for so many cents, rounded half up."""
        return (2 * self.credits * min(cents, self.price) + self.price) // (2 * self.price)

    def granted(self) -> bool:
        """Whether its credits were granted."""
        return self.status in {"credited", "disputed", "refunded", "charged_back"}


@dataclass
class Books:
    """One account."""

    bounds: Bounds
    open: bool = False
    status: str = "active"
    add_on: str = "inactive"
    low: str | None = None
    posted: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    works: dict[tuple[str, str], Work] = field(default_factory=dict)
    keys: dict[str, tuple[tuple[str, str], Told]] = field(default_factory=dict)
    purchases: dict[str, Purchase] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    sent: list[tuple[str, int]] = field(default_factory=list)
    moment: int = 0

    def available(self, unit: str) -> int:
        """What new work can use."""
        return self.posted[unit] - self.held[unit]

    def enter(self, kind: str, unit: str | None, posted: int = 0, held: int = 0) -> None:
        """One entry."""
        self.lines.append((kind, unit, posted, held))
        if unit is not None:
            self.posted[unit] += posted
            self.held[unit] += held

    def check_work(self, parts: Parts, known: Work | None = None) -> Parts:
        """Whether new work may be charged so, for work that is known. Raises the refusals in the contract's sequence."""
        need = {"auto_order": sum(price for price, _ in parts.values()), "managed": sum(m for _, m in parts.values())}
        if self.status != "active":
            raise RefusedError("account_inactive")
        if self.add_on != "active":
            raise RefusedError("orders_processor_inactive")
        for unit, sum_ in need.items():
            if sum_ and self.available(unit) < 0:
                raise RefusedError("balance_frozen", unit)
        if known is not None:
            known.check_room(self.bounds)
        if not parts:
            raise RefusedError("unknown_rate")
        if self.available("auto_order") < need["auto_order"]:
            raise RefusedError("insufficient_credits")
        if need["managed"] and self.available("managed") < need["managed"]:
            raise RefusedError("insufficient_managed_balance", "managed")
        return parts

    # How work goes on.

    def begin(self, ask: Ask) -> Work:
        """The work, in a new attempt where the last one has ended or there is none."""
        place = (ask.kind, ask.work_id)
        work = self.works.setdefault(place, Work(ask.kind, ask.store, None, None, None))
        if work.status == "new" or work.has_ended():
            work.order_type, work.tracking, work.cost = ask.order_type, ask.tracking, ask.cost
            work.begin_attempt()
            work.asked.add(ask.tracking)
            work.status = "begun"
        return work

    def hold(self, work: Work, parts: Parts, method: str | None) -> None:
        """Set parts aside."""
        if work.status in {"begun", "queued"}:
            work.status = "ordered" if work.order_type == "manual" else "processing"
        work.tracking = method
        work.asked.add(method)
        for name, (price, managed) in parts.items():
            work.parts.pop(name, None)
            work.held.add(charge(name, method))
            work.parts[name] = Part(price, managed, method if name == "tracking" else None)
            work.ever.add(name)
            self.enter("held", "auto_order", held=price)
            if managed:
                self.enter("held", "managed", held=managed)
        work.first = work.first or dict(work.parts)

    def debit(self, work: Work, parts: Parts, method: str | None) -> None:
        """Charge parts at once."""
        if work.status == "begun":
            work.status = "accepted" if work.kind == "product" else "ordered"
        work.tracking = method
        work.asked.add(method)
        price, managed = (sum(values) for values in zip(*parts.values(), strict=True))
        self.enter("debited", "auto_order", posted=-price)
        if managed:
            self.enter("debited", "managed", posted=-managed)
        work.credits += price
        work.ever |= parts.keys()
        work.paid |= {charge(name, method) for name in parts}

    def capture(self, work: Work, name: str, managed: int | None = None) -> None:
        """Take an open part."""
        part = work.parts[name]
        part.status = "captured"
        self.enter("captured", "auto_order", -part.credits, -part.credits)
        if part.managed:
            spent = part.managed if managed is None else managed
            self.enter("captured", "managed", -spent, -part.managed)
        work.credits += part.credits
        work.paid.add(charge(name, part.method))
        if name == "sourcing":
            work.status = "accepted"
        elif name == "order":
            work.status = "shipped" if work.converted else "ordered"
        else:
            work.converted = True
            work.status = "shipped" if work.status == "ordered" else work.status

    def release(self, work: Work, name: str) -> None:
        """Give an open part back."""
        part = work.parts[name]
        part.status = "released"
        work.back.add(charge(name, part.method))
        self.enter("released", "auto_order", held=-part.credits)
        if part.managed:
            self.enter("released", "managed", held=-part.managed)
        if name == "sourcing":
            work.status = "rejected"
        elif name == "order":
            self.fail(work)

    def fail(self, work: Work) -> None:
        """The order has failed now."""
        work.status = "failed"
        self.moment += 1
        work.failed_at = self.moment

    def queue(self, work_id: str, work: Work) -> None:
        """Put a queued order on the queue."""
        if work.status == "queued":
            self.sent.append((work_id, work.attempt))


class Model:
    """Both accounts, and what every operation is to answer."""

    def __init__(self, *names: str, bounds: Bounds) -> None:
        self.books = {name: Books(bounds) for name in names}
        self.payments: dict[str, str] = {}

    def call(self, account: str, op: Op) -> Told:
        """Do it."""
        books = self.books[account]
        door: Callable[[Books, Op], Told] = getattr(self, "_" + op.do.replace(".", "_"))
        before = deepcopy(books.works)
        told = self._call(books, op, door)
        for place, work in books.works.items():
            work.changes += work != before.get(place)
        return told

    def _call(self, books: Books, op: Op, door: Callable[[Books, Op], Told]) -> Told:
        try:
            if op.do != "open":
                check_reach(books, op)
            return door(books, op) if op.key is None else self._once(books, op, door)
        except RefusedError as refused:
            return Told(0 if op.is_message() else STATUS[refused.code], refused.code)
        except WaitError:
            return Told(0, "wait")

    def _once(self, books: Books, op: Op, door: Callable[[Books, Op], Told]) -> Told:
        known = books.keys.get(op.key or "")
        if known is None:
            told = door(books, op)
            books.keys[op.key or ""] = op.request(), told
            return told
        if known[0] != op.request():
            raise RefusedError("idempotency_key_reused")
        if op.do == "orders":
            books.queue(op.told["order_id"], books.works["order", op.told["order_id"]])
        return Told(known[1].status, replayed=True, shown=known[1].shown)

    # Accounts.

    def _open(self, books: Books, op: Op) -> Told:
        if books.open:
            return Told(200)
        books.open, books.add_on = True, op.told["orders_processor"]
        books.enter("opened", None)
        for unit, sum_ in op.told.get("opening", {"auto_order": amount(FREE)}).items():
            if sum_ != "0.00":
                books.enter("granted", unit, int(sum_.replace(".", "")))
        return Told(201)

    def _standing(self, books: Books, op: Op) -> Told:
        status, add_on = op.told.get("status", books.status), op.told.get("orders_processor", books.add_on)
        for _ in range((status != books.status) + (add_on != books.add_on)):
            books.enter("standing", None)
        books.status, books.add_on = status, add_on
        return Told(200, shown={"status": status, "orders_processor": add_on})

    def _settings(self, books: Books, op: Op) -> Told:
        if op.told["low_balance"] != books.low:
            books.enter("standing", None)
        books.low = op.told["low_balance"]
        return Told(200, shown={"low_balance": books.low})

    def _adjustments(self, books: Books, op: Op) -> Told:
        unit, amount = op.told["unit"], int(op.told["amount"].replace(".", ""))
        if amount < 0 and books.available(unit) + amount < 0:
            raise RefusedError("insufficient_managed_balance" if unit == "managed" else "insufficient_credits")
        if books.posted[unit] + amount > MAX_BALANCE:
            raise RefusedError("balance_limit")
        books.enter("adjusted", unit, amount)
        return Told(201, shown={"kind": "adjusted", "posted": op.told["amount"]})

    # Work over HTTP.

    def _debits(self, books: Books, op: Op) -> Told:
        ask = ask_of(op.told)
        known = books.works.get((ask.kind, ask.work_id))
        parts = books.check_work(due(known, ask), known)
        books.debit(books.begin(ask), parts, ask.tracking)
        return Told(201, shown=price_of(parts))

    def _holds(self, books: Books, op: Op) -> Told:
        ask = ask_of(op.told)
        known = books.works.get((ask.kind, ask.work_id))
        parts = books.check_work(due(known, ask), known)
        work = books.begin(ask)
        books.hold(work, parts, ask.tracking)
        named = {name: amount(price) for name, (price, _) in parts.items()}
        hold_id = f"{ask.work_id}~{'s' if ask.kind == 'product' else ''}{work.attempt}"
        return Told(201, shown={**price_of(parts), "parts": named, "hold_id": hold_id, "status": "open"})

    def _settled(self, books: Books, op: Op) -> Work:
        work = books.works.get((op.told["kind"], op.told["work_id"]))
        if work is None or work.attempt < op.told["attempt"]:
            raise RefusedError("hold_not_found")
        if op.store not in {None, work.store}:
            raise RefusedError("hold_not_found")
        if work.attempt > op.told["attempt"]:
            raise RefusedError("invalid_transition")
        if not work.parts:
            raise RefusedError("hold_not_found")
        return work

    def _targets(self, work: Work, named: list[str] | None, ended: str) -> list[str]:
        statuses = {name: part.status for name, part in work.parts.items()}
        if named is None:
            targets = [name for name in work.open_parts() if work.parts[name] is work.first.get(name)]
            if not targets and ended not in {part.status for part in work.first.values()}:
                raise RefusedError("invalid_transition")
            return targets
        if any(statuses.get(name) not in {"open", ended} for name in named):
            raise RefusedError("invalid_transition")
        return [name for name in named if statuses[name] == "open"]

    def _capture(self, books: Books, op: Op) -> Told:
        work = self._settled(books, op)
        targets = self._targets(work, op.told.get("parts"), "captured")
        managed = op.told.get("managed")
        cents = None if managed is None else int(managed.replace(".", ""))
        if cents is not None and "order" in targets and cents > work.parts["order"].managed:
            raise RefusedError("capture_exceeds_hold")
        for name in targets:
            books.capture(work, name, cents)
        return Told(200, shown={"parts": {name: part.status for name, part in work.parts.items()}})

    def _release(self, books: Books, op: Op) -> Told:
        work = self._settled(books, op)
        targets = self._targets(work, op.told.get("parts"), "released")
        for name in work.open_parts() if "order" in targets else targets:
            books.release(work, name)
        return Told(200, shown={"parts": {name: part.status for name, part in work.parts.items()}})

    def _orders(self, books: Books, op: Op) -> Told:
        ask = ask_of(op.told)
        work = books.works.get(("order", ask.work_id))
        if work is not None and work.store != ask.store:
            raise RefusedError("order_conflict")
        if work is None or work.has_ended():
            if work is not None:
                work.check_room(books.bounds)
            work = books.begin(ask)
            work.status = "queued"
        elif not is_same(work, ask):
            raise RefusedError("order_conflict")
        books.queue(ask.work_id, work)
        return Told(202, shown={"order_id": ask.work_id, "status": work.status, "attempt": work.attempt})

    def _resend(self, books: Books, op: Op) -> Told:
        work = books.works.get(("order", op.told["order_id"]))
        if work is None or op.store not in {None, work.store}:
            raise RefusedError("order_not_found")
        if work.status != "failed":
            raise RefusedError("invalid_transition")
        work.check_room(books.bounds)
        self._again(books, op.told["order_id"], work)
        return Told(202, shown={"status": "queued", "attempt": work.attempt})

    def _again(self, books: Books, work_id: str, work: Work) -> None:
        work.status = "queued"
        work.begin_attempt()
        books.queue(work_id, work)

    def _resend_all(self, books: Books, op: Op) -> Told:
        failed = [
            (work.failed_at, work_id)
            for (_, work_id), work in books.works.items()
            if work.kind == "order" and work.status == "failed" and op.store in {None, work.store}
        ]
        resent = 0
        for _, work_id in sorted(failed):
            with suppress(RefusedError):
                books.works["order", work_id].check_room(books.bounds)
                self._again(books, work_id, books.works["order", work_id])
                resent += 1
        return Told(202, shown={"resent": resent, "more": False})

    # Messages.

    def _auto_order_requested(self, books: Books, op: Op) -> Told:
        ask, attempt = ask_of(op.told), op.told.get("attempt")
        work = books.works.get(("order", ask.work_id))
        if work is not None and (op.message_id or "") in work.seen:
            return Told(0)
        if work is None and attempt is not None:
            return Told(0)
        queued = work is not None and work.status == "queued"
        if work is not None and attempt is not None and not (queued and work.attempt == attempt):
            return met(work, op)
        if work is not None and (work.store != ask.store or not (work.has_ended() or is_same(work, ask))):
            raise RefusedError("order_conflict")
        if work is not None and not work.has_ended() and not queued:
            return met(work, op)
        if work is not None and queued:  # as it was queued, whichever of its methods is named
            ask = replace(ask, tracking=work.tracking)
        return self._request(books, op, ask)

    def _request(self, books: Books, op: Op, ask: Ask) -> Told:
        """Work begins by a message: held, or refused."""
        known = books.works.get((ask.kind, ask.work_id))
        if known is not None and known.has_ended():
            known.check_room(books.bounds)
        work = books.begin(ask)
        parts = {name: price for name, price in ask.parts().items() if not work.has(name, ask.tracking)}
        try:
            books.check_work(parts)
        except RefusedError as refused:
            books.enter("refused", refused.unit)
            books.fail(work)
        else:
            books.hold(work, parts, ask.tracking)
        return met(work, op)

    def _auto_order_placed(self, books: Books, op: Op) -> Told:
        work = self._result(books, op, "order")
        if work is not None and "order" in work.open_parts():
            managed = op.told.get("managed")
            books.capture(work, "order", None if managed is None else int(managed.replace(".", "")))
            work.supplier = op.told["supplier_order_id"]
        return Told(0)

    def _auto_order_failed(self, books: Books, op: Op) -> Told:
        work = self._result(books, op, "order")
        if work is not None and "order" in work.open_parts():
            for name in work.open_parts():
                books.release(work, name)
        return Told(0)

    def _result(self, books: Books, op: Op, part: str) -> Work | None:
        """The work that a result is about; None where it changes nothing."""
        kind = "product" if part == "sourcing" else "order"
        work = books.works.get((kind, op.told[f"{kind}_id"]))
        if work is None:
            raise WaitError
        attempt = op.told.get("attempt") or work.attempt
        if (op.message_id or "") in work.seen:
            return None
        if attempt < work.attempt:
            met(work, op)
            return None
        if attempt > work.attempt:
            raise WaitError
        if "managed" in op.told and work.order_type != "fba":
            raise RefusedError("invalid_field")
        if work.status == "queued" or part not in work.ever or self._is_early(work, op.told.get("tracking")):
            raise WaitError
        met(work, op)
        return work

    def _is_early(self, work: Work, method: str | None) -> bool:
        """Whether a result names a method that is not open, nor paid for, nor was given back in this attempt."""
        return method is not None and not work.has("tracking", method) and charge("tracking", method) not in work.back

    def _tracking_conversion_requested(self, books: Books, op: Op) -> Told:
        told = op.told
        work, kind = books.works.get(("order", told["order_id"])), told.get("order_type")
        if work is not None and (op.message_id or "") in work.seen:
            return Told(0)
        if work is None and kind != "manual":
            raise WaitError
        if work is not None and (work.store != told["store_id"] or kind not in {None, work.order_type}):
            raise RefusedError("order_conflict")
        if work is not None and work.status == "queued":
            raise WaitError
        if work is not None and (work.status == "failed" or work.has("tracking", told["tracking"])):
            return met(work, op)
        if work is not None and "tracking" in work.open_parts():
            raise RefusedError("order_conflict")
        ask = Ask("order", told["order_id"], told["store_id"], work.order_type if work else kind, told["tracking"])
        return self._convert(books, op, ask)

    def _convert(self, books: Books, op: Op, ask: Ask) -> Told:
        known, number = books.works.get((ask.kind, ask.work_id)), op.told["tracking_number"]
        if known is not None:
            known.check_room(books.bounds)
        work = books.begin(ask)
        work.asked.add(ask.tracking)
        work.status = "ordered" if work.status == "begun" else work.status
        parts = {"tracking": ask.parts()["tracking"]}
        try:
            books.check_work(parts)
        except RefusedError as refused:
            books.enter("refused", refused.unit)
            work.number = work.number if known else number
        else:
            books.hold(work, parts, ask.tracking)
            work.number = number
        return met(work, op)

    def _conversion(self, books: Books, op: Op, settle: Callable[[Work, str], None]) -> Told:
        work = self._result(books, op, "tracking")
        if work is not None and "tracking" in work.open_parts():
            method = op.told.get("tracking")
            if method in {None, work.parts["tracking"].method}:
                settle(work, "tracking")
                work.number = op.told.get("tracking_number", work.number)
                return Told(0)
        if work is not None and settle == books.capture:
            self._note(work, charge("tracking", op.told.get("tracking") or work.tracking), op.told["tracking_number"])
        return Told(0)

    def _note(self, work: Work, paid: str, number: str) -> None:
        """A conversion that was paid for before this attempt held it, by a debit say, is completed: once."""
        if paid in work.paid and paid not in work.held | work.noted and work.status != "failed":
            work.noted.add(paid)
            work.converted, work.number = True, number
            work.status = "shipped" if work.status == "ordered" else work.status

    def _tracking_conversion_completed(self, books: Books, op: Op) -> Told:
        return self._conversion(books, op, books.capture)

    def _tracking_conversion_failed(self, books: Books, op: Op) -> Told:
        return self._conversion(books, op, books.release)

    def _sourcing_requested(self, books: Books, op: Op) -> Told:
        ask = ask_of(op.told)
        work = books.works.get(("product", ask.work_id))
        if work is not None and (op.message_id or "") in work.seen:
            return Told(0)
        if work is not None and work.store != ask.store:
            raise RefusedError("order_conflict")
        if work is not None and not work.has_ended():
            return met(work, op)
        return self._request(books, op, ask)

    def _sourced(self, books: Books, op: Op, settle: Callable[[Work, str], None]) -> Told:
        work = self._result(books, op, "sourcing")
        if work is not None and work.open_parts():
            settle(work, "sourcing")
        return Told(0)

    def _sourcing_accepted(self, books: Books, op: Op) -> Told:
        return self._sourced(books, op, books.capture)

    def _sourcing_rejected(self, books: Books, op: Op) -> Told:
        return self._sourced(books, op, books.release)

    # Reading and buying.

    def _quotes(self, books: Books, op: Op) -> Told:
        ask = ask_of(op.told)
        try:
            parts = due(books.works.get((ask.kind, ask.work_id)), ask)
        except RefusedError as refused:
            if refused.code != "already_charged":
                raise  # a debit would be refused as well
            parts = {}
        price = price_of(parts)
        units = ("auto_order", "managed")
        need = dict(zip(units, (sum(values) for values in zip((0, 0), *parts.values(), strict=True)), strict=True))
        short = {unit: max(0, need[unit] - books.available(unit)) if need[unit] else 0 for unit in units}
        shown = {"sufficient": not any(short.values()), "shortfall": {unit: amount(short[unit]) for unit in units}}
        return Told(200, shown=price | shown)

    def _purchases(self, books: Books, op: Op) -> Told:
        if books.status in {"suspended", "closed"}:
            raise RefusedError("account_inactive")
        if books.add_on != "active":
            raise RefusedError("orders_processor_inactive")
        package = op.told.get("package")
        cents = int(op.told.get("amount", "0").replace(".", ""))
        credits_, price = PACKAGES[package] if package else (cents, cents)
        unit = "auto_order" if package else "managed"
        books.purchases[op.key or ""] = Purchase(unit, credits_, price)
        return Told(201, shown={"unit": unit, "credits": amount(credits_), "price": amount(price)})

    def _review(self, books: Books, op: Op) -> Told:
        purchase = books.purchases[op.told["purchase"]]
        if purchase.status != "review":
            raise RefusedError("invalid_transition")
        if op.told["decision"] == "credit":
            purchase.status = "credited"
            books.enter("purchased" if purchase.unit == "auto_order" else "loaded", purchase.unit, purchase.credits)
        else:
            purchase.status, purchase.refused = "canceled", True
        return Told(200, shown={"status": purchase.status})

    def _webhook(self, books: Books, op: Op) -> Told:
        """What the provider's event does; a payment belongs to the first purchase that it was seen with."""
        key, payment = op.told["purchase"], op.told["payment"]
        purchase, kind = books.purchases[key], op.told["type"]
        if purchase.granted() and kind != "payment.declined" and payment != purchase.payment:
            return Told(202)
        known = self.payments.get(payment, key)
        if known != key:
            return Told(202)
        payable = purchase.status in {"pending", "declined", "canceled"} and not purchase.refused
        if payable and kind not in {"payment.succeeded", "payment.declined"}:
            return Told(503)
        before = purchase.status
        settle = {"payment.succeeded": self._paid, "payment.declined": self._declined}.get(kind, self._taken_back)
        settle(books, purchase, op)
        if kind != "payment.declined" or payment in purchase.declines:
            self.payments[payment] = key
        return Told(202 if purchase.status == "review" != before else 200)

    def _paid(self, books: Books, purchase: Purchase, op: Op) -> None:
        if purchase.status not in {"pending", "declined", "canceled"} or purchase.refused:
            return
        purchase.payment = op.told["payment"]
        purchase.status = "credited" if op.told["amount"] == amount(purchase.price) else "review"
        if purchase.status == "credited":
            books.enter("purchased" if purchase.unit == "auto_order" else "loaded", purchase.unit, purchase.credits)

    def _declined(self, books: Books, purchase: Purchase, op: Op) -> None:
        if purchase.status in {"pending", "declined"} and op.told["payment"] not in purchase.declines:
            purchase.status = "declined"
            purchase.declines.add(op.told["payment"])
            books.enter("declined", purchase.unit)

    def _taken_back(self, books: Books, purchase: Purchase, op: Op) -> None:
        cents, kind = int(op.told["amount"].replace(".", "")), op.told["type"]
        if not purchase.granted():
            return
        if kind == "payment.refunded":
            self._refunded(books, purchase, cents)
        elif kind == "dispute.created" and purchase.dispute is None:
            purchase.dispute, purchase.status = "open", "disputed"
            stake = purchase.owed(purchase.refunded + purchase.lost + cents) - purchase.clawed
            freeze(books, purchase, max(0, min(stake, books.available(purchase.unit))))
        elif kind in {"dispute.won", "dispute.lost"} and purchase.dispute not in {kind[8:], "lost"}:
            purchase.dispute = kind[8:]
            freeze(books, purchase, 0)
            purchase.status = "refunded" if purchase.refunded >= purchase.price else "credited"
            if kind == "dispute.lost":
                purchase.status, purchase.lost = "charged_back", cents
                claw_back(books, purchase)

    def _refunded(self, books: Books, purchase: Purchase, cents: int) -> None:
        if cents > purchase.refunded:
            purchase.refunded = cents
            if cents >= purchase.price and purchase.status == "credited":
                purchase.status = "refunded"
            claw_back(books, purchase)


def claw_back(books: Books, purchase: Purchase) -> None:
    """Take what is owed for all that was refunded and lost; what is frozen of it goes first."""
    owed = purchase.owed(purchase.refunded + purchase.lost)
    if owed > purchase.clawed:
        freeze(books, purchase, min(purchase.frozen, purchase.credits - owed))
        books.enter("clawed_back", purchase.unit, purchase.clawed - owed)
        purchase.clawed = owed


def freeze(books: Books, purchase: Purchase, cents: int) -> None:
    """Have just so much of the purchase held."""
    if cents != purchase.frozen:
        kind = "held" if cents > purchase.frozen else "released"
        books.enter(kind, purchase.unit, held=cents - purchase.frozen)
    purchase.frozen = cents


def check_reach(books: Books, op: Op) -> None:
    """Whether there is the account, and whether a token that is bound to a store may do this."""
    if not books.open:
        raise RefusedError("account_not_found")
    named = op.told.get("store_id") if not op.is_message() else None
    if op.store is not None and named not in {None, op.store}:
        raise RefusedError("store_forbidden")


def is_same(work: Work, ask: Ask) -> bool:
    """Whether it is the work that is known, with any method that it was ever asked for, or paid for as it is."""
    if (work.order_type, work.cost) != (ask.order_type, ask.cost):
        return False
    return ask.tracking in work.asked or all(work.has(name, ask.tracking) for name in ask.parts())


def met(work: Work, op: Op) -> Told:
    """The work has seen the message, and remembers it unless it is told by its attempt."""
    if op.do != "auto_order.requested" or "attempt" not in op.told:
        work.seen.add(op.message_id or "")
    return Told(0)


def price_of(parts: Parts) -> dict[str, str]:
    """What the parts cost, as it is shown."""
    credits_, managed = (sum(values) for values in zip((0, 0), *parts.values(), strict=True))
    return {"credits": amount(credits_), "managed": amount(managed)}


def amount(hundredths: int) -> str:
    """An amount as it is shown."""
    return f"{'-' if hundredths < 0 else ''}{abs(hundredths) // 100}.{abs(hundredths) % 100:02}"

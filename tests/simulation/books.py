"""What must hold of an account's books after every run: sums and links, nothing twice, nothing that nobody asked for.

Prices are those of docs/domain.md, "What an action costs": an oracle apart from the catalog's files. A part of the
table that was lost in a restore is accounted for by exactly what was in it, and excuses nothing else.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from autocredits.domain.journal import NO_PAGE_HASH, Entry, Page
from autocredits.domain.records import KeyRecord, Record, RecordKey
from autocredits.domain.work.record import Work, work_from_map
from tests.kit.books import UNITS, hash_of
from tests.kit.deliveries import Request
from tests.simulation.deliveries import Delivery, Try
from tests.simulation.telling import check_events
from tests.simulation.violations import cents, expect
from tests.simulation.world import NEVER, World, place_of

CELLS = {"none": 100, "bce": 133, "qtrack": 250, "tracking_generator": 200}
FREE = {"auto_order": "5.00"}
"""What a new account gets."""

ENDS = ("captured", "released", "expired")
"""How what was held may end."""

NEVER_MS = 10**15

Journal = Sequence[Page]
"""The pages of an account as they lay in the table at some moment, oldest first."""


class Books:
    """An account's journal and records as they lie in the store at a run's end, and what was lost of them meanwhile."""

    def __init__(self, world: World, account_id: str, deliveries: Sequence[Delivery]) -> None:
        self.world = world
        self.account_id = account_id
        self.deliveries = deliveries
        numbers = sorted(world.store.pages.get(account_id, {}))
        self.pages = [page for page in (world.store.page(account_id, number) for number in numbers) if page]
        self.entries = [(page, entry) for page in self.pages for entry in page.entries]
        self.lain = world.lain.get(account_id, [])
        self.lost_pages = [one.page for one in self.lain if one.page]
        self.ever = [*((page, entry) for page in self.lost_pages for entry in page.entries), *self.entries]

    # ------------------------------------------------------------------ how it lay at some moment

    def journals(self, one: Try, *, seen: bool = False) -> list[Journal]:
        """The journal as it was at some moment between a request and its answer; `seen`: or as plain reads saw it."""
        steps = {step for each in self.lain for step in (each.since, each.until) if one.begun < step <= one.ended}
        moments = sorted({one.begun, *steps})
        found = [self._journal_at(moment) for moment in moments]
        return [*found, *(self._journal_at(moment, seen=True) for moment in moments)] if seen else found

    def _journal_at(self, moment: int, *, seen: bool = False) -> Journal:
        left = {page.version: page for page in self.pages}
        lying = [one for one in self.lain if (one.shown if seen else one.since) <= moment < one.until]
        pages = (one.page or left.get(one.version) for one in sorted(lying, key=lambda one: one.version))
        return [page for page in pages if page]

    def record(self, key: RecordKey | None) -> Record | None:
        """A record as it lies there in the end."""
        return self.world.store.read(self.account_id, [key]).get(key) if key else None

    def work(self, key: tuple[str, str] | None) -> Work | None:
        """A work record."""
        record = self.record(key)
        return record if isinstance(record, Work) else None

    def lost_at(self, key: RecordKey | None) -> int:
        """The step at which a record was lost."""
        lost = self.world.lost.get(place_of(self.account_id, key)) if key else None
        return lost.step if lost else NEVER

    def key_known(self, key: str | None, one: Try) -> str | None:
        """The key, unless it was lost by the end of a try."""
        return key if key and self.lost_at(("key", key)) > one.ended else None

    def is_broken_for(self, delivery: Delivery, ended: int) -> bool:
        """Whether the books could not add up for a request by then, because of what had been lost.

        Its key or its work was committed with a page that is lost; it settles work while less is held than should be,
        because the page of somebody's hold is lost; or an order's key is there and the order is not.
        """
        request = delivery.request
        if delivery.kind == "order" and self.record(("key", request.key or "")) and self.lost_at(request.work) <= ended:
            return True
        return self._names_lost_page(request, ended) or (request.work is not None and self._lacks_holds(ended))

    def _lacks_holds(self, ended: int) -> bool:
        lost = [entry for one in self.lain if one.page and one.until <= ended for entry in one.page.entries]
        return any(sum(entry.held for entry in lost if entry.unit == unit) > 0 for unit in UNITS)

    def _names_lost_page(self, request: Request, ended: int) -> bool:
        lost = {one.version for one in self.lain if one.until <= ended}
        key, work = self.record(("key", request.key) if request.key else None), self.work(request.work)
        left = {page.version: page.hash for page in self.pages}
        by_key = isinstance(key, KeyRecord) and key.version in lost and left.get(key.version) != key.hash
        return by_key or (work is not None and not lost.isdisjoint(work.versions))

    # ------------------------------------------------------------------ what must hold

    def check(self) -> None:
        """Everything. Raises Violation."""
        self.check_pages()
        self.check_ended()
        self.check_failed()
        self.check_held()
        self.check_once()
        self.check_told()
        self.check_opened()
        self.check_asked_for()

    def check_pages(self) -> None:
        """Sums, gaps, links and standing, and nothing below zero that must not be."""
        posted, held = Counter[str](), Counter[str]()
        standing: dict[str, Any] = {"status": "active", "orders_processor": "inactive", "low_balance": None}
        before: Page | None = None
        for page in self.pages:
            expect("gap", page.version == (before.version + 1 if before else 1), page.version)
            expect("link", page.prev == (before.hash if before else NO_PAGE_HASH), page.version)
            expect("hash", page.hash == hash_of(page), page.version)
            for entry in page.entries:
                unit = entry.unit or ""
                available = posted[unit] - held[unit]
                _check_entry(entry, available, standing)
                posted[unit] += entry.posted
                held[unit] += entry.held
                standing |= entry.changes or {}
            for unit in UNITS:
                told = page.state.balance(unit)
                expect("sums", (told.posted, told.held) == (posted[unit], held[unit]), (page.version, unit))
            told_standing = {name: getattr(page.state, name) for name in standing}
            expect("standing", told_standing == standing, (page.version, told_standing, standing))
            before = page

    def check_held(self) -> None:
        """What is held is what open parts hold and disputes have frozen, but for what was lost of either."""
        records = [(key[0], json.loads(text)) for (name, key), text in self._records() if name == self.account_id]
        lost = [(key[0], one.stored) for (name, key), one in self.world.lost.items() if name == self.account_id]
        held, set_aside = Counter[str](), Counter[str]()
        for _, entry in self.ever:
            held[entry.unit or ""] += entry.held
        for kind, stored in (*records, *lost):
            set_aside.update(_set_aside(kind, stored))
        expect("held", held == set_aside, (held, set_aside))

    def _records(self) -> Iterator[tuple[tuple[str, RecordKey], str]]:
        yield from self.world.store.records.items()

    def check_ended(self) -> None:
        """What was held for a part ends once, all of it, and expires when its time is over or with its order."""
        if self.is_torn():
            return
        held: dict[tuple[Any, ...], Entry] = {}
        for page, entry in self.entries:
            name = (entry.order_id, entry.product_id, entry.attempt, entry.part, entry.unit)
            if entry.part is None:
                continue
            if entry.kind == "held":
                expect("ended", name not in held, entry)
                held[name] = entry
            elif entry.kind in ENDS:
                begun = held.pop(name, None)
                expect("ended", begun and begun.held == -entry.held, (begun, entry))
                over = begun is not None and (begun.expires_at or NEVER_MS) <= page.at
                expect("early", entry.kind != "expired" or over or _goes_with_order(page, entry), (page.at, begun))

    def check_failed(self) -> None:
        """Work whose first part was given back has failed; nothing of failed work is open."""
        for (name, key), text in self._records():
            if name == self.account_id and key[0] in ("order", "product"):
                work = work_from_map(json.loads(text))
                ended = {part: one.status for part, one in work.parts.items() if part != "tracking"}
                gone = set(ended.values()) & {"released", "expired"}
                expect("failed", not gone or work.status in ("failed", "rejected"), work)
                expect("failed", "expired" not in gone or work.status == "failed", work)
                expect("failed", work.status != "failed" or not work.open_parts(), work)

    def is_torn(self) -> bool:
        """Whether a part of the account's table was lost."""
        return bool(self.lost_pages) or any(name == self.account_id for name, _ in self.world.lost)

    def check_told(self) -> None:
        """Every page of the run is told whole, by events that are made of it alone."""
        before: Page | None = None
        for page in self.pages:
            if self._is_of_run(page):
                check_events(before, page)
            before = page

    def check_once(self) -> None:
        """One page per key, one charge per (work, part, method): one more if the record that tells of it was lost."""
        by_key: dict[str, set[str]] = {}
        charges = Counter[tuple[str, ...]]()
        for page, entry in self.ever:
            if entry.key:
                by_key.setdefault(entry.key, set()).add(page.hash)
            charges.update(_charged(entry))
        for key, pages in by_key.items():
            expect("key", len(pages) <= 1 + (self.lost_at(("key", key)) < NEVER), by_key)
        for charge, count in charges.items():
            kind = "product" if charge[1] == "sourcing" else "order"
            expect("charge", count <= 1 + (self.lost_at((kind, charge[0])) < NEVER), charges)

    def check_opened(self) -> None:
        """An account is opened once, by its first page, with just the grants that one who opened it asked for."""
        if not self.pages:
            return
        first, later = self.pages[0], self.entries[len(self.pages[0].entries) :]
        again = [
            entry for _, entry in later if entry.kind == "opened" or (entry.kind == "granted" and not _buys(entry))
        ]
        expect("opened", first.entries[0].kind == "opened" and not again, again)
        if self._is_of_run(first):
            asked = [one.request.asked for one in self.deliveries if one.kind == "open"]
            expect("opened", any(opens(first, body) for body in asked), first)

    def check_asked_for(self) -> None:
        """Every entry of the run, and every record that it changed, is one that a request of this account named."""
        requests = [(one.kind, one.request) for one in self.deliveries]
        for page, entry in self.entries:
            if self._is_of_run(page):
                expect("foreign", any(_asks_for(entry, *one) for one in requests), (self.account_id, entry))
        named = {key for _, one in requests for key in (("key", one.key), one.work)}
        named |= {_work_of(entry) for _, entry in self.ever if entry.actor in ("autocredits", "system:sweep")}
        for (name, key), text in self._records():
            changed = self.world.begun_with.get((name, key)) != text
            if name == self.account_id and key[0] in ("key", "order", "product") and changed:
                expect("foreign", key in named, (self.account_id, key))

    def _is_of_run(self, page: Page) -> bool:
        return not any((one.version, one.since, one.until) == (page.version, 0, NEVER) for one in self.lain)


def opens(page: Page, asked: Mapping[str, Any]) -> bool:
    """Whether an account's first page is what a body asked for."""
    granted = {entry.unit: entry.posted for entry in page.entries if entry.kind == "granted"}
    wanted = {unit: cents(amount) for unit, amount in asked.get("opening", FREE).items()}
    return (page.state.orders_processor, granted) == (asked.get("orders_processor", "inactive"), wanted)


def _buys(entry: Entry) -> bool:
    return entry.purchase_id is not None


def _check_entry(entry: Entry, available: int, standing: Mapping[str, Any]) -> None:
    """It leaves nothing below zero, unless it takes back or pays what is due all the same; a refusal was right."""
    due = entry.kind == "clawed_back" or (entry.kind, entry.unit) == ("captured", "managed")
    expect("available", due or available + entry.posted - entry.held >= min(0, available), entry)
    if entry.kind == "refused" and (standing["status"], standing["orders_processor"]) == ("active", "active"):
        price = entry.cost if entry.unit == "managed" else CELLS[entry.tracking or "none"]
        expect("refusal", available < (price or 0), (entry, available))


def _set_aside(kind: str, stored: Mapping[str, Any]) -> Mapping[str, int]:
    """What a work's open parts hold, or a disputed purchase has frozen, by unit."""
    if kind == "purchase":
        return {"auto_order": int(stored.get("frozen", 0))}
    if kind not in ("order", "product"):
        return {}
    work = work_from_map(stored)
    parts = [work.parts[name] for name in work.open_parts()]
    return {"auto_order": sum(part.credits for part in parts), "managed": sum(part.managed for part in parts)}


def _charged(entry: Entry) -> list[tuple[str, ...]]:
    """What an entry charges for: parts of works, a tracking part by its method, and an order's dollars."""
    work = entry.order_id or entry.product_id or ""
    if entry.kind in ("captured", "debited") and entry.unit == "managed":
        return [(work, "managed", "")]
    if entry.kind == "captured" and entry.unit == "auto_order":
        method = entry.tracking if entry.part == "tracking" else None
        return [(work, entry.part or "", method or "")]
    if entry.kind == "debited" and entry.unit == "auto_order":
        method, amount = entry.tracking or "none", -entry.posted
        order = [(work, "order", "")] if amount in (CELLS[method], CELLS["none"]) else []
        return [*order, *([(work, "tracking", method)] if amount not in (0, CELLS["none"]) else [])]
    return []


def _asks_for(entry: Entry, kind: str, request: Request) -> bool:
    """Whether a request may make such an entry."""
    if entry.kind in ("opened", "granted") and not _buys(entry):
        return kind == "open"
    if entry.kind == "standing":
        changes = dict(entry.changes or {})
        asked = {name: _stored(name, value) for name, value in (request.asked or {}).items()}
        return kind in ("standing", "settings") and changes.items() <= asked.items()
    if _buys(entry):
        return entry.purchase_id == request.purchase
    if entry.kind == "expired":
        return kind == "sweep"
    if kind in ("queue", "sweep"):
        return kind == "queue" and (entry.actor, entry.kind in ("held", "refused")) == ("autocredits", True)
    return (entry.key is None or entry.key == request.key) and _work_of(entry) == request.work


def _work_of(entry: Entry) -> tuple[str, str] | None:
    return ("order", entry.order_id) if entry.order_id else ("product", entry.product_id) if entry.product_id else None


def _goes_with_order(page: Page, entry: Entry) -> bool:
    """Whether a part of an order expires because the order does."""
    with_it = [
        one for one in page.entries if (one.kind, one.part, one.order_id) == ("expired", "order", entry.order_id)
    ]
    return entry.part != "order" and bool(with_it)


def _stored(name: str, value: Any) -> Any:
    return cents(value) if name == "low_balance" else value

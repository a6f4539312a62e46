"""What must hold after every run: the books, nothing twice, and that what each caller was told is true.

Prices are those of docs/domain.md, "What an action costs": an oracle apart from the catalog's files.
"""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from autocredits.domain.journal import NO_PAGE_HASH, Entry, Page
from autocredits.domain.purchases.coupons import Coupon
from autocredits.domain.records import NO_ACCOUNT
from autocredits.domain.work.record import Work, message_digest, work_from_map
from tests.kit.books import UNITS, hash_of
from tests.kit.deliveries import ACCOUNT
from tests.simulation.buying import STARTING, Purchases
from tests.simulation.deliveries import Delivery, Try
from tests.simulation.violations import cents, expect
from tests.simulation.world import World

CELLS = {"none": 100, "bce": 133, "qtrack": 250, "tracking_generator": 200}


class Aftermath:
    """A run's end: the journal and the records as they lie in the store."""

    def __init__(self, world: World, deliveries: Sequence[Delivery]) -> None:
        self.world = world
        self.deliveries = deliveries
        stored = world.store
        numbers = sorted(stored.pages.get(ACCOUNT, {}))
        self.pages = [page for page in (stored.page(ACCOUNT, number) for number in numbers) if page]
        self.entries = [(page, entry) for page in self.pages for entry in page.entries]
        self.purchases = Purchases(world, deliveries, self.entries)

    def work(self, key: tuple[str, str]) -> Work | None:
        """A work record."""
        record = self.world.store.read(ACCOUNT, [key]).get(key)
        return record if isinstance(record, Work) else None

    def check(self) -> None:
        """Everything. Raises Violation."""
        expect("run", not self.world.store.hidden, "a commit that never shows whole")
        self.check_books()
        self.check_once()
        self.check_recorded_refusals()
        self.purchases.check()
        for delivery in self.deliveries:
            self.check_told(delivery)
            expect("answered", delivery.is_settled() or delivery.request.door == "webhook", delivery.tries)

    def check_books(self) -> None:
        """Sums, gaps, links, holds, and nothing below zero after new work."""
        posted, held = Counter[str](), Counter[str]()
        before: Page | None = None
        for page in self.pages:
            expect("gap", page.version == (before.version + 1 if before else 1), page.version)
            expect("link", page.prev == (before.hash if before else NO_PAGE_HASH), page.version)
            expect("hash", page.hash == hash_of(page), page.version)
            for entry in page.entries:
                posted[entry.unit or ""] += entry.posted
                held[entry.unit or ""] += entry.held
                new_work = entry.kind in ("held", "debited")
                expect("available", not new_work or posted[entry.unit or ""] >= held[entry.unit or ""], page.version)
            for unit in UNITS:
                told = page.state.balance(unit)
                expect("sums", (told.posted, told.held) == (posted[unit], held[unit]), (page.version, unit))
            before = page
        expect("held", held["auto_order"] == self.set_aside(), held["auto_order"])

    def set_aside(self) -> int:
        """What open parts hold and disputes have frozen."""
        records = [(key[0], json.loads(text)) for (_, key), text in self.world.store.records.items()]
        works = [work_from_map(stored) for kind, stored in records if kind in ("order", "product")]
        parts = [work.parts[name] for work in works for name in work.open_parts()]
        frozen = [stored.get("frozen", 0) for kind, stored in records if kind == "purchase"]
        return sum(part.credits for part in parts) + sum(map(int, frozen))

    def check_once(self) -> None:
        """One page per key, one charge per (work, part, method)."""
        by_key: dict[str, set[int]] = {}
        charges = Counter[tuple[str, ...]]()
        for page, entry in self.entries:
            if entry.key:
                by_key.setdefault(entry.key, set()).add(page.version)
            charges.update(_charged(entry))
        expect("key", all(len(pages) == 1 for pages in by_key.values()), by_key)
        expect("charge", all(count == 1 for count in charges.values()), charges)

    def check_told(self, delivery: Delivery) -> None:
        """What the sender was told."""
        answers = delivery.answers()
        for one, status, body in answers:
            own = delivery.request_id(one)
            expect("request", body.get("request_id", own) == own, body)
            self.purchases.check_told(delivery, one, status, body)
            if status < 300:
                self.check_done(delivery, status, body)
                self.check_coupon(delivery, one, body)
            elif status in (402, 403):
                window = range(one.begun_version, one.ended_version + 1)
                expect("refusal", any(self.is_refused_at(version, body, delivery) for version in window), body)
            elif status == 404:
                expect("missing", self.was_missing(delivery, one, body["code"]), body)
            elif status == 409:
                self.check_conflict(delivery, one, body)
            elif status == 422:
                expect("refusal", self.purchases.is_refused(delivery, one, body), body)
            else:
                expect("status", status == 503, (status, body))
        if delivery.request.message and delivery.is_settled():
            self.check_acknowledged(delivery)

    def check_recorded_refusals(self) -> None:
        """What the queue refused for want of credits could not be paid under the page before."""
        for page, entry in self.entries:
            if entry.kind == "refused" and page.state.status == "active" and page.version > 1:
                available = self.pages[page.version - 2].state.balance("auto_order").available()
                expect("refusal", available < CELLS[entry.tracking or "none"], (page.version, available))

    def check_done(self, delivery: Delivery, status: int, body: dict[str, Any]) -> None:
        """A success: its entries are in the journal as told, and its purchase or hold is there."""
        told = body.get("entries") or ([body] if "entry_id" in body else [])
        for entry in told:
            version, index = map(int, entry["entry_id"].split("."))
            page = self.pages[version - 1] if version <= len(self.pages) else None
            expect("told", page is not None and index < len(page.entries), entry)
            there = page.entries[index] if page else Entry(kind="opened", actor="")
            expect("told", (there.kind, there.posted) == (entry["kind"], cents(entry["posted"])), entry)
        key = delivery.request.key
        if delivery.kind in ("debit", "hold", "adjustment"):
            mine = [entry for _, entry in self.entries if entry.key == key]
            expect("told", len(mine) == (len(told) or len(body["parts"])), (body, mine))
            if "balances" in body:
                page = next(page for page, entry in self.entries if entry.key == key)
                available = page.state.balance("auto_order").available()
                expect("told", cents(body["balances"]["auto_order"]["available"]) == available, body)
        if delivery.kind == "paid" and status == 200:
            granted = [entry for _, entry in self.entries if entry.purchase_id == delivery.request.purchase]
            expect("told", any(entry.kind == "purchased" for entry in granted), granted)
        if delivery.kind in ("order", "resend"):
            work = self.work(delivery.request.work or ("", ""))
            expect("told", work is not None and work.attempt >= body["attempt"], (work, body))
        if delivery.kind in ("capture", "release"):
            self.check_settled(delivery, body)

    def coupon(self, code: str | None) -> Coupon | None:
        """A coupon."""
        record = self.world.store.read(NO_ACCOUNT, [("coupon", code or "")]).get(("coupon", code or ""))
        return record if isinstance(record, Coupon) else None

    def check_coupon(self, delivery: Delivery, one: Try, body: dict[str, Any]) -> None:
        """A coupon was made by the one who was told so, and is closed if he was told that."""
        if delivery.request.coupon:
            coupon = self.coupon(delivery.request.coupon)
            expect("coupon", coupon is not None and (coupon.closed or not body["closed"]), (coupon, body))
            made = delivery.kind != "coupon made" or (coupon and coupon.made_by == delivery.request_id(one))
            expect("coupon", made, (coupon, body))

    def check_settled(self, delivery: Delivery, body: dict[str, Any]) -> None:
        """A hold's parts that were told to have ended a way have ended that way."""
        for name, status in body["parts"].items():
            if status == "open":
                continue
            order_id, _, attempt = body["hold_id"].partition("~")
            kinds = [
                entry.kind
                for _, entry in self.entries
                if (entry.order_id, entry.attempt, entry.part) == (order_id, int(attempt), name)
            ]
            expect("told", status in kinds, (body, kinds, delivery.kind))

    def is_refused_at(self, version: int, body: dict[str, Any], delivery: Delivery) -> bool:
        """Whether the refusal was right under a page: what was asked for cannot have been done by then."""
        key = delivery.request.key
        if not version or (key and any(page.version <= version and entry.key == key for page, entry in self.entries)):
            return False
        state = self.pages[version - 1].state
        balance = state.balance("auto_order")
        if body["code"] == "insufficient_credits":
            return balance.available() == cents(body["available"]) < cents(body["required"])
        if body["code"] == "balance_frozen":
            return balance.available() < 0
        told = str(body.get("account_status"))
        return body["code"] == "account_inactive" and state.status == told != "active"

    def was_missing(self, delivery: Delivery, one: Try, code: str) -> bool:
        """Whether what was asked for was not there when the request began."""
        if code == "hold_not_found":
            known = [entry for page, entry in self.entries if page.version <= one.begun_version]
            work = (delivery.request.work or ("", ""))[1]
            return not any(entry.kind == "held" and entry.order_id == work for entry in known)
        if code == "purchase_not_found":
            return self.purchases.was_missing(delivery.request.purchase, one)
        place = (ACCOUNT, delivery.request.work or ("", ""))
        if delivery.request.coupon:
            place = (NO_ACCOUNT, ("coupon", delivery.request.coupon))
        return self.world.born.get(place, one.begun + 1) > one.begun

    def check_conflict(self, delivery: Delivery, one: Try, body: dict[str, Any]) -> None:
        """A 409 names an entry that is there and did it, or there is what somebody else made."""
        if body["code"] == "coupon_exists":
            coupon = self.coupon(delivery.request.coupon)
            expect("conflict", coupon and coupon.made_by != delivery.request_id(one), coupon)
        elif delivery.request.purchase:
            expect("conflict", body["code"] == "invalid_transition", body)
            expect("conflict", self.purchases.is_transition_invalid(delivery, one), body)
        elif body["code"] == "already_charged":
            version, index = map(int, body["entry_id"].split("."))
            page = self.pages[version - 1] if version <= len(self.pages) else None
            expect("conflict", page is not None and index < len(page.entries), body)
            entry = page.entries[index] if page else Entry(kind="opened", actor="")
            expect("conflict", entry.kind in ("held", "debited", "captured"), entry)
            expect("conflict", (entry.order_id or entry.product_id) == (delivery.request.work or ("", ""))[1], entry)
        else:
            expect("conflict", self.work(delivery.request.work or ("", "")), body)

    def check_acknowledged(self, delivery: Delivery) -> None:
        """The work remembers the message, or it is a dead letter."""
        work = self.work(delivery.request.work or ("", ""))
        remembered = work is not None and work.has_seen(message_digest(*delivery.request.message or ("", "")))
        body = delivery.request.event(1)["Records"][0]["body"]
        is_dead = any(dead == body for dead, _ in self.world.dead)
        expect("acknowledged", remembered or is_dead, delivery.kind)


def check_replays(deliveries: Sequence[Delivery]) -> None:
    """All successes of one key say the same, but for a purchase, which shows itself as it stands."""
    first: dict[str, Any] = {}
    for delivery in deliveries:
        for _, status, body in delivery.answers():
            if delivery.request.key and status < 300 and delivery.kind not in STARTING:
                told = first.setdefault(delivery.request.key, (status, body))
                expect("replay", told == (status, body), (told, body))


def _charged(entry: Entry) -> list[tuple[str, ...]]:
    """What an entry charges for: parts of works, a tracking part by its method."""
    work = entry.order_id or entry.product_id or ""
    if entry.kind == "captured" and entry.unit == "auto_order":
        method = entry.tracking if entry.part == "tracking" else None
        return [(work, entry.part or "", method or "")]
    if entry.kind == "debited" and entry.unit == "auto_order":
        method, amount = entry.tracking or "none", -entry.posted
        order = [(work, "order", "")] if amount in (CELLS[method], CELLS["none"]) else []
        return [*order, *([(work, "tracking", method)] if amount not in (0, CELLS["none"]) else [])]
    return []

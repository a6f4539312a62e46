"""Walks a whole table once, and names what may be torn: by numbers alone, without reading an account's journal.

What it names is then judged by the journal. Of each account it keeps the number of the newest page.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from autocredits.adapters.dynamo import DynamoStore, Item, page_of, place_of, record_of
from autocredits.domain.errors import BrokenInvariantError
from autocredits.domain.journal import NO_PAGE_HASH, Entry, Page
from autocredits.domain.purchases.coupons import Coupon, CouponUse
from autocredits.domain.purchases.first_form import UNKNOWN
from autocredits.domain.purchases.record import Payment, Purchase, payment_key
from autocredits.domain.records import NO_ACCOUNT, KeyRecord, Record, RecordKey
from autocredits.domain.work.record import Work
from dev.restore.coupons import Counts
from dev.restore.journals import Journals, keys_of, page_named
from dev.restore.judge import Change, Finding, finding

PROGRESS_EVERY = 10_000

Owned = tuple[str, Record]
"""A record, and whose it is."""


@dataclass(slots=True)
class Screening:
    """What the walk has found: the suspects of each account, and what needs no judging by a journal.

    `unpaid` are the purchases that a provider may know as paid, with their creation.
    """

    newest: dict[str, int] = field(default_factory=dict)
    suspects: defaultdict[str, set[RecordKey]] = field(default_factory=lambda: defaultdict(set))
    findings: list[Finding] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    unpaid: list[tuple[int, str, RecordKey]] = field(default_factory=list)
    latest_ms: int = 0
    items: int = 0


def screen(store: DynamoStore) -> Screening:
    """Scan the table once."""
    walk = _Walk(store, Journals(store), Screening())
    for answer in store.client.get_paginator("scan").paginate(TableName=store.table_name, ConsistentRead=True):
        walk.take(answer["Items"])
    found = walk.found
    for account_id, newest in found.newest.items():
        if newest == 0:
            detail = "its records are there, and its journal is not; open it again"
            found.findings.append(Finding(account_id, "page 1", "account.lost", detail))
    return found


@dataclass(slots=True)
class _Walk:
    store: DynamoStore
    journals: Journals
    found: Screening
    last_page: tuple[str, int, str] = ("", 0, "")

    def take(self, items: Sequence[Item]) -> None:
        """Look at the next items of the table."""
        pages: list[Page] = []
        records: list[Owned] = []
        naming: list[tuple[str, RecordKey, Record]] = []
        for item in items:
            place = place_of(item)
            if place is None:
                about = f"{item['pk']['S']} {item['sk']['S']}"
                self.found.findings.append(Finding(NO_ACCOUNT, about, "item.unknown", "nothing here knows what it is"))
            elif place.key is not None:
                record = record_of(place.key, item)
                records.append((place.account_id, record))
                if page_named(record):
                    naming.append((place.account_id, place.key, record))
            elif page := self._page(place.account_id, place.version or 0, item):
                pages.append(page)
        self._check_named(pages)
        self._check_pages_named(naming)
        self._check_records(records)
        before, self.found.items = self.found.items, self.found.items + len(items)
        if before // PROGRESS_EVERY != self.found.items // PROGRESS_EVERY:
            print(f"{self.found.items} items, {len(self.found.newest)} accounts", file=sys.stderr)

    def _page(self, account_id: str, version: int, item: Item) -> Page | None:
        """The page, if it can be read. One that does not follow the page before it makes its account suspect.

        A scan shows the pages of an account one after the other.
        """
        self._know(account_id)
        before = self.last_page if self.last_page[0] == account_id else ("", 0, NO_PAGE_HASH)
        try:
            page = page_of(account_id, item)
        except BrokenInvariantError:
            self._suspect(account_id)
            self.last_page = (account_id, version, "")
            return None
        if (page.version, version, page.prev) != (version, before[1] + 1, before[2]):
            self._suspect(account_id)
        self.last_page = (account_id, version, page.hash)
        self.found.latest_ms = max(self.found.latest_ms, page.at)
        return page

    def _suspect(self, account_id: str, *keys: RecordKey) -> None:
        self.found.suspects[account_id].update(keys)

    def _know(self, account_id: str) -> int:
        if account_id not in self.found.newest:
            self.found.newest[account_id] = self.journals.newest(account_id)
        return self.found.newest[account_id]

    def _check_named(self, pages: Sequence[Page]) -> None:
        """Whether the records that pages name know of them."""
        named: defaultdict[str, list[tuple[RecordKey, int, str | None]]] = defaultdict(list)
        for page in pages:
            for index, entry in enumerate(page.entries):
                charge = page.entry_id(index) if is_charge(entry) else None
                named[page.account_id] += [(key, page.version, charge) for key in keys_of(entry)]
        for account_id, wanted in named.items():
            records = self.store.read(account_id, sorted({key for key, _, _ in wanted}))
            lacking = [key for key, version, charge in wanted if not knows(records.get(key), version, charge)]
            if lacking:
                self._suspect(account_id, *lacking)

    def _check_pages_named(self, naming: Sequence[tuple[str, RecordKey, Record]]) -> None:
        """Whether the pages that keys and days name are there, and the very ones."""
        named = [(account_id, key, page) for account_id, key, record in naming if (page := page_named(record))]
        hashes = self.journals.hashes((account_id, page.version) for account_id, _, page in named)
        for account_id, key, page in named:
            there = hashes.get((account_id, page.version))
            if there is None or page.hash not in (None, there):
                self._suspect(account_id, key)

    def _check_records(self, records: Sequence[Owned]) -> None:
        """Whether the pages that records name are there, and what else can be told from them."""
        counts = self.found.counts
        for account_id, record in records:
            if account_id != NO_ACCOUNT:
                self._know(account_id)
            match record:
                case Work():
                    self._check_versions(account_id, record)
                case Purchase():
                    self._check_versions(account_id, record)
                    self._check_purchase(account_id, record)
                case Payment():
                    self.found.findings += self._check_payment(record)
                case Coupon():
                    counts.coupons[record.code] = record
                case CouponUse():
                    counts.uses[account_id, record.code] = record
                case _:
                    pass

    def _check_versions(self, account_id: str, record: Work | Purchase) -> None:
        self.found.latest_ms = max(self.found.latest_ms, record.updated_at)
        named, newest = {*record.versions, *entry_versions(record)}, self._know(account_id)
        if any(not 0 < version <= newest for version in named) or named - set(record.versions):
            self._suspect(account_id, record.key())

    def _check_purchase(self, account_id: str, purchase: Purchase) -> None:
        """Whether its payments know of it; note the coupon that it counts, and what its provider may know."""
        if purchase.coupon and purchase.coupon_counted:
            self.found.counts.purchases[account_id, purchase.coupon] += 1
        checkout = purchase.open_checkout()
        if checkout and checkout.reference and not (purchase.granted or purchase.payments):
            self.found.unpaid.append((purchase.created_at, account_id, purchase.key()))
        self.found.findings += self._check_payments_of(account_id, purchase)

    def _check_payments_of(self, account_id: str, purchase: Purchase) -> Iterator[Finding]:
        """Whether each payment is known to belong to its purchase, so that no other purchase can have it."""
        providers = sorted({checkout.provider for checkout in purchase.checkouts})
        for payment_id in purchase.payments:
            keys = [payment_key(provider, payment_id) for provider in providers]
            if payment_id == UNKNOWN or not keys or self.store.read(NO_ACCOUNT, keys):
                continue
            change, detail = None, f"purchase {purchase.purchase_id} was paid by it"
            if len(keys) == 1:
                payment = Payment(
                    provider=providers[0],
                    payment_id=payment_id,
                    account_id=account_id,
                    purchase_id=purchase.purchase_id,
                )
                change = Change(keys[0], None, payment)
            yield finding(account_id, keys[0], "payment.missing", detail, change)

    def _check_payment(self, payment: Payment) -> Iterator[Finding]:
        """Whether the purchase of a payment is there and knows it."""
        key = ("purchase", payment.purchase_id)
        purchase = self.store.read(payment.account_id, [key]).get(key)
        if not isinstance(purchase, Purchase):
            detail = f"its purchase {payment.purchase_id} is not there"
            yield finding(payment.account_id, payment.key(), "payment.purchase_lost", detail)
        elif payment.payment_id not in {**purchase.payments, **purchase.declines} and not purchase.granted:
            detail = f"its purchase {payment.purchase_id} does not know it; it will once it is told again"
            yield finding(payment.account_id, payment.key(), "payment.unknown", detail)


def is_charge(entry: Entry) -> bool:
    """Whether its work's record names the entry as a charge."""
    return entry.kind in ("captured", "debited") and entry.unit == "auto_order"


def knows(record: Record | None, version: int, charge: str | None = None) -> bool:
    """Whether a record knows of the page with this number, and of the charge that this entry is."""
    if isinstance(record, Work):
        return version in record.versions and (charge is None or charge in record.charged.values())
    if isinstance(record, Purchase):
        return version in record.versions
    return isinstance(record, KeyRecord) and record.version == version


def entry_versions(record: Work | Purchase) -> set[int]:
    """The pages of the entries that a record names."""
    if isinstance(record, Purchase):
        return set()
    ids = (*record.charged.values(), *(part.entry_id for part in record.parts.values()))
    return {int(one.partition(".")[0]) for one in ids}

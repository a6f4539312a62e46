"""Walks a whole table and finds what a torn restore left in it.

One Scan names what is suspect, by numbers alone: of each account it keeps the newest version. Then each account with
a suspect is judged by its whole journal, read in order. On a table that is being written to, an account is judged
again if its journal has grown meanwhile.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from autocredits.adapters.dynamo import DynamoStore, Item, page_key, page_of, place_of, record_of
from autocredits.domain.errors import BrokenInvariantError
from autocredits.domain.journal import NO_PAGE_HASH, Entered, Entry, Page
from autocredits.domain.purchases.coupons import Coupon, CouponUse
from autocredits.domain.purchases.fulfil import as_entered
from autocredits.domain.purchases.record import Payment, Purchase
from autocredits.domain.records import NO_ACCOUNT, KeyRecord, Record, RecordKey
from autocredits.domain.work.record import Work
from autocredits.ledger.ports import UnavailableError
from dev.restore.judge import Finding, Journal, due_at_once, judge_key, judge_purchase, judge_work
from functions.purchase.checkout import purchase_id_of
from functions.purchase.payments.port import Provider

BATCH = 100
PROGRESS_EVERY = 10_000
JUDGED_AGAIN = 3

Ask = Callable[[str], Provider | None]
"""The provider of a name; None if it is not set up. Raises UnavailableError."""


@dataclass(slots=True)
class Screening:
    """What one Scan has found: the suspects of each account, and what needs no judging by a journal."""

    newest: dict[str, int] = field(default_factory=dict)
    suspects: defaultdict[str, set[RecordKey]] = field(default_factory=lambda: defaultdict(set))
    findings: list[Finding] = field(default_factory=list)
    coupons: dict[str, int] = field(default_factory=dict)
    tallied: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    uses: defaultdict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    last_page: tuple[str, int, str] = ("", 0, "")
    latest_ms: int = 0
    items: int = 0


@dataclass(frozen=True, slots=True)
class Walk:
    """A walk over a table. `ask` opens a payment provider."""

    store: DynamoStore
    ask: Ask
    now_ms: Callable[[], int]

    def screen(self) -> Screening:
        """Scan the table once."""
        found = Screening()
        for answer in self._scan():
            pages: list[Page] = []
            records: list[tuple[str, RecordKey, Record]] = []
            for item in answer:
                self._sort(found, item, pages, records)
            self._check_named(found, pages)
            self._check_records(found, records)
            found.items += len(answer)
            if found.items // PROGRESS_EVERY != (found.items - len(answer)) // PROGRESS_EVERY:
                print(f"{found.items} items, {len(found.newest)} accounts", file=sys.stderr)
        found.findings += check_coupons(found)
        return found

    def judge(self, account_id: str, keys: Iterable[RecordKey]) -> list[Finding]:
        """What is wrong with an account's journal, and with those of its records that are suspect."""
        wanted = sorted(keys)
        for _ in range(JUDGED_AGAIN):
            journal, entries = self._read_journal(account_id, set(wanted))
            records = self.store.read(account_id, wanted)
            findings = [self._judge_record(journal, key, records.get(key), entries[key]) for key in wanted]
            if self._newest(account_id) == journal.newest:
                break
        return [*journal.faults, *(finding for finding in findings if finding is not None)]

    # ------------------------------------------------------------------ screening

    def _scan(self) -> Iterator[Sequence[Item]]:
        start: Item = {}
        while True:
            answer = self.store.client.scan(TableName=self.store.table_name, ConsistentRead=True, **start)
            yield answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _sort(
        self, found: Screening, item: Item, pages: list[Page], records: list[tuple[str, RecordKey, Record]]
    ) -> None:
        """Put an item with its like. A page that does not follow the one before it makes its account suspect."""
        place = place_of(item)
        if place is None:
            return
        if place.key is not None:
            record = record_of(place.key, item)
            found.latest_ms = max(found.latest_ms, getattr(record, "updated_at", 0))
            records.append((place.account_id, place.key, record))
            return
        account_id, version = place.account_id, place.version or 0
        self._know(found, account_id)
        try:
            page = page_of(account_id, item)
        except BrokenInvariantError:
            found.suspects[account_id].update(())
            found.last_page = (account_id, version, "")
            return
        before = found.last_page if found.last_page[0] == account_id else ("", 0, NO_PAGE_HASH)
        if (page.version, version, page.prev) != (version, before[1] + 1, before[2]):
            found.suspects[account_id].update(())
        found.last_page = (account_id, version, page.hash)
        found.latest_ms = max(found.latest_ms, page.at)
        pages.append(page)

    def _know(self, found: Screening, account_id: str) -> int:
        if account_id not in found.newest:
            found.newest[account_id] = self._newest(account_id)
        return found.newest[account_id]

    def _newest(self, account_id: str) -> int:
        """The number of the newest page, whether it can be read or not; 0 without any."""
        answer = self.store.client.query(
            TableName=self.store.table_name,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": page_key(account_id, 0)["pk"]},
            ProjectionExpression="pk, sk",
            ConsistentRead=True,
            ScanIndexForward=False,
            Limit=1,
        )
        places = [place_of(item) for item in answer["Items"]]
        return max((place.version or 0 for place in places if place), default=0)

    def _check_named(self, found: Screening, pages: Sequence[Page]) -> None:
        """Whether the records that pages name know of them."""
        named: defaultdict[str, list[tuple[RecordKey, int, str | None]]] = defaultdict(list)
        for page in pages:
            for index, entry in enumerate(page.entries):
                charge = page.entry_id(index) if is_charge(entry) else None
                named[page.account_id] += [(key, page.version, charge) for key in keys_of(entry)]
        for account_id, wanted in named.items():
            records = self.store.read(account_id, sorted({key for key, _, _ in wanted}))
            for key, version, charge in wanted:
                if not knows(records.get(key), version, charge):
                    found.suspects[account_id].add(key)

    def _check_records(self, found: Screening, records: Sequence[tuple[str, RecordKey, Record]]) -> None:
        """Whether the pages that records name are there, and what else can be told from them."""
        self._check_keys(found, [(account_id, one) for account_id, _, one in records if isinstance(one, KeyRecord)])
        for account_id, key, record in records:
            if isinstance(record, Work | Purchase):
                named = (*record.versions, *entry_versions(record))
                newest = self._know(found, account_id)
                if any(not 0 < version <= newest for version in named) or set(named) - set(record.versions):
                    found.suspects[account_id].add(key)
            if isinstance(record, Purchase):
                if not self._adds_up(account_id, record):
                    found.suspects[account_id].add(key)
                self._check_provider(found, account_id, record)
                if record.coupon and record.coupon_counted:
                    found.uses[account_id, record.coupon] += 1
            elif isinstance(record, Payment):
                found.findings += self._check_payment(record)
            elif isinstance(record, Coupon):
                found.coupons[record.code] = record.uses
            elif isinstance(record, CouponUse):
                found.tallied[record.code] += record.tallied
                found.uses[account_id, record.code] -= record.uses

    def _adds_up(self, account_id: str, purchase: Purchase) -> bool:
        """Whether a purchase is what its entries in the pages that it names come to."""
        try:
            pages = [self.store.page(account_id, version) for version in purchase.versions]
        except BrokenInvariantError:
            return False
        found = [
            Entered(page.version, index, page.at, entry)
            for page in pages
            if page is not None
            for index, entry in enumerate(page.entries)
            if entry.purchase_id == purchase.purchase_id
        ]
        return as_entered(purchase, found, 0) == purchase

    def _check_keys(self, found: Screening, keys: Sequence[tuple[str, KeyRecord]]) -> None:
        hashes = self._hashes([(account_id, record.version) for account_id, record in keys])
        started: defaultdict[str, list[KeyRecord]] = defaultdict(list)
        for account_id, record in keys:
            there = hashes.get((account_id, record.version))
            if there is None or record.hash not in (None, there):
                found.suspects[account_id].add(("key", record.key))
            elif starts_purchase(record):
                started[account_id].append(record)
        for account_id, records in started.items():
            purchases = {("purchase", purchase_id_of(account_id, one.key)): one for one in records}
            there_are = self.store.read(account_id, sorted(purchases))
            lost = [one.key for key, one in purchases.items() if key not in there_are]
            if lost:
                found.suspects[account_id].update(("key", name) for name in lost)

    def _hashes(self, wanted: Sequence[tuple[str, int]]) -> dict[tuple[str, int], str]:
        """The hashes of pages, as far as they are there: 100 a call."""
        unique = list(dict.fromkeys(wanted))
        hashes: dict[tuple[str, int], str] = {}
        keys = [page_key(account_id, version) for account_id, version in unique]
        while keys:
            now, keys = keys[:BATCH], keys[BATCH:]
            request = {"Keys": now, "ConsistentRead": True, "ProjectionExpression": "pk, sk, #hash"}
            request["ExpressionAttributeNames"] = {"#hash": "hash"}
            answer = self.store.client.batch_get_item(RequestItems={self.store.table_name: request})
            keys = answer.get("UnprocessedKeys", {}).get(self.store.table_name, {}).get("Keys", []) + keys
            for item in answer["Responses"].get(self.store.table_name, []):
                place = place_of(item)
                if place is not None and place.version is not None:
                    hashes[place.account_id, place.version] = bytes(item.get("hash", {}).get("B", b"")).hex()
        return hashes

    def _check_payment(self, payment: Payment) -> list[Finding]:
        """Whether the purchase of a payment is there and knows it."""
        key = ("purchase", payment.purchase_id)
        purchase = self.store.read(payment.account_id, [key]).get(key)
        about = f"payment {payment.provider}#{payment.payment_id}"
        if not isinstance(purchase, Purchase):
            detail = f"its purchase {payment.purchase_id} is not there"
            return [Finding(payment.account_id, about, "payment.purchase_lost", detail)]
        if payment.payment_id not in {**purchase.payments, **purchase.declines} and not purchase.granted:
            detail = f"its purchase {payment.purchase_id} does not know it; it will once it is told again"
            return [Finding(payment.account_id, about, "payment.unknown", detail)]
        return []

    def _check_provider(self, found: Screening, account_id: str, purchase: Purchase) -> None:
        """Ask the provider of a purchase that is not paid whether it is."""
        checkout = purchase.open_checkout()
        if purchase.granted or purchase.payments or checkout is None or checkout.reference is None:
            return
        journal, about = Journal(account_id), f"purchase {purchase.purchase_id}"
        try:
            provider = self.ask(checkout.provider)
            if provider is None:
                raise UnavailableError("it is not set up here")  # noqa: TRY301 - told like any other
            paid = [event for event in provider.poll(account_id, purchase) if event.type == "paid"]
        except Exception as error:  # noqa: BLE001 - a provider may raise anything
            why = str(error) if isinstance(error, UnavailableError) else type(error).__name__
            detail = f"{checkout.provider} was not asked: {why}"
            found.findings.append(Finding(account_id, about, "purchase.not_asked", detail))
            return
        if paid:
            detail = f"{checkout.provider} knows it as paid, by {paid[0].payment_id}"
            found.findings.append(due_at_once(journal, purchase, self.now_ms(), detail))

    # ------------------------------------------------------------------ judging

    def _read_journal(
        self, account_id: str, wanted: set[RecordKey]
    ) -> tuple[Journal, defaultdict[RecordKey, list[Entered]]]:
        """The whole journal, oldest page first: what is wrong with it, and the entries of the wanted records."""
        journal = Journal(account_id)
        entries: defaultdict[RecordKey, list[Entered]] = defaultdict(list)
        link: str | None = NO_PAGE_HASH
        for version, item in self._pages(account_id):
            if version != journal.newest + 1:
                self._fault(journal, journal.newest + 1, "journal.gap", f"pages up to {version - 1} are not there")
                link = None
            journal.newest = version
            try:
                page = page_of(account_id, item)
            except BrokenInvariantError as error:
                self._fault(journal, version, "journal.hash", str(error))
                link = None
                continue
            if page.version != version or (link is not None and page.prev != link):
                self._fault(journal, version, "journal.link", "it does not follow the page before it")
            link = page.hash
            for index, entry in enumerate(page.entries):
                for key in keys_of(entry):
                    if key in wanted:
                        entries[key].append(Entered(version, index, page.at, entry))
        return journal, entries

    def _pages(self, account_id: str) -> Iterator[tuple[int, Item]]:
        query: dict[str, Any] = {
            "TableName": self.store.table_name,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": page_key(account_id, 0)["pk"]},
            "ConsistentRead": True,
        }
        while True:
            answer = self.store.client.query(**query)
            for item in answer["Items"]:
                place = place_of(item)
                if place is not None and place.version is not None:
                    yield place.version, item
            if "LastEvaluatedKey" not in answer:
                return
            query["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    @staticmethod
    def _fault(journal: Journal, version: int, what: str, detail: str) -> None:
        journal.faults.append(Finding(journal.account_id, f"page {version}", what, detail))

    def _judge_record(
        self, journal: Journal, key: RecordKey, record: Record | None, found: Sequence[Entered]
    ) -> Finding | None:
        if key[0] == "purchase":
            purchase = record if isinstance(record, Purchase) else None
            return judge_purchase(journal, key, purchase, found, self.now_ms())
        if key[0] != "key":
            return judge_work(journal, key, record if isinstance(record, Work) else None, found)
        known = record if isinstance(record, KeyRecord) else None
        page_hash, purchase_lost = None, False
        if known is not None:
            place = (journal.account_id, known.version)
            page_hash = self._hashes([place]).get(place)
            its = ("purchase", purchase_id_of(journal.account_id, known.key))
            purchase_lost = starts_purchase(known) and not self.store.read(journal.account_id, [its])
        return judge_key(journal, key[1], known, found, page_hash, purchase_lost=purchase_lost)


def keys_of(entry: Entry) -> list[RecordKey]:
    """The records that an entry's page was written with."""
    names = (
        ("key", entry.key),
        ("order", entry.order_id),
        ("product", entry.product_id),
        ("purchase", entry.purchase_id),
    )
    return [(kind, name) for kind, name in names if name is not None]


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


def starts_purchase(record: KeyRecord) -> bool:
    """Whether a key's request moved nothing and was no queued order: then it started a purchase."""
    return record.count == 0 and record.status is None


def check_coupons(found: Screening) -> Iterator[Finding]:
    """Counters that do not agree. They are only told: a coupon's count is no money, and may lag by itself."""
    for code, uses in sorted(found.coupons.items()):
        if uses != found.tallied[code]:
            detail = f"it counts {uses} uses, the accounts have told it {found.tallied[code]}"
            yield Finding(NO_ACCOUNT, f"coupon {code}", "coupon.count", detail)
    for (account_id, code), more in sorted(found.uses.items()):
        if more:
            detail = f"{abs(more)} purchases {'more' if more > 0 else 'fewer'} than its uses"
            yield Finding(account_id, f"coupon_use {code}", "coupon.uses", detail)

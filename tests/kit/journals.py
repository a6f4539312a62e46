"""Whole journals: as a wandering account writes them, as each release wrote them, and as `GET …/journal` shows them.

`verify` is the reference that other verifiers are compared with: it folds the items with the product's own audit.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from autocredits.adapters.dynamo import stored_page
from autocredits.domain.accounts import ChangeStanding
from autocredits.domain.audit import Finding, Reached, check_stored, fold, skip
from autocredits.domain.decide import Command
from autocredits.domain.errors import Problem
from autocredits.domain.journal import NO_PAGE_HASH, Page, canonical_text, hash_of
from autocredits.domain.purchases.fulfil import Fulfil
from autocredits.domain.state import UNITS
from autocredits.edge.reports import page_view
from autocredits.ledger.ports import StoredPage
from tests.kit import builders
from tests.kit.builders import ACCOUNT_ID
from tests.kit.forms import kept
from tests.kit.purchases import PRICE, Shop, payment_event

Item = dict[str, Any]
Stored = dict[str, Any]

TEXTS = (
    "out of stock",
    "vergriffen: \u201eMu\u0308sli\u201c",
    "\u58f2\u308a\u5207\u308c \U0001f4e6",
    'a "quote" \\ and\ttab',
)
"""Reasons of several alphabets."""


def wander(seed: int, steps: int = 40) -> Shop:
    """An account that does whatever comes to its mind, by the product's own commands; what is refused is left out."""
    random = Random(seed)
    shop = Shop()
    for unit in ("auto_order", "managed"):
        shop.do(builders.adjust(unit, random.choice((300, 4_000, 50_000))))
    for _ in range(steps):
        shop.clock.at_ms += random.choice((-700, 0, 1, 1_000, 40_000_000))
        commands = [_command(random, shop) for _ in range(random.choice((1, 1, 1, 3)))]
        shop.ledger().execute_all(shop.account_id, commands)
    return shop


def _command(random: Random, shop: Shop) -> Command:
    work_id, product_id = f"o{random.randint(1, 9)}", f"p{random.randint(1, 4)}"
    kind, tracking = random.choice(("auto", "fba")), random.choice(("none", "bce", "qtrack"))
    order = builders.order(work_id, kind, tracking, store_id=f"s{random.randint(1, 3)}", cost=random.randint(1, 9_000))
    reason = random.choice(TEXTS)
    choices: list[Callable[[], Command]] = [
        lambda: builders.adjust(random.choice(UNITS), random.choice((-1, 1)) * random.randint(1, 2_000)),
        lambda: builders.debit(order),
        lambda: builders.debit(builders.product(product_id)),
        lambda: builders.hold(order),
        lambda: builders.capture(work_id),
        lambda: builders.release(work_id),
        lambda: builders.requested(work_id, tracking),
        lambda: builders.placed(work_id),
        lambda: builders.failed(work_id, reason=reason),
        lambda: builders.conversion(work_id),
        lambda: builders.completed(work_id),
        lambda: builders.conversion_failed(work_id, reason=reason),
        lambda: builders.sourcing(product_id),
        lambda: builders.accepted(product_id),
        lambda: builders.rejected(product_id, reason=reason),
        lambda: ChangeStanding(builders.PLATFORM, {"low_balance": random.choice((None, 1, 2_000)), "status": "active"}),
        lambda: _payment(random, shop),
    ]
    return random.choice(choices)()


def _payment(random: Random, shop: Shop) -> Command:
    """News of a purchase, which is started first."""
    purchase_id = f"b{random.randint(1, 3)}"
    try:
        shop.start(purchase_id)
    except Problem:
        return builders.adjust("finder", 1)
    event = random.choice(("paid", "paid", "declined", "refunded", "dispute_created", "dispute_won", "dispute_lost"))
    amount = PRICE if event == "paid" else random.randint(1, PRICE)
    return Fulfil(payment_event(event, amount, purchase_id=purchase_id, payment_id=f"pay of {purchase_id}"), None)


def released(release: str) -> list[StoredPage]:
    """The pages of account `acme` as a release wrote them."""
    return [stored_page(ACCOUNT_ID, item) for item in kept(release) if "entries" in item]


def stored_of(pages: Iterable[Page]) -> list[StoredPage]:
    """Pages as they lie in the table."""
    return [StoredPage(page.account_id, page.version, page.to_map(), page.hash) for page in pages]


def items_of(pages: Iterable[StoredPage]) -> list[Item]:
    """Pages as `GET …/journal` shows them, and as they are read from its JSON."""
    items: list[Item] = json.loads(json.dumps([page_view(page) for page in pages]))
    return items


def forged(pages: Sequence[Stored], account_id: str = ACCOUNT_ID) -> list[Item]:
    """A wholly re-hashed journal of these stored forms, each with the hash of the one before it."""
    items, before = [], NO_PAGE_HASH
    for number, stored in enumerate(pages, start=1):
        linked = {**stored, "prev": before}
        before = hash_of(account_id, linked)
        items += items_of([StoredPage(account_id, number, linked, before)])
    return items


@dataclass(frozen=True)
class Verdict:
    """What a verifier says: findings as pairs of version and kind, else the version and hash that it reached."""

    findings: list[tuple[int, str]] = field(default_factory=list)
    version: int = 0
    hash: str | None = None


def verify(account_id: str, items: Sequence[Item], anchors: Mapping[int, str] | None = None) -> Verdict:
    """Fold the items, in the order of docs/journal-format.md."""
    reached, anchors = Reached(), anchors or {}
    hashes: dict[int, Any] = {0: NO_PAGE_HASH}
    findings: list[tuple[int, str]] = []
    for item in items:
        number, page = reached.version + 1, _read(account_id, item)
        if isinstance(page, Page):
            reached, finding = fold(reached, page)
            if finding or not _agrees(item, page):
                findings.append((number, finding.kind if finding else "wrong_item"))
        else:
            reached = skip(reached, number)
            findings.append((number, page))
        hashes[reached.version] = item.get("hash")
    pinned = [version for version in sorted(anchors) if version <= reached.version]
    findings += [(version, "wrong_anchor") for version in pinned if hashes.get(version) != anchors[version]]
    if max([1, *anchors]) > reached.version:
        findings.append((reached.version + 1, "missing_page"))
    return Verdict(findings, reached.version, reached.hash)


def _read(account_id: str, item: Item) -> Page | str:
    """The page of an item, or the kind of what is wrong with it alone."""
    try:
        if hashlib.sha256(item["page"].encode()).hexdigest() != item["hash"]:
            return "wrong_hash"
        stored = json.loads(item["page"])
        owner = stored.pop("account_id")
        if canonical_text(owner, stored) != item["page"]:
            return "unreadable_page"
        page = check_stored(owner, stored["version"], stored, item["hash"])
        _ = [entry["entry_id"] for entry in item["entries"]]
    except (ValueError, TypeError, KeyError, AttributeError):
        return "unreadable_page"
    if isinstance(page, Finding):
        return page.kind
    if owner != account_id:
        return "wrong_account"
    return page if page.version == item.get("version") else "wrong_version"


def _agrees(item: Item, page: Page) -> bool:
    """Whether an item shows what its page says, as far as docs/journal-format.md asks."""
    stored = json.loads(item["page"])
    owner = stored.pop("account_id")
    (shown,) = items_of([StoredPage(owner, page.version, stored, page.hash)])
    return _shown(item) == _shown(shown)


def _shown(item: Item) -> str:
    names = ("entry_id", "kind", "unit", "posted", "held", "balance")
    entries = [[entry.get(name) for name in names] for entry in item["entries"]]
    return json.dumps([*(item.get(name) for name in ("version", "at", "state", "prev")), entries], sort_keys=True)

"""An independent auditor: whether an account's books are right, by what lies in its store."""

import hashlib
import json
from collections import Counter

from autocredits.domain.journal import NO_PAGE_HASH, Page
from tests.kit.builders import Account

UNITS = ("auto_order", "ai_rewrite", "finder", "managed")


def check_books(account: Account) -> None:
    """Assert that pages have no gap, link and never run backwards, and that all sums are what the last page says."""
    posted: Counter[str] = Counter()
    held: Counter[str] = Counter()
    before: Page | None = None
    for page in account.pages():
        check_page(page, before)
        for entry in page.entries:
            posted[entry.unit or ""] += entry.posted
            held[entry.unit or ""] += entry.held
        before = page
    for unit in UNITS:
        assert account.balance(unit) == (posted[unit], held[unit])
    check_holds(account)


def check_page(page: Page, before: Page | None) -> None:
    """Assert that the page follows the one before it, and that its hash is that of its text."""
    assert page.version == (before.version + 1 if before else 1)
    assert page.prev == (before.hash if before else NO_PAGE_HASH)
    assert before is None or page.at >= before.at
    assert page.entries
    assert page.hash == hash_of(page)


def hash_of(page: Page) -> str:
    """The hash that a page must have: of its text and its account (docs/architecture.md, "The table")."""
    stored = {"account_id": page.account_id, **page.to_map()}
    text = json.dumps(stored, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def check_holds(account: Account) -> None:
    """Assert that what is held is what the open parts of all work have set aside."""
    open_parts = [work.parts[name] for work in account.works() for name in work.open_parts()]
    assert account.balance("auto_order")[1] == sum(part.credits for part in open_parts)
    assert account.balance("managed")[1] == sum(part.managed for part in open_parts)

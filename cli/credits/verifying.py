"""Whether a journal that was handed over is what it says: every hash, link and running balance is made again.

It works offline, with the service's own audit (docs/journal-format.md). What only somebody who kept a hash can see, a
cut tail or a rewritten whole, is found by an anchor: the version and hash of a page, as `GET …/balance` gave them.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from autocredits.domain.audit import Finding, Reached, check_stored, fold, skip
from autocredits.domain.journal import NO_PAGE_HASH, Page, canonical_text
from autocredits.domain.money import format_amount
from autocredits.domain.state import Balance
from autocredits.domain.times import format_time

WITHOUT_ANCHOR = "consistent in itself; missing last pages or a rewritten whole cannot be seen without an anchor"

SHOWN = ("entry_id", "kind", "unit", "posted", "held", "balance")
"""What an item shows of an entry, as far as its page tells."""

Item = Mapping[str, Any]


class NotAJournal(ValueError):  # noqa: N818 - it says what the file is
    """The file holds no pages, whatever it holds."""


@dataclass(slots=True)
class Verdict:
    """What was found, and which page was reached."""

    account_id: str | None = None
    pages: int = 0
    entries: int = 0
    reached: Reached = field(default_factory=Reached)
    anchors: int = 0
    findings: list[Finding] = field(default_factory=list)

    def is_good(self) -> bool:
        """Whether something was verified, and nothing was wrong with it."""
        return self.pages > 0 and not self.findings


def verify(items: Iterable[object], account_id: str | None = None, anchors: Mapping[int, str] | None = None) -> Verdict:
    """Go through the pages, oldest first. Without `account_id` they must be of the account that the first one names."""
    verdict = Verdict(account_id, anchors=len(anchors or {}))
    wanted = dict(anchors or {})
    _pin(verdict, wanted, NO_PAGE_HASH)
    try:
        for item in items:
            _add(verdict, item)
            _pin(verdict, wanted, item.get("hash") if isinstance(item, Mapping) else None)
    except NotAJournal as error:
        verdict.findings.append(Finding(verdict.reached.version + 1, "unreadable_page", str(error)))
    _end(verdict, wanted)
    return verdict


def _add(verdict: Verdict, item: object) -> None:
    """Go on to the next page."""
    number = verdict.reached.version + 1
    page = _read(item, number, verdict)
    verdict.pages += 1
    if isinstance(page, Finding):
        verdict.findings.append(page)
        verdict.reached = skip(verdict.reached, number)
        return
    verdict.entries += len(page.entries)
    verdict.reached, finding = fold(verdict.reached, page)
    if found := finding or _disagreement(cast("Item", item), page):
        verdict.findings.append(found)


def _pin(verdict: Verdict, wanted: dict[int, str], digest: object) -> None:
    """Compare the page that was just reached with its anchor."""
    version = verdict.reached.version
    if digest != wanted.pop(version, digest):
        verdict.findings.append(Finding(version, "wrong_anchor", "its hash is not the one that was kept"))


def _end(verdict: Verdict, wanted: Mapping[int, str]) -> None:
    """Name the anchors that no page was compared with, and a journal that is not there at all."""
    reached = verdict.reached.version
    for version in sorted(wanted):
        if version <= reached:
            verdict.findings.append(Finding(version, "wrong_anchor", "a hash of it was kept, and it is not there"))
    last = max(wanted, default=0)
    if last > reached:
        told = f"the journal ends with page {reached}, and an anchor is of page {last}"
        verdict.findings.append(Finding(reached + 1, "missing_page", told))
    elif not verdict.pages and not verdict.findings:
        verdict.findings.append(Finding(1, "missing_page", "there is nothing to verify"))


def _read(item: object, number: int, verdict: Verdict) -> Page | Finding:
    """The page of an item, or what is wrong with it alone."""
    if not isinstance(item, Mapping):
        return Finding(number, "unreadable_page", "it is no page")
    text, entries = item.get("page"), item.get("entries")
    if not isinstance(text, str) or not isinstance(entries, list):
        return Finding(number, "unreadable_page", "its text or its entries are not there")
    if _digest(text) != item.get("hash"):
        return Finding(number, "wrong_hash", "its hash does not cover its text")
    try:
        stored = json.loads(text)
        owner = stored.pop("account_id")
        is_canonical = canonical_text(owner, stored) == text
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        return Finding(number, "unreadable_page", f"its text is no page: {error}")
    if not is_canonical:
        return Finding(number, "unreadable_page", "its text is not in its only form")
    page = check_stored(owner, stored.get("version"), stored, str(item["hash"]))
    if isinstance(page, Finding):
        return Finding(number, page.kind, page.detail)
    if verdict.account_id is None:
        verdict.account_id = page.account_id
    if page.account_id != verdict.account_id:
        return Finding(number, "wrong_account", f"it is of account {page.account_id}, not {verdict.account_id}")
    if item.get("version") != page.version:
        return Finding(number, "wrong_version", f"it is page {page.version} and is handed over as another")
    return page


def _digest(text: str) -> str | None:
    """The SHA-256 of the text; None where half a character stands in it."""
    try:
        return hashlib.sha256(text.encode()).hexdigest()
    except UnicodeEncodeError:
        return None


def _disagreement(item: Item, page: Page) -> Finding | None:
    """Where an item shows something else than its page says."""
    stored = json.loads(item["page"])
    told = {"at": format_time(page.at), "state": stored["state"], "prev": page.prev}
    for name, value in told.items():
        if not _is_same(item.get(name), value):
            return Finding(page.version, "wrong_item", f"{name} is shown as another than its text says")
    shown, real = item["entries"], [_shown(page, index) for index in range(len(page.entries))]
    for index, entry in enumerate(real):
        if index >= len(shown):
            return Finding(page.version, "wrong_item", f"entry {entry['entry_id']} is not shown")
        for name in SHOWN:
            other = shown[index].get(name) if isinstance(shown[index], Mapping) else None
            if not _is_same(other, entry[name]):
                return Finding(page.version, "wrong_item", f"entry {entry['entry_id']}: {name} is shown as {other!r}")
    if len(shown) > len(real):
        return Finding(page.version, "wrong_item", "more entries are shown than it has")
    return None


def _is_same(shown: object, real: object) -> bool:
    """Equal, and of the same type: 1 is not true, and not 1.0."""
    return json.dumps(shown, sort_keys=True) == json.dumps(real, sort_keys=True)


def _shown(page: Page, index: int) -> dict[str, Any]:
    entry, balance = list(page.balances_after())[index]
    return {
        "entry_id": page.entry_id(index),
        "kind": entry.kind,
        "unit": entry.unit,
        "posted": None if balance is None else format_amount(entry.posted),
        "held": None if balance is None else format_amount(entry.held),
        "balance": None if balance is None else _amounts(balance),
    }


def _amounts(balance: Balance) -> dict[str, str]:
    amounts = {"posted": balance.posted, "held": balance.held, "available": balance.available()}
    return {name: format_amount(amount) for name, amount in amounts.items()}


def read_items(lines: Iterable[str]) -> Iterator[object]:
    """The pages of a file: one a line, answers of `GET …/journal`, or one JSON text of either.

    Raises NotAJournal, with the line, for what is no JSON.
    """
    numbered = enumerate(lines, start=1)
    for number, line in numbered:
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = _whole(number, line, numbered)
        yield from _items(value)


def _whole(number: int, line: str, rest: Iterator[tuple[int, str]]) -> object:
    """The one JSON text that begins in this line and goes on to the end."""
    try:
        return json.loads(line + "".join(text for _, text in rest))
    except (ValueError, RecursionError):
        raise NotAJournal(f"line {number} is no JSON") from None


def _items(value: object) -> Iterator[object]:
    if isinstance(value, list):
        yield from value
    elif isinstance(value, Mapping) and isinstance(value.get("items"), list):
        yield from value["items"]
    else:
        yield value

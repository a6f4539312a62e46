"""What somebody might do to a journal before handing it over, each as a case that no verifier may let through.

The true journal is a small one, so that each case can say which page it falsifies.
"""

import copy
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from autocredits.domain.journal import Page, hash_of
from autocredits.ledger.ports import StoredPage
from tests.kit import builders
from tests.kit.builders import ACCOUNT_ID, Account, opened
from tests.kit.journals import Item, Stored, forged, items_of, stored_of


@dataclass(frozen=True)
class Tampered:
    """Items that are handed over as the journal of `acme`, with what is known of it, and what must be found first."""

    items: list[Item]
    version: int
    kind: str
    anchors: Mapping[int, str] = field(default_factory=dict)


@cache
def true_pages() -> tuple[Page, ...]:
    """The opening, two adjustments, a hold of two entries, its capture, a debit, a threshold, a pause."""
    account: Account = opened(2_000, 9_000)
    account.do(builders.hold(builders.order(tracking="bce")))
    account.do(builders.capture())
    account.clock.at_ms += 1_000
    account.do(builders.debit(builders.order("o2")))
    account.set_standing(low_balance=200)
    account.set_standing(status="paused")
    return tuple(account.pages())


OPENING, ADJUSTED, LOADED, HELD, CAPTURED, DEBITED, THRESHOLD, PAUSED = range(1, 9)


def true_items() -> list[Item]:
    """The true journal, for a case to change."""
    return items_of(stored_of(true_pages()))


def true_anchors() -> dict[int, str]:
    """The hash of the newest page, as `GET …/balance` gave it."""
    return {PAUSED: true_pages()[-1].hash}


def stored_forms() -> list[Stored]:
    """The stored forms of the true journal, for a case to change."""
    return [copy.deepcopy(page.to_map()) for page in true_pages()]


def _item(version: int, change: Callable[[Item], object], kind: str = "wrong_item") -> Tampered:
    """One item is changed."""
    items = true_items()
    change(items[version - 1])
    return Tampered(items, version, kind)


def _text(version: int, before: str, after: str, kind: str) -> Tampered:
    """One page's text is changed, with a hash that fits and a link from the next page."""
    items = true_items()
    text = items[version - 1]["page"]
    assert before in text, text
    changed = text.replace(before, after, 1)
    items[version - 1] |= {"page": changed, "hash": hashlib.sha256(changed.encode()).hexdigest()}
    return Tampered(items, version, kind)


def _forgery(version: int, change: Callable[[Stored], object], kind: str) -> Tampered:
    """One page is changed, and the journal wholly re-hashed."""
    pages = stored_forms()
    change(pages[version - 1])
    return Tampered(forged(pages), version, kind)


def _set(**values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda fields: fields.update(values)


def _entry(index: int = 0, **values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda page: page["entries"][index].update(values)


def _without(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda fields: fields.pop(name)


def _balances(**values: Any) -> Callable[[Stored], object]:
    return lambda page: page["state"]["balances"]["auto_order"].update(values)


def _rehashed_one() -> Tampered:
    """A page is changed so that it adds up, with a new hash, but the next one still names the old one."""
    items, stored = true_items(), stored_forms()[DEBITED - 1]
    stored["entries"][0]["order_id"] = "o3"
    items[DEBITED - 1 :] = [
        *items_of([StoredPage(ACCOUNT_ID, DEBITED, stored, hash_of(ACCOUNT_ID, stored))]),
        *items[DEBITED:],
    ]
    return Tampered(items, THRESHOLD, "broken_link")


def _foreign(version: int) -> Tampered:
    """Another account's page takes the place of ours."""
    items, stored = true_items(), stored_forms()[version - 1]
    items[version - 1 : version] = items_of([StoredPage("bolt", version, stored, hash_of("bolt", stored))])
    return Tampered(items, version, "wrong_account")


def _foreign_whole() -> Tampered:
    return Tampered(forged(stored_forms(), "bolt"), OPENING, "wrong_account")


def _missing(version: int) -> Tampered:
    items = true_items()
    del items[version - 1]
    return Tampered(items, version, "missing_page")


def _swapped() -> Tampered:
    items = true_items()
    items[CAPTURED - 1], items[DEBITED - 1] = items[DEBITED - 1], items[CAPTURED - 1]
    return Tampered(items, CAPTURED, "missing_page")


def _doubled() -> Tampered:
    items = true_items()
    items.insert(HELD, items[HELD - 1])
    return Tampered(items, CAPTURED, "missing_page")


def _cut(anchors: Mapping[int, str]) -> Tampered:
    return Tampered(true_items()[:DEBITED], THRESHOLD, "missing_page", anchors)


def _forged_whole() -> Tampered:
    """Everything adds up and links, but it is not what happened."""
    pages = stored_forms()
    for stored in pages[DEBITED - 1 :]:
        stored["state"]["balances"]["auto_order"]["posted"] += 60
    pages[DEBITED - 1]["entries"][0]["posted"] += 60
    return Tampered(forged(pages), PAUSED, "wrong_anchor", true_anchors())


def _left_out_and_renumbered() -> Tampered:
    """The threshold's page is taken out, the last one renumbered and re-hashed."""
    *pages, last = stored_forms()
    last["version"] = THRESHOLD
    del last["state"]["low_balance"]
    return Tampered(forged([*pages[: THRESHOLD - 1], last]), PAUSED, "missing_page", true_anchors())


def _no_page() -> Tampered:
    return Tampered([], OPENING, "missing_page")


def _spend_more(page: Stored) -> None:
    page["entries"][0]["posted"] -= 100_000
    page["state"]["balances"]["auto_order"]["posted"] -= 100_000


def _double_field(text: str) -> Callable[[Item], object]:
    def change(item: Item) -> None:
        item["page"] = item["page"].replace(text, f"{text},{text}", 1)

    return change


CASES: dict[str, Callable[[], Tampered]] = {
    "a digit of the text is flipped": lambda: _item(
        DEBITED, lambda item: item.update(page=item["page"].replace(":-1", ":-2", 1)), "wrong_hash"
    ),
    "a letter of a reason is changed": lambda: _item(
        ADJUSTED, lambda item: item.update(page=item["page"].replace("gift", "lift")), "wrong_hash"
    ),
    "a field stands twice in the text": lambda: _item(DEBITED, _double_field('"version":6'), "wrong_hash"),
    "a digit of the hash is flipped": lambda: _item(
        HELD, lambda item: item.update(hash=item["hash"][:-1] + ("1" if item["hash"][-1] == "0" else "0")), "wrong_hash"
    ),
    "the hash is in capitals": lambda: _item(HELD, lambda item: item.update(hash=item["hash"].upper()), "wrong_hash"),
    "the text is not there": lambda: _item(HELD, _set(page=""), "wrong_hash"),
    "the item's version is another": lambda: _item(HELD, _set(version=9), "wrong_version"),
    "the item's link is another": lambda: _item(HELD, _set(prev="a" * 64)),
    "the item's time is another": lambda: _item(HELD, _set(at="2025-11-24T16:00:00.001Z")),
    "the item's time is missing": lambda: _item(HELD, _without("at")),
    "an amount is shown as another": lambda: _item(DEBITED, _entry(posted="-9.00")),
    "an amount is shown as a number": lambda: _item(DEBITED, _entry(posted=-1)),
    "a balance is shown as another": lambda: _item(
        DEBITED, lambda item: item["entries"][0]["balance"].update(available="99.00")
    ),
    "an entry is shown as another kind": lambda: _item(HELD, _entry(kind="captured")),
    "an entry's id is another": lambda: _item(HELD, _entry(entry_id="4.7")),
    "entries are shown in another order": lambda: _item(HELD, lambda item: item["entries"].reverse()),
    "an entry is not shown": lambda: _item(HELD, lambda item: item["entries"].pop()),
    "an entry is shown twice": lambda: _item(HELD, lambda item: item["entries"].append(item["entries"][1])),
    "the state is shown as another": lambda: _item(HELD, lambda item: item["state"].update(status="closed")),
    "the entries are missing": lambda: _item(HELD, _without("entries"), "unreadable_page"),
    "the first page is missing": lambda: _missing(OPENING),
    "a page is missing": lambda: _missing(CAPTURED),
    "two pages are swapped": _swapped,
    "a page comes twice": _doubled,
    "there is no page at all": _no_page,
    "the tail is cut": lambda: _cut(true_anchors()),
    "the tail is cut and an earlier page is known too": lambda: _cut(
        {HELD: true_pages()[HELD - 1].hash, **true_anchors()}
    ),
    "a page is of another account": lambda: _foreign(HELD),
    "the journal is of another account": _foreign_whole,
    "a page is changed and re-hashed": _rehashed_one,
    "the whole is forged": _forged_whole,
    "a page is left out and the rest renumbered": _left_out_and_renumbered,
    "re-hashed: an amount is another": lambda: _forgery(DEBITED, _entry(posted=-1), "wrong_balance"),
    "re-hashed: a balance is another": lambda: _forgery(DEBITED, _balances(posted=1), "wrong_balance"),
    "re-hashed: a balance of nothing": lambda: _forgery(
        DEBITED, lambda page: page["state"]["balances"].update(finder={"posted": 1, "held": 0}), "wrong_balance"
    ),
    "re-hashed: the balances are gone": lambda: _forgery(
        DEBITED, lambda page: page["state"].pop("balances"), "wrong_balance"
    ),
    "re-hashed: an entry of a made-up kind adds nothing": lambda: _forgery(
        DEBITED, _entry(kind="gifted", posted=7), "wrong_balance"
    ),
    "re-hashed: a unit is made up": lambda: _forgery(DEBITED, _entry(unit="points"), "wrong_balance"),
    "re-hashed: more is spent than there is": lambda: _forgery(DEBITED, _spend_more, "impossible_entry"),
    "re-hashed: a debit adds": lambda: _forgery(DEBITED, _entry(posted=1), "impossible_entry"),
    "re-hashed: a capture of more than is held": lambda: _forgery(CAPTURED, _entry(held=-9_000), "impossible_entry"),
    "re-hashed: an entry has lost its unit": lambda: _forgery(
        DEBITED, lambda page: page["entries"][0].pop("unit"), "impossible_entry"
    ),
    "re-hashed: a refusal without a unit": lambda: _forgery(THRESHOLD, _entry(kind="refused"), "impossible_entry"),
    "re-hashed: a standing entry moves": lambda: _forgery(THRESHOLD, _entry(posted=5), "impossible_entry"),
    "re-hashed: a standing entry has a unit": lambda: _forgery(
        THRESHOLD, _entry(unit="auto_order"), "impossible_entry"
    ),
    "re-hashed: a balance beyond the limit": lambda: _forgery(
        ADJUSTED, _entry(posted=100_000_000_001), "impossible_entry"
    ),
    "re-hashed: the status is another": lambda: _forgery(
        THRESHOLD, lambda page: page["state"].update(status="closed"), "wrong_standing"
    ),
    "re-hashed: the threshold is another": lambda: _forgery(
        THRESHOLD, lambda page: page["state"].update(low_balance=1), "wrong_standing"
    ),
    "re-hashed: the add-on is gone": lambda: _forgery(
        DEBITED, lambda page: page["state"].pop("orders_processor"), "wrong_standing"
    ),
    "re-hashed: a pause is left out": lambda: _forgery(PAUSED, _entry(changes={}), "wrong_standing"),
    "re-hashed: time runs backwards": lambda: _forgery(CAPTURED, _set(at=1), "time_backwards"),
    "re-hashed: a time before all time": lambda: _forgery(CAPTURED, _set(at=-1), "unreadable_page"),
    "re-hashed: a time after all time": lambda: _forgery(CAPTURED, _set(at=253_402_300_800_000), "unreadable_page"),
    "re-hashed: a time that is none": lambda: _forgery(CAPTURED, _set(at="now"), "unreadable_page"),
    "re-hashed: a version that is none": lambda: _forgery(OPENING, _set(version=True), "unreadable_page"),
    "re-hashed: another version": lambda: _forgery(CAPTURED, _set(version=6), "wrong_version"),
    "re-hashed: half a hundredth": lambda: _forgery(DEBITED, _entry(posted=-100.5), "unreadable_page"),
    "re-hashed: an amount with a point": lambda: _forgery(DEBITED, _entry(posted=-100.0), "unreadable_page"),
    "re-hashed: an amount in words": lambda: _forgery(DEBITED, _entry(posted="-100"), "unreadable_page"),
    "re-hashed: an amount of true": lambda: _forgery(DEBITED, _entry(held=True), "unreadable_page"),
    "re-hashed: an amount of null": lambda: _forgery(DEBITED, _entry(held=None), "unreadable_page"),
    "re-hashed: an endless amount": lambda: _forgery(DEBITED, _entry(cost=2**53), "unreadable_page"),
    "re-hashed: no number at all": lambda: _forgery(DEBITED, _entry(cost=float("nan")), "unreadable_page"),
    "re-hashed: a balance in words": lambda: _forgery(DEBITED, _balances(held="0"), "unreadable_page"),
    "re-hashed: a balance that is none": lambda: _forgery(
        DEBITED, lambda page: page["state"]["balances"].update(finder=[]), "unreadable_page"
    ),
    "re-hashed: a kind that is none": lambda: _forgery(DEBITED, _entry(kind=1), "unreadable_page"),
    "re-hashed: an entry without an actor": lambda: _forgery(
        DEBITED, lambda page: page["entries"][0].pop("actor"), "unreadable_page"
    ),
    "re-hashed: an entry that is none": lambda: _forgery(
        DEBITED, lambda page: page["entries"].append("debited"), "unreadable_page"
    ),
    "re-hashed: entries that are none": lambda: _forgery(DEBITED, _set(entries={}), "unreadable_page"),
    "re-hashed: no state": lambda: _forgery(DEBITED, _without("state"), "unreadable_page"),
    "re-hashed: changes that are none": lambda: _forgery(THRESHOLD, _entry(changes="closed"), "unreadable_page"),
    "re-hashed: half a character": lambda: _text(ADJUSTED, "a gift", "a \\ud800 gift", "unreadable_page"),
    "re-hashed: a character that is escaped in vain": lambda: _text(
        ADJUSTED, "a gift", "a \\u0067ift", "unreadable_page"
    ),
    "re-hashed: a space in the text": lambda: _text(ADJUSTED, ":", ": ", "unreadable_page"),
    "re-hashed: a field twice": lambda: _text(ADJUSTED, '"posted":1500', '"posted":1,"posted":1500', "unreadable_page"),
    "re-hashed: no JSON": lambda: _text(ADJUSTED, "{", "", "unreadable_page"),
    "re-hashed: a list": lambda: _text(ADJUSTED, "{", "[{", "unreadable_page"),
}

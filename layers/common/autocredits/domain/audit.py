"""What a page must satisfy, given the one before it (docs/journal-format.md). The auditor and `credits verify` use it.

A page of a newer release may hold kinds, units and fields that are not known here. Of those only the sums are checked:
a false alarm would stop a merchant.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .errors import BrokenInvariantError, require
from .journal import KINDS, NO_PAGE_HASH, WITHOUT_UNIT, Entry, Page, apply, hash_of, page_from_map
from .state import UNITS, Balance, State

STANDING = ("status", "orders_processor", "low_balance")

MAX_NUMBER = 2**53 - 1
"""No number in a page is beyond it, on either side of zero: every JSON parser reads it as it was written."""

MAX_AT = 253_402_300_799_999
"""The last millisecond of the year 9999."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with the journal: at which page, of which kind (one of `KINDS_FOUND`), and what it is."""

    version: int
    kind: str
    detail: str


KINDS_FOUND = (
    "missing_page",
    "unreadable_page",
    "wrong_hash",
    "wrong_account",
    "wrong_version",
    "wrong_item",
    "broken_link",
    "time_backwards",
    "impossible_entry",
    "wrong_balance",
    "wrong_standing",
    "wrong_anchor",
    "modified_page",
    "removed_page",
    "lost_record",
    "wrong_record",
)
"""Every kind of finding. Those of accounts, items and anchors are for who verifies a journal that was handed over."""


@dataclass(frozen=True, slots=True)
class Reached:
    """The page that an account's journal is folded up to. Version 0 stands before the first one.

    `hash` and `state` are None after a page that cannot be read: then the next one is not compared with it.
    """

    version: int = 0
    at_ms: int = 0
    hash: str | None = NO_PAGE_HASH
    state: State | None = field(default_factory=State)


def check_stored(account_id: str, version: int, stored: Mapping[str, Any], stored_hash: str) -> Page | Finding:
    """The page of a stored form, or what is wrong with that."""
    try:
        if hash_of(account_id, stored) != stored_hash:
            return Finding(version, "wrong_hash", "its hash does not cover what is stored")
        page = page_from_map(account_id, stored, stored_hash)
        _check_form(stored)
    except (BrokenInvariantError, TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        return Finding(version, "unreadable_page", str(error))
    if page.version != version:
        return Finding(version, "wrong_version", f"it says that it is page {page.version}")
    return page


def fold(reached: Reached, page: Page) -> tuple[Reached, Finding | None]:
    """Go on to the next page; and the first thing that is wrong with it, if anything is. Its own hash is right."""
    return Reached(page.version, page.at, page.hash, page.state), _check(reached, page)


def skip(reached: Reached, version: int) -> Reached:
    """Go on past a page that is missing or cannot be read."""
    return Reached(version, reached.at_ms, None, None)


def _check_form(stored: Mapping[str, Any]) -> None:
    """Raise BrokenInvariantError unless what is compared and added up below is of the form that it must have.

    Else a forged page could stop whoever checks it, or pass with half a hundredth.
    """
    entries, balances = stored["entries"], stored["state"].get("balances", {})
    _check_numbers(stored.values())
    require(_is_whole(stored["version"]), "version is not a whole number")
    require(_is_whole(stored["at"]) and 0 <= stored["at"] <= MAX_AT, "at is no time")
    require(isinstance(entries, list), "entries are not a list")
    for amounts in (*entries, *balances.values()):
        require(all(_is_whole(amounts.get(name, 0)) for name in ("posted", "held")), "an amount is not a whole number")
    for entry in entries:
        require(isinstance(entry["kind"], str), "a kind is not a word")
        require(isinstance(entry.get("unit"), str | None), "a unit is not a word")
        require(isinstance(entry.get("changes"), Mapping | None), "changes are not fields")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_numbers(values: Iterable[Any]) -> None:
    for value in values:
        if isinstance(value, str):
            continue
        if isinstance(value, dict):
            _check_numbers(value.values())
        elif isinstance(value, list):
            _check_numbers(value)
        elif isinstance(value, int | float):
            require(isinstance(value, int) and abs(value) <= MAX_NUMBER, f"{value} is no number that a page may hold")


def _check(reached: Reached, page: Page) -> Finding | None:
    version = page.version
    if version != reached.version + 1:
        return Finding(reached.version + 1, "missing_page", f"page {version} follows page {reached.version}")
    if reached.hash is not None and page.prev != reached.hash:
        return Finding(version, "broken_link", f"it does not name the hash of page {reached.version}")
    if page.at < reached.at_ms:
        return Finding(version, "time_backwards", f"it is older than page {reached.version}")
    state = page.state_before() if reached.state is None else reached.state
    for index, entry in enumerate(page.entries):
        try:
            state = _after(state, entry)
        except (BrokenInvariantError, TypeError, ValueError) as error:
            return Finding(version, "impossible_entry", f"entry {page.entry_id(index)}: {error}")
    if _amounts(state) != _amounts(page.state):
        return Finding(version, "wrong_balance", "its balances are not those before it plus its entries")
    known = all(entry.kind in KINDS for entry in page.entries)
    if known and _standing(state) != _standing(page.state):
        return Finding(version, "wrong_standing", "its standing is not the one before it with its entries' changes")
    return None


def _after(state: State, entry: Entry) -> State:
    """`state` after `entry`, also one of a kind or unit that a newer release has.

    Raises BrokenInvariantError where a known kind may not do that.
    """
    if entry.unit is None:
        moves = entry.kind in KINDS and (entry.kind not in WITHOUT_UNIT or (entry.posted, entry.held) != (0, 0))
        require(not moves, f"an entry {entry.kind} without a unit moves nothing")
        changes = entry.changes or {}
        return replace(state, **{name: changes[name] for name in STANDING if name in changes})
    if entry.kind in KINDS and entry.unit in UNITS:
        return apply(state, entry)
    before = state.balance(entry.unit)
    after = replace(before, posted=before.posted + entry.posted, held=before.held + entry.held)
    return replace(state, balances={**state.balances, entry.unit: after})


def _amounts(state: State) -> dict[str, tuple[int, int]]:
    return {unit: _amounts_of(balance) for unit, balance in state.balances.items() if _amounts_of(balance) != (0, 0)}


def _amounts_of(balance: Balance) -> tuple[int, int]:
    return balance.posted, balance.held


def _standing(state: State) -> tuple[object, ...]:
    return tuple(getattr(state, name) for name in STANDING)

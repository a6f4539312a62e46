"""The journal: entries, pages, what an entry does to the state, and the hash that links the pages.

A page is the unit of commit. Its canonical text is the JSON of its stored form and its account's id, keys sorted,
without spaces; its hash is the SHA-256 of that text, which names the hash of the page before it.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from .errors import BrokenInvariantError, require
from .forms import field_names, from_map
from .ids import entry_id
from .state import UNITS, Balance, State, state_from_map

MAX_ENTRIES = 49
MAX_PAGE_BYTES = 16 * 1024
"""How long the text under a page's hash may be, in UTF-8."""

NO_PAGE_HASH = "0" * 64

WITHOUT_UNIT = ("opened", "standing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One change of one unit. `posted` and `held` are the signed changes, in hundredths; times are milliseconds.

    `changes` holds the new values of an `opened` or `standing` entry (status, orders_processor, low_balance).
    """

    kind: str
    actor: str
    unit: str | None = None
    posted: int = 0
    held: int = 0
    reason: str | None = None
    reference: str | None = None
    order_id: str | None = None
    product_id: str | None = None
    store_id: str | None = None
    part: str | None = None
    order_type: str | None = None
    tracking: str | None = None
    rate_card: str | None = None
    attempt: int | None = None
    expires_at: int | None = None
    purchase_id: str | None = None
    cost: int | None = None
    tracking_number: str | None = None
    supplier_order_id: str | None = None
    key: str | None = None
    changes: Mapping[str, Any] | None = None
    unknown: Mapping[str, Any] = field(default_factory=dict)

    def to_map(self) -> dict[str, Any]:
        """The stored form: what is absent or zero is left out."""
        stored = {name: getattr(self, name) for name in _ENTRY_FIELDS}
        return {**self.unknown, **{name: value for name, value in stored.items() if value is not None and value != 0}}


_ENTRY_FIELDS = field_names(Entry)
_KNOWN_OF_ENTRY = frozenset(_ENTRY_FIELDS)


@dataclass(frozen=True, slots=True)
class Page:
    """One atomic commit: its entries, the state after them, and the hash of the page before."""

    account_id: str
    version: int
    at: int
    entries: tuple[Entry, ...]
    state: State
    prev: str
    hash: str
    unknown: Mapping[str, Any] = field(default_factory=dict)

    def to_map(self) -> dict[str, Any]:
        """The stored form, without the hash over it."""
        return {**self.unknown, **_page_map(self.version, self.at, self.entries, self.state, self.prev)}

    def state_before(self) -> State:
        """The balances before this page, from the state after it and its entries. Standing is as after it."""
        balances = dict(self.state.balances)
        for entry in self.entries:
            if entry.unit is not None:
                balances[entry.unit] = _minus(balances.get(entry.unit, Balance()), entry)
        return replace(self.state, balances=balances)

    def balances_after(self) -> Iterator[tuple[Entry, Balance | None]]:
        """Each entry with its unit's balance after it; None for an entry without a unit."""
        balances = dict(self.state_before().balances)
        for entry in self.entries:
            if entry.unit is not None:
                balances[entry.unit] = _plus(balances[entry.unit], entry)
            yield entry, None if entry.unit is None else balances[entry.unit]

    def entry_id(self, index: int) -> str:
        """The id of the entry at `index`."""
        return entry_id(self.version, index)


@dataclass(frozen=True, slots=True)
class Entered:
    """An entry where it stands in the journal: its page's number and time (milliseconds), and its index there."""

    version: int
    index: int
    at_ms: int
    entry: Entry


_PAGE_FIELDS = ("version", "at", "entries", "state", "prev")


def _minus(after: Balance, entry: Entry) -> Balance:
    return Balance(after.posted - entry.posted, after.held - entry.held, after.unknown)


def _plus(before: Balance, entry: Entry) -> Balance:
    return Balance(before.posted + entry.posted, before.held + entry.held, before.unknown)


def _page_map(version: int, at: int, entries: Sequence[Entry], state: State, prev: str) -> dict[str, Any]:
    return {
        "version": version,
        "at": at,
        "entries": [entry.to_map() for entry in entries],
        "state": state.to_map(),
        "prev": prev,
    }


def canonical_text(account_id: str, stored: Mapping[str, Any]) -> str:
    """The text under a page's hash: JSON of its stored form and its account's id, keys sorted, without spaces."""
    return _text({**stored, "account_id": account_id})


def hash_of(account_id: str, stored: Mapping[str, Any]) -> str:
    """The SHA-256 of the canonical text, in hexadecimal digits."""
    return hashlib.sha256(canonical_text(account_id, stored).encode()).hexdigest()


def entry_bytes(entry: Entry) -> int:
    """What an entry adds to the text under its page's hash, in UTF-8, with the comma that parts it from the next."""
    return len(_text(entry.to_map()).encode()) + 1


def page_bytes(account_id: str, head: Page | None, now_ms: int, state: State, entries_bytes: int) -> int:
    """How long the text under the hash of the page after `head` is, with `entries_bytes` of entries and `state`."""
    empty = _page_map(*_follows(head, now_ms), (), state, NO_PAGE_HASH)
    return len(canonical_text(account_id, empty).encode()) + max(0, entries_bytes - 1)


def _follows(head: Page | None, now_ms: int) -> tuple[int, int]:
    """Version and time of the page after `head`: times never run backwards."""
    return (head.version + 1, max(now_ms, head.at)) if head else (1, now_ms)


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _text(stored: Mapping[str, Any]) -> str:
    return _ENCODER.encode(stored)


def page_from_map(account_id: str, stored: Mapping[str, Any], stored_hash: str) -> Page:
    """The page of a stored form. Raises BrokenInvariantError unless the hash covers exactly what is stored."""
    require(set(_PAGE_FIELDS) <= stored.keys(), f"a page with only the fields {sorted(stored)}")
    require("account_id" not in stored, "a page with a field that its hash does not cover")
    require(hash_of(account_id, stored) == stored_hash, f"page {stored.get('version')} does not match its hash")
    values = from_map(_PAGE_FIELDS, stored)
    values["entries"] = tuple(Entry(**from_map(_KNOWN_OF_ENTRY, entry)) for entry in stored["entries"])
    values["state"] = state_from_map(stored["state"])
    return Page(account_id=account_id, hash=stored_hash, **values)


def next_page(account_id: str, head: Page | None, now_ms: int, entries: Sequence[Entry]) -> Page:
    """The page that follows `head` with `entries`: times never run backwards, the state is the one before plus them.

    Raises BrokenInvariantError if the entries are none, too many or too long, or would break the books.
    """
    require(0 < len(entries) <= MAX_ENTRIES, f"a page of {len(entries)} entries")
    version, at = _follows(head, now_ms)
    state = head.state if head else State()
    for entry in entries:
        state = apply(state, entry)
    prev = head.hash if head else NO_PAGE_HASH
    text = canonical_text(account_id, _page_map(version, at, entries, state, prev)).encode()
    require(len(text) <= MAX_PAGE_BYTES, f"a page of {len(text)} bytes")
    return Page(account_id, version, at, tuple(entries), state, prev, hashlib.sha256(text).hexdigest())


# What the signed changes of each kind must look like: (posted, held, available after) → whether they may stand.
_SIGNS: Mapping[str, Callable[[int, int, int], bool]] = MappingProxyType(
    {
        "granted": lambda posted, held, _: posted > 0 and held == 0,
        "purchased": lambda posted, held, _: posted > 0 and held == 0,
        "loaded": lambda posted, held, _: posted > 0 and held == 0,
        "held": lambda posted, held, available: posted == 0 and held > 0 and available >= 0,
        "captured": lambda posted, held, _: posted <= 0 and held < 0,
        "released": lambda posted, held, _: posted == 0 and held < 0,
        "expired": lambda posted, held, _: posted == 0 and held < 0,
        "debited": lambda posted, held, available: posted < 0 and held == 0 and available >= 0,
        "adjusted": lambda posted, held, available: held == 0 and (posted > 0 or (posted < 0 <= available)),
        "clawed_back": lambda posted, held, _: posted < 0 and held == 0,
        "refused": lambda posted, held, _: posted == 0 and held == 0,
        "declined": lambda posted, held, _: posted == 0 and held == 0,
    }
)

KINDS = (*WITHOUT_UNIT, *_SIGNS)
"""Every kind of entry there is."""


def apply(state: State, entry: Entry) -> State:
    """`state` after `entry`.

    Raises BrokenInvariantError where an entry's kind, unit or signs are not what the journal may hold.
    """
    if entry.kind in WITHOUT_UNIT:
        require(entry.unit is None and entry.posted == 0 and entry.held == 0, f"a {entry.kind} entry moves nothing")
        return replace(state, **(entry.changes or {}))
    if entry.unit not in UNITS or entry.kind not in _SIGNS:
        raise BrokenInvariantError(f"an entry {entry.kind} of unit {entry.unit}")
    after = state.move(entry.unit, entry.posted, entry.held)
    allowed = _SIGNS[entry.kind](entry.posted, entry.held, after.balance(entry.unit).available())
    require(allowed, f"an entry {entry.kind} of {entry.posted}, {entry.held} on {state.balance(entry.unit)}")
    return after

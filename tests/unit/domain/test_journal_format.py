"""docs/journal-format.md says what the product does: its test vectors are read out of the page."""

import hashlib
import json
import re
from typing import Any

from autocredits.domain.access import Caller
from autocredits.domain.accounts import Adjust, OpenAccount
from autocredits.domain.audit import KINDS_FOUND
from autocredits.domain.errors import BrokenInvariantError
from autocredits.domain.journal import KINDS, Entry, Page, apply, canonical_text, page_from_map
from autocredits.domain.state import UNITS
from tests.kit.builders import ACCOUNT_ID, PLATFORM, Account, hold, idempotency, merchant, order, state_of
from tests.kit.journals import Verdict, items_of, verify
from tests.kit.vectors import DOCUMENT, stored_vectors, vectors


def test_there_are_three_vectors() -> None:
    """Each with a text and its hash."""
    assert len(vectors()) == 3


def test_each_hash_is_that_of_its_text() -> None:
    """The SHA-256 of the text's UTF-8 bytes."""
    for text, told in vectors():
        assert hashlib.sha256(text.encode()).hexdigest() == told


def test_each_text_is_canonical() -> None:
    """The product makes the same text of what it reads in it."""
    for text, _ in vectors():
        stored = json.loads(text)
        assert canonical_text(stored.pop("account_id"), stored) == text


def test_the_product_reads_every_vector() -> None:
    """As pages 1, 2 and 3 of acme; with the last one's hash as an anchor nothing is found."""
    pages = stored_vectors()
    assert [page_from_map(page.account_id, page.stored, page.hash).version for page in pages] == [1, 2, 3]
    known = {3: pages[-1].hash}
    assert verify(ACCOUNT_ID, items_of(pages), known) == Verdict([], 3, pages[-1].hash)


def test_the_product_writes_the_first_two() -> None:
    """To the byte: an opening, then an adjustment and a hold in one page."""
    account = Account()
    account.clock.at_ms = 1_795_521_600_000
    account.do(OpenAccount(PLATFORM, "active"))
    account.clock.at_ms += 61_000
    reason = "\u00dcbertrag \u201e\u58f2\u4e0a\u201c \U0001f4e6"
    wanted = order("A-1", "fba", "qtrack", store_id="shop-1", cost=2350)
    account.ledger().execute_all(
        ACCOUNT_ID,
        [
            Adjust(Caller("platform", "*"), idempotency("key-1"), "managed", 5000, reason, None),
            hold(wanted, idempotency("key-2"), merchant()),
        ],
    )
    written = [(canonical_text(ACCOUNT_ID, page.to_map()), page.hash) for page in account.pages()]
    assert written == vectors()[:2]


def test_the_third_is_of_a_release_to_come() -> None:
    """It has fields in page, entry, state and balance, a kind and a unit that are not known here."""
    text, told = vectors()[2]
    stored = json.loads(text)
    page = page_from_map(stored.pop("account_id"), stored, told)
    assert all(grown.unknown for grown in (page, page.entries[0], page.state, page.state.balance("points")))
    assert page.entries[-1].kind not in KINDS
    assert page.entries[-1].unit not in UNITS


def table(heading: str) -> list[list[str]]:
    """The cells of the first table that follows a heading or column name."""
    lines = DOCUMENT.read_text("utf-8").split(heading, 1)[1].splitlines()[1:]
    rows = []
    for line in lines[1:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_every_kind_of_entry_is_in_the_table() -> None:
    """Each kind stands there once, and the units are named."""
    named = [name for row in table("| kind |") for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(named) == sorted(KINDS)
    assert all(f"`{unit}`" in DOCUMENT.read_text("utf-8") for unit in UNITS)


def test_every_field_is_named() -> None:
    """Every field that a page or an entry can have has its name on the page."""
    text = DOCUMENT.read_text("utf-8")
    fields = {*Entry.__slots__, *Page.__slots__} - {"unknown"}
    assert [name for name in sorted(fields) if f"`{name}`" not in text] == []


def test_every_check_names_a_known_kind_of_finding() -> None:
    """The kinds in the table of checks are the product's, in its words."""
    named = [re.findall(r"`(\w+)`", row[-1])[0] for row in table("| | what must hold |")]
    assert len(named) == 11
    assert set(named) <= set(KINDS_FOUND)


def test_the_signs_of_each_kind_are_those_of_the_table() -> None:
    """What the table says of `posted` and `held` is what the product lets an entry do."""
    signs: dict[str, Any] = {
        "above 0": (1,),
        "below 0": (-1,),
        "0": (0,),
        "0 or less": (-1, 0),
        "not 0": (-1, 1),
    }
    for kinds, posted, held, _ in table("| kind |"):
        for kind in re.findall(r"`(\w+)`", kinds):
            assert allowed(kind) == {(one, other) for one in signs[posted] for other in signs[held]}, kind


def allowed(kind: str) -> set[tuple[int, int]]:
    """The signs of posted and held that the product lets an entry of this kind have, where there is plenty."""
    unit = None if kind in ("opened", "standing") else "auto_order"
    found = set()
    for signs in ((posted, held) for posted in (-1, 0, 1) for held in (-1, 0, 1)):
        try:
            apply(state_of(1_000, held=500), Entry(kind=kind, actor="a", unit=unit, posted=signs[0], held=signs[1]))
        except BrokenInvariantError:
            continue
        found.add(signs)
    return found

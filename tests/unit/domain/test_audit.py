"""What the audit finds in a journal, and what it must not find: a false alarm would stop a merchant."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocredits.domain.audit import KINDS_FOUND, MAX_AT, MAX_NUMBER, Finding, Reached, check_stored, fold, skip
from autocredits.domain.journal import NO_PAGE_HASH, Page, hash_of
from autocredits.domain.money import MAX_BALANCE
from autocredits.domain.state import Balance
from autocredits.ledger.ports import StoredPage
from tests.kit.builders import ACCOUNT_ID
from tests.kit.forms import RELEASES, newer
from tests.kit.journals import Stored, released, stored_of, wander
from tests.kit.tampering import CAPTURED, DEBITED, HELD, PAUSED, THRESHOLD, stored_forms, true_pages


def check_all(pages: list[StoredPage]) -> list[Finding]:
    """All that is found in these pages, read and folded one after the other."""
    reached = Reached()
    findings: list[Finding | None] = []
    for stored in pages:
        page = check_stored(ACCOUNT_ID, stored.version, stored.stored, stored.hash)
        if isinstance(page, Finding):
            reached = skip(reached, stored.version)
            findings.append(page)
        else:
            reached, finding = fold(reached, page)
            findings.append(finding)
    return [finding for finding in findings if finding]


def linked(forms: list[Stored]) -> list[StoredPage]:
    """These stored forms with hashes and links that fit, as a forger would make them."""
    pages, before = [], NO_PAGE_HASH
    for number, form in enumerate(forms, start=1):
        stored = {**form, "prev": before}
        before = hash_of(ACCOUNT_ID, stored)
        pages.append(StoredPage(ACCOUNT_ID, number, stored, before))
    return pages


def found(version: int, change: Callable[[Stored], object]) -> list[tuple[int, str]]:
    """What is found when one page of the true journal is changed, and all of it re-hashed."""
    forms = stored_forms()
    change(forms[version - 1])
    return [(finding.version, finding.kind) for finding in check_all(linked(forms))]


# ---------------------------------------------------------------- what passes


@given(st.integers(0, 2**32))
@settings(max_examples=25)
def test_what_the_product_writes_passes(seed: int) -> None:
    """Whatever an account does, nothing is found in its journal, and the last page's state is what is reached."""
    pages = wander(seed, steps=25).pages()
    reached = Reached()
    for page in pages:
        again = check_stored(ACCOUNT_ID, page.version, json.loads(json.dumps(page.to_map())), page.hash)
        assert isinstance(again, Page)
        reached, finding = fold(reached, again)
        assert finding is None
    assert reached == Reached(pages[-1].version, pages[-1].at, pages[-1].hash, pages[-1].state)


@pytest.mark.parametrize("release", RELEASES)
def test_what_each_release_wrote_passes(release: str) -> None:
    """Nothing is found in the pages of any release."""
    pages = released(release)
    assert len(pages) > 30
    assert check_all(pages) == []


def test_what_a_release_to_come_writes_passes() -> None:
    """Unknown fields of pages, entries, states and balances are no finding, and are under the hash."""
    with newer():
        pages = wander(1).pages()
    assert pages[-1].unknown
    assert pages[-1].state.unknown
    assert check_all(stored_of(pages)) == []


def test_unknown_kinds_are_only_added_up() -> None:
    """An entry of a kind that is not known may move its unit as it likes, if the balances say so too."""

    def gift(page: Stored) -> None:
        page["entries"].append({"kind": "gifted", "actor": "a", "unit": "auto_order", "posted": -7, "held": 3})
        page["state"]["balances"]["auto_order"] = {"posted": 1_760, "held": 3}

    assert found(PAUSED, gift) == []


def test_unknown_units_are_only_added_up() -> None:
    """Also by a kind that is known, whose signs are then its own affair."""

    def earn(page: Stored) -> None:
        page["entries"].append({"kind": "debited", "actor": "a", "unit": "points", "posted": 7})
        page["state"]["balances"]["points"] = {"posted": 7, "held": 0}

    assert found(PAUSED, earn) == []


def test_an_unknown_kind_may_change_standing() -> None:
    """Nobody here can know how, so the standing of its page is taken as it is; the next page's is checked again."""

    def freeze(page: Stored) -> None:
        page["entries"].append({"kind": "frozen", "actor": "a"})
        page["state"]["status"] = "frozen"

    assert found(THRESHOLD, freeze) == []
    assert found(DEBITED, freeze) == [(THRESHOLD, "wrong_standing")]


def test_unknown_changes_are_let_pass() -> None:
    """A standing entry may change what is not known here."""
    assert found(PAUSED, lambda page: page["entries"][0]["changes"].update(tier="gold")) == []
    assert found(PAUSED, lambda page: page["state"].update(tier="gold")) == []


def test_a_unit_without_balance_need_not_be_there() -> None:
    """Zero and absent are the same."""
    nothing = {"posted": 0, "held": 0}
    assert found(PAUSED, lambda page: page["state"]["balances"].update(finder=nothing, points=nothing)) == []


def test_a_false_alarm_would_be_seen() -> None:
    """The true journal has nothing wrong, so whatever is found above and below is of the change alone."""
    assert check_all(stored_of(true_pages())) == []
    assert check_all(linked(stored_forms())) == []


# ---------------------------------------------------------------- what is found in one page alone


def check(change: Callable[[Stored], object] = lambda _: None, **asked: Any) -> Page | Finding:
    """The page of the hold, changed and re-hashed, unless `asked` says otherwise."""
    stored = copy.deepcopy(true_pages()[HELD - 1].to_map())
    change(stored)
    plain = {"account_id": ACCOUNT_ID, "version": HELD, "stored": stored}
    values = {**plain, **asked}
    return check_stored(**{"stored_hash": hash_of(values["account_id"], values["stored"]), **values})


def test_a_sound_page_is_read() -> None:
    """The page itself is given back."""
    assert check() == true_pages()[HELD - 1]


def test_a_hash_that_does_not_cover_the_page_is_found() -> None:
    """Another hash, none, or that of the same page in another account."""
    other = hash_of("bolt", true_pages()[HELD - 1].to_map())
    for stored_hash in ("a" * 64, "", true_pages()[HELD - 1].hash.upper(), other):
        assert check(stored_hash=stored_hash) == Finding(HELD, "wrong_hash", "its hash does not cover what is stored")


def test_a_page_in_another_ones_place_is_found() -> None:
    """The page says another number than the one under which it lies."""
    assert check(version=9) == Finding(9, "wrong_version", f"it says that it is page {HELD}")


UNREADABLE: dict[str, Callable[[Stored], object]] = {
    "a time that is none": lambda page: page.update(at="now"),
    "half a millisecond": lambda page: page.update(at=1.5),
    "a time before all time": lambda page: page.update(at=-1),
    "a time after all time": lambda page: page.update(at=MAX_AT + 1),
    "a version that is true": lambda page: page.update(version=True),
    "a field that no hash covers": lambda page: page.update(account_id=ACCOUNT_ID),
    "no entries": lambda page: page.pop("entries"),
    "entries that are no list": lambda page: page.update(entries={}),
    "an entry that is none": lambda page: page["entries"].append("held"),
    "an entry without a kind": lambda page: page["entries"][0].pop("kind"),
    "an entry without an actor": lambda page: page["entries"][0].pop("actor"),
    "a kind that is no word": lambda page: page["entries"][0].update(kind=["held"]),
    "a unit that is no word": lambda page: page["entries"][0].update(unit=7),
    "changes that are no fields": lambda page: page["entries"][0].update(changes="status"),
    "an amount in words": lambda page: page["entries"][0].update(posted="100"),
    "an amount that is null": lambda page: page["entries"][0].update(held=None),
    "an amount that is true": lambda page: page["entries"][0].update(posted=True),
    "half a hundredth": lambda page: page["entries"][0].update(held=100.5),
    "an amount with a point": lambda page: page["entries"][0].update(held=100.0),
    "a fraction that is not known": lambda page: page.update(weights=[{"a": 0.5}]),
    "no number": lambda page: page.update(weight=float("nan")),
    "a number too long": lambda page: page.update(nanos=MAX_NUMBER + 1),
    "a negative number too long": lambda page: page.update(nanos=-MAX_NUMBER - 1),
    "no state": lambda page: page.pop("state"),
    "a state that is none": lambda page: page.update(state=[]),
    "balances that are none": lambda page: page["state"].update(balances=[]),
    "a balance that is none": lambda page: page["state"]["balances"].update(finder=7),
    "a balance in words": lambda page: page["state"]["balances"].update(finder={"posted": "7"}),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_page_that_cannot_be_read_is_found(case: str) -> None:
    """Even where its hash covers it. Nothing of such a page can stop the audit itself."""
    page = check(UNREADABLE[case])
    assert isinstance(page, Finding)
    assert (page.version, page.kind) == (HELD, "unreadable_page")


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, "half a character: \ud800"], ids=["bytes", "set", "text"])
def test_what_has_no_canonical_text_is_unreadable(value: object) -> None:
    """A value that JSON or UTF-8 cannot hold has no hash at all."""
    stored = {**true_pages()[HELD - 1].to_map(), "value": value}
    page = check_stored(ACCOUNT_ID, HELD, stored, "a" * 64)
    assert isinstance(page, Finding)
    assert page.kind == "unreadable_page"


def test_the_greatest_numbers_are_read() -> None:
    """The last time of the calendar, and numbers up to 2^53 - 1 on both sides; a balance stays far below."""
    page = check(lambda page: page.update(at=MAX_AT, numbers=[MAX_NUMBER, -MAX_NUMBER, True, None]))
    assert isinstance(page, Page)
    assert MAX_BALANCE < MAX_NUMBER


# ---------------------------------------------------------------- what is found from one page to the next


def entry(**values: Any) -> Callable[[Stored], object]:
    """Change the page's first entry."""
    return lambda page: page["entries"][0].update(values)


def balance(**values: Any) -> Callable[[Stored], object]:
    """Change the page's balance of `auto_order`."""
    return lambda page: page["state"]["balances"]["auto_order"].update(values)


def state(**values: Any) -> Callable[[Stored], object]:
    """Change the page's state."""
    return lambda page: page["state"].update(values)


WRONG: dict[str, tuple[int, Callable[[Stored], object], str]] = {
    "time runs backwards": (CAPTURED, lambda page: page.update(at=page["at"] - 1), "time_backwards"),
    "more is spent than there is": (DEBITED, entry(posted=-90_000), "impossible_entry"),
    "a debit adds": (DEBITED, entry(posted=1), "impossible_entry"),
    "a capture of more than is held": (CAPTURED, entry(held=-9_000), "impossible_entry"),
    "a debit without a unit": (DEBITED, entry(unit=None), "impossible_entry"),
    "a refusal without a unit": (THRESHOLD, entry(kind="refused"), "impossible_entry"),
    "a standing entry that moves": (THRESHOLD, entry(posted=5), "impossible_entry"),
    "a standing entry that holds": (THRESHOLD, entry(held=5), "impossible_entry"),
    "a standing entry with a unit": (THRESHOLD, entry(unit="auto_order"), "impossible_entry"),
    "a balance that was not moved": (DEBITED, balance(posted=1), "wrong_balance"),
    "a hold that was not made": (DEBITED, balance(held=1), "wrong_balance"),
    "a balance that is gone": (DEBITED, lambda page: page["state"]["balances"].pop("managed"), "wrong_balance"),
    "a balance from nowhere": (
        DEBITED,
        lambda page: page["state"]["balances"].update(points={"held": 1}),
        "wrong_balance",
    ),
    "an entry that left no trace": (DEBITED, lambda page: page["entries"].append(page["entries"][0]), "wrong_balance"),
    "a status that nobody gave": (DEBITED, state(status="closed"), "wrong_standing"),
    "an add-on that nobody gave": (DEBITED, state(orders_processor="inactive"), "wrong_standing"),
    "a threshold that nobody set": (DEBITED, state(low_balance=5), "wrong_standing"),
    "a change that left no trace": (PAUSED, state(status="active"), "wrong_standing"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_follow_is_found(case: str) -> None:
    """By its page and kind, first of all that is found, though every hash and link fits."""
    version, change, kind = WRONG[case]
    assert found(version, change)[0] == (version, kind)


def fold_all(pages: list[Page]) -> list[tuple[int, str]]:
    """What is found in these pages, one after the other."""
    reached = Reached()
    findings: list[tuple[int, str]] = []
    for page in pages:
        reached, finding = fold(reached, page)
        findings += [(finding.version, finding.kind)] if finding else []
    return findings


def test_a_missing_page_is_named() -> None:
    """By its own number, also the first one; what follows the gap is checked from there on."""
    pages = list(true_pages())
    assert fold_all(pages[:3] + pages[4:]) == [(4, "missing_page")]
    assert fold_all(pages[1:]) == [(1, "missing_page")]


def test_pages_out_of_order_are_found() -> None:
    """Two that are swapped, and one that comes twice."""
    pages = list(true_pages())
    assert fold_all([*pages[:2], pages[3], pages[2], *pages[4:]])[0] == (3, "missing_page")
    assert fold_all([*pages[:3], pages[2], *pages[3:]])[0] == (4, "missing_page")


def test_a_link_to_another_page_is_found() -> None:
    """A page that was re-hashed is told by the one after it, which names the hash that it had."""
    pages = list(true_pages())
    pages[4] = replace(pages[4], hash="a" * 64)
    assert fold_all(pages) == [(6, "broken_link")]
    assert fold_all([replace(pages[0], prev="a" * 64)]) == [(1, "broken_link")]


def test_the_page_after_an_unreadable_one_is_taken_as_it_is() -> None:
    """Nothing is known of the page before: link, balances and standing begin anew, times and numbers go on."""
    pages = list(true_pages())
    past = skip(Reached(3, pages[2].at, pages[2].hash, pages[2].state), 4)
    assert fold(past, pages[4]) == (Reached(5, pages[4].at, pages[4].hash, pages[4].state), None)
    earlier = replace(pages[4], at=pages[2].at - 1)
    later = replace(pages[4], version=6)
    assert [finding and finding.kind for _, finding in (fold(past, earlier), fold(past, later))] == [
        "time_backwards",
        "missing_page",
    ]


def test_a_change_that_left_no_trace_is_found_after_an_unreadable_page_too() -> None:
    """The state after a page has what its own entries set."""
    page = true_pages()[PAUSED - 1]
    _, finding = fold(skip(Reached(), PAUSED - 1), replace(page, state=replace(page.state, status="active")))
    assert finding is not None
    assert finding.kind == "wrong_standing"


def test_signs_are_checked_after_an_unreadable_page_too() -> None:
    """What its own state and entries cannot both be is found in any page."""
    page = true_pages()[4]
    broken = {"auto_order": Balance(page.state.balance("auto_order").posted, -1)}
    past = skip(Reached(3, page.at), 4)
    _, finding = fold(past, replace(page, state=replace(page.state, balances=broken)))
    assert finding is not None
    assert finding.kind == "impossible_entry"


def mutations(random: Random, value: Any) -> Any:
    """The value with one change somewhere inside."""
    if isinstance(value, dict | list) and value:
        inner: Any = copy.copy(value)
        name = random.choice(list(value) if isinstance(value, dict) else range(len(value)))
        if random.random() < 0.1:
            del inner[name]
        else:
            inner[name] = mutations(random, value[name])
        return inner
    if isinstance(value, int):
        return random.choice((value + 1, value - 1, str(value), None))
    return random.choice((f"{value}x", None, 7))


@given(st.integers(0, 2**32))
@settings(max_examples=100)
def test_any_single_change_of_a_page_is_found(seed: int) -> None:
    """By its own hash; where that was made anew, by the page itself or by the link of the page after it."""
    random = Random(seed)
    pages = stored_of(true_pages())
    number = random.randrange(len(pages) - 1)
    changed = mutations(random, pages[number].stored)
    left = replace(pages[number], stored=changed)
    assert [finding.version for finding in check_all([*pages[:number], left, *pages[number + 1 :]])] == [number + 1]
    rehashed = replace(left, hash=hash_of(ACCOUNT_ID, changed))
    findings = check_all([*pages[:number], rehashed, *pages[number + 1 :]])
    assert findings
    assert findings[0].version in (number + 1, number + 2)


def test_every_finding_has_a_known_kind() -> None:
    """The kinds that are found here are among those that the alarm and the answers know."""
    kinds = {kind for _, _, kind in WRONG.values()}
    kinds |= {"unreadable_page", "wrong_hash", "wrong_version", "missing_page", "broken_link"}
    assert kinds <= set(KINDS_FOUND)
    assert len(KINDS_FOUND) == len(set(KINDS_FOUND))

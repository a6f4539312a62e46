"""The journal's verifier: what is true passes, and whatever is done to it is named with its page."""

import json

import pytest

from credits.verifying import WITHOUT_ANCHOR, NotAJournal, read_items, verify
from tests.kit.builders import ACCOUNT_ID
from tests.kit.forms import RELEASES
from tests.kit.journals import items_of, released, stored_of, wander
from tests.kit.tampering import CASES, true_anchors, true_items


@pytest.mark.parametrize("case", CASES)
def test_whatever_is_done_to_a_journal_is_found(case: str) -> None:
    """With the page where it begins, and the kind of what is wrong."""
    tampered = CASES[case]()
    verdict = verify(tampered.items, ACCOUNT_ID, tampered.anchors)
    assert not verdict.is_good()
    assert [(one.version, one.kind) for one in verdict.findings[:1]] == [(tampered.version, tampered.kind)]


def test_the_true_journal_passes() -> None:
    """With and without an anchor."""
    for anchors in ({}, true_anchors()):
        verdict = verify(true_items(), ACCOUNT_ID, anchors)
        assert (verdict.findings, verdict.pages, verdict.is_good()) == ([], len(true_items()), True)


@pytest.mark.parametrize("release", RELEASES)
def test_what_every_release_wrote_passes(release: str) -> None:
    """Its pages, kinds and fields."""
    assert verify(items_of(released(release))).findings == []


@pytest.mark.parametrize("seed", range(5))
def test_whatever_the_product_writes_passes(seed: int) -> None:
    """Stories that chance tells."""
    assert verify(items_of(stored_of(wander(seed).pages()))).findings == []


def test_nothing_is_no_success() -> None:
    """A file without pages has not been verified."""
    assert not verify([]).is_good()


@pytest.mark.parametrize("text", ["", "[]", json.dumps({"items": [], "next_cursor": None})])
def test_an_empty_file_has_no_items(text: str) -> None:
    """In whichever form."""
    assert list(read_items(text.splitlines(keepends=True))) == []


@pytest.mark.parametrize("text", ["no JSON", '"a text"', '{"a": ', "{}\nno JSON"])
def test_what_is_no_journal_is_said_so(text: str) -> None:
    """Nothing of it counts as verified."""
    try:
        verdict = verify(read_items(text.splitlines(keepends=True)))
    except NotAJournal:
        return
    assert not verdict.is_good()


def test_items_are_read_in_every_form_that_they_come_in() -> None:
    """A line each, one list, or the answers of the route."""
    items = true_items()
    forms = (
        "".join(json.dumps(item) + "\n" for item in items),
        json.dumps(items),
        json.dumps({"items": items, "next_cursor": None}),
    )
    for text in forms:
        assert list(read_items(text.splitlines(keepends=True))) == items


def test_what_nobody_can_see_without_an_anchor_is_said() -> None:
    """In these words."""
    assert WITHOUT_ANCHOR == (
        "consistent in itself; missing last pages or a rewritten whole cannot be seen without an anchor"
    )

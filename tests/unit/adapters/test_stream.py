import base64

import pytest

from autocredits.adapters.stream import pages_in, touched_in
from autocredits.domain.errors import BrokenInvariantError
from autocredits.domain.journal import Page, hash_of, page_from_map
from tests.kit.builders import Account, opened, requested
from tests.kit.streams import page_record, stream_event, stream_record, work_record


def account_with_pages() -> Account:
    """An account with three pages: opened, topped up, and a hold."""
    account = opened(1000)
    account.do(requested())
    return account


def read(*records: dict[str, object]) -> list[Page]:
    """The pages of a batch of the stream."""
    return [written.read() for written in pages_in({"Records": list(records)})]


def test_new_pages_are_read_as_they_were_written() -> None:
    """All of a batch, in its sequence; a page's hashes come as bytes in base64."""
    pages = account_with_pages().pages()
    event = stream_event(pages)
    assert base64.b64decode(event["Records"][0]["dynamodb"]["NewImage"]["hash"]["B"]).hex() == pages[0].hash
    assert read(*event["Records"]) == pages
    assert [(one.account_id, one.version) for one in pages_in(event)] == [("acme", 1), ("acme", 2), ("acme", 3)]


@pytest.mark.parametrize("change", ["MODIFY", "REMOVE"])
def test_a_page_that_is_changed_is_no_new_page(change: str) -> None:
    """It was told when it was written."""
    [first, *_] = pages = account_with_pages().pages()
    removed = page_record(first, change)
    if change == "REMOVE":
        del removed["dynamodb"]["NewImage"]
    assert read(removed, page_record(pages[1])) == [pages[1]]


def test_what_is_no_page_is_passed_by() -> None:
    """Records of work, keys that this release does not know, and another item of the page's own partition."""
    account = account_with_pages()
    page = account.page()
    order = work_record("acme", ("order", "o1"), account.work().to_map())
    usage = stream_record("INSERT", {"pk": {"S": "account#acme#usage"}, "sk": {"S": "day#2026-11-24"}}, {}, 1)
    beside = stream_record("INSERT", {"pk": {"S": "account#acme"}, "sk": {"S": "note"}}, {}, 1)
    coupon = stream_record("INSERT", {"pk": {"S": "coupon#C"}, "sk": {"S": "coupon"}}, {}, 1)
    assert read(order, usage, page_record(page), beside, coupon) == [page]


def test_a_field_that_a_later_release_wrote_is_kept() -> None:
    """The hash covers it, so a page that is read without it would not match."""
    page = account_with_pages().page()
    stored = {**page.to_map(), "later": {"list": [1, None, True], "text": "\u00e4"}}
    text_hash = hash_of("acme", stored)
    later = page_from_map("acme", stored, text_hash)
    [found] = read(page_record(later))
    assert found == later
    assert found.unknown == {"later": {"list": [1, None, True], "text": "\u00e4"}}


def test_a_page_that_does_not_match_its_hash_is_not_believed() -> None:
    """It is told when it is read, so that the pages beside it can be read."""
    pages = account_with_pages().pages()
    first, second = pages_in({"Records": [page_record(pages[0], at=1), page_record(pages[1])]})
    with pytest.raises(BrokenInvariantError):
        first.read()
    assert (first.account_id, first.version, second.read()) == ("acme", 1, pages[1])


def test_a_page_of_another_account_is_not_believed() -> None:
    """The hash covers whose it is."""
    page = account_with_pages().pages()[0]
    record = page_record(page)
    for keys in (record["dynamodb"]["Keys"], record["dynamodb"]["NewImage"]):
        keys["pk"] = {"S": "account#umbrella"}
    with pytest.raises(BrokenInvariantError):
        read(record)


def test_a_batch_without_pages_has_none() -> None:
    """Nothing is made up."""
    assert read() == []


# ---------------------------------------------------------------- what the audit looks at


def test_each_account_whose_page_is_shown_is_touched_once() -> None:
    """By new pages as by those that were changed or removed; only the latter are findings, each with its number."""
    pages = account_with_pages().pages()
    other = page_record(opened(account=Account(account_id="umbrella")).page())
    removed = page_record(pages[2], "REMOVE")
    del removed["dynamodb"]["NewImage"]
    event = {"Records": [page_record(pages[0]), page_record(pages[1], "MODIFY"), other, removed]}
    found = {
        account_id: [(finding.version, finding.kind) for finding in findings]
        for account_id, findings in touched_in(event).items()
    }
    assert found == {"acme": [(2, "modified_page"), (3, "removed_page")], "umbrella": []}


def test_a_page_that_cannot_be_read_touches_its_account() -> None:
    """The audit reads the table, and nothing but keys of the stream."""
    record = page_record(account_with_pages().page(), at=1)
    record["dynamodb"]["NewImage"] = {"what": {"N": "1.5"}}
    assert touched_in({"Records": [record]}) == {"acme": []}


def test_what_is_no_page_touches_nobody() -> None:
    """Records of work and days are written all the time."""
    account = account_with_pages()
    order = work_record("acme", ("order", "o1"), account.work().to_map())
    day = stream_record("MODIFY", {"pk": {"S": "account#acme#usage"}, "sk": {"S": "day#2026-11-24"}}, {}, 1)
    beside = stream_record("MODIFY", {"pk": {"S": "account#acme"}, "sk": {"S": "note"}}, {}, 1)
    assert touched_in({"Records": [order, day, beside]}) == {}

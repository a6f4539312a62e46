"""What a record of a restored table should be, by its account's journal."""

from dataclasses import replace

import pytest

from autocredits.domain.decide import Command
from autocredits.domain.journal import Entered
from autocredits.domain.records import KeyRecord, Record, RecordKey
from dev.restore.journals import keys_of
from dev.restore.judge import UNKNOWN_FINGERPRINT, Change, Finding, Journal
from tests.kit.builders import ACCOUNT_ID, Account, adjust, capture, debit, hold, idempotency, opened, order
from tests.kit.purchases import Shop, payment_event, start

KEY: RecordKey = ("key", "k1")
ORDER: RecordKey = ("order", "o1")
NOW_MS = 9_999_999_999_999


def journal_of(account: Account) -> Journal:
    """The account's journal, with all entries and pages."""
    journal = Journal(ACCOUNT_ID)
    for page in account.pages():
        journal.newest = page.version
        journal.hashes[page.version] = page.hash
        for index, entry in enumerate(page.entries):
            for key in keys_of(entry):
                journal.entries.setdefault(key, []).append(Entered(page.version, index, page.at, entry))
    return journal


def without(journal: Journal, version: int) -> Journal:
    """The journal without a page."""
    kept = {key: [one for one in found if one.version != version] for key, found in journal.entries.items()}
    hashes = {number: text for number, text in journal.hashes.items() if number != version}
    return replace(journal, entries=kept, hashes=hashes)


def after(*commands: Command) -> Account:
    """An account after these commands."""
    account = opened(100_000)
    for command in commands:
        account.do(command)
    return account


def record(account: Account, key: RecordKey) -> Record:
    """A record of the account."""
    return account.store.read(ACCOUNT_ID, [key])[key]


def judged(journal: Journal, key: RecordKey, record: Record | None) -> tuple[str, Change | None] | None:
    """The kind of the finding and what mends it."""
    finding = journal.judge(key, record, NOW_MS)
    return None if finding is None else (finding.what, finding.change)


def test_records_that_fit_are_no_finding() -> None:
    """Nor is a record that is not there and has no entries."""
    account = after(debit(order(), idempotency("k1")))
    journal = journal_of(account)
    for key in (KEY, ORDER):
        assert journal.judge(key, record(account, key), NOW_MS) is None
    for key in (("key", "k9"), ("order", "o9"), ("purchase", "b9")):
        assert journal.judge(key, None, NOW_MS) is None


def test_a_key_without_its_page_is_removed() -> None:
    """Whether nothing stands there or another page does."""
    account = after(debit(order(), idempotency("k1")))
    known, lost = record(account, KEY), without(journal_of(account), 3)
    assert judged(lost, KEY, known) == ("key.page_lost", Change(KEY, known, None))
    lost.hashes[3] = "f" * 64
    assert judged(lost, KEY, known) == ("key.page_lost", Change(KEY, known, None))


def test_a_key_of_an_earlier_release_names_no_hash() -> None:
    """Its page is told by its entries alone."""
    account = after(debit(order(), idempotency("k1")))
    known = record(account, KEY)
    assert isinstance(known, KeyRecord)
    old, journal = replace(known, hash=None), journal_of(account)
    assert journal.judge(KEY, old, NOW_MS) is None
    other = replace(journal, entries={})
    assert judged(other, KEY, old) == ("key.page_lost", Change(KEY, old, None))


def test_a_key_that_names_other_entries_is_told_alone() -> None:
    """No restore explains that."""
    account = after(debit(order(), idempotency("k1")))
    known = record(account, KEY)
    assert isinstance(known, KeyRecord)
    assert judged(journal_of(account), KEY, replace(known, first=1)) == ("key.differs", None)
    assert judged(journal_of(account), KEY, replace(known, version=9)) == ("key.differs", None)


@pytest.mark.parametrize("command", [hold(order(), idempotency("k1")), adjust("finder", 5, idempotency("k1"))])
def test_a_key_that_is_lost_is_put_back(command: Command) -> None:
    """It answers with the same entries as before."""
    account = after(command)
    known = record(account, KEY)
    finding = journal_of(account).judge(KEY, None, NOW_MS)
    assert finding is not None
    assert finding.change is not None
    again = finding.change.after
    assert isinstance(again, KeyRecord)
    assert isinstance(known, KeyRecord)
    assert replace(again, fingerprint=known.fingerprint) == known
    assert again.fingerprint != UNKNOWN_FINGERPRINT


def test_work_that_names_a_lost_page_is_set_back() -> None:
    """To what the pages before it say."""
    account = after(hold(order()), capture())
    work = record(account, ORDER)
    finding = without(journal_of(account), 4).judge(ORDER, work, NOW_MS)
    assert finding is not None
    assert finding.change is not None
    assert (finding.what, finding.detail) == ("work.newer", "it names page 4 not there")
    assert finding.change.after is not None
    assert (finding.change.after.newest_version(), finding.change.after.rev) == (3, (work.rev or 0) + 1)


def test_nothing_is_mended_by_a_broken_journal() -> None:
    """What would have been done is told alone."""
    account = after(debit(order(), idempotency("k1")))
    lost = without(journal_of(account), 3)
    lost.fault(2, "journal.hash", "it does not match")
    for key in (KEY, ORDER):
        finding = lost.judge(key, record(account, key), NOW_MS)
        assert finding is not None
        assert finding.change is None
        assert finding.detail.endswith("the journal itself is broken")


@pytest.mark.parametrize("key", [KEY, ORDER])
def test_a_record_of_a_newer_form_is_told_and_left(key: RecordKey) -> None:
    """This release does not know what it would write over."""
    account = after(debit(order(), idempotency("k1")))
    newer = replace(record(account, key), unknown={"form": 99})  # type: ignore[type-var]
    finding = without(journal_of(account), 3).judge(key, newer, NOW_MS)
    assert finding is not None
    assert finding.change is None
    assert finding.detail.endswith("a newer release wrote it")


def shop() -> Shop:
    """A shop with a purchase that is credited."""
    shop = Shop()
    shop.start()
    assert shop.event("paid") == "credited"
    return shop


def purchase_finding(shop: Shop, journal: Journal) -> Finding:
    """What is wrong with its purchase."""
    finding = journal.judge(("purchase", "b1"), shop.purchase(), NOW_MS)
    assert finding is not None
    return finding


def test_a_purchase_whose_grant_is_lost_is_settled_again() -> None:
    """It keeps its payment, and is due at once."""
    bought = shop()
    journal = journal_of(bought)
    assert journal.judge(("purchase", "b1"), bought.purchase(), NOW_MS) is None
    finding = purchase_finding(bought, without(journal, bought.page().version))
    assert finding.what == "purchase.newer"
    assert finding.change is not None
    set_back = finding.change.after
    assert set_back == replace(
        bought.purchase(), granted=False, versions=(), unsettled=True, poll_at=NOW_MS, rev=bought.purchase().rev + 1
    )


def test_a_purchase_that_is_not_there_but_was_credited_is_told() -> None:
    """Its terms cannot be known."""
    assert judged(journal_of(shop()), ("purchase", "b1"), None) == ("purchase.missing", None)


def test_a_free_purchase_whose_page_is_lost_is_removed() -> None:
    """Its request is like new."""
    bought = Shop()
    bought.make_coupon(percent_off=10_000, max_uses=9)
    bought.do(start("b1", coupon="C"))
    finding = purchase_finding(bought, without(journal_of(bought), bought.page().version))
    assert finding.change == Change(("purchase", "b1"), bought.purchase(), None)


def test_a_decline_tells_of_no_money() -> None:
    """Its page is lost, and the purchase stays unpaid and settled."""
    bought = Shop()
    bought.start()
    assert bought.event("declined") == "declined"
    assert payment_event("declined").payment_id in bought.purchase().declines
    finding = purchase_finding(bought, without(journal_of(bought), bought.page().version))
    assert finding.change is not None
    assert finding.change.after == replace(
        bought.purchase(),
        versions=(),
        rev=bought.purchase().rev + 1,
        poll_at=getattr(finding.change.after, "poll_at", None),
    )

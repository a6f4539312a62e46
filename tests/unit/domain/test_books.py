from dataclasses import replace
from typing import Literal

import pytest

from autocredits.domain.books import check_record, records_named
from autocredits.domain.journal import Page
from autocredits.domain.records import Record, RecordKey
from autocredits.domain.work.record import Work
from tests.kit.builders import (
    Account,
    accepted,
    adjust,
    capture,
    debit,
    hold,
    opened,
    order,
    placed,
    release,
    requested,
    sourcing,
)
from tests.kit.purchases import Shop

PartStatus = Literal["open", "captured", "released", "expired"]
ORDER: RecordKey = ("order", "o1")


def found(account: Account, page: Page) -> list[str]:
    """What is wrong with each record that a page names, as they stand."""
    keys = records_named(page)
    records = account.store.read(account.account_id, list(keys))
    findings = [check_record(page, key, records.get(key)) for key in keys]
    return [finding.kind for finding in findings if finding]


def held() -> tuple[Account, Page, Work]:
    """An account with a hold of two parts, its page and its order."""
    account = opened(1000)
    account.do(hold(order("o1", "auto", "bce")))
    return account, account.page(), account.work()


def kind_of(page: Page, record: Record | None, key: RecordKey = ORDER) -> str | None:
    """What kind of finding it is."""
    finding = check_record(page, key, record)
    return finding.kind if finding else None


def test_a_page_names_the_work_and_the_purchases_of_its_entries() -> None:
    """Each once; grants and standing name none."""
    account = opened(1000)
    account.do(hold(order("o1", "auto", "bce")))
    assert records_named(account.page()) == (ORDER,)
    account.do(sourcing("p1"))
    assert records_named(account.page()) == (("product", "p1"),)
    account.do(adjust("auto_order", 1))
    assert records_named(account.page()) == ()


def test_a_purchase_is_named_by_its_entry() -> None:
    """And it agrees."""
    shop = Shop()
    shop.start("b1")
    shop.event("paid")
    assert records_named(shop.page()) == (("purchase", "b1"),)
    assert found(shop, shop.page()) == []


def test_what_has_moved_on_is_right() -> None:
    """Every page agrees with its records, also those before the newest that names them."""
    account = opened(10_000, 100_000)
    account.do(requested("o1", "bce"))
    account.do(placed("o1"))
    account.do(release("o1"))
    account.do(debit(order("o2", "fba", "none")))
    account.do(sourcing("p1"))
    account.do(accepted("p1"))
    assert [found(account, page) for page in account.pages()] == [[]] * len(account.pages())


def test_a_record_that_is_gone_is_lost() -> None:
    """The finding names the page and the record."""
    _, page, _ = held()
    finding = check_record(page, ORDER, None)
    assert finding is not None
    assert (finding.version, finding.kind) == (page.version, "lost_record")
    assert "order o1" in finding.detail


def test_a_record_that_knows_less_than_its_page_is_wrong() -> None:
    """It is older than the page: a part of the table was put back."""
    account, page, before = held()
    account.do(capture("o1"))
    newest = account.page()
    assert kind_of(newest, before) == "wrong_record"
    assert kind_of(page, before) is None
    assert kind_of(page, replace(before, versions=())) == "wrong_record"


@pytest.mark.parametrize("status", ["captured", "released", "expired"])
def test_a_part_must_be_what_the_entry_made_it(status: PartStatus) -> None:
    """An entry that holds leaves an open part."""
    _, page, work = held()
    parts = {**work.parts, "tracking": replace(work.parts["tracking"], status=status)}
    assert kind_of(page, replace(work, parts=parts)) == "wrong_record"


def test_a_part_that_is_missing_is_wrong() -> None:
    """The entry set credits aside for it."""
    _, page, work = held()
    assert kind_of(page, replace(work, parts={"order": work.parts["order"]})) == "wrong_record"


def test_a_captured_part_must_not_be_open() -> None:
    """Else it could be captured again."""
    account, _, before = held()
    account.do(capture("o1", parts=["order"]))
    after = account.work()
    assert kind_of(account.page(), after) is None
    reopened = replace(after, parts={**after.parts, "order": before.parts["order"]})
    assert kind_of(account.page(), reopened) == "wrong_record"


def test_parts_of_an_earlier_attempt_are_not_compared() -> None:
    """The record only has the present one's."""
    account, page, work = held()
    assert kind_of(page, replace(work, attempt=2, parts={})) is None
    assert account.page() == page


def test_a_purchase_that_knows_less_than_its_page_is_wrong() -> None:
    """Its payment would be granted again, also where it was put back to before the first one."""
    shop = Shop()
    shop.start("b1")
    unpaid = shop.purchase("b1")
    shop.event("paid")
    granted = shop.purchase("b1")
    shop.event("refunded", 990)
    key: RecordKey = ("purchase", "b1")
    assert kind_of(shop.page(), shop.purchase("b1"), key) is None
    assert [kind_of(shop.page(), one, key) for one in (granted, unpaid, None)] == [
        "wrong_record",
        "wrong_record",
        "lost_record",
    ]

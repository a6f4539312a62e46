from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocredits.domain.errors import Problem
from autocredits.domain.journal import Entry, next_page
from autocredits.domain.times import DAY_MS
from autocredits.domain.usage import OTHER_STORES, Day, Used, date_of
from autocredits.ledger.auditing import audit
from autocredits.ledger.usage import MAX_PAGES_SINCE, Usage, read_usage
from tests.kit.builders import ACCOUNT_ID, NOW_MS, Account, capture, debit, hold, opened, order
from tests.kit.spied import Spied

FIRST = date_of(NOW_MS)


def spend(account: Account, *store_ids: str) -> None:
    """A debit for each store."""
    for store_id in store_ids:
        account.do(debit(order(f"o{account.page().version}", store_id=store_id)))


def audited(account: Account) -> None:
    """Audit all there is."""
    audit(account.ledger(), ACCOUNT_ID)


def usage(account: Account, first: str = FIRST) -> Usage:
    """What was consumed from a day on."""
    return read_usage(account.store, account.page(), first)


def sums(found: Usage) -> dict[str, dict[str, int]]:
    """Credits by day and store."""
    by_store: dict[str, Counter[str]] = {}
    for day, uses in found.by_day.items():
        by_store[day] = Counter()
        for (store_id, _), use in uses.items():
            by_store[day][store_id] += use.credits
    return {day: dict(stores) for day, stores in by_store.items()}


def test_usage_is_what_was_audited_and_what_came_since() -> None:
    """Also of one day, half of which is audited."""
    account = opened(10_000)
    spend(account, "s1", "s2")
    audited(account)
    spend(account, "s1")
    account.clock.at_ms += DAY_MS
    spend(account, "s3")
    assert sums(usage(account)) == {FIRST: {"s1": 200, "s2": 100}, date_of(NOW_MS + DAY_MS): {"s3": 100}}


def test_usage_needs_no_audit_yet() -> None:
    """An account that was never audited shows its pages."""
    account = opened(10_000)
    spend(account, "s1")
    assert sums(usage(account)) == {FIRST: {"s1": 100}}


def test_usage_begins_with_the_day_that_was_asked_for() -> None:
    """Of days that are audited as of those that are not."""
    account = opened(10_000)
    for _ in range(3):
        spend(account, "s1")
        account.clock.at_ms += DAY_MS
    second = date_of(NOW_MS + DAY_MS)
    expected = {second: {"s1": 100}, date_of(NOW_MS + 2 * DAY_MS): {"s1": 100}}
    assert sums(usage(account, second)) == expected
    audited(account)
    assert sums(usage(account, second)) == expected
    assert sums(usage(account, date_of(NOW_MS + 9 * DAY_MS))) == {}


def test_a_hold_is_no_use_until_it_is_captured() -> None:
    """Whether it is audited or not."""
    account = opened(10_000)
    account.do(hold(order("o1")))
    audited(account)
    assert sums(usage(account)) == {FIRST: {}}
    account.clock.at_ms += DAY_MS
    account.do(capture("o1"))
    assert sums(usage(account)) == {FIRST: {}, date_of(NOW_MS + DAY_MS): {"s1": 100}}


def test_only_the_pages_after_the_audited_ones_are_read() -> None:
    """None at all where there are none."""
    account = opened(10_000)
    spend(account, *["s1"] * 20)
    audited(account)
    spied = Spied(account.store)
    read_usage(spied, account.page(), FIRST)
    assert spied.names() == ["days"]


def test_an_audit_that_has_come_further_than_the_newest_page_that_was_read_is_no_fault() -> None:
    """It was written meanwhile."""
    account = opened(10_000)
    before = account.page()
    spend(account, "s1")
    audited(account)
    assert sums(read_usage(account.store, before, FIRST)) == {FIRST: {"s1": 100}}


def grown(pages: int) -> Account:
    """An account with so many pages more than are audited."""
    account = opened(10_000_000)
    audited(account)
    head = account.page()
    spent = Entry(kind="debited", actor="a", unit="auto_order", posted=-1, store_id="s1", order_type="a", tracking="n")
    for _ in range(pages):
        head = next_page(ACCOUNT_ID, head, NOW_MS, [spent])
        account.store.commit(ACCOUNT_ID, head, [])
    return account


def test_usage_waits_for_an_audit_that_is_far_behind() -> None:
    """With more than 2,000 pages behind it, the sums would take too long: it is being counted."""
    account = grown(MAX_PAGES_SINCE)
    assert sums(usage(account)) == {FIRST: {"s1": MAX_PAGES_SINCE}}
    spend(account, "s1")
    with pytest.raises(Problem) as refused:
        usage(account)
    assert refused.value.code == "try_again"
    audited(account)
    audited(account)
    assert sums(usage(account)) == {FIRST: {"s1": MAX_PAGES_SINCE + 100}}


def test_a_store_sees_its_own_use_alone() -> None:
    """Not what many stores consumed together, whatever it is called."""
    uses = {("s1", "auto/none"): Used(100, 1), ("other", "auto/none"): Used(7, 1), (OTHER_STORES, "auto/none"): Used(9)}
    page = opened().page()
    found = Usage({FIRST: uses, "2025-01-01": uses}, page)
    assert found.of_store("other").by_day == {
        FIRST: {("other", "auto/none"): Used(7, 1)},
        "2025-01-01": {("other", "auto/none"): Used(7, 1)},
    }
    assert found.of_store("nobody").by_day == {FIRST: {}, "2025-01-01": {}}
    assert found.of_store(None) == found


@given(
    st.lists(st.tuples(st.sampled_from(["s1", "s2"]), st.sampled_from([0, DAY_MS // 2]), st.booleans()), max_size=12)
)
def test_usage_is_the_same_however_much_is_audited(steps: list[tuple[str, int, bool]]) -> None:
    """After each page, audited or not, it is what the pages themselves say."""
    account = opened(10_000)
    expected: Counter[tuple[str, str]] = Counter()
    for store_id, later_ms, audits in steps:
        account.clock.at_ms += later_ms
        spend(account, store_id)
        expected[date_of(account.clock.at_ms), store_id] += 100
        if audits:
            audited(account)
        found = {(day, store): sum_ for day, stores in sums(usage(account)).items() for store, sum_ in stores.items()}
        assert found == expected


def test_a_page_that_cannot_be_read_does_not_hide_the_rest() -> None:
    """The audit tells of it, and passes it by as it was passed by here."""
    account = opened(10_000)
    spend(account, "s1", "s2", "s3")
    text, digest = account.store.pages[ACCOUNT_ID][4]
    account.store.pages[ACCOUNT_ID][4] = (text.replace("-100", "-1"), digest)
    assert sums(usage(account)) == {FIRST: {"s1": 100, "s3": 100}}
    audited(account)
    assert sums(usage(account)) == {FIRST: {"s1": 100, "s3": 100}}


def test_days_are_read_from_the_newest_on() -> None:
    """A day's record that is written between two reads is not counted twice: only the newest one can grow."""
    account = opened(10_000)
    spend(account, "s1")
    account.clock.at_ms += DAY_MS
    spend(account, "s2")
    newest = account.page()

    class Growing(Spied):
        """A store whose audit goes on as soon as the days were read."""

        def days(self, account_id: str, first: str) -> list[Day]:
            """What is there now."""
            found = list(self.inner.days(account_id, first))
            audited(account)
            return found

    found = read_usage(Growing(account.store), newest, FIRST)
    assert sums(found) == {FIRST: {"s1": 100}, date_of(NOW_MS + DAY_MS): {"s2": 100}}

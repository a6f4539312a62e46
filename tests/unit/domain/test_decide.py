from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocredits.domain.accounts import OpenAccount
from autocredits.domain.decide import Command, Decision, Done, Draft, IdempotencyKey, NotYet, decide
from autocredits.domain.errors import BrokenInvariantError, Problem
from autocredits.domain.journal import MAX_ENTRIES, Entry, Page, canonical_text, next_page
from autocredits.domain.records import KeyRecord, RecordKey, Records
from autocredits.domain.state import State
from autocredits.domain.work.record import Work
from tests.kit.builders import (
    ACCOUNT_ID,
    CATALOG,
    NOW_MS,
    PLATFORM,
    adjust,
    capture,
    completed,
    debit,
    failed,
    hold,
    idempotency,
    order,
    page_of,
    placed,
    queue_order,
    release,
    requested,
    state_of,
)
from tests.kit.purchases import start


def decided(
    commands: Sequence[Command], head: Page | None = None, records: Records | None = None, now_ms: int = NOW_MS
) -> Decision:
    """What the commands come to, by default on a rich account."""
    head = head or page_of(state_of())
    return decide(ACCOUNT_ID, head, records or {}, commands, catalog=CATALOG, now_ms=now_ms)


def words_of(decision: Decision) -> list[str]:
    """The outcome of each command, in one word."""
    words = []
    for outcome in decision.outcomes:
        match outcome:
            case Done():
                words.append(outcome.did)
            case Problem():
                words.append(outcome.code)
            case NotYet():
                words.append("not_yet")
    return words


def work_of(decision: Decision, order_id: str = "o1") -> Work:
    """The work record that is to be written."""
    (record,) = [write.record for write in decision.writes if write.key == ("order", order_id)]
    assert isinstance(record, Work)
    return record


def test_a_list_of_commands_is_one_page() -> None:
    """Their entries stand in one page, in the order of the commands, and each outcome names its own."""
    decision = decided([debit(order("o1")), requested("o2", "bce"), adjust("finder", 50)])
    assert decision.page is not None
    assert [entry.kind for entry in decision.page.entries] == ["debited", "held", "held", "adjusted"]
    spans = [(outcome.first, outcome.count) for outcome in decision.outcomes if isinstance(outcome, Done)]
    assert spans == [(0, 1), (1, 2), (3, 1)]
    assert decision.page.state.balance("auto_order").posted == 9900
    assert decision.page.state.balance("auto_order").held == 133


def test_two_commands_on_the_same_work_in_one_page() -> None:
    """A later command sees what an earlier one did, and the record is written once, one rev on."""
    decision = decided(
        [requested("o1", "qtrack"), placed("o1"), completed("o1"), debit(order("o1", tracking="qtrack"))]
    )
    assert words_of(decision) == ["held", "captured", "captured", "already_charged"]
    work = work_of(decision)
    assert (work.status, work.credits, work.rev, work.versions) == ("shipped", 250, 1, (8,))
    assert [write.expected_rev for write in decision.writes] == [None]


def test_the_same_key_twice_in_one_page_charges_once() -> None:
    """The second of two requests with the same key is a replay of the first, from the same page."""
    key = idempotency()
    decision = decided([debit(order("o0")), debit(order("o1"), key), debit(order("o1"), key)])
    _, first, second = decision.outcomes
    assert isinstance(first, Done)
    assert isinstance(second, Done)
    assert (first.first, first.count) == (1, 1)
    assert second.replayed is not None
    assert (second.replayed.version, second.first, second.count) == (8, 1, 1)
    assert decision.page is not None
    assert len(decision.page.entries) == 2


def test_the_same_work_under_two_keys_in_one_page_charges_once() -> None:
    """The second is `already_charged` by the first one's entry, and its key is not remembered."""
    other = idempotency()
    decision = decided([debit(order("o1")), debit(order("o1"), other)])
    problem = decision.outcomes[1]
    assert isinstance(problem, Problem)
    assert (problem.code, problem.extra) == ("already_charged", {"entry_id": "8.0"})
    assert ("key", other.key) not in {write.key for write in decision.writes}


def test_credits_are_spent_once_in_one_page() -> None:
    """Of two commands that together cost more than is available, the second is refused."""
    decision = decided([debit(order("o1")), hold(order("o2"))], page_of(state_of(150)))
    assert words_of(decision) == ["debited", "insufficient_credits"]


POOL = [
    pytest.param(lambda: debit(order("rich", tracking="qtrack")), id="too dear"),
    pytest.param(lambda: debit(order("nopair", "manual", "none")), id="no rate"),
    pytest.param(lambda: capture("nothing"), id="no hold"),
    pytest.param(lambda: placed("unknown"), id="too early"),
    pytest.param(lambda: adjust("auto_order", -10_000), id="more than there is"),
]


@pytest.mark.parametrize("refused", POOL)
def test_a_refused_command_leaves_no_trace(refused: object) -> None:
    """A page with a refused command among others is the page without it."""
    keys = [idempotency() for _ in range(2)]

    def neighbours() -> list[Command]:
        return [debit(order("o1"), keys[0]), hold(order("o2"), keys[1])]

    first, second = neighbours()
    head = page_of(state_of(220))
    with_it = decided([first, refused(), second], head)  # type: ignore[operator]
    without = decided(neighbours(), head)
    assert words_of(with_it) == ["debited", words_of(with_it)[1], "held"]
    assert words_of(with_it)[1] not in ("debited", "held")
    assert with_it.page == without.page
    assert with_it.writes == without.writes


class Regretful:
    """A command that enters, writes and remembers, and only then refuses."""

    def __init__(self, refusal: Problem | NotYet) -> None:
        self.refusal = refusal

    def records(self) -> tuple[RecordKey, ...]:
        """One order."""
        return (("order", "o1"),)

    @property
    def expects_new(self) -> bool:
        """It is new."""
        return True

    def decide(self, draft: Draft) -> Done:
        """Raises its refusal, too late."""
        draft.decisive = True
        debit(order("o1"), idempotency("regretted")).decide(draft)
        raise self.refusal


@pytest.mark.parametrize("refusal", [Problem("order_conflict", "why"), NotYet()], ids=["refused", "not yet"])
def test_a_command_that_refuses_late_leaves_no_trace_either(refusal: Problem | NotYet) -> None:
    """Entries, balances, records and keys are put back, and the next command finds them as they were."""
    key = idempotency("regretted")
    alone = decided([Regretful(refusal)])
    assert (alone.page, alone.vacant, alone.writes, alone.outcomes) == (None, None, (), (refusal,))
    with_it = decided([Regretful(refusal), debit(order("o1"), key)], page_of(state_of(100)))
    without = decided([debit(order("o1"), key)], page_of(state_of(100)))
    assert words_of(with_it)[1] == "debited"
    assert (with_it.page, with_it.writes) == (without.page, without.writes)


COMMANDS = st.lists(
    st.one_of(
        st.builds(
            lambda number, tracking: debit(order(f"o{number}", tracking=tracking)),
            st.integers(1, 3),
            st.sampled_from(["none", "bce", "qtrack"]),
        ),
        st.builds(lambda number: hold(order(f"o{number}", tracking="bce")), st.integers(1, 3)),
        st.builds(lambda number: capture(f"o{number}"), st.integers(1, 3)),
        st.builds(lambda number: release(f"o{number}"), st.integers(1, 3)),
        st.builds(lambda number: placed(f"o{number}"), st.integers(1, 3)),
        st.builds(lambda number: requested(f"o{number}"), st.integers(1, 3)),
        st.builds(lambda amount: adjust("auto_order", amount), st.sampled_from([-300, 100, 250])),
    ),
    min_size=1,
    max_size=8,
)


@given(COMMANDS)
def test_one_page_or_many_come_to_the_same(commands: list[Command]) -> None:
    """A list of commands has the outcomes and balances of the same commands one after the other."""
    head = page_of(state_of(400))
    together = decided(commands, head)
    records: Records = {}
    words = []
    for command in commands:
        alone = decided([command], head, records)
        words += words_of(alone)
        records = {**records, **{write.key: write.record for write in alone.writes}}
        head = alone.page or head
    assert words_of(together) == words
    end = together.page.state if together.page else state_of(400)
    assert end.balance("auto_order") == head.state.balance("auto_order")
    charged = {
        write.key: (write.record.status, write.record.credits, set(write.record.charged))
        for write in together.writes
        if isinstance(write.record, Work)
    }
    singly = {
        key: (record.status, record.credits, set(record.charged))
        for key, record in records.items()
        if isinstance(record, Work)
    }
    assert charged == singly


def test_what_is_new_is_written_on_condition_that_it_is_new() -> None:
    """A debit writes its key and its work, each on condition that there was none."""
    key = idempotency()
    decision = decided([debit(order("o1"), key)])
    assert {write.key: write.expected_rev for write in decision.writes} == {
        ("key", key.key): None,
        ("order", "o1"): None,
    }
    (record,) = [write.record for write in decision.writes if isinstance(write.record, KeyRecord)]
    assert (record.version, record.first, record.count, record.fingerprint) == (8, 0, 1, key.fingerprint)


def test_a_known_record_is_written_on_the_rev_that_was_read() -> None:
    """The condition is the rev that was read, and the new one is one higher."""
    first = decided([requested("o1")])
    second = decided([placed("o1")], first.page, {("order", "o1"): work_of(first)})
    (write,) = second.writes
    assert (write.expected_rev, write.record.rev) == (1, 2)


def test_a_message_that_changes_nothing_writes_a_record_without_a_page() -> None:
    """The work remembers it, and the journal does not grow."""
    first = decided([requested("o1")])
    second = decided([requested("o1")], first.page, {("order", "o1"): work_of(first)})
    assert second.page is None
    assert len(second.writes) == 1
    assert work_of(second).versions == (8,)


def test_a_replay_writes_nothing() -> None:
    """Giving the first answer again changes neither journal nor records."""
    key = idempotency()
    first = decided([debit(order("o1"), key)])
    records = {write.key: write.record for write in first.writes}
    again = decided([debit(order("o1"), key)], first.page, records)
    assert (again.page, again.writes) == (None, ())
    assert words_of(again) == ["replayed"]


def test_the_first_page_is_number_one() -> None:
    """Commands on an account without a page write page 1."""
    decision = decide(ACCOUNT_ID, None, {}, [OpenAccount(PLATFORM, "active")], catalog=CATALOG, now_ms=5)
    assert decision.page is not None
    assert (decision.page.version, decision.page.at) == (1, 5)


def test_a_draft_is_dated_as_its_page_will_be() -> None:
    """Where the clock is behind the journal, work and its hold are dated by the journal."""
    decision = decided([hold(order("o1"), lasts_ms=60_000)], now_ms=NOW_MS - 5000)
    work = work_of(decision)
    assert (work.created_at, work.updated_at, work.parts["order"].expires_at) == (NOW_MS, NOW_MS, NOW_MS + 60_000)


def test_a_batch_is_decided_as_far_as_a_page_takes() -> None:
    """Forty-nine entries; the command that would make one more is for the next page, and has left no trace."""
    decision = decided([debit(order(f"o{number}")) for number in range(51)])
    assert decision.page is not None
    assert (len(decision.page.entries), len(decision.outcomes)) == (MAX_ENTRIES, MAX_ENTRIES)
    assert ("order", "o49") not in {write.key for write in decision.writes}


def pages_of(commands: Sequence[Command], head: Page, records: Records) -> list[Decision]:
    """The decisions that all of the commands come to, each as far as a page takes."""
    decisions: list[Decision] = []
    left = list(commands)
    while left:
        decision = decided(left, head, records)
        assert 0 < len(decision.outcomes) <= len(left)
        left = left[len(decision.outcomes) :]
        records = {**records, **{write.key: write.record for write in decision.writes}}
        head = decision.page or head
        decisions.append(decision)
    return decisions


def bytes_of(page: Page | None) -> int:
    """How long the text under the page's hash is."""
    assert page is not None
    return len(canonical_text(ACCOUNT_ID, page.to_map()).encode())


def fba_orders(count: int) -> tuple[Page, Records]:
    """The newest page and the records of an account that holds so many `fba` orders with a conversion."""
    commands = [requested(f"o{number}", "bce", "fba") for number in range(count)]
    decisions = pages_of(commands, page_of(state_of(10**6, 10**8)), {})
    pages = [decision.page for decision in decisions if decision.page]
    return pages[-1], {write.key: write.record for decision in decisions for write in decision.writes}


def test_the_releases_of_many_orders_are_as_many_pages_as_they_need() -> None:
    """Each of these has three entries, so the seventeenth is for the next page."""
    head, records = fba_orders(17)
    first, second = pages_of([failed(f"o{number}") for number in range(17)], head, records)
    assert [len(decision.outcomes) for decision in (first, second)] == [16, 1]
    assert [words_of(decision) for decision in (first, second)] == [["released"] * 16, ["released"]]
    assert first.page is not None
    assert len(first.page.entries) == 48
    assert second.page is not None
    assert second.page.state.balance("managed").held == second.page.state.balance("auto_order").held == 0


@pytest.mark.parametrize("letter", ["x", "\u00e4", "\U0001f4a9", "\x01"], ids=["plain", "umlaut", "emoji", "control"])
def test_results_with_long_reasons_are_pages_of_16_kb(letter: str) -> None:
    """However the reason is written: what would not fit is for the next page, and nothing is lost."""
    head, records = fba_orders(10)
    results = [failed(f"o{number}", reason=letter * 1000) for number in range(10)]
    decisions = pages_of(results, head, records)
    assert [word for decision in decisions for word in words_of(decision)] == ["released"] * 10
    assert max(bytes_of(decision.page) for decision in decisions) <= 16 * 1024
    fullest = decisions[0].page
    assert fullest is not None
    one_more = [failed(f"o{number}", reason=letter * 1000) for number in range(len(decisions[0].outcomes) + 1)]
    with pytest.raises(BrokenInvariantError, match="a page of"):
        next_page(ACCOUNT_ID, head, NOW_MS, [entry for one in one_more for entry in alone(one, head, records)])


def alone(command: Command, head: Page, records: Records) -> Sequence[Entry]:
    """The entries of a command by itself."""
    page = decided([command], head, records).page
    assert page is not None
    return page.entries


def test_the_largest_message_fits_on_a_page() -> None:
    """The longest words that a message may have, each letter as long as JSON makes it, and the greatest numbers."""
    order_id, source, worst = "o" * 64, "\x01" * 256, "\x01" * 1000
    head = page_of(state_of(10**11, 10**11), version=10**12 - 10)
    store = {"store_id": "s" * 64}
    requests = {
        "placed": requested(order_id, "qtrack", "fba", source=source, cost="99999999.99", **store),
        "failed": requested(order_id, "qtrack", "fba", source=source, cost="99999999.99", **store),
    }
    results = {
        "placed": placed(order_id, source=source, supplier_order_id=worst),
        "failed": failed(order_id, source=source, reason=worst),
    }
    for name, request in requests.items():
        first = decided([request], head)
        records = {write.key: write.record for write in first.writes}
        assert words_of(decided([results[name]], first.page, records)) in (["captured"], ["released"])


def test_a_transaction_takes_a_hundred_actions() -> None:
    """A queued order is two of them, and one is the page's: forty-nine at once."""
    first, second = pages_of([queue_order(order(f"o{number}")) for number in range(60)], page_of(state_of()), {})
    assert [len(decision.writes) for decision in (first, second)] == [98, 22]
    assert [len(decision.outcomes) for decision in (first, second)] == [49, 11]


def test_what_is_refused_takes_no_room() -> None:
    """It is answered with those that fit, also behind the last of them."""
    known = [debit(order(f"o{number}")) for number in range(49)]
    refused = [capture(f"nothing-{number}") for number in range(60)]
    decision = decided([*refused[:30], *known, *refused[30:], debit(order("late"))])
    assert words_of(decision) == ["hold_not_found"] * 30 + ["debited"] * 49 + ["hold_not_found"] * 30


def test_a_command_that_is_for_the_next_page_leaves_no_trace() -> None:
    """Neither entries nor balances, records or keys; nor does the page depend on it."""
    key = idempotency("late")
    commands = [debit(order(f"o{number}")) for number in range(49)]
    full = decided(commands)
    with_more = decided([*commands, debit(order("late"), key)])
    assert (with_more.page, len(with_more.outcomes), with_more.vacant) == (full.page, 49, None)
    assert {write.key for write in with_more.writes} == {write.key for write in full.writes}


def test_a_key_in_the_place_of_work_is_a_defect() -> None:
    """A record of the wrong kind is never taken for work."""
    wrong = KeyRecord(key="k", fingerprint="f", version=1)
    with pytest.raises(BrokenInvariantError):
        decided([capture("o1")], records={("order", "o1"): wrong})


def test_a_draft_of_no_account_is_version_one() -> None:
    """A draft before the first page becomes that page, and begins with an empty state."""
    draft = Draft(ACCOUNT_ID, None, {}, CATALOG, NOW_MS)
    assert (draft.version(), draft.at_ms(), draft.state) == (1, NOW_MS, State())


# ---------------------------------------------------------------- what a key remembers of its page


def key_of(decision: Decision, key: IdempotencyKey) -> KeyRecord:
    """The key's record that is to be written."""
    (record,) = [write.record for write in decision.writes if write.key == ("key", key.key)]
    assert isinstance(record, KeyRecord)
    return record


def test_a_key_names_the_page_that_it_was_committed_with() -> None:
    """By its number and its hash, so that no other page can ever answer for it."""
    key = idempotency()
    decision = decided([adjust("finder", 1), debit(order("o1"), key)])
    assert decision.page is not None
    record = key_of(decision, key)
    assert (record.version, record.hash) == (8, decision.page.hash)
    assert (record.first, record.count, record.fingerprint) == (1, 1, key.fingerprint)


def test_a_key_that_moved_nothing_names_the_page_it_was_decided_on() -> None:
    """That page is the head, whose hash is known already."""
    key = idempotency()
    head = page_of(state_of())
    decision = decided([queue_order(order("o1"), key)], head)
    assert decision.page is None
    record = key_of(decision, key)
    assert (record.version, record.hash, record.count) == (7, head.hash, 0)


def test_a_key_that_moved_nothing_does_not_name_its_neighbours_page() -> None:
    """It names the head even where another command of the same decision writes a page."""
    key = idempotency()
    head = page_of(state_of())
    decision = decided([debit(order("o2")), queue_order(order("o1"), key)], head)
    assert decision.page is not None
    assert (key_of(decision, key).version, key_of(decision, key).hash) == (7, head.hash)


def test_a_key_that_moved_nothing_needs_an_account() -> None:
    """Every command with a key is refused before where there is no page to name."""
    draft = Draft(ACCOUNT_ID, None, {}, CATALOG, NOW_MS)
    with pytest.raises(BrokenInvariantError, match=r"^a key was kept for an account without a page$"):
        draft.remember(idempotency(), 0)
    with pytest.raises(BrokenInvariantError):
        draft.remember_status(idempotency(), "queued", 1)
    assert draft.changed == {}


# ---------------------------------------------------------------- pages that must be absent


def test_a_decision_that_moves_nothing_may_depend_on_the_state() -> None:
    """A purchase starts only while no page has come since: the next page's number must be vacant."""
    assert decided([start()]).vacant == 8
    assert decided([queue_order(order("o1"))]).vacant is None


def test_a_page_needs_no_further_condition() -> None:
    """Where a page is written, its number has to be free anyway."""
    decision = decided([start(), adjust("finder", 1)])
    assert decision.page is not None
    assert decision.vacant is None

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocredits.domain.accounts import OpenAccount
from autocredits.domain.decide import Command, Decision, Done, Draft, IdempotencyKey, NotYet, decide
from autocredits.domain.errors import BrokenInvariantError, Problem
from autocredits.domain.journal import Page
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


def test_more_entries_than_a_page_takes_are_never_written() -> None:
    """A decision that comes to fifty entries fails as a whole."""
    with pytest.raises(BrokenInvariantError):
        decided([debit(order(f"o{number}")) for number in range(50)])


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

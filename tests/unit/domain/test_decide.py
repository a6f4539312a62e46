from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocredits.domain.accounts import OpenAccount
from autocredits.domain.decide import Command, Decision, Done, Draft, NotYet, decide
from autocredits.domain.errors import BrokenInvariantError, Problem
from autocredits.domain.journal import Page
from autocredits.domain.records import KeyRecord, RecordKey, Records
from autocredits.domain.state import State
from autocredits.domain.work.record import Work
from tests.kit.builders import (
    ACCOUNT_ID,
    CATALOG,
    NOW_MS,
    adjust,
    capture,
    completed,
    debit,
    hold,
    idempotency,
    order,
    page_of,
    placed,
    release,
    requested,
    state_of,
)
from tests.unit import builders


def decided(
    commands: Sequence[Command], head: Page | None = None, records: Records | None = None, now_ms: int = NOW_MS
) -> Decision:
    """What the commands come to, by default on a rich account."""
    head = head or page_of(state_of())
    return decide(ACCOUNT_ID, head, records or {}, commands, catalog=CATALOG, now_ms=now_ms)


def told(decision: Decision) -> list[str]:
    """What each command was told, in one word."""
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
    """What several commands enter stands in one page, in their order, each knowing its own entries."""
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
    assert told(decision) == ["held", "captured", "captured", "already_charged"]
    work = work_of(decision)
    assert (work.status, work.credits, work.rev, work.versions) == ("shipped", 250, 1, (8,))
    assert [write.expected_rev for write in decision.writes] == [None]


def test_the_same_key_twice_in_one_page_charges_once() -> None:
    """The second of two requests with the same key is a replay of the first, out of the same page."""
    key = idempotency()
    decision = decided([debit(order("o0")), debit(order("o1"), key), debit(order("o1"), key)])
    _, first, second = decision.outcomes
    assert isinstance(first, Done)
    assert isinstance(second, Done)
    assert (first.first, first.count) == (1, 1)
    assert (second.replay_version, second.first, second.count) == (8, 1, 1)
    assert decision.page is not None
    assert len(decision.page.entries) == 2


def test_the_same_work_under_two_keys_in_one_page_charges_once() -> None:
    """The second is `already_charged` by the entry of the first, and its key is not remembered."""
    other = idempotency()
    decision = decided([debit(order("o1")), debit(order("o1"), other)])
    problem = decision.outcomes[1]
    assert isinstance(problem, Problem)
    assert (problem.code, problem.extra) == ("already_charged", {"entry_id": "8.0"})
    assert ("key", other.key) not in {write.key for write in decision.writes}


def test_credits_are_spent_once_by_neighbours() -> None:
    """Two commands in one page that together cost more than there is: the second is refused."""
    decision = decided([debit(order("o1")), hold(order("o2"))], page_of(state_of(150)))
    assert told(decision) == ["debited", "insufficient_credits"]


POOL = [
    pytest.param(lambda: debit(order("rich", tracking="qtrack")), id="too dear"),
    pytest.param(lambda: debit(order("nopair", "manual", "none")), id="no rate"),
    pytest.param(lambda: capture("nothing"), id="no hold"),
    pytest.param(lambda: placed("unknown"), id="too early"),
    pytest.param(lambda: adjust("auto_order", -10_000), id="more than there is"),
]


@pytest.mark.parametrize("refused", POOL)
def test_a_refused_command_leaves_no_trace(refused: object) -> None:
    """A page with a refused command in its midst is the page without it."""
    keys = [idempotency() for _ in range(2)]

    def neighbours() -> list[Command]:
        return [debit(order("o1"), keys[0]), hold(order("o2"), keys[1])]

    first, second = neighbours()
    head = page_of(state_of(220))
    with_it = decided([first, refused(), second], head)  # type: ignore[operator]
    without = decided(neighbours(), head)
    assert told(with_it) == ["debited", told(with_it)[1], "held"]
    assert told(with_it)[1] not in ("debited", "held")
    assert with_it.page == without.page
    assert with_it.writes == without.writes


class Regretful:
    """A command that enters, writes and remembers, and only then refuses."""

    def __init__(self, refusal: Problem | NotYet) -> None:
        self.refusal = refusal

    def records(self) -> tuple[RecordKey, ...]:
        """One order."""
        return (("order", "o1"),)

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
    assert told(with_it)[1] == "debited"
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
        words += told(alone)
        records = {**records, **{write.key: write.record for write in alone.writes}}
        head = alone.page or head
    assert told(together) == words
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


def test_every_commit_changes_a_record_that_tells_of_it() -> None:
    """A debit writes its key and its work, under the condition that neither was there."""
    key = idempotency()
    decision = decided([debit(order("o1"), key)])
    assert {write.key: write.expected_rev for write in decision.writes} == {
        ("key", key.key): None,
        ("order", "o1"): None,
    }
    (record,) = [write.record for write in decision.writes if isinstance(write.record, KeyRecord)]
    assert (record.version, record.first, record.count, record.fingerprint) == (8, 0, 1, key.fingerprint)


def test_a_known_record_is_written_on_the_rev_that_was_read() -> None:
    """The condition is the rev as read; the new one is one more."""
    first = decided([requested("o1")])
    second = decided([placed("o1")], first.page, {("order", "o1"): work_of(first)})
    (write,) = second.writes
    assert (write.expected_rev, write.record.rev) == (1, 2)  # type: ignore[union-attr]


def test_a_message_that_changes_nothing_is_a_record_without_a_page() -> None:
    """It is remembered, and the journal does not grow."""
    first = decided([requested("o1")])
    second = decided([requested("o1")], first.page, {("order", "o1"): work_of(first)})
    assert second.page is None
    assert len(second.writes) == 1
    assert work_of(second).versions == (8,)


def test_a_replay_writes_nothing() -> None:
    """The first answer to a key needs no page and no record."""
    key = idempotency()
    first = decided([debit(order("o1"), key)])
    records = {write.key: write.record for write in first.writes}
    again = decided([debit(order("o1"), key)], first.page, records)
    assert (again.page, again.writes) == (None, ())
    assert told(again) == ["replayed"]


def test_the_first_page_is_number_one() -> None:
    """Commands on an account without a page write page 1."""
    decision = decide(ACCOUNT_ID, None, {}, [OpenAccount(builders.PLATFORM, "active")], catalog=CATALOG, now_ms=5)
    assert decision.page is not None
    assert (decision.page.version, decision.page.at) == (1, 5)


def test_a_draft_is_dated_as_its_page_will_be() -> None:
    """With a clock that is behind, work and its hold are dated by the journal, not by the clock."""
    decision = decided([hold(order("o1"), lasts_ms=60_000)], now_ms=NOW_MS - 5000)
    work = work_of(decision)
    assert (work.created_at, work.updated_at, work.parts["order"].expires_at) == (NOW_MS, NOW_MS, NOW_MS + 60_000)


def test_more_entries_than_a_page_takes_break_nothing() -> None:
    """Fifty entries are never written: the whole decision fails instead."""
    with pytest.raises(BrokenInvariantError):
        decided([debit(order(f"o{number}")) for number in range(50)])


def test_a_key_in_the_place_of_work_is_a_defect() -> None:
    """A record of the wrong kind is never taken for work."""
    wrong = KeyRecord(key="k", fingerprint="f", version=1)
    with pytest.raises(BrokenInvariantError):
        decided([capture("o1")], records={("order", "o1"): wrong})


def test_an_account_begins_empty() -> None:
    """Before its first page an account has nothing and may do nothing."""
    assert State().balances == {}
    (outcome,) = decide(ACCOUNT_ID, None, {}, [debit(order())], catalog=CATALOG, now_ms=NOW_MS).outcomes
    assert isinstance(outcome, Problem)
    assert outcome.code == "account_not_found"

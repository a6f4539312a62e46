import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocredits.domain.errors import BrokenInvariantError
from autocredits.domain.money import MAX_BALANCE
from autocredits.domain.state import UNITS, Balance, State, state_from_map

AMOUNTS = st.integers(-(10**9), 10**9)
BALANCES = st.dictionaries(st.sampled_from(UNITS), st.builds(Balance, AMOUNTS, st.integers(0, 10**9)))
STATES = st.builds(
    State,
    status=st.sampled_from(["active", "paused", "suspended", "closed"]),
    orders_processor=st.sampled_from(["active", "inactive"]),
    low_balance=st.none() | st.integers(0, 10**9),
    balances=BALANCES,
)


def test_available_is_posted_minus_held() -> None:
    """What new work can use is what is owned and not set aside."""
    assert Balance(posted=500, held=133).available() == 367


def test_a_unit_that_was_never_used_is_zero() -> None:
    """Every unit has a balance, at least an explicit zero."""
    assert State().balance("finder") == Balance(0, 0)


@given(STATES, st.sampled_from(UNITS), st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_a_move_changes_its_unit_alone(state: State, unit: str, posted: int, held: int) -> None:
    """Both changes are added to the unit, and nothing else changes."""
    before = state.balance(unit)
    if before.held + held < 0:
        return
    after = state.move(unit, posted, held)
    assert after.balance(unit) == Balance(before.posted + posted, before.held + held)
    assert all(after.balance(other) == state.balance(other) for other in UNITS if other != unit)
    assert (after.status, after.low_balance) == (state.status, state.low_balance)


def test_no_more_is_given_back_than_is_held() -> None:
    """A hold below zero breaks the books."""
    with pytest.raises(BrokenInvariantError):
        State(balances={"auto_order": Balance(500, 99)}).move("auto_order", 0, -100)


def test_a_balance_stops_growing_at_its_limit() -> None:
    """A balance may reach the limit and not pass it; one above it may still shrink."""
    full = State().move("finder", MAX_BALANCE, 0)
    with pytest.raises(BrokenInvariantError):
        full.move("finder", 1, 0)
    assert State(balances={"finder": Balance(MAX_BALANCE + 5)}).move("finder", -1, 0).balance("finder").posted > 0


def test_an_unknown_unit_breaks_the_books() -> None:
    """There are four units."""
    with pytest.raises(BrokenInvariantError):
        State().move("points", 1, 0)


@given(STATES)
def test_a_state_survives_being_stored(state: State) -> None:
    """What is read back has the same standing and the same balance in every unit."""
    again = state_from_map(state.to_map())
    assert again.to_map() == state.to_map()
    assert all(again.balance(unit) == state.balance(unit) for unit in UNITS)
    assert again.low_balance == state.low_balance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocredits.domain.errors import BrokenInvariantError, Problem
from autocredits.domain.money import MAX_BALANCE
from autocredits.domain.state import (
    ACCOUNT_STATUSES,
    ADD_ON_STATUSES,
    UNITS,
    Balance,
    State,
    check_limit,
    check_sufficient,
    state_from_map,
)

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
    """There are four units, and each has a balance at all times."""
    assert UNITS == ("auto_order", "ai_rewrite", "finder", "managed")
    assert all(State().balance(unit) == Balance(0, 0) for unit in UNITS)


def test_a_new_account_is_active_without_the_add_on() -> None:
    """The add-on has to be switched on, and no threshold is set."""
    assert (State().status, State().orders_processor, State().low_balance) == ("active", "inactive", None)


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


def test_the_standings_of_an_account() -> None:
    """Four statuses and an add-on that is on or off (docs/contract.md, section 5)."""
    assert ACCOUNT_STATUSES == ("active", "paused", "suspended", "closed")
    assert ADD_ON_STATUSES == ("active", "inactive")


def test_no_more_is_given_back_than_is_held() -> None:
    """A hold below zero breaks the books."""
    with pytest.raises(BrokenInvariantError):
        State(balances={"auto_order": Balance(500, 99)}).move("auto_order", 0, -100)


def test_a_balance_stops_growing_at_its_limit() -> None:
    """A balance may reach 1,000,000,000.00 and not pass it."""
    full = State().move("finder", MAX_BALANCE, 0)
    with pytest.raises(BrokenInvariantError):
        full.move("finder", 1, 0)


def test_a_balance_above_its_limit_may_be_held_and_spent() -> None:
    """Only what grows is limited, however the balance came to be above it."""
    state = State(balances={"finder": Balance(MAX_BALANCE + 2)})
    assert state.move("finder", 0, 1).balance("finder") == Balance(MAX_BALANCE + 2, 1)
    assert state.move("finder", -1, 0).balance("finder") == Balance(MAX_BALANCE + 1, 0)


def test_an_unknown_unit_breaks_the_books() -> None:
    """Nothing moves in a unit that does not exist."""
    with pytest.raises(BrokenInvariantError):
        State().move("points", 1, 0)


@given(STATES)
def test_a_state_survives_being_stored(state: State) -> None:
    """What is read back has the same standing and the same balance in every unit."""
    again = state_from_map(state.to_map())
    assert again.to_map() == state.to_map()
    assert all(again.balance(unit) == state.balance(unit) for unit in UNITS)
    assert again.low_balance == state.low_balance


@pytest.mark.parametrize("threshold", [0, 200, None])
def test_a_threshold_of_zero_is_not_no_threshold(threshold: int | None) -> None:
    """`low_balance` of 0.00 survives being stored, and so does its absence."""
    assert state_from_map(State(low_balance=threshold).to_map()).low_balance == threshold


@pytest.mark.parametrize(
    ("unit", "code", "detail"),
    [
        (
            "auto_order",
            "insufficient_credits",
            "Insufficient Auto-orders credits, please purchase more credits and resend the order.",
        ),
        ("ai_rewrite", "insufficient_credits", "Insufficient ai_rewrite credits."),
        ("finder", "insufficient_credits", "Insufficient finder credits."),
        ("managed", "insufficient_managed_balance", "Insufficient managed balance for product and shipping."),
    ],
)
def test_what_is_not_available_cannot_be_spent(unit: str, code: str, detail: str) -> None:
    """402 `insufficient_credits` or `insufficient_managed_balance` names the unit, and what is required and lacking."""
    state = State(balances={unit: Balance(150, 50)})
    check_sufficient(state, unit, 100)
    with pytest.raises(Problem) as refused:
        check_sufficient(state, unit, 101)
    problem = refused.value
    assert (problem.status, problem.code, problem.detail) == (402, code, detail)
    assert problem.extra == {
        "unit": unit,
        "required": "1.01",
        "available": "1.00",
        "shortfall": "0.01",
        "packages_url": "/v1/packages",
    }


@pytest.mark.parametrize("unit", UNITS)
def test_no_balance_passes_its_limit(unit: str) -> None:
    """409 `balance_limit` above 1,000,000,000.00 posted; exactly that much is fine."""
    state = State(balances={unit: Balance(MAX_BALANCE - 100, 50)})
    check_limit(state, unit, 100)
    with pytest.raises(Problem) as refused:
        check_limit(state, unit, 101)
    assert (refused.value.code, refused.value.status) == ("balance_limit", 409)

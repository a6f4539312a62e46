"""One deadline for a whole call."""

from contextvars import copy_context

import pytest

from autocredits.ledger.ports import UnavailableError
from autocredits.ledger.time_limit import WORST_CALL_S, OutOfTimeError, check_time, has_time, limit_of, time_limit
from tests.kit.memory import ManualClock


def test_without_a_limit_there_is_always_time() -> None:
    """For whatever takes however long."""
    assert has_time(10**9)
    check_time(10**9)


@pytest.mark.parametrize(("left_s", "begun"), [(WORST_CALL_S, True), (WORST_CALL_S - 0.001, False)])
def test_a_call_is_begun_if_it_ends_in_time_at_its_worst(left_s: float, begun: bool) -> None:  # noqa: FBT001 - a case
    """To the last moment."""
    clock = ManualClock()
    with time_limit(left_s + 1, clock.monotonic_s):
        clock.sleep_up_to(1)
        assert has_time() is begun
        if not begun:
            with pytest.raises(OutOfTimeError):
                check_time()


def test_out_of_time_is_an_unavailable_service() -> None:
    """So that a caller is told to try again."""
    assert issubclass(OutOfTimeError, UnavailableError)


@pytest.mark.parametrize(("outer_s", "inner_s"), [(10, 100), (100, 10)])
def test_the_shorter_limit_counts(outer_s: float, inner_s: float) -> None:
    """Whichever is inside the other."""
    clock = ManualClock()
    with time_limit(outer_s, clock.monotonic_s), time_limit(inner_s, clock.monotonic_s):
        assert (has_time(10), has_time(11)) == (True, False)


def test_limits_by_different_clocks_are_each_told_by_their_own() -> None:
    """A clock that has gone on for long does not shorten the other's time."""
    young, old = ManualClock(), ManualClock(waited_s=1e9)
    with time_limit(20, young.monotonic_s), time_limit(10, old.monotonic_s):
        assert (has_time(10), has_time(11)) == (True, False)
        young.sleep_up_to(15)
        assert (has_time(5), has_time(6)) == (True, False)


def test_a_limit_ends_with_its_block() -> None:
    """Also when that ends badly."""
    with pytest.raises(ZeroDivisionError), time_limit(1, ManualClock().monotonic_s):
        raise ZeroDivisionError
    assert has_time(10**9)


def test_a_thread_that_is_given_the_context_keeps_the_limit() -> None:
    """And cannot change it for others."""
    with time_limit(10, ManualClock().monotonic_s):
        inside = copy_context()
    assert inside.run(has_time, 10)
    assert not inside.run(has_time, 11)


def test_a_functions_own_limit_is_told_by_its_context() -> None:
    """Lambda says what is left of the call, at each question anew; some of it may be kept for what comes after."""
    clock = ManualClock()

    class Remaining:
        def get_remaining_time_in_millis(self) -> int:
            return 30_000 - round(clock.monotonic_s() * 1000)

    with limit_of(Remaining()), limit_of(Remaining(), 6.0):
        assert (has_time(24), has_time(24.1)) == (True, False)
        clock.sleep_up_to(20)
        assert (has_time(4), has_time(4.1)) == (True, False)
    with limit_of(Remaining()):
        assert (has_time(10), has_time(10.1)) == (True, False)

import time

import pytest

from autocredits.adapters.clock import SystemClock


def test_the_time_is_the_machines_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole ones, rounded down."""
    monkeypatch.setattr(time, "time_ns", lambda: 1_764_000_000_123_999_999)
    assert SystemClock().now_ms() == 1_764_000_000_123


def test_the_other_clock_never_goes_back() -> None:
    """It is the system's monotonic one, in seconds."""
    clock = SystemClock()
    before = time.monotonic()
    assert before <= clock.monotonic_s() <= time.monotonic()


def test_it_waits_for_a_random_time_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Full jitter: from nothing to the whole of it, seldom twice the same."""
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    for _ in range(200):
        SystemClock().sleep_up_to(0.25)
    assert len(set(waits)) > 100
    assert 0 <= min(waits) < 0.05
    assert 0.2 < max(waits) <= 0.25

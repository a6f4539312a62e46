"""What the bench makes of what it measured."""

import pytest

from bench.measured import REQUESTS, USUAL_REFERENCE_S, Figure, Request, halving
from bench.run import MARKS, README, SIZES, report, with_figures

QUICK = Request("a quick one", lambda *_: None, most_calls=lambda pages: pages // 5)


def figure(*seconds: float, calls: int = 1, pages: int = 10) -> Figure:
    """What was measured."""
    return Figure(QUICK, pages, calls, list(seconds))


def test_a_request_within_its_limits_is_no_failure() -> None:
    """Three seconds and as many calls as it may make are allowed."""
    assert figure(3.0, 0.1, calls=2).failures() == []


def test_a_slow_request_is_a_failure() -> None:
    """The slowest time counts, not the middle one."""
    assert figure(0.1, 0.1, 3.1).failures() == ["a quick one at 10 pages took 3.1 s: 3.0 s is the most"]


def test_a_slower_machine_may_take_longer() -> None:
    """By as much as its reference does; a faster one may not take less than it may."""
    slow = figure(5.9)
    assert slow.failures(2 * USUAL_REFERENCE_S) == []
    assert slow.failures(USUAL_REFERENCE_S) == slow.failures(USUAL_REFERENCE_S / 2) != []


def test_a_request_that_asks_too_often_is_a_failure() -> None:
    """However fast the machine is."""
    assert figure(0.1, calls=3).failures() == ["a quick one at 10 pages asked the table 3 times: 2 is the most"]


@pytest.mark.parametrize(("pages", "calls"), [(1, 2), (2, 3), (10_000, 16), (100_000, 19)])
def test_a_time_in_the_past_costs_the_logarithm(pages: int, calls: int) -> None:
    """The newest page, then as many as a binary search over the others needs."""
    assert halving(pages) == calls


def test_the_readme_takes_the_figures_of_a_run() -> None:
    """Between its marks, and in place of what stood there; all else stays."""
    page = README.read_text("utf-8")
    once = with_figures(page, "first\n")
    twice = with_figures(once, "second\n")
    assert "second" in twice
    assert "first" not in twice
    assert [twice.split(MARKS[0])[0], twice.split(MARKS[1])[1]] == [page.split(MARKS[0])[0], page.split(MARKS[1])[1]]


def test_the_readme_shows_every_size() -> None:
    """The last figures that were kept are there, for each length of a journal."""
    page = README.read_text("utf-8")
    assert all(f"| a balance | {size:,} |" in page for size in SIZES)


def test_a_report_shows_ratios() -> None:
    """The middle time over that of one GetItem, in whole numbers."""
    measured = Figure(REQUESTS[0], 10_000, 1, [0.02, 0.03, 0.9])
    assert "| a balance | 10,000 | 1 | 15 | 30 | 900 |" in report([measured], 0.002)

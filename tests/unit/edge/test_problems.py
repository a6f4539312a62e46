import logging

import pytest

from autocredits.domain.errors import BrokenInvariantError, Problem
from autocredits.edge import problems
from autocredits.edge.problems import as_problem
from autocredits.edge.telemetry import logger
from autocredits.ledger.ports import UnavailableError


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The metrics that were counted."""
    names: list[str] = []
    monkeypatch.setattr(problems, "count", names.append)
    return names


def test_a_problem_is_told_as_it_is() -> None:
    """The very same."""
    problem = Problem("order_conflict", "why")
    assert as_problem(problem) is problem


def test_what_is_unavailable_may_be_tried_again() -> None:
    """503 `try_again`, and nothing of what did not answer."""
    problem = as_problem(UnavailableError("ThrottlingException"))
    assert (problem.code, problem.status) == ("try_again", 503)
    assert "Throttling" not in problem.detail


@pytest.mark.parametrize(
    ("error", "metrics"),
    [(BrokenInvariantError("page 3 is missing"), ["BrokenInvariant"]), (KeyError("secret"), []), (ValueError("x"), [])],
)
def test_a_defect_is_an_internal_error(
    caplog: pytest.LogCaptureFixture, counted: list[str], error: Exception, metrics: list[str]
) -> None:
    """It is logged in full and told as nothing; only broken books are counted, for the alarm that listens."""
    with caplog.at_level(logging.ERROR, logger=logger.name):
        problem = as_problem(error)
    assert (problem.code, problem.status) == ("internal_error", 500)
    assert str(error) not in problem.detail
    (line,) = (record for record in caplog.records if record.name == logger.name)
    assert line.exc_info is not None
    assert line.exc_info[1] is error
    assert counted == metrics


def test_what_was_expected_is_neither_logged_nor_counted(caplog: pytest.LogCaptureFixture, counted: list[str]) -> None:
    """Refusals and outages are no defects."""
    with caplog.at_level(logging.DEBUG, logger=logger.name):
        as_problem(Problem("order_conflict", "why"))
        as_problem(UnavailableError())
    assert (caplog.records, counted) == ([], [])

"""What is told about an exception, over HTTP and in the queue."""

from autocredits.domain.errors import BrokenInvariantError, Problem
from autocredits.ledger.ports import UnavailableError

from .telemetry import count, logger


def as_problem(error: Exception) -> Problem:
    """What the caller is told about an exception. A defect is logged in full, and told as `internal_error`."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, UnavailableError):
        return Problem("try_again")
    if isinstance(error, BrokenInvariantError):
        count("BrokenInvariant")
    logger.exception("unexpected error", exc_info=error)
    return Problem("internal_error")

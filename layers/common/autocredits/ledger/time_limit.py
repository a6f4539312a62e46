"""One deadline for a whole call: nothing is begun that may not end in time.

Whoever is called (an HTTP route, a batch of messages, a schedule) says how long it may take in all, and every call
that leaves the process asks first. What was not begun has lost nothing, whereas a function that is killed in the
middle leaves its caller without an answer.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from .ports import UnavailableError

WORST_CALL_S = 4.0
"""The longest that one call of a client takes: one try, 1 s to connect and 3 s to answer."""


class OutOfTimeError(UnavailableError):
    """The call was not begun, for it might not have ended in time."""


@dataclass(frozen=True, slots=True)
class _Limit:
    ends_s: float
    monotonic_s: Callable[[], float]
    outer: "_Limit | None"

    def leaves(self, seconds: float) -> bool:
        """Whether as many seconds are left, here and in the limits around this one."""
        here = self.monotonic_s() + seconds <= self.ends_s
        return here and (self.outer is None or self.outer.leaves(seconds))


_present: ContextVar[_Limit | None] = ContextVar("present", default=None)


@contextmanager
def time_limit(seconds: float, monotonic_s: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Let whatever is done inside take at most `seconds`; the limits around it go on."""
    outer = _present.get()
    _present.set(_Limit(monotonic_s() + seconds, monotonic_s, outer))
    try:
        yield
    finally:
        _present.set(outer)


def limit_of(context: Any, kept_s: float = 0.0) -> AbstractContextManager[None]:
    """The limit that Lambda sets to this call, by its own clock; `kept_s` is for what comes after."""
    left_s: Callable[[], float] = lambda: context.get_remaining_time_in_millis() / 1000  # noqa: E731 - asked at each call
    return time_limit(left_s() - kept_s, lambda: -left_s())


def has_time(seconds: float = WORST_CALL_S) -> bool:
    """Whether something that takes as long as that may still be begun."""
    limit = _present.get()
    return limit is None or limit.leaves(seconds)


def check_time(seconds: float = WORST_CALL_S) -> None:
    """Raise OutOfTimeError if nothing that takes as long as that may be begun any more."""
    if not has_time(seconds):
        raise OutOfTimeError("no time is left for another call")

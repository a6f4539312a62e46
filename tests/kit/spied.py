"""A store and a clock that write down what is asked of them, and fail or lag as a test says."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from autocredits.domain.journal import Page
from autocredits.ledger.ports import UnavailableError
from autocredits.ledger.time_limit import WORST_CALL_S, check_time
from tests.kit.builders import NOW_MS
from tests.kit.memory import ManualClock, MemoryStore

Call = tuple[Any, ...]
MAX_CALLS = 1000


class AnswerLostError(UnavailableError):
    """The call was done, and nobody heard of it."""


@dataclass(slots=True)
class Spied:
    """A store that writes down what it is asked, and fails as it is told: name of the call → what happens each time."""

    inner: MemoryStore
    fails: dict[str, list[Exception | None]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """The inner store's method, unless it fails this time."""

        def called(*arguments: Any, **named: Any) -> Any:
            self.calls.append((name, *arguments, *named.values()))
            assert len(self.calls) < MAX_CALLS, "a loop without end"
            failing = self.fails.get(name)
            failure = failing.pop(0) if failing else None
            if failure is not None and not isinstance(failure, AnswerLostError):
                raise failure
            answer = getattr(self.inner, name)(*arguments, **named)
            if failure is not None:
                raise failure
            return answer

        return called

    def names(self) -> list[str]:
        """The calls without their arguments."""
        return [call[0] for call in self.calls]


@dataclass(slots=True)
class Slow(Spied):
    """A store whose every call takes so long, by a clock that goes on meanwhile, and begins none that may end too late."""

    clock: ManualClock = field(default_factory=ManualClock)
    call_s: float = WORST_CALL_S

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """The inner store's method, slowly."""
        done = Spied.__getattr__(self, name)

        def called(*arguments: Any, **named: Any) -> Any:
            check_time()
            try:
                return done(*arguments, **named)
            finally:
                self.clock.sleep_up_to(self.call_s)

        return called


@dataclass(slots=True)
class SteppedClock:
    """A clock that goes on by a fixed step whenever somebody waits."""

    step_s: float | None = None
    at_s: float = 1000.0
    waits: list[float] = field(default_factory=list)

    def now_ms(self) -> int:
        """A time."""
        return NOW_MS

    def monotonic_s(self) -> float:
        """The time."""
        return self.at_s

    def sleep_up_to(self, seconds: float) -> None:
        """Go on by the step, or by all of it."""
        self.waits.append(seconds)
        self.at_s += seconds if self.step_s is None else self.step_s


@dataclass(slots=True)
class Behind(Spied):
    """A store that shows the page before the newest one, once."""

    shown: bool = False

    def head(self, account_id: str) -> Page | None:
        """The page before the newest, then the newest."""
        self.calls.append(("head", account_id))
        newest = self.inner.head(account_id)
        if self.shown or newest is None:
            return newest
        self.shown = True
        return self.inner.page(account_id, newest.version - 1)

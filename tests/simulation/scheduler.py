"""A deterministic scheduler: real handlers as greenlets, each of which stops at every call that leaves the process.

The scheduler chooses who goes on and what becomes of the call. All that it chose stands in the run's trace, from which
the run can be played again. At the `Store` port a lost request, a throttled one and a server error before the commit
are one and the same (`lost`), as are a lost answer and a server error after it (`answer lost`): the wire's own faults
are told apart in `test_wire_faults.py`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from greenlet import GreenletExit, getcurrent, greenlet

from autocredits.ledger.ports import ConflictError, UnavailableError
from tests.simulation.environments import Environment

DONE, LOST, ANSWER_LOST, CONFLICT = "done", "lost", "answer lost", "conflict"
CRASH_BEFORE, CRASH_AFTER = "crash before", "crash after"
MAX_STEPS = 2_000

Item = tuple[str, ...]
ALL: frozenset[Item] = frozenset({("*",)})
"""The footprint of what looks at everything, such as the moment at which a request begins."""


@dataclass(slots=True)
class Call:
    """A call that leaves the process: what it touches, what may become of it, and how it is done.

    `tear`, for a commit, does it so that just some of its items show; `perform` is then what shows the rest.
    `answers` are what else may come of it, each with the value or the error that the caller sees.
    """

    name: str
    perform: Callable[[], Any]
    outcomes: Sequence[str] = (DONE,)
    items: frozenset[Item] = frozenset()
    writes: bool = False
    tear: Callable[[str], Callable[[], Any]] | None = None
    answers: Mapping[str, Callable[[], tuple[Any, Exception | None]]] = field(default_factory=dict)
    patient: bool = False
    """Goes on only after somebody else did, or when nobody else can: a pause."""
    last: bool = False
    """Goes on only when nobody else can: a message that was deferred."""
    idle: bool = False
    """Nothing is at work meanwhile: a request that was not sent yet."""


class Ended(GreenletExit):
    """The run is over: what still stands in a crashed handler is thrown away."""


@dataclass(eq=False)
class Worker:
    """One delivery on its way: a client that asks, again if it must, and the environment that answers."""

    name: str
    behave: Callable[["Worker"], None]
    environment: Environment = field(default_factory=Environment)
    thread: greenlet | None = None
    pending: Call | None = None
    rested: bool = False
    crashed: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """A possible next step: a worker's pending call, and what becomes of it."""

    worker: Worker
    call: Call
    outcome: str

    def name(self) -> str:
        """As in a trace."""
        return f"{self.worker.name}:{self.outcome}"

    def is_fault(self) -> bool:
        """Whether it is anything but what usually happens."""
        return self.outcome != DONE

    def touches(self) -> frozenset[Item]:
        """The items whose state it depends on or changes."""
        return frozenset() if self.outcome in (LOST, CONFLICT, CRASH_BEFORE) else self.call.items

    def commutes_with(self, other: "Move") -> bool:
        """Whether both orders of the two come to the same, so that one of them need not be tried."""
        if self.worker is other.worker or (self.is_fault() and other.is_fault()):
            return False
        mine, theirs = self.touches(), other.touches()
        if not mine or not theirs or not (self.call.writes or other.call.writes):
            return True
        return ALL.isdisjoint(mine | theirs) and mine.isdisjoint(theirs)


class Chooser(Protocol):
    """Says which of the possible moves is made; None ends the run, as one like it has been seen."""

    def choose(self, moves: Sequence[Move]) -> Move | None:
        """One of the moves."""
        ...


class Scheduler:
    """One run. `swapping` off leaves every environment's globals where the others find them."""

    def __init__(self, chooser: Chooser, *, faults: int, swapping: bool = True) -> None:
        self.chooser = chooser
        self.faults_left = faults
        self.swapping = swapping
        self.workers: list[Worker] = []
        self.current: Worker | None = None
        self.trace: list[str] = []
        self.step = 0
        self.over = False
        self.hub = getcurrent()
        self.scrap: list[greenlet] = []

    def add(self, worker: Worker) -> None:
        """Let a worker take part. It stops before its first step."""
        self.workers.append(worker)
        worker.thread = greenlet(worker.behave, parent=self.hub)
        worker.thread.gr_context = worker.environment.context
        self._resume(worker, worker)

    def call(self, call: Call) -> Any:
        """Make a call from within a worker: wait until the scheduler lets it happen, as it likes."""
        if self.over:
            raise Ended
        value, error = self.hub.switch(call)
        if error is not None:
            raise error
        return value

    def run(self) -> bool:
        """Go on until nobody can; False if a run like this one has been seen."""
        try:
            while moves := self._moves():
                move = self.chooser.choose(moves)
                if move is None:
                    return False
                self.step += 1
                if self.step > MAX_STEPS:
                    raise AssertionError("the run does not end")
                self.trace.append(move.name())
                self._make(move)
        finally:
            self._end()
        return True

    def _moves(self) -> list[Move]:
        able = [worker for worker in self.workers if worker.pending and not worker.pending.last]
        ready = [worker for worker in able if worker.rested or not _call(worker).patient] or able
        ready = ready or [worker for worker in self.workers if worker.pending]
        return [
            Move(worker, _call(worker), outcome)
            for worker in ready
            for outcome in (*_call(worker).outcomes, *_call(worker).answers)
            if outcome == DONE or self.faults_left
        ]

    def _make(self, move: Move) -> None:
        worker, call, outcome = move.worker, move.call, move.outcome
        self.faults_left -= move.is_fault()
        for other in self.workers:
            other.rested = other is not worker
        if outcome == CRASH_BEFORE:
            return self._crash(worker)
        if outcome in (LOST, CONFLICT):
            return self._resume(worker, (None, UnavailableError(outcome) if outcome == LOST else ConflictError()))
        if outcome in call.answers:
            return self._resume(worker, call.answers[outcome]())
        try:
            if outcome in (DONE, ANSWER_LOST, CRASH_AFTER) or call.tear is None:
                answer: tuple[Any, Exception | None] = (call.perform(), None)
            else:
                rest = call.tear(outcome)
                outcomes = (DONE, ANSWER_LOST, CRASH_AFTER)
                worker.pending = Call(f"{call.name}, the rest", rest, outcomes, call.items, writes=True)
                return None
        except ConflictError as conflict:
            answer = (None, conflict)
        if outcome == CRASH_AFTER:
            return self._crash(worker)
        return self._resume(worker, (None, UnavailableError(outcome)) if outcome == ANSWER_LOST else answer)

    def cut_off(self) -> None:
        """Crash every environment that is at work."""
        for worker in self.workers:
            if worker.pending is not None and not worker.pending.idle:
                self._crash(worker)

    def _crash(self, worker: Worker) -> None:
        """The environment is gone, and no line of the handler runs any more; the client sees no answer."""
        self.scrap.append(_thread(worker))
        worker.crashed = True
        worker.environment = Environment()
        worker.thread = greenlet(worker.behave, parent=self.hub)
        worker.thread.gr_context = worker.environment.context
        self._resume(worker, worker)

    def _resume(self, worker: Worker, value: Any) -> None:
        thread = _thread(worker)
        self.current = worker
        if self.swapping:
            worker.environment.enter()
        worker.pending = None
        call = thread.switch(value)
        if self.swapping:
            worker.environment.leave()
        self.current = None
        worker.pending = None if thread.dead else call

    def _end(self) -> None:
        """Throw away what crashed or did not end, where nothing it does can be seen."""
        self.over = True
        threads = [*self.scrap, *(worker.thread for worker in self.workers if worker.thread)]
        Environment().enter()
        for thread in threads:
            if not thread.dead:
                thread.throw(Ended)
        Environment().enter()


def _call(worker: Worker) -> Call:
    if worker.pending is None:
        raise AssertionError(f"{worker.name} waits for nothing")
    return worker.pending


def _thread(worker: Worker) -> greenlet:
    if worker.thread is None:
        raise AssertionError(f"{worker.name} was not started")
    return worker.thread


class Systematic:
    """Tries every order and every fault, but for orders that come to the same (sleep sets). One object, many runs."""

    def __init__(self) -> None:
        self.planned: list[int] = []
        self.made: list[tuple[int, int]] = []
        self.asleep: list[Move] = []

    def begin(self) -> None:
        """A new run."""
        self.made, self.asleep = [], []

    def choose(self, moves: Sequence[Move]) -> Move | None:
        """The next move that has not been tried here."""
        sleeping = {(move.worker.name, move.outcome) for move in self.asleep}
        open_moves = [move for move in moves if (move.worker.name, move.outcome) not in sleeping]
        if not open_moves:
            return None
        depth = len(self.made)
        index = self.planned[depth] if depth < len(self.planned) else 0
        self.made.append((index, len(open_moves)))
        chosen = open_moves[index]
        self.asleep = [move for move in (*self.asleep, *open_moves[:index]) if move.commutes_with(chosen)]
        return chosen

    def next(self) -> bool:
        """Plan the next run; False if there is none."""
        while self.made and self.made[-1][0] + 1 == self.made[-1][1]:
            self.made.pop()
        if not self.made:
            return False
        self.planned = [index for index, _ in self.made]
        self.planned[-1] += 1
        return True


@dataclass(slots=True)
class Randomly:
    """Chooses by a seed: first who goes on, then what becomes of the call."""

    random: Random
    fault_rate: float = 0.2

    def choose(self, moves: Sequence[Move]) -> Move:
        """Any move."""
        worker = self.random.choice(sorted({move.worker.name for move in moves}))
        mine = [move for move in moves if move.worker.name == worker]
        faults = [move for move in mine if move.is_fault()]
        if faults and self.random.random() < self.fault_rate:
            return self.random.choice(faults)
        return next(move for move in mine if not move.is_fault())


@dataclass(slots=True)
class Replay:
    """Makes the moves of a trace again."""

    trace: Iterator[str]

    def choose(self, moves: Sequence[Move]) -> Move:
        """The move of this name; what comes after the trace's end is done as usual."""
        name = next(self.trace, None)
        if name is None:
            return next(move for move in moves if not move.is_fault())
        return next(move for move in moves if move.name() == name)

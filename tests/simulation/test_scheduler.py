"""The scheduler itself: environments, crashes, faults, replays, and that it leaves out nothing that matters."""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from aws_lambda_powertools.event_handler.api_gateway import BaseRouter

from autocredits.ledger.ports import UnavailableError
from tests.kit.deliveries import ACCOUNT, KINDS, Request
from tests.simulation.deliveries import RICH, TIGHT, Delivery, base_store
from tests.simulation.environments import CELLS
from tests.simulation.leftovers import Place, changed_since, globals_now
from tests.simulation.runs import Scenario, exhaust, play, replay, sample
from tests.simulation.scheduler import Call, Move, Randomly, Replay, Scheduler, Systematic, Worker
from tests.simulation.sweeps import MORE_KINDS
from tests.simulation.violations import Violation
from tests.simulation.world import SimStore, World, simulated, within

DEBITS = Scenario((("debit", 1), ("debit", 2)), "new", TIGHT)
TWINS = Scenario((("debit", 1), ("debit", 1)), "new", TIGHT)


@pytest.fixture(scope="module", autouse=True)
def _simulated() -> Iterator[None]:
    with simulated():
        yield


def test_without_the_swap_handlers_read_each_others_request() -> None:
    """Of two debits interleaved with shared globals, the refused one is answered as if it were the other."""
    with pytest.raises(Violation, match="request"):
        _play_many(swapping=False)


def test_with_the_swap_they_do_not() -> None:
    """The same runs, each environment with globals of its own, keep every promise."""
    _play_many(swapping=True)


def _play_many(*, swapping: bool) -> None:
    for seed in range(50):
        play(DEBITS, Randomly(Random(seed)), faults=0, swapping=swapping)


class Watching(World):
    """A world that notes, whenever a call leaves the process, what lies in the globals that did not before."""

    def __init__(self, base: str) -> None:
        super().__init__(None, base_store(base, RICH).copy())
        self.stream += [page for page in [self.store.head(ACCOUNT)] if page]
        self.unpublished.append(json.dumps({"account_id": ACCOUNT, "version": 1, "reason": "test"}))
        self.before = globals_now()
        self.changed: dict[Place, str] = {}

    def call(self, call: Call) -> Any:
        """As ever."""
        self.changed |= changed_since(self.before)
        return super().call(call)


# What a route builds of its code at its first call is the same for every environment and every request.
BUILT_ONCE = ("_middleware_stack", "_middleware_stack_built", "_has_dependencies", "request_param_name_checked")


@pytest.mark.slow
def test_every_global_that_a_call_changes_is_swapped() -> None:
    """No kind of call lays anything into a global outside the cells, neither meanwhile nor for good."""
    changed: dict[Place, str] = {}
    routes = {json.dumps(_route(kind.make(1))): (name, kind) for name, kind in reversed([*MORE_KINDS.items()])}
    for name, kind in routes.values():
        one = Watching(kind.bases[0])
        with within(one):
            Delivery(name, kind.make(1), one).behave(Worker("a", lambda _: None))
        changed |= one.changed | changed_since(one.before)
    cells = {(id(owner), name) for owner, name in CELLS}
    inside = {id(vars(owner).get(name)) for owner, name in CELLS}
    assert (id(BaseRouter), "current_event") in changed, "the search sees what it should leave out"
    assert not {
        name
        for place, name in changed.items()
        if place not in cells and place[0] not in inside and place[1] not in BUILT_ONCE
    }


def _route(request: Request) -> Any:
    """What is asked for, whatever it is about: kinds that share it run through the same code."""
    event = request.event(1)
    body = json.loads(event["Records"][0]["body"]) if request.message else {}
    return request.handler.__module__, request.handler.__name__, event.get("routeKey"), body.get("type")


def test_a_crashed_handler_runs_no_more_code() -> None:
    """Neither `except` nor `finally` of a crashed worker runs before the run is over; its successor begins anew."""
    ran: list[str] = []

    def behave(worker: Worker) -> None:
        ran.append("begun")
        if worker.crashed:
            return
        try:
            scheduler.call(Call("call", lambda: ran.append("performed"), ("done", "crash after")))
        except Exception:  # noqa: BLE001 - nothing may arrive here
            ran.append("except")
        finally:
            ran.append("finally")

    scheduler = Scheduler(Replay(iter(["a:crash after"])), faults=1)
    scheduler.add(Worker("a", behave))
    scheduler.run()
    assert ran[:3] == ["begun", "performed", "begun"]
    assert "except" not in ran


class Noting:
    """Lets everything be done as usual, but for a crash at the first commit, and notes what is called."""

    def __init__(self, *, crash: bool) -> None:
        self.crash = crash
        self.called: list[str] = []

    def choose(self, moves: Sequence[Move]) -> Move:
        """The only worker's move."""
        self.called.append(moves[0].call.name)
        outcome = "crash before" if self.crash and self.called[-1] == "commit" else "done"
        self.crash = self.crash and outcome == "done"
        return next(move for move in moves if move.outcome == outcome)


@pytest.mark.parametrize(("crash", "asked"), [(False, 1), (True, 2)])
def test_an_environment_lives_on_until_it_crashes(crash: bool, asked: int) -> None:  # noqa: FBT001 - a case of the test
    """What a call has cached is there in the environment's next call: the provider's secret is asked for once."""
    chooser = Noting(crash=crash)
    scheduler = Scheduler(chooser, faults=1)
    one = World(scheduler, base_store("started", RICH).copy())
    deliveries = [Delivery(kind, KINDS[kind].make(1), one) for kind in ("paid", "refunded")]

    def behave(worker: Worker) -> None:
        for delivery in deliveries:
            delivery.behave(worker)

    with within(one):
        scheduler.add(Worker("a", behave))
        scheduler.run()
    assert [len(delivery.answers()) for delivery in deliveries] == [1, 1]
    assert chooser.called.count("secret") == asked


def test_a_trace_plays_the_same_run_again() -> None:
    """The moves of a run with faults, made again, give the same run."""
    run = next(run for run in sample(TWINS, Random(7), 200, faults=3) if run.faults == 3)
    assert replay(TWINS, run.trace).trace == run.trace


@pytest.mark.parametrize("fault", ["lost", "answer lost", "conflict", "crash before", "crash after", "shows 0"])
def test_every_fault_happens_to_a_commit(fault: str) -> None:
    """Among all runs of a debit and its twin are those in which its commit meets the fault."""
    assert any(move.endswith(f":{fault}") for run in exhaust(TWINS, faults=1) for move in run.trace)


def test_a_worker_may_crash_while_its_commit_shows_in_part() -> None:
    """The transaction is committed: the rest of it shows, and its message is delivered again."""
    own = [[move for move in run.trace if move[0] == "a"] for run in sample(TWINS, Random(7), 300, faults=3)]
    nexts = [(one, other) for moves in own for one, other in pairwise(moves)]
    assert any(one.startswith("a:shows") and other == "a:crash after" for one, other in nexts)


def test_a_torn_commit_shows_its_page_before_its_key() -> None:
    """A plain read sees the new page and not the key that was committed with it; a transaction is cancelled."""
    one = World(None, SimStore())
    store = one.store
    base = base_store("new", RICH)
    store.pages[ACCOUNT] = dict(base.pages[ACCOUNT])
    store.records.update(base.records)
    place = next(place for place in store.records if place[1][0] == "key")
    store.hidden["record", ACCOUNT, *place[1]] = (place, None)
    assert store.seen().head(ACCOUNT) == store.head(ACCOUNT)
    assert store.seen().read(ACCOUNT, [place[1]]) == {}
    assert store.read(ACCOUNT, [place[1]]) != {}


class _Whole(Systematic):
    """Tries every order, also those that come to the same."""

    def choose(self, moves: Any) -> Move | None:
        self.asleep = []
        return super().choose(moves)


@pytest.mark.parametrize("kinds", [("debit", "capture"), ("adjustment", "standing"), ("hold", "resend")])
def test_orders_left_out_come_to_the_same(monkeypatch: pytest.MonkeyPatch, kinds: tuple[str, str]) -> None:
    """All ends that every order and fault can come to are also reached without the orders that are left out."""
    scenario = Scenario(((kinds[0], 1), (kinds[1], 1)), "held", TIGHT)
    ends: list[set[Any]] = []
    for chooser in (Systematic(), _Whole()):
        found: set[Any] = set()
        monkeypatch.setattr("tests.simulation.runs.check_replays", lambda told, found=found: found.add(_end(told)))
        more = True
        while more:
            chooser.begin()
            play(scenario, chooser, faults=0)
            more = chooser.next()
        ends.append(found)
    assert ends[0] == ends[1]


def _end(deliveries: list[Delivery]) -> Any:
    """What a run came to: the journal's entries and what was told."""
    store = deliveries[0].world.store
    pages = [store.page(ACCOUNT, number) for number in sorted(store.pages[ACCOUNT])]
    entries = tuple(entry.kind for page in pages if page for entry in page.entries)
    return entries, tuple(status for one in deliveries for _, status, _ in one.answers())


def test_a_port_says_unavailable_when_a_request_is_lost() -> None:
    """A lost request is UnavailableError at the port, and nothing has happened."""
    happened: list[str] = []
    seen: list[type[Exception]] = []

    def behave(_: Worker) -> None:
        try:
            scheduler.call(Call("call", lambda: happened.append("done"), ("done", "lost")))
        except UnavailableError as error:
            seen.append(type(error))

    scheduler = Scheduler(Replay(iter(["a:lost"])), faults=1)
    scheduler.add(Worker("a", behave))
    scheduler.run()
    assert (happened, seen) == ([], [UnavailableError])

"""What becomes of each message of a batch: acknowledged, tried again later, or a dead letter."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from autocredits.domain.decide import Command, Done, NotYet
from autocredits.domain.errors import BrokenInvariantError, Problem
from autocredits.domain.journal import canonical_text
from autocredits.edge.batches import (
    MAX_WAIT_S,
    RESERVE_S,
    SETTLING_S,
    Received,
    fate_of,
    process,
)
from autocredits.edge.retries import FIRST_DELAY_S, MAX_FAULT_S, delay_s
from autocredits.edge.telemetry import logger
from autocredits.ledger.commit import Accepted, Answer, Ledger
from autocredits.ledger.ports import Clock, Store, UnavailableError
from tests.kit.books import check_books
from tests.kit.builders import NOW_MS, Account, opened
from tests.kit.memory import ManualClock, MemoryQueue
from tests.kit.service import Context, cloud_event, received_record, work
from tests.kit.spied import Slow

PLACED = {"order_id": "A-1", "supplier_order_id": "s"}
ACKNOWLEDGED: dict[str, Any] = {"batchItemFailures": []}


def requested(order_id: str = "A-1", **data: Any) -> str:
    """An `auto_order.requested`."""
    return cloud_event("auto_order.requested", work(order_id) | data)


def received(body: str, *, receives: int = 1, age_s: int = 0, message_id: str = "m") -> dict[str, Any]:
    """A message as Lambda hands it over, first received so long ago, for the n-th time. Its receipt is its id."""
    first_received_ms = NOW_MS - age_s * 1000
    return received_record(body, receives=receives, first_received_ms=first_received_ms, message_id=message_id)


@dataclass(slots=True)
class Worker:
    """The worker on an account and a queue in memory."""

    account: Account = field(default_factory=opened)
    queue: MemoryQueue = field(default_factory=MemoryQueue)

    def __call__(self, *records: dict[str, Any], ledger: Any = None, remaining_ms: int = 30_000) -> dict[str, Any]:
        """Process the records; what is answered."""
        event = {"Records": list(records)}
        return process(event, Context(remaining_ms), cast("Ledger", ledger or self.account.ledger()), self.queue)


@dataclass(slots=True)
class FailingLedger:
    """A ledger that fails for a group of so many commands, or for one order; what else it is asked it does."""

    inner: Ledger
    error: Exception
    of_more_than: int = 0
    order_id: str | None = None
    asked: list[int] = field(default_factory=list)

    @property
    def clock(self) -> Clock:
        """The clock of the ledger."""
        return self.inner.clock

    def execute_all(self, account_id: str, commands: Sequence[Command]) -> list[Answer]:
        """Fail, or do them. A Problem is the answer to each."""
        self.asked.append(len(commands))
        keys = {key for command in commands for key in command.records()}
        if isinstance(self.error, Problem):
            return [self.error] * len(commands)
        if len(commands) > self.of_more_than and (self.order_id is None or ("order", self.order_id) in keys):
            raise self.error
        return self.inner.execute_all(account_id, commands)


@dataclass(frozen=True, slots=True)
class Ticking:
    """The context of a function that may run for 30 seconds by this clock."""

    clock: ManualClock

    def get_remaining_time_in_millis(self) -> int:
        """What is left of them."""
        return 30_000 - round(self.clock.monotonic_s() * 1000)


def again(*message_ids: str) -> dict[str, Any]:
    """The answer that has these messages shown again."""
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in message_ids]}


# ---------------------------------------------------------------- outcomes


def test_a_message_that_did_something_is_acknowledged() -> None:
    """And so is one that found nothing to do."""
    worker = Worker()
    message = received(requested())
    assert worker(message) == worker(message) == ACKNOWLEDGED
    assert worker.account.balance() == (500, 100)
    assert (worker.queue.dead, worker.queue.delays) == ([], {})


def test_a_refusal_that_is_recorded_is_acknowledged() -> None:
    """Lacking credits are an outcome, not a fault of the message."""
    worker = Worker(opened(50))
    assert worker(received(requested())) == ACKNOWLEDGED
    assert worker.account.work("A-1").status == "failed"
    assert worker.queue.dead == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("order A-1, please", "invalid_json"),
        (requested(price="1.00"), "unknown_field"),
        (requested(account_id="nobody"), "account_not_found"),
    ],
)
def test_a_hopeless_message_is_a_dead_letter_at_once(body: str, reason: str) -> None:
    """Unchanged, with the code of its problem; the queue need not show it again."""
    worker = Worker()
    assert worker(received(body)) == ACKNOWLEDGED
    assert worker.queue.dead == [{"body": body, "reason": reason}]


@pytest.mark.parametrize("receives", [1, 10, 11, 999])
def test_a_result_before_its_request_waits_for_a_day(receives: int) -> None:
    """However often it was received; then it is a dead letter."""
    worker, body = Worker(), cloud_event("auto_order.placed", PLACED)
    for age_s in (0, 55 * 60, MAX_WAIT_S - 1):
        assert worker(received(body, receives=receives, age_s=age_s)) == again("m")
        assert worker.queue.delays == {"m": delay_s(age_s, FIRST_DELAY_S)}
    assert worker.queue.dead == []
    assert worker(received(body, receives=receives, age_s=MAX_WAIT_S)) == ACKNOWLEDGED
    assert worker.queue.dead == [{"body": body, "reason": "result_before_request"}]
    assert MAX_WAIT_S == 86_400


@pytest.mark.parametrize("receives", [1, 10, 11])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UnavailableError("ThrottlingException"), "try_again"),
        (Problem("try_again"), "try_again"),
        (RuntimeError("a defect"), "internal_error"),
    ],
)
def test_what_is_not_the_messages_fault_is_tried_for_five_days(error: Exception, reason: str, receives: int) -> None:
    """However often it was received; then it is a dead letter that says why."""
    worker, body = Worker(), requested()
    failing = FailingLedger(worker.account.ledger(), error)
    for age_s in (0, MAX_FAULT_S - 1):
        assert worker(received(body, receives=receives, age_s=age_s), ledger=failing) == again("m")
        assert (worker.queue.dead, worker.queue.delays) == ([], {"m": delay_s(age_s, FIRST_DELAY_S)})
    assert worker(received(body, receives=receives, age_s=MAX_FAULT_S), ledger=failing) == ACKNOWLEDGED
    assert worker.queue.dead == [{"body": body, "reason": reason}]
    assert MAX_FAULT_S == 5 * 86_400


def test_a_message_from_a_clock_that_is_ahead_is_new() -> None:
    """Its age is never below zero."""
    worker = Worker()
    assert worker(received(cloud_event("auto_order.placed", PLACED), age_s=-30)) == again("m")
    assert worker.queue.delays == {"m": FIRST_DELAY_S}


OUTCOMES: dict[str, Any] = {
    "done": Accepted(Done(did="held"), None),
    "not tried": None,
    "too early": NotYet(),
    "refused": Problem("order_conflict", "Another store."),
    "no answer": Problem("try_again"),
    "unavailable": UnavailableError("ThrottlingException"),
    "broken": BrokenInvariantError("page 3 is missing"),
    "a defect": RuntimeError("a defect"),
}


@pytest.mark.parametrize("age_s", [0, 3600, MAX_WAIT_S, MAX_FAULT_S, 14 * 86_400])
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_message_is_acknowledged_or_waits_or_is_a_dead_letter_with_its_reason(
    outcome: str, age_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of the three, whatever came of it and however old it is; what waits comes back within ten minutes."""
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "test")
    record = SQSRecord(received(requested(), age_s=age_s, receives=999))
    fate = fate_of(Received(record, outcome=OUTCOMES[outcome]), NOW_MS)
    assert (fate.delay_s is not None) == (fate.did == "retry")
    assert fate.delay_s is None or 5 <= fate.delay_s <= 600
    assert fate.reason or fate.did == "held"
    if fate.did == "retry":
        assert age_s < (MAX_WAIT_S if outcome == "too early" else MAX_FAULT_S)


def test_an_outage_of_an_hour_buries_nobody() -> None:
    """200 messages that came and went untried twenty times are done as soon as there is time for them."""
    worker = Worker(opened(100_000))
    bodies = {str(number): requested(f"A-{number}") for number in range(200)}
    ages = [0, 5, 15, 35, 75, 155, 315, 635, 1235, 1835, 2435, 3035, 3300]
    for receives, age_s in enumerate(ages, 1):
        batch = [received(body, receives=receives, age_s=age_s, message_id=name) for name, body in bodies.items()]
        broken = FailingLedger(worker.account.ledger(), UnavailableError("ThrottlingException"))
        assert worker(*batch, ledger=broken) == worker(*batch, remaining_ms=5_000) == again(*bodies)
    assert worker.queue.dead == []
    late = [received(body, receives=40, age_s=3600, message_id=name) for name, body in bodies.items()]
    assert worker(*late) == ACKNOWLEDGED
    assert worker.account.balance() == (100_000, 20_000)


def test_broken_books_are_counted_for_each_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which waits; the alarm listens."""
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "test")
    worker = Worker()
    failing = FailingLedger(worker.account.ledger(), BrokenInvariantError("page 3 is missing"))
    assert worker(received(requested()), ledger=failing) == again("m")
    assert capsys.readouterr().out.count('"BrokenInvariant":[1.0]') == 1


# ---------------------------------------------------------------- neighbours


def test_one_accounts_messages_are_one_page() -> None:
    """As far as nothing is refused."""
    worker = Worker()
    version = worker.account.page().version
    assert worker(*(received(requested(f"A-{n}"), message_id=str(n)) for n in range(3))) == ACKNOWLEDGED
    assert (worker.account.page().version, worker.account.balance()) == (version + 1, (500, 300))


def test_a_thousand_messages_of_one_account_are_as_few_pages_as_they_fit_on() -> None:
    """Forty-nine to a page; each has its outcome, in one batch."""
    worker = Worker(opened(1_000_000))
    version = worker.account.page().version
    batch = [received(requested(f"A-{number}"), message_id=str(number)) for number in range(1000)]
    assert worker(*batch) == ACKNOWLEDGED
    assert (worker.account.page().version, worker.account.balance()) == (version + 21, (1_000_000, 100_000))
    check_books(worker.account)
    assert worker(*batch) == ACKNOWLEDGED
    assert worker.account.page().version == version + 21


def test_seventeen_releases_of_fba_orders_are_one_batch() -> None:
    """Fifty-one entries: they are two pages, and no books are broken."""
    worker = Worker(opened(1_000_000, 10**8))
    orders = [work(f"A-{number}", "fba", "bce", cost="23.50") for number in range(17)]
    bodies = [cloud_event("auto_order.requested", order) for order in orders]
    assert worker(*(received(body, message_id=str(number)) for number, body in enumerate(bodies))) == ACKNOWLEDGED
    version = worker.account.page().version
    results = [cloud_event("auto_order.failed", {"order_id": f"A-{number}", "reason": "x"}) for number in range(17)]
    assert worker(*(received(body, message_id=str(number)) for number, body in enumerate(results))) == ACKNOWLEDGED
    assert [len(page.entries) for page in worker.account.pages()[version:]] == [48, 3]
    assert (worker.account.balance(), worker.account.balance("managed")) == ((1_000_000, 0), (10**8, 0))
    check_books(worker.account)


def test_ten_results_with_long_reasons_are_pages_of_16_kb() -> None:
    """The reasons are cut, and what does not fit is on the next page."""
    worker = Worker(opened(1_000_000, 10**8))
    for number in range(10):
        body = cloud_event("auto_order.requested", work(f"A-{number}", "fba", "bce", cost="23.50"))
        assert worker(received(body)) == ACKNOWLEDGED
    version, reason = worker.account.page().version, "\u4e0d" * 10_000
    results = [cloud_event("auto_order.failed", {"order_id": f"A-{number}", "reason": reason}) for number in range(10)]
    assert worker(*(received(body, message_id=str(number)) for number, body in enumerate(results))) == ACKNOWLEDGED
    pages = worker.account.pages()[version:]
    assert len(pages) == 4
    assert all(len(canonical_text("acme", page.to_map()).encode()) <= 16 * 1024 for page in pages)
    assert {entry.reason for page in pages for entry in page.entries} == {"\u4e0d" * 500}


def test_each_message_of_a_batch_has_its_own_outcome() -> None:
    """Good, refused, hopeless and waiting messages, and those of other accounts, do not disturb each other."""
    worker = Worker(opened(150))
    other = opened(300, account=Account(worker.account.store, worker.account.clock, "umbrella"))
    bodies = {
        "good": requested("A-1"),
        "refused": requested("A-2"),
        "hopeless": "x",
        "waiting": cloud_event("auto_order.placed", PLACED | {"order_id": "A-9"}),
        "other": requested("U-1", account_id="umbrella"),
    }
    assert worker(*(received(body, message_id=name) for name, body in bodies.items())) == again("waiting")
    assert worker.queue.dead == [{"body": "x", "reason": "invalid_json"}]
    assert [worker.account.work(order_id).status for order_id in ("A-1", "A-2")] == ["processing", "failed"]
    assert (worker.account.balance(), other.balance()) == ((150, 100), (300, 100))


def test_a_group_that_fails_unexpectedly_is_tried_one_by_one() -> None:
    """So only the message that is to blame waits."""
    worker = Worker()
    failing = FailingLedger(worker.account.ledger(), RuntimeError("a defect"), order_id="A-1")
    records = [received(requested(f"A-{n}"), message_id=str(n)) for n in range(3)]
    assert worker(*records, ledger=failing) == again("1")
    assert failing.asked == [3, 1, 1, 1]
    assert worker.account.balance() == (500, 200)


def test_a_group_without_an_answer_is_not_tried_one_by_one() -> None:
    """The table did not answer for 8 seconds; there is no time to ask it for each message again."""
    worker = Worker()
    failing = FailingLedger(worker.account.ledger(), Problem("try_again"))
    records = [received(requested(f"A-{n}"), message_id=str(n)) for n in range(3)]
    assert worker(*records, ledger=failing) == again("0", "1", "2")
    assert failing.asked == [3]


@pytest.mark.parametrize(("short_ms", "done"), [(0, True), (1, False)])
def test_without_time_for_an_account_its_messages_are_given_back(short_ms: int, done: bool) -> None:  # noqa: FBT001 - a case
    """Untried, for 10 s: what an account may need must be left, beside the time to tell the queue."""
    worker = Worker()
    remaining_ms = (RESERVE_S + SETTLING_S) * 1000 - short_ms
    answer = worker(received(requested()), received("x", message_id="bad"), remaining_ms=remaining_ms)
    assert (answer, worker.queue.delays) == ((ACKNOWLEDGED, {}) if done else (again("m"), {"m": 10}))
    assert worker.account.balance() == (500, 100 if done else 0)
    assert worker.queue.dead == [{"body": "x", "reason": "invalid_json"}]


def test_a_message_that_was_never_tried_is_buried_with_that_reason() -> None:
    """After five days in which there was no time for it."""
    worker, body = Worker(), requested()
    assert worker(received(body, age_s=MAX_FAULT_S), remaining_ms=5_000) == ACKNOWLEDGED
    assert worker.queue.dead == [{"body": body, "reason": "out_of_time"}]


def test_slow_answers_leave_the_rest_of_a_batch_untried() -> None:
    """Three accounts, each call as slow as can be: what was begun ends in time, and the others come back."""
    worker = Worker()
    clock, store = worker.account.clock, worker.account.store
    others = [opened(account=Account(store, clock, name)) for name in ("umbrella", "initech")]
    messages = [requested("A-1"), *(requested("A-1", account_id=other.account_id) for other in others)]
    ledger = worker.account.ledger(cast("Store", Slow(store, clock=clock)))
    began = clock.monotonic_s()
    records = [received(body, message_id=str(number)) for number, body in enumerate(messages)]
    answer = process({"Records": records}, Ticking(clock), ledger, worker.queue)
    assert clock.monotonic_s() - began <= 30
    assert answer == again("2")
    assert worker.queue.delays == {"2": 26}  # it is 16 s old by then
    assert [one.balance() for one in (worker.account, *others)] == [(500, 100), (500, 100), (500, 0)]


@pytest.mark.parametrize("call_s", [0.5, 2.0, 4.0])
def test_members_that_are_tried_one_by_one_end_in_time(call_s: float) -> None:
    """A group that fails as a whole on a slow table: as many of it as there is time for, and the rest is given back."""
    worker = Worker(opened(10_000))
    clock = worker.account.clock
    slow = worker.account.ledger(cast("Store", Slow(worker.account.store, clock=clock, call_s=call_s)))
    failing = FailingLedger(slow, RuntimeError("a defect"), of_more_than=1)
    batch = [received(requested(f"A-{number}"), message_id=str(number)) for number in range(40)]
    answer = process({"Records": batch}, Ticking(clock), cast("Ledger", failing), worker.queue)
    done = len(failing.asked) - 1
    assert clock.monotonic_s() <= 30
    assert 0 < done < 40
    assert answer == again(*(str(number) for number in range(done, 40)))
    assert worker.account.balance() == (10_000, done * 100)
    assert (list(worker.queue.delays), worker.queue.dead) == ([str(number) for number in range(done, 40)], [])


@pytest.mark.parametrize("queue_s", [0.0, 0.5, 3.0, 4.0])
def test_a_batch_whose_deferrals_take_too_long_still_names_its_failures(queue_s: float) -> None:
    """What the queue could not be told comes back with its own time-out; the function is not killed over it."""
    worker = Worker()
    clock = worker.account.clock

    class Late(MemoryQueue):
        def defer(self, delays: Mapping[str, int]) -> None:
            for receipt, seconds in delays.items():
                MemoryQueue.defer(self, {receipt: seconds})
                clock.sleep_up_to(queue_s)

    worker.queue = Late()
    clock.waited_s = 25.0
    batch = [received(cloud_event("auto_order.placed", PLACED), message_id=str(number)) for number in range(40)]
    answer = process({"Records": batch}, Ticking(clock), worker.account.ledger(), worker.queue)
    assert answer == again(*(str(number) for number in range(40)))
    assert clock.monotonic_s() <= 30
    assert len(worker.queue.delays) == (40 if queue_s == 0 else int(1 / queue_s) + 1)


def test_a_batch_without_any_time_left_names_its_failures() -> None:
    """Neither tried nor deferred nor buried: all of it comes back."""
    worker = Worker()
    bodies = {"good": requested(), "hopeless": "x", "waiting": cloud_event("auto_order.placed", PLACED)}
    batch = [received(body, message_id=name) for name, body in bodies.items()]
    assert worker(*batch, remaining_ms=3_000) == again(*bodies)
    assert (worker.queue.delays, worker.queue.dead, worker.account.balance()) == ({}, [], (500, 0))


@pytest.mark.parametrize("error", [UnavailableError, PermissionError])
@pytest.mark.parametrize("call", ["dead_letter", "defer"])
def test_a_message_that_the_queue_would_not_take_stays(call: str, error: type[Exception]) -> None:
    """It is not acknowledged, so it comes back when the queue shows it again; its neighbours are done."""

    class Silent(MemoryQueue):
        def dead_letter(self, body: str, reason: str) -> None:
            raise error(body + reason)

        def defer(self, delays: Mapping[str, int]) -> None:
            raise error(str(delays))

    worker = Worker(queue=Silent())
    body = "hopeless" if call == "dead_letter" else cloud_event("auto_order.placed", PLACED | {"order_id": "A-9"})
    assert worker(received(body, message_id="1"), received(requested(), message_id="2")) == again("1")
    assert worker.account.balance() == (500, 100)


def test_a_batch_logs_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """Which says what became of each message, and why."""
    worker = Worker()
    bodies = (requested(), "hopeless", cloud_event("auto_order.placed", PLACED | {"order_id": "A-9"}))
    with caplog.at_level(logging.DEBUG, logger=logger.name):
        worker(*(received(body, message_id=str(number)) for number, body in enumerate(bodies)))
    (line,) = (record for record in caplog.records if record.name == logger.name)
    assert line.__dict__["messages"] == [
        {"message_id": "0", "type": "auto_order.requested", "account_id": "acme", "receives": 1, "age_s": 0, "did": "held", "reason": None},
        {"message_id": "1", "type": "", "account_id": "", "receives": 1, "age_s": 0, "did": "dead_letter", "reason": "invalid_json"},
        {"message_id": "2", "type": "auto_order.placed", "account_id": "acme", "receives": 1, "age_s": 0, "did": "retry", "reason": "result_before_request"},
    ]  # fmt: skip

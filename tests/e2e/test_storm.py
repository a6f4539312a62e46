"""Storms on the deployed stack: thousands of messages, repeated, in any order, some poison.

In one of them workers die, in the other one the table is slow, and nobody may die of it.

What must come of each order is told by a small model of the contract's section 7, which knows nothing of the product:
it plays an order's messages in every order they can come in and gives all the ends that are right.
"""

import contextlib
import hashlib
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.kit.polling import FOR_EVER_S, Mapping, Polling, function_environment, polled
from tests.kit.slow import Slowness, slow_proxy
from tests.kit.stack import Stack

POOR_ACCOUNTS = 3
MESSAGES = 2_000
POISON = 60  # 3%
VISIBILITY_SECONDS = 35  # the worker's timeout and a little: the batch of a killed worker comes back after this
SECONDS_BETWEEN_KILLS = (1.0, 4.0)
KILLS = 12
BATCH = 100  # how many messages a worker takes at once, unless the template is told otherwise
SLOW_SHARE = 0.3
SLOW_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 15.0  # on the slow table: what was given back is shown again then, however long its own delay
DEADLINE_SECONDS = 900  # a quiet machine needs three minutes
SOURCE = "storm"
LACKING = "Insufficient Auto-orders credits, please purchase more credits and resend the order."

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Weather:
    """What kind of storm it is. `mixed`: the messages of so many accounts come mixed, the next ones' after them."""

    accounts: int
    mixed: int
    max_deliveries: int
    kills: int = 0
    slow_share: float = 0.0
    longest_wait_s: float = FOR_EVER_S


DEADLY = Weather(accounts=50, mixed=50, max_deliveries=4, kills=KILLS)
SLOW = Weather(accounts=50, mixed=4, max_deliveries=4, slow_share=SLOW_SHARE, longest_wait_s=LONGEST_WAIT_SECONDS)


# ---------------------------------------------------------------- the model


@dataclass(frozen=True)
class Step:
    """A message of an order's story: its type without the family, and what it says beside the work's id."""

    type: str
    attempt: int | None = None
    managed: int | None = None


@dataclass(frozen=True)
class State:
    """An order or product as the contract has it; `parts` are the present attempt's."""

    status: str | None = None
    attempt: int = 1
    parts: tuple[tuple[str, str], ...] = ()
    known: frozenset[str] = frozenset()
    charged: frozenset[str] = frozenset()
    completed: bool = False  # in this attempt, a conversion that was charged before it

    def part(self, name: str) -> str | None:
        """How the part stands in the present attempt."""
        return dict(self.parts).get(name)

    def end_part(self, name: str, how: str) -> "State":
        """The part captured or released."""
        parts = tuple((one, how if one == name else now) for one, now in self.parts)
        charged = self.charged | {name} if how == "captured" else self.charged
        return replace(self, parts=parts, charged=charged)

    def open_parts(self, names: Sequence[str], status: str) -> "State":
        """The parts opened, but for those that are charged already."""
        missing = [name for name in names if name not in self.charged]
        kept = tuple(pair for pair in self.parts if pair[0] not in missing)
        parts = (*kept, *((name, "open") for name in missing))
        return replace(self, status=status, parts=parts, known=self.known | set(names))


RESULTS = {
    "auto_order.placed": ("order", "captured"),
    "auto_order.failed": ("order", "released"),
    "tracking_conversion.completed": ("tracking", "captured"),
    "tracking_conversion.failed": ("tracking", "released"),
    "sourcing.accepted": ("sourcing", "captured"),
    "sourcing.rejected": ("sourcing", "released"),
}


def after(state: State, step: Step, names: tuple[str, ...]) -> State | None:
    """The work once the message was processed; None if the message has to wait."""
    if step.type == "tracking_conversion.requested":
        return after_conversion_requested(state, names)
    if step.type in ("auto_order.requested", "sourcing.requested"):
        if state.status in ("failed", "rejected"):
            state = replace(state, attempt=state.attempt + 1, parts=(), status=None, completed=False)
        return state if state.status else state.open_parts(names, "processing")
    part, how = RESULTS[step.type]
    if state.status is None or (step.attempt or 0) > state.attempt or part not in state.known:
        return None
    if step.attempt in (None, state.attempt) and completes_charged(state, part, how):
        return replace(state, status="shipped" if state.status == "ordered" else state.status, completed=True)
    if step.attempt not in (None, state.attempt) or state.part(part) != "open":
        return state
    return after_end(state.end_part(part, how), part, how)


def completes_charged(state: State, part: str, how: str) -> bool:
    """Whether a conversion was converted that was charged already, in an earlier attempt."""
    charged_before = part == "tracking" and part in state.charged and state.part(part) is None
    return charged_before and how == "captured" and state.status != "failed"


def after_end(state: State, part: str, how: str) -> State:
    """The status, once a part has ended so: a failed order gives all back, a shipped one is placed and converted."""
    if part == "sourcing":
        return replace(state, status="accepted" if how == "captured" else "rejected")
    if part == "order" and how == "released":
        for name, now in state.parts:
            state = state.end_part(name, how) if now == "open" else state
        return replace(state, status="failed")
    if part == "order":
        converted = state.completed or state.part("tracking") == "captured"
        return replace(state, status="shipped" if converted else "ordered")
    return replace(state, status="shipped") if (how, state.status) == ("captured", "ordered") else state


def after_conversion_requested(state: State, names: tuple[str, ...]) -> State | None:
    """A manual order is opened by it, an automated one must be known; a failed one is left alone."""
    if state.status is None:
        return state.open_parts(names, "ordered") if "order" not in names else None
    if state.status == "failed" or state.part("tracking") == "open" or "tracking" in state.charged:
        return state
    return state.open_parts(("tracking",), state.status)


@cache
def ends(steps: tuple[Step, ...], names: tuple[str, ...]) -> frozenset[State]:
    """Every end that these messages may lead to, whatever order they come in."""
    found: set[State] = set()
    seen: set[tuple[State, frozenset[int]]] = set()
    to_do = [(State(), frozenset(range(len(steps))))]
    while to_do:
        state, left = to_do.pop()
        if (state, left) in seen:
            continue
        seen.add((state, left))
        nexts = [(reached, left - {one}) for one in left if (reached := after(state, steps[one], names)) is not None]
        to_do += nexts
        if not left:
            found.add(state)
        else:
            assert nexts, f"these messages wait for ever: {steps}"
    return frozenset(found)


# ---------------------------------------------------------------- the stories

TRACKING_PRICES = {"none": 0, "bce": 33, "qtrack": 150, "tracking_generator": 100}
MANUAL_PRICES = {"bce": 33, "qtrack": 50, "tracking_generator": 100}

R, P, F = Step("auto_order.requested"), Step("auto_order.placed"), Step("auto_order.failed")
Q, C, X = (Step(f"tracking_conversion.{end}") for end in ("requested", "completed", "failed"))
S, A, J = (Step(f"sourcing.{end}") for end in ("requested", "accepted", "rejected"))

PLAIN_STORIES = [(R,), (R, P), (R, P), (R, F), (R, P, F), (R, P, P), (R, F, R), (R, F, R, P)]
PLAIN_STORIES += [(R, F, R, replace(P, attempt=1)), (R, replace(F, attempt=1), R, replace(P, attempt=1)), (R, F, F, P)]
TRACKED_STORIES = [(R, P, C), (R, P, C), (R, P, X), (R, F, C), (R, P, C, X), (R, C), (R, P, F, C), (R, F, X, P)]
LATER_STORIES = [(R, P, Q, C), (R, P, Q, X), (R, Q, C), (R, F, Q)]
MANUAL_STORIES = [(Q,), (Q, C), (Q, X), (Q, C, X)]
SOURCING_STORIES = [(S,), (S, A), (S, J), (S, A, J), (S, J, S), (S, J, S, A)]
HTTP_STORIES = [(R, P), (R, F), (R, P, F)]


@dataclass(frozen=True)
class Story:
    """A piece of work and all its messages. `by_http`: its first request is a `POST /orders`."""

    account_id: str
    work_id: str
    kind: str  # order, product
    order_type: str | None
    tracking: str
    steps: tuple[Step, ...]
    cost: int | None = None
    by_http: bool = False

    def names(self) -> tuple[str, ...]:
        """The parts that its request opens, or its conversion."""
        if self.kind == "product":
            return ("sourcing",)
        if self.order_type == "manual":
            return ("tracking",)
        return ("order",) if self.tracking == "none" or Q in self.steps else ("order", "tracking")

    def price(self, part: str) -> int:
        """What the part costs."""
        if part == "tracking":
            return (MANUAL_PRICES if self.order_type == "manual" else TRACKING_PRICES)[self.tracking]
        return 100

    def spent(self) -> int:
        """What it costs in US cents once it is placed."""
        told = [step.managed for step in self.steps if step.managed is not None]
        return (told or [self.cost or 0])[0]

    def body(self, index: int) -> str:
        """The message of a step."""
        step = self.steps[index]
        data: dict[str, Any] = {"account_id": self.account_id, f"{self.kind}_id": self.work_id}
        if step.attempt is not None:
            data["attempt"] = step.attempt
        match step.type:
            case "auto_order.requested":
                tracking = "none" if Q in self.steps else self.tracking
                data |= {"store_id": "s1", "order_type": self.order_type, "tracking": tracking}
                data |= {} if self.cost is None else {"cost": f"{self.cost / 100:.2f}"}
            case "tracking_conversion.requested":
                data |= {"store_id": "s1", "tracking": self.tracking, "tracking_number": f"TBA-{self.work_id}"}
                data |= {"order_type": "manual"} if self.order_type == "manual" else {}
            case "sourcing.requested":
                data |= {"store_id": "s1"}
            case "auto_order.placed":
                data |= {"supplier_order_id": f"114-{self.work_id}"}
                data |= {} if step.managed is None else {"managed": f"{step.managed / 100:.2f}"}
            case "tracking_conversion.completed":
                data |= {"tracking_number": f"BCE-{self.work_id}"}
            case "auto_order.failed" | "tracking_conversion.failed":
                data |= {"reason": "it failed"}
        return event(step.type, data, f"{self.account_id}-{self.work_id}-{index}")


def event(kind: str, data: dict[str, Any], message_id: str) -> str:
    """A CloudEvent of the storm."""
    return json.dumps({"specversion": "1.0", "id": message_id, "source": SOURCE, "type": kind, "data": data})


def digest_of(body: str) -> str:
    """How a work record remembers this message."""
    message = json.loads(body)
    source, message_id = message["source"], message["id"]
    return hashlib.sha256(f"{len(source)}:{source}{message_id}".encode()).hexdigest()[:32]


@dataclass
class Storm:
    """All that is sent, and what must come of it."""

    weather: Weather
    chance: random.Random
    tag: str = field(default_factory=lambda: uuid4().hex[:8])
    stories: list[Story] = field(default_factory=list)
    poison: dict[str, str] = field(default_factory=dict)  # body -> reason

    def __post_init__(self) -> None:
        accounts = [f"storm-{self.tag}-{number:02}" for number in range(self.weather.accounts)]
        self.poor, self.rich = accounts[:POOR_ACCOUNTS], accounts[POOR_ACCOUNTS:]
        self.make_poison()
        for account_id in self.rich:
            self.add(account_id, "order", "auto", HTTP_STORIES, by_http=True)
        for account_id in self.poor:
            for _ in range(20):
                self.add(account_id, "order", "auto", [(R,)])
        while (left := MESSAGES - POISON - len(self.good())) > 0:
            self.add_any(self.chance.choice(self.rich), left)

    def good(self) -> list[str]:
        """The bodies of all good messages."""
        return [
            story.body(index) for story in self.stories for index in range(1 if story.by_http else 0, len(story.steps))
        ]

    def add_any(self, account_id: str, left: int) -> None:
        """A story of any kind, of at most `left` messages."""
        tracking = self.chance.choice(("bce", "qtrack", "tracking_generator"))
        kinds: list[tuple[str, str | None, list[tuple[Step, ...]], str]] = [
            ("order", "auto", PLAIN_STORIES, "none"),
            ("order", "auto", PLAIN_STORIES, "none"),
            ("order", "auto", TRACKED_STORIES, tracking),
            ("order", "auto", TRACKED_STORIES, tracking),
            ("order", "fba", PLAIN_STORIES[:5], "none"),
            ("order", "fba", TRACKED_STORIES[:5], tracking),
            ("order", "auto", LATER_STORIES, tracking),
            ("order", "manual", MANUAL_STORIES, tracking),
            ("product", None, SOURCING_STORIES, "none"),
        ]
        kind, order_type, stories, tracking = self.chance.choice(kinds)
        if short := [story for story in stories if len(story) <= left]:
            self.add(account_id, kind, order_type, short, tracking)

    def add(
        self,
        account_id: str,
        kind: str,
        order_type: str | None,
        stories: Sequence[tuple[Step, ...]],
        tracking: str = "none",
        *,
        by_http: bool = False,
    ) -> None:
        """One story of these."""
        steps = self.chance.choice(stories)
        cost = self.chance.randint(1, 3000) if order_type == "fba" else None
        if cost is not None and self.chance.random() < 0.5:
            managed = self.chance.randint(1, cost)
            steps = tuple(replace(step, managed=managed) if step.type == P.type else step for step in steps)
        work_id = f"w{len(self.stories):04}"
        self.stories.append(Story(account_id, work_id, kind, order_type, tracking, steps, cost, by_http))

    def make_poison(self) -> None:
        """Messages that can never be processed, and why."""
        number = 0
        while len(self.poison) < POISON:
            number += 1
            account_id = self.chance.choice(self.rich)
            fresh = f"bad{number:03}"
            work = {"account_id": account_id, "order_id": fresh, "store_id": "s1", "order_type": "auto"}
            work["tracking"] = "none"
            known = work | {"order_id": "known"}
            request, name = "auto_order.requested", f"{self.tag}-poison-{number}"
            conversion = {"account_id": account_id, "order_id": "known", "store_id": "s2", "tracking": "bce"}
            conversion["tracking_number"] = "TBA"
            good = event(request, work, name)
            bodies = [
                (f"no JSON at all, {name}", "invalid_json"),
                (good[:-1], "invalid_json"),
                (good[:-1] + ', "id": "twice"}', "invalid_json"),
                ("[" * 50 + f'"{name}"' + "]" * 50, "invalid_json"),
                (f'["{name}"]', "invalid_field"),
                (good.replace('"1.0"', '"0.3"'), "invalid_field"),
                (event("auto_order.eaten", work, name), "invalid_field"),
                (event(request, work | {"credits": "0.01"}, name), "unknown_field"),
                (event(request, work | {"price": "0.01"}, name), "unknown_field"),
                (event(request, work | {"account_id": f"nobody-{name}"}, name), "account_not_found"),
                (event(request, known | {"store_id": "s2"}, name), "order_conflict"),
                (event(request, known | {"tracking": "bce"}, name), "order_conflict"),
                (event(request, known | {"order_type": "fba", "cost": "1.00"}, name), "order_conflict"),
                (event("tracking_conversion.requested", conversion, name), "order_conflict"),
                (event(request, work | {"order_type": "manual"}, name), "invalid_field"),
                (event(request, work | {"order_id": "a b"}, name), "invalid_id"),
                (event(request, work | {"order_type": "fba", "cost": "1.5"}, name), "invalid_amount"),
                (good.replace("s1", "s\ufffd"), "invalid_encoding"),
            ]
            body, reason = bodies[number % len(bodies)]
            self.poison[body] = reason

    def deliveries(self) -> list[str]:
        """Every body, once or several times, in random order, but for the accounts that come later."""
        bodies = [*self.good(), *self.poison]
        assert len(set(bodies)) == len(bodies) == MESSAGES
        sent = [body for body in bodies for _ in range(self.chance.randint(1, self.weather.max_deliveries))]
        self.chance.shuffle(sent)
        places = {account_id: number for number, account_id in enumerate([*self.poor, *self.rich])}
        return sorted(sent, key=lambda body: places.get(group_of(body), 0) // self.weather.mixed)


# ---------------------------------------------------------------- the stack's queue and its workers


@dataclass(frozen=True)
class Queue:
    """The orders queue, as its owner sees it."""

    sqs: Any
    url: str

    def send(self, bodies: Sequence[str]) -> None:
        """Send at most ten messages, each in its account's group."""
        entries = [
            {"Id": str(number), "MessageBody": body, "MessageGroupId": group_of(body)}
            for number, body in enumerate(bodies)
        ]
        answer = self.sqs.send_message_batch(QueueUrl=self.url, Entries=entries)
        assert not answer.get("Failed"), answer

    def left(self) -> int:
        """How many messages there are, also those being worked on or waiting."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(int(counts[name]) for name in names)


def group_of(body: str) -> str:
    """The account that a message is about."""
    try:
        return str(json.loads(body)["data"]["account_id"])
    except (ValueError, KeyError, TypeError):
        return "none"


def children_of(pid: int) -> list[tuple[int, str]]:
    """Process id and command line of each child of the process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):  # it has just ended
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid:
                found.append((int(folder.name), (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()))
    return found


def descend(pid: int, *marks: str) -> list[int]:
    """The processes that are reached from `pid` through children whose command lines hold the marks, in turn."""
    pids = [pid]
    for mark in marks:
        pids = [child for one in pids for child, command in children_of(one) if mark in command]
    return pids


def is_at_work(pid: int) -> bool:
    """Whether the process has talked to the table. When one dies that only starts, the emulator ends all the others."""
    with contextlib.suppress(OSError):
        return any(str(link.readlink()).startswith("socket:") for link in Path(f"/proc/{pid}/fd").iterdir())
    return False


def workers() -> list[int]:
    """The processes that work on the queue of the stack that this test's process started, and no others."""
    found = descend(os.getpid(), "dev.stack.run", "ministack.app", "-ConsumeWorkerFunction-")
    return [pid for pid in found if is_at_work(pid)]


def kill_a_worker(chance: random.Random) -> bool:
    """Kill one worker, unless it is the last."""
    found = workers()
    if len(found) < 2:
        return False
    victim = chance.choice(found)
    with contextlib.suppress(ProcessLookupError), open_process(victim) as handle:
        if victim in workers():  # else the handle may be of a process that took over its number
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            return True
    return False


@contextlib.contextmanager
def open_process(pid: int) -> Iterator[int]:
    """A handle of a process, which stays its own when the number is given to another."""
    handle = os.pidfd_open(pid)
    try:
        yield handle
    finally:
        os.close(handle)


# ---------------------------------------------------------------- the storm


@dataclass(eq=False)
class Aftermath:
    """What was sent, and what it did."""

    stack: Stack
    storm: Storm
    sent: Counter[str]
    kills: int
    polling: Polling
    slowness: Slowness

    def get(self, account_id: str, path: str) -> dict[str, Any]:
        """A route of an account."""
        answer = self.stack.call("GET", f"/v1/accounts/{account_id}{path}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def read_all(self, account_id: str, path: str) -> list[dict[str, Any]]:
        """All items of a list, newest first."""
        items: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = self.get(account_id, f"{path}?limit=100{cursor}")
            items += page["items"]
            if page["next_cursor"] is None:
                return items
            cursor = f"&cursor={page['next_cursor']}"

    @cache  # noqa: B019 - one object, for as long as the module's tests run
    def entries(self, account_id: str) -> tuple[dict[str, Any], ...]:
        """All entries of an account, oldest first."""
        return tuple(self.read_all(account_id, "/entries")[::-1])

    @cache  # noqa: B019 - likewise
    def orders(self, account_id: str) -> dict[str, dict[str, Any]]:
        """All orders of an account by their ids."""
        return {order["order_id"]: order for order in self.read_all(account_id, "/orders")}

    @cache  # noqa: B019 - likewise
    def work(self, story: Story) -> dict[str, Any]:
        """The order or product of a story."""
        if story.kind == "order":
            return self.orders(story.account_id)[story.work_id]
        return self.get(story.account_id, f"/sourcing/{story.work_id}")

    def entries_of(self, story: Story) -> list[dict[str, Any]]:
        """The entries of an order or product."""
        name = f"{story.kind}_id"
        return [entry for entry in self.entries(story.account_id) if entry.get(name) == story.work_id]

    def accounts(self) -> list[str]:
        """All accounts of the storm."""
        return [*self.storm.poor, *self.storm.rich]


def open_account(stack: Stack, account_id: str, *, poor: bool) -> None:
    """Open and fund an account, and debit its order `known`; a poor one can pay for four orders more."""
    path = f"/v1/accounts/{account_id}"
    assert stack.call("PUT", path, json={"orders_processor": "active"}).status_code == 201
    for unit, amount in () if poor else (("auto_order", "5000.00"), ("managed", "50000.00")):
        body = {"unit": unit, "amount": amount, "reason": "storm"}
        assert stack.call("POST", f"{path}/adjustments", json=body, key=f"fund-{unit}").status_code == 201
    body = {"order_id": "known", "store_id": "s1", "order_type": "auto", "tracking": "none"}
    assert stack.call("POST", f"{path}/debits", json=body, key="known").status_code == 201


def queue_by_http(stack: Stack, story: Story) -> None:
    """`POST /orders`, twice: the second sends the message again, if the order is still queued."""
    body = {"order_id": story.work_id, "store_id": "s1", "order_type": story.order_type, "tracking": story.tracking}
    for _ in range(2):
        answer = stack.call("POST", f"/v1/accounts/{story.account_id}/orders", json=body, key=story.work_id)
        assert (answer.status_code, answer.json()["status"]) == (202, "queued"), answer.text


@pytest.fixture(scope="module", params=[DEADLY, SLOW], ids=["workers die", "the table is slow"])
def aftermath(stack: Stack, request: pytest.FixtureRequest) -> Aftermath:
    """The storm, once it is over: nothing is left in the queue."""
    weather: Weather = request.param
    seed = int(os.environ.get("STORM_SEED") or random.SystemRandom().randrange(10**9))
    print(f"STORM_SEED={seed}")  # noqa: T201 - shown with a failure
    chance = random.Random(seed)
    storm = Storm(weather, chance)
    deliveries = storm.deliveries()
    queue = Queue(stack.client("sqs"), stack.info["orders_queue_url"])
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: open_account(stack, one, poor=one in storm.poor), [*storm.poor, *storm.rich]))
    opened = time.monotonic()
    slowness = Slowness(weather.slow_share, SLOW_SECONDS, chance=random.Random(seed))
    with (
        under(weather, stack, slowness),
        polled(stack, weather.longest_wait_s) as polling,
        ThreadPoolExecutor(2) as pool,
    ):
        by_http = pool.map(lambda one: queue_by_http(stack, one), [one for one in storm.stories if one.by_http])
        for number in range(0, len(deliveries), 10):
            queue.send(deliveries[number : number + 10])
        sent = time.monotonic()
        list(by_http)
        kills = wait_until_over(queue, weather, chance)
        over = time.monotonic()
    print(  # noqa: T201 - shown with a failure
        f"{len(deliveries)} deliveries of {MESSAGES} messages, {kills} workers killed; accounts opened in "
        f"{opened - began:.0f} s, sent in {sent - opened:.0f} s, processed {over - sent:.0f} s later; "
        f"{polling.summary()}; {slowness.slow_calls} of {slowness.calls} calls to the table were slow"
    )
    return Aftermath(stack, storm, Counter(deliveries), kills, polling, slowness)


@contextlib.contextmanager
def under(weather: Weather, stack: Stack, slowness: Slowness) -> Iterator[None]:
    """While what dead workers had comes back soon, or while the workers' table is slow."""
    with contextlib.ExitStack() as around:
        if weather.kills:
            around.enter_context(stack.visibility(VISIBILITY_SECONDS))
        if weather.slow_share:
            address = around.enter_context(slow_proxy(stack.info["endpoint_url"], slowness))
            function_name = Mapping.of(stack).function_name
            around.enter_context(function_environment(stack, function_name, AWS_ENDPOINT_URL_DYNAMODB=address))
        yield


def wait_until_over(queue: Queue, weather: Weather, chance: random.Random) -> int:
    """Wait until nothing is left in the queue, kill workers meanwhile, and say how many."""
    kills = 0
    next_kill = time.monotonic()
    deadline = next_kill + DEADLINE_SECONDS
    while (left := queue.left()) > 0:
        assert time.monotonic() < deadline, f"{left} messages are left in the queue"
        if kills < weather.kills and time.monotonic() >= next_kill:
            kills += kill_a_worker(chance)
            next_kill = time.monotonic() + chance.uniform(*SECONDS_BETWEEN_KILLS)
        time.sleep(0.25)
    return kills


def cents(amount: str) -> int:
    """Hundredths of an amount."""
    return int(amount.replace(".", ""))


@pytest.mark.parametrize("aftermath", [DEADLY], indirect=True, ids=["workers die"])
def test_workers_were_killed(aftermath: Aftermath) -> None:
    """Else the storm was none; and who polls the queue sees the calls break that were under way."""
    assert aftermath.kills >= KILLS / 2
    assert aftermath.polling.errors


@pytest.mark.parametrize("aftermath", [SLOW], indirect=True, ids=["the table is slow"])
def test_no_worker_dies_of_a_slow_table(aftermath: Aftermath) -> None:
    """Three of ten calls to the table were slow, and each call of the function ended by itself, in time."""
    slowness = aftermath.slowness
    assert slowness.calls > MESSAGES / 10
    assert slowness.slow_calls == pytest.approx(SLOW_SHARE * slowness.calls, rel=0.2)
    assert aftermath.polling.errors == []


def test_batches_are_as_large_as_the_template_says(aftermath: Aftermath) -> None:
    """Where there are enough messages."""
    assert max(aftermath.polling.sizes) == BATCH


def test_every_message_is_an_outcome_or_a_dead_letter(aftermath: Aftermath) -> None:
    """By its body: good ones are remembered by their work, once, and poison lies whole in the dead-letter queue."""
    letters = Counter(letter.body for letter in aftermath.stack.dead_letters() if letter.body in aftermath.sent)
    assert set(letters) == set(aftermath.storm.poison)
    remembered = Counter(digest for seen in read_seen(aftermath).values() for digest in seen)
    good = aftermath.storm.good()
    missing = [body for body in good if remembered[digest_of(body)] != 1]
    assert not missing
    assert set(aftermath.sent) == set(letters) | set(good)


def test_every_poison_message_has_its_reason(aftermath: Aftermath) -> None:
    """Each delivery is there, and no more than killed workers may have left twice."""
    letters = [letter for letter in aftermath.stack.dead_letters() if letter.body in aftermath.sent]
    assert {letter.body: letter.reason for letter in letters} == aftermath.storm.poison
    counts = Counter(letter.body for letter in letters)
    too_many = {body: count - aftermath.sent[body] for body, count in counts.items() if count != aftermath.sent[body]}
    assert all(more > 0 for more in too_many.values())
    assert sum(too_many.values()) <= BATCH * aftermath.kills
    strangers = [letter.body for letter in aftermath.stack.dead_letters() if aftermath.storm.tag in letter.body]
    assert set(strangers) <= set(aftermath.storm.poison)


def read_seen(aftermath: Aftermath) -> dict[tuple[str, str], list[str]]:
    """The messages that each work of the storm remembers, from the table itself."""
    dynamodb = aftermath.stack.client("dynamodb")
    seen = {}
    for page in dynamodb.get_paginator("scan").paginate(TableName=aftermath.stack.info["table_name"]):
        for item in page["Items"]:
            account_id, _, work_id = item["pk"]["S"].removeprefix("account#").partition("#")
            if item["sk"]["S"] == "work" and account_id in aftermath.accounts():
                seen[account_id, work_id] = [one["S"] for one in item.get("seen", {}).get("L", [])]
    return seen


def test_every_order_is_as_its_messages_say(aftermath: Aftermath) -> None:
    """Status, attempt, parts and credits are those of an order in which its messages may have come."""
    wrong = []
    for story in aftermath.storm.stories:
        if story.account_id in aftermath.storm.poor:
            continue
        work = aftermath.work(story)
        is_now = (work["status"], work["attempt"], work["parts"], cents(work["credits"]))
        right = [
            (end.status, end.attempt, dict(end.parts), sum(map(story.price, end.charged)))
            for end in ends(tuple(replace(step, managed=None) for step in story.steps), story.names())
        ]
        if is_now not in right:
            wrong.append((story, is_now, right))
    assert not wrong


def test_every_order_is_charged_once_and_as_its_parts_say(aftermath: Aftermath) -> None:
    """Its entries hold each part once an attempt, end it at most once, and add up to what it has cost."""
    for story in aftermath.storm.stories:
        work, entries = aftermath.work(story), aftermath.entries_of(story)
        moves = [(entry["attempt"], entry["unit"], entry.get("part"), entry["kind"]) for entry in entries]
        assert len(set(moves)) == len(moves), (story, moves)
        charges = Counter((entry["unit"], entry["part"]) for entry in entries if entry["kind"] == "captured")
        assert all(count == 1 for count in charges.values()), (story, moves)
        ended = Counter(move[:3] for move in moves if move[3] in ("captured", "released"))
        assert all(count == 1 for count in ended.values()), (story, moves)
        assert set(ended) <= {move[:3] for move in moves if move[3] == "held"}, (story, moves)
        open_parts = [name for name, status in work["parts"].items() if status == "open"]
        captured = sum(cents(entry["posted"]) for entry in entries if entry["unit"] == "auto_order")
        held = sum(cents(entry["held"]) for entry in entries if entry["unit"] == "auto_order")
        assert (-captured, held) == (cents(work["credits"]), sum(map(story.price, open_parts))), (story, moves)
        managed = [entry for entry in entries if entry["unit"] == "managed"]
        spent = story.spent() if ("managed", "order") in charges else 0
        set_aside = (story.cost or 0) if "order" in open_parts else 0
        assert -sum(cents(entry["posted"]) for entry in managed) == spent, (story, moves)
        assert sum(cents(entry["held"]) for entry in managed) == set_aside, (story, moves)
        assert bool(managed) == (story.cost is not None), (story, moves)


def test_the_books_are_right(aftermath: Aftermath) -> None:
    """Versions have no gap, entries add up to the balance at every step, held is what is open; nobody overdraws."""
    for account_id in aftermath.accounts():
        entries = aftermath.entries(account_id)
        account = aftermath.get(account_id, "/balance")
        assert {entry["version"] for entry in entries} == set(range(1, account["version"] + 1))
        ids = [tuple(map(int, entry["entry_id"].split("."))) for entry in entries]
        assert ids == sorted(set(ids))
        totals = {unit: [0, 0] for unit in account["balances"]}
        for entry in entries:
            if entry["unit"] is None:
                continue
            total = totals[entry["unit"]]
            total[0] += cents(entry["posted"])
            total[1] += cents(entry["held"])
            assert [cents(entry["balance"]["posted"]), cents(entry["balance"]["held"])] == total
            assert cents(entry["balance"]["available"]) == total[0] - total[1] >= 0
        for unit, balance in account["balances"].items():
            assert [cents(balance["posted"]), cents(balance["held"])] == totals[unit]
        stories = [story for story in aftermath.storm.stories if story.account_id == account_id]
        held = sum(
            story.price(name)
            for story in stories
            for name, status in aftermath.work(story)["parts"].items()
            if status == "open"
        )
        assert totals["auto_order"][1] == held


def test_poison_made_no_orders(aftermath: Aftermath) -> None:
    """Each account has the orders of its stories and the one that was there before, which was charged once."""
    for account_id in aftermath.accounts():
        stories = {
            story.work_id
            for story in aftermath.storm.stories
            if (story.account_id, story.kind) == (account_id, "order")
        }
        orders = aftermath.orders(account_id)
        assert set(orders) == stories | {"known"}
        known = orders["known"]
        assert (known["status"], known["attempt"], known["credits"]) == ("ordered", 1, "1.00")


def test_a_poor_account_pays_for_as_many_orders_as_it_can(aftermath: Aftermath) -> None:
    """Four of twenty are in work; each other one failed with the sentence, in one entry of 0.00."""
    for account_id in aftermath.storm.poor:
        stories = [story for story in aftermath.storm.stories if story.account_id == account_id]
        ended = [(work["status"], work["attempt"], work["status_text"]) for work in map(aftermath.work, stories)]
        assert Counter(ended) == {("processing", 1, None): 4, ("failed", 1, LACKING): 16}
        refused = [entry for entry in aftermath.entries(account_id) if entry["kind"] == "refused"]
        assert len({entry["order_id"] for entry in refused}) == len(refused) == 16
        assert {entry["reason"] for entry in refused} == {LACKING}
        balance = aftermath.get(account_id, "/balance")["balances"]["auto_order"]
        assert balance == {"posted": "4.00", "held": "4.00", "available": "0.00"}


def test_nobody_else_was_refused(aftermath: Aftermath) -> None:
    """Accounts with enough credits have no refusal in their books."""
    kinds = Counter(entry["kind"] for one in aftermath.storm.rich for entry in aftermath.entries(one))
    assert kinds["refused"] == 0

"""The processes that `test_kills.py` kills: eight workers, the engine they work on, and the driver that kills both.

The driver has one thread and has imported everything, so that it forks a new worker in milliseconds. Each worker
appends to a journal of its own what it begins and what it is told, each line in one unbuffered write: `kill -9` loses
nothing of it. A new worker first repeats what the one before it has begun and not ended, as a client would.

What is asked under a number follows from the seed and the number alone, so that whoever knows the number can ask it
again, and the test can tell what was asked.
"""

import gc
import json
import mmap
import os
import random
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from autocredits.adapters.clock import SystemClock
from autocredits.adapters.dynamo import DynamoStore
from autocredits.domain.accounts import OpenAccount
from autocredits.domain.decide import Command, RecordWrite
from autocredits.domain.errors import Problem
from autocredits.domain.journal import Page
from autocredits.domain.purchases.calls import MakeCoupon, PurchaseRequest, TallyCoupon
from autocredits.domain.purchases.coupons import Coupon
from autocredits.domain.records import NO_ACCOUNT
from autocredits.domain.work.record import WorkRequest
from autocredits.ledger.commit import Accepted, Answer, Ledger
from tests.kit.builders import (
    CATALOG,
    PLATFORM,
    accepted,
    adjust,
    capture,
    completed,
    conversion,
    conversion_failed,
    debit,
    failed,
    hold,
    idempotency,
    order,
    placed,
    product,
    queue_order,
    rejected,
    release,
    requested,
    sourcing,
)
from tests.kit.engines import client_of, fetch, make_table
from tests.kit.purchases import begin, cancel, checkout, fulfil, start

TABLE_NAME = "credits"
WORKERS = 8
KILLS_A_SECOND = 30.0
COMMIT_SECONDS = 0.012
"""Every second kill waits until its victim sends a commit, and hits it within so many seconds: a commit takes less."""
COMMIT_PATIENCE = 0.1
ENGINE_EVERY = 19
"""One in so many kills is the engine's."""
HOT_NUMBERS = 150
"""So many numbers go to one hot account before the next one: a journal that grows for ever would get slow to check."""
COLD_ACCOUNTS = 20
COLD_NUMBERS = 2_000
BEHIND, AHEAD = -12, 4
"""How far from the newest number workers choose the next one: near, so that several ask the same at once."""
ORDERS = 60
PRODUCTS = 8
PATIENCE = 40
READY_SECONDS = 20.0
POLL_SECONDS = 0.005
STRAGGLING = 15.0
"""Seconds that workers have to end what they have begun."""
PORTS = range(20_000, 32_000)  # below those that the kernel gives to clients, who could else take a dead engine's port


# ---------------------------------------------------------------- what is asked


@dataclass(frozen=True, slots=True)
class Run:
    """What the driver is told: where the files lie, what is done, for how many kills, and what is broken on purpose."""

    folder: str
    scene: str
    seed: str
    kills: int
    seconds: float
    broken: str = ""

    def database(self) -> Path:
        """The engine's file."""
        return Path(self.folder, "db")

    def journal(self, slot: int) -> Path:
        """What the workers of a slot have begun and were told."""
        return Path(self.folder, f"journal-{slot}")

    def ask(self, number: int) -> "Ask":
        """What is asked under a number."""
        rng = random.Random(f"{self.seed} {number}")
        account_id = f"hot-{number // HOT_NUMBERS}"
        if self.scene == "many":
            account_id = f"cold-{number // COLD_NUMBERS}-{rng.randrange(COLD_ACCOUNTS)}"
        (make,) = rng.choices(list(_ASKS), list(_ASKS.values()))
        return Ask(account_id, make(rng, number))


Steps = tuple[tuple[Command, ...], ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """An account and what it is to do: one step after the other, the commands of a step in one go."""

    account_id: str
    steps: Steps


def _work(rng: random.Random) -> WorkRequest:
    """One of a few orders and products, so that different keys ask for the same; an order keeps its type."""
    if rng.random() < 0.1:
        return product(f"p{rng.randrange(PRODUCTS)}")
    number = rng.randrange(ORDERS)
    order_type = ("auto", "auto", "auto", "fba", "manual")[number % 5]
    # Without `tracking_generator`: of the others, the price alone tells which parts were paid for.
    tracking = rng.choice(("bce", "qtrack") if order_type == "manual" else ("none", "bce", "qtrack"))
    return order(f"o{number}", order_type, tracking)


def _debit(rng: random.Random, number: int) -> Steps:
    return ((debit(_work(rng), idempotency(f"k{number}")),),)


def _hold(rng: random.Random, number: int) -> Steps:
    return ((hold(_work(rng), idempotency(f"k{number}")),),)


def _queue(rng: random.Random, number: int) -> Steps:
    return ((queue_order(order(f"o{rng.randrange(ORDERS)}"), idempotency(f"k{number}")),),)


def _capture(rng: random.Random, _: int) -> Steps:
    work = _work(rng)
    return ((capture(work.work_id, rng.choice((1, 1, 1, 2)), kind=work.kind),),)


def _release(rng: random.Random, _: int) -> Steps:
    work = _work(rng)
    return ((release(work.work_id, rng.choice((1, 1, 1, 2)), kind=work.kind),),)


def _adjust(rng: random.Random, number: int) -> Steps:
    unit, amount = rng.choice(
        (("auto_order", 1_500), ("auto_order", 900), ("auto_order", -150), ("auto_order", -400), ("managed", 9_000))
    )
    return ((adjust(unit, amount, idempotency(f"k{number}")),),)


def _message(rng: random.Random, message_id: str) -> Command:
    work = _work(rng)
    if work.kind == "product":
        make = rng.choice((sourcing, accepted, rejected))
        return make(work.work_id, message_id=message_id)
    if work.order_type != "manual" and rng.random() < 0.5:
        return requested(work.work_id, work.tracking or "", work.order_type or "", message_id=message_id)
    if rng.random() < 0.3:
        return conversion(work.work_id, rng.choice(("bce", "qtrack")), message_id=message_id)
    settle = rng.choice((placed, placed, failed, completed, conversion_failed))
    return settle(work.work_id, message_id=message_id)


def _messages(rng: random.Random, number: int) -> Steps:
    """A batch of the queue; the messages of two neighbours overlap."""
    ids = [f"m{number - rng.randrange(2)}.{index}" for index in range(rng.randint(1, 4))]
    return (tuple(_message(rng, message_id) for message_id in ids),)


COUPON = Coupon(code="KILLED", percent_off=1000)
"""A coupon without a limit, which all accounts use."""


def _purchase(rng: random.Random, number: int) -> Steps:
    """Bought with a coupon; either canceled, or paid, paid again, paid with other money, and partly refunded."""
    purchase_id = f"purchase-{number}"
    bought = {} if rng.random() < 0.5 else {"request": PurchaseRequest(amount=5_000)}
    coupon = None if bought else COUPON.code
    of = {"purchase_id": purchase_id, "coupon": coupon}
    price = 5_000 if bought else 3_591
    first, second = f"payment-{number}.0", f"payment-{number}.1"
    opening: Steps = (
        (start(purchase_id, caller=PLATFORM, idempotency=idempotency(f"k{number}"), coupon=coupon, **bought),),
        (checkout(purchase_id),),
        (begin(purchase_id, 1, caller=PLATFORM, request_id=f"r{number}", coupon=coupon),),
        (checkout(purchase_id, 2),),
    )
    tally: Steps = ((TallyCoupon(code=COUPON.code),),) if coupon else ()
    if rng.random() < 0.3:
        return *opening, (cancel(purchase_id, caller=PLATFORM, coupon=coupon),), *tally
    return (
        *opening,
        (fulfil("paid", price, payment_id=first, **of),),
        (fulfil("paid", price, payment_id=first, **of),),
        (fulfil("paid", price, payment_id=second, **of),),
        (fulfil("refunded", price // 3, payment_id=first, **of),),
        *tally,
    )


_ASKS: Mapping[Callable[[random.Random, int], Steps], int] = MappingProxyType(
    {_debit: 30, _hold: 14, _messages: 20, _capture: 9, _release: 4, _adjust: 18, _queue: 3, _purchase: 3}
)


# ---------------------------------------------------------------- what is broken on purpose


class Unconditional(DynamoStore):
    """A store whose commits have no conditions."""

    def _put(self, key: dict[str, Any], attributes: Mapping[str, Any], expected_rev: int | None) -> dict[str, Any]:
        put = super()._put(key, attributes, expected_rev)["Put"]
        return {"Put": {name: put[name] for name in ("TableName", "Item")}}


class Forgetful(DynamoStore):
    """A store that keeps no idempotency records."""

    def commit(
        self, account_id: str, page: Page | None, writes: Sequence[RecordWrite], *, vacant: int | None = None
    ) -> None:
        """All but the keys."""
        kept = [write for write in writes if write.key[0] != "key"]
        if page or kept:
            super().commit(account_id, page, kept, vacant=vacant)


class Torn(DynamoStore):
    """A store that writes the idempotency record after the page, in a transaction of its own."""

    def commit(
        self, account_id: str, page: Page | None, writes: Sequence[RecordWrite], *, vacant: int | None = None
    ) -> None:
        """First all but the keys, then the keys."""
        keys = [write for write in writes if write.key[0] == "key"]
        kept = [write for write in writes if write.key[0] != "key"]
        if page or kept:
            super().commit(account_id, page, kept, vacant=vacant)
        if keys:
            super().commit(account_id, None, keys)


STORES: Mapping[str, type[DynamoStore]] = MappingProxyType(
    {"": DynamoStore, "unconditional": Unconditional, "forgetful": Forgetful, "torn": Torn}
)


# ---------------------------------------------------------------- the worker


@dataclass(slots=True)
class Shared:
    """What all processes of a run see: the newest number, whether to stop, and how many commits each slot has sent.

    Nothing locks it: two who take the same number may.
    """

    memory: mmap.mmap = field(default_factory=lambda: mmap.mmap(-1, 9 + WORKERS))
    slot: int = 0

    def front(self) -> int:
        """The number after the newest."""
        return int.from_bytes(self.memory[:8], "little")

    def pass_front(self, number: int) -> None:
        """Note that a number was taken."""
        if number >= self.front():
            self.memory[:8] = (number + 1).to_bytes(8, "little")

    def stop(self) -> None:
        """Let the workers end what they do, and no more."""
        self.memory[8] = 1

    def stopped(self) -> bool:
        """Whether they are to end."""
        return self.memory[8] == 1

    def count_commit(self, **_: Any) -> None:
        """Note that this process is just sending a commit."""
        self.memory[9 + self.slot] = (self.memory[9 + self.slot] + 1) % 256

    def commits(self, slot: int) -> int:
        """How many a slot has sent, of the last 256."""
        return self.memory[9 + slot]


def lines_of(path: Path) -> list[Any]:
    """All that a journal tells."""
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def answer_map(answer: Answer) -> dict[str, Any]:
    """An answer as a journal has it. The page's hash stands for all that an answer shows: views are made from it."""
    if not isinstance(answer, Accepted):
        return {"refused": answer.code if isinstance(answer, Problem) else "not_yet"}
    done, page = answer.done, answer.head
    if page is None:
        return {"did": done.did, "replayed": False, "version": 0, "first": 0, "count": 0, "hash": ""}
    return {
        "did": done.did,
        "replayed": answer.replayed(),
        "version": page.version,
        "first": done.first,
        "count": done.count,
        "hash": page.hash,
    }


@dataclass(slots=True)
class Worker:
    """A process that asks, notes what it is told, and may die at any moment."""

    run: Run
    slot: int
    life: int
    ledger: Ledger
    shared: Shared
    journal: int = -1

    def work(self) -> None:
        """Repeat what was left open, then go on until the end is near or the driver has gone."""
        driver = os.getppid()
        self.shared.slot = self.slot
        path = self.run.journal(self.slot)
        open_numbers = self.left_open(path)
        self.journal = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        rng = random.Random(f"{self.run.seed} {self.slot} {self.life}")
        for number in open_numbers:
            self.note("again", number)
            self.ask(number)
        while not self.shared.stopped() and os.getppid() == driver:
            number = max(0, self.shared.front() + rng.randrange(BEHIND, AHEAD))
            self.shared.pass_front(number)
            self.note("begin", number)
            self.ask(number)

    def left_open(self, path: Path) -> list[int]:
        """The number that was begun and not ended, if there is one: the journal's last line tells."""
        if not path.exists():
            return []
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4_096))
            what, number, *_ = json.loads(file.read().splitlines()[-1])
        return [] if what == "end" else [number]

    def note(self, what: str, number: int, *told: Any) -> None:
        """Append a line, in one write."""
        line = json.dumps([what, number, *told]).encode() + b"\n"
        if os.write(self.journal, line) != len(line):
            raise OSError("the journal took half a line")

    def ask(self, number: int) -> None:
        """Ask all that the number stands for and note each answer; what goes wrong is noted as well."""
        asked = self.run.ask(number)
        try:
            for step, commands in enumerate(asked.steps):
                began = time.monotonic_ns()
                for index, answer in enumerate(self.answers(asked.account_id, commands)):
                    self.note("told", number, step, index, began, time.monotonic_ns(), answer_map(answer))
        except Exception:  # noqa: BLE001 - whatever it is, the test is to tell it
            self.note("fault", number, traceback.format_exc(limit=-4))
        self.note("end", number)

    def answers(self, account_id: str, commands: Sequence[Command]) -> list[Answer]:
        """As patient as a client: 503 says that the same is safe to send again. Opens the account where there is none."""
        reads_page = not isinstance(commands[0], TallyCoupon)
        for _ in range(PATIENCE):
            try:
                answers = self.ledger.execute_all(account_id, commands, reads_page=reads_page)
                if any(isinstance(answer, Problem) and answer.code == "account_not_found" for answer in answers):
                    self.ledger.execute(account_id, OpenAccount(PLATFORM, "active"))
                    continue
            except Problem as problem:
                if problem.code != "try_again":
                    raise
            else:
                return answers
        raise TimeoutError("never let through")


# ---------------------------------------------------------------- the driver


def _free_port() -> int:
    """A port that stays ours while the engine is dead, as far as that can be had."""
    for port in random.SystemRandom().sample(PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port")


@dataclass(slots=True)
class Driver:
    """Starts the engine and the workers, kills them, starts them again, and ends when all is answered."""

    run: Run
    deadline: float
    parent: int = field(default_factory=os.getppid)
    port: int = field(default_factory=_free_port)
    shared: Shared = field(default_factory=Shared)
    workers: dict[int, int] = field(default_factory=dict)
    lives: int = 0

    def drive(self) -> None:
        """The whole run."""
        engine = self.start_engine()
        try:
            store = self.prepare(engine)
            ledger = Ledger(store, SystemClock(), CATALOG)
            gc.freeze()  # else every fork copies what the collector touches
            for slot in range(WORKERS):
                self.start_worker(slot, ledger)
            for victim in self.victims():
                if victim is None:
                    self.check_alive(engine)
                    engine.kill()
                    engine.wait()
                    engine = self.start_engine()
                else:
                    self.kill_worker(victim)
                    self.start_worker(victim, ledger)
            self.shared.stop()
            self.wait_for_workers()
            self.check_alive(engine)
        finally:
            for pid in self.workers.values():
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            engine.kill()
            engine.wait()

    def victims(self) -> Iterator[int | None]:
        """Whom to kill next, at random times: the worker in a slot, or None for the engine."""
        rng = random.Random(f"{self.run.seed} kills")
        for number in range(self.run.kills):
            time.sleep(rng.uniform(0, 2 / KILLS_A_SECOND))
            if time.monotonic() > self.deadline:
                raise TimeoutError(f"after {number} of {self.run.kills} kills the time was up")
            if os.getppid() != self.parent:
                raise SystemExit("nobody wants the result")
            victim = rng.randrange(WORKERS)
            if number % 2:
                self.await_commit(victim)
                time.sleep(rng.uniform(0, COMMIT_SECONDS))
            yield None if number % ENGINE_EVERY == ENGINE_EVERY // 2 else victim

    def await_commit(self, slot: int) -> None:
        """Wait until the slot's worker sends a commit, if it soon does."""
        commits, patience = self.shared.commits(slot), time.monotonic() + COMMIT_PATIENCE
        while self.shared.commits(slot) == commits and time.monotonic() < patience:
            time.sleep(COMMIT_SECONDS / 40)

    def start_engine(self) -> subprocess.Popen[bytes]:
        """The engine on the run's file, always on the same port; it need not be ready yet."""
        command = [*fetch("dynoxide"), "serve", "--host", "127.0.0.1", "--port", str(self.port)]
        with Path(self.run.folder, "engine.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own engine
                [*command, "--db-path", str(self.run.database())], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def check_alive(self, engine: subprocess.Popen[bytes]) -> None:
        """It must not have ended by itself."""
        if engine.poll() is not None:
            log = Path(self.run.folder, "engine.log").read_text("utf-8", errors="replace")
            raise ChildProcessError(f"the engine has ended by itself ({engine.returncode}): {log[-500:]}")

    def prepare(self, engine: subprocess.Popen[bytes]) -> DynamoStore:
        """Make the table, and a store for the workers: its client has done all that a first call has to do."""
        ready = time.monotonic() + READY_SECONDS
        while time.monotonic() < ready:
            self.check_alive(engine)
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            time.sleep(POLL_SECONDS)
        url = f"http://127.0.0.1:{self.port}"
        client = client_of(url)
        make_table(client, TABLE_NAME)
        client.meta.events.register("before-send.dynamodb.TransactWriteItems", self.shared.count_commit)
        store = STORES[self.run.broken](client, TABLE_NAME)
        ledger = Ledger(store, SystemClock(), CATALOG)
        ledger.execute("warm", OpenAccount(PLATFORM, "active"))
        ledger.execute(NO_ACCOUNT, MakeCoupon(caller=PLATFORM, coupon=COUPON, request_id="driver"))
        client.close()  # its connections, which the workers would else share; it opens new ones
        return store

    def start_worker(self, slot: int, ledger: Ledger) -> None:
        """Fork a worker."""
        self.lives += 1
        worker = Worker(self.run, slot, self.lives, ledger, self.shared)
        pid = os.fork()
        if pid:
            self.workers[slot] = pid
            return
        status = 1
        try:
            worker.work()
            status = 0
        except BaseException:  # noqa: BLE001 - nothing may get beyond this, or there are two drivers
            traceback.print_exc()
        finally:
            os._exit(status)

    def kill_worker(self, slot: int) -> None:
        """Kill -9; it must have been at work until then."""
        pid = self.workers.pop(slot)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status):
            raise ChildProcessError(f"worker {slot} had ended by itself ({os.waitstatus_to_exitcode(status)})")

    def wait_for_workers(self) -> None:
        """Let all end what they have begun."""
        patience = time.monotonic() + STRAGGLING
        while self.workers:
            for slot, pid in list(self.workers.items()):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    del self.workers[slot]
                    if status:
                        raise ChildProcessError(f"worker {slot} failed ({os.waitstatus_to_exitcode(status)})")
            if time.monotonic() > patience:
                raise TimeoutError(f"workers {sorted(self.workers)} did not end within {STRAGGLING:.0f} s")
            time.sleep(POLL_SECONDS)


def command_of(run: Run) -> list[str]:
    """The command line of a run's driver."""
    return [sys.executable, "-W", "error", "-m", "tests.engines.killed_worker", json.dumps(asdict(run))]


def main() -> None:
    """Do the run that the command line describes."""
    run = Run(**json.loads(sys.argv[1]))
    Driver(run, time.monotonic() + run.seconds).drive()


if __name__ == "__main__":
    main()

"""Kill -9 of workers and of the engine, thousands of times: what was told is so, and nothing is there twice."""

import os
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from autocredits.adapters.clock import SystemClock
from autocredits.adapters.dynamo import DynamoStore
from autocredits.domain.decide import Command
from autocredits.domain.journal import Entry, Page
from autocredits.domain.purchases.coupons import Coupon, CouponUse
from autocredits.domain.purchases.record import Purchase
from autocredits.domain.records import NO_ACCOUNT, KeyRecord, Records
from autocredits.domain.work.calls import Charge
from autocredits.domain.work.record import Work
from autocredits.ledger.commit import Ledger
from tests.engines.killed_worker import (
    COUPON,
    ENGINE_EVERY,
    TABLE_NAME,
    WORKERS,
    Ask,
    Run,
    answer_map,
    command_of,
    lines_of,
)
from tests.kit import figures
from tests.kit.books import UNITS, check_page
from tests.kit.builders import CATALOG
from tests.kit.engines import client_of, start

RUNS = range(figures.size(test=1, prove=5))
KILLS = figures.size(test=20, prove=500)
SECONDS = figures.size(test=60, prove=400)
"""Within which a run's kills must be done; it takes a tenth of them on a quiet machine."""
ASKED_AGAIN = 60

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Told:
    """An answer, and when it was asked for and told: nanoseconds of the machine's clock."""

    name: str
    command: Command
    account_id: str
    began: int
    told: int
    answer: dict[str, Any]

    def key(self) -> str | None:
        """The idempotency key that it came with."""
        idempotency = getattr(self.command, "idempotency", None)
        return idempotency.key if idempotency else None

    def accepted(self) -> bool:
        """Whether it was not refused."""
        return "refused" not in self.answer

    def remembered(self) -> tuple[Any, ...]:
        """What of an answer must be the same for ever."""
        return tuple(self.answer[name] for name in ("version", "first", "count", "hash"))


@dataclass(slots=True)
class Account:
    """All that lies in the table of an account."""

    account_id: str
    pages: list[Page]
    records: Records

    def entries(self) -> Iterator[tuple[Page, int, Entry]]:
        """Every entry, with its page and index."""
        for page in self.pages:
            for index, entry in enumerate(page.entries):
                yield page, index, entry

    def works(self) -> list[Work]:
        """All work records."""
        return [record for record in self.records.values() if isinstance(record, Work)]


@dataclass(slots=True)
class Evidence:
    """What the workers have noted, and what lies in the table."""

    repeated: int = 0
    faults: list[str] = field(default_factory=list)
    unfinished: list[int] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    accounts: dict[str, Account] = field(default_factory=dict)
    coupon: Coupon | None = None

    def lost_answers(self) -> int:
        """How many commits were told as replayed alone: whoever made them has died before he was told."""
        new: set[tuple[Any, ...]] = set()
        replayed: set[tuple[Any, ...]] = set()
        for told in self.told:
            if told.accepted() and told.answer["count"]:
                (replayed if told.answer["replayed"] else new).add((told.account_id, *told.remembered()))
        return len(replayed - new)


# ---------------------------------------------------------------- running and reading


def drive(run: Run) -> None:
    """Let the driver do its run; whatever becomes of it, no process of it is left."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    log = Path(run.folder, "driver.log")
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own driver
            command_of(run), env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        status = process.wait(run.seconds + 60)
    except subprocess.TimeoutExpired:
        pytest.fail(f"the driver hangs: {log.read_text('utf-8')[-2_000:]}")
    finally:
        end_group(process)
    assert status == 0, log.read_text("utf-8")[-2_000:]


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End the driver, its workers and its engine: they are a group of their own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        process.wait()


def gather(run: Run, store: DynamoStore) -> Evidence:
    """All that is known after a run."""
    evidence = Evidence()
    asks: dict[int, Ask] = {}
    for slot in range(WORKERS):
        open_number: int | None = None
        for what, number, *rest in lines_of(run.journal(slot)):
            asks.setdefault(number, run.ask(number))
            read_line(evidence, asks[number], what, number, rest)
            open_number = None if what == "end" else number
        if open_number is not None:
            evidence.unfinished.append(open_number)
    keys = record_keys(store)
    for account_id in sorted({told.account_id for told in evidence.told}):
        records = store.read(account_id, keys[account_id])
        pages = list(store.pages_before(account_id, 10**9, 1_000)[::-1])
        evidence.accounts[account_id] = Account(account_id, pages, records)
    coupon = store.read(NO_ACCOUNT, [("coupon", COUPON.code)]).get(("coupon", COUPON.code))
    evidence.coupon = coupon if isinstance(coupon, Coupon) else None
    return evidence


def read_line(evidence: Evidence, ask: Ask, what: str, number: int, rest: list[Any]) -> None:
    """Take a journal's line in."""
    if what == "again":
        evidence.repeated += 1
    elif what == "fault":
        evidence.faults.append(f"{number}: {rest[0]}")
    elif what == "told":
        step, index, began, told, answer = rest
        name = f"{number}.{step}.{index}"
        evidence.told.append(Told(name, ask.steps[step][index], ask.account_id, began, told, answer))


def record_keys(store: DynamoStore) -> dict[str, list[tuple[str, str]]]:
    """The keys of all records of all accounts, by a scan of the table."""
    found: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for answer in store.client.get_paginator("scan").paginate(TableName=TABLE_NAME, ProjectionExpression="pk"):
        for item in answer["Items"]:
            parts = item["pk"]["S"].split("#")
            if parts[0] == "account" and len(parts) == 4:
                found[parts[1]].append((parts[2], parts[3]))
    return found


# ---------------------------------------------------------------- judging


def violations(evidence: Evidence) -> Iterator[str]:
    """Everything that is not as it must be."""
    yield from (f"fault: {fault}" for fault in evidence.faults)
    yield from (f"{number} was begun and not ended" for number in evidence.unfinished)
    for account in evidence.accounts.values():
        for check in (check_books, check_held, check_keys, check_charges, check_grants):
            yield from (f"{account.account_id}: {found}" for found in check(account))
    yield from check_coupon(evidence)
    yield from check_told(evidence)
    yield from check_same_answers(evidence)


def check_books(account: Account) -> Iterator[str]:
    """Pages without a gap that link; each state the sum of the entries; nothing below zero; opened once."""
    before: Page | None = None
    posted: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for page in account.pages:
        try:
            check_page(page, before)
        except AssertionError as wrong:
            yield f"page {page.version} does not follow: {str(wrong)[:200]}"
        for entry in page.entries:
            posted[entry.unit or ""] += entry.posted
            held[entry.unit or ""] += entry.held
        for unit in UNITS:
            balance = page.state.balance(unit)
            if (balance.posted, balance.held) != (posted[unit], held[unit]):
                yield f"page {page.version}: {balance} of {unit}, but entries of {posted[unit]}, {held[unit]}"
            if balance.available() < 0 or balance.held < 0:
                yield f"page {page.version}: {balance} of {unit} is overspent"
        before = page
    if (opened := sum(entry.kind == "opened" for _, _, entry in account.entries())) != 1:
        yield f"opened {opened} times"


def check_held(account: Account) -> Iterator[str]:
    """What is held is what the open parts of all work have set aside."""
    parts = [work.parts[name] for work in account.works() for name in work.open_parts()]
    state = account.pages[-1].state
    held = (state.balance("auto_order").held, state.balance("managed").held)
    if (wanted := (sum(part.credits for part in parts), sum(part.managed for part in parts))) != held:
        yield f"{held} is held, but open parts are {wanted}"


def check_keys(account: Account) -> Iterator[str]:
    """The entries of a key are those that its record names, and all of them in one page."""
    entries: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for page, index, entry in account.entries():
        if entry.key is not None:
            entries[entry.key].append((page.version, index))
    records = {record.key: record for record in account.records.values() if isinstance(record, KeyRecord)}
    for key in sorted(entries.keys() | records.keys()):
        record = records.get(key)
        named = [(record.version, record.first + index) for index in range(record.count)] if record else []
        if entries[key] != named:
            yield f"key {key} has the entries {entries[key]}, its record names {named}"
        elif record and record.version and record.hash != account.pages[record.version - 1].hash:
            yield f"key {key} was committed with page {record.version}, but with another hash"


def charges_of(page: Page, index: int, entry: Entry) -> list[tuple[str, str]]:
    """What an entry charges, with its id: parts are told from the price alone where the entry names none."""
    charged: tuple[str, ...] = ()
    if entry.unit == "auto_order" and entry.kind == "captured" and entry.part:
        charged = (entry.part,)
    elif entry.unit == "auto_order" and entry.kind == "debited":
        card = CATALOG.card_at(page.at)
        prices = card.parts(entry.order_type, entry.tracking or "") if entry.order_type else {"sourcing": card.sourcing}
        subsets = [names for size in (1, 2) for names in combinations(prices, size)]
        (charged,) = [names for names in subsets if sum(prices[name] for name in names) == -entry.posted]
    names = [f"tracking:{entry.tracking}" if part == "tracking" else part for part in charged]
    return [(name, page.entry_id(index)) for name in names]


def check_charges(account: Account) -> Iterator[str]:
    """Each part and method of a work is paid for once, and its record names the entries and the sum."""
    charged: defaultdict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    spent: Counter[tuple[str, str]] = Counter()
    for page, index, entry in account.entries():
        if entry.order_id or entry.product_id:
            work = ("order", entry.order_id) if entry.order_id else ("product", entry.product_id or "")
            charged[work] += charges_of(page, index, entry)
            spent[work] -= entry.posted if entry.unit == "auto_order" else 0
    known = {work.key(): work for work in account.works()}
    for key in sorted(charged.keys() | known.keys()):
        record = known.get(key)
        if record is None:
            yield f"{key} was charged and has no record"
        elif sorted(charged[key]) != sorted(record.charged.items()) or spent[key] != record.credits:
            yield f"{key} is charged {charged[key]}, {spent[key]}; its record: {record.charged}, {record.credits}"
        elif len(set(record.seen)) != len(record.seen):
            yield f"{key} has met a message twice"


def check_grants(account: Account) -> Iterator[str]:
    """A purchase is granted once if it was paid, never otherwise; a refund's share of it was taken once."""
    moved: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for _, _, entry in account.entries():
        if entry.purchase_id:
            moved[entry.purchase_id].update({entry.kind: 1, f"{entry.kind} credits": entry.posted})
    purchases = {record.purchase_id: record for record in account.records.values() if isinstance(record, Purchase)}
    for purchase_id in sorted(set(moved) | set(purchases)):
        record, kinds = purchases.get(purchase_id), moved[purchase_id]
        paid = record is not None and bool(record.payments)
        if kinds["purchased"] + kinds["loaded"] != paid:
            yield f"{purchase_id} is granted {kinds}, its record: {record}"
        share = record.total_credits() // 3 if record and any(one.refunds for one in record.payments.values()) else 0
        if abs(kinds["clawed_back credits"] + share) > 1 or kinds["clawed_back"] != (share > 0):
            yield f"{purchase_id} was refunded, and {kinds} taken; its record: {record}"


def check_coupon(evidence: Evidence) -> Iterator[str]:
    """Each account's uses are its purchases that count; the coupon's are what all accounts have tallied."""
    tallied = 0
    for account in evidence.accounts.values():
        counting = [
            record
            for record in account.records.values()
            if isinstance(record, Purchase) and record.coupon and (record.payments or not record.decisions)
        ]
        used = [record for record in account.records.values() if isinstance(record, CouponUse)]
        tallied += sum(use.tallied for use in used)
        if sum(use.uses for use in used) != len(counting):
            yield f"{account.account_id} has used the coupon {used}, of its purchases {len(counting)} count"
    if evidence.coupon is None or evidence.coupon.uses != tallied:
        yield f"{evidence.coupon} was used, {tallied} times in all"


def check_told(evidence: Evidence) -> Iterator[str]:
    """Whatever was told lies in the journal at the version told, and was told as new once."""
    new: Counter[tuple[Any, ...]] = Counter()
    for told in evidence.told:
        if not told.accepted() or not told.answer["version"]:
            continue
        version, first, count, told_hash = told.remembered()
        pages = evidence.accounts[told.account_id].pages
        page = pages[version - 1] if version <= len(pages) else None
        if page is None or page.hash != told_hash or len(page.entries) < first + count:
            yield f"{told.name} was told {told.answer}, in the journal is {page}"
        elif not all(told.key() in (None, entry.key) for entry in page.entries[first : first + count]):
            yield f"{told.name} was told of entries that are not its own: {told.answer}"
        elif count and not told.answer["replayed"]:
            new[told.account_id, version, first] += 1
    yield from (f"{name} was told as new {times} times" for name, times in new.items() if times > 1)


def check_same_answers(evidence: Evidence) -> Iterator[str]:
    """A key's answers are the same, and after the first of them nobody is refused."""
    by_key: defaultdict[str, list[Told]] = defaultdict(list)
    for told in evidence.told:
        if key := told.key():
            by_key[key].append(told)
    for key, tellings in by_key.items():
        accepted = [told for told in tellings if told.accepted()]
        if len({told.remembered() for told in accepted}) > 1:
            yield f"{key} was told {[told.answer for told in accepted]}"
        since = min((told.told for told in accepted), default=0)
        late = [told.name for told in tellings if accepted and not told.accepted() and told.began > since]
        if late:
            yield f"{key} was accepted, and then refused to {late}"


def asked_again(evidence: Evidence, ledger: Ledger) -> Iterator[str]:
    """The last keys, asked once more long after: the first answer again."""
    charges = [told for told in evidence.told if told.accepted() and isinstance(told.command, Charge)]
    for told in charges[-ASKED_AGAIN:]:
        again = answer_map(ledger.execute(told.account_id, told.command))
        if again != {**told.answer, "did": "replayed", "replayed": True}:
            yield f"{told.name} was told {told.answer}, and now {again}"


# ---------------------------------------------------------------- the tests


@dataclass(frozen=True, slots=True)
class Verdict:
    """A run's evidence and what is wrong with it."""

    evidence: Evidence
    wrong: list[str]


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., Verdict]:
    """Does a run and judges it."""

    def judge(scene: str, number: int, kills: int, broken: str = "") -> Verdict:
        run = Run(str(tmp_path), scene, f"{figures.seed()} {scene} {number}", kills, SECONDS, broken)
        drive(run)
        with start("dynoxide", database=run.database()) as engine:
            store = DynamoStore(client_of(engine.endpoint_url), TABLE_NAME)
            evidence = gather(run, store)
            wrong = list(violations(evidence))
            wrong += [] if wrong else list(asked_again(evidence, Ledger(store, SystemClock(), CATALOG)))
        return Verdict(evidence, wrong)

    return judge


@pytest.mark.parametrize("number", RUNS)
@pytest.mark.parametrize("scene", ["hot", "many"])
def test_kills_lose_and_double_nothing(judged: Callable[..., Verdict], scene: str, number: int) -> None:
    """All that was told is there once, the books are right, and every answer stays what it was."""
    verdict = judged(scene, number, KILLS)
    assert verdict.wrong == []
    evidence = verdict.evidence
    assert {"debited", "held", "adjusted", "replayed"} <= {told.answer.get("did") for told in evidence.told}
    figures.tally(
        kills=KILLS,
        engine_kills=len(range(ENGINE_EVERY // 2, KILLS, ENGINE_EVERY)),
        commands=len(evidence.told),
        repeated=evidence.repeated,
        lost_answers=evidence.lost_answers(),
        pages=sum(len(account.pages) for account in evidence.accounts.values()),
    )


@pytest.mark.parametrize(
    ("broken", "shown_by"),
    [
        ("unconditional", "in the journal is"),
        ("forgetful", "its record names"),
        ("torn", "its record names"),
    ],
)
def test_a_broken_store_is_found_out(judged: Callable[..., Verdict], broken: str, shown_by: str) -> None:
    """Commits without conditions, without keys, or with keys that come later do not get through a few kills."""
    verdict = judged("hot", 0, 12, broken)
    assert any(shown_by in wrong for wrong in verdict.wrong), verdict.wrong[:5]

"""Every call of every kind of delivery meets every fault of the wire, at botocore's `before-send`, on a real engine.

First the handlers over a store on the wire, in every state; then as they are deployed, by the clients that production
makes, for the queue too, and with outages that last until the caller has been answered and asks again.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import combinations, product
from random import Random
from typing import Any

import pytest
from botocore.awsrequest import AWSRequest, AWSResponse, HeadersDict
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError
from botocore.retries.standard import ExponentialBackoff

from autocredits.adapters.dynamo import DynamoStore, _serialize
from autocredits.adapters.production import open_catalog
from autocredits.domain.decide import Draft, RecordWrite
from autocredits.ledger import ConflictError, Ledger
from dev import engines
from tests.concurrency.conftest import make_table
from tests.concurrency.deliveries import ACCOUNT, KINDS, RICH, Delivery, base_store
from tests.concurrency.outages import EXTENTS, Deed, End, Extent, Place, check_books, deeds, deployed
from tests.concurrency.outages import Wire as Line
from tests.concurrency.scheduler import Worker
from tests.concurrency.tables import client_of
from tests.concurrency.truth import Aftermath, Violation, check_replays
from tests.concurrency.world import Ports, SimClock, SimStore, World, simulated, within
from tests.proof import seed, size, tally

CHUNKS = 8

Fault = Callable[["Wire", AWSRequest], AWSResponse | None]


class _Raw:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def stream(self, **_: Any) -> Iterator[bytes]:
        """As urllib3 hands over a body."""
        yield self.content


def _error(request: AWSRequest, status: int, code: str, **more: Any) -> AWSResponse:
    body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": code, **more}).encode()
    headers = HeadersDict({"Content-Type": "application/x-amz-json-1.0"})
    return AWSResponse(str(request.url), status, headers, _Raw(body))  # type: ignore[arg-type]  # botocore's own class


def _lost(_: "Wire", request: AWSRequest) -> AWSResponse:
    raise ConnectTimeoutError(endpoint_url=str(request.url))


def _answer_lost(wire: "Wire", request: AWSRequest) -> AWSResponse:
    wire.send(request)
    raise ReadTimeoutError(endpoint_url=str(request.url))


def _throttled(_: "Wire", request: AWSRequest) -> AWSResponse:
    return _error(request, 400, "ProvisionedThroughputExceededException")


def _failed_before(_: "Wire", request: AWSRequest) -> AWSResponse:
    return _error(request, 500, "InternalServerError")


def _failed_after(wire: "Wire", request: AWSRequest) -> AWSResponse:
    wire.send(request)
    return _error(request, 500, "InternalServerError")


def _cancelled(*codes: str) -> Fault:
    """A transaction that is cancelled for these reasons; any other call goes on."""

    def fault(_: "Wire", request: AWSRequest) -> AWSResponse | None:
        if b"Transact" not in _target(request):
            return None
        count = len(json.loads(request.body)["TransactItems"])
        reasons = [{"Code": code, "Message": code} for code in (*codes, *["None"] * count)[:count]]
        return _error(request, 400, "TransactionCanceledException", CancellationReasons=reasons)

    return fault


def _target(request: AWSRequest) -> bytes:
    target = request.headers["X-Amz-Target"]
    return target if isinstance(target, bytes) else str(target).encode()


FAULTS: dict[str, Fault] = {
    "request lost": _lost,
    "answer lost": _answer_lost,
    "throttled": _throttled,
    "failed before": _failed_before,
    "failed after": _failed_after,
    "conflict": _cancelled("TransactionConflict"),
    "conflict and throttled": _cancelled("TransactionConflict", "ThrottlingError"),
    "throttled in a transaction": _cancelled("ThrottlingError"),
}


@dataclass
class Wire:
    """A client on which the calls with these numbers meet a fault; the rest goes through. It counts every send."""

    endpoint_url: str
    faults: dict[int, str] = field(default_factory=dict)
    sent: int = 0
    met: int = 0

    def __post_init__(self) -> None:
        # A client of its own: they would share one quota of retries, and it would run dry.
        self.client = client_of(self.endpoint_url)
        self.client.meta.events.register("before-send.dynamodb", self.before_send)

    def send(self, request: AWSRequest) -> None:
        """Let the engine do it, whatever the caller will hear."""
        self.client._endpoint.http_session.send(request)  # noqa: SLF001 - an answer is lost only after a real call

    def before_send(self, request: AWSRequest, **_: Any) -> AWSResponse | None:
        """What botocore asks before it sends."""
        name = self.faults.get(self.sent)
        self.sent += 1
        if name is None:
            return None
        self.met += 1
        return FAULTS[name](self, request)


class _WirePorts(Ports):
    def __init__(self, world: "WireWorld") -> None:
        super().__init__(world)
        self.ledger = Ledger(world.over_wire, SimClock(world), open_catalog())


class WireWorld(World):
    """A world whose store is a table on an engine, reached over a wire with faults."""

    def __init__(self, wire: Wire, base: SimStore) -> None:
        self.plain = client_of(wire.endpoint_url)
        self.observer = DynamoStore(self.plain, make_table(self.plain))
        self.over_wire = DynamoStore(wire.client, self.observer.table_name)
        super().__init__(None, base)
        for page in base.pages_before(ACCOUNT, 10**6, 10**6)[::-1]:
            self.observer.commit(ACCOUNT, page, [])
        for account_id, key in base.records:
            self.observer.commit(account_id, None, [RecordWrite(key, base.read(account_id, [key])[key], None)])

    def mine(self) -> Ports:
        """The ports of the only environment."""
        if None not in self.ports:
            self.ports[None] = _WirePorts(self)
        return self.ports[None]

    def version(self) -> int:
        """The newest page's number."""
        head = self.observer.head(ACCOUNT)
        return head.version if head else 0

    def settle(self) -> None:
        """Bring what lies in the table to where the checks look."""
        self.store = SimStore()
        keys = [
            (item["pk"]["S"], item["sk"]["S"]) for item in self.plain.scan(TableName=self.observer.table_name)["Items"]
        ]
        for page in self.observer.pages_before(ACCOUNT, 10**6, 10**6)[::-1]:
            self.store.commit(ACCOUNT, page, [])
        for pk, sk in keys:
            if not sk.startswith("page#"):
                *_, kind, name = pk.split("#", 3 if pk.startswith("account#") else 1)
                record = self.observer.read(ACCOUNT, [(kind, name)])[kind, name]
                self.store.commit(ACCOUNT, None, [RecordWrite((kind, name), record, None)])
        self.plain.delete_table(TableName=self.observer.table_name)


@dataclass(frozen=True)
class Result:
    """What a delivery came to: the entries of the journal, what its sender was told last, and the wire's counts."""

    entries: tuple[tuple[str, int, int], ...]
    told: Any
    sent: int
    met: int


def deliver(endpoint_url: str, kind: str, base: str, faults: dict[int, str]) -> Result:
    """One delivery over a wire with faults, and all checks after it."""
    wire = Wire(endpoint_url, faults)
    one = WireWorld(wire, base_store(base, RICH).copy())
    delivery = Delivery(kind, KINDS[kind].make(1), one)
    with within(one):
        delivery.behave(Worker("a", lambda _: None))
    one.settle()
    aftermath = Aftermath(one, [delivery])
    aftermath.check()
    check_replays([delivery])
    entries = tuple((entry.kind, entry.posted, entry.held) for _, entry in aftermath.entries)
    answers = delivery.answers()
    return Result(entries, answers[-1][1] if answers else None, wire.sent, wire.met)


def cases() -> list[tuple[str, str]]:
    """Every kind in every state where it has something to do."""
    return [(name, base) for name, kind in KINDS.items() for base in kind.bases]


@pytest.fixture
def endpoint(endpoints: Callable[[engines.Name], str], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The engine, and handlers that live in a world; the SDK tries again at once."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)
    with simulated():
        yield endpoints("dynoxide")


def _check(endpoint: str, kind: str, base: str, plans: Sequence[dict[int, str]], plain: Result) -> int:
    """Every plan of faults comes to what no fault comes to; how many faults were met."""
    met = 0
    for faults in plans:
        result = deliver(endpoint, kind, base, faults)
        assert (result.entries, result.told) == (plain.entries, plain.told), (kind, base, faults)
        met += result.met
    return met


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_call_meets_every_fault(endpoint: str, chunk: int) -> None:
    """A fault at any call, also where the SDK's second try meets it again, changes neither the books nor the answer."""
    random, calls, runs, met = Random(seed() + chunk), 0, 0, 0
    for kind, base in cases()[chunk::CHUNKS]:
        plain = deliver(endpoint, kind, base, {})
        once = [{call: fault} for call, fault in product(range(plain.sent), FAULTS)]
        twice = [{call: fault, call + 1: fault} for call, fault in product(range(plain.sent), FAULTS)]
        twice = random.sample(twice, size(test=len(twice) // 4, prove=len(twice)))
        met += _check(endpoint, kind, base, [*once, *twice], plain)
        calls, runs = calls + plain.sent, runs + len(once) + len(twice)
    tally(calls=calls, runs=runs, faults=met)
    assert met


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_two_calls_meet_two_faults(endpoint: str, chunk: int) -> None:
    """Two faults at two calls change nothing either."""
    random, runs, met = Random(seed() + chunk), 0, 0
    for kind, base in cases()[chunk::CHUNKS]:
        plain = deliver(endpoint, kind, base, {})
        plans = [
            {first: one, second: other}
            for first, second in combinations(range(plain.sent + 3), 2)
            for one, other in product(FAULTS, repeat=2)
        ]
        some = random.sample(plans, min(len(plans), size(test=2, prove=300)))
        met += _check(endpoint, kind, base, some, plain)
        runs += len(some)
    tally(runs=runs, faults=met)
    assert runs


def test_silence_taken_for_success_is_found_out(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that takes every error of a commit for its success is caught by a fault on the wire."""
    real = DynamoStore.commit

    def commit(self: DynamoStore, *arguments: Any, **more: Any) -> None:
        with suppress(Exception):
            real(self, *arguments, **more)

    plain = deliver(endpoint, "debit", "new", {})
    monkeypatch.setattr(DynamoStore, "commit", commit)
    with pytest.raises((Violation, AssertionError, ConflictError)):
        _check(endpoint, "debit", "new", [{plain.sent - 1: "conflict"}], plain)


DEEDS = deeds()

# Defects that are known, each shown by the last test below: the deed, and its answer that does not tell what was done.
EXCUSED: dict[str, Any] = {
    "coupon made": "coupon_exists",
    "resend": "invalid_transition",
    "resend all": {"resent": 0, "more": False},
    "review: credit": "invalid_transition",
    "review: refuse": "invalid_transition",
}

Break = tuple[int, str, Extent]


@pytest.fixture
def place(endpoints: Callable[[engines.Name], str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """The handlers as they are deployed; the SDK tries again at once."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)
    with deployed(endpoints("dynoxide")) as place:
        yield place


def do(place: Place, deed: Deed, *breaks: Break) -> tuple[End, Line]:
    """One deed on a line that breaks there."""
    line = Line({call: (FAULTS[name], extent) for call, name, extent in breaks})
    return deed.run(place, line), line


def _is_excused(name: str, end: End) -> bool:
    """Whether this is the answer of a known defect."""
    status, body = end.told
    return name in EXCUSED and (EXCUSED[name] == body or (status == 409 and body["code"] == EXCUSED[name]))


def _is_alike(end: End, plain: End) -> bool:
    """The same in the table, in the queue and as told; 200 for 201 tells that it was there."""
    (status, body), (plain_status, plain_body) = end.told, plain.told
    told = body == plain_body and status in (plain_status, 200)
    return told and (end.items, end.queued, end.buried) == (plain.items, plain.queued, plain.buried)


def _meet(place: Place, name: str, plans: Sequence[Sequence[Break]], plain: End) -> tuple[int, int]:
    """Every plan ends as none does; how many faults were met, and how often a caller had to ask again."""
    met = again = 0
    for breaks in plans:
        end, line = do(place, DEEDS[name], *breaks)
        if _is_excused(name, end):
            check_books(place, end)
        else:
            assert _is_alike(end, plain), (name, breaks, end.told, plain.told)
        met, again = met + line.met, again + end.tries - 1
    return met, again


@pytest.mark.slow
@pytest.mark.parametrize("name", DEEDS)
def test_every_deed_survives_every_fault(place: Place, name: str) -> None:
    """A fault at any call, for the SDK alone, for the service, or as an outage for the caller, changes nothing."""
    random = Random(f"{seed()} {name}")
    plain, line = do(place, DEEDS[name])
    assert (plain.told[0] < 300, plain.tries) == (True, 1)
    check_books(place, plain)
    plans = [[(call, fault, extent)] for call in range(line.calls) for fault in FAULTS for extent in EXTENTS]
    plans = random.sample(plans, min(len(plans), size(test=24, prove=len(plans))))
    met, again = _meet(place, name, plans, plain)
    tally(calls=line.calls, runs=len(plans), faults=met, repeats=again)
    assert met


@pytest.mark.slow
@pytest.mark.parametrize("name", DEEDS)
def test_every_deed_survives_two_faults(place: Place, name: str) -> None:
    """Two faults at two calls, also where the second meets what the first made necessary."""
    random = Random(f"{seed()} two {name}")
    plain, line = do(place, DEEDS[name])
    faults = list(FAULTS)
    plans: list[list[Break]] = [
        [(call, random.choice(faults), random.choice(EXTENTS)) for call in random.sample(range(line.calls + 4), 2)]
        for _ in range(size(test=4, prove=200))
    ]
    met, again = _meet(place, name, plans, plain)
    tally(runs=len(plans), faults=met, repeats=again)


def _unconditional(self: DynamoStore, key: Any, attributes: Any, _: int | None) -> Any:
    item = {**key, **{name: _serialize(value) for name, value in attributes.items()}}
    return {"Put": {"TableName": self.table_name, "Item": item}}


@pytest.mark.parametrize(
    ("name", "owner", "method", "instead"),
    [
        pytest.param("debit", DynamoStore, "_put", _unconditional, id="a debit without conditions"),
        pytest.param("adjustment", DynamoStore, "_put", _unconditional, id="an adjustment without conditions"),
        pytest.param("debit", Draft, "replay", lambda *_: None, id="a key that is not looked for"),
    ],
)
def test_a_double_charge_is_found_out(
    place: Place, monkeypatch: pytest.MonkeyPatch, name: str, owner: type, method: str, instead: Any
) -> None:
    """A service that writes without conditions, or never asks whether a key is known, is caught by a lost answer."""
    plain, line = do(place, DEEDS[name])
    monkeypatch.setattr(owner, method, instead)
    with pytest.raises(AssertionError):
        _meet(place, name, [[(line.calls - 1, "answer lost", "outage")]], plain)


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="defects that are reported, and not mended yet")
@pytest.mark.parametrize(
    ("name", "from_end", "fault", "extent"),
    [
        pytest.param("coupon made", 1, "conflict", "once", id="a conflict is told as a coupon that exists"),
        pytest.param("coupon made", 1, "answer lost", "twice", id="a coupon's own maker is told that it exists"),
        pytest.param("resend", 1, "request lost", "twice", id="a resent order's message is never sent"),
        pytest.param("resend all", 1, "request lost", "twice", id="resent orders' messages are never sent"),
        pytest.param("review: credit", 2, "answer lost", "twice", id="a review that credited is told as refused"),
        pytest.param("review: refuse", 2, "answer lost", "twice", id="a review that refused is told as refused"),
    ],
)
def test_what_was_done_is_told(place: Place, name: str, from_end: int, fault: str, extent: Extent) -> None:
    """The answer after a fault is the success that it was, and what was to be sent is sent."""
    plain, line = do(place, DEEDS[name])
    end, _ = do(place, DEEDS[name], (line.calls - from_end, fault, extent))
    assert _is_alike(end, plain), end.told

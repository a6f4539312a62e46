"""Every use case as it is deployed meets every fault of the wire, at botocore's `before-send`, on a real engine.

The clients are those that production makes, for the queue too; an outage lasts until the caller has been answered and
asks again.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from random import Random
from typing import Any

import pytest
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError
from botocore.retries.standard import ExponentialBackoff

from autocredits.adapters.dynamo import DynamoStore, _serialize
from autocredits.domain.decide import Draft
from tests.kit.engines import Endpoint
from tests.kit.figures import seed, size, tally
from tests.outages.outages import EXTENTS, Deed, End, Extent, Fault, Place, Wire, answer, check_books, deeds, deployed


def _error(request: AWSRequest, status: int, code: str, **more: Any) -> AWSResponse:
    return answer(request, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": code, **more}, status)


def _lost(_: Wire, request: AWSRequest) -> AWSResponse:
    raise ConnectTimeoutError(endpoint_url=str(request.url))


def _answer_lost(wire: Wire, request: AWSRequest) -> AWSResponse:
    wire.send(request)
    raise ReadTimeoutError(endpoint_url=str(request.url))


def _throttled(_: Wire, request: AWSRequest) -> AWSResponse:
    return _error(request, 400, "ProvisionedThroughputExceededException")


def _failed_before(_: Wire, request: AWSRequest) -> AWSResponse:
    return _error(request, 500, "InternalServerError")


def _failed_after(wire: Wire, request: AWSRequest) -> AWSResponse:
    wire.send(request)
    return _error(request, 500, "InternalServerError")


def _cancelled(*codes: str) -> Fault:
    """A transaction that is cancelled for these reasons; any other call goes on."""

    def fault(_: Wire, request: AWSRequest) -> AWSResponse | None:
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


DEEDS = deeds()

# These have no key: who asks again after a 503 is told that it is done (contract, section 5), by code or body.
DONE_BEFORE: dict[str, Any] = {
    "coupon made": "coupon_exists",
    "resend": "invalid_transition",
    "resend all": {"resent": 0, "more": False},
    "review: credit": "invalid_transition",
    "review: refuse": "invalid_transition",
    "review: lost": "invalid_transition",
}

Break = tuple[int, str, Extent]


@pytest.fixture
def place(endpoints: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """The handlers as they are deployed; the SDK tries again at once."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)
    with deployed(endpoints("dynoxide")) as place:
        yield place


def do(place: Place, deed: Deed, *breaks: Break) -> tuple[End, Wire]:
    """One deed on a line that breaks there."""
    line = Wire({call: (FAULTS[name], extent) for call, name, extent in breaks})
    return deed.run(place, line), line


def _was_done_before(name: str, end: End, plain: End) -> bool:
    """Whether a caller who asked again was told so, and it was. A message that is lost is the sweep's to send again."""
    status, body = end.told
    told = name in DONE_BEFORE and (DONE_BEFORE[name] == body or (status == 409 and body["code"] == DONE_BEFORE[name]))
    done = end.items == plain.items or (name.startswith("resend") and _waits(end) and not end.queued)
    return end.tries > 1 and told and done


def _waits(end: End) -> bool:
    """Whether an order is queued in its second attempt."""
    works = [item for (_, sk), item in end.items.items() if sk == "work"]
    return any((work["status"]["S"], work["attempt"]["N"]) == ("queued", "2") for work in works)


def _is_alike(end: End, plain: End) -> bool:
    """The same in the table, in the queue and as told; 200 for 201 tells that it was there."""
    (status, body), (plain_status, plain_body) = end.told, plain.told
    told = body == plain_body and status in (plain_status, 200)
    return told and (end.items, end.queued, end.dead_letters) == (plain.items, plain.queued, plain.dead_letters)


def _meet(place: Place, name: str, plans: Sequence[Sequence[Break]], plain: End) -> tuple[int, int]:
    """Every plan ends as none does; how many faults were met, and how often a caller had to ask again."""
    met = again = 0
    for breaks in plans:
        end, line = do(place, DEEDS[name], *breaks)
        check_books(place, end)
        fits = _is_alike(end, plain) or _was_done_before(name, end, plain)
        assert fits, (name, breaks, end.told, plain.told)
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
    plans = random.sample(plans, min(len(plans), size(test=14, prove=len(plans))))
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
        for _ in range(size(test=3, prove=80))
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


@pytest.mark.parametrize(
    ("name", "from_end", "fault", "extent"),
    [
        pytest.param("coupon made", 1, "conflict", "once", id="a conflict is no coupon that exists"),
        pytest.param("coupon made", 1, "answer lost", "twice", id="a coupon's own maker made it"),
        pytest.param("review: credit", 2, "answer lost", "twice", id="a review that credited"),
        pytest.param("review: refuse", 2, "answer lost", "twice", id="a review that refused"),
    ],
)
def test_what_was_done_is_told(place: Place, name: str, from_end: int, fault: str, extent: Extent) -> None:
    """Whoever did it itself, and heard of it only at the second try, is told of the success that it was."""
    plain, line = do(place, DEEDS[name])
    end, _ = do(place, DEEDS[name], (line.calls - from_end, fault, extent))
    assert _is_alike(end, plain), end.told


def test_silence_taken_for_success_is_found_out(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that takes every error of a commit for its success is caught by a fault on the wire."""
    plain, line = do(place, DEEDS["debit"])
    real = DynamoStore.commit

    def commit(self: DynamoStore, *arguments: Any, **more: Any) -> None:
        with suppress(Exception):
            real(self, *arguments, **more)

    monkeypatch.setattr(DynamoStore, "commit", commit)
    with pytest.raises(AssertionError):
        _meet(place, "debit", [[(line.calls - 1, "conflict", "once")]], plain)

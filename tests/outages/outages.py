"""Handlers as they are deployed, with the clients that production makes, on a wire that breaks where a test says.

Each run has a table of its own, so that what lies in it in the end can be compared to the last attribute.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from uuid import uuid4

import boto3
import pytest
from botocore import handlers as botocore_handlers
from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HeadersDict
from botocore.exceptions import ConnectTimeoutError
from botocore.httpsession import URLLib3Session

from autocredits import bootstrap
from autocredits.adapters.clock import SystemClock
from autocredits.adapters.dynamo import DynamoStore
from autocredits.domain.journal import Page
from autocredits.domain.purchases.calls import TallyCoupon
from autocredits.domain.purchases.record import EXPIRES_MS, Purchase
from autocredits.domain.records import Record
from autocredits.domain.times import HOUR_MS
from autocredits.domain.work.record import Work
from functions.account import app as account_app
from functions.consume import app as consume_app
from functions.consume import worker as consume_worker
from functions.purchase.payments.sandbox import sign
from tests.kit.books import UNITS, check_page
from tests.kit.deliveries import (
    ACCOUNT,
    BEGIN_MS,
    FBA,
    KINDS,
    LAST,
    PATH,
    SHARING_PURCHASE,
    Request,
    buy,
    http,
    make_code,
    make_last,
    order,
)
from tests.kit.deliveries import code as code_of
from tests.kit.engines import client_of, make_table
from tests.kit.handlers import SECRET, SETTINGS, quiet
from tests.kit.service import Context

Extent = Literal["once", "twice", "outage"]
"""A call alone, also the next one, with which the service tries again, or all until the caller is answered."""

EXTENTS: Sequence[Extent] = ("once", "twice", "outage")
MAX_TRIES = 4
POLL_MS = 2 * HOUR_MS
"""How long after its start a purchase is polled, and how long after that again if it fails."""
ASKED_S = 0.02
"""How far the clock goes on each time it is asked: who never waits must not try for ever either."""

Item = dict[str, Any]


Fault = Callable[[Any, Any], AWSResponse | None]
"""Of wire and request: raises what the network raises, gives an answer in the engine's place, or None for no fault."""


@dataclass
class Wire:
    """What lies between the clients and AWS. `breaks` names calls by their number: fault and extent."""

    breaks: Mapping[int, tuple[Fault, Extent]] = field(default_factory=dict)
    calls: int = 0
    met: int = 0
    again: Fault | None = None
    down: bool = False
    queued: list[str] = field(default_factory=list)
    dead_letters: list[str] = field(default_factory=list)
    session: URLLib3Session = field(default_factory=URLLib3Session)

    def before_send(self, request: AWSPreparedRequest) -> AWSResponse | None:
        """What botocore asks before it sends: once a call, for the SDK never tries again by itself."""
        assert "attempt=1" in str(request.headers["amz-sdk-request"])
        self.calls += 1
        fault, extent = self.breaks.get(self.calls - 1, (self.again, "once"))
        self.again = fault if extent == "twice" else None
        if fault:
            self.down = self.down or extent == "outage"
            self.met += 1
            if told := fault(self, request):
                return told
            self.met -= 1  # it is none for this call
        elif self.down:
            raise ConnectTimeoutError(endpoint_url=request.url)
        return self.queue(request) if "sqs" in request.url else None

    def send(self, request: Any) -> None:
        """Do what is asked, whatever the caller will hear."""
        if "sqs" in request.url:
            self.queue(request)
        else:
            self.session.send(request)

    def queue(self, request: Any) -> AWSResponse:
        """A queue that takes all."""
        asked = json.loads(request.body)
        if "MessageBody" in asked:
            to = self.dead_letters if asked["QueueUrl"].endswith("dead") else self.queued
            to.append(asked["MessageBody"])
        return answer(request, {"MessageId": uuid4().hex})


class _Raw:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def stream(self, **_: Any) -> Iterator[bytes]:
        """As urllib3 hands over a body."""
        yield self.content


def answer(request: Any, body: Item, status: int = 200) -> AWSResponse:
    """What AWS says."""
    raw: Any = _Raw(json.dumps(body).encode())
    headers: Any = HeadersDict({"Content-Type": "application/x-amz-json-1.0"})
    return AWSResponse(str(request.url), status, headers, raw)


@dataclass
class Place:
    """The engine, and the wire of the run."""

    endpoint_url: str
    plain: Any
    wire: Wire | None = None
    later_ms: int = 0
    bases: dict[str, list[Item]] = field(default_factory=dict)

    def before_send(self, request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        """Of every client that is made meanwhile. Without a wire nothing is counted and nothing fails."""
        if "secrets-manager" in event_name:
            return answer(request, {"Name": "sandbox", "SecretString": json.dumps({"signing": [SECRET]})})
        if self.wire is not None:
            return self.wire.before_send(request)
        return Wire().queue(request) if "sqs" in request.url else None


@contextmanager
def deployed(endpoint_url: str) -> Iterator[Place]:
    """The handlers' environment: the engine, a queue that takes all, a clock on which waiting takes no time."""
    place, waited = Place(endpoint_url, client_of(endpoint_url)), [0.0]
    hook = ("before-send", place.before_send)
    with pytest.MonkeyPatch.context() as patch, quiet():
        environment = {
            **SETTINGS,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_DYNAMODB": endpoint_url,
            "AWS_ENDPOINT_URL_SQS": "http://sqs.invalid",
            "ORDERS_QUEUE_URL": "http://sqs.invalid/orders",
            "DEAD_LETTER_QUEUE_URL": "http://sqs.invalid/dead",
        }
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(botocore_handlers, "BUILTIN_HANDLERS", [*botocore_handlers.BUILTIN_HANDLERS, hook])
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        patch.setattr(SystemClock, "now_ms", lambda _: BEGIN_MS + place.later_ms)
        patch.setattr(SystemClock, "monotonic_s", lambda _: _pass(waited, ASKED_S))
        patch.setattr(SystemClock, "sleep_up_to", lambda _, seconds: _pass(waited, seconds))
        _forget()
        yield place
        _forget()
        place.plain.close()


def _pass(waited: list[float], seconds: float) -> float:
    waited[0] += seconds
    return waited[0]


def _forget() -> None:
    bootstrap.ledger.cache_clear()
    bootstrap.queue.cache_clear()
    bootstrap.secrets.cache_clear()


@contextmanager
def table_with(place: Place, items: Sequence[Item]) -> Iterator[str]:
    """A table of its own, with these items, which the handlers use meanwhile: they open it anew, by its name."""
    name = make_table(place.plain, f"credits-{uuid4().hex}")
    for start in range(0, len(items), 25):
        puts = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
        place.plain.batch_write_item(RequestItems={name: puts})
    bootstrap.ledger.cache_clear()
    bootstrap.queue.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TABLE_NAME", name)
        yield name
    store: Any = bootstrap.ledger().store
    store.client.close()
    place.plain.delete_table(TableName=name)


@dataclass(frozen=True)
class End:
    """What a deed came to: the last answer, the table's items, the messages sent; and how often it was asked for.

    `items` are without what is no difference, `stored` as they are.
    """

    told: Any
    items: Mapping[tuple[str, str], Item]
    stored: Sequence[Item]
    queued: frozenset[str]
    dead_letters: frozenset[str]
    tries: int


@dataclass(frozen=True)
class Deed:
    """One request of a caller, what was done before it, and how long before; a later one is a poll."""

    request: Request
    before: Sequence[Request] = ()
    later_ms: int = 0

    def run(self, place: Place, wire: Wire) -> End:
        """Do it as its caller would: again, while the answer is 503 or the message is not acknowledged."""
        with table_with(place, self.base(place)) as name:
            heard, tries = {"statusCode": 503}, 0
            while _is_open(heard) and tries < MAX_TRIES:
                tries += 1
                place.wire, place.later_ms = wire, tries * self.later_ms
                heard = self.request.handler(self.request.event(tries), Context())
                place.wire, wire.down = None, False
            if self.later_ms:  # what could not be planned is due still, and polled again
                place.later_ms = (MAX_TRIES + 1) * self.later_ms
                self.request.handler(self.request.event(1), Context())
            for body in sorted(set(wire.queued)):
                consume_worker.handler(_received(body), Context())
            tally()
            stored = place.plain.scan(TableName=name, ConsistentRead=True)["Items"]
            place.later_ms = 0
            wire.session.close()
        items = _alike(stored, polled=self.later_ms > 0)
        return End(_told(heard), items, stored, frozenset(wire.queued), frozenset(wire.dead_letters), tries)

    def base(self, place: Place) -> list[Item]:
        """The items before it, made by the handlers themselves, once."""
        known = repr([step.event(1) for step in self.before])
        if known not in place.bases:
            with table_with(place, ()) as name:
                for step in self.before:
                    heard = step.handler(step.event(1), Context())
                    if _is_open(heard) or heard.get("statusCode", 200) >= 300:
                        raise AssertionError(heard)
                place.bases[known] = place.plain.scan(TableName=name)["Items"]
        return place.bases[known]


def _is_open(answer: Item) -> bool:
    return bool(answer.get("batchItemFailures")) or answer.get("statusCode") == 503


def _told(answer: Item) -> Any:
    return answer.get("statusCode", 200), json.loads(answer.get("body") or "null")


def _received(body: str) -> Item:
    (record,) = KINDS["auto_order.requested"].make(1).event(1)["Records"]
    return {"Records": [{**record, "messageId": "sent", "body": body}]}


def tally() -> None:
    """Count the uses of coupons that were not counted, as the account's next purchase does."""
    for code in (code_of(1), LAST):
        bootstrap.ledger().execute(ACCOUNT, TallyCoupon(code=code), reads_page=False)


BY_TRY = ("made_by", "resent_by", "request_id")
"""By which try of the same caller something was made, resent or decided, is no difference."""

BY_POLL = ("rev", "updated_at", "look_at", "by_due_sk", "at", "hash")
"""When a purchase was polled again after polls that failed, and how often, is none either."""


def _alike(stored: Sequence[Item], *, polled: bool) -> dict[tuple[str, str], Item]:
    """All items, without what is no difference: also how often a coupon was tallied."""
    items: dict[tuple[str, str], Item] = {}
    for item in stored:
        where = item["pk"]["S"], item["sk"]["S"]
        more = BY_POLL if polled else ("rev",) if where[1].startswith("coupon") else ()
        items[where] = _without(item, {*BY_TRY, *more})
    return items


def _without(value: Any, names: set[str]) -> Any:
    if isinstance(value, list):
        return [_without(one, names) for one in value]
    return {k: _without(v, names) for k, v in value.items() if k not in names} if isinstance(value, dict) else value


def check_books(place: Place, end: End) -> None:
    """Pages without gaps that link, sums that are the balances, and what is held is what open parts hold."""
    with table_with(place, end.stored) as name:
        store = DynamoStore(place.plain, name)
        pages = store.pages_before(ACCOUNT, 10**6, 10**4)[::-1]
        keys = [(pk.split("#")[2], pk.split("#")[3]) for pk, sk in end.items if sk in ("work", "purchase")]
        records = store.read(ACCOUNT, keys).values() if keys else ()
    before: Page | None = None
    moved: Counter[tuple[str, str]] = Counter()
    for page in pages:
        check_page(page, before)
        for entry in page.entries:
            moved["posted", entry.unit or ""] += entry.posted
            moved["held", entry.unit or ""] += entry.held
        before = page
        told = {unit: page.state.balance(unit) for unit in UNITS}
        assert all(
            (told[unit].posted, told[unit].held) == (moved["posted", unit], moved["held", unit]) for unit in UNITS
        )
    assert moved["held", "auto_order"] == sum(map(_set_aside, records))


def _set_aside(record: Record) -> int:
    """What a work's open parts hold, or a disputed purchase has frozen."""
    if isinstance(record, Work):
        return sum(record.parts[name].credits for name in record.open_parts())
    return record.frozen if isinstance(record, Purchase) else 0


def signed(made: Request) -> Request:
    """A webhook of the sandbox, signed now: the provider's clock is the machine's."""
    raw = made.event(1)["body"]

    def event(_: int) -> Item:
        seconds = f"{int(time.time())}"
        headers = {"sandbox-signature": f"t={seconds},v1={sign(SECRET, seconds, raw.encode())}"}
        return {**made.event(1), "headers": headers}

    return replace(made, event=event)


def deeds() -> dict[str, Deed]:
    """Every use case that writes, each in one state where it has something to do, with 20 credits and more to spare.

    Work with managed balance makes the same calls as work without.
    """
    kinds = {name: kind.make(1) for name, kind in KINDS.items() if name not in FBA}
    made = {name: signed(request) if request.news else request for name, request in kinds.items()}
    opened = made["open"]
    more = {"unit": "auto_order", "amount": "20.00", "reason": "base"}
    base = (opened, http(account_app.handler, "POST", f"{PATH}/adjustments", more, key="base"))
    debited = http(consume_app.handler, "POST", f"{PATH}/debits", order(1, "none"), key="plain")
    held, failed = (*base, made["auto_order.requested"]), made["auto_order.failed"]
    converting = (*base, debited, made["tracking_conversion.requested"])
    sourcing = (*base, made["sourcing.requested"])
    before: dict[str, Sequence[Request]] = {
        "open": (),
        "capture": held,
        "release": held,
        "auto_order.placed": held,
        "auto_order.failed": held,
        "tracking_conversion.requested": (*base, debited),
        "tracking_conversion.completed": converting,
        "tracking_conversion.failed": converting,
        "sourcing.accepted": sourcing,
        "sourcing.rejected": sourcing,
        "resend": (*held, failed),
        "coupon made": (),
        "coupon closed": (made["coupon made"],),
    }
    states = _states_of_a_purchase(made, (*base, make_code(1)))
    before |= {name: states[KINDS[name].bases[0]] for name in SHARING_PURCHASE if name not in before}
    known = {
        name: Deed(request, before.get(name, base), POLL_MS if name == "poll" else 0) for name, request in made.items()
    }
    return known | {
        "resend all": Deed(
            http(consume_app.handler, "POST", f"{PATH}/orders/resend", {"status": "failed"}), (*held, failed)
        ),
        "start with the last use": Deed(made["start with the last use"], (*base, make_last())),
        "start without a coupon": Deed(buy("buy-1"), base),
        "paid: canceled": Deed(made["paid"], states["canceled"]),
        "poll: expired": Deed(made["poll"], states["started"], EXPIRES_MS),
        "hold: failed": Deed(made["hold"], (*held, failed)),
        "order: failed": Deed(made["order"], (*held, failed)),
        "auto_order.requested: queued": Deed(made["auto_order.requested"], (*base, made["order"])),
        "tracking_conversion.completed: held": Deed(made["tracking_conversion.completed"], held),
    }


def _states_of_a_purchase(made: Mapping[str, Request], new: Sequence[Request]) -> dict[str, Sequence[Request]]:
    """What was done before, by the state of the purchase that it leads to."""
    started = (*new, made["start"])
    paid = (*started, made["paid"])
    return {
        "new": new,
        "started": started,
        "changed": (*started, made["checkout"]),
        "canceled": (*started, made["cancel"]),
        "waiting": (*started, made["paid otherwise"]),
        "paid": paid,
        "disputed": (*paid, made["disputed"]),
    }

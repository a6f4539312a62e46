"""`make republish` over a table and a queue on moto: which pages it sends, and that their events are made again."""

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from autocredits.adapters.dynamo import DynamoStore, page_key
from autocredits.adapters.queue import SqsQueue
from autocredits.domain.accounts import OpenAccount
from autocredits.domain.times import format_time
from autocredits.edge import publishing
from autocredits.edge.events import bus_events
from autocredits.ledger.commit import Ledger
from dev.stack import deploy, republish
from tests.functional.conftest import create_table
from tests.kit import builders
from tests.kit.builders import CATALOG, NOW_MS, PLATFORM
from tests.kit.event_schemas import check_event
from tests.kit.memory import ManualClock, MemoryBus, MemoryQueue
from tests.kit.service import Context, sqs_record

TABLE = "credits"
Named = tuple[str, int]


@dataclass
class Playground:
    """A stack's table with accounts that were opened at `NOW_MS`, and its republish queue."""

    sqs: Any
    url: str
    store: DynamoStore
    clock: ManualClock = field(default_factory=ManualClock)

    @property
    def ledger(self) -> Ledger:
        """The ledger on the table."""
        return Ledger(self.store, self.clock, CATALOG)

    def write(self, account_id: str, pages: int) -> None:
        """Open an account, and have so many pages in all, a second after each other."""
        self.clock.at_ms = NOW_MS
        self.ledger.execute(account_id, OpenAccount(PLATFORM, "active", {"auto_order": 1000}))
        for number in range(1, pages):
            self.clock.at_ms = NOW_MS + 1000 * number
            self.ledger.execute(account_id, builders.debit(builders.order(f"o{number}", "manual", "bce")))

    def received(self) -> Iterator[Any]:
        """The messages on the republish queue."""
        while messages := self.sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, AttributeNames=["All"]
        ).get("Messages"):
            yield from messages

    def sent(self) -> list[Named]:
        """The pages that were sent, each once, in their own account's group and with the reason."""
        pages = []
        for message in self.received():
            body = json.loads(message["Body"])
            assert body["reason"] == "republish"
            assert message["Attributes"]["MessageGroupId"] == body["account_id"]
            pages.append((body["account_id"], body["version"]))
        return sorted(pages)


def run(**environment: str) -> str:
    """What the command prints for a stack on AWS. Raises SystemExit as it does."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        for name in ("SINCE", "ACCOUNT", "STACK"):
            patch.delenv(name, raising=False)
        for name, value in ({"STACK": "production"} | environment).items():
            patch.setenv(name, value)
        republish.main()
    return printed.getvalue()


def since(seconds: float) -> str:
    """A time so long after the accounts were opened."""
    return format_time(NOW_MS + round(seconds * 1000))


@pytest.fixture
def playground(monkeypatch: pytest.MonkeyPatch) -> Iterator[Playground]:
    """A stack on AWS, whose table is still empty."""
    for name, value in {"DEFAULT_REGION": "us-east-1", "ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setattr("dev.stack.republish.time.sleep", lambda _: None)
    with mock_aws():
        create_table(TABLE)
        sqs = boto3.client("sqs")
        url = sqs.create_queue(QueueName="republish")["QueueUrl"]
        outputs = {"production": {"TableName": TABLE, "RepublishQueueUrl": url}, "older": {"TableName": TABLE}}
        monkeypatch.setattr(deploy, "outputs_on_aws", outputs.__getitem__)
        yield Playground(sqs, url, DynamoStore(boto3.client("dynamodb"), TABLE))


@pytest.mark.parametrize(
    ("seconds", "first"), [(-60, 1), (0, 1), (0.001, 2), (1, 2), (2.5, 4), (3, 4), (4, 5), (4.001, None)]
)
def test_the_pages_of_an_account_since_a_time_are_sent(
    playground: Playground, seconds: float, first: int | None
) -> None:
    """A page of that very moment is one of them, and those of other accounts are not."""
    playground.write("acme", 5)
    playground.write("other", 5)
    wanted = [("acme", version) for version in range(first or 6, 6)]
    assert f"{len(wanted)} pages of " in run(SINCE=since(seconds), ACCOUNT="acme")
    assert playground.sent() == wanted


@pytest.mark.parametrize("seconds", [0, 2.5, 4.001])
def test_the_pages_of_all_accounts_are_those_of_each(playground: Playground, seconds: float) -> None:
    """And nothing but pages."""
    for account_id in ("acme", "other"):
        playground.write(account_id, 5)
        run(SINCE=since(seconds), ACCOUNT=account_id)
    by_account = playground.sent()
    run(SINCE=since(seconds))
    assert playground.sent() == by_account


def test_more_than_one_batch_is_sent(playground: Playground) -> None:
    """All pages, each once."""
    playground.write("acme", 23)
    assert run(SINCE=since(0)).startswith("23 pages of 1 accounts since ")
    assert playground.sent() == [("acme", version) for version in range(1, 24)]


def test_their_events_are_made_again(playground: Playground) -> None:
    """The republish queue's worker puts on the bus what these pages tell, to the letter."""
    playground.write("acme", 3)
    run(SINCE=since(1))
    bus, event = MemoryBus(), {"Records": [sqs_record(message) for message in playground.received()]}
    assert publishing.republish(event, Context(), playground.ledger, bus, MemoryQueue()) == {"batchItemFailures": []}
    pages = [playground.store.page("acme", version) for version in (2, 3)]
    told = [event for page in pages if page for event in bus_events(page)]
    assert sorted(bus.events, key=str) == sorted(told, key=str)
    for one in told:
        check_event(one.type, json.loads(one.detail))


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "since when"),
        ({"SINCE": "yesterday"}, "SINCE=yesterday: A time is RFC 3339"),
        ({"SINCE": "2026-02-30T00:00:00Z"}, "is not a time of the calendar"),
        ({"SINCE": since(0), "ACCOUNT": "a b"}, "ACCOUNT=a b can name no account"),
        ({"SINCE": since(0), "ACCOUNT": "nobody"}, "there is no account nobody in the table credits"),
        ({"SINCE": since(0), "STACK": "older"}, "the stack older has no output RepublishQueueUrl"),
    ],
)
def test_a_mistake_is_told_in_one_line(playground: Playground, environment: dict[str, str], said: str) -> None:
    """And nothing is sent."""
    playground.write("acme", 2)
    with pytest.raises(SystemExit, match=f"^error: .*({said})"):
        run(**environment)
    assert playground.sent() == []


def test_a_stack_that_cannot_be_looked_up_is_told(playground: Playground, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name."""

    def unknown(stack: str) -> None:
        message = f"Stack with id {stack} does not exist"
        raise ClientError({"Error": {"Code": "ValidationError", "Message": message}}, "DescribeStacks")

    monkeypatch.setattr(deploy, "outputs_on_aws", unknown)
    with pytest.raises(SystemExit, match=r"^error: the stack production cannot be looked up: .* does not exist$"):
        run(SINCE=since(0))
    assert playground.sent() == []


@pytest.mark.usefixtures("playground")
def test_without_a_local_stack_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Where STACK names none."""
    monkeypatch.setenv("STACK_HOME", str(tmp_path))
    with pytest.raises(SystemExit, match=r"^error: no stack is running here"):
        run(SINCE=since(0), STACK="")


def test_a_torn_journal_is_told(playground: Playground) -> None:
    """With the command that looks at it."""
    playground.write("acme", 4)
    playground.store.client.delete_item(TableName=TABLE, Key=page_key("acme", 2))
    with pytest.raises(SystemExit, match=r"^error: the journal cannot be read: .*`make restore-check`"):
        run(SINCE=since(2.5), ACCOUNT="acme")


def test_pages_that_the_queue_does_not_take_are_told(playground: Playground, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQS may take a part of a batch alone."""

    def refuse(**_: Any) -> Any:
        return {"Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": False}]}

    playground.write("acme", 2)
    client = SimpleNamespace(send_message_batch=refuse)
    monkeypatch.setattr(republish, "SqsQueue", lambda _, url, dead: SqsQueue(client, url, dead))
    with pytest.raises(SystemExit, match=r"^error: not all pages were sent: .*; run it again$"):
        run(SINCE=since(0))


class Pages:
    """A client whose scan answers with these pages of items."""

    def __init__(self, answers: Sequence[Any]) -> None:
        self.answers = answers

    def get_paginator(self, _name: str) -> "Pages":
        """Itself."""
        return self

    def paginate(self, **_: Any) -> Sequence[Any]:
        """The answers."""
        return self.answers


def test_a_scan_leaves_the_table_to_its_callers(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """It takes 500 read units a second, and says how far it is."""
    slept: list[float] = []
    monkeypatch.setattr("dev.stack.republish.time.sleep", slept.append)
    answer = {"Items": [], "ScannedCount": 6000, "ConsumedCapacity": {"CapacityUnits": 250.0}}
    assert list(republish.scan(DynamoStore(Pages([answer] * 3), TABLE), 0)) == []
    assert slept == [0.5, 0.5, 0.5]
    assert capsys.readouterr().err == "12000 items looked at\n"

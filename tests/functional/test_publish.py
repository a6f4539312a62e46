"""New pages on their way to the bus, and by the republish queue where that fails, over moto."""

import json
import os
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from autocredits.adapters.bus import EventBus
from autocredits.domain.journal import Page
from autocredits.edge.events import bus_events
from autocredits.ledger.ports import UnavailableError
from tests.functional.calls import debit
from tests.kit.service import Context, DeadLetter, Service, forget_clients, handler_of, work
from tests.kit.story import recorded


@pytest.fixture
def bus_down(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A bus that cannot be reached, until the patch is undone."""

    def fail(*_: Any) -> Any:
        raise UnavailableError("ServiceUnavailable")

    monkeypatch.setattr(EventBus, "put", fail)
    return monkeypatch


def told(service: Service) -> list[tuple[str, str]]:
    """Type and id of what was put on the bus since the last call."""
    return [(event["detail-type"], event["detail"]["id"]) for event in service.heard()]


def expected(*pages: Page) -> list[tuple[str, str]]:
    """What these pages tell."""
    return [(event.type, json.loads(event.detail)["id"]) for page in pages for event in bus_events(page)]


def test_a_recorded_batch_is_heard_on_the_bus(service: Service) -> None:
    """Whoever listens gets each event from us, with its type, the time of its page and its detail."""
    event = recorded("publish_pages")
    assert handler_of(event)(event, Context()) is None
    heard = service.heard()
    assert [one["detail-type"] for one in heard] == [
        "account.opened",
        "credits.granted",
        "balance.replenished",
        "credits.held",
        "credits.held",
        "auto_order.funded",
    ]
    assert {one["source"] for one in heard} == {"autocredits"}
    funded = heard[-1]
    assert (
        funded["detail"].items()
        >= {"id": "acme/2.0", "order_id": "A-2003", "hold_id": "A-2003~1", "attempt": 1}.items()
    )
    assert funded["detail"]["parts"] == {"order": "1.00", "tracking": "0.33"}
    assert funded["detail"]["at"].startswith("2026-11-24T11:40:20")


def test_what_was_committed_is_told(acme: Service) -> None:
    """Page by page, as it lies in the table."""
    assert debit(acme, work("A-1")).status == 201
    pages = acme.pages()
    acme.publish(pages)
    assert told(acme) == expected(*pages)


def test_a_page_shown_twice_is_told_twice_in_the_same_words(acme: Service) -> None:
    """At least once: consumers drop doubles by type and id."""
    page = acme.pages()[0]
    acme.publish([page])
    acme.publish([page])
    heard = [(event["detail-type"], event["detail"]) for event in acme.heard()]
    assert heard[: len(heard) // 2] == heard[len(heard) // 2 :]


def test_pages_of_an_outage_are_told_afterwards(acme: Service, bus_down: pytest.MonkeyPatch) -> None:
    """They wait on the republish queue, and come out of the journal once the bus answers."""
    pages = acme.pages()
    acme.publish(pages)
    assert told(acme) == []
    bus_down.undo()
    acme.republish()
    assert sorted(told(acme)) == sorted(expected(*pages))
    assert acme.republish() == []
    assert acme.unpublished() == []


@pytest.mark.usefixtures("bus_down")
def test_while_the_bus_is_down_pages_wait(acme: Service) -> None:
    """They are asked back from the republish queue; each message says which page, and why."""
    acme.publish(acme.pages()[:2])
    again = [json.loads(body) for body in acme.republish()]
    assert sorted(again, key=lambda one: one["version"]) == [
        {"account_id": "acme", "version": version, "reason": "bus_unavailable"} for version in (1, 2)
    ]
    assert acme.unpublished() == []


@pytest.mark.usefixtures("bus_down")
def test_a_publisher_that_reaches_neither_bus_nor_queue_raises(acme: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the stream shows the pages again."""
    monkeypatch.setenv("REPUBLISH_QUEUE_URL", acme.queues.republish + "-gone")
    pages = acme.pages()
    forget_clients()
    with pytest.raises(ClientError, match="NonExistentQueue"):
        acme.publish(pages)


def test_a_recorded_message_is_republished(acme: Service) -> None:
    """Both pages that the recorded batch names are told again."""
    event = recorded("republish_pages")
    assert handler_of(event)(event, Context()) == {"batchItemFailures": []}
    assert told(acme) == expected(*acme.pages()[:2])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("acme/3", "invalid_json"),
        ('{"account_id": "acme"}', "invalid_field"),
        ('{"account_id": "acme", "version": 99}', "page_missing"),
        ('{"account_id": "nobody", "version": 1}', "page_missing"),
    ],
)
def test_what_names_no_page_is_a_dead_letter_of_its_own_queue(acme: Service, body: str, reason: str) -> None:
    """At once, unchanged, with its reason; the orders' dead letters are none of it."""
    acme.sqs.send_message(QueueUrl=acme.queues.republish, MessageBody=body)
    assert acme.republish() == []
    assert acme.unpublished() == [DeadLetter(body, reason)]
    assert acme.dead_letters() == []


def test_a_page_that_was_changed_is_not_told(acme: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """By neither way: it ends as a dead letter, and the alarm is counted twice."""
    pages = acme.pages()
    boto3.client("dynamodb").update_item(
        TableName=os.environ["TABLE_NAME"],
        Key={"pk": {"S": "account#acme"}, "sk": {"S": "page#000000000001"}},
        UpdateExpression="SET entries[1].posted = :more",
        ExpressionAttributeValues={":more": {"N": "501"}},
    )
    capsys.readouterr()
    acme.publish([replace(pages[0], at=1), pages[1]])
    assert acme.republish() == []
    assert told(acme) == expected(pages[1])
    assert [letter.reason for letter in acme.unpublished()] == ["unreadable_page"]
    assert capsys.readouterr().out.count('"BrokenInvariant":[1.0]') == 2

"""A table that lost a part, or was changed by somebody else: told at once, counted, and never written over in silence."""

import json
import os
from typing import Any

import boto3
import pytest

from tests.functional.calls import ACME, debit, get, post, told
from tests.functional.conftest import Clock
from tests.kit.service import Service, work


def page_key(version: int) -> dict[str, Any]:
    """The key of a page of acme, as DynamoDB has it."""
    return {"pk": {"S": "account#acme"}, "sk": {"S": f"page#{version:012d}"}}


def everything() -> list[Any]:
    """All items of the table."""
    items: list[Any] = boto3.client("dynamodb").scan(TableName=os.environ["TABLE_NAME"])["Items"]
    return sorted(items, key=lambda item: (item["pk"]["S"], item["sk"]["S"]))


def broken_counts(capsys: pytest.CaptureFixture[str]) -> list[list[float]]:
    """Each count of `BrokenInvariant` that was written since the last call."""
    lines = [line for line in capsys.readouterr().out.splitlines() if "CloudWatchMetrics" in line]
    return [json.loads(line)["BrokenInvariant"] for line in lines]


@pytest.fixture
def torn(service: Service, clock: Clock) -> Service:
    """Acme after a restore that lost page 2, a debit's, and kept the debit's key and order."""
    service.open()
    clock.advance(1)
    assert debit(service, work("A-1"), "debit").status == 201
    boto3.client("dynamodb").delete_item(TableName=os.environ["TABLE_NAME"], Key=page_key(2))
    return service


def test_a_debit_of_a_lost_page_is_not_charged_again(
    torn: Service, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its key names a page that is not there: 500 at once, nothing is written, and an alarm counts it."""
    before = everything()
    capsys.readouterr()
    assert told(debit(torn, work("A-1"), "debit")) == (500, "internal_error")
    assert told(debit(torn, work("A-1"), "another")) == (500, "internal_error")
    assert clock.slept_s == 0
    assert everything() == before
    assert broken_counts(capsys) == [[1.0], [1.0]]


def test_a_message_about_a_lost_page_waits(torn: Service, clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is lost of it while the table is mended: it is neither acknowledged nor a dead letter."""
    before = everything()
    capsys.readouterr()
    assert len(torn.process("auto_order.requested", work("A-1"))) == 1
    assert torn.dead_letters() == []
    assert (clock.slept_s, everything()) == (0, before)
    assert broken_counts(capsys) == [[1.0]]


def test_another_page_does_not_answer_for_a_lost_one(torn: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """Other work goes on under the lost page's number; the lost debit's key is not answered from that page."""
    assert debit(torn, work("A-2"), "other").body["entries"][0]["entry_id"] == "2.0"
    capsys.readouterr()
    assert told(debit(torn, work("A-1"), "debit")) == (500, "internal_error")
    assert broken_counts(capsys) == [[1.0]]
    assert torn.balance()["posted"] == "4.00"


def test_a_page_that_was_changed_is_not_believed(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """It does not match its hash: who would read it or write after it is told 500."""
    service.open()
    boto3.client("dynamodb").update_item(
        TableName=os.environ["TABLE_NAME"],
        Key=page_key(1),
        UpdateExpression="SET entries[1].posted = :more",
        ExpressionAttributeValues={":more": {"N": "501"}},
    )
    capsys.readouterr()
    for answer in (get(service, "/balance"), get(service, "/entries"), debit(service, work("A-1"))):
        assert told(answer) == (500, "internal_error")
    assert told(post(service, "/quotes", work("A-1"))) == (500, "internal_error")
    assert told(service.call("PATCH", ACME, {"status": "paused"})) == (500, "internal_error")
    assert broken_counts(capsys) == [[1.0]] * 5

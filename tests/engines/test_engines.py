"""Each engine starts, does what the service relies on, and ends."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.kit.engines import NAMES, Endpoint, EngineError, client_of, make_table, start

TABLE_NAME = "engines"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=NAMES)
def dynamodb(request: pytest.FixtureRequest, endpoint: Endpoint) -> Any:
    """Each engine in turn, with an empty table."""
    client = client_of(endpoint(request.param))
    make_table(client, TABLE_NAME)
    return client


def spend(amount: int, entry: str) -> list[dict[str, Any]]:
    """The actions that take credits from an account and write the entry, each only if it may."""
    balance = {
        "TableName": TABLE_NAME,
        "Key": {"pk": {"S": "a"}, "sk": {"S": "balance"}},
        "UpdateExpression": "SET credits = credits - :amount",
        "ConditionExpression": "credits >= :amount",
        "ExpressionAttributeValues": {":amount": {"N": str(amount)}},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    line = {
        "TableName": TABLE_NAME,
        "Item": {"pk": {"S": "a"}, "sk": {"S": f"entry#{entry}"}},
        "ConditionExpression": "attribute_not_exists(pk)",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    return [{"Update": balance}, {"Put": line}]


def test_transactions(dynamodb: Any) -> None:
    """A transaction applies wholly or not at all, says why not with the old item, and is read back newest first."""
    account = {"pk": {"S": "a"}, "sk": {"S": "balance"}}
    dynamodb.put_item(TableName=TABLE_NAME, Item={**account, "credits": {"N": "20"}})
    for entry in ("1", "2", "3"):
        dynamodb.transact_write_items(TransactItems=spend(6, entry))

    with pytest.raises(ClientError) as refused:
        dynamodb.transact_write_items(TransactItems=spend(6, "3"))
    response: Any = refused.value.response
    reasons = response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["ConditionalCheckFailed"] * 2
    assert [reason["Item"]["sk"]["S"] for reason in reasons] == ["balance", "entry#3"]

    keys = [account, {"pk": {"S": "a"}, "sk": {"S": "none"}}]
    got = dynamodb.transact_get_items(TransactItems=[{"Get": {"TableName": TABLE_NAME, "Key": key}} for key in keys])
    assert got["Responses"] == [{"Item": {**account, "credits": {"N": "2"}}}, {}]

    page = dynamodb.query(
        TableName=TABLE_NAME,
        ConsistentRead=True,
        ScanIndexForward=False,
        Limit=2,
        KeyConditionExpression="pk = :a AND begins_with(sk, :entry)",
        ExpressionAttributeValues={":a": {"S": "a"}, ":entry": {"S": "entry#"}},
    )
    assert [item["sk"]["S"] for item in page["Items"]] == ["entry#3", "entry#2"]
    assert page["LastEvaluatedKey"] == page["Items"][-1]


def test_dynoxide_keeps_its_file_when_killed(tmp_path: Path) -> None:
    """What was acknowledged is still there after `kill -9`, and leaving the block copes with the dead process."""
    account = {"pk": {"S": "a"}, "sk": {"S": "balance"}}
    with start("dynoxide", database=tmp_path / "db") as engine:
        client = client_of(engine.endpoint_url)
        make_table(client, TABLE_NAME)
        client.put_item(TableName=TABLE_NAME, Item=account)
        os.kill(engine.pid, signal.SIGKILL)
    with start("dynoxide", database=tmp_path / "db") as engine:
        assert client_of(engine.endpoint_url).get_item(TableName=TABLE_NAME, Key=account)["Item"] == account


def test_an_engine_ends_with_its_block() -> None:
    """No process is left behind, also when the test fails."""
    with pytest.raises(RuntimeError), start("dynoxide") as engine:
        raise RuntimeError
    with pytest.raises(ProcessLookupError):
        os.kill(engine.pid, 0)


def test_a_failing_engine_says_why(tmp_path: Path) -> None:
    """An engine that ends at once is reported in one line, in its own words."""
    with (
        pytest.raises(EngineError, match=r"^dynoxide ended at once \(1\): .*unable to open database[^\n]*$"),
        start("dynoxide", database=tmp_path / "none" / "db"),
    ):
        pytest.fail("it started")

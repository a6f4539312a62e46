"""Stores to be tested: in memory, and DynamoDB on engines that run on this machine."""

from collections.abc import Callable, Iterator
from typing import Any, get_args
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config

from autocredits.adapters.dynamo import DynamoStore
from autocredits.ledger.ports import Store
from dev.engines import dynamodb as engines
from dev.stack.transform import read_template
from tests.kit.memory import MemoryStore


def connect(endpoint_url: str, **options: Any) -> Any:
    """A DynamoDB client for an engine on this machine."""
    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(max_pool_connections=64, retries={"total_max_attempts": 2, "mode": "standard"}, **options),
    )


def make_table(client: Any) -> str:
    """A new table, with the keys and indexes that the template gives it."""
    table = read_template()["Resources"]["CreditsTable"]["Properties"]
    name = f"credits-{uuid4().hex}"
    wanted = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    client.create_table(TableName=name, **{key: table[key] for key in wanted})
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    return name


@pytest.fixture(scope="session")
def endpoints() -> Iterator[Callable[[engines.Name], str]]:
    """Starts an engine when it is first asked for, and ends all of them at the end."""
    started: dict[engines.Name, Any] = {}

    def endpoint(name: engines.Name) -> str:
        if name not in started:
            context = engines.start(name)
            started[name] = (context, context.__enter__())
        url: str = started[name][1].endpoint_url
        return url

    yield endpoint
    for context, _ in started.values():
        context.__exit__(None, None, None)


@pytest.fixture(params=["memory", *get_args(engines.Name)])
def store(request: pytest.FixtureRequest, endpoints: Callable[[engines.Name], str]) -> Store:
    """A store of every kind there is, empty."""
    if request.param == "memory":
        return MemoryStore()
    client = connect(endpoints(request.param))
    return DynamoStore(client, make_table(client))

"""Engines that run on this machine: DynamoDB, with the service's own table, and Stripe's check of requests."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, get_args
from uuid import uuid4

import boto3
from botocore.config import Config

from autocredits.adapters.aws import CONFIG
from autocredits.adapters.dynamo import DynamoStore, parsing_queries
from dev.engines import dynamodb, programs
from dev.engines.dynamodb import Name, fetch, start
from dev.engines.programs import EngineError
from dev.engines.stripe_mock import start as start_stripe_mock
from dev.stack.transform import read_template

__all__ = [
    "NAMES",
    "Endpoint",
    "EngineError",
    "Name",
    "client_of",
    "dynamodb",
    "fetch",
    "make_store",
    "make_table",
    "open_engines",
    "programs",
    "start",
    "start_stripe_mock",
]

NAMES: tuple[Name, ...] = get_args(Name)
THREADS = 64

Endpoint = Callable[[Name], str]
"""Where an engine answers; it is started when it is first asked for."""


def client_of(endpoint_url: str, **options: Any) -> Any:
    """A client with the service's own settings, for many threads, that talks to nothing but the engine."""
    client = boto3.client(
        "dynamodb",
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=CONFIG.merge(Config(max_pool_connections=THREADS, **options)),
    )
    return parsing_queries(client)


def make_table(client: Any, name: str | None = None) -> str:
    """A new table as the template describes the service's, ready for use; its name, which is new unless given."""
    name = name or f"credits-{uuid4().hex}"
    table = read_template()["Resources"]["CreditsTable"]["Properties"]
    told = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    client.create_table(TableName=name, **{key: table[key] for key in told})
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    return name


def make_store(endpoint_url: str) -> DynamoStore:
    """A store on a new table of an engine."""
    client = client_of(endpoint_url)
    return DynamoStore(client, make_table(client))


@contextmanager
def open_engines() -> Iterator[Endpoint]:
    """Start each engine when it is first asked for, and end all of them with the block."""
    started: dict[Name, str] = {}
    with ExitStack() as engines:

        def endpoint(name: Name) -> str:
            if name not in started:
                started[name] = engines.enter_context(start(name)).endpoint_url
            return started[name]

        yield endpoint

"""The service's own table, as the template describes it, on an engine."""

from typing import Any

import boto3
from botocore.config import Config

from autocredits.adapters.aws import CONFIG
from autocredits.adapters.dynamo import DynamoStore
from dev.engines.dynamodb import Engine
from dev.stack.transform import read_template

TABLE_NAME = "credits"
THREADS = 64


def client_of(endpoint_url: str, **options: Any) -> Any:
    """A client with the service's own settings, for many threads, that talks to nothing but the engine."""
    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=CONFIG.merge(Config(max_pool_connections=THREADS, **options)),
    )


def make_store(engine: Engine) -> DynamoStore:
    """A store on the template's table, which is made here."""
    client = client_of(engine.endpoint_url)
    table = read_template()["Resources"]["CreditsTable"]["Properties"]
    names = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    client.create_table(TableName=TABLE_NAME, **{name: table[name] for name in names})
    return DynamoStore(client, TABLE_NAME)

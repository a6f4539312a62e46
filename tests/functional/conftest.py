"""A table, queues and a bus in moto for each test, made as the template makes them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any
from uuid import uuid4

import boto3
import pytest
from moto import mock_aws

from autocredits.adapters.clock import SystemClock
from tests.functional.calls import fund
from tests.kit.service import Queues, Service, forget_clients
from tests.kit.template import template

SIGNING_SECRET = "whsec_example_of_functional"

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "POWERTOOLS_METRICS_NAMESPACE": "autocredits",
    "POWERTOOLS_SERVICE_NAME": "autocredits",
    # It looks like a stack on this machine, or there would be no sandbox; each service is moto's all the same.
    "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
    "AWS_ENDPOINT_URL_DYNAMODB": "https://dynamodb.us-east-1.amazonaws.com",
    "AWS_ENDPOINT_URL_SQS": "https://sqs.us-east-1.amazonaws.com",
    "AWS_ENDPOINT_URL_EVENTBRIDGE": "https://events.us-east-1.amazonaws.com",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER": "https://secretsmanager.us-east-1.amazonaws.com",
    "SANDBOX_SECRET_NAME": "sandbox",
    "SANDBOX_PAGE_URL": "http://127.0.0.1:4568",
}


@pytest.fixture(scope="module")
def aws() -> Iterator[None]:
    """An AWS in this process, for all tests of a file."""
    with pytest.MonkeyPatch.context() as environment, mock_aws():
        for name, value in ENVIRONMENT.items():
            environment.setenv(name, value)
        secret = json.dumps({"signing": [SIGNING_SECRET]})
        boto3.client("secretsmanager").create_secret(Name="sandbox", SecretString=secret)
        yield
    forget_clients()


@pytest.fixture
def service(aws: None, monkeypatch: pytest.MonkeyPatch) -> Service:  # noqa: ARG001 - it is there, and says nothing
    """The functions over an empty table, empty queues and a silent bus of their own."""
    name = uuid4().hex
    create_table(name)
    queues = Queues(*(create_queue(f"{queue.name}-{name}") for queue in fields(Queues)))
    create_bus(name, queues.heard)
    monkeypatch.setenv("TABLE_NAME", name)
    monkeypatch.setenv("ORDERS_QUEUE_URL", queues.orders)
    monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", queues.dead_letters)
    monkeypatch.setenv("REPUBLISH_QUEUE_URL", queues.republish)
    monkeypatch.setenv("REPUBLISH_DEAD_LETTER_QUEUE_URL", queues.unpublished)
    monkeypatch.setenv("BUS_NAME", name)
    forget_clients()
    return Service(queues)


@pytest.fixture
def acme(service: Service) -> Service:
    """The service with acme: its 5.00 credits and 50.00 dollars."""
    service.open()
    fund(service, "50.00")
    return service


@dataclass
class Clock:
    """What the functions take for the time. It moves when a test says so."""

    now_ms: int = 1_795_521_600_000  # 2026-11-24T12:00:00Z
    slept_s: float = 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now_ms += round(seconds * 1000)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock for tests that need to know the time; waiting takes none."""
    clock = Clock()

    def sleep(_: SystemClock, seconds: float) -> None:
        clock.slept_s += seconds

    monkeypatch.setattr(SystemClock, "now_ms", lambda _: clock.now_ms)
    monkeypatch.setattr(SystemClock, "monotonic_s", lambda _: clock.now_ms / 1000 + clock.slept_s)
    monkeypatch.setattr(SystemClock, "sleep_up_to", sleep)
    return clock


def create_table(name: str) -> None:
    """The template's table, but for its protection."""
    properties: dict[str, Any] = template()["Resources"]["CreditsTable"]["Properties"]
    wanted = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
    boto3.client("dynamodb").create_table(TableName=name, **{part: properties[part] for part in wanted})


def create_queue(name: str) -> str:
    """A queue that shows a received message again no sooner than the template's does."""
    visibility = template()["Resources"]["OrdersQueue"]["Properties"]["VisibilityTimeout"]
    queue = boto3.client("sqs").create_queue(QueueName=name, Attributes={"VisibilityTimeout": str(visibility)})
    return queue["QueueUrl"]


def create_bus(name: str, heard_queue_url: str) -> None:
    """A bus whose every event goes to a queue as well."""
    events, sqs = boto3.client("events"), boto3.client("sqs")
    arn = sqs.get_queue_attributes(QueueUrl=heard_queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.create_event_bus(Name=name)
    events.put_rule(Name="all", EventBusName=name, EventPattern=json.dumps({"source": ["autocredits"]}))
    events.put_targets(Rule="all", EventBusName=name, Targets=[{"Id": "heard", "Arn": arn}])

"""AWS clients whose requests are answered here, by a test, and never leave the process."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse, HTTPHeaders
from botocore.config import Config

from autocredits.adapters.aws import CONFIG
from autocredits.adapters.dynamo import parsing_queries

ADDRESS = "http://127.0.0.1:1"


@dataclass
class Raw:
    """A body as urllib3 gives it."""

    body: bytes

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        """All of it at once."""
        yield self.body


def response(status: int, body: object) -> AWSResponse:
    """An answer with this body: bytes as they are, all else as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return AWSResponse(ADDRESS, status, HTTPHeaders(), Raw(raw))


def client_of(service: str, send: Callable[..., AWSResponse] | None = None, endpoint_url: str = ADDRESS) -> Any:
    """A client of the service with our own settings, but one try; `send` takes each request's place."""
    client: Any = boto3.client(  # type: ignore[call-overload] # any service
        service,
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=CONFIG.merge(Config(retries={"total_max_attempts": 1})),
    )
    if send is not None:
        client.meta.events.register(f"before-send.{service}.*", send)
    return parsing_queries(client) if service == "dynamodb" else client


def answering(service: str, status: int, body: object) -> Any:
    """A client that gets this answer to whatever it asks."""
    return client_of(service, lambda **_: response(status, body))


def raising(service: str, error: Exception) -> Any:
    """A client whose every request ends so."""

    def send(**_: object) -> AWSResponse:
        raise error

    return client_of(service, send)


def error(code: str, **more: Any) -> dict[str, Any]:
    """An error as AWS writes it in JSON."""
    return {"__type": f"com.amazonaws.service#{code}", "message": "why", **more}

"""What every service and the network may raise, by the names of the ports."""

from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)

from autocredits import __version__
from autocredits.adapters.aws import CONFIG, client, translate_errors
from autocredits.ledger.ports import UnavailableError
from autocredits.ledger.time_limit import WORST_CALL_S, OutOfTimeError, time_limit
from tests.kit.wire import response


def client_error(code: str, status: int) -> ClientError:
    """An error as botocore raises it."""
    answer: Any = {"Error": {"Code": code, "Message": "why"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "Call")


@pytest.mark.parametrize(
    "error",
    [
        client_error("ThrottlingException", 400),
        client_error("RequestThrottled", 403),
        client_error("ServiceUnavailable", 503),
        client_error("SomethingNobodyHasHeardOf", 500),
        ConnectTimeoutError(endpoint_url="x"),
        ReadTimeoutError(endpoint_url="x"),
        EndpointConnectionError(endpoint_url="x"),
        ConnectionClosedError(endpoint_url="x"),
        SSLError(endpoint_url="x", error=OSError("handshake")),
    ],
)
def test_what_time_can_mend_is_unavailable(error: Exception) -> None:
    """Throttled, failing, or out of reach."""
    with pytest.raises(UnavailableError), translate_errors():
        raise error


@pytest.mark.parametrize(
    "error",
    [client_error("AccessDeniedException", 400), client_error("ValidationException", 499), NoCredentialsError()],
)
def test_a_defect_of_ours_goes_through(error: ClientError | BotoCoreError) -> None:
    """It is told as it is: no time will mend it."""
    with pytest.raises(type(error)) as raised, translate_errors():
        raise error
    assert raised.value is error


def test_our_own_time_outs_are_shorter_than_a_caller_waits() -> None:
    """One try of at most four seconds; who can wait tries again itself."""
    settings: Any = CONFIG
    assert (settings.connect_timeout, settings.read_timeout) == (1, 3)
    assert settings.retries["total_max_attempts"] == 1
    assert settings.connect_timeout + settings.read_timeout == WORST_CALL_S


def test_a_call_that_may_not_end_in_time_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """With less left than it can take, nothing is sent; nor is it taken for a defect."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "test")
    sqs, sent = client("sqs"), list[str]()

    def send(**_: object) -> AWSResponse:
        sent.append("sent")
        return response(200, {"QueueUrls": []})

    sqs.meta.events.register("before-send", send)
    with time_limit(WORST_CALL_S + 60):
        sqs.list_queues()
    assert sent == ["sent"]
    with time_limit(WORST_CALL_S - 0.1), pytest.raises(OutOfTimeError), translate_errors():
        sqs.list_queues()
    assert sent == ["sent"]


def test_a_client_has_our_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Region and credentials are the environment's; who calls can be told by the release."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    meta = client("sqs").meta
    assert (meta.region_name, meta.config.read_timeout) == ("eu-central-1", 3)
    assert meta.config.user_agent.startswith(f"autocredits/{__version__}")

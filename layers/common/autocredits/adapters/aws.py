"""How every AWS client is made: time-outs shorter than a caller waits, one try, fixed user agent."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as AwsConnectionError
from botocore.parsers import ResponseParserError

from autocredits import __version__
from autocredits.ledger.ports import UnavailableError
from autocredits.ledger.time_limit import WORST_CALL_S, check_time

THROTTLED = frozenset(
    {
        "InternalServerError",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ServiceUnavailable",
        "ThrottlingError",
        "ThrottlingException",
        "TransactionInProgressException",
    }
)

CONNECT_S = 1.0

CONFIG = Config(
    connect_timeout=CONNECT_S,
    read_timeout=WORST_CALL_S - CONNECT_S,
    # Whoever can wait tries again itself, as long as it has time.
    retries={"mode": "standard", "total_max_attempts": 1},
    # Together these two save a third of each call's time; what we send is typed before it gets here.
    parameter_validation=False,
    user_agent=f"autocredits/{__version__}",
)


def client(service: str) -> Any:
    """A client of the service, in the region and with the credentials of the environment.

    Each call raises OutOfTimeError where it might not end in time.
    """
    made = boto3.client(service, config=CONFIG)  # type: ignore[call-overload]
    made.meta.events.register("before-call", lambda **_: check_time())
    return made


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn a service that is throttled, failing or out of reach into UnavailableError; all else goes through."""
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if error.response["Error"]["Code"] in THROTTLED or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise UnavailableError(error.response["Error"]["Code"]) from error
        raise
    except (AwsConnectionError, HTTPClientError, ResponseParserError) as error:
        raise UnavailableError(type(error).__name__) from error

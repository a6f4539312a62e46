from typing import Any

import pytest
from aws_lambda_powertools.utilities.parameters import SecretsProvider
from botocore.awsrequest import AWSResponse

from autocredits.adapters.secrets import MAX_AGE_S, AwsSecrets
from autocredits.ledger.ports import UnavailableError
from tests.kit.wire import answering, client_of, error, response


def secrets_on(client: Any) -> AwsSecrets:
    """The secrets behind this client."""
    return AwsSecrets(SecretsProvider(boto3_client=client))


def holding(text: str) -> Any:
    """A client to which every secret is this text."""
    return answering("secretsmanager", 200, {"SecretString": text})


def test_a_secret_is_a_json_object() -> None:
    """It is read by its name."""
    assert secrets_on(holding('{"signing": ["s1"]}')).read("stripe") == {"signing": ["s1"]}


def test_a_secret_is_kept_for_five_minutes() -> None:
    """So that a rotated one is soon in use, and not every call asks."""
    asked: list[object] = []

    def send(request: object, **_: object) -> AWSResponse:
        asked.append(request)
        return response(200, {"SecretString": "{}"})

    secrets = secrets_on(client_of("secretsmanager", send))
    for _ in range(3):
        secrets.read("stripe")
    assert len(asked) == 1
    assert MAX_AGE_S == 300


@pytest.mark.parametrize(
    "client",
    [
        answering("secretsmanager", 503, error("ServiceUnavailable")),
        answering("secretsmanager", 400, error("ResourceNotFoundException")),
    ],
    ids=["failing", "missing"],
)
def test_a_secret_that_cannot_be_read_is_unavailable(client: Any) -> None:
    """A provider then sends its webhook again later."""
    with pytest.raises(UnavailableError):
        secrets_on(client).read("stripe")


@pytest.mark.parametrize("text", ['["s1"]', '"s1"', "7", "s1", "{", "null"])
def test_a_secret_of_another_form_holds_nothing(text: str) -> None:
    """Whoever needs something of it finds that it lacks it, and tells so."""
    assert secrets_on(holding(text)).read("stripe") == {}

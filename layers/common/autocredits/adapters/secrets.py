"""Secrets by name, from Secrets Manager. They are kept for five minutes, so that a rotated one is soon in use."""

from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError, TransformParameterError

from autocredits.ledger.ports import UnavailableError

MAX_AGE_S = 300


@dataclass(frozen=True, slots=True)
class AwsSecrets:
    """A Secrets port on Secrets Manager; each secret is a JSON object. What is none holds nothing."""

    provider: SecretsProvider

    def read(self, name: str) -> dict[str, Any]:
        """The secret's object. Raises UnavailableError when it cannot be read."""
        try:
            secret = self.provider.get(name, max_age=MAX_AGE_S, transform="json")
        except GetParameterError as error:
            raise UnavailableError("a secret cannot be read") from error
        except TransformParameterError:
            return {}
        return secret if isinstance(secret, dict) else {}

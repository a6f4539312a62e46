"""What the deployed functions run on, put together from the environment. No other module reads settings.

Everything is opened when it is first asked for, never at import, and kept for the life of the process.
"""

import json
import os
from functools import cache
from importlib import resources

from aws_lambda_powertools.utilities.parameters import SecretsProvider

from .adapters.aws import client
from .adapters.bus import EventBus
from .adapters.clock import SystemClock
from .adapters.dynamo import DynamoStore, parsing_queries
from .adapters.queue import SqsQueue
from .adapters.secrets import AwsSecrets
from .domain.catalog import Catalog, load_catalog
from .ledger.commit import Ledger
from .ledger.ports import Bus, Queue


@cache
def catalog() -> Catalog:
    """The rate cards and packages of the package. Raises BadCatalogError where they are incomplete."""
    files = resources.files("autocredits.catalog")
    cards = sorted(file.name for file in files.joinpath("rate_cards").iterdir() if file.name.endswith(".json"))
    texts = [files.joinpath("rate_cards", name).read_text("utf-8") for name in cards]
    packages = files.joinpath("packages.json").read_text("utf-8")
    return load_catalog([json.loads(text) for text in texts], json.loads(packages))


@cache
def ledger() -> Ledger:
    """The ledger on the table of journals and records."""
    return Ledger(DynamoStore(parsing_queries(client("dynamodb")), os.environ["TABLE_NAME"]), SystemClock(), catalog())


@cache
def queue() -> Queue:
    """The orders queue and its dead letters."""
    return SqsQueue(client("sqs"), os.environ["ORDERS_QUEUE_URL"], os.environ["DEAD_LETTER_QUEUE_URL"])


@cache
def republish_queue() -> Queue:
    """The queue of pages whose events are still to be made, and its dead letters."""
    return SqsQueue(client("sqs"), os.environ["REPUBLISH_QUEUE_URL"], os.environ["REPUBLISH_DEAD_LETTER_QUEUE_URL"])


@cache
def bus() -> Bus:
    """The bus of events."""
    return EventBus(client("events"), os.environ["BUS_NAME"])


@cache
def secrets() -> AwsSecrets:
    """The secrets of this function."""
    return AwsSecrets(SecretsProvider(boto3_client=client("secretsmanager")))


def payment_secret_name(provider: str) -> str:
    """The secret with a payment provider's keys; empty if that provider is not used."""
    return os.environ.get(f"{provider.upper()}_SECRET_NAME", "")


def paypal_environment() -> str:
    """`sandbox` or `live`."""
    return os.environ["PAYPAL_ENVIRONMENT"]


def payoneer_environment() -> str:
    """`sandbox` or `live`."""
    return os.environ["PAYONEER_ENVIRONMENT"]


def payoneer_division() -> str:
    """The division that payments at Payoneer are booked under; empty: the merchant's own."""
    return os.environ.get("PAYONEER_DIVISION", "")


def payoneer_country() -> str:
    """The country that Payoneer is told for a buyer who named none."""
    return os.environ["PAYONEER_COUNTRY"]


def webhooks_url() -> str:
    """The address of this API for payment providers; empty: the host that a call came to."""
    return os.environ.get("WEBHOOKS_URL", "").rstrip("/")


def sandbox_page_url() -> str:
    """The address of the sandbox's page."""
    return os.environ["SANDBOX_PAGE_URL"]


def return_origins() -> tuple[str, ...]:
    """The origins that a buyer may be sent back to; blanks and a closing slash are forgiven."""
    origins = (origin.strip().rstrip("/") for origin in os.environ.get("RETURN_ORIGINS", "").split(","))
    return tuple(origin for origin in origins if origin)


def aws_endpoint_url() -> str:
    """Where AWS is; empty for AWS itself. The emulator of a local stack sets it."""
    return os.environ.get("AWS_ENDPOINT_URL", "")

"""What the deployed functions run on: the table, the machine's clock, and the catalog of the package's files."""

import json
from functools import cache
from importlib import resources

from aws_lambda_powertools.utilities.parameters import SecretsProvider

from autocredits.domain.catalog import Catalog, load_catalog
from autocredits.ledger import Ledger

from .aws import CONFIG, client
from .clock import SystemClock
from .dynamo import DynamoStore
from .queue import SqsQueue
from .secrets import AwsSecrets


@cache
def open_catalog() -> Catalog:
    """The rate cards and packages of the package. Raises BadCatalogError where they are incomplete."""
    files = resources.files("autocredits.catalog")
    cards = sorted(file.name for file in files.joinpath("rate_cards").iterdir() if file.name.endswith(".json"))
    texts = [files.joinpath("rate_cards", name).read_text("utf-8") for name in cards]
    packages = files.joinpath("packages.json").read_text("utf-8")
    return load_catalog([json.loads(text) for text in texts], json.loads(packages))


@cache
def open_ledger(table_name: str) -> Ledger:
    """The ledger on the table; the same one for every call in this process."""
    return Ledger(DynamoStore(client("dynamodb"), table_name), SystemClock(), open_catalog())


@cache
def open_queue(url: str, dead_letter_url: str) -> SqsQueue:
    """The queue of orders and its dead letters."""
    return SqsQueue(client("sqs"), url, dead_letter_url)


@cache
def open_secrets() -> AwsSecrets:
    """The secrets of this function."""
    return AwsSecrets(SecretsProvider(boto_config=CONFIG))

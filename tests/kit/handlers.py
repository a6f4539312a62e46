"""The functions' handlers on a test's own ports, in place of those that `bootstrap` opens."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from types import MappingProxyType
from typing import Any

import pytest

from autocredits.edge.telemetry import logger
from autocredits.ledger.commit import Ledger
from autocredits.ledger.ports import Bus, Queue
from tests.kit.memory import MemoryBus, MemoryQueue

FUNCTIONS = (
    *("account.app", "balance.app", "consume.app", "consume.worker"),
    *("purchase.app", "purchase.poll", "purchase.webhooks"),
    *("publish.app", "publish.republish", "audit.app", "sweep.app"),
)
"""The modules whose handlers the template names."""

SECRET = "whsec_of_the_tests_alone"
"""What the sandbox signs with."""

SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "TABLE_NAME": "table",
        "ORDERS_QUEUE_URL": "orders",
        "DEAD_LETTER_QUEUE_URL": "dead",
        "REPUBLISH_QUEUE_URL": "republish",
        "REPUBLISH_DEAD_LETTER_QUEUE_URL": "unpublished",
        "BUS_NAME": "bus",
        "POWERTOOLS_METRICS_NAMESPACE": "autocredits",
        "POWERTOOLS_SERVICE_NAME": "autocredits",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "SANDBOX_SECRET_NAME": "sandbox",
        "SANDBOX_PAGE_URL": "http://127.0.0.1:2",
    }
)
"""The functions' environment, where the sandbox is the one provider."""


@contextmanager
def handlers_on(
    ledger: Callable[[], Ledger],
    queue: Callable[[], Queue],
    secrets: Callable[[], Any],
    bus: Callable[[], Bus] = MemoryBus,
    republish_queue: Callable[[], Queue] = MemoryQueue,
) -> Iterator[pytest.MonkeyPatch]:
    """Let every handler ask these for its ports at each call. The patch that is given lasts as long."""
    ports = {"ledger": ledger, "queue": queue, "bus": bus, "republish_queue": republish_queue}
    with pytest.MonkeyPatch.context() as patch, quiet():
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        for name in FUNCTIONS:
            module = import_module(f"functions.{name}")
            for port, opened in ports.items():
                if hasattr(module, port):
                    patch.setattr(module, port, opened)
        patch.setattr("autocredits.bootstrap.secrets", secrets)
        yield patch


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what the service logs to itself."""
    level = logger.log_level
    logger.setLevel("CRITICAL")
    try:
        yield
    finally:
        logger.setLevel(level)

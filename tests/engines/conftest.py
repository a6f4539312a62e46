"""Engines, each started once for all tests of the session."""

from collections.abc import Iterator

import pytest

from tests.kit.engines import Endpoint, open_engines


@pytest.fixture(scope="session")
def endpoint() -> Iterator[Endpoint]:
    """Where an engine answers; it is started when it is first asked for."""
    with open_engines() as endpoint:
        yield endpoint

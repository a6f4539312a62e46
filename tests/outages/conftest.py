"""The engine below the SDK."""

from collections.abc import Iterator

import pytest

from tests.kit.engines import Endpoint, open_engines


@pytest.fixture(scope="session")
def endpoints() -> Iterator[Endpoint]:
    """Starts an engine when it is first asked for, and ends all of them at the end."""
    with open_engines() as endpoint:
        yield endpoint

"""A stack in memory, and two callers of it."""

import pytest

from credits import Client
from tests.kit.served import Served, client_of


@pytest.fixture
def served() -> Served:
    """A stack without accounts."""
    return Served()


@pytest.fixture
def platform(served: Served) -> Client:
    """The platform's client."""
    return client_of(served)


@pytest.fixture
def acme(served: Served, platform: Client) -> Client:
    """Account `acme` with its add-on, 20.00 credits and 100.00 of managed balance, and its client."""
    platform.open_account("acme", "active", {"auto_order": "20.00", "managed": "100.00"})
    return client_of(served, "acme")

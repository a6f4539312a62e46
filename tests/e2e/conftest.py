"""One stack for all end-to-end tests, apart from any that a developer runs."""

from collections.abc import Iterator

import pytest

from tests.e2e.buyer import Buyer, opened_buyer
from tests.e2e.forgotten import Forgotten, forget
from tests.kit.stack import Stack, new_places, run_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack in a folder and on ports of its own, with every role enforced."""
    with run_stack(new_places(tmp_path_factory.mktemp("stack")), AUTH="true") as stack:
        yield stack


@pytest.fixture(scope="session", autouse=True)
def forgotten(stack: Stack) -> Forgotten:
    """What the sweep has to find. It is there from the start, so that its minutes pass while other tests run."""
    return forget(stack)


@pytest.fixture
def buyer(stack: Stack) -> Buyer:
    """A fresh account with the add-on."""
    return opened_buyer(stack)

"""The bench's requests work, and ask the table as often as they may, also where nobody waits for 100,000 pages."""

from itertools import pairwise

import pytest

from bench.journals import account_of, fill
from bench.measured import REQUESTS, Request
from bench.run import measure
from bench.service import open_bench
from tests.kit.engines import Endpoint, client_of, make_table

PAGES = 120


@pytest.fixture(scope="module")
def table(endpoint: Endpoint) -> str:
    """A table with one account of the bench."""
    name = make_table(client_of(endpoint("dynoxide")))
    with open_bench(endpoint("dynoxide"), name) as bench:
        fill(bench, PAGES)
    return name


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.name)
def test_a_request_costs_no_more_than_it_may(request_: Request, endpoint: Endpoint, table: str) -> None:
    """Each is answered, within its limits."""
    with open_bench(endpoint("dynoxide"), table) as bench:
        newest = bench.store.head(account_of(PAGES))
        assert newest is not None
        assert newest.version >= PAGES
        bench.clock.at_ms = newest.at
        figure = measure(bench, request_, PAGES)
    assert figure.failures() == []
    assert figure.calls > 0


def test_the_pages_are_a_chain(endpoint: Endpoint, table: str) -> None:
    """What is written straight into the table is what the service would read: numbered, linked, with the right sums."""
    with open_bench(endpoint("dynoxide"), table) as bench:
        pages = list(bench.store.pages_before(account_of(PAGES), PAGES + 1, PAGES))[::-1]
    assert [page.version for page in pages] == list(range(1, PAGES + 1))
    assert all(later.prev == earlier.hash for earlier, later in pairwise(pages))
    posted = sum(entry.posted for page in pages for entry in page.entries)
    assert pages[-1].state.balance("auto_order").posted == posted

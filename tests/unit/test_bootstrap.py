from collections.abc import Iterator

import pytest

from autocredits import bootstrap
from autocredits.adapters.bus import EventBus
from autocredits.adapters.clock import SystemClock
from autocredits.adapters.dynamo import DynamoStore
from tests.kit.service import forget_clients


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """An environment that says nothing but where AWS is, as in a process that has just begun."""
    for name in ("TABLE_NAME", "ORDERS_QUEUE_URL", "DEAD_LETTER_QUEUE_URL", "STRIPE_SECRET_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("SANDBOX_SECRET_NAME", "SANDBOX_PAGE_URL", "RETURN_ORIGINS", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in ("REPUBLISH_QUEUE_URL", "REPUBLISH_DEAD_LETTER_QUEUE_URL", "BUS_NAME"):
        monkeypatch.delenv(name, raising=False)
    forget_clients()
    yield monkeypatch
    forget_clients()


def test_the_ledger_is_on_the_table_of_the_environment(environment: pytest.MonkeyPatch) -> None:
    """With the machine's clock and the package's catalog; opened once, and kept."""
    environment.setenv("TABLE_NAME", "credits")
    ledger = bootstrap.ledger()
    assert isinstance(ledger.store, DynamoStore)
    assert ledger.store.table_name == "credits"
    assert isinstance(ledger.clock, SystemClock)
    assert ledger.catalog is bootstrap.catalog()
    assert bootstrap.ledger() is ledger


def test_the_queue_is_the_one_of_the_environment(environment: pytest.MonkeyPatch) -> None:
    """With its dead letters; opened once, and kept."""
    environment.setenv("ORDERS_QUEUE_URL", "http://127.0.0.1:1/orders")
    environment.setenv("DEAD_LETTER_QUEUE_URL", "http://127.0.0.1:1/dead")
    queue = bootstrap.queue()
    assert (queue.url, queue.dead_letter_url) == ("http://127.0.0.1:1/orders", "http://127.0.0.1:1/dead")  # type: ignore[attr-defined]
    assert bootstrap.queue() is queue


def test_the_republish_queue_is_another_one(environment: pytest.MonkeyPatch) -> None:
    """With dead letters of its own; opened once, and kept."""
    environment.setenv("REPUBLISH_QUEUE_URL", "http://127.0.0.1:1/republish")
    environment.setenv("REPUBLISH_DEAD_LETTER_QUEUE_URL", "http://127.0.0.1:1/unpublished")
    queue = bootstrap.republish_queue()
    assert (queue.url, queue.dead_letter_url) == ("http://127.0.0.1:1/republish", "http://127.0.0.1:1/unpublished")  # type: ignore[attr-defined]
    assert bootstrap.republish_queue() is queue


def test_the_bus_is_the_one_of_the_environment(environment: pytest.MonkeyPatch) -> None:
    """On EventBridge; opened once, and kept."""
    environment.setenv("BUS_NAME", "credits")
    bus = bootstrap.bus()
    assert isinstance(bus, EventBus)
    assert (bus.name, bus.client.meta.service_model.service_name) == ("credits", "events")
    assert bootstrap.bus() is bus


def test_secrets_are_kept_between_calls() -> None:
    """One provider for the life of the process, so that its cache is of use."""
    assert bootstrap.secrets() is bootstrap.secrets()


@pytest.mark.parametrize("opened", [bootstrap.ledger, bootstrap.queue, bootstrap.republish_queue, bootstrap.bus])
def test_what_is_not_set_is_told_when_it_is_asked_for(opened: object) -> None:
    """Not at import, so a function needs only what it uses."""
    with pytest.raises(KeyError):
        opened()  # type: ignore[operator]


def test_providers_are_off_unless_the_environment_names_their_secrets(environment: pytest.MonkeyPatch) -> None:
    """Empty stands for none."""
    names = ("stripe", "paypal", "payoneer", "sandbox")
    assert [bootstrap.payment_secret_name(name) for name in names] == [""] * 4
    assert (bootstrap.aws_endpoint_url(), bootstrap.webhooks_url()) == ("", "")
    for name in names:
        environment.setenv(f"{name.upper()}_SECRET_NAME", f"secret of {name}")
    assert [bootstrap.payment_secret_name(name) for name in names] == [f"secret of {name}" for name in names]


def test_what_providers_are_told_is_in_the_environment(environment: pytest.MonkeyPatch) -> None:
    """Whose hosts are asked, and where webhooks and buyers go."""
    settings = {
        "PAYPAL_ENVIRONMENT": "live",
        "PAYONEER_ENVIRONMENT": "sandbox",
        "PAYONEER_DIVISION": "shops",
        "PAYONEER_COUNTRY": "DE",
        "SANDBOX_PAGE_URL": "http://127.0.0.1:4568",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "WEBHOOKS_URL": "https://api.example/",
    }
    for name, value in settings.items():
        environment.setenv(name, value)
    assert (bootstrap.paypal_environment(), bootstrap.payoneer_environment()) == ("live", "sandbox")
    assert (bootstrap.payoneer_division(), bootstrap.payoneer_country()) == ("shops", "DE")
    assert (bootstrap.sandbox_page_url(), bootstrap.aws_endpoint_url()) == (
        "http://127.0.0.1:4568",
        "http://127.0.0.1:4566",
    )
    assert bootstrap.webhooks_url() == "https://api.example"


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        (None, ()),
        ("", ()),
        ("https://a.example", ("https://a.example",)),
        ("https://a.example,https://b.example", ("https://a.example", "https://b.example")),
        ("https://a.example,", ("https://a.example",)),
        (",https://a.example", ("https://a.example",)),
    ],
)
def test_origins_are_separated_by_commas(
    environment: pytest.MonkeyPatch, text: str | None, origins: tuple[str, ...]
) -> None:
    """None are allowed unless they are named; an empty one is none."""
    if text is not None:
        environment.setenv("RETURN_ORIGINS", text)
    assert bootstrap.return_origins() == origins


def test_the_packages_own_catalog_is_complete() -> None:
    """Every rate card and package that is deployed loads."""
    catalog = bootstrap.catalog()
    assert [card.name for card in catalog.rate_cards] == sorted(card.name for card in catalog.rate_cards)
    assert "auto_order-20" in {package.name for package in catalog.packages}

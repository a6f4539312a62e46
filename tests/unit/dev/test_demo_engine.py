"""The demo's engine answers what is funded, and its answers are what the orders queue takes."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from autocredits.domain.decide import Command
from autocredits.edge.messages import parse_message
from dev.stack.demo_engine import FUNDED, answers
from tests.kit import builders
from tests.kit.builders import Account, opened
from tests.kit.told_story import Told, told_by


def funded(account: Account) -> list[Told]:
    """What is told to be funded in an account."""
    return [told for told in told_by(account) if told[0] in FUNDED]


def event(told: Told) -> dict[str, Any]:
    """An event as the bus hands it over."""
    detail_type, detail = told
    return {"detail-type": detail_type, "source": "autocredits", "detail": detail}


def kinds(told: Told) -> list[str]:
    """The types of the messages that answer an event."""
    return [message["type"] for message in answers(event(told))]


def play(account: Account, told: Told) -> list[str]:
    """What the answers to an event do."""
    return [account.did(command_of(message)) for message in answers(event(told))]


def command_of(message: Mapping[str, Any]) -> Command:
    """What an answer asks for, of the account of these tests."""
    data = {**message["data"], "account_id": builders.ACCOUNT_ID}
    return parse_message(json.dumps({**message, "data": data}))[2]


@pytest.fixture
def account() -> Account:
    """An account with 50.00 credits."""
    return opened(5000)


def test_a_funded_order_is_placed_and_converted(account: Account) -> None:
    """Its attempt is paid for in full, and nothing stays held."""
    account.do(builders.requested("A-1", "qtrack"))
    [told] = funded(account)
    assert kinds(told) == ["auto_order.placed", "tracking_conversion.completed"]
    assert play(account, told) == ["captured", "captured"]
    assert account.work("A-1").status == "shipped"
    assert account.balance() == (4750, 0)


def test_an_order_without_tracking_is_only_placed(account: Account) -> None:
    """There is nothing to convert."""
    account.do(builders.requested("A-1"))
    assert kinds(funded(account)[0]) == ["auto_order.placed"]


def test_an_event_that_comes_twice_changes_nothing_the_second_time(account: Account) -> None:
    """It is answered by the same messages."""
    account.do(builders.requested("A-1", "qtrack"))
    [told] = funded(account)
    play(account, told)
    assert play(account, told) == ["duplicate", "duplicate"]


def test_some_orders_fail_and_their_next_attempt_is_another_chance(account: Account) -> None:
    """About one in eight: of 40, between one and ten."""
    for number in range(40):
        account.do(builders.requested(f"A-{number}"))
    failed = [told for told in funded(account) if kinds(told) == ["auto_order.failed"]]
    assert 1 <= len(failed) <= 10
    first = failed[0]
    assert play(account, first) == ["released"]
    account.do(builders.requested(first[1]["order_id"]))
    assert kinds(funded(account)[-1]) == ["auto_order.placed"]


def test_the_first_order_does_not_fail(account: Account) -> None:
    """Or `make run` would not show how an order is placed."""
    account.do(builders.requested("demo-1", "bce"))
    assert kinds(funded(account)[0]) == ["auto_order.placed", "tracking_conversion.completed"]


def test_two_conversions_of_one_attempt_are_answered_apart(account: Account) -> None:
    """They share their hold, and their answers are not taken for doubles."""
    account.do(builders.conversion("M-1", "bce", order_type="manual"))
    assert play(account, funded(account)[0]) == ["captured"]
    account.do(builders.conversion("M-1", "qtrack", order_type="manual"))
    assert play(account, funded(account)[1]) == ["captured"]


def test_sourcing_is_accepted(account: Account) -> None:
    """Its credit is taken."""
    account.do(builders.sourcing("P-1"))
    assert play(account, funded(account)[0]) == ["captured"]
    assert account.balance() == (4900, 0)

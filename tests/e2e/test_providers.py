"""Stripe, PayPal and Payoneer on a deployed stack, each played by its double: the same stories as in one process."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import pytest
import requests

from dev.doubles import payoneer, paypal, stripe
from tests.e2e.buyer import Buyer, fresh_code, opened_buyer
from tests.kit.stack import Stack, eventually, new_places, run_stack
from tests.payments.stories import ALONE, ASKABLE, ASKED, BOUGHT, PAIRS, PRICE, paid_without_webhooks

METHODS = {"stripe": "card", "paypal": "paypal", "payoneer": "payoneer"}
RETURN_URL = "http://127.0.0.1:9/done"
PAYER = {"country": "CH", "email": "canary.of.the.shop@buyers.example"}
QUICK = {name: story for name, story in ASKED.items() if story is not paid_without_webhooks}
CANARIES = (*stripe.CANARIES, *paypal.CANARIES, *payoneer.CANARIES, PAYER["email"])


@pytest.fixture(scope="module")
def doubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose providers are doubles, with every role enforced."""
    with run_stack(new_places(tmp_path_factory.mktemp("doubled")), AUTH="true", PROVIDERS="doubles") as stack:
        yield stack


@pytest.fixture(scope="module", autouse=True)
def unheard(doubled: Stack) -> dict[str, "Deployed"]:
    """Payments of which no webhook comes. They are there from the start, so that the schedule looks meanwhile."""
    tills = {name: Deployed(doubled, name) for name in ASKABLE}
    for till in tills.values():
        till.silently("pay", till.start())
    return tills


class Deployed:
    """The till of a fresh account on that stack."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.stack, self.name = stack, name
        self.buyer: Buyer = opened_buyer(stack)
        self.free = self.balance()[0]
        self.purchase_id = ""

    def start(self, **more: Any) -> str:
        """Start the purchase."""
        method = METHODS[self.name]
        started = self.buyer.start(payment_method=method, return_url=RETURN_URL, payer=PAYER, **more)
        self.purchase_id = started["purchase_id"]
        return reference_of(started)

    def ask(self, act: str, *arguments: object, name: str = "") -> Any:
        """Do something at a double."""
        port = self.stack.places.double_port(name or self.name)
        answer = requests.post(f"http://127.0.0.1:{port}/double/{act}", json=arguments, timeout=30)
        assert answer.ok, answer.text
        return answer.json()["did"]

    def act(self, what: str, reference: str, *more: object) -> Any:
        """Do something at the provider."""
        return self.ask(what, reference, *more)

    def silently(self, what: str, reference: str, *more: object) -> None:
        """Do it, and lose its webhooks."""
        self.ask("mute")
        self.act(what, reference, *more)
        self.ask("forget")

    def meanwhile(self, call: str, what: str, reference: str) -> None:
        """Do it just before the next such call."""
        self.ask("meanwhile", call, what, reference)

    def change(self, name: str) -> requests.Response:
        """Ask to pay at a provider."""
        body = {"payment_method": METHODS[name], "return_url": RETURN_URL}
        return self.buyer.patiently("POST", f"/purchases/{self.purchase_id}/checkout", json=body)

    def go_to(self, name: str) -> str:
        """Pay at another provider."""
        answer = self.change(name)
        assert answer.status_code == 200, answer.text
        self.name = name
        return reference_of(answer.json())

    def change_to(self, name: str) -> str | None:
        """Pay there, if that is still possible."""
        answer = self.change(name)
        if answer.status_code != 200 or answer.json()["status"] == "credited":
            return None
        self.name = name
        return reference_of(answer.json())

    def come_back(self) -> str:
        """Come back from the provider's page."""
        return str(self.change(self.name).json()["status"])

    def cancel(self) -> None:
        """Ask to cancel it."""
        self.buyer.patiently("POST", f"/purchases/{self.purchase_id}/cancel")

    def settled(self) -> str:
        """Wait until every webhook was taken."""
        for name in METHODS:
            eventually(lambda name=name: not self.ask("waiting", name=name), seconds=60)  # type: ignore[misc]
        return str(self.buyer.purchase(self.purchase_id)["status"])

    def look(self) -> None:
        """Wait for the schedule, which looks two minutes after the start, and once a minute."""
        eventually(lambda: self.settled() == "credited", seconds=300)

    def balance(self) -> tuple[int, int]:
        """What is left of what was bought, and what is held, in hundredths."""
        told = self.buyer.call("GET", "/balance").json()["balances"]["auto_order"]
        posted, held = (int(told[name].replace(".", "")) for name in ("posted", "held"))
        return posted - getattr(self, "free", 0), held

    def taken(self, name: str, reference: str) -> int:
        """What a provider took."""
        return int(self.ask("taken", reference, name=name))


def reference_of(purchase: dict[str, Any]) -> str:
    """What the provider calls the payment: it stands in the address where the buyer pays."""
    parts = urlsplit(purchase["payment"]["redirect_url"])
    query = dict(parse_qsl(parts.query))
    return str(query.get("token") or query.get("longId") or parts.path.rpartition("/")[2])


@pytest.mark.parametrize("name", ASKABLE)
@pytest.mark.parametrize("story", [*ALONE, *QUICK])
def test_a_story(doubled: Stack, name: str, story: str) -> None:
    """It ends as it should, at each provider."""
    (ALONE | QUICK)[story](Deployed(doubled, name))


@pytest.mark.parametrize(("name", "other"), [(one, other) for one in ASKABLE for other in ASKABLE if one != other])
@pytest.mark.parametrize("story", PAIRS)
def test_a_story_of_two(doubled: Stack, name: str, other: str, story: str) -> None:
    """From each provider to each other one."""
    PAIRS[story](Deployed(doubled, name), other)


@pytest.mark.parametrize("name", ASKABLE)
def test_a_hundred_webhooks_in_any_order(doubled: Stack, name: str) -> None:
    """Most of them repeated, several at once: credited once."""
    till = Deployed(doubled, name)
    first = till.start()
    till.ask("mute")
    till.act("decline", first)
    till.act("pay", first)
    told = till.ask("waiting")
    till.ask("forget")
    chance = random.Random(name)
    many = told + chance.choices(told, k=100 - len(told))
    chance.shuffle(many)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda one: _deliver(doubled, name, *one), many)) == {200}
    assert (till.settled(), till.balance(), till.taken(name, first)) == ("credited", (BOUGHT, 0), PRICE)


def _deliver(stack: Stack, name: str, raw: str, headers: dict[str, str], query: dict[str, str]) -> int:
    """The status of a webhook, once it is not refused for now."""
    address = f"{stack.info['api_url']}/v1/payments/{name}/webhook"
    for _ in range(60):
        answer = requests.post(address, data=raw.encode(), headers=headers, params=query, timeout=60)
        if answer.status_code != 503:
            return int(answer.status_code)
        time.sleep(0.2)  # as a provider waits before it sends again
    return 503


def test_no_secret_and_no_payer_is_told(doubled: Stack) -> None:
    """Neither in a line of any log, nor in the table, nor in a dead letter; a canary that is there is found."""
    code = fresh_code()
    coupon = {"code": code, "percent_off": "0.01", "max_uses": 100}
    assert doubled.call("POST", "/v1/coupons", json=coupon).status_code == 201
    for name in ASKABLE:
        till = Deployed(doubled, name)
        till.act("pay", till.start(coupon=code))
        assert till.settled() == "credited"
    marker = f"canary{uuid4().hex}"
    assert doubled.call("GET", f"/v1/accounts/{marker}/balance").status_code == 404
    told = eventually(lambda: _told_with(doubled, marker))
    assert '"service":"autocredits"' in told.replace(" ", "")
    assert [word for word in (*CANARIES, code) if word in told] == []
    kept = "\n".join(_items(doubled))
    assert code in kept
    assert [word for word in CANARIES if word in kept] == []
    assert [word for word in (*CANARIES, code) for letter in doubled.dead_letters() if word in letter.body] == []


def _told_with(stack: Stack, marker: str) -> str | None:
    """All that the functions have printed, once the marker is there, which they log as an account's id."""
    logs, found = stack.client("logs"), []
    for group in logs.describe_log_groups()["logGroups"]:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
        found += [event["message"] for page in pages for event in page["events"]]
    told = "\n".join(found) + stack.places.log.read_text(errors="replace")
    return told if marker in told else None


def _items(stack: Stack) -> Iterator[str]:
    """Every item of the table."""
    pages = stack.client("dynamodb").get_paginator("scan").paginate(TableName=stack.info["table_name"])
    return (str(item) for page in pages for item in page["Items"])


@pytest.mark.parametrize("name", ASKABLE)
def test_without_webhooks(unheard: dict[str, Deployed], name: str) -> None:
    """The schedule finds what each provider knows."""
    till = unheard[name]
    till.look()
    assert till.balance() == (BOUGHT, 0)

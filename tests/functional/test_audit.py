"""The audit over a table: no page that any release wrote, or this one writes, rings a false alarm."""

import json
import os
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from autocredits.adapters.dynamo import page_key, place_of
from autocredits.bootstrap import ledger
from autocredits.domain.journal import Page
from autocredits.ledger.auditing import Audited, audit
from tests.functional.calls import ACME, debit, get
from tests.functional.conftest import SIGNING_SECRET, Clock
from tests.kit.forms import RELEASES, items, load, newer, tell
from tests.kit.service import Context, Service, handler_of, work
from tests.kit.story import STORY, recorded, signed


def accounts() -> set[str]:
    """The accounts that have pages."""
    places = [place_of(item) for item in items(os.environ["TABLE_NAME"])]
    return {place.account_id for place in places if place is not None and place.version is not None}


def audit_all() -> dict[str, Audited]:
    """Audit every account of the table."""
    return {account_id: audit(ledger(), account_id) for account_id in sorted(accounts())}


def forget_days() -> None:
    """Have it as if nothing had been audited yet."""
    for item in items(os.environ["TABLE_NAME"]):
        if item["sk"]["S"].startswith("day#"):
            key = {name: item[name] for name in ("pk", "sk")}
            boto3.client("dynamodb").delete_item(TableName=os.environ["TABLE_NAME"], Key=key)


def check_clean() -> None:
    """Fail unless every page of every account is checked, from the first, and nothing is found."""
    forget_days()
    numbers = {account_id: ledger().store.head(account_id) for account_id in accounts()}
    assert numbers
    audited = audit_all()
    assert audited == {
        account_id: Audited(pages=head.version if head else 0) for account_id, head in sorted(numbers.items())
    }


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.usefixtures("service")
def test_what_every_release_wrote_passes(release: str) -> None:
    """Pages, work and purchases."""
    load(release, os.environ["TABLE_NAME"])
    check_clean()


@pytest.mark.parametrize("release", RELEASES)
def test_what_this_release_writes_behind_another_passes(release: str, service: Service) -> None:
    """On the other's state, and its work."""
    load(release, os.environ["TABLE_NAME"])
    audit_all()
    assert service.call("POST", f"{ACME}/holds/H-1~1/capture", {"parts": ["tracking"]}).status == 200
    assert debit(service, work("new", "auto", "bce")).status == 201
    assert audit_all() == {"acme": Audited(pages=2)}


def test_what_this_release_writes_passes(service: Service) -> None:
    """Every kind of page, entry and record."""
    tell(service)
    check_clean()


def test_what_a_later_release_writes_passes(service: Service) -> None:
    """With a field more in every page, entry, state, balance, record and part."""
    with newer():
        tell(service)
    check_clean()


def test_what_two_releases_write_in_turn_passes(service: Service) -> None:
    """While both run side by side."""
    service.open("acme", extra="100.00")
    for number in range(4):
        if number % 2:
            assert debit(service, work(f"D-{number}"), f"key-{number}").status == 201
        else:
            with newer():
                assert debit(service, work(f"D-{number}"), f"key-{number}").status == 201
    check_clean()


@pytest.mark.usefixtures("service")
def test_the_recorded_story_passes() -> None:
    """Up to where somebody changes a page in it."""
    for step in STORY:
        if step.name == "audit_pages":
            break
        event = signed(recorded(step.name), SIGNING_SECRET)
        handler_of(event)(event, Context())
    check_clean()


# ---------------------------------------------------------------- tampering in the table


def change(version: int, update: str, **values: Any) -> None:
    """Change a page of acme by hand."""
    names: dict[str, Any] = {"ExpressionAttributeNames": {"#hash": "hash"}} if "#hash" in update else {}
    boto3.client("dynamodb").update_item(
        TableName=os.environ["TABLE_NAME"],
        Key=page_key("acme", version),
        UpdateExpression=update,
        ExpressionAttributeValues=values,
        **names,
    )


def remove(version: int) -> None:
    """Remove a page of acme."""
    boto3.client("dynamodb").delete_item(TableName=os.environ["TABLE_NAME"], Key=page_key("acme", version))


def page_of(version: int) -> Page:
    """A page of acme."""
    page = ledger().store.page("acme", version)
    assert page is not None
    return page


TAMPERED: dict[str, tuple[Callable[[], None], str]] = {
    "a digit": (lambda: change(3, "SET entries[0].posted = :x", **{":x": {"N": "-1"}}), "wrong_hash"),
    "a fraction": (lambda: change(3, "SET entries[0].posted = :x", **{":x": {"N": "-1.5"}}), "wrong_hash"),
    "a number that is a text": (lambda: change(3, "SET entries[0].posted = :x", **{":x": {"S": "-100"}}), "wrong_hash"),
    "bytes in an entry": (lambda: change(3, "SET entries[0].reason = :x", **{":x": {"B": b"x"}}), "unreadable_page"),
    "another hash": (lambda: change(3, "SET #hash = :x", **{":x": {"B": b"x" * 32}}), "wrong_hash"),
    "a hash that is a text": (lambda: change(3, "SET #hash = :x", **{":x": {"S": "x"}}), "unreadable_page"),
    "a field more": (lambda: change(3, "SET more = :x", **{":x": {"S": "x"}}), "wrong_hash"),
    "no page": (lambda: remove(3), "missing_page"),
}


@pytest.fixture
def spent(service: Service, clock: Clock) -> Service:
    """Acme with four debits, pages 2 to 5."""
    service.open()
    for number in range(4):
        clock.advance(1)
        assert debit(service, work(f"D-{number}"), f"key-{number}").status == 201
    return service


@pytest.mark.parametrize("how", TAMPERED)
def test_a_page_that_was_changed_by_hand_stops_its_account(spent: Service, how: str) -> None:
    """The entry names it, new work is refused; once somebody knows of it, the account may go on."""
    tamper, kind = TAMPERED[how]
    tamper()
    spent.audit([page_of(5)])
    assert get(spent, "/balance").body["status"] == "suspended"
    [entry] = get(spent, "/entries", limit="1").body["items"]
    assert (entry["actor"], entry["reason"].startswith(f"The audit found page 3: {kind} (")) == ("system:audit", True)
    refused = debit(spent, work("D-9"), "key-9")
    assert (refused.status, refused.code, refused.body["account_status"]) == (403, "account_inactive", "suspended")
    assert spent.call("PATCH", ACME, {"status": "active"}).status == 200
    spent.audit([page_of(7)])
    assert get(spent, "/balance").body["status"] == "active"


@pytest.mark.parametrize("how", TAMPERED)
def test_a_page_that_was_changed_by_hand_is_shown_in_the_journal(spent: Service, how: str) -> None:
    """As it lies in the table, with the pages beside it."""
    tamper, _ = TAMPERED[how]
    tamper()
    found = get(spent, "/journal").body["items"]
    assert [one["version"] for one in found] == ([1, 2, 4, 5] if how == "no page" else [1, 2, 3, 4, 5])


def test_usage_goes_on_beside_a_page_that_was_changed(spent: Service) -> None:
    """What the page says is not counted, audited or not."""
    change(3, "SET entries[0].posted = :x", **{":x": {"N": "-1"}})
    assert get(spent, "/usage").body["total"] == "3.00"
    spent.audit([page_of(5)])
    assert get(spent, "/usage").body["total"] == "3.00"
    assert json.loads(get(spent, "/usage").text)["items"] == [{"store": "shop-1", "credits": "3.00", "count": 3}]

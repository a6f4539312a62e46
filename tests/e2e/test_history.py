"""What explains every hundredth on the deployed stack: entries in pages, statements, usage, the journal, the audit."""

import csv
import hashlib
import io
import json
from collections import Counter
from itertools import count
from typing import Any

import pytest

from tests.e2e.merchant import Merchant, fresh, opened, refusal, work
from tests.kit.stack import Stack, eventually

ORDERS = 500
CREDITS = "1000.00"
AUDITED_S = 60


def cents(amount: str) -> int:
    """Hundredths of an amount."""
    return int(amount.replace(".", ""))


@pytest.fixture(scope="module")
def busy(stack: Stack) -> Merchant:
    """A merchant with more than 1,000 entries, by the queue and from two stores."""
    merchant = opened(stack, more=CREDITS)
    bodies = [
        json.dumps(
            {
                "specversion": "1.0",
                "id": fresh("message"),
                "source": "e2e",
                "type": "auto_order.requested",
                "data": {"account_id": merchant.account_id} | work(tracking="bce", store_id=f"shop-{number % 2}"),
            }
        )
        for number in range(ORDERS)
    ]
    stack.send_bodies(bodies)
    merchant.settle()
    assert len(merchant.entries(limit=100)) == 2 * ORDERS + 3
    return merchant


@pytest.mark.parametrize(("limit", "reads_between"), [(1, 100), (7, 20), (100, 1)])
def test_pages_have_no_gap_and_no_double(busy: Merchant, limit: int, reads_between: int) -> None:
    """Whatever their size, and while new entries arrive: all that was there, newest first, each once."""
    before = [entry["entry_id"] for entry in busy.entries(limit=100)]
    seen: list[str] = []
    query: dict[str, Any] = {"limit": limit}
    for number in count():
        page = busy.call("GET", "/entries", params=query).json()
        seen += [entry["entry_id"] for entry in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
        if number % reads_between == 0:
            assert busy.adjust("0.01").status_code == 201
    assert seen == before
    assert len(busy.entries(limit=100)) > len(before)


def test_a_statement_adds_up(busy: Merchant) -> None:
    """Read by a standard parser, the rows of each unit lead from its opening row to its closing one."""
    answer = busy.call("GET", "/entries", headers={"Accept": "text/csv"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8"), newline="")))
    standing = busy.standing()
    for unit, balance in standing["balances"].items():
        of_unit = [row for row in rows if row["unit"] == unit]
        assert (of_unit[0]["kind"], of_unit[-1]["kind"]) == ("opening", "closing")
        for name in ("posted", "held"):
            assert sum(cents(row[name]) for row in of_unit) == cents(balance[name])
            assert of_unit[-1][f"balance_{name}"] == balance[name]
        assert standing["hash"] in of_unit[-1]["reason"]
    assert len(rows) == len(busy.entries(limit=100)) + 2 * len(standing["balances"])


def test_a_statement_takes_no_limit(busy: Merchant) -> None:
    """It is whole, or refused."""
    answer = busy.call("GET", "/entries", params={"limit": "10"}, headers={"Accept": "text/csv"})
    assert refusal(answer) == (422, "invalid_field")


def test_usage_is_the_same_by_store_by_action_and_by_day(stack: Stack) -> None:
    """Debits and captures count, holds and releases do not; before and after the audit has been there."""
    merchant = opened(stack, more="20.00")
    for store_id, tracking in (("north", "none"), ("north", "bce"), ("south", "qtrack")):
        assert merchant.debit(work(tracking=tracking, store_id=store_id)).status_code == 201
    merchant.capture(merchant.held(work(tracking="bce", store_id="south")))
    merchant.release(merchant.held(work(store_id="south")))
    merchant.held(work(store_id="south"))

    def usage(by: str, **arguments: Any) -> dict[str, Any]:
        return dict(merchant.call("GET", "/usage", params={"by": by}, **arguments).json())

    by_store, by_action, by_day = usage("store"), usage("action"), usage("day")
    assert by_store["items"] == [
        {"store": "north", "credits": "2.33", "count": 2},
        {"store": "south", "credits": "3.83", "count": 3},
    ]
    [day] = by_day["items"]
    assert day["actions"] == by_action["items"]
    assert {one["total"] for one in (by_store, by_action, by_day)} == {day["credits"]} == {"6.16"}
    assert Counter({item["action"]: item["count"] for item in by_action["items"]}) == Counter(
        {"auto/none": 1, "auto/bce": 3, "auto/qtrack": 1}
    )
    own = usage("store", account=merchant.account_id, store="north")
    assert (own["items"], own["total"]) == (by_store["items"][:1], "2.33")
    version = merchant.standing()["version"]
    eventually(lambda: audited(stack, merchant.account_id) >= version, seconds=AUDITED_S)
    assert (usage("store"), usage("action"), usage("day")) == (by_store, by_action, by_day)


def audited(stack: Stack, account_id: str) -> int:
    """Which page the audit has come to."""
    answer = stack.client("dynamodb").query(
        TableName=stack.info["table_name"],
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": f"account#{account_id}#usage"}},
        ScanIndexForward=False,
        Limit=1,
    )
    return max((int(item["version"]["N"]) for item in answer["Items"]), default=0)


def test_the_journal_shows_what_its_hashes_cover(busy: Merchant) -> None:
    """Page by page from the first to the one that the balance names, each naming the one before it."""
    pages: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = busy.call("GET", "/journal", params={"after": "0", "limit": "100"} | cursor).json()
        pages += answer["items"]
        if answer["next_cursor"] is None:
            break
        cursor = {"cursor": answer["next_cursor"]}
    standing = busy.standing()
    assert [page["version"] for page in pages] == list(range(1, standing["version"] + 1))
    assert [page["prev"] for page in pages] == ["0" * 64, *(page["hash"] for page in pages[:-1])]
    assert pages[-1]["hash"] == standing["hash"]
    for page in pages:
        assert hashlib.sha256(page["page"].encode()).hexdigest() == page["hash"]
        assert json.loads(page["page"])["account_id"] == busy.account_id


def test_a_page_that_was_changed_by_hand_suspends_its_account(stack: Stack) -> None:
    """The audit finds it, and names it; a person who has looked sets the account to active, and it stays so."""
    merchant = opened(stack, more="20.00")
    assert merchant.debit(work()).status_code == 201
    assert merchant.debit(work()).status_code == 201
    version = merchant.standing()["version"]
    eventually(lambda: audited(stack, merchant.account_id) >= version, seconds=AUDITED_S)
    stack.client("dynamodb").update_item(
        TableName=stack.info["table_name"],
        Key={"pk": {"S": f"account#{merchant.account_id}"}, "sk": {"S": f"page#{2:012}"}},
        UpdateExpression="SET entries[0].posted = :more",
        ExpressionAttributeValues={":more": {"N": "9000"}},
    )
    eventually(lambda: merchant.standing()["status"] == "suspended", seconds=AUDITED_S)
    entry = merchant.call("GET", "/entries", params={"limit": "1"}).json()["items"][0]
    assert (entry["actor"], entry["status"]) == ("system:audit", "suspended")
    assert "page 2" in entry["reason"]
    assert refusal(merchant.debit(work())) == (403, "account_inactive")
    merchant.stand(status="active")
    assert merchant.debit(work()).status_code == 201
    version = merchant.standing()["version"]
    eventually(lambda: audited(stack, merchant.account_id) >= version, seconds=AUDITED_S)
    assert merchant.standing()["status"] == "active"

"""Stored forms grow and are never left behind: today's code reads and carries on what every release wrote."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import boto3
import pytest

from autocredits import __version__
from autocredits.adapters.dynamo import DynamoStore
from autocredits.bootstrap import ledger
from autocredits.domain.decide import RecordWrite
from autocredits.domain.journal import KINDS, NO_PAGE_HASH
from autocredits.domain.purchases.record import Purchase
from autocredits.domain.records import RecordKey
from autocredits.domain.work.record import Work
from tests.kit.forms import BASE, RELEASES, Item, hear, items, keep, kept, load, newer, start, tell
from tests.kit.service import Service, work

NEWEST = RELEASES[-1]


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest, service: Service) -> str:  # noqa: ARG001 - its table
    """A release whose items lie in the table."""
    load(request.param, os.environ["TABLE_NAME"])
    return str(request.param)


def entries(service: Service) -> list[dict[str, Any]]:
    """All entries of the account, newest first."""
    found, query = [], {"limit": "100"}
    while True:
        page = service.call("GET", f"{BASE}/entries", query=query).body
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        query = {"limit": "100", "cursor": page["next_cursor"]}


def hundredths(text: str) -> int:
    """An amount."""
    return int(text.replace(".", ""))


def test_the_newest_kept_form_is_this_release() -> None:
    """A new release keeps its form: `KEEP_FORMS=1 pytest tests/functional/test_forms.py`, then once more without."""
    assert __version__ == NEWEST


def test_a_release_kept_every_kind(release: str) -> None:
    """The story of each release has every kind of entry that it could write, and every kind of record."""
    pages = [item for item in kept(release) if "entries" in item]
    kinds = {entry["M"]["kind"]["S"] for page in pages for entry in page["entries"]["L"]}
    assert set(KINDS) - kinds == (set() if knows_expiry(release) else {"expired"})
    assert {item["sk"]["S"].partition("#")[0] for item in kept(release) if "entries" not in item} == {
        *("key", "work", "purchase", "payment", "coupon", "coupon_use"),
        *(["day", "walk"] if knows_days(release) else []),
    }


def knows_facts(release: str) -> bool:
    """Whether the release writes purchases as facts; earlier ones wrote what they had heard last."""
    return release not in ("0.1.0", "0.2.0")


def knows_due(release: str) -> bool:
    """Whether the release lists open holds and queued orders by when somebody has to look at them again."""
    return release not in ("0.1.0", "0.2.0", "0.3.0")


def knows_expiry(release: str) -> bool:
    """Whether the release enters holds as expired."""
    return release not in ("0.1.0", "0.2.0", "0.3.0", "0.4.0")


def knows_days(release: str) -> bool:
    """Whether the release counts what each day has consumed, and walks over all accounts for it."""
    return release not in ("0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0")


def knows_doubts(release: str) -> bool:
    """Whether the release keeps refunds by their ids, and what it does not understand."""
    return release not in ("0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0")


def key_of(item: Item) -> RecordKey:
    """The key of a record, from where it lies."""
    if item["sk"]["S"].startswith("day#"):
        return "day", item["sk"]["S"].removeprefix("day#")
    kind, _, name = item["pk"]["S"].removeprefix("account#acme#").partition("#")
    return kind, name


def test_nothing_is_lost_in_reading(release: str, service: Service) -> None:  # noqa: ARG001 - its table
    """Each item, read and written again, is what it was; in a form that has grown, all that it was is still there."""
    store = ledger().store
    assert isinstance(store, DynamoStore)
    for item in kept(release):
        if "entries" in item:
            page = store.page("acme", int(item["version"]["N"]))
            assert page is not None
            written = store._put_page("acme", page)  # noqa: SLF001 - the form that would be written
        else:
            key = key_of(item)
            write = RecordWrite(key, store.read("acme", [key])[key], None)
            written = store._put_record("acme", write)  # noqa: SLF001 - likewise
        now = written["Put"]["Item"]
        if item["sk"]["S"] in ("purchase", "coupon_use") and "form" not in item:
            check_grown(item, now)
        elif item["sk"]["S"] == "work" and not knows_due(release):
            assert {name: value for name, value in now.items() if not name.startswith("by_due_")} == item
        else:
            assert now == item


def check_grown(before: Item, now: Item) -> None:
    """What an item of the first form held is there, under its name or as a fact."""
    assert now["form"] == {"N": "2"}
    left = dict(before)
    if left.get("status") == {"S": "declined"}:
        assert left.pop("payment_id")["S"] in now["declines"]["M"]
    if "reviewed_by" in left:
        (decision,) = now["decisions"]["L"]
        assert left.pop("reviewed_by") == decision["M"]["request_id"]
    assert {name: value for name, value in now.items() if name in left} == left


def test_the_pages_link(release: str, service: Service) -> None:  # noqa: ARG001 - its table
    """Pages have no gap, and each names the hash of the one before it."""
    store, version, prev = ledger().store, 1, NO_PAGE_HASH
    while page := store.page("acme", version):
        assert page.prev == prev
        version, prev = version + 1, page.hash
    assert version - 1 == sum("entries" in item for item in kept(release))


def test_the_entries_add_up(release: str, service: Service) -> None:
    """What is posted and held of each unit is the sum of its entries."""
    assert release
    sums: Counter[tuple[str, str]] = Counter()
    for entry in entries(service):
        for column in ("posted", "held"):
            if entry["unit"]:
                sums[entry["unit"], column] += hundredths(entry[column])
    balances = service.call("GET", f"{BASE}/balance").body["balances"]
    told = {(unit, column): hundredths(balances[unit][column]) for unit, column in sums}
    assert told == dict(sums)


def test_everything_is_shown(release: str, service: Service) -> None:
    """Orders, holds, sourcing, purchases and coupons of each release are shown."""
    orders = service.call("GET", f"{BASE}/orders").body["items"]
    assert {order["order_id"] for order in orders} >= {"D-1", "D-2", "H-1", "H-2", "H-3", "Q-1", "Q-2", "Q-3", "M-1"}
    for order in orders:
        assert service.call("GET", f"{BASE}/orders/{order['order_id']}").body == order
        if order["hold_id"]:
            assert service.call("GET", f"{BASE}/holds/{order['hold_id']}").status == 200
    assert service.call("GET", f"{BASE}/sourcing/P-2").body["status"] == "rejected"
    purchases = service.call("GET", f"{BASE}/purchases").body["items"]
    statuses = ["canceled", "charged_back", "credited", "credited", "declined", "disputed", "pending", "review"]
    more = ["canceled", "charged_back", "credited", "credited", "pending"] if knows_facts(release) else []
    doubts = ["charged_back", "credited", "credited", "pending", "review"] if knows_doubts(release) else []
    assert sorted(purchase["status"] for purchase in purchases) == sorted(statuses + more + doubts)
    assert service.call("GET", "/v1/coupons/TEN").body["uses"] == (2 if knows_facts(release) else 1)


def test_keys_replay(release: str, service: Service) -> None:
    """A key of each release gives its first answer again, though earlier ones do not name their page's hash."""
    before = service.balance()
    again = service.call("POST", f"{BASE}/debits", work("D-1", "auto", "bce"), key="debit-0")
    assert (again.status, again.headers["Idempotent-Replayed"], again.body["credits"]) == (201, "true", "1.33")
    assert service.balance() == before
    named = [item["hash"]["S"] for item in kept(release) if item["sk"]["S"] == "key" and "hash" in item]
    assert bool(named) == (release != "0.1.0")


def test_work_goes_on(release: str, service: Service) -> None:
    """What a release left open is captured, refunded, resent and converted by today's code."""
    assert service.call("POST", f"{BASE}/holds/H-3~1/capture", {}).body["status"] == "captured"
    assert service.call("POST", f"{BASE}/holds/H-1~1/release", {"reason": "no number"}).status == 200
    assert service.call("POST", f"{BASE}/orders/Q-3/resend").body["attempt"] == 2
    assert service.call("POST", f"{BASE}/debits", work("D-3"), key="debit-after").status == 201
    (disputed,) = [one for one in service.call("GET", f"{BASE}/purchases").body["items"] if one["status"] == "disputed"]
    hear(disputed["purchase_id"], "dispute.lost", "50.00")
    shown = service.call("GET", f"{BASE}/purchases/{disputed['purchase_id']}").body
    assert (shown["status"], release in RELEASES) == ("charged_back", True)


# What the story left open, by hold: what a call without `parts` takes of it, and gives back.
OPEN = {
    "H-1~1": {"tracking": "1.50"},
    "H-3~1": {"order": "1.00"},
    "M-1~1": {"tracking": "0.33"},
    "Q-2~2": {"order": "1.00", "tracking": "0.33"},
}


@pytest.mark.parametrize(("call", "ended"), [("capture", "captured"), ("release", "released")])
def test_what_a_release_left_open_is_settled_as_a_whole(release: str, service: Service, call: str, ended: str) -> None:
    """A call without `parts` takes the first hold, which earlier releases did not note; again, it moves nothing."""
    body = {"reason": "not needed"} if call == "release" else {}
    before = service.balance()
    for hold_id, parts in OPEN.items():
        first = service.call("POST", f"{BASE}/holds/{hold_id}/{call}", body)
        assert {first.body["parts"][part] for part in parts} == {ended}, (release, hold_id)
    total = sum(hundredths(amount) for held in OPEN.values() for amount in held.values())
    after = service.balance()
    assert hundredths(before["held"]) - hundredths(after["held"]) == total
    assert hundredths(before["posted"]) - hundredths(after["posted"]) == (total if call == "capture" else 0)
    later = {"order_id": "M-1", "store_id": "shop-1", "tracking": "qtrack", "tracking_number": "TBA1"}
    assert service.process("tracking_conversion.requested", later) == []
    opened = service.balance()
    for hold_id in OPEN:
        again = service.call("POST", f"{BASE}/holds/{hold_id}/{call}", body)
        assert again.status == 200, (release, hold_id)
    assert service.balance() == opened
    assert service.call("GET", f"{BASE}/holds/M-1~1").body["parts"] == {"tracking": "open"}


def test_work_of_a_release_is_the_same_work_again(release: str, service: Service) -> None:
    """An order that was converted later may be asked for as it was at first; nobody is charged for it."""
    before = service.balance()
    for tracking in ("none", "bce", "qtrack"):
        answer = service.call("POST", f"{BASE}/orders", work("D-1", "auto", tracking), key=f"again-{tracking}")
        assert (answer.status, release in RELEASES) == (202, True)
    assert (service.deliver(), service.dead_letters()) == ([], [])
    assert service.balance() == before


def shape(value: Any, path: str = "") -> Iterator[str]:
    """The names and types of what an item holds."""
    (kind, content), *_ = value.items()
    if kind == "M":
        for name, field in content.items():
            yield from shape(field, f"{path}.{name}")
    elif kind == "L":
        for field in content:
            yield from shape(field, f"{path}[]")
    else:
        yield f"{path}:{kind}"


def test_the_newest_kept_form_is_what_this_code_writes(service: Service) -> None:
    """Every field that today's code writes has its place, name and type in the kept form of this release."""
    tell(service)
    if os.environ.get("KEEP_FORMS"):
        keep(__version__, os.environ["TABLE_NAME"])
    written, known = (
        {(item["sk"]["S"][:5], field) for item in found for field in shape({"M": item})}
        for found in (items(os.environ["TABLE_NAME"]), kept(NEWEST))
    )
    assert written == known


@pytest.mark.parametrize("order", ["newer, then older", "older, then newer"])
def test_two_releases_work_side_by_side(service: Service, order: str) -> None:
    """A release with a field more everywhere and this one carry on each other's work, and no field is lost."""
    first, then = (newer, nullcontext) if order.startswith("newer") else (nullcontext, newer)
    with first():
        service.open("acme", extra="100.00")
        assert service.call("POST", f"{BASE}/debits", work("D-1", "auto", "bce"), key="debit-1").status == 201
        assert service.call("POST", f"{BASE}/holds", work("H-1", "auto", "qtrack"), key="hold-1").status == 201
        purchase_id = start(service, "bought", {"package": "auto_order-20", "payment_method": "card"})
        hear(purchase_id, "payment.succeeded", "9.90")
        assert service.call("POST", f"{BASE}/orders", work("Q-1"), key="order-1").status == 202
        service.deliver()
        service.process("auto_order.failed", {"order_id": "Q-1", "reason": "out of stock"})
    with then():
        assert service.call("POST", f"{BASE}/debits", work("D-1", "auto", "qtrack"), key="debit-2").status == 201
        assert service.call("POST", f"{BASE}/holds/H-1~1/capture", {"parts": ["order"]}).status == 200
        hear(purchase_id, "payment.refunded", "4.95")
        assert service.call("POST", f"{BASE}/orders/Q-1/resend").status == 202
        service.deliver()
        again = service.call("POST", f"{BASE}/debits", work("D-1", "auto", "bce"), key="debit-1")
        assert (again.status, again.headers["Idempotent-Replayed"]) == (201, "true")
    posted = [hundredths(entry["posted"]) for entry in entries(service) if entry["unit"] == "auto_order"]
    assert hundredths(service.balance()["posted"]) == sum(posted) == 500 + 10_000 - 133 + 2000 - 150 - 100 - 1000
    state, records, parts = unknown_fields()
    assert state == {"tier": {"name": "gold"}}
    assert {key: unknown["origin"] for key, unknown in records.items()} == {key: ["newer"] for key in records}
    assert parts == [{"bin": 3}, {"bin": 3}]


def unknown_fields() -> tuple[Any, dict[RecordKey, Any], list[Any]]:
    """The fields that this release does not know: of the newest state, of work and purchases, of the parts of H-1."""
    store = ledger().store
    head = store.head("acme")
    assert head is not None
    keys = [key_of(item) for item in items(os.environ["TABLE_NAME"]) if item["sk"]["S"] in ("work", "purchase")]
    records = store.read("acme", keys)
    held = records["order", "H-1"]
    assert isinstance(held, Work)
    parts = [part.unknown for part in held.parts.values()]
    return head.state.unknown, {key: record.unknown for key, record in records.items()}, parts


def raise_form(kind: str, name: str, sk: str, form: int) -> None:
    """Let a release to come have written the record in a form of its own."""
    boto3.client("dynamodb").update_item(
        TableName=os.environ["TABLE_NAME"],
        Key={"pk": {"S": f"account#acme#{kind}#{name}"}, "sk": {"S": sk}},
        UpdateExpression="SET form = :higher",
        ExpressionAttributeValues={":higher": {"N": str(form)}},
    )


def test_a_higher_form_is_shown_but_never_written(service: Service) -> None:
    """A record in a form that this code does not know is 503 over HTTP and for webhooks, and waits in the queue."""
    load(NEWEST, os.environ["TABLE_NAME"])
    raise_form("order", "H-3", "work", Work.FORM + 1)
    before = items(os.environ["TABLE_NAME"])
    assert service.call("GET", f"{BASE}/orders/H-3").body["status"] == "processing"
    refused = service.call("POST", f"{BASE}/holds/H-3~1/capture", {})
    assert (refused.status, refused.code) == (503, "try_again")
    assert len(service.process("auto_order.placed", {"order_id": "H-3", "supplier_order_id": "S-1"})) == 1
    assert (items(os.environ["TABLE_NAME"]), service.dead_letters()) == (before, [])


def test_a_purchase_in_a_higher_form_is_told_again(service: Service) -> None:
    """A webhook for a purchase in a form that this code does not know is answered 503, so that it comes again."""
    load(NEWEST, os.environ["TABLE_NAME"])
    pending, *_ = [one for one in service.call("GET", f"{BASE}/purchases").body["items"] if one["status"] == "pending"]
    raise_form("purchase", pending["purchase_id"], "purchase", Purchase.FORM + 1)
    before = items(os.environ["TABLE_NAME"])
    assert hear(pending["purchase_id"], "payment.succeeded", "39.90") == 503
    assert items(os.environ["TABLE_NAME"]) == before

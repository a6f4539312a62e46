"""What each release wrote, kept in `tests/forms/<release>/items.json`, and the story in which it wrote it.

The story meets every kind of page, entry and record. What an earlier release wrote is never changed.
"""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from autocredits.adapters.clock import SystemClock
from autocredits.bootstrap import ledger
from autocredits.domain import decide, journal
from autocredits.domain.decide import Draft
from autocredits.domain.journal import Entry, Page, hash_of
from autocredits.domain.purchases.calls import BeginCapture
from autocredits.domain.purchases.fulfil import Fulfil, PaymentEvent, PaymentEventType
from autocredits.domain.records import Record, RecordKey
from autocredits.domain.state import State
from autocredits.domain.work.expiry import ExpireHold
from autocredits.domain.work.record import Work
from autocredits.ledger.walking import walk_on
from functions.purchase.payments.sandbox import sign
from tests.kit.service import Context, Service, handler_of, http_event, sourcing, work

SIGNING_SECRET = "whsec_example_of_functional"
BASE = "/v1/accounts/acme"
FOLDER = Path(__file__).resolve().parents[1] / "forms"
RELEASES = sorted((path.name for path in FOLDER.iterdir()), key=lambda name: [int(part) for part in name.split(".")])

PACKAGE = {"package": "auto_order-100", "payment_method": "card"}
LOAD = {"unit": "managed", "amount": "50.00", "payment_method": "card"}

Item = dict[str, Any]


def tell(service: Service) -> None:
    """Let the story happen in account `acme`."""
    open_and_correct(service)
    charge(service)
    use_the_queue(service)
    buy(service)
    forget(service)
    count_up(service)


def open_and_correct(service: Service) -> None:
    """An account with more than its free credits, a threshold, and a short pause."""
    service.open("acme", extra="500.00")
    managed = {"unit": "managed", "amount": "900.00", "reason": "moved in", "reference": "ticket-7"}
    assert service.call("POST", f"{BASE}/adjustments", managed, key="adjust-managed").status == 201
    assert service.call("PUT", f"{BASE}/settings", {"low_balance": "2.00"}).status == 200
    assert service.call("PATCH", BASE, {"status": "paused", "reason": "asked for"}).status == 200
    assert service.call("PATCH", BASE, {"status": "active"}).status == 200


def charge(service: Service) -> None:
    """Debits, holds that are captured, released and left open, a later conversion, and sourcing."""
    for number, wanted in enumerate(
        [
            work("D-1", "auto", "bce"),
            work("D-2", "fba", "none", cost="23.50"),
            work("D-1", "auto", "qtrack"),
            sourcing(),
        ]
    ):
        assert service.call("POST", f"{BASE}/debits", wanted, key=f"debit-{number}").status == 201
    for name, wanted in {
        "H-1": work("H-1", "fba", "qtrack", cost="10.00"),
        "H-2": work("H-2"),
        "H-3": work("H-3"),
    }.items():
        assert service.call("POST", f"{BASE}/holds", wanted, key=f"hold-{name}").status == 201
    assert service.call("POST", f"{BASE}/holds/H-1~1/capture", {"parts": ["order"], "managed": "9.00"}).status == 200
    assert service.call("POST", f"{BASE}/holds/H-2~1/release", {"reason": "not needed"}).status == 200


def use_the_queue(service: Service) -> None:
    """Orders that are placed, fail, are resent, are refused and still queued; conversions; sourcing that is rejected."""
    for name in ("Q-1", "Q-2", "Q-3"):
        body = work(name, "auto", "bce") if name != "Q-3" else work(name, "fba", "none", cost="5000.00")
        assert service.call("POST", f"{BASE}/orders", body, key=f"order-{name}").status == 202
        service.deliver()
    placed = {"order_id": "Q-1", "supplier_order_id": "S-1"}
    service.process("auto_order.placed", placed)
    service.process("tracking_conversion.completed", {"order_id": "Q-1", "tracking_number": "BCE1"})
    service.process("auto_order.failed", {"order_id": "Q-2", "reason": "out of stock"})
    assert service.call("POST", f"{BASE}/orders/Q-2/resend").status == 202
    conversion = {"order_id": "M-1", "store_id": "shop-1", "tracking": "bce", "tracking_number": "TBA1"}
    service.process("tracking_conversion.requested", {**conversion, "order_type": "manual"})
    service.process("sourcing.requested", {"product_id": "P-2", "store_id": "shop-1"})
    service.process("sourcing.rejected", {"product_id": "P-2", "reason": "not found"})
    convert(service)
    assert service.call("POST", f"{BASE}/orders", work("Q-4"), key="order-Q-4").status == 202


def convert(service: Service) -> None:
    """A conversion that was debited is completed; another fails, and its order is converted by another method."""
    done = {"order_id": "D-1", "tracking": "qtrack", "tracking_number": "QT1"}
    service.process("tracking_conversion.completed", done)
    conversion = {"order_id": "M-2", "store_id": "shop-1", "tracking_number": "TBA2", "order_type": "manual"}
    service.process("tracking_conversion.requested", {**conversion, "tracking": "bce"})
    service.process("tracking_conversion.failed", {"order_id": "M-2", "reason": "unknown number"})
    service.process("tracking_conversion.requested", {**conversion, "tracking": "qtrack"})


def buy(service: Service) -> None:
    """Purchases: with a coupon, refunded and disputed in part; declined; loaded; in review; for nothing; open."""
    coupon = {"code": "TEN", "percent_off": "10.00", "packages": ["auto_order-100"], "max_uses_per_account": 5}
    assert service.call("POST", "/v1/coupons", coupon).status == 201
    assert service.call("POST", "/v1/coupons", {"code": "ALL", "percent_off": "100.00", "max_uses": 9}).status == 201
    bought = start(service, "bought", {**PACKAGE, "coupon": "TEN"})
    hear(bought, "payment.succeeded", "35.91")
    hear(bought, "payment.refunded", "5.00")
    hear(bought, "dispute.created", "10.00")
    hear(bought, "dispute.lost", "10.00")
    hear(start(service, "declined", PACKAGE), "payment.declined", "39.90")
    hear(start(service, "loaded", LOAD), "payment.succeeded", "50.00")
    hear(start(service, "in-review", LOAD), "payment.succeeded", "49.00")
    refused = start(service, "refused", LOAD)
    hear(refused, "payment.succeeded", "51.00")
    decide_on(service, refused, {"decision": "refuse", "reason": "not ours"})
    disputed = start(service, "disputed", LOAD)
    hear(disputed, "payment.succeeded", "50.00")
    hear(disputed, "dispute.created", "50.00")
    start(service, "free", {**PACKAGE, "coupon": "ALL"})
    assert service.call("DELETE", "/v1/coupons/ALL").status == 200
    start(service, "open", {**PACKAGE, "return_url": "http://localhost:8080/back"})
    buy_otherwise(service)


def buy_otherwise(service: Service) -> None:
    """Purchases that are paid another way, canceled, credited by hand, disputed twice, and refunded in vain."""
    changed = start(service, "changed", {**PACKAGE, "coupon": "TEN"})
    hear(changed, "payment.declined", "35.91")
    other = {"payment_method": "paypal", "return_url": "http://localhost:8080/back"}
    assert service.call("POST", f"{BASE}/purchases/{changed}/checkout", other).status == 200
    canceled = start(service, "canceled", {**PACKAGE, "coupon": "TEN"})
    assert service.call("POST", f"{BASE}/purchases/{canceled}/cancel").status == 200
    by_hand = start(service, "by-hand", LOAD)
    hear(by_hand, "payment.succeeded", "40.00")
    hear(by_hand, "payment.succeeded", "10.00", payment_id="a second one")
    hear(by_hand, "payment.refunded", "20.00")
    decide_on(service, by_hand, {"decision": "credit", "reason": "paid by two cards"})
    twice = start(service, "disputed-twice", LOAD)
    hear(twice, "payment.succeeded", "50.00")
    hear(twice, "dispute.created", "10.00", dispute_id="d1")
    hear(twice, "dispute.created", "15.00", dispute_id="d2")
    decide_on(service, twice, {"decision": "dispute_lost", "dispute_id": "d1", "reason": "never told"})
    hear(twice, "dispute.won", "15.00", dispute_id="d2")
    in_vain = start(service, "refunded-in-vain", LOAD)
    hear(in_vain, "payment.succeeded", "50.00")
    hear(in_vain, "payment.refunded", "50.00")
    hear(in_vain, "refund.failed", "20.00", refund_id="re_1")
    buy_at_paypal(service)


def buy_at_paypal(service: Service) -> None:
    """Refunds by their ids, something unclear, money that is being taken, and a dispute that is lost in part."""
    refunded = start(service, "refunded-by-id", LOAD)
    hear(refunded, "payment.succeeded", "50.00")
    say(refunded, "refunded", amount=1000, refund_id="re_1")
    say(refunded, "refund_failed", amount=500, refund_id="re_2")
    doubted = start(service, "in-doubt", LOAD)
    hear(doubted, "payment.succeeded", "50.00")
    say(doubted, "unclear", amount=5000, detail="capture REFUNDED", explained_by=5000)
    believed = start(service, "believed", LOAD)
    hear(believed, "payment.succeeded", "50.00")
    say(believed, "unclear", amount=5000, detail="capture REFUNDED")
    decide_on(service, believed, {"decision": "credit", "reason": "nothing went back"})
    capturing = start(service, "capturing", LOAD)
    begin = BeginCapture(purchase_id=capturing, number=1, reference=f"{capturing}-1")
    assert ledger().execute("acme", begin).done.did == "capturing"
    lost = start(service, "lost-in-part", LOAD)
    hear(lost, "payment.succeeded", "50.00")
    say(lost, "dispute_lost", amount=5000, lost=2000, dispute_id="d1")


def say(purchase_id: str, type_: PaymentEventType, **said: Any) -> None:
    """Let a provider say something of a purchase's payment that the sandbox has no word for."""
    plain = {"provider": "sandbox", "purchase_id": purchase_id, "payment_id": f"pay-{purchase_id}"}
    ledger().execute("acme", Fulfil(PaymentEvent(type=type_, **{**plain, **said})))


def forget(service: Service) -> None:
    """A hold that nobody settles, and what becomes of it a minute later."""
    held = {**work("H-4", "fba", "bce", cost="10.00"), "expires_in": 60}
    assert service.call("POST", f"{BASE}/holds", held, key="hold-H-4").status == 201
    now_ms = SystemClock.now_ms
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SystemClock, "now_ms", lambda clock: now_ms(clock) + 61_000)
        assert ledger().execute("acme", ExpireHold("order", "H-4")).done.did == "expired"


def count_up(service: Service) -> None:
    """What the day has consumed, and how far the walk over all accounts has come."""
    newest = ledger().store.head("acme")
    assert newest is not None
    service.audit([newest])
    assert walk_on(ledger(), lambda _: True, 0).accounts == 1


def start(service: Service, name: str, body: dict[str, Any]) -> str:
    """Start a purchase; its id."""
    answer = service.call("POST", f"{BASE}/purchases", body, key=f"purchase-{name}")
    assert answer.status == 201, answer.text
    purchase_id: str = answer.body["purchase_id"]
    return purchase_id


def decide_on(service: Service, purchase_id: str, decision: dict[str, str]) -> None:
    """Let the platform settle something of a purchase by hand."""
    assert service.call("POST", f"{BASE}/purchases/{purchase_id}/review", decision).status == 200


def hear(purchase_id: str, kind: str, amount: str, **ids: str) -> int:
    """Let the sandbox say something of a purchase's payment; the status of the answer."""
    said = {"id": f"evt_{kind}", "type": kind, "account_id": "acme", "purchase_id": purchase_id}
    raw = json.dumps({**said, "payment_id": f"pay-{purchase_id}", "amount": amount, "currency": "USD", **ids})
    now = str(int(time.time()))
    headers = {"sandbox-signature": f"t={now},v1={sign(SIGNING_SECRET, now, raw.encode())}"}
    event = http_event("POST", "/v1/payments/sandbox/webhook", headers=headers, body=raw)
    status: int = handler_of(event)(event, Context())["statusCode"]
    return status


def items(table_name: str) -> list[Item]:
    """All items of a table, as DynamoDB has them, in the order of their keys."""
    found: list[Item] = boto3.client("dynamodb").scan(TableName=table_name)["Items"]
    return sorted(found, key=lambda item: (item["pk"]["S"], item["sk"]["S"]))


def kept(release: str) -> list[Item]:
    """The items as a release wrote them."""
    found: list[Item] = json.loads((FOLDER / release / "items.json").read_text("utf-8"), object_hook=_with_bytes)
    return found


def keep(release: str, table_name: str) -> None:
    """Keep a table's items as those of a release."""
    text = json.dumps(items(table_name), indent=1, sort_keys=True, default=lambda data: base64.b64encode(data).decode())
    (FOLDER / release).mkdir(exist_ok=True)
    (FOLDER / release / "items.json").write_text(text + "\n", "utf-8")


def _with_bytes(value: Item) -> Item:
    """DynamoDB's form of a value; bytes are kept in base64."""
    return {"B": base64.b64decode(value["B"])} if isinstance(value.get("B"), str) else value


def load(release: str, table_name: str) -> None:
    """Put the items of a release into a table."""
    client = boto3.client("dynamodb")
    for item in kept(release):
        client.put_item(TableName=table_name, Item=item)


@contextmanager
def newer() -> Iterator[None]:
    """The code of a release to come: it writes a field more in every page, entry, state, balance, record and part."""
    add, put, apply, next_page = Draft.add, Draft.put, journal.apply, journal.next_page

    def add_more(draft: Draft, entry: Entry) -> str:
        return add(draft, replace(entry, unknown={**entry.unknown, "lane": "fast"}))

    def apply_more(state: State, entry: Entry) -> State:
        after = apply(state, entry)
        balances = {
            unit: replace(balance, unknown={**balance.unknown, "reserve": 1})
            for unit, balance in after.balances.items()
        }
        return replace(after, balances=balances, unknown={**after.unknown, "tier": {"name": "gold"}})

    def next_page_with_more(account_id: str, *args: Any) -> Page:
        page = replace(next_page(account_id, *args), unknown={"region": "eu"})
        return replace(page, hash=hash_of(account_id, page.to_map()))

    def put_more(draft: Draft, key: RecordKey, record: Record) -> None:
        values: dict[str, Any] = {"unknown": {**record.unknown, "origin": ["newer"]}}
        if isinstance(record, Work):
            parts = record.parts.items()
            values["parts"] = {name: replace(part, unknown={**part.unknown, "bin": 3}) for name, part in parts}
        put(draft, key, replace(record, **values))  # type: ignore[type-var] # every record is a data class

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Draft, "add", add_more)
        patch.setattr(Draft, "put", put_more)
        patch.setattr(journal, "apply", apply_more)
        patch.setattr(decide, "apply", apply_more)
        patch.setattr(decide, "next_page", next_page_with_more)
        yield

"""What each command writes, to the last field, where it shares its page with another that came before it."""

from dataclasses import replace
from typing import Any

import pytest

from autocredits.domain.accounts import Adjust
from autocredits.domain.decide import Command, Done
from autocredits.domain.journal import Entry
from autocredits.domain.work.calls import ResendOrder
from autocredits.domain.work.record import Part, Progress, Work
from tests.kit.builders import (
    ACCOUNT_ID,
    PLATFORM,
    Account,
    accepted,
    adjust,
    beside,
    capture,
    completed,
    conversion,
    conversion_failed,
    debit,
    failed,
    fresh,
    hold,
    idempotency,
    merchant,
    opened,
    order,
    placed,
    product,
    queue_order,
    rejected,
    release,
    requested,
    sourcing,
)

CARD = "2024-01"


def account_of(*commands: Command) -> Account:
    """An account with 100.00 credits and 1,000.00 managed, at page 3, after these commands, a page each."""
    account = opened(10_000, 100_000)
    for command in commands:
        account.do(command)
    return account


def entry(kind: str, unit: str = "auto_order", **values: Any) -> Entry:
    """An entry of order o1, first attempt, of the platform."""
    plain = {"actor": "platform", "order_id": "o1", "store_id": "s1", "order_type": "auto", "tracking": "none"}
    return Entry(kind=kind, unit=unit, **{**plain, "attempt": 1, **values})


def test_a_debit_to_the_last_field() -> None:
    """One entry per unit, both under the key; each charge names the entry of the credits."""
    account = account_of()
    done, entries = beside(account, debit(order(order_type="fba", tracking="qtrack"), idempotency("k1")))
    work: dict[str, Any] = {"order_type": "fba", "tracking": "qtrack", "rate_card": CARD, "cost": 2350, "key": "k1"}
    assert entries == [
        entry("debited", posted=-250, **work),
        entry("debited", "managed", posted=-2350, **work),
    ]
    at = account.page().at
    assert done == Done(did="debited", first=1, count=2, record=account.work())
    assert account.work() == Work(
        kind="order",
        work_id="o1",
        store_id="s1",
        order_type="fba",
        tracking="qtrack",
        cost=2350,
        status="ordered",
        charged={"order": "4.1", "tracking:qtrack": "4.1"},
        known_parts=("order", "tracking"),
        asked=("qtrack",),
        credits=250,
        versions=(4,),
        created_at=at,
        updated_at=at,
        status_at=at,
        rev=1,
    )


def test_a_debit_of_a_product_to_the_last_field() -> None:
    """A sourcing request that is paid at once is accepted."""
    account = account_of()
    done, entries = beside(account, debit(product(), idempotency("k1")))
    assert entries == [
        Entry(
            kind="debited",
            actor="platform",
            unit="auto_order",
            posted=-100,
            product_id="p1",
            store_id="s1",
            rate_card=CARD,
            attempt=1,
            key="k1",
        )
    ]
    work = account.work("p1", "product")
    assert done == Done(did="debited", first=1, count=1, record=work)
    assert (work.status, work.charged, work.known_parts, work.credits) == (
        "accepted",
        {"sourcing": "4.1"},
        ("sourcing",),
        100,
    )
    assert (work.order_type, work.tracking, work.cost, work.kind) == (None, None, None, "product")


def test_a_later_conversion_that_is_debited_to_the_last_field() -> None:
    """The difference of the cells is charged; the record keeps what was charged before, and adds to it."""
    account = account_of(debit(order()))
    done, entries = beside(account, debit(order(tracking="bce"), idempotency("k2")))
    assert entries == [entry("debited", posted=-33, tracking="bce", rate_card=CARD, key="k2")]
    assert done.record == account.work()
    work = account.work()
    assert (work.charged, work.credits) == ({"order": "4.0", "tracking:bce": "5.1"}, 133)
    assert (work.known_parts, work.versions, work.tracking, work.rev) == (("order", "tracking"), (4, 5), "bce", 2)


def hold_part(credits_: int, entry_id: str, expires_at: int, **values: Any) -> Part:
    """An open part."""
    plain: dict[str, Any] = {"status": "open", "tracking": "bce", "rate_card": CARD}
    return Part(**{**plain, "credits": credits_, "entry_id": entry_id, "expires_at": expires_at, **values})


def test_a_hold_to_the_last_field() -> None:
    """One entry per part and unit; each part names the entry of its credits, and when it ends."""
    account = account_of()
    lasts = 60_000
    done, entries = beside(account, hold(order(order_type="fba", tracking="bce"), idempotency("k1"), lasts_ms=lasts))
    at = account.page().at
    work: dict[str, Any] = {
        "order_type": "fba",
        "tracking": "bce",
        "cost": 2350,
        "rate_card": CARD,
        "key": "k1",
        "expires_at": at + lasts,
    }
    assert entries == [
        entry("held", held=100, part="order", **work),
        entry("held", "managed", held=2350, part="order", **work),
        entry("held", held=33, part="tracking", **work),
    ]
    assert done == Done(did="held", first=1, count=3, record=account.work())
    assert account.work() == Work(
        kind="order",
        work_id="o1",
        store_id="s1",
        order_type="fba",
        tracking="bce",
        cost=2350,
        status="processing",
        parts={
            "order": hold_part(100, "4.1", at + lasts, managed=2350),
            "tracking": hold_part(33, "4.3", at + lasts),
        },
        known_parts=("order", "tracking"),
        asked=("bce",),
        latest=Progress(attempt=1, first_hold=("order", "tracking:bce")),
        versions=(4,),
        created_at=at,
        updated_at=at,
        status_at=at,
        rev=1,
    )


def test_a_capture_to_the_last_field() -> None:
    """What the supplier really cost is taken, all that was held is freed, and the part says what was spent."""
    account = account_of(hold(order(order_type="fba", tracking="bce")))
    before = account.work()
    account.clock.at_ms += 5
    done, entries = beside(account, capture(managed=2000, caller=merchant()))
    work: dict[str, Any] = {
        "order_type": "fba",
        "tracking": "bce",
        "cost": 2350,
        "rate_card": CARD,
        "actor": "merchant",
    }
    assert entries == [
        entry("captured", posted=-100, held=-100, part="order", **work),
        entry("captured", "managed", posted=-2000, held=-2350, part="order", **work),
        entry("captured", posted=-33, held=-33, part="tracking", **work),
    ]
    at = account.page().at
    assert at == before.created_at + 5
    assert done == Done(did="captured", first=1, count=3, record=account.work())
    parts = before.parts
    assert account.work() == replace(
        before,
        status="shipped",
        parts={
            "order": replace(parts["order"], status="captured", managed=2000),
            "tracking": replace(parts["tracking"], status="captured"),
        },
        charged={"order": "5.1", "tracking:bce": "5.3"},
        converted=True,
        credits=133,
        versions=(4, 5),
        updated_at=at,
        status_at=at,
        rev=2,
    )


def test_a_release_to_the_last_field() -> None:
    """All that is open goes back, each part by the method and card it was opened with."""
    account = account_of(hold(order(order_type="fba", tracking="bce")))
    before = account.work()
    account.clock.at_ms += 5
    done, entries = beside(account, release(caller=merchant()))
    work: dict[str, Any] = {"order_type": "fba", "tracking": "bce", "cost": 2350, "rate_card": CARD}
    work |= {"actor": "merchant", "reason": "not needed"}
    assert entries == [
        entry("released", held=-100, part="order", **work),
        entry("released", "managed", held=-2350, part="order", **work),
        entry("released", held=-33, part="tracking", **work),
    ]
    at = account.page().at
    assert done == Done(did="released", first=1, count=3, record=account.work())
    assert account.work() == replace(
        before,
        status="failed",
        parts={name: replace(part, status="released") for name, part in before.parts.items()},
        reason="not needed",
        versions=(4, 5),
        updated_at=at,
        status_at=at,
        rev=2,
    )


@pytest.mark.parametrize(("end", "did"), [(capture, "captured_already"), (release, "released_already")])
def test_what_has_ended_is_written_no_more(end: Any, did: str) -> None:
    """The record is answered as it is, without an entry."""
    account = account_of(hold(order()), end())
    before = account.work()
    done, entries = beside(account, end())
    assert (done, entries) == (Done(did=did, record=before), [])
    assert account.work() == before


def test_a_message_holds_to_the_last_field() -> None:
    """The actor is the message's source; the work remembers the message, and holds for 14 days."""
    account = account_of()
    done, entries = beside(account, requested(tracking="bce"))
    at = account.page().at
    expires_at = at + 14 * 86_400_000
    work: dict[str, Any] = {"actor": "engine", "tracking": "bce", "rate_card": CARD, "expires_at": expires_at}
    assert entries == [entry("held", held=100, part="order", **work), entry("held", held=33, part="tracking", **work)]
    assert done == Done(did="held", first=1, count=2, record=account.work())
    assert account.work().parts == {
        "order": hold_part(100, "4.1", expires_at),
        "tracking": hold_part(33, "4.2", expires_at),
    }
    assert (len(account.work().seen), account.work().versions) == (1, (4,))


def test_a_placed_order_to_the_last_field() -> None:
    """The entry and the record name the supplier's order."""
    account = account_of(requested(order_type="fba"))
    before = account.work()
    done, entries = beside(account, placed(managed="30.00"))
    work: dict[str, Any] = {
        "actor": "engine",
        "order_type": "fba",
        "cost": 2350,
        "rate_card": CARD,
        "supplier_order_id": "supplier-1",
    }
    assert entries == [
        entry("captured", posted=-100, held=-100, part="order", **work),
        entry("captured", "managed", posted=-3000, held=-2350, part="order", **work),
    ]
    now = account.work()
    assert done == Done(did="captured", first=1, count=2, record=now)
    assert now == replace(
        before,
        status="ordered",
        parts={"order": replace(before.parts["order"], status="captured", managed=3000)},
        charged={"order": "5.1"},
        credits=100,
        supplier_order_id="supplier-1",
        seen=now.seen,
        versions=(4, 5),
        rev=2,
    )
    assert now.seen[:-1] == before.seen


def test_a_failed_order_to_the_last_field() -> None:
    """The reason stands in the entry and in the record."""
    account = account_of(requested(tracking="bce"))
    done, entries = beside(account, failed())
    work: dict[str, Any] = {"actor": "engine", "tracking": "bce", "rate_card": CARD, "reason": "out of stock"}
    assert entries == [
        entry("released", held=-100, part="order", **work),
        entry("released", held=-33, part="tracking", **work),
    ]
    assert done == Done(did="released", first=1, count=2, record=account.work())
    assert (account.work().status, account.work().reason) == ("failed", "out of stock")


def test_a_conversion_to_the_last_field() -> None:
    """Of a known order the tracking part alone is held, and the record keeps the number that is to be converted."""
    account = account_of(requested(order_type="fba"), placed())
    done, entries = beside(account, conversion())
    at = account.page().at
    assert entries == [
        entry(
            "held",
            held=150,
            part="tracking",
            actor="engine",
            order_type="fba",
            tracking="qtrack",
            cost=2350,
            rate_card=CARD,
            expires_at=at + 14 * 86_400_000,
            tracking_number="TBA1",
        )
    ]
    work = account.work()
    assert done == Done(did="held", first=1, count=1, record=work)
    assert (work.status, work.tracking, work.tracking_number, work.supplier_order_id) == (
        "ordered",
        "qtrack",
        "TBA1",
        "supplier-1",
    )
    assert list(work.parts) == ["order", "tracking"]


def test_a_converted_number_to_the_last_field() -> None:
    """The order is shipped under the new number, which the entry names too."""
    account = account_of(requested(), placed(), conversion())
    done, entries = beside(account, completed())
    work: dict[str, Any] = {"actor": "engine", "tracking": "qtrack", "rate_card": CARD, "tracking_number": "BCE1"}
    assert entries == [entry("captured", posted=-150, held=-150, part="tracking", **work)]
    assert done == Done(did="captured", first=1, count=1, record=account.work())
    assert (account.work().status, account.work().tracking_number, account.work().credits) == ("shipped", "BCE1", 250)


def test_a_conversion_that_failed_leaves_the_order_ordered() -> None:
    """The tracking part goes back, with the reason; nothing else changes."""
    account = account_of(requested(), placed(), conversion())
    before = account.work()
    done, entries = beside(account, conversion_failed())
    work: dict[str, Any] = {"actor": "engine", "tracking": "qtrack", "rate_card": CARD, "reason": "no number"}
    assert entries == [entry("released", held=-150, part="tracking", **work)]
    assert done == Done(did="released", first=1, count=1, record=account.work())
    assert (account.work().status, account.work().reason, account.work().tracking_number) == ("ordered", None, "TBA1")
    assert account.work().parts["order"] == before.parts["order"]


def test_a_manual_order_that_a_conversion_opens() -> None:
    """It is ordered already, belongs to the store of the message, and holds its own cell."""
    account = account_of()
    done, entries = beside(account, conversion(order_type="manual"))
    work = account.work()
    assert [(e.kind, e.held, e.order_type, e.tracking, e.part, e.cost) for e in entries] == [
        ("held", 50, "manual", "qtrack", "tracking", None)
    ]
    assert done == Done(did="held", first=1, count=1, record=work)
    assert (work.status, work.order_type, work.store_id, work.tracking, work.cost) == (
        "ordered",
        "manual",
        "s1",
        "qtrack",
        None,
    )


def test_a_refused_order_to_the_last_field() -> None:
    """An entry of 0.00 with the sentence; the order has failed, and nothing is held."""
    account = opened(50, 100_000)
    done, entries = beside(account, requested(order_type="fba", tracking="bce"))
    sentence = "Insufficient Auto-orders credits, please purchase more credits and resend the order."
    work: dict[str, Any] = {"actor": "engine", "order_type": "fba", "tracking": "bce", "cost": 2350}
    assert entries == [entry("refused", part="order", reason=sentence, **work)]
    now = account.work()
    assert done == Done(did="refused", first=1, count=1, record=now)
    assert (now.status, now.reason, now.parts, now.charged, now.known_parts) == ("failed", sentence, {}, {}, ())


def test_a_refusal_for_lack_of_dollars_names_their_unit() -> None:
    """The entry stands in the unit that was lacking."""
    account = opened(10_000, 2000)
    _, entries = beside(account, requested(order_type="fba"))
    assert [(e.kind, e.unit, e.part) for e in entries] == [("refused", "managed", "order")]


def test_a_refused_conversion_to_the_last_field() -> None:
    """An entry says so; of the record only the message is new, and the method that was asked for."""
    account = account_of(requested(), placed())
    account.do(adjust("auto_order", -9900))
    before = account.work()
    done, entries = beside(account, conversion())
    now = account.work()
    assert [(e.kind, e.unit, e.posted, e.held, e.part, e.tracking, e.tracking_number) for e in entries] == [
        ("refused", "auto_order", 0, 0, "tracking", "qtrack", "TBA1")
    ]
    assert done == Done(did="refused", first=1, count=1, record=now)
    asked = (*before.asked, "qtrack")
    assert now == replace(before, asked=asked, seen=now.seen, versions=now.versions, rev=before.rev + 1)
    assert len(now.seen) == len(before.seen) + 1


def test_sourcing_to_the_last_field() -> None:
    """Held on request, captured when it is accepted."""
    account = account_of()
    done, entries = beside(account, sourcing())
    plain = {"actor": "engine", "unit": "auto_order", "product_id": "p1", "store_id": "s1", "rate_card": CARD}
    expires_at = account.page().at + 14 * 86_400_000
    assert entries == [Entry(kind="held", held=100, part="sourcing", attempt=1, expires_at=expires_at, **plain)]  # type: ignore[arg-type]
    assert done == Done(did="held", first=1, count=1, record=account.work("p1", "product"))
    done, entries = beside(account, accepted())
    assert entries == [Entry(kind="captured", posted=-100, held=-100, part="sourcing", attempt=1, **plain)]  # type: ignore[arg-type]
    work = account.work("p1", "product")
    assert done == Done(did="captured", first=1, count=1, record=work)
    assert (work.status, work.charged, work.credits) == ("accepted", {"sourcing": "5.1"}, 100)


def test_rejected_sourcing_to_the_last_field() -> None:
    """The reason stands in the entry and in the record; asked for again, it is a new attempt."""
    account = account_of(sourcing())
    done, entries = beside(account, rejected(reason="no supplier"))
    assert [(e.kind, e.held, e.part, e.reason, e.product_id) for e in entries] == [
        ("released", -100, "sourcing", "no supplier", "p1")
    ]
    work = account.work("p1", "product")
    assert done == Done(did="released", first=1, count=1, record=work)
    assert (work.status, work.reason) == ("rejected", "no supplier")
    account.do(sourcing())
    work = account.work("p1", "product")
    assert (work.status, work.attempt, work.reason) == ("processing", 2, None)


def test_a_queued_order_to_the_last_field() -> None:
    """It moves nothing, and its key remembers status and attempt."""
    account = account_of()
    done, entries = beside(account, queue_order(order(order_type="fba"), idempotency("k1")))
    work = account.work()
    assert entries == []
    assert (done.did, done.record, done.first, done.count) == ("queued", work, 0, 0)
    key = account.store.read(ACCOUNT_ID, [("key", "k1")])["key", "k1"]
    assert done.key_record == key
    assert key.to_map() == {
        "key": "k1",
        "fingerprint": "request of k1",
        "version": 3,
        "hash": account.pages()[2].hash,
        "status": "queued",
        "attempt": 1,
    }
    assert (work.status, work.attempt, work.versions, work.order_type, work.cost, work.rev) == (
        "queued",
        1,
        (),
        "fba",
        2350,
        1,
    )


def test_a_queued_order_that_is_taken_up_keeps_its_attempt() -> None:
    """Its request holds for the attempt that was queued."""
    account = account_of(requested(), failed(), queue_order(order()))
    assert (account.work().status, account.work().attempt) == ("queued", 2)
    done, entries = beside(account, requested(attempt=2))
    assert [(e.kind, e.attempt) for e in entries] == [("held", 2)]
    assert done.record == account.work()
    assert (account.work().status, account.work().attempt) == ("processing", 2)


def test_a_resent_order_to_the_last_field() -> None:
    """A new attempt, queued without parts or reason; it names the request that resent it."""
    account = account_of(requested(), failed())
    before = account.work()
    account.clock.at_ms += 5
    done, entries = beside(account, ResendOrder(PLATFORM, "o1", "r1"))
    now = account.work()
    at = account.clock.at_ms
    assert (done, entries) == (Done(did="resent", record=now), [])
    assert now == replace(
        before,
        status="queued",
        attempt=2,
        parts={},
        reason=None,
        resent_by="r1",
        rev=before.rev + 1,
        updated_at=at,
        status_at=at,
    )
    assert beside(account, ResendOrder(PLATFORM, "o1", "r1")) == (Done(did="resent", record=now), [])
    assert account.refusal(ResendOrder(PLATFORM, "o1", "r2")).code == "invalid_transition"


def test_an_adjustment_to_the_last_field() -> None:
    """The entry has the caller, the reason, the reference and the key."""
    account = account_of()
    command = Adjust(merchant(), idempotency("k1"), "finder", 250, "a gift", "ticket 7")
    done, entries = beside(account, command)
    told = {"reason": "a gift", "reference": "ticket 7", "key": "k1"}
    assert entries == [Entry(kind="adjusted", actor="merchant", unit="finder", posted=250, **told)]  # type: ignore[arg-type]
    assert done == Done(did="adjusted", first=1, count=1)
    key = account.store.read(ACCOUNT_ID, [("key", "k1")])["key", "k1"]
    assert key.to_map() == {
        "key": "k1",
        "fingerprint": "request of k1",
        "version": 4,
        "hash": account.page().hash,
        "first": 1,
        "count": 1,
    }


def test_a_replay_to_the_last_field() -> None:
    """The first answer again: its page, its place in it, and the key's record."""
    account = account_of()
    key = idempotency(fresh("key"))
    beside(account, debit(order(), key))
    account.do(adjust("finder", 1))
    answer = account.do(debit(order(), key))
    record = account.store.read(ACCOUNT_ID, [("key", key.key)])["key", key.key]
    assert answer.done == Done(did="replayed", replayed=record, first=1, count=1, key_record=record)  # type: ignore[arg-type]
    assert answer.page.version == 4
    assert answer.replayed()

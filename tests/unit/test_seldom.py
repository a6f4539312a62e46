"""What seldom happens: orders that were converted before they failed, conversions of nothing, drafts of their own."""

from dataclasses import replace

import pytest

from autocredits.domain.decide import Done, Draft, NotYet
from autocredits.domain.errors import BrokenInvariantError, Problem
from autocredits.domain.purchases.calls import PurchaseRequest, StartPurchase
from autocredits.domain.work.calls import ResendOrder
from autocredits.domain.work.charging import Cause, Price, price_of, quote
from autocredits.domain.work.lifecycle import hold
from autocredits.domain.work.messages import WorkRequested
from autocredits.domain.work.record import Part, Work, WorkRequest, message_digest
from tests.kit.builders import (
    ACCOUNT_ID,
    CATALOG,
    NOW_MS,
    PLATFORM,
    Account,
    adjust,
    completed,
    conversion,
    debit,
    failed,
    idempotency,
    opened,
    order,
    page_of,
    placed,
    queue_order,
    requested,
    state_of,
)

CARD = CATALOG.rate_cards[0]


def converted_and_failed() -> Account:
    """PurchaseRequest o1's number was converted, with BlueCare, before its placing failed."""
    account = opened(10_000)
    for command in (requested(tracking="bce"), completed(), failed()):
        account.do(command)
    assert (account.work().status, account.work().charged) == ("failed", {"tracking:bce": "4.0"})
    return account


def test_a_new_attempt_holds_only_what_was_not_charged() -> None:
    """The conversion is paid; the order is asked for again alone."""
    account = converted_and_failed()
    account.do(requested(tracking="bce"))
    assert (list(account.work().parts), account.balance()) == (["order"], (9967, 100))


def test_a_new_attempt_with_another_method_pays_for_that() -> None:
    """What was charged for one method covers no other."""
    account = converted_and_failed()
    account.do(requested(tracking="qtrack"))
    assert (list(account.work().parts), account.balance()) == (["order", "tracking"], (9967, 250))


def test_a_request_for_what_is_all_charged_is_a_duplicate() -> None:
    """Of a failed order too: nothing is left to hold; the message is remembered, and no more."""
    account = converted_and_failed()
    before = account.work()
    work = WorkRequest(kind="order", work_id="o1", store_id="s1", order_type="manual", tracking="bce")
    command = WorkRequested(source="engine", message_id="m9", kind="order", work_id="o1", request=work)
    assert account.did(command) == "duplicate"
    after = account.work()
    assert after == replace(before, seen=(*before.seen, message_digest("engine", "m9")), rev=before.rev + 1)


def test_a_resent_order_that_was_converted_ships_when_it_is_placed() -> None:
    """Its conversion counts in the new attempt too."""
    account = converted_and_failed()
    account.do(ResendOrder(PLATFORM, "o1", "r1"))
    assert account.work().converted is True
    account.do(requested(tracking="bce", attempt=2))
    account.do(placed())
    assert account.work().status == "shipped"


def test_a_resent_order_that_was_not_converted_is_ordered_when_it_is_placed() -> None:
    """It waits for its conversion."""
    account = opened(10_000)
    for command in (requested(tracking="bce"), failed(), ResendOrder(PLATFORM, "o1", "r1")):
        account.do(command)
    assert account.work().converted is False
    for command in (requested(tracking="bce", attempt=2), placed()):
        account.do(command)
    assert account.work().status == "ordered"


def test_a_result_waits_while_its_order_is_queued_again() -> None:
    """The part is known of the attempt before, but this one has not begun."""
    account = opened(10_000)
    for command in (requested(), failed(), queue_order(order())):
        account.do(command)
    with pytest.raises(NotYet):
        account.do(placed())


def test_an_earlier_method_that_was_charged_is_the_same_work() -> None:
    """A request that names it is a duplicate, not a conflict."""
    account = opened(10_000)
    for tracking in ("none", "bce", "qtrack"):
        account.do(debit(order(tracking=tracking)))
    assert account.did(requested(tracking="bce")) == "duplicate"


def test_a_manual_order_whose_conversion_is_refused_is_ordered() -> None:
    """The merchant has ordered it by hand; the refusal is entered, and is no failure of the order."""
    account = opened(10)
    assert account.did(conversion(order_type="manual")) == "refused"
    assert (account.work().status, account.work().reason, account.work().parts) == ("ordered", None, {})


def test_work_that_names_no_type_has_no_rate() -> None:
    """It is refused as what it is."""
    with pytest.raises(Problem) as refused:
        price_of(CARD, WorkRequest(kind="order", work_id="o1", store_id="s1"), ("order",))
    assert refused.value.detail == "There is nothing to charge for  with tracking ."


def test_a_quote_of_nothing_names_the_rate_card() -> None:
    """Work that is charged already, and manual work, cost nothing by a card."""
    account = opened(1000)
    account.do(debit(order()))
    for work, request in ((account.work(), order()), (None, order(order_type="manual"))):
        assert quote(state_of(), CARD, work, request).price == Price({}, 0, "2024-01")


def test_a_part_that_is_opened_again_is_the_last_that_was_opened() -> None:
    """Parts stand in the order in which they were opened."""
    part = Part(status="released", credits=33, tracking="bce", rate_card="2024-01", expires_at=1, entry_id="1.1")
    work = new_work(parts={"tracking": part, "order": replace(part, status="open", credits=100)})
    draft = Draft(ACCOUNT_ID, page_of(state_of()), {}, CATALOG, NOW_MS)
    opened_ = hold(draft, work, Price({"tracking": 33}, 0, "2024-01"), Cause(actor="me"), 5)
    assert list(opened_.parts) == ["order", "tracking"]


def new_work(**values: object) -> Work:
    """A record that was never written."""
    work = Work(
        kind="order",
        work_id="o1",
        store_id="s1",
        tracking="bce",
        status="processing",
        created_at=NOW_MS,
        updated_at=NOW_MS,
        status_at=NOW_MS,
    )
    return replace(work, **values)  # type: ignore[arg-type]


def test_a_new_record_cannot_have_been_written_before() -> None:
    """One with a rev that is not there is a defect."""
    draft = Draft(ACCOUNT_ID, page_of(state_of()), {}, CATALOG, NOW_MS)
    with pytest.raises(BrokenInvariantError) as broken:
        draft.put_work(new_work(rev=5), moved=False)
    assert str(broken.value) == "a new work record with rev 6"


def test_a_key_that_wrote_no_entry_begins_at_none() -> None:
    """Also when others stand before it in its page: what it remembers is the page it was decided on."""
    account = opened()
    start = StartPurchase(
        caller=PLATFORM,
        idempotency=idempotency("k1"),
        purchase_id="b1",
        request=PurchaseRequest(package="auto_order-20"),
        payment_method="card",
        provider="stripe",
    )
    account.ledger().execute_all(ACCOUNT_ID, [adjust("finder", 1), start])
    key = account.store.read(ACCOUNT_ID, [("key", "k1")])["key", "k1"]
    assert key.to_map() == {"key": "k1", "fingerprint": "request of k1", "version": 1}


def test_a_message_is_remembered_by_32_digits() -> None:
    """128 bits: source and id cannot be told for each other's."""
    assert message_digest("engine", "m1") == "364104c77d048799d980660b5bc8596a"
    assert message_digest("ab", "c") != message_digest("a", "bc")


def test_what_a_work_record_stores_are_lists() -> None:
    """Stores know lists and no tuples."""
    stored = new_work(seen=("m",), versions=(1,), known_parts=("order",)).to_map()
    assert {name: type(stored[name]) for name in ("seen", "versions", "known_parts")} == dict.fromkeys(
        ("seen", "versions", "known_parts"), list
    )


def test_a_replay_of_nothing_is_told_so() -> None:
    """A command that moved nothing tells neither page nor place."""
    assert Done(did="x") == Done(did="x", first=0, count=0, replay_version=None, work=None, key_record=None)


def test_a_resent_order_whose_last_method_was_not_converted_is_not_converted() -> None:
    """A conversion by another method counts for that method alone."""
    account = opened(10_000)
    for command in (requested(tracking="bce"), completed(), conversion(tracking="qtrack"), failed()):
        account.do(command)
    assert (account.work().status, account.work().tracking, account.work().converted) == ("failed", "qtrack", True)
    account.do(ResendOrder(PLATFORM, "o1", "r1"))
    assert account.work().converted is False

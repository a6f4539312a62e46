"""How work goes from attempt to attempt and from status to status."""

from dataclasses import replace
from typing import Any, Literal

import pytest

from autocredits.domain.decide import Command, Draft
from autocredits.domain.errors import BrokenInvariantError, Problem
from autocredits.domain.work.calls import ResendOrder
from autocredits.domain.work.charging import Cause, Price
from autocredits.domain.work.lifecycle import (
    HOLD_MS,
    Settlement,
    begin,
    complete_charged,
    held_status,
    is_same_work,
    put_work,
    refuse,
    settle_part,
)
from autocredits.domain.work.lifecycle import debit as debit_work
from autocredits.domain.work.lifecycle import hold as hold_work
from autocredits.domain.work.record import Part, Progress, Work, WorkRequest
from tests.kit.books import check_books
from tests.kit.builders import (
    ACCOUNT_ID,
    CATALOG,
    NOW_MS,
    PLATFORM,
    Account,
    capture,
    completed,
    conversion,
    debit,
    failed,
    hold,
    opened,
    order,
    page_of,
    placed,
    product,
    queue_order,
    release,
    requested,
    state_of,
)

PART = Part(status="released", credits=33, tracking="bce", rate_card="2024-01", expires_at=1, entry_id="1.1")


def holding(tracking: str = "bce", order_type: str = "auto") -> Account:
    """An account of 100.00 credits and 1,000.00 managed, with one order held."""
    account = opened(10_000, 100_000)
    account.do(hold(order(order_type=order_type, tracking=tracking)))
    return account


def parts_of(account: Account) -> dict[str, str]:
    """How each part stands."""
    return {name: part.status for name, part in account.work().parts.items()}


# ---------------------------------------------------------------- begin, next_attempt


def draft_of(*known: Work) -> Draft:
    """A draft of page 8 of an account with this work."""
    records = {work.key(): work for work in known}
    return Draft(ACCOUNT_ID, page_of(state_of()), dict(records), CATALOG, NOW_MS)


def new_work(**values: object) -> Work:
    """An order's record that was never written."""
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


def test_new_work_begins_with_attempt_one() -> None:
    """It has what was asked for, and the time of its page."""
    request = order(order_type="fba", tracking="bce")
    work = begin(draft_of(), None, request, "processing")
    assert work.asked == ("bce",)
    assert (work.request(), work.status, work.attempt) == (request, "processing", 1)
    assert (work.created_at, work.parts, work.charged) == (NOW_MS, {}, {})


@pytest.mark.parametrize("status", ["failed", "rejected"])
def test_failed_work_begins_as_a_new_attempt(status: str) -> None:
    """Its work may differ; what the earlier attempt was told is gone, charges, methods and messages stay."""
    told: dict[str, Any] = {"reason": "why", "tracking_number": "OLD1", "supplier_order_id": "s", "converted": True}
    failed_work = new_work(status=status, attempt=3, charged={"tracking:bce": "2.0"}, seen=("m",), **told)
    request = order(order_type="fba", tracking="qtrack")
    work = begin(draft_of(), replace(failed_work, parts={"order": PART}), request, "queued")
    assert (work.request(), work.status, work.attempt) == (request, "queued", 4)
    assert (work.parts, work.reason, work.converted) == ({}, None, False)
    assert (work.tracking_number, work.supplier_order_id) == (None, None)
    assert work.asked == ("bce", "qtrack")
    assert (work.charged, work.seen) == ({"tracking:bce": "2.0"}, ("m",))


def test_a_queued_order_begins_in_its_attempt() -> None:
    """The attempt was counted when it was queued."""
    queued = new_work(status="queued", attempt=2)
    assert begin(draft_of(), queued, order(tracking="bce"), "processing") == replace(queued, status="processing")


def test_work_that_goes_on_takes_the_new_tracking() -> None:
    """A later conversion changes neither status nor attempt, and the earlier method was asked for as well."""
    ordered = new_work(status="ordered")
    again = replace(ordered, tracking="qtrack", asked=("bce", "qtrack"))
    assert begin(draft_of(), ordered, order(tracking="qtrack"), "processing") == again
    assert begin(draft_of(), again, order(tracking="bce"), "processing") == replace(again, tracking="bce")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (order(), "processing"),
        (order(order_type="fba"), "processing"),
        (order(order_type="manual", tracking="bce"), "ordered"),
        (product(), "processing"),
    ],
)
def test_a_manual_order_is_ordered_from_the_start(request_: WorkRequest, status: str) -> None:
    """The merchant orders by hand; other work is `processing` while it is held."""
    assert held_status(request_) == status


@pytest.mark.parametrize(
    ("request_", "same"),
    [
        (order(tracking="bce"), True),
        (order(tracking="none"), True),
        (order(tracking="qtrack"), False),
        (order(order_type="fba", tracking="bce"), False),
        (order(order_type="manual", tracking="bce"), False),
    ],
)
def test_which_request_asks_for_the_same_work(request_: WorkRequest, same: bool) -> None:  # noqa: FBT001 - a table's cell
    """One for its present tracking, or for parts that are charged already, whichever release wrote the record."""
    work = new_work(order_type="auto", tracking="bce", charged={"order": "2.0"})
    assert is_same_work(work, request_) is same
    assert is_same_work(replace(work, charged={}), request_) is (same and request_.tracking == "bce")


@pytest.mark.parametrize(
    "known",
    [
        new_work(order_type="auto", asked=("qtrack", "bce")),
        new_work(order_type="auto", charged={"tracking:qtrack": "2.0"}),
        new_work(order_type="auto", parts={"tracking": replace(PART, tracking="qtrack")}),
    ],
    ids=["asked for", "charged", "given back"],
)
def test_every_method_that_was_ever_asked_for_is_the_same_work(known: Work) -> None:
    """Whatever became of it; of another order type or cost it is other work."""
    assert is_same_work(known, order(tracking="qtrack"))
    assert not is_same_work(known, order(tracking="tracking_generator"))
    assert not is_same_work(known, order(order_type="fba", tracking="qtrack"))


def test_an_earlier_method_that_was_charged_is_the_same_work() -> None:
    """A request that names it is a duplicate and no conflict."""
    account = opened(10_000)
    for tracking in ("none", "bce", "qtrack"):
        account.do(debit(order(tracking=tracking)))
    assert account.did(requested(tracking="bce")) == "duplicate"


def converted_and_failed() -> Account:
    """An order whose number was converted, with BlueCare, before it failed."""
    account = opened(10_000)
    for command in (requested(tracking="bce"), completed(), failed()):
        account.do(command)
    assert (account.work().status, account.work().charged) == ("failed", {"tracking:bce": "4.0"})
    return account


def test_a_new_attempt_holds_only_what_was_not_charged() -> None:
    """The conversion is paid for; part `order` is held alone."""
    account = converted_and_failed()
    account.do(requested(tracking="bce"))
    assert (list(account.work().parts), account.balance()) == (["order"], (9967, 100))


def test_a_new_attempt_with_another_method_pays_for_that() -> None:
    """A charge for one method covers no other."""
    account = converted_and_failed()
    account.do(requested(tracking="qtrack"))
    assert (list(account.work().parts), account.balance()) == (["order", "tracking"], (9967, 250))


# ---------------------------------------------------------------- what a new attempt knows of the one before


def test_nothing_of_an_earlier_attempt_is_shown_as_the_present_ones() -> None:
    """Neither its number nor its supplier's order: not in the record, and in no entry."""
    account = opened(10_000)
    for command in (
        requested(tracking="bce"),
        completed(tracking_number="OLD1"),
        failed(),
        requested(tracking="qtrack"),
    ):
        account.do(command)
    assert (account.work().tracking_number, account.work().converted) == (None, False)
    assert [entry.tracking_number for entry in account.page().entries] == [None, None]
    account.do(placed())
    assert [entry.tracking_number for entry in account.page().entries] == [None]
    assert (account.work().status, account.work().tracking_number) == ("ordered", None)
    account.do(completed(tracking_number="NEW1"))
    assert [entry.tracking_number for entry in account.page().entries] == ["NEW1"]
    assert (account.work().status, account.work().tracking_number) == ("shipped", "NEW1")
    check_books(account)


@pytest.mark.parametrize(
    "begun",
    [
        [ResendOrder(PLATFORM, "o1", "r1"), requested(tracking="bce", attempt=2)],
        [queue_order(order(tracking="bce")), requested(tracking="bce", attempt=2)],
        [hold(order(tracking="bce"))],
        [requested(tracking="bce")],
    ],
    ids=["resent", "queued", "held over HTTP", "requested"],
)
def test_a_conversion_charged_in_an_earlier_attempt_is_told_again(begun: list[Command]) -> None:
    """It is not charged again, but the order is shipped only once its own number is told, before or after it is placed."""
    for results in ([placed(), completed()], [completed(), placed()]):
        account = converted_and_failed()
        for command in begun:
            account.do(command)
        assert (account.work().converted, list(account.work().parts)) == (False, ["order"])
        for command in results:
            assert account.work().status != "shipped"
            account.do(command)
        work = account.work()
        assert (work.status, work.tracking_number, work.credits) == ("shipped", "BCE1", 133)
        assert account.balance() == (10_000 - 133, 0)
        check_books(account)


def test_a_new_attempt_without_a_conversion_is_ordered_when_it_is_placed() -> None:
    """Whatever an earlier attempt converted."""
    account = converted_and_failed()
    for command in (requested(), placed()):
        account.do(command)
    assert account.work().status == "ordered"


# ---------------------------------------------------------------- debit, hold


def test_a_debit_charges_every_part_by_its_entry() -> None:
    """Each charge names the entry of the credits, and what the work has cost grows."""
    draft = draft_of()
    price = Price({"order": 100, "tracking": 33}, 0, "2024-01")
    work = debit_work(draft, new_work(credits=5), price, Cause(actor="me"))
    assert work.charged == {"order": "8.0", "tracking:bce": "8.0"}
    assert (work.known_parts, work.credits) == (("order", "tracking"), 138)


@pytest.mark.parametrize(
    ("request_", "status"),
    [(order(), "ordered"), (order(order_type="manual", tracking="bce"), "ordered"), (product(), "accepted")],
)
def test_what_is_debited_is_done(request_: WorkRequest, status: str) -> None:
    """An order is `ordered`, a sourcing request `accepted`."""
    account = opened(1000)
    account.do(debit(request_))
    assert account.work(request_.work_id, request_.kind).status == status


def test_a_hold_opens_every_part_with_its_price() -> None:
    """Managed balance belongs to part `order`; each part names its entry, its method, and when it ends."""
    draft = draft_of()
    price = Price({"order": 100, "tracking": 33}, 2350, "2024-01")
    work = hold_work(draft, new_work(), price, Cause(actor="me"), 5)
    common: dict[str, Any] = {"status": "open", "tracking": "bce", "rate_card": "2024-01", "expires_at": 5}
    assert work.parts == {
        "order": Part(credits=100, managed=2350, entry_id="8.0", **common),
        "tracking": Part(credits=33, entry_id="8.2", **common),
    }
    assert work.known_parts == ("order", "tracking")
    assert HOLD_MS == 14 * 24 * 60 * 60 * 1000


def test_the_first_hold_of_an_attempt_is_remembered() -> None:
    """What is opened later is not of it, and how what it replaces had ended is noted, the first time."""
    work = hold_work(draft_of(), new_work(), Price({"order": 100, "tracking": 33}, 0, "c"), Cause(actor="me"), 5)
    assert work.progress() == Progress(attempt=1, first_hold=("order", "tracking:bce"))
    ends: list[tuple[str, Literal["captured", "released", "expired"]]] = [
        ("bce", "released"),
        ("qtrack", "expired"),
        ("bce", "captured"),
    ]
    for tracking, status in ends:
        work = replace(work, parts={"tracking": replace(work.parts["tracking"], status=status)}, tracking=tracking)
        work = hold_work(draft_of(), work, Price({"tracking": 33}, 0, "c"), Cause(actor="me"), 5)
    assert work.progress() == Progress(
        attempt=1,
        first_hold=("order", "tracking:bce"),
        replaced={"tracking:bce": "released", "tracking:qtrack": "captured"},
    )


def test_a_new_attempt_has_a_first_hold_of_its_own() -> None:
    """What is remembered of an earlier one counts no more."""
    before = new_work(
        attempt=2, latest=Progress(attempt=1, first_hold=("order",), replaced={"tracking:bce": "released"})
    )
    work = hold_work(draft_of(), before, Price({"tracking": 33}, 0, "c"), Cause(actor="me"), 5)
    assert work.progress() == Progress(attempt=2, first_hold=("tracking:bce",))


def test_the_parts_of_an_earlier_releases_record_are_its_first_hold() -> None:
    """It did not note which were: what is opened now was opened later."""
    before = new_work(parts={"order": PART}, tracking="qtrack")
    work = hold_work(draft_of(), before, Price({"tracking": 33}, 0, "c"), Cause(actor="me"), 5)
    assert work.progress().first_hold == ("order",)


def test_a_part_that_is_opened_again_is_the_last_that_was_opened() -> None:
    """Parts stand in the order in which they were opened last."""
    work = new_work(parts={"tracking": PART, "order": replace(PART, status="open", credits=100)})
    draft = draft_of()
    opened_ = hold_work(draft, work, Price({"tracking": 33}, 0, "2024-01"), Cause(actor="me"), 5)
    assert list(opened_.parts) == ["order", "tracking"]


# ---------------------------------------------------------------- settle_part


def test_parts_are_captured_one_by_one() -> None:
    """Part `order` makes it `ordered`; with the later of both parts it is `shipped`."""
    account = holding()
    account.do(capture(parts=["order"]))
    assert (parts_of(account), account.work().status) == ({"order": "captured", "tracking": "open"}, "ordered")
    assert account.balance() == (9900, 33)
    account.do(capture(parts=["tracking"]))
    assert (account.balance(), account.work().status) == ((9867, 0), "shipped")

    account = holding()
    account.do(capture(parts=["tracking"]))
    assert (parts_of(account), account.work().status) == ({"order": "open", "tracking": "captured"}, "processing")
    account.do(capture(parts=["order"]))
    assert (account.balance(), account.work().status) == ((9867, 0), "shipped")
    check_books(account)


def test_the_tracking_part_is_released_alone() -> None:
    """The order goes on without its conversion."""
    account = holding()
    account.do(release(parts=["tracking"]))
    assert (parts_of(account), account.work().status) == ({"order": "open", "tracking": "released"}, "processing")
    account.do(capture())
    assert (account.balance(), account.work().status) == ((9900, 0), "ordered")


def test_without_its_order_part_nothing_stays_held() -> None:
    """Releasing part `order` releases all that is open, and the order has failed."""
    account = holding()
    account.do(release(parts=["order"]))
    assert parts_of(account) == {"order": "released", "tracking": "released"}
    assert (account.balance(), account.work().status) == ((10_000, 0), "failed")


def test_sourcing_is_accepted_or_rejected() -> None:
    """Captured, it is `accepted`; released, it is `rejected`."""
    account = opened(1000)
    account.do(hold(product("p1")))
    account.do(hold(product("p2")))
    account.do(capture("p1", kind="product"))
    account.do(release("p2", kind="product", parts=["sourcing"]))
    assert account.balance() == (900, 0)
    assert (account.work("p1", "product").status, account.work("p2", "product").status) == ("accepted", "rejected")
    check_books(account)


def test_a_manual_order_ships_with_its_conversion() -> None:
    """Captured, it is `shipped`; released, it stays `ordered`."""
    account = holding("qtrack", "manual")
    account.do(capture())
    assert (account.balance(), account.work().status) == ((9950, 0), "shipped")
    account = holding("qtrack", "manual")
    account.do(release())
    assert (account.balance(), account.work().status) == ((10_000, 0), "ordered")


@pytest.mark.parametrize(("parts", "status"), [(None, "shipped"), (["order"], "ordered"), (["tracking"], "processing")])
def test_a_captured_order_has_cost_its_parts(parts: list[str] | None, status: str) -> None:
    """Each captured part is charged, by its own method, and `credits` is what the order has cost so far."""
    account = holding()
    account.do(capture(parts=parts))
    work = account.work()
    captured = {name: part for name, part in work.parts.items() if part.status == "captured"}
    assert work.status == status
    assert set(work.charged) == {{"order": "order", "tracking": "tracking:bce"}[name] for name in captured}
    assert work.credits == sum(part.credits for part in captured.values())


def test_a_part_that_holds_no_managed_balance_spends_none() -> None:
    """Whatever is said that the supplier cost."""
    work = new_work(parts={"order": replace(PART, status="open", tracking="none")})
    draft = Draft(ACCOUNT_ID, page_of(state_of(held=33)), {}, CATALOG, NOW_MS)
    settled = settle_part(draft, work, "order", Settlement("captured", Cause(actor="me"), managed=100))
    assert settled.parts["order"].managed == 0
    assert [entry.unit for entry in draft.entries] == ["auto_order"]


# ---------------------------------------------------------------- complete_charged


CHARGED = new_work(status="ordered", charged={"order": "2.0", "tracking:bce": "2.0"}, tracking_number="TBA1")


def test_a_charged_conversion_is_completed_once() -> None:
    """Its number is noted, and the order is shipped if it was placed."""
    cause = Cause(actor="me", tracking_number="BCE1")
    done = complete_charged(CHARGED, "tracking:bce", cause)
    assert done == replace(
        CHARGED,
        status="shipped",
        converted=True,
        tracking_number="BCE1",
        latest=Progress(attempt=1, completed=("tracking:bce",)),
    )
    assert complete_charged(done, "tracking:bce", cause) is None
    early = complete_charged(replace(CHARGED, status="processing"), "tracking:bce", cause)
    assert early is not None
    assert (early.status, early.converted) == ("processing", True)


@pytest.mark.parametrize(
    "work",
    [
        replace(CHARGED, charged={"order": "2.0"}),
        replace(CHARGED, status="failed"),
        replace(CHARGED, parts={"tracking": PART}),
        replace(CHARGED, latest=Progress(attempt=1, replaced={"tracking:bce": "captured"})),
    ],
    ids=["not charged", "failed", "held in this attempt", "held and opened again"],
)
def test_what_was_not_charged_before_has_nothing_to_complete(work: Work) -> None:
    """Its own results end it."""
    assert complete_charged(work, "tracking:bce", Cause(actor="me", tracking_number="BCE1")) is None


def test_a_failed_order_keeps_its_reason_until_it_is_requested_again() -> None:
    """Its reason is the one given; a new attempt has none."""
    account = opened(1000)
    account.do(requested())
    account.do(failed())
    assert account.work().reason == "out of stock"
    account.do(requested())
    assert account.work().reason is None


@pytest.mark.parametrize("name", ["order", "tracking"])
def test_a_capture_that_names_no_supplier_or_number_keeps_what_is_known(name: str) -> None:
    """Over HTTP a capture names neither."""
    open_parts = {part: replace(PART, status="open") for part in ("order", "tracking")}
    work = new_work(parts=open_parts, supplier_order_id="supplier-7", tracking_number="TBA7")
    draft = Draft(ACCOUNT_ID, page_of(state_of(held=66)), {}, CATALOG, NOW_MS)
    settled = settle_part(draft, work, name, Settlement("captured", Cause(actor="me")))
    assert settled.parts[name].status == "captured"
    assert (settled.supplier_order_id, settled.tracking_number) == ("supplier-7", "TBA7")


# ---------------------------------------------------------------- refuse


def test_work_that_is_refused_has_failed_with_the_sentence() -> None:
    """An order or sourcing request that was to begin is `failed`."""
    draft = draft_of()
    refusal = Problem("insufficient_credits", "Not enough.", unit="auto_order")
    work = refuse(draft, new_work(), "order", refusal, Cause(actor="engine"))
    assert (work.status, work.reason) == ("failed", "Not enough.")
    (entry,) = draft.entries
    assert (entry.kind, entry.unit, entry.posted, entry.held, entry.reason, entry.part) == (
        "refused",
        "auto_order",
        0,
        0,
        "Not enough.",
        "order",
    )


def test_an_order_whose_later_conversion_is_refused_stays_as_it_was() -> None:
    """The refusal is entered, and the record keeps its tracking and status, but knows what it was asked for."""
    ordered = new_work(status="ordered", tracking="none", rev=1)
    draft = draft_of(ordered)
    refusal = Problem("insufficient_credits", "Not enough.", unit="auto_order")
    asked = replace(ordered, tracking="bce", asked=("none", "bce"))
    refused = refuse(draft, asked, "tracking", refusal, Cause(actor="engine"))
    assert refused == replace(ordered, asked=("none", "bce"))
    assert [entry.part for entry in draft.entries] == ["tracking"]


def test_a_manual_order_whose_conversion_is_refused_is_ordered() -> None:
    """The merchant ordered it by hand, so the refusal is no failure of the order."""
    account = opened(10)
    assert account.did(conversion(order_type="manual")) == "refused"
    assert (account.work().status, account.work().reason, account.work().parts) == ("ordered", None, {})


# ---------------------------------------------------------------- put_work


def test_a_record_is_written_with_the_page_that_touched_it() -> None:
    """One rev higher, with the page's time; a page that holds no entry of it is not named."""
    known = new_work(status="ordered", rev=3, versions=(2,), created_at=5, updated_at=5, status_at=5)
    moved = put_work(draft_of(known), known, moved=True)
    assert moved == replace(known, rev=4, versions=(2, 8), updated_at=NOW_MS)
    unmoved = put_work(draft_of(known), known, moved=False)
    assert unmoved == replace(known, rev=4, updated_at=NOW_MS)


def test_a_record_written_twice_in_one_page_has_one_rev_more() -> None:
    """The page is named once."""
    known = new_work(rev=3)
    draft = draft_of(known)
    again = put_work(draft, put_work(draft, known, moved=True), moved=True)
    assert (again.rev, again.versions) == (4, (8,))


@pytest.mark.parametrize(
    ("changes", "moved"), [({"status": "shipped"}, True), ({"attempt": 2}, True), ({"credits": 5}, False), ({}, False)]
)
def test_a_status_has_the_time_since_when_it_lasts(changes: dict[str, Any], moved: bool) -> None:  # noqa: FBT001 - a table's cell
    """A new attempt in the same status counts anew; other changes do not."""
    known = new_work(status="ordered", rev=3, status_at=5)
    written = put_work(draft_of(known), replace(known, **changes), moved=False)
    assert written.status_at == (NOW_MS if moved else 5)


def test_a_new_record_cannot_have_been_written_before() -> None:
    """A record with a rev that nothing is stored for is a defect."""
    with pytest.raises(BrokenInvariantError, match="a new work record with rev 6"):
        put_work(draft_of(), new_work(rev=5), moved=False)

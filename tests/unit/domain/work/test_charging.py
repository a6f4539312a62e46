import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from autocredits.domain.access import Caller
from autocredits.domain.catalog import Catalog
from autocredits.domain.decide import Draft, IdempotencyKey, decide
from autocredits.domain.errors import Problem
from autocredits.domain.money import parse_amount
from autocredits.domain.records import KeyRecord, Record, RecordKey
from autocredits.domain.state import Balance, State
from autocredits.domain.work.calls import Debit, Hold
from autocredits.domain.work.charging import quote
from autocredits.domain.work.lifecycle import HOLD_MS
from autocredits.domain.work.record import Work, WorkRequest
from tests.kit.books import check_books
from tests.kit.builders import (
    ACCOUNT_ID,
    CATALOG,
    NOW_MS,
    PLATFORM,
    Account,
    adjust,
    capture,
    debit,
    hold,
    idempotency,
    merchant,
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
from tests.unit.domain.test_catalog import CELLS

RICH = 10_000


def rich(**more: int) -> Account:
    """An account that can pay for everything below."""
    return opened(RICH, more.get("managed", 100_000))


@pytest.mark.parametrize(("order_type", "tracking", "cell", "parts"), CELLS)
def test_a_debit_takes_the_cell(order_type: str, tracking: str, cell: str, parts: dict[str, int]) -> None:
    """Each priced pair is debited as the table says, in one entry per unit, and the order is `ordered`."""
    account = rich()
    accepted = account.do(debit(order(order_type=order_type, tracking=tracking)))
    price = parse_amount(cell)
    managed = 2350 if order_type == "fba" else 0
    assert account.balance() == (RICH - price, 0)
    assert account.balance("managed") == (100_000 - managed, 0)
    entries = accepted.page.entries
    assert [(entry.kind, entry.unit, entry.posted, entry.part) for entry in entries] == [
        ("debited", unit, -amount, None) for unit, amount in (("auto_order", price), ("managed", managed)) if amount
    ]
    assert {(entry.order_type, entry.tracking, entry.rate_card) for entry in entries} == {
        (order_type, tracking, "2024-01")
    }
    work = account.work()
    names = {"tracking": f"tracking:{tracking}", "order": "order"}
    assert (work.status, work.credits, set(work.charged)) == ("ordered", price, {names[part] for part in parts})
    check_books(account)


@pytest.mark.parametrize(("order_type", "tracking", "cell", "parts"), CELLS)
def test_a_hold_sets_the_cell_aside_in_parts(order_type: str, tracking: str, cell: str, parts: dict[str, int]) -> None:
    """Each priced pair is held part by part, one entry per part and unit; managed balance belongs to part `order`."""
    account = rich()
    accepted = account.do(hold(order(order_type=order_type, tracking=tracking)))
    managed = 2350 if order_type == "fba" else 0
    assert account.balance() == (RICH, parse_amount(cell))
    assert account.balance("managed") == (100_000, managed)
    expected = [(part, "auto_order", amount) for part, amount in parts.items()]
    if managed:
        expected.insert(1, ("order", "managed", managed))
    assert [(entry.part, entry.unit, entry.held) for entry in accepted.page.entries] == expected
    work = account.work()
    assert {name: part.credits for name, part in work.parts.items()} == parts
    assert work.status == ("ordered" if order_type == "manual" else "processing")
    check_books(account)


@pytest.mark.parametrize(("order_type", "tracking", "cell", "parts"), [cell for cell in CELLS if cell[0] != "manual"])
@pytest.mark.parametrize("door", [debit, hold])
def test_a_later_conversion_costs_the_difference(
    door: Callable[[WorkRequest], Debit | Hold], order_type: str, tracking: str, cell: str, parts: dict[str, int]
) -> None:
    """Order first and conversion later cost the cell together, through either door; managed balance is paid once."""
    account = rich()
    account.do(debit(order(order_type=order_type)))
    if tracking == "none":
        assert account.refusal(door(order(order_type=order_type))).code == "already_charged"
        return
    account.do(door(order(order_type=order_type, tracking=tracking)))
    if door is hold:
        assert account.balance()[1] == parts["tracking"]
        account.do(capture())
    assert account.balance() == (RICH - parse_amount(cell), 0)
    assert account.balance("managed")[0] == 100_000 - (2350 if order_type == "fba" else 0)
    assert account.work().credits == parse_amount(cell)


def test_another_method_later_is_another_charge() -> None:
    """Each method is charged once, by its own difference, whatever was converted before."""
    account = rich()
    for tracking in ("bce", "qtrack", "tracking_generator"):
        account.do(debit(order(tracking=tracking)))
    assert account.balance() == (RICH - 133 - 150 - 100, 0)
    for tracking in ("none", "bce", "qtrack", "tracking_generator"):
        assert account.refusal(debit(order(tracking=tracking))).code == "already_charged"


def test_sourcing_costs_one_credit_once_per_product() -> None:
    """1.00 per product, `accepted` at once by a debit, `processing` by a hold."""
    account = rich()
    account.do(debit(product("p1")))
    account.do(hold(product("p2")))
    assert account.balance() == (RICH - 100, 100)
    assert account.work("p1", "product").status == "accepted"
    assert account.work("p2", "product").status == "processing"
    for product_id in ("p1", "p2"):
        assert account.refusal(debit(product(product_id))).code == "already_charged"
    check_books(account)


def test_an_order_and_a_product_of_one_name_are_two() -> None:
    """An order id and a product id may be the same text."""
    account = rich()
    account.do(hold(order("x")))
    account.do(hold(product("x")))
    assert account.balance() == (RICH, 200)
    account.do(capture("x", kind="product"))
    assert account.work("x").status == "processing"


@pytest.mark.parametrize("door", [debit, hold])
def test_a_manual_order_without_conversion_has_no_rate(door: Callable[[WorkRequest], Debit | Hold]) -> None:
    """`unknown_rate`, and nothing moves."""
    account = rich()
    assert account.refusal(door(order(order_type="manual"))).code == "unknown_rate"
    assert account.balance() == (RICH, 0)


@pytest.mark.parametrize("door", [debit, hold])
def test_credits_may_be_spent_to_the_last_hundredth(door: Callable[[WorkRequest], Debit | Hold]) -> None:
    """With exactly the price available it is accepted; with one hundredth less it is 402."""
    poor = opened(132)
    problem = poor.refusal(door(order(tracking="bce")))
    assert (problem.code, problem.status) == ("insufficient_credits", 402)
    assert problem.detail == "Insufficient Auto-orders credits, please purchase more credits and resend the order."
    assert (problem.extra["required"], problem.extra["available"], problem.extra["shortfall"]) == (
        "1.33",
        "1.32",
        "0.01",
    )
    exact = opened(133)
    exact.do(door(order(tracking="bce")))
    assert exact.page().state.balance("auto_order").available() == 0


def test_what_is_held_cannot_be_spent() -> None:
    """Available is posted minus held."""
    account = opened(200)
    account.do(hold(order("o1")))
    account.do(debit(order("o2")))
    assert account.refusal(debit(order("o3"))).code == "insufficient_credits"
    account.do(release("o1"))
    account.do(debit(order("o3")))
    assert account.balance() == (0, 0)


@pytest.mark.parametrize("door", [debit, hold])
def test_an_fba_order_needs_both_balances(door: Callable[[WorkRequest], Debit | Hold]) -> None:
    """Lacking managed balance has its own name; lacking both is told of credits first; nothing moves by halves."""
    account = opened(100, 2349)
    problem = account.refusal(door(order(order_type="fba")))
    assert (problem.code, problem.status, problem.extra["unit"]) == ("insufficient_managed_balance", 402, "managed")
    assert "Auto-orders" not in problem.detail
    assert (account.balance(), account.balance("managed")) == ((100, 0), (2349, 0))
    assert opened(99, 2349).refusal(door(order(order_type="fba"))).code == "insufficient_credits"
    opened(100, 2350).do(door(order(order_type="fba")))


def test_a_hold_lasts_as_long_as_it_was_asked_to() -> None:
    """14 days unless told otherwise, counted from the page's time."""
    account = rich()
    account.do(hold(order("o1")))
    account.do(hold(order("o2"), lasts_ms=60_000))
    assert HOLD_MS == 14 * 24 * 60 * 60 * 1000
    assert account.work("o1").parts["order"].expires_at == account.clock.at_ms + HOLD_MS
    assert account.work("o2").parts["order"].expires_at == account.clock.at_ms + 60_000


def test_a_later_conversion_opens_the_tracking_part_with_its_own_time() -> None:
    """It opens in the present attempt's hold with its own 14 days, and changes neither attempt nor status."""
    account = rich()
    account.do(hold(order(tracking="bce")))
    account.do(capture())
    account.clock.at_ms += HOLD_MS
    account.do(hold(order(tracking="qtrack")))
    work = account.work()
    assert (work.status, work.attempt) == ("shipped", 1)
    assert work.parts["tracking"].expires_at == account.clock.at_ms + HOLD_MS
    assert (work.parts["tracking"].status, work.parts["order"].status) == ("open", "captured")
    check_books(account)


def test_an_open_method_keeps_others_out() -> None:
    """While one tracking part is open, another method is `order_conflict` and the same one `already_charged`."""
    account = rich()
    account.do(hold(order(tracking="bce")))
    for door in (debit, hold):
        assert account.refusal(door(order(tracking="qtrack"))).code == "order_conflict"
        assert account.refusal(door(order(tracking="bce"))).code == "already_charged"
        assert account.refusal(door(order(tracking="none"))).code == "already_charged"


def test_already_charged_names_the_entry() -> None:
    """409 with the id of the entry that charged the work, or that holds it."""
    account = rich()
    accepted = account.do(debit(order(tracking="bce")))
    problem = account.refusal(debit(order(tracking="bce")))
    assert (problem.status, problem.extra) == (409, {"entry_id": accepted.page.entry_id(0)})
    held = account.do(hold(order("o2")))
    assert account.refusal(debit(order("o2"))).extra == {"entry_id": held.page.entry_id(0)}


@pytest.mark.parametrize(
    "other",
    [
        order(order_type="fba", cost=2351),
        order(order_type="auto"),
        order(order_type="manual", tracking="bce"),
        order(order_type="fba", store_id="s2"),
        order(order_type="fba", tracking="bce", cost=2351),
    ],
)
@pytest.mark.parametrize("door", [debit, hold])
def test_an_order_id_stands_for_one_piece_of_work(
    door: Callable[[WorkRequest], Debit | Hold], other: WorkRequest
) -> None:
    """Another store, order type or cost under a known order is `order_conflict`."""
    account = rich()
    account.do(debit(order(order_type="fba")))
    assert account.refusal(door(other)).code == "order_conflict"
    assert account.refusal(door(order(order_type="fba"))).code == "already_charged"


@pytest.mark.parametrize("door", [debit, hold])
def test_a_queued_order_is_charged_from_the_queue_alone(door: Callable[[WorkRequest], Debit | Hold]) -> None:
    """A debit or hold on a `queued` order is `order_conflict`."""
    account = rich()
    account.do(queue_order(order()))
    assert account.refusal(door(order())).code == "order_conflict"
    account.do(requested(attempt=1))
    assert account.refusal(door(order())).code == "already_charged"


@pytest.mark.parametrize("door", [debit, hold])
def test_failed_work_may_differ_in_its_new_attempt(door: Callable[[WorkRequest], Debit | Hold]) -> None:
    """A released order starts again as attempt 2, of another type even, but of its own store."""
    account = rich()
    account.do(hold(order(tracking="bce")))
    account.do(release())
    assert account.refusal(door(order(store_id="s2"))).code == "order_conflict"
    account.do(door(order(order_type="fba", tracking="qtrack")))
    work = account.work()
    assert (work.attempt, work.order_type, work.tracking, work.cost) == (2, "fba", "qtrack", 2350)
    check_books(account)


def test_what_a_failed_attempt_has_paid_is_not_charged_again() -> None:
    """A number that was converted before placing failed stays paid; the new attempt holds the order alone."""
    account = rich()
    account.do(hold(order(tracking="qtrack")))
    account.do(capture(parts=["tracking"]))
    account.do(release())
    account.do(hold(order(tracking="qtrack")))
    assert account.balance() == (RICH - 150, 100)
    account.do(capture(attempt=2))
    assert account.work().credits == 250
    assert account.work().status == "shipped"


@pytest.mark.parametrize("door", [debit, hold])
def test_a_key_answers_for_ever(door: Callable[..., Debit | Hold]) -> None:
    """The same key gives the first answer, from its own page, whatever has happened since."""
    account = rich()
    key = idempotency()
    first = account.do(door(order(), key))
    account.do(debit(order("o2")))
    account.set_standing(status="closed")
    again = account.do(door(order(), key))
    assert again.replayed()
    assert (again.page, again.done.first, again.done.count) == (first.page, first.done.first, first.done.count)
    assert account.refusal(door(order(), IdempotencyKey(key.key, "other"))).code == "idempotency_key_reused"
    assert account.refusal(debit(order("o9"), IdempotencyKey(key.key, "other"))).status == 422


def test_a_refused_key_may_come_again() -> None:
    """After a top-up the same key works."""
    account = opened(99)
    key = idempotency()
    assert account.refusal(debit(order(), key)).status == 402
    account.do(adjust("auto_order", 1))
    assert not account.do(debit(order(), key)).replayed()
    assert account.do(debit(order(), key)).replayed()
    assert account.balance() == (0, 0)


def test_a_store_bound_token_works_for_its_store() -> None:
    """Its own store's work is done, another's is `store_forbidden`, also where the work is known."""
    account = rich()
    clerk = merchant(store_id="s1")
    account.do(debit(order("o1"), caller=clerk))
    account.do(debit(order("o2", store_id="s2")))
    for door in (debit, hold):
        assert account.refusal(door(order("o2", store_id="s2"), caller=clerk)).code == "store_forbidden"


# Section 4: the order of the checks. Each fault makes its refusal apply, whatever else does.


@dataclass(slots=True)
class Scenario:
    """A debit or hold of an fba order that would be accepted, before faults are put in."""

    state: State = field(default_factory=state_of)
    exists: bool = True
    caller: Caller = PLATFORM
    records: dict[RecordKey, Record] = field(default_factory=dict)
    catalog: Catalog = CATALOG
    request: WorkRequest = field(default_factory=lambda: order(order_type="fba", tracking="bce"))
    key: IdempotencyKey = field(default_factory=lambda: IdempotencyKey("k1", "as sent"))

    def balance(self, unit: str, posted: int) -> None:
        """Leave so much of the unit."""
        self.state = replace(self.state, balances={**self.state.balances, unit: Balance(posted)})

    def known_work(self, **values: object) -> None:
        """Let the order be known already."""
        known = {
            "kind": "order",
            "work_id": "o1",
            "store_id": "s1",
            "order_type": "fba",
            "tracking": "bce",
            "cost": 2350,
            "status": "ordered",
            "charged": {"order": "2.0", "tracking:bce": "2.0"},
            "created_at": NOW_MS,
            "updated_at": NOW_MS,
            "status_at": NOW_MS,
            "rev": 1,
        }
        self.records["order", "o1"] = Work(**(known | values))  # type: ignore[arg-type]

    def told(self, door: type[Debit | Hold]) -> str:
        """What the request is told."""
        head = page_of(self.state) if self.exists else None
        command = door(self.caller, self.key, self.request)
        (outcome,) = decide(ACCOUNT_ID, head, self.records, [command], catalog=self.catalog, now_ms=NOW_MS).outcomes
        if isinstance(outcome, Problem):
            return f"{outcome.code} {outcome.extra.get('unit', '')}".strip()
        return "accepted"


def _no_account(scenario: Scenario) -> None:
    scenario.exists = False


def _another_store(scenario: Scenario) -> None:
    scenario.caller = merchant(store_id="s2")


def _key_reused(scenario: Scenario) -> None:
    scenario.records["key", "k1"] = KeyRecord(key="k1", fingerprint="another", version=2, count=1)


def _charged(scenario: Scenario) -> None:
    scenario.known_work()


def _conflict(scenario: Scenario) -> None:
    scenario.known_work(cost=999)


def _inactive(scenario: Scenario) -> None:
    scenario.state = replace(scenario.state, status="paused")


def _no_add_on(scenario: Scenario) -> None:
    scenario.state = replace(scenario.state, orders_processor="inactive")


def _frozen(scenario: Scenario) -> None:
    scenario.balance("auto_order", -1)


def _managed_frozen(scenario: Scenario) -> None:
    scenario.balance("managed", -1)


def _no_card(scenario: Scenario) -> None:
    scenario.catalog = Catalog((), ())


def _no_credits(scenario: Scenario) -> None:
    scenario.balance("auto_order", 132)


def _no_managed(scenario: Scenario) -> None:
    scenario.balance("managed", 2349)


# In the contract's order. Of one unit the graver fault is put in last, so that both apply.
FAULTS: list[tuple[Callable[[Scenario], None], str]] = [
    (_no_account, "account_not_found"),
    (_another_store, "store_forbidden"),
    (_key_reused, "idempotency_key_reused"),
    (_charged, "already_charged"),
    (_conflict, "order_conflict"),
    (_inactive, "account_inactive"),
    (_no_add_on, "orders_processor_inactive"),
    (_frozen, "balance_frozen"),
    (_managed_frozen, "balance_frozen"),
    (_no_card, "unknown_rate"),
    (_no_credits, "insufficient_credits auto_order"),
    (_no_managed, "insufficient_managed_balance managed"),
]


@pytest.mark.parametrize("door", [Debit, Hold])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault[0].__name__)
def test_each_fault_is_told_by_its_name(
    fault: tuple[Callable[[Scenario], None], str], door: type[Debit | Hold]
) -> None:
    """Alone, each reason to refuse is told; without any the work is accepted."""
    scenario = Scenario()
    assert scenario.told(door) == "accepted"
    fault[0](scenario)
    assert scenario.told(door) == fault[1]


@pytest.mark.parametrize("door", [Debit, Hold])
@pytest.mark.parametrize(
    ("earlier", "later"),
    [pair for pair in itertools.combinations(FAULTS, 2) if {_charged, _conflict} != {pair[0][0], pair[1][0]}],
    ids=lambda fault: fault[0].__name__,
)
def test_of_two_reasons_to_refuse_the_earlier_is_told(
    earlier: tuple[Callable[[Scenario], None], str],
    later: tuple[Callable[[Scenario], None], str],
    door: type[Debit | Hold],
) -> None:
    """The checks come in the contract's order (section 4), whatever else is wrong."""
    scenario = Scenario()
    later[0](scenario)
    earlier[0](scenario)
    assert scenario.told(door) == earlier[1]


@pytest.mark.parametrize("door", [Debit, Hold])
@pytest.mark.parametrize("fault", FAULTS[3:], ids=lambda fault: fault[0].__name__)
def test_a_replay_comes_before_every_judgement_of_the_work(
    fault: tuple[Callable[[Scenario], None], str], door: type[Debit | Hold]
) -> None:
    """A known key with its own request is answered again, whatever else would refuse it by now."""
    scenario = Scenario()
    scenario.records["key", "k1"] = KeyRecord(key="k1", fingerprint="as sent", version=2, count=1)
    fault[0](scenario)
    assert scenario.told(door) == "accepted"


@pytest.mark.parametrize(
    ("balances", "request_", "told"),
    [
        ({"managed": -1}, order(), "accepted"),
        ({"managed": -1}, product(), "accepted"),
        ({"managed": -1}, order(order_type="manual", tracking="bce"), "accepted"),
        ({"managed": -1}, order(order_type="fba"), "balance_frozen"),
        ({"auto_order": -1}, order(), "balance_frozen"),
        ({"auto_order": -1}, product(), "balance_frozen"),
        ({"auto_order": 0}, order(), "insufficient_credits auto_order"),
        ({"finder": -1}, order(order_type="fba"), "accepted"),
    ],
)
@pytest.mark.parametrize("door", [Debit, Hold])
def test_a_balance_is_frozen_for_work_that_needs_it(
    door: type[Debit | Hold], balances: dict[str, int], request_: WorkRequest, told: str
) -> None:
    """Below zero refuses new work in a unit that the work needs, and in no other; zero is not below zero."""
    scenario = Scenario(request=request_)
    for unit, posted in balances.items():
        scenario.balance(unit, posted)
    assert scenario.told(door) == told


def test_a_conversion_of_an_fba_order_does_not_need_managed_balance() -> None:
    """Managed balance belongs to part `order`: once that is paid, a conversion needs credits alone."""
    scenario = Scenario()
    scenario.known_work(charged={"order": "2.0"}, tracking="none")
    scenario.balance("managed", -500)
    assert scenario.told(Debit) == "accepted"


@pytest.mark.parametrize(
    ("prepare", "request_", "credits_", "managed"),
    [
        ([], order(), 100, 0),
        ([], order(order_type="fba", tracking="qtrack"), 250, 2350),
        ([], order(order_type="manual"), 0, 0),
        ([], order(order_type="manual", tracking="qtrack"), 50, 0),
        ([], product(), 100, 0),
        ([debit(order())], order(), 0, 0),
        ([debit(order())], order(tracking="qtrack"), 150, 0),
        ([hold(order(tracking="bce"))], order(tracking="bce"), 0, 0),
        ([hold(order(tracking="bce")), release()], order(tracking="bce"), 133, 0),
        ([requested(order_type="fba"), placed()], order(order_type="fba", tracking="bce"), 33, 0),
    ],
)
def test_a_quote_prices_as_a_debit_would(
    prepare: list[Debit], request_: WorkRequest, credits_: int, managed: int
) -> None:
    """Difference for a later conversion, nothing for work already charged or without a rate; nothing moves."""
    account = rich()
    for command in prepare:
        account.do(command)
    before = account.page()
    record = account.store.read(ACCOUNT_ID, [request_.key()]).get(request_.key())
    assert record is None or isinstance(record, Work)
    priced = quote(before.state, CATALOG.rate_cards[0], record, request_)
    assert (priced.price.credits(), priced.price.managed) == (credits_, managed)
    assert account.page() == before


def test_a_quote_tells_what_is_lacking() -> None:
    """Shortfall per unit, and none in a unit that the work does not need, even below zero."""
    priced = quote(state_of(50, 2000), CATALOG.rate_cards[0], None, order(order_type="fba"))
    assert (priced.shortfall("auto_order"), priced.shortfall("managed")) == (50, 350)
    priced = quote(state_of(100, -500), CATALOG.rate_cards[0], None, order())
    assert (priced.shortfall("auto_order"), priced.shortfall("managed")) == (0, 0)


def test_a_quote_for_other_work_under_a_known_order_is_refused() -> None:
    """`order_conflict`, as a debit would say."""
    account = rich()
    account.do(debit(order()))
    with pytest.raises(Problem) as refused:
        quote(account.page().state, CATALOG.rate_cards[0], account.work(), order(store_id="s2"))
    assert refused.value.code == "order_conflict"


def test_a_price_is_of_the_card_in_force_and_a_hold_keeps_its_card() -> None:
    """Every entry names the card; what was held is captured at the price and by the card it was held with."""
    account = rich()
    account.do(hold(order()))
    card = replace(CATALOG.rate_cards[0], name="dearer", effective_from=account.clock.at_ms + 1)
    card = replace(card, cells={pair: cell * 2 for pair, cell in card.cells.items()})
    dearer = Catalog((*CATALOG.rate_cards, card), CATALOG.packages)
    account.clock.at_ms += 1
    ledger = replace(account.ledger(), catalog=dearer)
    captured = ledger.execute(ACCOUNT_ID, capture())
    assert [(entry.posted, entry.rate_card) for entry in captured.page.entries] == [(-100, "2024-01")]
    debited = ledger.execute(ACCOUNT_ID, debit(order("o2")))
    assert [(entry.posted, entry.rate_card) for entry in debited.page.entries] == [(-200, "dearer")]


def test_a_draft_of_no_account_is_version_one() -> None:
    """A draft before the first page is that page."""
    draft = Draft(ACCOUNT_ID, None, {}, CATALOG, NOW_MS)
    assert (draft.version(), draft.at_ms(), draft.state) == (1, NOW_MS, State())

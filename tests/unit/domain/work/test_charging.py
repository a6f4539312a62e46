"""What work costs, and whether the account may and can pay for it."""

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
from autocredits.domain.work.charging import Cause, Price, check_standing, enter_capture, needs_managed, price_of, quote
from autocredits.domain.work.record import Work, WorkRequest
from tests.kit.books import check_books
from tests.kit.builders import (
    ACCOUNT_ID,
    CATALOG,
    NOW_MS,
    PLATFORM,
    Account,
    capture,
    completed,
    debit,
    hold,
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
from tests.kit.prices import CELLS

CARD = CATALOG.rate_cards[0]
RICH = 10_000


def rich(**more: int) -> Account:
    """An account that can pay for everything below."""
    return opened(RICH, more.get("managed", 100_000))


# ---------------------------------------------------------------- prices


@pytest.mark.parametrize(("order_type", "tracking", "cell", "parts"), CELLS)
def test_a_request_costs_its_cell(order_type: str, tracking: str, cell: str, parts: dict[str, int]) -> None:
    """Part by part; an `fba` order also costs its product and shipping, in managed balance."""
    request = order(order_type=order_type, tracking=tracking)
    price = price_of(CARD, request, request.part_names())
    assert (price.parts, price.credits()) == (parts, parse_amount(cell))
    assert (price.managed, price.rate_card) == (2350 if order_type == "fba" else 0, "2024-01")


@pytest.mark.parametrize(("part", "managed"), [("order", 2350), ("tracking", 0)])
def test_managed_balance_pays_for_part_order_alone(part: str, managed: int) -> None:
    """Product and shipping belong to it, so a later conversion costs none."""
    request = order(order_type="fba", tracking="bce")
    assert price_of(CARD, request, (part,)).managed == managed
    assert needs_managed(request, (part,)) is (managed > 0)


def test_work_without_an_order_type_has_no_rate() -> None:
    """422 `unknown_rate`, never a price of 0."""
    with pytest.raises(Problem, match="unknown_rate"):
        price_of(CARD, WorkRequest(kind="order", work_id="o1", store_id="s1"), ("order",))


@pytest.mark.parametrize(("order_type", "tracking", "cell", "parts"), [cell for cell in CELLS if cell[0] != "manual"])
@pytest.mark.parametrize("door", [debit, hold])
def test_a_later_conversion_costs_the_difference(
    door: Callable[[WorkRequest], Debit | Hold], order_type: str, tracking: str, cell: str, parts: dict[str, int]
) -> None:
    """An order and its later conversion cost the cell together, by debit or hold; managed balance is paid once."""
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
    """Each method is charged once, with its own difference, whatever was converted before."""
    account = rich()
    for tracking in ("bce", "qtrack", "tracking_generator"):
        account.do(debit(order(tracking=tracking)))
    assert account.balance() == (RICH - 133 - 150 - 100, 0)
    for tracking in ("none", "bce", "qtrack", "tracking_generator"):
        assert account.refusal(debit(order(tracking=tracking))).code == "already_charged"


def test_sourcing_costs_one_credit_once_per_product() -> None:
    """A product is debited or held for 1.00, and then it is already charged."""
    account = rich()
    account.do(debit(product("p1")))
    account.do(hold(product("p2")))
    assert account.balance() == (RICH - 100, 100)
    for product_id in ("p1", "p2"):
        assert account.refusal(debit(product(product_id))).code == "already_charged"
    check_books(account)


@pytest.mark.parametrize("door", [debit, hold])
def test_a_manual_order_without_conversion_has_no_rate(door: Callable[[WorkRequest], Debit | Hold]) -> None:
    """422 `unknown_rate`, and nothing moves."""
    account = rich()
    assert account.refusal(door(order(order_type="manual"))).code == "unknown_rate"
    assert account.balance() == (RICH, 0)


def test_a_price_is_of_the_card_in_force_and_a_hold_keeps_its_card() -> None:
    """Every entry names its card; what was held is captured at the price of the card it was held with."""
    account = rich()
    account.do(hold(order()))
    card = replace(CARD, name="dearer", effective_from=account.clock.at_ms + 1)
    card = replace(card, cells={pair: cell * 2 for pair, cell in card.cells.items()})
    dearer = Catalog((*CATALOG.rate_cards, card), CATALOG.packages)
    account.clock.at_ms += 1
    ledger = replace(account.ledger(), catalog=dearer)
    captured = ledger.execute(ACCOUNT_ID, capture())
    assert [(entry.posted, entry.rate_card) for entry in captured.page.entries] == [(-100, "2024-01")]
    debited = ledger.execute(ACCOUNT_ID, debit(order("o2")))
    assert [(entry.posted, entry.rate_card) for entry in debited.page.entries] == [(-200, "dearer")]


def test_what_a_failed_attempt_has_paid_is_not_charged_again() -> None:
    """A conversion that was captured before the order failed stays paid; the new attempt holds the order alone.

    It is `shipped` once its conversion is told again.
    """
    account = rich()
    account.do(hold(order(tracking="qtrack")))
    account.do(capture(parts=["tracking"]))
    account.do(release())
    account.do(hold(order(tracking="qtrack")))
    assert account.balance() == (RICH - 150, 100)
    account.do(capture(attempt=2))
    assert (account.work().credits, account.work().status) == (250, "ordered")
    account.do(completed())
    assert (account.work().credits, account.work().status) == (250, "shipped")
    assert account.balance() == (RICH - 250, 0)


# ---------------------------------------------------------------- insufficient_credits, insufficient_managed_balance


@pytest.mark.parametrize("door", [debit, hold])
def test_credits_may_be_spent_to_the_last_hundredth(door: Callable[[WorkRequest], Debit | Hold]) -> None:
    """402 `insufficient_credits` with one hundredth less than the price; with just the price it is accepted."""
    poor = opened(132)
    problem = poor.refusal(door(order(tracking="bce")))
    assert (problem.code, problem.status) == ("insufficient_credits", 402)
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
    """402 `insufficient_managed_balance` if only that is lacking; of both, the credits come first. Nothing moves."""
    account = opened(100, 2349)
    problem = account.refusal(door(order(order_type="fba")))
    assert (problem.code, problem.status, problem.extra["unit"]) == ("insufficient_managed_balance", 402, "managed")
    assert (account.balance(), account.balance("managed")) == ((100, 0), (2349, 0))
    assert opened(99, 2349).refusal(door(order(order_type="fba"))).code == "insufficient_credits"
    opened(100, 2350).do(door(order(order_type="fba")))


# ---------------------------------------------------------------- already_charged, order_conflict


def test_an_open_method_keeps_others_out() -> None:
    """While one tracking part is open, another method is `order_conflict` and the same one `already_charged`."""
    account = rich()
    account.do(hold(order(tracking="bce")))
    for door in (debit, hold):
        assert account.refusal(door(order(tracking="qtrack"))).code == "order_conflict"
        assert account.refusal(door(order(tracking="bce"))).code == "already_charged"
        assert account.refusal(door(order(tracking="none"))).code == "already_charged"


def test_already_charged_names_the_entry() -> None:
    """409 `already_charged` has the id of the entry that charged the work, or holds it."""
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
    """409 `order_conflict` for another store, order type or cost under a known order."""
    account = rich()
    account.do(debit(order(order_type="fba")))
    assert account.refusal(door(other)).code == "order_conflict"
    assert account.refusal(door(order(order_type="fba"))).code == "already_charged"


@pytest.mark.parametrize("door", [debit, hold])
def test_a_queued_order_is_charged_from_the_queue_alone(door: Callable[[WorkRequest], Debit | Hold]) -> None:
    """409 `order_conflict` for a debit or hold of a `queued` order, whatever its tracking."""
    account = rich()
    account.do(queue_order(order()))
    for tracking in ("none", "bce"):
        assert account.refusal(door(order(tracking=tracking))).code == "order_conflict"
    assert account.balance() == (RICH, 0)
    account.do(requested(attempt=1))
    assert account.refusal(door(order())).code == "already_charged"


@pytest.mark.parametrize("door", [debit, hold])
def test_failed_work_may_differ_in_its_new_attempt(door: Callable[[WorkRequest], Debit | Hold]) -> None:
    """A released order starts again as attempt 2, perhaps of another type, but always of its own store."""
    account = rich()
    account.do(hold(order(tracking="bce")))
    account.do(release())
    assert account.refusal(door(order(store_id="s2"))).code == "order_conflict"
    account.do(door(order(order_type="fba", tracking="qtrack")))
    work = account.work()
    assert (work.attempt, work.order_type, work.tracking, work.cost) == (2, "fba", "qtrack", 2350)
    check_books(account)


def test_an_order_and_a_product_of_one_name_are_two() -> None:
    """They may have the same id, and each is charged and settled by itself."""
    account = rich()
    account.do(hold(order("x")))
    account.do(hold(product("x")))
    assert account.balance() == (RICH, 200)
    account.do(capture("x", kind="product"))
    assert account.work("x").status == "processing"


# ---------------------------------------------------------------- the order of the checks (docs/contract.md, section 4)


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
    changes: int = 1

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
            "rev": self.changes,
        }
        self.records["order", "o1"] = Work(**(known | values))  # type: ignore[arg-type]

    def outcome(self, door: type[Debit | Hold]) -> str:
        """What comes of the request."""
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


def _too_many_changes(scenario: Scenario) -> None:
    scenario.changes = 900
    scenario.known_work(status="failed", charged={})


def _no_card(scenario: Scenario) -> None:
    scenario.catalog = Catalog((), ())


def _no_credits(scenario: Scenario) -> None:
    scenario.balance("auto_order", 132)


def _no_managed(scenario: Scenario) -> None:
    scenario.balance("managed", 2349)


# In the contract's order. Of two faults in one unit the graver one is put in last, so that both apply.
FAULTS: list[tuple[Callable[[Scenario], None], str]] = [
    (_no_account, "account_not_found"),
    (_another_store, "store_forbidden"),
    (_key_reused, "idempotency_key_reused"),
    (_charged, "already_charged"),
    (_conflict, "order_conflict"),
    (_inactive, "account_inactive"),
    (_no_add_on, "orders_processor_inactive"),
    (_frozen, "balance_frozen auto_order"),
    (_managed_frozen, "balance_frozen managed"),
    (_too_many_changes, "too_many_attempts"),
    (_no_card, "unknown_rate"),
    (_no_credits, "insufficient_credits auto_order"),
    (_no_managed, "insufficient_managed_balance managed"),
]


@pytest.mark.parametrize("door", [Debit, Hold])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault[0].__name__.strip("_"))
def test_each_fault_is_refused_by_its_code(
    fault: tuple[Callable[[Scenario], None], str], door: type[Debit | Hold]
) -> None:
    """Each reason to refuse has a code of its own; without any the work is accepted."""
    scenario = Scenario()
    assert scenario.outcome(door) == "accepted"
    fault[0](scenario)
    assert scenario.outcome(door) == fault[1]


@pytest.mark.parametrize("door", [Debit, Hold])
@pytest.mark.parametrize(
    ("earlier", "later"),
    [pair for pair in itertools.combinations(FAULTS, 2) if {_charged, _conflict} != {pair[0][0], pair[1][0]}],
    ids=lambda fault: fault[0].__name__.strip("_"),
)
def test_of_two_reasons_to_refuse_the_earlier_counts(
    earlier: tuple[Callable[[Scenario], None], str],
    later: tuple[Callable[[Scenario], None], str],
    door: type[Debit | Hold],
) -> None:
    """The checks come in the contract's order, whatever else is wrong."""
    scenario = Scenario()
    later[0](scenario)
    earlier[0](scenario)
    assert scenario.outcome(door) == earlier[1]


@pytest.mark.parametrize("door", [Debit, Hold])
@pytest.mark.parametrize("fault", FAULTS[3:], ids=lambda fault: fault[0].__name__.strip("_"))
def test_a_replay_comes_before_every_judgement_of_the_work(
    fault: tuple[Callable[[Scenario], None], str], door: type[Debit | Hold]
) -> None:
    """A known key with its own request is answered again, whatever would refuse the request by now."""
    scenario = Scenario()
    scenario.records["key", "k1"] = KeyRecord(key="k1", fingerprint="as sent", version=2, count=1)
    fault[0](scenario)
    assert scenario.outcome(door) == "accepted"


# ---------------------------------------------------------------- account_inactive, orders_processor_inactive, balance_frozen


@pytest.mark.parametrize("status", ["paused", "suspended", "closed"])
def test_an_account_that_is_not_active_starts_no_work(status: str) -> None:
    """403 `account_inactive` names the status."""
    with pytest.raises(Problem) as refused:
        check_standing(state_of(status=status), order(), ("order",))
    problem = refused.value
    assert (problem.code, problem.status, problem.extra) == ("account_inactive", 403, {"account_status": status})


def test_no_work_starts_without_the_add_on() -> None:
    """403 `orders_processor_inactive`."""
    with pytest.raises(Problem) as refused:
        check_standing(state_of(add_on="inactive"), order(), ("order",))
    assert (refused.value.code, refused.value.status) == ("orders_processor_inactive", 403)


@pytest.mark.parametrize(
    ("state", "unit"),
    [(state_of(-1), "auto_order"), (state_of(managed=-1), "managed"), (state_of(-1, -1), "auto_order")],
)
def test_a_frozen_balance_is_named(state: State, unit: str) -> None:
    """403 `balance_frozen` says which one is below zero; of two, the credits."""
    with pytest.raises(Problem) as refused:
        check_standing(state, order(order_type="fba"), ("order",))
    assert (refused.value.code, refused.value.status) == ("balance_frozen", 403)
    assert f"The {unit} balance is below zero." in refused.value.detail
    assert refused.value.extra == {"unit": unit}


@pytest.mark.parametrize(
    ("balances", "request_", "outcome"),
    [
        ({"managed": -1}, order(), "accepted"),
        ({"managed": -1}, product(), "accepted"),
        ({"managed": -1}, order(order_type="manual", tracking="bce"), "accepted"),
        ({"managed": -1}, order(order_type="fba"), "balance_frozen managed"),
        ({"auto_order": -1}, order(), "balance_frozen auto_order"),
        ({"auto_order": -1}, product(), "balance_frozen auto_order"),
        ({"auto_order": 0}, order(), "insufficient_credits auto_order"),
        ({"finder": -1}, order(order_type="fba"), "accepted"),
    ],
)
@pytest.mark.parametrize("door", [Debit, Hold])
def test_a_balance_is_frozen_for_work_that_needs_it(
    door: type[Debit | Hold], balances: dict[str, int], request_: WorkRequest, outcome: str
) -> None:
    """A balance below zero refuses work that needs its unit, and no other; zero is not below zero."""
    scenario = Scenario(request=request_)
    for unit, posted in balances.items():
        scenario.balance(unit, posted)
    assert scenario.outcome(door) == outcome


def test_a_conversion_of_an_fba_order_does_not_need_managed_balance() -> None:
    """Managed balance belongs to part `order`: once that is paid, a conversion needs credits alone."""
    scenario = Scenario()
    scenario.known_work(charged={"order": "2.0"}, tracking="none")
    scenario.balance("managed", -500)
    assert scenario.outcome(Debit) == "accepted"


# ---------------------------------------------------------------- quotes


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
    """The difference for a later conversion, nothing for work that is charged or has no rate; and nothing moves."""
    account = rich()
    for command in prepare:
        account.do(command)
    before = account.page()
    record = account.store.read(ACCOUNT_ID, [request_.key()]).get(request_.key())
    assert record is None or isinstance(record, Work)
    priced = quote(before.state, CARD, record, request_)
    assert (priced.price.credits(), priced.price.managed) == (credits_, managed)
    assert account.page() == before


def test_a_quote_says_what_is_lacking() -> None:
    """Per unit; a unit that the work does not need lacks nothing, even below zero."""
    priced = quote(state_of(50, 2000), CARD, None, order(order_type="fba"))
    assert (priced.shortfall("auto_order"), priced.shortfall("managed")) == (50, 350)
    priced = quote(state_of(100, -500), CARD, None, order())
    assert (priced.shortfall("auto_order"), priced.shortfall("managed")) == (0, 0)


def test_a_quote_for_other_work_under_a_known_order_is_refused() -> None:
    """409 `order_conflict`, as for a debit."""
    account = rich()
    account.do(debit(order()))
    with pytest.raises(Problem) as refused:
        quote(account.page().state, CARD, account.work(), order(store_id="s2"))
    assert refused.value.code == "order_conflict"


def test_a_quote_of_nothing_names_the_rate_card() -> None:
    """Work that is already charged, and manual work, still name the rate card in force."""
    account = opened(1000)
    account.do(debit(order()))
    for work, request in ((account.work(), order()), (None, order(order_type="manual"))):
        assert quote(state_of(), CARD, work, request).price == Price({}, 0, "2024-01")


# ---------------------------------------------------------------- entries


@pytest.mark.parametrize(("taken", "posted"), [(None, -2350), (2110, -2110), (0, 0), (3000, -3000)])
def test_a_capture_frees_all_that_was_held(taken: int | None, posted: int) -> None:
    """Less than was held frees the rest, and more is spent too; credits are always taken as held."""
    account = rich()
    account.do(hold(order(order_type="fba")))
    draft = Draft(ACCOUNT_ID, account.page(), {("order", "o1"): account.work()}, CATALOG, NOW_MS)
    spent = 2350 if taken is None else taken
    enter_capture(draft, account.work(), "order", Cause(actor="me"), spent)
    assert [(entry.unit, entry.posted, entry.held) for entry in draft.entries] == [
        ("auto_order", -100, -100),
        ("managed", posted, -2350),
    ]


def test_an_entry_that_ends_a_part_says_how_it_was_opened() -> None:
    """It names the method that the part was opened for, even if another conversion was asked for since."""
    account = rich()
    account.do(hold(order()))
    account.do(hold(order(tracking="qtrack")))
    page = account.do(capture(parts=["order", "tracking"])).page
    assert [(entry.part, entry.tracking) for entry in page.entries] == [("order", "none"), ("tracking", "qtrack")]

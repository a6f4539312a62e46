"""The tables that decide: what the signs of an entry may be, what a payment event does, what a record is read as."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, get_args

import pytest

from autocredits.domain import journal, kinds
from autocredits.domain.decide import Draft
from autocredits.domain.purchases import fulfil
from autocredits.domain.purchases.facts import Checkout, Dispute, PaymentFacts
from autocredits.domain.purchases.fulfil import Fulfil, PaymentEvent, PaymentEventType
from autocredits.domain.purchases.record import Purchase
from tests.kit.builders import CATALOG, NOW_MS, page_of, state_of
from tests.kit.filled import RECORDS

Rule = Callable[[int, int, int], bool]

# Signs of posted, held, and available afterwards. `*` is any sign.
ALLOWED = {
    "granted": ["+0*"],
    "purchased": ["+0*"],
    "loaded": ["+0*"],
    "held": ["0++", "0+0"],
    "captured": ["--*", "0-*"],
    "released": ["0-*"],
    "expired": ["0-*"],
    "debited": ["-0+", "-00"],
    "adjusted": ["+0*", "-0+", "-00"],
    "clawed_back": ["-0*"],
    "refused": ["00*"],
    "declined": ["00*"],
}
SIGNS = {"-": -1, "0": 0, "+": 1}
CELLS = [(kind, *signs) for kind in ALLOWED for signs in itertools.product("-0+", repeat=3)]


def may_stand(kind: str, *signs: str) -> bool:
    """What the table above says."""
    return any(all(want in (sign, "*") for want, sign in zip(row, signs, strict=True)) for row in ALLOWED[kind])


def differences(rules: Mapping[str, Rule]) -> list[str]:
    """The cells in which the rules are not the table above."""
    return [
        f"{kind} {signs}"
        for kind, *signs in CELLS
        if rules[kind](*(SIGNS[sign] for sign in signs)) != may_stand(kind, *signs)
    ]


def test_the_signs_of_an_entry_are_those_of_its_kind() -> None:
    """Twelve kinds, and each cell of what they may do to posted, held and available."""
    rules: Mapping[str, Rule] = vars(journal)["_SIGNS"]
    assert rules.keys() == ALLOWED.keys()
    assert differences(rules) == []


@pytest.mark.parametrize("cell", CELLS, ids=" ".join)
def test_a_changed_sign_is_noticed(cell: tuple[str, ...]) -> None:
    """A rule that decides otherwise in one cell is found out, in just that cell."""
    rules: Mapping[str, Rule] = vars(journal)["_SIGNS"]
    kind, *signs = cell
    at = tuple(SIGNS[sign] for sign in signs)
    wrong: Rule = lambda *now: rules[kind](*now) != (now == at)  # noqa: E731 - a rule is a lambda in the product too
    assert differences({**rules, kind: wrong}) == [f"{kind} {signs}"]


# What comes of a purchase of 20.00 credits for 9.90: event → purchase before; status after, posted, held.
PENDING = Purchase(
    purchase_id="b1",
    package="auto_order-20",
    unit="auto_order",
    credits=2000,
    price=990,
    payment_method="card",
    checkouts=(Checkout(number=1, payment_method="card", provider="stripe", started_at=NOW_MS, reference="ref"),),
    created_at=NOW_MS,
    updated_at=NOW_MS,
)


def paid(**facts: Any) -> Purchase:
    """The purchase after it was paid, with these facts of its payment, and what was entered for them."""
    purchase = replace(PENDING, payments={"pay1": PaymentFacts(amount=990, **facts)}, paid_by="pay1", granted=True)
    return replace(purchase, clawed_back=purchase.owed_back(), frozen=purchase.to_freeze())


DISPUTED = paid(disputes={"d1": Dispute(amount=990)})
OUTCOMES = {
    "approved": (PENDING, ("pending", 0, 0)),
    "paid": (PENDING, ("credited", 2000, 0)),
    "declined": (PENDING, ("declined", 0, 0)),
    "expired": (PENDING, ("expired", 0, 0)),
    "refunded": (paid(), ("refunded", -2000, 0)),
    "refund_failed": (paid(refunds=990), ("credited", 2000, 0)),
    "unclear": (paid(), ("review", 0, 0)),
    "dispute_created": (paid(), ("disputed", 0, 2000)),
    "dispute_won": (DISPUTED, ("credited", 0, -2000)),
    "dispute_lost": (DISPUTED, ("charged_back", -2000, -2000)),
    "dispute_unclear": (paid(), ("review", 0, 2000)),
}
HANDLERS = ("_approved", "_paid", "_declined", "_expired", "_refunded", "_refund_failed", "_unclear", "_disputed")


def outcome(event_type: Any) -> tuple[str, int, int]:
    """What comes of the event, by the product's table as it is now."""
    before = OUTCOMES[event_type][0]
    head = page_of(state_of(10_000, held=before.frozen))
    draft = Draft("acme", head, {before.key(): before}, CATALOG, NOW_MS)
    event = PaymentEvent(
        provider="stripe",
        type=event_type,
        purchase_id="b1",
        payment_id="pay1",
        amount=990,
        detail="odd",
        dispute_id="d1",
        reason="because",
    )
    Fulfil(event).decide(draft)
    after = draft.get(before.key(), Purchase)
    assert after is not None
    balance = draft.state.balance("auto_order")
    return after.status(), balance.posted - 10_000, balance.held - before.frozen


@pytest.mark.parametrize("event_type", OUTCOMES)
def test_each_payment_event_does_its_own(event_type: str) -> None:
    """Every type of event, each with its own outcome."""
    assert vars(fulfil)["_FACTS"].keys() == OUTCOMES.keys() == set(get_args(PaymentEventType))
    assert outcome(event_type) == OUTCOMES[event_type][1]


@pytest.mark.parametrize("wrong", HANDLERS)
@pytest.mark.parametrize("event_type", OUTCOMES)
def test_an_event_that_is_handled_as_another_is_noticed(
    event_type: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cell of the table that names another handler is found out."""
    right = vars(fulfil)["_FACTS"]
    other = vars(fulfil)[wrong]
    monkeypatch.setattr(fulfil, "_FACTS", {**right, event_type: other})
    try:
        noticed = outcome(event_type) != OUTCOMES[event_type][1]
    except Exception:  # noqa: BLE001 - however it shows
        noticed = True
    assert noticed == (right[event_type] is not other)


@pytest.mark.parametrize("event_type", ["dispute_created", "dispute_won", "dispute_lost", "dispute_unclear"])
@pytest.mark.parametrize("wrong", [None, "won", "lost"])
def test_a_dispute_that_ends_otherwise_is_noticed(
    event_type: str, wrong: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cell of the table that names another end, or none, is found out."""
    right = vars(fulfil)["_ENDS"]
    monkeypatch.setattr(fulfil, "_ENDS", {**right, event_type: wrong})
    assert (outcome(event_type) != OUTCOMES[event_type][1]) == (right.get(event_type) != wrong)


def survives(kind: str) -> bool:
    """Whether a record of the kind, with every field set, is read as what it was."""
    record = RECORDS[kind]
    return bool(kinds.record_from_map((kind, "x"), record.to_map()) == record)


@pytest.mark.parametrize("kind", RECORDS)
def test_every_kind_of_record_survives_being_stored(kind: str) -> None:
    """Seven kinds of record, and no other."""
    assert vars(kinds)["_FROM_MAP"].keys() == RECORDS.keys()
    assert survives(kind)


@pytest.mark.parametrize("wrong", RECORDS)
@pytest.mark.parametrize("kind", RECORDS)
def test_a_record_that_is_read_as_another_is_noticed(kind: str, wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell of the table that names another reader is found out."""
    right = vars(kinds)["_FROM_MAP"]
    monkeypatch.setattr(kinds, "_FROM_MAP", {**right, kind: right[wrong]})
    try:
        noticed = not survives(kind)
    except (TypeError, KeyError, AttributeError):
        noticed = True
    assert noticed == (right[kind] is not right[wrong])

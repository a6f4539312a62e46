"""The facts of a purchase: what each one counts for, and that telling it again changes nothing."""

import itertools
import json

import pytest

from autocredits.domain.purchases.facts import (
    MAX_CHECKOUTS,
    MAX_FACTS,
    Dispute,
    End,
    PaymentFacts,
    checkout_from_map,
    decision_from_map,
    payment_facts_from_map,
)
from tests.kit.filled import CHECKOUT, DECISION, DISPUTE, PAYMENT, UNKNOWN


def test_the_limits_of_the_contract() -> None:
    """The 21st checkout is refused, and the 101st fact is put aside (docs/contract.md, section 5)."""
    assert (MAX_CHECKOUTS, MAX_FACTS) == (20, 100)


# ---------------------------------------------------------------- disputes

WORDS: list[tuple[int, End | None]] = [(1000, None), (1500, None), (900, "won"), (1200, "lost")]


@pytest.mark.parametrize("words", list(itertools.permutations(WORDS)), ids=str)
def test_no_order_of_words_changes_a_dispute(words: tuple[tuple[int, End | None], ...]) -> None:
    """The greatest amount is at stake, and `lost` beats `won`, also when each is told twice."""
    dispute = Dispute(amount=words[0][0])
    for amount, ended in (*words, *words):
        dispute = dispute.told(amount, ended)
    assert dispute == Dispute(amount=1500, ended="lost")


@pytest.mark.parametrize(
    ("before", "told", "after"),
    [
        (None, None, None),
        (None, "won", "won"),
        (None, "lost", "lost"),
        ("won", None, "won"),
        ("lost", None, "lost"),
        ("won", "lost", "lost"),
        ("lost", "won", "lost"),
    ],
)
def test_how_a_dispute_ends(before: End | None, told: End | None, after: End | None) -> None:
    """An end stays, unless it was won and turns out to be lost."""
    assert Dispute(amount=1, ended=before).told(1, told).ended == after


# ---------------------------------------------------------------- refunds


@pytest.mark.parametrize(
    ("refunds", "failed", "refunded"),
    [
        (0, {}, 0),
        (3990, {}, 3990),
        (3990, {"r1": 3990}, 0),
        (3990, {"r1": 1000, "r2": 500}, 2490),
        (0, {"r1": 1000}, 0),
        (500, {"r1": 1000}, 0),
    ],
)
def test_what_was_refunded(refunds: int, failed: dict[str, int], refunded: int) -> None:
    """The gross sum without the refunds that failed; a failure told before its refund owes nothing."""
    assert PaymentFacts(amount=3990, refunds=refunds, failed=failed).refunded() == refunded


@pytest.mark.parametrize(
    ("payment", "facts"),
    [
        (PaymentFacts(amount=1), 1),
        (PaymentFacts(amount=1, refunds=1), 2),
        (PaymentFacts(amount=1, failed={"r1": 1, "r2": 1}), 3),
        (PaymentFacts(amount=1, disputes={"d1": DISPUTE, "d2": DISPUTE, "d3": DISPUTE}), 4),
        (PaymentFacts(amount=1, refunds=1, failed={"r1": 1}, disputes={"d1": DISPUTE}), 4),
    ],
)
def test_how_many_facts_a_payment_has(payment: PaymentFacts, facts: int) -> None:
    """Itself, its sum of refunds, and each failed refund and dispute."""
    assert payment.facts() == facts


# ---------------------------------------------------------------- stored forms


def test_a_fact_survives_being_stored() -> None:
    """It is read back as it was, with what a newer release has added."""
    assert checkout_from_map(json.loads(json.dumps(CHECKOUT.to_map()))) == CHECKOUT
    assert payment_facts_from_map(json.loads(json.dumps(PAYMENT.to_map()))) == PAYMENT
    assert decision_from_map(json.loads(json.dumps(DECISION.to_map()))) == DECISION
    for stored in (CHECKOUT.to_map(), PAYMENT.to_map(), DISPUTE.to_map(), DECISION.to_map()):
        assert UNKNOWN.items() <= stored.items()


def test_a_payment_without_disputes_stores_none() -> None:
    """What is empty is left out, as in every stored form."""
    assert PaymentFacts(amount=1).to_map() == {"amount": 1}


def test_a_fact_of_nothing_survives_being_stored() -> None:
    """An amount of zero is not stored, and read as zero."""
    payment = PaymentFacts(amount=0, disputes={"d": Dispute(amount=0)})
    assert payment.to_map() == {"disputes": {"d": {}}}
    assert payment_facts_from_map(payment.to_map()) == payment

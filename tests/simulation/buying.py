"""What must hold of purchases after every run: an oracle that reads their stored facts, the journal and what was told.

The rules are those of docs/contract.md, section 5 ("A purchase keeps facts"), once more and by themselves.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autocredits.domain.journal import Entry, Page
from autocredits.domain.purchases.calls import TallyCoupon
from autocredits.ledger.commit import Ledger
from tests.kit.builders import CATALOG
from tests.kit.deliveries import LAST, PRICE, News, code
from tests.kit.memory import ManualClock
from tests.simulation.deliveries import Delivery, Try
from tests.simulation.violations import cents, expect
from tests.simulation.world import Place, World, place_of

UNPAID = ("pending", "declined")
OVER = ("canceled", "expired")
Entries = Sequence[tuple[Page, Entry]]
Stored = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Bought:
    """A purchase by its stored facts."""

    stored: Stored

    def payments(self) -> Mapping[str, Stored]:
        """Its payments by their ids."""
        payments: Mapping[str, Stored] = self.stored.get("payments", {})
        return payments

    def decisions(self, what: str) -> list[Stored]:
        """What a person, or the provider for good, has decided."""
        return [decision for decision in self.stored.get("decisions", ()) if decision["what"] == what]

    def granted(self) -> bool:
        """Whether its credits were granted."""
        return bool(self.stored.get("granted"))

    def paying(self) -> Stored:
        """The payment that paid; nothing where none has."""
        return self.payments().get(self.stored.get("paid_by", ""), {}) if self.granted() else {}

    def end(self, dispute_id: str, dispute: Stored) -> str | None:
        """How a dispute ended: by the provider's word, else by a person's."""
        by_hand = [
            end
            for end in ("lost", "won")
            for one in self.decisions(f"dispute_{end}")
            if one["dispute_id"] == dispute_id
        ]
        end: str | None = dispute.get("ended") or next(iter(by_hand), None)
        return end

    def ends(self, payment: Stored) -> list[tuple[str | None, int]]:
        """The ends and amounts of a payment's disputes."""
        return [(self.end(name, one), one.get("amount", 0)) for name, one in payment.get("disputes", {}).items()]

    def gone(self, payment: Stored, *, at_stake: bool = False) -> int:
        """What was refunded and lost of a payment; with what may yet be."""
        lost = sum(amount for end, amount in self.ends(payment) if end == "lost" or (at_stake and end is None))
        return min(int(payment["amount"]), refunded(payment) + lost)

    def share(self, *, at_stake: bool = False) -> int:
        """The credits that are for what is gone, rounded half up."""
        if not self.paying():
            return 0
        whole, amount = int(self.stored["credits"]), int(self.paying()["amount"])
        return (2 * whole * self.gone(self.paying(), at_stake=at_stake) + amount) // (2 * amount)

    def open_disputes(self) -> list[str]:
        """The disputes whose end is not known."""
        payments = self.payments().values()
        return [name for one in payments for name, told in one.get("disputes", {}).items() if not self.end(name, told)]

    def waiting(self) -> list[str]:
        """The payments that wait for a person."""
        waiting = [
            name for name, one in self.payments().items() if one.get("waits_for") and self.gone(one) < one["amount"]
        ]
        decided = self.decisions("refuse") or self.decisions("credit")
        return [] if decided else [name for name in waiting if name != self.stored.get("paid_by")]

    def status(self) -> str:
        """How it stands: the first that fits."""
        if self.waiting():
            return "review"
        if self.granted():
            ends = [end for end, _ in self.ends(self.paying())]
            worst = "disputed" if None in ends else "charged_back" if "lost" in ends else None
            whole = refunded(self.paying()) >= self.paying()["amount"]
            return worst or ("refunded" if whole else "credited")
        checkouts = self.stored.get("checkouts", ())
        if self.payments() or any(self.decisions(what) for what in ("cancel", "refuse", "payment_refused")):
            return "canceled"
        if self.stored.get("expired") or (checkouts and checkouts[-1].get("expired")):
            return "expired"
        return "declined" if len(checkouts) in self.stored.get("declines", {}).values() else "pending"

    def method(self) -> str:
        """How it is to be paid now."""
        return str(self.stored["checkouts"][-1]["payment_method"])

    def knows(self, news: News) -> bool:
        """Whether what a provider told is among the facts, or more than that."""
        if news.type == "payment.declined":
            return news.payment_id in self.stored.get("declines", {})
        payment, amount = self.payments().get(news.payment_id), cents(news.amount)
        if payment is None or news.type == "payment.succeeded":
            return payment is not None
        if news.type == "payment.refunded":
            return bool(payment.get("refunds", 0) >= amount)
        if news.type == "refund.failed":
            return bool(payment.get("failed", {}).get(news.refund_id, 0) >= amount)
        dispute = payment.get("disputes", {}).get(news.dispute_id or news.payment_id, {})
        fits = {"dispute.created": (None, "won", "lost"), "dispute.won": ("won", "lost"), "dispute.lost": ("lost",)}
        return bool(dispute.get("amount", 0) >= amount and dispute.get("ended") in fits[news.type])

    def facts(self) -> Iterator[tuple[str, ...]]:
        """Every fact that somebody must have told, by its names."""
        yield from (("payment.declined", name) for name in self.stored.get("declines", {}))
        for name, payment in self.payments().items():
            yield "payment.succeeded", name
            yield from [("payment.refunded", name)] * bool(payment.get("refunds"))
            yield from (("refund.failed", name, refund_id) for refund_id in payment.get("failed", {}))
            yield from (("dispute", name, dispute_id) for dispute_id in payment.get("disputes", {}))
        yield from (("decided", one["what"]) for one in self.stored.get("decisions", ()))


DECIDED = {"cancel": "cancel", "review: credit": "credit", "review: refuse": "refuse", "review: lost": "dispute_lost"}
"""The kinds of delivery by which a person decides, and how the decision is stored."""


class Purchases:
    """All purchases of an account in a run."""

    def __init__(self, world: World, account_id: str, deliveries: Sequence[Delivery], entries: Entries) -> None:
        self.world = world
        self.account_id = account_id
        self.deliveries = deliveries
        self.entries = entries

    def states(self, purchase_id: str | None, one: Try) -> list[Bought]:
        """How a purchase stood at some moment between a request and its answer."""
        stood = self.world.stood(self.place(purchase_id), one.begun, one.ended)
        return [Bought(stored) for stored in stood]

    def place(self, purchase_id: str | None) -> Place:
        """Where a purchase lies."""
        return place_of(self.account_id, ("purchase", purchase_id or ""))

    def check(self) -> None:
        """Grants, claw-backs, what is frozen, where the facts come from, and the coupons. Raises Violation."""
        last = {
            key[1]: Bought(states[-1].stored)
            for (account_id, key), states in self.world.history.items()
            if (account_id, key[0]) == (self.account_id, "purchase")
        }
        if not last:
            return
        for purchase_id, bought in last.items():
            self.check_entered(purchase_id, bought)
            self.check_sources(purchase_id, bought)
        self.check_coupons(list(last.values()))

    def check_entered(self, purchase_id: str, bought: Bought) -> None:
        """Granted once if it was paid; what is gone of that is gone of the credits; what is at stake is frozen."""
        granted = taken = frozen = 0
        least = 10**12
        for page, entry in self.entries:
            if granted:
                least = min(least, page.state.balance("auto_order").available())
            if entry.purchase_id != purchase_id:
                continue
            frozen += entry.held
            if entry.kind == "purchased" and not granted:
                granted = entry.posted
            else:
                taken -= entry.posted
            expect("grant", taken >= 0, (purchase_id, page.version))
            expect("claw-back", taken <= granted, (purchase_id, page.version))
            expect("frozen", 0 <= frozen <= granted - taken, (purchase_id, page.version))
        expect("grant", bool(granted) == bought.granted() == bool(bought.stored.get("paid_by")), bought.stored)
        expect("grant", granted in (0, bought.stored["credits"]), granted)
        expect("claw-back", taken == bought.share() == bought.stored.get("clawed_back", 0), (taken, bought.stored))
        stake = bought.share(at_stake=True) - taken
        expect("frozen", frozen == stake or (frozen < stake and least < stake), (frozen, stake, bought.stored))

    def check_sources(self, purchase_id: str, bought: Bought) -> None:
        """Nothing is known that nobody told; nothing is credited that nobody paid."""
        first = self.world.history[self.place(purchase_id)][0]
        known = set(Bought(first.stored).facts()) if first.since == 0 else set()
        told = {_name(one.request.news) for one in self.deliveries if one.request.news}
        mine = [one for one in self.deliveries if one.request.purchase == purchase_id]
        told |= {("decided", DECIDED[one.kind]) for one in mine if one.kind in DECIDED}
        told |= {("payment.succeeded", f"pay-{purchase_id}")} if purchase_id in self.world.paid else set()
        told |= {("decided", "payment_refused")} if any(one.kind in STARTING for one in mine) else set()
        found = {fact for fact in bought.facts() if fact[1:] and not fact[1].startswith("checkout ")}
        expect("invented", found <= known | told, found - known - told)

    def check_coupons(self, bought: Sequence[Bought]) -> None:
        """Once all is tallied, a coupon's uses are the purchases that count; the last use was used once."""
        store = self.world.store.copy()
        for name in (code(1), code(2), LAST):
            counting = [one for one in bought if one.stored.get("coupon") == name and one.status() not in OVER]
            limited = name != code(1)
            before = _counts(store.records, name)
            expect("uses", not limited or before[0] == before[1], (name, before))
            Ledger(store, ManualClock(), CATALOG).execute(self.account_id, TallyCoupon(code=name), reads_page=False)
            expect("uses", _counts(store.records, name) == (len(counting), len(counting)), (name, counting))
            expect("uses", name != LAST or len(counting) <= 1, counting)

    # ------------------------------------------------------------------ what was told

    def check_told(self, delivery: Delivery, one: Try, status: int, body: dict[str, Any]) -> None:
        """An answer about a purchase was true at some moment since the request."""
        states = self.states(delivery.request.purchase, one)
        if delivery.request.news:
            missing = self.was_missing(delivery.request.purchase, one)
            self.check_heard(delivery.request.news, status, states, missing=missing)
        elif delivery.request.purchase and status < 300 and delivery.request.door == "http":
            expect("purchase", any(_shows(state, body) for state in states), (delivery.kind, body))
            self.check_done(delivery, states)

    def check_heard(self, news: News, status: int, states: Sequence[Bought], *, missing: bool) -> None:
        """What a provider told is a fact, if that was said; or it was put aside for a reason."""
        if status == 200:
            declined = news.type == "payment.declined" and any(state.granted() for state in states)
            expect("heard", declined or any(state.knows(news) for state in states), news)
        elif status == 202:
            waits = [state for state in states if news.payment_id in state.waiting() and news.amount != PRICE]
            aside = [state for state in states if state.granted() or state.decisions("refuse")]
            foreign = [state for state in aside if news.payment_id not in state.payments()]
            expect("heard", missing or waits or foreign, news)

    def was_missing(self, purchase_id: str | None, one: Try) -> bool:
        """Whether the purchase did not show yet when the request began."""
        states = self.world.history.get(self.place(purchase_id), [])
        return not states or states[0].shown > one.begun

    def check_done(self, delivery: Delivery, states: Sequence[Bought]) -> None:
        """What was said to be done was done."""
        if delivery.kind == "checkout":
            done = any(state.method() == "paypal" or state.granted() for state in states)
            expect("purchase", done, delivery.kind)
        elif delivery.kind == "cancel":
            expect("purchase", any(state.status() == "canceled" for state in states), delivery.kind)
        elif delivery.kind in DECIDED:
            expect("purchase", any(state.decisions(DECIDED[delivery.kind]) for state in states), delivery.kind)

    def is_transition_invalid(self, delivery: Delivery, one: Try) -> bool:
        """Whether a 409 was right at some moment since the request, which may have been done by an earlier try."""
        states = self.states(delivery.request.purchase, one)
        kind, statuses = delivery.kind, {state.status() for state in states}
        if delivery.kind in ("cancel", "checkout"):
            payable = (*UNPAID, *OVER) if kind == "cancel" else (*UNPAID, "credited")
            changed = kind == "checkout" and len({len(state.stored.get("checkouts", ())) for state in states}) > 1
            way = [step for name, step in self.world.on_its_way if name == delivery.request.purchase]
            waited = any(one.begun < step <= one.ended for step in way)
            return bool(statuses.difference(payable)) or waited or changed
        if kind == "review: lost":
            return any("d1" not in state.open_disputes() for state in states)
        return any(not state.waiting() or (kind == "review: credit" and state.granted()) for state in states)

    def is_refused(self, delivery: Delivery, one: Try, body: dict[str, Any]) -> bool:
        """Whether a 422 was right: the coupon's last use was gone, or the provider takes no payment."""
        if body["code"] == "payment_refused":
            return any(state.status() == "canceled" for state in self.states(delivery.request.purchase, one))
        uses = [
            stored.get("uses", 0)
            for stored in self.world.stood(place_of(self.account_id, ("coupon", LAST)), one.begun, one.ended)
        ]
        last = delivery.kind == "start with the last use" and body.get("reason") == "used_up"
        return body["code"] == "coupon_invalid" and last and max(uses) >= 1


STARTING = ("start", "start with the last use", "checkout")


def _name(news: News) -> tuple[str, ...]:
    """The names of the fact that news tells."""
    kind = "dispute" if news.type.startswith("dispute") else news.type
    about = news.refund_id if kind == "refund.failed" else (news.dispute_id or news.payment_id)
    return (kind, news.payment_id, *([str(about)] if kind in ("dispute", "refund.failed") else []))


def _shows(bought: Bought, body: dict[str, Any]) -> bool:
    """Whether an answer shows the purchase as it stood."""
    payment = bought.paying() or next((bought.payments()[name] for name in bought.waiting()), {})
    back = cents(body["refunded"]) if not payment else refunded(payment)
    shown = body["status"], cents(body["refunded"]), body["payment_method"]
    return shown == (bought.status(), back, bought.method())


def refunded(payment: Stored) -> int:
    """What refunds really gave back."""
    failed: Mapping[str, int] = payment.get("failed", {})
    return max(0, int(payment.get("refunds", 0)) - sum(failed.values()))


def _counts(records: Mapping[Any, str], name: str) -> tuple[int, int]:
    """How often a coupon was used: by its own count, and by the account's."""
    found = {key[0]: json.loads(text) for (_, key), text in records.items() if key[1] == name}
    return found.get("coupon", {}).get("uses", 0), found.get("coupon_use", {}).get("uses", 0)

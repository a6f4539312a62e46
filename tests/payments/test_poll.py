"""Polling the provider for payments whose webhook never arrived: it ends as the webhook would have, and never stops."""

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from threading import Barrier

import pytest

from autocredits.domain.purchases.fulfil import PaymentEvent
from autocredits.domain.purchases.record import DUE_PURCHASES, Purchase
from autocredits.domain.records import NO_ACCOUNT
from autocredits.domain.state import Balance
from autocredits.domain.times import DAY_MS, MINUTE_MS
from autocredits.ledger.due import AT_ONCE
from autocredits.ledger.ports import Listed, UnavailableError, shard_of
from dev.doubles.stripe import StripeDouble
from functions.purchase import poll
from functions.purchase.payments import registry
from functions.purchase.payments.port import DECLINED, Notice
from functions.purchase.payments.sandbox import Sandbox
from tests.payments.conftest import Counted
from tests.payments.shop import BOUGHT, FREE, PRICE, Shop, sign

CREDITED = Balance(FREE + BOUGHT)


def next_poll(purchase: Purchase) -> int | None:
    """Minutes from the purchase's start until the provider is polled next."""
    return None if purchase.poll_at is None else (purchase.poll_at - purchase.created_at) // MINUTE_MS


# What is done, and when.


def test_a_payment_whose_webhook_was_lost_is_credited(shop: Shop) -> None:
    """Two minutes after the start; then nobody asks any more, and a webhook that comes after all changes nothing."""
    event = shop.double.pay(shop.start())
    assert shop.poll_after(1) == (0, 0)
    assert shop.poll_after(1) == (1, 0)
    assert (shop.status(), shop.balance()) == ("credited", CREDITED)
    assert shop.poll_after(60) == (0, 0)
    assert (shop.deliver(event), shop.balance()) == (200, CREDITED)


def test_a_payment_that_is_still_open_is_polled_again(shop: Shop) -> None:
    """After 2, 10 and 30 minutes, then every hour; a poll that comes late skips the times that have passed."""
    assert shop.buy(method="paypal").status == 201
    planned = [next_poll(shop.purchase())]
    for minutes in (2, 8, 20, 120):
        shop.poll_after(minutes)
        planned.append(next_poll(shop.purchase()))
    assert planned == [2, 10, 30, 60, 180]


def test_another_checkout_is_polled_from_its_own_start(shop: Shop) -> None:
    """The times count from the start of the open checkout."""
    assert shop.buy(method="paypal").status == 201
    shop.clock.at_ms += 100 * MINUTE_MS
    assert shop.checkout("card").status == 200
    assert next_poll(shop.purchase()) == 102
    shop.double.pay(shop.session())
    assert shop.poll_after(2) == (1, 0)
    assert shop.balance() == CREDITED


def test_another_card_is_credited(shop: Shop) -> None:
    """After a card was declined the session can be paid with another one: if that webhook is lost, the poll credits."""
    session_id = shop.start()
    assert shop.deliver(shop.double.decline(session_id)) == 200
    shop.double.pay(session_id)
    assert shop.status() == "declined"
    assert shop.poll_after(2) == (1, 0)
    assert (shop.status(), shop.balance()) == ("credited", CREDITED)


def test_a_session_that_nobody_paid_expires(shop: Shop) -> None:
    """A session lasts an hour; the next poll finds that it has expired, gives the coupon's use back, and is the last."""
    shop.make_coupon(percent_off=1000, max_uses=1)
    shop.start(coupon="C")
    assert shop.poll_after(59) == (1, 0)
    assert (shop.status(), shop.coupon_uses()) == ("pending", (1, 1))
    assert shop.poll_after(1) == (1, 0)
    assert (shop.status(), shop.coupon_uses(), shop.purchase().poll_at) == ("expired", (0, 0), None)


@pytest.mark.parametrize("declined", [True, False])
def test_an_unpaid_purchase_expires(shop: Shop, *, declined: bool) -> None:
    """Thirty days after its start, declined or not, wherever it could still be paid."""
    assert shop.buy(method="paypal").status == 201
    if declined:
        assert shop.tell_sandbox("payment.declined", "39.90") == 200
    status = "declined" if declined else "pending"
    shop.clock.at_ms += 29 * DAY_MS
    assert (shop.poll_after(), shop.status()) == ((1, 0), status)
    assert next_poll(shop.purchase()) == 30 * 24 * 60
    shop.clock.at_ms += DAY_MS - 1
    assert (shop.poll_after(), shop.status()) == ((0, 0), status)
    shop.clock.at_ms += 1
    assert (shop.poll_after(), shop.status(), shop.purchase().poll_at) == ((1, 0), "expired", None)


def test_a_start_that_broke_off_expires(shop: Shop) -> None:
    """After half an hour without the provider's answer; the same key then shows it as it is."""
    shop.double.serving.faults.extend(["reset before"] * 2)
    assert shop.buy().status == 503
    shop.poll_after(29)
    assert shop.status() == "pending"
    shop.poll_after(1)
    assert shop.status() == "expired"
    answer = shop.buy()
    assert (answer.status, answer.body["status"]) == (201, "expired")


def test_an_open_dispute_is_asked_for_daily(shop: Shop) -> None:
    """A dispute whose end is never told is asked for once a day, for as long as it takes."""
    session_id = shop.start()
    shop.deliver(shop.double.pay(session_id))
    assert shop.deliver(shop.double.dispute(session_id)) == 200
    for _ in range(100):
        assert shop.poll_after(24 * 60 - 1) == (0, 0)
        assert shop.poll_after(1) == (1, 0)
    assert shop.double.calls().count("GET disputes/du_ch_pi_1") == 100
    assert shop.status() == "disputed"
    shop.double.dispute(session_id, "lost")
    assert shop.poll_after(24 * 60) == (1, 0)
    assert (shop.status(), shop.balance(), shop.purchase().poll_at) == ("charged_back", Balance(FREE), None)


def test_each_dispute_is_asked_for(shop: Shop) -> None:
    """Of several open disputes each ends by itself; one that was ended by hand is asked for no more."""
    session_id = shop.start()
    shop.deliver(shop.double.pay(session_id))
    for number in (1, 2, 3):
        assert shop.deliver(shop.double.dispute(session_id, id=f"du_{number}", amount=1000)) == 200
    shop.double.dispute(session_id, "won", id="du_1", amount=1000)
    assert shop.review("dispute_won", dispute_id="du_2").status == 200
    shop.poll_after(24 * 60)
    ends = {name: end for name, _, end in shop.purchase().disputes()}
    assert ends == {"du_1": "won", "du_2": "won", "du_3": None}
    assert [one for one in shop.double.calls() if "disputes" in one] == ["GET disputes/du_1", "GET disputes/du_3"]


@pytest.mark.parametrize("found", ["wrong amount", "another currency"])
def test_what_is_put_aside_is_counted(shop: Shop, counted: Counted, found: str) -> None:
    """A payment that a person has to look at is counted as if its webhook had come."""
    session_id = shop.start()
    changes = {"amount_total": PRICE + 1} if found == "wrong amount" else {"currency": "eur"}
    shop.double.sessions[session_id] |= changes
    event = shop.double.pay(session_id)
    counted()
    assert shop.poll_after(2) == (1, 0)
    assert counted() == ["PaymentPutAside"]
    assert shop.status() == ("review" if found == "wrong amount" else "pending")
    assert shop.deliver(event) == (200 if found == "wrong amount" else 202)


# Whose trouble is whose.


def test_a_poll_that_fails_holds_up_nobody(shop: Shop, monkeypatch: pytest.MonkeyPatch, counted: Counted) -> None:
    """Whatever a provider raises for one purchase, the others are polled for in the same run."""
    for key in ("k1", "k2"):
        shop.double.pay(shop.start(key))
    bad, good = shop.purchase("k1").purchase_id, type(shop.provider).poll

    def broken(_: object, account_id: str, purchase: Purchase) -> object:
        if purchase.purchase_id == bad:
            raise RuntimeError("no such key")
        return good(shop.provider, account_id, purchase)

    counted()
    with monkeypatch.context() as patch:
        patch.setattr(type(shop.provider), "poll", broken)
        assert shop.poll_after(2) == (1, 1)
    assert (shop.status("k2"), shop.status("k1"), counted()) == ("credited", "pending", ["PollFailed"])
    assert shop.poll_after(1) == (1, 0)
    assert shop.status("k1") == "credited"


def test_an_account_that_cannot_be_read_holds_up_nobody(shop: Shop, counted: Counted) -> None:
    """Its purchase at the head of the list is passed by, counted and put back, a minute later, then doubling."""
    shop.double.pay(shop.start())
    for number in range(20):
        shop.open(f"account-{number}")
        shop.double.pay(shop.start(account_id=f"account-{number}"))
    versions = shop.store.pages["acme"]
    kept = versions[max(versions)]
    versions[max(versions)] = ("{}", kept[1])
    counted()
    assert shop.poll_after(2) == (20, 1)
    assert [shop.balance(f"account-{number}") for number in range(20)] == [CREDITED] * 20
    assert counted() == ["BrokenInvariant", "PollFailed"]
    waits = []
    for _ in range(9):
        purchase = shop.purchase()
        assert purchase.poll_at is not None
        waits.append((purchase.poll_at - shop.clock.now_ms()) // MINUTE_MS)
        assert shop.poll_after(waits[-1]) == (0, 1)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    versions[max(versions)] = kept
    assert shop.poll_after(60) == (1, 0)
    assert (shop.balance(), shop.purchase().poll_failures) == (CREDITED, 0)


def test_a_poll_that_went_well_begins_anew(shop: Shop) -> None:
    """After a poll that failed the next good one plans by the usual times again."""
    assert shop.start()
    shop.double.serving.faults.extend(["reset before"] * 2)
    assert shop.poll_after(2) == (0, 1)
    assert next_poll(shop.purchase()) == 3
    assert shop.poll_after(1) == (1, 0)
    assert next_poll(shop.purchase()) == 10


def test_a_run_that_is_short_of_time_leaves_the_rest(shop: Shop) -> None:
    """With too little time left for another poll it polls for nobody; the next run does."""
    shop.double.pay(shop.start())
    assert shop.poll_after(2, remaining_ms=int(poll.RESERVE_S * 1000) - 1) == (0, 0)
    assert shop.poll_after(0, remaining_ms=int(poll.RESERVE_S * 1000)) == (1, 0)


# Many at a time.


@dataclass
class Slow:
    """A provider that takes 0.3 s for each poll, by the clock of the tests, for as many at once as there are."""

    shop: Shop
    polled: list[str] = field(default_factory=list)
    name: str = "sandbox"

    def __post_init__(self) -> None:
        self.barrier = Barrier(AT_ONCE, action=self.pass_time, timeout=10)

    def pass_time(self) -> None:
        """Let 0.3 s pass."""
        self.shop.clock.at_ms += 300

    def poll(self, _account_id: str, purchase: Purchase) -> list[PaymentEvent]:
        """Nothing is known, once all that ask at the same time are here."""
        self.polled.append(purchase.purchase_id)
        self.barrier.wait()
        return []


@dataclass
class Timed:
    """The context of a function that may run so long, by the clock of the tests."""

    shop: Shop
    limit_s: float = 60

    def __post_init__(self) -> None:
        self.started_ms = self.shop.clock.now_ms()

    def get_remaining_time_in_millis(self) -> int:
        """How long it may still run."""
        return round(self.limit_s * 1000) - (self.shop.clock.now_ms() - self.started_ms)


@pytest.fixture
def slow(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Slow:
    """The provider of all purchases takes its time."""
    slow = Slow(shop)
    opened = {"sandbox": lambda: slow, "stripe": lambda: None}
    monkeypatch.setattr(registry, "_METHODS", {"paypal": ("sandbox", 1, 99_999_999)})
    for number in range(8):
        shop.open(f"account-{number}")
    monkeypatch.setattr(slow, "start", Sandbox("", ()).start, raising=False)
    monkeypatch.setattr(registry, "_PROVIDERS", opened)
    return slow


def buy_many(shop: Shop, minute: int, count: int) -> set[str]:
    """So many purchases start within a minute; their ids."""
    started = set()
    for number in range(count):
        answer = shop.buy(f"k-{minute}-{number}", "paypal", account_id=f"account-{number % 8}")
        assert answer.status == 201
        started.add(answer.body["purchase_id"])
    return started


@pytest.mark.slow
def test_200_purchases_a_minute_are_polled_within_10_minutes(shop: Shop, slow: Slow) -> None:
    """Each purchase is polled for within ten minutes of being due, though 200 a minute come and each takes 0.3 s."""
    due: dict[str, int] = {}
    for minute in range(12):
        begins = shop.clock.now_ms()
        due |= dict.fromkeys(buy_many(shop, minute, 200), begins + 2 * MINUTE_MS)
        slow.polled.clear()
        counts = poll.handler({}, Timed(shop))
        assert (counts["failed"], shop.clock.now_ms() <= begins + MINUTE_MS) == (0, True)
        for purchase_id in slow.polled:
            due.pop(purchase_id, None)
        assert begins - min(due.values()) <= 10 * MINUTE_MS
        shop.clock.at_ms = begins + MINUTE_MS


def test_shards_take_turns(shop: Shop, slow: Slow) -> None:
    """A run with time for a part polls the longest due of every shard, and no shard waits for another."""
    started = buy_many(shop, 0, 200)
    shop.clock.at_ms += 2 * MINUTE_MS
    poll.handler({}, Timed(shop, poll.RESERVE_S + 1))
    shares = Counter(shard_of(DUE_PURCHASES, purchase_id) for purchase_id in slow.polled)
    assert (len(slow.polled), len(shares), max(shares.values()) - min(shares.values()) <= 1) == (32, 8, True)
    assert set(slow.polled) < started


def test_a_lagging_list_does_no_harm(shop: Shop) -> None:
    """A purchase that a webhook has settled meanwhile is left alone."""
    event = shop.double.pay(shop.start())
    (due,) = shop.store.list(DUE_PURCHASES, NO_ACCOUNT, limit=10)
    assert shop.deliver(event) == 200
    before = shop.purchase()
    shop.clock.sleep_up_to(120)
    assert poll.poll(shop.ledger, due)
    assert shop.purchase() == before


def test_a_list_that_names_a_stranger_does_no_harm(shop: Shop) -> None:
    """A place without its purchase is passed over."""
    assert poll.poll(shop.ledger, Listed("00000000000001#acme#pur_none", "acme", "pur_none"))


# What Stripe says.


def test_poll_of_an_open_session(shop: Shop) -> None:
    """An open session says nothing, also after a card was declined."""
    session_id = shop.start()
    assert shop.provider.poll("acme", shop.purchase()) == []
    shop.double.decline(session_id)
    assert shop.provider.poll("acme", shop.purchase()) == []


def test_poll_of_a_paid_session(shop: Shop) -> None:
    """A paid session says the same as its webhook."""
    paid = shop.double.pay(shop.start())
    raw = json.dumps(paid).encode()
    webhook = shop.provider.read_webhook(Notice(raw, {"stripe-signature": sign(raw)}))
    assert webhook is not None
    assert shop.provider.poll("acme", shop.purchase()) == list(webhook.events)


def test_poll_of_an_expired_session(shop: Shop) -> None:
    """An expired session says the same as its webhook."""
    expired = shop.double.expire(shop.start())
    raw = json.dumps(expired).encode()
    webhook = shop.provider.read_webhook(Notice(raw, {"stripe-signature": sign(raw)}))
    assert webhook is not None
    assert shop.provider.poll("acme", shop.purchase()) == list(webhook.events)


def test_poll_of_money_on_its_way(shop: Shop) -> None:
    """A session that is complete and not paid says nothing while the money is on its way."""
    shop.double.pay(shop.start(), later=True)
    assert shop.provider.poll("acme", shop.purchase()) == []


def test_poll_of_money_that_did_not_come(shop: Shop) -> None:
    """A session that is complete, and whose payment has failed, is declined, with the bank's code."""
    session_id = shop.start()
    shop.double.pay(session_id, later=True)
    shop.double.fail(session_id, "do_not_honor")
    (event,) = shop.provider.poll("acme", shop.purchase())
    told = (event.type, event.payment_id, event.checkout, event.reason, event.support_code)
    assert told == ("declined", "pi_1", 1, DECLINED, "do_not_honor")


def test_poll_while_stripe_is_away(shop: Shop) -> None:
    """Where Stripe does not answer, that is told, and nothing is concluded from it."""
    shop.start()
    shop.double.serving.faults.extend(["reset before"] * 2)
    with pytest.raises(UnavailableError):
        shop.provider.poll("acme", shop.purchase())


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("under_review", []),
        ("warning_needs_response", []),
        ("vanished", []),
        ("won", ["dispute_won"]),
        ("warning_closed", ["dispute_won"]),
        ("prevented", ["dispute_won"]),
        ("lost", ["dispute_lost"]),
    ],
)
def test_poll_of_a_dispute(shop: Shop, status: str, expected: list[str]) -> None:
    """A dispute that has ended says how; one that goes on, or has ended in an unknown way, says nothing."""
    session_id = shop.start()
    shop.deliver(shop.double.pay(session_id))
    shop.deliver(shop.double.dispute(session_id))
    shop.double.dispute(session_id, status)
    events = shop.provider.poll("acme", shop.purchase())
    assert [(event.type, event.payment_id, event.dispute_id) for event in events] == [
        (kind, "pi_1", "du_ch_pi_1") for kind in expected
    ]


def test_poll_of_a_dispute_that_stripe_does_not_know(shop: Shop, double: StripeDouble) -> None:
    """A dispute of another provider's making says nothing, and stays for a person."""
    session_id = shop.start()
    shop.deliver(shop.double.pay(session_id))
    shop.deliver(shop.double.dispute(session_id))
    double.disputes.clear()
    assert shop.provider.poll("acme", shop.purchase()) == []


def test_an_unsettled_purchase_is_settled_at_once(shop: Shop) -> None:
    """After a restore that lost the page of its grant, the next poll grants it again, and only that one."""
    shop.deliver(shop.double.pay(shop.start()))
    lost = shop.purchase()
    ((place, _),) = [one for one in shop.store.records.items() if one[0][1][0] == "purchase"]
    del shop.store.pages[place[0]][lost.newest_version()]
    unsettled = replace(lost, granted=False, versions=(), unsettled=True, poll_at=shop.clock.at_ms)
    shop.store.records[place] = json.dumps(unsettled.to_map())
    assert shop.balance() == Balance(FREE)
    assert shop.poll_after(0) == (1, 0)
    assert (shop.status(), shop.balance()) == ("credited", CREDITED)
    assert shop.poll_after(60) == (0, 0)


def test_a_payment_that_a_restore_forgot_is_asked_for(shop: Shop) -> None:
    """The purchase was granted and is older than that: the provider tells by which payment."""
    session = shop.start()
    older, account_id = shop.purchase(), "acme"
    shop.deliver(shop.double.pay(session))
    paid = shop.purchase()
    unsettled = replace(older, granted=True, versions=paid.versions, rev=9, unsettled=True, poll_at=shop.clock.at_ms)
    shop.store.records[account_id, unsettled.key()] = json.dumps(unsettled.to_map())
    assert shop.poll_after(0) == (1, 0)
    assert (shop.purchase().paid_by, shop.balance()) == (paid.paid_by, CREDITED)

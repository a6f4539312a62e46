"""For each kind of check, a deliberate break of the code that it catches."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from autocredits.domain import events, journal
from autocredits.domain.accounts import ChangeStanding, OpenAccount
from autocredits.domain.decide import Done, Draft, RecordWrite
from autocredits.domain.errors import BrokenInvariantError, Problem
from autocredits.domain.journal import Entry, Page
from autocredits.domain.purchases import fulfil
from autocredits.domain.purchases.calls import CancelPurchase, MakeCoupon
from autocredits.domain.purchases.coupons import Coupon
from autocredits.domain.purchases.fulfil import PaymentEvent
from autocredits.domain.purchases.record import Purchase, read_purchase
from autocredits.domain.records import KeyRecord, RecordKey, Records
from autocredits.domain.state import check_sufficient
from autocredits.domain.work import charging, expiry, lifecycle
from autocredits.domain.work.calls import SettleHold
from autocredits.domain.work.messages import WorkRequested
from autocredits.domain.work.record import Work
from autocredits.edge import batches, problems, publishing, retries, views
from autocredits.edge.bodies import OpenBody
from autocredits.edge.events import bus_events
from autocredits.edge.http import Request
from autocredits.ledger import sweeping
from autocredits.ledger.commit import Accepted, Ledger
from autocredits.ledger.ports import Listed, UnavailableError
from autocredits.ledger.sending import send_if_queued
from functions.purchase import webhooks
from functions.purchase.checkout import handle_webhook
from functions.sweep import app as sweep_app
from tests.kit.books import hash_of
from tests.kit.deliveries import ACCOUNT, COST, OTHER_ACCOUNT
from tests.kit.memory import MemoryStore
from tests.simulation.deliveries import EARLIER_MS, RICH, SHORT, TIGHT
from tests.simulation.runs import Scenario, exhaust
from tests.simulation.scheduler import ALL, Call
from tests.simulation.sweeps import LONG_AGO_MS
from tests.simulation.violations import Violation
from tests.simulation.world import SimStore, SimStorePort, place_of, simulated, world

Patch = pytest.MonkeyPatch
Break = Callable[[Patch], None]
REAL_COMMIT, REAL_READ = MemoryStore.commit, MemoryStore.read


@pytest.fixture(scope="module", autouse=True)
def _simulated() -> Iterator[None]:
    with simulated():
        yield


def _commit(change: Callable[..., tuple[Page | None, Sequence[RecordWrite]]]) -> Break:
    """A store that commits something else than it was told to."""

    def commit(
        self: MemoryStore, account_id: str, page: Page | None, writes: Sequence[RecordWrite], *, vacant: Any = None
    ) -> None:
        page, writes = change(self, page, writes)
        REAL_COMMIT(self, account_id, page, writes, vacant=vacant)

    return lambda patch: patch.setattr(MemoryStore, "commit", commit)


def _half_an_entry(_: Any, page: Page | None, writes: Any) -> Any:
    if page is None:
        return page, writes
    entries = tuple(replace(entry, posted=entry.posted - 1) for entry in page.entries)
    return replace(page, entries=entries, hash=_rehashed(page, entries)), writes


def _rehashed(page: Page, entries: Any) -> str:
    return hash_of(replace(page, entries=entries))


def _another_history(_: Any, page: Page | None, writes: Any) -> Any:
    """The last page is written anew, as one that fits nothing after it."""
    if page is not None:
        other = replace(page, prev="0" * 64)
        page = replace(other, hash=_rehashed(other, other.entries))
    return page, writes


def _a_page_lost(store: MemoryStore, page: Page | None, writes: Any) -> Any:
    store.pages["acme"].pop(2, None)
    return page, writes


def _no_work_record(_: Any, page: Page | None, writes: Any) -> Any:
    return page, [write for write in writes if write.key[0] != "order"]


def _no_condition(_: Any, page: Page | None, writes: Any) -> Any:
    return page, [write for write in writes if write.key[0] != "key"]


def _forget_keys(patch: Patch) -> None:
    patch.setattr(Draft, "replay", lambda *_: None)
    _commit(_no_condition)(patch)


def _all_parts(patch: Patch) -> None:
    patch.setattr(charging, "parts_to_charge", lambda _, request: request.part_names())


def _enough(patch: Patch) -> None:
    patch.setattr(charging, "check_sufficient", lambda *_: None)
    patch.setattr(journal, "require", lambda *_: None)


def _no_purchase_record(_: Any, page: Page | None, writes: Any) -> Any:
    return page, [write for write in writes if page is None or write.key[0] != "purchase"]


def _rounded_down(patch: Patch) -> None:
    patch.setattr("autocredits.domain.purchases.record.divide_half_up", lambda one, other: one // other)


def _nothing_at_stake(patch: Patch) -> None:
    patch.setattr(Purchase, "to_freeze", lambda _: 0)


def _another_dispute(patch: Patch) -> None:
    facts = vars(fulfil)["_FACTS"]

    def disputed(draft: Draft, purchase: Purchase, event: PaymentEvent) -> Purchase:
        told: Purchase = facts["dispute_created"](draft, purchase, replace(event, dispute_id=event.payment_id))
        return told

    patch.setattr(fulfil, "_FACTS", {**facts, "dispute_created": disputed})


def _never_given_back(patch: Patch) -> None:
    patch.setattr(fulfil, "_recounted", lambda _, purchase: purchase)


def _never_tallied(patch: Patch) -> None:
    patch.setattr(
        "autocredits.domain.purchases.calls.tallied", lambda coupon, used: (coupon, replace(used, tallied=used.uses))
    )


def _early_news_is_heard(patch: Patch) -> None:
    patch.setattr(webhooks, "handle_webhook", lambda *told: handle_webhook(*told) % 303)  # 200 for a 503


def _not_canceled(patch: Patch) -> None:
    patch.setattr(
        CancelPurchase,
        "decide",
        lambda self, draft: Done(did="canceled", record=read_purchase(draft, self.purchase_id)),
    )


def _paid_or_not(patch: Patch) -> None:
    """Whoever cancels is told that it cannot be, though nobody has paid."""

    def decide(*_: Any) -> Done:
        raise Problem("invalid_transition")

    patch.setattr(CancelPurchase, "decide", decide)


def _used_up(patch: Patch) -> None:
    def check_usable(*_: Any) -> Coupon:
        raise Problem("coupon_invalid", "Used up.", reason="used_up")

    patch.setattr("autocredits.domain.purchases.calls.check_usable", check_usable)


def _take_silence_for_yes(patch: Patch) -> None:
    real = SimStorePort.commit

    def commit(self: SimStorePort, *arguments: Any, **more: Any) -> None:
        with suppress(UnavailableError):
            real(self, *arguments, **more)

    patch.setattr(SimStorePort, "commit", commit)


def _no_confirmation(patch: Patch) -> None:
    patch.setattr(Ledger, "_confirm", lambda *_: None)


def _stale_reads(patch: Patch) -> None:
    _no_confirmation(patch)

    def read(self: SimStore, account_id: str, keys: Sequence[RecordKey]) -> Records:
        stale = world().scheduler is not None and keys and keys[0][0] == "order"
        return {} if stale else REAL_READ(self, account_id, keys)

    patch.setattr(SimStore, "read", read)


def _wrong_entry(patch: Patch) -> None:
    patch.setattr(Work, "live_entry_id", lambda *_: "99.0")


def _answer_by_the_clock(patch: Patch) -> None:
    real = views.debit_view
    patch.setattr(views, "debit_view", lambda accepted: {**real(accepted), "at": world().at_ms})


def _no_dead_letters(patch: Patch) -> None:
    patch.setattr(retries, "_bury", lambda *_: None)


def _any_maker(patch: Patch) -> None:
    real = MakeCoupon.decide

    def decide(self: MakeCoupon, draft: Draft) -> Any:
        known = draft.get(("coupon", self.coupon.code), Coupon)
        return real(replace(self, request_id=known.made_by or "") if known else self, draft)

    patch.setattr(MakeCoupon, "decide", decide)


def _give_up(patch: Patch) -> None:
    def execute_all(*_: Any, **__: Any) -> Any:
        raise Problem("try_again")

    patch.setattr(Ledger, "execute_all", execute_all)


def _frees_what_is_spent(patch: Patch) -> None:
    real = charging.enter_capture

    def enter_capture(draft: Draft, work: Work, name: str, cause: Any, spent: int) -> str:
        part = replace(work.parts[name], managed=min(spent, work.parts[name].managed))
        return real(draft, replace(work, parts={**work.parts, name: part}), name, cause, spent)

    patch.setattr(lifecycle, "enter_capture", enter_capture)


def _enough_dollars(patch: Patch) -> None:
    patch.setattr(charging, "check_sufficient", lambda state, unit, _: check_sufficient(state, unit, 0))
    patch.setattr(journal, "require", lambda *_: None)


def _dollars_for_every_part(patch: Patch) -> None:
    patch.setattr(charging, "needs_managed", lambda request, _: request.cost is not None)


def _as_held(patch: Patch) -> None:
    real = views.hold_view
    patch.setattr(views, "hold_view", lambda work, state: {**real(work, state), "managed": COST})


def _open_again(patch: Patch) -> None:
    real = OpenAccount.decide

    def decide(self: OpenAccount, draft: Draft) -> Done:
        if draft.head is not None:
            draft.add(Entry(kind="opened", actor="again", changes={"orders_processor": self.orders_processor}))
        return real(self, draft)

    patch.setattr(OpenAccount, "decide", decide)


def _always_new(patch: Patch) -> None:
    real = OpenAccount.decide
    patch.setattr(OpenAccount, "decide", lambda self, draft: replace(real(self, draft), count=1))


def _free_credits_for_all(patch: Patch) -> None:
    patch.setattr(OpenBody, "balances", lambda _: None)


def _forget_the_threshold(_: Any, page: Page | None, writes: Any) -> Any:
    if page is not None and all(entry.kind != "standing" for entry in page.entries):
        other = replace(page, state=replace(page.state, low_balance=None))
        page = replace(other, hash=_rehashed(other, other.entries))
    return page, writes


def _nothing_changes(patch: Patch) -> None:
    patch.setattr(ChangeStanding, "decide", lambda *_: Done(did="standing"))


def _version_before(patch: Patch) -> None:
    real = views.account_view

    def account_view(account_id: str, page: Page | None, as_of_ms: int) -> Any:
        shown = real(account_id, page, as_of_ms)
        return {**shown, "version": shown["version"] - 1}

    patch.setattr(views, "account_view", account_view)


def _one_account_for_all(patch: Patch) -> None:
    patch.setattr(Request, "account_id", property(lambda _: ACCOUNT))


def _one_account_for_a_batch(patch: Patch) -> None:
    def execute(ledger: Ledger, batch: Sequence[batches.Received]) -> None:
        vars(batches)["_execute"](ledger, batch[0].account_id, batch)

    patch.setattr(batches, "_execute_in_time", execute)


def _one_answer_for_a_batch(patch: Patch) -> None:
    """What one account's messages come to is told of the other's as well."""
    real = vars(batches)["_execute"]

    def execute(ledger: Ledger, batch: Sequence[batches.Received]) -> None:
        first = [received for received in batch if received.account_id == batch[0].account_id]
        real(ledger, batch[0].account_id, first)
        for received in batch:
            received.outcome = first[0].outcome

    patch.setattr(batches, "_execute_in_time", execute)


def _any_page(patch: Patch) -> None:
    """A replay is made from whatever page has its key's number."""

    def answer(self: Ledger, account_id: str, page: Page | None, outcome: Any) -> Any:
        if isinstance(outcome, Done) and outcome.replayed:
            page = self.store.page(account_id, outcome.replayed.version)
        return Accepted(outcome, page) if isinstance(outcome, Done) else outcome

    patch.setattr(Ledger, "_answer", answer)


def _no_alarm(patch: Patch) -> None:
    patch.setattr(problems, "count", lambda _: None)


def _alarm_at_once(patch: Patch) -> None:
    def lost(*_: Any) -> None:
        raise BrokenInvariantError("a record names a page that does not show")

    patch.setattr(Ledger, "_raise_stale_or_lost", lost)


def _do_again_what_was_lost(patch: Patch) -> None:
    """A key whose page is lost counts as one that nobody has used."""
    real = Draft.replay

    def replay(self: Draft, idempotency: Any) -> Done | None:
        record = self.records.get(("key", idempotency.key))
        lost = isinstance(record, KeyRecord) and record.version >= self.version()
        return None if lost else real(self, idempotency)

    def unknown(store: MemoryStore, page: Page | None, writes: Any) -> Any:
        return page, [write for write in writes if (ACCOUNT, write.key) not in store.records]

    patch.setattr(Draft, "replay", replay)
    patch.setattr(Ledger, "_raise_stale_or_lost", lambda *_: None)
    _commit(unknown)(patch)


def _keep_the_newest_page(patch: Patch) -> None:
    real, kept = SimStorePort.head, dict[Any, Page]()

    def head(self: SimStorePort, account_id: str) -> Page | None:
        found, known = real(self, account_id), kept.get((self.world, account_id))
        if found and (known is None or found.version > known.version):
            kept[self.world, account_id] = known = found
        return known

    patch.setattr(SimStorePort, "head", head)


def _stumble(patch: Patch) -> None:
    patch.setattr(views, "debit_view", lambda _: json.loads("{"))


def _ends_again(patch: Patch) -> None:
    """What has been captured is overdue as well."""

    def overdue_parts(self: Work, now_ms: int) -> tuple[str, ...]:
        over = {name: part.status for name, part in self.parts.items() if part.expires_at <= now_ms}
        return tuple(name for name, status in over.items() if status == "open" or (name, status) in CAPTURED)

    patch.setattr(Work, "overdue_parts", overdue_parts)


CAPTURED = (("tracking", "captured"),)


def _whatever_is_open(patch: Patch) -> None:
    """The sweep does not look at the time."""
    patch.setattr(Listed, "at_ms", lambda _: 0)
    patch.setattr(Work, "overdue_parts", lambda self, _: self.open_parts())


def _forgets_to_fail(patch: Patch) -> None:
    patch.setattr(
        expiry,
        "settle_part",
        lambda draft, work, *more: replace(lifecycle.settle_part(draft, work, *more), status=work.status, reason=None),
    )


def _expires_nothing(patch: Patch) -> None:
    patch.setattr(sweep_app, "expire_hold", lambda *_: "nothing")


def _sends_a_new_attempt(patch: Patch) -> None:
    patch.setattr(
        sweeping,
        "send_if_queued",
        lambda queue, account_id, work: send_if_queued(queue, account_id, replace(work, attempt=work.attempt + 1)),
    )


def _sends_nothing(patch: Patch) -> None:
    patch.setattr(sweeping, "send_if_queued", lambda *_: None)


def _put_off_as_it_was(patch: Patch) -> None:
    """Who puts a record off writes it whole, as it was read."""

    def put_off(self: SimStorePort, which: Any, listed: Listed, key: RecordKey, until_ms: Any) -> int:
        place, records = place_of(listed.account_id, key), self.world.store.records
        text = self.world.call(Call("read", lambda: records[place]))

        def perform() -> int:
            records[place] = text
            return self.world.store.put_off(which, listed, key, until_ms)

        times: int = self.world.call(Call("put off", perform, items=ALL, writes=True))
        return times

    patch.setattr(SimStorePort, "put_off", put_off)


def _no_room(patch: Patch) -> None:
    def check_room(_: Work) -> None:
        raise Problem("too_many_attempts")

    patch.setattr(Work, "check_room", check_room)


def _a_duplicate(patch: Patch) -> None:
    """A message that names its attempt changes nothing."""
    patch.setattr(WorkRequested, "decide", lambda *_: Done(did="duplicate"))


def _settled_already(patch: Patch) -> None:
    def decide(*_: Any) -> Done:
        raise Problem("invalid_transition")

    patch.setattr(SettleHold, "decide", decide)


def _drops_what_is_refused(patch: Patch) -> None:
    def publish_page(bus: Any, page: Page) -> None:
        bus.put(bus_events(page))

    patch.setattr(publishing, "publish_page", publish_page)


def _no_answer_is_a_good_answer(patch: Patch) -> None:
    def publish_page(bus: Any, page: Page) -> None:
        with suppress(UnavailableError):
            bus.put(bus_events(page))

    patch.setattr(publishing, "publish_page", publish_page)


def _acknowledges_unpublished(patch: Patch) -> None:
    """What a page's one try did not bring to the bus is acknowledged by the republish queue's worker all the same."""
    patch.setattr(publishing, "TRIES", 1)
    patch.setattr(publishing, "_republish", lambda *_: retries.Fate("published"))


def _tells_more(patch: Patch) -> None:
    patch.setattr(publishing, "bus_events", lambda page: [*bus_events(page), replace(bus_events(page)[0], detail="{}")])


def _tells_crossings_twice(patch: Patch) -> None:
    real = vars(events)["_crossings"]
    patch.setattr(events, "_crossings", lambda page: [*real(page), *real(page)])


def _funds_what_came_over_http(patch: Patch) -> None:
    real = vars(events)["_request_of"]
    patch.setattr(events, "_request_of", lambda entry: real(replace(entry, key=None)))


def _tells_no_holds(patch: Patch) -> None:
    patch.setattr(events, "_funded", lambda _: ())


def _tells_expired_as_released(patch: Patch) -> None:
    real = vars(events)["_type_of"]
    patch.setattr(events, "_type_of", lambda entry: real(entry).replace("expired", "released"))


TWO_DEBITS = Scenario((("debit", 1), ("debit", 2)), "new", TIGHT)
TWINS = Scenario((("debit", 1), ("debit", 1)), "new", TIGHT)
HELD = Scenario((("capture", 1), ("debit", 1)), "held", RICH)

TWO_ACCOUNTS = (ACCOUNT, OTHER_ACCOUNT)
MESSAGES = Scenario(
    (("auto_order.requested", 1), ("sourcing.requested", 1)), "new", RICH, accounts=TWO_ACCOUNTS, batch=True
)
RESTORED = Scenario((("debit", 1), ("debit", 2), ("debit", 1)), "new", RICH, loses="the newest page")


def _swept(kind: str, base: str, *, works: int = 1, earlier_ms: int = LONG_AGO_MS) -> Scenario:
    """A sweep and another delivery, where something is due."""
    return Scenario((("sweep", 1), (kind, 1)), base, RICH, earlier_ms=earlier_ms, works=works)


PAGES = Scenario((("publish", 1), ("republish", 1)), "held", RICH)

BREAKS: dict[str, tuple[Break, Scenario]] = {
    "sums": (_commit(_half_an_entry), TWO_DEBITS),
    "link": (_commit(_another_history), TWO_DEBITS),
    "gap": (_commit(_a_page_lost), TWO_DEBITS),
    "held": (_commit(_no_work_record), Scenario((("hold", 1), ("standing", 1)), "new", RICH)),
    "available": (_enough, Scenario((("hold", 1), ("hold", 2)), "new", TIGHT)),
    "key": (_forget_keys, Scenario((("adjustment", 1), ("adjustment", 1)), "new", RICH)),
    "charge": (_all_parts, HELD),
    "grant": (_commit(_no_purchase_record), Scenario((("paid", 1), ("paid", 1)), "started", RICH)),
    "claw-back": (_rounded_down, Scenario((("refunded", 1), ("refunded", 1)), "paid", RICH)),
    "frozen": (_nothing_at_stake, Scenario((("disputed", 1), ("standing", 1)), "paid", RICH)),
    "invented": (_another_dispute, Scenario((("disputed", 1), ("standing", 1)), "paid", RICH)),
    "uses": (_never_given_back, Scenario((("cancel", 1), ("standing", 1)), "started", RICH)),
    "uses, tallied": (_never_tallied, Scenario((("start", 1), ("standing", 1)), "new", RICH)),
    "heard": (_early_news_is_heard, Scenario((("start", 1), ("paid", 1)), "new", RICH)),
    "purchase": (_not_canceled, Scenario((("cancel", 1), ("standing", 1)), "started", RICH)),
    "conflict, of a purchase": (_paid_or_not, Scenario((("cancel", 1), ("standing", 1)), "started", RICH)),
    "refusal, of a coupon": (_used_up, Scenario((("start with the last use", 1), ("standing", 1)), "new", RICH)),
    "told": (_take_silence_for_yes, TWO_DEBITS),
    "refusal": (_no_confirmation, TWINS),
    "missing": (_stale_reads, Scenario((("capture", 1), ("standing", 1)), "held", RICH)),
    "conflict": (_wrong_entry, Scenario((("debit", 1), ("hold", 1)), "new", RICH)),
    "replay": (_answer_by_the_clock, TWINS),
    "coupon": (_any_maker, Scenario((("coupon made", 1), ("coupon made", 1)), "new", RICH)),
    "acknowledged": (_no_dead_letters, Scenario((("sourcing.accepted", 1), ("standing", 1)), "new", RICH)),
    "ended, of dollars": (
        _frees_what_is_spent,
        Scenario((("fba capture, less", 1), ("standing", 1)), "fba held", RICH),
    ),
    "available, of dollars": (_enough_dollars, Scenario((("fba hold", 1), ("fba hold", 2)), "new", SHORT)),
    "charge, of dollars": (_dollars_for_every_part, Scenario((("fba debit", 1), ("standing", 1)), "fba ordered", RICH)),
    "refusal, of dollars": (_no_confirmation, Scenario((("fba debit", 1), ("fba debit", 1)), "new", SHORT)),
    "told, of dollars": (_as_held, Scenario((("fba capture, less", 1), ("standing", 1)), "fba held", RICH)),
    "opened": (_open_again, Scenario((("open", 1), ("open", 1)), "unopened", RICH)),
    "opened, as told": (_always_new, Scenario((("open", 1), ("open", 2)), "unopened", RICH)),
    "opened, as asked": (_free_credits_for_all, Scenario((("open", 2), ("debit", 1)), "unopened", RICH)),
    "standing": (_commit(_forget_the_threshold), Scenario((("settings", 1), ("debit", 1)), "new", RICH)),
    "settings": (_nothing_changes, Scenario((("settings", 1), ("debit", 1)), "new", RICH)),
    "account": (_version_before, Scenario((("open", 1), ("debit", 1)), "unopened", RICH)),
    "foreign": (_one_account_for_all, Scenario((("debit", 1), ("hold", 2)), "new", RICH, accounts=TWO_ACCOUNTS)),
    "foreign, in a batch": (_one_account_for_a_batch, MESSAGES),
    "acknowledged, in a batch": (_one_answer_for_a_batch, MESSAGES),
    "told, after a restore": (_any_page, RESTORED),
    "key, after a restore": (
        _do_again_what_was_lost,
        Scenario((("adjustment", 1), ("adjustment", 1)), "new", RICH, loses="the newest page"),
    ),
    "alarm": (_no_alarm, RESTORED),
    "alarm, for nothing": (_alarm_at_once, Scenario((("hold", 1), ("auto_order.placed", 1)), "new", RICH)),
    "gap, after a restore": (_keep_the_newest_page, RESTORED),
    "ended": (_ends_again, _swept("tracking_conversion.completed", "held", works=2)),
    "early": (_whatever_is_open, _swept("standing", "held", earlier_ms=EARLIER_MS)),
    "failed": (_forgets_to_fail, _swept("standing", "held")),
    "failed, of sourcing": (_forgets_to_fail, _swept("standing", "sourcing")),
    "overdue": (_expires_nothing, _swept("standing", "held")),
    "resent": (_no_room, _swept("standing", "held")),
    "sent": (_sends_a_new_attempt, _swept("standing", "queued")),
    "queued": (_sends_nothing, _swept("standing", "queued")),
    "held, of what was put off": (_put_off_as_it_was, _swept("own message", "queued")),
    "acknowledged, of an own message": (_a_duplicate, _swept("own message", "queued")),
    "conflict, of a hold": (_settled_already, Scenario((("capture", 1), ("standing", 1)), "held", RICH)),
    "events, of expired holds": (_tells_expired_as_released, _swept("standing", "held")),
    "events, of a crossing": (_tells_crossings_twice, TWO_DEBITS),
    "events, of a hold with a key": (_funds_what_came_over_http, Scenario((("hold", 1), ("standing", 1)), "new", RICH)),
    "events, of a hold by queue": (_tells_no_holds, MESSAGES),
    "bus": (_drops_what_is_refused, PAGES),
    "bus, without an answer": (_no_answer_is_a_good_answer, PAGES),
    "bus, by the republish queue": (_acknowledges_unpublished, PAGES),
    "invented, on the bus": (_tells_more, PAGES),
    "answered": (_give_up, TWO_DEBITS),
    "status": (_stumble, TWO_DEBITS),
}


@pytest.mark.parametrize("kind", BREAKS)
def test_each_check_catches_a_break(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken on purpose, the service is caught by the check of this kind, in some order with at most one fault."""
    breaking, scenario = BREAKS[kind]
    for _ in exhaust(scenario, faults=0, limit=1):
        pass  # the state of the world is made by the service as it is
    breaking(monkeypatch)
    with pytest.raises(Violation) as caught:
        for _ in exhaust(scenario, faults=1):
            pass
    assert caught.value.kind == kind.split(",", maxsplit=1)[0]
    assert "replay(" in caught.value.__notes__[0]

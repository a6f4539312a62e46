"""What must hold after every run: the books, and that what each caller was told is true."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from autocredits.domain.journal import Entry, Page
from autocredits.domain.purchases.coupons import Coupon
from autocredits.domain.records import NO_ACCOUNT
from autocredits.domain.work.record import message_digest
from tests.kit.books import UNITS
from tests.simulation.books import Books, Journal, opens
from tests.simulation.buying import STARTING, Purchases
from tests.simulation.deliveries import Delivery, Try
from tests.simulation.sweeps import FROM_OUTSIDE
from tests.simulation.telling import check_bus
from tests.simulation.violations import cents, expect
from tests.simulation.world import NEVER, World, place_of


class Aftermath:
    """A run's end: all accounts as they lie in the store, and what was told."""

    def __init__(self, world: World, deliveries: Sequence[Delivery]) -> None:
        self.world = world
        self.deliveries = deliveries
        named = (*world.store.pages, *(one.account_id for one in deliveries))
        self.accounts = tuple(dict.fromkeys(named))

    def check(self) -> None:
        """Everything. Raises Violation."""
        expect("run", not self.world.store.hidden, "a commit that never shows whole")
        for account_id in self.accounts:
            mine = [one for one in self.deliveries if one.account_id == account_id or one.kind in FROM_OUTSIDE]
            books = Books(self.world, account_id, mine)
            books.check()
            purchases = Purchases(self.world, account_id, mine, books.entries)
            purchases.check()
            Told(self.world, books, purchases).check()
        self.check_alarms()
        self.check_sent()
        if any(one.kind == "publish" for one in self.deliveries):
            check_bus(self.world)

    def check_sent(self) -> None:
        """Every message that the service sent itself names an attempt that had been queued by then."""
        for step, body in self.world.told:
            told = json.loads(body)["data"]
            named = (told["account_id"], told["order_id"], told.get("attempt", 0))
            expect("sent", self.world.queued.get(named, NEVER) <= step, told)

    def check_alarms(self) -> None:
        """Whoever met books with a part missing rang; where none is missing nobody did."""
        met = [one for one in self.deliveries for _, status, _ in one.answers() if status == 500]
        buried = [body for _, body, reason in self.world.dead if reason == "internal_error"]
        expect("alarm", self.world.alarms >= len(met) + len(buried), (self.world.alarms, met, buried))
        whole = not self.world.lost and not any(one.page for lain in self.world.lain.values() for one in lain)
        expect("alarm", not (whole and self.world.alarms), self.world.alarms)


class Told:
    """What the senders of an account's deliveries were told."""

    def __init__(self, world: World, books: Books, purchases: Purchases) -> None:
        self.world = world
        self.books = books
        self.purchases = purchases

    def check(self) -> None:
        """Everything. Raises Violation."""
        for delivery in self.books.deliveries:
            self.check_told(delivery)
            expect("answered", delivery.is_settled() or delivery.request.door == "webhook", delivery.tries)
        opened = [one for one in self.books.deliveries if one.kind == "open"]
        told = sum(status == 201 for one in opened for _, status, _ in one.answers())
        made = sum(one.version == 1 and one.since > 0 for one in self.books.lain)
        expect("opened", told <= made, (told, made))

    def check_told(self, delivery: Delivery) -> None:
        """What the sender was told."""
        for one, status, body in delivery.answers():
            own = delivery.request_id(one)
            expect("request", body.get("request_id", own) == own, body)
            self.purchases.check_told(delivery, one, status, body)
            if status < 300:
                self.check_done(delivery, one, status, body)
                self.check_coupon(delivery, one, body)
            elif status in (402, 403):
                key = self.books.key_known(delivery.request.key, one)
                refused = any(self.is_refused_in(journal, body, key) for journal in self.books.journals(one))
                expect("refusal", refused, body)
            elif status == 404:
                expect("missing", self.was_missing(delivery, one, body["code"]), body)
            elif status == 409:
                self.check_conflict(delivery, one, body)
            elif status == 422:
                exceeds = body["code"] == "capture_exceeds_hold" and self.exceeds_hold(delivery, one)
                expect("refusal", exceeds or self.purchases.is_refused(delivery, one, body), body)
            elif status == 500:
                expect("status", self.books.is_broken_for(delivery, one.ended), body)
            else:
                expect("status", status == 503, (status, body))
        if delivery.request.message and delivery.is_settled():
            self.check_acknowledged(delivery)
        if delivery.kind == "own message" and delivery.is_settled():
            self.check_worked(delivery)

    # ------------------------------------------------------------------ successes

    def check_done(self, delivery: Delivery, one: Try, status: int, body: dict[str, Any]) -> None:
        """A success: what was asked for is there as told."""
        kind = delivery.kind
        if delivery.request.key:
            done = any(_shows(journal, delivery, body) for journal in self.books.journals(one))
            expect("told", done, (kind, body))
        if kind == "paid" and status == 200:
            mine = [entry for _, entry in self.books.entries if entry.purchase_id == delivery.request.purchase]
            expect("told", any(entry.kind == "purchased" for entry in mine), mine)
        if kind in ("order", "resend"):
            attempt = max((work.attempt for work in [self.books.work(delivery.request.work)] if work), default=0)
            lost_at = self.books.lost_at(delivery.request.work)
            lost = lost_at < NEVER and (one.ended <= lost_at or delivery.request.key)  # the key still tells
            expect("told", attempt >= body["attempt"] or lost, (attempt, body))
        if kind.removeprefix("fba ") in ("capture", "capture, less", "release"):
            self.check_settled(delivery, body)
        if kind in ("open", "standing", "settings"):
            self.check_account(delivery, one, status, body)

    def check_account(self, delivery: Delivery, one: Try, status: int, body: dict[str, Any]) -> None:
        """An account was as it was shown, at some moment since the request, and what was asked of it was so."""
        asked, kind = delivery.request.asked, delivery.kind
        shown = [journal for journal in self.books.journals(one, seen=True) if journal]
        if kind == "settings":
            wanted = cents(asked["low_balance"])
            expect("settings", body == asked and any(each[-1].state.low_balance == wanted for each in shown), body)
            return
        pages = [journal[-1] for journal in shown if _is_account(journal[-1], body)]
        expect("account", pages, body)
        expect("account", kind == "open" or body["status"] == asked["status"], (asked, body))
        opened = kind == "open" and status == 201
        expect("opened", not opened or any(page.version == 1 and opens(page, asked) for page in pages), body)

    def check_settled(self, delivery: Delivery, body: dict[str, Any]) -> None:
        """A hold's parts that were told to have ended a way have ended that way, with as many dollars."""
        order_id, _, attempt = body["hold_id"].partition("~")
        expect("told", ("order", order_id) == delivery.request.work, body)
        mine = [entry for _, entry in self.books.ever if (entry.order_id, entry.attempt) == (order_id, int(attempt))]
        for name, status in body["parts"].items():
            ended = [entry for entry in mine if (entry.part, entry.kind) == (name, status)]
            expect("told", status == "open" or ended, (body, delivery.kind))
            if (name, status) == ("order", "captured"):
                taken = [-entry.posted for entry in ended if entry.unit == "managed"]
                lost = self.books.lost_at(delivery.request.work) < NEVER
                expect("told", cents(body["managed"]) in (taken or [0]) or lost, (body, taken))

    def coupon(self, code: str | None) -> Coupon | None:
        """A coupon."""
        record = self.world.store.read(NO_ACCOUNT, [("coupon", code or "")]).get(("coupon", code or ""))
        return record if isinstance(record, Coupon) else None

    def check_coupon(self, delivery: Delivery, one: Try, body: dict[str, Any]) -> None:
        """A coupon was made by the one who was told so, and is closed if he was told that."""
        if delivery.request.coupon:
            coupon = self.coupon(delivery.request.coupon)
            expect("coupon", coupon is not None and (coupon.closed or not body["closed"]), (coupon, body))
            made = delivery.kind != "coupon made" or (coupon and coupon.made_by == delivery.request_id(one))
            expect("coupon", made, (coupon, body))

    # ------------------------------------------------------------------ refusals

    def is_refused_in(self, journal: Journal, body: dict[str, Any], key: str | None) -> bool:
        """Whether the refusal was right by a journal: what was asked for, by its key, cannot have been done by then."""
        if not journal or (key and any(entry.key == key for page in journal for entry in page.entries)):
            return False
        state = journal[-1].state
        balance = state.balance(body.get("unit", "auto_order"))
        if body["code"] in ("insufficient_credits", "insufficient_managed_balance"):
            expect("refusal", (body["unit"] == "managed") == (body["code"] != "insufficient_credits"), body)
            return balance.available() == cents(body["available"]) < cents(body["required"])
        if body["code"] == "balance_frozen":
            return balance.available() < 0
        if body["code"] == "orders_processor_inactive":
            return state.orders_processor != "active"
        told = str(body.get("account_status"))
        return body["code"] == "account_inactive" and state.status == told != "active"

    def exceeds_hold(self, delivery: Delivery, one: Try) -> bool:
        """Whether more dollars were to be captured than the order's hold had at some moment since the request."""
        wanted, order_id = cents(delivery.request.asked["managed"]), (delivery.request.work or "")[1]
        held = (
            sum(entry.held for page in journal for entry in page.entries if _holds_dollars(entry, order_id))
            for journal in self.books.journals(one)
        )
        return any(dollars < wanted for dollars in held) or self.books.lost_at(delivery.request.work) <= one.ended

    def was_missing(self, delivery: Delivery, one: Try, code: str) -> bool:
        """Whether what was asked for was not there when the request began, or was lost."""
        request = delivery.request
        if code == "account_not_found":
            return not all(self.books.journals(one))
        if self.books.lost_at(request.work) <= one.ended:
            return True
        if code == "hold_not_found":
            known = [entry for page in self.books.journals(one)[0] for entry in page.entries]
            return not any(entry.kind == "held" and entry.order_id == (request.work or "")[1] for entry in known)
        if code == "purchase_not_found":
            return self.purchases.was_missing(request.purchase, one)
        place = place_of(
            delivery.account_id, ("coupon", request.coupon) if request.coupon else request.work or ("", "")
        )
        return self.world.born.get(place, one.begun + 1) > one.begun

    def check_conflict(self, delivery: Delivery, one: Try, body: dict[str, Any]) -> None:
        """A 409 names an entry that is there and did it, or there is what somebody else made."""
        work = delivery.request.work
        if body["code"] == "coupon_exists":
            coupon = self.coupon(delivery.request.coupon)
            expect("conflict", coupon and coupon.made_by != delivery.request_id(one), coupon)
        elif delivery.request.purchase:
            expect("conflict", body["code"] == "invalid_transition", body)
            expect("conflict", self.purchases.is_transition_invalid(delivery, one), body)
        elif body["code"] == "already_charged":
            charged = [entry for page, entry in self.books.ever if _is_entry(page, entry, body["entry_id"])]
            mine = [entry for entry in charged if (entry.order_id or entry.product_id) == (work or "")[1]]
            expect("conflict", any(entry.kind in ("held", "debited", "captured") for entry in mine), (body, charged))
        else:
            expect("conflict", self.books.work(work) or self.books.lost_at(work) > one.begun, body)
            if body["code"] == "invalid_transition" and delivery.request.door == "http" and not self.books.is_torn():
                self.check_transition(delivery, body)

    def check_transition(self, delivery: Delivery, body: dict[str, Any]) -> None:
        """A hold that cannot be settled this way was settled the other way, or is an earlier attempt's."""
        kind = delivery.kind.removeprefix("fba ").removesuffix(", less")
        other = {"capture": ("released", "expired"), "release": ("captured", "expired")}.get(kind)
        if other:
            work = self.books.work(delivery.request.work)
            mine = [entry for _, entry in self.books.entries if entry.order_id == (delivery.request.work or "")[1]]
            ended = [entry for entry in mine if entry.kind in other]
            expect("conflict", ended or (work and work.attempt > 1), (delivery.kind, body, mine))

    def check_acknowledged(self, delivery: Delivery) -> None:
        """The work remembers the message, or it is a dead letter, or the record was lost since."""
        request = delivery.request
        work = self.books.work(request.work)
        remembered = work is not None and work.has_seen(message_digest(*request.message or ("", "")))
        body = request.event(1)["Records"][0]["body"]
        buried = [(step, reason) for step, dead, reason in self.world.dead if dead == body]
        lost = delivery.tries[-1].begun < self.books.lost_at(request.work) < NEVER
        expect("acknowledged", remembered or buried or lost, delivery.kind)
        broken = [step for step, reason in buried if reason == "internal_error"]
        expect("status", all(self.books.is_broken_for(delivery, step) for step in broken), buried)

    def check_worked(self, delivery: Delivery) -> None:
        """A queued order whose own message was acknowledged waits for it no more."""
        work = self.books.work(delivery.request.work)
        since = self.world.queued.get((delivery.account_id, (delivery.request.work or ("", ""))[1], 1), NEVER)
        waits = work is not None and (work.status, work.attempt) == ("queued", 1)
        lost = self.books.lost_at(delivery.request.work) < NEVER
        body = delivery.request.event(1)["Records"][0]["body"]
        buried = any(dead == body for _, dead, _ in self.world.dead)
        expect("acknowledged", not waits or since >= delivery.tries[-1].begun or buried or lost, work)


def _holds_dollars(entry: Entry, order_id: str) -> bool:
    return (entry.order_id, entry.unit) == (order_id, "managed")


def _is_entry(page: Page, entry: Entry, entry_id: str) -> bool:
    version, index = map(int, entry_id.split("."))
    return page.version == version and index < len(page.entries) and page.entries[index] is entry


def _shows(journal: Journal, delivery: Delivery, body: dict[str, Any]) -> bool:
    """Whether an answer to a key is made from just the entries of this key, in one page."""
    kind = delivery.kind.removeprefix("fba ")
    told = body.get("entries") or ([body] if "entry_id" in body else [])
    if kind not in ("debit", "hold", "adjustment"):
        return not told
    count = len(told)
    if kind == "hold":
        if body["hold_id"].partition("~")[0] != (delivery.request.work or "")[1]:
            return False
        count = len(body["parts"]) + (cents(body["managed"]) > 0)
    return any(_shows_on(page, delivery.request.key, told, count, body.get("balances", {})) for page in journal)


def _shows_on(page: Page, key: str | None, told: Sequence[Any], count: int, balances: Mapping[str, Any]) -> bool:
    """Whether a page has so many entries of a key, those that were told among them, and left these balances."""
    mine = [entry for entry in page.entries if entry.key == key]
    if len(mine) != count or not all(any(_is_told(page, entry, each) for entry in mine) for each in told):
        return False
    return all(page.state.balance(unit).available() == cents(shown["available"]) for unit, shown in balances.items())


def _is_told(page: Page, entry: Entry, told: dict[str, Any]) -> bool:
    """Whether an entry is the one that was told."""
    amounts = cents(told["posted"]), cents(told["held"])
    return _is_entry(page, entry, told["entry_id"]) and (entry.kind, entry.posted, entry.held) == (
        told["kind"],
        *amounts,
    )


def _is_account(page: Page, body: dict[str, Any]) -> bool:
    """Whether an account was shown as a page left it."""
    state = page.state
    shown = {unit: (cents(one["posted"]), cents(one["held"])) for unit, one in body["balances"].items()}
    balances = {unit: (state.balance(unit).posted, state.balance(unit).held) for unit in UNITS}
    told = (body["version"], body["hash"], body["status"], body["orders_processor"])
    return shown == balances and told == (page.version, page.hash, state.status, state.orders_processor)


def check_replays(deliveries: Sequence[Delivery]) -> None:
    """All successes of one key say the same, but for a purchase, which shows itself as it stands.

    What was told before a key was lost is forgotten with it.
    """
    first: dict[Any, Any] = {}
    for delivery in deliveries:
        key = delivery.request.key
        lost = delivery.world.lost.get(place_of(delivery.account_id, ("key", key or "")))
        for one, status, body in delivery.answers():
            if key and status < 300 and delivery.kind not in STARTING:
                era = (delivery.account_id, key, lost is not None and one.begun >= lost.step)
                told = first.setdefault(era, (status, body))
                expect("replay", told == (status, body), (told, body))

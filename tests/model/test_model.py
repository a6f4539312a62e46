"""The product against a small model of the contract: after every step both have told and entered the same."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from hypothesis import Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from autocredits.domain.decide import Draft, IdempotencyKey
from autocredits.domain.journal import Entry, Page
from autocredits.domain.purchases.record import Purchase as PurchaseRecord
from autocredits.domain.work import lifecycle, messages, record
from autocredits.domain.work.calls import SettleHold
from autocredits.domain.work.messages import Result
from autocredits.domain.work.record import Work
from autocredits.edge import http
from functions.purchase.checkout import purchase_id_of
from tests.kit import figures
from tests.kit.books import check_page
from tests.model.doors import Core, Door, Service, World, functions_over, hold_id, message_of, route_of
from tests.model.model import PACKAGES, UNITS, Bounds, Model, Op, Purchase, Told, amount

ACCOUNTS = ("acme", "bolt")
STEPS = 50

ACCOUNT = st.sampled_from(["acme", "acme", "bolt"])
ORDER = st.sampled_from(["o1", "o1", "o2", "o3"])
PRODUCT = st.sampled_from(["p1", "p1", "p2"])
STORE = st.sampled_from(["s1"] * 9 + ["s2"])
TOKEN = st.sampled_from([None] * 6 + ["s1", "s2"])
TRACKING = st.sampled_from(["none", "none", "bce", "qtrack", "tracking_generator"])
METHOD = st.sampled_from(["bce", "qtrack"])
ATTEMPT = st.sampled_from([None, None, None, 1, 2, 3])
PART = st.sampled_from([None, None, None, ["order"], ["tracking"], ["order", "tracking"]])

RESULTS = (
    *("auto_order.placed", "auto_order.failed", "tracking_conversion.requested"),
    *("tracking_conversion.completed", "tracking_conversion.completed", "tracking_conversion.failed"),
)

Works = dict[str, Any]


def order(order_id: str, store: str, order_type: str, tracking: str, cost: str) -> Works:
    """WORK of an order."""
    told = {"order_id": order_id, "store_id": store, "order_type": order_type, "tracking": tracking}
    return {**told, "cost": cost} if order_type == "fba" else told


def sourced(product_id: str, store: str) -> Works:
    """WORK of a sourcing request."""
    return {"product_id": product_id, "store_id": store, "sourcing": True}


COST = st.sampled_from(["23.50"] * 5 + ["7.00"])
QUEUED = st.builds(order, ORDER, STORE, st.sampled_from(["auto", "auto", "fba"]), TRACKING, COST)
WORK = st.one_of(
    QUEUED,
    st.builds(order, ORDER, STORE, st.sampled_from(["auto", "manual"]), TRACKING, COST),
    st.builds(sourced, PRODUCT, STORE),
)


def result(told: dict[str, Any], attempt: int | None, **more: Any) -> dict[str, Any]:
    """A message's data, without what is None."""
    return {name: value for name, value in {**told, "attempt": attempt, **more}.items() if value is not None}


class Against(RuleBasedStateMachine):
    """Two accounts behind one door, and the model beside it. `count` is of all machines of this process."""

    count: ClassVar[Counter[str]] = Counter()
    bounds: ClassVar[Bounds] = Bounds()

    def __init__(self) -> None:
        super().__init__()
        self.door: Door = self.open_door()
        self.model = Model(*ACCOUNTS, bounds=self.bounds)
        self.done: list[tuple[str, Op]] = []
        self.answers: dict[tuple[str, str], Told] = {}
        self.heads: dict[str, Page | None] = dict.fromkeys(ACCOUNTS)
        self.number = 0
        self.right = True

    def open_door(self) -> Door:
        """The product of this machine."""
        return Core()

    # A step: both do it, and both must have told and done the same.

    def do(self, account: str, op: Op) -> None:
        """Do it here and there."""
        self.count["steps"] += 1
        self.right = False
        self.door.world.clock.at_ms += 1000
        lines = {name: len(books.lines) for name, books in self.model.books.items()}
        expected, told = self.model.call(account, op), self.door.call(account, op)
        self.done.append((account, op))
        self.count[f"{op.do}: {expected.code or expected.status}"] += 1
        self.compare(account, op, expected, told)
        for name in ACCOUNTS:
            self.check_lines(name, lines[name])
        self.check_work(account, op)
        self.right = True

    def compare(self, account: str, op: Op, expected: Told, told: Told) -> None:  # noqa: ARG002 - a service shows more
        """What was told: the core has no status of a success."""
        assert (told.code, told.replayed) == (expected.code, expected.replayed), (op, expected, told)

    def check_lines(self, name: str, known: int) -> None:
        """At most one new page, which holds just the model's entries, and the balances that they make."""
        books, page, before = self.model.books[name], self.door.world.store.head(name), self.heads[name]
        assert (page is not None) == books.open
        if page is None:
            return
        entered: list[Any] = []
        if before is None or page.version != before.version:
            check_page(page, before)
            entered = [(entry.kind, entry.unit, entry.posted, entry.held) for entry in page.entries]
        assert comparable(entered) == comparable(books.lines[known:])
        self.heads[name] = page
        for unit in UNITS:
            balance = page.state.balance(unit)
            assert (balance.posted, balance.held) == (books.posted[unit], books.held[unit])
            new_work = {("held", unit), ("debited", unit)} & {line[:2] for line in books.lines[known:]}
            assert balance.available() >= 0 or not new_work

    def check_work(self, account: str, op: Op) -> None:
        """The work that the step was about, and what is held in all."""
        books = self.model.books[account]
        kind, work_id = place_of(op)
        if work_id is not None:
            stored = self.door.world.store.read(account, [(kind, work_id)]).get((kind, work_id))
            work = books.works.get((kind, work_id))
            assert (stored is None) == (work is None)
            if work is not None:
                assert isinstance(stored, Work)
                assert (stored.status, stored.attempt, stored.credits) == (work.status, work.attempt, work.credits)
                assert (stored.tracking_number, stored.supplier_order_id) == (work.number, work.supplier)
                assert stored.rev == work.changes
                assert parts_of(stored.parts) == parts_of(work.parts)
        held = sum(p.credits + p.managed for w in books.works.values() for p in w.parts.values() if p.status == "open")
        frozen = sum(purchase.frozen for purchase in books.purchases.values())
        assert held + frozen == sum(books.held.values())

    def keyed(self, do: str, told: dict[str, Any], store: str | None = None) -> Op:
        """A request with a new key."""
        self.number += 1
        return Op(do, told, key=f"k{self.number}", store=store)

    def message(self, do: str, told: dict[str, Any]) -> Op:
        """A new message."""
        self.number += 1
        return Op(do, told, message_id=f"m{self.number}")

    def teardown(self) -> None:
        """The whole journal once more: the balance is the sum of its entries."""
        self.count["examples"] += 1
        for name in ACCOUNTS if self.right else ():
            sums: Counter[tuple[str, str]] = Counter()
            before: Page | None = None
            for page in self.door.world.store.pages_before(name, 10**9, 10**9)[::-1]:
                check_page(page, before)
                before = page
                for entry in page.entries:
                    sums[entry.unit or "", "posted"] += entry.posted
                    sums[entry.unit or "", "held"] += entry.held
            books = self.model.books[name]
            for unit in UNITS:
                assert (sums[unit, "posted"], sums[unit, "held"]) == (books.posted[unit], books.held[unit])

    # Accounts.

    @initialize(
        credits_=st.sampled_from(["1.50", "6.00", "20.00"]),
        managed=st.sampled_from(["25.00", "60.00"]),
        both=st.sampled_from([True, True, False]),
    )
    def start(self, credits_: str, managed: str, *, both: bool) -> None:
        """The first account is at work from the start; the second has its free credits, or is not open."""
        for name in ACCOUNTS if both else ACCOUNTS[:1]:
            self.do(name, Op("open", {"orders_processor": "active"}))
        for unit, sum_ in (("auto_order", credits_), ("managed", managed)):
            self.do("acme", self.keyed("adjustments", {"unit": unit, "amount": sum_, "reason": "a gift"}))

    @rule(
        account=st.sampled_from(["acme", "bolt", "bolt"]),
        add_on=st.sampled_from(["active", "active", "inactive"]),
        opening=st.sampled_from([None, {}, {"auto_order": "12.00", "managed": "30.00", "finder": "0.00"}]),
    )
    def opens(self, account: str, add_on: str, opening: dict[str, str] | None) -> None:
        """PUT the account, perhaps with the balances that it brings along."""
        self.do(account, Op("open", {"orders_processor": add_on, **({} if opening is None else {"opening": opening})}))

    @rule(account=ACCOUNT, status=st.sampled_from(["active"] * 5 + ["paused", "suspended", "closed"]))
    def status(self, account: str, status: str) -> None:
        """PATCH the status; mostly back to active."""
        self.do(account, Op("standing", {"status": status}))

    @rule(account=ACCOUNT, add_on=st.sampled_from(["active"] * 4 + ["inactive"]))
    def add_on(self, account: str, add_on: str) -> None:
        """PATCH the add-on, and the status with it."""
        self.do(account, Op("standing", {"orders_processor": add_on, "status": "active"}))

    @rule(account=ACCOUNT, low=st.sampled_from([None, "2.00", "4.00"]))
    def threshold(self, account: str, low: str | None) -> None:
        """PUT the settings."""
        self.do(account, Op("settings", {"low_balance": low}))

    @rule(
        account=ACCOUNT,
        unit=st.sampled_from(["auto_order", "auto_order", "managed", "finder"]),
        sum_=st.sampled_from(["1.50", "4.00", "20.00", "25.00", "-2.00", "-0.33", "-7.00", "999999999.99"]),
    )
    def adjusts(self, account: str, unit: str, sum_: str) -> None:
        """POST an adjustment."""
        if sum_.startswith("9") and unit != "finder":
            sum_ = "6.00"
        self.do(account, self.keyed("adjustments", {"unit": unit, "amount": sum_, "reason": "a gift"}))

    # Work over HTTP.

    @rule(account=ACCOUNT, work=WORK, do=st.sampled_from(["debits", "holds", "holds"]), token=TOKEN)
    def charges(self, account: str, work: Works, do: str, token: str | None) -> None:
        """POST a debit or a hold."""
        self.do(account, self.keyed(do, work, token))

    @rule(account=ACCOUNT, work=QUEUED)
    def queues(self, account: str, work: Works) -> None:
        """POST an order."""
        self.do(account, self.keyed("orders", work))

    @rule(account=ACCOUNT, data=st.data(), do=st.sampled_from(["capture", "capture", "release"]), parts=PART)
    def settles(self, account: str, data: st.DataObject, do: str, parts: list[str] | None) -> None:
        """Capture or release, mostly the present hold."""
        works = self.model.books[account].works
        kind, work_id = data.draw(st.sampled_from(sorted(works) or [("order", "o1")]))
        work = works.get((kind, work_id))
        attempt = max(1, (work.attempt if work else 1) + data.draw(st.sampled_from([0, 0, 0, 0, 0, -1, 1])))
        told = {"kind": kind, "work_id": work_id, "attempt": attempt}
        if parts is not None and kind == "order":
            told["parts"] = parts
        held = work.parts["order"] if work and "order" in work.open_parts() else None
        if do == "capture" and held and held.managed and (parts is None or "order" in parts):
            told |= data.draw(st.sampled_from([{}, {"managed": "6.10"}, {"managed": amount(held.managed + 1)}]))
        self.do(account, Op(do, told))

    @rule(account=ACCOUNT, order_id=ORDER, token=TOKEN)
    def resends(self, account: str, order_id: str, token: str | None) -> None:
        """POST a resend."""
        self.do(account, Op("resend", {"order_id": order_id}, store=token))

    # Messages.

    @rule(account=ACCOUNT, work=QUEUED, attempt=ATTEMPT)
    def requested(self, account: str, work: Works, attempt: int | None) -> None:
        """`auto_order.requested`."""
        self.do(account, self.message("auto_order.requested", result(work, attempt)))

    @rule(account=ACCOUNT, order_id=ORDER, attempt=ATTEMPT, managed=st.sampled_from([None, "21.10", "30.00"]))
    def placed(self, account: str, order_id: str, attempt: int | None, managed: str | None) -> None:
        """`auto_order.placed`; what was spent is mostly told of orders that hold it."""
        work = self.model.books[account].works.get(("order", order_id))
        told = {"order_id": order_id, **self.details("auto_order.placed")}
        spent = managed if managed == "30.00" or (work is not None and work.order_type == "fba") else None
        self.do(account, self.message("auto_order.placed", result(told, attempt, managed=spent)))

    @rule(account=ACCOUNT, order_id=ORDER, attempt=ATTEMPT)
    def failed(self, account: str, order_id: str, attempt: int | None) -> None:
        """`auto_order.failed`."""
        told = {"order_id": order_id, "reason": "out of stock"}
        self.do(account, self.message("auto_order.failed", result(told, attempt)))

    @rule(
        account=ACCOUNT,
        order_id=ORDER,
        store=STORE,
        method=METHOD,
        order_type=st.sampled_from([None, None, "auto", "fba", "manual"]),
    )
    def conversion(self, account: str, order_id: str, store: str, method: str, order_type: str | None) -> None:
        """`tracking_conversion.requested`."""
        do = "tracking_conversion.requested"
        told = {"order_id": order_id, "store_id": store, "tracking": method, **self.details(do)}
        self.do(account, self.message(do, result(told, None, order_type=order_type)))

    @rule(account=ACCOUNT, order_id=ORDER, attempt=ATTEMPT, method=st.none() | METHOD, well=st.booleans())
    def converted(self, account: str, order_id: str, attempt: int | None, method: str | None, *, well: bool) -> None:
        """`tracking_conversion.completed` or `.failed`."""
        do = "tracking_conversion.completed" if well else "tracking_conversion.failed"
        told = {"order_id": order_id, **self.details(do)}
        self.do(account, self.message(do, result(told, attempt, tracking=method)))

    @rule(account=ACCOUNT, product_id=PRODUCT, store=STORE)
    def sourcing(self, account: str, product_id: str, store: str) -> None:
        """`sourcing.requested`."""
        self.do(account, self.message("sourcing.requested", {"product_id": product_id, "store_id": store}))

    @rule(account=ACCOUNT, product_id=PRODUCT, attempt=ATTEMPT, well=st.booleans())
    def sourced(self, account: str, product_id: str, attempt: int | None, *, well: bool) -> None:
        """`sourcing.accepted` or `.rejected`."""
        do = "sourcing.accepted" if well else "sourcing.rejected"
        self.do(account, self.message(do, result({"product_id": product_id}, attempt)))

    # More than one step.

    @rule(
        account=ACCOUNT,
        work=QUEUED,
        doors=st.lists(st.sampled_from(["debits", "holds", "auto_order.requested"]), min_size=1, max_size=2),
        told=st.lists(st.sampled_from(RESULTS), min_size=1, max_size=4),
        method=METHOD,
    )
    def goes_on(self, account: str, work: Works, doors: list[str], told: list[str], method: str) -> None:
        """An order that can be paid, and what is told of it: of its own method and of another; perhaps once more."""
        self.do(account, self.keyed("adjustments", {"unit": "auto_order", "amount": "4.00", "reason": "a gift"}))
        for door in doors:
            self.do(account, self.message(door, work) if "." in door else self.keyed(door, work))
            self.tell(account, work, told, method)

    def tell(self, account: str, work: Works, told: Sequence[str], method: str) -> None:
        """Results of an order, every other one of a method that it names."""
        for number, do in enumerate(told):
            data = {"order_id": work["order_id"], **self.details(do)}
            if do == "tracking_conversion.requested":
                data |= {"store_id": work["store_id"], "tracking": method}
            elif do.startswith("tracking") and number % 2:
                data["tracking"] = method
            self.do(account, self.message(do, data))

    def details(self, do: str) -> dict[str, str]:
        """What a message says beside what it is about, each with a number of its own."""
        self.number += 1
        name = {"placed": "supplier_order_id", "failed": "reason"}.get(do.partition(".")[2], "tracking_number")
        return {name: f"N{self.number}"}

    # The same again.

    @rule(back=st.integers(1, 12))
    def again(self, back: int) -> None:
        """An earlier step once more: the same key, the same message."""
        if len(self.done) >= back:
            self.do(*self.done[-back])

    @rule(account=ACCOUNT, work=QUEUED)
    def again_when_it_could(self, account: str, work: Works) -> None:
        """A request once more after its order has failed, when there are credits for it: the message is known."""
        request = self.message("auto_order.requested", work)
        self.do(account, request)
        self.do(account, self.message("auto_order.failed", {"order_id": work["order_id"], "reason": "out of stock"}))
        self.do(account, self.keyed("adjustments", {"unit": "auto_order", "amount": "20.00", "reason": "a gift"}))
        self.do(account, request)

    @precondition(lambda self: any(op.key for _, op in self.done))
    @rule(back=st.integers(1, 8), work=QUEUED, do=st.sampled_from(["debits", "holds", "orders"]))
    def other_body(self, back: int, work: Works, do: str) -> None:
        """An earlier key with another request."""
        keyed = [(account, op) for account, op in self.done if op.key]
        account, op = keyed[-min(back, len(keyed))]
        self.do(account, Op(do, work, key=op.key))

    @rule(seconds=st.sampled_from([1, 3600, 15 * 86_400]))
    def time_goes_on(self, seconds: int) -> None:
        """Even past the end of a hold: until a sweep enters that, it can be captured."""
        self.count["steps"] += 1
        self.door.world.clock.at_ms += seconds * 1000


def parts_of(parts: Mapping[str, Any]) -> dict[str, Any]:
    """How parts stand, and what the open ones hold."""
    return {
        name: (part.status, (part.credits, part.managed) if part.status == "open" else None)
        for name, part in parts.items()
    }


def place_of(op: Op) -> tuple[str, str | None]:
    """The work that an operation is about."""
    told = op.told
    if "work_id" in told:
        return told["kind"], told["work_id"]
    return ("product", told["product_id"]) if "product_id" in told else ("order", told.get("order_id"))


class WholeService(Against):
    """The same behind the handlers, with reading, buying and the service's own messages."""

    worlds: ClassVar[dict[str, World]] = {}

    def open_door(self) -> Door:
        """The handlers."""
        self.service = Service()
        self.worlds["now"] = self.service.world
        return self.service

    def compare(self, account: str, op: Op, expected: Told, told: Told) -> None:
        """Status, code, and the answer as far as the model knows it; a replay is the first answer."""
        super().compare(account, op, expected, told)
        assert told.status == expected.status, (op, expected, told)
        shown = {name: told.shown.get(name) for name in expected.shown}
        assert shown == dict(expected.shown), (op, expected, told)
        if op.key and told.status < 300 and op.do != "purchases":
            first = self.answers.setdefault((account, op.key), told)
            assert (first.status, first.shown) == (told.status, told.shown)
        sent = [(name, work[0]) for name in ACCOUNTS for work in self.model.books[name].sent]
        assert len(self.service.world.queue.sent) == len(sent)

    @rule(account=ACCOUNT)
    def resends_all(self, account: str) -> None:
        """POST a resend of all that failed."""
        self.do(account, Op("resend_all", {}))

    @precondition(lambda self: self.service.world.queue.sent)
    @rule(index=st.integers(0, 10**6))
    def delivers(self, index: int) -> None:
        """A message that the service has sent, whichever, and however often it was delivered."""
        sent = self.service.world.queue.sent
        account, body = sent[index % len(sent)]
        self.do(account, parsed(body))

    @rule(account=ACCOUNT, told=st.sampled_from([{"price": "1.00"}, {"order_id": ""}, {"attempt": 0}]))
    def bad_message(self, account: str, told: dict[str, Any]) -> None:
        """A message that can never be processed is a dead letter at once."""
        work = order("o1", "s1", "auto", "none", "") | told
        answer = self.service.deliver(message_of(account, Op("auto_order.requested", work, message_id="bad")))
        assert answer.code in {"unknown_field", "invalid_id", "invalid_field"}

    @rule(account=ACCOUNT, work=WORK)
    def quotes(self, account: str, work: Works) -> None:
        """A price as it is now, whatever the standing; other work under a known order is a conflict, as for a debit."""
        self.do(account, Op("quotes", work))

    @rule(account=ACCOUNT)
    def reads(self, account: str) -> None:
        """The balance, every work, every hold, and all lists."""
        self.count["steps"] += 1
        books = self.model.books[account]
        balance = self.service.request("GET", f"/v1/accounts/{account}/balance")
        assert balance.status == (200 if books.open else 404)
        if not books.open:
            return
        assert balance.shown["balances"] == {unit: triple(books.posted[unit], books.held[unit]) for unit in UNITS}
        assert (balance.shown["status"], balance.shown["orders_processor"]) == (books.status, books.add_on)
        for (kind, work_id), work in books.works.items():
            self.read_work(account, kind, work_id)
            shown = self.service.request("GET", f"/v1/accounts/{account}/holds/{self.hold_of(account, kind, work_id)}")
            assert shown.status == (200 if work.parts else 404)
        self.read_lists(account)

    @rule(account=ACCOUNT, work=WORK, do=st.sampled_from(["debits", "holds", "adjustments", "standing", "resend"]))
    def trespasses(self, account: str, work: Works, do: str) -> None:
        """Another merchant's token changes nothing, and does not even learn whether there is the account."""
        self.count["steps"] += 1
        gift = {"unit": "auto_order", "amount": "1.00", "reason": "a gift"}
        other = {"adjustments": gift, "standing": {"status": "paused"}, "resend": {"order_id": "o1"}}
        op = self.keyed(do, other.get(do, work))
        (stranger,) = set(ACCOUNTS) - {account}
        told = self.service.request(*route_of(account, op), account=stranger, key=op.key)
        hidden = "not_found" if do in {"adjustments", "standing"} else "account_not_found"
        assert (told.status, told.code) == (404, hidden)
        assert self.service.world.store.head(account) == self.heads[account]

    def hold_of(self, account: str, kind: str, work_id: str) -> str:
        """The id of the present hold."""
        attempt = self.model.books[account].works[kind, work_id].attempt
        return hold_id({"kind": kind, "work_id": work_id, "attempt": attempt})

    def read_work(self, account: str, kind: str, work_id: str) -> None:
        """One order or sourcing request."""
        work = self.model.books[account].works[kind, work_id]
        folder = "orders" if kind == "order" else "sourcing"
        shown = self.service.request("GET", f"/v1/accounts/{account}/{folder}/{work_id}").shown
        assert (shown["status"], shown["attempt"], shown["credits"]) == (
            work.status,
            work.attempt,
            amount(work.credits),
        )
        assert shown["parts"] == {name: part.status for name, part in work.parts.items()}
        assert (shown["status_text"] is not None) <= work.has_ended()
        assert shown["hold_id"] == (self.hold_of(account, kind, work_id) if work.parts else None)

    def read_lists(self, account: str) -> None:
        """All entries, newest first, by pages of thirty; and the lists of orders and purchases."""
        books, path = self.model.books[account], f"/v1/accounts/{account}"
        items: list[Any] = []
        query: dict[str, str] | None = {"limit": "30"}
        while query:
            answer = self.service.request("GET", f"{path}/entries", query=query).shown
            items += answer["items"]
            query = {"limit": "30", "cursor": answer["next_cursor"]} if answer["next_cursor"] else None
        told = [(item["kind"], item["unit"], item["posted"], item["held"]) for item in items]
        lines = [(kind, unit, *(amount(x) if unit else None for x in more)) for kind, unit, *more in books.lines]
        assert comparable(told) == comparable(lines)
        assert [item["version"] for item in items] == sorted((item["version"] for item in items), reverse=True)
        orders = {work_id: work.status for (kind, work_id), work in books.works.items() if kind == "order"}
        for status in (None, "failed", "queued"):
            query = {} if status is None else {"status": status}
            shown = self.service.request("GET", f"{path}/orders", query=query).shown["items"]
            known = {order_id: stands for order_id, stands in orders.items() if status in (None, stands)}
            assert {item["order_id"]: item["status"] for item in shown} == known
        shown = self.service.request("GET", f"{path}/purchases", query={"limit": "100"}).shown["items"]
        assert {item["purchase_id"]: item["status"] for item in shown} == {
            purchase_id_of(account, key): purchase.status for key, purchase in books.purchases.items()
        }

    # Buying.

    @rule(
        account=ACCOUNT,
        what=st.sampled_from([*({"package": name} for name in PACKAGES), {"unit": "managed", "amount": "6.35"}]),
    )
    def buys(self, account: str, what: dict[str, str]) -> None:
        """POST a purchase."""
        self.do(account, self.keyed("purchases", {**what, "payment_method": "card"}))

    @precondition(lambda self: any(books.purchases for books in self.model.books.values()))
    @rule(
        data=st.data(),
        kind=st.sampled_from(
            ["payment.succeeded"] * 4
            + ["payment.declined", "payment.refunded", "dispute.created", "dispute.won", "dispute.lost"]
        ),
        stray=st.sampled_from([False] * 8 + [True]),
        share=st.sampled_from([1, 1, 1, 3, 0]),
    )
    def pays(self, data: st.DataObject, kind: str, share: int, *, stray: bool) -> None:
        """An event of the provider, mostly of the purchase's own payment."""
        account, key, purchase = self.pick(data)
        if purchase.status == "review" or purchase.refused:
            return  # what a refund of a payment in review does is a person's matter
        whole = kind.startswith("dispute")
        cents = purchase.price if whole or share == 1 else purchase.price // share if share else purchase.price + 1
        payment = "pay-stray" if stray else f"pay-{account}-{key}"
        told = {"type": kind, "purchase": key, "payment": payment, "amount": amount(cents)}
        self.do(account, Op("webhook", told))
        self.read_purchase(account, key)

    @precondition(lambda self: any(books.purchases for books in self.model.books.values()))
    @rule(data=st.data(), decision=st.sampled_from(["credit", "refuse"]))
    def reviews(self, data: st.DataObject, decision: str) -> None:
        """A person's decision."""
        account, key, _ = self.pick(data)
        self.do(account, Op("review", {"purchase": key, "decision": decision}))
        self.read_purchase(account, key)

    def pick(self, data: st.DataObject) -> tuple[str, str, Purchase]:
        """One of the purchases, those in review first."""
        known = [(name, key, one) for name in ACCOUNTS for key, one in self.model.books[name].purchases.items()]
        return known[data.draw(st.integers(0, len(known) - 1))]

    def read_purchase(self, account: str, key: str) -> None:
        """The purchase as it stands."""
        shown = self.service.request("GET", f"/v1/accounts/{account}/purchases/{purchase_id_of(account, key)}").shown
        purchase = self.model.books[account].purchases[key]
        assert (shown["status"], shown["refunded"]) == (purchase.status, amount(purchase.refunded))


class Bounded(WholeService):
    """The same where a piece of work has few attempts and few changes, so that their ends are soon met."""

    bounds = Bounds(attempts=2, changes=7)


def parsed(body: str) -> Op:
    """A message of the service as an operation."""
    event = json.loads(body)
    told = {name: value for name, value in event["data"].items() if name != "account_id"}
    return Op(event["type"], told, message_id=event["id"])


def comparable(lines: Iterable[tuple[Any, ...]]) -> list[str]:
    """Entries in a sequence of their own."""
    return sorted(map(str, lines))


def triple(posted: int, held: int) -> dict[str, str]:
    """A balance as it is shown."""
    return {"posted": amount(posted), "held": amount(held), "available": amount(posted - held)}


@pytest.fixture(autouse=True)
def functions() -> Iterator[None]:
    """The functions, over the world of the machine that runs."""
    with functions_over(WholeService.worlds):
        yield


CHUNKS = figures.size(test=1, prove=8)
EXAMPLES = figures.size(test=60, prove=400)
FINDING = (Phase.generate,)


def run(machine: type[Against], chunk: int, examples: int, phases: Sequence[Phase] = tuple(Phase)) -> Counter[str]:
    """Run a machine, and count what it has done."""
    machine.count = Counter()
    seed(figures.seed() + chunk)(machine)
    config = settings(max_examples=examples, stateful_step_count=STEPS, report_multiple_bugs=False, phases=phases)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record, "MAX_ATTEMPTS", machine.bounds.attempts)
        patch.setattr(record, "MAX_CHANGES", machine.bounds.changes)
        run_state_machine_as_test(machine, settings=config)
    return machine.count


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("machine", [Against, WholeService, Bounded])
def test_the_product_is_as_the_model(machine: type[Against], chunk: int) -> None:
    """Core and service tell and enter what the contract says, whatever came before."""
    count = run(machine, chunk, EXAMPLES)
    figures.tally(steps=count["steps"], examples=count["examples"])


def _free(add: Callable[[Draft, Entry], str]) -> Callable[[Draft, Entry], str]:
    return lambda draft, entry: add(draft, replace(entry, posted=0) if entry.kind == "captured" else entry)


def _any_request(replay: Callable[[Draft, IdempotencyKey], Any]) -> Callable[[Draft, IdempotencyKey], Any]:
    def any_request(draft: Draft, key: IdempotencyKey) -> Any:
        known = draft.records.get(("key", key.key))
        return replay(draft, replace(key, fingerprint=getattr(known, "fingerprint", key.fingerprint)))

    return any_request


def _never(_: Any) -> Callable[..., None]:
    return lambda *_: None


def _keep_numbers(next_attempt: Callable[..., Work]) -> Callable[..., Work]:
    def keep(work: Work, *more: Any) -> Work:
        return replace(next_attempt(work, *more), tracking_number=work.tracking_number)

    return keep


def _never_waits(_: Any) -> Callable[..., Any]:
    return lambda result, draft, work: result.changes_nothing(draft, work)


def _all_open(_: Any) -> Callable[..., Any]:
    return lambda _, work: work.open_parts()


BREAKS: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "a capture takes nothing": (Draft, "add", _free),
    "a key is good for any request": (Draft, "replay", _any_request),
    "a message is not remembered": (Work, "has_seen", lambda _: lambda *_: False),
    "work may be charged again": (Work, "live_entry_id", _never),
}

BREAKS_OF_WORK: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "a number stays in the next attempt": (lifecycle, "next_attempt", _keep_numbers),
    "no result waits for its method": (Result, "after_the_end", _never_waits),
    "a repeated call takes what was opened later": (SettleHold, "open_by_default", _all_open),
    "what was charged is never completed": (messages, "complete_charged", _never),
    "attempts without end": (Work, "check_room", _never),
}

BREAKS_OF_SERVICE: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "any token reaches any account": (http, "check_reaches", _never),
    "an order stands in no list": (Work, "listings", lambda _: lambda *_: ()),
    "a purchase stands in no list": (PurchaseRecord, "listings", lambda _: lambda *_: ()),
}


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        *((machine, name) for machine in (Against, WholeService) for name in BREAKS),
        *((WholeService, name) for name in BREAKS_OF_SERVICE),
        *((Bounded if name == "attempts without end" else Against, name) for name in BREAKS_OF_WORK),
    ],
)
def test_a_broken_product_is_found(machine: type[Against], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A product that was broken on purpose is not as the model, and a few hundred examples show it."""
    owner, attribute, broken = (BREAKS | BREAKS_OF_SERVICE | BREAKS_OF_WORK)[name]
    monkeypatch.setattr(owner, attribute, broken(getattr(owner, attribute)))
    with pytest.raises(AssertionError):
        run(machine, 0, 400, FINDING)

"""A table on a real engine whose transactions are torn by hand, checked and mended by the command."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autocredits.adapters.dynamo import DynamoStore
from autocredits.domain.accounts import OpenAccount
from autocredits.domain.decide import Command, NotYet
from autocredits.domain.errors import Problem
from autocredits.domain.journal import Page
from autocredits.domain.purchases.calls import MakeCoupon, SettleAgain
from autocredits.domain.purchases.coupons import Coupon
from autocredits.domain.purchases.record import DUE_PURCHASES
from autocredits.domain.records import NO_ACCOUNT
from autocredits.domain.state import Balance
from autocredits.ledger.commit import Ledger
from dev.restore import check
from dev.restore.check import Line
from functions.purchase.payments.port import Provider
from tests.kit.builders import ACCOUNT_ID, CATALOG, PLATFORM, adjust
from tests.kit.memory import ManualClock

Item = dict[str, Any]
Place = tuple[str, str]
Items = Mapping[Place, Item]

HOUR_MS = 3_600_000

COUPONS = (
    Coupon(code="FREE", percent_off=10_000, max_uses=9),
    Coupon(code="TEN", percent_off=1000, max_uses=9),
    Coupon(code="MORE", bonus_credits=100),
)


@dataclass(slots=True)
class Table:
    """A table on the engine, and what the command finds in it."""

    store: DynamoStore
    clock: ManualClock = field(default_factory=ManualClock)
    provider: Provider | None = None

    def do(self, command: Command, account_id: str = ACCOUNT_ID) -> str:
        """What came of a command, in one word."""
        self.clock.at_ms += 1000
        try:
            return Ledger(self.store, self.clock, CATALOG).execute(account_id, command).done.did
        except Problem as problem:
            return problem.code
        except NotYet:
            return "not_yet"

    def begin(self) -> None:
        """An account that can pay for anything, and coupons."""
        self.do(OpenAccount(PLATFORM, "active"))
        self.do(adjust("managed", 100_000))
        self.do(adjust("auto_order", 100_000))
        for coupon in COUPONS:
            self.do(MakeCoupon(caller=PLATFORM, coupon=coupon, request_id="its maker"), NO_ACCOUNT)

    def items(self) -> Items:
        """Everything in it, by its primary keys."""
        pages = self.store.client.get_paginator("scan").paginate(TableName=self.store.table_name, ConsistentRead=True)
        return {(item["pk"]["S"], item["sk"]["S"]): item for page in pages for item in page["Items"]}

    def put(self, items: Items) -> None:
        """Put items in, as a restore does."""
        for item in items.values():
            self.store.client.put_item(TableName=self.store.table_name, Item=item)

    def delete(self, *places: Place) -> None:
        """Take items out."""
        for pk, sk in places:
            key = {"pk": {"S": pk}, "sk": {"S": sk}}
            self.store.client.delete_item(TableName=self.store.table_name, Key=key)

    def check(
        self, *, repair: bool = False, later_ms: int = HOUR_MS, may_serve: Callable[[], Sequence[str]] = list
    ) -> list[Line]:
        """The lines of the command, an hour later."""
        table = check.Table(self.store, self._open, lambda: self.clock.now_ms() + later_ms, may_serve)
        return list(check.check(table, repair=repair))

    def _open(self, name: str) -> Provider | None:
        return self.provider if self.provider is not None and self.provider.name == name else None

    def pages(self) -> Sequence[Page]:
        """The journal, oldest page first."""
        return list(self.store.pages_before(ACCOUNT_ID, 10**9, 10**6))[::-1]

    def balances(self) -> Mapping[str, Balance]:
        """What the newest page says."""
        page = self.store.head(ACCOUNT_ID)
        assert page is not None
        return {unit: balance for unit, balance in page.state.balances.items() if balance != Balance()}

    def poll(self) -> None:
        """Settle what is unsettled and due, as the purchase poll does."""
        for due in self.store.list(DUE_PURCHASES, NO_ACCOUNT, limit=50):
            purchase = self.store.read(due.account_id, [("purchase", due.item_id)])["purchase", due.item_id]
            coupon = getattr(purchase, "coupon", None)
            self.do(SettleAgain(purchase_id=due.item_id, coupon=coupon, actor="system:poll"), due.account_id)


def open_lines(lines: Sequence[Line]) -> list[Line]:
    """What needs something to be done."""
    return [line for line in lines if line.is_open()]


def is_page(place: Place) -> bool:
    """Whether a place is that of a page."""
    return place[1].startswith("page#")

"""What HTTP and the schedule ask of purchases: start, checkout, cancel, review, poll; and coupons made and closed."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from autocredits.domain.access import Caller, check_exists, check_manages
from autocredits.domain.decide import Done, Draft, IdempotencyKey, NotYet
from autocredits.domain.errors import Problem
from autocredits.domain.money import format_amount
from autocredits.domain.records import RecordKey
from autocredits.domain.state import State, check_limit

from .coupons import Coupon, Terms, check_usable, count_coupon, coupon_keys, read_coupon, tallied, terms_of
from .facts import MAX_CHECKOUTS, Checkout, Decision
from .fulfil import put_purchase, settle
from .record import PAYABLE, Purchase, read_purchase

RESTORED = "Entered again: its entry was lost when the table was restored."

ON_ITS_WAY = "The money for this purchase is on its way."


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseRequest:
    """What is to be bought: a package by its name, or a load of `managed` for `amount` US cents."""

    package: str | None = None
    amount: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How a purchase is to be paid: the method, its provider, and what that can take, in US cents."""

    name: str
    provider: str
    least: int
    greatest: int

    def check_takes(self, price: int) -> None:
        """Raise Problem `invalid_amount` for a price that the provider cannot take; nothing to pay needs none."""
        if price and not self.least <= price <= self.greatest:
            least, greatest = format_amount(self.least), format_amount(self.greatest)
            raise Problem("invalid_amount", f"{self.name} takes payments from {least} to {greatest}.")

    def checkout(self, number: int, at_ms: int, return_url: str | None, request_id: str | None) -> Checkout:
        """A checkout by this method that the provider does not know of yet."""
        return Checkout(
            number=number,
            payment_method=self.name,
            provider=self.provider,
            started_at=at_ms,
            return_url=return_url,
            request_id=request_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StartPurchase:
    """Records a purchase with its price frozen, and counts its coupon; a total of 0.00 is credited at once."""

    caller: Caller
    idempotency: IdempotencyKey
    purchase_id: str
    request: PurchaseRequest
    method: Method
    coupon: str | None = None
    return_url: str | None = None

    def records(self) -> tuple[RecordKey, ...]:
        """The key, the purchase, and the coupon with the account's uses of it."""
        return (("key", self.idempotency.key), ("purchase", self.purchase_id), *coupon_keys(self.coupon))

    @property
    def expects_new(self) -> bool:
        """Everything is new but the coupon, which has to be read."""
        return self.coupon is None

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`, `store_forbidden`, `idempotency_key_reused`, `account_inactive`,
        `orders_processor_inactive`, `unknown_package`, `coupon_invalid`, `invalid_amount`, `balance_limit`.
        """  # noqa: D205 - one list of codes
        check_manages(draft.head, self.caller)
        replay = draft.replay(self.idempotency)
        known = draft.get(("purchase", self.purchase_id), Purchase)
        first = len(draft.entries)
        if replay and (known or replay.count):
            return replay
        if known:  # its key was lost in a restore
            draft.remember(self.idempotency, first)
            return Done(did=known.status(), first=first, record=known)
        check_may_buy(draft.state)
        purchase = self.priced(draft)
        self.method.check_takes(purchase.price)
        check_limit(draft.state, purchase.unit, purchase.total_credits())
        draft.decisive = True
        if self.coupon is not None:
            count_coupon(draft, self.coupon, 1)
        purchase = settle(draft, purchase, self.caller.actor, first=first, key=self.idempotency.key)
        if not replay:  # else its purchase was lost in a restore
            draft.remember(self.idempotency, first)
        return Done(did=purchase.status(), first=first, count=len(draft.entries) - first, record=purchase)

    def priced(self, draft: Draft) -> Purchase:
        """The purchase as it starts. Raises Problem `unknown_package`, `coupon_invalid`."""
        package = draft.catalog.package(self.request.package) if self.request.package else None
        terms = Terms(package.price if package else self.request.amount)
        if self.coupon is not None:
            coupon, used = read_coupon(draft, self.coupon)
            terms = terms_of(check_usable(coupon, used, self.request.package, draft.now_ms), terms.price)
        return Purchase(
            purchase_id=self.purchase_id,
            package=self.request.package,
            unit=package.unit if package else "managed",
            credits=package.credits if package else self.request.amount,
            bonus_credits=terms.bonus_credits,
            price=terms.price,
            discount=terms.discount,
            coupon=self.coupon,
            coupon_counted=self.coupon is not None,
            payment_method=self.method.name,
            checkouts=(self.method.checkout(1, draft.at_ms(), self.return_url, None),) if terms.price else (),
            created_at=draft.at_ms(),
            updated_at=draft.at_ms(),
        )


def check_may_buy(state: State) -> None:
    """Raise Problem `account_inactive` (suspended, closed) or `orders_processor_inactive`: nothing is sold then."""
    if state.status in ("suspended", "closed"):
        raise Problem("account_inactive", account_status=state.status)
    if state.orders_processor != "active":
        raise Problem("orders_processor_inactive")


def check_may_change(state: State, purchase: Purchase, method: Method, *, closed: bool = False) -> Checkout:
    """The open checkout of a purchase that can be paid by this method now, by another checkout or the same one.

    Once it was `closed` at its provider, it may be known as expired already.
    Raises Problem `account_inactive`, `orders_processor_inactive`, `invalid_transition`, `too_many_attempts`,
    `invalid_amount`.
    """
    check_may_buy(state)
    checkout = purchase.open_checkout()
    expired = closed and purchase.status() == "expired" and not purchase.expired
    if checkout is None or not (purchase.status() in PAYABLE or expired):
        raise Problem("invalid_transition", "This purchase can no longer be paid another way.")
    goes_on = checkout.payment_method == method.name and not closed
    if not goes_on:
        check_not_capturing(purchase)
    if checkout.number >= MAX_CHECKOUTS and not goes_on:
        raise Problem("too_many_attempts", "This purchase has had as many checkouts as it may have.")
    method.check_takes(purchase.price)
    return checkout


def check_not_capturing(purchase: Purchase) -> None:
    """Raise Problem `invalid_transition` while the money of the open checkout is being taken, or may have been."""
    if purchase.capturing():
        raise Problem("invalid_transition", ON_ITS_WAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfPurchase:
    """What commands on one purchase have in common. `coupon` is its coupon, known beforehand to be read with it."""

    purchase_id: str
    coupon: str | None = None
    expects_new: ClassVar[bool] = False

    def records(self) -> tuple[RecordKey, ...]:
        """The purchase and its coupon."""
        return (("purchase", self.purchase_id), *coupon_keys(self.coupon))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCheckout(OfPurchase):
    """Notes that the provider knows of the checkout with this number, and where the buyer pays."""

    number: int
    reference: str
    redirect_url: str | None

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`, `purchase_not_found`."""
        check_exists(draft.head)
        purchase = read_purchase(draft, self.purchase_id)
        known = {one.number: one for one in purchase.checkouts}
        if self.number not in known or known[self.number].reference is not None:
            return Done(did="nothing", record=purchase)
        known[self.number] = replace(known[self.number], reference=self.reference, redirect_url=self.redirect_url)
        written = put_purchase(draft, replace(purchase, checkouts=tuple(known.values())), moved=False)
        return Done(did="checkout", record=written)


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginCapture(OfPurchase):
    """Notes that the money of the open checkout is to be taken, before the provider is asked to.

    From then on nothing else is begun until the outcome is known. What is under way goes on under the same number.
    `number` and `reference` name the checkout: one that is not open is never captured.
    """

    number: int | None
    reference: str | None

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`, `purchase_not_found`, and NotYet while the checkout is being started."""
        check_exists(draft.head)
        purchase = read_purchase(draft, self.purchase_id)
        checkout = purchase.open_checkout()
        if checkout is None or checkout.number != self.number or purchase.status() not in PAYABLE:
            return Done(did="not_open", record=purchase)
        if checkout.reference is None:
            raise NotYet
        if checkout.reference != self.reference:
            return Done(did="not_open", record=purchase)
        if checkout.capturing():
            return Done(did="capturing", record=purchase)
        begun = replace(checkout, captures=checkout.captures + 1)
        purchase = replace(purchase, checkouts=(*purchase.checkouts[:-1], begun))
        return Done(did="capturing", record=put_purchase(draft, purchase, moved=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginCheckout(OfPurchase):
    """Begins another checkout of a purchase, after the one with number `after` was closed at its provider.

    One that was credited meanwhile needs none: it stays as it is.
    `request_id` names the request, for its own retries.
    """

    caller: Caller
    method: Method
    after: int
    return_url: str | None
    request_id: str

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`, `store_forbidden`, `purchase_not_found`, `account_inactive`,
        `orders_processor_inactive`, `invalid_transition`, `too_many_attempts`, `invalid_amount`.
        """  # noqa: D205 - one list of codes
        check_manages(draft.head, self.caller)
        purchase = read_purchase(draft, self.purchase_id)
        checkout = purchase.open_checkout()
        if checkout and checkout.number == self.after + 1 and checkout.request_id == self.request_id:
            return Done(did="checkout", record=purchase)
        if purchase.status() == "credited":
            return Done(did="credited", record=purchase)
        if check_may_change(draft.state, purchase, self.method, closed=True).number != self.after:
            raise Problem("invalid_transition", "This purchase is being paid another way already.")
        begun = self.method.checkout(self.after + 1, draft.at_ms(), self.return_url, self.request_id)
        draft.decisive = True
        purchase = replace(purchase, checkouts=(*purchase.checkouts, begun), payment_method=self.method.name)
        purchase = settle(draft, purchase, self.caller.actor, first=len(draft.entries))
        return Done(did="checkout", record=purchase)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusePayment(OfPurchase):
    """Notes that the provider takes no payment for this purchase: it is canceled, and its coupon's use given back."""

    provider: str

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`, `purchase_not_found`."""
        check_exists(draft.head)
        purchase = read_purchase(draft, self.purchase_id)
        if purchase.status() not in PAYABLE:
            return Done(did="nothing", record=purchase)
        refusal = Decision(what="payment_refused", actor=f"payments:{self.provider}")
        return _decided(draft, purchase, refusal)


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelPurchase(OfPurchase):
    """Cancels an unpaid purchase, after its checkout was closed at the provider. Again: the same."""

    caller: Caller

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`, `store_forbidden`, `purchase_not_found`, `invalid_transition`."""
        check_manages(draft.head, self.caller)
        purchase = read_purchase(draft, self.purchase_id)
        if purchase.status() == "canceled":
            return Done(did="canceled", record=purchase)
        if purchase.status() not in (*PAYABLE, "expired"):
            raise Problem("invalid_transition", "Only an unpaid purchase can be canceled.")
        check_not_capturing(purchase)
        return _decided(draft, purchase, Decision(what="cancel", actor=self.caller.actor))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPoll(OfPurchase):
    """Notes that a poll brought nothing or `failed`, and when the provider is polled next. It needs no page."""

    failed: bool = False

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `purchase_not_found`."""
        purchase = read_purchase(draft, self.purchase_id)
        failures = purchase.poll_failures + 1 if self.failed else 0
        written = put_purchase(draft, replace(purchase, poll_failures=failures), moved=False)
        return Done(did="polled", record=written)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleAgain(OfPurchase):
    """Enters what the facts of an unsettled purchase owe beyond what the journal has of it."""

    actor: str

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`, `purchase_not_found`."""
        check_exists(draft.head)
        purchase = read_purchase(draft, self.purchase_id)
        if not purchase.unsettled:
            return Done(did="nothing", record=purchase)
        first = len(draft.entries)
        purchase = settle(draft, purchase, self.actor, RESTORED, first=first, given_back=RESTORED)
        return Done(did=purchase.status(), first=first, count=len(draft.entries) - first, record=purchase)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleReview(OfPurchase):
    """A person's decision: on a payment in review, or on a dispute whose end was never told.

    `request_id` names the request, for its own retries.
    """

    caller: Caller
    request_id: str
    decision: Literal["credit", "refuse", "dispute_won", "dispute_lost"]
    reason: str
    dispute_id: str | None = None

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `account_not_found`, `purchase_not_found`, `invalid_transition`, `invalid_field`,
        `balance_limit`.
        """  # noqa: D205 - one list of codes
        check_exists(draft.head)
        purchase = read_purchase(draft, self.purchase_id)
        if any(one.request_id == self.request_id for one in purchase.decisions):
            return Done(did=purchase.status(), record=purchase)
        if self.decision in ("credit", "refuse"):
            return self.on_payment(draft, purchase)
        return self.on_dispute(draft, purchase)

    def on_payment(self, draft: Draft, purchase: Purchase) -> Done:
        """Credit the first payment that waits, or refuse all that do; of one that is in doubt, keep or take back."""
        waiting, doubts = purchase.waiting(), purchase.doubts()
        if doubts and not waiting:
            what: Literal["keep", "take_back"] = "keep" if self.decision == "credit" else "take_back"
            return _decided(draft, purchase, replace(self._decision(), what=what, doubts=doubts))
        if not waiting or (self.decision == "credit" and purchase.granted):
            raise Problem("invalid_transition", "This purchase has no payment to decide on.")
        payment_id = next(iter(waiting)) if self.decision == "credit" else None
        if payment_id is not None:
            check_limit(draft.state, purchase.unit, purchase.total_credits())
            purchase = replace(purchase, paid_by=payment_id)
        return _decided(draft, purchase, self._decision(payment_id=payment_id))

    def on_dispute(self, draft: Draft, purchase: Purchase) -> Done:
        """End a dispute that is open."""
        open_ids = [dispute_id for dispute_id, _, end in purchase.disputes() if end is None]
        if not open_ids or (self.dispute_id is not None and self.dispute_id not in open_ids):
            raise Problem("invalid_transition", "This purchase has no such open dispute.")
        if self.dispute_id is None and len(open_ids) > 1:
            raise Problem("invalid_field", "dispute_id is required when several disputes are open.")
        return _decided(draft, purchase, self._decision(dispute_id=self.dispute_id or open_ids[0]))

    def _decision(self, *, payment_id: str | None = None, dispute_id: str | None = None) -> Decision:
        return Decision(
            what=self.decision,
            actor=self.caller.actor,
            reason=self.reason,
            payment_id=payment_id,
            dispute_id=dispute_id,
            request_id=self.request_id,
        )


def _decided(draft: Draft, purchase: Purchase, decision: Decision) -> Done:
    """Add the decision to the facts, and settle what they owe."""
    first = len(draft.entries)
    purchase = replace(purchase, decisions=(*purchase.decisions, decision))
    purchase = settle(draft, purchase, decision.actor, decision.reason, first=first)
    return Done(did=purchase.status(), first=first, count=len(draft.entries) - first, record=purchase)


@dataclass(frozen=True, slots=True, kw_only=True)
class TallyCoupon:
    """Adds the account's uses of a coupon to the coupon's own count, as far as they are not in it yet.

    Only a coupon without `max_uses` needs it: its start writes nothing that another account's start touches.
    """

    code: str
    expects_new: ClassVar[bool] = False

    def records(self) -> tuple[RecordKey, ...]:
        """The coupon, and the account's uses of it."""
        return coupon_keys(self.code)

    def decide(self, draft: Draft) -> Done:
        """Changes nothing where the coupon's count is complete."""
        coupon, used = read_coupon(draft, self.code)
        if coupon is None or used is None or used.uses == used.tallied:
            return Done(did="nothing")
        coupon, used = tallied(coupon, used)
        draft.put(("coupon", self.code), coupon)
        draft.put(("coupon_use", self.code), used)
        return Done(did="tallied")


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeCoupon:
    """Makes a coupon. `request_id` names the request, for its own retries."""

    caller: Caller
    coupon: Coupon
    request_id: str
    expects_new: ClassVar[bool] = True

    def records(self) -> tuple[RecordKey, ...]:
        """The coupon."""
        return (("coupon", self.coupon.code),)

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `unknown_package`, `coupon_exists`."""
        for name in self.coupon.packages or ():
            draft.catalog.package(name)
        key = ("coupon", self.coupon.code)
        known = draft.get(key, Coupon)
        if known is not None:
            if known.made_by != self.request_id:
                raise Problem("coupon_exists")
            return Done(did="made", record=known)
        made = replace(self.coupon, created_by=self.caller.actor, made_by=self.request_id, rev=1)
        draft.put(key, made)
        return Done(did="made", record=made)


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseCoupon:
    """Closes a coupon: it is good for no further purchase. Again: the same."""

    caller: Caller
    code: str
    expects_new: ClassVar[bool] = False

    def records(self) -> tuple[RecordKey, ...]:
        """The coupon."""
        return (("coupon", self.code),)

    def decide(self, draft: Draft) -> Done:
        """Raises Problem `coupon_not_found`."""
        key = ("coupon", self.code)
        known = draft.get(key, Coupon)
        if known is None:
            raise Problem("coupon_not_found")
        if known.closed:
            return Done(did="closed_already", record=known)
        closed = replace(known, closed=True, closed_by=self.caller.actor, rev=known.rev + 1)
        draft.put(key, closed)
        return Done(did="closed", record=closed)

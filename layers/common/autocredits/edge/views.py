"""What the outside is shown: accounts, entries, holds, work, prices (docs/contract.md, section 5). Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from autocredits.domain.catalog import Package, RateCard
from autocredits.domain.events import Hold, hold_of
from autocredits.domain.ids import hold_id
from autocredits.domain.journal import NO_PAGE_HASH, Entry, Page
from autocredits.domain.money import format_amount
from autocredits.domain.purchases.coupons import Coupon, Terms
from autocredits.domain.purchases.facts import Checkout
from autocredits.domain.purchases.record import Purchase
from autocredits.domain.state import UNITS, Balance, State
from autocredits.domain.times import format_time
from autocredits.domain.work.charging import Quote
from autocredits.domain.work.record import Work
from autocredits.ledger.commit import Accepted

View = dict[str, Any]

HOLD_KINDS = frozenset({"held", "captured", "released", "expired"})


def balance_view(balance: Balance) -> View:
    """One unit's balance."""
    return {
        "posted": format_amount(balance.posted),
        "held": format_amount(balance.held),
        "available": format_amount(balance.available()),
    }


def balances_view(state: State) -> View:
    """Every unit's balance; every unit is always present."""
    return {unit: balance_view(state.balance(unit)) for unit in UNITS}


def account_view(account_id: str, page: Page | None, as_of_ms: int) -> View:
    """The account as `page` left it; zeros and version 0 before the first."""
    state = page.state if page else State()
    return {
        "account_id": account_id,
        "status": state.status,
        "orders_processor": state.orders_processor,
        "balances": balances_view(state),
        "version": page.version if page else 0,
        "hash": page.hash if page else NO_PAGE_HASH,
        "as_of": format_time(as_of_ms),
    }


def settings_view(state: State) -> View:
    """The account's settings."""
    return {"low_balance": None if state.low_balance is None else format_amount(state.low_balance)}


def entries_view(page: Page) -> list[View]:
    """All entries of a page, in its order."""
    return [entry_view(page, index, entry, balance) for index, (entry, balance) in enumerate(page.balances_after())]


def entry_view(page: Page, index: int, entry: Entry, balance: Balance | None) -> View:
    """One entry, with its unit's `balance` after it. What it does not have is left out."""
    action = {"order_type": entry.order_type, "tracking": entry.tracking} if entry.order_type else None
    shown = {
        "reason": entry.reason,
        "reference": entry.reference,
        "order_id": entry.order_id,
        "product_id": entry.product_id,
        "store_id": entry.store_id,
        "part": entry.part,
        "action": action,
        "rate_card": entry.rate_card,
        "hold_id": hold_id_of(entry) if entry.kind in HOLD_KINDS else None,
        "purchase_id": entry.purchase_id,
        "key": entry.key,
        "attempt": entry.attempt,
        "cost": None if entry.cost is None else format_amount(entry.cost),
        "tracking_number": entry.tracking_number,
        "supplier_order_id": entry.supplier_order_id,
    }
    return {
        "entry_id": page.entry_id(index),
        "version": page.version,
        "at": format_time(page.at),
        "kind": entry.kind,
        "unit": entry.unit,
        "posted": format_amount(entry.posted) if balance else None,
        "held": format_amount(entry.held) if balance else None,
        "balance": balance_view(balance) if balance else None,
        "actor": entry.actor,
        **{name: value for name, value in shown.items() if value is not None},
        **_changes_view(entry.changes or {}),
    }


def hold_id_of(entry: Entry) -> str | None:
    """The hold of the attempt that an entry belongs to; None for one that is of no work."""
    work_id = entry.order_id or entry.product_id
    if work_id is None or entry.attempt is None:
        return None
    return hold_id("order" if entry.order_id else "product", work_id, entry.attempt)


def _changes_view(changes: Mapping[str, Any]) -> View:
    """The new values of a standing entry, amounts as amounts."""
    return {name: format_amount(value) if isinstance(value, int) else value for name, value in changes.items()}


def own_entries(accepted: Accepted) -> tuple[Entry, ...]:
    """The entries that the command itself made."""
    first, count = accepted.done.first, accepted.done.count
    return accepted.page.entries[first : first + count]


def own_entries_view(accepted: Accepted) -> list[View]:
    """The entries that the command itself made, shown."""
    first, count = accepted.done.first, accepted.done.count
    return entries_view(accepted.page)[first : first + count]


def _debited(entries: Iterable[Entry], unit: str) -> int:
    """Hundredths of `unit` that the entries debit."""
    return sum(-entry.posted for entry in entries if entry.unit == unit)


def debit_view(accepted: Accepted) -> View:
    """The answer to a debit, made from its page alone, so that a replay is the first answer again."""
    entries = own_entries(accepted)
    return {
        "credits": format_amount(_debited(entries, "auto_order")),
        "managed": format_amount(_debited(entries, "managed")),
        "rate_card": entries[0].rate_card,
        "entries": own_entries_view(accepted),
        "balances": balances_view(accepted.page.state),
    }


def opened_hold_view(accepted: Accepted) -> View:
    """The answer to a hold, made from its page alone: what was set aside now, per part."""
    entries = own_entries(accepted)
    return {
        "hold_id": hold_id_of(entries[0]),
        "status": "open",
        **set_aside_view(hold_of(entries)),
        "rate_card": entries[0].rate_card,
        "balances": balances_view(accepted.page.state),
    }


def set_aside_view(hold: Hold) -> View:
    """What one request set aside, and until when."""
    return {
        "credits": format_amount(hold.credits()),
        "parts": {part: format_amount(amount) for part, amount in hold.parts.items()},
        "managed": format_amount(hold.managed),
        "expires_at": format_time(hold.expires_at),
    }


def hold_view(work: Work, state: State) -> View:
    """The hold of the present attempt as it stands: each part `open`, `captured`, `released` or `expired`."""
    parts = work.parts
    open_parts = [parts[name] for name in work.open_parts()]
    newest = (open_parts or list(parts.values()))[-1]
    return {
        "hold_id": hold_id(work.kind, work.work_id, work.attempt),
        "status": hold_status(work),
        "credits": format_amount(sum(part.credits for part in parts.values())),
        "parts": {name: part.status for name, part in parts.items()},
        "managed": format_amount(sum(part.managed for part in parts.values())),
        "rate_card": newest.rate_card,
        "expires_at": format_time(min(part.expires_at for part in open_parts or parts.values())),
        "balances": balances_view(state),
    }


def hold_status(work: Work) -> str:
    """`open` while a part is; then how it ended, `captured` if any part was."""
    statuses = {part.status for part in work.parts.values()}
    return next(status for status in ("open", "captured", "released", "expired") if status in statuses)


def work_view(work: Work) -> View:
    """An order or a sourcing request as it stands."""
    ended_badly = work.status in ("failed", "rejected")
    shown = {"tracking_number": work.tracking_number, "supplier_order_id": work.supplier_order_id}
    return {
        f"{work.kind}_id": work.work_id,
        "store_id": work.store_id,
        "order_type": work.order_type,
        "tracking": work.tracking,
        "status": work.status,
        "status_text": work.reason if ended_badly else None,
        "attempt": work.attempt,
        "hold_id": hold_id(work.kind, work.work_id, work.attempt) if work.parts else None,
        "parts": {name: part.status for name, part in work.parts.items()},
        "credits": format_amount(work.credits),
        "updated_at": format_time(work.updated_at),
        **{name: value for name, value in shown.items() if value is not None},
    }


def queued_order_view(order_id: str, accepted: Accepted) -> View:
    """The answer to an order that was to be queued, from what its key remembers."""
    record = accepted.done.key_record
    return {
        "order_id": order_id,
        "status": record.status if record else None,
        "attempt": record.attempt if record else None,
    }


def resent_view(work: Work) -> View:
    """The answer to an order that was sent again."""
    return {"order_id": work.work_id, "status": work.status, "attempt": work.attempt}


def quote_view(quote: Quote) -> View:
    """A price, and whether the balances would pay it."""
    shortfall = {unit: quote.shortfall(unit) for unit in quote.available}
    return {
        "credits": format_amount(quote.price.credits()),
        "managed": format_amount(quote.price.managed),
        "rate_card": quote.price.rate_card,
        "sufficient": not any(shortfall.values()),
        "available": {unit: format_amount(amount) for unit, amount in quote.available.items()},
        "shortfall": {unit: format_amount(amount) for unit, amount in shortfall.items()},
    }


def rates_view(card: RateCard) -> View:
    """The rate card in force."""
    return {
        "rate_card": card.name,
        "effective_from": format_time(card.effective_from),
        "rates": [
            {"order_type": order_type, "tracking": tracking, "credits": format_amount(cell)}
            for (order_type, tracking), cell in card.cells.items()
        ],
        "sourcing": format_amount(card.sourcing),
    }


def packages_view(packages: Iterable[Package]) -> View:
    """What can be bought."""
    return {
        "currency": "USD",
        "items": [
            {
                "package": package.name,
                "unit": package.unit,
                "credits": format_amount(package.credits),
                "price": format_amount(package.price),
                "price_per_credit": format_amount(package.price_per_credit()),
            }
            for package in packages
        ],
    }


def purchase_view(purchase: Purchase) -> View:
    """A purchase as it stands."""
    reviewed = purchase.decided("credit", "refuse", "keep", "take_back")
    canceled = purchase.decided("cancel")
    _, payment = purchase.main_payment() or (None, None)
    shown = {
        "package": purchase.package,
        "coupon": purchase.coupon,
        "paid": format_amount(payment.amount) if payment else None,
        "payment_id": purchase.paid_by,
        "review_reason": purchase.in_review_for() or (reviewed.reason if reviewed else None),
        "reviewed_by": reviewed.actor if reviewed else None,
        "canceled_by": canceled.actor if canceled else None,
    }
    return {
        "purchase_id": purchase.purchase_id,
        "status": purchase.status(),
        "unit": purchase.unit,
        "credits": format_amount(purchase.total_credits()),
        "price": format_amount(purchase.price),
        "discount": format_amount(purchase.discount),
        "bonus_credits": format_amount(purchase.bonus_credits),
        "refunded": format_amount(payment.refunded() if payment else 0),
        "disputes": [
            {"dispute_id": dispute_id, "amount": format_amount(dispute.amount), "status": end or "open"}
            for dispute_id, dispute, end in purchase.disputes()
        ],
        "payment_method": purchase.payment_method,
        "payment": _payment_view(purchase.open_checkout()),
        "created_at": format_time(purchase.created_at),
        "updated_at": format_time(purchase.updated_at),
        **{name: value for name, value in shown.items() if value is not None},
    }


def _payment_view(checkout: Checkout | None) -> View | None:
    """Where the open checkout is paid; None where nothing is to be paid."""
    if checkout is None:
        return None
    redirect = {} if checkout.redirect_url is None else {"redirect_url": checkout.redirect_url}
    return {"provider": checkout.provider, **redirect}


def coupon_view(coupon: Coupon) -> View:
    """A coupon with its uses; what it does not limit is left out."""
    amounts = {name: getattr(coupon, name) for name in ("percent_off", "amount_off", "bonus_credits")}
    times = {"starts_at": coupon.starts_at, "ends_at": coupon.ends_at}
    makers = {"created_by": coupon.created_by, "closed_by": coupon.closed_by}
    limits = {"max_uses": coupon.max_uses, "max_uses_per_account": coupon.max_uses_per_account}
    return {
        "code": coupon.code,
        **{name: format_amount(value) for name, value in amounts.items() if value is not None},
        **({} if coupon.packages is None else {"packages": list(coupon.packages)}),
        **{name: format_time(value) for name, value in times.items() if value is not None},
        **{name: value for name, value in limits.items() if value is not None},
        "uses": coupon.uses,
        "closed": coupon.closed,
        **{name: value for name, value in makers.items() if value is not None},
    }


def terms_view(terms: Terms) -> View:
    """What a package would cost with a coupon."""
    return {
        "valid": True,
        "price": format_amount(terms.price),
        "discount": format_amount(terms.discount),
        "bonus_credits": format_amount(terms.bonus_credits),
    }

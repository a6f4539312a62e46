"""What payment providers know as paid and a restored table does not.

Each purchase that may still be paid is asked after. Stripe is also asked for all that was paid since the table's
newest page, so that purchases are found of which the table knows nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import stripe
from stripe.params.checkout import SessionListParams

from autocredits.domain.money import format_amount
from autocredits.domain.purchases.fulfil import PaymentEvent
from autocredits.domain.purchases.record import EXPIRES_MS, Purchase
from autocredits.domain.records import RecordKey
from autocredits.domain.times import DAY_MS, HOUR_MS
from autocredits.ledger.lists import read_purchase
from autocredits.ledger.ports import Store, UnavailableError
from dev.restore.judge import Change, Finding, finding
from dev.restore.walk import Screening
from functions.purchase.payments.port import Provider
from functions.purchase.payments.stripe import Stripe
from functions.purchase.payments.stripe_events import owner_of, paid

PER_PAGE = 100

Open = Callable[[str], Provider | None]
"""The provider of a name; None if it is not set up. Raises UnavailableError."""


@dataclass(frozen=True, slots=True)
class Providers:
    """The payment providers, asked about the purchases of a table."""

    store: Store
    open: Open
    now_ms: Callable[[], int]

    def judge(self, found: Screening) -> Iterator[Finding]:
        """What they know as paid and the table does not."""
        for created_at, account_id, key in found.unpaid:
            purchase = read_purchase(self.store, account_id, key[1])
            if purchase is not None and created_at >= found.latest_ms - EXPIRES_MS - DAY_MS:
                yield from self._ask_after(account_id, purchase)
        yield from self._ask_for_all(found.latest_ms - HOUR_MS)

    def _ask_after(self, account_id: str, purchase: Purchase) -> Iterator[Finding]:
        """Ask the provider of a purchase that is not paid whether it is."""
        checkout = purchase.open_checkout()
        name = checkout.provider if checkout else ""
        try:
            events = self._opened(name).poll(account_id, purchase)
        except Exception as error:  # noqa: BLE001 - a provider may raise anything
            yield _not_asked(account_id, purchase.key(), name, error)
            return
        for event in events:
            if event.type == "paid":
                yield self._due(account_id, purchase, f"{name} knows it as paid, by {event.payment_id}")

    def _ask_for_all(self, since_ms: int) -> Iterator[Finding]:
        """Ask Stripe for what was paid since, if it is set up."""
        try:
            provider = self.open("stripe")
            for session in paid_sessions(provider, since_ms) if isinstance(provider, Stripe) else ():
                owner = owner_of(session.get("metadata") or {})
                if owner is not None:
                    yield from self._compare(*owner, session, paid(session, owner[1]))
        except Exception as error:  # noqa: BLE001 - as above
            yield _not_asked("", ("purchase", "all"), "stripe", error)

    def _compare(
        self, account_id: str, purchase_id: str, session: dict[str, Any], event: PaymentEvent
    ) -> Iterator[Finding]:
        """Whether the table knows of what was paid."""
        purchase, key = read_purchase(self.store, account_id, purchase_id), ("purchase", purchase_id)
        detail = f"stripe knows it as paid, {format_amount(event.amount)} by {event.payment_id}"
        if purchase is None:
            yield finding(account_id, key, "purchase.lost", f"{detail}; it is not there")
            return
        checkout = purchase.open_checkout()
        if event.payment_id in purchase.payments or (checkout and checkout.reference == session["id"]):
            return  # it is known, or was asked after already
        if checkout and checkout.reference is None and checkout.number == event.checkout:
            known = replace(checkout, reference=session["id"], redirect_url=session.get("url"))
            yield self._due(
                account_id, replace(purchase, checkouts=(*purchase.checkouts[:-1], known)), detail, purchase
            )
        else:
            yield finding(account_id, key, "purchase.paid", f"{detail}; let stripe send that event again")

    def _due(self, account_id: str, purchase: Purchase, detail: str, before: Purchase | None = None) -> Finding:
        """A purchase that is to be polled at once, which credits it."""
        before, now_ms = before or purchase, self.now_ms()
        if purchase == before and purchase.poll_at is not None and purchase.poll_at <= now_ms:
            return finding(account_id, purchase.key(), "purchase.due", f"{detail}; the next poll credits it")
        due = replace(purchase, poll_at=now_ms, rev=purchase.rev + 1)
        return finding(account_id, purchase.key(), "purchase.paid", detail, Change(purchase.key(), before, due))

    def _opened(self, name: str) -> Provider:
        provider = self.open(name)
        if provider is None:
            raise UnavailableError("it is not set up here")
        return provider


def paid_sessions(provider: Stripe, since_ms: int) -> Iterator[dict[str, Any]]:
    """Stripe's checkout sessions that began since and are paid."""
    client = stripe.StripeClient(provider.api_key, base_addresses={"api": provider.api_base}, max_network_retries=3)
    asked: SessionListParams = {"created": {"gte": since_ms // 1000}, "status": "complete", "limit": PER_PAGE}
    for session in client.v1.checkout.sessions.list(params=asked).auto_paging_iter():
        if session.payment_status == "paid":
            yield session.to_dict()


def _not_asked(account_id: str, key: RecordKey, name: str, error: Exception) -> Finding:
    why = str(error) if isinstance(error, UnavailableError) else type(error).__name__
    return finding(account_id, key, "purchase.not_asked", f"{name} was not asked: {why}")

"""A story that shows whether a deployed stack works: it uses every way in but payments, in an account of its own.

Each chapter does something, looks at what came of it, and says in a line what it saw.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from uuid import uuid4

import requests

from credits import Client
from credits.problems import AccountInactive, IdempotencyKeyReused, InsufficientCredits
from credits.verifying import verify
from credits.work import order

QUEUE_SECONDS = 60.0
LOOK_SECONDS = 0.5
TIMEOUT_SECONDS = 30


class NotSeenError(Exception):
    """Something is not as it has to be; the message says what."""


@dataclass(frozen=True)
class Story:
    """A story in an account of its own on the stack at `url` (before `/v1`)."""

    client: Client
    url: str
    account_id: str

    def chapters(self) -> Iterator[Callable[[], str]]:
        """What is done, in this order; each says what it saw. The first one opens the account."""
        yield from (self.health, self.stranger, self.opening, self.pricing, self.debit, self.other_request)
        yield from (self.hold, self.lack, self.queue, self.statement, self.journal)

    def health(self) -> str:
        """The stack answers."""
        told = self.client.health()
        see(told["status"] == "ok", f"health says {told['status']}")
        return f"release {told['version']} answers"

    def stranger(self) -> str:
        """Nobody gets in without a token."""
        status = requests.get(f"{self.url}/v1/rates", timeout=TIMEOUT_SECONDS).status_code
        see(status == requests.codes.unauthorized, f"a call without a token was answered {status}")
        return "a call without a token is refused (401)"

    def opening(self) -> str:
        """A new account has its free credits."""
        self.client.open_account(self.account_id, "active")
        self.available("5.00")
        return f"account {self.account_id} was opened with 5.00 free credits"

    def pricing(self) -> str:
        """A quote is what the rate card says."""
        card = self.client.rates()
        [cell] = [one["credits"] for one in card["rates"] if (one["order_type"], one["tracking"]) == ("auto", "bce")]
        quoted = self.client.quote(self.account_id, order("quoted", "smoke", tracking="bce"))
        see(quoted["credits"] == cell == "1.33", f"the quote is {quoted['credits']}, the rate card says {cell}")
        return f"a quote costs what rate card {card['rate_card']} says"

    def debit(self) -> str:
        """The same key charges once."""
        first, again = (
            self.client.debit(self.account_id, order("debited", "smoke", tracking="bce"), key="debit") for _ in range(2)
        )
        see(first == again, "the second answer under the same key is another one")
        self.available("3.67")
        return "a debit that was sent twice was charged once"

    def other_request(self) -> str:
        """A key belongs to one request."""
        try:
            self.client.debit(self.account_id, order("another", "smoke"), key="debit")
        except IdempotencyKeyReused:
            return "the same key with other work is refused"
        raise NotSeenError("the same key with other work was taken")

    def hold(self) -> str:
        """What is held is taken or given back."""
        taken = self.client.hold(self.account_id, order("taken", "smoke"))
        self.available("2.67")
        self.client.capture(self.account_id, taken["hold_id"])
        given = self.client.hold(self.account_id, order("given-back", "smoke"))
        self.client.release(self.account_id, given["hold_id"], "smoke")
        self.available("2.67")
        return "a hold was captured, another one given back"

    def lack(self) -> str:
        """Nobody spends more than there is."""
        self.client.debit(self.account_id, order("most", "smoke", tracking="qtrack"))
        try:
            self.client.debit(self.account_id, order("too-much", "smoke"))
        except InsufficientCredits as problem:
            see(problem.members["available"] == "0.17", f"available is {problem.members['available']}")
            return "what is more than the balance is refused (402)"
        raise NotSeenError("more was spent than there was")

    def queue(self) -> str:
        """The worker takes a queued order, and a failure gives its credits back."""
        self.client.adjust(self.account_id, "auto_order", "1.00", "smoke test")
        self.client.queue_order(self.account_id, order("queued", "smoke"))
        began = time.monotonic()
        while self.client.order(self.account_id, "queued")["status"] == "queued":
            see(time.monotonic() - began < QUEUE_SECONDS, f"a queued order was not taken in {QUEUE_SECONDS:.0f} s")
            time.sleep(LOOK_SECONDS)
        waited = time.monotonic() - began
        now = self.client.order(self.account_id, "queued")
        see(now["status"] == "processing", f"the queued order is {now['status']}")
        self.client.release(self.account_id, str(now["hold_id"]), "smoke")
        see(self.client.order(self.account_id, "queued")["status"] == "failed", "a released order has not failed")
        self.available("1.17")
        return f"a queued order was taken after {waited:.1f} s, failed, and got its credits back"

    def statement(self) -> str:
        """The rows of a statement add up."""
        rows = [row for row in self.client.statement(self.account_id) if row["unit"] == "auto_order"]
        total = sum(Decimal(row["posted"]) for row in rows)
        see(f"{total}" == rows[-1]["balance_posted"] == "1.17", f"the statement adds up to {total}, it should be 1.17")
        return f"a statement of {len(rows)} rows adds up"

    def journal(self) -> str:
        """The books verify, up to the page that the balance names."""
        now = self.client.balance(self.account_id)
        verdict = verify(self.client.journal(self.account_id), self.account_id, {now["version"]: now["hash"]})
        see(verdict.is_good(), f"the journal does not verify: {verdict.findings}")
        return f"the journal's {verdict.pages} pages verify, hash by hash"

    def close(self) -> str:
        """The account is closed, and spends nothing any more."""
        self.client.change_standing(self.account_id, "closed", reason="smoke test")
        try:
            self.client.debit(self.account_id, order("late", "smoke"))
        except AccountInactive:
            return "the account is closed, and takes no work"
        raise NotSeenError("a closed account took work")

    def available(self, expected: str) -> None:
        """See that so many credits are available."""
        balance = self.client.balance(self.account_id)["balances"]["auto_order"]["available"]
        see(balance == expected, f"{balance} credits are available, it should be {expected}")


def see(is_so: bool, told: str) -> None:  # noqa: FBT001 - it reads as an assertion
    """Raise NotSeenError with what is told unless it is so."""
    if not is_so:
        raise NotSeenError(told)


def fresh_account() -> str:
    """The id of an account that nobody has."""
    return f"smoke-{uuid4().hex[:12]}"

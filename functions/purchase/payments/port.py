"""What a payment provider is to the rest of the service: it starts, captures, closes and polls checkouts, and sends
webhooks.
"""  # noqa: D205 - one sentence

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from autocredits.domain.purchases.facts import Checkout
from autocredits.domain.purchases.fulfil import PaymentEvent
from autocredits.domain.purchases.record import Purchase

Closed = Literal["closed", "paid", "on_its_way"]
"""How a checkout stands once it was to be closed: nobody can pay it, it is paid, or its money is on its way."""

DECLINED = "Payment declined: please try another payment method."
"""What a merchant is told of every decline (docs/domain.md)."""


class PaymentRefusedError(Exception):
    """The provider takes no payment on these terms. Its text is for the log alone."""


class RepeatedStartError(Exception):
    """A start whose answer was lost cannot be repeated word for word: it has to go on under another number."""


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays, for the provider alone: neither kept nor logged. `country` is an ISO 3166 code of two letters."""

    country: str = field(repr=False)
    email: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """What a provider is told of a checkout. `price` is US cents.

    `webhook_url` is where the provider's webhooks go, for one that is told so with each checkout.
    """

    account_id: str
    purchase_id: str
    number: int
    started_at: int
    price: int
    description: str
    return_url: str | None
    webhook_url: str
    payer: Payer | None


@dataclass(frozen=True, slots=True)
class Started:
    """What the provider calls the checkout, and where the buyer pays."""

    reference: str
    redirect_url: str | None


@dataclass(frozen=True, slots=True)
class Notice:
    """A webhook as it came. Header names are lower case; `query` is that of its address."""

    raw: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Webhook:
    """What a webhook says, in the order it is to be done; all of one purchase.

    Where the events name no purchase, the payment's record tells whose they are.
    """

    account_id: str | None
    events: Sequence[PaymentEvent]


class Provider(Protocol):
    """A payment provider. Its calls raise UnavailableError when it cannot be asked."""

    @property
    def name(self) -> str:
        """The name in paths and records."""
        ...

    def start(self, request: StartRequest) -> Started:
        """Start a checkout; the same number again is the same checkout.

        Raises PaymentRefusedError, RepeatedStartError.
        """
        ...

    def capture(self, account_id: str, purchase: Purchase) -> Sequence[PaymentEvent]:
        """Take the money of the open checkout, whose buyer has approved it, and say what came of it.

        Again with the same number of captures it takes nothing more. A provider that takes the money by itself sends
        no `approved`, and is never asked.
        """
        ...

    def close(self, checkout: Checkout) -> Closed:
        """See to it that nobody can pay a checkout that was started, and say how it stands."""
        ...

    def poll(self, account_id: str, purchase: Purchase) -> Sequence[PaymentEvent]:
        """What the provider says of the open checkout, while it may be paid, and of open disputes."""
        ...

    def read_webhook(self, notice: Notice) -> Webhook | None:
        """What the webhook says; None if it is of no interest.

        Raises Problem `bad_signature` before anything is parsed, `invalid_json` or `invalid_field` for a signed body
        in an unknown form.
        """
        ...

    def find_purchase(self, payment_id: str) -> tuple[str, str] | None:
        """The account and the purchase that a payment was made for; None if it is not ours."""
        ...

"""What a payment provider is to the rest of the service: it starts, closes and polls checkouts, and sends webhooks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from autocredits.domain.purchases.facts import Checkout
from autocredits.domain.purchases.fulfil import PaymentEvent
from autocredits.domain.purchases.record import Purchase

Closed = Literal["closed", "paid", "on_its_way"]
"""How a checkout stands once it was to be closed: nobody can pay it, it is paid, or its money is on its way."""


class PaymentRefusedError(Exception):
    """The provider takes no payment on these terms. Its text is for the log alone."""


class RepeatedStartError(Exception):
    """A start whose answer was lost cannot be repeated word for word: it has to go on under another number."""


@dataclass(frozen=True, slots=True)
class StartRequest:
    """What a provider is told of a checkout. `price` is US cents; `payer_email` is neither kept nor logged."""

    account_id: str
    purchase_id: str
    number: int
    started_at: int
    price: int
    description: str
    return_url: str | None
    payer_email: str | None


@dataclass(frozen=True, slots=True)
class Started:
    """What the provider calls the checkout, and where the buyer pays."""

    reference: str
    redirect_url: str | None


@dataclass(frozen=True, slots=True)
class Webhook:
    """What a webhook says. Where it names neither account nor purchase, the payment's record tells whose it is."""

    account_id: str | None
    event: PaymentEvent


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

    def close(self, checkout: Checkout) -> Closed:
        """See to it that nobody can pay a checkout that was started, and say how it stands."""
        ...

    def poll(self, account_id: str, purchase: Purchase) -> Sequence[PaymentEvent]:
        """What the provider says of the open checkout, while it may be paid, and of open disputes."""
        ...

    def read_webhook(self, raw: bytes, headers: Mapping[str, str]) -> Webhook | None:
        """What the webhook says; None if it is of no interest. Header names are lower case.

        Raises Problem `bad_signature` before anything is parsed, `invalid_json` or `invalid_field` for a signed body
        in an unknown form.
        """
        ...

    def find_purchase(self, payment_id: str) -> tuple[str, str] | None:
        """The account and the purchase that a payment was made for; None if it is not ours."""
        ...

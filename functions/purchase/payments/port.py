"""What a payment provider is to the rest of the service."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from autocredits.domain.purchases.fulfil import PaymentEvent
from autocredits.domain.purchases.record import Purchase


@dataclass(frozen=True, slots=True)
class Checkout:
    """What a provider is told of a purchase. `price` is US cents; `payer_email` is neither kept nor logged."""

    account_id: str
    purchase_id: str
    price: int
    description: str
    return_url: str | None
    payer_email: str | None


@dataclass(frozen=True, slots=True)
class Started:
    """What the provider calls the payment, and where the buyer pays."""

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

    def start(self, checkout: Checkout) -> Started:
        """Start the payment; the same purchase again is the same payment."""
        ...

    def read_webhook(self, raw: bytes, headers: Mapping[str, str]) -> Webhook | None:
        """What the webhook says; None if it is of no interest. Header names are lower case.

        Raises Problem `bad_signature` before anything is parsed, `invalid_json` for a signed body that is none.
        """
        ...

    def find_purchase(self, payment_id: str) -> tuple[str, str] | None:
        """The account and the purchase that a payment was made for; None if it is not ours."""
        ...

    def poll(self, account_id: str, purchase: Purchase) -> PaymentEvent | None:
        """What has become of a payment whose webhook never arrived; None if it is still open."""
        ...

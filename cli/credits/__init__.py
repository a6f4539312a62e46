"""The client of autocredits: every route, typed, with retries that can never charge twice."""

from .client import Client
from .problems import (
    AccountNotFound,
    AlreadyCharged,
    CreditsError,
    InsufficientCredits,
    InsufficientManagedBalance,
    OrderConflict,
    PaymentRefused,
    Problem,
    TryAgain,
    UnexpectedAnswer,
    Unreachable,
)
from .transport import Retries
from .work import Work, order, product

__all__ = [
    "AccountNotFound",
    "AlreadyCharged",
    "Client",
    "CreditsError",
    "InsufficientCredits",
    "InsufficientManagedBalance",
    "OrderConflict",
    "PaymentRefused",
    "Problem",
    "Retries",
    "TryAgain",
    "UnexpectedAnswer",
    "Unreachable",
    "Work",
    "order",
    "product",
]

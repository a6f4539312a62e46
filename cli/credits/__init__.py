"""The client of autocredits: every route, typed, with retries that can never charge twice."""

from .client import Client
from .problems import CreditsError, Problem, UnexpectedAnswer, Unreachable
from .transport import Retries
from .work import Work, order, product

__all__ = [
    "Client",
    "CreditsError",
    "Problem",
    "Retries",
    "UnexpectedAnswer",
    "Unreachable",
    "Work",
    "order",
    "product",
]

"""The calls that the tests of a route family share: short forms for the account `acme`."""

from typing import Any

from tests.kit.service import Answer, Service

ACME = "/v1/accounts/acme"
INSUFFICIENT = "Insufficient Auto-orders credits, please purchase more credits and resend the order."
"""The merchants' own sentence."""


def told(answer: Answer) -> tuple[int, str | None]:
    """A refusal in short: its status and code."""
    return answer.status, answer.code


def get(service: Service, path: str, **query: str) -> Answer:
    """GET a route of acme."""
    return service.call("GET", ACME + path, query=query)


def post(service: Service, path: str, body: Any = None, key: str | None = None, **more: Any) -> Answer:
    """POST to a route of acme."""
    return service.call("POST", ACME + path, body, key=key, **more)


def debit(service: Service, body: dict[str, Any], key: str = "debit") -> Answer:
    """Charge work at once."""
    return post(service, "/debits", body, key)


def hold(service: Service, body: dict[str, Any], key: str = "hold") -> Answer:
    """Set credits aside for work."""
    return post(service, "/holds", body, key)


def fund(service: Service, amount: str, unit: str = "managed") -> None:
    """Add to a unit, or take from it."""
    answer = post(service, "/adjustments", {"unit": unit, "amount": amount, "reason": "test"}, f"{unit}{amount}")
    assert answer.status == 201

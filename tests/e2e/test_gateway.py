"""What the gateway lets through: tokens, scopes, routes."""

from uuid import uuid4

import pytest

from tests.kit.stack import Stack

ACCOUNT = "/v1/accounts/nobody-here"

# One route for each scope, and the scopes that do not open it.
ROUTES = [("GET", f"{ACCOUNT}/balance", "credits:read"), ("PUT", ACCOUNT, "credits:admin")]
ROUTES += [("POST", f"{ACCOUNT}/debits", "credits:consume"), ("POST", f"{ACCOUNT}/purchases", "credits:purchase")]
SCOPES = ["credits:read", "credits:purchase", "credits:consume", "credits:admin"]


def test_health_is_open(stack: Stack) -> None:
    """It needs no token."""
    answer = stack.call_as_is("GET", "/v1/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES)
def test_a_route_needs_its_scope(stack: Stack, method: str, path: str, scope: str) -> None:
    """Without a token or with a bad one 401, with every other scope 403, and no code has run."""
    assert stack.call_as_is(method, path).status_code == 401
    assert stack.call_as_is(method, path, headers={"Authorization": "Bearer x.y.z"}).status_code == 401
    others = " ".join(other for other in SCOPES if other != scope)
    refused = stack.call(method, path, scope=others, json={} if method != "GET" else None)
    assert (refused.status_code, "message" in refused.json()) == (403, True)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/nothing"),
        ("DELETE", "/v1/accounts/acme"),
        ("POST", "/v1/accounts/acme/balance"),
        ("GET", "/"),
        ("GET", "/v1/accounts/a%2Fbalance/balance"),
        ("GET", "/v1/accounts/acme/balance/"),
    ],
)
def test_what_no_route_knows_is_a_problem(stack: Stack, method: str, path: str) -> None:
    """With a token it is 404 `not_found`, without one 401 like everything else."""
    assert stack.call_as_is(method, path).status_code == 401
    answer = stack.call(method, path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "not_found"


def test_another_merchants_account_answers_as_a_missing_one(stack: Stack) -> None:
    """Byte for byte, but for the request's id; a token that names no account finds none."""
    theirs, mine = (f"acc-{uuid4().hex[:12]}" for _ in range(2))
    for account_id in (theirs, mine):
        stack.call("PUT", f"/v1/accounts/{account_id}", json={})
    answers = [
        stack.call("GET", f"/v1/accounts/{account_id}/balance", account=caller)
        for account_id, caller in ((theirs, mine), ("missing-one", mine), ("missing-one", "*"), (mine, ""))
    ]
    bodies = [answer.json() | {"request_id": ""} for answer in answers]
    assert bodies == [bodies[0]] * 4
    assert (answers[0].status_code, bodies[0]["code"]) == (404, "account_not_found")
    assert stack.call("GET", f"/v1/accounts/{mine}/balance", account=mine).status_code == 200

import base64
import json
from typing import Any

import pytest

from autocredits.domain.access import Caller, may_access_store
from autocredits.domain.ids import is_caller_id
from autocredits.edge.callers import caller_of


def event(claims: dict[str, Any] | None) -> dict[str, Any]:
    """A request with these checked claims, or without an authorizer."""
    return {"requestContext": {} if claims is None else {"authorizer": {"jwt": {"claims": claims, "scopes": None}}}}


@pytest.mark.parametrize(
    ("claims", "caller"),
    [
        ({"sub": "u1", "account_id": "acme"}, Caller("u1", "acme")),
        ({"sub": "u1", "account_id": "*"}, Caller("u1", "*")),
        ({"sub": "u1", "account_id": "acme", "store_id": "s1"}, Caller("u1", "acme", "s1")),
        ({"client_id": "app", "account_id": "acme"}, Caller("app", "acme")),
        ({"sub": "u1"}, Caller("u1", None)),
        ({"sub": "u1", "account_id": ""}, Caller("u1", None)),
        ({"sub": "u1", "account_id": ["acme"]}, Caller("u1", None)),
        ({"account_id": "acme"}, Caller("unknown", "acme")),
        ({"sub": "u" * 300, "account_id": "acme"}, Caller("u" * 200, "acme")),
        ({}, Caller("unknown", None)),
        (None, Caller("unknown", None)),
    ],
)
def test_a_caller_is_what_the_checked_claims_say(claims: dict[str, Any] | None, caller: Caller) -> None:
    """Account, store and actor; a claim that is missing or of no use names no account."""
    assert caller_of(event(claims)) == caller


@pytest.mark.parametrize("claim", ["", "a b", "a#b", ["s1"], {"s1": 1}, None])
def test_an_unusable_store_claim_binds_to_no_store(claim: object) -> None:
    """A token whose store cannot exist is bound all the same: it never works for the whole account."""
    caller = caller_of(event({"sub": "u1", "account_id": "acme", "store_id": claim}))
    assert caller.store_id is not None
    assert not is_caller_id(caller.store_id)
    assert not may_access_store(caller, "s1")


def bearer(claims: object) -> dict[str, Any]:
    """A request with a token that nobody has checked."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return {"requestContext": {}, "headers": {"Authorization": f"Bearer e30.{payload}.sig"}}


def test_an_unchecked_token_is_never_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside `sam local` a request without an authorizer's claims names nobody, whatever its headers say."""
    monkeypatch.delenv("AWS_SAM_LOCAL", raising=False)
    assert caller_of(bearer({"sub": "u1", "account_id": "*"})) == Caller("unknown", None)
    monkeypatch.setenv("AWS_SAM_LOCAL", "1")
    assert caller_of(bearer({"sub": "u1", "account_id": "*"})) == Caller("unknown", None)


def test_sam_local_reads_the_token_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """`sam local` applies no authorizer, so there alone the claims are read unchecked; nonsense names nobody."""
    monkeypatch.setenv("AWS_SAM_LOCAL", "true")
    assert caller_of(bearer({"sub": "u1", "account_id": "acme"})) == Caller("u1", "acme")
    assert caller_of(bearer(["acme"])) == Caller("unknown", None)
    for header in ("", "Bearer", "Bearer x", "Bearer a.!.c", "Bearer a.e30=.c"):
        assert caller_of({"requestContext": {}, "headers": {"authorization": header}}) == Caller("unknown", None)
    assert caller_of({"requestContext": {}, "headers": {}}) == Caller("unknown", None)


def test_checked_claims_come_before_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an authorizer has spoken, the header is not read."""
    monkeypatch.setenv("AWS_SAM_LOCAL", "true")
    request = bearer({"account_id": "*"}) | event({"sub": "u1", "account_id": "acme"})
    assert caller_of(request) == Caller("u1", "acme")

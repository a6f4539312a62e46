"""The routes as the functions declare them: the template's own, each with its scope, and none that admits a stranger.

What a declaration must say, and what the edge makes of it, is tested in tests/unit/edge/test_http.py.
"""

import copy
import json
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

from autocredits.edge.http import Api, Route
from autocredits.edge.requests import PARAMETERS
from tests.kit.service import Context
from tests.kit.story import EVENTS, recorded
from tests.kit.template import ROOT, http_routes, module_of, scopes_of

WEBHOOK = "POST /v1/payments/{provider}/webhook"
MODULES = {
    name: module
    for name in sorted(f"functions.{path.parent.name}.app" for path in (ROOT / "functions").glob("*/app.py"))
    if hasattr(module := import_module(name), "app")
}
"""The functions that declare routes; the others are called by streams, queues and schedules."""
DECLARED: dict[str, tuple[str, Route]] = {
    f"{route.method} {route.path}": (name, route) for name, module in MODULES.items() for route in module.app.routes
}
RECORDED = {
    event["routeKey"]: event
    for event in map(recorded, (path.stem for path in EVENTS.glob("*.json")))
    if "routeKey" in event
}
"""A good request for each route."""


def of(*who: str, account: bool | None = None) -> list[str]:
    """The declared routes that admit these, with or without an account in their path."""
    return [
        key
        for key, (_, route) in DECLARED.items()
        if route.who in who and account in (None, "{account_id}" in route.path)
    ]


# ---------------------------------------------------------------- declared as deployed


def test_what_is_declared_is_what_is_deployed() -> None:
    """Method and path of every route; only the webhook's and `$default` are no function's declaration."""
    assert sorted(DECLARED) == sorted(http_routes().keys() - {WEBHOOK, "$default"})
    assert len(DECLARED) == sum(len(module.app.routes) for module in MODULES.values())


@pytest.mark.parametrize("key", DECLARED)
def test_the_gateway_checks_the_scope_that_was_declared(key: str) -> None:
    """Exactly that one; no token is asked for exactly where anyone is admitted."""
    _, properties = http_routes()[key]
    _, route = DECLARED[key]
    if route.who == "anyone":
        assert properties["Auth"] == {"Authorizer": "NONE"}
    else:
        assert scopes_of(properties) == [route.scope]
        assert set(properties["Auth"]) == {"AuthorizationScopes"}


@pytest.mark.parametrize("key", DECLARED)
def test_a_route_is_answered_by_the_function_that_declares_it(key: str) -> None:
    """The template's handler is that module's, and answers all its routes."""
    function, _ = http_routes()[key]
    module, name = module_of(function)
    declaring, _ = DECLARED[key]
    assert module == declaring
    assert getattr(MODULES[declaring], name) == MODULES[declaring].app.handle


@pytest.mark.parametrize("module", MODULES.values(), ids=lambda module: module.__name__)
def test_a_function_has_no_other_way_in(module: ModuleType) -> None:
    """Every rule of the resolver underneath is a declared route, which checks form and admission."""
    resolver = module.app.resolver
    rules = [(rule.method, rule.path) for rule in resolver._static_routes + resolver._dynamic_routes]  # noqa: SLF001
    declared = [(route.method, route.path.replace("{", "<").replace("}", ">")) for route in module.app.routes]
    assert sorted(rules) == sorted(declared)
    assert isinstance(module.app, Api)
    assert [name for name, value in vars(module).items() if isinstance(value, Api)] == ["app"]


# ---------------------------------------------------------------- nobody gets in unadmitted


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the functions asked of their ports, which is too much: none of these calls may come that far."""
    calls: list[str] = []

    def refuse(name: str) -> Any:
        def ask() -> None:
            calls.append(name)
            raise AssertionError(f"a call that was not admitted has asked for the {name}")

        return ask

    for module in MODULES.values():
        for name in ("ledger", "queue"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, refuse(name))
    for name in ("ledger", "queue", "secrets"):
        monkeypatch.setattr(f"autocredits.bootstrap.{name}", refuse(name))
    return calls


def call(key: str, claims: dict[str, str], **parameters: str) -> tuple[int, str]:
    """What the route's recorded request is answered with these claims and other parameters: status and code."""
    event = copy.deepcopy(RECORDED[key])
    event["requestContext"]["authorizer"] = {"jwt": {"claims": claims, "scopes": None}}
    event.setdefault("pathParameters", {}).update(parameters)
    module, _ = DECLARED[key]
    answer = MODULES[module].app.handle(event, Context())
    return answer["statusCode"], json.loads(answer["body"]).get("code", "")


NOBODY: dict[str, str] = {"sub": "u1"}
STRANGER = {"sub": "u1", "account_id": "umbrella"}
MERCHANT = {"sub": "u1", "account_id": "acme"}
PLATFORM = {"sub": "p1", "account_id": "*"}


@pytest.mark.parametrize("claims", [NOBODY, NOBODY | {"account_id": ""}, STRANGER, STRANGER | {"store_id": "shop-1"}])
@pytest.mark.parametrize("key", of("caller", account=True))
def test_a_stranger_finds_no_account(asked: list[str], key: str, claims: dict[str, str]) -> None:
    """A token of another account, or of none: 404 `account_not_found`, before anything is asked."""
    assert call(key, claims) == (404, "account_not_found")
    assert asked == []


@pytest.mark.parametrize("key", of("caller", account=False))
def test_a_token_of_no_account_is_nobodys(asked: list[str], key: str) -> None:
    """Also where the path names none."""
    assert call(key, NOBODY) == (404, "account_not_found")
    assert asked == []


@pytest.mark.parametrize(
    "claims", [NOBODY, STRANGER, MERCHANT, MERCHANT | {"store_id": "shop-1"}, PLATFORM | {"store_id": "shop-1"}]
)
@pytest.mark.parametrize("key", of("platform"))
def test_the_platforms_routes_are_hidden_from_all_others(asked: list[str], key: str, claims: dict[str, str]) -> None:
    """404 `not_found`, as if there were no such route, before anything is asked."""
    assert call(key, claims) == (404, "not_found")
    assert asked == []


def test_what_is_the_platforms_alone() -> None:
    """Opening, standing, adjustments, reviews and coupons: no merchant's scope makes them its own."""
    assert sorted(of("platform")) == [
        "DELETE /v1/coupons/{code}",
        "GET /v1/coupons/{code}",
        "PATCH /v1/accounts/{account_id}",
        "POST /v1/accounts/{account_id}/adjustments",
        "POST /v1/accounts/{account_id}/purchases/{purchase_id}/review",
        "POST /v1/coupons",
        "PUT /v1/accounts/{account_id}",
    ]
    assert sorted(of("caller", account=False)) == ["GET /v1/packages", "GET /v1/rates"]


def test_only_health_admits_anyone(asked: list[str]) -> None:
    """It asks nothing."""
    assert of("anyone") == ["GET /v1/health"]
    assert call("GET /v1/health", NOBODY)[0] == 200
    assert asked == []


# ---------------------------------------------------------------- hostile parameters

HOSTILE = ["", " ", "a b", "a#b", "a~b~c", "~", "x" * 2100]
CODES = {
    "account_id": (422, "invalid_id"),
    "order_id": (422, "invalid_id"),
    "product_id": (422, "invalid_id"),
    "hold_id": (404, "hold_not_found"),
    "purchase_id": (404, "purchase_not_found"),
    "code": (404, "coupon_not_found"),
}


def parameters_of(key: str) -> list[str]:
    """The parameters in a route's path."""
    return [name for name in PARAMETERS if f"{{{name}}}" in key]


@pytest.mark.parametrize(
    "text", HOSTILE, ids=["empty", "blank", "blanks", "number sign", "tildes", "tilde", "2,100 characters"]
)
@pytest.mark.parametrize(("key", "name"), [(key, name) for key in DECLARED for name in parameters_of(key)])
def test_a_hostile_parameter_asks_nothing(asked: list[str], key: str, name: str, text: str) -> None:
    """The platform itself is told, before any table is: no id of this form can be."""
    # A path with an empty segment leads to no route at all.
    assert call(key, PLATFORM, **{name: text}) == (CODES[name] if text else (404, "not_found"))
    assert asked == []


def test_every_parameter_is_tried_here() -> None:
    """None that a path can have is left out."""
    assert set(CODES) == set(PARAMETERS) == {name for key in DECLARED for name in parameters_of(key)}

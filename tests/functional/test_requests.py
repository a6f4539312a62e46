"""What all routes have in common: the form of bodies and queries, who may reach what, and how faults are told."""

import base64
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from autocredits.adapters.dynamo import DynamoStore
from autocredits.edge.telemetry import logger
from autocredits.ledger.ports import UnavailableError
from functions.purchase.checkout import purchase_id_of
from tests.functional.calls import ACME, told
from tests.functional.conftest import SIGNING_SECRET, Clock
from tests.kit.service import Answer, Service, http_event, route_keys, sourcing, work
from tests.kit.story import signed

LIMIT = 64 * 1024
WEBHOOK = "/v1/payments/sandbox/webhook"
PURCHASE = purchase_id_of("acme", "B-0")
OPEN_PURCHASE, LEFT_PURCHASE = purchase_id_of("acme", "B-1"), purchase_id_of("acme", "B-2")


@dataclass(frozen=True)
class Route:
    """A route about acme with a request that it accepts."""

    method: str
    path: str
    body: dict[str, Any] | None = None
    key: str | None = None
    whole_account: bool = False
    """Whether it concerns more than one store's work."""
    platform: bool = False
    """Whether it is there for the platform alone."""

    def __str__(self) -> str:
        return f"{self.method} {self.path.removeprefix('/v1')}"

    def call(self, service: Service, account_id: str = "acme", **changes: Any) -> Answer:
        """Call it, perhaps for another account, with what `changes` says otherwise."""
        sent: dict[str, Any] = {"key": self.key, **changes}
        if "raw" not in sent:
            sent.setdefault("body", self.body)
        return service.call(self.method, self.path.replace("/acme", f"/{account_id}"), **sent)


def manage(method: str, path: str, body: dict[str, Any] | None = None, key: str | None = None) -> Route:
    """A route that concerns the whole account."""
    return Route(method, ACME + path, body, key, whole_account=True)


def of_platform(method: str, path: str, body: dict[str, Any] | None = None, key: str | None = None) -> Route:
    """A route about an account that is there for the platform alone."""
    return Route(method, ACME + path, body, key, platform=True)


# In this order each is accepted once on the account below.
WITH_BODY = (
    of_platform("PUT", "", {"orders_processor": "active"}),
    of_platform("PATCH", "", {"status": "active", "reason": "test"}),
    of_platform("POST", "/adjustments", {"unit": "finder", "amount": "1.00", "reason": "test"}, "adjust"),
    manage("PUT", "/settings", {"low_balance": "2.00"}),
    Route("POST", f"{ACME}/quotes", work()),
    Route("POST", f"{ACME}/debits", work("A-1"), "debit"),
    Route("POST", f"{ACME}/holds", work("A-2"), "hold"),
    Route("POST", f"{ACME}/holds/H-0~1/capture", {"parts": ["order"]}),
    Route("POST", f"{ACME}/holds/H-1~1/release", {"parts": ["order"], "reason": "test"}),
    Route("POST", f"{ACME}/orders", work("A-3"), "order"),
    Route("POST", f"{ACME}/orders/resend", {"status": "failed"}),
    manage("POST", "/coupons/check", {"code": "C-0", "package": "auto_order-20"}),
    manage("POST", "/purchases", {"package": "auto_order-20", "payment_method": "card"}, "purchase"),
    of_platform("POST", f"/purchases/{PURCHASE}/review", {"decision": "credit", "reason": "test"}),
    manage("POST", f"/purchases/{OPEN_PURCHASE}/checkout", {"payment_method": "paypal"}),
)
WITHOUT_BODY = (
    manage("GET", "/settings"),
    Route("GET", f"{ACME}/balance"),
    Route("GET", f"{ACME}/entries"),
    Route("GET", f"{ACME}/usage"),
    manage("GET", "/journal"),
    Route("GET", f"{ACME}/holds/H-0~1"),
    Route("GET", f"{ACME}/orders"),
    Route("GET", f"{ACME}/orders/A-0"),
    Route("POST", f"{ACME}/orders/A-0/resend"),
    Route("GET", f"{ACME}/sourcing/P-0"),
    manage("GET", "/purchases"),
    manage("GET", f"/purchases/{PURCHASE}"),
    manage("POST", f"/purchases/{LEFT_PURCHASE}/cancel"),
)
COUPONS = (
    Route("GET", "/v1/coupons/C-0"),
    Route("POST", "/v1/coupons", {"code": "C-1", "percent_off": "10.00"}),
    Route("DELETE", "/v1/coupons/C-0"),
)
OPEN_TO_ALL = (Route("GET", "/v1/rates"), Route("GET", "/v1/packages"))
OF_AN_ACCOUNT = WITHOUT_BODY + WITH_BODY
ALL = OF_AN_ACCOUNT + OPEN_TO_ALL
FOR_CALLERS = tuple(route for route in ALL if not route.platform)
CALLERS_OF_AN_ACCOUNT = tuple(route for route in OF_AN_ACCOUNT if not route.platform)
FOR_PLATFORM = (*(route for route in ALL if route.platform), *COUPONS)


@pytest.fixture
def acme(service: Service) -> Service:
    """The service with acme: credits, two holds, a failed order and a product, all of shop-1; purchases."""
    service.open(extra="45.00")
    for order_id in ("H-0", "H-1"):
        assert service.call("POST", f"{ACME}/holds", work(order_id), key=order_id).status == 201
    assert service.call("POST", f"{ACME}/debits", sourcing("P-0"), key="P-0").status == 201
    service.process("auto_order.requested", work("A-0"))
    service.process("auto_order.failed", {"order_id": "A-0", "reason": "test"})
    assert service.call("POST", "/v1/coupons", {"code": "C-0", "percent_off": "10.00"}).status == 201
    wanted = {"package": "auto_order-20", "payment_method": "card"}
    for key in ("B-0", "B-1", "B-2"):
        assert service.call("POST", f"{ACME}/purchases", wanted, key=key).status == 201
    assert pay(service, PURCHASE, "0.01").status == 202
    return service


def pay(service: Service, purchase_id: str, amount: str) -> Answer:
    """Tell of a payment, as the sandbox does."""
    told = {"id": "evt", "type": "payment.succeeded", "account_id": "acme", "purchase_id": purchase_id}
    body = json.dumps({**told, "payment_id": f"pay-{purchase_id}", "amount": amount, "currency": "USD"})
    event = http_event("POST", WEBHOOK, headers={"sandbox-signature": ""}, body=body)
    return service.answer(signed(event, SIGNING_SECRET))


def test_every_route_is_tried_here() -> None:
    """The routes of this file are those of the template; three take no token or lead nowhere."""
    tried = [http_event(route.method, route.path)["routeKey"] for route in ALL + COUPONS]
    others = ["GET /v1/health", "POST /v1/payments/{provider}/webhook", "$default"]
    assert sorted(tried + others) == sorted(route_keys())


def test_a_good_request_is_accepted(acme: Service) -> None:
    """The request that the other tests spoil is a good one."""
    for route in ALL + COUPONS:
        assert route.call(acme).status in (200, 201, 202), str(route)


# ---------------------------------------------------------------- bodies


SPOILT = {
    "not JSON": (b"{", 400, "invalid_json"),
    "NaN": (b'{"unit": NaN}', 400, "invalid_json"),
    "a name twice": (b'{"reason": "a", "reason": "a"}', 400, "invalid_json"),
    "a name twice below": (b'{"x": {"a": 1, "a": 1}}', 400, "invalid_json"),
    "33 levels": (b'{"x":' + b"[" * 32 + b"]" * 32 + b"}", 400, "invalid_json"),
    "50,000 levels": (b"[" * 30_000 + b"]" * 30_000, 400, "invalid_json"),
    "a number of 5,000 digits": (b'{"x": ' + b"1" * 5_000 + b"}", 400, "invalid_json"),
    "a byte order mark": (b"\xef\xbb\xbf{}", 400, "invalid_encoding"),
    "a replacement character": ('{"reason": "\ufffd"}'.encode(), 400, "invalid_encoding"),
    "not UTF-8": (b'{"reason": "\xff"}', 400, "invalid_encoding"),
    "half a surrogate pair": (b'{"reason": "\\ud800"}', 400, "invalid_encoding"),
    "a byte too many": (b"{}" + b" " * (LIMIT - 1), 413, "body_too_large"),
}


def test_a_spoilt_body_is_refused(service: Service) -> None:
    """Each fault of a body has its code, also where API Gateway hands the body over in base64."""
    for route in WITH_BODY:
        for name, (raw, status, code) in SPOILT.items():
            for sent in (raw, raw.decode(errors="replace")):  # API Gateway itself replaces bad UTF-8
                answer = route.call(service, raw=sent)
                assert (name, answer.status, answer.code) == (name, status, code), str(route)


def test_a_body_is_an_object(service: Service) -> None:
    """JSON that is no object is no body for any route."""
    for route in WITH_BODY:
        for raw in ("[]", "null", '"x"', "1", "true", "[{}]"):
            assert (raw, *told(route.call(service, raw=raw))) == (raw, 422, "invalid_field"), str(route)


def test_32_levels_are_allowed(service: Service) -> None:
    """A body of 32 levels is JSON as any other: what is wrong with it is its field."""
    for route in WITH_BODY:
        raw = '{"x":' + "[" * 31 + "]" * 31 + "}"
        assert told(route.call(service, raw=raw))[0] == 422, str(route)


def test_unknown_fields_are_refused(service: Service) -> None:
    """A field that the contract does not name is told as such."""
    for route in WITH_BODY:
        assert told(route.call(service, body={**(route.body or {}), "surprise": 1})) == (422, "unknown_field"), str(
            route
        )


def test_another_content_type_is_refused(service: Service) -> None:
    """A body has to say that it is JSON."""
    for route in WITH_BODY:
        for content_type in ("text/plain", "", "application/x-www-form-urlencoded", "application/jsonp", "text/json"):
            answer = route.call(service, headers={"content-type": content_type})
            assert (content_type, *told(answer)) == (content_type, 415, "unsupported_media_type"), str(route)


def test_a_body_may_be_written_otherwise(acme: Service) -> None:
    """Base64, a charset, capitals in the content type and the full 64 KiB change nothing."""
    for route in WITH_BODY:
        raw = json.dumps(route.body).encode().ljust(LIMIT)
        answer = route.call(acme, raw=raw, headers={"content-type": "Application/JSON; charset=utf-8"})
        assert answer.status in (200, 201, 202), str(route)


def test_no_body_may_be_an_empty_object(acme: Service) -> None:
    """A route without a body takes an empty object of any content type."""
    for route in WITHOUT_BODY:
        assert route.call(acme, raw="{}", headers={"content-type": "text/plain"}).status in (200, 202), str(route)


def test_no_body_is_nothing_else(service: Service) -> None:
    """A route without a body refuses what would have no effect."""
    for route in WITHOUT_BODY + OPEN_TO_ALL:
        for raw, expected in (
            ('{"a": 1}', (422, "unknown_field")),
            ("[]", (422, "invalid_field")),
            ("{", (400, "invalid_json")),
            ('{"a": 1, "a": 1}', (400, "invalid_json")),
            ("\ufeff{}", (400, "invalid_encoding")),
            (" " * (LIMIT + 1), (413, "body_too_large")),
        ):
            assert (raw[:20], *told(route.call(service, raw=raw))) == (raw[:20], *expected), str(route)


# ---------------------------------------------------------------- addresses and queries


def test_an_account_has_a_name(service: Service) -> None:
    """What cannot name an account is 422, for the platform and for a merchant alike."""
    for route in OF_AN_ACCOUNT:
        for account_id in ("a.b", "a" * 65, "a b", "é", "a\n", "a:b", "*"):
            for account in ("*",) if route.platform else ("*", "acme"):
                answer = route.call(service, account_id, account=account)
                assert (account_id, *told(answer)) == (account_id, 422, "invalid_id"), str(route)


def test_unknown_query_parameters_are_refused(service: Service) -> None:
    """A query parameter that the route does not know is told as such."""
    for route in ALL:
        assert told(route.call(service, query={"surprise": "1"})) == (422, "unknown_field"), str(route)


def test_an_unknown_path_is_not_found(service: Service) -> None:
    """Unknown paths, and methods that a path does not know, are 404."""
    for method, path in (("GET", "/"), ("GET", "/v1/nothing"), ("DELETE", ACME), ("GET", f"{ACME}/debits")):
        assert told(service.call(method, path)) == (404, "not_found")


def test_the_default_route_leads_nowhere(acme: Service) -> None:
    """A path that `$default` brings is not looked at: nobody has checked a scope for it."""
    event = http_event("GET", f"{ACME}/balance", claims={"account_id": "*"})
    event["routeKey"] = event["requestContext"]["routeKey"] = "$default"
    assert told(acme.answer(event)) == (404, "not_found")


def test_an_encoded_slash_leads_nowhere(acme: Service) -> None:
    """A parameter with a slash in it does not reach the route that the decoded path looks like."""
    event = http_event("GET", f"{ACME}/orders/A-0", claims={"account_id": "*"})
    event["pathParameters"] = {"account_id": "acme", "order_id": "A-0/resend"}
    event["rawPath"] = event["requestContext"]["http"]["path"] = f"{ACME}/orders/A-0/resend"
    assert told(acme.answer(event)) == (422, "invalid_id")


# ---------------------------------------------------------------- who may reach what


def test_a_foreign_account_is_a_missing_one(acme: Service) -> None:
    """Another merchant's account and one that does not exist are the same answer, byte for byte but its request_id."""
    for route in CALLERS_OF_AN_ACCOUNT:
        foreign = route.call(acme, account="umbrella")
        missing = route.call(acme, "no-such", account="umbrella")
        assert told(foreign) == (404, "account_not_found"), str(route)
        assert without_request_id(foreign) == without_request_id(missing), str(route)
        assert without_request_id(route.call(acme, "no-such")) == without_request_id(foreign), str(route)


def test_the_platform_finds_no_missing_account(acme: Service) -> None:
    """What the platform alone may do needs an account that is open, but for opening it."""
    for route in FOR_PLATFORM:
        if route.path.startswith(ACME) and route.method != "PUT":
            assert told(route.call(acme, "no-such")) == (404, "account_not_found"), str(route)


def test_a_foreign_account_hides_from_store_tokens(acme: Service) -> None:
    """A token that is bound to a store learns no more of another account."""
    for route in CALLERS_OF_AN_ACCOUNT:
        assert told(route.call(acme, account="umbrella", store="shop-1")) == (404, "account_not_found"), str(route)


def test_a_token_without_the_claim_names_none(acme: Service) -> None:
    """A token that names no account finds none, not even on the routes that name none."""
    for route in FOR_CALLERS:
        assert told(route.call(acme, account=None)) == (404, "account_not_found"), str(route)
        assert told(route.call(acme, account="")) == (404, "account_not_found"), str(route)


def test_form_comes_before_access(acme: Service) -> None:
    """The form of a request is judged before its account: a foreigner learns nothing from either."""
    for route in CALLERS_OF_AN_ACCOUNT:
        assert told(route.call(acme, account="umbrella", query={"surprise": "1"})) == (422, "unknown_field"), str(route)


def test_a_merchant_reaches_its_own_account(acme: Service) -> None:
    """A merchant's token does for its account what the platform's does, but for what is the platform's alone."""
    for route in FOR_CALLERS:
        assert route.call(acme, account="acme").status in (200, 201, 202), str(route)


def test_a_store_token_does_its_own_work(acme: Service) -> None:
    """A token that is bound to a store does that store's work, and nothing that concerns the whole account."""
    for route in FOR_CALLERS:
        answer = route.call(acme, account="acme", store="shop-1")
        if route.whole_account:
            assert told(answer) == (403, "store_forbidden"), str(route)
        else:
            assert answer.status in (200, 201, 202), str(route)


def test_a_store_token_does_no_other_work(acme: Service) -> None:
    """Work for another store than the token's is forbidden."""
    for route in (route for route in WITH_BODY if "store_id" in (route.body or {})):
        assert told(route.call(acme, account="acme", store="shop-2")) == (403, "store_forbidden"), str(route)


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/holds/H-0~1", "hold_not_found"),
        ("POST", "/holds/H-0~1/capture", "hold_not_found"),
        ("POST", "/holds/H-0~1/release", "hold_not_found"),
        ("GET", "/orders/A-0", "order_not_found"),
        ("POST", "/orders/A-0/resend", "order_not_found"),
        ("GET", "/sourcing/P-0", "product_not_found"),
    ],
)
def test_a_store_sees_no_other_work(acme: Service, method: str, path: str, code: str) -> None:
    """Another store's order, product or hold is answered exactly as a missing one."""
    body = {"reason": "test"} if path.endswith("release") else None
    other = acme.call(method, ACME + path, body, account="acme", store="shop-2")
    missing = acme.call(method, ACME + path.replace("-0", "-9"), body, account="acme", store="shop-2")
    assert told(other) == (404, code)
    assert without_request_id(other) == without_request_id(missing)


@pytest.mark.usefixtures("clock")
def test_a_store_list_is_its_own(acme: Service) -> None:
    """A store sees its own orders and entries in the lists, and the balance that all share."""
    for store, orders in (("shop-1", 3), ("shop-2", 0)):
        answer = acme.call("GET", f"{ACME}/orders", account="acme", store=store)
        assert len(answer.body["items"]) == orders
        entries = acme.call("GET", f"{ACME}/entries", account="acme", store=store).body["items"]
        assert {entry.get("store_id") for entry in entries} == ({store} if orders else set())
        answer = acme.call("GET", f"{ACME}/balance", account="acme", store=store)
        assert answer.body["balances"]["auto_order"] == acme.balance()


def test_what_is_the_platform_s_alone(acme: Service) -> None:
    """Opening, standing, adjustments, reviews and coupons are not there for any other token, whatever it sends."""
    assert [str(route) for route in FOR_PLATFORM] == [
        "PUT /accounts/acme",
        "PATCH /accounts/acme",
        "POST /accounts/acme/adjustments",
        f"POST /accounts/acme/purchases/{PURCHASE}/review",
        "GET /coupons/C-0",
        "POST /coupons",
        "DELETE /coupons/C-0",
    ]
    version = acme.call("GET", f"{ACME}/balance").body["version"]
    for route in FOR_PLATFORM:
        for account, store in (("acme", None), ("acme", "shop-1"), ("umbrella", None), ("*", "shop-1"), (None, None)):
            for changes in ({}, {"raw": "{"}, {"query": {"surprise": "1"}}, {"key": None}):
                assert told(route.call(acme, account=account, store=store, **changes)) == (404, "not_found"), str(route)
    assert acme.call("GET", f"{ACME}/balance").body["version"] == version


def test_health_needs_no_token(service: Service) -> None:
    """The health check answers whoever asks."""
    answer = service.answer(http_event("GET", "/v1/health"))
    assert answer.status == 200
    assert set(answer.body) == {"status", "version"}


# ---------------------------------------------------------------- keys


KEYED = tuple(route for route in WITH_BODY if route.key)
UNKEYED = tuple(route for route in ALL if not route.key)


def test_a_key_is_required(acme: Service) -> None:
    """Routes that move something once need a key, and one in the right form."""
    for route in KEYED:
        assert told(route.call(acme, key=None)) == (400, "idempotency_key_required"), str(route)
        for key in ("", " ", "a" * 65, "a b", "ü", "a/b", "a~b", "a\n", "a,b"):
            assert (key, *told(route.call(acme, key=key))) == (key, 400, "idempotency_key_invalid"), str(route)


def test_a_key_is_ignored_elsewhere(acme: Service) -> None:
    """Where no key is asked for, none is looked at."""
    for route in UNKEYED:
        assert route.call(acme, key="no key / at all").status in (200, 201, 202), str(route)


def test_the_same_key_gives_the_first_answer(acme: Service) -> None:
    """The same request with the same key is answered as at first, marked as a replay, and moves nothing."""
    for route in KEYED:
        first = route.call(acme)
        version = acme.call("GET", f"{ACME}/balance").body["version"]
        again = route.call(acme)
        assert "Idempotent-Replayed" not in first.headers, str(route)
        assert again.headers["Idempotent-Replayed"] == "true", str(route)
        assert (again.status, again.text) == (first.status, first.text), str(route)
        assert acme.call("GET", f"{ACME}/balance").body["version"] == version, str(route)


def test_the_spelling_of_the_json_does_not_count(acme: Service) -> None:
    """Order of the fields, spaces and escapes make no other request."""
    for route in KEYED:
        first = route.call(acme)
        fields = reversed((route.body or {}).items())
        raw = json.dumps(dict(fields), indent=3).replace("t", "\\u0074").replace("\\u0074rue", "true")
        again = route.call(acme, raw=raw)
        assert (again.status, again.text) == (first.status, first.text), str(route)


def test_a_key_is_for_one_request(acme: Service) -> None:
    """The same key with another body, or on another route, is refused."""
    for route in KEYED:
        assert route.call(acme).status in (201, 202), str(route)
        others = {"amount": "2.00", "order_id": "A-9", "package": "auto_order-100"}
        other = {name: others.get(name, value) for name, value in (route.body or {}).items()}
        assert told(route.call(acme, body=other)) == (422, "idempotency_key_reused"), str(route)
        for elsewhere in KEYED:
            if elsewhere != route:
                assert told(elsewhere.call(acme, key=route.key)) == (422, "idempotency_key_reused"), str(route)


def test_a_key_is_for_one_route(acme: Service) -> None:
    """The same body with the same key on another route is another request."""
    assert acme.call("POST", f"{ACME}/orders", work("A-1"), key="k").status == 202
    for path in ("/debits", "/holds"):
        assert told(acme.call("POST", ACME + path, work("A-1"), key="k")) == (422, "idempotency_key_reused")


def test_keys_belong_to_the_account(acme: Service) -> None:
    """The same key of another account is another key."""
    acme.open("umbrella")
    for route in KEYED:
        assert route.call(acme).status in (201, 202), str(route)
        answer = route.call(acme, "umbrella")
        assert answer.status in (201, 202), str(route)
        assert "Idempotent-Replayed" not in answer.headers, str(route)


def test_a_refusal_is_not_remembered(service: Service) -> None:
    """After a top-up the key of a refused debit works."""
    service.open()
    big = work("A-1", "fba", "none", cost="10.00")
    assert told(service.call("POST", f"{ACME}/debits", big, key="k")) == (402, "insufficient_managed_balance")
    top_up = {"unit": "managed", "amount": "10.00", "reason": "test"}
    assert service.call("POST", f"{ACME}/adjustments", top_up, key="top-up").status == 201
    answer = service.call("POST", f"{ACME}/debits", big, key="k")
    assert answer.status == 201
    assert "Idempotent-Replayed" not in answer.headers


# ---------------------------------------------------------------- faults


Spoil = Callable[[Exception], None]


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Spoil:
    """Make every read of an account fail in a way of the test's choice."""

    def spoil(error: Exception) -> None:
        def fail(*_: Any) -> None:
            raise error

        monkeypatch.setattr(DynamoStore, "head", fail)

    return spoil


def test_an_unavailable_table_asks_to_try_again(acme: Service, clock: Clock, broken: Spoil) -> None:
    """A table that does not answer is 503 with Retry-After, after 8 seconds and a last try at most."""
    for route in OF_AN_ACCOUNT:
        broken(UnavailableError("ThrottlingException"))
        before_s = clock.slept_s
        answer = route.call(acme)
        assert told(answer) == (503, "try_again"), str(route)
        assert int(answer.headers["Retry-After"]) > 0, str(route)
        assert clock.slept_s - before_s < 9, str(route)


def test_a_fault_is_told_opaquely(acme: Service, broken: Spoil) -> None:
    """What is not the caller's fault is 500, and says nothing of the inside."""
    for route in OF_AN_ACCOUNT:
        broken(RuntimeError("the secret of table credits"))
        answer = route.call(acme)
        assert told(answer) == (500, "internal_error"), str(route)
        assert not any(word in answer.text for word in ("secret", "Runtime", "Traceback", "table")), str(route)


def test_a_problem_has_the_form_of_its_rfc(acme: Service) -> None:
    """A refusal is `application/problem+json` with the members that RFC 9457 and the contract name."""
    event = http_event("GET", f"{ACME}/orders/none", claims={"account_id": "*"})
    answer = acme.answer(event)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert set(answer.body) == {"type", "title", "status", "detail", "code", "request_id"}
    assert answer.body["status"] == answer.status == 404
    assert answer.body["request_id"] == event["requestContext"]["requestId"]


def test_a_call_logs_one_line(acme: Service, caplog: pytest.LogCaptureFixture) -> None:
    """Each call logs one line: its route and outcome, and nothing of its headers and body."""
    for route in ALL:
        caplog.clear()
        with caplog.at_level(logging.DEBUG, logger=logger.name):
            answer = route.call(acme, headers={"authorization": "Bearer secret"})
        (line,) = (record for record in caplog.records if record.name == logger.name)
        assert line.__dict__["status"] == answer.status, str(route)
        assert line.__dict__["route"] == http_event(route.method, route.path)["routeKey"], str(route)
        assert "secret" not in str(line.__dict__), str(route)


def test_sam_local_reads_the_token(acme: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an authorizer a token counts in `sam local`, which sets AWS_SAM_LOCAL, and nowhere else."""
    event = http_event("GET", f"{ACME}/balance", headers={"Authorization": f"Bearer x.{in_base64('acme')}.x"})
    assert told(acme.answer(event)) == (404, "account_not_found")
    monkeypatch.setenv("AWS_SAM_LOCAL", "true")
    assert acme.answer(event).status == 200
    event["headers"]["Authorization"] = f"Bearer x.{in_base64('umbrella')}.x"
    assert told(acme.answer(event)) == (404, "account_not_found")
    for token in ("", "x", "x.x", "x.!.x", "x.W10.x", "x.bnVsbA.x"):
        event["headers"]["Authorization"] = f"Bearer {token}"
        assert told(acme.answer(event)) == (404, "account_not_found")


def in_base64(account_id: str) -> str:
    """The payload of a token."""
    return base64.urlsafe_b64encode(json.dumps({"account_id": account_id}).encode()).decode().rstrip("=")


def without_request_id(answer: Answer) -> tuple[Any, ...]:
    """All of an answer but the id by which its request can be found."""
    return answer.status, answer.headers, answer.text.replace(answer.body["request_id"], "")

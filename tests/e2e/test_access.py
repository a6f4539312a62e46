"""Who may do what: the gateway refuses tokens and scopes, the service accounts and stores."""

from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from tests.e2e.buyer import fresh_code
from tests.e2e.merchant import Merchant, fresh, opened, refusal, work
from tests.kit.stack import KEY_ID, Stack

SCOPES = ("credits:read", "credits:purchase", "credits:consume", "credits:admin")
ROUTES = [
    ("GET", "/v1/rates", "credits:read"),
    ("GET", "/v1/packages", "credits:read"),
    ("GET", "/v1/accounts/{account}/balance", "credits:read"),
    ("GET", "/v1/accounts/{account}/entries", "credits:read"),
    ("GET", "/v1/accounts/{account}/settings", "credits:read"),
    ("POST", "/v1/accounts/{account}/quotes", "credits:read"),
    ("GET", "/v1/accounts/{account}/holds/x~1", "credits:read"),
    ("GET", "/v1/accounts/{account}/orders/x", "credits:read"),
    ("GET", "/v1/accounts/{account}/sourcing/x", "credits:read"),
    ("PUT", "/v1/accounts/{account}", "credits:admin"),
    ("PATCH", "/v1/accounts/{account}", "credits:admin"),
    ("PUT", "/v1/accounts/{account}/settings", "credits:admin"),
    ("POST", "/v1/accounts/{account}/adjustments", "credits:admin"),
    ("POST", "/v1/accounts/{account}/debits", "credits:consume"),
    ("POST", "/v1/accounts/{account}/holds", "credits:consume"),
    ("POST", "/v1/accounts/{account}/holds/x~1/capture", "credits:consume"),
    ("POST", "/v1/accounts/{account}/holds/x~1/release", "credits:consume"),
    ("GET", "/v1/accounts/{account}/orders", "credits:read"),
    ("POST", "/v1/accounts/{account}/orders", "credits:consume"),
    ("POST", "/v1/accounts/{account}/orders/x/resend", "credits:consume"),
    ("POST", "/v1/accounts/{account}/orders/resend", "credits:consume"),
    ("POST", "/v1/accounts/{account}/coupons/check", "credits:read"),
    ("GET", "/v1/accounts/{account}/purchases", "credits:read"),
    ("GET", "/v1/accounts/{account}/purchases/x", "credits:read"),
    ("POST", "/v1/accounts/{account}/purchases", "credits:purchase"),
    ("POST", "/v1/accounts/{account}/purchases/x/checkout", "credits:purchase"),
    ("POST", "/v1/accounts/{account}/purchases/x/cancel", "credits:purchase"),
    ("POST", "/v1/accounts/{account}/purchases/x/review", "credits:admin"),
    ("POST", "/v1/coupons", "credits:admin"),
    ("GET", "/v1/coupons/x", "credits:admin"),
    ("DELETE", "/v1/coupons/x", "credits:admin"),
]
CALLS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "/balance", None),
    ("GET", "/entries", None),
    ("GET", "/settings", None),
    ("PUT", "/settings", {"low_balance": "1.00"}),
    ("POST", "/quotes", work()),
    ("POST", "/debits", work()),
    ("POST", "/holds", work()),
    ("GET", "/holds/x~1", None),
    ("POST", "/holds/x~1/capture", {}),
    ("POST", "/holds/x~1/release", {"reason": "test"}),
    ("GET", "/orders/x", None),
    ("GET", "/sourcing/x", None),
    ("GET", "/orders", None),
    ("POST", "/orders", work()),
    ("POST", "/orders/x/resend", None),
    ("POST", "/orders/resend", {"status": "failed"}),
    ("POST", "/coupons/check", {"code": "X", "package": "auto_order-100"}),
    ("GET", "/purchases", None),
    ("GET", "/purchases/x", None),
    ("POST", "/purchases", {"package": "auto_order-100", "payment_method": "card"}),
    ("POST", "/purchases/x/checkout", {"payment_method": "card"}),
    ("POST", "/purchases/x/cancel", None),
]
PLATFORM_ALONE: list[tuple[str, str, dict[str, Any] | None]] = [
    ("PUT", "/accounts/{account}", {}),
    ("PATCH", "/accounts/{account}", {"status": "paused"}),
    ("POST", "/accounts/{account}/adjustments", {"unit": "auto_order", "amount": "1.00", "reason": "test"}),
    ("POST", "/accounts/{account}/purchases/x/review", {"decision": "credit", "reason": "test"}),
    ("POST", "/coupons", {"code": "NOBODYS", "percent_off": "10.00"}),
    ("GET", "/coupons/{coupon}", None),
    ("DELETE", "/coupons/{coupon}", None),
]
NOWHERE = [
    ("GET", "/v1"),
    ("GET", "/v1/nope"),
    ("PATCH", "/v1/nope"),
    ("GET", "/v2/rates"),
    ("GET", "/v1/Rates"),
    ("POST", "/v1/rates"),
    ("POST", "/v1/health"),
    ("GET", "/v1/accounts/{account}"),
    ("DELETE", "/v1/accounts/{account}"),
    ("POST", "/v1/accounts/{account}/balance"),
    ("GET", "/v1/accounts/{account}/balance/"),
    ("GET", "/v1/accounts//balance"),
    ("GET", "/v1/accounts/{account}/debits"),
    ("GET", "/v1/accounts/a%2Fb/balance"),
    ("GET", "/v1/accounts/a%2Fbalance/balance"),
    ("GET", "/"),
]


def test_health_needs_no_token(stack: Stack) -> None:
    """It says that the service is there, and its version."""
    answer = stack.call_as_is("GET", "/v1/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert answer.json().keys() == {"status", "version"}


@pytest.mark.parametrize(("method", "path", "needed"), ROUTES)
def test_the_gateway_refuses_missing_tokens_and_scopes(stack: Stack, method: str, path: str, needed: str) -> None:
    """401 without a token and 403 with every scope but the route's, in the gateway's own form."""
    path = path.format(account=fresh("nobody"))
    answer = stack.call_as_is(method, path)
    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})
    others = " ".join(scope for scope in SCOPES if scope != needed)
    for scope in ("", others):
        answer = stack.call(method, path, scope=scope, json={})
        assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})
    assert stack.call(method, path, scope=needed, json={}).status_code not in {401, 403}


@pytest.mark.parametrize(
    "change",
    [
        {"exp": 1},
        {"nbf": 32503680000},
        {"aud": "somebody"},
        {"iss": "http://127.0.0.1:1"},
    ],
    ids=str,
)
def test_a_token_out_of_place_or_time_is_refused(stack: Stack, change: dict[str, Any]) -> None:
    """401 by the gateway."""
    claims = jwt.decode(stack.token("*", "credits:read", ""), options={"verify_signature": False})
    assert _status(stack, jwt.encode(claims | change, stack.signing_key(), "RS256", {"kid": KEY_ID})) == 401


def test_a_token_that_another_key_signed_is_refused(stack: Stack) -> None:
    """401 by the gateway, also for none and for a shared secret."""
    claims = jwt.decode(stack.token("*", "credits:read", ""), options={"verify_signature": False})
    stranger = generate_private_key(public_exponent=65537, key_size=2048)
    assert _status(stack, jwt.encode(claims, stranger, "RS256", {"kid": KEY_ID})) == 401
    assert _status(stack, jwt.encode(claims, "secret" * 8, "HS256", {"kid": KEY_ID})) == 401
    assert _status(stack, jwt.encode(claims, "", "none", {"kid": KEY_ID})) == 401
    assert _status(stack, "no.to.ken") == 401


@pytest.mark.parametrize(("method", "path"), NOWHERE)
def test_unknown_paths_and_methods_are_problems(stack: Stack, method: str, path: str) -> None:
    """They need a token; with any, they are 404 `not_found`."""
    path = path.format(account="x")
    if (method, path) != ("POST", "/v1/health"):
        assert stack.call_as_is(method, path).status_code == 401
    assert refusal(stack.call(method, path, scope="")) == (404, "not_found")


@pytest.mark.parametrize(("method", "path", "body"), CALLS, ids=lambda part: part if isinstance(part, str) else "")
def test_a_foreign_account_is_as_one_that_does_not_exist(
    stack: Stack, method: str, path: str, body: dict[str, Any] | None
) -> None:
    """To another merchant, and to a token that names no account: the same answer, and nothing is done."""
    merchant, stranger = opened(stack), Merchant(stack, fresh("nobody"))
    answers = [
        target.call(method, path, account=account, key=fresh("key"), json=body)
        for target in (merchant, stranger)
        for account in ("", fresh("other"))
    ]
    assert [refusal(answer) for answer in answers] == [(404, "account_not_found")] * 4
    bodies = [answer.json() | {"request_id": ""} for answer in answers]
    assert bodies == [bodies[0]] * 4
    assert merchant.standing()["version"] == 1


@pytest.mark.parametrize(
    ("method", "path", "body"), PLATFORM_ALONE, ids=lambda part: part if isinstance(part, str) else ""
)
def test_what_is_the_platforms_alone_is_there_for_nobody_else(
    stack: Stack, method: str, path: str, body: dict[str, Any] | None
) -> None:
    """The account's own token, a store's, a stranger's and one without an account: the same 404, nothing is done."""
    merchant, code = opened(stack), fresh_code()
    coupon = stack.call("POST", "/v1/coupons", json={"code": code, "percent_off": "10.00"}).json()
    callers = [(merchant.account_id, ""), (merchant.account_id, "one"), (fresh("other"), ""), ("", ""), ("*", "one")]
    sent = [body] if body is None else [body, {"nonsense": True}]
    bodies = []
    for account_id in (merchant.account_id, fresh("nobody")):
        called = "/v1" + path.format(account=account_id, coupon=code)
        for account, store in callers:
            answers = [
                stack.call(method, called, account=account, store=store, key=fresh("key"), json=one) for one in sent
            ]
            assert [refusal(answer) for answer in answers] == [(404, "not_found")] * len(sent)
            bodies += [answer.json() | {"request_id": ""} for answer in answers]
    assert bodies == [bodies[0]] * len(bodies)
    assert merchant.standing()["version"] == 1
    assert stack.call("GET", f"/v1/coupons/{code}").json() == coupon
    assert refusal(stack.call("GET", "/v1/coupons/NOBODYS")) == (404, "coupon_not_found")


def test_catalogues_need_an_account_claim(stack: Stack) -> None:
    """A token without the claim finds nothing, a merchant's does."""
    for path in ("/v1/rates", "/v1/packages"):
        assert refusal(stack.call("GET", path, account="")) == (404, "account_not_found")
        assert stack.call("GET", path, account="anybody").status_code == 200


def test_a_merchant_uses_its_own_account(stack: Stack) -> None:
    """Its token names its account and no other."""
    merchant = opened(stack)
    assert merchant.debit(work(), account=merchant.account_id).status_code == 201
    assert merchant.call("GET", "/balance", account=merchant.account_id).status_code == 200


def test_a_store_works_for_itself_alone(stack: Stack) -> None:
    """Its token pays for its own orders only, also when the same key has paid for another store's."""
    merchant = opened(stack, more="10.00")
    key, order = fresh("key"), work(store_id="one")
    assert merchant.debit(order, key).status_code == 201
    for answer in (
        merchant.debit(order, key, store="two"),
        merchant.debit(work(store_id="one"), store="two"),
        merchant.hold(work(store_id="one"), store="two"),
        merchant.call("POST", "/quotes", json=work(store_id="one"), store="two"),
    ):
        assert refusal(answer) == (403, "store_forbidden")
    assert merchant.debit(work(store_id="two"), store="two").status_code == 201


def test_a_store_may_not_govern_the_account(stack: Stack) -> None:
    """Settings and purchases are 403 `store_forbidden`."""
    merchant = opened(stack)
    for method, path, body in CALLS:
        if path.startswith(("/settings", "/purchases")):
            answer = merchant.call(method, path, json=body, key=fresh("key"), store="one", account=merchant.account_id)
            assert refusal(answer) == (403, "store_forbidden"), (method, path)
    assert merchant.standing()["version"] == 1


def test_another_stores_work_is_as_if_missing(stack: Stack) -> None:
    """A store sees the shared balance, but its own orders, products, holds and entries alone."""
    merchant = opened(stack, more="10.00")
    theirs, own = work(store_id="one"), work(store_id="two")
    product = {"product_id": fresh("product"), "store_id": "one", "sourcing": True}
    hold_id = merchant.held(theirs)
    merchant.held(product)
    merchant.debit(own)
    assert merchant.call("GET", f"/orders/{own['order_id']}", store="two").status_code == 200
    for method, path, code in (
        ("GET", f"/orders/{theirs['order_id']}", "order_not_found"),
        ("GET", f"/sourcing/{product['product_id']}", "product_not_found"),
        ("GET", f"/holds/{hold_id}", "hold_not_found"),
        ("POST", f"/holds/{hold_id}/capture", "hold_not_found"),
    ):
        assert refusal(merchant.call(method, path, store="two")) == (404, code)
    released = merchant.call("POST", f"/holds/{hold_id}/release", json={"reason": "test"}, store="two")
    assert refusal(released) == (404, "hold_not_found")
    entries = merchant.call("GET", "/entries", store="two").json()["items"]
    assert [entry["order_id"] for entry in entries] == [own["order_id"]]
    assert merchant.call("GET", "/entries", params={"store_id": "one"}, store="two").json()["items"] == []
    assert merchant.call("GET", "/balance", store="two").json()["balances"] == merchant.standing()["balances"]


def test_a_cursor_serves_its_own_caller(stack: Stack) -> None:
    """A store's cursor is none for the merchant, nor the other way round."""
    merchant = opened(stack, more="10.00")
    for _ in range(3):
        merchant.debit(work(store_id="one"))
    for maker, user in (("", "one"), ("one", ""), ("one", "two")):
        cursor = merchant.call("GET", "/entries", params={"limit": "1"}, store=maker).json()["next_cursor"]
        answer = merchant.call("GET", "/entries", params={"limit": "1", "cursor": cursor}, store=user)
        assert refusal(answer) == (400, "invalid_cursor")


def _status(stack: Stack, token: str) -> int:
    return stack.call_as_is("GET", "/v1/rates", headers={"Authorization": f"Bearer {token}"}).status_code

"""The client against the service's own handlers: every route, its exceptions, its lists."""

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

from autocredits.domain.errors import STATUS_BY_CODE
from credits import Client, Problem, UnexpectedAnswer, order, product
from credits import problems as names
from credits.problems import BY_CODE, problem_of
from credits.transport import Bearer, checked_token, checked_url
from tests.kit.served import Served, client_of
from tests.kit.template import ROOT, http_routes


def everything(platform: Client, acme: Client) -> None:
    """Every call there is, each in a state in which it is accepted."""
    platform.health()
    platform.change_standing("acme", orders_processor="active", reason="test")
    platform.adjust("acme", "auto_order", "10.00", "a gift", reference="r-1")
    assert acme.change_settings("acme", "2.00") == acme.settings("acme")
    acme.balance("acme")
    acme.rates()
    acme.quote("acme", order("o1", "s1"))
    acme.debit("acme", order("o1", "s1", "manual", "bce"))
    held = acme.hold("acme", order("o2", "s1", "fba", "bce", cost="23.50"), expires_in=3600)
    acme.read_hold("acme", held["hold_id"])
    acme.capture("acme", held["hold_id"], parts=["order"], managed="20.00")
    acme.release("acme", held["hold_id"], "not needed")
    acme.debit("acme", product("p1", "s1"))
    acme.sourcing("acme", "p1")
    acme.queue_order("acme", order("o3", "s1"))
    acme.order("acme", "o3")
    list(acme.orders("acme", "queued"))
    acme.resend_failed("acme")
    list(acme.entries("acme"))
    list(acme.statement("acme"))
    acme.usage("acme", by="action")
    list(acme.journal("acme"))
    acme.packages()
    platform.make_coupon("TEN", {"percent_off": "10.00"})
    platform.coupon("TEN")
    acme.check_coupon("acme", "TEN", "auto_order-20")
    platform.close_coupon("TEN")
    bought = acme.buy("acme", "auto_order-20", "card")
    acme.load("acme", "50.00", "paypal")
    acme.purchase("acme", bought["purchase_id"])
    list(acme.purchases("acme"))
    acme.checkout("acme", bought["purchase_id"], "paypal")
    acme.cancel("acme", bought["purchase_id"])


def test_every_route_has_a_call(served: Served, platform: Client, acme: Client) -> None:
    """All that the template routes, but the providers' webhooks."""
    everything(platform, acme)
    held = acme.hold("acme", order("o9", "s1"))
    acme.release("acme", held["hold_id"], "out of stock")
    acme.resend("acme", "o9")
    with pytest.raises(names.InvalidTransition):
        platform.review("acme", acme.buy("acme", "auto_order-20", "card")["purchase_id"], "credit", "seen")
    assert set(served.calls) == {key for key in http_routes() if not key.endswith(("/webhook", "$default"))}


def test_every_public_call_is_typed() -> None:
    """Each names what it takes and what it gives."""
    calls = [call for name, call in inspect.getmembers(Client, inspect.isfunction) if not name.startswith("_")]
    assert len(calls) > 30
    for call in calls:
        signature = inspect.signature(call)
        assert signature.return_annotation is not inspect.Signature.empty
        assert all(p.annotation is not inspect.Parameter.empty for p in list(signature.parameters.values())[1:])


def test_every_code_names_an_exception() -> None:
    """Those of the contract, but the one that is only ever a dead letter's reason."""
    assert set(STATUS_BY_CODE) - {"too_many_messages"} <= BY_CODE.keys()


def test_a_code_that_is_not_known_is_a_plain_problem() -> None:
    """A newer service breaks nobody."""
    problem = problem_of(409, {"code": "brand_new", "detail": "New.", "request_id": "r-1", "more": 1})
    assert type(problem) is Problem
    assert (problem.code, problem.detail, problem.request_id, problem.members["more"]) == (
        "brand_new",
        "New.",
        "r-1",
        1,
    )


@pytest.mark.parametrize(
    ("status", "body", "name"),
    [
        (401, {"message": "Unauthorized"}, "Unauthorized"),
        (403, {"message": "Forbidden"}, "Forbidden"),
        (413, None, "BodyTooLarge"),
        (429, None, "TooManyRequests"),
        (500, {"message": "Internal Server Error"}, "GatewayFault"),
        (504, "<html>", "GatewayFault"),
        (599, None, "GatewayFault"),
        (418, None, "Problem"),
        (500, {"code": "internal_error"}, "InternalError"),
    ],
)
def test_what_the_gateway_says_is_named_too(status: int, body: object, name: str) -> None:
    """By its status, where there is no code."""
    assert type(problem_of(status, body)).__name__ == name


def test_a_refusal_carries_what_the_caller_needs(acme: Client) -> None:
    """The exception of the code has the problem's members, and the key with which the call can be made again."""
    for number in range(20):
        acme.debit("acme", order(f"o{number}", "s1"), key=f"k{number}")
    with pytest.raises(names.InsufficientCredits) as caught:
        acme.debit("acme", order("o20", "s1"), key="k20")
    assert caught.value.members["shortfall"] == "1.00"
    assert (caught.value.status, caught.value.key) == (402, "k20")
    assert caught.value.detail.startswith("Insufficient Auto-orders credits")


def test_another_account_is_not_there(served: Served, acme: Client) -> None:
    """A token reaches its own account alone."""
    with pytest.raises(names.AccountNotFound):
        client_of(served, "bolt").balance("acme")
    assert acme.balance("acme")["account_id"] == "acme"


def test_a_token_of_a_store_sees_its_own(served: Served, acme: Client) -> None:
    """Its entries and orders, and not the journal."""
    acme.debit("acme", order("o1", "s1"))
    acme.debit("acme", order("o2", "s2"))
    store = client_of(served, "acme/s1")
    assert {entry.get("store_id") for entry in store.entries("acme", kind="debited")} == {"s1"}
    with pytest.raises(names.StoreForbidden):
        next(store.journal("acme"))


def test_a_list_follows_its_cursors(acme: Client, served: Served) -> None:
    """Page by page, without a gap or a double, and no page before it is wanted."""
    for number in range(10):
        acme.debit("acme", order(f"o{number}", "s1"))
    served.calls.clear()
    versions = []
    for item in acme.journal("acme", at_once=3):
        versions.append(item["version"])
        assert len(served.calls) == (len(versions) + 2) // 3
    assert versions == list(range(1, 12))


def test_a_list_that_does_not_go_on_ends(acme: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same cursor twice is no endless loop."""
    monkeypatch.setattr(type(acme), "_get", lambda *_: {"items": [1], "next_cursor": "again"})
    with pytest.raises(UnexpectedAnswer):
        list(acme.journal("acme"))


@pytest.mark.parametrize("order_id", ["", ".", ".."])
def test_an_id_cannot_lead_to_another_route(acme: Client, served: Served, order_id: str) -> None:
    """Dots would be taken for steps in the address: they are refused before anything is sent."""
    served.calls.clear()
    calls: list[Callable[[], Any]] = [
        lambda: acme.order("acme", order_id),
        lambda: acme.resend("acme", order_id),
        lambda: acme.cancel("acme", order_id),
        lambda: acme.balance(order_id),
    ]
    for call in calls:
        with pytest.raises(names.InvalidId):
            call()
    assert served.calls == []


def test_an_id_is_one_segment_of_the_address(acme: Client) -> None:
    """Slashes, questions and hashes reach the service, which refuses them."""
    for order_id in ("a/b", "a?b", "a#b", "a%2Fb"):
        with pytest.raises((names.InvalidId, names.NotFound)):
            acme.order("acme", order_id)
    assert acme.debit("acme", order("a:b.c-d_e", "s1"))["credits"] == "1.00"
    assert acme.order("acme", "a:b.c-d_e")["status"] == "ordered"


def test_a_statement_in_pieces_is_the_same(acme: Client, monkeypatch: pytest.MonkeyPatch, served: Served) -> None:
    """One that is too long for an answer is asked for in ranges, and adds up as a whole."""
    for number in range(12):
        served.clock.at_ms += 1000
        acme.debit("acme", order(f"o{number}", "s1"))
    whole = list(acme.statement("acme"))
    monkeypatch.setattr("autocredits.edge.statement.MAX_BYTES", 1500)
    served.calls.clear()
    pieces = list(acme.statement("acme"))
    assert len(served.calls) > 3
    assert [row for row in pieces if row["kind"] != "closing"] == [row for row in whole if row["kind"] != "closing"]
    assert [row["kind"] for row in pieces].count("closing") == 4


def test_a_statement_that_cannot_be_split_is_refused(acme: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What happened in one millisecond is too much: the service's own refusal is raised."""
    acme.debit("acme", order("o1", "s1"))
    monkeypatch.setattr("autocredits.edge.statement.MAX_BYTES", 1100)
    with pytest.raises(names.RangeTooLarge):
        list(acme.statement("acme"))


@pytest.mark.parametrize(
    "url", ["http://credits.example.com", "ftp://x", "https://", "https://u:p@x.example", "https://x/?a=1", "x", ""]
)
def test_a_token_goes_to_no_unsafe_address(url: str) -> None:
    """Only https, and http on this machine."""
    with pytest.raises(ValueError, match="is n"):
        checked_url(url)


@pytest.mark.parametrize("url", ["https://x.example/a/v1", "https://x.example/a/", "http://127.0.0.1:4566/a/v1/"])
def test_an_address_may_end_with_the_version(url: str) -> None:
    """With or without."""
    assert re.fullmatch(r"https?://[^/]+/a", checked_url(url))


@pytest.mark.parametrize("token", ["", " \n", "two words", "one\ntwo", "caf\u00e9"])
def test_what_cannot_be_a_token_is_not_repeated(token: str) -> None:
    """It could be a secret of another kind."""
    with pytest.raises(ValueError, match="the token is empty, or more than one word"):
        checked_token(token)
    assert checked_token("  a.b.c\n") == "a.b.c"


def test_a_netrc_does_not_take_the_tokens_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """`requests` would put its password into the same header."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine credits.test login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    served = Served()
    assert client_of(served).open_account("acme").is_new
    assert Bearer("t").token == "t"


@pytest.mark.parametrize("page", ["README.md", "docs/cli.md"])
def test_the_client_that_a_page_shows_works(page: str, acme: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its ten lines run, against a stack that has the account they name, and charge the order once."""
    (example,) = re.findall(r"```python\n(from credits import.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)
    monkeypatch.setattr("credits.Client", lambda *_, **__: acme)
    for _ in range(2):
        try:
            exec(compile(example, page, "exec"), {"token": "acme"})  # noqa: S102 - our own page
        except names.AlreadyCharged:
            break
    assert [entry["kind"] for entry in acme.entries("acme")].count("debited") == 1

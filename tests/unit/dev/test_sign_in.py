"""Signing in at the local issuer: codes with PKCE, sessions, and nobody sent anywhere but to the page."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
import requests

from tests.kit.page import CLIENT_ID, SCOPES, Person, SignIn, issuer
from tests.kit.stack import free_ports

ISSUER, PAGE = "http://127.0.0.1:1", "http://127.0.0.1:2/"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
ASKED = {
    "client_id": CLIENT_ID,
    "redirect_uri": PAGE,
    "response_type": "code",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
    "state": "st",
    "nonce": "no",
    "scope": "openid credits:read",
}
CHANGE = {
    "grant_type": "authorization_code",
    "client_id": CLIENT_ID,
    "redirect_uri": PAGE,
    "code_verifier": VERIFIER,
}


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at_s = 1000.0

    def __call__(self) -> float:
        """Seconds since 1970."""
        return self.at_s


@pytest.fixture
def clock() -> Clock:
    """The issuer's clock."""
    return Clock()


@pytest.fixture
def people(clock: Clock) -> SignIn:
    """An issuer that nobody has signed in to. Its tokens are JSON."""

    def claims_of(person: Person, scope: str) -> Mapping[str, Any]:
        return {"sub": person.account_id, "account_id": person.account_id, "store_id": person.store_id, "scope": scope}

    return SignIn(
        issuer=ISSUER, page_url=PAGE, sign=lambda claims: json.dumps(dict(claims)), claims_of=claims_of, now_s=clock
    )


def query(**changes: str | None) -> str:
    """A right request of the page's, changed."""
    return urlencode({name: value for name, value in {**ASKED, **changes}.items() if value is not None})


def sent_back(answer: Any) -> dict[str, str]:
    """What the page gets to know by the redirect."""
    assert answer.status == 302
    assert answer.headers["Location"].startswith(f"{PAGE}?")
    return {name: value for name, [value] in parse_qs(urlsplit(answer.headers["Location"]).query).items()}


def signed_in(people: SignIn, account: str = "acme", store: str = "", **changes: str | None) -> tuple[str, str]:
    """The code of somebody who has signed in, and the session's cookie."""
    answer = people.signed_in(query(**changes), urlencode({"account": account, "store": store}))
    return sent_back(answer)["code"], answer.headers["Set-Cookie"].split(";")[0]


def changed(people: SignIn, code: str, **changes: str) -> dict[str, Any]:
    """What a code is changed for."""
    told: dict[str, Any] = json.loads(people.token(urlencode({**CHANGE, "code": code, **changes})).content)
    return told


def test_a_code_is_changed_for_tokens(people: SignIn) -> None:
    """Of the person, with the scope that was asked for; the identity token carries the nonce."""
    code, _ = signed_in(people, "acme", "shop")
    told = changed(people, code)
    assert (told["token_type"], told["expires_in"], told["scope"]) == ("Bearer", 3600, "credits:read")
    access, identity = json.loads(told["access_token"]), json.loads(told["id_token"])
    assert access == {
        "sub": "acme",
        "account_id": "acme",
        "store_id": "shop",
        "scope": "credits:read",
        "iat": 1000,
        "exp": 4600,
        "client_id": CLIENT_ID,
    }
    assert identity == {"iss": ISSUER, "aud": CLIENT_ID, "sub": "acme", "iat": 1000, "exp": 4600, "nonce": "no"}


def test_state_and_issuer_come_back(people: SignIn) -> None:
    """So that the page knows its own request, and whose answer it is (RFC 9207)."""
    told = sent_back(people.signed_in(query(), urlencode({"account": "acme"})))
    assert (told["state"], told["iss"]) == ("st", ISSUER)


def test_without_a_known_scope_all_are_given(people: SignIn) -> None:
    """What is not known is left out."""
    code, _ = signed_in(people, scope="openid other")
    assert changed(people, code)["scope"] == " ".join(SCOPES)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": "w" * 43}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_grant"),
        ({"redirect_uri": f"{PAGE}other"}, "invalid_grant"),
        ({"code": "another"}, "invalid_grant"),
        ({"client_id": "another"}, "invalid_client"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
    ],
    ids=str,
)
def test_a_code_is_changed_for_nobody_else(people: SignIn, changes: dict[str, str], error: str) -> None:
    """Not without its verifier, its address and its client."""
    code, _ = signed_in(people)
    assert changed(people, **{"code": code, **changes}) == {"error": error}


def test_a_code_works_once(people: SignIn) -> None:
    """Also if the first try was a wrong one."""
    code, _ = signed_in(people)
    assert "access_token" in changed(people, code)
    assert changed(people, code) == {"error": "invalid_grant"}
    code, _ = signed_in(people)
    changed(people, code, code_verifier="wrong")
    assert changed(people, code) == {"error": "invalid_grant"}


def test_a_code_works_for_a_minute(people: SignIn, clock: Clock) -> None:
    """Not longer."""
    early, late = signed_in(people)[0], signed_in(people)[0]
    clock.at_s += 60
    assert "access_token" in changed(people, early)
    clock.at_s += 1
    assert changed(people, late) == {"error": "invalid_grant"}


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": "https://evil.example.com/"},
        {"redirect_uri": PAGE.rstrip("/")},
        {"redirect_uri": None},
        {"client_id": "another"},
        {"client_id": None},
    ],
    ids=str,
)
def test_nobody_is_sent_to_another_address(people: SignIn, changes: dict[str, str | None]) -> None:
    """Neither to see the screen, nor after it."""
    for answer in (people.authorize(query(**changes), ""), people.signed_in(query(**changes), "account=acme")):
        assert (answer.status, "Location" in answer.headers) == (400, False)


def test_an_address_that_is_given_twice_is_none(people: SignIn) -> None:
    """Whichever of them comes first."""
    assert people.authorize(query() + "&redirect_uri=https%3A%2F%2Fevil.example.com", "").status == 400


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "é" * 43}, "invalid_request"),
        ({"code_challenge": CHALLENGE[:-1]}, "invalid_request"),
    ],
    ids=str,
)
def test_a_wrong_request_of_the_page_is_told_to_it(people: SignIn, changes: dict[str, str | None], error: str) -> None:
    """By redirect, with its state."""
    told = sent_back(people.authorize(query(**changes), ""))
    assert (told["error"], told["state"]) == (error, "st")


def test_who_is_signed_in_gets_a_code_at_once(people: SignIn) -> None:
    """Silently as well; only `prompt=login` shows the screen again."""
    _, cookie = signed_in(people, "acme")
    for prompt in (None, "none"):
        code = sent_back(people.authorize(query(prompt=prompt), cookie))["code"]
        assert json.loads(changed(people, code)["access_token"])["account_id"] == "acme"
    assert "Sign in as" in people.authorize(query(prompt="login"), cookie).content


@pytest.mark.parametrize("cookie", ["", "session=another", "other=1", "session"])
def test_who_is_not_signed_in_is_never_silently(people: SignIn, cookie: str) -> None:
    """The screen is shown where it may be; else the page is told."""
    signed_in(people)
    assert "Sign in as" in people.authorize(query(), cookie).content
    assert sent_back(people.authorize(query(prompt="none"), cookie))["error"] == "login_required"


def test_a_request_cannot_write_into_the_screen(people: SignIn) -> None:
    """Whatever it asks for is text in an attribute."""
    answer = people.authorize(query(state='"><script>alert(1)</script>'), "")
    assert answer.status == 200
    assert "<script" not in people.authorize(query() + '&x="><script>', "").content


def test_signing_out_ends_the_session(people: SignIn) -> None:
    """And goes back to the page, to nowhere else."""
    _, cookie = signed_in(people)
    assert people.logout(urlencode({"post_logout_redirect_uri": PAGE}), cookie).headers["Location"] == PAGE
    assert sent_back(people.authorize(query(prompt="none"), cookie))["error"] == "login_required"
    assert (
        "Location" not in people.logout(urlencode({"post_logout_redirect_uri": "https://evil.example.com"}), "").headers
    )


# ---------------------------------------------------------------- over HTTP


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """An issuer's address, and that of the page it belongs to."""
    key, port = tmp_path / "key.pem", free_ports()
    issuer.make_key(key)
    address, page = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 6}"
    with issuer.serving(key, address, port, page):
        yield address, page


def test_a_token_is_signed_with_the_key_that_discovery_names(served: tuple[str, str]) -> None:
    """The whole way: discovery, screen, form, code, token, and its signature."""
    address, page = served
    document = requests.get(f"{address}/.well-known/openid-configuration", timeout=10).json()
    asked = {**ASKED, "redirect_uri": f"{page}/"}
    with requests.Session() as browser:
        assert "Sign in as" in browser.get(document["authorization_endpoint"], params=asked, timeout=10).text
        back = browser.post(
            f"{document['authorization_endpoint']}?{urlencode(asked)}",
            data={"account": "acme"},
            allow_redirects=False,
            timeout=10,
        )
        code = parse_qs(urlsplit(back.headers["Location"]).query)["code"][0]
        silent = browser.get(
            document["authorization_endpoint"], params={**asked, "prompt": "none"}, allow_redirects=False, timeout=10
        )
    assert "code=" in silent.headers["Location"]
    told = requests.post(
        document["token_endpoint"], data={**CHANGE, "redirect_uri": f"{page}/", "code": code}, timeout=10
    ).json()
    signing_key = jwt.PyJWKClient(document["jwks_uri"]).get_signing_key_from_jwt(told["access_token"])
    claims = jwt.decode(
        told["access_token"], signing_key.key, algorithms=["RS256"], audience="autocredits", issuer=address
    )
    assert (claims["account_id"], claims["scope"], "store_id" in claims) == ("acme", "credits:read", False)


def test_a_name_is_only_text(served: tuple[str, str]) -> None:
    """Whoever signs in by whatever name: it stands in the token as it is, and on no screen."""
    address, page = served
    name, asked = "<script>alert(1)</script>\r\nSet-Cookie: a=b", {**ASKED, "redirect_uri": f"{page}/"}
    with requests.Session() as browser:
        back = browser.post(
            f"{address}/authorize?{urlencode(asked)}", data={"account": name}, allow_redirects=False, timeout=10
        )
        screen = browser.get(f"{address}/authorize", params={**asked, "prompt": "login"}, timeout=10)
    assert [cookie.name for cookie in browser.cookies] == [f"session-{urlsplit(address).port}"]
    assert "<script" not in screen.text
    code = parse_qs(urlsplit(back.headers["Location"]).query)["code"][0]
    told = requests.post(
        f"{address}/token", data={**CHANGE, "redirect_uri": f"{page}/", "code": code}, timeout=10
    ).json()
    claims = jwt.decode(told["access_token"], options={"verify_signature": False})
    assert claims["account_id"] == name


def test_only_the_page_may_read(served: tuple[str, str]) -> None:
    """Its scripts may; those of another origin may not."""
    address, page = served
    for path in ("/.well-known/openid-configuration", "/jwks.json"):
        allowed = requests.get(address + path, headers={"Origin": page}, timeout=10)
        assert allowed.headers["Access-Control-Allow-Origin"] == page
        other = requests.get(address + path, headers={"Origin": "https://evil.example.com"}, timeout=10)
        assert "Access-Control-Allow-Origin" not in other.headers
    token = requests.post(f"{address}/token", headers={"Origin": page}, timeout=10)
    assert (token.status_code, token.headers["Access-Control-Allow-Origin"]) == (400, page)
    asked = requests.options(f"{address}/token", headers={"Origin": page}, timeout=10)
    assert (asked.status_code, asked.headers["Access-Control-Allow-Origin"]) == (204, page)
    for path in ("/authorize", "/logout", "/none"):
        refused = requests.options(address + path, headers={"Origin": page}, timeout=10)
        assert (refused.status_code, "Access-Control-Allow-Origin" in refused.headers) == (404, False)
    assert requests.get(f"{address}/none", timeout=10).status_code == 404
    assert requests.post(f"{address}/none", timeout=10).status_code == 404

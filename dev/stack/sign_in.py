"""How a person signs in at the local issuer: OpenID Connect's authorization code flow with PKCE, for the page alone.

Whoever asks may sign in as anybody: this is a stand-in for a real provider, on one machine. What the protocol demands
of a provider it does (RFC 6749, 7636, 9207; OpenID Connect Core): codes work once, for a minute, with their verifier,
and nobody is sent to an address but the page's.
"""

import base64
import hashlib
import hmac
import html
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, urlencode

CLIENT_ID = "autocredits-page"
SCOPES = ("credits:read", "credits:purchase", "credits:consume", "credits:admin")
SCOPE = " ".join(("openid", *SCOPES))
CODE_SECONDS = 60
TOKEN_SECONDS = 3600
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
"""A SHA-256 in base64url (RFC 7636, section 4.2)."""

SCREEN = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign in</title><link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<style>body{{font:16px/1.5 system-ui;max-width:26rem;margin:4rem auto;padding:0 1rem}}
label{{display:block;margin:.75rem 0 .25rem}}input,button{{font:inherit;padding:.5rem .75rem}}
input{{width:100%;box-sizing:border-box}}button{{margin-top:1rem}}</style>
<main><h1>Sign in as</h1><p>This screen belongs to a local stack: nobody is asked for a password.</p>
<form method="post" action="{action}">
<label for="account">Account</label><input id="account" name="account" value="demo" required maxlength="64">
<label for="store">Store (only for a user of one store)</label><input id="store" name="store" maxlength="64">
<button>Sign in</button></form></main></html>"""
REFUSED = "<!doctype html><html lang=en><meta charset=utf-8><title>Refused</title><h1>Refused</h1><p>{why}</p></html>"


@dataclass(frozen=True)
class Answer:
    """What a request is answered."""

    status: int
    content_type: str = "text/html; charset=utf-8"
    content: str = ""
    headers: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Person:
    """Who is signed in: an account, and the store that the person is bound to, if any."""

    account_id: str
    store_id: str = ""


@dataclass(frozen=True)
class Grant:
    """What a code stands for, until it is used."""

    person: Person
    challenge: str
    scope: str
    nonce: str
    expires_at: float


Sign = Callable[[Mapping[str, Any]], str]
"""Makes a token of claims."""


@dataclass
class SignIn:
    """The people who are signed in, and the codes under way. `claims_of` makes an access token's claims."""

    issuer: str
    page_url: str
    sign: Sign
    claims_of: Callable[[Person, str], Mapping[str, Any]]
    cookie: str = "session"
    now_s: Callable[[], float] = time.time
    sessions: dict[str, Person] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """What discovery tells of it (OpenID Connect Discovery, section 3)."""
        return {
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "end_session_endpoint": f"{self.issuer}/logout",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": SCOPE.split(),
            "authorization_response_iss_parameter_supported": True,
        }

    def authorize(self, query: str, cookies: str) -> Answer:
        """Send the page a code if the person is signed in; else show the screen, if it may be shown."""
        asked = _single(query)
        if refusal := self._refusal(asked):
            return refusal
        person = self.sessions.get(_cookie(cookies, self.cookie))
        if person and asked.get("prompt") != "login":
            return self._send_code(asked, person)
        if asked.get("prompt") == "none":
            return self._back(asked, error="login_required")
        action = html.escape(f"/authorize?{query}", quote=True)
        return Answer(200, content=SCREEN.format(action=action), headers={"Cache-Control": "no-store"})

    def signed_in(self, query: str, form: str) -> Answer:
        """Begin the session of whoever the screen's form names."""
        asked, named = _single(query), _single(form)
        if refusal := self._refusal(asked):
            return refusal
        person = Person(named.get("account", "").strip(), named.get("store", "").strip())
        if not person.account_id:
            return Answer(400, content=REFUSED.format(why="Name an account."))
        session = secrets.token_urlsafe(32)
        self.sessions[session] = person
        answer = self._send_code(asked, person)
        kept = f"{self.cookie}={session}; Path=/; HttpOnly; SameSite=Lax"
        return Answer(answer.status, headers={**answer.headers, "Set-Cookie": kept})

    def token(self, form: str) -> Answer:
        """Change a code for tokens (RFC 6749, section 4.1.3). A code is gone when it was tried."""
        asked = _single(form)
        if asked.get("grant_type") != "authorization_code":
            return _error("unsupported_grant_type")
        grant = self.grants.pop(asked.get("code", ""), None)
        if asked.get("client_id") != CLIENT_ID:
            return _error("invalid_client")
        verifier = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        if (
            grant is None
            or grant.expires_at < self.now_s()
            or asked.get("redirect_uri") != self.page_url
            or not hmac.compare_digest(challenge, grant.challenge)
        ):
            return _error("invalid_grant")
        return _json(200, self._tokens(grant))

    def logout(self, query: str, cookies: str) -> Answer:
        """End the session, and go back to the page."""
        self.sessions.pop(_cookie(cookies, self.cookie), None)
        if _single(query).get("post_logout_redirect_uri") != self.page_url:
            return Answer(200, content=REFUSED.format(why="You are signed out."))
        return Answer(302, headers={"Location": self.page_url, "Cache-Control": "no-store"})

    def _refusal(self, asked: Mapping[str, str]) -> Answer | None:
        """What a request gets that is no right one. Nobody is sent to an address that is not the page's."""
        if asked.get("client_id") != CLIENT_ID or asked.get("redirect_uri") != self.page_url:
            return Answer(400, content=REFUSED.format(why="No such client, or not its address."))
        if asked.get("response_type") != "code":
            return self._back(asked, error="unsupported_response_type")
        if asked.get("code_challenge_method") != "S256" or not CHALLENGE.fullmatch(asked.get("code_challenge", "")):
            return self._back(asked, error="invalid_request")
        return None

    def _send_code(self, asked: Mapping[str, str], person: Person) -> Answer:
        code = secrets.token_urlsafe(32)
        wanted = [scope for scope in asked.get("scope", "").split() if scope in SCOPES]
        self.grants[code] = Grant(
            person=person,
            challenge=asked["code_challenge"],
            scope=" ".join(wanted or SCOPES),
            nonce=asked.get("nonce", ""),
            expires_at=self.now_s() + CODE_SECONDS,
        )
        return self._back(asked, code=code)

    def _back(self, asked: Mapping[str, str], **answer: str) -> Answer:
        state = {"state": asked["state"]} if "state" in asked else {}
        query = urlencode({**answer, **state, "iss": self.issuer})
        return Answer(302, headers={"Location": f"{self.page_url}?{query}", "Cache-Control": "no-store"})

    def _tokens(self, grant: Grant) -> dict[str, Any]:
        now = int(self.now_s())
        times = {"iat": now, "exp": now + TOKEN_SECONDS}
        claims = {**self.claims_of(grant.person, grant.scope), **times, "client_id": CLIENT_ID}
        nonce = {"nonce": grant.nonce} if grant.nonce else {}
        identity = {"iss": self.issuer, "aud": CLIENT_ID, "sub": claims["sub"], **times, **nonce}
        return {
            "access_token": self.sign(claims),
            "id_token": self.sign(identity),
            "token_type": "Bearer",
            "expires_in": TOKEN_SECONDS,
            "scope": grant.scope,
        }


def _single(query: str) -> dict[str, str]:
    """The parameters of a query or form that are given once; one that is given twice is none (RFC 6749, 3.1)."""
    return {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items() if len(values) == 1}


def _cookie(header: str, name: str) -> str:
    try:
        morsel = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _json(status: int, content: Mapping[str, Any]) -> Answer:
    return Answer(status, "application/json", json.dumps(content), {"Cache-Control": "no-store"})


def _error(code: str) -> Answer:
    return _json(400, {"error": code})

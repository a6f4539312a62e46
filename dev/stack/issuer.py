"""A token issuer for the local stack: an RSA key, OpenID Connect discovery, tokens on demand, and people's sign-in."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import RSAAlgorithm

from dev.stack import web
from dev.stack.sign_in import Answer, SignIn

AUDIENCE = "autocredits"
ALL_SCOPES = "credits:read credits:purchase credits:consume credits:admin"
KEY_ID = "local"
LIFETIME_SECONDS = 24 * 60 * 60
NOT_FOUND = Answer(404, "application/json", '{"message": "Not Found"}')


def make_key(path: Path) -> None:
    """Make the signing key unless it exists; only its owner can read it."""
    if path.exists():
        return
    key = generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(pem)


def mint(key: Path, issuer: str, *, account_id: str = "*", scope: str = ALL_SCOPES, store_id: str = "") -> str:
    """A token for an account (`*` is the platform), valid for a day. With an empty `account_id` it names none."""
    now = int(time.time())
    claims = claims_of(issuer, account_id=account_id, scope=scope, store_id=store_id)
    return sign(key, {**claims, "iat": now, "exp": now + LIFETIME_SECONDS})


def claims_of(issuer: str, *, account_id: str, scope: str, store_id: str = "") -> dict[str, Any]:
    """What a token says beside its times."""
    claims = {
        "iss": issuer,
        "aud": AUDIENCE,
        "sub": "platform" if account_id == "*" else account_id or "nobody",
        "scope": scope,
    }
    if account_id:
        claims["account_id"] = account_id
    if store_id:
        claims["store_id"] = store_id
    return claims


def sign(key: Path, claims: Mapping[str, Any]) -> str:
    """A token of these claims."""
    return jwt.encode(dict(claims), _load(key), algorithm="RS256", headers={"kid": KEY_ID})


@contextmanager
def serving(key: Path, issuer: str, port: int, page_url: str) -> Iterator[None]:
    """Serve the issuer on 127.0.0.1: its two documents, and signing in to the page at `page_url`."""
    people = SignIn(
        issuer=issuer,
        page_url=f"{page_url}/",
        sign=lambda claims: sign(key, claims),
        claims_of=lambda person, scope: claims_of(
            issuer, account_id=person.account_id, scope=scope, store_id=person.store_id
        ),
        cookie=f"session-{port}",  # cookies know no ports
    )
    public = json.loads(RSAAlgorithm.to_jwk(_load(key).public_key()))
    documents: dict[str, dict[str, Any]] = {
        "/.well-known/openid-configuration": {"issuer": issuer, "jwks_uri": f"{issuer}/jwks.json", **people.document()},
        "/jwks.json": {"keys": [public | {"kid": KEY_ID, "use": "sig", "alg": "RS256"}]},
    }

    values = {"people": people, "documents": documents, "page_url": page_url}
    with web.serving(type("IssuerHandler", (Handler,), values), port):
        yield


class Handler(web.Quiet):
    """Answers one request to the issuer."""

    people: SignIn
    documents: Mapping[str, Mapping[str, Any]]
    page_url: str

    def do_GET(self) -> None:
        """Answer a document, or show who may sign in."""
        address = urlsplit(self.path)
        cookies = self.headers.get("Cookie", "")
        if address.path == "/authorize":
            self._answer(self.people.authorize(address.query, cookies))
        elif address.path == "/logout":
            self._answer(self.people.logout(address.query, cookies))
        elif document := self.documents.get(address.path):
            self._answer(Answer(200, "application/json", json.dumps(document), self._cors()))
        else:
            self._answer(NOT_FOUND)

    def do_POST(self) -> None:
        """Take the screen's form, or change a code for tokens."""
        address = urlsplit(self.path)
        form = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace")
        if address.path == "/authorize":
            self._answer(self.people.signed_in(address.query, form))
        elif address.path == "/token":
            answer = self.people.token(form)
            self._answer(replace(answer, headers={**answer.headers, **self._cors()}))
        else:
            self._answer(NOT_FOUND)

    def do_OPTIONS(self) -> None:
        """Say who may call what scripts call."""
        path = urlsplit(self.path).path
        if path != "/token" and path not in self.documents:
            self._answer(NOT_FOUND)
            return
        allowed = {"Access-Control-Allow-Methods": "GET, POST", "Access-Control-Allow-Headers": "*"}
        self._answer(Answer(204, headers={**allowed, **self._cors()}))

    def _cors(self) -> dict[str, str]:
        """Leave to read for the page's scripts, and for no other site's."""
        allowed = {"Access-Control-Allow-Origin": self.page_url} if self.headers.get("Origin") == self.page_url else {}
        return {"Vary": "Origin", **allowed}

    def _answer(self, answer: Answer) -> None:
        self.reply(answer.status, answer.content_type, answer.content, answer.headers)


@cache
def _load(path: Path) -> RSAPrivateKey:
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError(f"{path} holds no RSA key")
    return key

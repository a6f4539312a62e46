"""A token issuer for the local stack: an RSA key, OpenID Connect discovery, and tokens on demand."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

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

AUDIENCE = "autocredits"
ALL_SCOPES = "credits:read credits:purchase credits:consume credits:admin"
KEY_ID = "local"
LIFETIME_SECONDS = 24 * 60 * 60


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
    claims = {
        "iss": issuer,
        "aud": AUDIENCE,
        "sub": "platform" if account_id == "*" else account_id or "nobody",
        "iat": now,
        "exp": now + LIFETIME_SECONDS,
        "scope": scope,
    }
    if account_id:
        claims["account_id"] = account_id
    if store_id:
        claims["store_id"] = store_id
    return jwt.encode(claims, _load(key), algorithm="RS256", headers={"kid": KEY_ID})


@contextmanager
def serving(key: Path, issuer: str, port: int) -> Iterator[None]:
    """Serve the issuer's two documents on 127.0.0.1."""
    public = json.loads(RSAAlgorithm.to_jwk(_load(key).public_key()))
    documents: dict[str, dict[str, Any]] = {
        "/.well-known/openid-configuration": {"issuer": issuer, "jwks_uri": f"{issuer}/jwks.json"},
        "/jwks.json": {"keys": [public | {"kid": KEY_ID, "use": "sig", "alg": "RS256"}]},
    }

    class Handler(web.Quiet):
        def do_GET(self) -> None:
            document = documents.get(self.path)
            self.reply(200 if document else 404, "application/json", json.dumps(document or {"message": "Not Found"}))

    with web.serving(Handler, port):
        yield


@cache
def _load(path: Path) -> RSAPrivateKey:
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError(f"{path} holds no RSA key")
    return key

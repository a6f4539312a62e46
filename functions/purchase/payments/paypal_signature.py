"""PayPal's signature of a webhook, checked without asking PayPal but for its certificate.

What is signed is "transmission id|time|webhook id|CRC-32 of the body" (PayPal, "Integrate webhooks", "Verify the
message yourself"). The time is signed and not judged: PayPal sends again for three days. The body is covered by no more
than a CRC-32, which anybody can collide, so what it says is not believed.
"""

import base64
import binascii
import re
import warnings
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from urllib.parse import urlsplit

import certifi
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from autocredits.domain.errors import Problem

from .asking import Host

CERTIFICATES = "/v1/notifications/certs/"
ALGORITHM = "SHA256withRSA"
MAX_KEPT = 8
"""How many certificates are kept. PayPal uses one at a time."""

_CERTIFICATE = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class _Key:
    public: RSAPublicKey
    ends_at: datetime


_kept: dict[tuple[str, str, str], _Key] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signatures:
    """Who signs: `host` is the only one that certificates are fetched from, `signer` the name in them.

    `webhook_ids` are the ids that PayPal gave to our webhook, two while it is registered anew. `root` is a PEM of the
    trusted roots, empty for those that everybody trusts.
    """

    webhook_ids: Sequence[str]
    host: Host
    signer: str
    root: str = ""

    def check(self, raw: bytes, headers: Mapping[str, str]) -> None:
        """Raise Problem `bad_signature` unless PayPal has signed this body for one of our webhooks.

        Raises UnavailableError where its certificate cannot be had now.
        """
        if headers.get("paypal-auth-algo") != ALGORITHM:
            raise Problem("bad_signature")
        try:
            signature = base64.b64decode(headers.get("paypal-transmission-sig", ""), validate=True)
        except (binascii.Error, ValueError):
            raise Problem("bad_signature") from None
        key = self._key(headers.get("paypal-cert-url", ""))
        begin = f"{headers.get('paypal-transmission-id', '')}|{headers.get('paypal-transmission-time', '')}"
        signed = (f"{begin}|{webhook_id}|{zlib.crc32(raw)}".encode() for webhook_id in self.webhook_ids)
        if not any(_is_signed(key, signature, message) for message in signed):
            raise Problem("bad_signature")

    def _key(self, url: str) -> RSAPublicKey:
        """The key of the certificate at an address of PayPal's. It is kept until the certificate ends."""
        path = self._path(url)
        name = (self.host.base_url, self.root, path)
        known = _kept.get(name)
        if known is None or known.ends_at <= datetime.now(UTC):
            known = self._read(self.host.fetch(path))
            while len(_kept) >= MAX_KEPT:
                _kept.pop(next(iter(_kept)))
            _kept[name] = known
        return known.public

    def _path(self, url: str) -> str:
        """The path of a certificate. Raises Problem `bad_signature` for an address that is not PayPal's."""
        host, _, name = url.partition(CERTIFICATES)
        if host != self.host.base_url or not _CERTIFICATE.fullmatch(name):
            raise Problem("bad_signature")
        return urlsplit(url).path

    def _read(self, pem: bytes | None) -> _Key:
        """The key of a chain that leads from the signer to a trusted root, today. Raises Problem `bad_signature`."""
        try:
            leaf, *others = x509.load_pem_x509_certificates(pem or b"")
            policy = PolicyBuilder().store(_roots(self.root)).time(datetime.now(UTC))
            policy.build_server_verifier(x509.DNSName(self.signer)).verify(leaf, others)
            public = leaf.public_key()
        except (ValueError, VerificationError):
            raise Problem("bad_signature") from None
        if not isinstance(public, RSAPublicKey):
            raise Problem("bad_signature")
        return _Key(public, leaf.not_valid_after_utc)


@cache
def _roots(root: str) -> Store:
    pem = root.encode() if root else certifi.contents().encode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)  # of a root whose serial number is not positive
        return Store(x509.load_pem_x509_certificates(pem))


def _is_signed(key: RSAPublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True

"""A certificate authority of the double's own, and the signer of its webhooks."""

import base64
import json
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SIGNER = "messageverificationcerts.sandbox.paypal.com"
DAYS = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Authority:
    """A root that signs certificates for names."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    def pem(self) -> str:
        """Its own certificate."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def issue(self, name: str = SIGNER, *, begins_in: int = -1, ends_in: int = 30) -> "Signer":
        """A signer by this name, whose certificate begins and ends in so many days."""
        key = rsa.generate_private_key(65537, 2048)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        begins, ends = datetime.now(UTC) + begins_in * DAYS, datetime.now(UTC) + ends_in * DAYS
        certificate = (
            _builder(name, self.certificate.subject, key.public_key(), begins, ends)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(usage, critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
            .sign(self.key, SHA256())
        )
        return Signer(key, certificate)


@dataclass(frozen=True, slots=True)
class Signer:
    """A key with its certificate."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    def pem(self) -> str:
        """Its certificate."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def sign(self, raw: bytes, transmission_id: str, time: str, webhook_id: str) -> str:
        """The signature of a webhook, in base 64."""
        message = f"{transmission_id}|{time}|{webhook_id}|{zlib.crc32(raw)}".encode()
        return base64.b64encode(self.key.sign(message, padding.PKCS1v15(), SHA256())).decode()


def make_authority(name: str = "A root for tests") -> Authority:
    """A new root."""
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        _builder(name, subject, key.public_key(), now - 2 * DAYS, now + 365 * DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_signs_certificates(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    return Authority(key, certificate)


@cache
def common_authority() -> Authority:
    """The root of all doubles of this process: making one takes a while."""
    return make_authority()


@cache
def common_signer() -> Signer:
    """The signer of all doubles of this process."""
    return common_authority().issue()


def _builder(
    name: str, issuer: x509.Name, key: rsa.RSAPublicKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )


def _signs_certificates() -> x509.KeyUsage:
    others = ("content_commitment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only")
    unused = dict.fromkeys((*others, "digital_signature", "key_encipherment"), False)
    return x509.KeyUsage(**unused, key_cert_sign=True, crl_sign=True)


def forge(event: object, like: bytes) -> bytes:
    """A body that says what it likes and has the CRC-32 of another one: what anybody can do."""
    rest = b'", ' + json.dumps(event).encode()[1:]
    for number in range(100_000):
        begin = b'{"any": "%d ' % number
        added = _filling(begin, rest, zlib.crc32(like))
        if all(0x20 <= byte < 0x7F and byte not in b'"\\' for byte in added):  # noqa: PLR2004 - printable
            return begin + added + rest
    raise AssertionError("no printable filling was found")


def _filling(begin: bytes, rest: bytes, wanted: int) -> bytes:
    """The four bytes between `begin` and `rest` that make the whole's CRC-32 `wanted`."""
    table = [_shifted(byte) for byte in range(256)]
    by_top = {entry >> 24: index for index, entry in enumerate(table)}
    register = wanted ^ 0xFFFFFFFF
    for byte in reversed(rest):
        index = by_top[register >> 24]
        register = ((register ^ table[index]) << 8) & 0xFFFFFFFF | (index ^ byte)
    indices = []
    for _ in range(4):
        index = by_top[register >> 24]
        indices.append(index)
        register = ((register ^ table[index]) << 8) & 0xFFFFFFFF
    state, added = zlib.crc32(begin) ^ 0xFFFFFFFF, bytearray()
    for index in reversed(indices):
        added.append((state ^ index) & 0xFF)
        state = (state >> 8) ^ table[index]
    return bytes(added)


def _shifted(byte: int) -> int:
    """One entry of the table of CRC-32."""
    for _ in range(8):
        byte = byte >> 1 ^ (0xEDB88320 if byte & 1 else 0)
    return byte

"""The merchant's page as tests see it: its files, its headers, and the checker of its screens."""

from pathlib import Path

from dev.engines import node
from dev.engines.dynamodb import CACHE
from dev.page.deploy import Upload, invalidate, page_of, put, uploads_of
from dev.page.deploy import main as deploy_page
from dev.page.headers import headers_of
from dev.page.library import WEB
from dev.page.serving import file_of, serving
from dev.stack import issuer
from dev.stack.sign_in import CLIENT_ID, SCOPES, Person, SignIn
from dev.stack.transform import read_template

__all__ = [
    "CLIENT_ID",
    "SCOPES",
    "WEB",
    "Person",
    "SignIn",
    "Upload",
    "deploy_page",
    "fetch_axe",
    "file_of",
    "headers_of",
    "invalidate",
    "issuer",
    "page_headers",
    "page_of",
    "put",
    "serving",
    "uploads_of",
]

AXE_VERSION = "4.14.1"
AXE_CHECKSUM = "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="


def fetch_axe() -> Path:
    """The checker, a script of its own."""
    return node.fetch_package(CACHE, "axe-core", AXE_VERSION, AXE_CHECKSUM) / "axe.min.js"


def page_headers(issuer: str) -> dict[str, str]:
    """The headers that the template defines, for a page that signs in at the issuer."""
    return headers_of(read_template(), {"SignInOrigins": issuer})

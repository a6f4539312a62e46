"""Uploading the page: what goes to the bucket, in which order, and what is told where something is missing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.kit.page import Upload, page_of, put, uploads_of

OUTPUTS = {
    "PageBucketName": "pages",
    "PageDistributionId": "E1",
    "PageUrl": "https://credits.example.com",
    "PageIssuer": "https://id.example.com",
    "PageClientId": "page",
    "PageScope": "openid x/credits:read",
}


@pytest.fixture
def s3() -> Iterator[Any]:
    """Storage with an empty bucket."""
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="pages")
        yield client


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A small page."""
    (tmp_path / "vendor").mkdir()
    for name in ("index.html", "main.js", "vendor/library.js", "style.css"):
        (tmp_path / name).write_text(f"content of {name}")
    return tmp_path


def test_the_index_comes_last(files: Path) -> None:
    """A half-done upload shows the page as it was; `config.json` is made of the stack's outputs."""
    uploads = list(uploads_of(files, OUTPUTS))
    assert [upload.key for upload in uploads][0::4] == ["config.json", "index.html"]
    assert {upload.key for upload in uploads} == {
        "config.json",
        "main.js",
        "style.css",
        "vendor/library.js",
        "index.html",
    }
    config = {"issuer": "https://id.example.com", "client_id": "page", "scope": "openid x/credits:read"}
    assert json.loads(uploads[0].content) == config


def test_objects_have_their_type_and_are_asked_for_again(s3: Any, files: Path) -> None:
    """A module that is no JavaScript would not run; a file that stays cached would not fit the next release."""
    put(s3, "pages", list(uploads_of(files, OUTPUTS)))
    found = {key: s3.get_object(Bucket="pages", Key=key) for key in ("main.js", "vendor/library.js", "index.html")}
    assert [found[key]["ContentType"] for key in found] == ["text/javascript"] * 2 + ["text/html; charset=utf-8"]
    assert {found[key]["CacheControl"] for key in found} == {"no-cache"}


def test_what_is_no_longer_there_is_removed(s3: Any) -> None:
    """And nothing else."""
    put(s3, "pages", [Upload("old.js", b"", "text/javascript"), Upload("index.html", b"1", "text/html")])
    assert put(s3, "pages", [Upload("index.html", b"2", "text/html")]) == 1
    assert [one["Key"] for one in s3.list_objects_v2(Bucket="pages")["Contents"]] == ["index.html"]
    assert s3.get_object(Bucket="pages", Key="index.html")["Body"].read() == b"2"


def test_a_stack_without_a_page_is_told() -> None:
    """With what would give it one."""
    with pytest.raises(SystemExit, match="deploy it with Page=on"):
        page_of("stack", {"ApiUrl": "https://api.example.com"})

"""Uploading the page: what goes to the bucket, in which order, and what is told where something is missing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from tests.kit.page import Upload, deploy_page, invalidate, page_of, put, uploads_of

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
    for name in ("index.html", "main.js", "vendor/library.js", "style.css", ".DS_Store", "main.js~"):
        (tmp_path / name).write_text(f"content of {name}")
    return tmp_path


def test_the_index_comes_last(files: Path) -> None:
    """A half-done upload shows the page as it was; `config.json` is made of outputs; an editor's leftovers stay here."""
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


def test_cloudfront_forgets_every_file() -> None:
    """And does so again at the next upload: no two calls have the same reference."""
    calls: list[dict[str, Any]] = []

    class CloudFront:
        def create_invalidation(self, **call: Any) -> None:
            calls.append(call)

    invalidate(CloudFront(), "E1")
    invalidate(CloudFront(), "E1")
    assert [call["DistributionId"] for call in calls] == ["E1", "E1"]
    assert [call["InvalidationBatch"]["Paths"] for call in calls] == [{"Quantity": 1, "Items": ["/*"]}] * 2
    assert len({call["InvalidationBatch"]["CallerReference"] for call in calls}) == 2


def test_a_stack_has_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is asked of AWS."""
    monkeypatch.delenv("STACK", raising=False)
    with pytest.raises(SystemExit, match="make deploy-page STACK="):
        deploy_page()


def test_what_aws_refuses_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a stack that is not there: nothing is fetched or uploaded for it."""

    class CloudFormation:
        def describe_stacks(self, **call: str) -> None:
            message = f"Stack with id {call['StackName']} does not exist"
            raise ClientError({"Error": {"Code": "ValidationError", "Message": message}}, "DescribeStacks")

    clients = {"cloudformation": CloudFormation()}
    monkeypatch.setattr(boto3, "client", clients.__getitem__)
    monkeypatch.setenv("STACK", "nowhere")
    with pytest.raises(SystemExit, match=r"\Aerror: AWS refused: .*nowhere does not exist\Z"):
        deploy_page()

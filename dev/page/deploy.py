"""`make deploy-page STACK=…`: uploads the merchant's page to the bucket of a stack on AWS."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from dev.page.library import WEB, fetch_library
from dev.page.serving import TYPES, type_of
from dev.stack.deploy import outputs_on_aws

NEEDED = ("PageBucketName", "PageDistributionId", "PageUrl", "PageIssuer", "PageClientId", "PageScope")
CACHE_CONTROL = "no-cache"
"""Files keep their names, so a browser asks each time whether they have changed."""

INDEX = "index.html"


@dataclass(frozen=True)
class Upload:
    """An object of the page: its key, its content, and of what type that is."""

    key: str
    content: bytes
    content_type: str


def main() -> None:
    """Read STACK from the environment, upload, and print what was done."""
    stack = os.environ.get("STACK", "")
    if not stack:
        raise SystemExit("error: name the stack: make deploy-page STACK=autocredits")
    try:
        outputs = page_of(stack, outputs_on_aws(stack))
        fetch_library()
        uploads = list(uploads_of(WEB, outputs))
        removed = put(boto3.client("s3"), outputs["PageBucketName"], uploads)
        invalidate(boto3.client("cloudfront"), outputs["PageDistributionId"])
    except (BotoCoreError, ClientError) as error:
        raise SystemExit(f"error: AWS refused: {error}") from None
    print(f"{len(uploads)} files uploaded, {removed} removed; the page is at {outputs['PageUrl']}/")


def page_of(stack: str, outputs: Mapping[str, str]) -> Mapping[str, str]:
    """The outputs that tell of the stack's page. Raises SystemExit with one line if it has none."""
    if missing := [name for name in NEEDED if not outputs.get(name)]:
        raise SystemExit(
            f"error: stack {stack} has no page (outputs missing: {', '.join(missing)}); deploy it with Page=on"
        )
    return outputs


def uploads_of(files: Path, outputs: Mapping[str, str]) -> Iterator[Upload]:
    """What is to be uploaded, index.html last: what it names is there before it is."""
    config = {
        "issuer": outputs["PageIssuer"],
        "client_id": outputs["PageClientId"],
        "scope": outputs["PageScope"],
    }
    yield Upload("config.json", json.dumps(config).encode(), "application/json")
    found = (file for file in files.rglob("*") if file.is_file() and file.suffix in TYPES)
    for file in sorted(found, key=lambda file: (file.name == INDEX, file)):
        yield Upload(file.relative_to(files).as_posix(), file.read_bytes(), type_of(file))


def put(s3: Any, bucket: str, uploads: list[Upload]) -> int:
    """Put the objects into the bucket in their order, remove what else is there, and return how many that were."""
    for upload in uploads:
        s3.put_object(
            Bucket=bucket,
            Key=upload.key,
            Body=upload.content,
            ContentType=upload.content_type,
            CacheControl=CACHE_CONTROL,
        )
    kept = {upload.key for upload in uploads}
    listed = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    left = [found["Key"] for page in listed for found in page.get("Contents", []) if found["Key"] not in kept]
    for key in left:
        s3.delete_object(Bucket=bucket, Key=key)
    return len(left)


def invalidate(cloudfront: Any, distribution_id: str) -> None:
    """Have CloudFront forget what it has cached."""
    batch = {"Paths": {"Quantity": 1, "Items": ["/*"]}, "CallerReference": str(time.time_ns())}
    cloudfront.create_invalidation(DistributionId=distribution_id, InvalidationBatch=batch)


if __name__ == "__main__":
    main()

"""Deploys the template into the emulator, or brings an older deployment up to date."""

import json
from collections.abc import Collection
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, WaiterError

from dev.stack import signing
from dev.stack.issuer import AUDIENCE
from dev.stack.package import Package
from dev.stack.places import Places
from dev.stack.transform import API_ID, Template, to_cloudformation

STACK = "autocredits"
BUCKET = "autocredits-code"
TEMPLATE_KEY = "template.json"
REGION = "us-east-1"


def client(service: str, places: Places) -> Any:
    """An AWS client for the emulator, which takes any credentials."""
    return boto3.client(
        service,  # type: ignore[call-overload]  # the stubs know some services, this takes any
        endpoint_url=places.endpoint_url,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106
        config=Config(retries={"total_max_attempts": 1}),
    )


SECRETS = {
    "stripe": "StripeSecretName",
    "paypal": "PayPalSecretName",
    "payoneer": "PayoneerSecretName",
    "sandbox": "SandboxSecretName",
}
"""The parameter that names each payment provider's secret."""


def deploy(template: Template, packages: dict[str, Package], places: Places, providers: Collection[str]) -> str:
    """Create or update the stack and say which: "created", "updated" or "unchanged".

    `providers` are those that there are secrets of.
    """
    cloudformation = client("cloudformation", places)
    parameters = {
        "JwtIssuer": places.issuer,
        "JwtAudience": AUDIENCE,
        "Protection": "off",
        "SandboxPageUrl": places.sandbox,
        "WebhooksUrl": api_url(places),
        **{SECRETS[provider]: signing.name_of(provider) for provider in providers},
    }
    body = json.dumps(to_cloudformation(template, packages, BUCKET, parameters, REGION), sort_keys=True)
    _upload(packages, body, places)
    request = {
        "StackName": STACK,
        "TemplateURL": f"{places.endpoint_url}/{BUCKET}/{TEMPLATE_KEY}",  # as a body it would be too long
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        "Capabilities": ["CAPABILITY_IAM"],
    }
    try:
        if not _exists(cloudformation):
            cloudformation.create_stack(**request)
            outcome = "created"
        else:
            cloudformation.update_stack(**request)
            outcome = "updated"
        waiter = cloudformation.get_waiter("stack_create_complete" if outcome == "created" else "stack_update_complete")
        waiter.wait(StackName=STACK, WaiterConfig={"Delay": 0.2, "MaxAttempts": 300})
    except ClientError as error:
        if "No updates are to be performed" in str(error):
            return "unchanged"
        raise SystemExit(f"error: the template could not be deployed: {error}") from None
    except WaiterError:
        raise SystemExit(f"error: the template could not be deployed: {_reasons(cloudformation)}") from None
    return outcome


def outputs(places: Places) -> dict[str, str]:
    """The stack's outputs by name."""
    return _outputs(client("cloudformation", places), STACK)


def outputs_on_aws(stack: str) -> dict[str, str]:
    """Those of a stack on AWS, by the credentials and region of the environment."""
    return _outputs(boto3.client("cloudformation"), stack)


def _outputs(cloudformation: Any, stack: str) -> dict[str, str]:
    [described] = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}


def api_url(places: Places) -> str:
    """Where the emulator serves the API, by an id that is always the same."""
    return f"{places.endpoint_url}/_aws/execute-api/{API_ID}"


def _upload(packages: dict[str, Package], template: str, places: Places) -> None:
    s3 = client("s3", places)
    s3.create_bucket(Bucket=BUCKET)
    for package in packages.values():
        s3.put_object(Bucket=BUCKET, Key=package.key, Body=package.body)
    s3.put_object(Bucket=BUCKET, Key=TEMPLATE_KEY, Body=template.encode())


def _exists(cloudformation: Any) -> bool:
    try:
        cloudformation.describe_stacks(StackName=STACK)
    except ClientError:
        return False
    return True


def _reasons(cloudformation: Any) -> str:
    events = cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
    failed = [event for event in events if event["ResourceStatus"].endswith("_FAILED")]
    return "; ".join(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}" for event in failed)

"""Turns the SAM template into what the emulator understands: plain CloudFormation, without an OpenAPI body.

SAM compiles the routes of an HTTP API into the `Body` of `AWS::ApiGatewayV2::Api`, which the emulator ignores. The
same routes are therefore written out as resources of their own.
"""

import copy
import os
from collections.abc import Iterator
from typing import Any

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from dev.stack.package import SOURCES, Package
from dev.stack.places import TEMPLATE

Template = dict[str, Any]

LOOP = "Fn::ForEach::"
BY_TENS = ("sqs:ChangeMessageVisibility", "sqs:SendMessage")

# The emulator's way to choose an API's id, and with it its address.
API_ID = "autocredits"
API_TAGS = {"ms-custom-id": API_ID}


class _NoManagedPolicies:
    """Satisfies the translator: the template names no managed policy."""

    def load(self) -> dict[str, str]:
        return {}


def read_template() -> Template:
    """The SAM template as data, its short tags and its loops written out."""
    return unrolled(yaml_parse(TEMPLATE.read_text()))


def unrolled(template: Template) -> Template:
    """Write out the loops over resources as AWS::LanguageExtensions does; SAM's own translator knows none."""
    resources: dict[str, Any] = {}
    for logical_id, resource in template["Resources"].items():
        if logical_id.startswith(LOOP):
            variable, values, body = resource
            placeholder = f"${{{variable}}}"
            for value in values:
                resources |= {key.replace(placeholder, value): _fill(body[key], placeholder, value) for key in body}
        else:
            resources[logical_id] = resource
    return template | {"Resources": resources}


def _fill(part: Any, placeholder: str, value: str) -> Any:
    """Put a loop's value into a resource, where AWS does: in `Fn::Sub`, which is a plain text once nothing is left."""
    if isinstance(part, list):
        return [_fill(item, placeholder, value) for item in part]
    if not isinstance(part, dict):
        return part
    if "Fn::Sub" in part:
        text = part["Fn::Sub"].replace(placeholder, value)
        return {"Fn::Sub": text} if "${" in text else text
    return {key: _fill(item, placeholder, value) for key, item in part.items()}


def to_cloudformation(
    template: Template, packages: dict[str, Package], bucket: str, parameters: dict[str, str], region: str
) -> Template:
    """Translate the template, its code taken from `packages` in `bucket`."""
    template = copy.deepcopy(template)
    for logical_id, package in packages.items():
        resource = template["Resources"][logical_id]
        resource["Properties"][SOURCES[resource["Type"]]] = f"s3://{bucket}/{package.key}"
    os.environ.setdefault("AWS_DEFAULT_REGION", region)  # the translator asks for it
    result: Template = transform(template, parameters, _NoManagedPolicies())
    _allow_plain_http(result)
    _allow_batches(result)
    _drop_metric_math(result)
    for logical_id, resource in list(result["Resources"].items()):
        if resource["Type"] == "AWS::ApiGatewayV2::Api":
            result["Resources"].update(_expand_body(logical_id, resource["Properties"]))
    return result


def _allow_plain_http(template: Template) -> None:
    """Drop the statements that demand TLS: nothing on this machine speaks it."""
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::SQS::QueuePolicy":
            document = resource["Properties"]["PolicyDocument"]
            document["Statement"] = [one for one in document["Statement"] if one.get("Sid") != "OnlyOverTls"]


def _allow_batches(template: Template) -> None:
    """Let roles do by tens what they may do one by one: on AWS that is one action, to the emulator it is two."""
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::IAM::Role":
            for policy in resource["Properties"]["Policies"]:
                for statement in policy["PolicyDocument"]["Statement"]:
                    statement["Action"] += [f"{action}Batch" for action in BY_TENS if action in statement["Action"]]


def _drop_metric_math(template: Template) -> None:
    """Drop the alarms that reckon with several metrics, which the emulator knows none of."""
    for logical_id, resource in list(template["Resources"].items()):
        if resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]:
            del template["Resources"][logical_id]


def _expand_body(api: str, properties: dict[str, Any]) -> dict[str, Any]:
    """Take the OpenAPI body out of an API and write it as authorizers, integrations and routes."""
    body = properties.pop("Body")
    properties.pop("FailOnWarnings", None)
    properties |= {"Name": api, "ProtocolType": "HTTP", "Tags": API_TAGS}
    resources = dict(_authorizers(api, body))
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            integration = operation["x-amazon-apigateway-integration"]
            function = integration["uri"]["Fn::Sub"].split("${")[-1].split(".Arn}")[0]
            resources[f"{api}{function}Integration"] = _integration(api, integration)
            key = "$default" if path == "$default" else f"{method.upper()} {path}"
            name = "".join(character for character in key.title() if character.isalnum())
            resources[f"{api}{name}Route"] = _route(api, key, function, operation)
    return resources


def _authorizers(api: str, body: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, scheme in body["components"]["securitySchemes"].items():
        authorizer = scheme["x-amazon-apigateway-authorizer"]
        yield (
            f"{api}{name}Authorizer",
            {
                "Type": "AWS::ApiGatewayV2::Authorizer",
                "Properties": {
                    "ApiId": {"Ref": api},
                    "Name": name,
                    "AuthorizerType": "JWT",
                    "IdentitySource": [authorizer["identitySource"]],
                    "JwtConfiguration": {
                        "Issuer": authorizer["jwtConfiguration"]["issuer"],
                        "Audience": authorizer["jwtConfiguration"]["audience"],
                    },
                },
            },
        )


def _integration(api: str, integration: dict[str, Any]) -> dict[str, Any]:
    return {
        "Type": "AWS::ApiGatewayV2::Integration",
        "Properties": {
            "ApiId": {"Ref": api},
            "IntegrationType": "AWS_PROXY",
            "IntegrationUri": integration["uri"],
            "PayloadFormatVersion": integration["payloadFormatVersion"],
        },
    }


def _route(api: str, key: str, function: str, operation: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "ApiId": {"Ref": api},
        "RouteKey": key,
        "Target": {"Fn::Join": ["/", ["integrations", {"Ref": f"{api}{function}Integration"}]]},
    }
    for requirement in operation["security"]:
        for name, scopes in requirement.items():
            if name != "NONE":
                properties |= {
                    "AuthorizationType": "JWT",
                    "AuthorizerId": {"Ref": f"{api}{name}Authorizer"},
                    "AuthorizationScopes": scopes,
                }
    return {"Type": "AWS::ApiGatewayV2::Route", "Properties": properties}

"""The local stack serves the template's own routes: what is expanded is what SAM compiled."""

from typing import Any

import pytest
from cfnlint.template import Template
from samtranslator.yaml_helper import yaml_parse

from tests.kit.template import LOOP, TEMPLATE, http_routes, template, to_plain


def of_type(resources: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """The properties of all resources of one type."""
    return [
        resource["Properties"] for resource in resources.values() if resource["Type"] == f"AWS::ApiGatewayV2::{kind}"
    ]


def test_loops_are_written_out_as_cfn_lint_writes_them_out() -> None:
    """AWS writes them out itself; cfn-lint's idea of that is another than ours, and knows the whole language."""
    judge = Template(None, yaml_parse(TEMPLATE.read_text()) | {"Transform": "AWS::LanguageExtensions"}, ["us-east-1"])
    assert any(logical_id.startswith(LOOP) for logical_id in judge.template["Resources"])
    assert judge.transform() == []
    assert template()["Resources"] == judge.template["Resources"]


def test_every_event_becomes_a_route() -> None:
    """Routes keep their key, their scopes and their function."""
    resources = to_plain()
    routes = {route["RouteKey"]: route for route in of_type(resources, "Route")}
    assert routes.keys() == http_routes().keys()
    debit = routes["POST /v1/accounts/{account_id}/debits"]
    assert debit["AuthorizationType"] == "JWT"
    assert debit["AuthorizationScopes"] == [{"Fn::Sub": "${ScopePrefix}credits:consume"}]
    [integration] = [part["Ref"] for part in debit["Target"]["Fn::Join"][1] if isinstance(part, dict)]
    assert "${ConsumeFunction.Arn}" in resources[integration]["Properties"]["IntegrationUri"]["Fn::Sub"]


def test_health_is_open_and_the_default_route_is_not() -> None:
    """The two special routes keep what makes them special."""
    routes = {route["RouteKey"]: route for route in of_type(to_plain(), "Route")}
    assert "AuthorizationType" not in routes["GET /v1/health"]
    assert routes["$default"]["AuthorizationType"] == "JWT"
    assert routes["$default"]["AuthorizationScopes"] == []


@pytest.mark.parametrize("name", ["OrdersQueuePolicy", "PublishingQueuesPolicy"])
def test_only_the_demand_for_tls_is_dropped_from_the_queues_policy(name: str) -> None:
    """Nothing on this machine speaks it; who may send is said here as on AWS, and the template itself is left alone."""
    statements = to_plain()[name]["Properties"]["PolicyDocument"]["Statement"]
    kept = template()["Resources"][name]["Properties"]["PolicyDocument"]["Statement"]
    assert kept[0]["Sid"] == "OnlyOverTls"
    assert statements == kept[1:]


def test_who_may_send_or_defer_a_message_may_do_so_with_ten_at_once() -> None:
    """To the emulator these are two actions, on AWS they are one, and nothing else is allowed beside the template."""
    here, there = (actions_of(resources) for resources in (to_plain(), template()["Resources"]))
    more = {action: f"{action}Batch" for action in ("sqs:ChangeMessageVisibility", "sqs:SendMessage")}
    assert here == {
        role: actions | {more[action] for action in actions if action in more} for role, actions in there.items()
    }
    assert not any(set(more.values()) & actions for actions in there.values())
    assert {action for role in ("PublishRole", "RepublishRole") for action in here[role]} >= set(more.values())


def actions_of(resources: dict[str, Any]) -> dict[str, set[str]]:
    """What each role may do."""
    return {
        logical_id: {
            action
            for policy in resource["Properties"]["Policies"]
            for statement in policy["PolicyDocument"]["Statement"]
            for action in statement["Action"]
        }
        for logical_id, resource in resources.items()
        if resource["Type"] == "AWS::IAM::Role"
    }


def test_the_api_has_no_body_left() -> None:
    """The emulator would ignore it, so nothing may depend on it."""
    [api] = of_type(to_plain(), "Api")
    assert "Body" not in api
    [authorizer] = of_type(to_plain(), "Authorizer")
    assert authorizer["JwtConfiguration"] == {"Issuer": {"Ref": "JwtIssuer"}, "Audience": {"Ref": "JwtAudience"}}

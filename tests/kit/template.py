"""The template and the repository as tests see them. Nobody but the kit knows the developer's tools."""

from functools import cache
from typing import Any

from dev.stack.package import SOURCES, Package
from dev.stack.places import ROOT, TEMPLATE
from dev.stack.sam_local import event_sources, function_of, route_key
from dev.stack.transform import LOOP, Template, read_template, to_cloudformation

__all__ = [
    "LOOP",
    "ROOT",
    "TEMPLATE",
    "Template",
    "event_sources",
    "function_of",
    "http_routes",
    "module_of",
    "route_key",
    "scopes_of",
    "template",
    "to_plain",
]

SCOPE_PREFIX = "${ScopePrefix}"
PARAMETERS = {"JwtIssuer": "http://127.0.0.1:1", "JwtAudience": "a", "Protection": "off"}


@cache
def template() -> Template:
    """The template as written, its loops written out. Not to be changed."""
    return read_template()


def http_routes() -> dict[str, tuple[str, dict[str, Any]]]:
    """The routes of the API, by their keys: the function's logical id and the event's properties."""
    return {
        route_key(source["Properties"]): (function, source["Properties"])
        for function, _, source in event_sources(template())
        if source["Type"] == "HttpApi"
    }


def scopes_of(properties: dict[str, Any]) -> list[str]:
    """The scopes that an event of the API demands, without the prefix that a stack may put before them all."""
    prefixed = [scope["Fn::Sub"] for scope in properties.get("Auth", {}).get("AuthorizationScopes", [])]
    assert all(scope.startswith(SCOPE_PREFIX) for scope in prefixed)
    return [scope.removeprefix(SCOPE_PREFIX) for scope in prefixed]


def module_of(function: str) -> tuple[str, str]:
    """The module of a function's handler, as it is imported from the root of the repository, and the handler's name."""
    properties = template()["Resources"][function]["Properties"]
    module, _, name = properties["Handler"].rpartition(".")
    folder = properties["CodeUri"].replace("/", ".")
    return (module if module.startswith(folder) else f"{folder}.{module}"), name


def to_plain() -> dict[str, Any]:
    """The resources as the emulator gets them: plain CloudFormation, with empty packages."""
    resources = template()["Resources"]
    packages = {
        logical_id: Package(f"{logical_id}.zip", b"")
        for logical_id, resource in resources.items()
        if resource["Type"] in SOURCES
    }
    plain: dict[str, Any] = to_cloudformation(template(), packages, "code", PARAMETERS, "us-east-1")["Resources"]
    return plain

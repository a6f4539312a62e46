"""The page's security headers, as the template's response headers policy `PageHeaders` defines them."""

from collections.abc import Iterator, Mapping
from typing import Any

POLICY = "PageHeaders"


def headers_of(template: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, str]:
    """The headers by name, over plain HTTP: without the one that demands TLS.

    `parameters` fill in the placeholders of `Fn::Sub`.
    """
    config = template["Resources"][POLICY]["Properties"]["ResponseHeadersPolicyConfig"]
    return {name: _text(value, parameters) for name, value in _headers(config)}


def _headers(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    security = config["SecurityHeadersConfig"]
    unknown = security.keys() - {
        "ContentSecurityPolicy",
        "ContentTypeOptions",
        "FrameOptions",
        "ReferrerPolicy",
        "StrictTransportSecurity",
    }
    if unknown:
        raise ValueError(f"{POLICY} has headers that are not known here: {', '.join(sorted(unknown))}")
    yield "Content-Security-Policy", security["ContentSecurityPolicy"]["ContentSecurityPolicy"]
    yield "X-Content-Type-Options", "nosniff"
    yield "X-Frame-Options", security["FrameOptions"]["FrameOption"]
    yield "Referrer-Policy", security["ReferrerPolicy"]["ReferrerPolicy"]
    for item in config["CustomHeadersConfig"]["Items"]:
        yield item["Header"], item["Value"]


def _text(value: Any, parameters: Mapping[str, str]) -> str:
    if isinstance(value, str):
        return value
    text: str = value["Fn::Sub"]
    for name, given in parameters.items():
        text = text.replace(f"${{{name}}}", given)
    if "${" in text:
        raise ValueError(f"{POLICY} names a parameter that is not given: {text}")
    return text

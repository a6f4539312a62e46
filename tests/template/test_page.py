"""The merchant's page on AWS: a closed bucket, one origin with the API, and a policy that lets nothing else in."""

import re
from typing import Any

import pytest

from tests.kit.page import SCOPES, headers_of
from tests.kit.template import template

CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-5b5a84be39ad"
ALL_BUT_HOST = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
RESOURCES = {"PageBucket", "PageBucketPolicy", "PageAccess", "PageHeaders", "PageDistribution"}


def properties(logical_id: str) -> dict[str, Any]:
    """The properties of a resource."""
    found: dict[str, Any] = template()["Resources"][logical_id]["Properties"]
    return found


def distribution() -> dict[str, Any]:
    """What CloudFront is told."""
    found: dict[str, Any] = properties("PageDistribution")["DistributionConfig"]
    return found


def test_the_page_is_there_only_where_it_is_wanted() -> None:
    """Its resources and outputs stand under one condition, which is off unless a parameter says otherwise."""
    assert template()["Parameters"]["Page"]["Default"] == "off"
    conditional = {name for name, one in template()["Resources"].items() if one.get("Condition") == "HasPage"}
    assert conditional == RESOURCES
    outputs = {name: output["Condition"] for name, output in template()["Outputs"].items() if "Condition" in output}
    assert set(outputs.values()) == {"HasPage"}
    assert all(name.startswith("Page") for name in outputs)


def test_the_bucket_is_closed() -> None:
    """Only the distribution reads it, and only over TLS."""
    closed = properties("PageBucket")["PublicAccessBlockConfiguration"]
    assert closed == dict.fromkeys(
        ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
    )
    tls, read = properties("PageBucketPolicy")["PolicyDocument"]["Statement"]
    assert (tls["Effect"], tls["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert (read["Effect"], read["Action"]) == ("Allow", "s3:GetObject")
    assert read["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    source = read["Condition"]["StringEquals"]["aws:SourceArn"]["Fn::Sub"]
    assert source.endswith(":distribution/${PageDistribution}")


def test_page_and_api_are_one_origin() -> None:
    """`/v1/*` goes to the API with every method, uncached, with the caller's token and to the API's own host."""
    (behavior,) = distribution()["CacheBehaviors"]
    assert (behavior["PathPattern"], behavior["TargetOriginId"]) == ("/v1/*", "api")
    assert set(behavior["AllowedMethods"]) == {"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"}
    assert (behavior["CachePolicyId"], behavior["OriginRequestPolicyId"]) == (CACHING_DISABLED, ALL_BUT_HOST)
    files, api = distribution()["Origins"]
    assert distribution()["DefaultCacheBehavior"]["TargetOriginId"] == files["Id"]
    assert files["OriginAccessControlId"] == {"Ref": "PageAccess"}
    assert api["DomainName"]["Fn::Sub"].startswith("${CreditsApi}.execute-api.")
    assert api["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"


def test_stacks_of_one_name_can_each_have_a_page() -> None:
    """CloudFront's names count in all regions of an account, so they are made of the stack's id."""
    unique = {"Fn::Select": [2, {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}]}
    named = [
        properties("PageAccess")["OriginAccessControlConfig"]["Name"],
        properties("PageHeaders")["ResponseHeadersPolicyConfig"]["Name"],
    ]
    assert named == [{"Fn::Join": ["-", ["page", unique]]}] * 2


def test_the_apis_own_errors_come_through() -> None:
    """A custom error page would replace its problems."""
    assert "CustomErrorResponses" not in distribution()


def test_every_answer_has_the_headers() -> None:
    """The files as well as the API's."""
    behaviors = [distribution()["DefaultCacheBehavior"], *distribution()["CacheBehaviors"]]
    assert [one["ResponseHeadersPolicyId"] for one in behaviors] == [{"Ref": "PageHeaders"}] * 2
    assert [one["ViewerProtocolPolicy"] for one in behaviors] == ["redirect-to-https", "https-only"]


def test_the_policy_lets_nothing_else_in() -> None:
    """Scripts and styles from itself, connections to itself and where one signs in; no frame, no form, nothing inline."""
    policy = headers_of(template(), {"SignInOrigins": "https://id.example.com https://auth.example.com"})
    directives = dict(one.strip().split(" ", 1) for one in policy["Content-Security-Policy"].split(";"))
    assert directives == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self' https://id.example.com https://auth.example.com",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }


def test_every_header_overrides_what_comes_from_behind() -> None:
    """Whatever the API or the bucket would say."""
    config = properties("PageHeaders")["ResponseHeadersPolicyConfig"]
    headers = [*config["SecurityHeadersConfig"].values(), *config["CustomHeadersConfig"]["Items"]]
    assert all(header["Override"] is True for header in headers)
    assert config["SecurityHeadersConfig"]["StrictTransportSecurity"]["AccessControlMaxAgeSec"] >= 31_536_000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SignInOrigins", ""),
        ("SignInOrigins", "https://id.example.com"),
        ("SignInOrigins", "https://id.example.com https://auth.example.com:8443"),
        ("PageDomain", ""),
        ("PageDomain", "credits.example.com"),
        ("PageCertificateArn", "arn:aws:acm:us-east-1:123456789012:certificate/0a1b-2c"),
        ("PageClientId", "3n4b5urk1ft4fl3mg5e62d9ado"),
    ],
)
def test_a_good_parameter_is_taken(name: str, value: str) -> None:
    """What identity providers and CloudFront give."""
    assert re.fullmatch(template()["Parameters"][name]["AllowedPattern"], value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SignInOrigins", "*"),
        ("SignInOrigins", "https://*.example.com"),
        ("SignInOrigins", "http://id.example.com"),
        ("SignInOrigins", "https://id.example.com; script-src *"),
        ("SignInOrigins", "https://id.example.com 'unsafe-inline'"),
        ("SignInOrigins", "https://id.example.com/path"),
        ("SignInOrigins", "https://id.example.com,https://id.example.org"),
        ("SignInOrigins", "https://id.example.com\nX-Header: 1"),
        ("SignInOrigins", "https://id.example.com "),
        ("PageDomain", "https://credits.example.com"),
        ("PageDomain", "*.example.com"),
        ("PageDomain", "Credits.example.com"),
        ("PageCertificateArn", "arn:aws:acm:eu-west-1:123456789012:certificate/0a1b-2c"),
        ("PageClientId", "two words"),
    ],
)
def test_a_wrong_parameter_is_refused(name: str, value: str) -> None:
    """Nothing gets into the policy that is no origin."""
    parameter = template()["Parameters"][name]
    assert not re.fullmatch(parameter["AllowedPattern"], value)
    assert parameter["ConstraintDescription"].startswith("must ")


def test_what_a_page_needs_is_asked_for_before_anything_is_deployed() -> None:
    """A client and origins to sign in at; a certificate for a domain of its own."""
    rules = template()["Rules"]
    needed = {
        str(one["Assert"])
        for name in ("PagesAreSignedInTo", "DomainsHaveCertificates")
        for one in rules[name]["Assertions"]
    }
    for parameter in ("PageClientId", "SignInOrigins", "PageCertificateArn"):
        assert any(f"{{'Ref': '{parameter}'}}" in one for one in needed)


def test_the_pages_domain_is_an_origin_to_return_to() -> None:
    """Beside those that are named; without one, only those."""
    variables = properties("PurchaseFunction")["Environment"]["Variables"]
    assert variables["RETURN_ORIGINS"] == {
        "Fn::If": ["HasPageDomain", {"Fn::Sub": "${ReturnOrigins},https://${PageDomain}"}, {"Ref": "ReturnOrigins"}]
    }


def test_the_page_asks_for_the_stacks_own_scopes() -> None:
    """With the prefix that the identity provider puts before each."""
    asked = template()["Outputs"]["PageScope"]["Value"]["Fn::Sub"].split()
    assert asked == ["openid", *(f"${{ScopePrefix}}{scope}" for scope in SCOPES)]

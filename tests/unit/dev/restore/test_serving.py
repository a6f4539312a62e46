"""Whether a table may be serving."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dev.restore.serving import QUIET_MS, reason_it_is_young, reasons_it_may_serve

NAME = "credits-restored"
NOW_MS = 1_764_000_000_000


@dataclass(frozen=True, slots=True)
class FakeTable:
    """DynamoDB with one table."""

    stream: Mapping[str, Any]

    def describe_table(self, **_: str) -> Mapping[str, Any]:
        """The table, with its stream if it has one."""
        return {"Table": {"TableName": NAME, **self.stream}}


@dataclass(frozen=True, slots=True)
class FakeFunctions:
    """Lambda with some functions; one a page. Without any it refuses."""

    functions: tuple[Mapping[str, Any], ...] | None

    def get_paginator(self, _: str) -> "FakeFunctions":
        """Pages of functions."""
        return self

    def paginate(self, **asked: str) -> list[Mapping[str, Any]]:
        """All versions have to be asked for."""
        assert asked == {"FunctionVersion": "ALL"}
        if self.functions is None:
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "ListFunctions")
        return [{"Functions": [function]} for function in self.functions]


def function(version: str = "$LATEST", **environment: Any) -> Mapping[str, Any]:
    """A version of a function."""
    return {"FunctionName": "f", "Version": version, **({"Environment": environment} if environment else {})}


def reasons(*functions: Mapping[str, Any], stream: Mapping[str, Any] | None = None) -> list[str]:
    """Why the table may be serving."""
    return list(reasons_it_may_serve(FakeTable(stream or {}), FakeFunctions(functions), NAME))


def test_a_table_that_nothing_names_is_at_rest() -> None:
    """Functions without settings and functions of other tables are no reason, nor is a stream that is off."""
    others = function(Variables={"TABLE_NAME": "credits", "OTHER": f"{NAME}-2"})
    assert reasons(function(), others, stream={"StreamSpecification": {"StreamEnabled": False}}) == []


@pytest.mark.parametrize("value", [NAME, f"arn:aws:dynamodb:eu-central-1:123456789012:table/{NAME}"])
@pytest.mark.parametrize("version", ["$LATEST", "7"])
def test_a_function_that_names_it_is_a_reason(value: str, version: str) -> None:
    """By its name or its ARN, in any version, since an alias may lead to each."""
    assert reasons(function(), function(version, Variables={"X": value})) == [f"the function f ({version}) names it"]


def test_a_function_whose_settings_cannot_be_read_is_a_reason() -> None:
    """They are encrypted by a key that the caller may not use."""
    told = function(Error={"ErrorCode": "AccessDeniedException", "Message": "KMS"})
    assert reasons(told) == ["the environment of the function f ($LATEST) cannot be read"]


def test_a_stream_is_a_reason() -> None:
    """A restored table has none."""
    (told,) = reasons(stream={"StreamSpecification": {"StreamEnabled": True}})
    assert told.startswith("its stream is on")


def test_a_right_that_is_lacking_is_a_reason() -> None:
    """What cannot be looked up may be so."""
    (told,) = reasons_it_may_serve(FakeTable({}), FakeFunctions(None), NAME)
    assert "AccessDeniedException" in told


def test_a_young_page_is_a_reason() -> None:
    """Somebody wrote less than 15 minutes ago."""
    assert QUIET_MS == 900_000
    assert reason_it_is_young(NOW_MS - QUIET_MS, NOW_MS) is None
    assert reason_it_is_young(NOW_MS - QUIET_MS + 1, NOW_MS) is not None

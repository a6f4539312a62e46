"""The schemas of the events in `docs/events/`, and the check that every event of a test goes through."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tests.kit.template import ROOT

FOLDER = ROOT / "docs" / "events"
SHARED = "definitions.json"

DETAIL_TYPES = tuple(sorted(path.stem for path in FOLDER.glob("*.json") if path.name != SHARED))
"""The detail-types that have a schema."""


def check_event(detail_type: str, detail: Mapping[str, Any]) -> None:
    """Fail, and say where, unless an event's detail is as the schema of its detail-type says."""
    assert detail_type in DETAIL_TYPES, f"docs/events has no schema of {detail_type}"
    wrong = [f"{error.json_path}: {error.message}" for error in validator(detail_type).iter_errors(dict(detail))]
    assert not wrong, f"{detail_type} {json.dumps(detail)}\n" + "\n".join(wrong)


def schema(detail_type: str) -> dict[str, Any]:
    """The schema of a detail-type."""
    return read(f"{detail_type}.json")


def read(name: str) -> dict[str, Any]:
    """A file of `docs/events`."""
    found: dict[str, Any] = json.loads((FOLDER / name).read_text("utf-8"))
    return found


@cache
def validator(detail_type: str) -> Draft202012Validator:
    """What checks a detail-type, by its file and the one that all of them refer to."""
    shared = DRAFT202012.create_resource(read(SHARED))
    registry: Registry[Any] = Registry().with_resource(SHARED, shared)
    return Draft202012Validator(schema(detail_type), registry=registry)

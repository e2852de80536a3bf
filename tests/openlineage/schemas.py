"""Checks an event against the schemas that OpenLineage publishes (spec/README.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

_SCHEMAS = [json.loads(one.read_text()) for one in (Path(__file__).parent / "spec").glob("*.json")]
_REGISTRY: Registry[Any] = Registry().with_resources(
    (one["$id"], Resource.from_contents(one)) for one in _SCHEMAS
)


def check(event: dict[str, Any]) -> None:
    """The event, and each of its facets, is what the schema says that it names; a facet without one fails."""
    _check(event, "https://openlineage.io/spec/2-0-2/OpenLineage.json")
    assert event["schemaURL"] == "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
    for facet in _facets(event):
        _check(facet, facet["_schemaURL"])


def _check(value: dict[str, Any], schema: str) -> None:
    Draft202012Validator({"$ref": schema}, registry=_REGISTRY, format_checker=FormatChecker()).validate(value)


def _facets(value: Any) -> list[dict[str, Any]]:
    """Every facet that stands anywhere in the event."""
    if isinstance(value, list):
        return [facet for one in value for facet in _facets(one)]
    if not isinstance(value, dict):
        return []
    own = [value] if "_schemaURL" in value else []
    return own + [facet for one in value.values() for facet in _facets(one)]

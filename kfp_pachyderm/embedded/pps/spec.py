"""Reads a pipeline's spec from JSON, sets Pachyderm's defaults, checks Pachyderm's rules, with its messages.

Source: Pachyderm src/server/pps/server/api_server.go (makeEffectiveSpec, validatePipelineRequest,
validatePipeline).
"""

from __future__ import annotations

import json
import re
from typing import Any

import betterproto
from pachyderm_sdk.api import pps

from kfp_pachyderm.embedded.fields import given, has
from kfp_pachyderm.embedded.pps import inputs
from kfp_pachyderm.embedded.status import Refused, invalid
from kfp_pachyderm.embedded.store.repos import check_name

#: Pachyderm's built-in cluster defaults (src/server/pps/server/defaults.go).
DEFAULTS = {
    "transform": {"image": "ubuntu:20.04"},
    "outputBranch": "master",
    "datumTries": "3",
    "reprocessSpec": "until_success",
}

_NAME_LIMIT = 51
_DNS_LIMIT = 63


def from_json(text: str, *defaults: str) -> tuple[pps.CreatePipelineRequest, str]:
    """The request that a user's JSON means.

    Args:
        text: the JSON.
        defaults: ClusterDefaults and ProjectDefaults as JSON; a later one overrides those before it.

    Returns:
        The request merged with the defaults, and the same as JSON.

    Raises:
        Refused: the text is no JSON, or has unknown fields or values of the wrong type.
    """
    try:
        user = json.loads(text)
        _refuse_stats(user)
        _check_fields(pps.CreatePipelineRequest, user)
        effective = DEFAULTS
        for below in defaults:
            effective = _merge(effective, check_defaults(below))
        effective = _merge(effective, _camel(pps.CreatePipelineRequest, user))
        request = pps.CreatePipelineRequest().from_dict(effective)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise invalid(
            f"could not make effective spec: could not parse {text} as Create Pipeline Request message: "
            f"{error}"
        ) from error
    return request, json.dumps(effective)


def check_defaults(text: str) -> dict[str, Any]:
    """The defaults of pipelines in a ClusterDefaults or ProjectDefaults (JSON), with camel-case names.

    Raises:
        ValueError: the text is no JSON, or has unknown fields.
    """
    given = json.loads(text)
    _check_fields(pps.ClusterDefaults, given)
    found: dict[str, Any] = _camel(pps.ClusterDefaults, given).get("createPipelineRequest", {})
    return found


def _refuse_stats(user: Any) -> None:
    # Pachyderm 1.13's message: 2.0 has no such field, and its "unknown field" says less.
    given = user if isinstance(user, dict) else {}
    if (given.get("s3_out") or given.get("s3Out")) and (
        given.get("enable_stats") or given.get("enableStats")
    ):
        raise Refused("stats are not supported for pipelines that output via Pachyderm's S3 gateway")


def _fields(kind: type[betterproto.Message]) -> dict[str, str]:
    names = kind().__dataclass_fields__
    plain = {name.rstrip("_"): name for name in names}
    return plain | {betterproto.casing.camel_case(name): name for name in names}


def _nested(kind: type[betterproto.Message], name: str) -> Any:
    message = kind()
    found = message._betterproto.cls_by_field.get(name)
    meta = message._betterproto.meta_by_field_name[name]
    is_message = isinstance(found, type) and issubclass(found, betterproto.Message)
    plain = is_message and meta.proto_type == "message" and found.__module__.startswith("pachyderm_sdk")
    return found if plain else None


def _check_fields(kind: type[betterproto.Message], value: Any) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"unexpected {type(value).__name__} for {kind.__name__}")
    names = _fields(kind)
    for key, one in value.items():
        if key not in names:
            raise ValueError(f'proto: unknown field "{key}"')
        _check_value(kind, names[key], one)


def _check_value(kind: type[betterproto.Message], name: str, value: Any) -> None:
    meta = kind()._betterproto.meta_by_field_name[name]
    if meta.proto_type == "bool" and not isinstance(value, bool):
        raise ValueError(f"proto: invalid value for bool field {name}: {json.dumps(value)}")
    if meta.proto_type == "string" and not isinstance(value, str | list):
        raise ValueError(f"proto: invalid value for string field {name}: {json.dumps(value)}")
    nested = _nested(kind, name)
    if nested is not None and value is not None:
        for one in value if isinstance(value, list) else [value]:
            _check_fields(nested, one)


def _camel(kind: type[betterproto.Message], value: dict[str, Any]) -> dict[str, Any]:
    names = _fields(kind)
    out = {}
    for key, one in value.items():
        nested = _nested(kind, names[key])
        if nested is not None and one is not None:
            one = [_camel(nested, item) for item in one] if isinstance(one, list) else _camel(nested, one)
        out[betterproto.casing.camel_case(names[key])] = one
    return out


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    out = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = _merge(out[key], value) if both else value
    return out


def validate_request(request: pps.CreatePipelineRequest) -> None:
    """Refuses what Pachyderm refuses before it sets defaults."""
    name, project = request.pipeline.name, request.pipeline.project.name
    if not name:
        raise Refused("invalid pipeline spec: request.Pipeline.Name cannot be empty")
    try:
        check_name(name)
    except Refused as error:
        raise Refused(f"invalid pipeline name: {error.text}") from error
    _check_length("pipeline name", name, _NAME_LIMIT)
    _check_length("Kubernetes name", f"{project}-{name}-v99".replace("_", "-").lower(), _DNS_LIMIT)
    rules = (
        (has(request, "tf_job"), "embedding TFJobs in pipelines is not supported yet"),
        (
            request.s3_out and (has(request, "service") or has(request, "spout")),
            "s3 output is not supported in spouts or services",
        ),
        (not has(request, "transform"), "pipeline must specify a transform"),
        (
            request.reprocess_spec not in ("", "until_success", "every_job"),
            "invalid pipeline spec: ReprocessSpec must be one of 'until_success' or 'every_job'",
        ),
        (
            has(request, "spout") and request.autoscaling,
            "autoscaling can't be used with spouts (spouts aren't triggered externally)",
        ),
    )
    for broken, text in rules:
        if broken:
            raise Refused(text)
    for kind in ("spout", "service"):
        if has(request, kind):
            raise Refused(f"{kind} pipelines are not implemented by the embedded Pachyderm", "UNIMPLEMENTED")


def _check_length(what: str, name: str, limit: int) -> None:
    if len(name) > limit:
        raise Refused(f'{what} "{name}" is {len(name) - limit} characters longer than the {limit} max')


def validate(info: pps.PipelineInfo) -> None:
    """Refuses what Pachyderm refuses after it has set defaults."""
    details = info.details
    if not re.match(r"[^\W_]", info.pipeline.name):
        raise Refused("pipeline names must start with an alphanumeric character")
    if has(details, "input"):
        inputs.validate(details.input)
    for name, text in (("PodSpec", details.pod_spec), ("PodPatch", details.pod_patch)):
        if text and not _is_json(text):
            raise Refused(f"malformed {name}")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


_COPIED = (
    "transform", "parallelism_spec", "input", "output_branch", "egress", "resource_requests",
    "resource_limits", "sidecar_resource_limits", "sidecar_resource_requests", "description", "salt",
    "datum_set_spec", "datum_timeout", "job_timeout", "datum_tries", "scheduling_spec", "pod_spec",
    "pod_patch", "s3_out", "metadata", "reprocess_spec", "autoscaling", "tolerations",
    "maximum_expected_uptime",
)  # fmt: skip


def details(request: pps.CreatePipelineRequest) -> pps.PipelineInfoDetails:
    """A pipeline's details with Pachyderm's defaults."""
    found = {name: given(request, name) for name in _COPIED}
    out = pps.PipelineInfoDetails(**{name: value for name, value in found.items() if value is not None})
    out.transform.image = out.transform.image or "ubuntu:20.04"
    out.output_branch = out.output_branch or "master"
    out.datum_tries = out.datum_tries or 3
    out.reprocess_spec = out.reprocess_spec or "until_success"
    if has(out, "input"):
        inputs.set_defaults(out.input, request.pipeline.project.name, request.pipeline.name)
    return out

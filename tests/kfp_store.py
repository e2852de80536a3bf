"""The data of KFP's API server, and its lists with filters, for tests/kfp_api.py.

Follows KFP 2.17: backend/src/apiserver/{resource/resource_manager.go, list/list.go, filter/filter.go,
template/v2_template.go}.
"""

from __future__ import annotations

import base64
import json
import threading
import uuid
from datetime import UTC, datetime
from typing import Any

import yaml

#: gRPC code → HTTP status (google.golang.org/grpc-gateway/runtime/errors.go, HTTPStatusFromCode).
CODES = {3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 13: 500, 14: 503, 16: 401}
_KEYS = {
    "runs": "run_id",
    "experiments": "experiment_id",
    "pipelines": "pipeline_id",
    "pipeline_versions": "pipeline_version_id",
}
_VERBS = {
    ("runs", "terminate"): {"state": "CANCELING"},
    ("runs", "archive"): {"storage_state": "ARCHIVED"},
    ("runs", "unarchive"): {"storage_state": "AVAILABLE"},
    ("runs", "retry"): {"state": "PENDING"},
    ("experiments", "archive"): {"storage_state": "ARCHIVED"},
    ("experiments", "unarchive"): {"storage_state": "AVAILABLE"},
}
_KINDS: dict[str, type | tuple[type, ...]] = {
    "STRING": str,
    "BOOLEAN": bool,
    "NUMBER_INTEGER": (int, float),
    "NUMBER_DOUBLE": (int, float),
    "LIST": list,
    "STRUCT": dict,
}
_MOST = 200

Thing = dict[str, Any]


class Refused(Exception):
    """A request that KFP answers with an error.

    Args:
        code: the gRPC status code.
        text: the error's message.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class KfpStore:
    """Runs, experiments, pipelines and their versions, by their IDs; threads may share it."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, Thing]] = {kind: {} for kind in _KEYS}
        self._lock = threading.RLock()

    @property
    def runs(self) -> dict[str, Thing]:
        return self._kinds["runs"]

    def one(self, kind: str, name: str) -> Thing:
        found = self._kinds[kind].get(name)
        if found is None:
            raise Refused(5, f"{kind.removesuffix('s').replace('_', ' ').title()} {name} not found")
        return found

    def changed(self, kind: str, name: str, verb: str) -> Thing:
        if (kind, verb) not in _VERBS:
            raise Refused(5, "Not Found")
        with self._lock:
            self.one(kind, name).update(_VERBS[kind, verb])
        return {}

    def delete(self, kind: str, name: str) -> Thing:
        with self._lock:
            self.one(kind, name)
            del self._kinds[kind][name]
        return {}

    def set_state(self, run_id: str, state: str) -> None:
        """Sets a run's state, as KFP's persistence agent does."""
        with self._lock:
            self.one("runs", run_id)["state"] = state

    def new_experiment(self, given: Thing) -> Thing:
        with self._lock:
            name, namespace = given.get("display_name"), given.get("namespace") or ""
            for one in self._kinds["experiments"].values():
                if (one["display_name"], one.get("namespace") or "") == (name, namespace):
                    text = f"Failed to create a new experiment. The name {name} already exists"
                    raise Refused(6, f"{text}. Please specify a new name")
            return self._kept("experiments", {**given, "storage_state": "AVAILABLE"})

    def new_pipeline(self, name: str, text: str, query: dict[str, str]) -> Thing:
        with self._lock:
            if any(one["display_name"] == name for one in self._kinds["pipelines"].values()):
                raise Refused(6, "Failed to create a pipeline and a pipeline version")
            given = {"name": name, "display_name": name, "namespace": query.get("namespace", "")}
            pipeline = self._kept("pipelines", given)
            self.new_version(pipeline["pipeline_id"], name, text)
            return pipeline

    def new_version(self, pipeline_id: str, name: str, text: str) -> Thing:
        documents = list(yaml.safe_load_all(text))
        spec = documents[0]
        if len(documents) > 1:
            spec = {"pipeline_spec": documents[0], "platform_spec": documents[1]}
        self.one("pipelines", pipeline_id)
        given = {"pipeline_id": pipeline_id, "name": name, "display_name": name, "pipeline_spec": spec}
        return self._kept("pipeline_versions", given)

    def checked_run(self, given: Thing) -> Thing:
        """Checks a run that is to be made, and completes it.

        Raises:
            Refused: the run is not valid.
        """
        if not given.get("display_name"):
            raise Refused(13, "Run name cannot be empty")
        if given.get("experiment_id"):
            self.one("experiments", given["experiment_id"])
        reference = given.get("pipeline_version_reference") or {}
        spec = given.get("pipeline_spec")
        if spec is None and reference.get("pipeline_version_id") not in self._kinds["pipeline_versions"]:
            raise Refused(13, "Failed to create a run due to error fetching manifest: Internal Server Error")
        spec = spec or self.one("pipeline_versions", reference["pipeline_version_id"])["pipeline_spec"]
        parameters = (given.get("runtime_config") or {}).get("parameters") or {}
        _check_parameters(spec.get("pipeline_spec") or spec, parameters)
        return {**given, "storage_state": "AVAILABLE", "state": "PENDING"}

    def keep_run(self, run: Thing) -> None:
        # KFP takes an ID that the client gives (api_converter.go, toModelRun), but kfp.Client gives none
        run["scheduled_at"] = _now()
        self._kept("runs", run)

    def _kept(self, kind: str, thing: Thing) -> Thing:
        with self._lock:
            thing.setdefault(_KEYS[kind], str(uuid.uuid4()))
            thing["created_at"] = _now()
            self._kinds[kind][thing[_KEYS[kind]]] = thing
        return {name: value for name, value in thing.items() if value not in ("", None)}

    def listed(self, kind: str, query: dict[str, str], **only: str) -> Thing:
        """Returns a page of the items that match the filter."""
        with self._lock:
            found = [one for one in self._kinds[kind].values() if _passes(one, kind, query, only)]
            found = _sorted(found, kind, query.get("sort_by", ""))
        at = json.loads(base64.b64decode(query["page_token"])) if query.get("page_token") else 0
        size = min(int(query.get("page_size") or 0) or 20, _MOST)
        answer: Thing = {kind: found[at : at + size], "total_size": len(found)}
        if len(found) > at + size:
            answer["next_page_token"] = base64.b64encode(json.dumps(at + size).encode()).decode()
        return {name: value for name, value in answer.items() if value}


def _now() -> str:
    # KFP keeps whole seconds
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _check_parameters(spec: Thing, given: Thing) -> None:
    wanted = spec.get("root", {}).get("inputDefinitions", {}).get("parameters", {})
    for name, one in wanted.items():
        if name not in given and not one.get("isOptional") and "defaultValue" not in one:
            text = "is not optional, yet has neither default value nor user provided value"
            raise Refused(3, f"parameter {name} {text}")
        if name in given and not isinstance(given[name], _KINDS[one["parameterType"]]):
            kind = one["parameterType"].lower()
            raise Refused(3, f"input parameter {name} requires type {kind}, but the input parameter is not")
    extra = sorted(given.keys() - wanted.keys())
    if extra:
        raise Refused(3, f"parameter(s) provided are not required by pipeline: {', '.join(extra)}")


def _passes(thing: Thing, kind: str, query: dict[str, str], only: dict[str, str]) -> bool:
    for name, value in only.items():
        if thing[name] != value:
            return False
    if query.get("experiment_id", thing.get("experiment_id")) != thing.get("experiment_id"):
        return False
    predicates = json.loads(query.get("filter") or "{}").get("predicates", [])
    return all(_holds(thing, one) for one in predicates)


def _holds(thing: Thing, predicate: Thing) -> bool:
    value = str(thing.get(predicate["key"], "")).lower()
    wanted = str(predicate.get("stringValue", predicate.get("string_value"))).lower()
    # MySQL compares texts without regard to case, unless its tables are made otherwise
    if predicate["operation"] in (1, "EQUALS"):
        return value == wanted
    if predicate["operation"] in (2, "NOT_EQUALS"):
        return value != wanted
    if predicate["operation"] in (9, "IS_SUBSTRING"):
        return wanted in value
    raise Refused(3, f"this server has no operation {predicate['operation']}")


def _sorted(things: list[Thing], kind: str, by: str) -> list[Thing]:
    name, _, order = by.partition(" ")
    if not name:
        return things
    # items made within one second have their order in the dict
    found = sorted(things, key=lambda one: str(one.get(name, "")))
    return list(reversed(found)) if order == "desc" else found

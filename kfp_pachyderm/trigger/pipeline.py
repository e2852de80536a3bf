"""Finds the KFP pipeline that a trigger starts, and makes the arguments of its runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kfp_pachyderm.errors import NotFoundError, SpecError
from kfp_pachyderm.kfp_api import asked

_KINDS: dict[str, type | tuple[type, ...]] = {
    "NUMBER_INTEGER": int,
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": bool,
    "LIST": list,
    "STRUCT": dict,
}


@dataclass(frozen=True)
class Version:
    """A version of a pipeline, as `kfp.Client.run_pipeline` takes it.

    Args:
        source: the arguments of `run_pipeline` that name the version.
        spec: the version's PipelineSpec (KFP api/v2alpha1/pipeline_spec.proto).
    """

    source: dict[str, str]
    spec: dict[str, Any]

    @property
    def name(self) -> str:
        """The pipeline's name in its PipelineSpec."""
        return str((self.spec.get("pipelineInfo") or {}).get("name", ""))

    def arguments(self, parameter: str, commit: str, given: dict[str, str]) -> dict[str, Any]:
        """Returns the arguments of a run for the commit.

        Args:
            parameter: the pipeline's parameter that gets the commit.
            commit: the commit's reference.
            given: the other arguments as texts; numbers, booleans, lists and dicts as JSON.

        Raises:
            SpecError: the pipeline has no such parameter, needs further arguments, or takes another type.
        """
        known: dict[str, Any] = self.spec.get("root", {}).get("inputDefinitions", {}).get("parameters", {})
        _check_names(known, parameter, given)
        values = {name: _value(name, text, known[name]["parameterType"]) for name, text in given.items()}
        return {**values, parameter: commit}


def _check_names(known: dict[str, Any], parameter: str, given: dict[str, str]) -> None:
    for name in (parameter, *given):
        if name not in known:
            its = ", ".join(known) or "none"
            raise SpecError(f"the pipeline has no parameter {name!r}; it has: {its}; see --parameter and -p")
    if known[parameter]["parameterType"] != "STRING":
        raise SpecError(f"the pipeline's parameter {parameter!r} is no str: a commit's reference is one")
    for name, one in known.items():
        needed = not one.get("isOptional") and "defaultValue" not in one
        if needed and name not in (parameter, *given):
            raise SpecError(f"the pipeline's parameter {name!r} has no default: give it by -p {name}=...")


def _value(name: str, text: str, kind: str) -> Any:
    if kind == "STRING":
        return text
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    wrong = isinstance(value, bool) and kind != "BOOLEAN"
    if wrong or not isinstance(value, _KINDS.get(kind, object)):
        raise SpecError(f"-p {name}={text}: the pipeline takes {kind} there, as JSON writes it")
    return value


def of_package(path: Path) -> Version:
    """Reads a compiled pipeline from its YAML file.

    Raises:
        NotFoundError: the file can't be read.
        SpecError: the file is not a compiled pipeline.
    """
    try:
        found = next(yaml.safe_load_all(path.read_text()), None)
    except OSError as error:
        raise NotFoundError(f"the pipeline's package can't be read: {error}") from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise SpecError(f"{path} is no compiled pipeline: {error}") from error
    if not isinstance(found, dict) or "root" not in found or path.suffix not in (".yaml", ".yml"):
        raise SpecError(f"{path} is no compiled pipeline: a .yaml file that KFP's compiler wrote is one")
    return Version({"pipeline_package_path": str(path)}, found)


def of_name(client: Any, pipeline: str, version: str | None) -> Version:
    """Asks KFP for a pipeline in the given version; None: in its newest version.

    Raises:
        NotFoundError: KFP has no such pipeline or version.
        KfpApiError: KFP does not answer.
    """
    with asked(f"pipeline {pipeline}"):
        pipeline_id = client.get_pipeline_id(pipeline)
    if pipeline_id is None:
        raise NotFoundError(f"KFP has no pipeline {pipeline!r}; upload it, or name a file by --package")
    wanted = [{"operation": "EQUALS", "key": "display_name", "stringValue": version}] if version else []
    with asked(f"versions of pipeline {pipeline}"):
        found = client.list_pipeline_versions(
            pipeline_id,
            page_size=100 if version else 1,
            sort_by="created_at desc",
            filter=json.dumps({"predicates": wanted}) if wanted else None,
        ).pipeline_versions
    # KFP's MySQL compares names without regard to case.
    of_it = [one for one in found or () if version in (None, one.display_name)]
    if not of_it:
        raise NotFoundError(f"KFP's pipeline {pipeline!r} has no version {version or ''!r}")
    spec = of_it[0].pipeline_spec or {}
    source = {"pipeline_id": pipeline_id, "version_id": of_it[0].pipeline_version_id}
    return Version(source, spec.get("pipeline_spec", spec))

"""Pachyderm's pipeline spec: the fields that a step reads; all others pass through unchanged."""

from __future__ import annotations

import json
import logging
import os
import warnings
from pathlib import Path
from typing import Any

import yaml
from pydantic import ConfigDict, model_validator

from kfp_pachyderm.authoring.spec import names
from kfp_pachyderm.authoring.spec.input_tree import InputTree, PfsInput
from kfp_pachyderm.authoring.spec.inputs import FileInput, S3Input
from kfp_pachyderm.authoring.spec.model import Model
from kfp_pachyderm.authoring.spec.spelling import Spelling
from kfp_pachyderm.errors import SpecError

_log = logging.getLogger(__name__)
#: Fields that a step sets itself, and arguments of the request CreatePipeline that are not part of a
#: pipeline.
_STEP_DECIDES = (
    "parallelism_spec",
    "autoscaling",
    "datum_tries",
    "update",
    "reprocess",
    "dry_run",
    "spec_commit",
)
#: Fields of `transform` that describe user code; in a step the KFP component is the user code.
_USER_CODE = (
    "cmd",
    "err_cmd",
    "stdin",
    "err_stdin",
    "accept_return_code",
    "image",
    "working_dir",
    "dockerfile",
    "user",
)


class PipelineName(Model):
    """The field `pipeline` of the spec."""

    model_config = ConfigDict(extra="allow")

    name: str = ""
    project: dict[str, Any] | None = None


class PipelineSpec(Model):
    """A pipeline spec as Pachyderm's documentation writes it, for `s3_enabled(spec=...)`.

    The step takes the inputs, `s3_out` and the pipeline's name and project from the spec. It hands every
    other field (resources, metadata, scheduling, ...) on to Pachyderm. The user code is the KFP component:
    the step does not use the command and image of `transform`.

    Raises:
        SpecError: the spec breaks a rule of Pachyderm; GlobError, InputNestingError and InputNameError are
            subclasses.
    """

    model_config = ConfigDict(extra="allow")

    pipeline: PipelineName
    input: InputTree | None = None
    s3_out: bool = False

    @classmethod
    def load(cls, path_or_text: str | os.PathLike[str]) -> PipelineSpec:
        """Reads a spec from a file or a text, JSON or YAML.

        Some spellings stand in Pachyderm's documentation, and Pachyderm refuses them: `"s3": "true"`,
        `"repo": "s3://images"`. This method accepts them, with a warning that names them.

        Args:
            path_or_text: the path of a file, or the text of the spec. A text has several lines, or begins
                with "{" or "[".

        Returns:
            The spec.

        Raises:
            SpecError: the file can't be read, holds no spec or several, or the spec breaks a rule of
                Pachyderm.
        """
        spelling = Spelling()
        data = spelling.spec(_one_document(_text(path_or_text)))
        for note in spelling.notes:
            warnings.warn(f"Pachyderm refuses this spelling in a pipeline spec: {note}.", stacklevel=2)
        return cls(**data)

    @model_validator(mode="before")
    @classmethod
    def _has_name(cls, data: dict[str, Any]) -> dict[str, Any]:
        pipeline = data.get("pipeline")
        if not pipeline:
            raise SpecError(
                'invalid pipeline spec: request.Pipeline cannot be nil. Add "pipeline": {"name": ...}.'
            )
        if isinstance(pipeline, dict) and not pipeline.get("name"):
            raise SpecError(
                'invalid pipeline spec: request.Pipeline.Name cannot be empty. Add "pipeline": {"name": ...}.'
            )
        return data

    @model_validator(mode="after")
    def _rules(self) -> PipelineSpec:
        further = self.model_extra or {}
        names.pipeline(self.pipeline.name, self.project or "default")
        for kind in ("service", "spout"):
            if self.s3_out and further.get(kind) is not None:
                raise SpecError(
                    's3 output is not supported in spouts or services. The spec has "s3_out": true and '
                    f'"{kind}": remove one of the two.'
                )
        if self.input:
            self.input.names()
        if further.get("enable_stats") and self._uses_s3():
            raise SpecError(
                "stats are not supported for pipelines that output via Pachyderm's S3 gateway. "
                'The spec has "enable_stats": true: remove it.'
            )
        return self

    def _uses_s3(self) -> bool:
        return self.s3_out or any(one.s3 for one in self.input.leaves()) if self.input else self.s3_out

    @property
    def name(self) -> str:
        """The Pachyderm pipeline's name."""
        return self.pipeline.name

    @property
    def project(self) -> str | None:
        """The Pachyderm project, None when the spec has none."""
        return str((self.pipeline.project or {}).get("name") or "") or None

    def inputs(self) -> tuple[S3Input | FileInput, ...]:
        """Returns the inputs of a step with this spec.

        Raises:
            SpecError: the spec has no input, or a kind of input other than "pfs" and "cross".
        """
        if self.input is None:
            raise SpecError(
                'no input set. A step needs one, because only a moved input makes a job: add "input".'
            )
        return tuple(_step_input(one) for one in _crossed(self.input))

    def further_fields(self) -> dict[str, Any]:
        """Returns the fields that a step hands on to Pachyderm unchanged.

        Raises:
            SpecError: the spec has a field that a step's pipeline can't have.
        """
        further = dict(self.model_extra or {})
        _check_driven(further)
        transform = dict(further.pop("transform", None) or {})
        unused = [field for field in _USER_CODE if field in transform]
        if unused:
            _log.info(
                "transform.%s of the spec: not used, the KFP component is the user code", "/".join(unused)
            )
        kept = {field: value for field, value in transform.items() if field not in _USER_CODE}
        passed = {field: value for field, value in further.items() if field not in _STEP_DECIDES}
        return {**passed, "transform": kept} if kept else passed


def _text(path_or_text: str | os.PathLike[str]) -> str:
    if isinstance(path_or_text, str) and (
        "\n" in path_or_text or path_or_text.lstrip().startswith(("{", "["))
    ):
        return path_or_text
    try:
        return Path(path_or_text).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise SpecError(
            f"Pipeline spec {os.fspath(path_or_text)!r} can't be read: {error}. Pass a file that exists, or "
            f"the text."
        ) from error


def _one_document(text: str) -> dict[str, Any]:
    try:
        found = [json.loads(text)]
    except ValueError:
        try:
            found = [one for one in yaml.safe_load_all(text) if one is not None]
        except yaml.YAMLError as error:
            raise SpecError(f"Pipeline spec is neither JSON nor YAML: {error}") from error
    if len(found) == 1 and isinstance(found[0], list):
        found = found[0]
    if len(found) != 1 or not isinstance(found[0], dict):
        kinds = ", ".join(type(one).__name__ for one in found) or "nothing"
        raise SpecError(f"A step takes exactly one pipeline spec, a mapping with a pipeline. Got {kinds}.")
    return found[0]


def _crossed(node: InputTree) -> list[PfsInput]:
    """Returns the inputs of a pfs or cross tree; a cross inside of a cross is the same as one cross."""
    kind = node.kinds()[0]
    if node.pfs:
        return [node.pfs]
    if kind != "cross":
        raise SpecError(
            f'A step takes "pfs" inputs and a "cross" of them. Got "{kind}": only the step\'s own call '
            "makes jobs, of one commit of each input. Keep that input in a pipeline of its own and read its "
            "output."
        )
    return [one for child in node.cross for one in _crossed(child)]


def _step_input(one: PfsInput) -> S3Input | FileInput:
    if (one.model_extra or {}).get("trigger"):
        raise SpecError(
            f"Input {one.name!r} has a trigger, but only the step's own call makes jobs. Remove it."
        )
    if one.s3:
        return S3Input(one.repo, one.branch, name=one.name, project=one.project)
    return FileInput(one.repo, one.glob, one.branch, name=one.name, project=one.project)


def _check_driven(further: dict[str, Any]) -> None:
    for kind in ("service", "spout", "tf_job"):
        if further.get(kind) is not None:
            raise SpecError(
                f'A pipeline that a step drives can\'t be a {kind}. Remove "{kind}" from the spec.'
            )
    if further.get("autoscaling"):
        raise SpecError(
            'A pipeline that a step drives can\'t scale itself. Got "autoscaling": true: remove it.'
        )
    tries = further.get("datum_tries")
    if tries not in (None, 0, 1, "1"):
        raise SpecError(
            f"A pipeline that a step drives tries each datum once, since KFP retries the step. "
            f'Got "datum_tries": {tries}: remove it and use set_retry on the task.'
        )
    parallelism = further.get("parallelism_spec")
    if parallelism and parallelism not in ({"constant": 1}, {"constant": "1"}):
        raise SpecError(
            "A pipeline that a step drives has one worker. "
            f'Got "parallelism_spec": {parallelism}: remove it, or set {{"constant": 1}}.'
        )

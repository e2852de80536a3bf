"""`S3Input` and `FileInput`: the inputs of a step, as buckets and as files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import field_validator, model_validator

from kfp_pachyderm.authoring.spec import names
from kfp_pachyderm.authoring.spec.model import Model
from kfp_pachyderm.errors import InputNameError, SpecError
from kfp_pachyderm.launcher.config import InputConfig


class _Input(Model):
    repo: str
    branch: str
    name: str
    project: str | None

    @model_validator(mode="before")
    @classmethod
    def _named_after_repo(cls, data: dict[str, Any]) -> dict[str, Any]:
        names.ancestry_name("repo", data["repo"])
        return {**data, "name": data["repo"] if data["name"] is None else data["name"]}

    @field_validator("branch", mode="before")
    @classmethod
    def _branch(cls, value: object) -> str:
        return names.branch(value)

    @field_validator("project", mode="before")
    @classmethod
    def _project(cls, value: object) -> str | None:
        return None if value is None else names.project(value)


class S3Input(_Input):
    """A repo that the step reads as the bucket `s3://<name>`, at exactly one commit.

    Args:
        repo: the Pachyderm repo; it has to exist when the step runs.
        branch: the branch whose newest good commit the step reads when it is called without this input.
        name: the name of the bucket, and of the KFP parameter that takes a commit reference: 3 to 63 of
            `[a-z0-9-]`, not "out"; None: the repo's name. A call writes underscores for the dashes of the
            name: `my_images=...` for "my-images".
        project: the repo's project; None: the step's own.
        many: whether the parameter takes a list of commits: `dsl.Collected(...)`, a Python list of
            references, or a parameter of type list. The bucket has one folder for each commit, in the list's
            order: `0/`, `1/`, ...
        merge: whether the keys of all commits are in one flat bucket instead; needs `many=True`. If two
            commits hold the same key, the step fails before its job is made.

    Raises:
        BucketNameError: S3 clients refuse the bucket's name, or it is "out".
        InputNameError: KFP refuses the name of the parameter.
        SpecError: Pachyderm refuses the name of repo, branch or project, or `merge` is set without `many`.
    """

    many: bool
    merge: bool

    def __init__(
        self,
        repo: str,
        branch: str = "master",
        *,
        name: str | None = None,
        project: str | None = None,
        many: bool = False,
        merge: bool = False,
    ) -> None:
        Model.__init__(self, repo=repo, branch=branch, name=name, project=project, many=many, merge=merge)

    @model_validator(mode="after")
    def _merges_many(self) -> S3Input:
        if self.merge and not self.many:
            raise SpecError(
                "merge=True puts the keys of many commits into one flat bucket, and needs many=True. Write "
                f'S3Input("{self.repo}", many=True, merge=True), or leave out merge.'
            )
        return self

    @field_validator("name", mode="before")
    @classmethod
    def _name(cls, value: object) -> str:
        return names.bucket(value)

    def config(self) -> InputConfig:
        """The input as the launcher reads it."""
        return InputConfig(
            name=self.name,
            repo=self.repo,
            branch=self.branch,
            project=self.project,
            many=self.many,
            merge=self.merge,
        )


class FileInput(_Input):
    """A repo that the step reads as files below `$PACH_INPUTS/<name>`, one datum for each match of a glob.

    The step's command runs once for each datum; with several inputs, once for each combination of their
    datums.

    Args:
        repo: the Pachyderm repo; it has to exist when the step runs.
        glob: Pachyderm's glob. `/` makes one datum of the whole commit, `/*` one of each top-level file or
            folder.
        branch: the branch whose newest good commit the step reads when it is called without this input.
        name: the name of the folder, and of the KFP parameter that takes a commit reference; None: the
            repo's name.
        project: the repo's project; None: the step's own.

    Raises:
        InputNameError: Pachyderm or KFP refuses the input's name.
        SpecError: Pachyderm refuses the glob, or the name of repo, branch or project.
    """

    glob: str

    def __init__(
        self,
        repo: str,
        glob: str,
        branch: str = "master",
        *,
        name: str | None = None,
        project: str | None = None,
    ) -> None:
        Model.__init__(self, repo=repo, glob=glob, branch=branch, name=name, project=project)

    @field_validator("name", mode="before")
    @classmethod
    def _name(cls, value: object) -> str:
        return names.folder(value)

    @field_validator("glob", mode="before")
    @classmethod
    def _glob(cls, value: object) -> str:
        if not isinstance(value, str) or not value:
            raise SpecError(
                f'input must specify a glob. Got {value!r}: pass "/" for the whole repo as one datum.'
            )
        return value

    def config(self) -> InputConfig:
        """The input as the launcher reads it."""
        return InputConfig(
            name=self.name, repo=self.repo, branch=self.branch, project=self.project, s3=False, glob=self.glob
        )


def configs(inputs: Iterable[S3Input | FileInput]) -> tuple[InputConfig, ...]:
    """Returns the inputs as the launcher reads them.

    Raises:
        InputNameError: two inputs have the same name, or names whose environment variables would be the same.
        SpecError: there is no input, or an element is neither S3Input nor FileInput.
    """
    if isinstance(inputs, (str, S3Input, FileInput)):
        raise SpecError(f'Argument for "inputs" must be a list of S3Input and FileInput. Got {inputs!r}.')
    found = tuple(_config(one) for one in inputs)
    if not found:
        raise SpecError(
            "A step needs at least one input: Pachyderm makes a job only when an input moves. "
            'Pass "inputs", for example inputs=[S3Input("images")].'
        )
    for index, one in enumerate(found):
        if any(one.name.replace("-", "_") == other.name.replace("-", "_") for other in found[:index]):
            raise InputNameError(
                f'name "{one.name}" was used more than once. Give one of the inputs another "name".'
            )
    _refuse_names_of_folders(found)
    return found


def _refuse_names_of_folders(found: tuple[InputConfig, ...]) -> None:
    """Refuses "a_0" beside "a" with many=True: both would set the environment variable a_0_COMMIT."""
    for one in found:
        alike = re.compile(rf"{re.escape(one.name)}[_-]\d+")
        taken = next((other.name for other in found if one.many and alike.fullmatch(other.name)), None)
        if taken:
            raise InputNameError(
                f'Input "{taken}" is named like a commit of "{one.name}", which takes many. Give it another '
                '"name".'
            )


def _config(one: object) -> InputConfig:
    if isinstance(one, (S3Input, FileInput)):
        return one.config()
    raise SpecError(
        f'Argument for "inputs" must hold S3Input and FileInput only. Got {one!r}: write S3Input("<repo>").'
    )

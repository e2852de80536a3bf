"""The input tree of Pachyderm's pipeline spec, with Pachyderm's own rules and texts of errors.

Source: Pachyderm src/server/pps/server/api_server.go (validateInput), src/internal/ppsutil/util.go
    (ValidateNames).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ConfigDict, Field, model_validator

from kfp_pachyderm.authoring.spec.model import Model
from kfp_pachyderm.errors import GlobError, InputNameError, InputNestingError, SpecError

_THROUGH_GATEWAY = (
    "as 's3' requires input data to be accessed via Pachyderm's S3 gateway rather than the file system"
)


class PfsInput(Model):
    """A `pfs` input; fields that are not named here pass through."""

    model_config = ConfigDict(extra="allow")

    repo: str = ""
    name: str = ""
    project: str | None = None
    branch: str = "master"
    commit: str = ""
    glob: str = ""
    s3: bool = False
    lazy: bool = False
    empty_files: bool = False

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any) -> Any:
        """Applies Pachyderm's defaults: the input's name is its repo's; "" and null count as left out."""
        if not isinstance(data, dict):
            return data
        given = {key: value for key, value in data.items() if value not in ("", None)}
        return {**given, "name": given.get("name", given.get("repo", ""))}

    @model_validator(mode="after")
    def _rules(self) -> PfsInput:
        if not self.repo:
            raise SpecError(f'input must specify a repo. Got name {self.name!r}: add "repo".')
        if self.repo == "out" and self.name == "out":
            raise InputNameError(
                "inputs based on repos named \"out\" must have 'name' set, as pachyderm already creates "
                '/pfs/out to collect job output. Add another "name".'
            )
        if self.name in ("out", ".env"):
            raise InputNameError(f'input cannot be named {self.name}. Give it another "name".')
        if self.commit:
            raise SpecError(
                "input cannot come from a commit; use a branch with head pointing to the commit. "
                f"Got {self.commit!r}: pass the commit when the step is called, as {self.repo}@{self.commit}."
            )
        return self._s3_rules() if self.s3 else self._file_rules()

    def _file_rules(self) -> PfsInput:
        if not self.glob:
            raise SpecError(
                f'input must specify a glob. Input {self.name!r} has none: add "glob": "/*" or "/".'
            )
        return self

    def _s3_rules(self) -> PfsInput:
        if self.glob != "/":
            raise GlobError(
                "inputs that set 's3' to 'true' must also set 'glob', to \"/\", as the S3 gateway is only "
                f"able to expose data at the commit level. Input {self.name!r} has {self.glob!r}: set "
                '"glob": "/".'
            )
        for field in ("lazy", "empty_files"):
            if getattr(self, field):
                raise SpecError(
                    f"input cannot specify both 's3' and '{field}', {_THROUGH_GATEWAY}. "
                    f'Input {self.name!r} has "{field}": true: remove one of the two.'
                )
        return self


class InputTree(Model):
    """One node of the tree: exactly one kind of input."""

    model_config = ConfigDict(extra="allow")

    pfs: PfsInput | None = None
    cross: list[InputTree] = Field(default_factory=list)
    join: list[InputTree] = Field(default_factory=list)
    group: list[InputTree] = Field(default_factory=list)
    union: list[InputTree] = Field(default_factory=list)
    cron: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> InputTree:
        kinds = self.kinds()
        if not kinds:
            found = ", ".join(self.model_extra or {}) or "nothing"
            raise SpecError(f'no input set. Got {found}: use "pfs" or "cross".')
        if len(kinds) > 1:
            raise SpecError(
                f'multiple input types set. Got {" and ".join(kinds)}: put them into one "cross".'
            )
        return self._no_s3_below(kinds[0])

    def kinds(self) -> list[str]:
        """Returns the kinds of input that the node has, as Pachyderm spells them."""
        return [kind for kind in ("pfs", "cross", "join", "group", "union", "cron") if getattr(self, kind)]

    def _no_s3_below(self, kind: str) -> InputTree:
        if kind in ("join", "group", "union"):
            for one in self.leaves():
                if one.s3:
                    raise InputNestingError(
                        f'S3 inputs in {kind} expressions are not supported. Input {one.name!r} has "s3": '
                        'true: use "cross", or take the input out of the S3 gateway.'
                    )
        return self

    def children(self) -> list[InputTree]:
        """The nodes below this one."""
        return [*self.cross, *self.join, *self.group, *self.union]

    def leaves(self) -> Iterator[PfsInput]:
        """The pfs inputs at and below this node, in the order of the spec."""
        if self.pfs:
            yield self.pfs
        for child in self.children():
            yield from child.leaves()

    def names(self) -> set[str]:
        """Returns the names of the inputs at and below this node.

        Raises:
            InputNameError: two inputs outside of a union have the same name.
        """
        if self.pfs:
            return {self.pfs.name}
        found: set[str] = set()
        for child in self.children():
            below = child.names()
            twice = sorted(found & below)
            if twice and not self.union:
                raise InputNameError(
                    f'name "{twice[0]}" was used more than once. Give one of the inputs another "name".'
                )
            found |= below
        return found

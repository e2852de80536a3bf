"""A pipeline's inputs: their defaults, their rules, and the branches that they name.

Source: Pachyderm src/server/pps/server/api_server.go (setInputDefaults, validateInput, branchProvenance) and
src/internal/ppsutil/util.go (validateNames).
"""

from __future__ import annotations

from collections.abc import Iterator

from pachyderm_sdk.api import pps

from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.store.branches import BranchKey
from kfp_pachyderm.embedded.store.files.paths import clean
from kfp_pachyderm.embedded.store.repos import RepoKey

_NESTED = ("cross", "join", "group", "union")


def visit(given: pps.Input) -> Iterator[pps.Input]:
    """The input and all inputs inside it, inner ones first."""
    for kind in _NESTED:
        for one in getattr(given, kind):
            yield from visit(one)
    yield given


def pfs_inputs(given: pps.Input | None) -> list[pps.PfsInput]:
    """All inputs that read a branch, nested ones included."""
    return [one.pfs for one in visit(given) if one.pfs] if given is not None else []


def has_s3(given: pps.Input | None) -> bool:
    """Whether any input is read through the sidecar's S3 gateway."""
    return any(one.s3 for one in pfs_inputs(given))


def set_defaults(given: pps.Input, project: str, pipeline: str) -> None:
    """Sets Pachyderm's defaults on the inputs of a pipeline."""
    for one in visit(given):
        for kind in _NESTED:
            getattr(one, kind).sort(key=_first_name)
    triggered: dict[str, int] = {}
    for one in pfs_inputs(given):
        if not one.branch and one.trigger:
            triggered[one.repo] = triggered.get(one.repo, 0) + 1
            one.branch = f"{pipeline}-trigger-{triggered[one.repo]}"
            one.trigger.branch = one.trigger.branch or "master"
        one.branch = one.branch or "master"
        one.name = one.name or one.repo
        one.repo_type = one.repo_type or "user"
        one.project = one.project or project
        one.glob = clean(one.glob) if one.glob else ""


def _first_name(given: pps.Input) -> str:
    return next((one.name or one.repo for one in pfs_inputs(given)), "")


def validate(given: pps.Input) -> None:
    """Refuses what Pachyderm refuses, in its words."""
    _validate_names(set(), given)
    for one in visit(given):
        kinds = [kind for kind in ("pfs", "cron", *_NESTED) if _has(one, kind)]
        if not kinds:
            raise Refused("no input set")
        if len(kinds) > 1:
            raise Refused("multiple input types set")
        if kinds[0] == "pfs":
            _validate_pfs(one.pfs)
        elif kinds[0] in ("join", "group", "union") and has_s3(one):
            raise Refused(f"S3 inputs in {kinds[0]} expressions are not supported")
        elif kinds[0] in ("join", "group", "cron"):
            raise Refused(f"{kinds[0]} inputs are not implemented by the embedded Pachyderm", "UNIMPLEMENTED")


def _has(given: pps.Input, kind: str) -> bool:
    return bool(getattr(given, kind))


def _validate_pfs(one: pps.PfsInput) -> None:
    s3 = "as 's3' requires input data to be accessed via Pachyderm's S3 gateway rather than the file system"
    rules = (
        (not one.repo, "input must specify a repo"),
        (not one.branch, "input must specify a branch"),
        (not one.s3 and not one.glob, "input must specify a glob"),
        (
            one.s3 and one.glob != "/",
            "inputs that set 's3' to 'true' must also set 'glob', to \"/\", as the S3 gateway is only able "
            "to expose data at the commit level",
        ),
        (one.s3 and one.lazy, f"input cannot specify both 's3' and 'lazy', {s3}"),
        (one.s3 and one.empty_files, f"input cannot specify both 's3' and 'empty_files', {s3}"),
        (one.commit, "input cannot come from a commit; use a branch with head pointing to the commit"),
    )
    for broken, text in rules:
        if broken:
            raise Refused(text)


def _validate_names(names: set[str], given: pps.Input) -> None:
    if given.union:
        seen = set(names)
        for one in given.union:
            branch = set(seen)
            _validate_names(branch, one)
            names |= branch
        return
    for kind in _NESTED:
        for one in getattr(given, kind):
            _validate_names(names, one)
    name = given.pfs.name if given.pfs else given.cron.name if given.cron else None
    if name is None:
        return
    if not name:
        raise Refused("input must specify a name")
    if name in ("out", ".env"):
        raise Refused(f"input cannot be named {name}")
    if name in names:
        raise Refused(f'name "{name}" was used more than once')
    names.add(name)


def provenance(given: pps.Input | None) -> list[BranchKey]:
    """The branches of the inputs, which are the output branch's provenance."""
    return [(RepoKey(one.project, one.repo, one.repo_type), one.branch) for one in pfs_inputs(given)]


def never_propagating(given: pps.Input | None) -> set[BranchKey]:
    """The inputs' branches whose new commits must not make jobs."""
    quiet = [one for one in pfs_inputs(given) if one.propagation_spec.never]
    return {(RepoKey(one.project, one.repo, one.repo_type), one.branch) for one in quiet}

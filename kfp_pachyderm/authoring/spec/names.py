"""Pachyderm's rules for names. Errors have Pachyderm's own text, the value seen, and the way out."""

from __future__ import annotations

import re

from kfp_pachyderm.errors import BucketNameError, InputNameError, SpecError

_ANCESTRY_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_ALNUM_START = re.compile(r"[a-zA-Z0-9]")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_PARAMETER = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_STEP_PIPELINE = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_COMMIT_ID = re.compile(r"[0-9a-f]{32}")
#: Pachyderm src/server/pps/server/api_server.go: maxPipelineNameLength, dnsLabelLimit.
_MAX_PIPELINE = 51
_MAX_DNS_LABEL = 63
#: Pachyderm src/pfs/pfs.go: projectNameLimit.
_MAX_PROJECT = 51
#: Each of these pipelines keeps a worker pod, which asks for 1 GiB; and each task looks at all of them.
_MAX_CONCURRENCY = 32


def nonempty(argument: str, value: object) -> str:
    """Returns the value, which must be a text that is not blank.

    Raises:
        SpecError: it is not.
    """
    if not isinstance(value, str) or not value.strip():
        raise SpecError(f'Argument for "{argument}" must be a non-empty string. Got {value!r}.')
    return value


def ancestry_name(argument: str, value: object) -> str:
    """Checks the name of a repo, branch or project (Pachyderm src/internal/ancestry/ancestry.go).

    Raises:
        SpecError: characters that Pachyderm refuses.
    """
    name = nonempty(argument, value)
    if not _ANCESTRY_NAME.fullmatch(name):
        bare = name.removeprefix("s3://").strip("/")
        hint = f' Write "{bare}".' if name != bare and _ANCESTRY_NAME.fullmatch(bare) else " Rename it."
        raise SpecError(
            f'Argument for "{argument}" is wrong: name ({name}) invalid: only alphanumeric characters, '
            f"underscores, and dashes are allowed.{hint}"
        )
    return name


def branch(value: object) -> str:
    """Checks the name of a branch, which can't be a commit ID (Pachyderm src/internal/pfsdb/branches.go).

    Raises:
        SpecError: Pachyderm refuses the name.
    """
    name = ancestry_name("branch", value)
    if _COMMIT_ID.fullmatch(name):
        raise SpecError(
            f'Argument for "branch" is wrong: branch name cannot be a UUID V4. Got {name!r}. Name a branch '
            f"here and pass the commit when the step is called, as <repo>@{name}."
        )
    return name


def project(value: object) -> str:
    """Checks the name of a project (Pachyderm src/pfs/pfs.go, Project.ValidateName).

    Raises:
        SpecError: Pachyderm refuses the name.
    """
    name = ancestry_name("project", value)
    if len(name) > _MAX_PROJECT:
        over = len(name) - _MAX_PROJECT
        raise SpecError(
            f'project name "{name}" is {over} characters longer than the {_MAX_PROJECT} max. Shorten it.'
        )
    if not _ALNUM_START.match(name):
        raise SpecError(f"project names must start with an alphanumeric character. Got {name!r}: rename it.")
    return name


def pipeline(value: object, in_project: str) -> str:
    """Checks the name of a Pachyderm pipeline, whose worker Kubernetes has to run.

    The worker's Kubernetes name is `<project>-<pipeline>-v<version>`, and the pipeline's name becomes the
    value of a label (Pachyderm src/server/pps/server/api_server.go, worker_rc.go).

    Raises:
        SpecError: Pachyderm or Kubernetes refuses the name, or it is too long.
    """
    name = nonempty("name", value)
    if not _ANCESTRY_NAME.fullmatch(name):
        raise SpecError(
            f"invalid pipeline name: name ({name}) invalid: only alphanumeric characters, underscores, and "
            'dashes are allowed. Pass another one as "name".'
        )
    if not _ALNUM_START.match(name) or not _ALNUM_START.match(name[-1]):
        raise SpecError(
            "pipeline names must start and end with an alphanumeric character, because they become "
            f'Kubernetes labels. Got {name!r}: pass another one as "name".'
        )
    _check_length("pipeline name", name, _MAX_PIPELINE)
    _check_length("Kubernetes name", f"{in_project}-{name}-v99".lower().replace("_", "-"), _MAX_DNS_LABEL)
    return name


def concurrency(value: object) -> int:
    """Checks how many Pachyderm pipelines a step may have.

    Raises:
        SpecError: the value is not a whole number from 1 to the maximum.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MAX_CONCURRENCY:
        raise SpecError(
            f'Argument for "concurrency" must be a whole number from 1 to {_MAX_CONCURRENCY}: each of these '
            f"jobs has a pipeline and a worker pod of its own. Got {value!r}."
        )
    return value


def step_pipeline(value: object, in_project: str, at_once: int = 1) -> str:
    """Checks the name of a step's pipeline: lower-case letters, digits and dashes.

    Kubernetes does not tell names apart that differ in case, or in `_` and `-`, only.

    Args:
        value: the name.
        in_project: the pipeline's project.
        at_once: the step's concurrency; the last of its pipelines has the longest name.

    Raises:
        SpecError: the name has other characters, or is too long.
    """
    name = pipeline(value, in_project)
    if not _STEP_PIPELINE.fullmatch(name):
        raise SpecError(
            f"The Pachyderm pipeline of a step is named with lower-case letters, digits and dashes. Got "
            f"{name!r}: "
            f'pass "name", for example {re.sub("[^a-z0-9]+", "-", name.lower())!r}.'
        )
    if at_once > 1:
        pipeline(f"{name}-{at_once}", in_project)
    return name


def _check_length(what: str, name: str, limit: int) -> None:
    if len(name) > limit:
        raise SpecError(
            f'{what} "{name}" is {len(name) - limit} characters longer than the {limit} max. '
            'Pass a shorter "name".'
        )


def bucket(value: object) -> str:
    """Checks the name of an S3 input, which names a bucket and a KFP parameter.

    Raises:
        BucketNameError: S3 clients refuse the name, or Pachyderm uses it itself.
        InputNameError: KFP refuses the name for a parameter.
    """
    name = nonempty("name", value)
    if name == "out":
        raise BucketNameError('input cannot be named out: that is the output bucket. Pass another "name".')
    if not _BUCKET.fullmatch(name):
        raise BucketNameError(
            f"Bucket name {name!r} is refused by S3 clients: it must be 3 to 63 lower-case letters, digits "
            'and dashes, with a letter or digit at both ends. Pass one as "name", for example '
            f"{_as_bucket(name)!r}."
        )
    return _parameter(name)


def folder(value: object) -> str:
    """Checks the name of a file input, which names a folder below `$PACH_INPUTS` and a KFP parameter.

    Raises:
        InputNameError: Pachyderm or KFP refuses the name.
    """
    name = nonempty("name", value)
    if name in ("out", ".env"):
        raise InputNameError(f'input cannot be named {name}: Pachyderm uses it itself. Pass another "name".')
    return _parameter(name)


def _parameter(name: str) -> str:
    if not _PARAMETER.fullmatch(name):
        raise InputNameError(
            f"Input name {name!r} must begin with a letter and hold letters, digits, dashes and underscores "
            'only, because it is the name of a KFP parameter too. Pass another one as "name".'
        )
    return name


def _as_bucket(name: str) -> str:
    cleaned = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60].strip("-")
    return cleaned if len(cleaned) >= 3 and cleaned[0].isalpha() else f"in-{cleaned or 'put'}"

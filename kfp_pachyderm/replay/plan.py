"""Makes the plan of a replay from records, with what they do not hold and why it may be impossible."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import kfp

import kfp_pachyderm
from kfp_pachyderm.authoring.spec import names
from kfp_pachyderm.errors import PachydermError
from kfp_pachyderm.launcher.config import InputConfig, StepConfig, loads
from kfp_pachyderm.pachd.claims.ownership import find_pipeline
from kfp_pachyderm.pachd.commits import commit_facts
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.pipeline_plan import KFP_PIPELINE_KEY, longest_name
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.record import Hashed, StepRecord
from kfp_pachyderm.provenance.stored_record import Stored, hashed
from kfp_pachyderm.replay.found import Found, find
from kfp_pachyderm.replay.model import Plan, ReplayStep

_LIGHTWEIGHT = "kfp.dsl.executor_main"


@dataclass(frozen=True)
class Wanted:
    """The options of a replay.

    Args:
        of: a commit, a job's ID or a KFP run's ID, as `kfp-pachyderm lineage` takes it.
        project: the project of a commit reference without one.
        whole: whether to replay all steps of the KFP run that made the commit.
        into: the Pachyderm project that the replay writes to; None: `<the original's>-replay`.
        given: values of parameters that are not recorded.
        in_cluster: whether KFP's backend runs it, instead of kfp.local.
    """

    of: str
    project: str = "default"
    whole: bool = False
    into: str | None = None
    given: Mapping[str, Any] | None = None
    in_cluster: bool = False


def make_plan(pachd: Pachd, wanted: Wanted) -> Plan:
    """Makes the plan; changes nothing.

    Raises:
        NotFoundError: there is no such commit or run, or no step of kfp-pachyderm made it.
        SpecError: `into` can't be a project's name.
        PachydermError: Pachyderm does not answer, or refuses the token.
    """
    found = find(pachd, wanted.of, wanted.project, wanted.whole)
    notes, problems, steps = list(found.told), list[str](), list[ReplayStep]()
    for commit, stored in found.steps.items():
        against = list(_against(commit, stored))
        problems += against
        if not against:
            step = _step(commit, stored.record, wanted)
            steps.append(step)
            problems += _missing(step, wanted)
            notes += _notes(step, stored, wanted.in_cluster)
    name = _pipeline_name(next(iter(found.steps.values())).record) if found.steps else ""
    problems += _unknown(found, wanted) if wanted.given else []
    problems += _in_use(pachd, steps, name)
    problems += _gone(pachd, steps)
    if not found.steps:
        problems.append(f"no step of KFP run {found.run} succeeded")
    notes += _always(found)
    return Plan(wanted.of, found.run, name, tuple(steps), tuple(dict.fromkeys(notes)), tuple(problems))


def _against(commit: Reference, stored: Stored) -> Iterator[str]:
    """Yields why a step can't be planned: its record is broken or incomplete, or the step failed."""
    record = stored.record
    if stored.problem:
        yield f"the record of {commit} can't be read: {stored.problem}"
    elif record.state != "SUCCESS":
        yield (
            f"the step that made {commit} did not succeed ({record.state}): there is nothing to compare with"
        )
    elif not record.code.settings:
        yield (
            f"the record of {commit} does not say what s3_enabled was told: kfp-pachyderm "
            f"{record.task.package or 'of an older release'} wrote it, which recorded too little for replay, "
            "or a reusable component did; run the pipeline itself again"
        )
    elif not record.code.command:
        large = record.code.command_hash
        why = f"{large.size} bytes, of which the record keeps {large.digest}" if large else "none is recorded"
        yield f"the code of {commit} (component {record.task.component}) is not kept: {why}"
    else:
        yield from _unreadable(commit, record)


def _unreadable(commit: Reference, record: StepRecord) -> Iterator[str]:
    try:
        config = _config(record)
    except (ValueError, TypeError) as error:
        yield f"the settings in the record of {commit} are those of another release: {error}"
        return
    if config.workload or config.workload_env:
        yield f"{commit}: its component starts a workload with settings of its task, which are not recorded"


def _config(record: StepRecord) -> StepConfig:
    return cast(StepConfig, loads(json.dumps(record.code.settings)))


def _step(commit: Reference, record: StepRecord, wanted: Wanted) -> ReplayStep:
    config, task = _config(record), record.task
    project = names.project(wanted.into or f"{record.project}-replay")
    given = wanted.given or {}
    parameters = {**record.code.parameters, **dict.fromkeys(record.code.private)}
    inputs = {one.name: _commits(record, one) for one in config.inputs}
    artifacts = {name: every[0] for name, every in record.code.interface.given.items() if every}
    return ReplayStep(
        commit,
        record,
        replace(
            config,
            # The replay passes each commit as an argument. Such a commit may be of another project or repo
            # than the one that the original's input names.
            inputs=tuple(
                replace(one, project=inputs[one.name][0].project, repo=inputs[one.name][0].repo)
                for one in config.inputs
            ),
            project=project,
            name=_fitting(record.sibling_of or record.pipeline, project),
            concurrency=1,
            address=None,
            digest=task.digest,
            image=task.image,
        ),
        inputs,
        # KFP passes no argument for None.
        {name: one for name in parameters if (one := _value(name, parameters[name], given)) is not None},
        artifacts,
    )


def _value(name: str, recorded: Any, given: Mapping[str, Any]) -> Any:
    lacking = recorded is None or isinstance(recorded, Hashed)
    return given.get(name, recorded) if lacking else recorded


def _commits(record: StepRecord, one: InputConfig) -> tuple[Reference, ...]:
    if not one.many:
        return (record.inputs[one.name],)
    numbers = (int(name.rpartition("/")[2]) for name in record.inputs if name.startswith(f"{one.name}/"))
    return tuple(record.inputs[f"{one.name}/{number}"] for number in sorted(numbers))


def _fitting(name: str, project: str) -> str:
    """Returns the pipeline's name, cut to the length that Pachyderm allows in the project."""
    return name[: longest_name(project)].rstrip("-")


def _pipeline_name(record: StepRecord) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", (record.task.pipeline or record.task.component).lower()).strip("-")
    return f"replay-{name}"


def _missing(step: ReplayStep, wanted: Wanted) -> Iterator[str]:
    """Yields what a replay of the step needs and its record does not hold."""
    task, code, given = step.task, step.record.code, wanted.given or {}
    for name in code.private:
        if name not in given:
            yield f"{task}: parameter {name} is private, and not recorded; give it by --parameters FILE"
    for name, one in code.parameters.items():
        if isinstance(one, Hashed) and name not in given:
            yield (
                f"{task}: parameter {name} ({one.size} bytes) is too large to be recorded; give it by "
                "--parameters FILE"
            )
        elif isinstance(one, Hashed) and hashed(given[name]) != one:
            yield (
                f"{task}: parameter {name} of --parameters is not the original's, whose digest is "
                f"{one.digest}"
            )
    for name, every in code.interface.given.items():
        if len(every) != 1:
            yield (
                f"{task}: input artifact {name} is a list of {len(every)} artifacts, which can't be handed "
                "over"
            )
    if not wanted.in_cluster:
        yield from _not_here(step)


def _not_here(step: ReplayStep) -> Iterator[str]:
    """Yields why kfp.local can't run the step: without Docker it runs lightweight Python components only."""
    command = step.record.code.command
    if not any(_LIGHTWEIGHT in one for one in command):
        yield f"{step.task} is a container component: kfp.local can't run it without Docker; use --submit"
    elif command[:3] == ("python3", "-m", _LIGHTWEIGHT):
        yield (
            f"{step.task}: its code is in its image {step.record.task.image}, not in the record; use --submit"
        )


def _unknown(found: Found, wanted: Wanted) -> Iterator[str]:
    codes = [one.record.code for one in found.steps.values()]
    large = {name for one in codes for name, value in one.parameters.items() if isinstance(value, Hashed)}
    for name in sorted((wanted.given or {}).keys() - large - {name for one in codes for name in one.private}):
        yield f"--parameters has {name}, which no step lacks: what is recorded can't be replaced"


def _notes(step: ReplayStep, stored: Stored, in_cluster: bool) -> Iterator[str]:
    record = step.record
    image, package, compiled = record.task.image, record.task.package, record.code.kfp
    if stored.is_edited:
        yield (
            f"{step.task}: its record was edited, and its digest does not fit; kfp-pachyderm verify "
            f"{step.original}"
        )
    if not in_cluster:
        yield (
            f"{step.task}: runs in this Python {platform.python_version()} with the packages installed here, "
            f"not in image {image}"
        )
    if "@sha256:" not in image:
        yield f"{step.task}: which image {image} was; its tag may have moved since, name images by digest"
    if package != kfp_pachyderm.__version__:
        yield f"{step.task}: ran with kfp-pachyderm {package}, runs with {kfp_pachyderm.__version__} now"
    if compiled and compiled != kfp.__version__:
        yield f"{step.task}: was compiled with kfp {compiled}, is compiled with {kfp.__version__} now"
    if step.target.partition("/")[2] != (record.sibling_of or record.pipeline):
        yield f"{step.task}: its output repo is {step.target}, as a longer name does not fit there"
    for name, one in step.artifacts.items():
        yield f"{step.task}: what artifact {name} held; it is read from {one.uri} as that is now"


def _always(found: Found) -> Iterator[str]:
    yield (
        "environment variables and Kubernetes settings that tasks were given; versions of packages not pinned"
    )
    if found.run:
        yield (
            "steps of the run that left no commit: those of plain KFP, and those that KFP took from its cache"
        )


def _in_use(pachd: Pachd, steps: list[ReplayStep], pipeline: str) -> Iterator[str]:
    """Yields why the replay would write into a project or pipeline that somebody else uses."""
    originals, users = {one.record.project for one in steps}, dict[str, str]()
    for step in steps:
        source = f"{step.record.project}/{step.record.sibling_of or step.record.pipeline}"
        if users.setdefault(step.target, source) != source:
            yield f"{source} and {users[step.target]} would both write {step.target}; leave --into out"
    for target in users:
        project, _, name = target.partition("/")
        if project in originals:
            yield (
                f"{project} is a project of the originals: nothing that is in use may move; name another by "
                "--into"
            )
            continue
        try:
            info = find_pipeline(pachd, project, name)
        except PachydermError as error:
            yield f"pipeline {target} can't be looked at: {error}"
            continue
        owner = info.details.metadata.annotations.get(KFP_PIPELINE_KEY, "") if info else pipeline
        if owner != pipeline:
            yield (
                f"pipeline {target} is in use, by {owner or 'somebody else'}; name another project by --into"
            )


def _gone(pachd: Pachd, steps: list[ReplayStep]) -> Iterator[str]:
    made = {one.original for one in steps}
    needed = {commit: step for step in steps for every in step.inputs.values() for commit in every}
    for commit, step in needed.items():
        if commit in made:
            continue
        try:
            commit_facts.inspect(pachd, commit)
        except PachydermError as error:
            yield f"{step.task}: input {commit} can't be read any more: {error}"

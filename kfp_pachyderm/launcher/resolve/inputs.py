"""Resolves a step's inputs: the commits of each, and which of them have to be gathered."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from kfp_pachyderm.adapter.encoding import PERCENT
from kfp_pachyderm.errors import CommitReferenceError, EmptyInputError, ProtocolError
from kfp_pachyderm.launcher.background import beside
from kfp_pachyderm.launcher.config import InputConfig, StepConfig
from kfp_pachyderm.launcher.executor_input import Execution
from kfp_pachyderm.launcher.step_log import say
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.pipeline_plan import PipelinePlan
from kfp_pachyderm.pachd.references import Reference, is_empty, parse, resolve, without_mark

#: The most commits that one input takes. One transaction joins them, in a time that grows faster than their
#: number: on a busy pachd of two cores a step on 200 took 108 s, one on 500 had not begun after 600 s.
MOST = 200
#: The number of commits that are resolved at the same time.
_AT_ONCE = 16
#: How KFP writes a channel that stands in a list; kfp.local does not replace it (local/placeholder_utils.py).
_CHANNEL = re.compile(r"\{\{\$\.inputs\.parameters\['(?P<name>[^']+)'\]\}\}")


@dataclass(frozen=True)
class Source:
    """What one input reads.

    Args:
        config: the input.
        commits: the input's commits, in order; one unless the input takes many.
        empty: those of them without files.
        repo: the repo, in the step's project, to gather the commits in; "": the one commit is read directly.
    """

    config: InputConfig
    commits: tuple[Reference, ...]
    empty: frozenset[Reference] = frozenset()
    repo: str = ""

    def commit(self, project: str) -> Reference:
        """What the pipeline reads; a gathered commit has no ID yet."""
        if not self.repo:
            return self.commits[0]
        encoding = PERCENT if any(one.encoding for one in self.commits) else ""
        return Reference(project, self.repo, "", encoding)

    @property
    def named(self) -> dict[str, Reference]:
        """Every commit, by the input's name, or by name and folder where it takes many."""
        if not self.config.many:
            return {self.config.name: self.commits[0]}
        return {f"{self.config.name}/{index}": one for index, one in enumerate(self.commits)}

    @property
    def shown(self) -> dict[str, str]:
        """The commits as user code is told: as `named`, but one entry for a merged bucket without folders."""
        if self.config.merge:
            return {self.config.name: ",".join(map(str, self.commits))}
        return {name: str(commit) for name, commit in self.named.items()}


def read_sources(
    pachd: Pachd, config: StepConfig, execution: Execution, deadline: float
) -> tuple[Source, ...]:
    """Resolves every input to its commits, all side by side.

    Raises:
        CommitReferenceError, EmptyInputError: an input got no commit reference, or commits without files.
        PachydermError: a commit can't be resolved.
    """
    texts = [_texts(one, execution) for one in config.inputs]
    asked = [
        beside(partial(_source, pachd, config, one, given, deadline))
        for one, given in zip(config.inputs, texts, strict=True)
    ]
    found = _all(asked)
    return tuple(_gathered(config.pipeline(execution.identity.task), found))


def _all(asked: list[Future[Any]]) -> list[Any]:
    # The first failure is raised at once, even while other commits are still waited for.
    for one in wait(asked, return_when=FIRST_EXCEPTION).done:
        one.result()
    return [one.result() for one in asked]


def _texts(one: InputConfig, execution: Execution) -> list[str]:
    default = f"{one.repo}@{one.branch}"
    if not one.many:
        return [without_mark(execution.parameter(one.name)) or default]
    value = execution.value(one.name)
    if value is None:
        return [default]
    if not isinstance(value, list):
        raise CommitReferenceError(
            f"input {one.name!r} takes a list of commits (many=True), and got {value!r}: pass a list, "
            'dsl.Collected(<task>.outputs["commit"]) or [<task>.outputs["commit"]]'
        )
    if execution.local:
        # kfp.local collects from a loop in a loop a list of lists, KFP's backend one list (driver/resolve.go,
        # CollectInputs).
        value = _flat(value)
    if not value:
        raise EmptyInputError(
            f"input {one.name!r} got a list of no commits; Pachyderm would run no user code and report "
            "success"
        )
    if len(value) > MOST:
        raise CommitReferenceError(
            f"input {one.name!r} takes {MOST} commits at most, and got {len(value)}: Pachyderm joins them "
            "in one transaction, whose time grows faster than their number; gather in two steps"
        )
    return [
        without_mark(checked(one.name, index, _resolved(each, execution))) for index, each in enumerate(value)
    ]


def _flat(value: Any) -> list[Any]:
    return [each for one in value for each in _flat(one)] if isinstance(value, list) else [value]


def _resolved(value: Any, execution: Execution) -> Any:
    channel = _CHANNEL.fullmatch(value) if isinstance(value, str) else None
    return execution.value(channel["name"]) if channel else value


def checked(name: str, index: int, value: Any) -> str:
    """Checks an element of a list of commits, and returns it.

    Raises:
        CommitReferenceError: it is no text, or an empty one.
    """
    if isinstance(value, str) and value.strip():
        return value
    seen = "an empty reference" if value is None or isinstance(value, str) else json.dumps(value)
    raise CommitReferenceError(
        f"input {name!r} got {seen} as number {index} of its list: each must be one commit reference "
        "(repo@branch, project/repo@branch, repo@<commit id>); leave out what has none, and put inner lists "
        "into one"
    )


def _source(pachd: Pachd, config: StepConfig, one: InputConfig, texts: list[str], deadline: float) -> Source:
    project = one.project or config.project
    if not one.many:
        return Source(one, (_commit(pachd, texts[0], project, deadline, one.glob),))
    distinct = list(dict.fromkeys(texts))
    found = dict(zip(distinct, _in_turns(partial(_of_many, pachd, project, deadline), distinct), strict=True))
    empty = frozenset(commit for commit, nothing in found.values() if nothing)
    if all(nothing for _, nothing in found.values()):
        raise EmptyInputError(
            f"input {one.name!r}: none of its {len(texts)} commits has files; Pachyderm would run no user "
            "code and report success"
        )
    return Source(one, tuple(found[text][0] for text in texts), empty)


def _in_turns(ask: Callable[[str], Any], texts: list[str]) -> Iterator[Any]:
    for start in range(0, len(texts), _AT_ONCE):
        yield from _all([beside(partial(ask, text)) for text in texts[start : start + _AT_ONCE]])


def _of_many(pachd: Pachd, project: str, deadline: float, text: str) -> tuple[Reference, bool]:
    found = _commit(pachd, text, project, deadline, None)
    return found, is_empty(pachd, found)


def _commit(pachd: Pachd, text: str, project: str, deadline: float, glob: str | None) -> Reference:
    found = resolve(pachd, parse(text, project), deadline, say, glob)
    if found.encoding not in ("", PERCENT):
        raise ProtocolError(
            f"the keys of {found} are encoded as {found.encoding!r}, which this version of kfp-pachyderm "
            "does not know: install the version that wrote them"
        )
    return found


def _gathered(pipeline: str, found: list[Source]) -> Iterator[Source]:
    """Marks inputs to gather: a pipeline reads each repo by one branch only (`pachd.claims.gathering`)."""
    taken = set[tuple[str, str]]()
    for one in found:
        repo = (one.commits[0].project, one.commits[0].repo)
        if one.config.many or repo in taken:
            yield replace(one, repo=f"{pipeline}_{one.config.name}")
        else:
            taken.add(repo)
            yield one


def encoded(config: StepConfig, sources: Iterable[Source]) -> Iterator[str]:
    """Log lines for the inputs whose keys are encoded in Pachyderm."""
    for one in sources:
        if any(commit.encoding for commit in one.named.values()):
            decoded = one.config.s3 and config.gateway == "adapter"
            shown = "" if decoded else ", and shown so"
            yield f"input {one.config.name}: its keys are percent-encoded in Pachyderm{shown}"


def pinned(plan: PipelinePlan, commits: list[Reference]) -> PipelinePlan:
    """The plan with the commits that its inputs read, now that the gathered ones are there."""
    inputs = tuple(replace(one, commit=found) for one, found in zip(plan.inputs, commits, strict=True))
    return replace(plan, inputs=inputs)

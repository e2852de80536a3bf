"""The tasks of a KFP run, and the commits that its S3-enabled steps have left.

KFP's API answers a run's tasks and their states, but no values of their outputs
(backend/src/apiserver/server/api_converter.go, toApiPipelineTaskDetail). The commits' own metadata says which
task made which commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.graph.lineage import Lineage
from kfp_pachyderm.provenance.graph.model import Node
from kfp_pachyderm.provenance.kfp_task import is_step


class HasRuns(Protocol):
    """KFP's client, `kfp.Client`."""

    def get_run(self, run_id: str) -> Any:
        """The run's details, a `kfp_server_api.V2beta1Run`."""


@dataclass(frozen=True)
class RunTask:
    """A step of a KFP run.

    Args:
        name: the KFP task's name.
        state: KFP's state of the task ("SUCCEEDED", "FAILED", ...); where KFP gave none, the job's state.
        commits: its output commits; a task in a loop, or with several attempts, has several.
        note: why there are no commits, or that KFP took the step from its cache; "": neither.
    """

    name: str
    state: str
    commits: tuple[Reference, ...]
    note: str = ""


@dataclass(frozen=True)
class RunLineage(Lineage):
    """What a KFP run made, and all that it was made from.

    Args:
        tasks: its S3-enabled steps. Steps that have left no commit are among them only where KFP answered.
        told: a line for each repo that could not be listed, and one where KFP did not answer.
    """

    tasks: tuple[RunTask, ...] = ()
    told: tuple[str, ...] = field(default=(), repr=False)

    @property
    def commits(self) -> dict[str, tuple[Reference, ...]]:
        """Task's name → its commits."""
        return {one.name: one.commits for one in self.tasks}


def asked(client: HasRuns, run: str) -> tuple[Any | None, str]:
    """The run's details and ""; None and the reason where KFP refuses or does not answer."""
    from kfp_server_api import ApiException
    from urllib3.exceptions import HTTPError

    try:
        return client.get_run(run), ""
    except ApiException as error:
        return None, f"KFP does not tell of run {run}: {error.status} {error.reason}"
    except HTTPError as error:
        return None, f"KFP does not answer: {error}"


def of_run(found: Lineage, details: Any | None, told: tuple[str, ...]) -> RunLineage:
    """The lineage with the run's steps.

    Args:
        found: the lineage of the commits that the run has made.
        details: KFP's details of the run; None: KFP has none, or was not asked.
        told: as in `RunLineage`.
    """
    made: dict[str, list[Node]] = {}
    for commit in reversed(found.roots):  # the oldest first
        made.setdefault(found.by_commit[commit].title, []).append(found.by_commit[commit])
    tasks = list(_tasks(found, made, details) if details else _recorded(made))
    return RunLineage(
        **{one.name: getattr(found, one.name) for one in fields(Lineage)}, tasks=tuple(tasks), told=told
    )


def _recorded(made: dict[str, list[Node]]) -> Iterator[RunTask]:
    for name, nodes in made.items():
        yield RunTask(name, nodes[-1].state, tuple(one.commit for one in nodes))


def _tasks(found: Lineage, made: dict[str, list[Node]], details: Any) -> Iterator[RunTask]:
    task_details = details.run_details.task_details if details.run_details else None
    states = {one.display_name: str(one.state or "") for one in task_details or ()}
    spec = details.pipeline_spec or {}
    spec = spec.get("pipeline_spec", spec)
    pipeline = spec.get("pipelineInfo", {}).get("name", "")
    # KFP's client returns the tasks in no order
    for name in dict.fromkeys([*made, *sorted(_steps(spec))]):
        state = states.get(name, "")
        if name in made:
            yield RunTask(name, state or made[name][-1].state, tuple(one.commit for one in made[name]))
            continue
        cached = tuple(one.commit for one in found.nodes if one.cached and _is_of(one, pipeline, name))
        if state == "SUCCEEDED":
            where = (
                ""
                if cached
                else "; no step of this run reads its commit, which its output `commit` in KFP names"
            )
            yield RunTask(name, state, cached, f"KFP took it from its cache{where}")
        else:
            yield RunTask(name, state, (), "it has left no commit")


def _is_of(node: Node, pipeline: str, task: str) -> bool:
    return bool(node.record and (node.record.task.pipeline, node.record.task.task) == (pipeline, task))


def _steps(spec: dict[str, Any]) -> Iterator[str]:
    """Names of the S3-enabled tasks, those in nested pipelines and loops included."""
    components = spec.get("components", {})
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    for one in (spec.get("root", {}), *components.values()):
        for name, task in one.get("dag", {}).get("tasks", {}).items():
            label = components.get(task.get("componentRef", {}).get("name"), {}).get("executorLabel")
            if is_step(executors.get(label, {}).get("container", {}).get("command", [])):
                yield name

"""Where KFP runs a task, so that an exit task runs whatever happens to the snapshot.

A task that stands in the way of `dsl.ExitHandler` and fails leaves it out: Argo omits the handler's node, and
runs no exit hook of an omitted node (argo-workflows workflow/controller/dag.go, executeDAGTask; KFP makes the
exit task such a hook: backend/src/v2/compiler/argocompiler/dag.go). So the handler's steps have a snapshot of
their own, inside of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kfp import dsl
from kfp.dsl import pipeline_context, tasks_group

from kfp_pachyderm.authoring.tasks import StepTask


def runs_last(task: StepTask) -> bool:
    """Whether KFP runs the task when others have ended, once for each task that it depends on."""
    return getattr(task, "is_exit_handler", False) or task.ignores_failure


def scope_of(task: dsl.PipelineTask) -> Any:
    """The group whose failure runs an exit task: the ExitHandler that the task is in, else the pipeline."""
    group = task.parent_task_group
    while not group.is_root and group.group_type != tasks_group.TasksGroupType.EXIT_HANDLER:
        group = group.parent_task_group
    return group


@contextmanager
def inside(scope: Any) -> Iterator[None]:
    """Tasks that are made here stand in the scope, which has ended already."""
    groups = pipeline_context.Pipeline.get_default_pipeline().groups
    # KFP forgets to leave the group that If and Elif make together, where no Else follows.
    del groups[1:]
    if not scope.is_root:
        groups.append(scope)
    yield
    del groups[1:]

"""Places the snapshot tasks so that exit tasks run also when a snapshot fails.

KFP makes the exit task of a `dsl.ExitHandler` a hook of the handler's node in Argo's workflow
(backend/src/v2/compiler/argocompiler/dag.go). If a task that the handler depends on fails, Argo omits the
node, and runs no hook of an omitted node (argo-workflows workflow/controller/dag.go, executeDAGTask). So the
steps in a handler have a snapshot task of their own, inside of the handler.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kfp import dsl
from kfp.dsl import pipeline_context, tasks_group

from kfp_pachyderm.authoring.tasks import StepTask


def runs_last(task: StepTask) -> bool:
    """Returns whether KFP runs the task after others whether they failed or not: it is an exit task."""
    return getattr(task, "is_exit_handler", False) or task.ignores_failure


def scope_of(task: dsl.PipelineTask) -> Any:
    """Returns the innermost ExitHandler that the task is in, else the pipeline's root group."""
    group = task.parent_task_group
    while not group.is_root and group.group_type != tasks_group.TasksGroupType.EXIT_HANDLER:
        group = group.parent_task_group
    return group


@contextmanager
def inside(scope: Any) -> Iterator[None]:
    """Puts the tasks that are made within the block into a group whose own `with` block has ended."""
    groups = pipeline_context.Pipeline.get_default_pipeline().groups
    # KFP does not leave the group that holds If and Elif where no Else follows.
    del groups[1:]
    if not scope.is_root:
        groups.append(scope)
    yield
    del groups[1:]

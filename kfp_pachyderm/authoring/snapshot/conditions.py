"""Tells which tasks KFP may leave out: below a condition, or in a loop over items known in the run only."""

from __future__ import annotations

from kfp import dsl
from kfp.dsl import tasks_group


def may_be_skipped(task: dsl.PipelineTask) -> bool:
    """Returns whether a run may succeed without the task.

    A loop over constants is sure to run its tasks: KFP refuses an empty list of constants.
    """
    group = task.parent_task_group
    while group is not None:
        dynamic_loop = getattr(group, "items_is_pipeline_channel", False)
        if group.group_type == tasks_group.TasksGroupType.CONDITION or dynamic_loop:
            return True
        group = group.parent_task_group
    return False

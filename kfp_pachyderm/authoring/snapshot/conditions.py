"""Which tasks of a pipeline KFP may leave out: below a condition, or in a loop over what is not known yet."""

from __future__ import annotations

from kfp import dsl
from kfp.dsl import tasks_group


def may_be_skipped(task: dsl.PipelineTask) -> bool:
    """Whether a run may succeed without the task; KFP refuses a loop over an empty list of constants."""
    group = task.parent_task_group
    while group is not None:
        dynamic_loop = getattr(group, "items_is_pipeline_channel", False)
        if group.group_type == tasks_group.TasksGroupType.CONDITION or dynamic_loop:
            return True
        group = group.parent_task_group
    return False

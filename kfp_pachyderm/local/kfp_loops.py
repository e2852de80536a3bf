"""Repairs a fault of kfp.local while steps run on this machine.

In a loop over parameters, kfp.local 2.17 puts the loop's item into every input that comes from a task outside
of the loop (kfp/local/orchestrator/task_spec_utils.py, create_parameter_loop_iteration_task_spec). The steps
in a loop get their commits from such a task, the snapshot. Without the repair these steps run in a cluster
only.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

_MODULE = "kfp.local.orchestrator.task_spec_utils"
_FUNCTION = "create_parameter_loop_iteration_task_spec"


def repair_loops() -> None:
    """Wraps KFP's function so that inputs from other tasks stay; does nothing if KFP has no such function."""
    try:
        module = importlib.import_module(_MODULE)
    except ImportError:
        return
    original = getattr(module, _FUNCTION, None)
    if original is not None and not hasattr(original, "__wrapped__"):
        setattr(module, _FUNCTION, _repaired(original))


def _repaired(original: Any) -> Any:
    @functools.wraps(original)
    def iteration(loop: Any, *args: Any, **kwargs: Any) -> Any:
        made = original(loop, *args, **kwargs)
        items = loop.parameter_iterator.items.input_parameter
        for name, given in loop.inputs.parameters.items():
            if given.HasField("task_output_parameter") and name != items:
                made.inputs.parameters[name].CopyFrom(given)
        return made

    return iteration

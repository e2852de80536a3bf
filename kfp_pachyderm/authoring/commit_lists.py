"""Checks the argument of an input with `many=True`: a list of references, or a KFP channel of such a list."""

from __future__ import annotations

from typing import Any

from kfp import dsl
from kfp.dsl import for_loop, pipeline_channel
from kfp.dsl.types import type_utils

from kfp_pachyderm.authoring.tasks import check_reference
from kfp_pachyderm.errors import CommitReferenceError
from kfp_pachyderm.launcher.config import InputConfig

_LOOP = (for_loop.LoopParameterArgument, for_loop.LoopArgumentVariable)


def check_many(one: InputConfig, value: Any) -> None:
    """Refuses an argument that can't be a list of commits.

    Raises:
        CommitReferenceError: the argument is not a list, or one of its elements is not a reference.
    """
    if isinstance(value, pipeline_channel.PipelineChannel):
        _check_channel(one, value)
    elif not isinstance(value, list):
        raise _no_list(one, repr(value))
    elif not value:
        raise CommitReferenceError(
            f'Argument for input "{one.name}" is an empty list, on which Pachyderm would run no user code. '
            "Pass at least one commit."
        )
    else:
        for index, element in enumerate(value):
            _check_element(one, index, element)


def _check_channel(one: InputConfig, value: Any) -> None:
    # KFP often does not know the type of a loop's item.
    if isinstance(value, (dsl.Collected, *_LOOP)):
        return
    if type_utils.get_parameter_type_name(value.channel_type) != "LIST":
        raise _no_list(one, f"an output or parameter of type {value.channel_type}")


def _no_list(one: InputConfig, seen: str) -> CommitReferenceError:
    return CommitReferenceError(
        f'Argument for input "{one.name}" (many=True) must be a list of commit references. Got {seen}: pass '
        f'["{one.repo}@<commit ID>", ...], [<task>.outputs["commit"]], '
        'dsl.Collected(<task in a loop>.outputs["commit"]) or a parameter of type list.'
    )


def _check_element(one: InputConfig, index: int, value: Any) -> None:
    channel = isinstance(value, pipeline_channel.PipelineParameterChannel)
    if isinstance(value, (list, tuple, dsl.Collected)):
        seen = "a list in the list; put all commits into one"
    elif not channel and not isinstance(value, str):
        seen = f"{value!r}; each must be a commit reference"
    elif not channel and not value.strip():
        seen = "an empty reference; leave out what has none"
    else:
        check_reference(one, value)
        return
    raise CommitReferenceError(f'Argument for input "{one.name}" has as number {index}: {seen}.')

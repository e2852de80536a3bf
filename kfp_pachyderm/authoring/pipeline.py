"""`pipeline`: what the steps of one KFP pipeline have in common, and one snapshot of their inputs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, overload

from kfp.dsl import pipeline_channel, pipeline_context

from kfp_pachyderm.authoring import loaded_components
from kfp_pachyderm.authoring.snapshot.pinning import Snapshot
from kfp_pachyderm.authoring.spec import Connection, names
from kfp_pachyderm.authoring.spec.connection import check_connection
from kfp_pachyderm.authoring.step import scope

P = ParamSpec("P")
R = TypeVar("R")


@overload
def pipeline(func: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def pipeline(
    *, project: str = "default", connection: Connection | None = None, snapshot: bool = True
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def pipeline(
    func: Any = None,
    /,
    *,
    project: str = "default",
    connection: Connection | None = None,
    snapshot: bool = True,
) -> Any:
    """Gives the steps of a KFP pipeline one project, one connection and one snapshot of their inputs.

    Stands under `@dsl.pipeline`, on the function. Every input that is left out, that is a branch, or that
    comes from a parameter of the pipeline is resolved once per run, by the task `pachyderm-snapshot`, to
    its newest good commit; the steps get the commits, so that all of them see the same data and KFP's cache
    knows commits, not branches. What only steps below a condition, or in a loop over what is not known yet,
    read and what can't be resolved at once does not fail the run: such a step resolves it when it runs.
    There is no such task when nothing has to be resolved: `repo@<commit ID>` and other steps'
    `outputs["commit"]` are passed on as they are. Not pinned, and so not cached: a step with an input that
    only becomes known during the run (another task's output, a loop's item), one with a connection of its
    own, and an exit task (also one by `ignore_upstream_failure`). Steps in a `dsl.ExitHandler` have a
    snapshot of their own in it, so that the exit task runs when that snapshot fails.

    The same task makes the Pachyderm pipelines of the steps that are sure to run, as far as their inputs'
    repos are known, so that workers start before the steps do. A step relies on none of it.

    An input that is left out means the branch's head when the run starts, also where another step of the
    same pipeline writes that repo: such an input does not wait for that step, and in a first run the repo
    may not exist yet. Pass the step's `outputs["commit"]` to wire the two; a warning says where this was
    likely meant. A nested pipeline has its own decorator and takes its own snapshot when it starts.

    Args:
        func: the function, when used without parentheses.
        project: the Pachyderm project of steps that have none of their own.
        connection: how steps that have none of their own reach Pachyderm.
        snapshot: False: no such task, which saves a run its time. Every step then resolves its branches when
            it starts, so that steps of one run may see different commits, and is not cached; pipelines are
            made by the steps themselves.

    Returns:
        The function, for `@dsl.pipeline`.

    Raises:
        TypeError: not used on a function under `@dsl.pipeline`.
        SpecError: no project name, or no connection.
    """
    names.project(project)
    check_connection(connection)

    def decorate(body: Callable[..., Any]) -> Callable[..., Any]:
        _check_function(body)

        @functools.wraps(body)
        def scoped(*args: Any, **kwargs: Any) -> Any:
            _check_inside(body)
            channels = [
                one for one in (*args, *kwargs.values()) if isinstance(one, pipeline_channel.PipelineChannel)
            ]
            taken = Snapshot(project, connection, frozenset(one.name for one in channels), snapshot)
            token = scope.set(taken)
            try:
                with loaded_components.noticed() as steps:
                    result = body(*args, **kwargs)
            finally:
                scope.reset(token)
            taken.close(steps)
            return result

        scoped.__signature__ = inspect.signature(body)  # type: ignore[attr-defined]
        return scoped

    return decorate if func is None else decorate(func)


def _check_function(body: object) -> None:
    if not inspect.isfunction(body):
        raise TypeError(
            "kfp_pachyderm.pipeline takes the function of a pipeline. "
            f"Got {type(body).__name__}: put it under @dsl.pipeline, right above the def."
        )


def _check_inside(body: Callable[..., Any]) -> None:
    if pipeline_context.Pipeline.get_default_pipeline() is None:
        name = getattr(body, "__name__", "the function")
        raise TypeError(
            f'"{name}" was called outside of a KFP pipeline. Put @dsl.pipeline above @pachyderm.pipeline.'
        )

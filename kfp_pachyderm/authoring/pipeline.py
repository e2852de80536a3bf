"""`pipeline`: gives the steps of a KFP pipeline one project, one connection and one snapshot."""

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

    Put it under `@dsl.pipeline`, on the function.

    **Snapshot.** The first task of a run, `pachyderm-snapshot`, resolves inputs to the newest good commit of
    their branch: each input that is left out, that names a branch, or that comes from a parameter of the
    pipeline. The steps get these commits. So all steps of a run read the same data, and KFP's cache keys hold
    commits instead of branches. `repo@<commit ID>` and another step's `outputs["commit"]` are passed on as
    they are. A pipeline in which nothing has to be resolved gets no snapshot task.

    The snapshot does not fail a run because of an input that only steps read which KFP may leave out (below a
    condition, or in a loop over a value that is known during the run only). If it can't resolve such an
    input, the step resolves it when it runs.

    **Not in the snapshot, and not cached**: a step with an input that becomes known during the run only
    (another task's output, a loop's item), a step with a connection of its own, and an exit task (also one by
    `ignore_upstream_failure`). The steps in a `dsl.ExitHandler` have a snapshot task of their own inside of
    it, so that the exit task runs when that snapshot fails.

    **Pipelines made early.** The snapshot task also makes the Pachyderm pipelines of the steps that are sure
    to run and whose inputs' repos are known, so that Pachyderm's workers start before the steps do. A step
    makes its pipeline itself where the snapshot has not.

    **Inputs that a step of the same run writes.** An input that is left out means the branch's head when the
    run starts, also where another step of the pipeline writes that repo. The input does not wait for that
    step, and in a first run the repo may not exist. To wire the two steps, pass the other step's
    `outputs["commit"]`; a warning names inputs where this was probably meant.

    A nested pipeline has its own decorator, and takes its own snapshot when it starts.

    Args:
        func: the pipeline's function, where the decorator is used without parentheses.
        project: the Pachyderm project of steps that name none.
        connection: how steps that name no connection reach Pachyderm; None: by the default of the namespace
            that the run is in.
        snapshot: False: there is no snapshot task, which saves the time it takes. Each step then resolves its
            branches when it starts, makes its Pachyderm pipeline itself, and is not cached. Steps of one run
            may then read different commits.

    Returns:
        The function, for `@dsl.pipeline`.

    Raises:
        TypeError: the decorator is not on a function, or the function is called outside of a KFP pipeline.
        SpecError: `project` is not a project's name, `connection` is not a Connection, or two steps need the
            same Pachyderm pipeline.
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

"""Runs a replay by KFP's API."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kfp_pachyderm.errors import JobFailedError, KfpApiError, PermanentError, TemporaryError
from kfp_pachyderm.kfp_api import asked, connect
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.history import of_run
from kfp_pachyderm.provenance.stored_record import read
from kfp_pachyderm.replay.model import Plan
from kfp_pachyderm.replay.pipeline import compiled, pipeline

#: The final states of a run (KFP backend/api/v2beta1/run.proto, RuntimeState).
_ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
#: Seconds between two requests for a run's state, and seconds until the wait ends.
_PAUSE, _PATIENCE = 2.0, 24 * 3600.0


def submit(
    plan: Plan, host: str | None, namespace: str | None, tell: Callable[[str], None]
) -> tuple[Any, str]:
    """Starts the replay as a KFP run.

    Args:
        plan: the plan.
        host: the URL of KFP's API; None: as `kfp.Client` finds it.
        namespace: the run's namespace in a multi-user KFP; None: as `kfp.Client` finds it.
        tell: prints a line for the user.

    Returns:
        KFP's client, and the run's ID.

    Raises:
        KfpApiError: KFP refuses the run, or does not answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "replay.yaml"
        file.write_text(compiled(pipeline(plan, in_cluster=True)), encoding="utf-8")
        client = connect(host)
        with asked("a run of the replay"):
            made = client.create_run_from_pipeline_package(
                str(file), run_name=f"replay of {plan.of}", enable_caching=False, namespace=namespace
            )
    tell(f"submitted as KFP run {made.run_id}; if this is ended, see it by: kfp-pachyderm jobs {made.run_id}")
    return client, str(made.run_id)


def wait_for_run(client: Any, run: str, tell: Callable[[str], None]) -> None:
    """Waits until the run has succeeded.

    Raises:
        JobFailedError: the run ended in another state, or was deleted.
        TemporaryError: the run did not end within a day.
    """
    until, said = time.monotonic() + _PATIENCE, ""
    while time.monotonic() < until:
        try:
            with asked("the state of the run"):
                state = str(client.get_run(run).state or "PENDING").upper()
        except KfpApiError as error:
            if getattr(error.__cause__, "status", 500) == 404:
                raise JobFailedError(f"KFP run {run} was deleted while it was waited for") from error
            state = f"not known: {error}".splitlines()[0]
        if state in _ENDED:
            break
        if state != said:
            tell(f"waiting for KFP run {run}: {state}")
            said = state
        time.sleep(_PAUSE)
    else:
        raise TemporaryError(f"KFP run {run} did not end within {_PATIENCE:g} s; it goes on: {said}")
    if state != "SUCCEEDED":
        raise JobFailedError(
            f"KFP run {run}, the replay, ended as {state}; see its steps: kfp-pachyderm jobs {run}"
        )


def commits_of(pachd: Pachd, plan: Plan, run: str) -> dict[Reference, Reference]:
    """Returns the original's commits → the replay's, which are found by the records in their metadata.

    Raises:
        PermanentError: a task of the run left no commit, or more than one.
    """
    found, made = {}, dict[str, list[Reference]]()
    for project in {one.config.project for one in plan.steps}:
        for commit, facts in of_run(pachd, run, project)[0].items():
            stored = read(commit, facts.metadata)
            if stored and stored.record.state == "SUCCESS":
                made.setdefault(stored.record.task.task, []).append(commit)
    for task, step in zip(_tasks(plan), plan.steps, strict=True):
        if len(made.get(task, ())) != 1:
            raise PermanentError(
                f"KFP run {run} succeeded, but left {len(made.get(task, ()))} commits of task {task} in "
                f"project {step.config.project}: does the namespace's default name another Pachyderm?"
            )
        found[step.original] = made[task][0]
    return found


def _tasks(plan: Plan) -> list[str]:
    """Returns the names of the steps' tasks in the run: KFP appends numbers to equal names."""
    names = list[str]()
    for step in plan.steps:
        base, number, name = step.task, 2, step.task
        while name in names:
            name, number = f"{base}-{number}", number + 1
        names.append(name)
    return names

"""Sends a step's events to OpenLineage where it is configured; loads nothing where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from kfp_pachyderm.errors import JobFailedError, TemporaryError
from kfp_pachyderm.launcher.child.signals import Interrupted
from kfp_pachyderm.launcher.step_log import say
from kfp_pachyderm.openlineage.configured import sender_environment
from kfp_pachyderm.pachd.connection.texts import brief

if TYPE_CHECKING:
    from kfp_pachyderm.launcher.attached_job import Attached
    from kfp_pachyderm.launcher.claim.open_job import Opened
    from kfp_pachyderm.launcher.executor_input import Identity
    from kfp_pachyderm.openlineage.facts import Facts
    from kfp_pachyderm.openlineage.sender import Sender
    from kfp_pachyderm.pachd.connection.address import Address


class Watched:
    """A job whose end becomes an event.

    Attributes:
        attached: the attached job, once there is one.
    """

    attached: Attached | None = None


class Events:
    """The events of a step, one run for each job that it opens. A context manager.

    Args:
        where: pachd's address.
    """

    def __init__(self, where: Address) -> None:
        self._where = where
        self._env = sender_environment()
        self._sender: Sender | None = None

    @contextmanager
    def of_job(self, opened: Opened, identity: Identity) -> Iterator[Watched]:
        """Sends START for an opened job, and its last event on leaving."""
        watched = Watched()
        if self._env is None:
            yield watched
            return
        facts = _start(self._where, opened, identity)
        self._tell(facts, self._env)
        try:
            yield watched
        except BaseException as error:
            self._tell(_end(facts, watched.attached, error), self._env)
            raise
        self._tell(_end(facts, watched.attached, None), self._env)

    def _tell(self, facts: Facts, env: dict[str, str]) -> None:
        from kfp_pachyderm.openlineage.sender import Sender

        try:
            self._sender = self._sender or Sender(env, say)
        except OSError as error:
            say(f"OpenLineage: {facts.event} is not sent, no process can be started: {error}")
        else:
            self._sender.tell(facts)

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        if self._sender:
            self._sender.close()


def _start(where: Address, opened: Opened, identity: Identity) -> Facts:
    from kfp_pachyderm.launcher.claim.job_signature import kfp_task
    from kfp_pachyderm.openlineage import facts

    task = kfp_task(opened.config, identity)
    read = {commit: None for one in opened.sources for commit in one.named.values()}
    return facts.Facts(
        event="START",
        time=facts.now(),
        store=facts.store(where.url),
        scheduler=facts.scheduler(),
        pipeline=task.pipeline,
        run=task.run,
        task=task.task,
        job=opened.job.id,
        inputs=tuple(map(facts.Dataset.of, read)),
        output=facts.Dataset.of(opened.job.output),
    )


def _end(facts: Facts, attached: Attached | None, error: BaseException | None) -> Facts:
    """The last event of a job: ABORT where somebody ended the job, or the step takes another one."""
    from kfp_pachyderm.openlineage.facts import now

    record = attached.record if attached else None
    ended = replace(facts, time=now())
    if record and not error:
        files = record.files.count if record.files else None
        return replace(ended, event="COMPLETE", size=record.size, files=files)
    begun = attached is not None and attached.begun
    if isinstance(error, Interrupted):
        return replace(ended, event="ABORT", reason=f"the step got {error}")
    if (isinstance(error, TemporaryError) and not begun) or _killed(error):
        return replace(ended, event="ABORT", reason=brief(str(error)))
    failure = attached.failure if attached else ""
    return replace(ended, event="FAIL", reason=brief(str(error) if error else failure))


def _killed(error: BaseException | None) -> bool:
    return isinstance(error, JobFailedError) and error.state == "KILLED"

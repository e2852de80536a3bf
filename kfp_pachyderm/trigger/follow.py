"""Follows a branch, and starts a KFP run for each of its new commits, in their order."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from kfp_pachyderm.ending import Ending
from kfp_pachyderm.errors import NotFoundError, TemporaryError, UnknownAnswerError
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference, is_finished
from kfp_pachyderm.pachd.sdk import pfs
from kfp_pachyderm.trigger import history
from kfp_pachyderm.trigger.register import Beginning
from kfp_pachyderm.trigger.start import Starter

#: Seconds between two requests for the branch's head.
LOOK = 1.0
#: Seconds until a failed start is tried again: the first time, and at most.
AGAIN, LONGEST = 1.0, 300.0


@dataclass
class Follower:
    """Follows one branch for one trigger.

    Args:
        pachd: the connection.
        branch: the branch.
        beginning: tells which commits of the branch are older than the trigger.
        starter: starts the runs.
        latest: whether of several new commits only the newest starts a run.
        tell: prints a line for the user.
    """

    pachd: Pachd
    branch: Reference
    beginning: Beginning
    starter: Starter
    latest: bool
    tell: Callable[[str], None]
    _done: str = ""
    _pause: float = AGAIN
    _told: set[str] = field(default_factory=set)

    def follow(self, stop: Ending) -> None:
        """Starts runs until `stop` is set; logs errors that may pass and tries again, however long they last.

        Raises:
            PachydermError: a permanent error, as of a token or pipeline that has to be replaced.
        """
        while not stop.is_set():
            try:
                self._look(stop)
                self.starter.look_for_late_ones()
                self._pause = AGAIN
                stop.wait(LOOK)
            except (TemporaryError, UnknownAnswerError) as error:
                self.tell(f"{error}; trying again in {self._pause:g} s")
                self._wait(stop, self._pause)
                self._pause = min(2 * self._pause, LONGEST)

    def _wait(self, stop: Ending, pause: float) -> None:
        """Waits; with `latest`, returns early when the branch gets a new head."""
        until, before = time.monotonic() + pause, self._head() if self.latest else None
        while not stop.is_set() and time.monotonic() < until:
            stop.wait(min(LOOK, max(until - time.monotonic(), 0)))
            if self.latest and self._head() != before:
                return

    def _head(self) -> str | None:
        try:
            return history.head(self.pachd, self.branch)
        except (TemporaryError, UnknownAnswerError):
            return None

    def _look(self, stop: Ending) -> None:
        head = history.head(self.pachd, self.branch)
        if head is None:
            self._once(f"{self.branch}: there is no such branch; waiting for it")
            return
        if head == self._done:
            return
        try:
            found = history.new_commits(self.pachd, self.branch, head, self.starter.trigger, self.beginning)
            done = self._start(self._wanted(found), stop)
        except NotFoundError as error:
            if history.head(self.pachd, self.branch) == head:
                raise
            self._once(str(error))
            return
        if done and all(map(is_finished, found)):
            self._done = head

    def _start(self, wanted: list[Reference], stop: Ending) -> bool:
        """Starts the runs of the commits; returns whether all of them have one now."""
        for one in wanted:
            if stop.is_set() or not self.starter.start(one):
                return False
            self._pause = AGAIN
        return True

    def _wanted(self, found: list[pfs.CommitInfo]) -> list[Reference]:
        wanted = []
        for info in found:
            if not is_finished(info):
                break
            commit = Reference(self.branch.project, self.branch.repo, info.commit.id)
            if info.error:
                self._once(f"{commit} failed and starts no run: {info.error}")
            elif history.is_blank(info):
                self._once(f"{commit} is what the branch was made with, empty, and starts no run")
            else:
                wanted.append(commit)
        if not self.latest:
            return wanted
        for commit in wanted[:-1]:
            self._once(f"{commit} starts no run: {wanted[-1]} is newer")
        return wanted[-1:]

    def _once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self.tell(line)

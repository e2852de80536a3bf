"""Delivery: sends objects from the spool into the output commit, and verifies that the commit holds them.

Few ModifyFile streams carry the objects. Some are sent early, while the user's code still runs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from kfp_pachyderm.adapter.buckets.output_bucket import OutputBucket
from kfp_pachyderm.adapter.call_failed import CallFailedError
from kfp_pachyderm.adapter.config import Flushed, Progress
from kfp_pachyderm.adapter.disk.objects import Stored
from kfp_pachyderm.adapter.disk.spool import Spool
from kfp_pachyderm.adapter.sidecar.connection import Sidecar
from kfp_pachyderm.adapter.sidecar.evicted_content import EvictedContent
from kfp_pachyderm.adapter.sidecar.remote import Remote
from kfp_pachyderm.errors import WriteBackError
from kfp_pachyderm.protocol.pfs_messages import CommitName

log = logging.getLogger(__name__)

#: Limits of one stream. Pachyderm applies a stream as a whole, and a failed one is sent again from its start.
_STREAM_BYTES = 2 * 2**30
_STREAM_FILES = 20_000
#: The more streams a commit has, the slower it gets. So an early stream needs this many bytes, of
#: objects that the user's code has not changed for this long.
_EARLY_BYTES = 64 * 2**20
_QUIET = timedelta(seconds=2)
_LOOK = 1.0
_EARLY_TIMEOUT = 600.0
_PAUSE, _LONGEST_PAUSE = 0.25, 5.0
_NAMED = 5

T = TypeVar("T")


def batches(files: list[Stored]) -> Iterator[list[Stored]]:
    """Splits the files into as few batches, one stream each, as the limits allow."""
    batch: list[Stored] = []
    size = 0
    for file in files:
        if batch and (size + file.size > _STREAM_BYTES or len(batch) == _STREAM_FILES):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.size
    if batch:
        yield batch


def _names(keys: list[str]) -> str:
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return ", ".join(repr(key) for key in keys[:_NAMED]) + more


class WriteBack:
    """Sends the output bucket's files to Pachyderm.

    Args:
        sidecar: the connection to the job's commits.
        output: the open output commit.
        bucket: the output bucket.
        spool: the bucket's spool; when a write waits for room in it, files are sent at once.
    """

    def __init__(self, sidecar: Sidecar, output: CommitName, bucket: OutputBucket, spool: Spool) -> None:
        self._sidecar = sidecar
        self._output = output
        self._bucket = bucket
        self._spool = spool
        self._sending = threading.Lock()
        self._sent: dict[str, Stored] = {}
        # keys of every stream that was begun: one that failed may still have been applied
        self._tried: set[str] = set()
        self._evicted: dict[str, EvictedContent] = {}
        self._under_way: Remote | None = None

    def start(self) -> None:
        """Starts the thread that sends unchanged objects while the user's code runs."""
        threading.Thread(target=self._early, name="write-back", daemon=True).start()

    def _early(self) -> None:
        while True:
            pressed = self._spool.pressed(_LOOK)
            try:
                with self._sending:
                    self._send_early(pressed)
            except Exception as error:
                # the flush sends the files again, and raises if the error lasts
                log.warning("sending early: %s", error)

    def _send_early(self, pressed: bool) -> None:
        limit = datetime.now(UTC) - (timedelta(0) if pressed else _QUIET)
        ready = [file for file in self._unsent() if file.modified <= limit]
        if ready and (pressed or sum(file.size for file in ready) >= _EARLY_BYTES):
            self._send_all(ready, time.monotonic() + _EARLY_TIMEOUT)
        if pressed and self._sidecar.remote().shows_output:
            self._evict()

    def _evict(self) -> None:
        """Removes sent content from the spool. The bucket reads it from the output commit from now on."""
        for key, file in list(self._sent.items()):
            content = EvictedContent(self._sidecar, self._output, key)
            remote = file.elsewhere(content.read)
            if key not in self._evicted and self._bucket.swap(file, remote):
                self._sent[key] = remote
                self._evicted[key] = content

    def _end_reads(self, keys: Iterable[str]) -> None:
        """Before anything is sent to these keys: ends the reads of what the commit holds there."""
        for key in keys:
            if key in self._evicted:
                self._evicted[key].give_up()

    def _unsent(self) -> list[Stored]:
        return [file for file in self._bucket.files() if self._sent.get(file.key) is not file]

    def _gone(self, kept: set[str]) -> list[str]:
        return sorted(self._tried - kept)

    def _send_all(self, files: list[Stored], deadline: float) -> None:
        for batch in batches(files) if files else iter([files]):
            gone = self._gone({file.key for file in self._bucket.files()})
            self._tried |= {file.key for file in batch}
            self._end_reads([*gone, *(file.key for file in batch)])
            self._retried(batch, deadline, partial(self._send, batch, gone))
            for key in gone:
                self._forget(key)
            for file in batch:
                self._tried.add(file.key)
                self._sent[file.key] = file
                self._evicted.pop(file.key, None)

    def _forget(self, key: str) -> None:
        self._sent.pop(key, None)
        self._tried.discard(key)
        self._evicted.pop(key, None)

    def restart(self) -> None:
        """Counts nothing as sent any more, because Pachyderm has emptied the output commit.

        Raises:
            WriteBackError: content is lost, because it had left the spool to make room.
        """
        with self._sending:
            if self._evicted:
                raise WriteBackError(
                    f"Pachyderm started the job again and erased {_names(sorted(self._evicted))}, which the "
                    "spool had no room to keep: run the step again, with a larger spool"
                )
            self._sent.clear()
            self._sidecar.renew()

    def flush(self, timeout: float) -> Flushed:
        """Sends all files that are not in the output commit yet, and verifies that it holds every file.

        Args:
            timeout: seconds for sending and verifying together.

        Raises:
            WriteBackError: names the keys that could not be sent or are not in the commit.
        """
        deadline = time.monotonic() + timeout
        if not self._sending.acquire(timeout=timeout):
            raise WriteBackError(
                f"the output commit {self._name()} did not take an early stream in {timeout} s"
            )
        try:
            return self._flush(deadline)
        finally:
            self._sending.release()

    def progress(self) -> Progress:
        """Tells how much of the bucket's content has been sent; safe from any thread."""
        remote, unsent = self._under_way, self._unsent()
        total = sum(file.size for file in self._bucket.files())
        waiting = sum(file.size - (file.staged.taken if file.staged else 0) for file in unsent)
        return Progress(total - waiting + (remote.taken if remote else 0), total)

    def _flush(self, deadline: float) -> Flushed:
        unsent, files = self._unsent(), self._bucket.files()
        if unsent or self._gone({file.key for file in files}):
            self._send_all(unsent, deadline)
        wrong = self._wrong(files, deadline)
        if wrong:
            # Pachyderm may have replaced the worker, and erased the output, since the files were sent
            again = [file for file in wrong if file.key not in self._evicted]
            for staged in filter(None, (file.staged for file in again)):
                staged.forget()
            self._send_all(again, deadline)
            wrong = self._wrong(files, deadline)
        if wrong:
            raise WriteBackError(
                f"the output commit {self._name()} does not hold what the step wrote: "
                f"{_names([file.key for file in wrong])} is missing or differs; run the step again"
            )
        return Flushed(len(files), sum(file.size for file in files))

    def _wrong(self, files: list[Stored], deadline: float) -> list[Stored]:
        return self._retried(files, deadline, partial(self._differing, files)) if files else []

    def _name(self) -> str:
        project, repo, commit_id = self._output
        return f"{project}/{repo}@{commit_id}"

    def _send(self, batch: list[Stored], gone: list[str], target: Remote, timeout: float) -> None:
        self._under_way = target
        try:
            target.write(self._output, batch, gone, timeout)
        finally:
            self._under_way = None

    def _differing(self, files: list[Stored], target: Remote, timeout: float) -> list[Stored]:
        return target.differing(self._output, files, timeout)

    def _retried(self, files: list[Stored], deadline: float, work: Callable[[Remote, float], T]) -> T:
        """Repeats `work` until it succeeds or the deadline passes.

        Repeating is safe: Pachyderm applies a stream as a whole or not at all, and the same stream again
        changes nothing.
        """
        pause, tries = _PAUSE, Counter[str]()
        while True:
            target = self._sidecar.remote()
            try:
                return work(target, max(deadline - time.monotonic(), 0.001))
            except CallFailedError as error:
                said = f"{target.address}: {error}"
                tries[said] += 1
                if not error.temporary or time.monotonic() + pause > deadline:
                    raise self._failed(files, said, tries.total()) from error
                if tries[said] == 1:
                    log.warning("%s; trying again until the step's timeout", said)
                self._sidecar.forget(target)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _failed(self, files: list[Stored], said: str, tries: int) -> WriteBackError:
        names = _names([file.key for file in files])
        count = f" ({tries} tries)" if tries > 1 else ""
        return WriteBackError(f"the output commit {self._name()} did not take {names} from {said}{count}")

"""From the spool into the output commit: few ModifyFile streams, then a look at what is there."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kfp_pachyderm.adapter.config import CommitName, Flushed
from kfp_pachyderm.adapter.objects import Stored
from kfp_pachyderm.adapter.pfs import Pfs, Sidecar, commit, messages, temporary
from kfp_pachyderm.errors import WriteBackError

if TYPE_CHECKING:
    from pachyderm_sdk.api import pfs

log = logging.getLogger(__name__)

#: One stream is applied as a whole; a failed one is sent again, so it should not be endless.
_STREAM_BYTES = 2 * 2**30
_STREAM_FILES = 20_000
_ATTEMPTS = 4
_PAUSE = 0.5
_NAMED = 5


def batches(files: list[Stored]) -> Iterator[list[Stored]]:
    """The files in as few streams as their size allows."""
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


def requests(output: CommitName, files: list[Stored]) -> Iterator[pfs.ModifyFileRequest]:
    """One stream: each file is deleted first, so that sending it twice does not append."""
    pfs = messages()
    yield pfs.ModifyFileRequest(set_commit=commit(output))
    for file in files:
        path = "/" + file.key
        yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path))
        if not file.size:
            yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=b""))
        for piece in file.read(0, file.size):
            yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=piece))


def _names(keys: list[str]) -> str:
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return ", ".join(repr(key) for key in keys[:_NAMED]) + more


class WriteBack:
    """Sends the output bucket's files.

    Args:
        sidecar: where to.
        output: the open output commit.
    """

    def __init__(self, sidecar: Sidecar, output: CommitName) -> None:
        self._sidecar = sidecar
        self._output = output

    def send(self, files: list[Stored], timeout: float) -> Flushed:
        """All files are in the output commit, and seen there, when this returns.

        Args:
            files: everything that the step has written.
            timeout: seconds for all of it.

        Raises:
            WriteBackError: names the keys that could not be sent or are not there.
        """
        deadline = time.monotonic() + timeout
        for batch in batches(files):
            self._retried(batch, deadline, lambda target, left, b=batch: self._send(target, b, left))
        found: dict[str, int] = self._retried(files, deadline, self._found) if files else {}
        wrong = [file.key for file in files if found.get("/" + file.key) != file.size]
        if wrong:
            raise WriteBackError(
                f"the output commit {self._name()} does not hold what the step wrote: {_names(wrong)} "
                "is missing or has another size; run the step again"
            )
        return Flushed(len(files), sum(file.size for file in files))

    def _name(self) -> str:
        project, repo, commit_id = self._output
        return f"{project}/{repo}@{commit_id}"

    def _send(self, target: Pfs, batch: list[Stored], timeout: float) -> None:
        target.modify(requests(self._output, batch), timeout)

    def _found(self, target: Pfs, timeout: float) -> dict[str, int]:
        return {info.file.path: info.size_bytes for info in target.walk(self._output, timeout)}

    def _retried(self, files: list[Stored], deadline: float, work: Any) -> Any:
        import grpc

        for attempt in range(1, _ATTEMPTS + 1):
            target = self._sidecar.pfs()
            try:
                return work(target, max(deadline - time.monotonic(), 0.001))
            except grpc.RpcError as error:
                again = error.code() in temporary() and attempt < _ATTEMPTS
                if not again or time.monotonic() + _PAUSE * attempt > deadline:
                    raise self._failed(files, target, error) from error
                log.warning("%s answers %s: sending again", target.address, error.code().name)
                time.sleep(_PAUSE * attempt)
        raise AssertionError("unreachable")

    def _failed(self, files: list[Stored], target: Pfs, error: Any) -> WriteBackError:
        return WriteBackError(
            f"the output commit {self._name()} did not take {_names([file.key for file in files])} from "
            f"{target.address}: {error.code().name}: {error.details()}"
        )

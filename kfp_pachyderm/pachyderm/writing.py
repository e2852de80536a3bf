"""One new commit on a branch, whole or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from kfp_pachyderm.errors import (
    CommitNotFinishedError,
    NotFoundError,
    PachydermError,
    PachydermUnreachableError,
    TemporaryError,
    WriteBackError,
)
from kfp_pachyderm.pachyderm.client import Pachd
from kfp_pachyderm.pachyderm.references import Reference, commit_message, missing, repo_message
from kfp_pachyderm.sdk import pfs

#: Bytes of a file in one message; pachd takes 20 MiB.
_PIECE = 2**20


def start(pachd: Pachd, branch: Reference, deadline: float, tell: Callable[[str], None]) -> Reference:
    """Opens a commit on the branch, which is made when missing; somebody else's open commit is waited for.

    Raises:
        RepoNotFoundError: there is no such repo.
        PermanentError: the branch is a pipeline's output.
        CommitNotFinishedError: the other commit stayed open until the deadline.
    """
    target, pause = pfs.Branch(repo=repo_message(branch.project, branch.repo), name=branch.version), 0.05
    while True:
        try:
            return Reference(branch.project, branch.repo, pachd.pfs.start_commit(branch=target).id)
        except NotFoundError as error:
            raise missing(pachd, branch) from error
        except PachydermUnreachableError:
            raise  # the commit may be open now, another one must not follow
        except TemporaryError as error:
            if time.monotonic() + pause >= deadline:
                raise CommitNotFinishedError(
                    f"{branch}: somebody's commit is still open; finish it (pachctl finish commit) or name "
                    "another branch"
                ) from error
        if pause == 0.05:
            tell(f"{branch}: waiting for the commit that is open there")
        time.sleep(pause)
        pause = min(pause * 2, 2.0)


def write(pachd: Pachd, commit: Reference, files: Mapping[str, Path], timeout: float) -> None:
    """Puts files into an open commit, in one stream: they replace what is at their paths.

    Args:
        pachd: the connection.
        commit: the open commit.
        files: path in the repo → file.
        timeout: seconds.
    """
    pachd.patient(timeout).pfs.modify_file(_changes(commit, files))


def _changes(commit: Reference, files: Mapping[str, Path]) -> Iterator[pfs.ModifyFileRequest]:
    yield pfs.ModifyFileRequest(set_commit=commit_message(commit))
    for path, file in files.items():
        yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path))
        with file.open("rb") as content:
            piece = content.read(_PIECE)
            # An empty file has one piece as well.
            yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=piece))
            while piece := content.read(_PIECE):
                yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=piece))


def finish(pachd: Pachd, commit: Reference, files: Mapping[str, Path], timeout: float) -> None:
    """Finishes the commit, waits until Pachyderm has validated it, and looks at what it holds.

    Raises:
        WriteBackError: it is not what was put.
    """
    patient = pachd.patient(timeout)
    patient.pfs.finish_commit(commit=commit_message(commit))
    info = patient.pfs.inspect_commit(commit=commit_message(commit), wait=pfs.CommitState.FINISHED)
    if info.error:
        raise WriteBackError(f"{commit} did not take the files: {info.error}")
    walked = patient.pfs.walk_file(file=pfs.File(commit=commit_message(commit), path="/"))
    held = {one.file.path: one.size_bytes for one in walked if one.file_type == pfs.FileType.FILE}
    wrong = [path for path, file in files.items() if held.get(path) != file.stat().st_size]
    if wrong:
        raise WriteBackError(
            f"{commit} holds {len(wrong)} of {len(files)} files otherwise than they were put, "
            f"first {wrong[0]!r}"
        )


def undo(pachd: Pachd, commit: Reference, reason: str, tell: Callable[[str], None]) -> None:
    """Removes a commit and the jobs that Pachyderm made for it; best effort, never an exception.

    Where it can't be removed, because somebody has built on it, it is closed with the reason as its error.
    """
    quick = pachd.patient(5.0)
    try:
        quick.pfs.drop_commit(commit=commit_message(commit), recursive=True)
    except PachydermError as error:
        tell(f"{commit} could not be removed, closing it with an error: {error}")
        _close(quick, commit, reason, tell)


def _close(pachd: Pachd, commit: Reference, reason: str, tell: Callable[[str], None]) -> None:
    try:
        pachd.pfs.finish_commit(commit=commit_message(commit), error=reason)
    except PachydermError as error:
        tell(f"{commit} could not be closed either: {error}")

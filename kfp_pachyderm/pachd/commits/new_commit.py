"""Makes a new commit on a branch: starts it, writes files, finishes it, or removes it."""

from __future__ import annotations

import os
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
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.connection.polling import looks
from kfp_pachyderm.pachd.connection.texts import brief
from kfp_pachyderm.pachd.references import (
    LOOK_AT_COMMIT,
    Reference,
    commit_message,
    is_finished,
    missing,
    repo_message,
    unfinished,
)
from kfp_pachyderm.pachd.sdk import pfs

#: Bytes of a file in one message; pachd accepts messages of up to 20 MiB.
_PIECE = 2**20
#: The text of pachd's error for a branch whose head is open (src/server/pfs/server/driver.go, startCommit).
_OPEN = "has not been finished"


def start(pachd: Pachd, branch: Reference, deadline: float, tell: Callable[[str], None]) -> Reference:
    """Starts a commit on the branch, and makes the branch if it is missing.

    If the branch's head is open, it waits until somebody finishes it.

    Args:
        pachd: the connection.
        branch: the branch.
        deadline: `time.monotonic()` until which it is tried.
        tell: takes one line for the user.

    Returns:
        The open commit.

    Raises:
        RepoNotFoundError: there is no such repo.
        PermanentError: the branch is a pipeline's output.
        CommitNotFinishedError: the branch's head stayed open until the deadline.
    """
    target, pause = pfs.Branch(repo=repo_message(branch.project, branch.repo), name=branch.version), 0.05
    # when the answer is lost, the description tells this call's commit from anybody else's
    mark = f"put by kfp-pachyderm, {os.urandom(8).hex()}"
    while True:
        try:
            started = pachd.pfs.start_commit(branch=target, description=mark)
            return Reference(branch.project, branch.repo, started.id)
        except NotFoundError as error:
            raise missing(pachd, branch) from error
        except TemporaryError as error:
            if isinstance(error, PachydermUnreachableError):
                pachd.wait_for_answer(error)
            found = _marked(pachd, branch, mark)
            if found:
                return found
            open_there = _OPEN in str(error)
            if time.monotonic() + pause >= deadline:
                raise (_still_open(branch) if open_there else error) from error
        if open_there and pause == 0.05:
            tell(f"{branch}: waiting for the commit that is open there")
        time.sleep(pause)
        pause = min(pause * 2, 2.0)


def _marked(pachd: Pachd, branch: Reference, mark: str) -> Reference | None:
    """Returns the branch's head, if its description is the mark."""
    try:
        head = pachd.pfs.inspect_commit(commit=commit_message(branch))
    except NotFoundError:
        return None
    return Reference(branch.project, branch.repo, head.commit.id) if head.description == mark else None


def _still_open(branch: Reference) -> CommitNotFinishedError:
    return CommitNotFinishedError(
        f"{branch}: somebody's commit is still open; finish it (pachctl finish commit) or name another branch"
    )


def write(pachd: Pachd, commit: Reference, files: Mapping[str, Path], timeout: float) -> None:
    """Puts files into an open commit, in one stream. They replace earlier files at their paths.

    Args:
        pachd: the connection.
        commit: the open commit.
        files: path in the repo → local file.
        timeout: the longest time for the stream, in seconds.
    """
    patient = pachd.patient(timeout)
    # Pachyderm applies a stream as a whole or not at all, so it can be repeated
    patient.repeated(lambda: patient.pfs.modify_file(_changes(commit, files)), "ModifyFile")


def _changes(commit: Reference, files: Mapping[str, Path]) -> Iterator[pfs.ModifyFileRequest]:
    yield pfs.ModifyFileRequest(set_commit=commit_message(commit))
    for path, file in files.items():
        yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path))
        with file.open("rb") as content:
            piece = content.read(_PIECE)
            # An empty file is one empty piece.
            yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=piece))
            while piece := content.read(_PIECE):
                yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=piece))


def finish(
    pachd: Pachd,
    commit: Reference,
    files: Mapping[str, Path],
    deadline: float,
    tell: Callable[[str], None],
) -> None:
    """Finishes the commit, waits until Pachyderm has validated it, and compares its files' sizes.

    Args:
        pachd: the connection.
        commit: the open commit.
        files: path in the repo → local file, as of `write`.
        deadline: `time.monotonic()` until which it waits.
        tell: takes one line for the user.

    Raises:
        WriteBackError: Pachyderm found an error, or a file is missing or has another size.
        CommitNotFinishedError: Pachyderm had not validated the commit at the deadline.
    """
    close(pachd, commit, deadline, tell)
    patient, file = (
        pachd.patient(deadline - time.monotonic()),
        pfs.File(commit=commit_message(commit), path="/"),
    )
    walked = patient.repeated(lambda: list(patient.pfs.walk_file(file=file)), "WalkFile")
    held = {one.file.path: one.size_bytes for one in walked if one.file_type == pfs.FileType.FILE}
    wrong = [path for path, file in files.items() if held.get(path) != file.stat().st_size]
    if wrong:
        raise WriteBackError(
            f"{commit} holds {len(wrong)} of {len(files)} files otherwise than they were put, "
            f"first {wrong[0]!r}"
        )


def close(pachd: Pachd, commit: Reference, deadline: float, tell: Callable[[str], None]) -> None:
    """Finishes the commit and waits until Pachyderm has validated it.

    Raises:
        WriteBackError: Pachyderm found an error.
        CommitNotFinishedError: Pachyderm had not validated the commit at the deadline.
    """
    handle = commit_message(commit)
    pachd.repeated(lambda: _finish_once(pachd, handle), "FinishCommit")
    every = looks(pachd, lambda: pachd.pfs.inspect_commit(commit=handle), deadline, tell, LOOK_AT_COMMIT)
    info = None
    for info in every:
        if is_finished(info):
            break
    if info is None or not is_finished(info):
        seen = unfinished(info) if info else "not looked at, the time was up; give it more"
        raise CommitNotFinishedError(f"{commit}: all of it was put there, but it is {seen}")
    if info.error:
        raise WriteBackError(f"{commit} did not take the files: {info.error}")


def _finish_once(pachd: Pachd, commit: pfs.Commit) -> None:
    """Finishes the commit, unless it is being finished: an earlier call did that, and its answer was lost."""
    if not pachd.pfs.inspect_commit(commit=commit).finishing.timestamp():
        pachd.pfs.finish_commit(commit=commit)


def undo(pachd: Pachd, commit: Reference, reason: str, tell: Callable[[str], None]) -> None:
    """Removes a commit, and the jobs that Pachyderm made on it. Errors are told to the user, never raised.

    A commit that can't be removed, because somebody has built on it, is finished with `reason` as its error.
    """
    quick = pachd.patient(5.0)
    try:
        quick.pfs.drop_commit(commit=commit_message(commit), recursive=True)
    except PachydermError as error:
        tell(f"{commit} could not be removed, closing it with an error: {error}")
        _close(quick, commit, reason, tell)


def _close(pachd: Pachd, commit: Reference, reason: str, tell: Callable[[str], None]) -> None:
    try:
        pachd.pfs.finish_commit(commit=commit_message(commit), error=brief(reason))
    except PachydermError as error:
        tell(f"{commit} could not be closed either: {error}")

"""Commit references: parses their text, and resolves each to one commit."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from kfp_pachyderm.errors import (
    BranchNotFoundError,
    CommitFailedError,
    CommitNotFinishedError,
    CommitNotFoundError,
    CommitReferenceError,
    EmptyInputError,
    NotFoundError,
    RepoNotFoundError,
)
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.connection.polling import looks
from kfp_pachyderm.pachd.sdk import pfs

#: The key of a commit's metadata for the encoding of its file names.
KEYS = "kfp-pachyderm/keys"
#: The key of a gathered commit's metadata for the number of commits that it gathers.
GATHERED = "kfp-pachyderm/gathered"
_NAME = r"[A-Za-z0-9_-]+"
_REFERENCE = re.compile(rf"(?:(?P<project>{_NAME})/)?(?P<repo>{_NAME})@(?P<version>{_NAME})")
#: The longest pause between two calls that inspect an open commit, in seconds.
LOOK_AT_COMMIT = 1.0
_COMMIT_ID = re.compile(r"[0-9a-f]{32}")
_MARK = re.compile(r"\?[0-9a-f]{32}$")


@dataclass(frozen=True)
class Reference:
    """A branch or a commit: `project/repo@branch` or `project/repo@<commit id>`.

    Args:
        project: the repo's project.
        repo: the repo.
        version: a branch's name or a commit's ID (32 hex digits).
        encoding: the encoding of the commit's file names (`adapter.encoding`), set by `resolve`; "": none.
    """

    project: str
    repo: str
    version: str
    encoding: str = field(default="", compare=False, repr=False)

    @property
    def is_commit(self) -> bool:
        """Whether it names a commit, not a branch."""
        return bool(_COMMIT_ID.fullmatch(self.version))

    def __str__(self) -> str:
        return f"{self.project}/{self.repo}@{self.version}"


def parse(text: str, project: str) -> Reference:
    """Parses a reference.

    Args:
        text: `repo@branch`, `project/repo@branch` or `repo@<commit id>`, the last one also with a project.
        project: the project of a text that names none.

    Raises:
        CommitReferenceError: the text has none of these forms.
    """
    found = _REFERENCE.fullmatch(text.strip())
    if not found:
        raise CommitReferenceError(
            f"{text!r} is no commit reference: write repo@branch, project/repo@branch or repo@<commit id>"
        )
    return Reference(found["project"] or project, found["repo"], found["version"])


def left_open(text: str) -> str:
    """Marks a reference that a run's snapshot does not resolve: the step that reads it does.

    The mark is different in each run, so that KFP's cache never returns the result of an earlier run, in
    which the branch may have been at another commit.
    """
    return f"{text}?{os.urandom(16).hex()}"


def without_mark(text: str) -> str:
    """Removes the mark of `left_open`; returns any other text unchanged."""
    return _MARK.sub("", text)


def repo_message(project: str, name: str) -> pfs.Repo:
    """Returns Pachyderm's message for a user repo."""
    return pfs.Repo(name=name, type="user", project=pfs.Project(name=project))


def repo_picker(project: str, name: str) -> pfs.RepoPicker:
    """Returns Pachyderm's picker for a user repo."""
    return pfs.RepoPicker(
        name=pfs.RepoPickerRepoName(name=name, type="user", project=pfs.ProjectPicker(name=project))
    )


def commit_message(reference: Reference) -> pfs.Commit:
    """Returns Pachyderm's message for a commit, or for the head of a branch."""
    repo = repo_message(reference.project, reference.repo)
    if reference.is_commit:
        return pfs.Commit(repo=repo, id=reference.version)
    return pfs.Commit(repo=repo, branch=pfs.Branch(repo=repo, name=reference.version))


def resolve(
    pachd: Pachd, reference: Reference, deadline: float, tell: Callable[[str], None], glob: str | None = "/"
) -> Reference:
    """Resolves a reference to one commit, which is finished without error and has files.

    A branch is resolved to its newest commit without error. Pachyderm leaves a failed job's commit at the
    head of the branch, readable; only its field `error` shows that (PFS CommitInfo.error).

    Args:
        pachd: the connection.
        reference: the reference.
        deadline: `time.monotonic()` until which it waits for an open commit.
        tell: takes one line for the user: which commit is skipped or waited for.
        glob: the glob (Pachyderm's) that must match a file; None: the commit may be empty.

    Returns:
        The reference to the commit, with its encoding.

    Raises:
        RepoNotFoundError, BranchNotFoundError, CommitNotFoundError: repo, branch or commit does not exist.
        CommitNotFinishedError: the commit stayed open until the deadline.
        CommitFailedError: the commit, or every commit of the branch, ended with an error.
        EmptyInputError: no file of the commit matches the glob.
    """
    info = _finished(pachd, reference, _inspect(pachd, reference), deadline, tell)
    skipped = 0
    while info.error:
        tell(f"{reference}: skipping commit {info.commit.id}, it failed: {info.error}")
        skipped += 1
        if reference.is_commit or not info.parent_commit.id:
            raise CommitFailedError(_failed_text(reference, info, skipped))
        parent = replace(reference, version=info.parent_commit.id)
        info = _finished(pachd, parent, _inspect(pachd, parent), deadline, tell)
    encoding = info.metadata.get(KEYS, "")
    found = replace(reference, version=info.commit.id, encoding=encoding)
    if glob is not None and is_empty(pachd, found, glob):
        seen = "has no files" if glob == "/" else f"has no file that matches {glob!r}"
        raise EmptyInputError(
            f"{reference}: commit {found.version} {seen}; Pachyderm would run no user code and report success"
        )
    return found


def _failed_text(reference: Reference, info: pfs.CommitInfo, skipped: int) -> str:
    if reference.is_commit:
        return f"{reference} ended with an error, its files are not whole: {info.error}; name another commit"
    return (
        f"{reference}: all {skipped} commits of the branch ended with an error, the oldest with: "
        f"{info.error}; put good data on the branch or name a commit"
    )


def _inspect(pachd: Pachd, reference: Reference) -> pfs.CommitInfo:
    try:
        return pachd.pfs.inspect_commit(commit=commit_message(reference))
    except NotFoundError as error:
        raise missing(pachd, reference) from error


def missing(pachd: Pachd, reference: Reference) -> NotFoundError:
    """Finds out which part of a reference does not exist, and returns the error for it."""
    project, repo = reference.project, reference.repo
    try:
        pachd.pfs.inspect_repo(repo=repo_message(project, repo))
    except NotFoundError:
        return RepoNotFoundError(
            f"{reference}: project {project} has no repo {repo!r}; make it (pachctl create repo {repo} "
            f"--project {project}) or correct the name"
        )
    if reference.is_commit:
        return CommitNotFoundError(f"{reference}: repo {project}/{repo} has no such commit")
    return BranchNotFoundError(
        f"{reference}: repo {project}/{repo} has no branch {reference.version!r}; put files on it or correct "
        "the name"
    )


def _finished(
    pachd: Pachd, reference: Reference, info: pfs.CommitInfo, deadline: float, tell: Callable[[str], None]
) -> pfs.CommitInfo:
    if is_finished(info):
        return info
    commit = info.commit
    tell(f"{reference}: waiting for commit {commit.id} to be finished")
    for seen in looks(pachd, lambda: pachd.pfs.inspect_commit(commit=commit), deadline, tell, LOOK_AT_COMMIT):
        if is_finished(seen):
            return seen
        info = seen
    raise CommitNotFinishedError(f"{reference}: commit {commit.id} is {unfinished(info)}")


def unfinished(info: pfs.CommitInfo) -> str:
    """What a commit waits for that is not finished, and the way out."""
    if info.finishing.timestamp():
        return "closed, and not validated by Pachyderm yet; give it more time, or name another"
    return "still open; finish it (pachctl finish commit) or name another"


def is_finished(info: pfs.CommitInfo) -> bool:
    """Tells whether the commit is finished and validated."""
    # betterproto returns the epoch for an unset timestamp
    return bool(info.finished.timestamp())


def is_empty(pachd: Pachd, commit: Reference, glob: str = "/") -> bool:
    """Tells whether nothing in the commit matches the glob."""
    # Pachyderm's worker makes datums by the same call: no match means no datum, and SUCCESS without user code
    return not any(True for _ in pachd.pfs.glob_file(commit=commit_message(commit), pattern=glob))

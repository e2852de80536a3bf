"""Commit references: their text, and the one commit that each stands for."""

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

#: What says in a commit's metadata how the names of its files are encoded.
KEYS = "kfp-pachyderm/keys"
#: What says in a commit's metadata that it holds nothing of its own, but so many commits for one input.
GATHERED = "kfp-pachyderm/gathered"
_NAME = r"[A-Za-z0-9_-]+"
_REFERENCE = re.compile(rf"(?:(?P<project>{_NAME})/)?(?P<repo>{_NAME})@(?P<version>{_NAME})")
#: Longest pause between two looks at an open commit, in seconds.
LOOK_AT_COMMIT = 1.0
_COMMIT_ID = re.compile(r"[0-9a-f]{32}")
_MARK = re.compile(r"\?[0-9a-f]{32}$")


@dataclass(frozen=True)
class Reference:
    """`project/repo@branch` or `project/repo@<commit id>`.

    Args:
        project: the repo's project.
        repo: the repo.
        version: a branch's name or a commit's ID (32 hex digits).
        encoding: of the names of its files (`adapter.encoding`), known of a resolved commit; "": none.
    """

    project: str
    repo: str
    version: str
    encoding: str = field(default="", compare=False, repr=False)

    @property
    def is_commit(self) -> bool:
        """Whether it is pinned to one commit."""
        return bool(_COMMIT_ID.fullmatch(self.version))

    def __str__(self) -> str:
        return f"{self.project}/{self.repo}@{self.version}"


def parse(text: str, project: str) -> Reference:
    """Reads a reference; `project` is taken where the text names none.

    Raises:
        CommitReferenceError: it is none of the three forms.
    """
    found = _REFERENCE.fullmatch(text.strip())
    if not found:
        raise CommitReferenceError(
            f"{text!r} is no commit reference: write repo@branch, project/repo@branch or repo@<commit id>"
        )
    return Reference(found["project"] or project, found["repo"], found["version"])


def left_open(text: str) -> str:
    """A reference that a run's snapshot leaves to the step that reads it.

    The mark is another one in each run: KFP's cache must not take what the step makes of a branch for what
    it would make of it later.
    """
    return f"{text}?{os.urandom(16).hex()}"


def without_mark(text: str) -> str:
    """The reference that `left_open` was given; any other text as it is."""
    return _MARK.sub("", text)


def repo_message(project: str, name: str) -> pfs.Repo:
    """Pachyderm's message for a repo that holds users' files."""
    return pfs.Repo(name=name, type="user", project=pfs.Project(name=project))


def repo_picker(project: str, name: str) -> pfs.RepoPicker:
    """Pachyderm's picker for the same repo."""
    return pfs.RepoPicker(
        name=pfs.RepoPickerRepoName(name=name, type="user", project=pfs.ProjectPicker(name=project))
    )


def commit_message(reference: Reference) -> pfs.Commit:
    """Pachyderm's message for a commit, or for the head of a branch."""
    repo = repo_message(reference.project, reference.repo)
    if reference.is_commit:
        return pfs.Commit(repo=repo, id=reference.version)
    return pfs.Commit(repo=repo, branch=pfs.Branch(repo=repo, name=reference.version))


def resolve(
    pachd: Pachd, reference: Reference, deadline: float, tell: Callable[[str], None], glob: str | None = "/"
) -> Reference:
    """The commit that a reference stands for now: finished, without error, with files in it.

    A branch stands for its newest commit that finished without error: Pachyderm leaves a failed job's commit
    at the head, readable, with nothing but `error` to tell it apart (PFS CommitInfo.error).

    Args:
        pachd: the connection.
        reference: what to resolve.
        deadline: `time.monotonic()` until which an open commit is waited for.
        tell: takes one line for the user: what is skipped or waited for.
        glob: Pachyderm's glob that has to match something; None: the commit may be empty.

    Raises:
        RepoNotFoundError, BranchNotFoundError, CommitNotFoundError: what exactly is missing.
        CommitNotFinishedError: the commit stayed open until the deadline.
        CommitFailedError: the commit, or every commit of the branch, ended with an error.
        EmptyInputError: nothing in the commit matches the glob.
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
    """The error that says which part of a reference does not exist."""
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
    """Whether the commit is closed and validated."""
    # betterproto gives an unset timestamp as the epoch.
    return bool(info.finished.timestamp())


def is_empty(pachd: Pachd, commit: Reference, glob: str = "/") -> bool:
    """Whether nothing in the commit matches the glob."""
    # The very question that Pachyderm's worker asks: no match means no datum, and success without user code.
    return not any(True for _ in pachd.pfs.glob_file(commit=commit_message(commit), pattern=glob))

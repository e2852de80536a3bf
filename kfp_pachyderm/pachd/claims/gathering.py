"""Gathers several commits into one, for one input: no pipeline can read two branches of one repo.

All branches that are connected by provenance must be of different repos (Pachyderm
src/server/pfs/server/server_branch.go, validateDAGStructure). So a cross of S3 inputs can't name two commits
of one repo. But one commit can have any number of commits of one repo in its provenance. A new commit takes
the heads of its branch's provenance, and keeps them when the branch drops its provenance in the same
transaction: Pachyderm validates the branches only at the transaction's end (transaction_defer.go,
Propagater.Run). Pachyderm copies the content internally, by reference.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import grpc

from kfp_pachyderm.errors import NotFoundError, PachydermError, PipelineNotOwnedError, TemporaryError
from kfp_pachyderm.pachd.claims.claim import ensure_project
from kfp_pachyderm.pachd.commits.new_commit import close, undo
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.connection.status_codes import code_of
from kfp_pachyderm.pachd.jobs import job as jobs
from kfp_pachyderm.pachd.references import GATHERED, KEYS, Reference, commit_message, repo_message
from kfp_pachyderm.pachd.sdk import pfs, transaction

logger = logging.getLogger(__name__)

#: The description of a repo of gathered commits.
MADE = "commits that kfp-pachyderm gathers for one input of a step"
#: The beginning of the names of branches that exist only while a gathered commit is made.
PREFIX = "kfp-gather-"
#: The most branches that one transaction makes. Each takes pachd at least 30 ms, and pachd begins a long
#: transaction again when others write meanwhile (200 at once on a busy pachd: 161 s, 100: 5 s).
_AT_ONCE = 20


@dataclass(frozen=True)
class Copied:
    """One commit's content, or one file of it, to be copied into the gathered commit.

    Args:
        commit: the commit to copy from.
        source: the path in that commit; "/" for all of it.
        target: the path in the gathered commit; a folder's ends with a slash.
    """

    commit: Reference
    source: str
    target: str


@dataclass(frozen=True)
class Gathering:
    """The plan of a gathered commit.

    Args:
        project: the project of `repo`.
        repo: the repo that gets the commit; made if it is missing.
        copies: the commit's content.
        commits: the commits in its provenance, each once.
        encoding: the encoding of its file names (`adapter.encoding`); "": none.
    """

    project: str
    repo: str
    copies: tuple[Copied, ...]
    commits: tuple[Reference, ...]
    encoding: str = ""

    def __str__(self) -> str:
        return f"{self.project}/{self.repo}"


def refuse_foreign(pachd: Pachd, project: str, repo: str) -> bool:
    """Refuses a repo for gathered commits that kfp-pachyderm did not make.

    Returns:
        Whether the repo exists.

    Raises:
        PipelineNotOwnedError: somebody else made the repo. Nothing is changed.
    """
    try:
        info = pachd.pfs.inspect_repo(repo=repo_message(project, repo))
    except NotFoundError:
        return False
    if info.description != MADE:
        raise PipelineNotOwnedError(
            f"repo {project}/{repo} exists and was not made by kfp-pachyderm, which would gather an input's "
            "commits there; give the step another name by s3_enabled(name=...), or the input by "
            "S3Input(..., name=...)"
        )
    return True


def gather(pachd: Pachd, wanted: Gathering, deadline: float, tell: Callable[[str], None]) -> Reference:
    """Makes one finished commit that has the content of the others, and has them in its provenance.

    Args:
        pachd: the connection.
        wanted: the plan of the commit.
        deadline: `time.monotonic()` until which it is tried.
        tell: takes one line for the user.

    Returns:
        The commit.

    Raises:
        PachydermError: pachd's last error. The commit and its branches have been removed, as far as possible.
    """
    branch = pfs.Branch(repo=repo_message(wanted.project, wanted.repo), name=PREFIX + os.urandom(8).hex())
    patient = pachd.patient(max(deadline - time.monotonic(), 1.0))
    ensure_project(pachd, wanted.project)
    try:
        made = _begin(patient, wanted, branch)
        patient.repeated(lambda: patient.pfs.modify_file(_changes(made, wanted)), "ModifyFile")
        close(pachd, made, deadline, tell)
        encoding = {KEYS: wanted.encoding} if wanted.encoding else {}
        jobs.write_metadata(pachd, made, {GATHERED: str(len(wanted.commits)), **encoding})
    except BaseException as error:
        _undo(pachd, wanted, branch, f"the step ended before it was gathered: {error}", tell)
        if isinstance(error, NotFoundError) and not refuse_foreign(pachd, wanted.project, wanted.repo):
            raise TemporaryError(f"repo {wanted} was empty, and has been deleted") from error
        raise
    _forget(pachd, [branch])
    return made


def _begin(pachd: Pachd, wanted: Gathering, branch: pfs.Branch) -> Reference:
    """Opens a commit on the branch, without parent, with all the commits in its provenance."""
    moves, begun = _moves(wanted, branch.name), 0
    sources = [one.branch for one in moves]
    joined = [
        pfs.CreateBranchRequest(branch=branch, provenance=sources),
        pfs.CreateBranchRequest(branch=branch),
    ]
    try:
        while begun < len(moves):
            part, first = moves[begun : begun + _AT_ONCE], begun == 0
            begun += len(part)
            begin = partial(_with_repo, pachd, wanted, part) if first else partial(_together, pachd, part)
            pachd.repeated(begin, "BatchTransaction")
        pachd.repeated(lambda: _once(pachd, branch, joined), "BatchTransaction")
        head = pachd.pfs.inspect_branch(branch=branch).head
    finally:
        _forget(pachd, sources[:begun])
    return Reference(wanted.project, wanted.repo, head.id, wanted.encoding)


def _moves(wanted: Gathering, name: str) -> list[pfs.CreateBranchRequest]:
    """Returns a request for each commit that makes a branch on it. The branches' names are this call's own.

    The first commit of each repo comes first. So a missing permission fails the first transaction, which also
    makes the repo, and nothing is left behind.
    """
    first = {(one.project, one.repo): one for one in reversed(wanted.commits)}
    return [
        pfs.CreateBranchRequest(
            branch=pfs.Branch(repo=repo_message(one.project, one.repo), name=f"{name}-{index}"),
            head=commit_message(one),
        )
        for index, one in enumerate(dict.fromkeys([*first.values(), *wanted.commits]))
    ]


def _with_repo(pachd: Pachd, wanted: Gathering, requests: list[pfs.CreateBranchRequest]) -> None:
    """Carries out the requests in one transaction, which also makes the repo if it is missing."""
    repo = repo_message(wanted.project, wanted.repo)
    create = transaction.TransactionRequest(create_repo=pfs.CreateRepoRequest(repo=repo, description=MADE))
    there = refuse_foreign(pachd, wanted.project, wanted.repo)
    try:
        _together(pachd, requests, *([] if there else [create]))
    except NotFoundError:
        if not there:
            raise
        _together(pachd, requests, create)  # somebody deleted the repo meanwhile (`gc` deletes empty ones)
    except PachydermError as error:
        if there or code_of(error) is not grpc.StatusCode.ALREADY_EXISTS:
            raise
        _together(pachd, requests)  # another run was quicker


def _together(
    pachd: Pachd, requests: list[pfs.CreateBranchRequest], *before: transaction.TransactionRequest
) -> None:
    every = [transaction.TransactionRequest(create_branch=one) for one in requests]
    pachd.transactions.batch_transaction(requests=[*before, *every])


def _once(pachd: Pachd, branch: pfs.Branch, requests: list[pfs.CreateBranchRequest]) -> None:
    """Carries out the requests, unless the branch exists: an earlier try made it, and its answer was lost."""
    try:
        pachd.pfs.inspect_branch(branch=branch)
    except NotFoundError:
        _together(pachd, requests)


def _changes(commit: Reference, wanted: Gathering) -> Iterator[pfs.ModifyFileRequest]:
    yield pfs.ModifyFileRequest(set_commit=commit_message(commit))
    for one in wanted.copies:
        source = pfs.File(commit=commit_message(one.commit), path=one.source)
        yield pfs.ModifyFileRequest(copy_file=pfs.CopyFile(dst=one.target, src=source))


def _undo(
    pachd: Pachd, wanted: Gathering, branch: pfs.Branch, reason: str, tell: Callable[[str], None]
) -> None:
    """Removes the commit, if it exists yet, and its branch. Errors are ignored."""
    try:
        head = pachd.patient(5.0).pfs.inspect_branch(branch=branch).head
    except PachydermError:
        return
    _forget(pachd, [branch])
    undo(pachd, Reference(wanted.project, wanted.repo, head.id), reason, tell)


def _forget(pachd: Pachd, branches: list[pfs.Branch]) -> None:
    """Deletes branches that nobody reads any more. Errors are ignored: a branch that stays does no harm."""
    quick = pachd.patient(10.0)
    for start in range(0, len(branches), _AT_ONCE):
        part = branches[start : start + _AT_ONCE]
        requests = [
            transaction.TransactionRequest(delete_branch=pfs.DeleteBranchRequest(branch=one)) for one in part
        ]
        try:
            quick.transactions.batch_transaction(requests=requests)
        except PachydermError as error:
            logger.debug("branches %s…: %s", part[0].name, error)
            for one in part:
                with suppress(PachydermError):
                    quick.pfs.delete_branch(branch=one)

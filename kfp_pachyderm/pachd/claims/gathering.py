"""Several commits gathered into one, for one input: Pachyderm lets no pipeline read two branches of a repo.

Branches that hang together by provenance must be of different repos (Pachyderm
src/server/pfs/server/server_branch.go, validateDAGStructure), so a cross of S3 inputs can't name two commits
of one repo. But a commit can come from any number of them: it takes the heads of its branch's provenance
when it is made, and keeps them when the branch gives its provenance up in the same transaction, which is
looked at only in the end (transaction_defer.go, Propagater.Run). Its content is copied inside of Pachyderm,
by reference.
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

#: What the description of a repo of gathered commits says.
MADE = "commits that kfp-pachyderm gathers for one input of a step"
#: How branches begin that exist only while a commit is made.
PREFIX = "kfp-gather-"
#: Branches that one transaction makes: each takes pachd 30 ms and more, and what takes long is begun again
#: when others write meanwhile (200 at once on a busy pachd: 161 s, 100: 5 s).
_AT_ONCE = 20


@dataclass(frozen=True)
class Copied:
    """One commit's content, or one file of it, in the gathered commit.

    Args:
        commit: the commit.
        source: path in it; "/" is all of it.
        target: path in the gathered commit; a folder's ends with a slash.
    """

    commit: Reference
    source: str
    target: str


@dataclass(frozen=True)
class Gathering:
    """What is to be gathered.

    Args:
        project: of the repo that takes it.
        repo: that repo, made when missing.
        copies: its content.
        commits: what it comes from; each once.
        encoding: of the names of its files (`adapter.encoding`); "": none.
    """

    project: str
    repo: str
    copies: tuple[Copied, ...]
    commits: tuple[Reference, ...]
    encoding: str = ""

    def __str__(self) -> str:
        return f"{self.project}/{self.repo}"


def refuse_foreign(pachd: Pachd, project: str, repo: str) -> bool:
    """Refuses a repo that was made by others.

    Returns:
        Whether it is there.

    Raises:
        PipelineNotOwnedError: it is theirs; nothing is changed.
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
    """One finished commit that comes from all the others, and holds what they hold.

    Args:
        pachd: the connection.
        wanted: what is gathered.
        deadline: `time.monotonic()` until which it is tried.
        tell: takes one line for the user.

    Raises:
        PachydermError: what pachd answered at last; nothing is left behind.
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
    """An open commit on the branch, without parent, that comes from all the commits."""
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
    """A branch for each commit, unlike those of other runs; each repo's first comes first.

    A right that is missing then shows in the first transaction, which makes the repo too, or nothing at all.
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
    """The requests, and the repo with them, where it is missing."""
    repo = repo_message(wanted.project, wanted.repo)
    create = transaction.TransactionRequest(create_repo=pfs.CreateRepoRequest(repo=repo, description=MADE))
    there = refuse_foreign(pachd, wanted.project, wanted.repo)
    try:
        _together(pachd, requests, *([] if there else [create]))
    except NotFoundError:
        if not there:
            raise
        _together(pachd, requests, create)  # it was empty, and has been deleted meanwhile
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
    """Nothing where an earlier try made the branch, of which only the answer was lost."""
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
    """Removes the commit, if there is one yet, and its branch; best effort."""
    try:
        head = pachd.patient(5.0).pfs.inspect_branch(branch=branch).head
    except PachydermError:
        return
    _forget(pachd, [branch])
    undo(pachd, Reference(wanted.project, wanted.repo, head.id), reason, tell)


def _forget(pachd: Pachd, branches: list[pfs.Branch]) -> None:
    """Deletes the branches, as far as that goes: nobody reads them any more."""
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

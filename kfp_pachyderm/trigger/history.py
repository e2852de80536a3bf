"""Finds the commits of a branch that are new to a trigger.

It goes back from the head, parent by parent (ListCommit with `to`). So it misses no commit, also where users
move the branch. Pachyderm's SubscribeCommit can't do this. Its `from` excludes that one commit, and none
before it. It does not report a commit that the branch is moved to (src/server/pfs/server/server_commit.go,
subscribeCommit).
"""

from __future__ import annotations

from collections.abc import Iterator

from kfp_pachyderm.errors import NotFoundError
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference, repo_message
from kfp_pachyderm.pachd.sdk import pfs
from kfp_pachyderm.trigger import marks
from kfp_pachyderm.trigger.register import Beginning

#: The number of commits that one call lists.
_PAGE = 50


def head(pachd: Pachd, branch: Reference) -> str | None:
    """Returns the ID of the branch's head; None: the branch or the repo does not exist."""
    repo = repo_message(branch.project, branch.repo)
    try:
        return str(pachd.pfs.inspect_branch(branch=pfs.Branch(repo=repo, name=branch.version)).head.id)
    except NotFoundError:
        return None


def new_commits(
    pachd: Pachd, branch: Reference, start: str, trigger: str, beginning: Beginning
) -> list[pfs.CommitInfo]:
    """Returns the new commits in the history of the head `start`, the oldest first.

    The new commits end at a commit whose run is recorded, or that is older than the trigger.

    Raises:
        NotFoundError: a commit was dropped or squashed meanwhile.
    """
    found = []
    for info in _back(pachd, branch, start):
        old = info.commit.id == beginning.after or info.started < beginning.since
        if old or marks.read(info.metadata, trigger).run:
            break
        found.append(info)
    return found[::-1]


def is_blank(info: pfs.CommitInfo) -> bool:
    """Returns whether it is the empty commit that a new branch gets (server_commit.go, makeEmptyCommit)."""
    return not (info.parent_commit.id or info.direct_provenance or info.details.size_bytes) and (
        info.origin.kind == pfs.OriginKind.AUTO
    )


def _back(pachd: Pachd, branch: Reference, start: str) -> Iterator[pfs.CommitInfo]:
    repo = repo_message(branch.project, branch.repo)
    while start:
        to = pfs.Commit(repo=repo, id=start)

        def ask(to: pfs.Commit = to) -> list[pfs.CommitInfo]:
            return list(pachd.pfs.list_commit(repo=repo, to=to, number=_PAGE))

        page = pachd.repeated(ask, "ListCommit")
        yield from page
        start = page[-1].parent_commit.id if page else ""

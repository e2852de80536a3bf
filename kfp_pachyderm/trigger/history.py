"""The commits of a branch that are new to a trigger.

They are found from the head back, parent by parent (ListCommit with `to`), so that nothing is lost in
between and a branch may be moved. Pachyderm's SubscribeCommit does not do: of `from` it leaves that one
commit out and nothing before it, and a commit that a branch was moved to is not told
(src/server/pfs/server/server_commit.go, subscribeCommit).
"""

from __future__ import annotations

from collections.abc import Iterator

from kfp_pachyderm.errors import NotFoundError
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference, repo_message
from kfp_pachyderm.pachd.sdk import pfs
from kfp_pachyderm.trigger import marks
from kfp_pachyderm.trigger.register import Beginning

#: Commits of one call.
_PAGE = 50


def head(pachd: Pachd, branch: Reference) -> str | None:
    """The ID of the branch's head; None: there is no such branch, or no such repo."""
    repo = repo_message(branch.project, branch.repo)
    try:
        return str(pachd.pfs.inspect_branch(branch=pfs.Branch(repo=repo, name=branch.version)).head.id)
    except NotFoundError:
        return None


def new_commits(
    pachd: Pachd, branch: Reference, start: str, trigger: str, beginning: Beginning
) -> list[pfs.CommitInfo]:
    """What is new in a head's history, the oldest first: up to a commit whose run is known, or an old one.

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
    """Whether it is the empty commit that a branch is made with (server_commit.go, makeEmptyCommit)."""
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

"""Registers since when a trigger follows its branch, as one entry in the project's metadata.

The commits' metadata alone can't tell this. If the branch has no commit when the trigger begins, nothing
would mark its first commit as new. Any user that Pachyderm knows may edit a project's metadata
(src/server/metadata/metadata.go, editInTx). If several processes of one trigger begin at once, one of them
makes the entry.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from kfp_pachyderm.errors import NotFoundError, RepoNotFoundError, SpecError
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference, commit_message, is_finished, missing, repo_message
from kfp_pachyderm.pachd.sdk import metadata, pfs
from kfp_pachyderm.trigger.marks import PREFIX, made


@dataclass(frozen=True)
class Beginning:
    """Tells which commits of a branch are older than a trigger, and start no run.

    Args:
        branch: the branch that the trigger follows.
        after: the ID of the newest old commit; "": none is known.
        since: commits that were started before this time are old.
    """

    branch: str
    after: str
    since: datetime

    def text(self) -> str:
        """Returns the entry as the JSON that is stored."""
        return json.dumps({"branch": self.branch, "after": self.after, "since": self.since.isoformat()})


_ALWAYS = datetime.fromtimestamp(0, UTC)


def registered(
    pachd: Pachd, trigger: str, branch: Reference, start: Reference | None, tell: Callable[[str], None]
) -> Beginning:
    """Returns where the trigger begins; the first process of the trigger decides this and makes the entry.

    Args:
        pachd: the connection.
        trigger: the trigger's name.
        branch: the branch that it follows.
        start: the first commit that starts a run; None: the next commit of the branch.
        tell: prints a line for the user.

    Raises:
        RepoNotFoundError: the branch's repo does not exist.
        CommitNotFoundError: the commit `start` does not exist.
        SpecError: a trigger of this name follows another branch, or begins at another commit.
    """
    found = _read(pachd, trigger, branch)
    if found is None:
        new = _from(pachd, branch, start) if start else _now(pachd, branch)
        _write(pachd, trigger, branch, new)
        found = _read(pachd, trigger, branch) or new
        tell(f"trigger {trigger} is new; {branch} is followed from {found.after or 'its first commit'} on")
    if found.branch != str(branch):
        raise SpecError(f"trigger {trigger} follows {found.branch}; give this one another --name")
    if start and found != _from(pachd, branch, start):
        raise SpecError(
            f"trigger {trigger} follows {branch} since {found.after or 'its first commit'}, not from {start} "
            "on; leave --from out, or give a new one another --name"
        )
    return found


def _read(pachd: Pachd, trigger: str, branch: Reference) -> Beginning | None:
    info = pachd.pfs.inspect_project(project=pfs.Project(name=branch.project))
    text = info.metadata.get(PREFIX + trigger)
    if text is None:
        return None
    try:
        facts = json.loads(text)
        since = datetime.fromisoformat(facts["since"])
        return Beginning(str(facts["branch"]), str(facts["after"]), since)
    except (ValueError, TypeError, KeyError) as error:
        raise SpecError(
            f"project {branch.project}: the metadata {PREFIX + trigger} can't be read ({error}); "
            "delete it (pachctl edit metadata), or give another --name"
        ) from error


def _write(pachd: Pachd, trigger: str, branch: Reference, new: Beginning) -> None:
    add = metadata.EditAddKey(key=PREFIX + trigger, value=new.text())
    # If another process has made the entry first, nothing is written, and the caller reads that entry.
    made(pachd, [metadata.Edit(project=pfs.ProjectPicker(name=branch.project), add_key=add)])


def _from(pachd: Pachd, branch: Reference, start: Reference) -> Beginning:
    try:
        info = pachd.pfs.inspect_commit(commit=commit_message(start))
    except NotFoundError as error:
        raise missing(pachd, start) from error
    return Beginning(str(branch), info.parent_commit.id, info.started)


def _now(pachd: Pachd, branch: Reference) -> Beginning:
    """Begins after the branch's newest finished commit; without the branch, after the repo's newest one."""
    repo = repo_message(branch.project, branch.repo)
    try:
        info = pachd.pfs.inspect_commit(commit=commit_message(branch))
    except NotFoundError as error:
        problem = missing(pachd, branch)
        if isinstance(problem, RepoNotFoundError):
            raise problem from error
        newest = pachd.repeated(lambda: list(pachd.pfs.list_commit(repo=repo, number=1)), "ListCommit")
        return _after(branch, newest[0]) if newest else Beginning(str(branch), "", _ALWAYS)
    if not is_finished(info) and info.parent_commit.id:
        info = pachd.pfs.inspect_commit(commit=info.parent_commit)
    return _after(branch, info) if is_finished(info) else Beginning(str(branch), "", _ALWAYS)


def _after(branch: Reference, info: pfs.CommitInfo) -> Beginning:
    return Beginning(str(branch), info.commit.id, info.started)

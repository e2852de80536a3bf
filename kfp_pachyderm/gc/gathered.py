"""Finds gathered commits that no job reads, and the empty repos that held such commits.

Pachyderm refuses to drop a commit that another commit has in its provenance
(src/server/pfs/server/api_server.go, dropCommit, without `recursive`). So a commit stays if a step has
claimed a job on it meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from kfp_pachyderm.errors import PachydermError
from kfp_pachyderm.gc.leftover import InUseError, Leftover, Search
from kfp_pachyderm.gc.owned import all_repos, our_pipelines
from kfp_pachyderm.pachd.claims.gathering import MADE
from kfp_pachyderm.pachd.commits import commit_facts
from kfp_pachyderm.pachd.commits.commit_facts import CommitFacts
from kfp_pachyderm.pachd.pipeline_plan import pfs_inputs
from kfp_pachyderm.pachd.references import commit_message
from kfp_pachyderm.pachd.sdk import pfs


def unused(search: Search) -> Iterator[Leftover]:
    """Yields gathered commits that no job has read, and empty repos for gathered commits."""
    read = {(one.project, one.repo) for info in our_pipelines(search) for one in pfs_inputs(info)}
    for repo in all_repos(search):
        if repo.description != MADE:
            continue
        try:
            yield from _of(search, repo, read)
        except PachydermError as error:
            search.told.append(f"repo {repo.repo.project.name}/{repo.repo.name}: {error}")


def _of(search: Search, repo: pfs.RepoInfo, read: set[tuple[str, str]]) -> Iterator[Leftover]:
    key = (repo.repo.project.name, repo.repo.name)
    every = [commit_facts.decode(one) for one in commit_facts.of_repo(search.pachd, *key)]
    for one in every:
        if not one.below and search.is_old(one.finished or one.started, sure=False):
            yield _dropped(search, one)
    if not every and not repo.branches and key not in read and search.is_old(repo.created, sure=False):
        remove = partial(_delete, search, repo.repo)
        why = "it held gathered commits of a pipeline that is gone"
        yield Leftover("repo", "/".join(key), repo.created, 0, why, "delete", remove)


def _delete(search: Search, repo: pfs.Repo) -> None:
    """Deletes the repo if it is still empty. A step that uses it at that moment begins again (`gather`)."""
    info = search.pachd.pfs.inspect_repo(repo=repo)
    if info.branches or any(commit_facts.of_repo(search.pachd, repo.project.name, repo.name)):
        raise InUseError(f"repo {repo.project.name}/{repo.name} has been used meanwhile")
    search.pachd.pfs.delete_repo(repo=repo)


def _dropped(search: Search, one: CommitFacts) -> Leftover:
    why = "gathered by a step, and no job has read it" if one.finished else "open: its step was killed"
    remove = partial(search.pachd.pfs.drop_commit, commit=commit_message(one.commit))
    since = one.finished or one.started
    return Leftover("commit", str(one.commit), since, one.size, why, "delete", remove)

"""Deletes projects, repos, commits and commit sets.

Source: Pachyderm src/server/pfs/server/server_commit.go (squashCommit, dropCommit), server_commit_set.go.
"""

from __future__ import annotations

import json

from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.store import branches, commits
from kfp_pachyderm.embedded.store.commits import Commit
from kfp_pachyderm.embedded.store.files import layers
from kfp_pachyderm.embedded.store.repos import Repo, RepoKey, find_repo, get_project, list_repos
from kfp_pachyderm.embedded.store.sqlite.database import Txn


def delete_project(txn: Txn, name: str, force: bool = False) -> None:
    """Removes a project; with `force` also its repos, without it only a project that has none."""
    get_project(txn.db, name)
    repos = list_repos(txn.db, projects=[name])
    if repos and not force:
        raise Refused(
            "cannot delete a project with existing repos and pipelines without force", "FAILED_PRECONDITION"
        )
    delete_repos(txn, repos, force=True)
    txn.db.execute("DELETE FROM projects WHERE name = ?", (name,))


def delete_repo(txn: Txn, repo: Repo, force: bool = False) -> None:
    """Removes a user repo with its system repos, or one system repo."""
    types = ("user", "meta", "spec") if repo.key.type == "user" else (repo.key.type,)
    found = [find_repo(txn.db, RepoKey(repo.key.project, repo.key.name, type_)) for type_ in types]
    delete_repos(txn, [one for one in found if one is not None], force)


def delete_repos(txn: Txn, repos: list[Repo], force: bool = False) -> None:
    """Removes repos, their branches and commits.

    Raises:
        Refused: without `force`, if a branch of a repo that stays comes from one of them.
    """
    gone = {repo.id for repo in repos}
    mine = [one for repo in repos for one in branches.select(txn.db, "WHERE b.repo = ?", (repo.id,))]
    for branch in mine:
        outside = [one for one in branches.all_downstream(txn.db, branch.id) if one.repo_id not in gone]
        if outside and not force:
            names = ", ".join(str(one) for one in outside)
            raise Refused(
                f"branch {branch} cannot be deleted because it's in the direct provenance of {names}"
            )
    for branch in mine:
        branches.delete(txn, (branch.repo, branch.name), force=True)
    for repo in repos:
        for commit in commits.select(txn.db, "WHERE c.repo = ?", (repo.id,)):
            _remove(txn, commit)
        txn.db.execute("DELETE FROM repos WHERE id = ?", (repo.id,))


def _remove(txn: Txn, commit: Commit) -> None:
    txn.db.execute(
        "DELETE FROM commit_provenance WHERE commit_id = ? OR upstream = ?", (commit.id, commit.id)
    )
    txn.db.execute("UPDATE commits SET parent = ? WHERE parent = ?", (commit.parent, commit.id))
    txn.db.execute("DELETE FROM commits WHERE id = ?", (commit.id,))
    for layer in {*(commit.layers or ()), *((commit.own,) if commit.own else ())}:
        if not _shown(txn, layer):
            layers.drop(txn, layer)


def _shown(txn: Txn, layer: int) -> bool:
    query = "SELECT 1 FROM commits, json_each(commits.layers) WHERE json_each.value = ? LIMIT 1"
    return txn.db.execute(query, (layer,)).fetchone() is not None


def squash_commit_set(txn: Txn, set_id: str) -> list[Commit]:
    """Removes a commit set whose data lives on in later commits; returns its commits."""
    found = _deletable(txn, set_id)
    for commit in found:
        _check_spec(commit)
        _check_squash(txn, commit)
    return _delete_commits(txn, found)


def drop_commit_set(txn: Txn, set_id: str) -> list[Commit]:
    """Removes a commit set and its data; branches go back to the commits before it. Returns its commits."""
    found = _deletable(txn, set_id)
    for commit in found:
        _check_spec(commit)
        _check_drop(txn, commit)
    return _delete_commits(txn, found)


def squash_commit(txn: Txn, commit: Commit, recursive: bool) -> list[Commit]:
    """Removes one commit whose data lives on in its child, and with `recursive` all that comes from it.

    Returns:
        The commits that were removed.
    """
    found = _with_subvenance(txn, commit, recursive, "squash")
    for one in found:
        _check_spec(one)
        _check_squash(txn, one)
    return _delete_commits(txn, found)


def drop_commit(txn: Txn, commit: Commit, recursive: bool) -> list[Commit]:
    """Removes one commit and its data, and with `recursive` all that comes from it; returns the commits."""
    found = _with_subvenance(txn, commit, recursive, "drop")
    for one in found:
        _check_drop(txn, one)
    return _delete_commits(txn, found)


def _check_spec(commit: Commit) -> None:
    if commit.repo.type == "spec" and commit.origin == commits.USER:
        raise Refused(f"cannot squash commit {commit} because it updated a pipeline")


def _check_squash(txn: Txn, commit: Commit) -> None:
    if not commits.children(txn.db, commit.id):
        raise Refused(
            "cannot squash a commit that has no children as that would cause data loss, "
            f"use the drop operation instead: {commit}"
        )


def _check_drop(txn: Txn, commit: Commit) -> None:
    if commits.children(txn.db, commit.id):
        raise Refused(f"cannot drop a commit that has children: {commit}")


def _with_subvenance(txn: Txn, commit: Commit, recursive: bool, what: str) -> list[Commit]:
    found, waiting = {commit.id: commit}, [commit]
    while waiting:
        below = commits.subvenance(txn.db, waiting.pop().id)
        fresh = [one for one in below if one.id not in found]
        found |= {one.id: one for one in fresh}
        waiting += fresh
    if len(found) > 1 and not recursive:
        raise Refused(f"cannot {what} commit ({commit}) with subvenance without recursive")
    return commits.sorted_by_provenance(txn.db, list(found.values()))


def _deletable(txn: Txn, set_id: str) -> list[Commit]:
    """A set's commits, upstream first. Pachyderm removes a set that it does not have without a word."""
    found = commits.in_set(txn.db, set_id)
    later = {one.set_id for commit in found for one in commits.subvenance(txn.db, commit.id)} - {set_id}
    if later:
        sets = " ".join(f"id:{json.dumps(one)}" for one in sorted(later))
        raise Refused(
            f"commit set {json.dumps(f'id:{json.dumps(set_id)}')} cannot be dropped because it has subvenant "
            f"commit sets: [{sets}]"
        )
    return found


def _delete_commits(txn: Txn, found: list[Commit]) -> list[Commit]:
    # Upstream first: a branch that is left without a commit gets one that comes from the new heads upstream.
    for commit in found:
        _delete_commit(txn, commit)
    return found


def _delete_commit(txn: Txn, commit: Commit) -> None:
    for child in commits.children(txn.db, commit.id):
        if child.finished is None:
            raise Refused(f"cannot squash until child commit {child} is finished")
    headless = branches.select(txn.db, "WHERE b.head = ? ORDER BY b.id", (commit.id,))
    if headless:
        # A repo has one commit in a commit set: the branches share the empty one (server_commit_set.go).
        head = commit.parent or branches.empty_commit(txn, headless[0], None).id
        for branch in headless:
            branches.set_head(txn, branch.id, head)
    _remove(txn, commit)

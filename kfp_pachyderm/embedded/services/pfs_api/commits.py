"""pfs_v2.API: calls that inspect, list, clear and remove commits."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from pachyderm_sdk.api import pfs

from kfp_pachyderm.embedded.auth import guard
from kfp_pachyderm.embedded.fields import given, has
from kfp_pachyderm.embedded.pps import jobs
from kfp_pachyderm.embedded.services import handlers, messages
from kfp_pachyderm.embedded.services.context import alive
from kfp_pachyderm.embedded.services.handlers import Context
from kfp_pachyderm.embedded.services.pfs_api import pick
from kfp_pachyderm.embedded.services.pfs_api.moment import of_one_moment
from kfp_pachyderm.embedded.status import Refused, not_found
from kfp_pachyderm.embedded.store import commits, deletion, repos
from kfp_pachyderm.embedded.store.commits import Commit
from kfp_pachyderm.embedded.store.files import listing
from kfp_pachyderm.embedded.store.sqlite.database import Txn
from kfp_pachyderm.embedded.store.store import Store


def stop_jobs(txn: Txn, removed: list[Commit]) -> None:
    """Kills the jobs whose output commits were removed (src/server/pps/server/transaction_defer.go)."""
    for commit in removed:
        for job in jobs.select(txn.db, "WHERE output = ? AND finished IS NULL", (commit.id,)):
            jobs.set_state(txn, job, jobs.State.JOB_KILLED, "output commit removed")


class CommitService:
    """The commit calls of pfs_v2.API that can't join a transaction.

    Args:
        store: the store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def calls(self) -> handlers.Calls:
        """The calls by their names on the wire."""
        unary, stream = handlers.unary, handlers.stream
        return {
            "ClearCommit": unary(self._clear_commit, pfs.ClearCommitRequest),
            "InspectCommit": unary(self._inspect_commit, pfs.InspectCommitRequest),
            "ListCommit": stream(self._list_commit, pfs.ListCommitRequest),
            "SubscribeCommit": stream(self._subscribe_commit, pfs.SubscribeCommitRequest),
            "InspectCommitSet": stream(self._inspect_commit_set, pfs.InspectCommitSetRequest),
            "ListCommitSet": stream(self._list_commit_set, pfs.ListCommitSetRequest),
            "DropCommitSet": unary(self._drop_commit_set, pfs.DropCommitSetRequest),
            "SquashCommit": unary(self._squash_commit, pfs.SquashCommitRequest),
            "DropCommit": unary(self._drop_commit, pfs.DropCommitRequest),
            "FindCommits": stream(self._find_commits, pfs.FindCommitsRequest),
            "WalkCommitProvenance": stream(self._walk_provenance, pfs.WalkCommitProvenanceRequest),
            "WalkCommitSubvenance": stream(self._walk_subvenance, pfs.WalkCommitSubvenanceRequest),
        }

    def _clear_commit(self, request: pfs.ClearCommitRequest, _: Context) -> handlers.Empty:
        with self._store.database.write() as txn:
            guard.check_repo(txn.db, pick.repo_of(request.commit), "REPO_WRITE")
            commit = pick.commit(txn.db, request.commit)
            if commit.finishing is not None:
                raise Refused("cannot clear finished commit")
            commits.clear(txn, commit, base=True)
        return handlers.Empty()

    def _inspect_commit(self, request: pfs.InspectCommitRequest, context: Context) -> bytes:
        if not has(request, "commit"):
            raise Refused("commit cannot be nil")
        guard.check_repo(self._store.read(), pick.repo_of(request.commit), "REPO_INSPECT_COMMIT")
        commit = self._reached(pick.commit(self._store.read(), request.commit), request.wait, context)
        return messages.commit_bytes(self._store.read(), commit)

    def _reached(self, commit: Commit, wait: int, context: Context) -> Commit:
        if self._has_reached(commit, wait):
            return commit

        def look() -> Commit | None:
            found = commits.reload(self._store.read(), commit)
            return found if self._has_reached(found, wait) else None

        found = self._store.database.wait(look, alive(context, self._store))
        if found is None:
            raise Refused("context canceled")
        return found

    def _has_reached(self, commit: Commit, wait: int) -> bool:
        if wait in (pfs.CommitState.FINISHING, pfs.CommitState.FINISHED):
            return commit.finished is not None
        if wait == pfs.CommitState.READY:
            return all(one.finished is not None for one in commits.provenance(self._store.read(), commit.id))
        return True

    def _list_commit(self, request: pfs.ListCommitRequest, _: Context) -> Iterator[bytes]:
        db = self._store.read()
        number = request.number or -1
        for commit in self._listed(request):
            if request.origin_kind and not request.all and commit.origin != request.origin_kind:
                continue
            if number == 0:
                return
            number -= 1
            yield messages.commit_bytes(db, commit, listed=True)

    def _listed(self, request: pfs.ListCommitRequest) -> Iterator[Commit]:
        db = self._store.read()
        if request.repo.name:
            guard.check_repo(db, messages.repo_key(request.repo), "REPO_LIST_COMMIT")
        repo = repos.get_repo(db, messages.repo_key(request.repo)) if request.repo.name else None
        start, end = given(request, "from_"), given(request, "to")
        end = end if end is not None and (end.id or end.branch.name) else None
        start = start if start is not None and (start.id or start.branch.name) else None
        if end is None:
            if start is not None:
                raise Refused("cannot use `from` commit without `to` commit")
            order = "ASC" if request.reverse else "DESC"
            where = f"WHERE c.repo = ? ORDER BY c.id {order}" if repo else f"ORDER BY c.id {order}"
            yield from commits.select(db, where, (repo.id,) if repo else ())
            return
        if request.reverse:
            raise Refused("cannot use 'Reverse' while also using 'From' or 'To'")
        last = pick.commit(db, start).id if start is not None else None
        commit: Commit | None = pick.commit(db, end)
        while commit is not None and commit.id != last:
            yield commit
            commit = commits.by_id(db, commit.parent) if commit.parent is not None else None

    def _subscribe_commit(self, request: pfs.SubscribeCommitRequest, context: Context) -> Iterator[bytes]:
        repo = repos.get_repo(self._store.read(), messages.repo_key(request.repo))
        start = given(request, "from_")
        last = pick.commit(self._store.read(), start).id if start is not None and start.id else 0
        where = "WHERE c.repo = ? AND c.id > ? AND (? = '' OR c.branch = ?) ORDER BY c.id LIMIT 1"
        is_alive = alive(context, self._store)
        while True:

            def look(after: int = last) -> Commit | None:
                found = commits.select(
                    self._store.read(), where, (repo.id, after, request.branch, request.branch)
                )
                return found[0] if found and self._has_reached(found[0], request.state) else None

            commit = self._store.database.wait(look, is_alive)
            if commit is None:
                return
            last = commit.id
            if request.all or not request.origin_kind or commit.origin == request.origin_kind:
                yield messages.commit_bytes(self._store.read(), commit)

    def _inspect_commit_set(self, request: pfs.InspectCommitSetRequest, context: Context) -> Iterator[bytes]:
        found = commits.set_and_provenance(self._store.read(), request.commit_set.id)
        if not found:
            raise not_found(f"no commits found for commitset {request.commit_set.id}")
        for commit in found:
            state = pfs.CommitState.FINISHED if request.wait else pfs.CommitState.STARTED
            yield messages.commit_bytes(self._store.read(), self._reached(commit, state, context))

    def _list_commit_set(self, request: pfs.ListCommitSetRequest, _: Context) -> Iterator[pfs.CommitSetInfo]:
        db = self._store.read()
        query = "SELECT set_id, max(id) AS newest FROM commits GROUP BY set_id ORDER BY newest DESC"
        for set_id, _newest in db.execute(query).fetchall():
            found = commits.set_and_provenance(db, set_id)
            if request.project.name and all(one.repo.project != request.project.name for one in found):
                continue
            infos = [messages.commit_info(db, one) for one in found]
            yield pfs.CommitSetInfo(commit_set=pfs.CommitSet(id=set_id), commits=infos)

    def _drop_commit_set(self, request: pfs.DropCommitSetRequest, _: Context) -> handlers.Empty:
        with self._store.database.write() as txn:
            stop_jobs(txn, deletion.drop_commit_set(txn, request.commit_set.id))
        return handlers.Empty()

    def _squash_commit(self, request: pfs.SquashCommitRequest, _: Context) -> pfs.SquashCommitResponse:
        with self._store.database.write() as txn:
            found = pick.commit(txn.db, request.commit)
            stop_jobs(txn, deletion.squash_commit(txn, found, request.recursive))
        return pfs.SquashCommitResponse()

    def _drop_commit(self, request: pfs.DropCommitRequest, _: Context) -> pfs.DropCommitResponse:
        with self._store.database.write() as txn:
            found = pick.commit(txn.db, request.commit)
            stop_jobs(txn, deletion.drop_commit(txn, found, request.recursive))
        return pfs.DropCommitResponse()

    def _find_commits(self, request: pfs.FindCommitsRequest, _: Context) -> Iterator[pfs.FindCommitsResponse]:
        db = self._store.read()
        found = searched = 0
        guard.check_repo(db, pick.repo_of(request.start), "REPO_INSPECT_COMMIT")
        commit = pick.commit(db, request.start)
        while True:
            if commit.finished is None:
                raise Refused(f"commit {commit} not finished")
            parent = commits.by_id(db, commit.parent) if commit.parent is not None else None
            if self._hash(commit, request.file_path) != self._hash(parent, request.file_path):
                found += 1
                yield pfs.FindCommitsResponse(found_commit=messages.commit(commit), commits_searched=searched)
            searched += 1
            if parent is None or found == request.limit != 0:
                break
            commit = parent
        last = messages.commit(commit)
        yield pfs.FindCommitsResponse(last_searched_commit=last, commits_searched=searched)

    def _hash(self, commit: Commit | None, path: str) -> bytes | None:
        if commit is None:
            return None
        found = listing.inspect(self._store.read(), self._store.layers(commit), path)
        return found.hash if found else None

    def _walk_provenance(self, request: pfs.WalkCommitProvenanceRequest, _: Context) -> Iterator[bytes]:
        yield from self._walk(request, commits.provenance_ids)

    def _walk_subvenance(self, request: pfs.WalkCommitSubvenanceRequest, _: Context) -> Iterator[bytes]:
        yield from self._walk(request, commits.subvenance_ids)

    def _walk(self, request: Any, step: Any) -> Iterator[bytes]:
        yield from of_one_moment(self._store.read(), lambda db: self._walked(db, request, step))

    def _walked(self, db: sqlite3.Connection, request: Any, step: Any) -> Iterator[bytes]:
        for picker in request.start:
            start = pick.by_picker(db, picker)
            # The start itself is not sent, and no permission on its repo is checked.
            level, seen, depth, sent = step(db, start.id), {start.id}, 1, 0
            while level and (not request.max_depth or depth <= request.max_depth):
                fresh = [one for one in dict.fromkeys(level) if one not in seen]
                seen.update(fresh)
                for commit in (commits.by_id(db, one) for one in fresh):
                    guard.check_repo(db, commit.repo, "REPO_INSPECT_COMMIT")
                    if request.max_commits and sent >= request.max_commits:
                        break
                    sent += 1
                    yield messages.commit_bytes(db, commit)
                level = [one for commit in fresh for one in step(db, commit)]
                depth += 1

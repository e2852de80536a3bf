"""pfs_v2.API: projects, repos, branches, and the commit calls that may join a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from pachyderm_sdk.api import pfs, transaction

from kfp_pachyderm.embedded.auth import guard, state
from kfp_pachyderm.embedded.auth.roles import PROJECT
from kfp_pachyderm.embedded.auth.state import Resource
from kfp_pachyderm.embedded.fields import given
from kfp_pachyderm.embedded.services import handlers, messages
from kfp_pachyderm.embedded.services.auth import permissions
from kfp_pachyderm.embedded.services.context import Joining
from kfp_pachyderm.embedded.services.handlers import Context
from kfp_pachyderm.embedded.services.pfs_api import pick
from kfp_pachyderm.embedded.services.pfs_api.commits import CommitService, stop_jobs
from kfp_pachyderm.embedded.services.pfs_api.moment import of_one_moment
from kfp_pachyderm.embedded.services.pps_api import settings
from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.store import branches, commits, deletion, repos
from kfp_pachyderm.embedded.store.sqlite.database import Txn, one_moment

_Info = TypeVar("_Info", pfs.RepoInfo, pfs.ProjectInfo)


@contextmanager
def _prefixed(what: str) -> Iterator[None]:
    """Prefixes the text of a refusal with `what`."""
    try:
        yield
    except Refused as error:
        raise Refused(f"{what}: {error.text}", error.code) from error


class Operations:
    """The calls that may join a transaction: the same code runs at once, or in the transaction."""

    def create_repo(self, txn: Txn, request: pfs.CreateRepoRequest) -> handlers.Empty:
        """CreateRepo."""
        key = messages.repo_key(request.repo)
        known = repos.find_repo(txn.db, key)
        if repos.find_project(txn.db, key.project) is not None:
            with _prefixed("failed to create repo"):
                guard.check_project(txn.db, key.project, "PROJECT_CREATE_REPO")
        if known is not None and request.update and known.description != request.description:
            with _prefixed(f'could not update description of "{key}"'):
                guard.check_repo(txn.db, key, "REPO_WRITE")
        repos.create_repo(txn, key, request.description, request.update)
        if known is None:
            guard.own(txn, state.of_repo(key), "repoOwner")
        return handlers.Empty()

    def delete_repo(self, txn: Txn, request: pfs.DeleteRepoRequest) -> pfs.DeleteRepoResponse:
        """DeleteRepo; a repo that does not exist is no error."""
        repo = repos.find_repo(txn.db, messages.repo_key(request.repo))
        # `deleted` alone tells the caller that permissions are missing, as in Pachyderm (canDeleteRepo).
        if repo is None or not guard.may(txn.db, state.of_repo(repo.key), "REPO_DELETE"):
            return pfs.DeleteRepoResponse(deleted=False)
        name = (repo.key.project, repo.key.name)
        owner = txn.db.execute("SELECT 1 FROM pipelines WHERE (project, name) = (?, ?)", name).fetchone()
        if owner and not request.force:
            raise Refused("cannot delete a repo associated with a pipeline - delete the pipeline instead")
        deletion.delete_repo(txn, repo, request.force)
        return pfs.DeleteRepoResponse(deleted=True)

    def start_commit(self, txn: Txn, request: pfs.StartCommitRequest) -> pfs.Commit:
        """StartCommit."""
        key, name = messages.branch_key(request.branch)
        guard.check_repo(txn.db, key, "REPO_WRITE")
        repo = repos.get_repo(txn.db, key)
        handle = given(request, "parent")
        parent = None
        if handle is not None and (handle.id or handle.branch.name):
            handle.repo = messages.repo(key)
            parent = pick.commit(txn.db, handle)
        commit = branches.start_commit(txn, repo, name, parent, request.description)
        return pfs.Commit(repo=messages.repo(key), id=commit.set_id, branch=messages.branch(key, name))

    def finish_commit(self, txn: Txn, request: pfs.FinishCommitRequest) -> handlers.Empty:
        """FinishCommit. Without `force` only its job may finish a pipeline's output commit."""
        guard.check_repo(txn.db, pick.repo_of(request.commit), "REPO_WRITE")
        commit = pick.commit(txn.db, request.commit)
        if commit.finishing is None and not request.force and commits.provenance_ids(txn.db, commit.id):
            name = (commit.repo.project, commit.repo.name)
            if txn.db.execute("SELECT 1 FROM pipelines WHERE (project, name) = (?, ?)", name).fetchone():
                raise Refused("cannot finish a pipeline output or meta commit, use 'stop job' instead")
        commits.finish(txn, commit, request.error, request.description)
        return handlers.Empty()

    def create_branch(self, txn: Txn, request: pfs.CreateBranchRequest) -> handlers.Empty:
        """CreateBranch."""
        guard.check_repo(txn.db, messages.branch_key(request.branch)[0], "REPO_CREATE_BRANCH")
        handle = given(request, "head")
        named = handle is not None and (handle.id or handle.branch.name)
        branches.create(
            txn,
            messages.branch_key(request.branch),
            pick.commit(txn.db, handle) if named else None,
            [messages.branch_key(one) for one in request.provenance],
            messages.trigger_json(given(request, "trigger")),
            {
                messages.branch_key(one.branch)
                for one in request.branch_propagation_specs
                if one.propagation_spec.never
            },
        )
        return handlers.Empty()

    def delete_branch(self, txn: Txn, request: pfs.DeleteBranchRequest) -> handlers.Empty:
        """DeleteBranch."""
        guard.check_repo(txn.db, messages.branch_key(request.branch)[0], "REPO_DELETE_BRANCH")
        branches.delete(txn, messages.branch_key(request.branch), request.force)
        return handlers.Empty()

    def squash_commit_set(self, txn: Txn, request: pfs.SquashCommitSetRequest) -> handlers.Empty:
        """SquashCommitSet."""
        stop_jobs(txn, deletion.squash_commit_set(txn, request.commit_set.id))
        return handlers.Empty()


class PfsService:
    """Projects, repos, branches and commits of pfs_v2.API.

    Args:
        joining: the store, and how a call joins a transaction.
    """

    def __init__(self, joining: Joining) -> None:
        self._joining = joining
        self._store = joining.store
        self.operations = Operations()

    def calls(self) -> handlers.Calls:
        """The calls by their names on the wire."""
        unary, stream = handlers.unary, handlers.stream
        return CommitService(self._store).calls() | {
            "CreateProject": unary(self._create_project, pfs.CreateProjectRequest),
            "InspectProject": unary(self._inspect_project, pfs.InspectProjectRequest),
            "InspectProjectV2": unary(self._inspect_project_v2, pfs.InspectProjectV2Request),
            "ListProject": stream(self._list_project, pfs.ListProjectRequest),
            "DeleteProject": unary(self._delete_project, pfs.DeleteProjectRequest),
            "CreateRepo": unary(self._joined("create_repo"), pfs.CreateRepoRequest),
            "InspectRepo": unary(self._inspect_repo, pfs.InspectRepoRequest),
            "ListRepo": stream(self._list_repo, pfs.ListRepoRequest),
            "DeleteRepo": unary(self._joined("delete_repo"), pfs.DeleteRepoRequest),
            "DeleteRepos": unary(self._delete_repos, pfs.DeleteReposRequest),
            "StartCommit": unary(self._joined("start_commit"), pfs.StartCommitRequest),
            "FinishCommit": unary(self._joined("finish_commit"), pfs.FinishCommitRequest),
            "SquashCommitSet": unary(self._joined("squash_commit_set"), pfs.SquashCommitSetRequest),
            "CreateBranch": unary(self._joined("create_branch"), pfs.CreateBranchRequest),
            "InspectBranch": unary(self._inspect_branch, pfs.InspectBranchRequest),
            "ListBranch": stream(self._list_branch, pfs.ListBranchRequest),
            "DeleteBranch": unary(self._joined("delete_branch"), pfs.DeleteBranchRequest),
        }

    def _joined(self, name: str) -> Any:
        operation = getattr(self.operations, name)
        answers = {"start_commit": pfs.Commit, "delete_repo": pfs.DeleteRepoResponse}

        def call(request: Any, context: Context) -> Any:
            wrapped = transaction.TransactionRequest(**{name: request})
            done = self._joining.run(context, wrapped, lambda txn: operation(txn, request))
            if isinstance(done, transaction.TransactionResponse):
                return done.commit if name == "start_commit" else answers.get(name, handlers.Empty)()
            return done

        return call

    def _with_permissions(self, info: _Info, resource: Resource) -> _Info:
        caller = guard.caller()
        if caller is not None:
            found = permissions(self._store, caller.known(), resource)
            info.auth_info = pfs.AuthInfo(permissions=found.permissions, roles=found.roles)
        return info

    def _create_project(self, request: pfs.CreateProjectRequest, _: Context) -> handlers.Empty:
        with self._store.database.write() as txn:
            repos.create_project(txn, request.project.name, request.description, request.update)
            if not request.update:
                guard.own(txn, Resource(PROJECT, request.project.name), "projectOwner")
        return handlers.Empty()

    def _inspect_project(self, request: pfs.InspectProjectRequest, _: Context) -> pfs.ProjectInfo:
        info = messages.project_info(repos.get_project(self._store.read(), request.project.name))
        return self._with_permissions(info, Resource(PROJECT, info.project.name))

    def _inspect_project_v2(
        self, request: pfs.InspectProjectV2Request, _: Context
    ) -> pfs.InspectProjectV2Response:
        info = messages.project_info(repos.get_project(self._store.read(), request.project.name))
        return pfs.InspectProjectV2Response(
            info=info, defaults_json=settings.of_project(self._store.read(), request.project.name)
        )

    def _list_project(self, _: pfs.ListProjectRequest, __: Context) -> Iterator[pfs.ProjectInfo]:
        for project in repos.list_projects(self._store.read()):
            yield messages.project_info(project)

    def _delete_project(self, request: pfs.DeleteProjectRequest, _: Context) -> handlers.Empty:
        with self._store.database.write() as txn:
            name = request.project.name
            guard.check_project(txn.db, name, "PROJECT_DELETE", "PROJECT_MODIFY_BINDINGS")
            deletion.delete_project(txn, name, request.force)
            settings.forget_project(txn, name)
        return handlers.Empty()

    def _inspect_repo(self, request: pfs.InspectRepoRequest, _: Context) -> pfs.RepoInfo:
        db = self._store.read()
        with one_moment(db):
            found = repos.get_repo(db, messages.repo_key(request.repo))
            return self._with_permissions(messages.repo_info(db, found), state.of_repo(found.key))

    def _list_repo(self, request: pfs.ListRepoRequest, _: Context) -> Iterator[pfs.RepoInfo]:
        yield from of_one_moment(self._store.read(), lambda db: self._repos(db, request))

    def _repos(self, db: sqlite3.Connection, request: pfs.ListRepoRequest) -> Iterator[pfs.RepoInfo]:
        for repo in repos.list_repos(db, request.type, [one.name for one in request.projects]):
            if guard.may_list(db, repo.key):
                yield self._with_permissions(messages.repo_info(db, repo), state.of_repo(repo.key))

    def _delete_repos(self, request: pfs.DeleteReposRequest, _: Context) -> pfs.DeleteReposResponse:
        with self._store.database.write() as txn:
            projects = None if request.all else [one.name for one in request.projects]
            found = repos.list_repos(txn.db, projects=projects) if request.all or projects else []
            found = [one for one in found if guard.may(txn.db, state.of_repo(one.key), "REPO_DELETE")]
            deletion.delete_repos(txn, found, request.force)
        return pfs.DeleteReposResponse(repos=[messages.repo(one.key) for one in found])

    def _inspect_branch(self, request: pfs.InspectBranchRequest, _: Context) -> pfs.BranchInfo:
        db = self._store.read()
        with one_moment(db):
            return messages.branch_info(db, branches.get(db, messages.branch_key(request.branch)))

    def _list_branch(self, request: pfs.ListBranchRequest, _: Context) -> Iterator[pfs.BranchInfo]:
        yield from of_one_moment(self._store.read(), lambda db: self._branches(db, request))

    def _branches(self, db: sqlite3.Connection, request: pfs.ListBranchRequest) -> Iterator[pfs.BranchInfo]:
        order = "ASC" if request.reverse else "DESC"
        if request.repo.name:
            guard.check_repo(db, messages.repo_key(request.repo), "REPO_LIST_BRANCH")
            repo = repos.get_repo(db, messages.repo_key(request.repo))
            found = branches.select(
                db, f"WHERE b.repo = ? ORDER BY b.created {order}, b.id {order}", (repo.id,)
            )
        else:
            found = branches.select(db, f"ORDER BY b.created {order}, b.id {order}")
        for branch in found:
            yield messages.branch_info(db, branch)

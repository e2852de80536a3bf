"""The public functions of `provenance`: each connects to Pachyderm, asks, and returns typed objects."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeAlias, TypeGuard, cast

from kfp_pachyderm.errors import CommitReferenceError, NotFoundError
from kfp_pachyderm.pachd.connection.address import Address, from_environment, parse
from kfp_pachyderm.pachd.connection.client import Pachd, connect
from kfp_pachyderm.provenance import history, kfp_run
from kfp_pachyderm.provenance.check import ancestry
from kfp_pachyderm.provenance.check.verified import Verified
from kfp_pachyderm.provenance.compare import runs as compared
from kfp_pachyderm.provenance.compare.diff import Diff
from kfp_pachyderm.provenance.graph import assemble
from kfp_pachyderm.provenance.graph.assemble import of_target
from kfp_pachyderm.provenance.graph.lineage import Lineage
from kfp_pachyderm.provenance.graph.target import Target, target
from kfp_pachyderm.provenance.history import Run
from kfp_pachyderm.provenance.kfp_run import HasRuns, RunLineage


class HasAddress(Protocol):
    """An object with a Pachyderm's address: what `local.init()` returns, the pytest fixture `pachyderm`."""

    @property
    def address(self) -> str:
        """pachd's address."""


#: Names a Pachyderm: an address ("grpc://host:port"), what `local.init()` returned, Pachyderm's own client,
#: or an open connection. None: the Pachyderm that steps of this process would use.
Client: TypeAlias = str | HasAddress | Pachd | None


def lineage(
    of: str,
    *,
    down: bool = False,
    depth: int | None = None,
    project: str = "default",
    client: Client = None,
) -> Lineage:
    """What a commit was made from, or what was made from it.

    Args:
        of: a commit ("[project/]repo@<commit ID>" or "repo@<branch>"), a file in one ("repo@<ID>:/path"), a
            job's ID, or a KFP run's ID.
        down: whether the graph leads to what was made from it, instead of to what it was made from.
        depth: number of levels beyond it; None: all levels.
        project: the Pachyderm project where `of` names none.
        client: which Pachyderm: an address, what `local.init()` returned, or Pachyderm's own client; None:
            the Pachyderm of `local.init()`, of KFP_PACHYDERM_ADDRESS, or of the namespace's mounted default.

    Returns:
        The graph. A commit that could not be looked at is a node that says why.

    Raises:
        CommitReferenceError: `of` can't be read.
        NotFoundError: Pachyderm has no such commit, file, job or run.
        PachydermUnreachableError: Pachyderm does not answer.
        AuthenticationError: Pachyderm refuses the token, or its owner lacks a role.
    """
    with _connected(client) as pachd:
        return assemble.lineage(pachd, of, down=down, depth=depth, project=project)


def runs(
    project: str | None = "default",
    *,
    limit: int | None = None,
    client: Client = None,
) -> list[Run]:
    """The KFP runs that left commits in a Pachyderm project, newest first.

    Args:
        project: the project; None: all projects.
        limit: the largest number of runs; None: all runs.
        client: which Pachyderm, as for `lineage`.

    Returns:
        The runs. Commits of repos that can't be listed are missing in them.

    Raises:
        PachydermUnreachableError: Pachyderm does not answer.
        AuthenticationError: Pachyderm refuses the token.
    """
    with _connected(client) as pachd:
        return history.runs(pachd, project, limit)[0]


def of_run(client: Client | HasRuns, run_id: str, *, pachyderm: Client = None) -> RunLineage:
    """Finds the commits of a KFP run's steps, and all that they were made from.

    KFP tells the names of the run's steps and how they ended, cached steps included. The commits' metadata in
    Pachyderm tells which step made which commit. Where KFP does not know the run any more, or does not
    answer, `told` says so, and only steps that have left commits are listed.

    Args:
        client: a `kfp.Client`; or a Pachyderm, as for `lineage`: then KFP is not asked.
        run_id: the run's ID, as KFP shows it.
        pachyderm: with a `kfp.Client`: which Pachyderm, as for `lineage`.

    Returns:
        The lineage of all that the run made. `tasks` are its steps, `commits` their commits by task name.

    Raises:
        NotFoundError: no commit says that this run made it, and KFP does not know the run either.
        PachydermUnreachableError: Pachyderm does not answer.
        AuthenticationError: Pachyderm refuses the token.
    """
    details, told, where = None, list[str](), pachyderm
    if _is_kfp(client):
        details, why = kfp_run.asked(client, run_id)
        told += [why] if why else []
    else:
        where = cast(Client, client)
    with _connected(where) as pachd:
        found, unseen = history.of_run(pachd, run_id)
        told += unseen
        if not found and details is None:
            raise NotFoundError("; ".join([f"no commit says that KFP run {run_id!r} made it", *told]))
        start = Target(run_id, tuple(found), run=run_id, known=found)
        return kfp_run.of_run(of_target(pachd, start, False, None), details, tuple(told))


def _is_kfp(client: Client | HasRuns) -> TypeGuard[HasRuns]:
    return hasattr(client, "get_run")


def verify(of: str, *, deep: bool = False, project: str = "default", client: Client = None) -> Verified:
    """Compares a commit with its record: inputs, files and their hashes, job, the record's digest.

    Files are compared by the sizes and hashes that Pachyderm answers; contents are not read. `verify` can't
    see that somebody has rewritten a record together with its digest: compare `record_digest` with the one in
    KFP's artifact `pachyderm` for that.

    Args:
        of: a commit ("[project/]repo@<commit ID>" or "repo@<branch>"), or a job's ID or a KFP run's ID, of
            which all commits are compared.
        deep: whether all that it was made from is compared, too, each commit once.
        project: the Pachyderm project where `of` names none.
        client: which Pachyderm, as for `lineage`.

    Returns:
        What differs from the record, and what could not be looked at; `ok` when nothing differs.

    Raises:
        CommitReferenceError: `of` can't be read.
        NotFoundError: Pachyderm has no such commit, job or run.
        PachydermUnreachableError: Pachyderm does not answer.
        AuthenticationError: Pachyderm refuses the token.
    """
    with _connected(client) as pachd:
        found = target(pachd, of, project)
        single = str(found.commits[0]) if "@" in of else of
        return ancestry.verify(pachd, single, found.commits, deep)


def diff(before: str, after: str, *, project: str = "default", client: Client = None) -> Diff:
    """What changed from one commit to another, or from one KFP run to another, task by task.

    Args:
        before: a commit ("[project/]repo@<commit ID>" or "repo@<branch>"), or a KFP run's ID.
        after: a second one of the same kind.
        project: the Pachyderm project where `before` and `after` name none.
        client: which Pachyderm, as for `lineage`.

    Returns:
        What differs: inputs and their files, code, parameters, versions, output files.

    Raises:
        CommitReferenceError: one of them can't be read, or one is a commit and the other one a run.
        NotFoundError: Pachyderm has no such commit or run.
        PachydermUnreachableError: Pachyderm does not answer.
        AuthenticationError: Pachyderm refuses the token.
    """
    if ("@" in before) != ("@" in after):
        raise CommitReferenceError(
            f"{before!r} and {after!r} can't be compared: name two commits (repo@<ID>), or two KFP runs"
        )
    with _connected(client) as pachd:
        old, new = (target(pachd, one, project) for one in (before, after))
        if "@" in before:
            return compared.of_commits(pachd, old.commits[0], new.commits[0])
        # a target has the newest commit first, of_runs takes the oldest first
        return compared.of_runs(pachd, (before, after), old.commits[::-1], new.commits[::-1])


@contextmanager
def _connected(client: Client) -> Iterator[Pachd]:
    if isinstance(client, Pachd):
        yield client
        return
    with connect(_address(client)) as pachd:
        yield pachd


def _address(client: str | HasAddress | None) -> Address:
    if client is None:
        return from_environment(None)
    if not isinstance(client, str) and hasattr(client, "auth_token"):
        return _of_sdk(client)
    url = parse(client if isinstance(client, str) else client.address).url
    default = os.environ.get("KFP_PACHYDERM_ADDRESS")
    # the environment's token is only for the server that the environment names
    own = not default or parse(default).url == url
    token = os.environ.get("KFP_PACHYDERM_TOKEN", "") if own else ""
    return from_environment(None, {**os.environ, "KFP_PACHYDERM_ADDRESS": url, "KFP_PACHYDERM_TOKEN": token})


def _of_sdk(client: Any) -> Address:
    """The address, token and certificate authority of Pachyderm's own client."""
    scheme = "grpcs" if client.root_certs else "grpc"
    return parse(f"{scheme}://{client.address}", client.auth_token or "", client.root_certs)

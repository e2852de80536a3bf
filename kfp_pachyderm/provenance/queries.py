"""The public questions: each finds its Pachyderm, asks, and answers with typed objects."""

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
from kfp_pachyderm.provenance.check.model import Verified
from kfp_pachyderm.provenance.compare import runs as compared
from kfp_pachyderm.provenance.compare.model import Diff
from kfp_pachyderm.provenance.graph import assemble
from kfp_pachyderm.provenance.graph.assemble import of_target
from kfp_pachyderm.provenance.graph.model import Lineage
from kfp_pachyderm.provenance.graph.target import Target, target
from kfp_pachyderm.provenance.history import Run
from kfp_pachyderm.provenance.kfp_run import HasRuns, RunLineage


class HasAddress(Protocol):
    """What knows where a Pachyderm is: what `local.init()` returns, and the pytest fixture `pachyderm`."""

    @property
    def address(self) -> str:
        """pachd's address."""


#: Which Pachyderm: an address ("grpc://host:port"), what `local.init()` returned, Pachyderm's own client, an
#: open connection; None: the one that steps of this process would use.
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
        down: to what was made from it, instead of to what it was made from.
        depth: levels beyond it; None: all.
        project: where `of` names none.
        client: which Pachyderm: an address, what `local.init()` returned, or Pachyderm's own client; None:
            the one of `local.init()`, of KFP_PACHYDERM_ADDRESS, or of the mounted default.

    Returns:
        The graph. What could not be looked at is a node that says why.

    Raises:
        CommitReferenceError: `of` can't be read.
        NotFoundError: Pachyderm has no such commit, file, job or run.
        PachydermUnreachableError, AuthenticationError: it does not answer, or not to us.
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
        project: the project; None: all of them.
        limit: at most so many; None: all.
        client: as `lineage` takes it.

    Raises:
        PachydermUnreachableError, AuthenticationError: Pachyderm does not answer, or not to us.
    """
    with _connected(client) as pachd:
        return history.runs(pachd, project, limit)[0]


def of_run(client: Client | HasRuns, run_id: str, *, pachyderm: Client = None) -> RunLineage:
    """From a KFP run to the commits of its steps, and to all that they were made from.

    `kfp.Client` names the run's steps and how they ended, also those that KFP took from its cache; which
    commits are theirs is what stands on the commits. Where KFP does not know the run any more, or does not
    answer, `told` says so, and the steps are those that have left commits.

    Args:
        client: `kfp.Client`; or a Pachyderm, as `lineage` takes it: then KFP is not asked.
        run_id: the run's ID, as KFP shows it.
        pachyderm: which Pachyderm, with a `kfp.Client`; as `lineage` takes it.

    Returns:
        The lineage of all that the run made; `tasks` are its steps, `commits` is theirs by name.

    Raises:
        NotFoundError: neither does a commit say that this run made it, nor does KFP know the run.
        PachydermUnreachableError, AuthenticationError: Pachyderm does not answer, or not to us.
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
    """Whether a commit is what its record says: inputs, files and their hashes, job, the record's digest.

    Nothing is read of the files but what Pachyderm says of them. A record and its digest that somebody has
    written anew together do not show by themselves: KFP's artifact `pachyderm` has the digest, too.

    Args:
        of: a commit ("[project/]repo@<commit ID>" or "repo@<branch>"), or a job's ID or a KFP run's ID, of
            which all commits are looked at.
        deep: whether all that it was made from is looked at, too, each commit once.
        project: where `of` names none.
        client: as `lineage` takes it.

    Returns:
        What is not as recorded, and what could not be looked at; `ok` when nothing is wrong.

    Raises:
        CommitReferenceError: `of` can't be read.
        NotFoundError: Pachyderm has no such commit, job or run.
        PachydermUnreachableError, AuthenticationError: it does not answer, or not to us.
    """
    with _connected(client) as pachd:
        found = target(pachd, of, project)
        single = str(found.commits[0]) if "@" in of else of
        return ancestry.verify(pachd, single, found.commits, deep)


def diff(before: str, after: str, *, project: str = "default", client: Client = None) -> Diff:
    """What changed from one commit to another, or from one KFP run to another, task by task.

    Args:
        before: a commit ("[project/]repo@<commit ID>" or "repo@<branch>"), or a KFP run's ID.
        after: another one of the same kind.
        project: where they name none.
        client: as `lineage` takes it.

    Returns:
        What differs: inputs and their files, code, parameters, versions, files.

    Raises:
        CommitReferenceError: one of them can't be read, or one is a commit and the other one a run.
        NotFoundError: Pachyderm has no such commit or run.
        PachydermUnreachableError, AuthenticationError: it does not answer, or not to us.
    """
    if ("@" in before) != ("@" in after):
        raise CommitReferenceError(
            f"{before!r} and {after!r} can't be compared: name two commits (repo@<ID>), or two KFP runs"
        )
    with _connected(client) as pachd:
        old, new = (target(pachd, one, project) for one in (before, after))
        if "@" in before:
            return compared.of_commits(pachd, old.commits[0], new.commits[0])
        # a target has the newest first
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
    # a default's token goes to the default's address alone
    own = not default or parse(default).url == url
    token = os.environ.get("KFP_PACHYDERM_TOKEN", "") if own else ""
    return from_environment(None, {**os.environ, "KFP_PACHYDERM_ADDRESS": url, "KFP_PACHYDERM_TOKEN": token})


def _of_sdk(client: Any) -> Address:
    """Of Pachyderm's own client."""
    scheme = "grpcs" if client.root_certs else "grpc"
    return parse(f"{scheme}://{client.address}", client.auth_token or "", client.root_certs)

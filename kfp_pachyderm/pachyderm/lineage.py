"""From a commit back to all the data that made it."""

from __future__ import annotations

from dataclasses import dataclass

from kfp_pachyderm.pachyderm.client import Pachd
from kfp_pachyderm.pachyderm.references import GATHERED, Reference, commit_message
from kfp_pachyderm.sdk import pfs


@dataclass(frozen=True)
class Origin:
    """One commit of a lineage.

    Args:
        commit: the commit.
        inputs: the commits that it was made from, directly; empty for data that somebody put.
        metadata: the commit's metadata.
    """

    commit: Reference
    inputs: tuple[Reference, ...]
    metadata: dict[str, str]


def lineage(pachd: Pachd, commit: Reference) -> list[Origin]:
    """The commit and everything behind it, each once, nearest first.

    Claim branches point at the very commits of the input repos, so that provenance names those; commits of a
    pipeline's spec are left out, and so are those that only gather others for one input (`gathering`).

    Raises:
        NotFoundError: there is no such commit.
    """
    found: dict[Reference, Origin] = {}
    waiting = [commit]
    while waiting:
        reference = waiting.pop(0)
        if reference in found:
            continue
        origin = _origin(pachd, pachd.pfs.inspect_commit(commit=commit_message(reference)))
        found[reference] = origin
        waiting.extend(origin.inputs)
    return list(found.values())


def direct_inputs(info: pfs.CommitInfo) -> tuple[Reference, ...]:
    """The commits of users' repos that a commit was made from."""
    return tuple(
        Reference(one.repo.project.name, one.repo.name, one.id)
        for one in info.direct_provenance
        if one.repo.type == "user"
    )


def made_from(pachd: Pachd, info: pfs.CommitInfo) -> tuple[Reference, ...]:
    """The commits that were put, or that steps made, behind a commit: through those that only gather others.

    Raises:
        NotFoundError: one of them is gone.
    """
    return tuple(one for given in direct_inputs(info) for one in _through(pachd, given))


def _through(pachd: Pachd, given: Reference) -> tuple[Reference, ...]:
    if (
        "_" not in given.repo
    ):  # No name of a step's pipeline has one; that of a repo of gathered commits does.
        return (given,)
    info = pachd.pfs.inspect_commit(commit=commit_message(given))
    return direct_inputs(info) if GATHERED in info.metadata else (given,)


def _origin(pachd: Pachd, info: pfs.CommitInfo) -> Origin:
    commit = Reference(info.commit.repo.project.name, info.commit.repo.name, info.commit.id)
    return Origin(commit, made_from(pachd, info), dict(info.metadata))

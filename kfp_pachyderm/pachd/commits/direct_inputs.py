"""What a commit was made from, directly."""

from __future__ import annotations

from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.pachd.sdk import pfs


def direct_inputs(info: pfs.CommitInfo) -> tuple[Reference, ...]:
    """The commits of users' repos that a commit was made from."""
    return tuple(
        Reference(one.repo.project.name, one.repo.name, one.id)
        for one in info.direct_provenance
        if one.repo.type == "user"
    )

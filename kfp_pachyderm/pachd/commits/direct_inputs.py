"""The direct provenance of a commit."""

from __future__ import annotations

from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.pachd.sdk import pfs


def direct_inputs(info: pfs.CommitInfo) -> tuple[Reference, ...]:
    """Returns the commits in a commit's direct provenance, of user repos only."""
    return tuple(
        Reference(one.repo.project.name, one.repo.name, one.id)
        for one in info.direct_provenance
        if one.repo.type == "user"
    )

"""The files of a commit as Pachyderm has them now."""

from __future__ import annotations

from kfp_pachyderm.adapter import wire
from kfp_pachyderm.pachyderm.client import Pachd
from kfp_pachyderm.pachyderm.references import Reference
from kfp_pachyderm.provenance.files import FileEntry

#: Pachyderm src/pfs/pfs.proto.
_WALK = "/pfs_v2.API/WalkFile"


def files_of(pachd: Pachd, commit: Reference, seconds: float) -> list[FileEntry]:
    """Every file, in Pachyderm's order; contents are not read.

    Args:
        pachd: the connection.
        commit: by its ID.
        seconds: for all of it.

    Raises:
        NotFoundError: there is no such commit.
    """
    patient = pachd.patient(seconds)
    request = wire.file_request((commit.project, commit.repo, commit.version), "/")

    def attempt() -> list[FileEntry]:
        found = filter(None, map(wire.found, patient.raw_stream(_WALK, request)))
        return [FileEntry(one.path, one.size, one.hash.hex()) for one in found]

    return patient.repeated(attempt, "WalkFile")

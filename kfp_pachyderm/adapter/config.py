"""What the launcher tells the adapter, and what it gets back. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False  # see kfp_pachyderm/__init__.py
if TYPE_CHECKING:
    from kfp_pachyderm.protocol.pfs_messages import CommitName


@dataclass(frozen=True)
class AdapterConfig:
    """One step's buckets and where their content lies.

    Args:
        sidecar: the job's sidecar, "grpc://host:port".
        pachd: pachd's address, taken when the sidecar's port is closed.
        token: the job's token, "" with auth off.
        inputs: bucket → the commit that it is pinned to.
        output: the open output commit, None for a step without output bucket.
        aliases: further bucket names → bucket.
        access_key: the only one that is accepted, made by the launcher for this step.
        secret_key: belongs to it.
        spool: a private folder of the step.
        authority: PEM text of the certificate authority of pachd's address; "": the system's.
        spool_limit: bytes of objects that the spool takes; the cache of what is read takes a quarter of that.
        encoded: the buckets whose keys are encoded in Pachyderm (`adapter.encoding`).
        share: whether it is to be shared with other hosts: then only Signature Version 4 will do.
        sidecar_s3: its S3, "http://host:port", taken where neither the sidecar's gRPC nor pachd is open.
        verify: "content", or "size" for comparing names and sizes alone.
    """

    sidecar: str
    pachd: str
    token: str
    inputs: dict[str, CommitName]
    output: CommitName | None
    aliases: dict[str, str]
    access_key: str
    secret_key: str
    spool: str
    authority: str = ""
    spool_limit: int = 8 * 2**30
    sidecar_s3: str = ""
    verify: str = "content"
    encoded: tuple[str, ...] = ()
    share: bool = False

    def encodes(self) -> frozenset[CommitName]:
        """The commits of those buckets."""
        commits = {**self.inputs, "out": self.output}
        return frozenset(commit for name in self.encoded if (commit := commits.get(name)))

    def __repr__(self) -> str:
        return f"AdapterConfig(sidecar={self.sidecar!r}, inputs={self.inputs!r}, output={self.output!r})"


@dataclass(frozen=True)
class Progress:
    """How far a flush is.

    Args:
        sent: bytes that have been sent.
        total: bytes of all files.
    """

    sent: int
    total: int


@dataclass(frozen=True)
class Flushed:
    """What is in the output commit, verified.

    Args:
        objects: number of files.
        bytes: their sizes added up.
    """

    objects: int
    bytes: int

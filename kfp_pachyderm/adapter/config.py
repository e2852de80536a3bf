"""The messages between launcher and adapter: configuration, progress, result. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False  # see kfp_pachyderm/__init__.py
if TYPE_CHECKING:
    from kfp_pachyderm.protocol.pfs_messages import CommitName


@dataclass(frozen=True)
class AdapterConfig:
    """One step's buckets, and how the adapter reaches their commits.

    Args:
        sidecar: address of the sidecar's PFS, "grpc://host:port".
        pachd: pachd's address. The adapter uses it when it can't connect to the sidecar.
        token: the job's Pachyderm token, "" with auth off.
        inputs: bucket → the commit that it is pinned to.
        output: the open output commit, None for a step without output bucket.
        aliases: further bucket name → bucket.
        access_key: the only access key that the endpoint accepts; the launcher makes one for each step.
        secret_key: the secret key of `access_key`.
        spool: a private folder of the step.
        authority: PEM text of the certificate authority of pachd's address; "": the system's.
        spool_limit: bytes of objects that the spool takes; the cache of input files takes at most a quarter
            of that in addition.
        encoded: the buckets whose keys are encoded in Pachyderm (`adapter.encoding`).
        share: whether the endpoint will be shared with other hosts. It then accepts Signature Version 4 only.
        sidecar_s3: address of the sidecar's S3, "http://host:port". The adapter uses it when it can connect
            to neither the sidecar's gRPC nor pachd.
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
        """The commits of the buckets in `encoded`."""
        commits = {**self.inputs, "out": self.output}
        return frozenset(commit for name in self.encoded if (commit := commits.get(name)))

    def __repr__(self) -> str:
        return f"AdapterConfig(sidecar={self.sidecar!r}, inputs={self.inputs!r}, output={self.output!r})"


@dataclass(frozen=True)
class Progress:
    """How much of the output has been sent to Pachyderm.

    Args:
        sent: bytes that have been sent.
        total: bytes of all files of the output bucket.
    """

    sent: int
    total: int


@dataclass(frozen=True)
class Flushed:
    """The result of a flush: the output commit's files, verified.

    Args:
        objects: number of files.
        bytes: their sizes added up.
    """

    objects: int
    bytes: int

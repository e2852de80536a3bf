"""Finds a step's buckets by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kfp_pachyderm.adapter.buckets.input_bucket import InputBucket
from kfp_pachyderm.adapter.buckets.output_bucket import OutputBucket
from kfp_pachyderm.adapter.config import AdapterConfig
from kfp_pachyderm.adapter.disk.objects import Bucket
from kfp_pachyderm.adapter.disk.read_cache import ReadCache
from kfp_pachyderm.adapter.sidecar.connection import Sidecar
from kfp_pachyderm.s3.errors import S3Error


class Buckets:
    """The buckets of one step, by their names and aliases.

    Args:
        config: names the buckets and their commits.
        sidecar: the connection by which input commits are read.
    """

    def __init__(self, config: AdapterConfig, sidecar: Sidecar) -> None:
        self.output = OutputBucket("out" in config.encoded) if config.output else None
        cache = ReadCache(Path(config.spool) / "read", config.spool_limit // 4)
        self.inputs = {
            name: InputBucket(sidecar, cache, commit, name in config.encoded)
            for name, commit in config.inputs.items()
        }
        found: dict[str, Bucket] = dict(self.inputs)
        if self.output:
            found["out"] = self.output
        aliases = {alias: found[name] for alias, name in config.aliases.items() if name in found}
        self.all: Mapping[str, Bucket] = aliases | found

    def find(self, name: str) -> Bucket:
        """Returns the bucket of that name.

        Raises:
            S3Error: NoSuchBucket; the message names the step's buckets.
        """
        bucket = self.all.get(name)
        if bucket is None:
            raise S3Error(
                "NoSuchBucket", f"the step has no bucket {name!r}, only {', '.join(sorted(self.all))}"
            )
        return bucket

    def writable(self, name: str) -> OutputBucket:
        """Returns the bucket of that name, if it is the output bucket.

        Raises:
            S3Error: NoSuchBucket, or AccessDenied for an input bucket.
        """
        bucket = self.find(name)
        if isinstance(bucket, InputBucket):
            project, repo, commit = bucket.commit
            where = 'write to the bucket "out" instead' if self.output else "the step has no output bucket"
            raise S3Error(
                "AccessDenied",
                f"bucket {name!r} is an input of the job, pinned to {project}/{repo}@{commit}, "
                f"and read-only: {where}",
            )
        assert isinstance(bucket, OutputBucket)
        return bucket

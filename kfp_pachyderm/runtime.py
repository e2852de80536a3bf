"""Inside the user's code: what job this step is, and ready-made settings for S3 clients.

Standard library only, and importable in the step whatever its image has installed.

    from kfp_pachyderm.runtime import current_step
    s3 = current_step().boto3_client()
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

VARIABLE = "KFP_PACHYDERM_STEP"
VERSION = 1


class NoStepError(RuntimeError):
    """This process was not started by a step of kfp-pachyderm."""


@dataclass(frozen=True)
class Step:
    """The S3-enabled Pachyderm job that this process works in.

    Args:
        endpoint: where the job's buckets are served, "http://host:port".
        access_key: the S3 access key, good for this step only.
        secret_key: its secret; never printed.
        inputs: bucket → commit, "project/repo@<commit id>"; the buckets are read-only. Of an input that takes
            many commits each folder has its own entry, "part/0", "part/1"; of a merged one the commits are
            comma separated.
        output_bucket: the bucket that takes writes; None when the step has no S3 output.
        output_commit: "project/repo@<job id>".
        project: the Pachyderm project.
        pipeline: the Pachyderm pipeline.
        job: the job's ID.
        datum: the datum's ID.
        files: the folder with the datum's files, one folder for each file input; "" without file inputs.
        region: the region that S3 clients want to hear.
    """

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    inputs: dict[str, str]
    output_bucket: str | None
    output_commit: str
    project: str
    pipeline: str
    job: str
    datum: str = ""
    files: str = ""
    region: str = "us-east-1"

    @property
    def input_buckets(self) -> list[str]:
        """The names of the input buckets, in the step's order."""
        return list(dict.fromkeys(name.partition("/")[0] for name in self.inputs))

    def boto3_client(self, **options: Any) -> Any:
        """A boto3 S3 client; `options` go to `boto3.client`."""
        import boto3  # type: ignore[import-untyped, unused-ignore]
        from botocore.config import Config  # type: ignore[import-untyped, unused-ignore]

        config = Config(
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        if "config" in options:
            config = config.merge(options.pop("config"))
        keys = {"aws_access_key_id": self.access_key, "aws_secret_access_key": self.secret_key}
        settings = {"endpoint_url": self.endpoint, "region_name": self.region, "config": config}
        return boto3.client("s3", **{**keys, **settings, **options})

    def minio_client(self, **options: Any) -> Any:
        """A MinIO client; `options` go to `minio.Minio`."""
        from minio import Minio

        scheme, _, host = self.endpoint.partition("://")
        keys = {"access_key": self.access_key, "secret_key": self.secret_key}
        return Minio(
            **{"endpoint": host, "secure": scheme == "https", "region": self.region, **keys, **options}
        )

    def pyarrow_filesystem(self, **options: Any) -> Any:
        """A `pyarrow.fs.S3FileSystem`; `options` go to it."""
        from pyarrow.fs import S3FileSystem

        scheme, _, host = self.endpoint.partition("://")
        keys = {"access_key": self.access_key, "secret_key": self.secret_key}
        return S3FileSystem(
            **{"endpoint_override": host, "scheme": scheme, "region": self.region, **keys, **options}
        )

    def storage_options(self) -> dict[str, str]:
        """For fsspec (pandas, dask, zarr) and polars: `read_csv("s3://images/a.csv", storage_options=…)`.

        polars takes the keys from the environment, where they are as well.
        """
        return {"key": self.access_key, "secret": self.secret_key, "endpoint_url": self.endpoint}

    def spark_conf(self) -> dict[str, str]:
        """Spark's settings for `s3a://` paths."""
        return {
            "spark.hadoop.fs.s3a.endpoint": self.endpoint,
            "spark.hadoop.fs.s3a.endpoint.region": self.region,
            "spark.hadoop.fs.s3a.access.key": self.access_key,
            "spark.hadoop.fs.s3a.secret.key": self.secret_key,
            "spark.hadoop.fs.s3a.path.style.access": "true",
            "spark.hadoop.fs.s3a.connection.ssl.enabled": str(self.endpoint.startswith("https")).lower(),
            "spark.hadoop.fs.s3a.change.detection.mode": "none",
        }


def current_step() -> Step:
    """The step that this process works in.

    Raises:
        NoStepError: outside a step, or the launcher speaks another version than this file.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        raise NoStepError(
            f"{VARIABLE} is not set: this is no step of kfp-pachyderm. Decorate the component with "
            "@kfp_pachyderm.s3_enabled and run it in a pipeline, or call it after kfp_pachyderm.local.init()"
        )
    data = json.loads(text)
    if data.pop("version", None) != VERSION:
        raise NoStepError(f"{VARIABLE} is of another version than {VERSION}: recompile the pipeline")
    return Step(**data)

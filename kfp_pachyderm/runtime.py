"""Tells the user's code which Pachyderm job it runs in, and gives it settings for S3 clients.

It imports the standard library only, so every image with Python can import it.

    from kfp_pachyderm.runtime import current_step
    s3 = current_step().boto3_client()
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from typing import Any

VARIABLE = "KFP_PACHYDERM_STEP"
VERSION = 1


class NoStepError(RuntimeError):
    """No step of kfp-pachyderm started this process, or one of another release did."""


class _Settings(dict[str, str]):
    """A dict whose `repr` hides the secret key: logs, tracebacks and dashboards print dicts."""

    def __init__(self, settings: dict[str, str], secret: str) -> None:
        super().__init__(settings)
        self._secret = secret

    def __repr__(self) -> str:
        return repr({name: "***" if self._secret in value else value for name, value in self.items()})

    def __reduce__(self) -> tuple[type[dict[str, str]], tuple[dict[str, str]]]:
        # A worker that unpickles the dict may lack this package.
        return dict, (dict(self),)


@dataclass(frozen=True)
class Step:
    """The S3-enabled Pachyderm job that this process belongs to.

    Args:
        endpoint: the URL of the job's S3 endpoint, "http://host:port". With `s3_enabled(share=True)` the host
            is the step's own IP address, and processes on other hosts may use it until the command ends.
        access_key: the S3 access key; it is valid for this step only.
        secret_key: the S3 secret key; `repr` does not show it.
        inputs: bucket → commit, "project/repo@<commit ID>"; these buckets are read-only. An input with
            `many=True` has one entry for each folder of its bucket: "part/0", "part/1". An input with
            `merge=True` has one entry, whose commits are separated by commas.
        output_bucket: the bucket that takes writes; None when the step has no S3 output.
        output_commit: the output commit, "project/repo@<job ID>".
        project: the Pachyderm project.
        pipeline: the Pachyderm pipeline.
        job: the ID of the Pachyderm job.
        datum: the ID of the datum that the command runs for.
        files: the path of the folder with the datum's files, which has one folder for each file input; ""
            without file inputs.
        region: the region to configure in S3 clients.
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
        """The names of the input buckets, in the order of the step's inputs."""
        return list(dict.fromkeys(name.partition("/")[0] for name in self.inputs))

    def environment(self) -> dict[str, str]:
        """Returns environment variables by which another process uses this step's buckets.

        Set them in a pod, a Dask worker or a Spark executor: S3 clients find endpoint, keys and region there,
        and `current_step()` works where kfp_pachyderm is installed. A process on another host reaches the
        endpoint only with `s3_enabled(share=True)` or `gateway="direct"`, and until the step's command ends.

        Returns:
            Variable → value. **The secret key is one of the values.** `repr` of this dict hides it; `repr` of
            a copy does not. Pass the variables on by environment or Secret, not in arguments.
        """
        return _Settings(
            {
                "S3_ENDPOINT": self.endpoint,
                "AWS_ENDPOINT_URL": self.endpoint,
                "AWS_ENDPOINT_URL_S3": self.endpoint,
                "AWS_ACCESS_KEY_ID": self.access_key,
                "AWS_SECRET_ACCESS_KEY": self.secret_key,
                "AWS_REGION": self.region,
                "AWS_DEFAULT_REGION": self.region,
                "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
                "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
                "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_ALLOW_HTTP": "true",
                **{f"{name.replace('/', '_')}_COMMIT": _ids(given) for name, given in self.inputs.items()},
                "PACH_JOB_ID": self.job,
                "PACH_OUTPUT_COMMIT_ID": self.job,
                "PACH_DATUM_ID": self.datum,
                "PACHYDERM_S3_INPUT_BUCKETS": ",".join(self.inputs),
                "PACHYDERM_S3_OUTPUT_BUCKET": self.output_bucket or "",
                # The datum's files are in the step's own container only.
                VARIABLE: replace(self, files="").text(),
            },
            self.secret_key,
        )

    def text(self) -> str:
        """Returns the step as the JSON that `current_step` reads. It contains the secret key."""
        return json.dumps({"version": VERSION, **asdict(self)})

    def boto3_client(self, **options: Any) -> Any:
        """Returns a boto3 S3 client for the step's buckets; needs the package boto3.

        Args:
            **options: further arguments of `boto3.client`; `config` is merged with the settings made here.
        """
        import boto3  # type: ignore[import-untyped, unused-ignore]
        from botocore.config import Config  # type: ignore[import-untyped, unused-ignore]

        config = Config(
            # Without this botocore signs presigned URLs by version 2.
            signature_version="s3v4",
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
        """Returns a MinIO client for the step's buckets; needs the package minio.

        Args:
            **options: further arguments of `minio.Minio`.
        """
        from minio import Minio

        scheme, _, host = self.endpoint.partition("://")
        keys = {"access_key": self.access_key, "secret_key": self.secret_key}
        return Minio(
            **{"endpoint": host, "secure": scheme == "https", "region": self.region, **keys, **options}
        )

    def pyarrow_filesystem(self, **options: Any) -> Any:
        """Returns a `pyarrow.fs.S3FileSystem` for the step's buckets; needs the package pyarrow.

        Args:
            **options: further arguments of `pyarrow.fs.S3FileSystem`.
        """
        from pyarrow.fs import S3FileSystem

        scheme, _, host = self.endpoint.partition("://")
        keys = {"access_key": self.access_key, "secret_key": self.secret_key}
        return S3FileSystem(
            **{"endpoint_override": host, "scheme": scheme, "region": self.region, **keys, **options}
        )

    def storage_options(self) -> dict[str, str]:
        """Returns the `storage_options` of fsspec (pandas, dask, zarr) and of polars for the step's buckets.

        For example `read_csv("s3://images/a.csv", storage_options=current_step().storage_options())`. polars
        takes the keys from the step's environment variables instead.

        Returns:
            Option → value; `repr` of this dict hides the secret key.
        """
        options = {"key": self.access_key, "secret": self.secret_key, "endpoint_url": self.endpoint}
        return _Settings(options, self.secret_key)

    def spark_conf(self) -> dict[str, str]:
        """Returns Spark's settings for `s3a://` paths of the step's buckets; the driver sends them on.

        Returns:
            Setting → value; `repr` of this dict hides the secret key.
        """
        settings = {
            "spark.hadoop.fs.s3a.endpoint": self.endpoint,
            "spark.hadoop.fs.s3a.endpoint.region": self.region,
            "spark.hadoop.fs.s3a.access.key": self.access_key,
            "spark.hadoop.fs.s3a.secret.key": self.secret_key,
            "spark.hadoop.fs.s3a.path.style.access": "true",
            "spark.hadoop.fs.s3a.connection.ssl.enabled": str(self.endpoint.startswith("https")).lower(),
            "spark.hadoop.fs.s3a.change.detection.mode": "none",
        }
        return _Settings(settings, self.secret_key)


def _ids(commits: str) -> str:
    """Returns the commit's ID; of a merged input the IDs of all its commits, separated by commas."""
    return ",".join(one.rpartition("@")[2] for one in commits.split(","))


def current_step() -> Step:
    """Returns the step that this process belongs to, from the environment variable KFP_PACHYDERM_STEP.

    Raises:
        NoStepError: the variable is not set, since this process runs outside of a step; or another release of
            the launcher has set it.
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

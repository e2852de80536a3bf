"""Inside the user's code: what job this step is, and ready-made settings for S3 clients.

Standard library only, and importable in the step whatever its image has installed.

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
    """This process was not started by a step of kfp-pachyderm."""


class _Settings(dict[str, str]):
    """A dict whose text shows no secret: logs, tracebacks and dashboards print what they are given."""

    def __init__(self, settings: dict[str, str], secret: str) -> None:
        super().__init__(settings)
        self._secret = secret

    def __repr__(self) -> str:
        return repr({name: "***" if self._secret in value else value for name, value in self.items()})

    def __reduce__(self) -> tuple[type[dict[str, str]], tuple[dict[str, str]]]:
        # a worker that gets it need not have this package
        return dict, (dict(self),)


@dataclass(frozen=True)
class Step:
    """The S3-enabled Pachyderm job that this process works in.

    Args:
        endpoint: where the job's buckets are served, "http://host:port"; with `s3_enabled(share=True)` the
            host is the step's own address, and processes on other hosts may use it until the command ends.
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

    def environment(self) -> dict[str, str]:
        """What a process elsewhere needs to work in this step: a pod, a Dask worker, a Spark executor.

        Give it to the process as environment variables: S3 clients find endpoint, keys and region there, and
        `current_step()` works where kfp_pachyderm is installed. It helps elsewhere only with
        `s3_enabled(share=True)` (or `gateway="direct"`), and until the step's command ends.

        Returns:
            Variable → value. **The secret key is among them**: printing the dict hides it, copying it into
            another one does not. Pass it on by environment or Secret, not in arguments.
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
                # its files are in the step's own container
                VARIABLE: replace(self, files="").text(),
            },
            self.secret_key,
        )

    def text(self) -> str:
        """All of it as the JSON that `current_step` reads; the secret key is in it."""
        return json.dumps({"version": VERSION, **asdict(self)})

    def boto3_client(self, **options: Any) -> Any:
        """A boto3 S3 client; `options` go to `boto3.client`."""
        import boto3  # type: ignore[import-untyped, unused-ignore]
        from botocore.config import Config  # type: ignore[import-untyped, unused-ignore]

        config = Config(
            # also for presigned URLs, which botocore signs by version 2 unless told
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
        options = {"key": self.access_key, "secret": self.secret_key, "endpoint_url": self.endpoint}
        return _Settings(options, self.secret_key)

    def spark_conf(self) -> dict[str, str]:
        """Spark's settings for `s3a://` paths; executors get them from the driver."""
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
    """Of a merged input it is the IDs of all, comma separated."""
    return ",".join(one.rpartition("@")[2] for one in commits.split(","))


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

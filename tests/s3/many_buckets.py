"""A server for ceph/s3-tests: the adapter's own application, once for each bucket that a client makes.

A step's buckets are fixed, but the suite makes hundreds. So this server adds the service and bucket
operations. The adapter answers all other requests. Nothing is sent to a Pachyderm.
"""

from __future__ import annotations

import itertools
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from kfp_pachyderm.adapter.config import AdapterConfig
from kfp_pachyderm.adapter.disk.objects import Bucket
from kfp_pachyderm.adapter.operations.endpoint import Adapter
from kfp_pachyderm.adapter.operations.list_objects import list_buckets, timestamp
from kfp_pachyderm.adapter.sidecar.connection import Sidecar
from kfp_pachyderm.s3 import xml
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.http.server import S3Server
from kfp_pachyderm.s3.http.wsgi import Response, application, xml_response
from kfp_pachyderm.s3.request import S3Request
from kfp_pachyderm.s3.signature import verify

MAIN, OTHERS = "main-access", ("alt-access", "tenant-access", "iam-access", "root-access", "alt-root-access")
SECRET = "secret-of-everybody"
_PAGE = 100
_NAME = re.compile(r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]")


class ManyBuckets:
    """The operations on the service and on buckets. The user `main` owns every bucket, other users none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started = datetime.now(UTC)
        self._adapters: dict[str, Adapter] = {}
        self._buckets: dict[str, Bucket] = {}

    def handle(self, request: S3Request) -> Response:
        if request.bucket in self._adapters and not self._is_service(request):
            return self._adapters[request.bucket].handle(request)
        signed = verify(request, lambda key: SECRET if key in (MAIN, *OTHERS) else None)
        if not request.bucket:
            names = sorted(self._adapters) if signed.access_key == MAIN else []
            return list_buckets(request, names, self._started)
        if request.method == "PUT" and not request.key and not request.query:
            return self._create(request.bucket)
        if request.bucket not in self._buckets:
            raise S3Error("NoSuchBucket")
        if request.method == "DELETE":
            return self._remove(request.bucket)
        return self._versions(self._buckets[request.bucket])

    @staticmethod
    def _is_service(request: S3Request) -> bool:
        return not request.key and (
            (request.method in ("PUT", "DELETE") and not request.query) or request.has("versions")
        )

    def _create(self, name: str) -> Response:
        if not _NAME.fullmatch(name) or re.search(r"\.\.|\.-|-\.", name) or re.fullmatch(r"[0-9.]+", name):
            raise S3Error("InvalidBucketName")
        if name not in self._adapters:
            number = f"{time.monotonic_ns()}"
            config = AdapterConfig(
                "grpc://127.0.0.1:1",
                "",
                "",
                {},
                ("p", "r", "c"),
                {},
                MAIN,
                SECRET,
                str(self._folder / number),
            )
            adapter = Adapter(config, Sidecar(config))
            assert adapter.buckets.output
            self._buckets[name] = adapter.buckets.output
            adapter.buckets.all = self._buckets
            self._adapters[name] = adapter
        return Response(200, (("Location", f"/{name}"),))

    def _remove(self, name: str) -> Response:
        if next(self._buckets[name].walk("", ""), None) is not None:
            raise S3Error("BucketNotEmpty")
        del self._adapters[name], self._buckets[name]
        return Response(204)

    @staticmethod
    def _versions(bucket: Bucket) -> Response:
        """Answers ListObjectVersions. The suite empties its buckets page by page with it."""
        shown = list(itertools.islice(bucket.walk("", ""), _PAGE))
        more: list[tuple[str, xml.Content]] = [("IsTruncated", "false")]
        if len(shown) == _PAGE:
            more = [
                ("IsTruncated", "true"),
                ("NextKeyMarker", shown[-1].key),
                ("NextVersionIdMarker", "null"),
            ]
        versions = [
            ("Version", [("Key", one.key), ("VersionId", "null"), ("LastModified", timestamp(one.modified))])
            for one in shown
        ]
        return xml_response("ListVersionsResult", [*more, *versions])


def configuration(port: int) -> str:
    """The configuration file of the suite, whose path is in S3TEST_CONF."""
    names = dict(
        zip(
            ("s3 main", "s3 alt", "s3 tenant", "iam", "iam root", "iam alt root"),
            (MAIN, *OTHERS),
            strict=True,
        )
    )
    lines = ["[DEFAULT]", "host = 127.0.0.1", f"port = {port}", "is_secure = False", "ssl_verify = False"]
    lines += ["[fixtures]", "bucket prefix = s3t-{random}-"]
    for section, key in names.items():
        lines += [f"[{section}]", "display_name = kfp-pachyderm", f"user_id = {key}", "email = a@example.com"]
        lines += [f"access_key = {key}", f"secret_key = {SECRET}", "tenant = t", "api_name ="]
    return "\n".join(lines).replace("user_id = " + MAIN, "user_id = kfp-pachyderm")


def main() -> None:
    """Serves until stdin ends; writes the configuration to the file that the command line names."""
    with TemporaryDirectory() as folder:
        many = ManyBuckets(Path(folder))
        with S3Server(application(many.handle)) as server:
            Path(sys.argv[1]).write_text(configuration(server.port))
            print(server.port, flush=True)
            sys.stdin.read()


if __name__ == "__main__":
    main()

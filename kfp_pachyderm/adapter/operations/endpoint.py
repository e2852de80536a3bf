"""The adapter's S3 endpoint: finds each request's operation on the job's input and output buckets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from kfp_pachyderm.adapter.buckets.by_name import Buckets
from kfp_pachyderm.adapter.call_failed import CallFailedError
from kfp_pachyderm.adapter.config import AdapterConfig
from kfp_pachyderm.adapter.disk.objects import Stored
from kfp_pachyderm.adapter.disk.renewal import Renewal
from kfp_pachyderm.adapter.disk.segments import Segment
from kfp_pachyderm.adapter.disk.spool import Spool
from kfp_pachyderm.adapter.disk.staged_object import Staged
from kfp_pachyderm.adapter.operations.get_object import read_object
from kfp_pachyderm.adapter.operations.get_object_attributes import describe_object
from kfp_pachyderm.adapter.operations.list_object_versions import check_version, list_versions
from kfp_pachyderm.adapter.operations.list_objects import list_buckets, list_objects
from kfp_pachyderm.adapter.operations.multipart_upload import Multipart
from kfp_pachyderm.adapter.operations.put_object import Writes
from kfp_pachyderm.adapter.operations.subresources import Subresources
from kfp_pachyderm.adapter.sidecar.connection import Sidecar
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.http.wsgi import Response, WSGIApplication, application, xml_response
from kfp_pachyderm.s3.request import S3Request
from kfp_pachyderm.s3.routes import S3_ROUTES, match
from kfp_pachyderm.s3.signature import verify


class Adapter:
    """One step's S3 endpoint.

    Args:
        config: the step's configuration.
        sidecar: the connection to the job's commits.
    """

    def __init__(self, config: AdapterConfig, sidecar: Sidecar) -> None:
        self.buckets = Buckets(config, sidecar)
        self._config, self._sidecar = config, sidecar
        self._started = datetime.now(UTC)
        self.spool = Spool(Path(config.spool) / "written", config.spool_limit)
        self.renewal = Renewal(lambda one: sidecar.remote().renew(one))
        beside = Subresources(self.buckets)
        writes = Writes(self.buckets, self.spool, self._staged)
        multipart = Multipart(self.buckets, self.spool, self._staged)
        self._reads: dict[str, Callable[[S3Request], Response]] = {
            "NotImplemented": self._not_implemented,
            "ListBuckets": self._list_buckets,
            "GetAbsentConfiguration": beside.absent,
            "GetEmptyConfiguration": beside.empty,
            "GetAcl": beside.acl,
            "GetObjectTagging": beside.tagging,
            "GetObjectAnnotations": beside.annotations,
            "GetObjectLock": beside.lock,
            "GetObjectAttributes": lambda request: describe_object(request, self._find(request)),
            "GetBucketLocation": self._location,
            "GetBucketVersioning": self._versioning,
            "HeadBucket": self._head_bucket,
            "CreateBucket": self._create_bucket,
            "ListObjectVersions": lambda request: list_versions(request, self.buckets.find(request.bucket)),
            "ListObjects": lambda request: list_objects(request, self.buckets.find(request.bucket)),
            "GetObject": self._get,
            "HeadObject": self._get,
            "DeleteObject": writes.delete,
            "CopyObject": writes.copy,
            "ListMultipartUploads": multipart.list_uploads,
            "CreateMultipartUpload": multipart.create,
            "UploadPartCopy": multipart.copy_part,
            "ListParts": multipart.list_parts,
            "AbortMultipartUpload": multipart.abort,
        }
        self._uploads = {
            "PutObject": writes.put,
            "UploadPart": multipart.part,
            "DeleteObjects": writes.delete_many,
            "CompleteMultipartUpload": multipart.complete,
        }

    def _staged(self, key: str) -> Staged:
        return Staged(key, self._stage, self.renewal)

    def _stage(self, key: str, segment: Segment, first: bool) -> str:
        assert self._config.output
        return self._sidecar.remote().stage(self._config.output, key, segment, first)

    def _secret(self, access_key: str) -> str | None:
        return self._config.secret_key if access_key == self._config.access_key else None

    def handle(self, request: S3Request) -> Response:
        """Answers one request.

        Raises:
            S3Error: the error answer.
        """
        try:
            return self._answer(request)
        except CallFailedError as error:
            code = "ServiceUnavailable" if error.temporary else "InternalError"
            raise S3Error(code, f"Pachyderm answers {error}") from error

    def _answer(self, request: S3Request) -> Response:
        signed = verify(request, self._secret, v4_only=self._config.share)
        request.tell_signed()
        operation = match(S3_ROUTES, request)
        check_version(request.param("versionId"))
        if operation in self._uploads:
            return self._uploads[operation](request, signed)
        return self._reads[operation](request)

    def wsgi(self) -> WSGIApplication:
        """Returns the endpoint as a WSGI application."""
        return application(self.handle)

    def _not_implemented(self, request: S3Request) -> Response:
        raise S3Error("NotImplemented")

    def _list_buckets(self, request: S3Request) -> Response:
        return list_buckets(request, sorted(self.buckets.all), self._started)

    def _location(self, request: S3Request) -> Response:
        self.buckets.find(request.bucket)
        return xml_response("LocationConstraint", "")

    def _versioning(self, request: S3Request) -> Response:
        self.buckets.find(request.bucket)
        return xml_response("VersioningConfiguration", "")

    def _head_bucket(self, request: S3Request) -> Response:
        self.buckets.find(request.bucket)
        return Response(200, (("x-amz-bucket-region", "us-east-1"),))

    def _create_bucket(self, request: S3Request) -> Response:
        if request.bucket in self.buckets.all:
            raise S3Error("BucketAlreadyOwnedByYou")
        raise S3Error(
            "AccessDenied",
            f"a step can't make buckets: {request.bucket!r} is none of {', '.join(sorted(self.buckets.all))}",
        )

    def _find(self, request: S3Request) -> Stored | None:
        return self.buckets.find(request.bucket).find(request.key)

    def _get(self, request: S3Request) -> Response:
        return read_object(request, self._find(request))

"""The gateway's object operations: reads of inputs, and writes to `out`, which can't be read back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kfp_pachyderm.embedded.gateway.conditions import check_copy
from kfp_pachyderm.embedded.gateway.job_buckets import Bucket, FileEntry, JobBuckets
from kfp_pachyderm.embedded.gateway.listing import find_bucket
from kfp_pachyderm.embedded.gateway.serve_content import ServedFile
from kfp_pachyderm.embedded.gateway.url import parse_url
from kfp_pachyderm.s3 import xml
from kfp_pachyderm.s3.content.aws_chunked import ChunkedReader, ChunkSigner
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.http.wsgi import Response, xml_response
from kfp_pachyderm.s3.request import S3Request, Source
from kfp_pachyderm.s3.signature import Signed, signing_key

_PIECE = 2**20
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("", "0", "f", "F", "FALSE", "false", "False")
_VALID = re.compile(r"[ -~]+")
_GLOBS = "*?[]{}!()@+^"
_SIGNED_STREAM = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
_CREDENTIAL = re.compile(r"Credential=([^/,]+)/([^,]+),.*Signature=([0-9a-f]+)")


def path_of(key: str) -> str:
    """The key's path in PFS; the gateway cuts off one trailing slash."""
    return "/" + key.removesuffix("/")


def check_path(path: str) -> None:
    """Refuses what PFS can't hold (Pachyderm src/internal/storage/paths.go).

    Raises:
        S3Error: InvalidFilePath.
    """
    if not _VALID.fullmatch(path) or any(glob in path for glob in _GLOBS):
        raise S3Error("InvalidFilePath")


def _signer(request: S3Request) -> ChunkSigner:
    found = _CREDENTIAL.search(request.header("authorization"))
    if not found:
        raise S3Error("InternalError", "invalid chunk")
    key, scope, signature = found[1], found[2], found[3]
    return ChunkSigner(Signed(key, signing_key(key, scope), scope, request.header("x-amz-date"), signature))


def pieces(source: Source | ChunkedReader) -> Iterator[bytes]:
    """The content to its end."""
    while piece := source.read(_PIECE):
        yield piece


def _decoded(request: S3Request) -> Iterator[bytes]:
    """The body's content: a signed aws-chunked body is decoded, every other framing is kept as content."""
    if request.header("x-amz-content-sha256") != _SIGNED_STREAM:
        yield from pieces(request.body)
        return
    try:
        yield from pieces(ChunkedReader(request.body, _signer(request)))
    except S3Error as error:
        raise S3Error("InternalError", "invalid chunk") from error
    yield from pieces(request.body)


@dataclass(frozen=True)
class _CopySource:
    """What x-amz-copy-source names."""

    bucket: str
    key: str
    version: str


def _copy_source(request: S3Request) -> _CopySource:
    url = parse_url(request.header("x-amz-copy-source"))
    parts = url.path.split("/", 2)
    if len(parts) == 1 or (len(parts) == 3 and parts[0]):
        raise S3Error("InvalidArgument")
    bucket, key = parts[-2:]
    if not bucket:
        raise S3Error("InvalidBucketName")
    if not key:
        raise S3Error("NoSuchKey")
    return _CopySource(bucket, key, url.version)


def _boolean(text: str) -> bool:
    """A boolean as Go's encoding/xml reads it (strconv.ParseBool)."""
    found = text.strip()
    if found not in _TRUE and found not in _FALSE:
        raise S3Error("MalformedXML")
    return found in _TRUE


class Objects:
    """Operations on objects.

    Args:
        buckets: the job's.
    """

    def __init__(self, buckets: JobBuckets) -> None:
        self._buckets = buckets

    def _readable(self, name: str, key: str, version: str) -> tuple[Bucket, FileEntry]:
        bucket = find_bucket(self._buckets, name)
        if bucket.writable:
            raise S3Error("NoSuchKey")
        if version:
            raise S3Error("NotImplemented")
        file = bucket.view.inspect(path_of(key))
        if file is None:
            raise S3Error("NoSuchKey")
        return bucket, file

    def writable(self, request: S3Request) -> Bucket:
        """The bucket, if it takes writes.

        Raises:
            S3Error: NoSuchBucket, NotImplemented for an input.
        """
        bucket = find_bucket(self._buckets, request.bucket)
        if not bucket.writable:
            raise S3Error("NotImplemented")
        return bucket

    def get(self, request: S3Request) -> Response:
        """GetObject and HeadObject."""
        bucket, file = self._readable(request.bucket, request.key, request.param("versionId"))
        return ServedFile(bucket.view, file, bucket.commit_id).respond(request)

    def put(self, request: S3Request) -> Response:
        """PutObject."""
        if request.length is None:
            raise S3Error("MissingContentLength")
        bucket = self.writable(request)
        path = path_of(request.key)
        check_path(path)
        file = bucket.view.put(path, _decoded(request))
        return Response(200, (("Etag", f'"{file.hash}"'), ("X-Amz-Version-Id", bucket.commit_id)))

    def copy(self, request: S3Request) -> Response:
        """CopyObject."""
        source = _copy_source(request)
        if (source.bucket, source.key, source.version) == (request.bucket, request.key, ""):
            raise S3Error("InvalidRequest", "source and destination are the same")
        bucket, file = self._readable(source.bucket, source.key, source.version)
        check_copy(request, file.hash, file.committed.replace(microsecond=0))
        target = self.writable(request)
        check_path(path_of(request.key))
        target.view.copy(bucket.view, file.path, path_of(request.key))
        when = file.committed.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        headers = (("X-Amz-Copy-Source-Version-Id", bucket.commit_id), ("X-Amz-Version-Id", ""))
        return xml_response("CopyObjectResult", [("LastModified", when), ("ETag", file.hash)], headers)

    def _delete(self, request: S3Request, key: str, version: str) -> None:
        if version:
            raise S3Error("NotImplemented")
        view, name = self.writable(request).view, key.removesuffix("/")
        bad = next((character for character in name if character in _GLOBS), None)
        if bad:
            text = f"path ({name}) invalid: globbing character ({bad}) not allowed in path"
            raise S3Error("InternalError", text)
        view.delete(path_of(key))

    def delete(self, request: S3Request) -> Response:
        """DeleteObject."""
        self._delete(request, request.key, request.param("versionId"))
        return Response(204)

    def _delete_one(self, request: S3Request, key: str, version: str) -> tuple[str, xml.Content]:
        try:
            self._delete(request, key, version)
        except S3Error as error:
            return "Error", [("Key", key), ("Code", error.code), ("Message", error.message)]
        return "Deleted", [("Key", key)]

    def delete_many(self, request: S3Request) -> Response:
        """DeleteObjects; "Quiet" leaves out the deleted keys."""
        root = xml.parse(request.document(), "Delete")
        quiet = _boolean(root.value("Quiet"))
        named = [(node.value("Key"), node.value("VersionId")) for node in root.all("Object")]
        results = [self._delete_one(request, *one) for one in named]
        if quiet:
            results = [result for result in results if result[0] == "Error"]
        return xml_response("DeleteResult", results)

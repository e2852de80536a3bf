"""The gateway's object operations: reads of inputs, writes into the output bucket that can't be read back."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from urllib.parse import unquote

from kfp_pachyderm.embedded.gateway_listing import find_bucket
from kfp_pachyderm.embedded.gateway_serve import ServedFile
from kfp_pachyderm.embedded.view import Bucket, FileEntry, JobBuckets
from kfp_pachyderm.s3 import xml
from kfp_pachyderm.s3.chunked import ChunkedReader, ChunkSigner
from kfp_pachyderm.s3.conditions import parse_date
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.request import S3Request, Source
from kfp_pachyderm.s3.signature import Signed, signing_key
from kfp_pachyderm.s3.wsgi import Response, xml_response

_PIECE = 2**20
_MOST_BYTES = 2**32 - 1
_VALID = re.compile(r"[ -~]+")
_GLOBS = "*?[]{}!()@+^"
_SIGNED_STREAM = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
_CREDENTIAL = re.compile(r"Credential=([^/,]+)/([^,]+),.*Signature=([0-9a-f]+)")


def path_of(key: str) -> str:
    """The key's path in PFS; one trailing slash is cut off, as the gateway does."""
    return "/" + key.removesuffix("/")


def check_path(path: str) -> None:
    """Refuses what PFS can't hold (Pachyderm src/internal/storage/paths.go).

    Raises:
        S3Error: InvalidFilePath.
    """
    if not _VALID.fullmatch(path) or any(glob in path for glob in _GLOBS):
        raise S3Error("InvalidFilePath")


def check_length(request: S3Request) -> None:
    """Content-Length must be there and 32 bits long.

    Raises:
        S3Error: MissingContentLength, InvalidArgument.
    """
    if request.length is None:
        raise S3Error("MissingContentLength")
    if request.length > _MOST_BYTES:
        raise S3Error("InvalidArgument")


def _declared_md5(request: S3Request) -> bytes | None:
    text = request.header("content-md5")
    if not text:
        return None
    try:
        digest = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise S3Error("InvalidDigest") from error
    if len(digest) != 16:
        raise S3Error("InvalidDigest")
    return digest


def read_body(request: S3Request, source: Source | ChunkedReader) -> Iterator[bytes]:
    """The body in pieces; raises at its end when it is short or its Content-MD5 differs."""
    expected, digest, left = _declared_md5(request), hashlib.md5(usedforsecurity=False), request.length or 0
    while piece := source.read(_PIECE):
        left -= len(piece)
        digest.update(piece)
        yield piece
    if source is request.body and left > 0:
        raise S3Error("InternalError", "unexpected EOF")
    if expected is not None and digest.digest() != expected:
        raise S3Error("BadDigest")


def _signer(request: S3Request) -> ChunkSigner:
    found = _CREDENTIAL.search(request.header("authorization"))
    if not found:
        raise S3Error("InternalError", "invalid chunk")
    key, scope, signature = found[1], found[2], found[3]
    return ChunkSigner(Signed(key, signing_key(key, scope), scope, request.header("x-amz-date"), signature))


def _decoded(request: S3Request) -> Iterator[bytes]:
    """A signed aws-chunked body is decoded; every other framing is stored as content."""
    if request.header("x-amz-content-sha256") != _SIGNED_STREAM:
        yield from read_body(request, request.body)
        return
    try:
        yield from read_body(request, ChunkedReader(request.body, _signer(request)))
    except S3Error as error:
        raise error if error.code == "BadDigest" else S3Error("InternalError", "invalid chunk") from error


def _copy_source(request: S3Request) -> tuple[str, str]:
    parts = unquote(request.header("x-amz-copy-source").partition("?")[0]).split("/", 2)
    if len(parts) == 3 and parts[0] == "":
        parts = parts[1:]
    if len(parts) != 2:
        raise S3Error("InvalidArgument")
    return parts[0], parts[1]


def _check_source(request: S3Request, file: FileEntry) -> None:
    # s2 compares with the unquoted hash, so that a rightly quoted ETag never matches
    match, none = (
        request.header("x-amz-copy-source-if-match"),
        request.header("x-amz-copy-source-if-none-match"),
    )
    since = parse_date(request.header("x-amz-copy-source-if-modified-since"))
    until = parse_date(request.header("x-amz-copy-source-if-unmodified-since"))
    modified = file.committed.replace(microsecond=0)
    failed = (match and match != file.hash) or (none and none == file.hash)
    if failed or (since and modified <= since) or (until and modified > until):
        raise S3Error("PreconditionFailed")


class Objects:
    """Operations on objects.

    Args:
        buckets: the job's.
    """

    def __init__(self, buckets: JobBuckets) -> None:
        self._buckets = buckets

    def _readable(self, name: str, key: str) -> tuple[Bucket, FileEntry]:
        bucket = find_bucket(self._buckets, name)
        file = None if bucket.writable else bucket.view.inspect(path_of(key))
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
        bucket, file = self._readable(request.bucket, request.key)
        return ServedFile(bucket.view, file, bucket.commit_id).respond(request)

    def put(self, request: S3Request) -> Response:
        """PutObject."""
        check_length(request)
        _declared_md5(request)
        bucket = self.writable(request)
        path = path_of(request.key)
        check_path(path)
        file = bucket.view.put(path, _decoded(request))
        return Response(200, (("Etag", f'"{file.hash}"'), ("X-Amz-Version-Id", bucket.commit_id)))

    def copy(self, request: S3Request) -> Response:
        """CopyObject."""
        name, key = _copy_source(request)
        if (name, key) == (request.bucket, request.key):
            raise S3Error("InvalidRequest", "source and destination are the same")
        source, file = self._readable(name, key)
        _check_source(request, file)
        target = self.writable(request)
        check_path(path_of(request.key))
        target.view.copy(source.view, file.path, path_of(request.key))
        when = file.committed.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        headers = (("X-Amz-Copy-Source-Version-Id", source.commit_id), ("X-Amz-Version-Id", ""))
        return xml_response("CopyObjectResult", [("LastModified", when), ("ETag", file.hash)], headers)

    def delete(self, request: S3Request) -> Response:
        """DeleteObject."""
        self.writable(request).view.delete(path_of(request.key))
        return Response(204)

    def _delete_one(self, request: S3Request, key: str) -> tuple[str, xml.Content]:
        try:
            bucket = self.writable(request)
            bad = next((character for character in key if character in _GLOBS), None)
            if bad:
                raise S3Error(
                    "InternalError", f"path ({key}) invalid: globbing character ({bad}) not allowed in path"
                )
            bucket.view.delete(path_of(key))
        except S3Error as error:
            return "Error", [("Key", key), ("Code", error.code), ("Message", error.message)]
        return "Deleted", [("Key", key)]

    def delete_many(self, request: S3Request) -> Response:
        """DeleteObjects; "Quiet" leaves the good ones out."""
        root = xml.parse(request.document(), "Delete")
        results = [self._delete_one(request, node.value("Key")) for node in root.all("Object")]
        if root.value("Quiet") == "true":
            results = [result for result in results if result[0] == "Error"]
        return xml_response("DeleteResult", results)

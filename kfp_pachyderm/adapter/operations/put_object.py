"""PutObject, CopyObject, DeleteObject and DeleteObjects on the output bucket."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from kfp_pachyderm.adapter.buckets.by_name import Buckets
from kfp_pachyderm.adapter.disk.objects import Attributes, Stored, etag
from kfp_pachyderm.adapter.disk.spool import Spool, SpoolFile, reader
from kfp_pachyderm.adapter.disk.staged_object import Staged
from kfp_pachyderm.adapter.disk.upload_piece import Piece
from kfp_pachyderm.adapter.operations.list_object_versions import NULL, check_version
from kfp_pachyderm.adapter.operations.list_objects import timestamp
from kfp_pachyderm.s3 import xml
from kfp_pachyderm.s3.conditions import Conditions, names_etag, parse_date
from kfp_pachyderm.s3.content.body import Body, document
from kfp_pachyderm.s3.content.checksums import ALGORITHMS, FULL_OBJECT, TYPE, encoded, named
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.http.wsgi import Response, xml_response
from kfp_pachyderm.s3.request import S3Request, decode
from kfp_pachyderm.s3.signature import Signed

_MOST_KEYS = 1000


class PieceReader:
    """A file-like reader of pieces of content, for the spool; it computes their digests.

    Args:
        pieces: the content in order.
        algorithm: the checksum to compute, "" for none.
    """

    def __init__(self, pieces: Iterator[bytes], algorithm: str = "") -> None:
        self._pieces = pieces
        self._digest = hashlib.sha256()
        self._sum = ALGORITHMS[algorithm]() if algorithm else None

    def read(self, _size: int, /) -> bytes:
        """Returns the next piece, whatever its size; b"" at the end."""
        piece = next(self._pieces, b"")
        self._digest.update(piece)
        if self._sum:
            self._sum.update(piece)
        return piece

    @property
    def checksum(self) -> str:
        """The checksum of the pieces read so far, base64; "" without algorithm."""
        return encoded(self._sum.digest()) if self._sum else ""

    @property
    def sha256(self) -> bytes:
        """SHA-256 of the pieces read so far."""
        return self._digest.digest()


class Grown(Protocol):
    """A callback for a spool file that grows."""

    def __call__(self, file: SpoolFile, /, *, expected: int) -> None:
        """Takes the file when it has grown.

        Args:
            file: the file.
            expected: its size in bytes at the end, 0 where that is not known.
        """


def upload(
    request: S3Request, signed: Signed, spool: Spool, algorithm: str = "", grown: Grown | None = None
) -> tuple[SpoolFile, Body]:
    """Writes a request's content into the spool, and checks it against the request's digests.

    Args:
        request: the upload.
        signed: its signature.
        spool: stores the content.
        algorithm: a checksum to compute even if the request does not bring it, "" for none.
        grown: called while the content arrives, before it has been checked.

    Raises:
        S3Error: MissingContentLength, a digest that differs, a spool that is full.
    """
    if request.length is None and "transfer-encoding" not in request.headers:
        raise S3Error("MissingContentLength")
    body = Body(request, signed, named(request) | {algorithm} - {""})
    file = spool.write(body, partial(grown, expected=body.expected or 0)) if grown else spool.write(body)
    body.finish()
    return file, body


def copy_source(request: S3Request, buckets: Buckets) -> Stored:
    """Returns the object that the header x-amz-copy-source names, if the request's conditions on it hold.

    Raises:
        S3Error: InvalidArgument, NoSuchBucket, NoSuchKey, PreconditionFailed.
    """
    text, _, query = request.header("x-amz-copy-source").partition("?")
    check_version(decode(query).removeprefix("versionId="))
    bucket, _, key = decode(text).removeprefix("/").partition("/")
    if not bucket or not key:
        raise S3Error("InvalidArgument", f"x-amz-copy-source {text!r} is no /bucket/key")
    stored = buckets.find(bucket).find(key)
    if stored is None:
        raise S3Error("NoSuchKey", f"the source {bucket}/{key} does not exist")
    if not Conditions.of(request, "x-amz-copy-source-").check(stored.etag, stored.modified):
        raise S3Error("PreconditionFailed")
    return stored


@dataclass(frozen=True)
class Unless:
    """The conditions of a conditional delete; "" for a condition that the request does not set."""

    etag: str
    modified: str
    size: str

    def check(self, stored: Stored) -> None:
        """Checks the object that is to be deleted.

        Raises:
            S3Error: PreconditionFailed when a condition does not hold.
        """
        wanted = self._date()
        if (
            (self.etag and not names_etag(self.etag, stored.etag))
            or (self.size and self.size != str(stored.size))
            or (wanted and wanted != stored.modified.replace(microsecond=0))
        ):
            raise S3Error("PreconditionFailed")

    def _date(self) -> datetime | None:
        try:
            return datetime.fromisoformat(self.modified).astimezone(UTC).replace(microsecond=0)
        except (ValueError, OverflowError):
            return parse_date(self.modified) if self.modified else None


class Writes:
    """The operations that change the output bucket, without multipart uploads.

    Args:
        buckets: the step's buckets.
        spool: stores content.
        staged: makes the `Staged` of a key, which sends a large object to Pachyderm before it is complete.
    """

    def __init__(self, buckets: Buckets, spool: Spool, staged: Callable[[str], Staged]) -> None:
        self._buckets = buckets
        self._spool = spool
        self._staged = staged

    def put(self, request: S3Request, signed: Signed) -> Response:
        """PutObject."""
        bucket = self._buckets.writable(request.bucket)
        bucket.check(request.key)
        staged = self._staged(request.key)
        with staged.dropped_on_error():
            file, body = upload(request, signed, self._spool, grown=staged.arriving)
            checksums = (*body.checksums, (TYPE, FULL_OBJECT)) if body.checksums else ()
            now, attributes = datetime.now(UTC), replace(Attributes.of(request), checksums=checksums)
            pieces = (Piece(1, file.size, body.md5, body.sha256),)
            tag = etag(body.md5, body.sha256)
            stored = Stored(request.key, file.size, tag, now, reader(file), pieces, attributes, staged=staged)
            bucket.put(stored, Conditions.of(request))
        return Response(200, (("ETag", f'"{stored.etag}"'), *checksums))

    def copy(self, request: S3Request) -> Response:
        """CopyObject. A copy within the output bucket shares the content; a copy from an input fetches it."""
        bucket = self._buckets.writable(request.bucket)
        source = copy_source(request, self._buckets)
        replaced = request.header("x-amz-metadata-directive").upper() == "REPLACE"
        if not replaced and bucket.find(request.key) is source:
            raise S3Error("InvalidRequest", "the copy's source and destination are the same")
        bucket.check(request.key)
        attributes = source.attributes
        if replaced:
            attributes = replace(Attributes.of(request), checksums=attributes.checksums)
        stored = self._own(source, request.key).at(request.key, datetime.now(UTC), attributes)
        bucket.put(stored)
        fields = [("LastModified", timestamp(stored.modified)), ("ETag", f'"{stored.etag}"')]
        return xml_response("CopyObjectResult", fields)

    def _own(self, source: Stored, key: str) -> Stored:
        """Returns the source if its content is in the spool, else an object with a copy there."""
        if source.spooled:
            return source
        content, staged = PieceReader(source.read(0, source.size)), self._staged(key)
        with staged.dropped_on_error():
            file = self._spool.write(content, partial(staged.arriving, expected=source.size))
        pieces, tag = (Piece(1, file.size, b"", content.sha256),), etag(b"", content.sha256)
        return Stored(key, file.size, tag, source.modified, reader(file), pieces, staged=staged)

    def delete(self, request: S3Request) -> Response:
        """DeleteObject."""
        condition = Unless(
            request.header("if-match"),
            request.header("x-amz-if-match-last-modified-time"),
            request.header("x-amz-if-match-size"),
        )
        self._buckets.writable(request.bucket).delete(request.key, condition.check)
        return Response(204)

    def delete_many(self, request: S3Request, signed: Signed) -> Response:
        """DeleteObjects. With "Quiet" the answer lists only the keys that failed."""
        self._buckets.find(request.bucket)
        root = xml.parse(document(request, signed), "Delete")
        nodes = root.all("Object")
        if not nodes or len(nodes) > _MOST_KEYS:
            raise S3Error("MalformedXML")
        results = [self._delete_one(request.bucket, node) for node in nodes]
        if root.value("Quiet").lower() == "true":
            results = [result for result in results if result[0] == "Error"]
        return xml_response("DeleteResult", results)

    def _delete_one(self, bucket: str, node: xml.Node) -> tuple[str, xml.Content]:
        key = node.value("Key")
        condition = Unless(node.value("ETag"), node.value("LastModifiedTime"), node.value("Size"))
        try:
            if node.value("VersionId") not in ("", NULL):
                raise S3Error("NoSuchVersion")
            self._buckets.writable(bucket).delete(key, condition.check)
        except S3Error as error:
            return "Error", [("Key", key), ("Code", error.code), ("Message", error.message)]
        return "Deleted", [("Key", key)]

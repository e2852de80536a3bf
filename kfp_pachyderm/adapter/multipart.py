"""Multipart operations on the output bucket."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kfp_pachyderm.adapter.listing import OWNER, Fields, timestamp
from kfp_pachyderm.adapter.objects import Attributes
from kfp_pachyderm.adapter.spool import Spool
from kfp_pachyderm.adapter.uploads import Part, Upload, Uploads, assemble, wanted_parts
from kfp_pachyderm.adapter.writes import PieceReader, copy_source, upload
from kfp_pachyderm.s3.conditions import Conditions, parse_range
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.request import S3Request
from kfp_pachyderm.s3.signature import Signed
from kfp_pachyderm.s3.wsgi import Response, xml_response

if TYPE_CHECKING:
    from kfp_pachyderm.adapter.app import Buckets

_MOST_PARTS = 10000
_PAGE = 1000


def _number(request: S3Request) -> int:
    text = request.param("partNumber")
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= _MOST_PARTS:
        raise S3Error("InvalidArgument", f"partNumber is {text!r}, not between 1 and {_MOST_PARTS}")
    return int(text)


def _count(request: S3Request, name: str, default: int) -> int:
    text = request.param(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit()):
        raise S3Error("InvalidArgument", f"{name} is {text!r}, not a number")
    return int(text)


class Multipart:
    """Multipart operations.

    Args:
        buckets: the step's.
        spool: where parts go.
    """

    def __init__(self, buckets: Buckets, spool: Spool) -> None:
        self._buckets = buckets
        self._spool = spool
        self._uploads = Uploads()

    def _upload(self, request: S3Request) -> Upload:
        self._buckets.writable(request.bucket)
        return self._uploads.find(request.param("uploadId"), request.key)

    def create(self, request: S3Request) -> Response:
        """CreateMultipartUpload."""
        self._buckets.writable(request.bucket).check(request.key)
        made = self._uploads.create(request.key, Attributes.of(request))
        fields = [("Bucket", request.bucket), ("Key", request.key), ("UploadId", made.id)]
        return xml_response("InitiateMultipartUploadResult", fields)

    def part(self, request: S3Request, signed: Signed) -> Response:
        """UploadPart."""
        found, number = self._upload(request), _number(request)
        file, body = upload(request, signed, self._spool)
        found.parts[number] = Part(file, body.md5, datetime.now(UTC))
        return Response(200, (("ETag", f'"{body.md5.hex()}"'), *body.checksums))

    def copy_part(self, request: S3Request) -> Response:
        """UploadPartCopy, of a whole object or a range."""
        found, number = self._upload(request), _number(request)
        source = copy_source(request, self._buckets)
        value = request.header("x-amz-copy-source-range")
        span = parse_range(value, source.size) if value else None
        if value and span is None:
            raise S3Error("InvalidArgument", f"x-amz-copy-source-range {value!r} can't be read")
        if span and value.strip() != f"bytes={span.start}-{span.start + span.length - 1}":
            raise S3Error("InvalidRange", f"x-amz-copy-source-range {value!r} of {source.size} bytes")
        start, length = (span.start, span.length) if span else (0, source.size)
        content = PieceReader(source.read(start, length))
        part = Part(self._spool.write(content), content.md5, datetime.now(UTC))
        found.parts[number] = part
        fields = [("LastModified", timestamp(part.modified)), ("ETag", f'"{part.md5.hex()}"')]
        return xml_response("CopyPartResult", fields)

    def complete(self, request: S3Request) -> Response:
        """CompleteMultipartUpload."""
        bucket, wanted = self._buckets.writable(request.bucket), wanted_parts(request.document())
        etag = self._uploads.completed(request.param("uploadId"), request.key)
        if etag is None:
            found = self._upload(request)
            stored = assemble(found, wanted)
            bucket.put(stored, Conditions.of(request))
            self._uploads.complete(found, stored.etag)
            etag = stored.etag
        fields = [("Location", f"/{request.bucket}/{request.key}"), ("Bucket", request.bucket)]
        fields += [("Key", request.key), ("ETag", f'"{etag}"')]
        return xml_response("CompleteMultipartUploadResult", fields)

    def abort(self, request: S3Request) -> Response:
        """AbortMultipartUpload."""
        self._uploads.drop(self._upload(request).id)
        return Response(204)

    def list_parts(self, request: S3Request) -> Response:
        """ListParts."""
        found = self._upload(request)
        marker, limit = (
            _count(request, "part-number-marker", 0),
            min(_count(request, "max-parts", _PAGE), _PAGE),
        )
        numbers = sorted(number for number in list(found.parts) if number > marker)
        shown = numbers[:limit]
        fields: Fields = [("Bucket", request.bucket), ("Key", request.key), ("UploadId", found.id)]
        fields += [("Initiator", OWNER), ("Owner", OWNER), ("StorageClass", "STANDARD")]
        fields += [("PartNumberMarker", str(marker)), ("MaxParts", str(limit))]
        fields += [("NextPartNumberMarker", str(shown[-1] if shown else marker))]
        fields += [("IsTruncated", str(len(numbers) > len(shown)).lower())]
        fields += [("Part", self._part(number, found.parts[number])) for number in shown]
        return xml_response("ListPartsResult", fields)

    @staticmethod
    def _part(number: int, part: Part) -> Fields:
        return [
            ("PartNumber", str(number)),
            ("LastModified", timestamp(part.modified)),
            ("ETag", f'"{part.md5.hex()}"'),
            ("Size", str(part.file.size)),
        ]

    def list_uploads(self, request: S3Request) -> Response:
        """ListMultipartUploads, all on one page."""
        self._buckets.find(request.bucket)
        prefix = request.param("prefix")
        fields: Fields = [("Bucket", request.bucket), ("Prefix", prefix), ("KeyMarker", "")]
        fields += [("MaxUploads", str(_PAGE)), ("IsTruncated", "false")]
        if self._buckets.all[request.bucket] is self._buckets.output:
            found = [one for one in self._uploads.under_way() if one.key.startswith(prefix)]
            fields += [("Upload", self._listed(one)) for one in found]
        return xml_response("ListMultipartUploadsResult", fields)

    @staticmethod
    def _listed(upload: Upload) -> Fields:
        return [
            ("Key", upload.key),
            ("UploadId", upload.id),
            ("Initiator", OWNER),
            ("Owner", OWNER),
            ("StorageClass", "STANDARD"),
            ("Initiated", timestamp(upload.started)),
        ]

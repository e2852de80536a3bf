"""Multipart uploads into the output bucket: the S3 operations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from kfp_pachyderm.adapter.buckets.by_name import Buckets
from kfp_pachyderm.adapter.buckets.output_bucket import OutputBucket
from kfp_pachyderm.adapter.disk.objects import Attributes, Stored
from kfp_pachyderm.adapter.disk.spool import Spool
from kfp_pachyderm.adapter.disk.staged_object import Staged
from kfp_pachyderm.adapter.disk.uploads import Part, Upload, Uploads, Wanted, assemble, wanted_parts
from kfp_pachyderm.adapter.operations.list_multipart_uploads import list_uploads
from kfp_pachyderm.adapter.operations.list_objects import OWNER, limit, timestamp
from kfp_pachyderm.adapter.operations.put_object import PieceReader, copy_source, upload
from kfp_pachyderm.s3 import xml
from kfp_pachyderm.s3.conditions import Conditions, parse_range
from kfp_pachyderm.s3.content.body import document
from kfp_pachyderm.s3.content.checksums import PREFIX, TYPE, asked, element
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.http.wsgi import Response, xml_response
from kfp_pachyderm.s3.request import S3Request, number
from kfp_pachyderm.s3.signature import Signed

_MOST_PARTS = 10000


def _number(request: S3Request) -> int:
    text = request.param("partNumber")
    found = number("partNumber", text)
    if not 1 <= found <= _MOST_PARTS:
        raise S3Error("InvalidArgument", f"partNumber is {text!r}, not between 1 and {_MOST_PARTS}")
    return found


def _check_whole(request: S3Request, found: Upload, stored: Stored) -> None:
    """Compares the object with the size and the checksum that the CompleteMultipartUpload request gives."""
    size = request.header("x-amz-mp-object-size")
    if size and number("x-amz-mp-object-size", size) != stored.size:
        raise S3Error("InvalidRequest", f"the parts are {stored.size} bytes, x-amz-mp-object-size is {size}")
    kind = request.header(TYPE).upper()
    if kind and found.kind and kind != found.kind:
        raise S3Error("InvalidRequest", f"{TYPE} is {kind!r}, the upload was created with {found.kind!r}")
    given = request.header(found.header) if found.header else ""
    if given and given != dict(stored.attributes.checksums)[found.header]:
        raise S3Error(
            "BadDigest", f"The {found.algorithm.upper()} you specified did not match the object's parts."
        )


class Multipart:
    """The operations of multipart uploads.

    Args:
        buckets: the step's buckets.
        spool: stores the parts.
        staged: makes the `Staged` of a key, which sends a large object to Pachyderm before it is complete.
    """

    def __init__(self, buckets: Buckets, spool: Spool, staged: Callable[[str], Staged]) -> None:
        self._buckets = buckets
        self._spool = spool
        self._staged = staged
        self._uploads = Uploads()

    def _upload(self, request: S3Request) -> Upload:
        self._buckets.writable(request.bucket)
        return self._uploads.find(request.param("uploadId"), request.key)

    def _add(self, request: S3Request, position: int, part: Part) -> None:
        with self._uploads.changing:
            found = self._upload(request)
            found.add(position, part)
        found.staged.keep_up()

    def create(self, request: S3Request) -> Response:
        """CreateMultipartUpload."""
        self._buckets.writable(request.bucket).check(request.key)
        made = self._uploads.create(Attributes.of(request), *asked(request), staged=self._staged(request.key))
        fields = [("Bucket", request.bucket), ("Key", request.key), ("UploadId", made.id)]
        headers = ((PREFIX + "algorithm", made.algorithm.upper()), (TYPE, made.kind))
        return xml_response("InitiateMultipartUploadResult", fields, headers if made.algorithm else ())

    def part(self, request: S3Request, signed: Signed) -> Response:
        """UploadPart."""
        found, position = self._upload(request), _number(request)
        file, body = upload(request, signed, self._spool, found.algorithm)
        checksum = dict(body.checksums).get(found.header, "")
        part = Part(file, body.md5, body.sha256, datetime.now(UTC), checksum)
        self._add(request, position, part)
        return Response(200, (("ETag", f'"{part.etag}"'), *body.checksums))

    def copy_part(self, request: S3Request) -> Response:
        """UploadPartCopy: copies a whole object or a range of it."""
        found, position = self._upload(request), _number(request)
        source = copy_source(request, self._buckets)
        value = request.header("x-amz-copy-source-range")
        span = parse_range(value, source.size) if value else None
        if value and span is None:
            raise S3Error("InvalidArgument", f"x-amz-copy-source-range {value!r} can't be read")
        if span and value.strip() != f"bytes={span.start}-{span.start + span.length - 1}":
            raise S3Error("InvalidRange", f"x-amz-copy-source-range {value!r} of {source.size} bytes")
        start, length = (span.start, span.length) if span else (0, source.size)
        content = PieceReader(source.read(start, length), found.algorithm)
        part = Part(self._spool.write(content), b"", content.sha256, datetime.now(UTC), content.checksum)
        self._add(request, position, part)
        fields = [("LastModified", timestamp(part.modified)), *self._sums(found, part)]
        return xml_response("CopyPartResult", fields)

    def complete(self, request: S3Request, signed: Signed) -> Response:
        """CompleteMultipartUpload. Its checksum header is of the whole object, not of its XML document."""
        bucket, wanted = self._buckets.writable(request.bucket), wanted_parts(document(request, signed, ()))
        with self._uploads.changing:
            answer = self._uploads.completed(request.param("uploadId"), request.key)
            if answer is None:
                answer = self._complete(request, bucket, wanted)
        return xml_response("CompleteMultipartUploadResult", answer)

    def _complete(self, request: S3Request, bucket: OutputBucket, wanted: list[Wanted]) -> xml.Fields:
        found = self._upload(request)
        stored = assemble(found, wanted)
        _check_whole(request, found, stored)
        bucket.put(stored, Conditions.of(request))
        answer: xml.Fields = [("Location", f"/{request.bucket}/{request.key}"), ("Bucket", request.bucket)]
        answer += [("Key", request.key), ("ETag", f'"{stored.etag}"')]
        answer += [(element(name), value) for name, value in stored.attributes.checksums]
        self._uploads.complete(found, answer)
        return answer

    def abort(self, request: S3Request) -> Response:
        """AbortMultipartUpload."""
        with self._uploads.changing:
            self._uploads.drop(self._upload(request).id)
        return Response(204)

    def list_parts(self, request: S3Request) -> Response:
        """ListParts."""
        found, most = self._upload(request), limit(request, "max-parts")
        marker = number("part-number-marker", request.param("part-number-marker") or "0")
        positions = sorted(position for position in list(found.parts) if position > marker)
        shown = positions[:most]
        fields: xml.Fields = [("Bucket", request.bucket), ("Key", request.key), ("UploadId", found.id)]
        fields += [("Initiator", OWNER), ("Owner", OWNER), ("StorageClass", "STANDARD")]
        fields += [("PartNumberMarker", str(marker)), ("MaxParts", str(most))]
        fields += [("NextPartNumberMarker", str(shown[-1] if shown else marker))]
        fields += [("IsTruncated", str(len(positions) > len(shown)).lower()), *found.checksum_fields()]
        fields += [("Part", self._part(found, position)) for position in shown]
        return xml_response("ListPartsResult", fields)

    @staticmethod
    def _sums(found: Upload, part: Part) -> xml.Fields:
        checksum: xml.Fields = [(element(found.header), part.checksum)] if found.header else []
        return [("ETag", f'"{part.etag}"'), *checksum]

    def _part(self, found: Upload, position: int) -> xml.Fields:
        part = found.parts[position]
        fields: xml.Fields = [("PartNumber", str(position)), ("LastModified", timestamp(part.modified))]
        return [*fields, ("Size", str(part.file.size)), *self._sums(found, part)]

    def list_uploads(self, request: S3Request) -> Response:
        """ListMultipartUploads."""
        bucket = self._buckets.find(request.bucket)
        uploads = self._uploads.under_way() if bucket is self._buckets.output else []
        return list_uploads(request, uploads)

"""The gateway's multipart uploads. Aborting or completing an upload leaves its parts in place."""

from __future__ import annotations

import itertools
import os
import re
import tempfile
import threading
import uuid
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field

from kfp_pachyderm.embedded.gateway.body import skip_form
from kfp_pachyderm.embedded.gateway.job_buckets import Bucket, JobBuckets
from kfp_pachyderm.embedded.gateway.listing import USER, find_bucket, whole_number
from kfp_pachyderm.embedded.gateway.objects import check_path, path_of, pieces
from kfp_pachyderm.protocol.file_hash import FileHash, small
from kfp_pachyderm.s3 import xml
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.http.wsgi import Response, xml_response
from kfp_pachyderm.s3.request import S3Request

_SMALLEST = 5 * 2**20
_MOST_PARTS, _MOST_LISTED = 10000, 1000
_PIECE = 2**20


class Panic(BaseException):
    """A request on which the real gateway panics: the connection is closed without an answer.

    It is no Exception, since the HTTP server answers every Exception.
    """


class _Part:
    """One part's content, in an unnamed file that is closed with the part."""

    def __init__(self, descriptor: int, size: int, digest: str) -> None:
        self._descriptor = descriptor
        self.size = size
        self.hash = digest
        weakref.finalize(self, os.close, descriptor)

    def pieces(self) -> Iterator[bytes]:
        """The content in order."""
        for position in range(0, self.size, _PIECE):
            yield os.pread(self._descriptor, _PIECE, position)


@dataclass
class _Upload:
    parts: dict[int, _Part] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


def _received(request: S3Request) -> _Part:
    whole = FileHash()
    with tempfile.TemporaryFile(buffering=0) as content:
        for piece in pieces(request.body):
            content.write(piece)
            whole.update(piece)
        return _Part(os.dup(content.fileno()), whole.size, whole.digest().hex())


def _part_numbers(request: S3Request) -> list[int]:
    root = xml.parse(request.document(), "CompleteMultipartUpload")
    try:
        numbers = [int(part.value("PartNumber").strip() or 0) for part in root.all("Part")]
    except ValueError as error:
        raise S3Error("MalformedXML") from error
    if not numbers or any(one > other for one, other in itertools.pairwise(numbers)):
        raise S3Error("InvalidPartOrder")
    return numbers


class Uploads:
    """Multipart operations.

    Args:
        buckets: the job's.
    """

    def __init__(self, buckets: JobBuckets) -> None:
        self._buckets = buckets
        self._uploads: dict[tuple[str, str, str], _Upload] = {}

    def _writable(self, request: S3Request) -> Bucket:
        bucket = find_bucket(self._buckets, request.bucket)
        if not bucket.writable:
            raise S3Error("NotImplemented")
        return bucket

    def _find_bucket(self, request: S3Request) -> None:
        try:
            find_bucket(self._buckets, request.bucket)
        except S3Error as error:
            raise Panic(f"{request.method} {request.path}: no such bucket") from error

    def _upload(self, request: S3Request) -> _Upload:
        upload = self._uploads.get((request.bucket, request.key, request.param("uploadId")))
        if upload is None:
            raise S3Error("NoSuchUpload")
        return upload

    def list_uploads(self, request: S3Request) -> Response:
        """ListMultipartUploads: always looks empty."""
        most = whole_number(request, "max-uploads", _MOST_LISTED, _MOST_LISTED)
        self._find_bucket(request)
        key_marker = request.param("key-marker")
        upload_marker = request.param("upload-id-marker") if key_marker else ""
        fields: list[tuple[str, xml.Content]] = [("Bucket", request.bucket), ("KeyMarker", key_marker)]
        fields += [("UploadIdMarker", upload_marker), ("NextKeyMarker", ""), ("NextUploadIdMarker", "")]
        fields += [("MaxUploads", str(most)), ("IsTruncated", "false")]
        return xml_response("ListMultipartUploadsResult", fields)

    def create(self, request: S3Request) -> Response:
        """CreateMultipartUpload."""
        self._writable(request)
        self._buckets.may_upload()
        upload_id = uuid.uuid4().hex
        self._uploads[request.bucket, request.key, upload_id] = _Upload()
        fields = [("Bucket", request.bucket), ("Key", request.key), ("UploadId", upload_id)]
        return xml_response("InitiateMultipartUploadResult", fields)

    def part(self, request: S3Request) -> Response:
        """UploadPart. aws-chunked framing is kept as content, no length is needed, a form's body is lost."""
        skip_form(request)
        number = whole_number(request, "partNumber", _MOST_PARTS, 0)
        self._find_bucket(request)
        upload = self._upload(request)
        self._buckets.may_upload()
        part = _received(request)
        with upload.lock:
            upload.parts[number] = part
        return Response(200, (("Etag", f'"{part.hash}"'),))

    def list_parts(self, request: S3Request) -> Response:
        """ListParts. The upload's `.keep` file is a part, too; its number is the digits at the ID's start."""
        most = whole_number(request, "max-parts", _MOST_LISTED, _MOST_LISTED)
        marker = whole_number(request, "part-number-marker", _MOST_PARTS, 0)
        self._find_bucket(request)
        upload_id = request.param("uploadId")
        upload = self._uploads.get((request.bucket, request.key, upload_id))
        found = [one for one in (self._parts(upload, upload_id) if upload else []) if one[0] > marker]
        parts, truncated = found[:most], bool(most) and len(found) > most
        fields: list[tuple[str, xml.Content]] = [("Bucket", request.bucket), ("Key", request.key)]
        fields += [
            ("UploadId", upload_id),
            ("Initiator", USER),
            ("Owner", USER),
            ("StorageClass", "STANDARD"),
            ("PartNumberMarker", str(marker)),
            (
                "NextPartNumberMarker",
                str(max((number for number, _ in parts), default=0) if truncated else 0),
            ),
            ("MaxParts", str(most)),
            ("IsTruncated", str(truncated).lower()),
        ]
        fields += [("Part", [("PartNumber", str(number)), ("ETag", etag)]) for number, etag in parts]
        return xml_response("ListPartsResult", fields)

    @staticmethod
    def _parts(upload: _Upload, upload_id: str) -> list[tuple[int, str]]:
        digits = re.match(r"\d*", upload_id)
        kept = int(digits[0]) if digits and digits[0] else 0
        listed = [(kept, small(b"").hex())]
        with upload.lock:
            return listed + [(number, upload.parts[number].hash) for number in sorted(upload.parts, key=str)]

    def complete(self, request: S3Request) -> Response:
        """CompleteMultipartUpload; the parts' ETags are not compared."""
        if request.length is None:
            raise S3Error("MissingContentLength")
        skip_form(request)
        numbers = _part_numbers(request)
        bucket = self._writable(request)
        upload = self._upload(request)
        check_path(path_of(request.key))
        with upload.lock:
            parts = self._parts_to_join(upload, numbers)
            file = bucket.view.put(path_of(request.key), (piece for part in parts for piece in part.pieces()))
        fields = [
            ("Location", "PACHYDERM"),
            ("Bucket", request.bucket),
            ("Key", request.key),
            ("ETag", f'"{file.hash}"'),
        ]
        return xml_response(
            "CompleteMultipartUploadResult", fields, (("X-Amz-Version-Id", bucket.commit_id),)
        )

    @staticmethod
    def _parts_to_join(upload: _Upload, numbers: list[int]) -> list[_Part]:
        if any(number not in upload.parts for number in numbers):
            raise S3Error("InvalidPart")
        parts = [upload.parts[number] for number in numbers]
        if any(part.size < _SMALLEST for part in parts[:-1]):
            raise S3Error("EntityTooSmall")
        return parts

    def abort(self, request: S3Request) -> Response:
        """AbortMultipartUpload."""
        self._find_bucket(request)
        self._upload(request)
        return Response(204)

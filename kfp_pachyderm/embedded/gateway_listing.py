"""The gateway's answers about buckets: listings as s2 makes them (v1 only, whatever was asked)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from kfp_pachyderm.embedded.view import Bucket, FileEntry, JobBuckets
from kfp_pachyderm.s3 import xml
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.listing import Page, page
from kfp_pachyderm.s3.request import S3Request
from kfp_pachyderm.s3.wsgi import XML_TYPE, Response, xml_response

_MOST_KEYS = 5000
USER: xml.Content = (("ID", "0" * 32), ("DisplayName", "pachyderm"))


def find_bucket(buckets: JobBuckets, name: str) -> Bucket:
    """The bucket of that name.

    Raises:
        S3Error: NoSuchBucket.
    """
    bucket = buckets.buckets.get(name)
    if bucket is None:
        raise S3Error("NoSuchBucket")
    return bucket


def seconds(moment: datetime) -> str:
    """RFC 3339, rounded to seconds as s2 does."""
    rounded = datetime.fromtimestamp(round(moment.timestamp()), UTC)
    return rounded.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class _Listed:
    key: str
    file: FileEntry


def _walk(bucket: Bucket, prefix: str, after: str) -> Iterator[_Listed]:
    for file in bucket.view.walk("/" + prefix, "/" + after if after else ""):
        yield _Listed(file.path[1:], file)


def _limit(request: S3Request) -> int:
    text = request.param("max-keys")
    if not text:
        return 1000
    if not (text.isascii() and text.isdigit()) or int(text) > _MOST_KEYS:
        raise S3Error("InvalidArgument")
    return int(text)


def _contents(listed: _Listed) -> xml.Content:
    return [
        ("Key", listed.key),
        ("LastModified", seconds(listed.file.committed)),
        ("ETag", f'"{listed.file.hash}"'),
        ("Size", str(listed.file.size)),
        ("StorageClass", "STANDARD"),
        ("Owner", USER),
    ]


def _document(request: S3Request, result: Page[_Listed], limit: int) -> list[tuple[str, xml.Content]]:
    fields: list[tuple[str, xml.Content]] = [("Contents", _contents(listed)) for listed in result.entries]
    fields += [("CommonPrefixes", [("Prefix", prefix), ("Owner", USER)]) for prefix in result.prefixes]
    if request.param("delimiter"):
        fields.append(("Delimiter", request.param("delimiter")))
    fields += [("IsTruncated", str(result.truncated).lower()), ("Marker", request.param("marker"))]
    fields += [("MaxKeys", str(limit)), ("Name", request.bucket)]
    if result.truncated:
        fields.append(("NextMarker", result.last))
    fields.append(("Prefix", request.param("prefix")))
    return fields


class Listings:
    """Operations on buckets.

    Args:
        buckets: the job's.
    """

    def __init__(self, buckets: JobBuckets) -> None:
        self._buckets = buckets

    def buckets(self, _request: S3Request) -> Response:
        """ListBuckets."""
        listed: xml.Content = [
            ("Bucket", [("Name", bucket.name), ("CreationDate", seconds(bucket.created))])
            for bucket in self._buckets.buckets.values()
        ]
        return xml_response("ListAllMyBucketsResult", [("Owner", USER), ("Buckets", listed)])

    def location(self, request: S3Request) -> Response:
        """GetBucketLocation."""
        find_bucket(self._buckets, request.bucket)
        return xml_response("LocationConstraint", "PACHYDERM")

    def versioning(self, request: S3Request) -> Response:
        """GetBucketVersioning."""
        find_bucket(self._buckets, request.bucket)
        return xml_response("VersioningConfiguration", "")

    def put_versioning(self, request: S3Request) -> Response:
        """PutBucketVersioning: only "no versioning" can be set."""
        find_bucket(self._buckets, request.bucket)
        if xml.parse(request.document(), "VersioningConfiguration").value("Status"):
            raise S3Error("NotImplemented")
        return Response()

    def head(self, request: S3Request) -> Response:
        """HeadBucket."""
        find_bucket(self._buckets, request.bucket)
        return Response(200, (("Content-Type", XML_TYPE),))

    def objects(self, request: S3Request) -> Response:
        """ListObjects; an output bucket always seems empty, and nothing of version 2 is looked at."""
        bucket = find_bucket(self._buckets, request.bucket)
        limit = _limit(request)
        delimiter = request.param("delimiter")
        if delimiter not in ("", "/"):
            raise S3Error("InvalidDelimiter")
        result: Page[_Listed] = Page()
        if not bucket.writable:
            prefix = request.param("prefix").removeprefix("/")
            result = page(
                lambda start, after: _walk(bucket, start, after),
                prefix=prefix,
                delimiter=delimiter,
                after=request.param("marker"),
                limit=limit,
            )
        return xml_response("ListBucketResult", _document(request, result, limit))

"""The gateway's bucket operations. Listings are those of s2: version 1, even if version 2 was asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from kfp_pachyderm.embedded.gateway.job_buckets import Bucket, FileEntry, JobBuckets
from kfp_pachyderm.s3 import xml
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.http.wsgi import Response, xml_response
from kfp_pachyderm.s3.listing import Page, page
from kfp_pachyderm.s3.request import S3Request

_MOST_KEYS, _DEFAULT_KEYS = 5000, 1000
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
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


def whole_number(request: S3Request, name: str, most: int, default: int) -> int:
    """A parameter between 0 and `most`, as Go's strconv.Atoi reads it (util_header.go, intFormValue).

    Raises:
        S3Error: InvalidArgument.
    """
    text = request.param(name)
    if text and not (_NUMBER.fullmatch(text) and 0 <= int(text) <= most):
        raise S3Error("InvalidArgument")
    return int(text) if text else default


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
        """PutBucketVersioning: only an empty status is accepted."""
        status = xml.parse(request.document(), "VersioningConfiguration").value("Status")
        if status not in ("", "Suspended", "Enabled"):
            raise S3Error("IllegalVersioningConfigurationException")
        find_bucket(self._buckets, request.bucket)
        if status:
            raise S3Error("NotImplemented")
        return Response()

    def versions(self, request: S3Request) -> Response:
        """ListObjectVersions: not implemented for any bucket."""
        whole_number(request, "max-keys", _DEFAULT_KEYS, _DEFAULT_KEYS)
        raise S3Error("NotImplemented")

    def objects(self, request: S3Request) -> Response:
        """ListObjects. The output bucket always looks empty; parameters of ListObjectsV2 are ignored."""
        limit = whole_number(request, "max-keys", _MOST_KEYS, _DEFAULT_KEYS)
        delimiter = request.param("delimiter")
        if delimiter not in ("", "/"):
            raise S3Error("InvalidDelimiter")
        bucket = find_bucket(self._buckets, request.bucket)
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

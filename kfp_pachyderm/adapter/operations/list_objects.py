"""ListObjects, ListObjectsV2 and ListBuckets: pages of keys and of buckets."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from kfp_pachyderm.adapter.disk.objects import Bucket, Stored
from kfp_pachyderm.s3 import xml
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.http.wsgi import Response, xml_response
from kfp_pachyderm.s3.listing import Page, page
from kfp_pachyderm.s3.request import S3Request, number

_MOST_BUCKETS = 10000
OWNER: xml.Content = (("ID", "kfp-pachyderm"), ("DisplayName", "kfp-pachyderm"))


def timestamp(moment: datetime) -> str:
    """Formats a time for S3's XML documents: UTC, with milliseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def limit(request: S3Request, name: str, most: int = 1000) -> int:
    """Returns the most entries of a page: the query parameter `name`, at most `most`."""
    text = request.param(name)
    return min(number(name, text), most) if text else most


def _token(request: S3Request) -> str:
    try:
        return base64.urlsafe_b64decode(request.param("continuation-token")).decode()
    except (binascii.Error, ValueError) as error:
        raise S3Error("InvalidArgument", "The continuation token provided is incorrect") from error


def encoder(request: S3Request) -> Callable[[str], str]:
    """Returns the function that encodes keys as the parameter encoding-type asks for.

    Raises:
        S3Error: InvalidArgument for another type than "url".
    """
    kind = request.param("encoding-type")
    if kind not in ("", "url"):
        raise S3Error("InvalidArgument", f"encoding-type is {kind!r}, only url is known")
    return (lambda text: quote(text, safe="/-_.~*")) if kind else str


@dataclass(frozen=True)
class _Listing:
    request: S3Request
    result: Page[Stored]
    limit: int
    encode: Callable[[str], str]

    def _contents(self, stored: Stored, owner: bool) -> xml.Fields:
        fields: xml.Fields = [
            ("Key", self.encode(stored.key)),
            ("LastModified", timestamp(stored.modified)),
            ("ETag", f'"{stored.etag}"'),
            ("Size", str(stored.size)),
            ("StorageClass", "STANDARD"),
        ]
        return [*fields, ("Owner", OWNER)] if owner else fields

    def _common(self, owner: bool, prefix: str) -> xml.Fields:
        fields: xml.Fields = [("Name", self.request.bucket), ("Prefix", prefix)]
        if self.request.param("delimiter"):
            fields.append(("Delimiter", self.encode(self.request.param("delimiter"))))
        if self.request.param("encoding-type"):
            fields.append(("EncodingType", "url"))
        fields += [("MaxKeys", str(self.limit)), ("IsTruncated", str(self.result.truncated).lower())]
        fields += [("Contents", self._contents(stored, owner)) for stored in self.result.entries]
        fields += [("CommonPrefixes", [("Prefix", self.encode(one))]) for one in self.result.prefixes]
        return fields

    def version1(self) -> xml.Fields:
        # in version 1 S3 does not encode the prefix, and clients don't decode it
        prefix = self.request.param("prefix")
        fields = [*self._common(True, prefix), ("Marker", self.encode(self.request.param("marker")))]
        if self.result.truncated:
            fields.append(("NextMarker", self.encode(self.result.last)))
        return fields

    def version2(self) -> xml.Fields:
        owner = self.request.param("fetch-owner") == "true"
        fields = [
            *self._common(owner, self.encode(self.request.param("prefix"))),
            ("KeyCount", str(len(self.result))),
        ]
        if self.request.has("continuation-token"):
            fields.append(("ContinuationToken", self.request.param("continuation-token")))
        if self.request.has("start-after"):
            fields.append(("StartAfter", self.encode(self.request.param("start-after"))))
        if self.result.truncated:
            token = base64.urlsafe_b64encode(self.result.last.encode()).decode()
            fields.append(("NextContinuationToken", token))
        return fields


def _after(request: S3Request, second: bool) -> str:
    if not second:
        return request.param("marker")
    if request.param("continuation-token"):
        return _token(request)
    return request.param("start-after")


def list_objects(request: S3Request, bucket: Bucket) -> Response:
    """Answers ListObjects and ListObjectsV2."""
    second = request.param("list-type") == "2"
    encode, most = encoder(request), limit(request, "max-keys")
    result = page(
        bucket.walk,
        prefix=request.param("prefix"),
        delimiter=request.param("delimiter"),
        after=_after(request, second),
        limit=most,
    )
    listing = _Listing(request, result, most, encode)
    return xml_response("ListBucketResult", listing.version2() if second else listing.version1())


def list_buckets(request: S3Request, names: list[str], created: datetime) -> Response:
    """Answers ListBuckets.

    Args:
        request: the request.
        names: the bucket names, sorted.
        created: the creation time of every bucket.
    """
    prefix, most = request.param("prefix"), limit(request, "max-buckets", _MOST_BUCKETS)
    found = [name for name in names if name.startswith(prefix) and name > _token(request)]
    shown = found[:most]
    buckets: xml.Content = [
        ("Bucket", [("Name", name), ("CreationDate", timestamp(created))]) for name in shown
    ]
    fields: xml.Fields = [("Owner", OWNER), ("Buckets", buckets)]
    if len(found) > len(shown) > 0:
        fields.append(("ContinuationToken", base64.urlsafe_b64encode(shown[-1].encode()).decode()))
    return xml_response("ListAllMyBucketsResult", fields)

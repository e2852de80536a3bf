"""ListObjectVersions and version IDs. The buckets keep no versions: each object's only version is "null"."""

from __future__ import annotations

from kfp_pachyderm.adapter.disk.objects import Bucket, Stored
from kfp_pachyderm.adapter.operations.list_objects import OWNER, encoder, limit, timestamp
from kfp_pachyderm.s3 import xml
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.http.wsgi import Response, xml_response
from kfp_pachyderm.s3.listing import page
from kfp_pachyderm.s3.request import S3Request

#: The ID of every object's only version.
NULL = "null"


def check_version(version: str) -> None:
    """Refuses every version ID but "null"; "" stands for none.

    Raises:
        S3Error: InvalidArgument, which S3 answers for a bucket that was never versioned.
    """
    if version not in ("", NULL):
        raise S3Error("InvalidArgument", "Invalid version id specified")


def list_versions(request: S3Request, bucket: Bucket) -> Response:
    """Answers ListObjectVersions."""
    encode, most = encoder(request), limit(request, "max-keys")
    marker, prefix, delimiter = (request.param(name) for name in ("key-marker", "prefix", "delimiter"))
    found = page(bucket.walk, prefix=prefix, delimiter=delimiter, after=marker, limit=most)
    fields: xml.Fields = [("Name", request.bucket), ("Prefix", encode(prefix)), ("KeyMarker", encode(marker))]
    fields += [("VersionIdMarker", request.param("version-id-marker")), ("MaxKeys", str(most))]
    fields += [("Delimiter", encode(delimiter))] if delimiter else []
    fields += [("EncodingType", "url")] if request.param("encoding-type") else []
    fields.append(("IsTruncated", str(found.truncated).lower()))
    if found.truncated:
        fields += [("NextKeyMarker", encode(found.last)), ("NextVersionIdMarker", NULL)]
    fields += [("Version", _version(stored, encode(stored.key))) for stored in found.entries]
    fields += [("CommonPrefixes", [("Prefix", encode(one))]) for one in found.prefixes]
    return xml_response("ListVersionsResult", fields)


def _version(stored: Stored, key: str) -> xml.Fields:
    return [
        ("Key", key),
        ("VersionId", NULL),
        ("IsLatest", "true"),
        ("LastModified", timestamp(stored.modified)),
        ("ETag", f'"{stored.etag}"'),
        ("Size", str(stored.size)),
        ("StorageClass", "STANDARD"),
        ("Owner", OWNER),
    ]

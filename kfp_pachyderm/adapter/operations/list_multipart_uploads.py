"""ListMultipartUploads: pages of the uploads that are in progress."""

from __future__ import annotations

from kfp_pachyderm.adapter.disk.uploads import Upload
from kfp_pachyderm.adapter.operations.list_objects import OWNER, encoder, limit, timestamp
from kfp_pachyderm.s3 import xml
from kfp_pachyderm.s3.http.wsgi import Response, xml_response
from kfp_pachyderm.s3.listing import Page, group_of
from kfp_pachyderm.s3.request import S3Request

#: Greater than every upload's ID.
_BEYOND = "\U0010ffff"


def _page(request: S3Request, uploads: list[Upload], most: int) -> Page[Upload]:
    prefix, delimiter, marker = (request.param(name) for name in ("prefix", "delimiter", "key-marker"))
    after = (marker, request.param("upload-id-marker") or _BEYOND)
    result: Page[Upload] = Page()
    for upload in uploads:
        group = group_of(upload.key, prefix, delimiter)
        seen = bool(group) and group in (marker, *result.prefixes[-1:])
        if seen or not upload.key.startswith(prefix) or (upload.key, upload.id) <= after:
            continue
        if len(result) == most:
            result.truncated = most > 0
            break
        result.last = group or upload.key
        if group:
            result.prefixes.append(group)
        else:
            result.entries.append(upload)
    return result


def list_uploads(request: S3Request, uploads: list[Upload]) -> Response:
    """Answers ListMultipartUploads.

    Args:
        request: the request.
        uploads: all uploads in progress in the bucket, ordered by key, then by ID.
    """
    encode, most = encoder(request), limit(request, "max-uploads")
    result = _page(request, uploads, most)
    fields: xml.Fields = [("Bucket", request.bucket), ("MaxUploads", str(most))]
    fields += [
        (field, encode(request.param(name)))
        for field, name in (("Prefix", "prefix"), ("Delimiter", "delimiter"), ("KeyMarker", "key-marker"))
    ]
    fields += [("UploadIdMarker", request.param("upload-id-marker"))]
    fields += [("EncodingType", "url")] if request.param("encoding-type") else []
    fields += [("IsTruncated", str(result.truncated).lower())]
    if result.truncated:
        last = result.entries[-1] if result.entries and result.entries[-1].key == result.last else None
        fields += [("NextKeyMarker", encode(result.last)), ("NextUploadIdMarker", last.id if last else "")]
    fields += [("Upload", _upload(upload, encode(upload.key))) for upload in result.entries]
    fields += [("CommonPrefixes", [("Prefix", encode(one))]) for one in result.prefixes]
    return xml_response("ListMultipartUploadsResult", fields)


def _upload(upload: Upload, key: str) -> xml.Fields:
    return [
        ("Key", key),
        ("UploadId", upload.id),
        ("Initiator", OWNER),
        ("Owner", OWNER),
        ("StorageClass", "STANDARD"),
        ("Initiated", timestamp(upload.started)),
        *upload.checksum_fields(),
    ]

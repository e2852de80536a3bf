"""GetObjectAttributes: an object's size, ETag, checksums and parts, without its content."""

from __future__ import annotations

from kfp_pachyderm.adapter.disk.objects import Stored
from kfp_pachyderm.s3 import xml
from kfp_pachyderm.s3.conditions import http_date
from kfp_pachyderm.s3.content.checksums import element
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.http.wsgi import Response, xml_response
from kfp_pachyderm.s3.request import S3Request, number

_KNOWN = {"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"}
_MOST = 1000


def _wanted(request: S3Request) -> set[str]:
    wanted = {name.strip() for name in request.header("x-amz-object-attributes").split(",")}
    if not wanted <= _KNOWN:
        raise S3Error("InvalidArgument", f"x-amz-object-attributes may name {', '.join(sorted(_KNOWN))}")
    return wanted


def _parts(request: S3Request, stored: Stored) -> xml.Fields:
    marker = number("x-amz-part-number-marker", request.header("x-amz-part-number-marker") or "0")
    most = min(number("x-amz-max-parts", request.header("x-amz-max-parts") or str(_MOST)), _MOST)
    found = [part for part in stored.parts if part.number > marker]
    shown = found[:most]
    fields: xml.Fields = [("PartsCount", str(len(stored.parts))), ("PartNumberMarker", str(marker))]
    fields += [("NextPartNumberMarker", str(shown[-1].number if shown else marker))]
    fields += [("MaxParts", str(most)), ("IsTruncated", str(len(found) > len(shown)).lower())]
    for part in shown:
        sums = [(element(name), value) for name, value in part.checksums]
        fields.append(("Part", [("PartNumber", str(part.number)), ("Size", str(part.size)), *sums]))
    return fields


def describe_object(request: S3Request, stored: Stored | None) -> Response:
    """Answers GetObjectAttributes.

    Args:
        request: the request.
        stored: the object; None: the key has none.

    Raises:
        S3Error: NoSuchKey, InvalidArgument for an attribute that S3 does not know.
    """
    wanted = _wanted(request)
    if stored is None:
        raise S3Error("NoSuchKey")
    sums: xml.Fields = [(element(name), value) for name, value in stored.attributes.checksums]
    fields: xml.Fields = [("ETag", stored.etag), ("StorageClass", "STANDARD")]
    fields.append(("ObjectSize", str(stored.size)))
    fields += [("Checksum", sums)] if sums else []
    fields += [("ObjectParts", _parts(request, stored))] if stored.parts else []
    chosen = [field for field in fields if field[0] in wanted]
    return xml_response(
        "GetObjectAttributesResponse", chosen, (("Last-Modified", http_date(stored.modified)),)
    )

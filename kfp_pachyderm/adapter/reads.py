"""GetObject and HeadObject: conditions, ranges, the headers that the upload set."""

from __future__ import annotations

from kfp_pachyderm.adapter.objects import Stored
from kfp_pachyderm.s3.conditions import Conditions, Span, http_date, names_etag, parse_date, parse_range
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.request import S3Request
from kfp_pachyderm.s3.wsgi import Headers, Response

_OVERRIDES = (
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
)


def _span(request: S3Request, stored: Stored) -> Span | None:
    value = request.header("range")
    condition = request.header("if-range")
    if condition and not names_etag(condition, stored.etag):
        date = parse_date(condition)
        if date is None or stored.modified.replace(microsecond=0) > date:
            return None
    return parse_range(value, stored.size) if value else None


def _headers(request: S3Request, stored: Stored) -> dict[str, str]:
    headers = {"content-type": stored.attributes.content_type, **dict(stored.attributes.headers)}
    for name in _OVERRIDES:
        if request.has(f"response-{name}"):
            headers[name] = request.param(f"response-{name}")
    return headers


def _validators(stored: Stored) -> Headers:
    return (("ETag", f'"{stored.etag}"'), ("Last-Modified", http_date(stored.modified)))


def read_object(request: S3Request, stored: Stored | None) -> Response:
    """The answer to a GET or HEAD of the object.

    Raises:
        S3Error: NoSuchKey, PreconditionFailed, InvalidRange.
    """
    if stored is None:
        raise S3Error("NoSuchKey")
    if not Conditions.of(request).check(stored.etag, stored.modified):
        return Response(304, _validators(stored))
    span = _span(request, stored)
    start, length = (span.start, span.length) if span else (0, stored.size)
    headers = [*_validators(stored), ("Accept-Ranges", "bytes"), ("Content-Length", str(length))]
    headers += _headers(request, stored).items()
    if request.header("x-amz-checksum-mode").upper() == "ENABLED" and not span:
        headers += stored.attributes.checksums
    if span:
        headers.append(("Content-Range", f"bytes {start}-{start + length - 1}/{stored.size}"))
    body = b"" if request.method == "HEAD" else stored.read(start, length)
    return Response(206 if span else 200, headers, body)

"""GetObject and HeadObject: conditions, ranges, part numbers, the headers that the upload set."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from kfp_pachyderm.adapter.disk.objects import Stored
from kfp_pachyderm.adapter.disk.upload_piece import Piece
from kfp_pachyderm.s3.conditions import Conditions, Span, http_date, names_etag, parse_date, parse_range
from kfp_pachyderm.s3.content.checksums import TYPE
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.http.wsgi import Headers, Response
from kfp_pachyderm.s3.request import S3Request, number

_OVERRIDES = (
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class _Choice:
    """The part of the object that the request asks for, and its headers; `span` None: the whole object."""

    span: Span | None
    checksums: Headers
    headers: Headers = ()


def _range(request: S3Request, stored: Stored) -> Span | None:
    value = request.header("range")
    condition = request.header("if-range")
    if condition and not names_etag(condition, stored.etag):
        date = parse_date(condition)
        if date is None or stored.modified.replace(microsecond=0) > date:
            return None
    return parse_range(value, stored.size) if value else None


def _part(position: int, stored: Stored) -> _Choice:
    kind = [pair for pair in stored.attributes.checksums if pair[0] == TYPE]
    parts = stored.parts or (Piece(1, stored.size, b"", checksums=stored.attributes.checksums[:1]),)
    before = 0
    for part in parts:
        if part.number == position:
            count = [("x-amz-mp-parts-count", str(len(parts)))] if stored.parts else []
            span = Span(before, part.size) if part.size else None
            return _Choice(span, (*part.checksums, *kind), count)
        before += part.size
    raise S3Error("InvalidPart", f"the object has no part {position}, only {len(parts)} parts")


def _choice(request: S3Request, stored: Stored) -> _Choice:
    if not request.has("partNumber"):
        span = _range(request, stored)
        return _Choice(span, () if span else stored.attributes.checksums)
    if request.header("range"):
        raise S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
    return _part(number("partNumber", request.param("partNumber")), stored)


def _headers(request: S3Request, stored: Stored) -> dict[str, str]:
    headers = {"content-type": stored.attributes.content_type, **dict(stored.attributes.headers)}
    for name in _OVERRIDES:
        if request.has(f"response-{name}"):
            headers[name] = _override(request, f"response-{name}")
    return headers


def _override(request: S3Request, name: str) -> str:
    value = request.param(name)
    if _CONTROL.search(value):
        raise S3Error("InvalidArgument", f"{name} holds what no header can")
    # WSGI passes a header's bytes as a str that is decoded as Latin-1 (PEP 3333)
    return value.encode().decode("latin-1")


def _validators(stored: Stored) -> Headers:
    return (("ETag", f'"{stored.etag}"'), ("Last-Modified", http_date(stored.modified)))


def _begun(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Waits for the first piece: clients repeat a request that fails before the head of its answer."""
    return chain((next(pieces, b""),), pieces)


def read_object(request: S3Request, stored: Stored | None) -> Response:
    """Answers GetObject and HeadObject.

    Args:
        request: the request.
        stored: the object; None: the key has none.

    Raises:
        S3Error: NoSuchKey, PreconditionFailed, InvalidRange, InvalidPart.
        CallFailedError: Pachyderm did not answer.
    """
    if stored is None:
        raise S3Error("NoSuchKey")
    if not Conditions.of(request).check(stored.etag, stored.modified):
        return Response(304, _validators(stored))
    choice = _choice(request, stored)
    span = choice.span
    start, length = (span.start, span.length) if span else (0, stored.size)
    headers = [*_validators(stored), ("Accept-Ranges", "bytes"), ("Content-Length", str(length))]
    headers += [*_headers(request, stored).items(), *choice.headers]
    if request.header("x-amz-checksum-mode").upper() == "ENABLED":
        headers += choice.checksums
    if span:
        headers.append(("Content-Range", f"bytes {start}-{start + length - 1}/{stored.size}"))
    body = b"" if request.method == "HEAD" else _begun(stored.read(start, length))
    return Response(206 if span else 200, headers, body)

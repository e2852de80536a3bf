"""How Go's net/http.ServeContent answers a read: ranges, conditions, content types."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from kfp_pachyderm.embedded.gateway.conditions import (
    http_time,
    in_range,
    names_strongly,
    names_weakly,
    quoted,
)
from kfp_pachyderm.embedded.gateway.job_buckets import CommitView, FileEntry
from kfp_pachyderm.s3.conditions import http_date
from kfp_pachyderm.s3.http.wsgi import Response
from kfp_pachyderm.s3.request import S3Request

_SNIFFED = 512
_BY_EXTENSION = {
    ".avif": "image/avif",
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".htm": "text/html; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".webp": "image/webp",
    ".xml": "text/xml; charset=utf-8",
}
_HTML = re.compile(rb"\s*<(!doctype html|html|head|body|script|table|div|h1|p|br|a|!--)[ >]", re.I)
_SIGNATURES = (
    (_HTML, "text/html; charset=utf-8"),
    (re.compile(rb"\s*<\?xml"), "text/xml; charset=utf-8"),
    (re.compile(rb"%PDF-"), "application/pdf"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"PK\x03\x04"), "application/zip"),
    (re.compile(rb"\x1f\x8b\x08"), "application/x-gzip"),
)
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_RANGE = re.compile(r"\s*(\d*)\s*-\s*(\d*)\s*")


class _NoOverlapError(ValueError):
    pass


def content_type(path: str, start: bytes) -> str:
    """The type as Go finds it: by the path's extension, else by the content's first 512 bytes."""
    name = path.rpartition("/")[2]
    known = _BY_EXTENSION.get(("." + name.rpartition(".")[2]).lower()) if "." in name else None
    if known:
        return known
    for pattern, kind in _SIGNATURES:
        if pattern.match(start):
            return kind
    return "application/octet-stream" if _BINARY.search(start) else "text/plain; charset=utf-8"


def _parse_one(text: str, size: int) -> tuple[int, int] | None:
    found = _RANGE.fullmatch(text)
    if not found or not (found[1] or found[2]):
        raise ValueError("invalid range")
    if not found[1]:
        length = min(int(found[2]), size)
        return size - length, length
    start = int(found[1])
    if start >= size:
        return None
    end = min(int(found[2]), size - 1) if found[2] else size - 1
    if start > end:
        raise ValueError("invalid range")
    return start, end - start + 1


def _parse_ranges(value: str, size: int) -> list[tuple[int, int]]:
    if not value:
        return []
    if not value.startswith("bytes="):
        raise ValueError("invalid range")
    parsed = [_parse_one(part, size) for part in value[6:].split(",") if part.strip()]
    ranges = [one for one in parsed if one]
    if parsed and not ranges:
        if size == 0:
            return []
        raise _NoOverlapError("invalid range: failed to overlap")
    return [] if sum(length for _, length in ranges) > size else ranges


@dataclass(frozen=True)
class ServedFile:
    """A file that is served.

    Args:
        view: the commit's files, from which the content is read.
        file: the file.
        version: the value of x-amz-version-id.
    """

    view: CommitView
    file: FileEntry
    version: str

    def _headers(self, *more: tuple[str, str]) -> tuple[tuple[str, str], ...]:
        return (("X-Amz-Version-Id", self.version), *more)

    def _validators(self) -> tuple[tuple[str, str], ...]:
        return (("Etag", self._etag), ("Last-Modified", http_date(self.file.committed)))

    def _modified(self) -> datetime:
        return self.file.committed.astimezone(UTC).replace(microsecond=0)

    @property
    def _etag(self) -> str:
        return f'"{self.file.hash}"'

    def _precondition_failed(self, request: S3Request) -> bool:
        match = quoted(request.header("if-match"))
        if match:
            return not names_strongly(match, self._etag)
        limit = http_time(request.header("if-unmodified-since"))
        return limit is not None and self._modified() > limit

    def _not_modified(self, request: S3Request) -> bool:
        none = quoted(request.header("if-none-match"))
        if none:
            return names_weakly(none, self._etag)
        limit = http_time(request.header("if-modified-since"))
        return limit is not None and self._modified() <= limit

    def _range_header(self, request: S3Request) -> str:
        condition = request.header("if-range")
        if condition and not in_range(condition, self._etag, self._modified()):
            return ""
        return request.header("range")

    def respond(self, request: S3Request) -> Response:
        """The answer to a GET or HEAD."""
        if self._precondition_failed(request):
            return Response(412, self._headers(*self._validators()))
        if self._not_modified(request):
            return Response(304, self._headers(self._validators()[0]))
        try:
            ranges = _parse_ranges(self._range_header(request), self.file.size)
        except ValueError as error:
            return self._bad_range(error)
        start = b"".join(self.view.read(self.file.path, 0, min(_SNIFFED, self.file.size)))
        kind = content_type(self.file.path, start)
        if len(ranges) > 1:
            return self._respond_ranges(ranges, kind)
        return self._respond_one(ranges[0] if ranges else None, kind)

    def _bad_range(self, error: ValueError) -> Response:
        where = (
            (("Content-Range", f"bytes */{self.file.size}"),) if isinstance(error, _NoOverlapError) else ()
        )
        plain = (("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff"))
        return Response(416, self._headers(*where, *plain), f"{error}\n".encode())

    def _respond_one(self, span: tuple[int, int] | None, kind: str) -> Response:
        start, length = span or (0, self.file.size)
        where = (("Content-Range", self._content_range(start, length)),) if span else ()
        headers = self._headers(
            ("Accept-Ranges", "bytes"),
            ("Content-Length", str(length)),
            ("Content-Type", kind),
            *where,
            *self._validators(),
        )
        return Response(206 if span else 200, headers, self.view.read(self.file.path, start, length))

    def _content_range(self, start: int, length: int) -> str:
        return f"bytes {start}-{start + length - 1}/{self.file.size}"

    def _respond_ranges(self, ranges: list[tuple[int, int]], kind: str) -> Response:
        boundary = secrets.token_hex(30)
        heads = [self._part_head(boundary, one, kind) for one in ranges]
        end = f"\r\n--{boundary}--\r\n".encode()
        total = sum(map(len, heads)) + 2 * (len(heads) - 1) + sum(length for _, length in ranges) + len(end)
        headers = self._headers(
            ("Accept-Ranges", "bytes"),
            ("Content-Length", str(total)),
            ("Content-Type", f"multipart/byteranges; boundary={boundary}"),
            *self._validators(),
        )
        return Response(206, headers, self._parts(heads, ranges, end))

    def _part_head(self, boundary: str, span: tuple[int, int], kind: str) -> bytes:
        lines = [f"--{boundary}", f"Content-Range: {self._content_range(*span)}", f"Content-Type: {kind}"]
        return "".join(line + "\r\n" for line in [*lines, ""]).encode()

    def _parts(self, heads: list[bytes], ranges: list[tuple[int, int]], end: bytes) -> Iterator[bytes]:
        for number, (head, (start, length)) in enumerate(zip(heads, ranges, strict=True)):
            yield (b"\r\n" if number else b"") + head
            yield from self.view.read(self.file.path, start, length)
        yield end

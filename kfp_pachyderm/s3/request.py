"""An S3 request as it came over the wire: bucket and key from the raw path, query, headers, body."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

from kfp_pachyderm.s3.errors import S3Error

_MAX_DOCUMENT = 4 * 2**20
_MOST_DIGITS = 19


def _uuid(digits: str) -> str:
    # the module uuid takes longer to import than a step's start can spare
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _nothing() -> None: ...


class Source(Protocol):
    """What a body is read from: `wsgi.input`."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; b"" at the end."""

    def readline(self, size: int, /) -> bytes:
        """At most `size` bytes, up to a line's end."""


@dataclass(frozen=True)
class S3Request:
    """One request.

    Args:
        method: "GET", ...
        raw_path: as sent, without query.
        path: the same, decoded.
        bucket: first element of the path; "" for the service itself.
        key: the rest; "" for the bucket itself.
        query: decoded parameters, in order, repeated names kept.
        headers: by lower-case name.
        body: the raw body.
        length: Content-Length, None when not given or chunked.
        raw_query: as sent, without the question mark.
        id: made up here, for the answer's x-amz-request-id: a UUID, as s2's are.
        tell_signed: to be called when the signature is right: the server lets its sender do more then.
    """

    method: str
    raw_path: str
    path: str
    bucket: str
    key: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: Source
    length: int | None
    raw_query: str = ""
    id: str = field(default_factory=lambda: _uuid(os.urandom(16).hex()))
    tell_signed: Callable[[], None] = _nothing

    def has(self, name: str) -> bool:
        """Whether the query names this parameter, with or without a value."""
        return any(found == name for found, _ in self.query)

    def param(self, name: str, default: str = "") -> str:
        """The query parameter's first value."""
        return next((value for found, value in self.query if found == name), default)

    def header(self, name: str, default: str = "") -> str:
        """The header's value, by lower-case name."""
        return self.headers.get(name, default)

    def document(self, root_limit: int = _MAX_DOCUMENT) -> bytes:
        """The whole body, for XML.

        Raises:
            S3Error: it is longer than any document S3 knows.
        """
        data = self.body.read(root_limit + 1)
        if len(data) > root_limit:
            raise S3Error("MalformedXML")
        return data


def number(name: str, text: str) -> int:
    """The text as a whole number that is not negative.

    Args:
        name: what the message calls it.

    Raises:
        S3Error: InvalidArgument.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise S3Error("InvalidArgument", f"{name} is {text[:_MOST_DIGITS]!r}, not a number")
    return int(text)


def decode(text: str) -> str:
    """Percent-decoding to UTF-8.

    Raises:
        S3Error: InvalidURI when the bytes are no UTF-8.
    """
    try:
        return unquote_to_bytes(text).decode()
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise S3Error("InvalidURI") from error


def _parse_query(text: str) -> tuple[tuple[str, str], ...]:
    pairs = (part.partition("=") for part in text.split("&") if part)
    return tuple(
        (decode(name.replace("+", " ")), decode(value.replace("+", " "))) for name, _, value in pairs
    )


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    names = {key[5:]: value for key, value in environ.items() if key.startswith("HTTP_")}
    for bare in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if bare in environ:
            names[bare] = environ[bare]
    return {name.lower().replace("_", "-"): value for name, value in names.items()}


def _length(headers: Mapping[str, str]) -> int | None:
    text = headers.get("content-length", "")
    return number("Content-Length", text) if text else None


def from_environ(environ: Mapping[str, Any]) -> S3Request:
    """The request in a WSGI environ that has the raw path in REQUEST_URI (cheroot).

    Raises:
        S3Error: a path or query that is no percent-encoded UTF-8, a Content-Length that is no number.
    """
    uri = environ["REQUEST_URI"]
    if not uri.startswith("/"):
        uri = "/" + uri.partition("://")[2].partition("/")[2]
    raw_path, _, raw_query = uri.partition("?")
    headers = environ.get("s3.headers") or _headers(environ)
    path = decode(raw_path)
    bucket, _, key = path[1:].partition("/")
    return S3Request(
        method=environ["REQUEST_METHOD"],
        raw_path=raw_path,
        path=path,
        bucket=bucket,
        key=key,
        query=_parse_query(raw_query),
        headers=headers,
        body=environ["wsgi.input"],
        length=_length(headers),
        raw_query=raw_query,
        tell_signed=environ.get("s3.signed", _nothing),
    )

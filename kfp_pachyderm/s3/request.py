"""An S3 request: bucket and key from the raw path, query parameters, headers, body."""

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
    # importing the module uuid would delay the step's start
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _nothing() -> None: ...


class Source(Protocol):
    """The interface that a body is read by; that of `wsgi.input`."""

    def read(self, size: int, /) -> bytes:
        """Returns at most `size` bytes; b"" at the end."""

    def readline(self, size: int, /) -> bytes:
        """Returns at most `size` bytes, up to the end of a line."""


@dataclass(frozen=True)
class S3Request:
    """One request.

    Args:
        method: the HTTP method: "GET", ...
        raw_path: the path as sent, without the query.
        path: the decoded path.
        bucket: the first element of the path; "" for the service itself.
        key: the rest of the path; "" for the bucket itself.
        query: the decoded query parameters, in order; repeated names are kept.
        headers: the headers' values by lower-case name.
        body: the raw body.
        length: Content-Length; None if the request has none.
        raw_query: the query as sent, without the question mark.
        id: the request's ID for the answer's x-amz-request-id: a UUID, as Pachyderm's library s2 makes it.
        tell_signed: to be called once the signature has been found correct. The server then allows its sender
            more connections and threads.
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
        """Tells whether the query has this parameter, with or without a value."""
        return any(found == name for found, _ in self.query)

    def param(self, name: str, default: str = "") -> str:
        """Returns the query parameter's first value."""
        return next((value for found, value in self.query if found == name), default)

    def header(self, name: str, default: str = "") -> str:
        """Returns the value of the header with that lower-case name."""
        return self.headers.get(name, default)

    def document(self, root_limit: int = _MAX_DOCUMENT) -> bytes:
        """Reads the whole body, an XML document.

        Raises:
            S3Error: MalformedXML when the body is longer than any document of S3's.
        """
        data = self.body.read(root_limit + 1)
        if len(data) > root_limit:
            raise S3Error("MalformedXML")
        return data


def number(name: str, text: str) -> int:
    """Parses a whole number that is not negative.

    Args:
        name: the parameter's or header's name, for the message.
        text: the number's text.

    Raises:
        S3Error: InvalidArgument.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise S3Error("InvalidArgument", f"{name} is {text[:_MOST_DIGITS]!r}, not a number")
    return int(text)


def decode(text: str) -> str:
    """Decodes percent-encoded UTF-8.

    Raises:
        S3Error: InvalidURI when the bytes are not UTF-8.
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
    """Reads the request from a WSGI environ, which has the raw path in REQUEST_URI (cheroot sets it).

    Raises:
        S3Error: InvalidURI for a path or query that is not percent-encoded UTF-8; InvalidArgument for a
            Content-Length that is not a number.
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

"""Conditional headers as Go's net/http reads them (fs.go), and for CopyObject s2 (util_header_match.go)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.request import S3Request

_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
#: http.TimeFormat, RFC 850, ANSI C.
_FORMATS = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")


def quoted(value: str) -> str:
    """An If-Match or If-None-Match as s2 rewrites it: one quoted ETag, unless it begins with a quote."""
    return value if not value or value.startswith('"') else f'"{value}"'


def names_strongly(value: str, etag: str) -> bool:
    """Whether an If-Match names the ETag; an unquoted ETag is never named."""
    return _names(value, lambda one: one == etag and one.startswith('"'))


def names_weakly(value: str, etag: str) -> bool:
    """Whether an If-None-Match names the ETag."""
    return _names(value, lambda one: one.removeprefix("W/") == etag.removeprefix("W/"))


def _names(value: str, is_it: Callable[[str], bool]) -> bool:
    rest = value
    while rest := rest.strip(" \t\r\n").lstrip(","):
        rest = rest.lstrip(" \t\r\n,")
        if rest.startswith("*"):
            return True
        found = _ETAG.match(rest)
        if not found:
            return False
        if is_it(found[0]):
            return True
        rest = rest[found.end() :]
    return False


def http_time(text: str) -> datetime | None:
    """A header's time, in one of the three formats that Go reads; None: the condition is ignored."""
    for form in _FORMATS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def in_range(value: str, etag: str, modified: datetime) -> bool:
    """Whether an If-Range header lets the Range header count."""
    if value.startswith(('"', 'W/"')):
        found = _ETAG.match(value)
        return bool(found) and names_strongly(found[0] if found else "", etag)
    return http_time(value) == modified


def check_copy(request: S3Request, etag: str, modified: datetime) -> None:
    """Checks the conditions of a CopyObject. s2 compares with the unquoted hash, so only "*" ever matches.

    Raises:
        S3Error: PreconditionFailed.
    """
    match, none, until, since = (
        request.header(f"x-amz-copy-source-if-{name}")
        for name in ("match", "none-match", "unmodified-since", "modified-since")
    )
    latest, earliest = http_time(until), http_time(since)
    if (
        (match and not names_strongly(match, etag))
        or (none and names_weakly(none, etag))
        or (latest and modified > latest)
        or (earliest and modified <= earliest)
    ):
        raise S3Error("PreconditionFailed")

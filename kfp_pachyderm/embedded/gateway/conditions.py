"""Conditions as Go's net/http (fs.go) and s2's copy of it for copies (util_header_match.go) read them."""

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
    """What s2 makes of If-Match and If-None-Match: one ETag, unless it begins with a quote."""
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
    """A moment from a header, in one of the three ways that Go reads; None: the condition is ignored."""
    for form in _FORMATS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def in_range(value: str, etag: str, modified: datetime) -> bool:
    """Whether an If-Range lets a Range count."""
    if value.startswith(('"', 'W/"')):
        found = _ETAG.match(value)
        return bool(found) and names_strongly(found[0] if found else "", etag)
    return http_time(value) == modified


def check_copy(request: S3Request, etag: str, modified: datetime) -> None:
    """Checks the conditions of a copy; s2 compares with the hash without quotes, so only "*" is ever named.

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

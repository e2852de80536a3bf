"""Range headers and conditional headers, with the meaning that S3 gives them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.request import S3Request

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


@dataclass(frozen=True)
class Span:
    """A part of an object: `length` bytes from `start`."""

    start: int
    length: int


def parse_range(value: str, size: int) -> Span | None:
    """Parses a Range header for an object of `size` bytes.

    Returns:
        The span; None for the whole object, also if the header can't be read: S3 ignores it then.

    Raises:
        S3Error: InvalidRange when the range holds no byte of the object.
    """
    found = _RANGE.fullmatch(value.strip())
    if not found or not (found[1] or found[2]):
        return None
    if found[1]:
        start, end = int(found[1]), min(int(found[2]) if found[2] else size, size - 1)
        if found[2] and int(found[2]) < start:
            return None
    else:
        start, end = max(size - int(found[2]), 0), size - 1
    if start >= size or end < start:
        raise S3Error(
            "InvalidRange",
            headers=(("Content-Range", f"bytes */{size}"),),
            # AWS's CRT clients read from these that an object is empty
            fields=(("RangeRequested", value), ("ActualObjectSize", str(size))),
        )
    return Span(start, end - start + 1)


def http_date(moment: datetime) -> str:
    """Formats a time for an HTTP header."""
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def parse_date(value: str) -> datetime | None:
    """Parses the time of an HTTP header; None if it can't be read, since HTTP ignores such a condition."""
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def names_etag(header: str, etag: str) -> bool:
    """Tells whether an If-Match or If-None-Match header names the ETag; quotes and `W/` don't matter."""
    names = [name.strip().removeprefix("W/").strip('"') for name in header.split(",")]
    return "*" in names or etag in names


@dataclass(frozen=True)
class Conditions:
    """The conditions of a request, each the header's value, "" if it is not set."""

    match: str
    none_match: str
    modified_since: str
    unmodified_since: str

    @classmethod
    def of(cls, request: S3Request, prefix: str = "") -> Conditions:
        """Reads the conditions from the request's headers.

        Args:
            request: the request.
            prefix: of the headers' names; "x-amz-copy-source-" for conditions on a copy's source.
        """
        names = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")
        return cls(*(request.header(prefix + name) for name in names))

    def _failed(self, etag: str, modified: datetime) -> bool:
        if self.match:
            return not names_etag(self.match, etag)
        limit = parse_date(self.unmodified_since) if self.unmodified_since else None
        return limit is not None and modified > limit

    def _unchanged(self, etag: str, modified: datetime) -> bool:
        if self.none_match:
            return names_etag(self.none_match, etag)
        limit = parse_date(self.modified_since) if self.modified_since else None
        return limit is not None and modified <= limit

    def check(self, etag: str, modified: datetime) -> bool:
        """Checks the conditions against an object.

        Args:
            etag: the object's ETag without quotes.
            modified: when the object was written; compared in whole seconds, as HTTP has them.

        Returns:
            False if the object has not changed: the answer is then 304 to a GET, 412 to a copy or a write.

        Raises:
            S3Error: PreconditionFailed when If-Match or If-Unmodified-Since does not hold.
        """
        modified = modified.replace(microsecond=0)
        if self._failed(etag, modified):
            raise S3Error("PreconditionFailed")
        return not self._unchanged(etag, modified)

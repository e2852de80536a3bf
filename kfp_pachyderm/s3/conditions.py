"""Ranged and conditional requests, as S3 answers them."""

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
    """The span that a Range header asks for; None: the whole object (S3 ignores what it can't read).

    Raises:
        S3Error: InvalidRange when nothing of the object lies in it.
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
            # how AWS's CRT clients see that an object is empty
            fields=(("RangeRequested", value), ("ActualObjectSize", str(size))),
        )
    return Span(start, end - start + 1)


def http_date(moment: datetime) -> str:
    """The moment as HTTP headers have it."""
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def parse_date(value: str) -> datetime | None:
    """A moment from an HTTP header; None when it can't be read (HTTP ignores such a condition)."""
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def names_etag(header: str, etag: str) -> bool:
    """Whether an If-Match or If-None-Match header names the ETag; quotes and weakness don't matter."""
    names = [name.strip().removeprefix("W/").strip('"') for name in header.split(",")]
    return "*" in names or etag in names


@dataclass(frozen=True)
class Conditions:
    """The conditions of a request, on the object itself or (`prefix`) on a copy's source."""

    match: str
    none_match: str
    modified_since: str
    unmodified_since: str

    @classmethod
    def of(cls, request: S3Request, prefix: str = "") -> Conditions:
        """The conditions that the request's headers hold."""
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
        """Whether the content is wanted: False means 304 for a GET, 412 for a copy.

        Args:
            etag: without quotes.
            modified: the object's time; HTTP counts whole seconds.

        Raises:
            S3Error: PreconditionFailed.
        """
        modified = modified.replace(microsecond=0)
        if self._failed(etag, modified):
            raise S3Error("PreconditionFailed")
        return not self._unchanged(etag, modified)

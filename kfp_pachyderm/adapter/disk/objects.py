"""What the adapter's buckets hold, and what a bucket can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Protocol

from kfp_pachyderm.adapter.disk.staged_object import Staged
from kfp_pachyderm.adapter.disk.upload_piece import Piece
from kfp_pachyderm.adapter.encoding import encode
from kfp_pachyderm.s3.request import S3Request

DEFAULT_TYPE = "binary/octet-stream"
_KEPT = ("cache-control", "content-disposition", "content-language", "expires")

#: `length` bytes from `start`
Reader = Callable[[int, int], Iterator[bytes]]


@dataclass(frozen=True)
class Attributes:
    """What an upload says about its object.

    Args:
        content_type: as sent.
        headers: what a read gives back: user metadata and the like.
        checksums: headers for a read that asks for them.
    """

    content_type: str = DEFAULT_TYPE
    headers: tuple[tuple[str, str], ...] = ()
    checksums: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, request: S3Request) -> Attributes:
        """The attributes that a request's headers set."""
        headers = [(n, v) for n, v in request.headers.items() if n in _KEPT or n.startswith("x-amz-meta-")]
        encoding = [part.strip() for part in request.header("content-encoding").split(",")]
        encoding = [part for part in encoding if part and part != "aws-chunked"]
        if encoding:
            headers.append(("content-encoding", ", ".join(encoding)))
        return cls(request.header("content-type") or DEFAULT_TYPE, tuple(headers))


def etag(md5: bytes, sha256: bytes) -> str:
    """The ETag of an object or part that came in one piece: its MD5, or what can't be taken for one.

    Clients that compare it with an MD5 of their own and do not send that (AWS's SDK for Java 1,
    SkipMd5CheckStrategy.isMultipartUploadETag; s3cmd; rclone) leave alone what has a dash, as S3's own ETags
    have with SSE-KMS or in parts.

    Args:
        md5: b"" where it was not computed.
        sha256: needed there.
    """
    return md5.hex() or f"{sha256.hex()[:32]}-1"


@dataclass(frozen=True)
class Stored:
    """One object.

    Args:
        key: its key.
        size: bytes.
        etag: without quotes.
        modified: when it was written.
        read: its content.
        pieces: what it was uploaded in, in order; none for an input's object.
        attributes: what the upload said about it.
        multipart: whether the pieces are the parts of a multipart upload.
        spooled: whether its content lies in the spool, for as long as this object is used.
        staged: its way into Pachyderm if it is large.
    """

    key: str
    size: int
    etag: str
    modified: datetime
    read: Reader
    pieces: tuple[Piece, ...] = ()
    attributes: Attributes = Attributes()
    multipart: bool = False
    spooled: bool = True
    staged: Staged | None = None

    @property
    def parts(self) -> tuple[Piece, ...]:
        """The parts of a multipart upload; none when it came in one piece."""
        return self.pieces if self.multipart else ()

    @cached_property
    def encoded(self) -> Stored:
        """The same object under the name that Pachyderm can hold; the same one every time."""
        return replace(self, key=encode(self.key))

    def at(self, key: str, modified: datetime, attributes: Attributes) -> Stored:
        """The same content under another key."""
        staged = self.staged and self.staged.under(key)
        return replace(self, key=key, modified=modified, attributes=attributes, staged=staged)

    def elsewhere(self, read: Reader) -> Stored:
        """The same object whose content is read by its key from somewhere else."""
        return replace(self, read=read, spooled=False, staged=None)


class Bucket(Protocol):
    """What every bucket can do."""

    def find(self, key: str) -> Stored | None:
        """The object of that key."""

    def walk(self, prefix: str, after: str) -> Iterator[Stored]:
        """Objects whose key starts with `prefix` and is greater than `after`, in order."""

"""The objects of the adapter's buckets, and the interface of a bucket."""

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

#: Yields `length` bytes from the offset `start`: the arguments are (start, length).
Reader = Callable[[int, int], Iterator[bytes]]


@dataclass(frozen=True)
class Attributes:
    """The headers that an upload sets on its object.

    Args:
        content_type: Content-Type as sent.
        headers: further headers that a read returns: user metadata, Cache-Control and the like.
        checksums: checksum headers, which a read returns if it asks for them.
    """

    content_type: str = DEFAULT_TYPE
    headers: tuple[tuple[str, str], ...] = ()
    checksums: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, request: S3Request) -> Attributes:
        """Reads the attributes from a request's headers; without checksums."""
        headers = [(n, v) for n, v in request.headers.items() if n in _KEPT or n.startswith("x-amz-meta-")]
        encoding = [part.strip() for part in request.header("content-encoding").split(",")]
        encoding = [part for part in encoding if part and part != "aws-chunked"]
        if encoding:
            headers.append(("content-encoding", ", ".join(encoding)))
        return cls(request.header("content-type") or DEFAULT_TYPE, tuple(headers))


def etag(md5: bytes, sha256: bytes) -> str:
    """Returns the ETag of an object or part that came in one piece: its MD5, or a text with a dash.

    Some clients compare the ETag with an MD5 that they compute and do not send (AWS's SDK for Java 1,
    SkipMd5CheckStrategy.isMultipartUploadETag; s3cmd; rclone). They do not compare an ETag that has a dash,
    which S3's own ETags have for multipart uploads and with SSE-KMS.

    Args:
        md5: the content's MD5, b"" where it was not computed.
        sha256: the content's SHA-256; needed where `md5` is b"".
    """
    return md5.hex() or f"{sha256.hex()[:32]}-1"


@dataclass(frozen=True)
class Stored:
    """One object.

    Args:
        key: its key.
        size: bytes.
        etag: its ETag without quotes.
        modified: when it was written.
        read: reads its content.
        pieces: the pieces in which it was uploaded, in order; none for an input's object.
        attributes: the headers that the upload set.
        multipart: whether the pieces are the parts of a multipart upload.
        spooled: whether its content lies in the spool; the content stays there as long as this `Stored`
            lives.
        staged: its file sets, by which a large object goes to Pachyderm; None: it goes in a ModifyFile
            stream.
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
        """The parts of its multipart upload; none if it was uploaded in one piece."""
        return self.pieces if self.multipart else ()

    @cached_property
    def encoded(self) -> Stored:
        """This object under its encoded key. Each access returns the same `Stored`, which callers compare."""
        return replace(self, key=encode(self.key))

    def at(self, key: str, modified: datetime, attributes: Attributes) -> Stored:
        """Returns an object with the same content under another key."""
        staged = self.staged and self.staged.under(key)
        return replace(self, key=key, modified=modified, attributes=attributes, staged=staged)

    def elsewhere(self, read: Reader) -> Stored:
        """Returns the same object with its content outside of the spool: `read` reads it."""
        return replace(self, read=read, spooled=False, staged=None)


class Bucket(Protocol):
    """The interface of every bucket."""

    def find(self, key: str) -> Stored | None:
        """Returns the object of that key, None if there is none."""

    def walk(self, prefix: str, after: str) -> Iterator[Stored]:
        """Yields the objects whose key starts with `prefix` and is greater than `after`, in order."""

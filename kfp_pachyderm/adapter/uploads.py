"""Multipart uploads into the output bucket: parts on disk, put together without copying."""

from __future__ import annotations

import hashlib
import itertools
import threading
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

from kfp_pachyderm.adapter.objects import Attributes, Stored
from kfp_pachyderm.adapter.outputs import reader
from kfp_pachyderm.adapter.spool import SpoolFile
from kfp_pachyderm.s3 import xml
from kfp_pachyderm.s3.errors import S3Error

_SMALLEST = 5 * 2**20


@dataclass(frozen=True)
class Part:
    """One part.

    Args:
        file: its content.
        md5: of its content.
        modified: when it was uploaded.
    """

    file: SpoolFile
    md5: bytes
    modified: datetime


@dataclass
class Upload:
    """One multipart upload.

    Args:
        key: what it will be called.
        attributes: what it will say of itself.
    """

    id: str
    key: str
    attributes: Attributes
    started: datetime
    parts: dict[int, Part] = field(default_factory=dict)


def wanted_parts(document: bytes) -> list[tuple[int, str]]:
    """Numbers and ETags of a CompleteMultipartUpload document.

    Raises:
        S3Error: MalformedXML, InvalidPartOrder.
    """
    root = xml.parse(document, "CompleteMultipartUpload")
    try:
        parts = [
            (int(node.value("PartNumber")), node.value("ETag").strip().strip('"'))
            for node in root.all("Part")
        ]
    except ValueError as error:
        raise S3Error("MalformedXML") from error
    if not parts:
        raise S3Error("MalformedXML")
    if any(one >= other for (one, _), (other, _) in itertools.pairwise(parts)):
        raise S3Error("InvalidPartOrder")
    return parts


class Uploads:
    """The multipart uploads that are under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._uploads: dict[str, Upload] = {}
        self._completed: dict[str, tuple[str, str]] = {}

    def create(self, key: str, attributes: Attributes) -> Upload:
        """A new upload."""
        upload = Upload(uuid.uuid4().hex, key, attributes, datetime.now(UTC))
        with self._lock:
            self._uploads[upload.id] = upload
        return upload

    def find(self, upload_id: str, key: str) -> Upload:
        """The upload of that ID and key.

        Raises:
            S3Error: NoSuchUpload.
        """
        upload = self._uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise S3Error("NoSuchUpload")
        return upload

    def drop(self, upload_id: str) -> None:
        """Forgets an upload and its parts."""
        with self._lock:
            self._uploads.pop(upload_id, None)

    def complete(self, upload: Upload, etag: str) -> None:
        """Forgets the parts, but not the upload: clients ask again after a lost answer."""
        with self._lock:
            self._uploads.pop(upload.id, None)
            self._completed[upload.id] = (upload.key, etag)

    def completed(self, upload_id: str, key: str) -> str | None:
        """The ETag of what was completed before."""
        found_key, etag = self._completed.get(upload_id, ("", ""))
        return etag if etag and found_key == key else None

    def under_way(self) -> list[Upload]:
        """All of them, in order of their keys."""
        with self._lock:
            return sorted(self._uploads.values(), key=lambda upload: (upload.key, upload.started))


def assemble(upload: Upload, wanted: list[tuple[int, str]]) -> Stored:
    """The object that the wanted parts make up.

    Raises:
        S3Error: InvalidPart, EntityTooSmall.
    """
    parts = []
    for number, etag in wanted:
        part = upload.parts.get(number)
        if part is None or part.md5.hex() != etag:
            raise S3Error("InvalidPart")
        parts.append(part)
    if any(part.file.size < _SMALLEST for part in parts[:-1]):
        raise S3Error("EntityTooSmall")
    digest = hashlib.md5(b"".join(part.md5 for part in parts), usedforsecurity=False).hexdigest()
    return Stored(
        key=upload.key,
        size=sum(part.file.size for part in parts),
        etag=f"{digest}-{len(parts)}",
        modified=datetime.now(UTC),
        read=reader(*(part.file for part in parts)),
        digests=tuple((part.file.size, part.md5) for part in parts),
        attributes=upload.attributes,
    )

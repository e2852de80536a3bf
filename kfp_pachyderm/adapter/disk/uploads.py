"""Multipart uploads into the output bucket: parts on disk, put together without copying."""

from __future__ import annotations

import hashlib
import itertools
import os
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from kfp_pachyderm.adapter.disk.objects import Attributes, Stored, etag
from kfp_pachyderm.adapter.disk.spool import SpoolFile, reader
from kfp_pachyderm.adapter.disk.staged_object import STEP, Staged
from kfp_pachyderm.adapter.disk.upload_piece import Piece
from kfp_pachyderm.s3 import xml
from kfp_pachyderm.s3.content.checksums import PREFIX, TYPE, element, whole
from kfp_pachyderm.s3.errors import S3Error

_SMALLEST = 5 * 2**20


@dataclass(frozen=True)
class Part:
    """One part.

    Args:
        file: its content.
        md5: of its content, b"" when the SHA-256 is all that is known.
        sha256: of its content, b"" where the MD5 will do.
        modified: when it was uploaded.
        checksum: by its upload's algorithm, "" if that has none.
    """

    file: SpoolFile
    md5: bytes
    sha256: bytes
    modified: datetime
    checksum: str = ""

    @property
    def etag(self) -> str:
        """Without quotes."""
        return etag(self.md5, self.sha256)

    def piece(self, number: int, header: str) -> Piece:
        """What the object keeps of it."""
        checksums = ((header, self.checksum),) if header else ()
        return Piece(number, self.file.size, self.md5, self.sha256, checksums)


@dataclass
class Upload:
    """One multipart upload.

    Args:
        key: what it will be called.
        attributes: what it will say of itself.
        algorithm: of the checksums of its parts, "" for none.
        kind: of the whole object's checksum.
        staged: what takes the parts to Pachyderm ahead.
    """

    id: str
    key: str
    attributes: Attributes
    algorithm: str
    kind: str
    started: datetime
    staged: Staged
    parts: dict[int, Part] = field(default_factory=dict)
    _together: int = 0
    _size: int = 0

    def add(self, number: int, part: Part) -> None:
        """Takes a part; those that follow each other from the first on are perhaps the object's beginning."""
        self.parts[number] = part
        before = self._size // STEP
        while self._together + 1 in self.parts:
            self._together += 1
            self._size += self.parts[self._together].file.size
        if self._size // STEP > before:
            self.staged.grown(*(self.parts[one].file for one in range(1, self._together + 1)))

    @property
    def header(self) -> str:
        """Name of its checksums' header, "" if it has none."""
        return PREFIX + self.algorithm if self.algorithm else ""

    def checksum_fields(self) -> xml.Fields:
        """What documents say about its checksums."""
        if not self.algorithm:
            return []
        return [("ChecksumAlgorithm", self.algorithm.upper()), ("ChecksumType", self.kind)]


@dataclass(frozen=True)
class Wanted:
    """What a CompleteMultipartUpload document says about one part."""

    number: int
    etag: str
    node: xml.Node

    def is_met(self, upload: Upload) -> bool:
        """Whether the upload has that part, with this ETag and, where it is given, this checksum."""
        part = upload.parts.get(self.number)
        if part is None or part.etag != self.etag:
            return False
        checksum = self.node.value(element(upload.header)) if upload.header else ""
        return checksum in ("", part.checksum)


def wanted_parts(document: bytes) -> list[Wanted]:
    """The parts that a CompleteMultipartUpload document names.

    Raises:
        S3Error: MalformedXML, InvalidPartOrder.
    """
    root = xml.parse(document, "CompleteMultipartUpload")
    try:
        parts = [
            Wanted(int(node.value("PartNumber")), node.value("ETag").strip().strip('"'), node)
            for node in root.all("Part")
        ]
    except ValueError as error:
        raise S3Error("MalformedXML") from error
    if not parts:
        raise S3Error("MalformedXML")
    if any(one.number > other.number for one, other in itertools.pairwise(parts)):
        raise S3Error("InvalidPartOrder")
    # a client that uploads a part again may name it twice
    return list({part.number: part for part in parts}.values())


class Uploads:
    """The multipart uploads that are under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._uploads: dict[str, Upload] = {}
        self._completed: dict[str, tuple[str, xml.Fields]] = {}

    def create(self, attributes: Attributes, algorithm: str, kind: str, staged: Staged) -> Upload:
        """A new upload; its ID sorts behind those of earlier ones, as listings want it."""
        upload_id = f"{time.time_ns():016x}{os.urandom(8).hex()}"
        upload = Upload(upload_id, staged.key, attributes, algorithm, kind, datetime.now(UTC), staged)
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
            dropped = self._uploads.pop(upload_id, None)
        if dropped:
            dropped.staged.drop()

    def complete(self, upload: Upload, answer: xml.Fields) -> None:
        """Forgets the parts, but not what was answered: clients ask again after a lost answer."""
        with self._lock:
            self._uploads.pop(upload.id, None)
            self._completed[upload.id] = (upload.key, answer)

    def completed(self, upload_id: str, key: str) -> xml.Fields | None:
        """What was answered when the upload was completed before."""
        found_key, answer = self._completed.get(upload_id, ("", []))
        return answer if answer and found_key == key else None

    def under_way(self) -> list[Upload]:
        """All of them, in order of their keys and of their making."""
        with self._lock:
            return sorted(self._uploads.values(), key=lambda upload: (upload.key, upload.id))


def _checksums(upload: Upload, parts: list[Part]) -> tuple[tuple[str, str], ...]:
    if not upload.header:
        return ()
    value = whole(upload.algorithm, upload.kind, [(part.checksum, part.file.size) for part in parts])
    return ((upload.header, value), (TYPE, upload.kind))


def assemble(upload: Upload, wanted: list[Wanted]) -> Stored:
    """The object that the wanted parts make up.

    Raises:
        S3Error: InvalidPart, EntityTooSmall.
    """
    if not all(one.is_met(upload) for one in wanted):
        raise S3Error("InvalidPart")
    numbers = [one.number for one in wanted]
    parts = [upload.parts[number] for number in numbers]
    if any(part.file.size < _SMALLEST for part in parts[:-1]):
        raise S3Error("EntityTooSmall")
    digest = hashlib.md5(
        b"".join(part.md5 or part.sha256 for part in parts), usedforsecurity=False
    ).hexdigest()
    upload.staged.grown(*(part.file for part in parts))
    return Stored(
        key=upload.key,
        size=sum(part.file.size for part in parts),
        etag=f"{digest}-{len(parts)}",
        modified=datetime.now(UTC),
        read=reader(*(part.file for part in parts)),
        pieces=tuple(part.piece(number, upload.header) for number, part in zip(numbers, parts, strict=True)),
        attributes=replace(upload.attributes, checksums=_checksums(upload, parts)),
        multipart=True,
        staged=upload.staged,
    )

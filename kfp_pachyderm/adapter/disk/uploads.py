"""Multipart uploads into the output bucket: their parts are on disk, and are joined without copying."""

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
    """One part. It has an MD5, a SHA-256, or both.

    Args:
        file: its content in the spool.
        md5: the content's MD5, b"" if it was not computed.
        sha256: the content's SHA-256, b"" if it was not computed.
        modified: when it was uploaded.
        checksum: the checksum by the upload's algorithm, "" if the upload has none.
    """

    file: SpoolFile
    md5: bytes
    sha256: bytes
    modified: datetime
    checksum: str = ""

    @property
    def etag(self) -> str:
        """The part's ETag, without quotes."""
        return etag(self.md5, self.sha256)

    def piece(self, number: int, header: str) -> Piece:
        """Returns the part as a piece of its object.

        Args:
            number: the part's number.
            header: name of the checksum's header, "" for none.
        """
        checksums = ((header, self.checksum),) if header else ()
        return Piece(number, self.file.size, self.md5, self.sha256, checksums)


@dataclass
class Upload:
    """One multipart upload.

    Args:
        id: the upload's ID.
        key: the object's key.
        attributes: the headers that the object will have.
        algorithm: the algorithm of the parts' checksums, "" for none.
        kind: the type of the whole object's checksum, COMPOSITE or FULL_OBJECT.
        started: when it was created.
        staged: sends the first parts to Pachyderm before the upload is complete.
        parts: part number → part.
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
        """Takes a part.

        The parts from number 1 up to the first gap are probably the object's beginning, so sending them
        starts.
        """
        self.parts[number] = part
        before = self._size // STEP
        while self._together + 1 in self.parts:
            self._together += 1
            self._size += self.parts[self._together].file.size
        if self._size // STEP > before:
            self.staged.grown(*(self.parts[one].file for one in range(1, self._together + 1)))

    @property
    def header(self) -> str:
        """The name of the checksums' header, "" if the upload has no algorithm."""
        return PREFIX + self.algorithm if self.algorithm else ""

    def checksum_fields(self) -> xml.Fields:
        """Returns the XML elements that describe the upload's checksums."""
        if not self.algorithm:
            return []
        return [("ChecksumAlgorithm", self.algorithm.upper()), ("ChecksumType", self.kind)]


@dataclass(frozen=True)
class Wanted:
    """One part that a CompleteMultipartUpload document names."""

    number: int
    etag: str
    node: xml.Node

    def is_met(self, upload: Upload) -> bool:
        """Tells whether the upload has that part, with this ETag and this checksum, if one is given."""
        part = upload.parts.get(self.number)
        if part is None or part.etag != self.etag:
            return False
        checksum = self.node.value(element(upload.header)) if upload.header else ""
        return checksum in ("", part.checksum)


def wanted_parts(document: bytes) -> list[Wanted]:
    """Returns the parts that a CompleteMultipartUpload document names.

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
    # a client that uploads a part again may name it twice; the last entry counts
    return list({part.number: part for part in parts}.values())


class Uploads:
    """The multipart uploads of the output bucket: those in progress, and the answers of completed ones.

    Whoever changes an upload holds `changing`, from finding the upload on. So an upload ends once, by
    CompleteMultipartUpload or by AbortMultipartUpload, and no part joins it afterwards.
    """

    def __init__(self) -> None:
        self.changing = threading.RLock()
        self._uploads: dict[str, Upload] = {}
        self._completed: dict[str, tuple[str, xml.Fields]] = {}

    def create(self, attributes: Attributes, algorithm: str, kind: str, staged: Staged) -> Upload:
        """Begins an upload. Its ID sorts behind those of earlier uploads, because listings go by ID."""
        upload_id = f"{time.time_ns():016x}{os.urandom(8).hex()}"
        upload = Upload(upload_id, staged.key, attributes, algorithm, kind, datetime.now(UTC), staged)
        with self.changing:
            self._uploads[upload.id] = upload
        return upload

    def find(self, upload_id: str, key: str) -> Upload:
        """Returns the upload of that ID and key.

        Raises:
            S3Error: NoSuchUpload.
        """
        upload = self._uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise S3Error("NoSuchUpload")
        return upload

    def drop(self, upload_id: str) -> None:
        """Forgets an upload and its parts."""
        with self.changing:
            dropped = self._uploads.pop(upload_id, None)
        if dropped:
            dropped.staged.drop()

    def complete(self, upload: Upload, answer: xml.Fields) -> None:
        """Forgets the upload and keeps the answer: a client repeats the request if the answer is lost."""
        with self.changing:
            self._uploads.pop(upload.id, None)
            self._completed[upload.id] = (upload.key, answer)

    def completed(self, upload_id: str, key: str) -> xml.Fields | None:
        """Returns the answer of an upload that has been completed before, None if there is none."""
        found_key, answer = self._completed.get(upload_id, ("", []))
        return answer if answer and found_key == key else None

    def under_way(self) -> list[Upload]:
        """Returns the uploads in progress, ordered by key, then by time of creation."""
        with self.changing:
            return sorted(self._uploads.values(), key=lambda upload: (upload.key, upload.id))


def _checksums(upload: Upload, parts: list[Part]) -> tuple[tuple[str, str], ...]:
    if not upload.header:
        return ()
    value = whole(upload.algorithm, upload.kind, [(part.checksum, part.file.size) for part in parts])
    return ((upload.header, value), (TYPE, upload.kind))


def assemble(upload: Upload, wanted: list[Wanted]) -> Stored:
    """Joins the wanted parts into one object.

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

"""A large object that goes to Pachyderm in file sets. Sending begins while the client still uploads it.

A file set is in no commit until it is added to one. Pachyderm forgets it after ten minutes, unless it is
renewed (Pachyderm src/server/pfs/server/server_file.go, createFileSet). So an upload that breaks off or fails
its checksum leaves nothing in the output.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from functools import cache

from kfp_pachyderm.adapter.call_failed import CallFailedError
from kfp_pachyderm.adapter.disk.renewal import Renewal
from kfp_pachyderm.adapter.disk.segments import SEGMENT, Segment, SegmentFinder
from kfp_pachyderm.adapter.disk.spool import SpoolFile
from kfp_pachyderm.adapter.disk.upload_piece import Piece
from kfp_pachyderm.protocol.file_hash import can_hash_large_files

#: Bytes from which on an object goes in file sets. Smaller ones share a ModifyFile stream.
LARGE = 2 * SEGMENT
#: Bytes by which an object has to grow before its new content is hashed.
STEP = 16 * 2**20
#: So many growths may wait to be hashed before the client has to wait for the first of them.
_BEHIND = 2
#: The longest time that a client waits so, in seconds. Its own timeout for an answer is longer.
_LONGEST_WAIT = 10.0
_AT_ONCE = 2

#: Makes a file set and returns its ID. Arguments: the object's key, the segment, and whether it is the
#: object's first one. The first file set also removes the file's earlier content.
Create = Callable[[str, Segment, bool], str]


def stages(size: int) -> bool:
    """Tells whether an object of that many bytes goes in file sets. Only if its chunks can be found."""
    return size >= LARGE and can_hash_large_files()


@cache
def hasher() -> ThreadPoolExecutor:
    """Returns the executor for hashing. It has one thread, which hashes faster than any stream sends."""
    return ThreadPoolExecutor(1, thread_name_prefix="hash")


@cache
def _senders() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="file-set")


class Staged:
    """One object's content, and the file sets that have been made of it.

    Args:
        key: the object's key; a file set holds the file's path, so it is of no use for another key.
        create: makes a file set.
        renewal: renews the file sets until they are in a commit.
    """

    def __init__(self, key: str, create: Create, renewal: Renewal) -> None:
        self.key = key
        self.files: tuple[SpoolFile, ...] = ()
        self._create, self._renewal = create, renewal
        self._lock = threading.Lock()
        self._told = 0
        self._looks = deque[Future[None]]()
        self._look = SegmentFinder()
        self._sets: list[tuple[Segment, Future[str]]] = []
        #: The ID of the file set that they have been composed to.
        self._whole: str | None = None
        self._added = False

    @property
    def taken(self) -> int:
        """Bytes of the content that have been read for sending."""
        return sum(segment.taken for segment, _ in tuple(self._sets))

    def grown(self, *files: SpoolFile, expected: int = 0) -> None:
        """Takes the files of the content as far as they have arrived, and starts to send complete segments.

        Args:
            files: the spool files that hold the content so far, in order.
            expected: the whole content's size in bytes, 0 if it is not known.
        """
        size = sum(file.size for file in files)
        with self._lock:
            self.files = files
            if max(size, expected) < LARGE or size < self._told + STEP:
                return
            self._told = size
            self._looks.append(hasher().submit(self._ahead))

    def keep_up(self) -> None:
        """Waits while hashing is far behind.

        What a client is ahead by is hashed and sent after the step's command.
        """
        with self._lock:
            late = self._looks.popleft() if len(self._looks) > _BEHIND else None
        if late:
            wait([late], _LONGEST_WAIT)

    def arriving(self, file: SpoolFile, *, expected: int = 0) -> None:
        """Takes the only file of the content while it grows, as `grown`, and keeps up with it."""
        self.grown(file, expected=expected)
        self.keep_up()

    def _ahead(self) -> None:
        # `ids` does the same again, and raises what fails here
        with suppress(ImportError, OSError, EOFError):
            self._through(self._create, whole=False)

    def _through(self, create: Create, whole: bool) -> list[Future[str]]:
        """Hashes new content, and starts to send the segments that have no file set yet; runs in `hasher`."""
        files = self.files
        if not self._look.fits(files):
            self._look = SegmentFinder()
            self.forget()
        self._send_all(files, False, create)
        for _ in self._look.take(files):
            if not self.files:
                break  # dropped
            # a segment is on its way as soon as its end is found: the rest may take longer than the sending
            if len(self._look.ends) > len(self._sets):
                self._send_all(files, False, create)
        return self._send_all(files, whole, create)

    def _send_all(self, files: tuple[SpoolFile, ...], whole: bool, create: Create) -> list[Future[str]]:
        with self._lock:
            if not self.files:
                return []  # dropped
            for index, segment in enumerate(self._look.segments(files, whole)):
                self._send(index, segment, create)
            return [made for _, made in self._sets]

    def _send(self, index: int, segment: Segment, create: Create) -> None:
        made = self._sets[index][1] if index < len(self._sets) else None
        if made is None or _failed(made):
            sent = _senders().submit(create, self.key, segment, index == 0)
            self._sets[index : index + 1] = [(segment, sent)]
            self._renewal.watch(self)

    def ids(self, create: Create, until: float) -> list[str]:
        """Returns the IDs of the file sets that hold the whole content, in order.

        Args:
            create: makes the file sets that are missing or failed.
            until: `time.monotonic()` at which it gives up.

        Raises:
            CallFailedError: a file set could not be made.
            OSError, EOFError: the content can't be read.
        """
        self._whole, self._added = None, False
        try:
            looked = hasher().submit(self._through, create, whole=True)
            made = looked.result(max(until - time.monotonic(), 0))
            return [one.result(max(until - time.monotonic(), 0)) for one in made]
        except TimeoutError:
            raise CallFailedError("did not take all of it in time", True) from None

    def put_together(self, whole: str) -> None:
        """Takes the ID of the file set that the object's file sets have been composed to."""
        self._whole = whole

    def added(self) -> None:
        """Notes that the file sets are in a commit: they need no renewal, unless the commit is erased."""
        self._added = True

    def held(self) -> list[str]:
        """Returns the IDs of the file sets that have to be renewed."""
        with self._lock:
            if self._added:
                return []
            made = [one.result() for _, one in self._sets if one.done() and not _failed(one)]
            return made + ([self._whole] if self._whole else [])

    def lose(self, id_: str) -> None:
        """Sends the segment of a file set again, because Pachyderm has forgotten it."""
        with self._lock:
            for index, (segment, made) in enumerate(self._sets):
                if made.done() and not _failed(made) and made.result() == id_:
                    self._sets[index] = (segment, _lost())
        hasher().submit(self._ahead)

    def hash(self, pieces: tuple[Piece, ...]) -> bytes | None:
        """Computes Pachyderm's hash of the content; runs in `hasher`.

        Returns:
            The hash; None if the spool files differ from the pieces that the client sent.
        """
        self._through(self._create, whole=False)
        found = zip(self.files, self._look.digests, pieces, strict=True)
        right = all(_has(file, digest, piece) for file, digest, piece in found)
        return self._look.hash.digest() if right else None

    def under(self, key: str) -> Staged:
        """Returns a `Staged` of the same content for another key, without file sets."""
        if key == self.key:
            return self
        other = Staged(key, self._create, self._renewal)
        other.files = self.files
        return other

    @contextmanager
    def dropped_on_error(self) -> Iterator[None]:
        """Drops the object if the block, which puts it into its bucket, raises."""
        try:
            yield
        except BaseException:
            self.drop()
            raise

    def drop(self) -> None:
        """Gives the object up: nothing more of it is hashed or sent."""
        with self._lock:
            self.files = ()
        self.forget()

    def forget(self) -> None:
        """Forgets the object's file sets, and cancels those whose making has not begun."""
        with self._lock:
            for _, made in self._sets:
                made.cancel()
            self._sets, self._whole = [], None


def _failed(made: Future[str]) -> bool:
    return made.done() and (made.cancelled() or made.exception() is not None)


def _lost() -> Future[str]:
    lost = Future[str]()
    lost.cancel()
    return lost


def _has(file: SpoolFile, sha256: bytes, piece: Piece) -> bool:
    if piece.sha256:
        return sha256 == piece.sha256
    digest = hashlib.md5(usedforsecurity=False)
    for part in file.read(0, file.size):
        digest.update(part)
    return digest.digest() == piece.md5

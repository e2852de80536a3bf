"""The output bucket: the objects that the step has written, in the spool, readable at once."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator

from kfp_pachyderm.adapter.buckets.key_rules import check_key, is_marker, parents
from kfp_pachyderm.adapter.disk.objects import Stored
from kfp_pachyderm.s3.conditions import Conditions
from kfp_pachyderm.s3.errors import S3Error

_FREE = Conditions("", "", "", "")


class OutputBucket:
    """A bucket that takes writes; safe for many threads.

    Args:
        encoded: whether its keys are encoded for Pachyderm.
    """

    def __init__(self, encoded: bool = False) -> None:
        self._encoded = encoded
        self._lock = threading.Lock()
        self._objects: dict[str, Stored] = {}
        self._keys: list[str] = []
        self._sealed = False

    def seal(self, sealed: bool) -> None:
        """Refuses every change from now on (True), or takes changes again (False).

        A change that is under way at that moment is either done whole or refused.
        """
        with self._lock:
            self._sealed = sealed

    def _check_open(self) -> None:
        if self._sealed:
            raise S3Error("AccessDenied", "the step's command has ended: its output takes no more changes")

    def find(self, key: str) -> Stored | None:
        """Returns the object of that key, None if there is none."""
        return self._objects.get(key)

    def walk(self, prefix: str, after: str) -> Iterator[Stored]:
        """Yields the objects whose key starts with `prefix` and is greater than `after`, in order."""
        position = prefix if prefix > after else after
        find = bisect_left if prefix > after else bisect_right
        while stored := self._next(find(self._keys, position), prefix):
            yield stored
            position, find = stored.key, bisect_right

    def _next(self, index: int, prefix: str) -> Stored | None:
        with self._lock:
            if index < len(self._keys) and self._keys[index].startswith(prefix):
                return self._objects[self._keys[index]]
            return None

    def check(self, key: str) -> None:
        """Refuses a key that can't be written, before the request's content is read.

        Raises:
            S3Error: InvalidArgument, AccessDenied, with the reason.
        """
        check_key(key, self._encoded)
        with self._lock:
            self._check_open()
            self._check_collision(key)

    def _check_collision(self, key: str) -> None:
        if is_marker(key):
            return
        above = (parent for parent in parents(key) if not is_marker(parent))
        file = next((parent for parent in above if parent in self._objects), None)
        if file:
            raise S3Error(
                "InvalidArgument", f"Pachyderm can't hold {key!r}: {file!r} is a file, not a directory"
            )
        below = key + "/"
        for index in range(bisect_left(self._keys, below), len(self._keys)):
            if not self._keys[index].startswith(below):
                return
            if not is_marker(self._keys[index]):
                other = self._keys[index]
                raise S3Error(
                    "InvalidArgument", f"Pachyderm can't hold {key!r}: it is the directory of {other!r}"
                )

    def put(self, stored: Stored, conditions: Conditions = _FREE) -> None:
        """Stores the object under its key, in the place of an earlier one, if the conditions hold.

        Raises:
            S3Error: InvalidArgument, NoSuchKey, PreconditionFailed, or AccessDenied after `seal`.
        """
        if is_marker(stored.key) and stored.size:
            raise S3Error(
                "InvalidArgument", f"{stored.key!r} ends with a slash: Pachyderm's directories hold nothing"
            )
        with self._lock:
            self._check_open()
            self._check_collision(stored.key)
            self._check_conditions(stored.key, conditions)
            if stored.key not in self._objects:
                insort(self._keys, stored.key)
            self._objects[stored.key] = stored

    def _check_conditions(self, key: str, conditions: Conditions) -> None:
        found = self._objects.get(key)
        if found is None:
            if conditions.match:
                raise S3Error("NoSuchKey")
        elif not conditions.check(found.etag, found.modified):
            raise S3Error("PreconditionFailed")

    def delete(self, key: str, check: Callable[[Stored], None]) -> None:
        """Removes the object, unless `check` raises; does nothing if there is none.

        Raises:
            S3Error: what `check` raises, or AccessDenied after `seal`.
        """
        with self._lock:
            self._check_open()
            found = self._objects.get(key)
            if found is not None:
                check(found)
                del self._objects[key], self._keys[bisect_left(self._keys, key)]

    def swap(self, old: Stored, new: Stored) -> bool:
        """Replaces `old` by `new`; returns False if the key does not hold `old` any more."""
        with self._lock:
            there = self._objects.get(old.key) is old
            if there:
                self._objects[old.key] = new
            return there

    def files(self) -> list[Stored]:
        """Returns the objects that belong into the output commit, in order of their keys."""
        with self._lock:
            return [self._objects[key] for key in self._keys if not is_marker(key)]

"""File sets: changes that are in no commit yet, and gone when nobody renews them.

Pachyderm src/internal/storage/fileset; a commit that takes one keeps it. Here they end with the process, too.
"""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass

from kfp_pachyderm.embedded.store.files.changes import Changes

#: Seconds that one is kept (src/internal/client/client.go, DefaultTTL), and that anybody may ask for
#: (src/server/pfs/server/server.go, maxTTL).
TTL, LONGEST_TTL = 600.0, 1800.0


@dataclass(frozen=True)
class _FileSet:
    changes: tuple[Changes, ...]
    until: float


class FileSets:
    """File sets by their IDs; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sets: dict[str, _FileSet] = {}

    def keep(self, changes: tuple[Changes, ...], ttl: float = TTL) -> str:
        """The ID of a new one."""
        name = uuid.uuid4().hex
        with self._lock:
            now = time.monotonic()
            self._sets = {known: one for known, one in self._sets.items() if one.until > now}
            self._sets[name] = _FileSet(changes, now + ttl)
        return name

    def find(self, name: str) -> tuple[Changes, ...] | None:
        """Its changes, in order; None: there is none, or there is none any more."""
        with self._lock:
            found = self._sets.get(name)
        return found.changes if found and found.until > time.monotonic() else None

    def renew(self, name: str, ttl: float) -> bool:
        """Keeps it for another while; False: there is none."""
        changes = self.find(name)
        with self._lock:
            if changes is not None:
                self._sets[name] = _FileSet(changes, time.monotonic() + ttl)
        return changes is not None

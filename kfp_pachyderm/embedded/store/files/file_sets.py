"""File sets: changes that are in no commit yet, and that expire unless they are renewed.

Source: Pachyderm src/internal/storage/fileset. A commit to which a file set is added keeps its changes. Here
file sets also end with the process.
"""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass

from kfp_pachyderm.embedded.store.files.changes import Changes

#: Seconds that a file set is kept by default (src/internal/client/client.go, DefaultTTL), and the most that a
#: client may ask for (src/server/pfs/server/server.go, maxTTL).
TTL, LONGEST_TTL = 600.0, 1800.0


@dataclass(frozen=True)
class _FileSet:
    changes: tuple[Changes, ...]
    until: float


class FileSets:
    """File sets by their IDs; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sets: dict[str, _FileSet] = {}

    def keep(self, changes: tuple[Changes, ...], ttl: float = TTL) -> str:
        """Keeps changes as a new file set for `ttl` seconds; returns its ID."""
        name = uuid.uuid4().hex
        with self._lock:
            now = time.monotonic()
            self._sets = {known: one for known, one in self._sets.items() if one.until > now}
            self._sets[name] = _FileSet(changes, now + ttl)
        return name

    def find(self, name: str) -> tuple[Changes, ...] | None:
        """The file set's changes, in order; None: it does not exist, or has expired."""
        with self._lock:
            found = self._sets.get(name)
        return found.changes if found and found.until > time.monotonic() else None

    def renew(self, name: str, ttl: float) -> bool:
        """Keeps a file set for another `ttl` seconds; False: it does not exist, or has expired."""
        changes = self.find(name)
        with self._lock:
            if changes is not None:
                self._sets[name] = _FileSet(changes, time.monotonic() + ttl)
        return changes is not None

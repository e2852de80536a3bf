"""File sets: changes that are in no commit yet, and that expire unless they are renewed.

Source: Pachyderm src/internal/storage/fileset. A commit to which a file set is added keeps its changes. Here
file sets also end with the process.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
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
    """File sets by their IDs; thread-safe.

    pachd removes an expired file set some time later. Here it is gone at once.

    Args:
        clock: tells seconds, as `time.monotonic`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sets: dict[str, _FileSet] = {}

    def keep(self, changes: tuple[Changes, ...], ttl: float = TTL) -> str:
        """Keeps changes as a new file set for `ttl` seconds; returns its ID."""
        name = uuid.uuid4().hex
        with self._lock:
            self._living()[name] = _FileSet(changes, self._clock() + ttl)
        return name

    def find(self, name: str) -> tuple[Changes, ...] | None:
        """The file set's changes, in order; None: it does not exist, or has expired."""
        with self._lock:
            found = self._living().get(name)
        return found.changes if found else None

    def renew(self, name: str, ttl: float) -> bool:
        """Keeps a file set for `ttl` seconds from now on, even if it had longer; False: it does not exist."""
        with self._lock:
            found = self._living().get(name)
            if found:
                self._sets[name] = _FileSet(found.changes, self._clock() + ttl)
        return found is not None

    def _living(self) -> dict[str, _FileSet]:
        now = self._clock()
        self._sets = {name: one for name, one in self._sets.items() if one.until > now}
        return self._sets

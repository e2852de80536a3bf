"""File sets: changes that are in no commit yet, and gone when nobody renews them.

Pachyderm src/internal/storage/fileset; a commit that takes one keeps it. Here they end with the process, too.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
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
    """File sets by their IDs; for any thread.

    pachd forgets one at some time after its end; here it is gone at once.

    Args:
        clock: tells seconds, as `time.monotonic`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sets: dict[str, _FileSet] = {}

    def keep(self, changes: tuple[Changes, ...], ttl: float = TTL) -> str:
        """The ID of a new one."""
        name = uuid.uuid4().hex
        with self._lock:
            self._living()[name] = _FileSet(changes, self._clock() + ttl)
        return name

    def find(self, name: str) -> tuple[Changes, ...] | None:
        """Its changes, in order; None: there is none, or there is none any more."""
        with self._lock:
            found = self._living().get(name)
        return found.changes if found else None

    def renew(self, name: str, ttl: float) -> bool:
        """Keeps it from now on for so long, be it shorter; False: there is none."""
        with self._lock:
            found = self._living().get(name)
            if found:
                self._sets[name] = _FileSet(found.changes, self._clock() + ttl)
        return found is not None

    def _living(self) -> dict[str, _FileSet]:
        now = self._clock()
        self._sets = {name: one for name, one in self._sets.items() if one.until > now}
        return self._sets

"""Renews the file sets of objects that clients still upload: Pachyderm forgets those that nobody renews."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakSet

from kfp_pachyderm.adapter.call_failed import CallFailedError

if TYPE_CHECKING:
    from kfp_pachyderm.adapter.disk.staged_object import Staged

log = logging.getLogger(__name__)

#: Seconds between renewals: a third of those that a file set is kept, as Pachyderm's own client has it
#: (src/internal/storage/renew/renew.go, renewLoop).
_EVERY = 200.0
#: Seconds after which a failed renewal is tried again.
_AGAIN = 10.0


class Renewal:
    """Renews the file sets of all large objects of a step.

    Args:
        renew: renews a file set by its ID; returns False if Pachyderm does not have it any more.
    """

    def __init__(self, renew: Callable[[str], bool]) -> None:
        self._renew = renew
        self._lock = threading.Lock()
        self._objects: WeakSet[Staged] = WeakSet()
        self._thread: threading.Thread | None = None
        self._told = ""

    def watch(self, staged: Staged) -> None:
        """Renews this object's file sets from now on, as long as the object is in use."""
        with self._lock:
            self._objects.add(staged)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="renewal", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            time.sleep(_EVERY if self.round() else _AGAIN)

    def round(self) -> bool:
        """Renews each file set once; False: Pachyderm could not be reached, so try again soon."""
        with self._lock:
            objects = list(self._objects)
        held = [(staged, one) for staged in objects for one in staged.held()]
        for staged, one in held:
            try:
                if not self._renew(one):
                    staged.lose(one)
            except CallFailedError as error:
                self._tell(str(error))
                if error.temporary:
                    return False
        return True

    def _tell(self, said: str) -> None:
        """Logs an error, unless it was the last one logged. It is no more: lost file sets are sent again."""
        if said != self._told:
            log.warning("a file set could not be renewed, trying again: %s", said)
        self._told = said

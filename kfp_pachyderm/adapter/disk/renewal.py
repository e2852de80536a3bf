"""Keeps the file sets of objects whose end is still awaited: Pachyderm forgets what nobody renews."""

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
#: Seconds until what failed is tried again.
_AGAIN = 10.0


class Renewal:
    """Renews the file sets of all large objects of a step.

    Args:
        renew: renews one by its ID; False: Pachyderm does not have it any more.
    """

    def __init__(self, renew: Callable[[str], bool]) -> None:
        self._renew = renew
        self._lock = threading.Lock()
        self._objects: WeakSet[Staged] = WeakSet()
        self._thread: threading.Thread | None = None
        self._told = ""

    def watch(self, staged: Staged) -> None:
        """From now on this object's file sets are renewed, for as long as anybody uses it."""
        with self._lock:
            self._objects.add(staged)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="renewal", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            time.sleep(_EVERY if self.round() else _AGAIN)

    def round(self) -> bool:
        """Renews each once; False: Pachyderm could not be asked, which should be tried again soon."""
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
        """Once in a row: what is lost in the end is sent again."""
        if said != self._told:
            log.warning("a file set could not be renewed, trying again: %s", said)
        self._told = said

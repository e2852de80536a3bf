"""How far a delivery is: on a terminal a bar, elsewhere a line every few seconds, at the end one line."""

from __future__ import annotations

import os
import time
from types import TracebackType

from kfp_pachyderm.adapter.config import Flushed, Progress
from kfp_pachyderm.launcher.step_log import redraw, say, wipe
from kfp_pachyderm.provenance.graph.views.wording import duration, size

#: Seconds between two lines.
EVERY = 5.0
_COLUMNS = 30


class Delivery:
    """One delivery of a step's output, for the person who reads the log.

    A context manager, so that no bar stays on the terminal.
    """

    def __init__(self) -> None:
        self._terminal = os.isatty(2)
        self._began = self._said = time.monotonic()
        self._sent, self._drawn = 0, False

    def __enter__(self) -> Delivery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wipe()

    def _wipe(self) -> None:
        if self._drawn:
            wipe()
            self._drawn = False

    @property
    def _took(self) -> str:
        return duration(time.monotonic() - self._began)

    def told(self, now: Progress) -> None:
        """Shows how much is sent."""
        # A failed stream starts again at 0, but the number shown never falls.
        self._sent = min(max(self._sent, now.sent), now.total)
        text = f"{size(self._sent)} of {size(now.total)}"
        if self._sent == now.total:
            text = f"{size(now.total)} sent, being verified"
        if self._terminal:
            self._drawn = True
            redraw(f"delivering {_bar(self._sent, now.total)} {text}, {self._took}")
        elif time.monotonic() >= self._said + EVERY:
            self._said = time.monotonic()
            say(f"delivering: {text}, {self._took}")

    def done(self, sent: Flushed, again: bool) -> None:
        """Says what is in the output commit now."""
        self._wipe()
        objects = f"{sent.objects} object{'' if sent.objects == 1 else 's'}"
        word = "delivered again" if again else "delivered"
        say(f"{word}: {objects}, {size(sent.bytes)}, verified, in {self._took}")


def _bar(sent: int, total: int) -> str:
    full = _COLUMNS * sent // total if total else _COLUMNS
    return f"[{'#' * full}{'.' * (_COLUMNS - full)}]"

"""A stream of requests: its end means that it is whole, and whoever sends it hears why it is refused.

gRPC for Python ends the requests of a cancelled or broken stream like those of a whole one, most of the time
(grpc/grpc#33038, open): the word that it was cancelled comes a moment later, in the same queue.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, TypeVar

from kfp_pachyderm.embedded.status import Refused

T = TypeVar("T")

_SENT = "send_initial_metadata"
_PAUSE, _LONGEST_PAUSE = 0.0001, 0.05
#: Seconds that a client has to send the rest of what is refused.
_REST = 2.0


def whole(requests: Iterator[T], context: Any) -> Iterator[T]:
    """The requests.

    Raises:
        Refused: CANCELLED, behind the last one, if the client has not ended the stream itself.
    """
    yield from requests
    _catch_up(context)
    if not context.is_active():
        raise Refused("the client went away before the end of its stream", "CANCELLED")


def _catch_up(context: Any) -> None:
    """Returns when what has happened to the call before is known: its events come one after the other."""
    if context.is_active():
        context.send_initial_metadata(())
        # gRPC tells nobody of this one, and has no public name for it
        pause = _PAUSE
        while _SENT in context._state.due:
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def take_rest(requests: Iterator[object], seconds: float | None) -> None:
    """Takes what a client still sends to a call that is refused, for a short while.

    Go's client says EOF when it sends to a call that has ended (google.golang.org/grpc/stream.go, SendMsg),
    and pachctl shows that instead of asking for the reason (src/internal/client/pfs_file.go, maybeError).
    pachd takes longer to refuse than most clients take to send.

    Args:
        requests: the call's, of which nobody else takes any more.
        seconds: that the client still waits.
    """
    ended = threading.Event()

    def take() -> None:
        with suppress(Exception):
            for _ in requests:
                pass
        ended.set()

    # nothing tells gRPC to wait for a request for so long only; it ends this one with the call
    threading.Thread(target=take, name="refused", daemon=True).start()
    ended.wait(_REST if seconds is None else min(_REST, seconds / 2))

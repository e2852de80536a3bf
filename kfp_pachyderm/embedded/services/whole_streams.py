"""Streams of requests: tells a whole stream from a broken one, and lets the client of a refused one know why.

gRPC for Python mostly ends the requests of a cancelled or broken stream like those of a whole one
(grpc/grpc#33038, open). The event of the cancellation comes a moment later, in the same queue.
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
#: Seconds for which the rest of a refused stream is read.
_DRAIN_SECONDS = 2.0


def whole(requests: Iterator[T], context: Any) -> Iterator[T]:
    """Yields the requests.

    Raises:
        Refused: CANCELLED, after the last request, if the client has not ended the stream itself.
    """
    yield from requests
    _wait_for_earlier_events(context)
    if not context.is_active():
        raise Refused("the client went away before the end of its stream", "CANCELLED")


def _wait_for_earlier_events(context: Any) -> None:
    """Waits until gRPC has handled all earlier events of the call, by an event of its own behind them."""
    if context.is_active():
        context.send_initial_metadata(())
        # Sending the metadata is that event. gRPC has no callback and no public name for its end.
        pause = _PAUSE
        while _SENT in context._state.due:
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def take_rest(requests: Iterator[object], seconds: float | None) -> None:
    """Reads the rest of a refused stream, for a short while, so that the client gets the reason.

    Go's client gets EOF when it sends to a call that has ended (google.golang.org/grpc/stream.go, SendMsg).
    pachctl shows this EOF and does not read the status (src/internal/client/pfs_file.go, maybeError).
    With pachd it seldom happens: most clients have sent everything before pachd refuses.

    Args:
        requests: the call's requests, which nobody else reads any more.
        seconds: until the client's deadline; None: it has none.
    """
    ended = threading.Event()

    def take() -> None:
        with suppress(Exception):
            for _ in requests:
                pass
        ended.set()

    # gRPC has no timeout for the next request, so a thread reads; the end of the call ends the thread.
    threading.Thread(target=take, name="refused", daemon=True).start()
    ended.wait(_DRAIN_SECONDS if seconds is None else min(_DRAIN_SECONDS, seconds / 2))

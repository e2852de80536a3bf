"""A stream of requests whose end means that it is whole.

gRPC for Python ends the requests of a cancelled or broken stream like those of a whole one, most of the time
(grpc/grpc#33038, open): the word that it was cancelled comes a moment later, in the same queue.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, TypeVar

from kfp_pachyderm.embedded.status import Refused

T = TypeVar("T")

_SENT = "send_initial_metadata"
_PAUSE, _LONGEST_PAUSE = 0.0001, 0.05


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

"""Looks at Pachyderm, one after the other: no call of a wait is answered later than at once.

A call that waits inside of pachd ends at a deadline, which pachd meets first and tells as UNKNOWN, and its
connection may be lost at any time: many short looks need neither.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from kfp_pachyderm.errors import PachydermUnreachableError, TemporaryError, UnknownAnswerError
from kfp_pachyderm.pachd.connection.client import Pachd

T = TypeVar("T")

#: Seconds between two looks at first, and after one that failed.
_SHORTEST, _AFTER_FAILURE = 0.005, 0.2


def looks(
    pachd: Pachd, look: Callable[[], T], deadline: float, tell: Callable[[str], None], pause: float
) -> Iterator[T]:
    """What each look has found, until the deadline; what passes is borne for pachd's grace.

    Args:
        pachd: the connection.
        look: asks Pachyderm once.
        deadline: `time.monotonic()` until which it is looked.
        tell: takes one line for the user: an answer that nobody knows.
        pause: the longest pause between two looks, in seconds.

    Raises:
        PachydermError: what the last look raised, once the grace is over.
    """
    now, gone, told = _SHORTEST, float("inf"), set[str]()
    while time.monotonic() < deadline:
        try:
            found = look()
        except PachydermUnreachableError as error:
            pachd.wait_for_answer(error)
            now = max(now, _AFTER_FAILURE)
        except (TemporaryError, UnknownAnswerError) as error:
            gone = min(gone, time.monotonic() + pachd.grace)
            if time.monotonic() >= gone:
                raise
            if isinstance(error, UnknownAnswerError) and str(error) not in told:
                told.add(str(error))
                tell(f"{error}; trying again for {pachd.grace:g} s")
            now = max(now, _AFTER_FAILURE)
        else:
            gone = float("inf")
            yield found
        time.sleep(min(now, max(deadline - time.monotonic(), 0)))
        now = min(now * 1.3, pause)

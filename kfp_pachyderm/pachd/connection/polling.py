"""Polls Pachyderm by many short calls, instead of calls that wait inside of pachd.

A call that waits inside of pachd ends at its deadline, which pachd often notices first and reports as
UNKNOWN. And a long call's connection may break at any time. Short calls have neither problem.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from kfp_pachyderm.errors import PachydermUnreachableError, TemporaryError, UnknownAnswerError
from kfp_pachyderm.pachd.connection.client import Pachd

T = TypeVar("T")

#: The first pause between two calls, and the shortest pause after a failed one, in seconds.
_SHORTEST, _AFTER_FAILURE = 0.002, 0.2


def looks(
    pachd: Pachd, look: Callable[[], T], deadline: float, tell: Callable[[str], None], pause: float
) -> Iterator[T]:
    """Calls `look` again and again until the deadline, and yields each result.

    Errors that may pass are borne for pachd's grace.

    Args:
        pachd: the connection.
        look: asks Pachyderm once.
        deadline: `time.monotonic()` at which it ends.
        tell: takes one line for the user: an error that kfp-pachyderm does not know.
        pause: the longest pause between two calls, in seconds.

    Raises:
        PachydermError: the last error, when errors lasted longer than the grace, or one that can't pass.
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

"""How tests wait: for a condition, and for so long that only what never comes is missed.

No test measures speed by a deadline: a busy machine makes all of them late.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

#: Seconds after which what a test waits for is taken to never come; below pytest's own limit for a test.
PATIENCE = 600.0


def wait_for(condition: Callable[[], Any], what: str = "a condition") -> Any:
    """Looks again and again until the condition holds; what it was.

    Raises:
        AssertionError: it did not come.
    """
    until, pause = time.monotonic() + PATIENCE, 0.005
    while not (found := condition()):
        assert time.monotonic() < until, f"waited {PATIENCE:g} s in vain for {what}"
        time.sleep(pause)
        pause = min(1.2 * pause, 0.1)
    return found

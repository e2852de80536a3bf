"""Tests wait for a condition, with a timeout so long that only a condition that never holds reaches it.

No test measures speed by a timeout: on a busy machine everything is late.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

#: Seconds after which a test gives up waiting; below pytest's own limit for a test.
PATIENCE = 600.0


def wait_for(condition: Callable[[], Any], what: str = "a condition") -> Any:
    """Calls the condition again and again until it holds, and returns its value.

    Raises:
        AssertionError: the condition did not hold in time.
    """
    until, pause = time.monotonic() + PATIENCE, 0.005
    while not (found := condition()):
        assert time.monotonic() < until, f"waited {PATIENCE:g} s in vain for {what}"
        time.sleep(pause)
        pause = min(1.2 * pause, 0.1)
    return found

"""A signal ends the trigger, wherever it meets the wait."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Any

from kfp_pachyderm.ending import Ending


def test_a_signal_at_each_line_of_the_wait() -> None:
    """With a `threading.Event`, whose lock the waiting thread holds, this hangs."""
    lines = 0

    def told(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines
        if event == "line" and frame.f_code.co_filename.endswith(("threading.py", "ending.py")):
            lines += 1
            if lines == at:
                signal.raise_signal(signal.SIGTERM)
        return told

    at, lines = 1, 1
    while lines >= at:
        lines = 0
        with Ending(second_kills=True) as stop:
            try:
                sys.settrace(told)
                stop.wait(0.1)
            finally:
                sys.settrace(None)
            if lines >= at:
                assert (stop.is_set(), signal.getsignal(signal.SIGTERM)) == (True, signal.SIG_DFL)
        at += 1
    assert at > 1, "no line of the wait was seen"

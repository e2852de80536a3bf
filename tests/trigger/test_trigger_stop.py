"""A signal ends the trigger, wherever it meets the wait."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Any

from kfp_pachyderm.cli.trigger import _stopped_by_signals


def test_a_signal_at_each_line_of_the_wait() -> None:
    """With a `threading.Event`, whose lock the waiting thread holds, this hangs."""
    before = [(number, signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGINT)]
    lines = 0

    def told(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines
        if event == "line" and frame.f_code.co_filename.endswith(("threading.py", "follow.py")):
            lines += 1
            if lines == at:
                signal.raise_signal(signal.SIGTERM)
        return told

    at, lines = 1, 1
    try:
        while lines >= at:
            stop, lines = _stopped_by_signals(), 0
            sys.settrace(told)
            stop.wait(0.1)
            sys.settrace(None)
            at += 1
    finally:
        sys.settrace(None)
        for number, handler in before:
            signal.signal(number, handler)
    assert at > 1, "no line of the wait was seen"

"""A short live list of a run's steps, made from kfp.local's log; the whole log goes to a file."""

from __future__ import annotations

import io
import re
import shutil
import sys
import time
from pathlib import Path
from typing import TextIO

#: Lines of a failed step that are shown.
LAST = 15
_COLOURS = re.compile(r"\x1b\[\d*m")
_BEGUN = re.compile(r"Executing task '(?P<task>[^']+)'")
_ENDED = re.compile(r"Task '(?P<task>[^']+)' finished with status (?P<state>\w+)")
_OURS = "[kfp-pachyderm] "
_JOB = re.compile(r"job=(?P<job>\w+)")


class StepList(io.TextIOBase):
    """A text stream that takes the place of stdout, writes all text to the log and shows the list of steps.

    Args:
        log: the file that gets the whole text.
        shown: the stream that the list is written to; on a terminal its last line shows the running step.
    """

    def __init__(self, log: Path, shown: TextIO = sys.stdout) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._file, self._shown, self._terminal = log.open("w"), shown, shown.isatty()
        self._rest = ""
        self._task, self._began, self._delivered = "", 0.0, ""
        self._lines: list[str] = []

    def write(self, text: str) -> int:
        """Writes the text to the log, and shows the steps that begin or end in it."""
        plain = _COLOURS.sub("", text)
        self._file.write(plain)
        self._file.flush()
        *lines, self._rest = (self._rest + plain).split("\n")
        for line in lines:
            self._look(line.strip())
        return len(text)

    def close(self) -> None:
        """Closes the log, but not the stream that shows the list."""
        self._file.close()
        super().close()

    def _look(self, line: str) -> None:
        begun, ended = _BEGUN.search(line), _ENDED.search(line)
        if begun:
            self._task, self._began, self._delivered, self._lines = begun["task"], time.monotonic(), "", []
            self._now("starts")
        elif ended:
            self._end(ended["state"])
        elif line and self._task:
            self._lines.append(line)
            self._say(line)

    def _say(self, line: str) -> None:
        said = line.partition(_OURS)[2]
        job = _JOB.match(said)
        if job:
            self._now(f"job {job['job']}")
        elif said.startswith("delivered: "):
            self._delivered = said.removeprefix("delivered: ").partition(", verified")[0]
        elif said and self._terminal:
            self._now(said)

    def _now(self, text: str) -> None:
        line = f"{self._task:<20} {text}"
        if self._terminal:
            columns = shutil.get_terminal_size().columns
            self._show(f"\r\x1b[K{line[: columns - 1]}")
        else:
            self._show(f"{line}\n")

    def _end(self, state: str) -> None:
        seconds = f"{time.monotonic() - self._began:.1f} s"
        self._now(", ".join(filter(None, (state, self._delivered, seconds))))
        if self._terminal:
            self._show("\n")
        if state == "FAILURE":
            self._show("".join(f"    {line}\n" for line in self._lines[-LAST:]))
        self._task = ""

    def _show(self, text: str) -> None:
        # not by print: kfp.local replaces that
        self._shown.write(text)
        self._shown.flush()

"""One process of user code: starts it in a session of its own, and ends it with all processes it started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil

from kfp_pachyderm.embedded.worker.logs import JobLog

#: Environment variable that marks user code among all processes; its value is the server's data folder.
MARK = "KFP_PACHYDERM_EMBEDDED"


def command(words: list[str]) -> list[str]:
    """The command that is run: `python` and `python3` are replaced by this server's own interpreter."""
    first = sys.executable if words[0] in ("python", "python3") else words[0]
    return [first, *words[1:]]


class UserCode:
    """A running command.

    Args:
        words: the command and its arguments.
        stdin: lines for its standard input.
        env: its environment.
        folder: its working directory.
        log: gets its output.
        datum: the datum's ID, for the log.
        ended: called with the exit code, from another thread.

    Raises:
        OSError: the command can't be started.
    """

    def __init__(
        self,
        words: list[str],
        stdin: list[str],
        env: dict[str, str],
        folder: Path,
        log: JobLog,
        datum: str,
        ended: Callable[[int], None],
    ) -> None:
        self._log, self._datum, self._ended = log, datum, ended
        self._process = subprocess.Popen(
            command(words),
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=folder,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name="user-code-output", daemon=True)
        self._reader.start()
        # Every line ends with a newline, the last one too (Pachyderm src/server/worker/driver/driver.go).
        text = "".join(f"{line}\n" for line in stdin)
        threading.Thread(target=self._watch, args=(text,), name="user-code", daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            self._log.copy(stream, self._datum)

    def _watch(self, stdin: str) -> None:
        if self._process.stdin is not None:
            try:
                with self._process.stdin as pipe:
                    pipe.write(stdin.encode())
            except BrokenPipeError:
                pass
        code = self._process.wait()
        # Processes that user code left would go on writing; Pachyderm kills them, too (driver_unix.go).
        self._kill_group()
        self._reader.join(5)
        self._ended(code)

    def kill(self) -> None:
        """Kills the command and all processes that it started; `ended` is still called."""
        for child in _descendants(self._process.pid):
            _kill(child)
        self._kill_group()

    def _kill_group(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return found


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def kill_leftovers(data_dir: Path) -> int:
    """Kills user code of an earlier server on this data folder; returns the number of processes."""
    # User code of an earlier server may have started this server: its parents must live.
    own = {os.getpid(), *(one.pid for one in psutil.Process().parents())}
    found = [one for one in psutil.process_iter() if one.pid not in own and _is_marked(one, str(data_dir))]
    for process in found:
        _kill(process)
    psutil.wait_procs(found, timeout=5)
    return len(found)


def _is_marked(process: psutil.Process, data_dir: str) -> bool:
    try:
        marked: bool = process.environ().get(MARK) == data_dir
    except psutil.Error:
        return False
    return marked

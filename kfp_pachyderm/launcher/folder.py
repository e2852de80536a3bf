"""The step's private folder: it holds what the command writes until that is in Pachyderm."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kfp_pachyderm.private_folders import STEP


@contextmanager
def private_folder() -> Iterator[Path]:
    """A temporary folder, locked while its step lives: a folder that can be locked has no step any more."""
    with tempfile.TemporaryDirectory(prefix=STEP) as name:
        handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH)
            yield Path(name)
        finally:
            os.close(handle)


def is_dead(folder: Path) -> bool:
    """Whether no step has the folder any more."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True

"""The lock that lets one process at a time use a data folder."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from kfp_pachyderm.errors import StoreError


def locked(folder: Path) -> IO[str]:
    """Locks a data folder until the returned file is closed, or the process ends.

    Args:
        folder: the data folder; made when missing.

    Raises:
        StoreError: the folder can't be written, or another process has locked it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("a")
    except OSError as error:
        raise StoreError(f"{folder} can't be written: {error}. Give a data folder that can") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise StoreError(
            f"another embedded Pachyderm uses {folder}: "
            "use its address (server.json there), or give another folder"
        ) from error
    return file

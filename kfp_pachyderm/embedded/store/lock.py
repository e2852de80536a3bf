"""One process at a time on a data folder."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from kfp_pachyderm.errors import StoreError


def locked(folder: Path) -> IO[str]:
    """Takes a data folder; closing the file lets go of it, and so does the process's end, however it ends.

    Args:
        folder: made when missing.

    Raises:
        StoreError: it can't be written, or another process holds it.
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

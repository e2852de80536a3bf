"""Finds temporary folders of this machine whose step, launcher or `doctor --run` was killed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from kfp_pachyderm.gc.leftover import Leftover, Search
from kfp_pachyderm.launcher.folder import is_dead
from kfp_pachyderm.private_folders import DOCTOR, LAUNCHER, STEP

#: The bootstrap (`launcher.bootstrap`) and `doctor --run` do not lock their folders.
_UNLOCKED = (LAUNCHER, DOCTOR)
#: Files in /proc/<pid> that show whether the process uses a folder.
_PROC = ("cmdline", "maps")


def dead(search: Search) -> Iterator[Leftover]:
    """Yields the temporary folders of this user whose process is gone."""
    for folder in sorted(Path(tempfile.gettempdir()).glob("kfp-pachyderm-*")):
        with suppress(OSError):  # another process has removed it
            found = _leftover(folder, search)
            if found:
                yield found


def _leftover(folder: Path, search: Search) -> Leftover | None:
    state = folder.lstat()
    since = datetime.fromtimestamp(state.st_mtime, UTC)
    if folder.is_symlink() or not folder.is_dir() or state.st_uid != os.getuid() or not search.is_old(since):
        return None
    if folder.name.startswith(STEP):
        gone, why = is_dead(folder), "its step was killed, before all that it wrote was in Pachyderm"
    elif folder.name.startswith(_UNLOCKED):
        # No lock shows whether it is used, and a process that just starts shows nothing in /proc yet.
        gone = search.is_old(since, sure=False) and not _is_used(folder)
        why = "a launcher was installed there, or a doctor tried a step, and was killed"
    else:
        return None
    if not gone:
        return None
    return Leftover("folder", str(folder), since, _size(folder), why, "delete", partial(_remove, folder))


def _remove(folder: Path) -> None:
    if folder.name.startswith(STEP) and not is_dead(folder):
        raise OSError(f"{folder} is in use")
    shutil.rmtree(folder)


def _size(folder: Path) -> int:
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            with suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size
    return total


def _is_used(folder: Path) -> bool:
    """Tells whether a process has the folder's path in its arguments, or maps a file from it (a library)."""
    sought = os.fsencode(folder)
    for process in Path("/proc").glob("[0-9]*"):
        for name in _PROC:
            with suppress(OSError):
                if sought in (process / name).read_bytes():
                    return True
    return False

"""Folders of this machine that steps, launchers and doctors left when they were killed."""

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

#: Folders that nobody locks: of the bootstrap (`launcher.bootstrap`) and of `doctor --run`.
_UNLOCKED = (LAUNCHER, DOCTOR)
#: Files in /proc/<pid> that show whether the process uses a folder.
_PROC = ("cmdline", "maps")


def dead(search: Search) -> Iterator[Leftover]:
    """The caller's own folders in the folder for temporary files, of processes that are gone."""
    for folder in sorted(Path(tempfile.gettempdir()).glob("kfp-pachyderm-*")):
        with suppress(OSError):  # somebody else removes it
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
        # No lock tells whether it is used: a young folder's process may only have begun.
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
    """Whether a process of this machine has the folder in its arguments, or runs code that lies in it."""
    sought = os.fsencode(folder)
    for process in Path("/proc").glob("[0-9]*"):
        for name in _PROC:
            with suppress(OSError):
                if sought in (process / name).read_bytes():
                    return True
    return False

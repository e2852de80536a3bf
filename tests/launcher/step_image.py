"""A step's container without a container engine: a read-only root, another user, this machine's Python."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kfp_pachyderm.launcher.start import NEEDED
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
#: Where an image has its programs; no virtual environment and no checkout is there.
SEARCH = "/usr/local/bin:/usr/bin:/bin"
#: What KFP needs in an environment of its own.
NEEDED_BY_KFP = ("kfp", "pip", "setuptools", "wheel")

#: Mounts in a namespace of its own. A user namespace can't be made in a chroot, so the last one is both.
_ENTER = """
root=$1 wheels=$2 tmp=$3 app=$4 hidden=$5; shift 5
mount -t tmpfs tmpfs "$root"; cd "$root"
mkdir usr etc dev proc tmp app mnt mnt/wheels
for link in bin lib lib64 sbin; do [ ! -L /$link ] || ln -s usr/$link $link; done
for folder in usr etc dev proc; do mount --rbind /$folder $folder; done
mount --bind "$wheels" mnt/wheels
mount --bind "$app" app
[ -z "$tmp" ] || mount --bind "$tmp" tmp
for folder in $hidden; do mount -t tmpfs -o ro tmpfs ".$folder"; done
for folder in usr etc mnt/wheels app; do mount -o remount,bind,ro $folder; done
mount -o remount,ro "$root"
exec unshare --map-user=65534 --map-group=65534 --root="$root" --wd=/app "$@"
"""


def image_python() -> str:
    """This machine's Python, if it can be a step's."""
    found = shutil.which("python3", path=SEARCH)
    if not found:
        pytest.skip("no Python in /usr to stand for an image's")
    code = "import sys; sys.exit(sys.version_info < (3, 11))"
    if subprocess.run([found, "-c", code]).returncode:
        pytest.skip(f"{found} is older than Python 3.11")
    return found


def need_namespaces() -> None:
    probe = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    try:
        tried = subprocess.run(probe, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"no unshare here: {error}")
    if tried.returncode:
        pytest.skip(f"no namespaces allowed here: {tried.stderr.strip()}")


def fill(folder: Path, pythons: list[str]) -> None:
    """Wheels of this checkout and of what it needs in a step.

    Args:
        folder: where to; what an earlier call has put there of others' wheels is taken as it is.
        pythons: the interpreters that install them.
    """
    versions = {_version(python): python for python in pythons}
    _wheels(folder, sys.executable, "--no-deps", str(ROOT))
    pinned = ROOT / "constraints.txt"
    complete = folder / f"complete-{zlib.crc32(pinned.read_bytes())}-{'-'.join(versions)}"
    if not complete.exists():
        for python in versions.values():
            _wheels(folder, python, "--constraint", str(pinned), *NEEDED)
        _wheels(folder, sys.executable, "--constraint", str(pinned), "--no-deps", *NEEDED_BY_KFP)
        complete.touch()


def _version(python: str) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def _wheels(folder: Path, python: str, *what: str) -> None:
    pip = [sys.executable, "-m", "pip", "--python", python, "wheel", "--quiet", "--wheel-dir", str(folder)]
    done = subprocess.run([*pip, *what], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no package index to fill a folder of wheels from: {done.stderr[-300:]}")


@dataclass
class Image:
    """What is in the container.

    Args:
        folder: a folder for its parts.
        wheels: the host's folder that it has at /mnt/wheels.
        hidden: folders that it lacks.
        writable: whether it has a /tmp that can be written.
    """

    folder: Path
    wheels: Path
    hidden: list[str] = field(default_factory=list)
    writable: bool = True

    def __post_init__(self) -> None:
        for path in (self.folder / "root", self.tmp, self.app):
            path.mkdir(parents=True)

    @property
    def tmp(self) -> Path:
        """Its /tmp."""
        return self.folder / "tmp"

    @property
    def app(self) -> Path:
        """Its working folder, /app."""
        return self.folder / "app"

    def run(self, command: list[str], **env: str) -> subprocess.CompletedProcess[str]:
        """Runs a command in it, as nobody, without HOME."""
        tmp = str(self.tmp) if self.writable else ""
        mounts = [str(self.folder / "root"), str(self.wheels), tmp, str(self.app), " ".join(self.hidden)]
        return subprocess.run(
            ["unshare", "--map-root-user", "--mount", "sh", "-ec", _ENTER, "enter", *mounts, *command],
            env={"PATH": f"{SEARCH}:/usr/sbin:/sbin", **env},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

"""Images without an image builder: Debian's base, this interpreter, wheels of this checkout.

By the steps of manifests/Dockerfile, put together in folders that the stand's mkimage.py packs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zlib
from pathlib import Path

from tests.cluster.stand import ROOT, Stand

#: The development server's, as manifests/development-server names it.
SERVER = "registry.example.com/kfp-pachyderm-server:0.1.0"
#: Of the steps: Python and boto3, the launcher as a wheel in WHEELS. The same layer as the server's.
STEP = "kfp-pachyderm-test-step:0.1.0"
WHEELS = "/mnt/wheels"
_VENV = "/opt/kfp-pachyderm"
#: This package's command in the images.
PROGRAM = f"{_VENV}/bin/kfp-pachyderm"
#: What Python's own modules are linked against.
_LIBRARIES = "ca-certificates,libffi8,libncursesw6,libnsl2,libreadline8,libsqlite3-0,libssl3,libuuid1,netbase"
_SERVE = f'["{PROGRAM}","dev","--data","/data","--host","0.0.0.0","--auth"]'
_ENV = ("HOME=/tmp", "PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1")


def make(stand: Stand) -> None:
    """Makes the images that are not there yet, and anew the one that holds another state of this checkout."""
    _pause(stand)
    python = _python(stand)
    wheels = stand.folder / "wheels"
    _fill(wheels)
    state = str(zlib.crc32(b"".join(one.read_bytes() for one in sorted(wheels.glob("kfp_pachyderm-*.whl")))))
    made = stand.folder / "images" / "of-checkout"
    if not made.exists() or made.read_text() != state:
        _of_checkout(stand, python, wheels)
        made.write_text(state)


def _image(stand: Stand, root: Path, name: str, *options: str) -> None:
    _run(sys.executable, stand.folder / "mkimage.py", root, name, *options)


def _packed(stand: Stand, name: str) -> bool:
    return (stand.folder / "images" / f"docker.io_library_{name}.tar").exists()


def _pause(stand: Stand) -> None:
    if not _packed(stand, "pause_stand"):
        root = stand.folder / "roots" / "pause"
        root.mkdir(parents=True, exist_ok=True)
        shutil.copy(stand.folder / "bin" / "pause", root)
        _image(stand, root, "pause:stand", "--entrypoint", '["/pause"]')


def _python(stand: Stand) -> Path:
    """The root folder of the image that the holder's `python:3.11` is, and of ours."""
    base, root = (stand.folder / "roots" / name for name in ("base", "python"))
    if not root.exists():
        if not (base / "etc" / "debian_version").exists():
            _run("debootstrap", "--variant=minbase", f"--include={_LIBRARIES}", "bookworm", base)
        making = root.with_name("python-making")
        shutil.rmtree(making, ignore_errors=True)
        _run("cp", "-a", base, making)
        _copy_interpreter(making / "usr" / "local")
        _run("chroot", making, "ldconfig")
        making.rename(root)
    if not _packed(stand, "python_3.11"):
        _image(stand, root, "python:3.11")
    return root


def _copy_interpreter(target: Path) -> None:
    """This interpreter's tree with pip, without its tests and what else has been installed."""
    source, version = Path(sys.base_prefix), f"python{sys.version_info[0]}.{sys.version_info[1]}"
    site = source / "lib" / version / "site-packages"
    ignore = shutil.ignore_patterns("site-packages", "test", "__pycache__", "config-*", "idlelib", "lib2to3")
    shutil.copytree(source / "lib" / version, target / "lib" / version, ignore=ignore, dirs_exist_ok=True)
    for one in site.glob("pip*"):
        shutil.copytree(one, target / "lib" / version / "site-packages" / one.name, symlinks=True)
    for one in (source / "lib").glob("libpython*"):
        shutil.copy(one, target / "lib", follow_symlinks=False)
    shutil.copy(source / "bin" / version, target / "bin")
    for name in ("python3", "python"):
        (target / "bin" / name).symlink_to(version)
    pip = target / "bin" / "pip"
    pip.write_text('#!/bin/sh\nexec python3 -m pip "$@"\n')
    pip.chmod(0o755)


def _fill(folder: Path) -> None:
    """Wheels of this checkout and of all that it needs."""
    pinned = ROOT / "constraints.txt"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "-w", folder]
    complete = folder / f"complete-{zlib.crc32(pinned.read_bytes())}"
    if not complete.exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run(*pip, "--constraint", pinned, f"{ROOT}[local]", "boto3", "pip")
        complete.touch()
    _run(*pip, "--no-deps", ROOT)


def _of_checkout(stand: Stand, python: Path, wheels: Path) -> None:
    root = stand.folder / "roots" / "checkout"
    shutil.rmtree(root, ignore_errors=True)
    _run("cp", "-a", python, root)
    shutil.copytree(wheels, root / WHEELS.lstrip("/"))
    install = ("-m", "pip", "install", "--quiet", "--no-index", "--find-links", WHEELS, "--no-compile")
    _run("chroot", root, "python3", *install, "--root-user-action=ignore", "boto3")
    _run("chroot", root, "python3", "-m", "venv", "--without-pip", _VENV)
    venv = ("--python", f"{_VENV}/bin/python3")
    _run("chroot", root, "python3", "-m", "pip", *venv, *install[2:], "kfp-pachyderm[local]")
    env = [option for one in _ENV for option in ("--env", one)]
    _image(stand, root, SERVER, "--also", STEP, "--user", "65532:65532", "--entrypoint", _SERVE, *env)


def _run(*command: str | Path) -> None:
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stdout[-1000:]}{done.stderr[-1000:]}")

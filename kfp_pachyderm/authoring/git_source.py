"""Finds the git commit of a pipeline's source at compile time, and whether files differ from it.

The commit is read from git's files (gitrepository-layout(5)). Whether tracked files differ from the commit is
asked of the command `git`: the content of a commit is in packs, which this module does not read.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

import kfp
from kfp.dsl import pipeline_context

#: Where this variable is set at compile time, its value is the commit; "": no commit is recorded.
SOURCE_VARIABLE = "KFP_PACHYDERM_SOURCE"
_OWN = tuple(os.path.join(os.path.dirname(one), "") for one in (kfp.__file__, os.path.dirname(__file__)))
_ID = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
#: Seconds for one call of git. If git takes longer, as with a large work tree, its answer counts as unknown.
_TIME = 2.0
#: KFP pipeline that is being compiled → source file → answer: all its steps need the same answer.
_found: WeakKeyDictionary[Any, dict[str, str]] = WeakKeyDictionary()


def compiled() -> str:
    """Returns JSON about the pipeline that is being compiled: kfp's version, and its source's git commit."""
    pipeline, file = pipeline_context.Pipeline.get_default_pipeline(), _users_file(sys._getframe())
    known = _found.setdefault(pipeline, {})
    if file not in known:
        known[file] = json.dumps({"kfp": kfp.__version__, **_source(file)}, separators=(",", ":"))
    return known[file]


def _users_file(frame: FrameType | None) -> str:
    """Returns the file of the innermost caller that is not code of kfp or of this package; "" without one."""
    while frame and frame.f_code.co_filename.startswith(_OWN):
        frame = frame.f_back
    return frame.f_code.co_filename if frame else ""


def _source(file: str) -> dict[str, Any]:
    said = os.environ.get(SOURCE_VARIABLE)
    if said is not None:
        return {"commit": said} if said else {}
    # Code in a notebook has no file.
    path = Path(file).resolve() if os.path.isfile(file) else None
    top = _top(path.parent if path else Path.cwd())
    commit = _head(top) if top else None
    if not top or not commit:
        return {}
    dirty = _is_dirty(top, path)
    return {
        "commit": commit,
        **({} if dirty is None else {"dirty": dirty}),
        **({"file": path.relative_to(top).as_posix()} if path else {}),
    }


def _top(folder: Path) -> Path | None:
    return next((one for one in (folder, *folder.parents) if (one / ".git").exists()), None)


def _head(top: Path) -> str | None:
    """Returns the commit that is checked out; None: there is none yet, or git's files can't be read."""
    try:
        git = _git_folder(top)
        common = git / (git / "commondir").read_text().strip() if (git / "commondir").exists() else git
        text = (git / "HEAD").read_text().strip()
        for _ in range(5):  # git follows as many symbolic references
            if not text.startswith("ref: "):
                break
            text = _resolved(text.removeprefix("ref: "), git, common)
        return text if _ID.fullmatch(text) else _asked(top, "rev-parse", "--verify", "HEAD")
    except (OSError, ValueError):
        return None


def _git_folder(top: Path) -> Path:
    found = top / ".git"
    # In a linked work tree or a submodule, .git is a file that names the folder.
    return found if found.is_dir() else top / found.read_text().removeprefix("gitdir: ").strip()


def _resolved(name: str, git: Path, common: Path) -> str:
    for folder in (git, common):
        if (folder / name).is_file():
            return (folder / name).read_text().strip()
    packed = common / "packed-refs"
    lines = packed.read_text().splitlines() if packed.exists() else []
    return next((line.split()[0] for line in lines if line.endswith(f" {name}")), "")


def _is_dirty(top: Path, file: Path | None) -> bool | None:
    """Returns whether tracked files differ from the commit or `file` is not tracked; None: not known."""
    changed = _asked(top, "status", "--porcelain", "--untracked-files=no")
    if changed is None or changed or not file:
        return None if changed is None else bool(changed)
    return not _asked(top, "ls-files", "--", str(file))


def _asked(top: Path, *command: str) -> str | None:
    """Returns what git prints; None: git is not installed, fails (an untrusted folder), or takes too long."""
    # A git hook that compiles a pipeline has GIT_ variables, which may name another repository.
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    options = ("--no-optional-locks", "-c", "core.fsmonitor=false")
    try:
        ended = subprocess.run(
            ["git", *options, *command],
            cwd=top,
            env=env,
            capture_output=True,
            text=True,
            timeout=_TIME,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return None if ended.returncode else ended.stdout.strip()

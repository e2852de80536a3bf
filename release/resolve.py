"""Measures the seconds that pip takes to resolve the core and each extra without constraints.txt."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: Most seconds for one extra. If pip takes longer, it backtracks through many versions.
MOST = 120.0


def resolve(python: Path, what: str) -> tuple[bool, float]:
    """Returns whether pip found a solution, and the seconds that it took; installs nothing."""
    began = time.monotonic()
    command = [str(python), "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", what]
    done = subprocess.run(command, check=False)
    return done.returncode == 0, time.monotonic() - began


def main() -> int:
    """Prints a line for each extra; returns 1 if one takes too long or has no solution, else 0."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    good = True
    with tempfile.TemporaryDirectory(prefix="kfp-pachyderm-resolve-") as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        for extra in ("", *(f"[{name}]" for name in extras)):
            found, seconds = resolve(python, f"{ROOT}{extra}")
            good = good and found and seconds < MOST
            print(f"kfp-pachyderm{extra:<14} {seconds:5.0f} s{'' if found else '  no solution'}", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

"""A virtual environment that holds the wheel only, in a folder outside of the repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

from release.version import ReleaseError

#: The packages that the demo's user code imports and the wheel does not install.
DEMO = ("boto3", "scikit-image")


class Bare:
    """A bare environment.

    Args:
        folder: a new folder, outside of the repository.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder / "venv", with_pip=True)
        self.python = folder / "venv" / "bin" / "python"

    def install(self, wheel: Path, extra: str = "", *more: str) -> float:
        """Installs the wheel as users do, without constraints; returns the seconds that pip took."""
        began = time.monotonic()
        self.run("-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"{wheel}{extra}", *more)
        return time.monotonic() - began

    def run(self, *arguments: str) -> str:
        """Runs Python in the folder, without the repository in its environment; returns what it prints.

        Raises:
            ReleaseError: Python exits with an error.
        """
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        proxies = {name: text for name, text in os.environ.items() if name.lower().endswith("_proxy")}
        pip = {name: text for name, text in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
        done = subprocess.run(
            [str(self.python), *arguments],
            cwd=self.folder,
            env={**kept, **proxies, **pip},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ReleaseError(
                f"in the bare environment {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}"
            )
        return done.stdout

    def check_version(self, version: str) -> None:
        """Raises ReleaseError unless `kfp-pachyderm --version` prints the version."""
        command = self.python.with_name("kfp-pachyderm")
        said = subprocess.check_output([str(command), "--version"], cwd=self.folder, text=True).split()[-1]
        if said != version:
            raise ReleaseError(f"kfp-pachyderm --version says {said}, not {version}")

    def check_demo(self, samples: Path, version: str) -> None:
        """Runs the demo's job in the folder, and checks the version in its records.

        Args:
            samples: the folder whose Python files are the demo; they are copied.
            version: the version that the records have to name.
        """
        for file in samples.glob("*.py"):
            shutil.copy(file, self.folder)
        print(self.run("demo.py"), file=sys.stderr)
        record = json.loads((self.folder / ".demo" / "record.json").read_text())
        said = {step["kfp_task"]: step["kfp_pachyderm_version"] for step in record["steps"]}
        if said != {"edges": version, "montage": version}:
            raise ReleaseError(f"the demo's records name {said}, not version {version}")

"""The sample `container`: its script with a real rclone, without its image: there is no Docker here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.waiting import PATIENCE

FOLDER = Path(__file__).parents[2] / "samples" / "container"
BIN = Path(sys.executable).parent


def test_counts_words_with_the_programs_of_this_machine(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(FOLDER / "run.py")],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "      2 be\n      2 not\n      1 or\n" in done.stdout
    assert "words.txt  made by words/frequent-words@" in done.stdout


def test_dockerfile() -> None:
    done = subprocess.run(
        [BIN / "hadolint", FOLDER / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr

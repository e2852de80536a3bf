"""The sample `digits`: the same pipeline on a first commit and on a second one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from PIL import Image

from tests.long import long
from tests.waiting import PATIENCE

RUN = Path(__file__).parents[2] / "samples" / "digits" / "run.py"


@long
def test_runs_on_every_commit_anew(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(RUN)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

    assert "675 digits to learn from, 225 held out, from 1 files" in done.stdout
    assert "1347 digits to learn from, 450 held out, from 2 files" in done.stdout
    made = re.findall(r"^(\S+\.png)  made by (digits/evaluate@[0-9a-f]{32})$", done.stdout, re.MULTILINE)
    assert len({commit for _, commit in made}) == 2
    for plot, _ in made:
        with Image.open(plot) as picture:
            assert picture.size == (640, 480)
    accuracies = [
        float(found) for found in re.findall(r"^\s+Output: (0\.\d+)", done.stdout + done.stderr, re.M)
    ]
    assert len(accuracies) == 2
    assert min(accuracies) > 0.95

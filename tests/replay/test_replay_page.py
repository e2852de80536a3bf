"""Every code block of docs/replay.md, run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from local_runs import LocalRuns  # type: ignore[import-not-found]

from kfp_pachyderm import provenance
from kfp_pachyderm.testing import Pachyderm
from tests.waiting import PATIENCE

PAGE = (Path(__file__).parents[2] / "docs" / "replay.md").read_text()
BLOCKS = re.findall(r"^ *```(\w+)\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)


def block(language: str, start: str) -> str:
    (found,) = [code for kind, code in BLOCKS if kind == language and code.startswith(start)]
    return found


def ran(command: list[str], folder: Path) -> str:
    """Runs a command; returns what it prints."""
    paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False,
        env={**os.environ, "PATH": paths, "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.filterwarnings("ignore:This client only works:FutureWarning")
def test_the_page(pachyderm: Pachyderm, tmp_path: Path) -> None:
    assert len(BLOCKS) == 4
    assert list(json.loads(block("json", "").strip())) == ["token"]
    pachyderm.put("vision/photos", {"/a.txt": b"abc"})
    (tmp_path / "framing.py").write_text(block("python", "from kfp import dsl"))
    (tmp_path / "run.py").write_text(
        f"import framing\nfrom kfp_pachyderm import local\n"
        f"with local.init(address={pachyderm.address!r}):\n    framing.framing(sigma=2.5)\n"
    )
    ran([sys.executable, "run.py"], tmp_path)
    with LocalRuns(tmp_path / "pachyderm" / "kfp") as api:
        commands = block("sh", "kfp-pachyderm").replace("http://localhost:8888", api.url)
        told = ran(["bash", "-e", "-c", commands], tmp_path)
        assert told.splitlines().count("identical") == 3
        assert (tmp_path / "replay.yaml").read_text().startswith("# replay of vision/frame@master: KFP run")
        (run_id,) = api.store.runs
        code = block("python", "import kfp\n").replace("http://localhost:8888", api.url)
        names = {"run_id": run_id}
        exec(code, names)  # noqa: S102
    assert isinstance(found := names["found"], provenance.RunLineage)
    assert [str(one).partition("@")[0] for one in found.commits["frame"]] == ["vision-replay/frame"]

"""A replay with auth on, by a robot with the rights that docs/replay.md names, and without."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner
from replay_steps import framing  # type: ignore[import-not-found]

from kfp_pachyderm.cli import main
from tests.with_auth import guarded_pachyderm


def test_least_rights(tmp_path: Path) -> None:
    with guarded_pachyderm(tmp_path / "pachyderm") as pachyderm:
        pachyderm.allow(vision="projectWriter", **{"vision-replay": "projectWriter"})
        pachyderm.put_for("repoWriter", "vision/photos", {"/a.txt": b"abc"})
        framed = framing().output
        parameters = tmp_path / "parameters.json"
        parameters.write_text('{"token": ""}')
        command = ["replay", framed, "--run", "--parameters", str(parameters), "--address", pachyderm.address]
        told = CliRunner().invoke(main, command)
        assert told.exit_code == 0, told.output
        stranger = CliRunner().invoke(main, command, env={"KFP_PACHYDERM_TOKEN": ""})
        assert stranger.exit_code == 1
        assert "Traceback" not in stranger.output

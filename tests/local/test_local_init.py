"""`local.init` and the fixture: one Pachyderm is started, joined, closed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from kfp.local import config as kfp_local_config
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

import kfp_pachyderm as pachyderm
from kfp_pachyderm.testing import Pachyderm as Fixture
from tests.waiting import PATIENCE


def test_environment_is_set_and_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_PACHYDERM_ADDRESS", "grpc://before:1")
    monkeypatch.delenv("KFP_PACHYDERM_PYTHON", raising=False)
    with pachyderm.local.init(tmp_path / "data") as running:
        assert os.environ["KFP_PACHYDERM_ADDRESS"] == running.address
        assert os.environ["KFP_PACHYDERM_PYTHON"] == sys.executable
        assert running.address.startswith("grpc://127.0.0.1:")
        assert list(running.client.pfs.list_repo()) == []
    assert os.environ["KFP_PACHYDERM_ADDRESS"] == "grpc://before:1"
    assert "KFP_PACHYDERM_PYTHON" not in os.environ
    running.close()


def test_kfp_is_ready_under_the_data_folder(tmp_path: Path) -> None:
    with pachyderm.local.init(tmp_path / "data", raise_on_error=False):
        ready = kfp_local_config.LocalExecutionConfig.instance
        assert ready.pipeline_root == str(tmp_path / "data" / "kfp")
        assert (ready.raise_on_error, ready.runner.use_venv) == (False, False)


def test_default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pachyderm.local.init() as running:
        assert running.data_dir == tmp_path / ".pachyderm"


def test_same_folder_again_is_the_same(tmp_path: Path) -> None:
    with pachyderm.local.init(tmp_path / "data") as first:
        again = pachyderm.local.init(tmp_path / "data", pipeline_root=str(tmp_path / "elsewhere"))
        assert again is first
        assert kfp_local_config.LocalExecutionConfig.instance.pipeline_root == str(tmp_path / "elsewhere")


def test_other_folder_replaces_it(tmp_path: Path) -> None:
    first = pachyderm.local.init(tmp_path / "first")
    with pachyderm.local.init(tmp_path / "second") as second:
        assert first.closed
        assert os.environ["KFP_PACHYDERM_ADDRESS"] == second.address
    assert "KFP_PACHYDERM_ADDRESS" not in os.environ


def test_data_stays_after_close(tmp_path: Path) -> None:
    with pachyderm.local.init(tmp_path / "data") as first:
        put = Fixture(first).put("images", {"a.txt": "A"})
    with pachyderm.local.init(tmp_path / "data") as second:
        assert second is not first
        with second.client.pfs.pfs_file(pfs.File.from_uri(f"{put}:/a.txt")) as file:
            assert file.read() == b"A"


def test_running_server_is_joined_and_left_running(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "kfp_pachyderm.embedded",
        "--data-dir",
        str(tmp_path),
        "--exit-with-parent",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline()
        with pachyderm.local.init(tmp_path) as joined:
            address = joined.address
        assert list(Client.from_pachd_address(address).pfs.list_repo()) == []
        server.terminate()
        server.wait(PATIENCE)


def test_end_of_the_process_closes_it(tmp_path: Path) -> None:
    code = f"import kfp_pachyderm as p; print(p.local.init({str(tmp_path)!r})._server.pid)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


def test_fixture_puts_files(pachyderm: Fixture) -> None:
    first = pachyderm.put("vision/images", {"a.txt": "A", "/b/c.bin": b"\x00"})
    second = pachyderm.put("vision/images", {"d.txt": "D"})
    assert first.startswith("vision/images@")
    assert second != first
    names = {info.file.path for info in pachyderm.client.pfs.walk_file(file=pfs.File.from_uri(f"{second}:/"))}
    assert names == {"/", "/a.txt", "/b/", "/b/c.bin", "/d.txt"}
    assert pachyderm.address == os.environ["KFP_PACHYDERM_ADDRESS"]


def test_fixture_is_fresh(pachyderm: Fixture) -> None:
    assert list(pachyderm.client.pfs.list_repo()) == []

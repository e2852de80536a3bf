"""One server after the other in one process, which the fixture of kfp_pachyderm.testing uses."""

from __future__ import annotations

import os
import socket

import psutil
import pytest
from embedded_bench import Bench

from kfp_pachyderm.embedded.process import FreshServers, start
from kfp_pachyderm.errors import StoreError

_FOREVER = "import time; print('started', flush=True); time.sleep(600)"


def _is_open(address: str) -> bool:
    host, port = address.removeprefix("grpc://").split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_each_is_fresh_and_the_one_before_is_gone(tmp_path):
    with FreshServers() as servers:
        first = servers.open(tmp_path / "first")
        bench = Bench(first.address, "p")
        cluster = bench.client.admin.inspect_cluster().id
        job = bench.claim("edges", bench.put("images", {"/a": b"1"}), _FOREVER, update=False)
        while "started" not in bench.log(job):
            pass
        (user_code,) = [one.pid for one in psutil.Process(first.pid).children(recursive=True)]
        second = servers.open(tmp_path / "second")
        assert second.address != first.address
        assert not _is_open(first.address)
        assert not psutil.pid_exists(user_code) or psutil.Process(user_code).status() == psutil.STATUS_ZOMBIE
        bench = Bench(second.address, "q")
        assert [one.project.name for one in bench.client.pfs.list_project()] == ["default", "q"]
        assert bench.client.admin.inspect_cluster().id != cluster
        assert list(bench.client.pps.list_job_set()) == []
        with start(tmp_path / "second") as joined:
            assert joined.joined
        servers.close_current()
        assert not _is_open(second.address)
        pid = second.pid
    assert not psutil.pid_exists(pid)
    # Another server can use the first one's data folder.
    with start(tmp_path / "first") as again:
        assert Bench(again.address, "p").ended(job).reason == "the embedded Pachyderm was stopped"


def test_a_folder_that_can_not_be_used_leaves_the_process_alive(tmp_path):
    (tmp_path / "file").touch()
    with FreshServers() as servers:
        with pytest.raises(StoreError, match="can't be written"):
            servers.open(tmp_path / "file" / "below")
        assert os.path.isdir(servers.open(tmp_path / "data").data_dir)


def _use(pachyderm):
    assert list(pachyderm.client.pfs.list_repo()) == []
    return pachyderm.put("vision/images", {"/a": "text", "/b": b"bytes"})


def test_the_fixture_gives_an_empty_one(pachyderm):
    assert _use(pachyderm).startswith("vision/images@")


def test_the_fixture_gives_another_empty_one(pachyderm):
    assert _use(pachyderm).startswith("vision/images@")

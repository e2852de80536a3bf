"""Delivery over a connection that breaks or makes no progress."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from adapter_steps import INPUT_FILES, Pachyderm, set_environment
from pachyderm_sdk.api import pfs

from kfp_pachyderm.adapter.buckets.input_bucket import InputBucket
from kfp_pachyderm.adapter.call_failed import CallFailedError
from kfp_pachyderm.adapter.config import AdapterConfig
from kfp_pachyderm.adapter.disk.objects import Stored
from kfp_pachyderm.adapter.disk.read_cache import ReadCache
from kfp_pachyderm.adapter.sidecar.connection import Sidecar
from kfp_pachyderm.adapter.sidecar.over_grpc import Pfs, requests
from tests.waiting import PATIENCE, wait_for


class Proxy:
    """Passes connections on. Tests let it cut or stop the next ones after a number of bytes to the server."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition("://")[2].partition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.address = f"grpc://127.0.0.1:{self.port}"
        self.passed_down = 0
        #: Connections that the client has not ended.
        self.open = 0
        self.cut_after: list[int] = []
        self.stop_after: int | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            threading.Thread(target=self._up, args=(client, server), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        self.open += 1
        self._pass_up(client, server)
        self.open -= 1

    def _pass_up(self, client: socket.socket, server: socket.socket) -> None:
        passed = 0
        with contextlib.suppress(OSError), client, server:
            while data := client.recv(65536):
                passed += len(data)
                if self.cut_after and passed > self.cut_after[0]:
                    self.cut_after.pop(0)
                    server.shutdown(socket.SHUT_RDWR)
                    return
                if self.stop_after is not None and passed > self.stop_after:
                    self._ended.wait(PATIENCE)
                    return
                server.sendall(data)

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.passed_down += len(data)
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(pachyderm: Pachyderm) -> Iterator[Proxy]:
    made = Proxy(pachyderm.address)
    yield made
    made.close()


def test_a_cut_connection_neither_doubles_nor_truncates(
    proxy: Proxy, new_step: Any, pachyderm: Pachyderm, monkeypatch: Any
) -> None:
    contents = {f"f{number}": os.urandom(2**20 + number) for number in range(6)}
    with new_step(sidecar=proxy.address) as step:
        set_environment(monkeypatch, step)
        client = boto3.client("s3")
        for key, content in contents.items():
            client.put_object(Bucket="out", Key=key, Body=content)
        client.close()
        # the first connection only checks that the port is open, and sends nothing
        proxy.cut_after = [3 * 2**20, 5 * 2**20, 100]
        assert step.flush().objects == len(contents)
        assert proxy.cut_after == []
    assert pachyderm.files(step.commit) == {"/" + key: content for key, content in contents.items()}


def test_a_stream_that_stands_still_is_given_up(proxy: Proxy, pachyderm: Pachyderm) -> None:
    commit = pachyderm.open_commit()
    file = Stored("k", 2**26, "", datetime.now(UTC), lambda *_: iter([bytes(2**20)] * 64))
    proxy.stop_after = 2**20
    connection = Pfs(proxy.address, "", patience=3.0)
    with pytest.raises(CallFailedError, match="took nothing"):
        connection.write(("default", commit.repo.name, commit.id), [file], [], 60)
    assert pachyderm.files(commit) == {}


def test_an_empty_stream_only_deletes() -> None:
    made = [pfs.ModifyFileRequest().parse(one) for one in requests(("p", "r", "c"), [], ["gone"], [].append)]
    assert [one.delete_file.path for one in made[1:]] == ["/gone"]


def config_of(pachyderm: Pachyderm, sidecar: str, encoded: tuple[str, ...] = ()) -> AdapterConfig:
    return AdapterConfig(sidecar, "", "", {"images": pachyderm.input}, None, {}, "", "", "", encoded=encoded)


@pytest.mark.parametrize("key", ["a*", "*.txt", "dir/**", "a[.]txt", "{a.txt,empty}", "@(a.txt)", "dir"])
def test_an_inputs_object_is_looked_up_by_its_exact_name_without_a_listing(
    pachyderm: Pachyderm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.delattr(Pfs, "walk")
    sidecar = Sidecar(config_of(pachyderm, pachyderm.address))
    bucket = InputBucket(sidecar, ReadCache(tmp_path, 2**20), pachyderm.input)
    assert bucket.find(key) is None
    assert bucket.find("a.txt")


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No cycle of references is collected."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("encoded", [False, True])
def test_a_connection_that_is_dropped_ends_with_its_last_call(
    proxy: Proxy, pachyderm: Pachyderm, encoded: bool
) -> None:
    sidecar = Sidecar(config_of(pachyderm, proxy.address, ("images",) if encoded else ()))
    remote = sidecar.remote()
    assert remote.differing(pachyderm.input, [], 60) == []
    read = remote.read(pachyderm.input, "/big.bin", 0, len(INPUT_FILES["/big.bin"]))
    content = next(read)
    sidecar.forget(remote)
    del remote
    assert content + b"".join(read) == INPUT_FILES["/big.bin"]
    wait_for(lambda: proxy.open == 0, "the end of the connection")

"""One object of 256 MiB put and got: through adapter and sidecar into a commit, and against moto's server."""

from __future__ import annotations

import contextlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from benchmarks.fixtures import make_repo, peak_mib
from kfp_pachyderm.adapter.process import AdapterConfig, AdapterProcess
from kfp_pachyderm.embedded.process import start

SIZE = 256 * 2**20
ROUNDS = 3


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _client(endpoint: str, key: str, secret: str) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        # What a step's environment says: see the table of variables in the README.
        config=Config(
            request_checksum_calculation="when_required", response_checksum_validation="when_required"
        ),
    )


def _get(client: Any, bucket: str) -> int:
    body = client.get_object(Bucket=bucket, Key="big")["Body"]
    return sum(len(piece) for piece in body.iter_chunks(2**20))


@contextlib.contextmanager
def _moto() -> Iterator[tuple[str, int]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            deadline = time.monotonic() + 30
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        raise
            yield f"http://127.0.0.1:{port}", server.pid
        finally:
            server.kill()


def _measure_moto(content: bytes) -> dict[str, float]:
    with _moto() as (endpoint, pid):
        client = _client(endpoint, "a", "b")
        client.create_bucket(Bucket="out")
        client.list_objects_v2(Bucket="out")
        put = [
            _seconds(lambda: client.put_object(Bucket="out", Key="big", Body=content)) for _ in range(ROUNDS)
        ]
        get = [_seconds(lambda: _get(client, "out")) for _ in range(ROUNDS)]
        return {
            "put, s": statistics.median(put),
            "get, s": statistics.median(get),
            "server peak, MiB": peak_mib(pid),
        }


@contextlib.contextmanager
def _adapter(
    address: str, source: tuple[str, str, str], output: tuple[str, str, str] | None
) -> Iterator[tuple[Any, AdapterProcess]]:
    """A client of an adapter whose bucket `input` is `source`; the adapter is warm."""
    with tempfile.TemporaryDirectory() as spool, AdapterProcess() as adapter:
        config = AdapterConfig(
            sidecar=address,
            pachd=address,
            token="",
            inputs={"input": source},
            output=output,
            aliases={},
            access_key="key",
            secret_key="secret",
            spool=spool,
        )
        client = _client(adapter.configure(config, deadline=time.monotonic() + 30), "key", "secret")
        client.list_objects_v2(Bucket="input")
        yield client, adapter


def _measure_ours(content: bytes) -> dict[str, float]:
    put, get, peaks = [], [], []
    with tempfile.TemporaryDirectory() as folder, start(Path(folder)) as server:
        sdk = Client.from_pachd_address(server.address)
        source = ("bench", "input", make_repo(sdk, "bench", "input", {}).id)
        repo = pfs.Repo(name="out", type="user", project=pfs.Project(name="bench"))
        sdk.pfs.create_repo(repo=repo)
        for _ in range(ROUNDS):
            opened = sdk.pfs.start_commit(branch=pfs.Branch(repo=repo, name="master"))
            output = ("bench", "out", opened.id)
            with _adapter(server.address, source, output) as (client, adapter):

                def write(client: Any = client, adapter: AdapterProcess = adapter) -> None:
                    client.put_object(Bucket="out", Key="big", Body=content)
                    adapter.flush(timeout=120)

                put.append(_seconds(write))
                peaks.append(peak_mib(adapter.pid))
            sdk.pfs.finish_commit(commit=opened)
            with _adapter(server.address, output, None) as (client, adapter):
                get += [_seconds(lambda client=client: _get(client, "input")) for _ in range(ROUNDS)]
                peaks.append(peak_mib(adapter.pid))
        return {
            "put, s": statistics.median(put),
            "get, s": statistics.median(get),
            "adapter peak, MiB": max(peaks),
            "server peak, MiB": peak_mib(server.pid),
        }


def measure() -> dict[str, float]:
    """Medians in seconds; put ends when all is verified in the commit; over 1 means faster than moto."""
    content = bytes(range(256)) * (SIZE // 256)
    ours, moto = _measure_ours(content), _measure_moto(content)
    figures = {f"kfp-pachyderm {name}": value for name, value in ours.items()}
    figures |= {f"moto {name}": value for name, value in moto.items()}
    for verb in ("put", "get"):
        figures[f"{verb}: times as fast as moto"] = moto[f"{verb}, s"] / ours[f"{verb}, s"]
    return figures

"""Objects larger than 4 GiB, the limit of the sidecar's own S3: `make test-large`; needs 16 GiB of disk."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pachyderm_sdk.api import pfs

from benchmarks.adapter import adapter
from benchmarks.fixtures import peak_mib
from benchmarks.server import Server, started
from kfp_pachyderm.protocol.file_hash import FileHash
from kfp_pachyderm.protocol.pfs_messages import CommitName

MIB = 2**20
BLOCKS = 4608  # MiB: 4.5 GiB
ROOM = 16 * 2**30
MOST_MEMORY = 150
DEADLINE = 1800


@dataclass(frozen=True)
class Large:
    """A file, its SHA-256, and the hash that Pachyderm must give it."""

    path: Path
    sha256: str
    hash: bytes


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Large]:
    """One of 4.5 GiB in which no two blocks are the same."""
    path = tmp_path_factory.mktemp("source") / "large"
    free = shutil.disk_usage(path.parent).free
    assert free > ROOM, f"{path.parent} has {free} bytes left: point TMPDIR to a disk with {ROOM}"
    block, digest, told = random.Random(4).randbytes(MIB), hashlib.sha256(), FileHash()
    with path.open("wb") as target:
        for number in range(BLOCKS):
            piece = number.to_bytes(8) + block[8:]
            digest.update(piece)
            told.update(piece)
            target.write(piece)
    yield Large(path, digest.hexdigest(), told.digest())
    path.unlink()


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Server, int]]:
    with started() as (made, pid, _):
        made.put("images", iter([("/a", b"1")]))
        yield made, pid


def by_parts(client: Any, path: Path) -> None:
    client.upload_file(str(path), "out", "large")


def by_one_put(client: Any, path: Path) -> None:
    with path.open("rb") as content:
        client.put_object(Bucket="out", Key="large", Body=content)


@pytest.mark.timeout(2 * DEADLINE)
@pytest.mark.parametrize("put", [by_parts, by_one_put])
def test_put(server: tuple[Server, int], large: Large, put: Callable[[Any, Path], None]) -> None:
    pachyderm, pid = server
    with pachyderm.job(put.__name__.replace("_", "-"), "images", s3_out=True) as job:
        with adapter(pachyderm, job, {}) as (client, process):
            put(client, large.path)
            assert client.head_object(Bucket="out", Key="large")["ContentLength"] == BLOCKS * MIB
            flushed = process.flush(DEADLINE)
            peak = peak_mib(process.pid)
    assert (flushed.objects, flushed.bytes) == (1, BLOCKS * MIB)
    file = written(pachyderm, job.output)
    assert pachyderm.client.pfs.inspect_file(file=file).hash == large.hash
    assert digest(pachyderm, file) == large.sha256
    assert peak < MOST_MEMORY
    assert peak_mib(pid) < MOST_MEMORY


def written(pachyderm: Server, output: CommitName) -> pfs.File:
    commit = pfs.Commit(repo=pachyderm.repo(output[1]), id=output[2])
    return pfs.File(commit=commit, path="/large")


def digest(pachyderm: Server, file: pfs.File) -> str:
    """SHA-256 of the object in the finished commit."""
    found = hashlib.sha256()
    for piece in pachyderm.client.pfs.get_file(file=file):
        found.update(piece.value)
    return found.hexdigest()

"""Objects larger than 4 GiB, the limit of the sidecar's own S3: `make test-large`; needs 16 GiB of disk."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pachyderm_sdk.api import pfs

from benchmarks.adapter import adapter
from benchmarks.fixtures import peak_mib
from benchmarks.server import Server, started
from kfp_pachyderm.protocol.pfs_messages import CommitName

MIB = 2**20
BLOCKS = 4608  # MiB: 4.5 GiB
ROOM = 16 * 2**30
MOST_MEMORY = 150
DEADLINE = 1800


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A file of 4.5 GiB in which no two blocks are the same, and its SHA-256."""
    path = tmp_path_factory.mktemp("source") / "large"
    free = shutil.disk_usage(path.parent).free
    assert free > ROOM, f"{path.parent} has {free} bytes left: point TMPDIR to a disk with {ROOM}"
    block, digest = random.Random(4).randbytes(MIB), hashlib.sha256()
    with path.open("wb") as target:
        for number in range(BLOCKS):
            for piece in (number.to_bytes(8), block[8:]):
                digest.update(piece)
                target.write(piece)
    yield path, digest.hexdigest()
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
def test_put(server: tuple[Server, int], large: tuple[Path, str], put: Callable[[Any, Path], None]) -> None:
    pachyderm, pid = server
    path, expected = large
    with pachyderm.job(put.__name__.replace("_", "-"), "images", s3_out=True) as job:
        with adapter(pachyderm, job, {}) as (client, process):
            put(client, path)
            assert client.head_object(Bucket="out", Key="large")["ContentLength"] == BLOCKS * MIB
            flushed = process.flush(DEADLINE)
            peak = peak_mib(process.pid)
    assert (flushed.objects, flushed.bytes) == (1, BLOCKS * MIB)
    assert digest(pachyderm, job.output) == expected
    assert peak < MOST_MEMORY
    assert peak_mib(pid) < MOST_MEMORY


def digest(pachyderm: Server, output: CommitName) -> str:
    """SHA-256 of the object in the finished commit."""
    commit = pfs.Commit(repo=pachyderm.repo(output[1]), id=output[2])
    found = hashlib.sha256()
    for piece in pachyderm.client.pfs.get_file(file=pfs.File(commit=commit, path="/large")):
        found.update(piece.value)
    return found.hexdigest()

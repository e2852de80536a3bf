"""A step's large output against one stream of the SDK's to the same Pachyderm.

`python -m benchmarks large`; with KFP_PACHYDERM_ADDRESS (and _TOKEN) to that Pachyderm, from where its jobs'
sidecars can be reached. Everybody sends bytes of his own: what Pachyderm has already costs it less.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.fixtures import make_repo, start_step
from kfp_pachyderm.launcher.config import InputConfig, StepConfig
from kfp_pachyderm.pachd.connection.address import Address, from_environment, parse

ROUNDS = 3
MIB = 2**20
SIZE = 512 * MIB
_PROJECT = "default"
#: Says when it began and ended.
_COMMAND = """
import boto3, sys, time
client = boto3.client("s3")
begun = time.time()
with open(sys.argv[1], "rb") as content:
    client.put_object(Bucket="out", Key="large", Body=content)
with open(sys.argv[2], "w") as times:
    print(begun, time.time(), file=times)
"""


@contextlib.contextmanager
def _pachyderm() -> Iterator[Address]:
    """The one of the environment, else an embedded one."""
    if os.environ.get("KFP_PACHYDERM_ADDRESS"):
        yield from_environment(None)
        return
    from kfp_pachyderm.embedded.process import start

    with tempfile.TemporaryDirectory() as folder, start(Path(folder) / "data") as server:
        yield parse(server.address)


def _content(folder: Path) -> Path:
    file = folder / "content"
    with file.open("wb") as target:
        for _ in range(SIZE // MIB):
            target.write(os.urandom(MIB))
    return file


def _by_step(address: str, folder: Path, config: StepConfig, file: Path) -> tuple[float, float]:
    """Seconds from the command's end, and from its first byte, to the launcher's end."""
    times = folder / "times"
    command = (sys.executable, "-c", _COMMAND, str(file), str(times))
    if start_step(address, folder / uuid.uuid4().hex, config, *command).wait():
        raise RuntimeError(f"the step on {address} failed")
    ended = time.time()
    begun, written = map(float, times.read_text().split())
    return ended - written, ended - begun


def _by_stream(client: Any, repo: Any, file: Path) -> tuple[float, float]:
    """Seconds of one ModifyFile, and until its commit is finished."""
    from pachyderm_sdk.api import pfs

    begun = time.monotonic()
    with client.pfs.commit(branch=pfs.Branch(repo=repo, name="master")) as commit, file.open("rb") as content:
        commit.put_file_from_file(path="/large", file=content)
        sent = time.monotonic()
    client.pfs.wait_commit(commit)
    return sent - begun, time.monotonic() - begun


@contextlib.contextmanager
def _step(client: Any) -> Iterator[tuple[StepConfig, Any]]:
    """A step, whose pipeline exists in the end only, and the repo that it reads."""
    from pachyderm_sdk.api import pps

    name = f"large-{uuid.uuid4().hex[:8]}"
    repo = make_repo(client, _PROJECT, f"{name}-in", {"/a": b"a"}).repo
    try:
        yield (
            StepConfig(component=name, name=name, project=_PROJECT, inputs=(InputConfig("in", repo.name),)),
            repo,
        )
    finally:
        pipeline = pps.Pipeline(name=name, project=repo.project)
        client.pps.delete_pipeline(pipeline=pipeline, force=True)
        client.pfs.delete_repo(repo=repo, force=True)


def measure() -> dict[str, float]:
    """Medians in seconds, and their ratio."""
    from kfp_pachyderm.local.real_pachyderm import sdk_client

    steps, streams = [], []
    with _pachyderm() as where, tempfile.TemporaryDirectory() as text:
        client, folder = sdk_client(where), Path(text)
        with _step(client) as (config, repo):
            for _ in range(ROUNDS):
                steps.append(_by_step(where.url, folder, config, _content(folder)))
                streams.append(_by_stream(client, repo, _content(folder)))
    tail, whole = (statistics.median(one) for one in zip(*steps, strict=True))
    sent, finished = (statistics.median(one) for one in zip(*streams, strict=True))
    return {
        "from the command's end to the step's, s": tail,
        "from its first byte to the step's end, s": whole,
        "one stream, s": sent,
        "one stream until its commit is finished, s": finished,
        "command's end to step's end : one finished stream": tail / finished,
    }

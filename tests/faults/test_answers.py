"""Every call of a step's life, and of a component's, is answered with an error that passes: it succeeds."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kfp_pachyderm.embedded.process import start
from kfp_pachyderm.launcher.config import HolderConfig, InputConfig, ReusableConfig, SnapshotConfig, dumps
from kfp_pachyderm.pachd.connection.address import parse
from kfp_pachyderm.pachd.connection.client import Pachd, connect
from kfp_pachyderm.pachd.jobs.job import state_name
from kfp_pachyderm.pachd.references import repo_message
from kfp_pachyderm.pachd.sdk import pfs
from tests.faults.fault_answers import AnsweringPachd, Plan, Wrong
from tests.faults.fault_pachd import announced
from tests.launcher.launcher_steps import Runner, files, put
from tests.long import long
from tests.passing_texts import SAMPLES
from tests.waiting import PATIENCE

#: Pachyderm may be away as long; on a busy machine a step takes its time.
LEASE = 20.0
#: Steps at once: they wait more than they work.
AT_ONCE = 4
STRANGE = "the moon is full"


class OnceEach:
    """Every call is answered wrongly when it is made first, with one text after the other.

    Args:
        first: the text to begin with.
        carried_out: whether the work is done all the same.
    """

    def __init__(self, first: int, carried_out: bool) -> None:
        self._at, self._carried_out = first, carried_out
        self._lock = threading.Lock()
        self._seen: set[tuple[str, bytes]] = set()
        self.given: list[tuple[str, str]] = []

    def __call__(self, method: str, request: bytes) -> Wrong | None:
        # a transaction is a new one after every failure
        call = (method, b"" if method.endswith("Transaction") else request)
        with self._lock:
            if call in self._seen:
                return None
            self._seen.add(call)
            self._at += 1
            text = SAMPLES[self._at % len(SAMPLES)]
            self.given.append((method, text))
        return Wrong(text, self._carried_out)


class AtRandom:
    """Every other call is answered wrongly, in every way.

    Args:
        seed: of the choices.
        share: of the calls.
    """

    def __init__(self, seed: int, share: float = 0.5) -> None:
        self._random, self._share, self._lock = random.Random(seed), share, threading.Lock()
        self.given: list[tuple[str, str]] = []

    def __call__(self, method: str, _: bytes) -> Wrong | None:
        with self._lock:
            if self._random.random() >= self._share:
                return None
            wrong = Wrong(self._random.choice(SAMPLES), self._random.random() < 0.5)
            self.given.append((method, wrong.text))
            return wrong


class InWaits:
    """Looks at the job are answered with what nobody knows.

    Args:
        times: how many of them.
    """

    def __init__(self, times: int) -> None:
        self._left, self.given = times, list[tuple[str, str]]()

    def __call__(self, method: str, _: bytes) -> Wrong | None:
        if method != "InspectJob" or not self._left:
            return None
        self._left -= 1
        self.given.append((method, STRANGE))
        return Wrong(STRANGE, False)


class InClaims:
    """The end of the first claim, which is carried out, and the look whether it was, are not understood."""

    def __init__(self) -> None:
        self._left = ["FinishTransaction", "InspectJob"]
        self.given: list[tuple[str, str]] = []

    def __call__(self, method: str, _: bytes) -> Wrong | None:
        if self._left[:1] != [method]:
            return None
        self._left.pop(0)
        self.given.append((method, STRANGE))
        return Wrong(STRANGE, True)


class Answered:
    """A pachd, and the sidecars behind it, that answer as planned. A context manager."""

    def __init__(self, target: str, plan: Plan) -> None:
        self._plan, self._stack, self._sidecars = plan, ExitStack(), dict[str, str]()
        self._lock = threading.Lock()
        self._pachd = AnsweringPachd(target, plan, announced(self._route))

    def _route(self, kind: str, url: str) -> str:
        if kind != "sidecar_grpc":
            return url
        with self._lock:
            if url not in self._sidecars:
                target = url.removeprefix("grpc://")
                proxy = self._stack.enter_context(AnsweringPachd(target, self._plan))
                self._sidecars[url] = f"grpc://{proxy.address}"
            return self._sidecars[url]

    def __enter__(self) -> str:
        self._stack.enter_context(self._pachd)
        return f"grpc://{self._pachd.address}"

    def __exit__(self, *_: object) -> None:
        self._stack.close()


CHILD = """
import boto3, random
s3 = boto3.client("s3")
assert s3.get_object(Bucket="images", Key="a")["Body"].read() == b"A"
s3.put_object(Bucket="out", Key="first", Body=b"first")
s3.put_object(Bucket="out", Key="second", Body=random.Random(1).randbytes(3 * 2**20))
"""
CHILD_OF_A_DATUM = """
import boto3, os, pathlib
(found,) = [one for one in pathlib.Path(os.environ["PACH_INPUTS"], "files").rglob("*") if one.is_file()]
boto3.client("s3").put_object(Bucket="out", Key=found.name, Body=found.read_bytes())
"""


#: User code of a pipeline that knows nothing of KFP.
COPY = """
import boto3, os
s3 = boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT"], region_name="us-east-1")
s3.put_object(Bucket="out", Key="copy", Body=s3.get_object(Bucket="images", Key="a")["Body"].read())
"""


@dataclass(frozen=True)
class Bench:
    """The server, and a way to it on which nothing is altered."""

    address: str
    pachd: Pachd
    folder: Path


def _run_step(bench: Bench, name: str, plan: Planned, datums: int) -> str:
    """What the launcher says."""
    with Answered(bench.address.removeprefix("grpc://"), plan) as address:
        runner = Runner(address, bench.pachd, bench.folder / name / "7-2026-01-02-03-04-05-678901" / "step")
        runner.folder.mkdir(parents=True)
        runner.fill()
        holder = HolderConfig(lease=LEASE, attach_timeout=2 * LEASE)
        config = runner.config(name=runner.name, holder=holder, timeout=120.0)
        if datums:
            put(bench.pachd, f"files-{runner.name}", {f"{n}.txt": str(n).encode() for n in range(datums)})
            more = InputConfig("files", f"files-{runner.name}", s3=False, glob="/*")
            config = replace(config, inputs=(*config.inputs, more))
        ended = runner.end(runner.start(CHILD_OF_A_DATUM if datums else CHILD, config), 170)
    assert ended.code == 0
    # neither a second job nor a second transaction's
    (job,) = runner.jobs()
    assert state_name(job) == "SUCCESS"
    wanted = {f"/{n}.txt": len(str(n)) for n in range(datums)} or {"/first": 5, "/second": 3 * 2**20}
    assert files(bench.pachd, "default", runner.name, job.job.id) == wanted
    return ended.err


def _run_passing(bench: Bench, name: str, plan: Planned, datums: int) -> None:
    _run_step(bench, name, plan, datums)
    _require_variety(plan)


def _run_strange(bench: Bench, name: str, plan: Planned, datums: int) -> None:
    said = _run_step(bench, name, plan, datums)
    lines = [line for line in said.splitlines() if STRANGE in line]
    # The launcher waits for the job's datum, and looks at the job after its fences: each tells it once.
    assert 1 <= len(lines) <= 2
    assert all("trying again for" in line for line in lines)
    assert len(plan.given) == (2 if isinstance(plan, InClaims) else 3)


def _require_variety(plan: Planned) -> None:
    """A plan that gives no wrong answers tests nothing."""
    assert plan is LEFT_ALONE or len({method for method, _ in plan.given}) >= 4, plan.given


def _launch(address: str, config: str, given: dict[str, Any], folder: Path) -> None:
    """A part of the launcher other than a step, as a process of its own."""
    folder.mkdir(parents=True)
    names = {"commit", "in"}
    text = {
        "inputs": {
            "parameterValues": {"timeout": 120, **given},
            "artifacts": {"artifact": {"artifacts": [{"name": "artifact", "uri": str(folder.parent / "a")}]}},
        },
        "outputs": {
            "parameters": {name: {"outputFile": str(folder / name)} for name in names},
            "artifacts": {"artifact": {"artifacts": [{"name": "artifact", "uri": str(folder / "artifact")}]}},
        },
    }
    command = [sys.executable, "-m", "kfp_pachyderm.launcher", config, "--executor-input", json.dumps(text)]
    env = {**os.environ, "KFP_PACHYDERM_ADDRESS": address}
    done = subprocess.run([*command, "--", "x"], env=env, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr


def _run_components(bench: Bench, name: str, plan: Planned, _: int) -> None:
    """Put, snapshot, resolve, get, and the job of a pipeline of somebody else's."""
    folder, repo, pfs_api = bench.folder / name, f"in{abs(hash(name))}", bench.pachd.pfs
    folder.mkdir()
    (folder / "a").write_text("A")
    pfs_api.create_repo(repo=repo_message("default", repo))
    _create_pipeline(bench.pachd, f"of-{repo}", repo)
    with Answered(bench.address.removeprefix("grpc://"), plan) as address:

        def launch(component: str, **given: Any) -> str:
            at = folder / component.replace("/", "-")
            _launch(address, dumps(ReusableConfig(component)), given, at)
            return (at / "commit").read_text()

        made = launch("repo/put", branch=f"{repo}@master", path="/a")
        snapshot = dumps(SnapshotConfig("default", {"in": f"default/{repo}@master"}, timeout=120))
        _launch(address, snapshot, {}, folder / "snapshot")
        assert (folder / "snapshot" / "in").read_text() == made
        assert launch("commit/resolve", reference=f"{repo}@master") == made
        assert launch("repo/get", commit=made, path="/") == made
        ran = launch("s3_pipeline/run", pipeline=f"of-{repo}")
    assert (folder / "repo-get" / "artifact" / "a").read_text() == "A"
    # put once, and no more than the pipeline's first commit beside it
    every = list(pfs_api.list_commit(repo=repo_message("default", repo)))
    assert [one.commit.id for one in every if one.origin.kind == pfs.OriginKind.USER] == [made[-32:]]
    assert files(bench.pachd, "default", f"of-{repo}", ran[-32:]) == {"/copy": 1}
    _require_variety(plan)


def _create_pipeline(pachd: Pachd, name: str, repo: str) -> None:
    spec = {
        "pipeline": {"name": name, "project": {"name": "default"}},
        "input": {"pfs": {"repo": repo, "glob": "/", "s3": True, "name": "images"}},
        "transform": {"cmd": ["python3", "-c", COPY]},
        "s3_out": True,
    }
    pachd.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec))


Planned = OnceEach | AtRandom | InWaits | InClaims
LEFT_ALONE = AtRandom(0, 0.0)
PLANS: dict[str, Callable[[], Planned]] = {
    **{f"each once, from text {at}": partial(OnceEach, at, False) for at in range(0, len(SAMPLES), 15)},
    **{f"each once, done, from {at}": partial(OnceEach, at, True) for at in range(7, len(SAMPLES), 20)},
    **{f"at random, seed {seed}": partial(AtRandom, seed) for seed in (1, 2)},
}
CASES: dict[str, tuple[Callable[[Bench, str, Planned, int], None], Callable[[], Planned], int]] = {
    **{f"step, {name}": (_run_passing, make, 0) for name, make in PLANS.items()},
    "12 datums, left alone": (_run_passing, lambda: LEFT_ALONE, 12),
    "12 datums, at random": (_run_passing, partial(AtRandom, 3, 0.1), 12),
    "what nobody knows, in a wait": (_run_strange, lambda: InWaits(3), 0),
    "what nobody knows, in a claim": (_run_strange, InClaims, 0),
    "components, each once": (_run_components, partial(OnceEach, 3, False), 0),
    "components, each once, done": (_run_components, partial(OnceEach, 5, True), 0),
    "components, at random": (_run_components, partial(AtRandom, 4), 0),
}


#: What others have, too, with other places or seeds.
LONG = {"step, at random, seed 2", "components, at random", "12 datums, left alone"}


@pytest.fixture(scope="module")
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[None]]]:
    """The cases that this session asks for, at work."""
    folder = tmp_path_factory.mktemp("answers")
    asked = [one.callspec.params.get("case") for one in request.session.items if hasattr(one, "callspec")]
    with (
        start(folder / "pachyderm") as server,
        connect(parse(server.address)) as pachd,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        bench = Bench(server.address, pachd, folder)
        yield {
            name: pool.submit(run, bench, name, make(), datums)
            for name, (run, make, datums) in CASES.items()
            if name in asked
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("case", [pytest.param(one, marks=long if one in LONG else ()) for one in CASES])
def test_it_succeeds(case: str, running: dict[str, Future[None]]) -> None:
    running[case].result(PATIENCE)

"""The embedded Pachyderm: its sidecar's S3 against moto's server and the loopback floor, and its growth.

All three servers get the same requests from the same plain HTTP client, so that the figures are the servers'.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlparse

from benchmarks import floor
from benchmarks.fixtures import peak_mib
from benchmarks.peers import moto
from benchmarks.server import Server, started

BIG = 2**30
SMALL = 4096
MANY = 10_000
KEYS = 100_000
#: Jobs in the history.
JOBS = int(os.environ.get("KFP_PACHYDERM_BENCH_JOBS", "10000"))
_PIECE = os.urandom(2**20)
_ROUNDS = 3


class _Plain:
    """Unsigned S3 requests to one bucket over one connection."""

    def __init__(self, endpoint: str, bucket: str = "out") -> None:
        found, self._bucket = urlparse(endpoint), bucket
        self._connection = http.client.HTTPConnection(found.hostname or "", found.port, timeout=300)

    def _ask(self, method: str, path: str, body: Any = None, size: int = 0) -> http.client.HTTPResponse:
        # moto answers unsigned requests for public objects only
        headers = {"Content-Length": str(size), "x-amz-acl": "public-read"} if method == "PUT" else {}
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        if response.status != 200:
            raise RuntimeError(f"{method} {path}: {response.status} {response.read()!r}")
        return response

    def make_bucket(self) -> None:
        self._ask("PUT", f"/{self._bucket}").read()

    def put_big(self) -> None:
        self._ask(
            "PUT", f"/{self._bucket}/big-{BIG}", (_PIECE for _ in range(BIG // len(_PIECE))), BIG
        ).read()

    def get_big(self) -> None:
        response = self._ask("GET", f"/{self._bucket}/big-{BIG}")
        buffer, size = bytearray(2**18), 0
        while count := response.readinto(buffer):
            size += count
        if size != BIG:
            raise RuntimeError(f"{size} bytes of {BIG}")

    def put_small(self) -> None:
        for number in range(MANY):
            self._ask(
                "PUT", f"/{self._bucket}/{number:06}-{SMALL}", number.to_bytes(4) * (SMALL // 4), SMALL
            ).read()

    def get_small(self) -> None:
        for number in range(MANY):
            self._ask("GET", f"/{self._bucket}/{number:06}-{SMALL}").read()

    def list_all(self) -> int:
        """Lists all pages; returns the number of different keys."""
        keys: list[str] = []
        marker, more = "", True
        while more:
            page = self._ask("GET", f"/{self._bucket}?marker={quote(marker)}").read().decode()
            keys += re.findall("<Key>(.*?)</Key>", page)
            marker, more = keys[-1], "<IsTruncated>true" in page
        return len(set(keys))


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _measure(client: _Plain, name: str) -> float:
    # one round does: ten thousand small requests vary little
    rounds = _ROUNDS if name.endswith("_big") else 1
    return statistics.median(_seconds(getattr(client, name)) for _ in range(rounds))


@contextlib.contextmanager
def _sidecar(server: Server, name: str, source: str, **spec: Any) -> Iterator[_Plain]:
    """A client of the sidecar of a job of a new pipeline; the job succeeds afterwards."""
    with server.job(name, source, **spec) as job:
        yield _Plain(job.places["sidecar_s3"], "out" if "s3_out" in spec else "in")


def _ours() -> dict[str, float]:
    with started() as (server, pid, _):
        server.put("images", iter([("/a", b"1")]))
        found = {}
        with _sidecar(server, "write", "images", s3_out=True) as client:
            found |= {name: _measure(client, name) for name in ("put_big", "put_small")}
        with _sidecar(server, "read", "write") as client:
            found |= {name: _measure(client, name) for name in ("get_big", "get_small")}
        return {**found, "peak, MiB": peak_mib(pid)}


def _all_four(client: _Plain) -> dict[str, float]:
    return {name: _measure(client, name) for name in ("put_big", "put_small", "get_big", "get_small")}


def _moto() -> dict[str, float]:
    with moto() as (endpoint, pid):
        client = _Plain(endpoint)
        client.make_bucket()
        return {**_all_four(client), "peak, MiB": peak_mib(pid)}


def _floor() -> dict[str, float]:
    with floor.running() as endpoint:
        return _all_four(_Plain(endpoint))


def measure() -> dict[str, float]:
    """Medians in seconds, and ratios: above 1 means faster than moto. The floor is the client's own time."""
    servers = {"sidecar": _ours(), "moto": _moto(), "floor": _floor()}
    titles = {
        "put_big": "put 1 GiB",
        "get_big": "get 1 GiB",
        "put_small": "put 10,000 x 4 KiB",
        "get_small": "get 10,000 x 4 KiB",
    }
    figures = {}
    for name, title in titles.items():
        for server, found in servers.items():
            figures[f"{title}: {server}, s"] = found[name]
        figures[f"{title}: times as fast as moto"] = servers["moto"][name] / servers["sidecar"][name]
        figures[f"{title}: times the floor"] = servers["sidecar"][name] / servers["floor"][name]
    figures["sidecar's server peak, MiB"] = servers["sidecar"]["peak, MiB"]
    figures["moto's peak, MiB"] = servers["moto"]["peak, MiB"]
    return figures


def _files(count: int) -> Iterator[tuple[str, bytes]]:
    return ((f"/dir-{number % 100:02}/{number:06}", b"%d" % number) for number in range(count))


def _listings(server: Server) -> dict[str, float]:
    figures = {}
    for count in (KEYS // 4, KEYS):
        repo = f"files-{count}"
        figures[f"ModifyFile of {count:,} files and its commit, s"] = _seconds(
            lambda repo=repo, count=count: server.put(repo, _files(count))
        )
        with _sidecar(server, f"list-{count}", repo) as client:
            start = time.perf_counter()
            listed = client.list_all()
            figures[f"list {count:,} keys, s"] = time.perf_counter() - start
        if listed != count:
            raise RuntimeError(f"{listed} of {count} keys were listed")
    for what in ("ModifyFile of {:,} files and its commit, s", "list {:,} keys, s"):
        title = "ModifyFile" if what.startswith("M") else "list"
        figures[f"{title}: four times as many keys take times"] = (
            figures[what.format(KEYS)] / figures[what.format(KEYS // 4)]
        )
    return figures


def _a_job(server: Server) -> float:
    from pachyderm_sdk.api import pfs, pps

    repo = server.repo("empty")
    start = time.perf_counter()
    commit = server.client.pfs.start_commit(branch=pfs.Branch(repo=repo, name="master"))
    server.client.pfs.finish_commit(commit=commit)
    pipeline = pps.Pipeline(name="history", project=server.project)
    server.client.pps.inspect_job(job=pps.Job(pipeline=pipeline, id=commit.id), wait=True)
    return time.perf_counter() - start


def _history(server: Server) -> dict[str, float]:
    # an empty input has no datum, so the job runs no user code
    server.repo("empty")
    server.create("history", "", "empty")
    times = [_a_job(server) for _ in range(JOBS)]
    tenth = max(1, len(times) // 10)
    first, last = statistics.median(times[:tenth]), statistics.median(times[-tenth:])
    return {
        f"a job, the first {tenth:,} of {JOBS:,}, s": first,
        f"a job, the last {tenth:,} of {JOBS:,}, s": last,
        "a job: last by first": last / first,
    }


def _stored_once(server: Server, folder: Path) -> dict[str, float]:
    def size() -> int:
        return sum(one.stat().st_size for one in (folder / "chunks").rglob("*") if one.is_file())

    content, before = os.urandom(64 * 2**20), size()
    pieces = [content[start : start + 2**20] for start in range(0, len(content), 2**20)]
    for name in ("/one", "/two"):
        server.put("same", ((name, piece) for piece in pieces))
    return {"64 MiB put twice: MiB more on disk": (size() - before) / 2**20}


def measure_growth() -> dict[str, float]:
    """Figures of listings, of stored data and of a long history, and the server's peak memory."""
    with started() as (server, pid, folder):
        figures = _listings(server) | _stored_once(server, folder) | _history(server)
        return {**figures, "server peak, MiB": peak_mib(pid)}


def measure_fresh() -> dict[str, float]:
    """Seconds from nothing to a Pachyderm that answers, as the fixture of kfp_pachyderm.testing gets one."""
    from pachyderm_sdk import Client

    from kfp_pachyderm.embedded.process import FreshServers

    times = []
    with tempfile.TemporaryDirectory() as folder, FreshServers() as servers:
        for number in range(11):
            start = time.perf_counter()
            server = servers.open(Path(folder) / str(number))
            list(Client.from_pachd_address(server.address).pfs.list_repo())
            servers.close_current()
            times.append(time.perf_counter() - start)
    return {"the first one, s": times[0], "every further one, s": statistics.median(times[1:])}

"""The step's adapter against the sidecar's own S3 and other servers, with the same boto3 client.

`python -m benchmarks adapter`. Every figure is a ratio of medians taken in turn in one run.
Writes count until Pachyderm has finished the job's output commit, unless they say "answered".
"""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import floor, peers, ready
from benchmarks.fixtures import peak_mib
from benchmarks.server import RunningJob, Server, started
from kfp_pachyderm.adapter.config import AdapterConfig
from kfp_pachyderm.adapter.control.process import AdapterProcess
from kfp_pachyderm.protocol.pfs_messages import CommitName

BIG = int(os.environ.get("KFP_PACHYDERM_BENCH_MIB", "1024")) * 2**20
ROUNDS = int(os.environ.get("KFP_PACHYDERM_BENCH_ROUNDS", "3"))
SMALL, MANY = 4096, 3000
RANGE, PARALLEL, BATCHES = 8 * 2**20, 16, 5
_MIB = 2**20
_TIMEOUT = 600.0
#: The access key and secret key that an embedded sidecar takes with authentication off.
_KEY = "default"


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Args:
        what: is measured.
        found: what came out.
        target: what should; None when nobody has said.
        most: whether the target is an upper limit, not a lower one.
        note: the seconds behind a ratio.
    """

    what: str
    found: float
    target: float | None = None
    most: bool = False
    note: str = ""

    def verdict(self) -> str:
        """Whether the target is met."""
        if self.target is None:
            return ""
        met = self.found < self.target if self.most else self.found >= self.target
        return "pass" if met else "MISS"

    def __str__(self) -> str:
        limit = "" if self.target is None else f"{'<' if self.most else '>='} {self.target:g}"
        return f"{self.what:<58} {self.found:9.2f} {limit:>8} {self.verdict():<5} {self.note}"


@dataclass
class Times:
    """The seconds of each kind of work in all rounds, and the adapter's peak memory."""

    of: dict[str, list[float]] = field(default_factory=dict)
    peak: float = 0.0

    def add(self, work: str, seconds: float) -> None:
        """Adds a round's seconds."""
        self.of.setdefault(work, []).append(seconds)

    def median(self, work: str) -> float:
        """The median of all rounds."""
        return statistics.median(self.of[work])


def client_of(endpoint: str) -> Any:
    """A boto3 client with its defaults and with the checksum settings of a step's environment."""
    import boto3
    from botocore.config import Config

    settings = Config(
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        max_pool_connections=PARALLEL,
    )
    keys = {"aws_access_key_id": _KEY, "aws_secret_access_key": _KEY}
    return boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=settings, **keys)


def _put_parts(client: Any, file: Path) -> None:
    client.upload_file(str(file), "out", "big")


def _put_whole(client: Any, file: Path) -> None:
    with file.open("rb") as content:
        client.put_object(Bucket="out", Key="big", Body=content)


def _put_small(client: Any, _: Path) -> None:
    for number in range(MANY):
        client.put_object(
            Bucket="out", Key=f"{number % 10}/{number:05}", Body=number.to_bytes(4) * (SMALL // 4)
        )


def _get_parts(client: Any, bucket: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        client.download_file(bucket, "big", str(Path(folder) / "big"))


def _get_whole(client: Any, bucket: str) -> None:
    body = client.get_object(Bucket=bucket, Key="big")["Body"]
    size = sum(len(piece) for piece in body.iter_chunks(_MIB))
    if size != BIG:
        raise RuntimeError(f"{size} bytes of {BIG}")


def _get_range(client: Any, bucket: str, start: int) -> None:
    answer = client.get_object(Bucket=bucket, Key="big", Range=f"bytes={start}-{start + RANGE - 1}")
    if len(answer["Body"].read()) != RANGE:
        raise RuntimeError(f"the range from {start} is short")


def _get_ranges(client: Any, bucket: str) -> None:
    starts = range(0, BIG - RANGE + 1, max(RANGE, BIG // PARALLEL))
    with ThreadPoolExecutor(PARALLEL) as threads:
        list(threads.map(lambda start: _get_range(client, bucket, start), starts))


_PUTS = {"put, upload_file": _put_parts, "put, one PUT": _put_whole, "put small": _put_small}
#: The order matters: the adapter caches what is read in parts, but not what is read in one piece.
_GETS = {
    "get, one GET": _get_whole,
    "get, download_file": _get_parts,
    "get, one GET again": _get_whole,
    "ranges": _get_ranges,
}


def _seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


@contextlib.contextmanager
def adapter(
    server: Server, job: RunningJob, inputs: dict[str, CommitName]
) -> Iterator[tuple[Any, AdapterProcess]]:
    """A client of an adapter for this job; it has made a first request."""
    with tempfile.TemporaryDirectory() as spool, AdapterProcess() as process:
        config = AdapterConfig(
            sidecar=job.places["sidecar_grpc"],
            pachd=server.address,
            token="",
            inputs=inputs,
            output=job.output,
            aliases={},
            access_key=_KEY,
            secret_key=_KEY,
            spool=spool,
        )
        client = client_of(process.configure(config, time.monotonic() + _TIMEOUT))
        client.list_objects_v2(Bucket="out")
        yield client, process


def _put_by_adapter(server: Server, name: str, work: str, file: Path, times: Times) -> CommitName:
    with server.job(name, "images", s3_out=True) as job:
        with adapter(server, job, {}) as (client, process):
            begin = time.perf_counter()
            _PUTS[work](client, file)
            times.add(work + " answered", time.perf_counter() - begin)
            process.flush(_TIMEOUT)
            times.peak = max(times.peak, peak_mib(process.pid))
    times.add(work, time.perf_counter() - begin)
    return job.output


def _put_direct(server: Server, name: str, work: str, file: Path, times: Times) -> None:
    with server.job(name, "images", s3_out=True) as job:
        client = client_of(job.places["sidecar_s3"])
        client.head_bucket(Bucket="out")
        begin = time.perf_counter()
        _PUTS[work](client, file)
    times.add(work, time.perf_counter() - begin)


def _puts(server: Server, file: Path, ours: Times, direct: Times) -> CommitName:
    """Measures all writes, each round both ways; returns a commit that holds the large object."""
    kept = None
    for number in range(ROUNDS):
        for index, work in enumerate(_PUTS):
            name = f"put-{index}-{number}"
            written = _put_by_adapter(server, name, work, file, ours)
            kept = kept or written
            _put_direct(server, f"{name}-direct", work, file, direct)
    assert kept is not None
    return kept


def _gets(server: Server, source: CommitName, ours: Times, direct: Times) -> None:
    with server.job("get", source[1], s3_out=True) as job:
        straight = client_of(job.places["sidecar_s3"])
        with adapter(server, job, {"in": source}) as (client, process):
            for work, get in _GETS.items():
                for _ in range(BATCHES if work == "ranges" else ROUNDS):
                    ours.add(work, _seconds(lambda get=get: get(client, "in")))
                    direct.add(work, _seconds(lambda get=get: get(straight, "in")))
            ours.peak = max(ours.peak, peak_mib(process.pid))


def _own(file: Path) -> tuple[Times, Times, float]:
    """The times of the adapter and of the sidecar's S3, and the embedded server's peak memory."""
    ours, direct = Times(), Times()
    with started() as (server, pid, _):
        server.put("images", iter([("/a", b"1")]))
        _gets(server, _puts(server, file, ours, direct), ours, direct)
        return ours, direct, peak_mib(pid)


def _peer(start: Callable[[], AbstractContextManager[tuple[str, int]]], file: Path) -> Times:
    times = Times()
    with start() as (endpoint, pid):
        client = client_of(endpoint)
        client.create_bucket(Bucket="out")
        for _ in range(ROUNDS):
            times.add("put, upload_file", _seconds(lambda: _put_parts(client, file)))
            times.add("get, download_file", _seconds(lambda: _get_parts(client, "out")))
        times.peak = peak_mib(pid)
    return times


def _floor(file: Path) -> Times:
    """The client's own time, measured at `benchmarks.floor`: no adapter can be faster."""
    times, works = Times(), ("put, one PUT", "put small")
    with floor.running(BIG) as endpoint:
        client = client_of(endpoint)
        for _ in range(ROUNDS):
            for work in works:
                times.add(work, _seconds(lambda work=work: _PUTS[work](client, file)))
            times.add("get, one GET", _seconds(lambda: _get_whole(client, "in")))
    return times


def _ratio(what: str, ours: float, other: float, target: float | None = None) -> Line:
    return Line(what, other / ours, target, note=f"{ours:.2f} s, not {other:.2f} s")


def _against_direct(ours: Times, direct: Times, alone: Times) -> list[Line]:
    size = f"{BIG // _MIB:,} MiB"
    targets = {
        "put, upload_file": (f"put {size}, upload_file", 1.0),
        "put, one PUT": (f"put {size}, one PUT", 1.0),
        "get, download_file": (f"get {size}, download_file", 1.0),
        "get, one GET": (f"get {size}, one GET", 1.0),
        "get, one GET again": (f"get {size}, one GET, kept by download_file", 1.0),
        "put small": (f"put {MANY:,} x 4 KiB, one after the other", 20.0),
        "ranges": (f"{PARALLEL} parallel reads of 8 MiB of {size}", 10.0),
    }
    found = []
    for work, (title, target) in targets.items():
        found.append(_ratio(f"{title}: against direct", ours.median(work), direct.median(work), target))
        if work in alone.of:
            found.append(
                _ratio("  the client alone: against direct", alone.median(work), direct.median(work))
            )
    return found


def _against_peer(name: str, ours: Times, peer: Times) -> list[Line]:
    put, get = peer.median("put, upload_file"), peer.median("get, download_file")
    return [
        _ratio(
            f"put, upload_file, answered: against {name}", ours.median("put, upload_file answered"), put, 1.5
        ),
        _ratio(f"put, upload_file, in the commit: against {name}", ours.median("put, upload_file"), put, 1.5),
        _ratio(f"get, download_file: against {name}", ours.median("get, download_file"), get, 2.0),
        Line(f"{name}'s peak memory, MiB", peer.peak),
    ]


def lines() -> Iterator[Line]:
    """The lines of the table, each as soon as it is measured."""
    milliseconds = ready.measure() * 1000
    yield Line("adapter ready, ms after the launcher's start", milliseconds, 150, most=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "big"
        piece = os.urandom(_MIB)
        with file.open("wb") as target:
            for number in range(BIG // _MIB):
                target.write(number.to_bytes(8) + piece[8:])
        ours, direct, server = _own(file)
        yield from _against_direct(ours, direct, _floor(file))
        yield Line("adapter's peak memory, MiB", ours.peak, 150, most=True)
        yield Line("embedded server's peak memory, MiB", server, 150, most=True)
        yield from _against_peer("moto", ours, _peer(peers.moto, file))
        yield from _against_peer("ministack", ours, _peer(peers.ministack, file))


def main() -> None:
    """Prints the table."""
    for line in lines():
        print(line, flush=True)

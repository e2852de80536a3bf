"""Spark's own cluster, each of its processes on another host than the step: `share=True`."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from test_spark import COMMITTERS, DEADLINE, bed, check, copied

from benchmarks.clients.run import Bed
from tests.other_hosts import Host, Hosts, other_hosts
from tests.waiting import wait_for

__all__ = ["bed"]

HOME = next((Path(sys.prefix) / "spark" / "lib").glob("python*/site-packages/pyspark"), Path())
PORT = 7077


@contextmanager
def process(host: Host, log: Path, name: str, *arguments: object) -> Iterator[None]:
    """One of Spark's daemons, on a host."""
    argv = host.command(HOME / "bin" / "spark-class", f"org.apache.spark.deploy.{name}", *arguments)
    with log.open("wb") as said, subprocess.Popen(argv, stdout=said, stderr=said) as running:
        try:
            yield
        finally:
            running.terminate()


def answers(host: Host) -> bool:
    """Whether the master does; from here, which reaches all hosts."""
    with socket.socket() as sock:
        return sock.connect_ex((host.address, PORT)) == 0


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    with other_hosts(3) as found:
        yield found


@pytest.fixture(scope="module")
def master(hosts: Hosts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("spark")
    first, *workers = hosts.others
    with ExitStack() as stack:
        arguments = ("--host", first.address, "--port", PORT, "--webui-port", 0)
        stack.enter_context(process(first, folder / "master.log", "master.Master", *arguments))
        wait_for(lambda: answers(first), "Spark's master")
        url = f"spark://{first.address}:{PORT}"
        for number, host in enumerate(workers):
            arguments = ("--host", host.address, "--webui-port", 0, "--cores", 1, "--memory", "768m")
            arguments += ("--work-dir", folder / f"worker{number}", url)
            stack.enter_context(process(host, folder / f"worker{number}.log", "worker.Worker", *arguments))
        yield url


@pytest.mark.timeout(2 * DEADLINE)
@pytest.mark.parametrize(("committer", "seen"), COMMITTERS)
def test_parquet_by_executors_elsewhere(
    bed: Bed, hosts: Hosts, master: str, committer: str, seen: str
) -> None:
    with bed.step(f"standalone-{committer}", share=hosts.here) as (job, environment):
        found = copied(environment, committer, master)
    assert found["executors"] == sorted([hosts.here, *(host.address for host in hosts.others[1:])])
    check(bed, job, found, seen)

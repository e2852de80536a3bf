"""The stand, the embedded server in one namespace and the steps' own in another."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from kfp_pachyderm.pachd.connection.address import parse
from kfp_pachyderm.pachd.connection.client import Pachd, connect
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.references import Reference, commit_message, repo_message
from kfp_pachyderm.pachd.sdk import pfs, pps
from tests.cluster import images
from tests.cluster.cluster_steps import container, pod
from tests.cluster.stand import ROOT, Stand, StandError, eventually

#: The server's namespace; another one where this stand has a pachd of somebody else's.
SERVER = os.environ.get("KFP_PACHYDERM_TEST_NAMESPACE", "pachyderm")
STEPS = "team-a"
ENDED = (pps.JobState.JOB_SUCCESS, pps.JobState.JOB_FAILURE, pps.JobState.JOB_KILLED)
_LABEL = {"kfp-pachyderm/made-by": "test-cluster"}
TOKEN = "choose-a-long-random-token"


@dataclass
class Cluster:
    """What the tests work with.

    Args:
        stand: the Kubernetes.
        pachd: the embedded server, reached by its pod's address.
        folder: for compiled texts.
    """

    stand: Stand
    pachd: Pachd
    folder: Path

    def start(self, name: str, until: str = "wait", command: list[str] | None = None) -> None:
        """Starts a step's pod; with `wait` it runs until `end` is called, with a command it is no step."""
        made = container(name, until, self.folder)
        self.stand.apply(pod(name, STEPS, {**made, "command": command or made["command"]}))

    def log(self, name: str) -> str:
        """The step's log so far."""
        return self.stand.kubectl("-n", STEPS, "logs", name)

    def begun(self, name: str) -> str:
        """The step's job, once its command runs."""
        eventually(f"command of {name}", lambda: "\nbegun\n" in self.log(name))
        return job_of(self.log(name))

    def end(self, name: str) -> None:
        """Lets the command end; a kubelet that has just begun knows its pods a moment later."""
        command = ["touch", "/tmp/end"]  # noqa: S108 - in the pod
        tell = lambda: self.stand.kubectl("-n", STEPS, "exec", name, "--", *command) is not None  # noqa: E731
        eventually(f"{name} to be told its end", tell)

    def phase(self, name: str) -> str:
        """How the step's pod has ended."""
        look = lambda: self.stand.get(STEPS, f"pod/{name}")["status"]["phase"]  # noqa: E731
        return str(eventually(f"end of {name}", lambda: (one := look()) in ("Succeeded", "Failed") and one))

    def job(self, name: str, job: str) -> pps.JobInfo:
        """A step's job as it is now."""
        return self.pachd.pps.inspect_job(job=ClaimedJob("default", name, job).message())

    def ended_job(self, name: str, job: str) -> pps.JobInfo:
        """A step's job, once it has ended."""
        look = lambda: (one := self.job(name, job)).state in ENDED and one  # noqa: E731
        return cast(pps.JobInfo, eventually(f"end of job {job}", look))

    def holders_word(self, name: str, job: str) -> str:
        """What the holder said of a job."""
        lines = self.pachd.pps.get_logs(job=ClaimedJob("default", name, job).message())
        return "\n".join(one.message for one in lines if one.user)

    def files(self, name: str, job: str) -> list[str]:
        """What is in a job's output commit."""
        commit = commit_message(Reference("default", name, job))
        found = self.pachd.pfs.walk_file(file=pfs.File(commit=commit, path="/"))
        return [one.file.path for one in found if one.file_type == pfs.FileType.FILE]


def job_of(log: str) -> str:
    """The job that a step's log names."""
    found = re.search(r"\[kfp-pachyderm\] job=(\w+)", log)
    assert found, log
    return found[1]


@pytest.fixture(scope="session")
def stand() -> Stand:
    running = Stand.up()
    images.make(running)
    return running


@pytest.fixture(scope="session")
def namespaces(stand: Stand) -> Iterator[None]:
    for name in (SERVER, STEPS):
        _fresh(stand, name)
    yield
    stand.kubectl("delete", "namespace", SERVER, STEPS, "--wait=false")


def _fresh(stand: Stand, name: str) -> None:
    """A namespace of these tests' own."""
    try:
        seen = stand.get("", f"namespace/{name}")
    except StandError:
        seen = None
    if seen:
        if not _LABEL.items() <= seen["metadata"]["labels"].items():
            pytest.fail(f"namespace {name} is not these tests': set KFP_PACHYDERM_TEST_NAMESPACE to another")
        stand.kubectl("delete", "namespace", name)
    metadata = {"name": name, "labels": _LABEL}
    stand.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})


@pytest.fixture(scope="session")
def server(stand: Stand, namespaces: None) -> str:
    """The address of the embedded server, made by the overlay for development, on a volume of the node."""
    volume = stand.folder / "data" / f"test-{SERVER}"
    shutil.rmtree(volume, ignore_errors=True)
    volume.mkdir(parents=True)
    os.chown(volume, 65532, 65532)
    stand.apply(_volume(volume), *_overlay(stand))
    stand.kubectl("-n", SERVER, "rollout", "status", "statefulset/kfp-pachyderm-server", "--timeout=120s")
    status = stand.get(SERVER, "pod/kfp-pachyderm-server-0")["status"]
    return f"grpc://{status['podIP']}:30650"


def _volume(folder: Path) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"test-{SERVER}-{os.getpid()}"},
        "spec": {
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(folder)},
            "claimRef": {"namespace": SERVER, "name": "data-kfp-pachyderm-server-0"},
        },
    }


def _overlay(stand: Stand) -> list[dict[str, Any]]:
    text = stand.kubectl("kustomize", str(ROOT / "manifests" / "overlays" / "development"))
    text = re.sub(r"((?:namespace|name): )pachyderm$", rf"\g<1>{SERVER}", text, flags=re.MULTILINE)
    return list(yaml.safe_load_all(text.replace("//pachd.pachyderm:", f"//pachd.{SERVER}:")))


@pytest.fixture(scope="session")
def cluster(stand: Stand, server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with connect(parse(server, TOKEN)) as pachd:
        _fill(pachd)
        yield Cluster(stand, pachd, tmp_path_factory.mktemp("compiled"))


def _fill(pachd: Pachd) -> None:
    repo = repo_message("default", "images")
    pachd.pfs.create_repo(repo=repo)
    commit = pachd.pfs.start_commit(branch=pfs.Branch(repo=repo, name="master"))
    added = pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/a", raw=b"A"))
    pachd.pfs.modify_file(iter([pfs.ModifyFileRequest(set_commit=commit), added]))
    pachd.pfs.finish_commit(commit=commit)


@pytest.fixture
def step(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Callable[..., str]]:
    """Starts a step's pod, named after the test; the pod is removed when the test has ended."""
    name = request.node.name.removeprefix("test_").replace("_", "-")

    def start(until: str = "wait", command: list[str] | None = None) -> str:
        cluster.start(name, until, command)
        return name

    yield start
    cluster.stand.kubectl(
        "-n", STEPS, "delete", "pod", name, "--ignore-not-found", "--force", "--grace-period=0"
    )

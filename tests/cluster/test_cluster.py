"""A step's pod on a real Kubernetes: names across namespaces, rights, faults of pods and of the node.

Not part of `make test`: `make test-cluster` builds Kubernetes the first time.
"""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kfp_pachyderm import local
from kfp_pachyderm.cli import main
from kfp_pachyderm.pachd.sdk import pps
from tests.cluster.cluster_steps import count_here, pod
from tests.cluster.conftest import SERVER, STEPS, TOKEN, Cluster
from tests.cluster.images import PROGRAM
from tests.cluster.stand import Stand, StandError

pytestmark = pytest.mark.timeout(600)
Step = Callable[..., str]
#: Seconds that the node's kubelet is away: longer than the holder's lease of 30.
AWAY = 40


@pytest.fixture(autouse=True, scope="module")
def _built(stand: Stand) -> None:
    """Before the first test's clock begins: building takes longer than any test."""


def test_step_in_another_namespace(cluster: Cluster, step: Step) -> None:
    """pachd.<namespace> by DNS, the job's holder and sidecar, the launcher by pip from a wheel."""
    name = step("end")
    assert cluster.phase(name) == "Succeeded", cluster.log(name)
    log = cluster.log(name)
    assert "installing the launcher: --no-index --find-links /mnt/wheels kfp-pachyderm" in log
    assert "the root: [Errno 30] Read-only file system: '/written'" in log
    assert "user 65532 token None" in log
    job = cluster.begun(name)
    assert cluster.ended_job(name, job).state == pps.JobState.JOB_SUCCESS
    assert cluster.files(name, job) == ["/a"]


@pytest.mark.parametrize(
    ("allowed", "what"),
    [
        (True, {"verb": "create", "group": "argoproj.io", "resource": "workflowtaskresults"}),
        (True, {"verb": "get", "resource": "pods"}),
        (True, {"verb": "get", "resource": "configmaps", "name": "kfp-launcher"}),
        (True, {"verb": "get", "resource": "secrets", "name": "mlpipeline-minio-artifact"}),
        (False, {"verb": "get", "resource": "secrets", "name": "kfp-pachyderm"}),
        (False, {"verb": "list", "resource": "secrets"}),
        (False, {"verb": "create", "resource": "pods"}),
        (False, {"verb": "create", "resource": "pods", "subresource": "exec"}),
        (False, {"verb": "get", "resource": "pods", "namespace": SERVER}),
    ],
    ids=lambda one: " ".join(one.values()) if isinstance(one, dict) else None,
)
def test_service_account(cluster: Cluster, allowed: bool, what: dict[str, str]) -> None:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{STEPS}:kfp-pachyderm",
            "resourceAttributes": {"namespace": STEPS, **what},
        },
    }
    answer = cluster.stand.kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(review))
    assert json.loads(answer)["status"]["allowed"] is allowed


def test_network_policies(cluster: Cluster) -> None:
    """They are there; whether they close anything is the stand's network plugin's to do."""
    policies = cluster.stand.kubectl("get", "networkpolicies", "-A", "-o", "name")
    assert "kfp-pachyderm-server" in policies
    assert "kfp-pachyderm-steps" in policies
    probe = f"import socket; socket.create_connection(('pachd.{SERVER}', 30650), timeout=5)"
    outsider = pod("outsider", "default", {"command": ["python3", "-c", probe], "env": []})
    outsider["spec"]["serviceAccountName"] = "default"
    cluster.stand.apply(outsider)
    try:
        cluster.stand.kubectl(
            "-n", "default", "wait", "--for=jsonpath={.status.phase}=Failed", "pod/outsider", "--timeout=20s"
        )
    except StandError:
        assert cluster.stand.get("default", "pod/outsider")["status"]["phase"] == "Succeeded"
        pytest.skip("this stand's network plugin (bridge) enforces no policy: pachd is open to all pods")
    finally:
        cluster.stand.kubectl("-n", "default", "delete", "pod", "outsider", "--force", "--grace-period=0")


def test_step_pod_deleted(cluster: Cluster, step: Step) -> None:
    """SIGTERM: one call to the holder ends the job before the grace is over."""
    name = step()
    job = cluster.begun(name)
    deleted = time.monotonic()
    cluster.stand.kubectl("-n", STEPS, "delete", "pod", name, "--wait=false")
    ended = cluster.ended_job(name, job)
    print(f"job ended {time.monotonic() - deleted:.1f} s after the deletion: {ended.reason}")
    assert ended.state == pps.JobState.JOB_FAILURE
    assert "lease" not in cluster.holders_word(name, job)


def test_step_pod_killed(cluster: Cluster, step: Step) -> None:
    """Nobody says anything to the holder: the lease runs out."""
    name = step()
    job = cluster.begun(name)
    killed = time.monotonic()
    cluster.stand.kill_pod(STEPS, name)
    ended = cluster.ended_job(name, job)
    print(f"job ended {time.monotonic() - killed:.1f} s after the kill: {ended.reason}")
    assert ended.state == pps.JobState.JOB_FAILURE
    assert "lease lost" in cluster.holders_word(name, job)


def test_kubelet_stopped(cluster: Cluster, step: Step) -> None:
    """A step needs nothing of its node's kubelet while it runs."""
    name = step()
    job = cluster.begun(name)
    os.kill(cluster.stand.pid("kubelet"), signal.SIGTERM)
    try:
        time.sleep(AWAY)  # the fault itself
        assert cluster.job(name, job).state == pps.JobState.JOB_RUNNING
    finally:
        subprocess.run([cluster.stand.folder / "up.sh"], check=True, capture_output=True)
        # the names of a node's pods are gone while its kubelet is away
        cluster.stand.kubectl("-n", SERVER, "wait", "--for=condition=Ready", "pod", "--all", "--timeout=120s")
    cluster.end(name)
    assert cluster.phase(name) == "Succeeded", cluster.log(name)
    assert cluster.files(name, job) == ["/a"]


@pytest.mark.skipif("doctor" not in main.commands, reason="this checkout has no `kfp-pachyderm doctor`")
def test_doctor(cluster: Cluster, step: Step) -> None:
    """In a pod of the steps' namespace, by the namespace's default connection, a job included."""
    name = step(command=[PROGRAM, "doctor", "--repo", "images", "--run", "--json"])
    phase = cluster.phase(name)
    found = json.loads(cluster.log(name).partition("{")[2].join(("{", "")))
    assert [one for one in found["findings"] if one["state"] == "error"] == []
    assert phase == "Succeeded"


@pytest.mark.skipif(
    "port_forward" not in inspect.signature(local.init).parameters,
    reason="this checkout has no `local.init(port_forward=)`",
)
def test_port_forward(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step on this machine, outside of the cluster."""
    monkeypatch.setenv("KUBECONFIG", cluster.stand.kubeconfig)
    where: Any = {"address": f"grpc://pachd.{SERVER}:30650", "token": TOKEN, "port_forward": True}
    with local.init(tmp_path, **where):
        assert count_here().output == 1

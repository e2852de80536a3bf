"""manifests/ builds by kustomize, is valid, grants no more than needed, and agrees with the code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kfp
import kubernetes_validate
import pytest
import yaml
from kfp.client import KF_PIPELINES_SA_TOKEN_ENV, KF_PIPELINES_SA_TOKEN_PATH
from pod_security import violations

from kfp_pachyderm.adapter.control.shared_endpoint import PORT
from kfp_pachyderm.authoring.task_connection import DEFAULT_NAME
from kfp_pachyderm.pachd.connection.address import ADDRESS_FILE, DEFAULT_ADDRESS, TOKEN_FILE
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.jobs.locator import _by_dns
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"
BIN = Path(sys.executable).parent
FOLDERS = sorted(str(one.parent.relative_to(MANIFESTS)) for one in MANIFESTS.rglob("kustomization.yaml"))
OVERLAYS = [one for one in FOLDERS if one.startswith("overlays/") and one.count("/") == 1]
DOCKERFILE = (MANIFESTS / "Dockerfile").read_text()


@cache
def built(folder: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [BIN / "kubectl", "kustomize", MANIFESTS / folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def found(folder: str, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
    (one,) = [
        one
        for one in built(folder)
        if (one["kind"], one["metadata"]["name"]) == (kind, name)
        and namespace in (None, one["metadata"].get("namespace"))
    ]
    return one


def ports_to(policy: dict[str, Any], direction: str, peer: str, **labels: str) -> set[int]:
    """The ports that a policy opens to (or from) pods with these labels."""
    rules = policy["spec"][direction]
    return {
        port["port"]
        for rule in rules
        for one in rule.get(peer, ())
        if one.get("podSelector", {}).get("matchLabels") == labels
        for port in rule["ports"]
    }


@pytest.mark.parametrize("version", ["1.29", "1.37"])
@pytest.mark.parametrize("folder", FOLDERS)
def test_valid_by_the_schemas_of_kubernetes(folder, version):
    for one in built(folder):
        kubernetes_validate.validate(one, version, strict=True)


def test_a_misspelt_field_is_seen():
    policy = found("steps", "NetworkPolicy", "kfp-pachyderm-steps")
    with pytest.raises(kubernetes_validate.ValidationError, match="egres"):
        kubernetes_validate.validate({**policy, "spec": {**policy["spec"], "egres": []}}, "1.34", strict=True)


@pytest.mark.parametrize("folder", FOLDERS)
def test_pod_security_restricted(folder):
    workloads = [one for one in built(folder) if "template" in one.get("spec", {})]
    with_pods = folder == "trigger" or ("development" in folder and not folder.endswith("steps"))
    assert bool(workloads) == with_pods
    for one in workloads:
        assert violations(one["spec"]["template"]) == []
        for container in one["spec"]["template"]["spec"]["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"]


def test_what_breaks_restricted_is_seen():
    server = found("development-server", "StatefulSet", "kfp-pachyderm-server")
    pod = json.loads(json.dumps(server["spec"]["template"]))
    pod["spec"]["hostNetwork"] = True
    pod["spec"]["securityContext"]["runAsUser"] = 0
    del pod["spec"]["containers"][0]["securityContext"]["capabilities"]
    assert violations(pod) == ["hostNetwork", "runAsUser", "server: capabilities"]


def test_role_allows_what_it_names_and_no_more():
    role = found("steps", "Role", "kfp-pachyderm")
    for rule in role["rules"]:
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        assert rule["verbs"] == ["get"] or rule["resources"] == ["workflowtaskresults"]
        assert rule.get("resourceNames") or not {"secrets", "configmaps"} & set(rule["resources"])
    assert {one["kind"] for one in built("steps")} == {
        "ConfigMap", "NetworkPolicy", "Role", "RoleBinding", "ServiceAccount",
    }  # fmt: skip


def test_a_trigger_may_use_kfp_and_nothing_else():
    role = found("trigger", "Role", "kfp-pachyderm-trigger")
    assert {group for rule in role["rules"] for group in rule["apiGroups"]} == {"pipelines.kubeflow.org"}
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {
        "get",
        "list",
        "create",
        "terminate",
    }
    pod = found("trigger", "Deployment", "kfp-pachyderm-trigger")["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    mounted = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    assert Path(ADDRESS_FILE).parent == Path(mounted["connection"])
    assert Path(TOKEN_FILE).parent == Path(mounted["token"])
    (token,) = [one for one in container["env"] if one["name"] == KF_PIPELINES_SA_TOKEN_ENV]
    assert token["value"] == KF_PIPELINES_SA_TOKEN_PATH == f"{mounted['kfp']}/token"
    assert f"{mounted['namespace']}/namespace" == kfp.Client._NAMESPACE_PATH
    # what steps may reach of Pachyderm, without its workers
    policy, steps = (
        found("trigger", "NetworkPolicy", "kfp-pachyderm-trigger"),
        found("steps", "NetworkPolicy", "kfp-pachyderm-steps"),
    )
    for app in ("pachd", "pachyderm-proxy"):
        assert ports_to(policy, "egress", "to", app=app) == ports_to(steps, "egress", "to", app=app)
    assert ports_to(policy, "egress", "to", suite="pachyderm", component="worker") == set()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_default_connection_is_what_a_compiled_pipeline_asks_for(overlay):
    config = found(overlay, "ConfigMap", DEFAULT_NAME, "team-a")
    secret = found(overlay, "Secret", DEFAULT_NAME, "team-a")
    assert (set(config["data"]) - {"ca.crt"}, set(secret["data"])) == ({"address"}, {"token"})
    assert found("steps", "ConfigMap", DEFAULT_NAME)["data"] == {"address": DEFAULT_ADDRESS}


def test_network_policies_open_the_ports_that_the_launcher_uses():
    places = _by_dns("pachd.pachyderm", ClaimedJob("default", "edges", "0" * 32))
    used = {urlsplit(url).port for url in (places.holder, places.sidecar_grpc, places.sidecar_s3)}
    worker = {"suite": "pachyderm", "component": "worker"}
    steps = found("steps", "NetworkPolicy", "kfp-pachyderm-steps")
    assert ports_to(steps, "egress", "to", **worker) == used
    workers = found("pachyderm", "NetworkPolicy", "kfp-pachyderm-workers")
    assert workers["spec"]["podSelector"]["matchLabels"] == worker
    assert {port["port"] for port in workers["spec"]["ingress"][1]["ports"]} == used


def test_a_shared_endpoint_is_for_workers_alone():
    steps = found("steps", "NetworkPolicy", "kfp-pachyderm-steps")
    share = found("share", "NetworkPolicy", "kfp-pachyderm-share")
    assert share["spec"]["podSelector"] == steps["spec"]["podSelector"]
    (inwards,), (outwards,) = share["spec"]["ingress"], share["spec"]["egress"]
    # of the same namespace: no namespaceSelector
    workers = [{"podSelector": {"matchLabels": {"kfp-pachyderm/worker": "true"}}}]
    assert inwards["from"] == outwards["to"] == workers
    (ports,) = inwards["ports"]
    assert ports["port"] <= PORT <= ports["endPort"]
    # a policy that some apply, and others leave out
    names = [one["metadata"]["name"] for one in built("steps") if one["kind"] == "NetworkPolicy"]
    assert names == ["kfp-pachyderm-steps"]


@pytest.mark.parametrize("app", ["pachd", "pachyderm-proxy"])
def test_pachyderm_lets_in_what_the_steps_may_reach(app):
    steps = found("steps", "NetworkPolicy", "kfp-pachyderm-steps")
    name = f"kfp-pachyderm-{app.removeprefix('pachyderm-')}"
    inside = found("pachyderm", "NetworkPolicy", name)
    assert inside["spec"]["podSelector"]["matchLabels"] == {"app": app}
    ports = {port["port"] for port in inside["spec"]["ingress"][1]["ports"]}
    assert ports == ports_to(steps, "egress", "to", app=app)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlay_lets_its_own_namespace_in(overlay):
    policies = [one for one in built(overlay) if one["kind"] == "NetworkPolicy"]
    inside = [one for one in policies if one["metadata"]["namespace"] == "pachyderm"]
    # The proxy is open to everybody.
    inside = [one for one in inside if one["metadata"]["name"] != "kfp-pachyderm-proxy"]
    assert inside
    for one in inside:
        text = json.dumps(one["spec"]["ingress"])
        assert re.findall(r'"kubernetes.io/metadata.name": "([^"]+)"', text) == ["team-a"]


def test_development_server_is_where_steps_look_by_default():
    service = found("development-server", "Service", "pachd")
    where = f"{service['metadata']['name']}.{service['metadata']['namespace']}"
    assert f"grpc://{where}:{service['spec']['ports'][0]['port']}" == DEFAULT_ADDRESS
    server = found("development-server", "StatefulSet", "kfp-pachyderm-server")
    assert server["spec"]["template"]["metadata"]["labels"].items() >= service["spec"]["selector"].items()
    (container,) = server["spec"]["template"]["spec"]["containers"]
    assert {container[name]["grpc"]["port"] for name in ("startupProbe", "livenessProbe")} == {30650}


def test_dockerfile_is_good_style():
    done = subprocess.run(
        [BIN / "hadolint", MANIFESTS / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_dockerfile_copies_what_is_there_and_runs_as_the_user_of_the_pod():
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.M)
    assert copied
    for name in " ".join(copied).split():
        assert (ROOT / name).exists(), name
    server = found("development-server", "StatefulSet", "kfp-pachyderm-server")
    context = server["spec"]["template"]["spec"]["securityContext"]
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.M) == [f"{context['runAsUser']}:{context['runAsGroup']}"]


def test_entrypoint_of_the_server_starts_and_answers_the_probe(tmp_path, monkeypatch):
    import grpc

    monkeypatch.setenv("KFP_PACHYDERM_ROOT_TOKEN", "a-token")
    program, *arguments = json.loads(re.search(r"^ENTRYPOINT (\[.*\])$", DOCKERFILE, re.M)[1])
    arguments = [str(tmp_path / "data") if one == "/data" else one for one in arguments]
    server = subprocess.Popen(
        [BIN / program, *arguments, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        port = re.search(r"grpc://127.0.0.1:(\d+)", server.stdout.readline())[1]
        # The server names 127.0.0.1. Clients of a pod use another address, so the test does, too.
        with grpc.insecure_channel(f"127.0.0.2:{port}") as channel:
            answer = channel.unary_unary("/grpc.health.v1.Health/Check")(
                b"", timeout=PATIENCE, wait_for_ready=True
            )
        assert answer == b"\x08\x01"
        assert "a-token" not in "".join(iter(lambda: server.stdout.readline().strip(), ""))
    finally:
        server.terminate()
        server.communicate(timeout=PATIENCE)

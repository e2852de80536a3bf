"""`kfp-pachyderm doctor` against embedded Pachyderms: healthy and not, auth on and off, by a port-forward."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from click.testing import CliRunner, Result
from pachyderm_sdk import Client
from pachyderm_sdk.api import auth, pfs

from kfp_pachyderm.cli import main
from kfp_pachyderm.doctor import place, server, steps, worker
from kfp_pachyderm.doctor.case import Case
from kfp_pachyderm.embedded.server import EmbeddedServer
from kfp_pachyderm.errors import PachydermError
from kfp_pachyderm.forward.tunnel import reset
from kfp_pachyderm.launcher.config import InputConfig, StepConfig, dumps
from kfp_pachyderm.local import real_pachyderm
from kfp_pachyderm.pachd.connection.address import parse
from kfp_pachyderm.pachd.connection.client import connect
from kfp_pachyderm.pachd.jobs.locator import Places
from kfp_pachyderm.pachd.sdk import version
from kfp_pachyderm.protocol.protobuf import number
from tests.fake_kubernetes import Pod, fake_kubernetes
from tests.faults.fault_answers import AnsweringPachd, Wrong
from tests.grpc_proxy import pem, tls_in_front_of

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ADDRESS", "TOKEN", "CA", "FORWARDER", "HOLDER_IMAGE"):
        monkeypatch.delenv(f"KFP_PACHYDERM_{name}", raising=False)
    for name in ("S3_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(real_pachyderm, "CONFIG_FOLDER", tmp_path)
    monkeypatch.setattr(real_pachyderm, "SECRET_FOLDER", tmp_path)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("real"), host="0.0.0.0") as one:
        repo(Client.from_pachd_address(one.address))
        yield one


def repo(client: Client) -> None:
    images = pfs.Repo(name="images", type="user", project=pfs.Project(name="default"))
    client.pfs.create_repo(repo=images)
    with client.pfs.commit(branch=pfs.Branch(repo=images, name="master")) as commit:
        commit.put_file_from_bytes(path="/a", data=b"A")


def doctor(address: str, *more: str) -> Result:
    return CliRunner().invoke(main, ["doctor", "--address", address, *more])


def lines(address: str, *more: str) -> dict[str, dict[str, Any]]:
    """Check → its last finding."""
    found = json.loads(doctor(address, *more, "--json").output)
    return {one["check"]: one for one in found["findings"]}


def states(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: one["state"] for name, one in found.items()}


WORKER = ("port 8080, the holder", "port 1653, the sidecar's PFS", "port 1600, the sidecar's S3")


@pytest.mark.usefixtures("_busy")
def test_healthy_and_with_a_job_of_its_own(real: EmbeddedServer) -> None:
    shown = doctor(real.address, "--repo", "images", "--run")
    assert shown.exit_code == 0, shown.output
    assert "ERROR" not in shown.output
    for said in (
        "ok       repo default/images: steps may read it",
        "ok       trial: a step ran as a Pachyderm job",
        "is removed",
        *(f"ok       {one}: " for one in WORKER),
        "is known here",
    ):
        assert said in shown.output
    with connect(parse(real.address)) as pachd:
        assert [one.project.name for one in pachd.pfs.list_project()] == ["default"]


def test_without_a_job_it_says_what_it_could_not_see(real: EmbeddedServer) -> None:
    found = lines(real.address)
    unseen = {name for name, one in found.items() if not one["looked"]}
    assert {*WORKER, "job's name"} <= unseen
    assert all(
        one["state"] == "warning" and "could not look: " in one["text"]
        for one in found.values()
        if not one["looked"]
    )
    assert set(found["token"]) == {"check", "state", "text", "repair", "looked"}


def test_the_mounted_default_is_the_steps_too(
    real: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "address").write_text(real.address)
    (tmp_path / "holder_image").write_text("registry.internal/python:3\n")
    shown = CliRunner().invoke(main, ["doctor"])
    assert f"{real.address} (from the mounted ConfigMap)" in shown.output
    assert "holder image: registry.internal/python:3, the namespace's" in shown.output
    monkeypatch.setenv("KFP_PACHYDERM_ADDRESS", real.address)
    assert "(from KFP_PACHYDERM_ADDRESS)" in CliRunner().invoke(main, ["doctor"]).output


def test_a_missing_repo_is_an_error_with_its_repair(real: EmbeddedServer) -> None:
    shown = doctor(real.address, "--repo", "images", "--repo", "vision/nothing")
    assert shown.exit_code == 1
    assert "→ pachctl create repo nothing --project vision" in shown.output


@contextmanager
def step(real: EmbeddedServer, folder: Path, **config: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A step whose command runs until the block ends."""
    made = StepConfig(
        component="seen", inputs=(InputConfig("images", "images"),), name="seen", timeout=120, **config
    )
    code = f"import os, time\nwhile not os.path.exists({str(folder / 'end')!r}): time.sleep(0.05)"
    given = json.dumps({"outputs": {"outputFile": str(folder / "executor_output.json")}})
    command = [sys.executable, "-m", "kfp_pachyderm.launcher", dumps(made), "--executor-input", given, "--"]
    process = subprocess.Popen(
        [*command, sys.executable, "-c", code], env={**os.environ, "KFP_PACHYDERM_ADDRESS": real.address}
    )
    try:
        yield process
        (folder / "end").touch()
        assert process.wait(120) == 0
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def _busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets checks wait longer for a holder: on a busy machine the start of Python alone takes seconds."""
    monkeypatch.setattr(worker, "_TIMEOUT", 60.0)


@pytest.mark.usefixtures("_busy")
def test_a_running_step_shows_the_way_to_jobs_and_its_memory(real: EmbeddedServer, tmp_path: Path) -> None:
    small = {"sidecar_resource_requests": {"memory": "256Mi"}}
    with step(real, tmp_path, pipeline_spec=small) as process:
        found = lines(real.address)
        while found["job's name"]["state"] != "ok":
            assert process.poll() is None
            found = lines(real.address)
        # The doctor listed the pipelines before the job existed.
        found = lines(real.address)
        assert [found[one]["state"] for one in WORKER] == ["ok"] * 3
        assert found["sidecar memory"]["text"].startswith("less than 1 GiB: seen;")


def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kfp_pachyderm.doctor.report.connect", lambda where, _: connect(where, 0.3))
    shown = doctor("grpc://127.0.0.1:1", "--json")
    found = {one["check"]: one for one in json.loads(shown.output)["findings"]}
    assert (shown.exit_code, found["port 1650"]["state"], found["token"]["looked"]) == (1, "error", False)
    assert states(lines("nonsense://x"))["address"] == "error"
    assert states(lines("grpc://no-such-host.invalid:1"))["address"] == "error"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Client]]:
    with EmbeddedServer(tmp_path_factory.mktemp("guarded"), 0, True) as one:
        token = (one.data_dir / "root-token").read_text().strip()
        root = Client.from_pachd_address(one.address, auth_token=token)
        repo(root)
        yield one.address, root


def robot(root: Client, name: str, **roles: str) -> str:
    for kind, role in roles.items():
        where = "default/images" if kind == "repo" else "default"
        resource = auth.Resource(type=auth.ResourceType[kind.upper()], name=where)
        root.auth.modify_role_binding(resource=resource, principal=f"robot:{name}", roles=[role])
    return str(root.auth.get_robot_token(robot=name).token)


@pytest.mark.parametrize("token", ["", "wrong"])
def test_auth_on_and_no_good_token(
    guarded: tuple[str, Client], token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KFP_PACHYDERM_TOKEN", token)
    shown = doctor(guarded[0], "--repo", "images", "--run")
    assert shown.exit_code == 1
    said = "the token is refused" if token else "auth is on, and there is no token"
    assert f"ERROR    token: {said}" in shown.output
    assert "project: could not look: Pachyderm lets nobody in" in shown.output
    assert "wrong" not in shown.output


def test_auth_on_and_too_few_rights(guarded: tuple[str, Client], monkeypatch: pytest.MonkeyPatch) -> None:
    address, root = guarded
    monkeypatch.setenv("KFP_PACHYDERM_TOKEN", robot(root, "reader", repo="repoReader"))
    root.pfs.create_project(project=pfs.Project(name="vision"))
    shown = doctor(address, "--repo", "default/images", "--project", "vision")
    assert shown.exit_code == 1
    assert "ERROR    repo default/images: the token lacks REPO_CREATE_BRANCH" in shown.output
    assert "→ pachctl auth set repo images repoWriter <principal> --project default" in shown.output
    assert "warning  project vision: a step's first run needs PROJECT_CREATE_REPO there" in shown.output


def test_auth_on_and_the_documented_roles(
    guarded: tuple[str, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, root = guarded
    token = robot(root, "kfp", repo="repoWriter", project="projectWriter")
    monkeypatch.setenv("KFP_PACHYDERM_TOKEN", token)
    shown = doctor(address, "--repo", "images", "--run")
    assert shown.exit_code == 0, shown.output
    assert "auth is on, and this is robot:kfp" in shown.output
    assert "warning  tls: no TLS: whoever sees the network" in shown.output
    assert "ok       trial: " in shown.output
    assert "is removed" in shown.output
    assert token not in shown.output


def test_a_permission_of_a_later_pachyderm(
    guarded: tuple[str, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, root = guarded
    monkeypatch.setenv("KFP_PACHYDERM_TOKEN", robot(root, "later", repo="repoWriter"))

    def later(method: str, answer: bytes) -> bytes:
        return answer + number(1, 999) if method == "GetPermissions" else answer

    with AnsweringPachd(address.removeprefix("grpc://"), lambda *_: None, later) as proxy:
        found = lines(f"grpc://{proxy.address}", "--repo", "images")["repo default/images"]
    assert (found["state"], found["text"]) == ("ok", "steps may read it")


def test_tls(real: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    with tls_in_front_of(real.address, authority) as proxy:
        found = lines(proxy.address)
        assert (found["tls"]["state"], found["version"]["looked"]) == ("error", False)
        assert "not trusted" in found["tls"]["text"]
        (tmp_path / "authority.crt").write_bytes(pem(authority))
        monkeypatch.setenv("KFP_PACHYDERM_CA", str(tmp_path / "authority.crt"))
        assert lines(proxy.address)["tls"]["text"] == "the certificate is trusted"


def test_by_a_port_forward(real: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_kubernetes() as kubernetes:
        kubernetes.pods["pachd"] = [Pod("pachd-0", {30650: real.port})]
        monkeypatch.setenv("KUBECONFIG", str(kubernetes.kubeconfig(tmp_path)))
        inside = "grpc://pachd.pachyderm:30650"
        shown = doctor(inside, "--port-forward", "--run")
        assert shown.exit_code == 0, shown.output
        assert "by a port-forward: no DNS is needed" in shown.output
        assert "KFP_PACHYDERM_FORWARDER" not in os.environ
        kubernetes.refused = 403
        found = lines(inside, "--port-forward")
        assert "pods/portforward" in found["address"]["text"]
        assert states(found)["address"] == "error"


@pytest.mark.parametrize("forwarded", [False, True])
def test_a_closed_port_is_not_open(forwarded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # A port-forward takes every connection and resets it.
    monkeypatch.setattr(worker, "_TIMEOUT", 0.3)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    if forwarded:
        threading.Thread(target=_reset_all, args=(listener,), daemon=True).start()
    else:
        listener.close()
    places = Places(*(f"http://127.0.0.1:{port}" for _ in range(3)))
    found = [worker._port(places, which, forwarded) for which in worker._PORTS]
    listener.close()
    assert [one.state for one in found] == ["error", "warning", "warning"]
    assert all("manifests/steps" in one.repair for one in found)


def _reset_all(listener: socket.socket) -> None:
    with suppress(OSError):
        while True:
            reset(listener.accept()[0])


@pytest.mark.parametrize(
    ("name", "endpoint", "state"),
    [
        ("AWS_ENDPOINT_URL", "http://pachd.pachyderm:30600", "warning"),
        ("S3_ENDPOINT", "http://pachyderm-proxy.pachyderm:80", "warning"),
        ("AWS_ENDPOINT_URL_S3", "http://my-pachd:30600", "warning"),
        ("S3_ENDPOINT", "http://s3-0123.pachyderm:1600", "ok"),
        ("AWS_ENDPOINT_URL", "http://minio.storage:9000", "ok"),
    ],
)
def test_master_gateway_in_the_environment(name: str, endpoint: str, state: str) -> None:
    found = place.master_gateway(parse("grpc://my-pachd.pachyderm:30650"), {name: endpoint})
    assert found.state == state
    assert (name in found.text) == (state == "warning")


def test_image_says_where_it_is_from() -> None:
    assert "built-in default, from the public registry" in place.image({}).text
    mine = place.image({"KFP_PACHYDERM_HOLDER_IMAGE": "mine:1"}).text
    assert mine.startswith("mine:1, the namespace's or this environment's (KFP_PACHYDERM_HOLDER_IMAGE);")


@pytest.fixture
def case(real: EmbeddedServer) -> Iterator[Case]:
    where = parse(real.address)
    with connect(where) as pachd:
        yield Case(where, pachd, {}, "default", ()).learned()


@pytest.mark.parametrize(
    ("release", "state"), [((2, 12), "ok"), ((2, 13), "warning"), ((2, 11), "error"), ((3, 0), "error")]
)
def test_versions(case: Case, release: tuple[int, int], state: str) -> None:
    found = version.Version(major=release[0], minor=release[1])
    assert server.version(replace(case, version=found)).state == state
    assert not server.version(replace(case, version=None)).looked


@pytest.mark.parametrize(("seconds", "state"), [(0, "ok"), (300, "warning"), (-3600, "error")])
def test_clocks(case: Case, monkeypatch: pytest.MonkeyPatch, seconds: float, state: str) -> None:
    class Elsewhere(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + timedelta(seconds=seconds)

    monkeypatch.setattr(server, "datetime", Elsewhere)
    assert server.clock(case).state == state
    assert case.pachd.transactions.list_transaction().transaction_info == []


def test_leftovers(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [one.state for one in steps.leftovers(case)] == ["ok"]
    opened = case.pachd.transactions.start_transaction()
    dead = pfs.Project(name="kfp-pachyderm-doctor-dead")
    case.pachd.pfs.create_project(project=dead)
    try:
        assert [one.state for one in steps.leftovers(case)] == ["ok"], "they are young"
        monkeypatch.setattr(steps, "_OLD", -1.0)
        found = {one.repair for one in steps.leftovers(case)}
    finally:
        case.pachd.transactions.delete_transaction(transaction=opened)
        case.pachd.pfs.delete_project(project=dead)
    assert f"pachctl delete transaction {opened.id}" in found
    assert any("pachctl delete project kfp-pachyderm-doctor-dead" in one for one in found)


def test_outside_of_the_cluster_jobs_have_no_name(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    outside = worker.job_name(replace(case, version=version.Version(major=2, minor=12)))
    assert (outside.state, "port_forward=True" in outside.repair) == ("error", True)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    assert not worker.job_name(replace(case, version=version.Version(major=2, minor=12))).looked


@pytest.mark.parametrize(
    ("quantity", "size"),
    [("1Gi", 2**30), ("256Mi", 2**28), ("1G", 1e9), ("1500M", 1.5e9), ("5", 5.0), ("?", float("inf"))],
)
def test_quantities(quantity: str, size: float) -> None:
    assert steps.size(quantity) == size


def test_a_check_that_is_not_let_look_says_so(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    from kfp_pachyderm.doctor import report

    def refuse(_: Case) -> None:
        raise PachydermError("not allowed")

    monkeypatch.setattr(steps, "memory", refuse)
    found = {one.check: one for one in report._asked(case, 0.0)}
    assert (found["sidecar memory"].looked, found["leftovers"].looked) == (False, True)
    assert "not allowed" in found["sidecar memory"].text


def answering(server: EmbeddedServer, method: str) -> AnsweringPachd:
    target = server.address.removeprefix("grpc://")
    return AnsweringPachd(
        target, lambda asked, _: Wrong("the moon is full", carried_out=False) if asked == method else None
    )


@pytest.mark.parametrize("method", ["WhoAmI", "GetVersion", "InspectProject", "ListPipeline", "ListProject"])
def test_an_answer_that_nobody_knows_ends_no_other_check(real: EmbeddedServer, method: str) -> None:
    with answering(real, method) as proxy:
        found = lines(f"grpc://{proxy.address}")
    assert {one["text"] for one in found.values() if "could not look" in one["text"]}
    assert {"address", "port 1650", "tls", "clock", "token"} <= set(found)


@pytest.mark.usefixtures("_busy")
def test_a_trial_is_told_although_nobody_says_whether_its_project_is_gone(real: EmbeddedServer) -> None:
    with answering(real, "ListProject") as proxy:
        found = lines(f"grpc://{proxy.address}", "--run")
    assert found["trial"]["state"] == "ok"
    assert not found["trial's project"]["looked"]
    assert "pachctl delete project" in found["trial's project"]["repair"]


def test_a_name_that_no_project_has(real: EmbeddedServer) -> None:
    ended = doctor(real.address, "--project", "Bad/Name")
    assert ended.exit_code == 1
    assert "Bad/Name" in ended.output

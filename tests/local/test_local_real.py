"""`local.init(address=...)`: steps run here, on a Pachyderm that runs elsewhere; by a port-forward, too."""

import functools
import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from kfp import dsl
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps

import kfp_pachyderm as pachyderm
from kfp_pachyderm.embedded.server import EmbeddedServer
from kfp_pachyderm.errors import (
    AuthenticationError,
    NotFoundError,
    PachydermUnreachableError,
    PermanentError,
)
from kfp_pachyderm.local import real_pachyderm
from kfp_pachyderm.pachd.connection.address import parse
from kfp_pachyderm.pachd.connection.client import connect
from tests.fake_kubernetes import FakeKubernetes, Pod, fake_kubernetes
from tests.grpc_proxy import pem, tls_in_front_of

INSIDE = "grpc://pachd.pachyderm:30650"
component = functools.partial(dsl.component, base_image="python:3.11", install_kfp_package=False)


@component()
def copy(wait: str = "") -> str:
    """Copies every image; waits until a file is there."""
    import os
    import time

    import boto3

    s3 = boto3.client("s3")
    while wait and not os.path.exists(wait):
        s3.list_objects(Bucket="images")
        time.sleep(0.05)
    for one in s3.list_objects_v2(Bucket="images")["Contents"]:
        s3.put_object(
            Bucket="out",
            Key=one["Key"],
            Body=s3.get_object(Bucket="images", Key=one["Key"])["Body"].read(),
        )
    return os.environ.get("KFP_PACHYDERM_TOKEN", "")


step = pachyderm.s3_enabled(copy, inputs=[pachyderm.S3Input("images")])
direct = pachyderm.s3_enabled(copy, inputs=[pachyderm.S3Input("images")], gateway="direct", name="direct")
#: A heartbeat, and so a connection, every four seconds.
often = pachyderm.s3_enabled(
    copy, inputs=[pachyderm.S3Input("images")], holder=pachyderm.HolderOptions(lease=12)
)


@contextmanager
def server(folder: Path, auth: bool = False) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(folder / "real", 0, auth, "0.0.0.0") as one:
        token = (folder / "real" / "root-token").read_text().strip() if auth else None
        client = Client.from_pachd_address(url(one), auth_token=token)
        images = pfs.Repo(name="images", type="user", project=pfs.Project(name="default"))
        client.pfs.create_repo(repo=images)
        with client.pfs.commit(branch=pfs.Branch(repo=images, name="master")) as commit:
            commit.put_file_from_bytes(path="/a", data=b"A" * 100_000)
        yield one


def url(one: EmbeddedServer) -> str:
    return f"grpc://127.0.0.1:{one.port}"


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ADDRESS", "TOKEN", "FORWARDER", "HOLDER_IMAGE", "CA"):
        monkeypatch.delenv(f"KFP_PACHYDERM_{name}", raising=False)
    monkeypatch.setattr(real_pachyderm, "CONFIG_FOLDER", tmp_path / "config")
    monkeypatch.setattr(real_pachyderm, "SECRET_FOLDER", tmp_path / "secret")
    (tmp_path / "config").mkdir()
    (tmp_path / "secret").mkdir()


@pytest.fixture
def real(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with server(tmp_path) as one:
        yield one


def output(client: Client, commit: str) -> bytes:
    with client.pfs.pfs_file(pfs.File.from_uri(f"{commit}:/a")) as file:
        return file.read()


def test_steps_work_on_the_data_of_the_address(real: EmbeddedServer, tmp_path: Path) -> None:
    with pachyderm.local.init(address=url(real)) as running:
        assert running.address == os.environ["KFP_PACHYDERM_ADDRESS"] == url(real)
        task = step()
        assert output(running.client, task.outputs["commit"]) == b"A" * 100_000
        assert (tmp_path / ".pachyderm" / "kfp").is_dir()
        assert not (tmp_path / ".pachyderm" / "db").exists()
        assert sorted(one.name for one in (tmp_path / ".pachyderm").iterdir()) == ["kfp"]
        assert pachyderm.local.init(address=url(real)) is running
    assert "KFP_PACHYDERM_ADDRESS" not in os.environ


def test_token_lets_in_and_stays_with_the_step(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with server(tmp_path, auth=True) as real:
        token = (tmp_path / "real" / "root-token").read_text().strip()
        with pytest.raises(AuthenticationError, match="no authentication token"):
            pachyderm.local.init(address=url(real))
        with pytest.raises(AuthenticationError, match=r"local.init\(token=.*KFP_PACHYDERM_TOKEN$"):
            pachyderm.local.init(address=url(real), token="wrong")
        assert "KFP_PACHYDERM_TOKEN" not in os.environ
        with pachyderm.local.init(address=url(real), token=token) as running:
            task = step()
            assert task.output == "", "user code has the token"
            assert output(running.client, task.outputs["commit"]) == b"A" * 100_000
            assert token not in repr(vars(running))
    assert token not in "".join(capfd.readouterr())


def test_environment_says_where(
    real: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KFP_PACHYDERM_ADDRESS", url(real))
    with pachyderm.local.init() as running:
        assert running.address == url(real)
        assert f"steps run on the Pachyderm at {url(real)}" in capsys.readouterr().out
        assert pachyderm.local.init() is running
        with pachyderm.local.init(tmp_path / "own") as embedded:
            assert embedded.address != url(real), "a folder means an embedded one"


def test_mounted_default_says_where(real: EmbeddedServer, tmp_path: Path) -> None:
    (tmp_path / "config" / "address").write_text(url(real) + "\n")
    (tmp_path / "config" / "holder_image").write_text("registry.internal/python:3\n")
    with pachyderm.local.init() as running:
        assert running.address == url(real)
        job = step().outputs["commit"]
        assert job
        pipeline = pps.Pipeline(name="copy", project=pfs.Project(name="default"))
        info = running.client.pps.inspect_pipeline(pipeline=pipeline, details=True)
        assert info.details.transform.image == "registry.internal/python:3"
    assert "KFP_PACHYDERM_HOLDER_IMAGE" not in os.environ


def test_defaults_token_is_for_the_defaults_address_alone(tmp_path: Path) -> None:
    (tmp_path / "secret" / "token").write_text("mounted\n")
    find = real_pachyderm.find
    assert (find(None, None, {}).token, find(None, None, {}).url) == ("mounted", INSIDE)
    assert find("grpc://other:1", None, {}).token == "mounted", "no address is known that it belongs to"
    env = {"KFP_PACHYDERM_ADDRESS": "grpc://here:1", "KFP_PACHYDERM_TOKEN": "set"}
    assert find(None, None, env).token == "set"
    assert find("grpc://here:1", None, env).token == "set"
    assert find("grpc://other:1", None, env).token == ""
    assert find("grpc://other:1", "given", env).token == "given"


def test_nobody_there_names_the_port_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kfp_pachyderm.pachd.connection.client.CONNECT_TIMEOUT", 0.5)
    monkeypatch.setattr(
        "kfp_pachyderm.pachd.connection.client.connect", functools.partial(connect, timeout=0.5)
    )
    with pytest.raises(PachydermUnreachableError, match=r"port_forward=True"):
        pachyderm.local.init(address="grpc://127.0.0.1:1")


@pytest.fixture
def kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKubernetes]:
    with fake_kubernetes() as cluster:
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig(tmp_path)))
        yield cluster


def holds(kubernetes: FakeKubernetes, port: int, name: str = "pachd-0") -> None:
    kubernetes.pods["pachd"] = [Pod(name, {1650: port}, {"api-grpc-port": 1650})]
    kubernetes.service_ports["pachd"] = [{"port": 30650, "targetPort": "api-grpc-port"}]


def worker_of(real: EmbeddedServer) -> Callable[[str], Pod | None]:
    """Finds the pod of a job's service, as its selector does in a cluster."""

    def find(service: str) -> Pod | None:
        with connect(parse(url(real))) as pachd:
            for info in pachd.pps.list_job():
                job = {"project": "default", "pipeline": info.job.pipeline.name, "job": info.job.id}
                name = f"default/{info.job.pipeline.name}{info.job.id}"
                if service == "s3-" + hashlib.md5(name.encode()).hexdigest():
                    asked = json.dumps(job).encode()
                    places = json.loads(pachd.raw("/kfp_pachyderm.embedded.Locator/Locate", asked))
                    ports = [int(one.rpartition(":")[2]) for one in places.values()]
                    return Pod("worker", dict(zip((8080, 1653, 1600), ports, strict=True)))
        return None

    return find


def test_port_forward_to_the_development_server(real: EmbeddedServer, kubernetes: FakeKubernetes) -> None:
    # Its service is headless, and jobs listen on free ports of the same pod.
    kubernetes.pods["pachd"] = [Pod("pachd-0", {30650: int(url(real).rpartition(":")[2])})]
    with pachyderm.local.init(address=INSIDE, port_forward=True) as running:
        assert running.address == INSIDE
        assert [one.repo.name for one in running.client.pfs.list_repo()] == ["images"]
        task = step()
        assert output(running.client, task.outputs["commit"]) == b"A" * 100_000
    assert len(set(kubernetes.forwards)) == 3, "pachd, holder, sidecar"
    assert "KFP_PACHYDERM_FORWARDER" not in os.environ


@pytest.mark.parametrize("which", [step, direct], ids=["adapter", "direct"])
def test_port_forward_as_to_a_real_cluster(
    real: EmbeddedServer,
    kubernetes: FakeKubernetes,
    which: Callable[[], dsl.PipelineTask],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A pachd with TLS that knows no Locate: the job is found by its service's name.
    authority = trustme.CA()
    monkeypatch.setenv("KFP_PACHYDERM_CA", str(tmp_path / "ca.crt"))
    (tmp_path / "ca.crt").write_bytes(pem(authority))
    with tls_in_front_of(url(real), authority, "pachd.pachyderm") as proxy:
        proxy.refused.add("Locate")
        holds(kubernetes, int(proxy.address.rpartition(":")[2]))
        kubernetes.find = worker_of(real)
        address = INSIDE.replace("grpc", "grpcs")
        with pachyderm.local.init(address=address, port_forward=True) as running:
            with running.client.transaction.transaction():
                running.client.pfs.create_repo(
                    repo=pfs.Repo(name="more", type="user", project=pfs.Project(name="default"))
                )
            task = which()
            assert output(running.client, task.outputs["commit"]) == b"A" * 100_000
            sidecar = task.outputs["pachyderm"].metadata["sidecar"]
            assert re.fullmatch(r"http://s3-[0-9a-f]{32}\.pachyderm:1600", sidecar), "no port of this machine"
    forwarded = {one.rpartition(":")[2] for one in kubernetes.forwards}
    assert forwarded == ({"1650", "8080", "1653"} if which is step else {"1650", "8080", "1600"})


def test_step_outlives_broken_connections(
    real: EmbeddedServer, kubernetes: FakeKubernetes, tmp_path: Path
) -> None:
    holds(kubernetes, int(url(real).rpartition(":")[2]))
    kubernetes.pods["pachd"][0].ports[30650] = kubernetes.pods["pachd"][0].ports[1650]
    kubernetes.service_ports.clear()
    with pachyderm.local.init(address=INSIDE, port_forward=True) as running:
        threading.Thread(target=_cut_when_it_reads, args=(kubernetes, tmp_path / "go"), daemon=True).start()
        task = often(wait=str(tmp_path / "go"))
        assert output(running.client, task.outputs["commit"]) == b"A" * 100_000


def _cut_when_it_reads(kubernetes: FakeKubernetes, go: Path) -> None:
    forwards = 3
    try:
        for _ in range(3):
            while len(kubernetes.forwards) <= forwards:
                threading.Event().wait(0.05)
            forwards = len(kubernetes.forwards)
            kubernetes.cut()
    finally:
        go.touch()


def test_what_the_port_forward_lacks_is_named(kubernetes: FakeKubernetes) -> None:
    with pytest.raises(NotFoundError, match="service pachd in namespace pachyderm"):
        pachyderm.local.init(port_forward=True)
    holds(kubernetes, 1)
    kubernetes.refused = 403
    with pytest.raises(AuthenticationError, match="pods/portforward"):
        pachyderm.local.init(port_forward=True)
    with pytest.raises(PermanentError, match="is no service of a cluster"):
        pachyderm.local.init(address="grpc://10.0.0.1:30650", port_forward=True)

"""Names and specs of the steps' pipelines, and the addresses of their jobs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import grpc
import pytest

from kfp_pachyderm.errors import PermanentError, SpecError
from kfp_pachyderm.pachd import pipeline_plan
from kfp_pachyderm.pachd.connection.address import parse
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.jobs import locator
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.pipeline_plan import ClaimedInput, PipelinePlan, branch_name, check_name
from kfp_pachyderm.pachd.references import Reference

ID = "0123456789abcdef" * 2


@pytest.mark.parametrize("name", ["a", "edges", "edges-2", "0x", "a" * 51])
def test_names_that_pachyderm_takes(name: str) -> None:
    assert check_name("default", name) == name


@pytest.mark.parametrize("name", ["", "Edges", "a_b", "-a", "a-", "a.b", "a" * 52])
def test_names_that_it_does_not(name: str) -> None:
    with pytest.raises(SpecError, match="s3_enabled"):
        check_name("default", name)


def test_long_projects_leave_less() -> None:
    assert check_name("p" * 20, "a" * 38)
    with pytest.raises(SpecError, match="at most 38"):
        check_name("p" * 20, "a" * 39)


def test_claim_branches_are_never_shared() -> None:
    made = [
        branch_name(project, pipeline, "p")
        for project in ("p", "x", "x_", "2")
        for pipeline in ("a", "2", "x", "a-2")
    ]
    assert len(set(made)) == len(made)
    assert made[0] == "kfp_a"


def plan(*inputs: ClaimedInput) -> PipelinePlan:
    fields = {"transform": {"env": {"A": "b"}}, "metadata": {"annotations": {"team": "x"}}, "datum_tries": 5}
    return PipelinePlan("vision", "edges", inputs, True, "python:3.11-slim", 600.0, 30.0, fields)


def test_spec_of_one_input() -> None:
    made = pipeline_plan.spec(plan(ClaimedInput("images", Reference("vision", "photos", ID), "kfp_edges")))
    assert made["input"]["pfs"] == {
        "project": "vision",
        "repo": "photos",
        "branch": "kfp_edges",
        "name": "images",
        "glob": "/",
        "s3": True,
    }
    assert made["s3_out"] is True
    assert made["datum_tries"] == 1
    assert made["transform"]["cmd"][:-1] == ["python3", "-I", "-S", "-c"]
    assert made["transform"]["env"] == {
        "A": "b",
        "KFP_PACHYDERM_ATTACH_TIMEOUT": "600",
        "KFP_PACHYDERM_LEASE": "30",
    }
    assert made["metadata"]["annotations"] == {"team": "x", "kfp-pachyderm/owner": "kfp-pachyderm"}


@pytest.mark.parametrize(
    ("option", "fields", "expected"),
    [
        (None, {}, {"memory": "1Gi"}),
        (None, {"sidecar_resource_requests": {"cpu": 2}}, {"cpu": 2, "memory": "1Gi"}),
        (None, {"sidecar_resource_requests": {"memory": "64M"}}, {"memory": "64M"}),
        (None, {"sidecar_resource_limits": {"memory": "512M"}}, None),
        (None, {"sidecar_resource_limits": {"cpu": 1}}, {"memory": "1Gi"}),
        ("2Gi", {"sidecar_resource_requests": {"cpu": 2, "memory": "64M"}}, {"cpu": 2, "memory": "2Gi"}),
    ],
)
def test_sidecar_has_memory_unless_the_user_says_otherwise(
    option: str | None, fields: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    made = pipeline_plan.spec(replace(plan(), fields=fields, sidecar_memory=option))
    assert made.get("sidecar_resource_requests") == expected
    assert "resource_requests" not in made


def test_spec_of_several_inputs_is_a_cross() -> None:
    one, two = (ClaimedInput(name, Reference("vision", name, ID), "kfp_edges") for name in ("a", "b"))
    assert [part["pfs"]["name"] for part in pipeline_plan.spec(plan(one, two))["input"]["cross"]] == [
        "a",
        "b",
    ]


@pytest.mark.parametrize(
    ("project", "pipeline", "job", "service"),
    [
        ("default", "montage", "a1b2c3d4e5f64789a0b1c2d3e4f56789", "s3-1af363a3737fc3bb11342134d1ed8663"),
        ("proj", "pipe", "0123456789abcdef0123456789abcdef", "s3-69244cc489c032710c9c76de463464ef"),
    ],
)
def test_service_names(project: str, pipeline: str, job: str, service: str) -> None:
    assert locator.service_name(ClaimedJob(project, pipeline, job)) == service


@pytest.mark.parametrize("host", ["pachd.pachyderm", "pachd.pachyderm.svc.cluster.local"])
def test_places_by_dns(host: str) -> None:
    job = ClaimedJob("default", "montage", "a1b2c3d4e5f64789a0b1c2d3e4f56789")
    name = "s3-1af363a3737fc3bb11342134d1ed8663.pachyderm"
    assert locator._by_dns(host, job) == locator.Places(
        f"http://{name}:8080", f"grpc://{name}:1653", f"http://{name}:1600"
    )


class _Nothing(grpc.GenericRpcHandler):
    """Knows no call, as a pachd in a cluster does not know the embedded one's own."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def service(self, details: grpc.HandlerCallDetails) -> None:
        self.asked.append(details.method)


def test_a_pachd_in_a_cluster_is_asked_once_where_jobs_are() -> None:
    nothing, job = _Nothing(), ClaimedJob("default", "montage", ID)
    server = grpc.server(ThreadPoolExecutor(1), [nothing])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    where = replace(parse("grpc://pachd.pachyderm:30650"), dialled=f"127.0.0.1:{port}")
    with Pachd(where) as pachd:
        found = [locator.locate(pachd, job) for _ in range(3)]
    server.stop(None).wait()
    named = locator._by_dns("pachd.pachyderm", job)
    assert found == 3 * [replace(named, recorded=named.sidecar_s3)]
    assert len(nothing.asked) == 1


@pytest.mark.parametrize("host", ["localhost", "10.0.0.1", "::1"])
def test_hosts_without_namespace(host: str) -> None:
    with pytest.raises(PermanentError, match=r"grpc://pachd\.pachyderm:30650"):
        locator._by_dns(host, ClaimedJob("default", "montage", ID))

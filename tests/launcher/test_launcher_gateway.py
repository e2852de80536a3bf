"""What the child's S3 endpoint may be, and which names its buckets have."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from kfp_pachyderm.errors import HolderReplacedError, MasterGatewayError
from kfp_pachyderm.launcher.claim.open_job import Opened
from kfp_pachyderm.launcher.config import InputConfig, StepConfig
from kfp_pachyderm.launcher.gateway.endpoint import DirectGateway, _aliases, sidecar_endpoint
from kfp_pachyderm.launcher.resolve.inputs import Source
from kfp_pachyderm.pachd.connection.address import parse
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.jobs.locator import Places, service_name
from kfp_pachyderm.pachd.pipeline_plan import PipelinePlan
from kfp_pachyderm.pachd.references import Reference

ID = "0123456789abcdef" * 2


def opened(*inputs: Source) -> Opened:
    config = StepConfig(component="edges")
    plan = PipelinePlan("default", "edges", (), True, "python", 1.0, 1.0, {})
    return Opened(config, plan, inputs, ClaimedJob("default", "edges", ID), Future())


def s3(name: str, repo: str, written: str = "", many: bool = False) -> Source:
    config = InputConfig(name, written or repo, many=many)
    return Source(config, (Reference("default", repo, ID),))


def test_what_is_beside_the_jobs_holder_is_taken() -> None:
    places = Places("http://pachd.dev:41001", "grpc://pachd.dev:41002", "http://pachd.dev:41003")
    with Pachd(parse("pachd.dev:30650")) as pachd:
        assert sidecar_endpoint(pachd, opened(), places) == places.sidecar_s3


def test_the_jobs_own_service_and_loopback_are_taken() -> None:
    step = opened()
    for host in (f"{service_name(step.job)}.pachyderm:1600", "127.0.0.1:4711"):
        with Pachd(parse("pachd.pachyderm:30650")) as pachd:
            assert sidecar_endpoint(pachd, step, Places("", "", f"http://{host}")) == f"http://{host}"


@pytest.mark.parametrize("host", ["pachd.pachyderm:30600", "s3-0000.pachyderm:1600", "s3.example.com"])
def test_the_master_gateway_is_refused(host: str) -> None:
    with (
        Pachd(parse("pachd.pachyderm:30650")) as pachd,
        pytest.raises(MasterGatewayError, match="no provenance"),
    ):
        sidecar_endpoint(pachd, opened(), Places("", "", f"http://{host}"))


def test_documented_names_work_where_they_are_free() -> None:
    assert _aliases(opened(s3("pictures", "images"))) == {"images": "pictures", "edges": "out"}
    assert _aliases(opened(s3("a", "images"), s3("b", "images"))) == {"images": "a", "edges": "out"}
    assert _aliases(opened(s3("edges", "images"), s3("images", "other"))) == {"other": "images"}
    assert _aliases(opened(s3("a", "part-2", "part"))) == {"part": "a", "part-2": "a", "edges": "out"}
    assert _aliases(opened(s3("a", "part-2", "part", many=True))) == {"part": "a", "edges": "out"}


def test_direct_gateway_can_not_send_again() -> None:
    gateway = DirectGateway("http://127.0.0.1:1", "")
    assert (gateway.access_key, gateway.secret_key) == ("default", "default")
    gateway.deliver(again=False, timeout=1)
    with pytest.raises(HolderReplacedError, match="adapter"):
        gateway.deliver(again=True, timeout=1)

"""A fake Kubernetes, and a port-forward into it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_pachyderm.forward.cluster import Cluster
from kfp_pachyderm.forward.forwarder import Forwarder
from tests.fake_kubernetes import NAMESPACE, FakeKubernetes, fake_kubernetes


@pytest.fixture(params=[True, False], ids=["tls", "plain"])
def kubernetes(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeKubernetes]:
    with fake_kubernetes(request.param) as cluster:
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig(tmp_path)))
        yield cluster


@pytest.fixture
def forwarder(kubernetes: FakeKubernetes) -> Iterator[Forwarder]:
    with Forwarder(Cluster(), NAMESPACE) as one:
        yield one

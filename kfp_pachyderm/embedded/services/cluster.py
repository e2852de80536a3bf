"""The services of one call: version, cluster, health."""

from __future__ import annotations

from typing import Any

import betterproto.lib.google.protobuf as google
from pachyderm_sdk.api import admin, version

from kfp_pachyderm.embedded.services import handlers
from kfp_pachyderm.embedded.services.handlers import Context
from kfp_pachyderm.embedded.store import metadata, repos
from kfp_pachyderm.embedded.store.store import Store

#: The Pachyderm release that the embedded Pachyderm follows.
VERSION = version.Version(
    major=2, minor=12, micro=2, additional="-kfp-pachyderm-embedded", platform="embedded"
)


def version_calls() -> handlers.Calls:
    """versionpb_v2.API."""

    def get_version(_: Any, __: Context) -> version.Version:
        return VERSION

    return {"GetVersion": handlers.unary(get_version, google.Empty)}


def admin_calls(store: Store) -> handlers.Calls:
    """admin_v2.API."""

    def inspect_cluster(request: admin.InspectClusterRequest, _: Context) -> admin.ClusterInfo:
        if request.current_project.name:
            repos.get_project(store.read(), request.current_project.name)
        cluster_id = store.cluster_id()
        return admin.ClusterInfo(
            id=cluster_id,
            deployment_id=cluster_id,
            warnings_ok=True,
            metadata=metadata.of_cluster(store.read()),
        )

    return {"InspectCluster": handlers.unary(inspect_cluster, admin.InspectClusterRequest)}


def health_calls() -> handlers.Calls:
    """grpc.health.v1.Health; status 1 is SERVING."""

    def check(_: Any, __: Context) -> bytes:
        return b"\x08\x01"

    return {"Check": handlers.Call(check, handlers.already_bytes, write=handlers.already_bytes)}

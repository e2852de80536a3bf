"""The step of these tests, and its pod as KFP's driver makes it, less KFP's own launcher."""

import json
from pathlib import Path
from typing import Any

import yaml
from kfp import compiler, dsl

import kfp_pachyderm as pachyderm
from tests.cluster.images import STEP, WHEELS

#: Copies its input, says so, and waits to be told the end if it is asked to.
PROGRAM = """
import os, sys, time
import boto3
s3 = boto3.client("s3")
for one in s3.list_objects_v2(Bucket="images")["Contents"]:
    s3.copy_object(Bucket="out", Key=one["Key"], CopySource={"Bucket": "images", "Key": one["Key"]})
try:
    open("/written", "w")
    print("the root can be written", flush=True)
except OSError as error:
    print("the root:", error, flush=True)
print("user", os.getuid(), "token", os.environ.get("KFP_PACHYDERM_TOKEN"), flush=True)
print("begun", flush=True)
while sys.argv[1] == "wait" and not os.path.exists("/tmp/end"):
    time.sleep(0.1)
"""


@dsl.container_component
def copy(until: str):
    return dsl.ContainerSpec(image=STEP, command=["python3", "-c", PROGRAM], args=[until])


copied = pachyderm.s3_enabled(
    copy, inputs=[pachyderm.S3Input("images")], connection=pachyderm.Connection(package=WHEELS)
)


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images")])
@dsl.component(base_image="python:3.11", install_kfp_package=False)
def count_here() -> int:
    import boto3

    return boto3.client("s3").list_objects_v2(Bucket="images")["KeyCount"]


def container(name: str, until: str, folder: Path) -> dict[str, Any]:
    """The step's container.

    Args:
        name: of the task, and so of its Pachyderm pipeline.
        until: "end", or "wait".
        folder: for the compiled text.
    """

    @dsl.pipeline(name="cluster")
    @pachyderm.pipeline
    def one() -> None:
        copied(until=until)

    compiler.Compiler().compile(one, str(folder / f"{name}.yaml"))
    pipeline, platform = yaml.safe_load_all((folder / f"{name}.yaml").read_text())
    found = pipeline["deploymentSpec"]["executors"]["exec-copy"]["container"]
    settings = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-copy"]
    values = {"{{$}}": _executor_input(name, until), "{{$.inputs.parameters['until']}}": until}
    command = [values.get(one, one) for one in found["command"] + found["args"]]
    return {"command": command, "env": [*found["env"], *_environment(settings)]}


def _executor_input(name: str, until: str) -> str:
    # …/<pipeline>/<run>/<task>/<salt>/, as KFP's driver lays it out
    outputs = f"/tmp/outputs/cluster/run/{name}/salt"  # noqa: S108 - in the pod
    page = {"name": "pachyderm", "uri": f"{outputs}/pachyderm", "metadata": {}}
    return json.dumps(
        {
            "inputs": {"parameterValues": {"until": until}},
            "outputs": {
                "parameters": {"commit": {"outputFile": f"{outputs}/commit"}},
                "artifacts": {"pachyderm": {"artifacts": [page]}},
                "outputFile": f"{outputs}/output_metadata.json",
            },
        }
    )


def _environment(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """What KFP's driver makes of the platform's part (backend/src/v2/driver/k8s.go)."""
    maps = [
        (one["configMapName"], "configMapKeyRef", "configMapKey", one) for one in settings["configMapAsEnv"]
    ]
    secrets = [(one["secretName"], "secretKeyRef", "secretKey", one) for one in settings["secretAsEnv"]]
    return [
        {
            "name": pair["envVar"],
            "valueFrom": {reference: {"name": name, "key": pair[key], "optional": one["optional"]}},
        }
        for name, reference, key, one in [*maps, *secrets]
        for pair in one["keyToEnv"]
    ]


def pod(name: str, namespace: str, made: dict[str, Any]) -> dict[str, Any]:
    """The step's pod: as closed as Pod Security's "restricted" wants it, on a read-only root."""
    closed = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    main = {
        "name": "main",
        "image": STEP,
        "imagePullPolicy": "Never",
        "securityContext": {**closed, "readOnlyRootFilesystem": True},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - in the pod
        **made,
    }
    labels = {"pipelines.kubeflow.org/v2_component": "true"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": "kfp-pachyderm",
            "securityContext": {
                "runAsUser": 65532,
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [main],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }

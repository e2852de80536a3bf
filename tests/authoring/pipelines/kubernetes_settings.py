"""Kubernetes settings of the user's own beside ours, on one task; the launcher from a folder of wheels."""

from kfp import dsl, kubernetes

import kfp_pachyderm as pachyderm

FUNCTION = "settled"
connection = pachyderm.Connection(
    "grpcs://pachd.example.com:443", token_secret="pachyderm-auth", ca_secret="tls", package="/mnt/wheels"
)


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images")])
@dsl.component(base_image="python:3.12", packages_to_install=["boto3"], install_kfp_package=False)
def train(rate: float = 0.1) -> str:
    return str(rate)


@dsl.pipeline(name="settled")
@pachyderm.pipeline(project="vision", connection=connection)
def settled():
    task = train()
    kubernetes.use_secret_as_env(task, secret_name="tracker", secret_key_to_env={"key": "TRACKER_KEY"})
    kubernetes.use_secret_as_volume(task, secret_name="licence", mount_path="/licence")
    kubernetes.mount_pvc(task, pvc_name="wheels", mount_path="/mnt/wheels")
    kubernetes.empty_dir_mount(task, volume_name="tmp", mount_path="/tmp")  # noqa: S108 - the step's own
    kubernetes.set_image_pull_secrets(task, ["registry"])
    kubernetes.add_node_selector(task, label_key="disk", label_value="fast")
    kubernetes.add_toleration(task, key="gpu", operator="Exists", effect="NoSchedule")
    kubernetes.add_pod_label(task, label_key="team", label_value="vision")
    task.set_env_variable("PIP_INDEX_URL", "https://pip.example.com/simple")
    task.set_retry(3, backoff_duration="10s", backoff_factor=2).set_cpu_limit("2").set_accelerator_limit(1)

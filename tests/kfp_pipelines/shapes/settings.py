"""Settings of tasks: constants, parameters, other tasks' outputs; Kubernetes settings; the workspace."""

from kfp import dsl, kubernetes


@dsl.component(base_image="python:3.11")
def value(of: str) -> str:
    return of


@dsl.component(base_image="python:3.11")
def work(path: str = "") -> str:
    return path


@dsl.component(
    base_image="python:3.11",
    task_config_passthroughs=[
        dsl.TaskConfigField.RESOURCES,
        dsl.TaskConfigField.KUBERNETES_TOLERATIONS,
        dsl.TaskConfigPassthrough(dsl.TaskConfigField.KUBERNETES_VOLUMES, apply_to_task=True),
    ],
)
def train(settings: dsl.TaskConfig, path: str = ""):
    print(settings)


@dsl.pipeline(
    name="settings",
    pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi")),
)
def settings(cpu: str = "1", where: str = "s", image: str = "python:3.12"):
    made = value(of="2")
    one = work(path=dsl.WORKSPACE_PATH_PLACEHOLDER + "/a")
    one.set_cpu_request(cpu).set_cpu_limit(made.output).set_memory_limit("1Gi").set_memory_request(
        made.output
    )
    one.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(made.output)
    one.set_display_name("One").set_retry(
        2, backoff_duration="1s", backoff_factor=2.0, backoff_max_duration="9s"
    )
    one.set_env_variable("A", "b").set_caching_options(False).after(made)
    two = work(path=one.output).set_container_image(image)
    kubernetes.use_secret_as_env(two, secret_name=where, secret_key_to_env={"k": "K"})
    kubernetes.use_config_map_as_env(two, config_map_name=made.output, config_map_key_to_env={"k": "C"})
    kubernetes.use_secret_as_volume(two, secret_name=made.output, mount_path="/s")
    kubernetes.mount_pvc(two, pvc_name=made.output, mount_path="/p")
    kubernetes.add_toleration(two, key="a", operator="Exists", effect="NoSchedule")
    kubernetes.add_node_selector(two, label_key="a", label_value="b")
    kubernetes.add_pod_label(two, "a", "b")
    kubernetes.set_timeout(two, 60)
    three = work().set_container_image(made.output)
    kubernetes.empty_dir_mount(three, volume_name="v", mount_path="/e")
    four = train(path=dsl.WORKSPACE_PATH_PLACEHOLDER).set_cpu_limit("1").after(two, three)
    kubernetes.mount_pvc(four, pvc_name="data", mount_path="/p")
    kubernetes.add_toleration(four, key="a", operator="Exists", effect="NoSchedule")

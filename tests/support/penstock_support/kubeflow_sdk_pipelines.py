"""A pipeline in the notation of Kubeflow's own SDK, which reads annotations as they stand."""

from kfp import dsl, kubernetes


@dsl.container_component
def decide(holds: dsl.OutputPath(bool)):
    return dsl.ContainerSpec("image", ["command"])


@dsl.container_component
def work(steps: int):
    return dsl.ContainerSpec("image", ["command"], [steps])


@dsl.container_component
def notify():
    return dsl.ContainerSpec("image", ["command"])


@dsl.pipeline(name="toy")
def toy(steps: int = 5, rate: float = 0.5, label: str = "a", verbose: bool = False, who: str = ""):
    with dsl.ExitHandler(notify()):
        decided = decide()
        with dsl.If(decided.outputs["holds"] == True):  # noqa: E712  # the SDK's own notation
            worked = work(steps=steps)
            worked.set_retry(2)
            worked.set_caching_options(False)
            worked.set_cpu_limit("2").set_cpu_request("500m").set_memory_limit("4Gi")
            worked.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(2)
            kubernetes.set_timeout(worked, 60)
            kubernetes.empty_dir_mount(worked, "dshm", "/dev/shm", "Memory", "2Gi")
            kubernetes.use_secret_as_env(worked, "store", {"password": "PASSWORD"})
            kubernetes.use_secret_as_volume(worked, "tls", "/etc/tls")
            kubernetes.use_config_map_as_env(worked, "settings", {"level": "LEVEL"})
            kubernetes.mount_pvc(worked, "raw", "/data")
            kubernetes.add_node_selector(worked, "pool", "gpu")
            kubernetes.add_toleration(worked, "spot", "Exists", effect="NoSchedule")
            kubernetes.set_image_pull_policy(worked, "Always")
            kubernetes.set_image_pull_secrets(worked, ["registry"])
            kubernetes.add_pod_label(worked, "team", "taxi")
            kubernetes.add_pod_annotation(worked, "cost", "high")
            kubernetes.use_field_path_as_env(
                worked, "KFP_RUN_ID", "metadata.labels['pipeline/runid']"
            )

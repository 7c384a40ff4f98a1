"""What a pod has of Kubernetes: resources on its container, the rest in the platform document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock import ir
from penstock.errors import PipelineError
from penstock.project.kubernetes import amount
from penstock.project.pods import (
    SHARED_MEMORY_PATH,
    SHARED_MEMORY_VOLUME,
    EmptyDir,
    Gpu,
    NodeAffinity,
    PodOptions,
)
from penstock.runners.kubeflow.compile import protos
from penstock.runners.kubeflow.contract.task import RUN_ID_LABEL, RUN_ID_VARIABLE


def add_resources(container: Any, pod: PodOptions) -> None:
    """Write CPU, memory and accelerators onto a PipelineContainerSpec.

    Each stands there twice: as text for newer backends, and as a number (cores, gigabytes) for
    those that know no other.
    """
    for field, quantity, unit in (
        ("cpu_limit", pod.cpu, 1.0),
        ("cpu_request", pod.cpu_request or pod.cpu, 1.0),
        ("memory_limit", pod.memory, 1e9),
        ("memory_request", pod.memory_request or pod.memory, 1e9),
    ):
        if quantity:
            setattr(container.resources, f"resource_{field}", quantity)
            setattr(container.resources, field, (amount(quantity) or 0.0) / unit)
    if pod.gpu is not None:
        accelerator = container.resources.accelerator
        accelerator.resource_type = accelerator.type = pod.gpu.type
        accelerator.resource_count = str(pod.gpu.count)
        accelerator.count = pod.gpu.count


def requested_options(node: ir.Node) -> PodOptions:
    """Return what the pipeline itself asks of Kubernetes for a node.

    Beside our own options that is the platform config that TFX's runner for Kubeflow takes, a
    ResourceSpec. What TFX knows for Docker says nothing here.

    Raises:
      PipelineError: the node's platform config is another.
    """
    packed = node.platform
    container = protos.pipeline_spec().PipelineDeploymentConfig.PipelineContainerSpec
    resources = container.ResourceSpec()
    if packed is None or packed.TypeName() == "tfx.orchestration.DockerPlatformConfig":
        return PodOptions()
    if not packed.Is(resources.DESCRIPTOR):
        if packed.TypeName() == "google.protobuf.Struct":
            return node.pod_options
        raise PipelineError(
            f"node {node.id}: its platform config is a {packed.TypeName()}, which says nothing "
            "that Kubeflow Pipelines understands",
            hint="Use with_options(node, pod=PodOptions(cpu=..., memory=...)), or a ResourceSpec.",
        )
    packed.Unpack(resources)
    gpu = resources.accelerator
    return PodOptions(
        cpu=resources.resource_cpu_limit or _text(resources.cpu_limit),
        memory=resources.resource_memory_limit or _text(resources.memory_limit, "G"),
        cpu_request=resources.resource_cpu_request or _text(resources.cpu_request),
        memory_request=resources.resource_memory_request or _text(resources.memory_request, "G"),
        gpu=Gpu(gpu.resource_type or gpu.type, int(gpu.resource_count or gpu.count))
        if resources.HasField("accelerator")
        else None,
    )


def _text(number: float, unit: str = "") -> str:
    return f"{number:g}{unit}" if number else ""


def executor_config(pod: PodOptions, timeout_seconds: int) -> Any:
    """Return a pod's KubernetesExecutorConfig.

    Names stand in the fields that all backends since 2.5 read; newer ones call them deprecated.
    """
    config = protos.kubernetes().KubernetesExecutorConfig()
    config.field_path_as_env.add(
        name=RUN_ID_VARIABLE, field_path=f"metadata.labels['{RUN_ID_LABEL}']"
    )
    config.image_pull_policy = pod.image_pull_policy
    config.active_deadline_seconds = timeout_seconds
    for name in pod.image_pull_secrets:
        config.image_pull_secret.add(secret_name=name)
    for volume in pod.volumes:
        config.pvc_mount.add(constant=volume.claim, mount_path=volume.path)
    if pod.shared_memory:
        _add_empty_dir(
            config, SHARED_MEMORY_VOLUME, EmptyDir(SHARED_MEMORY_PATH, pod.shared_memory, True)
        )
    for name, empty_dir in pod.named_empty_dirs():
        _add_empty_dir(config, name, empty_dir)
    _add_affinities(config, pod.affinities)
    for labels, pairs in (
        (config.node_selector.labels, pod.node_selector),
        (config.pod_metadata.labels, pod.labels),
        (config.pod_metadata.annotations, pod.annotations),
    ):
        labels.update(pairs)
    # Backends tell an empty message from none.
    for field in ("node_selector", "pod_metadata"):
        if not getattr(config, field).ListFields():
            config.ClearField(field)
    _add_tolerations(config, pod)
    _add_secrets(config, pod)
    _add_config_maps(config, pod)
    return config


def _add_empty_dir(config: Any, name: str, empty_dir: EmptyDir) -> None:
    _require(config, "empty_dir_mounts", "shared_memory and empty_dirs")
    config.empty_dir_mounts.add(
        volume_name=name,
        mount_path=empty_dir.path,
        medium="Memory" if empty_dir.in_memory else None,
        size_limit=empty_dir.size or None,
    )


def _add_affinities(config: Any, affinities: Sequence[NodeAffinity]) -> None:
    """Write affinities: of what is required one term has all, or any of them would do."""
    if not affinities:
        return
    _require(config, "node_affinity", "affinities")
    required = [affinity for affinity in affinities if not affinity.weight]
    preferred = [affinity for affinity in affinities if affinity.weight]
    for met_together in ([required] if required else []) + [[one] for one in preferred]:
        term = config.node_affinity.add()
        for one in met_together:
            term.match_expressions.add(key=one.key, operator=one.operator, values=one.values)
        if met_together[0].weight:
            term.weight = met_together[0].weight


def _require(config: Any, field: str, options: str) -> None:
    if field not in config.DESCRIPTOR.fields_by_name:
        raise PipelineError(
            f"the installed kfp-kubernetes has no words for {options}",
            hint="Leave them out, or install a newer kfp-kubernetes.",
        )


def _add_tolerations(config: Any, pod: PodOptions) -> None:
    for taint in pod.tolerations:
        toleration = config.tolerations.add(
            key=taint.key, operator=taint.operator, value=taint.value, effect=taint.effect
        )
        if taint.seconds is not None:
            toleration.toleration_seconds = taint.seconds


def _add_secrets(config: Any, pod: PodOptions) -> None:
    for secret in pod.secrets:
        if secret.path:
            used = config.secret_as_volume.add(secret_name=secret.secret, mount_path=secret.path)
            _set_optional(used, secret.optional)
            continue
        used = config.secret_as_env.add(secret_name=secret.secret)
        used.key_to_env.add(secret_key=secret.key, env_var=secret.env)
        _set_optional(used, secret.optional)


def _add_config_maps(config: Any, pod: PodOptions) -> None:
    for config_map in pod.config_maps:
        if config_map.path:
            used = config.config_map_as_volume.add(
                config_map_name=config_map.config_map, mount_path=config_map.path
            )
            _set_optional(used, config_map.optional)
            continue
        used = config.config_map_as_env.add(config_map_name=config_map.config_map)
        used.key_to_env.add(config_map_key=config_map.key, env_var=config_map.env)
        _set_optional(used, config_map.optional)


def _set_optional(used: Any, optional: bool) -> None:
    # Not all backends know the field, and those that do not refuse the whole document.
    if not optional:
        return
    if "optional" not in used.DESCRIPTOR.fields_by_name:
        what = used.DESCRIPTOR.name
        raise PipelineError(
            f"the installed kfp-kubernetes cannot say that a {what} is optional",
            hint="Leave optional out, mount it as files, or install a newer kfp-kubernetes.",
        )
    used.optional = True

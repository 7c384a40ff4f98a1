"""What a node asks of Kubernetes for the pod that it runs in."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.errors import ParameterError, suggestion
from penstock.project import kubernetes

SHARED_MEMORY_VOLUME, SHARED_MEMORY_PATH = "dshm", "/dev/shm"
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_OPERATORS = ("Equal", "Exists")
_REQUIREMENTS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
_EFFECTS = ("", "NoSchedule", "PreferNoSchedule", "NoExecute")


@dataclass(frozen=True)
class Gpu:
    """Accelerators of one kind; `type` is the resource's name in Kubernetes."""

    type: str = "nvidia.com/gpu"
    count: int = 1

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ParameterError(f"count should be 1 or more, got {self.count}")


@dataclass(frozen=True)
class Toleration:
    """A taint that does not keep the pod away; `seconds` is for the effect NoExecute."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""
    seconds: int | None = None

    def __post_init__(self) -> None:
        _check_choice("operator", self.operator, _OPERATORS)
        _check_choice("effect", self.effect, _EFFECTS)
        taint = f"the toleration of {self.key or 'all taints'!r}"
        if self.operator == "Exists" and self.value:
            raise ParameterError(
                f"{taint} has the operator Exists and the value {self.value!r}",
                hint="Leave the value out, or take the operator Equal.",
            )
        if self.operator == "Equal" and not self.key:
            raise ParameterError(
                f"{taint} has no key", hint='Name one, or take the operator "Exists" for all.'
            )
        if self.key:
            kubernetes.check_key(self.key, "the toleration")
        if self.seconds is not None and self.effect != "NoExecute":
            raise ParameterError(
                f"{taint} has seconds, and the effect {self.effect or 'of all'!r}",
                hint='Seconds are for the effect "NoExecute".',
            )


@dataclass(frozen=True)
class Secret:
    """A Kubernetes secret: one of its keys as an environment variable, or all as files in a path.

    What stands here are names; values stay in the cluster.
    """

    secret: str
    key: str = ""
    env: str = ""
    path: str = ""
    optional: bool = False

    def __post_init__(self) -> None:
        _check_use("secret", self.secret, self.key, self.env, self.path)


@dataclass(frozen=True)
class ConfigMap:
    """A Kubernetes config map: one of its keys as an environment variable, or all as files."""

    config_map: str
    key: str = ""
    env: str = ""
    path: str = ""
    optional: bool = False

    def __post_init__(self) -> None:
        _check_use("config map", self.config_map, self.key, self.env, self.path)


@dataclass(frozen=True)
class Volume:
    """A persistent volume claim and where it is mounted."""

    claim: str
    path: str

    def __post_init__(self) -> None:
        if not self.path.startswith("/"):
            raise ParameterError(f"path should be absolute, got {self.path!r}")
        kubernetes.check_volume_name(self.claim, "claim")


@dataclass(frozen=True)
class EmptyDir:
    """Room of the pod's own, which is gone with it: on its machine's disk, or in memory.

    `size` is the most that it may take, a Kubernetes quantity; without one there is no limit. What
    is in memory counts as memory of the pod.
    """

    path: str
    size: str = ""
    in_memory: bool = False

    def __post_init__(self) -> None:
        if not self.path.startswith("/"):
            raise ParameterError(f"path should be absolute, got {self.path!r}")
        if self.size and kubernetes.amount(self.size) is None:
            raise ParameterError(
                f"size should be a Kubernetes quantity, got {self.size!r}",
                hint='Write "10Gi".',
            )


@dataclass(frozen=True)
class NodeAffinity:
    """A label that a machine of the cluster should have for the pod to run there.

    Those without a `weight` all have to be met. The others are preferred, and the more the higher
    their weight is, from 1 to 100.
    """

    key: str
    operator: str = "In"
    values: tuple[str, ...] = ()
    weight: int = 0

    def __post_init__(self) -> None:
        kubernetes.check_key(self.key, "the affinity")
        _check_choice("operator", self.operator, _REQUIREMENTS)
        for value in self.values:
            kubernetes.check_label(value, f"the affinity to {self.key}")
        expected = {"In": "one or more", "NotIn": "one or more", "Gt": "one", "Lt": "one"}
        count = len(self.values)
        fits = {None: count == 0, "one or more": count > 0, "one": count == 1}
        if not fits[expected.get(self.operator)]:
            raise ParameterError(
                f"the affinity to {self.key} has the operator {self.operator} and {count} values",
                hint=f"It takes {expected.get(self.operator, 'none')}.",
            )
        if self.operator in ("Gt", "Lt") and not self.values[0].lstrip("-").isdecimal():
            raise ParameterError(
                f"the affinity to {self.key} compares with {self.values[0]!r}, which is no whole "
                "number"
            )
        if not 0 <= self.weight <= 100:
            raise ParameterError(
                f"the affinity to {self.key} has the weight {self.weight}",
                hint="It is from 1 to 100, or left out where the label has to be there.",
            )


@dataclass(frozen=True)
class PodOptions:
    """What a node's pod has beside what every pod has.

    Amounts of CPU and memory are Kubernetes quantities, as "500m", "2" and "4Gi"; `cpu` and
    `memory` are limits, and requests too where no others are given. `shared_memory` is how large
    /dev/shm may become, which counts as memory of the pod. `env` holds values that are no secrets.
    """

    image: str = ""
    image_pull_policy: str = ""
    image_pull_secrets: tuple[str, ...] = ()
    cpu: str = ""
    memory: str = ""
    cpu_request: str = ""
    memory_request: str = ""
    gpu: Gpu | None = None
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    affinities: tuple[NodeAffinity, ...] = ()
    secrets: tuple[Secret, ...] = ()
    config_maps: tuple[ConfigMap, ...] = ()
    volumes: tuple[Volume, ...] = ()
    empty_dirs: tuple[EmptyDir, ...] = ()
    shared_memory: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.image_pull_policy:
            _check_choice("image_pull_policy", self.image_pull_policy, _PULL_POLICIES)
        for name in ("cpu", "memory", "cpu_request", "memory_request", "shared_memory"):
            quantity = getattr(self, name)
            if quantity and kubernetes.amount(quantity) is None:
                raise ParameterError(
                    f"{name} should be a Kubernetes quantity, got {quantity!r}",
                    hint='Write "500m" or "2" for CPU, "512Mi" or "4Gi" for memory.',
                )

        self._check_requests()
        for described in dataclasses.fields(PodOptions):
            value = getattr(self, described.name)
            kubernetes.check_no_braces(_as_plain(value), described.name)
        for key, value in self.node_selector.items():
            kubernetes.check_key(key, "node_selector")
            kubernetes.check_label(value, f"node_selector {key}")
        for key, value in self.labels.items():
            kubernetes.check_key(key, "labels")
            kubernetes.check_label(value, f"the label {key}")
        for key in self.annotations:
            kubernetes.check_key(key, "annotations")
        for name in self.env:
            kubernetes.check_variable(name)
        self._check_mounts()
        if self.memory and _amount(self.shared_memory or "0") > _amount(self.memory):
            raise ParameterError(
                f"shared_memory is {self.shared_memory}, which is more than the limit, memory = "
                f"{self.memory}",
                hint="Raise memory, of which it is a part, or ask for less.",
            )

    def _check_requests(self) -> None:
        for name in ("cpu", "memory"):
            limit, request = getattr(self, name), getattr(self, f"{name}_request")
            if limit and request and _amount(request) > _amount(limit):
                raise ParameterError(
                    f"{name}_request is {request}, which is more than the limit, {name} = {limit}",
                    hint=f"Raise {name}, or ask for less.",
                )

    def _check_mounts(self) -> None:
        paths: dict[str, _Mount] = {}
        names: dict[str, _Mount] = {}
        for mount in self._mounts():
            path = mount.path.rstrip("/")
            if path in paths:
                raise ParameterError(
                    f"{paths[path]} and {mount} are both mounted at {mount.path}",
                    hint="Give each a path of its own.",
                )
            same = names.get(mount.name)
            if same is not None and (same.what, same.optional) != (mount.what, mount.optional):
                raise ParameterError(
                    f"{same} and {mount} would be one volume, which Kubeflow calls {mount.name!r}",
                    hint="Give one of them another name."
                    if same.what != mount.what
                    else "Make both optional, or none.",
                )
            paths[path] = names[mount.name] = mount

    def _mounts(self) -> Iterator[_Mount]:
        if self.shared_memory:
            yield _Mount("shared memory", SHARED_MEMORY_VOLUME, SHARED_MEMORY_PATH)
        for name, empty_dir in self.named_empty_dirs():
            yield _Mount("empty dir", name, empty_dir.path)
        for volume in self.volumes:
            yield _Mount("claim", volume.claim, volume.path)
        for secret in self.secrets:
            if secret.path:
                yield _Mount("secret", secret.secret, secret.path, secret.optional)
        for config_map in self.config_maps:
            if config_map.path:
                used = config_map.config_map, config_map.path, config_map.optional
                yield _Mount("config map", *used)

    def named_empty_dirs(self) -> Iterator[tuple[str, EmptyDir]]:
        """Yield the empty dirs with the names of their volumes, which each are of one pod alone."""
        for number, empty_dir in enumerate(self.empty_dirs, 1):
            yield f"empty-dir-{number}", empty_dir

    def overridden_by(self, more: PodOptions) -> PodOptions:
        """Return these options with others on top: lists and mappings are joined."""
        joined: dict[str, Any] = {}
        for described in dataclasses.fields(PodOptions):
            ours, theirs = getattr(self, described.name), getattr(more, described.name)
            if isinstance(ours, tuple):
                joined[described.name] = tuple(dict.fromkeys((*ours, *theirs)))
            elif isinstance(ours, Mapping):
                joined[described.name] = {**ours, **theirs}
            else:
                joined[described.name] = theirs or ours
        return PodOptions(**joined)


@dataclass(frozen=True)
class _Mount:
    """What is mounted where."""

    what: str
    name: str
    path: str
    optional: bool = False

    def __str__(self) -> str:
        return f"the {'optional ' if self.optional else ''}{self.what} {self.name!r}"


def _as_plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_as_plain, value))
    return dataclasses.asdict(value) if dataclasses.is_dataclass(type(value)) else value


def _amount(quantity: str) -> float:
    return kubernetes.amount(quantity) or 0.0


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        hint = suggestion(value, [choice for choice in choices if choice], noun=name)
        raise ParameterError(f"{name} {value!r} is not known", hint=hint)


def _check_use(what: str, name: str, key: str, env: str, path: str) -> None:
    as_variable = bool(key and env) and not path
    as_files = path.startswith("/") and not (key or env)
    if not (as_variable or as_files):
        raise ParameterError(
            f"the {what} {name!r} should have key and env, or an absolute path",
            hint='Write key = "password", env = "STORE_PASSWORD" for a variable, or '
            'path = "/etc/store" for files.',
        )
    if path:
        kubernetes.check_volume_name(name, what)
    else:
        kubernetes.check_variable(env)

"""What a node asks of Kubernetes for the pod that it runs in."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.errors import ParameterError, suggestion

# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_QUANTITY = re.compile(r"[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+|m|k|[KMGTPE]i|[MGTPE])?")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_OPERATORS = ("Equal", "Exists")
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


@dataclass(frozen=True)
class PodOptions:
    """What a node's pod has beside what every pod has.

    Amounts of CPU and memory are Kubernetes quantities, as "500m", "2" and "4Gi"; `cpu` and
    `memory` are limits, and requests too where no others are given. `env` holds values that are
    no secrets.
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
    secrets: tuple[Secret, ...] = ()
    config_maps: tuple[ConfigMap, ...] = ()
    volumes: tuple[Volume, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.image_pull_policy:
            _check_choice("image_pull_policy", self.image_pull_policy, _PULL_POLICIES)
        for name in ("cpu", "memory", "cpu_request", "memory_request"):
            quantity = getattr(self, name)
            if quantity and not _QUANTITY.fullmatch(quantity):
                raise ParameterError(
                    f"{name} should be a Kubernetes quantity, got {quantity!r}",
                    hint='Write "500m" or "2" for CPU, "512Mi" or "4Gi" for memory.',
                )

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

"""Where a model is served, what it is asked there, and within which limits it should answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.errors import ParameterError

_UNITS = {
    **{f"{prefix}i": 1024**power for power, prefix in enumerate("KMGT", 1)},
    **{prefix: 1000**power for power, prefix in enumerate("kMGT", 1)},
    "": 1,
}


@dataclass(frozen=True)
class TensorFlowServing:
    """TensorFlow Serving's image; a model has to be good for each of the tags and digests."""

    image_name: str = "tensorflow/serving"
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()

    @property
    def images(self) -> tuple[str, ...]:
        """The images by their whole names."""
        tags = self.tags or (() if self.digests else ("latest",))
        return (
            *(f"{self.image_name}:{tag}" for tag in tags),
            *(f"{self.image_name}@{digest}" for digest in self.digests),
        )


@dataclass(frozen=True)
class LocalDocker:
    """Docker on this machine; `client_base_url` is its server's, by default the client's own.

    What else TFX has here is for its client, and does nothing.
    """

    client_base_url: str = ""
    client_api_version: str = ""
    client_timeout_seconds: int = 0
    host_ip_address: str = ""


@dataclass(frozen=True)
class Kubernetes:
    """The pod in which TFX would serve the model.

    The model is served in the node's own pod, and of this its limit of memory counts.
    """

    service_account_name: str = ""
    active_deadline_seconds: int = 0
    serving_pod_overrides: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ServingSpec:
    """What serves the model: Penstock's own server, or TensorFlow Serving where Docker is."""

    tensorflow_serving: TensorFlowServing | None = None
    local_docker: LocalDocker | None = None
    kubernetes: Kubernetes | None = None
    model_name: str = ""

    @property
    def memory_bytes(self) -> float | None:
        """The memory that the pod would have; None where that is not said."""
        overrides: Mapping[str, Any] = (
            self.kubernetes.serving_pod_overrides if self.kubernetes else {}
        )
        resources = overrides.get("resources") or {}
        text = (resources.get("limits") or {}).get("memory")
        return None if text is None else _bytes_of(text)


@dataclass(frozen=True)
class ValidationSpec:
    """Limits of a model that is to be served.

    `max_loading_time_seconds` and `num_tries` are TFX's. `max_prediction_seconds` is for one row,
    after the model was warmed up, `max_memory_mb` for the process with its framework, in units of a
    million bytes; without it, what the machine has.
    """

    max_loading_time_seconds: int = 300
    num_tries: int = 5
    max_prediction_seconds: float | None = 2.0
    max_memory_mb: float | None = None


@dataclass(frozen=True)
class TensorFlowServingRequests:
    """The graph and the signatures that are meant, as TFX has them.

    A model is asked by the signature by which it is served, which these have to be.
    """

    tag_set: tuple[str, ...] = ()
    signature_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class RequestSpec:
    """Which rows a model is asked about: the first of a split of `examples`.

    Without a name it is the split `eval`, or the first where that is not there. With `make_warmup`
    these rows become the model's warm-up requests.
    """

    split_name: str = ""
    num_examples: int = 10
    make_warmup: bool = False
    tensorflow_serving: TensorFlowServingRequests | None = None


def _bytes_of(quantity: str) -> float:
    """Return the bytes of a quantity of Kubernetes, as 2Gi."""
    found = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", quantity.strip())
    if found is None or found[2] not in _UNITS:
        raise ParameterError(
            f"serving_spec: expected a quantity of memory, as '2Gi', got {quantity!r}"
        )
    return float(found[1]) * _UNITS[found[2]]
